"""Where a trained model looks: maps in the unit of its answers, on the photo's own pixels."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mirada.compute import Compute
from mirada.data.batches import normalize, to_float
from mirada.data.parallel import parallel_map
from mirada.data.pixels.arrays import decode_image, show_image
from mirada.data.pixels.decode import DecodeError
from mirada.data.pixels.fit import placement, resize_to_photo
from mirada.data.pixels.inline import png_uri
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import DataError, InvalidArgument, nearest
from mirada.events import OnProgress, Progress
from mirada.explain.explainable import IMAGE, Explainable, Meaning, Method
from mirada.explain.explanation import Explanation, NotFinite, explain, mean_of, mirrored
from mirada.explain.overlay import enlarged, limit_of, overlay, tinted, with_colour_bar
from mirada.inference.ensemble import infer_each, read_each
from mirada.inference.pictures import Picture, read_picture
from mirada.modelfile import Card, Member
from mirada.samples import Classes, Numbers, Target
from mirada.text import visible

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
Photo = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Explained:
    """Where the network looked in one image.

    Args:
        path: The image file.
        answer: What the network predicts.
        subject: What the map is evidence for.
        method: How the map was found.
        layer: Whose map it is.
        title: The method, with the layer where it is not the one before the head.
        unit: That of ``map`` and ``heat``.
        map: (h, w) float32, signed, on the layer's own grid.
        heat: (H, W), the same on the pixels of ``photo``; NaN where the network saw nothing.
        photo: (H, W, 3) uint8.
        cell: (height, width) of one place of the map in pixels of ``photo``; nothing smaller can be told from its
            neighbours.
        completeness_error: How far the maps of the batch are from ``method.adds_up_to``, where they add up, else None.
        remark: Why the map is of another layer than the one before the head, the same for all images; "" if it is not.
        note: What keeps this map from being read as it looks, such as that it is blank; "" otherwise.
    """

    path: Path
    answer: str
    subject: str
    method: Method
    layer: str
    title: str
    unit: str
    map: NDArray[np.float32]
    heat: NDArray[np.float32]
    photo: Photo
    cell: tuple[float, float]
    completeness_error: float | None
    remark: str
    note: str

    @property
    def limit(self) -> float:
        """The end of the colour scale: the largest |value| of the map."""
        return limit_of(self.map)

    def tinted(self, limit: float) -> Image.Image:
        """The map alone, to be laid over the photo, on a scale that ends at ``limit``; see ``overlay.tinted``."""
        return tinted(self.heat, limit)

    def picture(self, *, colour_bar: bool = True) -> Photo:
        """The map over the photo, blue (against) to red (for), at the photo's own size.

        With a colour bar a small photo is enlarged by a whole factor, so that no word under it is broken.
        """
        picture = overlay(self.photo, self.heat, self.limit)
        if not colour_bar:
            return picture
        caption = f"{self.subject} · {self.title}{self._places}"
        return with_colour_bar(enlarged(picture, caption, self.unit), self.limit, self.unit, caption=caption)

    def _repr_html_(self) -> str:
        """What a notebook shows: the picture with its caption, and what is to be known of it."""
        said = " · ".join(text for text in (str(self.path), self.answer, self.remark, self.note) if text)
        caption, source = escape(visible(said)), png_uri(Image.fromarray(self.picture()))
        return f'<figure><img src="{source}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'

    @property
    def _places(self) -> str:
        """The grid that the map has before it is drawn over the photo; of a map of pixels nothing."""
        (height, width), (tall, wide) = self.map.shape, self.cell
        return (
            "" if self.layer == IMAGE else f" · {height} × {width} places of {tall:.0f} × {wide:.0f} pixels"
        )


@dataclass(frozen=True)
class Asked:
    """What to explain, and how; None for what is left to the network."""

    number: int | None
    method: str | None
    layer: str | None
    on_event: OnProgress | None = None  # hears of the passes of a method that takes many


class Seen(NamedTuple):
    """An image by its name: what the network reads, (H, W, C), and the photo to draw on."""

    path: str
    pixels: Pixels
    photo: Photo


def explained(
    members: Sequence[Member],
    compute: Compute,
    seen: Sequence[Seen],
    covariates: NDArray[np.float64],
    asked: Asked,
) -> Iterator[Explained]:
    """The map of each image of one batch, with what the network answers.

    Of several networks it is the mean of their maps for the class that they answer together. Each map of an exact
    method adds up to its network's output, in logits or in the unit of the data, so their mean adds up to the mean.
    Likewise where a network's answer is the mean of its outputs for the image and for its mirror image: the map is the
    mean of the one and of the other, turned round.

    Args:
        members: One network, or those of an ensemble.
        compute: Where they are.
        seen: The images.
        covariates: What the networks read beside them, (N, K), in the units of the data; K may be 0.
        asked: Of what, and how.
    """
    pre, target = members[0].card.preprocessing, members[0].card.target
    pixels = compute.to_device(stacked([image.pixels for image in seen]))
    classes = None if asked.number is None else torch.full((len(seen),), asked.number)
    several = len(members) > 1 or any(card.flip_average for _, card in members)
    if classes is None and several and isinstance(target, Classes):
        together, _ = read_each(members, infer_each(members, pixels, compute, covariates))
        classes = torch.from_numpy(together.argmax(axis=1))
    found, raw = [], []
    told = _told(asked.on_event, sum(1 + card.flip_average for _, card in members))
    for network, card in members:
        opened = Explainable(network, _beside(card, covariates, compute), told)
        tensor = normalize(to_float(pixels), card.preprocessing)
        how = partial(explain, opened, classes=classes, target=target, method=asked.method, layer=asked.layer)
        with _named_if_not_finite(seen):
            each = how(tensor)
            if card.flip_average:
                both = [each, mirrored(how(tensor.flip(-1)))]
                each = mean_of(both, target, "the image and its mirror image")
        found.append(_in_unit_of_data(each, card, asked.number or 0))
        raw.append(torch.from_numpy(each.outputs))
    values, _ = read_each(members, torch.stack(raw, dim=1))
    explanation = mean_of(found, target, f"{len(found)} networks")
    for row, (path, _, photo) in enumerate(seen):
        yield Explained(
            path=Path(path),
            answer=_answer(target, values[row]),
            subject=_subject(target, int(explanation.classes[row]), explanation.method),
            method=explanation.method,
            layer=explanation.layer,
            title=explanation.title,
            unit=explanation.method.meaning.unit(target.unit if isinstance(target, Numbers) else "logits"),
            map=explanation.maps[row],
            heat=_on_photo(explanation.maps[row], photo, pre),
            photo=photo,
            cell=_cell(explanation.maps[row], photo, pre),
            completeness_error=explanation.completeness_error,
            remark=explanation.remark,
            note=explanation.notes[row],
        )


def _beside(card: Card, covariates: NDArray[np.float64], compute: Compute) -> Tensor | None:
    """Covariates as a network reads them, where it is; None for one that reads images alone."""
    scaled = card.scale_covariates(covariates)
    return None if scaled is None else scaled.to(compute.device)


def _in_unit_of_data(found: Explanation, card: Card, number: int) -> Explanation:
    """The maps of one of the card's numbers, and how far they are from adding up, in its unit; others as they are."""
    if card.target_scaling is None or found.method.meaning is Meaning.RELATIVE:
        return found
    scale, error = card.target_scaling.std[number], found.completeness_error
    error = None if error is None else scale * error
    return replace(found, maps=found.maps * np.float32(scale), completeness_error=error)


