"""Metrics: pure functions over arrays, undefined values are NaN. ``metric_table`` says what each is called.

``targets`` are known class numbers or values (n,), ``predicted`` what the network says of them (n,),
``outputs`` the class probabilities (n, K). No rows at all give NaN. ``weights`` (..., n) say how often each row
counts, whole numbers, for each of several resamples; without them each counts once.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Weights = Floats | None
Scores = np.float64 | Floats  # one number per resample (...,); a scalar without weights

SMALLEST_PROBABILITY = 1e-12  # what log_loss takes for anything less: one row costs 27.6 nats at most
TOP = 5
AGREEMENT = 1.96  # standard deviations on either side, between which 95 % of normal errors lie


def accuracy(targets: Integers, predicted: Integers) -> float:
    """Share of rows whose predicted class is the true one."""
    return float(mean(targets == predicted))


def top_k_hits(targets: Integers, outputs: Floats, k: int) -> NDArray[np.bool_]:
    """Whether the true class is among the k most probable, per row (n,).

    Equal probabilities rank by class number, lowest first, as a stable argsort of −outputs (and argmax) does.
    k of the number of classes or more makes every row a hit; below it, NaN is never one.
    """
    num_classes = outputs.shape[1]
    own = np.take_along_axis(outputs, targets[:, None], axis=1)  # (n, 1)
    later = np.arange(num_classes) > targets[:, None]  # (n, K)
    # Counts the classes that are beaten, not those that beat: a NaN then ranks last instead of first.
    beaten = ((outputs < own) | ((outputs == own) & later)).sum(axis=1)
    return np.asarray(beaten >= num_classes - k)


def top_k_accuracy(targets: Integers, outputs: Floats, k: int) -> float:
    """Share of rows whose true class is among the k most probable. Ties, large k: ``top_k_hits``."""
    return float(mean(top_k_hits(targets, outputs, k)))


def row_losses(targets: Integers, outputs: Floats) -> Floats:
    """Cross-entropy of each row in nats, −ln p(true class), with p raised to at least 1e-12. (n,)"""
    own = np.take_along_axis(outputs, targets[:, None], axis=1)[:, 0]
    return np.asarray(-np.log(np.clip(own, SMALLEST_PROBABILITY, 1.0)))


def log_loss(targets: Integers, outputs: Floats) -> float:
    """Mean cross-entropy in nats; probabilities below 1e-12 count as 1e-12."""
    return float(mean(row_losses(targets, outputs)))


def row_brier(targets: Integers, outputs: Floats) -> Floats:
    """Brier score of each row, Σₖ (pₖ − [k = target])², from 0 to 2. (n,)  Source: Brier 1950, MWR 78:1.

    The mean is Brier's own definition; for two classes some authors, and scikit-learn, give half of it.
    """
    own = np.take_along_axis(outputs, targets[:, None], axis=1)[:, 0]
    return np.asarray(np.square(outputs).sum(axis=1) - 2 * own + 1)


def confusion(targets: Integers, predicted: Integers, num_classes: int) -> Integers:
    """How often class i (row, true) was called class j (column, predicted): (K, K) counts."""
    cells = np.bincount(targets * num_classes + predicted, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def precision_recall_f1(counts: Integers) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1 per class, each (K,), of a confusion matrix.

    NaN where undefined: precision of a class never predicted, recall of a class without images, F1 = 2TP /
    (2TP + FP + FN) of a class with neither. A class that has images but is never predicted has F1 = 0.
    """
    hits, predicted, support = np.diag(counts), counts.sum(axis=0), counts.sum(axis=1)
    return _ratio(hits, predicted), _ratio(hits, support), _ratio(2 * hits, predicted + support)


def specificity(counts: Integers) -> Floats:
    """Specificity per class (K,) of a confusion matrix: the share of the other classes' images not given to it.

    NaN where there are no other images.
    """
    others = counts.sum() - counts.sum(axis=1)
    wrongly = counts.sum(axis=0) - np.diag(counts)
    return _ratio(others - wrongly, others)


def balanced_accuracy(targets: Integers, predicted: Integers) -> float:
    """Mean recall of the classes that have images."""
    _, members = np.unique(targets, return_inverse=True)
    return float(mean_recall(members, targets == predicted))


def mean_recall(members: Integers, hits: NDArray[np.bool_], weights: Weights = None) -> Scores:
    """Mean over classes of the share of hits (n,) among their rows. ``members`` counts from 0. (n,)

    Classes without a row are left out of the mean.
    """
    if members.size == 0:
        return np.float64(np.nan)
    weights = np.ones(members.shape) if weights is None else weights
    lead, width = weights.shape[:-1], int(members.max()) + 1
    batch = int(np.prod(lead))
    cells = (members + width * np.arange(batch)[:, None]).ravel()
    size, found = (
        np.bincount(cells, weights=part.ravel(), minlength=batch * width).reshape(*lead, width)
        for part in (weights, weights * hits)
    )
    return np.asarray((found / np.maximum(size, 1)).sum(axis=-1) / (size > 0).sum(axis=-1))


