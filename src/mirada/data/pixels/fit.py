"""From an upright image of any size and depth to the network's input: window, colour, size policy, depth.

Images of 8 bits that need no window are resized as they are. All others are resized as real numbers and rounded
once, at the end, so that no shade is lost on the way.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mirada.data.pixels.clahe import clahe
from mirada.data.pixels.levels import EIGHT, Levels, raw_of
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.data.pixels.raw import Raw, Shades
from mirada.data.pixels.window import shades

Size = tuple[int, int]  # width, height
Box = tuple[float, float, float, float]  # left, top, right, bottom
Pixels = NDArray[np.uint8] | NDArray[np.uint16]
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as Pillow's
BILINEAR = Image.Resampling.BILINEAR


class Opened(NamedTuple):
    """A decoded image, upright: one of 8 bits, in the colours that the network sees, or a deeper one.

    The JPEG decoder may have reduced it: ``size`` (width, height) is what it would be otherwise, and ``box`` (left,
    top, right, bottom) how far it reaches, for its last column and row may stand for less than a pixel. ``levels``
    are those that the 8 bits stand for in the file.
    """

    image: Image.Image | Raw
    size: Size
    box: Box
    levels: Levels = EIGHT


def fit(opened: Opened, preprocessing: Preprocessing) -> Pixels:
    """The network's input, (H, W, C) of ``preprocessing.dtype``. Raises ``DecodeError`` if a window cannot be laid."""
    pre = preprocessing
    if isinstance(opened.image, Image.Image) and _as_it_is(pre):
        content: Pixels = np.asarray(_scaled(opened.image, opened, pre))
    else:
        content = to_depth(_unit(opened, pre), pre.dtype)
    content = content.reshape(*content.shape[:2], pre.channels)
    if content.shape[:2] == pre.size:
        return content
    frame = np.zeros((*pre.size, pre.channels), dtype=pre.dtype)
    (height, width), (frame_height, frame_width) = content.shape[:2], pre.size
    top, left = (frame_height - height) // 2, (frame_width - width) // 2
    frame[top : top + height, left : left + width] = content
    return frame


def to_depth(unit: Shades, dtype: np.dtype[Any]) -> Pixels:
    """Shades 0 … 1 rounded to the nearest level of an unsigned type."""
    highest = np.iinfo(dtype).max
    levels = unit * np.float32(highest)
    np.clip(np.rint(levels, out=levels), 0, highest, out=levels)
    rounded: Pixels = levels.astype(dtype)
    return rounded


def _as_it_is(pre: Preprocessing) -> bool:
    """Whether 8-bit images need neither another depth nor another shade."""
    return pre.depth == 8 and pre.clahe == 0 and pre.window in ("auto", "full")


def _unit(opened: Opened, pre: Preprocessing) -> Shades:
    """Windowed, in the network's colours, scaled and equalized: (h, w) or (h, w, 3), 0 … 1."""
    raw = raw_of(opened.image, opened.levels) if isinstance(opened.image, Image.Image) else opened.image
    unit = shades(raw, pre.window)
    if pre.mode == "L" and unit.ndim == 3:
        unit = unit @ LUMA
    planes = [unit] if unit.ndim == 2 else list(np.moveaxis(unit, -1, 0))
    scaled = [np.asarray(_scaled(Image.fromarray(plane), opened, pre)) for plane in planes]
    if pre.clahe:
        luma = scaled[0] if len(scaled) == 1 else np.tensordot(LUMA, scaled, axes=1)
        change = clahe(luma, pre.clahe) - luma  # the same for each colour, which keeps their differences
        scaled = [plane + change for plane in scaled]
    return np.stack(scaled * (pre.channels // len(scaled)), axis=-1)


def _scaled(image: Image.Image, opened: Opened, pre: Preprocessing) -> Image.Image:
    """The part of the image that the network sees, by the size policy, with an antialiased bilinear filter."""
    height, width = pre.size
    (wide, high), box = opened.size, opened.box
    if pre.policy == "stretch":
        return image.resize((width, height), BILINEAR, box=box)
    ratios = (width / wide, height / high)
    scale = min(ratios) if pre.policy == "pad" else max(ratios)
    scaled = (max(1, round(wide * scale)), max(1, round(high * scale)))
    if pre.policy == "pad":
        return image.resize(scaled, BILINEAR, box=box)
    left, right = _seen(box[2], scaled[0], width)
    top, bottom = _seen(box[3], scaled[1], height)
    return image.resize((width, height), BILINEAR, box=(left, top, right, bottom))


def _seen(side: float, scaled: int, kept: int) -> tuple[float, float]:
    """From where to where ``crop`` sees one axis, in pixels of the image.

    Scaling this part alone spares the memory of what is cut off: of a 1 × 10,000 image, nearly everything.
    """
    start = (scaled - kept) // 2
    return start * side / scaled, (start + kept) * side / scaled
