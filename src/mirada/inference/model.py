"""A trained model: predict and explain. Whatever it is shown goes through the preprocessing in its file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mirada.compute import Compute, choose
from mirada.data.batches import in_order, normalize, read
from mirada.data.cache import Cache
from mirada.data.index import Index
from mirada.data.parallel import each
from mirada.data.pixels.arrays import decode_image, read_image, show_image
from mirada.data.pixels.decode import DecodeError
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import DataError, InvalidArgument, nearest
from mirada.evaluation.calibration import fit_temperature
from mirada.evaluation.conformal import fit_conformal
from mirada.evaluation.estimate import group_numbers
from mirada.evaluation.infer import AT_ONCE, infer
from mirada.evaluation.predictions import Predictions
from mirada.events import OnProgress
from mirada.explain.explainable import Explainable, Method
from mirada.explain.explanation import explain
from mirada.explain.overlay import enlarged, limit_of, overlay, place, with_colour_bar
from mirada.layers.network import Network
from mirada.modelfile import Card, load_network
from mirada.samples import Classes, Covariate, Excluded, Numbers

EXPLAINED_AT_ONCE = 8  # photos are kept at their own size meanwhile

File = str | Path
Known = Mapping[str, float | str]
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
        images: Sequence[File] | Index,
        *,
        known: Known | None = None,
        on_event: OnProgress | None = None,
    ) -> Predictions:
        """Probabilities, or values, for image files or for every sample of an index.

        Classes, targets and covariates of an index are matched by name; ``known`` gives covariates that are the same
        for all images, such as ``{"male": 1}`` or ``{"sex": "F"}``; they, too, are then in the predictions. Files that
        cannot be decoded are in ``Predictions.failed`` with the reason. Raises ``DataError`` if the index has a class
        that the model does not know, or if a covariate that it reads is not there, ``InvalidArgument`` for one that
        it does not read, and for a single name in place of a list.
        """
        index = _as_known_to(self.card, images) if isinstance(images, Index) else unlabeled(images, self.card)
        beside = _covariates_of(self.card, index, known)
        index, covariates = _with_covariates(index, self.card, beside), self.card.scale_covariates(beside)
        failed: list[Excluded] = []
        kept: list[int] = []
        outputs: list[Tensor] = []
        for rows, batch in self._decoded(index, failed, on_event):
            kept += rows
            outputs.append(self._infer(batch, None if covariates is None else covariates[rows]))
        raw = torch.cat(outputs) if outputs else torch.empty(0, self.card.architecture.outputs)
        return Predictions.of(
            index.take(kept),
            self.card.read_outputs(raw).numpy(),
            half_widths=self._half_widths,
            failed=failed,
        )

    def predict_cached(self, cache: Cache, splits: Sequence[str]) -> Predictions:
        """The same for some splits of a cache, whose images are decoded already."""
        index = _as_known_to(self.card, cache.index)
        rows = np.concatenate([index.rows(split) for split in splits])
        covariates = self.card.scale_covariates(_covariates_of(self.card, index))
        outputs = [
            self._infer(read(cache, part), None if covariates is None else covariates[part])
            for part in in_order(rows, AT_ONCE)
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
        images: Sequence[File] | Index,
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
        index = images if isinstance(images, Index) else unlabeled(images, self.card)
        covariates = self.card.scale_covariates(_covariates_of(self.card, index, known))
        for rows in in_order(np.arange(len(index)), EXPLAINED_AT_ONCE):
            beside = None if covariates is None else covariates[rows].to(self.compute.device)
            opened = Explainable(self.network, beside)
            yield from self._explain_batch(opened, [index.path(row) for row in rows], asked, max_side)

    def _infer(self, images: Tensor, covariates: Tensor | None) -> Tensor:
        """Raw outputs for a batch of pixels and the covariates of its images."""
        return infer(self.network, images, self.card.preprocessing, self.compute, covariates)

    def _explain_batch(
        self, opened: Explainable, files: list[Path], asked: "_Asked", max_side: int | None
    ) -> Iterator[Explained]:
        pre, scaling, target = self.card.preprocessing, self.card.target_scaling, self.card.target
        look = partial(_look, preprocessing=pre, max_side=max_side)
        seen = list(each(look, files, what="decoding"))
        tensor = normalize(self.compute.put(_batch([pixels for pixels, _ in seen])), pre)
        classes = None if asked.number is None else torch.full((len(files),), asked.number)
        explanation = explain(opened, tensor, classes, target=target, method=asked.method, layer=asked.layer)
        values = self.card.read_outputs(torch.from_numpy(explanation.outputs)).numpy()
        scale = np.float32(scaling.std[asked.number or 0] if scaling else 1.0)
        for row, (file, (_, photo)) in enumerate(zip(files, seen, strict=True)):
            grid = explanation.maps[row] * scale
            yield Explained(
                path=file,
                answer=self._answer(values[row]),
                subject=self._subject(int(explanation.classes[row])),
                method=explanation.method,
                layer=explanation.layer,
                title=explanation.title,
                unit=target.unit if isinstance(target, Numbers) else "logits",
                map=grid,
                heat=place(grid, size=pre.size, policy=pre.policy, original=photo.shape[:2]),
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
        self, index: Index, failed: list[Excluded], on_event: OnProgress | None
    ) -> Iterator[tuple[list[int], Tensor]]:
        """Batches of the files that can be decoded, and their rows; fills ``failed`` with the rest."""
        files = [index.path(row) for row in range(len(index))]
        rows: list[int] = []
        batch: list[Pixels] = []
        attempt = partial(_attempt, preprocessing=self.card.preprocessing)
        for row, result in enumerate(each(attempt, files, what="predicting", on_event=on_event)):
            if isinstance(result, str):
                failed.append(Excluded(index.paths[row], result))
                continue
            rows.append(row)
            batch.append(result)
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


def load_model(file: File, *, device: str = "auto") -> Model:
    """Opens a model file. Raises ``CheckpointError`` if it is damaged or is none, ``InvalidArgument`` for a device."""
    network, card = load_network(file)
    compute = choose(device, "float32")
    compute.place(network)
    return Model(network, card, compute)


def _as_known_to(card: Card, index: Index) -> Index:
    """The index with the model's classes or targets, in the model's order. Raises ``DataError`` for unknown ones."""
    match index.target, card.target:
        case Classes(names), Classes(known):
            return index if names == known else _with_classes(index, names, known)
        case Numbers() as own, Numbers() as trained:
            return _with_numbers(index, own, trained)
        case own, trained:
            raise DataError(f"{index.origin}: data for {own.task}; the model was trained for {trained.task}.")


def _with_classes(index: Index, names: tuple[str, ...], known: tuple[str, ...]) -> Index:
    """The model's class numbers in place of those of the index."""
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise DataError(
            f'{index.origin}: has the class "{unknown[0]}", which the model does not know. '
            f"{nearest(unknown[0], known)}"
        )
    numbers = np.array([known.index(name) for name in names], dtype=np.int64)
    targets = np.where(index.known, numbers[index.targets.astype(np.int64)], index.targets)
    return replace(index, target=Classes(known), targets=targets.astype(np.int64))


