"""A trained model: predict and explain. Whatever it is shown goes through the preprocessing in its file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mirada.compute import Compute, choose
from mirada.data.batches import chunks, normalize, read
from mirada.data.cache import Cache
from mirada.data.index import Index
from mirada.data.parallel import parallel_map
from mirada.data.pixels.arrays import decode_image, digest, show_image
from mirada.data.pixels.decode import DecodeError
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import InvalidArgument, nearest
from mirada.evaluation.calibration import fit_temperature
from mirada.evaluation.conformal import fit_conformal
from mirada.evaluation.estimate import group_numbers
from mirada.evaluation.infer import AT_ONCE, infer
from mirada.evaluation.predictions import Predictions
from mirada.events import OnProgress
from mirada.explain.explainable import Explainable, Method
from mirada.explain.explanation import explain
from mirada.explain.overlay import enlarged, limit_of, overlay, resize_to_photo, with_colour_bar
from mirada.inference.matching import Known, as_known_to, covariates_of, unlabeled, with_covariates
from mirada.inference.pictures import Picture, named, read_picture
from mirada.inference.trained_on import remembered, short, splits_by_content
from mirada.layers.network import Network
from mirada.modelfile import Card, load_network
from mirada.samples import Classes, Excluded, Numbers

EXPLAINED_AT_ONCE = 8  # photos are kept at their own size meanwhile

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
        completeness_error: The largest |mean(map) + bias − output| of the batch, for a method that adds up, else None.
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
    completeness_error: float | None
    remark: str
    note: str

    @property
    def limit(self) -> float:
        """The end of the colour scale: the largest |value| of the map."""
        return limit_of(self.map)

    def picture(self, *, colour_bar: bool = True) -> Photo:
        """The map over the photo, blue (against) to red (for), at the photo's own size.

        With a colour bar a small photo is enlarged by a whole factor, so that no word under it is broken.
        """
        picture = overlay(self.photo, self.heat, self.limit)
        if not colour_bar:
            return picture
        caption = f"{self.subject} · {self.title}"
        return with_colour_bar(enlarged(picture, caption, self.unit), self.limit, self.unit, caption=caption)


@dataclass(frozen=True, eq=False)
class Model:
    """A network with all that is needed to use it: classes, preprocessing, target scaling, device."""

    network: Network
    card: Card
    compute: Compute

    @property
    def _half_widths(self) -> tuple[float, ...]:
        return self.card.conformal.half_widths if self.card.conformal else ()

    def predict(
        self,
        images: Sequence[Picture] | Index,
        *,
        known: Known | None = None,
        on_event: OnProgress | None = None,
    ) -> Predictions:
        """Probabilities, or values, for images or for every sample of an index.

        Images are paths, the bytes of files, NumPy arrays (H, W) or (H, W, C), or Pillow images.

        Classes, targets and covariates of an index are matched by name; ``known`` gives covariates that are the same
        for all images, such as ``{"male": 1}`` or ``{"sex": "F"}``; they, too, are then in the predictions. Files that
        cannot be decoded are in ``Predictions.failed`` with the reason. Raises ``DataError`` if the index has a class
        that the model does not know, or if a covariate that it reads is not there, ``InvalidArgument`` for one that
        it does not read, and for a single image in place of a list.
        """
        index, pictures = _with_pictures(images, self.card)
        if isinstance(images, Index):
            index = as_known_to(self.card, index)
        beside = covariates_of(self.card, index, known)
        index, covariates = with_covariates(index, self.card, beside), self.card.scale_covariates(beside)
        failed: list[Excluded] = []
        kept: list[int] = []
        outputs: list[Tensor] = []
        digests = np.zeros(len(index), dtype=np.uint64)
        for rows, batch in self._decoded(index, pictures, failed, digests, on_event):
            kept += rows
            outputs.append(self._infer(batch, None if covariates is None else covariates[rows]))
        raw = torch.cat(outputs) if outputs else torch.empty(0, self.card.architecture.outputs)
        return Predictions.of(
            index.take(kept),
            self.card.read_outputs(raw).numpy(),
            half_widths=self._half_widths,
            trained_on=splits_by_content(remembered(self.card), digests[kept]) == "train",
            failed=failed,
        )

    def predict_cached(self, cache: Cache, splits: Sequence[str]) -> Predictions:
        """The same for some splits of a cache, whose images are decoded already."""
        index = as_known_to(self.card, cache.index)
        rows = np.concatenate([index.rows(split) for split in splits])
        covariates = self.card.scale_covariates(covariates_of(self.card, index))
        outputs = [
            self._infer(read(cache, part), None if covariates is None else covariates[part])
            for part in chunks(rows, AT_ONCE)
        ]
        values = self.card.read_outputs(torch.cat(outputs)).numpy()
        return Predictions.of(index.take(rows), values, half_widths=self._half_widths)

    def calibrated(self, predictions: Predictions) -> "Model":
        """The same model with what its predictions on validation images, by this model as it is, teach about it.

        For classes the temperature that makes their log loss smallest; for numbers, where there are enough, intervals
        that hold for nine images in ten.
        """
        table = predictions.take(np.flatnonzero(predictions.known))
        if isinstance(self.card.target, Classes):
            temperature = self.card.temperature * fit_temperature(
                table.class_numbers, table.outputs, groups=group_numbers(table.groups)
            )
            return replace(self, card=replace(self.card, temperature=temperature))
        learnt = fit_conformal(table.values, table.outputs)
        return replace(self, card=replace(self.card, conformal=learnt))

    def explain(
        self,
        images: Sequence[Picture] | Index,
        *,
        target: str | None = None,
        method: str | None = None,
        layer: str | None = None,
        known: Known | None = None,
        max_side: int | None = None,
    ) -> Iterator[Explained]:
        """Where the network looks in each image, for its own answer or for the class ``target``.

        Args:
            images: Files, or an index.
            target: The class to show the evidence for, by default the predicted one; of several numbers the one to
                explain, by default the first.
            method: A key of ``mirada.explain.methods.METHODS``, such as ``grad_cam``; by default the first of them that
                network and layer allow.
            layer: Whose maps to weigh, such as ``stage3``; by default the part before the head, or the last one before
                it that still has places.
            known: As for ``predict``.
            max_side: Shrinks the photo under the map to this many pixels.

        Raises:
            InvalidArgument: There is no such class, method or layer, or they do not go together.
            DataError: A covariate that the model reads is not there.
            DecodeError: A file cannot be decoded; it is named.
        """
        asked = _Asked(self._number_of(target), method, layer)
        index, pictures = _with_pictures(images, self.card)
        covariates = self.card.scale_covariates(covariates_of(self.card, index, known))
        for rows in chunks(np.arange(len(index)), EXPLAINED_AT_ONCE):
            beside = None if covariates is None else covariates[rows].to(self.compute.device)
            opened = Explainable(self.network, beside)
            batch = [(index.paths[row], pictures[row]) for row in rows]
            yield from self._explain_batch(opened, batch, asked, max_side)

    def _infer(self, images: Tensor, covariates: Tensor | None) -> Tensor:
        """Raw outputs for a batch of pixels and the covariates of its images."""
        return infer(self.network, images, self.card.preprocessing, self.compute, covariates)

    def _explain_batch(
        self, opened: Explainable, named: list[tuple[str, Picture]], asked: "_Asked", max_side: int | None
    ) -> Iterator[Explained]:
        pre, scaling, target = self.card.preprocessing, self.card.target_scaling, self.card.target
        look = partial(_look, preprocessing=pre, max_side=max_side)
        seen = list(parallel_map(look, named, what="decoding"))
        tensor = normalize(self.compute.to_device(_batch([pixels for pixels, _ in seen])), pre)
        classes = None if asked.number is None else torch.full((len(named),), asked.number)
        explanation = explain(opened, tensor, classes, target=target, method=asked.method, layer=asked.layer)
        values = self.card.read_outputs(torch.from_numpy(explanation.outputs)).numpy()
        scale = np.float32(scaling.std[asked.number or 0] if scaling else 1.0)
        for row, ((path, _), (_, photo)) in enumerate(zip(named, seen, strict=True)):
            grid = explanation.maps[row] * scale
            yield Explained(
                path=Path(path),
                answer=self._answer(values[row]),
                subject=self._subject(int(explanation.classes[row])),
                method=explanation.method,
                layer=explanation.layer,
                title=explanation.title,
                unit=target.unit if isinstance(target, Numbers) else "logits",
                map=grid,
                heat=resize_to_photo(grid, size=pre.size, policy=pre.policy, original=photo.shape[:2]),
                photo=photo,
                completeness_error=explanation.completeness_error,
                remark=explanation.remark,
                note=explanation.notes[row],
            )

    def _answer(self, values: NDArray[np.float64]) -> str:
        match self.card.target:
            case Classes(names):
                best = int(values.argmax())
                return f"{names[best]} ({values[best]:.1%})"
            case Numbers(_, unit) as numbers:
                pairs = zip(numbers.several or ("",), values, strict=True)
                return ", ".join(f"{name} {value:.4g} {unit}".strip() for name, value in pairs)

    def _subject(self, number: int) -> str:
        match self.card.target:
            case Classes(names):
                return f"evidence for {names[number]}"
            case Numbers(_, unit) as numbers:
                return f"what raises the {numbers.several[number] if numbers.several else unit or 'value'}"

    def _number_of(self, name: str | None) -> int | None:
        """The number of a class, or of one of several targets; None for the network's only or most probable one."""
        target = self.card.target
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

    def _decoded(
        self,
        index: Index,
        pictures: Sequence[Picture],
        failed: list[Excluded],
        digests: NDArray[np.uint64],
        on_event: OnProgress | None,
    ) -> Iterator[tuple[list[int], Tensor]]:
        """Batches of the files that can be decoded, and their rows; fills ``failed`` with the rest, and
        ``digests``."""
        rows: list[int] = []
        batch: list[Pixels] = []
        attempt = partial(_attempt, preprocessing=self.card.preprocessing)
        for row, result in enumerate(parallel_map(attempt, pictures, what="predicting", on_event=on_event)):
            if isinstance(result, str):
                failed.append(Excluded(index.paths[row], result))
                continue
            rows.append(row)
            pixels, digests[row] = result
            batch.append(pixels)
            if len(batch) == AT_ONCE:
                yield rows, _batch(batch)
                rows, batch = [], []
        if batch:
            yield rows, _batch(batch)