def _told(on_event: OnProgress | None, times: int) -> Callable[[int, int], None]:
    """Tells of the passes of a method that is used ``times`` times, one after the other, as of one piece of work."""
    before = 0

    def tell(done: int, total: int) -> None:
        nonlocal before
        if on_event and (done or not before):
            on_event(Progress("passes", before + done, times * total))
        if done == total:
            before += total

    return tell


@contextmanager
def _named_if_not_finite(seen: Sequence[Seen]) -> Iterator[None]:
    """Raises ``DataError`` with the image's name where an output is no finite number."""
    try:
        yield
    except NotFinite as error:
        raise DataError(
            f"{seen[error.row].path}: the network's output must be finite numbers, so there is nothing to explain. Its "
            f"weights have run away: train again, with a lower learning rate."
        ) from error


def _on_photo(grid: NDArray[np.float32], photo: NDArray[np.uint8], pre: Preprocessing) -> NDArray[np.float32]:
    """A map on the network's grid, on the pixels of the photo."""
    return resize_to_photo(
        grid, size=pre.size, policy=pre.policy, original=photo.shape[:2], resize=pre.resize
    )


def _cell(grid: NDArray[np.float32], photo: Photo, pre: Preprocessing) -> tuple[float, float]:
    """(height, width) of a place of the map in pixels of the photo."""
    original = photo.shape[0], photo.shape[1]
    scaled = placement(original, pre.size, pre.policy, pre.resize).scaled
    tall, wide = (pre.size[axis] / grid.shape[axis] * original[axis] / scaled[axis] for axis in (0, 1))
    return tall, wide


