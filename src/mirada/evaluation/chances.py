"""What tests by permutation share: how far parts are apart, and chances that are several."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Name = TypeVar("Name", bound=Hashable)


def between(parts: NDArray[np.int64], values: NDArray[np.float64]) -> float:
    """How far parts are apart: the sum over them of n · (mean − mean of all)².

    Args:
        parts: The number of each value's part (N,); a number may have no value.
        values: (N,).
    """
    sums, counts = np.bincount(parts, weights=values - values.mean()), np.bincount(parts)
    return float((sums[counts > 0] ** 2 / counts[counts > 0]).sum())


def holm(chances: Mapping[Name, float]) -> dict[Name, float]:
    """Chances corrected for their number, so that the error of all together is held.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure, Scand. J. Stat. 6:65.

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    corrected, largest = dict[Name, float](), 0.0
    for place, (name, chance) in enumerate(sorted(chances.items(), key=lambda each: each[1])):
        largest = max(largest, min(1.0, chance * (len(chances) - place)))
        corrected[name] = largest
    return corrected