def _with_numbers(index: Index, own: Numbers, trained: Numbers) -> Index:
    """The columns that the model predicts, in its order."""
    if own.unit and trained.unit and own.unit != trained.unit:
        raise DataError(f"{index.origin}: is in {own.unit}; the model was trained in {trained.unit}.")
    if not trained.several:
        if own.several:
            raise DataError(
                f"{index.origin}: has {len(own.names)} targets, and the model predicts one. Name it with `target`."
            )
        return replace(index, target=trained)
    missing = [name for name in trained.names if name not in own.names]
    if missing:
        raise DataError(
            f'{index.origin}: has no target "{missing[0]}", which the model predicts. '
            f"Name all of them with `target`: {', '.join(trained.names)}."
        )
    columns = [own.names.index(name) for name in trained.names]
    return replace(index, target=trained, targets=index.targets[:, columns])


def _with_covariates(index: Index, card: Card, values: NDArray[np.float64]) -> Index:
    """The index with the covariates that the model was given, (N, K), beside those that it does not read."""
    columns = {
        own.label: (own, column)
        for own, column in zip(index.covariate_specs, index.covariates.T, strict=True)
    }
    columns |= {read.label: (read, column) for read, column in zip(card.covariates, values.T, strict=True)}
    covariates = tuple(covariate for covariate, _ in columns.values())
    stacked = np.column_stack([np.empty((len(index), 0)), *(column for _, column in columns.values())])
    return replace(index, covariate_specs=covariates, covariates=stacked)