def mae(targets: Floats, predicted: Floats, weights: Weights = None) -> Scores:
    """Mean absolute error, in the unit of the target."""
    return mean(np.abs(predicted - targets), weights)


def rmse(targets: Floats, predicted: Floats, weights: Weights = None) -> Scores:
    """Root of the mean squared error, in the unit of the target."""
    return np.sqrt(mean(np.square(predicted - targets), weights))


def bias(targets: Floats, predicted: Floats, weights: Weights = None) -> Scores:
    """Mean of predicted − target, in the unit of the target."""
    return mean(predicted - targets, weights)


def median_ae(targets: Floats, predicted: Floats, weights: Weights = None) -> Scores:
    """Median absolute error, in the unit of the target: half of the rows are off by less."""
    return median_of(np.abs(predicted - targets))(weights)


def median_of(values: Floats) -> Callable[[Weights], Scores]:
    """The median of values (n,) as a function of their weights: they are sorted once, for all resamples."""
    ordered, order = np.sort(values), np.argsort(values)

    def median(weights: Weights) -> Scores:
        if not values.size:
            return np.float64(np.nan)
        if weights is None:
            return np.asarray(np.median(values))
        counts = np.take(weights, order, axis=-1).cumsum(axis=-1)
        # The place of a rank, from 0, is the first where more rows have been counted.
        ranks = np.stack([(counts[..., -1] - 1) // 2, counts[..., -1] // 2], axis=-1)
        found = [np.searchsorted(*pair, side="right") for pair in zip(counts, ranks, strict=True)]
        return np.asarray(ordered[np.stack(found)].mean(axis=-1))

    return median


def loa_low(targets: Floats, predicted: Floats, weights: Weights = None) -> Scores:
    """Lower 95 % limit of agreement, bias − 1.96 s, s the standard deviation (n − 1) of the errors; NaN for n < 2.

    Source: Bland & Altman 1986, Lancet 327:307 (who round 1.96 to 2).
    """
    return bias(targets, predicted, weights) - AGREEMENT * _spread(predicted - targets, weights)


def loa_high(targets: Floats, predicted: Floats, weights: Weights = None) -> Scores:
    """Upper 95 % limit of agreement, bias + 1.96 s; see ``loa_low``."""
    return bias(targets, predicted, weights) + AGREEMENT * _spread(predicted - targets, weights)


def r2(targets: Floats, predicted: Floats, weights: Weights = None) -> Scores:
    """Coefficient of determination, 1 − Σ(y − ŷ)² / Σ(y − ȳ)²; NaN for constant targets."""
    if targets.size == 0:
        return np.float64(np.nan)
    unexplained, total = mean(np.square(predicted - targets), weights), _variance(targets, weights)
    # Asked of the targets where their variance is no more than rounding can leave of nothing.
    rounding = 1e-12 * np.square(targets - targets.mean()).max() + 1e-30 * np.square(targets).max()
    constant = np.atleast_1d(total <= rounding)
    for row in np.flatnonzero(constant):
        constant[row] = np.ptp(targets if weights is None else targets[weights[row] > 0]) == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(constant.reshape(np.shape(total)), np.nan, 1 - unexplained / total))


def mean(values: NDArray[Any], weights: Weights = None) -> Scores:
    """Mean of values (n,); NaN, without a warning, where there is nothing to average."""
    if not values.size:
        return np.float64(np.nan)
    if weights is None:
        return np.asarray(values.mean())
    return np.asarray(weights @ values / weights.sum(axis=-1), dtype=np.float64)


def _ratio(part: Integers, whole: Integers) -> Floats:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _spread(values: Floats, weights: Weights) -> Scores:
    """Standard deviation with n − 1; NaN, without a warning, for fewer than two values."""
    if values.size < 2:
        return np.float64(np.nan)
    if weights is None:
        return np.asarray(values.std(ddof=1))
    count = weights.sum(axis=-1)
    return np.asarray(np.sqrt(_variance(values, weights) * count / (count - 1)))


def _variance(values: Floats, weights: Weights) -> Scores:
    """Mean squared distance from the mean, about the mean of all rows first, so that no digits are lost."""
    centred = values - values.mean()
    if weights is None:
        return mean(np.square(centred))
    # Rounding can leave a little less than nothing.
    return np.maximum(mean(np.square(centred), weights) - np.square(mean(centred, weights)), 0)
