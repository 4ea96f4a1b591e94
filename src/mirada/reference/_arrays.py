"""What the layers of this room share: the array type, and values that belong to one channel each."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


def along_channels(values: Array, x: Array) -> Array:
    """One value per channel, shaped to meet ``x``: (C,) → (1, C, 1, …)."""
    return values.reshape(1, -1, *[1] * (x.ndim - 2))


def sum_per_channel(x: Array) -> Array:
    """The sum over everything but the channels: (N, C, …) → (C,)."""
    return np.asarray(x.sum(axis=all_but_channels(x)))


def all_but_channels(x: Array) -> tuple[int, ...]:
    """Every axis of ``x`` except axis 1."""
    return tuple(axis for axis in range(x.ndim) if axis != 1)
