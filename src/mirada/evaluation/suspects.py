"""Labels that are probably wrong, told from the answers of networks that had not seen them (out of fold).

Classes by confident learning, numbers by their residuals against the usual ones. A ranking to look through, no verdict:
nothing is changed.

Source: Northcutt, Jiang & Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70:1373,
arXiv:1911.00068; Tukey 1977, Exploratory Data Analysis, §2D.
"""

import csv
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from mirada.errors import ContaminationWarning, DataError, counted
from mirada.evaluation.predictions import Predictions
from mirada.files import replacing
from mirada.samples import Classes, Numbers, Target
from mirada.text import csv_cell

Floats = NDArray[np.float64]

NEIGHBOURS = 101  # rows of nearly the same answer, whose residuals tell how far off it usually is
NORMAL = 1.4826  # standard deviation / median absolute deviation of normal residuals
FENCE = 1.5  # interquartile ranges beyond the quartiles
BEYOND_BY_CHANCE = 0.00698  # the share of normal residuals that lies beyond such fences


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """An image, what the data say of it, and what the network says.

    Args:
        path: Its file.
        given: The class, or number, of the data.
        predicted: Of classes the most probable other one; the number that the network says.
        target: Of several numbers the one that this is about, which is the furthest off.
        given_probability: What the network gives to the class of the data; None for numbers.
        predicted_probability: What it gives to the other one.
        score: Of classes the margin, probability of the given class − that of the other, −1 to 1: the lower, the more
            suspicious. Of numbers how far off the network is in standard deviations of its residuals at such answers:
            the higher, the more suspicious.
        suspected: Whether it is further off than confident learning, or the quartiles of the residuals, allow.
    """

    path: str
    given: str | float
    predicted: str | float
    target: str = ""
    given_probability: float | None = None
    predicted_probability: float | None = None
    score: float
    suspected: bool


