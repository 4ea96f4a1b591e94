"""The random numbers of an augmented batch: ``augment`` makes them, and ``warp`` does to pixels what they say."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Draw(NamedTuple):
    """The random numbers of one batch.

    ``matrices`` (n, 2, 3) map output to input positions: the linear part in units that are the same on both
    axes, the shift in units where the image spans −1 … 1 on each. ``crop`` (n, 4) holds width and height, as
    shares of the image's, and the centre's x and y, from −1 to 1. ``brightness``, ``contrast`` and
    ``saturation`` (n,) are factors.
    ``erased`` (n, 5) holds the rectangle that is erased, as ``crop`` does, all 0 where none is, and the seed of the
    noise in its place; (n, 0) where nothing can be erased.
    """

    matrices: Floats
    crop: Floats
    brightness: Floats
    contrast: Floats
    saturation: Floats
    erased: Floats