def number_of(target: Target, name: str | None) -> int | None:
    """The number of a class, or of one of several targets; None for the network's only or most probable one.

    Raises:
        InvalidArgument: There is none of this name.
    """
    numbers = target.several if isinstance(target, Numbers) else ()
    names = numbers if isinstance(target, Numbers) else target.names
    if not names and name is not None:
        raise InvalidArgument("A model of a number has no classes to choose from. Leave the class out.")
    if name is None:
        return 0 if numbers else None
    if name not in names:
        what = "target" if numbers else "class"
        raise InvalidArgument(f'The model has no {what} "{name}". {nearest(name, names)}')
    return names.index(name)


def look_at(
    pictures: Sequence[tuple[str, Picture]], preprocessing: Preprocessing, max_side: int | None
) -> list[Seen]:
    """Images by their names, decoded for the network and for the eye; ``max_side`` shrinks the photo, in pixels.

    Raises:
        DecodeError: One cannot be decoded; it is named.
    """
    look = partial(_look, preprocessing=preprocessing, max_side=max_side)
    return list(parallel_map(look, pictures, what="decoding"))


def stacked(images: Sequence[Pixels]) -> Tensor:
    """Images (H, W, C) as one batch, (N, C, H, W)."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def _look(picture: tuple[str, Picture], *, preprocessing: Preprocessing, max_side: int | None) -> Seen:
    name, content = picture
    try:
        image = read_picture(content)
        pixels, photo = decode_image(image, preprocessing), show_image(image)
    except DecodeError as error:
        raise DecodeError(f"{name}: {error}.") from error
    if max_side:
        photo.thumbnail((max_side, max_side), Image.Resampling.BILINEAR)
    return Seen(name, pixels, np.asarray(photo))


def _answer(target: Target, values: NDArray[np.float64]) -> str:
    match target:
        case Classes(names):
            best = int(values.argmax())
            return f"{names[best]} ({values[best]:.1%})"
        case Numbers(_, unit) as numbers:
            pairs = zip(numbers.several or ("",), values, strict=True)
            return ", ".join(f"{name} {value:.4g} {unit}".strip() for name, value in pairs)


def _subject(target: Target, number: int, method: Method) -> str:
    match target:
        case Classes(names):
            name, evidence = names[number], f"evidence for {names[number]}"
        case Numbers(_, unit) as numbers:
            name = numbers.several[number] if numbers.several else unit or "value"
            evidence = f"what raises the {name}"
    return evidence if method.signed else f"sensitivity of {name}"