@dataclass(frozen=True, kw_only=True)
class SuspectLabels:
    """All labels, the most suspicious first.

    Args:
        target: What they are labels of.
        ranked: Every image with a label.
        by_chance: How many would be suspected if every label were right: of classes, if the probabilities are what
            they claim; of numbers, if the residuals are normal.
        wrong: How many labels confident learning estimates to be wrong, which holds where the network's confident
            answers are right; None for numbers.
    """

    target: Target
    ranked: tuple[Suspect, ...]
    by_chance: float
    wrong: float | None

    @property
    def suspected(self) -> tuple[Suspect, ...]:
        """Those that are further off than usual, the most suspicious first."""
        return tuple(each for each in self.ranked if each.suspected)

    def to_csv(self, path: str | Path) -> None:
        """Writes a row per image as CSV (UTF-8, RFC 4180), whole or not at all.

        Args:
            path: The file.

        Raises:
            OSError: The file cannot be written.
        """
        header, rows = _table(self)
        with (
            replacing(Path(path)) as draft,
            draft.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(header)
            for row in rows:
                writer.writerow([csv_cell(cell) if isinstance(cell, str) else cell for cell in row])


def suspect_labels(predictions: Predictions) -> SuspectLabels:
    """Ranks labels by how strongly networks that had not seen them contradict.

    Classes: a label is suspected if the network's answer is another class, and the most probable of the classes that
    it gives at least as much as it gives on average to images of that class is another one, too. All are ranked by the
    margin alone: the thresholds say how many to expect, but a network that has learnt little puts wrong labels on
    either side of them. Numbers: a label is suspected if its residual, in standard deviations of the residuals of
    the 101 most similar answers, lies 1.5 interquartile ranges beyond the quartiles; of several numbers the one that
    is furthest off counts. Equals stay in the order of the rows.

    Args:
        predictions: Out of fold, as ``cross_validate`` leaves them, or else of images that the network was not trained
            on: of others it has learnt the wrong labels as well. Rows without a target are left out.

    Returns:
        All labels, the most suspicious first, and how many wrong ones to expect.

    Raises:
        DataError: There are predictions and none has a target.

    Source: Northcutt, Jiang & Chuang 2021, arXiv:1911.00068, §3; Tukey 1977, Exploratory Data Analysis, §2D.
    """
    known = predictions.known if isinstance(predictions.target, Classes) else _known_numbers(predictions)
    if len(predictions) and not known.any():
        raise DataError(
            "None of the predictions has a target, so no label can be wrong. Give data with labels."
        )
    table = predictions.take(np.flatnonzero(known))
    if seen := int(table.trained_on.sum()):
        warnings.warn(
            f"{seen:,} of these {counted(len(table), 'image')} are among those that the network was trained on, with "
            f"their labels, right or wrong. Take predictions out of fold (--folds 5).",
            ContaminationWarning,
            stacklevel=2,
        )
    match table.target:
        case Classes():
            return _of_classes(table)
        case Numbers():
            return _of_numbers(table)


# ---- classes ---------------------------------------------------------------------------------------


def _of_classes(table: Predictions) -> SuspectLabels:
    given, probabilities, names = table.class_numbers, table.outputs, table.classes
    rows = np.arange(len(table))
    confident, sure = _confident(given, probabilities)
    own = probabilities[rows, given]
    others = probabilities.copy()
    others[rows, given] = -1
    other = others.argmax(axis=1) if len(table) else given
    predicted = probabilities.argmax(axis=1) if len(table) else given
    margin = own - probabilities[rows, other]
    suspected = sure & (confident != given) & (predicted != given)
    # What a label drawn by these probabilities would be suspected with.
    right = probabilities[rows, predicted] + np.where(
        confident != predicted, probabilities[rows, confident], 0
    )
    ranked = tuple(
        Suspect(
            path=table.paths[row],
            given=names[given[row]],
            predicted=names[other[row]],
            given_probability=float(own[row]),
            predicted_probability=float(probabilities[row, other[row]]),
            score=float(margin[row]),
            suspected=bool(suspected[row]),
        )
        for row in np.argsort(margin, kind="stable").tolist()
    )
    return SuspectLabels(
        target=table.target,
        ranked=ranked,
        by_chance=float((1 - right)[sure].sum()),
        wrong=_wrong(given[sure], confident[sure], np.bincount(given, minlength=len(names))),
    )


def _confident(
    given: NDArray[np.int64], probabilities: Floats
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The most probable of the classes that the network is confident of (n,), and whether there is any (n,).

    It is confident of a class that it gives at least what it gives on average to images of this class.
    """
    counts = np.bincount(given, minlength=probabilities.shape[1])
    own = probabilities[np.arange(len(given)), given]
    sums = np.bincount(given, weights=own, minlength=len(counts))
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    # The mean of equal numbers may be rounded up.
    passed = probabilities >= thresholds - 1e-12
    if not len(given):
        return given, np.zeros(0, dtype=np.bool_)
    return np.where(passed, probabilities, -1).argmax(axis=1), np.asarray(passed.any(axis=1))


def _wrong(given: NDArray[np.int64], confident: NDArray[np.int64], counts: NDArray[np.int64]) -> float:
    """The wrong labels of the calibrated confident joint: the share of each class's that are off its diagonal."""
    classes = len(counts)
    joint = np.bincount(given * classes + confident, minlength=classes**2).reshape(classes, classes)
    sums = joint.sum(axis=1)
    off = np.where(sums > 0, 1 - np.diag(joint) / np.maximum(sums, 1), 0)
    return float((off * counts).sum())


# ---- numbers ---------------------------------------------------------------------------------------


def _known_numbers(predictions: Predictions) -> NDArray[np.bool_]:
    """Whether any of a row's numbers is known."""
    return np.asarray(~np.isnan(predictions.values).all(axis=1))


def _of_numbers(table: Predictions) -> SuspectLabels:
    given, names = table.values, table.target_names or ("",)
    scaled = np.full(given.shape, np.nan)
    beyond: NDArray[np.bool_] = np.zeros(given.shape, dtype=np.bool_)
    for column in range(len(names)):
        rows = np.flatnonzero(~np.isnan(given[:, column]))
        scaled[rows, column] = _scaled_residuals(given[rows, column], table.outputs[rows, column])
        beyond[rows, column] = _beyond_fences(scaled[rows, column])
    sizes = np.where(np.isnan(scaled), -1, np.abs(scaled))
    furthest = sizes.argmax(axis=1)
    score = sizes.max(axis=1, initial=0)
    suspected = np.asarray(beyond.any(axis=1))
    ranked = tuple(
        Suspect(
            path=table.paths[row],
            given=float(given[row, furthest[row]]),
            predicted=float(table.outputs[row, furthest[row]]),
            target=names[furthest[row]],
            score=float(score[row]),
            suspected=bool(suspected[row]),
        )
        for row in np.argsort(-score, kind="stable").tolist()
    )
    by_chance = BEYOND_BY_CHANCE * float((~np.isnan(given)).sum())
    return SuspectLabels(target=table.target, ranked=ranked, by_chance=by_chance, wrong=None)


def _scaled_residuals(given: Floats, predicted: Floats) -> Floats:
    """Given − predicted (n,), less the median of similar answers' residuals, in their standard deviations.

    The deviation is that of normal residuals with the same median absolute one, and at least half of that of all:
    a few answers that happen to be right make no neighbour wrong.
    """
    if not len(given):
        return given
    order = np.argsort(predicted, kind="stable")
    residuals = (given - predicted)[order]
    width = min(NEIGHBOURS, len(residuals))
    windows = sliding_window_view(residuals, width)  # (n − width + 1, width)
    start = np.clip(np.arange(len(residuals)) - width // 2, 0, len(windows) - 1)
    centres = np.median(windows, axis=1)
    spreads = np.median(np.abs(windows - centres[:, np.newaxis]), axis=1)[start]
    centred = residuals - centres[start]
    usual = float(np.median(np.abs(centred))) or float(np.abs(centred).mean())
    scaled = np.empty(len(residuals))
    scaled[order] = centred / (NORMAL * np.maximum(spreads, usual / 2)) if usual else 0.0
    return scaled


def _beyond_fences(scaled: Floats) -> NDArray[np.bool_]:
    """Whether each lies further than 1.5 interquartile ranges beyond the quartiles."""
    if not len(scaled):
        return np.zeros(0, dtype=np.bool_)
    first, third = np.quantile(scaled, (0.25, 0.75))
    reach = FENCE * (third - first)
    return np.asarray((scaled < first - reach) | (scaled > third + reach))


# ---- as a table ------------------------------------------------------------------------------------


def _table(labels: SuspectLabels) -> tuple[list[str], list[list[str | float | None]]]:
    """The header and the cells of the CSV file."""
    match labels.target:
        case Classes():
            measures = ["given_probability", "predicted_probability", "margin"]
        case Numbers():
            measures = ["error", "deviations"]
    several = isinstance(labels.target, Numbers) and bool(labels.target.several)
    own = [[each.target] if several else [] for each in labels.ranked]
    rows: list[list[str | float | None]] = [
        [rank, each.path, *name, each.given, each.predicted, *_measures(each), int(each.suspected)]
        for rank, (each, name) in enumerate(zip(labels.ranked, own, strict=True), start=1)
    ]
    target = ["target"] if several else []
    return ["rank", "path", *target, "given", "predicted", *measures, "suspected"], rows


def _measures(each: Suspect) -> list[float | None]:
    if isinstance(each.given, float) and isinstance(each.predicted, float):
        return [each.predicted - each.given, each.score]
    return [each.given_probability, each.predicted_probability, each.score]
