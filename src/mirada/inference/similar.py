"""Which training images a network finds similar to another one: the nearest by the features that enter its head."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from mirada.data.cache import Cache
from mirada.data.index import Index
from mirada.data.views import PLAIN
from mirada.errors import DataError
from mirada.evaluation.features import Demand, Features, infer_cached
from mirada.evaluation.predictions import Predictions
from mirada.events import OnProgress
from mirada.explain.explainable import entering_head
from mirada.files import replacing
from mirada.inference.matching import Known, as_known_to, covariates_of
from mirada.inference.model import Model
from mirada.inference.pictures import Picture
from mirada.inference.trained_on import short
from mirada.text import csv_cell

NEAREST = 5
QUERIES, ROWS = 256, 65_536  # compared at once: memory stays bounded, whatever there is
FILES = ("paths", "digests", "features", "model")


@dataclass(frozen=True)
class Neighbour:
    """A training image and the cosine between its features and those of the image in question, −1 to 1."""

    path: str
    cosine: float


@dataclass(frozen=True, eq=False)
class TrainingFeatures:
    """The training images as the network sees them.

    Args:
        paths: Their files (N,).
        digests: Eight bytes of each image's digest (N,).
        features: The averages of the maps that enter the head, of unit length (N, C), float16.
        model: The SHA-256 of the model file that they belong to.
    """

    paths: tuple[str, ...]
    digests: NDArray[np.uint64]
    features: NDArray[np.float16]
    model: str

    def nearest(self, vectors: NDArray[np.float32], count: int = NEAREST) -> list[tuple[Neighbour, ...]]:
        """The nearest training images, nearest first, equals in the order of the training.

        Every pair is compared, by matrix products of bounded size.

        Args:
            vectors: Features of M images, (M, C), of any length.
            count: How many to find; all, where there are fewer.

        Returns:
            The neighbours of each of the M images.
        """
        found: list[tuple[Neighbour, ...]] = []
        for start in range(0, len(vectors), QUERIES):
            rows, cosines = self._nearest(unit(vectors[start : start + QUERIES]), count)
            found += [
                tuple(Neighbour(self.paths[row], float(cosine)) for row, cosine in zip(*pair, strict=True))
                for pair in zip(rows.tolist(), cosines.tolist(), strict=True)
            ]
        return found

    def _nearest(
        self, vectors: NDArray[np.float32], count: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rows and cosines (m, count) of the best."""
        rows = np.empty((len(vectors), 0), dtype=np.int64)
        cosines = np.empty((len(vectors), 0), dtype=np.float32)
        for start in range(0, len(self.paths), ROWS):
            part = self.features[start : start + ROWS].astype(np.float32)
            here = np.broadcast_to(np.arange(start, start + len(part)), (len(vectors), len(part)))
            rows, cosines = np.hstack([rows, here]), np.hstack([cosines, vectors @ part.T])
            best = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
            rows = np.take_along_axis(rows, best, axis=1)
            cosines = np.take_along_axis(cosines, best, axis=1)
        return rows, cosines

    def save(self, file: Path) -> None:
        """Writes them, whole or not at all. Raises ``OSError`` that names the file."""
        with replacing(file) as draft, draft.open("wb") as stream:
            np.savez(
                stream,
                paths=np.array(self.paths, dtype=np.str_),
                digests=self.digests,
                features=self.features,
                model=np.array(self.model),
            )


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors (N, C) of length 1; those of length 0, and what is no number, become 0."""
    finite = np.nan_to_num(vectors, nan=0.0, posinf=0.0, neginf=0.0)
    lengths = np.linalg.norm(finite, axis=1, keepdims=True)
    return np.asarray(finite / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def training_features(
    model: Model, file: Path, cache: Cache, kept: Features | None = None
) -> TrainingFeatures:
    """What a network makes of the training images of a cache.

    Args:
        model: The network.
        file: Its model file.
        cache: The images.
        kept: What the network's frozen parts make of images. Where that is kept of augmented views alone, the features
            of an image are the mean over its views, as running the frozen parts once more would take longer than all
            the rest.

    Returns:
        The features of all of them.
    """
    index = as_known_to(model.card, cache.index)
    rows = index.rows("train")
    covariates = model.card.scale_covariates(covariates_of(model.card, index))
    compute = kept.compute if kept else model.compute
    total = np.zeros((), dtype=np.float32)
    for view in _kept_views(kept, rows):
        with entering_head(model.network) as found:
            infer_cached(
                model.network, cache, rows, model.card.preprocessing, compute, covariates, kept, (view,)
            )
        total = total + unit(torch.cat(found).numpy())
    return TrainingFeatures(
        paths=tuple(index.paths[row] for row in rows),
        digests=np.array([short(cache.digests[row]) for row in rows], dtype=np.uint64),
        features=unit(total).astype(np.float16),
        model=sha256(file.read_bytes()).hexdigest(),
    )


def _kept_views(kept: Features | None, rows: NDArray[np.int64]) -> Sequence[int]:
    """The views of some images of which nothing need be computed; the images as they are, where there are none."""
    if kept is None or not kept.missing([Demand(PLAIN, rows)]):
        return (PLAIN,)
    return [each for each in range(kept.views.count) if not kept.missing([Demand(each, rows)])] or (PLAIN,)


def load_training_features(file: Path, model: Path) -> TrainingFeatures:
    """Reads what ``TrainingFeatures.save`` wrote.

    Args:
        file: It lies beside the model.
        model: The model file that they have to belong to.

    Raises:
        DataError: The file is missing, damaged or of another model.
    """
    if not file.is_file():
        raise DataError(
            f"{file}: the features of the training images are missing, which training leaves beside its model. Give "
            f"the model in its run folder, or train it again."
        )
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as found:
            paths, digests, features, stated = (found[name] for name in FILES)
            read = TrainingFeatures(tuple(paths.tolist()), digests, features, str(stated))
            sound = features.ndim == 2 and features.dtype == np.float16
            sound = sound and len(paths) == len(digests) == len(features)
    except (OSError, ValueError, TypeError, KeyError, BadZipFile, EOFError) as error:
        raise DataError(f"{file}: damaged; the features cannot be read. Train the model again.") from error
    if not sound:
        raise DataError(f"{file}: damaged; its columns do not fit each other. Train the model again.")
    if read.model != sha256(model.read_bytes()).hexdigest():
        raise DataError(f"{file}: holds the features of another model than {model.name}. Train it again.")
    return read


def write_neighbours(file: Path, paths: Sequence[str], found: Sequence[Sequence[Neighbour]]) -> None:
    """Writes a row for each image and neighbour as CSV: ``path,rank,similar,cosine``.

    Args:
        file: To make or to replace, whole or not at all.
        paths: The images.
        found: The neighbours of each.

    Raises:
        OSError: The file cannot be written.
    """
    with (
        replacing(file) as draft,
        draft.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow(["path", "rank", "similar", "cosine"])
        for path, neighbours in zip(paths, found, strict=True):
            for rank, each in enumerate(neighbours, start=1):
                writer.writerow([csv_cell(path), rank, csv_cell(each.path), f"{each.cosine:.4f}"])


def predict_with_similar(
    model: Model,
    images: Sequence[Picture] | Index,
    training: TrainingFeatures,
    *,
    known: Known | None = None,
    on_event: OnProgress | None = None,
) -> tuple[Predictions, list[tuple[Neighbour, ...]]]:
    """What a model says of images, and the five training images that it finds most similar to each.

    Args:
        model: Of one network.
        images: As for ``Model.predict``.
        training: The features of its training images.
        known: As for ``Model.predict``.
        on_event: As for ``Model.predict``.

    Returns:
        The predictions, and the neighbours of each of their rows.

    Raises:
        MiradaError: What ``Model.predict`` raises.
    """
    with entering_head(model.network) as found:
        predictions = model.predict(images, known=known, on_event=on_event)
    if model.card.flip_average:
        found = found[::2]  # each batch, and its mirror image
    vectors = torch.cat(found).numpy() if found else np.empty((0, training.features.shape[1]), np.float32)
    return predictions, training.nearest(vectors)
