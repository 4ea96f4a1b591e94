"""Beyond maps: filters, activation maps, the fibre at a pixel, and the images that excite a unit most."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import heappush, heappushpop
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from mirada.data.batches import normalize, to_float
from mirada.data.index import Index
from mirada.data.parallel import parallel_map
from mirada.data.pixels.arrays import decode_image
from mirada.data.pixels.decode import DecodeError
from mirada.data.pixels.fit import to_input, to_original
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import InvalidArgument
from mirada.events import OnProgress
from mirada.explain.explainable import Explainable
from mirada.explain.units import (
    activations_picture,
    fibre_picture,
    filters_picture,
    outlined,
    photos_picture,
    strongest,
)
from mirada.inference.explained import Pixels, look_at, stacked
from mirada.inference.model import Model
from mirada.inference.pictures import Picture as Source
from mirada.inference.pictures import read_picture
from mirada.samples import Excluded
from mirada.summary.fields import MapGeometry, map_geometry

Photo = NDArray[np.uint8]
Values = NDArray[np.float32]
AT_ONCE = 16  # images whose maps are in memory
MOST = 9  # images that a unit's page shows
THUMBNAIL = 640  # pixels: no photo is kept larger


@dataclass(frozen=True, eq=False)
class Fibre:
    """The values of all channels of a layer at the place that sees a pixel: A(x, y), the notes' term.

    Args:
        layer: The layer.
        place: (row, column) of its maps.
        values: (C,).
        field: What this place sees, (top, left, bottom, right) in pixels of the upright photo.
        geometry: Of the layer.
        point: (down, across), the pixel of the photo.
        photo: (H, W, 3).
    """

    layer: str
    place: tuple[int, int]
    values: Values
    field: tuple[float, float, float, float]
    geometry: MapGeometry
    point: tuple[int, int]
    photo: Photo

    @property
    def strongest(self) -> str:
        """The channels with the largest values, in words."""
        return strongest(self.values)

    def picture(self) -> Photo:
        """The photo with the pixel and the receptive field of its place, and the values as bars."""
        down, across = self.point
        channels = f"{len(self.values)} channels of place {self.place}"
        title = f"{self.layer} at x {across}, y {down}: {channels}; {self.geometry}"
        return fibre_picture(self.photo, self.values, point=self.point, field=self.field, title=title)


@dataclass(frozen=True, eq=False)
class Exciting:
    """An image that excites a unit: how much, where most, and what that place sees of the photo.

    Args:
        path: The image file.
        value: The largest value of the unit's map.
        place: (row, column) of it.
        field: (top, left, bottom, right) in pixels of ``photo``.
        photo: (H, W, 3), reduced.
    """

    path: str
    value: float
    place: tuple[int, int]
    field: tuple[float, float, float, float]
    photo: Photo


def first_filters(model: Model) -> Values:
    """The kernels of the first convolution, (filters, channels, h, w), for values 0 … 1 less the mean over deviation.

    Raises:
        InvalidArgument: The network has no convolution, or is an ensemble.
    """
    _require_one(model)
    first = next((layer for layer in model.network.modules() if isinstance(layer, nn.Conv2d)), None)
    if first is None:
        raise InvalidArgument(f"{model.card.architecture.title} has no convolution, so it has no filters.")
    return np.asarray(first.weight.detach().float().cpu().numpy())


def activation_maps(model: Model, image: Source, layer: str) -> Values:
    """What a layer puts out for an image, (C, h, w).

    Args:
        model: Of one network.
        image: A path, the bytes of a file, an array or a Pillow image.
        layer: Its name, such as ``stage1``.

    Raises:
        InvalidArgument: There is no such layer, it puts out no maps, or the model is an ensemble.
        DecodeError: The image cannot be decoded.
    """
    _require_one(model)
    pixels = decode_image(read_picture(image), model.card.preprocessing)
    return np.asarray(_maps(model, [pixels], layer)[0].cpu().numpy())


def draw_filters(weights: Values) -> Photo:
    """The kernels of ``first_filters`` as a picture, (H, W, 3)."""
    return filters_picture(weights)


def draw_maps(maps: Values, title: str) -> Photo:
    """The maps of ``activation_maps`` as a picture, (H, W, 3)."""
    return activations_picture(maps, title)


def fibre_at(model: Model, image: Source, x: int, y: int, layer: str | None = None) -> Fibre:
    """The fibre at a pixel of the photo as one sees it: turned upright, at its own size.

    Args:
        model: Of one network.
        image: As for ``activation_maps``.
        x: Across, in pixels from the left edge.
        y: Down, in pixels from the top.
        layer: By default the part before the head.

    Raises:
        InvalidArgument: The pixel is outside the photo, or cut off before the network sees it; or as for
            ``activation_maps``.
    """
    _require_one(model)
    layer = layer or Explainable(model.network).last
    (seen,) = look_at([("the image", image)], model.card.preprocessing, None)
    height, width = original = seen.photo.shape[0], seen.photo.shape[1]
    if not (0 <= x < width and 0 <= y < height):
        raise InvalidArgument(f"The photo has {width} × {height} pixels. Got x = {x}, y = {y}.")
    inside = to_input((y + 0.5, x + 0.5), original=original, preprocessing=model.card.preprocessing)
    if inside is None:
        raise InvalidArgument(
            f"The pixel x = {x}, y = {y} is cut off before the network sees it (policy crop)."
        )
    maps = _maps(model, [seen.pixels], layer)[0]
    geometry = map_geometry(model.network, layer)
    place = geometry.nearest((inside[0] - 0.5, inside[1] - 0.5))
    field = to_original(geometry.seen(place), original=original, preprocessing=model.card.preprocessing)
    values = np.asarray(maps[:, place[0], place[1]].cpu().numpy())
    return Fibre(layer, place, values, field, geometry, (y, x), seen.photo)


def most_exciting(
    model: Model, index: Index, layer: str, unit: int, *, most: int = MOST, on_event: OnProgress | None = None
) -> tuple[list[Exciting], list[Excluded]]:
    """The images of a data set that excite a unit most, the strongest first, in one pass.

    Args:
        model: Of one network.
        index: The images; memory holds a few at a time.
        layer: A layer, such as ``stage3``.
        unit: The number of one of its maps, from 0.
        most: How many images.
        on_event: Hears of progress.

    Returns:
        The images, and those that cannot be decoded.

    Raises:
        InvalidArgument: There is no such layer or unit, or the model is an ensemble.
    """
    _require_one(model)
    Explainable(model.network).require(layer)
    geometry = map_geometry(model.network, layer)
    best: list[tuple[float, int, int]] = []  # value, minus the row, the place: of equals the first row
    failed: list[Excluded] = []
    for rows, pixels in _batches(model.card.preprocessing, index, failed, on_event):
        maps = _maps(model, pixels, layer)
        if not 0 <= unit < maps.shape[1]:
            raise InvalidArgument(f"{layer} has the units 0 to {maps.shape[1] - 1}. Got {unit}.")
        values, places = maps[:, unit].flatten(1).max(dim=1)
        for row, value, place in zip(rows, values.tolist(), places.tolist(), strict=True):
            entry = (value, -row, place)
            heappush(best, entry) if len(best) < most else heappushpop(best, entry)
    return [_shown(model, index, entry, geometry) for entry in sorted(best, reverse=True)], failed


def exciting_picture(found: Sequence[Exciting], layer: str, unit: int) -> Photo:
    """The photos with what the most excited place of each sees.

    Args:
        found: By ``most_exciting``.
        layer: The layer.
        unit: The number of its map.
    """
    photos = [
        (outlined(each.photo, each.field), f"{Path(each.path).name}: {each.value:.3g}") for each in found
    ]
    return photos_picture(photos, f"What excites unit {unit} of {layer} most, and what its place sees there")


def _require_one(model: Model) -> None:
    if model.ensemble:
        raise InvalidArgument(
            f"An ensemble of {len(model.ensemble)} networks has no units of its own. Name the model of a fold."
        )


def _maps(model: Model, pixels: Sequence[Pixels], layer: str) -> Tensor:
    """What a layer puts out for a batch, (N, C, h, w) float32."""
    images = normalize(to_float(model.compute.to_device(stacked(pixels))), model.card.preprocessing)
    maps, _ = Explainable(model.network).read(images, layer)
    return maps.float()


def _batches(
    preprocessing: Preprocessing, index: Index, failed: list[Excluded], on_event: OnProgress | None
) -> Iterator[tuple[list[int], list[Pixels]]]:
    """Rows of an index with their pixels, a few at a time; fills ``failed`` with those that cannot be decoded."""
    decode = partial(_decoded, preprocessing=preprocessing)
    rows: list[int] = []
    batch: list[Pixels] = []
    files = [index.path(row) for row in range(len(index))]
    for row, found in enumerate(parallel_map(decode, files, what="looking", on_event=on_event)):
        if isinstance(found, str):
            failed.append(Excluded(index.paths[row], found))
            continue
        rows.append(row)
        batch.append(found)
        if len(batch) == AT_ONCE:
            yield rows, batch
            rows, batch = [], []
    if batch:
        yield rows, batch


def _decoded(file: Path, *, preprocessing: Preprocessing) -> Pixels | str:
    """The network's input, or why there is none."""
    try:
        return decode_image(read_picture(file), preprocessing)
    except DecodeError as error:
        return str(error)


def _shown(model: Model, index: Index, entry: tuple[float, int, int], geometry: MapGeometry) -> Exciting:
    """One of the best, with its photo."""
    value, minus_row, flat = entry
    place = divmod(flat, geometry.places[1])
    (seen,) = look_at(
        [(index.paths[-minus_row], index.path(-minus_row))], model.card.preprocessing, THUMBNAIL
    )
    original = seen.photo.shape[0], seen.photo.shape[1]
    field = to_original(geometry.seen(place), original=original, preprocessing=model.card.preprocessing)
    return Exciting(index.paths[-minus_row], value, place, field, seen.photo)
