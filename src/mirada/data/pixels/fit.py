"""From an upright image of any size and depth to the network's input, and back: window, colour, size policy, depth.

Images of 8 bits that need no window are resized as they are. All others are resized as real numbers and rounded
once, at the end, so that no shade is lost on the way.
"""

from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mirada.data.pixels.clahe import clahe
from mirada.data.pixels.levels import EIGHT, Levels, raw_of
from mirada.data.pixels.preprocessing import Policy, Preprocessing
from mirada.data.pixels.raw import Raw, Shades
from mirada.data.pixels.window import shades
from mirada.errors import InvalidArgument, nearest

Size = tuple[int, int]  # width, height
Box = tuple[float, float, float, float]  # left, top, right, bottom
Grid = NDArray[np.float32]  # (h, w)
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


class Placement(NamedTuple):
    """The size (height, width) to which an image is scaled, and where its upper left corner lies in the input.

    The corner (top, left) is negative where the input shows a part of the image only.
    """

    scaled: tuple[int, int]
    corner: tuple[int, int]


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
    height, width = content.shape[:2]
    top, left = placement(opened.size[::-1], pre.size, pre.policy, pre.resize).corner
    frame[top : top + height, left : left + width] = content
    return frame


def placement(original: tuple[int, int], size: tuple[int, int], policy: Policy, resize: int = 0) -> Placement:
    """Where a size policy puts an image of ``original`` in an input of ``size``, both (height, width).

    Args:
        original: Of the upright image.
        size: Of the network's input.
        policy: As in ``Preprocessing``.
        resize: As in ``Preprocessing``.
    """
    if policy == "stretch":
        return Placement(size, (0, 0))
    ratios = [new / old for new, old in zip(size, original, strict=True)]
    whole = {"pad": min(ratios), "frame": min(1.0, *ratios)}
    scale = whole.get(policy, max(ratios) * (resize or min(size)) / min(size))
    height, width = (max(1, round(side * scale)) for side in original)
    if policy in whole:
        return Placement((height, width), ((size[0] - height) // 2, (size[1] - width) // 2))
    return Placement((height, width), (-((height - size[0]) // 2), -((width - size[1]) // 2)))


def to_input(
    point: tuple[float, float], *, original: tuple[int, int], preprocessing: Preprocessing
) -> tuple[float, float] | None:
    """Where a point of the upright image lies in the network's input.

    Args:
        point: (down, across) in pixels of the image, from its upper left corner; the middle of the first pixel is at
            0.5.
        original: (height, width) of the upright image.
        preprocessing: With the size and how the image is made to fit it.

    Returns:
        (down, across) in pixels of the input, likewise; None for a point that ``crop`` cuts off.
    """
    pre = preprocessing
    placed = placement(original, pre.size, pre.policy, pre.resize)
    down, across = (
        point[axis] * placed.scaled[axis] / original[axis] + placed.corner[axis] for axis in (0, 1)
    )
    inside = 0 <= down <= pre.size[0] and 0 <= across <= pre.size[1]
    return (down, across) if inside else None


def to_original(
    box: tuple[float, float, float, float], *, original: tuple[int, int], preprocessing: Preprocessing
) -> tuple[float, float, float, float]:
    """A box (top, left, bottom, right) of the network's input, in pixels of the upright image, as far as it shows it.

    Args:
        box: Edges, the upper left corner of the input being (0, 0); what reaches beyond the image is cut.
        original: (height, width) of the upright image.
        preprocessing: As for ``to_input``.
    """
    pre = preprocessing
    placed = placement(original, pre.size, pre.policy, pre.resize)
    top, left, bottom, right = (
        min(max((value - placed.corner[axis]) * original[axis] / placed.scaled[axis], 0.0), original[axis])
        for axis, value in zip((0, 1, 0, 1), box, strict=True)
    )
    return top, left, bottom, right


def resize_to_photo(
    native: Grid, *, size: tuple[int, int], policy: Policy, original: tuple[int, int], resize: int = 0
) -> Grid:
    """A map on the network's grid, on the pixels of the original image.

    The size policy is undone: each original pixel's centre is followed to its place in the input and the map is read
    there, bilinearly between the centres of its cells (``align_corners=False``), constant beyond the outermost ones.

    Args:
        native: (h, w), the map.
        size: (height, width) of the network's input, in pixels.
        policy: How the image was made to fit it.
        original: (height, width) of the upright image, in pixels.
        resize: As in ``Preprocessing``.

    Returns:
        (H, W), float32. Pixels that ``crop`` cut off were not seen by the network and are NaN; what lies on the bars
        that ``pad`` or ``frame`` added is not shown.

    Raises:
        InvalidArgument: For an unknown policy, a map that is not (h, w), or a side below one pixel.
    """
    if policy not in get_args(Policy):
        raise InvalidArgument(f'There is no size policy "{policy}". {nearest(policy, get_args(Policy))}')
    if native.ndim != 2 or min(*native.shape, *size, *original) < 1:
        raise InvalidArgument(
            "`native` must be (h, w), and every side of `native`, `size` and `original` at least 1. "
            f"Got {native.shape}, {size} and {original}."
        )
    placed = placement(original, size, policy, resize)
    (rows, seen_rows), (columns, seen_columns) = (
        _reading(native.shape[axis], size[axis], placed.scaled[axis], placed.corner[axis], original[axis])
        for axis in (0, 1)
    )
    heat = (rows @ native.astype(np.float64) @ columns.T).astype(np.float32)
    heat[~seen_rows, :] = np.nan
    heat[:, ~seen_columns] = np.nan
    return heat


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
    scaled, corner = placement(opened.size[::-1], pre.size, pre.policy, pre.resize)
    if pre.policy != "crop":
        return image.resize(scaled[::-1], BILINEAR, box=opened.box)
    left, right = _seen(opened.box[2], scaled[1], -corner[1], width)
    top, bottom = _seen(opened.box[3], scaled[0], -corner[0], height)
    return image.resize((width, height), BILINEAR, box=(left, top, right, bottom))


def _seen(side: float, scaled: int, start: int, kept: int) -> tuple[float, float]:
    """From where to where ``crop`` sees one axis, in pixels of the image.

    Scaling this part alone spares the memory of what is cut off: of a 1 × 10,000 image, nearly everything.
    """
    return start * side / scaled, (start + kept) * side / scaled


def _reading(
    cells: int, size: int, scaled: int, shift: int, original: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Along one axis: how much each cell counts for each original pixel, and which pixels the input shows."""
    in_input = (np.arange(original) + 0.5) * scaled / original + shift
    in_cells = np.clip(in_input * cells / size - 0.5, 0, cells - 1)
    weights = np.maximum(0, 1 - np.abs(in_cells[:, None] - np.arange(cells)))  # the hat of bilinear reading
    return weights, (in_input >= 0) & (in_input <= size)
