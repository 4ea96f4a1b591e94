"""Split conformal intervals: predicted value ± a half width that holds for a stated share of new images.

Sources: Vovk, Gammerman & Shafer 2005, Algorithmic Learning in a Random World; Lei, G'Sell, Rinaldo, Tibshirani &
Wasserman 2018, Distribution-Free Predictive Inference for Regression, JASA 113:1094, algorithm 2.
"""

from dataclasses import dataclass
from math import ceil, inf

import numpy as np

from mirada.errors import InvalidArgument
from mirada.evaluation import metrics as m
from mirada.evaluation.estimate import Sampling, share

LEVEL = 0.9  # 95 % would need 19 images at least, and more to be steady


@dataclass(frozen=True)
class Conformal:
    """``half_widths`` per target, learnt from ``n`` images: value ± half width holds in ``level`` of the cases.

    The promise is for images like those ``n``, drawn in the same way. Those of validation have also chosen the epoch
    that was kept, which makes their errors a little too small: measure the coverage on the test images.
    """

    level: float
    half_widths: tuple[float, ...]
    n: int

    def __post_init__(self) -> None:
        if not (0 < self.level < 1 and self.n > 0 and all(0 <= width < inf for width in self.half_widths)):
            raise InvalidArgument(
                f"Conformal needs a level between 0 and 1, widths of at least 0 and a number of images. Got {self}."
            )


@dataclass(frozen=True)
class Coverage:
    """How often the interval held: a share ``covered`` of ``n`` images, with its 95 % interval.

    Every interval is 2 · ``half_width`` wide; ``level`` was promised, ``learnt_from`` so many validation images.
    """

    target: str
    level: float
    half_width: float
    learnt_from: int
    n: int
    covered: float | None
    low: float | None
    high: float | None
    method: str
    level_of_interval: float | None = None


def fit_conformal(targets: m.Floats, predicted: m.Floats, *, level: float = LEVEL) -> Conformal | None:
    """The half width per target for values (n,) or (n, T) that were not trained on.

    It is the ⌈(n + 1) · level⌉-th smallest |predicted − target|: a new image, exchangeable with these, is then off
    by no more with a probability of at least ``level``. None where n is too small for that: below 9 for 90 %.
    Raises ``InvalidArgument`` unless 0 < level < 1 and the shapes agree.
    """
    if not 0 < level < 1:
        raise InvalidArgument(f"`level` of fit_conformal must lie between 0 and 1, exclusive. Got {level}.")
    if targets.shape != predicted.shape:
        raise InvalidArgument(
            f"`targets` and `predicted` of fit_conformal must have the same shape. Got {targets.shape} and "
            f"{predicted.shape}."
        )
    n = len(targets)
    rank = ceil((n + 1) * level - 1e-9)  # but for rounding
    if rank > n:
        return None
    sizes = np.sort(np.abs(predicted - targets).reshape(n, -1), axis=0)
    return Conformal(level, tuple(sizes[rank - 1].tolist()), n)


def coverage(
    errors: m.Floats, conformal: Conformal, number: int, *, target: str, sampling: Sampling
) -> Coverage:
    """How often the interval of target ``number`` held, for errors (n,) on images that did not set its width."""
    width = conformal.half_widths[number]
    found = share(np.abs(errors) <= width, sampling)
    return Coverage(target, conformal.level, width, conformal.n, len(errors), *found)
