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

from mirada.checkpoint import Card, load_network
from mirada.compute import Compute, choose
from mirada.data.batches import in_order, normalize, read
from mirada.data.cache import Cache
from mirada.data.decode import DecodeError, decode, open_upright, read_file
from mirada.data.index import Excluded, Index
from mirada.data.parallel import Watch, each
from mirada.data.preprocessing import Preprocessing
from mirada.errors import DataError, InvalidArgument, nearest
from mirada.evaluation.infer import infer
from mirada.evaluation.predictions import Predictions
from mirada.explain import explain
from mirada.explain.overlay import limit_of, overlay, place, with_colour_bar
from mirada.layers.network import Network

BATCH = 64
EXPLAINED_AT_ONCE = 8  # photos are kept at their own size meanwhile

File = str | Path
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Explained:
    """Where the network looked in one image.

    ``map`` (h, w) float32 is signed, on the network's own grid; ``heat`` (H, W) is the same on the pixels of
    ``photo`` (H, W, 3), NaN where the network saw nothing. ``unit`` is that of both. ``receipt`` is the largest
    |mean(map) + bias − output| of the batch, for exact maps; ``note`` says why a map is blank, if it is.
    """

    path: Path
    answer: str
    subject: str
    method: str
    unit: str
    map: NDArray[np.float32]
    heat: NDArray[np.float32]
    photo: Pixels
    receipt: float | None
    note: str

    @property
    def limit(self) -> float:
        """The end of the colour scale: the largest |value| of the map."""
        return limit_of(self.map)

    def picture(self, *, colour_bar: bool = True) -> Pixels:
        """The map over the photo, blue (against) to red (for), at the photo's own size."""
        picture = overlay(self.photo, self.heat, self.limit)
        if not colour_bar:
            return picture
        return with_colour_bar(picture, self.limit, self.unit, caption=f"{self.subject} · {self.method}")