def _covariates_of(card: Card, index: Index, known: Known | None = None) -> NDArray[np.float64]:
    """What the model reads beside the images of an index, (N, K), in the units of the data; K may be 0."""
    stated = dict(known or {})
    columns = dict(zip(index.covariate_names, index.covariates.T, strict=True))
    one_word = {f"{own.column}={own.one}": columns[own.label] for own in index.covariate_specs if own.other}
    columns = one_word | columns  # sex=M is in sex=M|F
    for covariate in card.covariates:
        said = next((name for name in (covariate.label, covariate.column) if name in stated), None)
        if said is not None:
            columns[covariate.label] = np.full(len(index), _stated(covariate, said, stated.pop(said)))
    for name in stated:
        reads = nearest(name, card.covariate_names) if card.covariates else "It reads images alone."
        raise InvalidArgument(f'The model reads no covariate "{name}". {reads}')
    missing = [covariate.column for covariate in card.covariates if covariate.label not in columns]
    if missing:
        raise DataError(
            f"The model reads {', '.join(card.covariate_names)} beside each image, and these come without "
            f"{missing[0]}. Say it of all images (--known {missing[0]}=VALUE), or use data that has it as a covariate."
        )
    values = np.column_stack([np.empty((len(index), 0)), *(columns[name] for name in card.covariate_names)])
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise DataError(
            f"{index.path(bad[0])}: a covariate that the model reads is no number there. Leave the image out."
        )
    return values


def _stated(covariate: Covariate, said: str, value: float | str) -> float:
    """What is said of all images: a word by the column's name, the number itself by the whole label."""
    if covariate.one and said == covariate.label:
        return Covariate(covariate.label, binary=True).stated(value)
    return covariate.stated(value)


def _batch(images: list[Pixels]) -> Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def unlabeled(files: Sequence[File], card: Card) -> Index:
    """Image files of which nothing else is known; there are as many targets as a model has, and they are none.

    Raises ``InvalidArgument`` for a single name in place of a list.
    """
    if isinstance(files, File):
        raise InvalidArgument(
            f'Expected a list of image files. Got the name of one, "{files}"; put it in [ ].'
        )
    return Index(
        root=Path(),
        paths=tuple(str(file) for file in files),
        target=card.target,
        targets=card.target.unknown(len(files)),
        splits=np.full(len(files), "", dtype="<U5"),
    )


def _attempt(file: Path, *, preprocessing: Preprocessing) -> Pixels | str:
    try:
        return decode_image(read_image(file), preprocessing)
    except DecodeError as error:
        return str(error)


def _look(file: Path, *, preprocessing: Preprocessing, max_side: int | None) -> tuple[Pixels, Photo]:
    """The network's input, and the photo to draw on."""
    try:
        image = read_image(file)
        pixels, photo = decode_image(image, preprocessing), show_image(image)
    except DecodeError as error:
        raise DecodeError(f"{file}: {error}.") from error
    if max_side:
        photo.thumbnail((max_side, max_side), Image.Resampling.BILINEAR)
    return pixels, np.asarray(photo)
