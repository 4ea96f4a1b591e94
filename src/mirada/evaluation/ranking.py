"""How well probabilities rank images: areas under the ROC and the precision-recall curve.

Both are smooth functions of the rows' weights, and their derivatives say how far the area would move if other images
had been drawn. O(n log n) per class.

Source: Hanley & McNeil 1982, Radiology 143:29; DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44:837.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mirada.evaluation.metrics import Floats, Integers

Area = tuple[float, Floats]  # and by how much each row's weight changes it, ∂ area / ∂ weight (n,)
Positive = NDArray[np.bool_]

CURVE_POINTS = 101  # of a curve that is kept


@dataclass(frozen=True)
class RankingCurve:
    """How well the probability of a class finds its images, as the threshold falls from 1 to 0.

    Args:
        name: The class.
        n: Its images.
        roc: (share of the other images that are called it, share of its own), from (0, 0) to (1, 1).
        precision_recall: (share of its images that are found, share of those found that are its own); from the
            highest threshold at which anything is found.
    """

    name: str
    n: int
    roc: tuple[tuple[float, float], ...]
    precision_recall: tuple[tuple[float, float], ...]


def ranking_curve(name: str, positive: Positive, scores: Floats) -> RankingCurve | None:
    """Both curves of a class against all others, at most 101 points of each, the ends among them.

    Args:
        name: The class.
        positive: Whether each row is of it (n,).
        scores: Its probability for each row (n,).

    Returns:
        None without images of the class, or without others.

    Source: Fawcett 2006, Pattern Recognition Letters 27:861, Alg. 1.
    """
    found = int(positive.sum())
    if not 0 < found < len(scores):
        return None
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # equal scores are called together
    right = np.cumsum(positive[order])[last].astype(np.float64)
    called = np.arange(1, len(scores) + 1, dtype=np.float64)[last]
    true, false = right / found, (called - right) / (len(scores) - found)
    roc = np.column_stack([np.append(0.0, false), np.append(0.0, true)])
    return RankingCurve(name, found, _thinned(roc), _thinned(np.column_stack([true, right / called])))


def _thinned(points: Floats) -> tuple[tuple[float, float], ...]:
    chosen = np.unique(
        np.linspace(0, len(points) - 1, min(len(points), CURVE_POINTS)).round().astype(np.int64)
    )
    return tuple((round(float(x), 4), round(float(y), 4)) for x, y in points[chosen])


def roc_area(positive: Positive, scores: Floats) -> Area:
    """Area under the ROC curve: the chance that a positive has a higher score than a negative, ties by half.

    Args:
        positive: Whether each row is of the class (n,).
        scores: Its probability for each row (n,).

    Returns:
        The area, NaN without positives or without negatives, and its derivatives (n,).
    """
    above, below = np.sort(scores[positive]), np.sort(scores[~positive])
    if not (len(above) and len(below)):
        return float("nan"), np.zeros(len(scores))
    beaten = _rank(below, scores) / len(below)  # share of the negatives that each row beats
    beating = 1 - _rank(above, scores) / len(above)
    area = float(beaten[positive].mean())
    return area, np.where(positive, (beaten - area) / len(above), (beating - area) / len(below))


def average_precision(positive: Positive, scores: Floats) -> Area:
    """Area under the precision-recall curve, as steps: the mean over positives of the precision at their score.

    Args:
        positive: Whether each row is of the class (n,).
        scores: Its probability for each row (n,).

    Returns:
        The area, NaN without positives or without negatives, and its derivatives (n,).
    """
    n, found = len(scores), int(positive.sum())
    if not 0 < found < n:
        return float("nan"), np.zeros(n)
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    first = np.searchsorted(ordered, scores, side="left")  # the first of those with an equal score, per row
    past = np.searchsorted(ordered, scores, side="right")
    chosen = n - first  # rows with as high a score
    right = np.cumsum(positive[order][::-1])[chosen - 1]
    precision = right / chosen
    area = float(precision[positive].mean())
    # A row counts in the precision of every positive whose score is no higher than its own.
    terms = np.where(positive, 1 / chosen, 0)[order], np.where(positive, precision / chosen, 0)[order]
    shares, precisions = (np.cumsum(term)[past - 1] for term in terms)
    return area, (np.where(positive, precision - area, 0) + positive * shares - precisions) / found


def one_against_rest(area: Callable[[Positive, Floats], Area], targets: Integers, outputs: Floats) -> Area:
    """The mean over the classes that have images of the area of each against all others.

    Args:
        area: ``roc_area`` or ``average_precision``.
        targets: Class numbers (n,).
        outputs: Class probabilities (n, K).

    Returns:
        The mean, NaN unless at least two classes have images, and its derivatives (n,).
    """
    present = np.unique(targets).tolist()
    if len(present) < 2:
        return float("nan"), np.zeros(len(targets))
    found = [area(targets == number, outputs[:, number]) for number in present]
    return float(np.mean([value for value, _ in found])), np.mean([slopes for _, slopes in found], axis=0)


def _rank(ordered: Floats, values: Floats) -> Floats:
    """How many of the ordered numbers each value exceeds, equal ones by half."""
    left, right = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return np.asarray((left + right) / 2)
