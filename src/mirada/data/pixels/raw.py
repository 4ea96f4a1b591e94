"""Pixels as a file stores them, in its own unit, before anything has decided what is black and what is white."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mirada.errors import DataError

Values = NDArray[Any]  # (H, W) or (H, W, 3), of any kind of number
Shades = NDArray[np.float32]  # the same shape, 0 (black) … 1 (white)

ROW_COST = 50  # bytes per row, of however few pixels: Pillow keeps and resizes them one by one
MAX_MEMORY = 500 * 10**6  # bytes that decoding one image may take
DEEP_COST = (
    12.5  # bytes per pixel: the stored values, their shades as float32, and the same while they are sorted
)


class DecodeError(DataError):
    """An image file cannot be decoded; the message is the reason alone, without the file's name."""


class Raw(NamedTuple):
    """An image in the unit of its file: stored levels, or what DICOM's rescaling makes of them.

    ``values`` (H, W) are grey, (H, W, 3) RGB; ``bits`` says how deep they are stored, 32 for real numbers.
    ``full`` is the lowest and the highest value that this kind of file can hold. ``voi``, if the file has one, is
    its own rule from values to shades 0 … 1. ``inverted``: the lowest value is white. ``alpha`` (H, W), 0 … 1, if
    not all is opaque: behind what is transparent lies white, and its values count for no window.
    """

    values: Values
    bits: int
    full: tuple[float, float]
    voi: Callable[[Values], Shades] | None = None
    inverted: bool = False
    alpha: Shades | None = None


def opacity(alpha: Values, opaque: float) -> Shades | None:
    """``Raw.alpha`` of a channel whose full value is ``opaque``; NaN is transparent."""
    if (alpha == opaque).all():
        return None
    share = (alpha / np.float32(opaque)).astype(np.float32, copy=False)
    share[np.isnan(share)] = 0
    return np.clip(share, 0, 1, out=share)


def require_size(height: int, width: int, cost: float = DEEP_COST) -> None:
    """Raises ``DecodeError`` for an image that takes too much memory, at ``cost`` bytes per pixel."""
    if height * ROW_COST > MAX_MEMORY:
        raise DecodeError(
            f"{height:,} rows are more than the limit of {MAX_MEMORY / ROW_COST / 10**6:.0f} million"
        )
    if height * width * cost > MAX_MEMORY:
        raise DecodeError(
            f"{width:,} × {height:,} pixels are more than the limit of {MAX_MEMORY / cost / 10**6:.0f} million for "
            f"this kind of image"
        )


def as_real(values: Values) -> NDArray[np.float32] | NDArray[np.float64]:
    """A copy as real numbers; as float64 where float32 has too few digits for the integers or loses some."""
    enough = values.dtype.itemsize <= 2 or values.dtype == np.float32
    return values.astype(np.float32) if enough else values.astype(np.float64)
