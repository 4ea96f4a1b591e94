"""Pictures of what a network has learnt besides its maps for classes: filters, activation maps, fibres, units.

NumPy and Pillow only. Every picture is uint8, (H, W, 3); colours are those of ``overlay``, on one scale in a picture.
"""

from collections.abc import Sequence
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mirada.errors import InvalidArgument
from mirada.explain.overlay import LOWERS, RAISES, caption_of, limit_of, overlay, with_colour_bar

Picture = NDArray[np.uint8]
Values = NDArray[np.float32]
GROUND = 235  # the grey under activations and filters of many channels
GAP = 2  # white pixels between tiles
TILE = 48  # pixels at least of a side of a small map
WIDE = 480  # pixels at least of a chart
SIDE = 320  # pixels up to which a small photo is enlarged
HIGH = 120  # pixels of a chart
NAMED = 5  # channels in a caption
MARK = (255, 204, 0)  # of what is pointed at
COLOURS = 3


def filters_picture(weights: Values) -> Picture:
    """The kernels of a first convolution, each a tile; in colour where they read three channels.

    Args:
        weights: (filters, channels, h, w). In colour, grey is 0 in all three channels. Of other numbers of channels
            each kernel has a tile for every one, blue below 0 and red above.

    Returns:
        The tiles row by row, on one scale, which stands below them.
    """
    limit = limit_of(weights)
    if weights.shape[1] == COLOURS:
        tiles = [_enlarged(_colours(kernel, limit)) for kernel in weights]
        return _above(_sheet(tiles), f"{len(tiles)} filters in colour; grey is 0, full colour ±{limit:.3g}")
    tiles = [_enlarged(_signed(plane, limit)) for kernel in weights for plane in kernel]
    return with_colour_bar(_sheet(tiles), limit, "weight", caption=f"{len(weights)} filters")


def activations_picture(maps: Values, title: str) -> Picture:
    """The maps of a layer (C, h, w), each a tile, all on one scale: red above 0, blue below."""
    limit = limit_of(maps)
    caption = f"{title}: {len(maps)} maps of {maps.shape[1]} × {maps.shape[2]}, row by row"
    return with_colour_bar(
        _sheet([_enlarged(_signed(plane, limit)) for plane in maps]), limit, caption=caption
    )


def fibre_picture(
    photo: Picture, values: Values, *, point: tuple[int, int], field: Sequence[float], title: str
) -> Picture:
    """The photo with a pixel and what its place sees, and below it the values of all channels there as bars.

    Args:
        photo: (H, W, 3).
        values: (C,).
        point: (down, across), the pixel.
        field: (top, left, bottom, right) on the photo.
        title: Of the caption.
    """
    times = max(1, SIDE // max(photo.shape[:2]))
    above = outlined(photo.repeat(times, axis=0).repeat(times, axis=1), [times * edge for edge in field])
    radius = max(2, round(max(above.shape[:2]) / 100))
    canvas = Image.fromarray(above)
    x, y = times * (point[1] + 0.5), times * (point[0] + 0.5)
    ImageDraw.Draw(canvas).ellipse(
        (x - radius, y - radius, x + radius, y + radius), fill=MARK, outline=(0, 0, 0)
    )
    named = strongest(values)
    above, chart = np.asarray(canvas), _bars(values)
    width = max(above.shape[1], chart.shape[1])
    return _above(
        np.concatenate([_widened(above, width), _widened(chart, width)]), f"{title}; strongest: {named}"
    )


def strongest(values: Values) -> str:
    """The channels of a fibre (C,) with the largest values, whatever their sign, each with its value."""
    order = sorted(range(len(values)), key=lambda channel: (-abs(values[channel]), channel))[:NAMED]
    return ", ".join(f"{channel} ({values[channel]:.3g})" for channel in order)


def outlined(photo: Picture, box: Sequence[float]) -> Picture:
    """The photo with a box (top, left, bottom, right) drawn on it."""
    canvas = Image.fromarray(photo)
    top, left, bottom, right = box
    thick = max(1, round(max(photo.shape[:2]) / 200))
    edges = (left, top, max(left, right - 1), max(top, bottom - 1))
    ImageDraw.Draw(canvas).rectangle(edges, outline=MARK, width=thick)
    return np.asarray(canvas)


def photos_picture(photos: Sequence[tuple[Picture, str]], title: str, *, side: int = 160) -> Picture:
    """Photos with a line of text under each, in rows.

    Args:
        photos: Each (H, W, 3), and its text.
        title: Below all of them.
        side: Pixels to which the longer side of each is brought.

    Raises:
        InvalidArgument: There are none.
    """
    if not photos:
        raise InvalidArgument("There are no photos to show.")
    tiles = []
    for photo, text in photos:
        scale = side / max(photo.shape[:2])
        size = (max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale)))
        tile = np.full((side, side, 3), 255, dtype=np.uint8)
        small = np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BILINEAR))
        tile[: small.shape[0], : small.shape[1]] = small
        tiles.append(np.concatenate([tile, caption_of(text, width=side)]))
    height = max(len(tile) for tile in tiles)
    even = [np.pad(tile, ((0, height - len(tile)), (0, 0), (0, 0)), constant_values=255) for tile in tiles]
    return _above(_sheet(even), title)


def _signed(plane: Values, limit: float) -> Picture:
    return overlay(np.full((*plane.shape, 3), GROUND, dtype=np.uint8), plane.astype(np.float32), limit)


def _colours(kernel: Values, limit: float) -> Picture:
    """A kernel (3, h, w) as colours around grey."""
    shade = 127.5 * (1 + kernel / limit)
    return np.asarray(np.rint(np.clip(shade, 0, 255)).transpose(1, 2, 0), dtype=np.uint8)


def _enlarged(tile: Picture) -> Picture:
    """Each value repeated, so that a small map can be seen."""
    times = max(1, ceil(TILE / max(tile.shape[:2])))
    return np.asarray(tile.repeat(times, axis=0).repeat(times, axis=1))


def _sheet(tiles: Sequence[Picture]) -> Picture:
    """Tiles of one size side by side, in about as many rows as columns."""
    height, width = tiles[0].shape[:2]
    columns = ceil(sqrt(len(tiles) * height / width))
    rows = ceil(len(tiles) / columns)
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, dtype=np.uint8)
    for number, tile in enumerate(tiles):
        top, left = (number // columns) * (height + GAP), (number % columns) * (width + GAP)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def _bars(values: Values) -> Picture:
    """A bar per channel, up and red above 0, down and blue below."""
    each = max(1, ceil(WIDE / len(values)))
    limit = limit_of(values)
    least, most = min(0.0, float(values.min())), max(0.0, float(values.max()))
    span = (most - least) or limit
    zero = round(HIGH * most / span)
    chart = np.full((HIGH + 1, each * len(values), 3), 255, dtype=np.uint8)
    for channel, value in enumerate(values.tolist()):
        end = round(HIGH * (most - value) / span)
        columns = slice(channel * each, (channel + 1) * each - (each > 2))
        chart[min(zero, end) : max(zero, end) + 1, columns] = RAISES[-1] if value >= 0 else LOWERS[-1]
    chart[zero] = 90
    return chart


def _widened(picture: Picture, width: int) -> Picture:
    return np.pad(picture, ((0, 0), (0, width - picture.shape[1]), (0, 0)), constant_values=255)


def _above(picture: Picture, caption: str) -> Picture:
    """The picture with a caption below."""
    width = max(WIDE, picture.shape[1])
    return np.concatenate([_widened(picture, width), caption_of(caption, width=width)])