@dataclass(frozen=True)
class _Asked:
    """What to explain, and how; None for what is left to the network."""

    number: int | None
    method: str | None
    layer: str | None


def load_model(file: str | Path, *, device: str = "auto") -> Model:
    """Opens a model file. Raises ``CheckpointError`` if it is damaged or is none, ``InvalidArgument`` for a device."""
    network, card = load_network(file)
    compute = choose(device, "float32")
    compute.place(network)
    return Model(network, card, compute)


def _batch(images: list[Pixels]) -> Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def _with_pictures(images: Sequence[Picture] | Index, card: Card) -> tuple[Index, Sequence[Picture]]:
    """What is known of the images, and where their pixels are."""
    if isinstance(images, Index):
        return images, [images.path(row) for row in range(len(images))]
    return unlabeled(named(images), card), images


def _attempt(picture: Picture, *, preprocessing: Preprocessing) -> tuple[Pixels, int] | str:
    """The network's input and the digest of the image, or why it cannot be read."""
    try:
        image = read_picture(picture)
        return decode_image(image, preprocessing), short(digest(image))
    except DecodeError as error:
        return str(error)


def _look(
    picture: tuple[str, Picture], *, preprocessing: Preprocessing, max_side: int | None
) -> tuple[Pixels, Photo]:
    """The network's input, and the photo to draw on."""
    name, content = picture
    try:
        image = read_picture(content)
        pixels, photo = decode_image(image, preprocessing), show_image(image)
    except DecodeError as error:
        raise DecodeError(f"{name}: {error}.") from error
    if max_side:
        photo.thumbnail((max_side, max_side), Image.Resampling.BILINEAR)
    return pixels, np.asarray(photo)
