"""What the places of a layer see of an image, and which of them a pixel reaches."""

from math import ceil, floor
from typing import NamedTuple

from torch import nn

from mirada.errors import InvalidArgument
from mirada.summary.ledger import summarize
from mirada.summary.table import Row

Pair = tuple[int, int]  # down, across
Box = tuple[
    float, float, float, float
]  # top, left, bottom, right; edges of pixels, the first of which is at 0


class MapGeometry(NamedTuple):
    """Where the places of a layer lie on the network's input, whose pixels are numbered from 0.

    Args:
        places: (h, w).
        field: (height, width) in pixels that one place sees, padding included: its receptive field.
        jump: How many pixels two neighbouring places are apart, down and across.
        first: The middle of the field of the first place; that of pixel 0 is at 0.
    """

    places: Pair
    field: Pair
    jump: Pair
    first: tuple[float, float]

    def __str__(self) -> str:
        (height, width), (down, across) = self.places, self.jump
        apart = f"{down} pixels apart" if down == across else f"{down} × {across} pixels apart"
        return f"{height} × {width} places, {apart}; each sees {self.field[0]} × {self.field[1]} pixels"

    def seen(self, place: Pair) -> Box:
        """What a place sees, in pixels of the input; it may reach beyond the image, into padding."""
        (top, bottom), (left, right) = (self._ends(axis, place[axis]) for axis in (0, 1))
        return top, left, bottom + 1, right + 1

    def nearest(self, pixel: tuple[float, float]) -> Pair:
        """The place whose field has its middle nearest to a pixel (down, across)."""
        down, across = (
            min(
                max(0, round((pixel[axis] - self.first[axis]) / max(1, self.jump[axis]))),
                self.places[axis] - 1,
            )
            for axis in (0, 1)
        )
        return down, across

    def reached(self, pixel: Pair) -> tuple[range, range]:
        """The rows and the columns of the places that see a pixel (down, across): its projective field."""
        down, across = (self._reached(axis, pixel[axis]) for axis in (0, 1))
        return down, across

    def _ends(self, axis: int, place: int) -> tuple[float, float]:
        """The first and the last pixel that a place sees along an axis."""
        half = (self.field[axis] - 1) / 2
        middle = self.first[axis] + place * self.jump[axis]
        return middle - half, middle + half

    def _reached(self, axis: int, pixel: int) -> range:
        first, last = self._ends(axis, 0)
        count, jump = self.places[axis], self.jump[axis]
        if not jump:  # every place sees the same
            return range(count if first <= pixel <= last else 0)
        return range(max(0, ceil((pixel - last) / jump)), min(count, floor((pixel - first) / jump) + 1))


def map_geometry(network: nn.Module, layer: str) -> MapGeometry:
    """Where the places of a layer lie on the images that the network was built for.

    Args:
        network: One of ``create_model``.
        layer: Its name, such as ``stage3`` or ``stage3.0``.

    Raises:
        InvalidArgument: There is no such layer, it puts out no maps, or it is not known what they see.
    """
    found = summarize(network, depth=layer.count(".") + 1)
    rows = [row for row in (*found.stages, *found.rows) if row.name == layer]
    if not rows:
        raise InvalidArgument(f'There is no layer "{layer}" whose maps are known.')
    return _geometry(layer, rows[0])


def _geometry(layer: str, row: Row) -> MapGeometry:
    shape, field, jump, centre = row.output_shape, row.receptive_field, row.jump, row.centre
    if shape is None or len(shape) != 3 or field is None or jump is None or centre is None:
        raise InvalidArgument(f'"{layer}" puts out no maps of which it is known what they see of the image.')
    return MapGeometry((shape[1], shape[2]), (field[0], field[1]), (jump[0], jump[1]), (centre[0], centre[1]))
