"""Which training images a network finds similar to another one: the nearest by the features that enter its head."""

import csv
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from mirada.compute import Compute
from mirada.data.batches import Rows
from mirada.data.cache import Cache
from mirada.data.index import Index
from mirada.data.views import PLAIN
from mirada.errors import DataError
from mirada.evaluation.columns import NEAREST, Neighbour
from mirada.evaluation.features import Demand, Features, infer_cached
from mirada.evaluation.predictions import Predictions
from mirada.events import OnProgress
from mirada.explain.explainable import entering_head
from mirada.files import replacing, sha256_of
from mirada.inference.matching import Known, as_known_to, covariates_of
from mirada.inference.model import Model
from mirada.inference.pictures import Picture
from mirada.inference.trained_on import short
from mirada.runs.folder import SIMILAR, model_file
from mirada.text import csv_cell

QUERIES, ROWS = 256, 65_536  # compared at once: memory stays bounded, whatever there is
FILES = ("paths", "digests", "features", "model")


@dataclass(frozen=True, eq=False)
class TrainingFeatures:
    """The training images as the network sees them.

    Args:
        paths: Their files (N,).
        digests: Eight bytes of each image's digest (N,).
        features: The averages of the maps that enter the head, of unit length (N, C), float16; computed at the
            precision of the training, so that a cosine may differ from that of float32 in its third decimal. Of M
            networks those of each, one beside the other (N, M · C), divided by how many of them the image taught, and
            0 of the others: so the product with M vectors of unit length is the mean of the cosines by the networks
            that it taught.
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
            vectors: Features of Q images, (Q, C), of any length; of M networks (Q, M, C).
            count: How many to find; all, where there are fewer.

        Returns:
            The neighbours of each of the Q images.
        """
        found: list[tuple[Neighbour, ...]] = []
        for start in range(0, len(vectors), QUERIES):
            asked = unit(vectors[start : start + QUERIES])
            rows, cosines = self._nearest(asked.reshape(len(asked), -1), count)
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
    """Vectors (…, C) of length 1; those of length 0, and what is no number, become 0."""
    finite = np.nan_to_num(vectors, nan=0.0, posinf=0.0, neginf=0.0)
    lengths = np.linalg.norm(
        finite.astype(np.float64), axis=-1, keepdims=True
    )  # squares may be beyond float32
    return np.asarray(finite / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def head_inputs(
    model: Model,
    cache: Cache,
    rows: Rows,
    compute: Compute,
    kept: Features | None = None,
    view: int = PLAIN,
) -> NDArray[np.float32]:
    """What enters the head of a network, averaged over the places.

    Args:
        model: The network.
        cache: The images.
        rows: Which of its index.
        compute: The device that the network is on, and the precision.
        kept: What its frozen parts make of images, at this precision.
        view: The view of the images that it makes it of.

    Returns:
        (n, C).
    """
    index = as_known_to(model.card, cache.index)
    covariates = model.card.scale_covariates(covariates_of(model.card, index))
    with entering_head(model.network) as found:
        infer_cached(model.network, cache, rows, model.card.preprocessing, compute, covariates, kept, (view,))
    features: NDArray[np.float32] = torch.cat(found).numpy()
    return features


def training_features(
    model: Model, file: Path, cache: Cache, compute: Compute, kept: Features | None = None
) -> TrainingFeatures:
    """What a network makes of the training images of a cache.

    Args:
        model: The network.
        file: Its model file.
        cache: The images.
        compute: The device that the network is on; and the precision, of which that of training is enough to compare.
        kept: What the network's frozen parts make of images, at this precision. Where that is kept of augmented views
            alone, the features of an image are the mean over its views, as running the frozen parts once more would
            take longer than all the rest.

    Returns:
        The features of all of them, once of an image that several rows name.
    """
    paths = cache.index.paths
    rows = np.array(list({paths[row]: row for row in cache.index.rows("train")[::-1]}.values())[::-1])
    total = np.zeros((), dtype=np.float32)
    for view in _kept_views(kept, rows):
        total = total + unit(head_inputs(model, cache, rows, compute, kept, view))
    return TrainingFeatures(
        paths=tuple(paths[row] for row in rows),
        digests=np.array([short(cache.digests[row]) for row in rows], dtype=np.uint64),
        features=unit(total).astype(np.float16),
        model=sha256_of(file),
    )


def _kept_views(kept: Features | None, rows: NDArray[np.int64]) -> Sequence[int]:
    """The views of some images of which nothing need be computed; the images as they are, where there are none."""
    if kept is None or not kept.missing([Demand(PLAIN, rows)]):
        return (PLAIN,)
    return [each for each in range(kept.views.count) if not kept.missing([Demand(each, rows)])] or (PLAIN,)


def joined_features(parts: Sequence[TrainingFeatures], file: Path) -> TrainingFeatures:
    """Those of an ensemble, from those of each of its networks, which have other training images each.

    Args:
        parts: Of two networks or more, in the order of the ensemble.
        file: The model file of the ensemble.

    Returns:
        Every image that taught one of them.
    """
    digests = {
        path: digest for part in parts for path, digest in zip(part.paths, part.digests.tolist(), strict=True)
    }
    places = {path: place for place, path in enumerate(digests)}
    width = parts[0].features.shape[1]
    features = np.zeros((len(places), len(parts), width), dtype=np.float16)
    taught = np.zeros(len(places))
    for number, part in enumerate(parts):
        rows = [places[path] for path in part.paths]
        features[rows, number] = part.features
        taught[rows] += 1
    features /= taught[:, np.newaxis, np.newaxis].astype(np.float16)
    return TrainingFeatures(
        paths=tuple(digests),
        digests=np.array(list(digests.values()), dtype=np.uint64),
        features=features.reshape(len(places), -1),
        model=sha256_of(file),
    )


def features_of(model: str | Path) -> TrainingFeatures:
    """The features that training has left beside a model.

    Args:
        model: A model file, or the folder of a run or of folds.

    Raises:
        DataError: They are missing, damaged or of another model.
    """
    file = model_file(model)
    return load_training_features(file.with_name(SIMILAR), file)


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
    if read.model != sha256_of(model):
        raise DataError(f"{file}: holds the features of another model than {model.name}. Train it again.")
    return read


def write_neighbours(file: Path, predictions: Predictions) -> None:
    """Writes a row for each image and neighbour as CSV: ``path,rank,similar,cosine``.

    Args:
        file: To make or to replace, whole or not at all.
        predictions: Of ``predict_with_similar``.

    Raises:
        OSError: The file cannot be written.
    """
    with (
        replacing(file) as draft,
        draft.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow(["path", "rank", "similar", "cosine"])
        for path, neighbours in zip(predictions.paths, predictions.similar, strict=bool(predictions.similar)):
            for rank, each in enumerate(neighbours, start=1):
                writer.writerow([csv_cell(path), rank, csv_cell(each.path), f"{each.cosine:.4f}"])


def predict_with_similar(
    model: Model,
    images: Sequence[Picture] | Index,
    training: TrainingFeatures | str | Path,
    *,
    known: Known | None = None,
    on_event: OnProgress | None = None,
) -> Predictions:
    """What a model says of images, and the five training images that it finds most similar to each.

    Args:
        model: The network, or those of an ensemble.
        images: As for ``Model.predict``.
        training: The features of its training images, or its file, or the folder of its run, beside which they lie.
        known: As for ``Model.predict``.
        on_event: As for ``Model.predict``.

    Returns:
        The predictions, with the neighbours of each row in ``similar``: by the cosine of the features, of an ensemble
        by the mean of the cosines by those of its networks that the training image taught.

    Raises:
        DataError: There are no features beside the model, or those of another one.
        MiradaError: What ``Model.predict`` raises.
    """
    features = training if isinstance(training, TrainingFeatures) else features_of(training)
    networks = [network for network, _ in model.members]
    with ExitStack() as stack:
        found = [stack.enter_context(entering_head(network)) for network in networks]
        predictions = model.predict(images, known=known, on_event=on_event)
    if not len(predictions):
        return predictions
    step = 2 if model.card.flip_average else 1  # each batch, and its mirror image
    vectors = np.stack([torch.cat(batches[::step]).numpy() for batches in found], axis=1)
    return replace(predictions, similar=tuple(features.nearest(vectors)))