@dataclass(frozen=True, eq=False)
class Model:
    """A network with all that is needed to use it: classes, preprocessing, target scaling, device."""

    network: Network
    card: Card
    compute: Compute

    def predict(self, images: Sequence[File] | Index, *, watch: Watch | None = None) -> Predictions:
        """Probabilities, or values, for image files or for every sample of an index.

        Classes of an index are matched by name. Files that cannot be decoded are in ``Predictions.failed``
        with the reason. Raises ``DataError`` if the index has a class that the model does not know.
        """
        if isinstance(images, Index):
            images = self._with_own_classes(images)
            paths, files = images.paths, [images.path(row) for row in range(len(images))]
        else:
            paths, files = tuple(str(image) for image in images), [Path(image) for image in images]
        failed: list[Excluded] = []
        kept: list[int] = []
        outputs = infer(
            self.network,
            self._decoded(files, paths, kept, failed, watch),
            self.card.preprocessing,
            self.compute,
        )
        known = images if isinstance(images, Index) else None
        return Predictions(
            task=self.card.task,
            paths=tuple(paths[row] for row in kept),
            splits=tuple(known.splits[kept].tolist()) if known else ("",) * len(kept),
            outputs=self.card.read_outputs(outputs.reshape(len(kept), self.card.num_classes)).numpy(),
            targets=known.targets[kept] if known else None,
            classes=self.card.classes,
            unit=self.card.unit,
            failed=tuple(failed),
        )

    def predict_cached(self, cache: Cache, splits: Sequence[str]) -> Predictions:
        """The same for some splits of a cache, whose images are decoded already."""
        index = cache.index
        rows = np.concatenate([index.rows(split) for split in splits])
        batches = (read(cache, part) for part in in_order(rows, BATCH))
        chosen = index.take(rows)
        return Predictions(
            task=self.card.task,
            paths=chosen.paths,
            splits=tuple(chosen.splits.tolist()),
            outputs=self.card.read_outputs(
                infer(self.network, batches, self.card.preprocessing, self.compute)
            ).numpy(),
            targets=chosen.targets,
            classes=self.card.classes,
            unit=self.card.unit,
        )

    def explain(
        self, images: Sequence[File], *, target: str | None = None, max_side: int | None = None
    ) -> Iterator[Explained]:
        """Where the network looks in each image, for its own answer or for the class ``target``.

        ``max_side`` shrinks the photo under the map, in pixels. Raises ``InvalidArgument`` for an unknown
        class and ``DecodeError``, with the file's name, for a file that cannot be decoded.
        """
        number = self._class_number(target) if target is not None else None
        for start in range(0, len(images), EXPLAINED_AT_ONCE):
            files = [Path(image) for image in images[start : start + EXPLAINED_AT_ONCE]]
            yield from self._explain_batch(files, number, max_side)

    def _explain_batch(
        self, files: list[Path], number: int | None, max_side: int | None
    ) -> Iterator[Explained]:
        pre = self.card.preprocessing
        look = partial(_look, preprocessing=pre, max_side=max_side)
        seen = list(each(look, files, what="decoding"))
        pixels = _batch([pixels for pixels, _ in seen])
        tensor = normalize(self.compute.put(pixels), pre)
        classes = None if number is None else torch.full((len(files),), number)
        explanation = explain(self.network, tensor, classes, task=self.card.task)
        values = self.card.read_outputs(torch.from_numpy(explanation.outputs)).numpy()
        scale = np.float32(self.card.target_std if self.card.task == "regression" else 1.0)
        for row, (file, (_, photo)) in enumerate(zip(files, seen, strict=True)):
            grid = explanation.maps[row] * scale
            yield Explained(
                path=file,
                answer=self._answer(values[row]),
                subject=self._subject(int(explanation.classes[row])),
                method=explanation.method,
                unit=self.card.unit if self.card.task == "regression" else "logits",
                map=grid,
                heat=place(grid, size=pre.size, policy=pre.policy, original=photo.shape[:2]),
                photo=photo,
                receipt=explanation.receipt,
                note=explanation.notes[row],
            )

    def _answer(self, values: NDArray[np.float64]) -> str:
        if self.card.task == "regression":
            return f"{values[0]:.4g} {self.card.unit}".strip()
        best = int(values.argmax())
        return f"{self.card.classes[best]} ({values[best]:.1%})"

    def _subject(self, number: int) -> str:
        if self.card.task == "regression":
            return f"what raises the {self.card.unit or 'value'}"
        return f"evidence for {self.card.classes[number]}"

    def _with_own_classes(self, index: Index) -> Index:
        """The index with the model's classes, in the model's order."""
        if index.task != self.card.task:
            raise DataError(
                f"{index.root}: data for {index.task}; the model was trained for {self.card.task}."
            )
        if index.unit and self.card.unit and index.unit != self.card.unit:
            raise DataError(f"{index.root}: is in {index.unit}; the model was trained in {self.card.unit}.")
        if index.classes == self.card.classes:
            return index
        unknown = sorted(set(index.classes) - set(self.card.classes))
        if unknown:
            raise DataError(
                f'{index.root}: has the class "{unknown[0]}", which the model does not know. '
                f"{nearest(unknown[0], self.card.classes)}"
            )
        numbers = np.array([self.card.classes.index(name) for name in index.classes], dtype=np.int64)
        known = index.targets >= 0
        targets = np.where(known, numbers[index.targets.astype(np.int64)], index.targets)
        return replace(index, classes=self.card.classes, targets=targets.astype(np.int64))

    def _class_number(self, name: str) -> int:
        if self.card.task == "regression":
            raise InvalidArgument("A model of a number has no classes to choose from. Leave the class out.")
        if name not in self.card.classes:
            raise InvalidArgument(f'The model has no class "{name}". {nearest(name, self.card.classes)}')
        return self.card.classes.index(name)

    def _decoded(
        self,
        files: list[Path],
        names: Sequence[str],
        kept: list[int],
        failed: list[Excluded],
        watch: Watch | None,
    ) -> Iterator[Tensor]:
        """Batches of the files that can be decoded; fills ``kept`` with their rows and ``failed`` with the rest."""
        batch: list[Pixels] = []
        attempt = partial(_attempt, preprocessing=self.card.preprocessing)
        for row, result in enumerate(each(attempt, files, what="predicting", watch=watch)):
            if isinstance(result, str):
                failed.append(Excluded(names[row], result))
                continue
            kept.append(row)
            batch.append(result)
            if len(batch) == BATCH:
                yield _batch(batch)
                batch.clear()
        if batch:
            yield _batch(batch)


def load_model(file: File, *, device: str = "auto") -> Model:
    """Opens a model file. Raises ``CheckpointError`` if it is damaged or is none, ``InvalidArgument`` for a device."""
    network, card = load_network(file)
    compute = choose(device, "float32")
    compute.place(network)
    return Model(network, card, compute)


def _batch(images: list[Pixels]) -> Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def _attempt(file: Path, *, preprocessing: Preprocessing) -> Pixels | str:
    try:
        return decode(read_file(file), preprocessing)
    except DecodeError as error:
        return str(error)


def _look(file: Path, *, preprocessing: Preprocessing, max_side: int | None) -> tuple[Pixels, Pixels]:
    """The network's input, and the photo to draw on."""
    try:
        data = read_file(file)
        pixels, photo = decode(data, preprocessing), open_upright(data)
    except DecodeError as error:
        raise DecodeError(f"{file}: {error}.") from error
    if max_side:
        photo.thumbnail((max_side, max_side), Image.Resampling.BILINEAR)
    return pixels, np.asarray(photo)
