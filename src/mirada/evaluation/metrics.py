"""Metrics: pure functions over arrays, undefined values are NaN.

``targets`` are known class numbers or values (n,), ``predicted`` what the network says of them (n,),
``outputs`` the class probabilities (n, K). No rows at all give NaN.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirada.data.index import Task

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Scores = np.float64 | Floats  # one number per row of the leading axes; a scalar for plain columns

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


def balanced_accuracy(targets: Integers, predicted: Integers) -> float:
    """Mean recall of the classes that have images."""
    _, groups = np.unique(targets, return_inverse=True)
    return float(mean_recall(groups, targets == predicted))


def mean_recall(groups: Integers, hits: NDArray[np.bool_]) -> Scores:
    """Mean over groups of the share of hits. ``groups`` counts from 0. (..., n) → (...).

    Groups without a row are left out of the mean.
    """
    if groups.size == 0:
        return np.float64(np.nan)
    lead, width = groups.shape[:-1], int(groups.max()) + 1
    batch = int(np.prod(lead))
    cells = groups.reshape(batch, -1) + width * np.arange(batch)[:, None]
    size = np.bincount(cells.ravel(), minlength=batch * width).reshape(*lead, width)
    found = np.bincount(cells[hits.reshape(batch, -1)], minlength=batch * width).reshape(*lead, width)
    return np.asarray((found / np.maximum(size, 1)).sum(axis=-1) / (size > 0).sum(axis=-1))


def mae(targets: Floats, predicted: Floats) -> Scores:
    """Mean absolute error, in the unit of the target. (..., n) → (...)"""
    return mean(np.abs(predicted - targets))


def rmse(targets: Floats, predicted: Floats) -> Scores:
    """Root of the mean squared error, in the unit of the target. (..., n) → (...)"""
    return np.sqrt(mean(np.square(predicted - targets)))


def bias(targets: Floats, predicted: Floats) -> Scores:
    """Mean of predicted − target, in the unit of the target. (..., n) → (...)"""
    return mean(predicted - targets)


def median_ae(targets: Floats, predicted: Floats) -> Scores:
    """Median absolute error, in the unit of the target: half of the rows are off by less. (..., n) → (...)"""
    if targets.shape[-1] == 0:
        return np.float64(np.nan)
    return np.asarray(np.median(np.abs(predicted - targets), axis=-1))


def loa_low(targets: Floats, predicted: Floats) -> Scores:
    """Lower 95 % limit of agreement, bias − 1.96 s, s the standard deviation (n − 1) of the errors; NaN for n < 2.

    (..., n) → (...)  Source: Bland & Altman 1986, Lancet 327:307 (who round 1.96 to 2).
    """
    return bias(targets, predicted) - AGREEMENT * _spread(predicted - targets)


def loa_high(targets: Floats, predicted: Floats) -> Scores:
    """Upper 95 % limit of agreement, bias + 1.96 s; see ``loa_low``. (..., n) → (...)"""
    return bias(targets, predicted) + AGREEMENT * _spread(predicted - targets)


def r2(targets: Floats, predicted: Floats) -> Scores:
    """Coefficient of determination, 1 − Σ(y − ŷ)² / Σ(y − ȳ)²; NaN for constant targets. (..., n) → (...)"""
    if targets.shape[-1] == 0:
        return np.float64(np.nan)
    centred = targets - targets.mean(axis=-1, keepdims=True)
    unexplained, total = np.square(predicted - targets).sum(axis=-1), np.square(centred).sum(axis=-1)
    # Asked of the targets, not of their variance, which rounding can keep above zero.
    constant = targets.max(axis=-1) == targets.min(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(constant, np.nan, 1 - unexplained / total))


def quick_metrics(task: Task, outputs: Floats, targets: NDArray[Any]) -> dict[str, float]:
    """The metrics shown after every epoch, without intervals; NaN where undefined.

    Classification, outputs (n, K): ``accuracy`` and ``top5`` with k = min(5, K). Logits do as well as
    probabilities. Regression, outputs (n, T): ``mae``, ``rmse``, ``r2``, of several targets the mean over them, each
    over the rows where it is known. Targets (n,) or (n, 1), for several numbers (n, T); NaN is unknown.
    """
    if task == "classification":
        top = {"accuracy": 1, "top5": TOP}
        targets = targets.reshape(len(outputs))
        return {name: top_k_accuracy(targets, outputs, k) for name, k in top.items()}
    targets = targets.reshape(outputs.shape)  # (n,) against (n, 1) would broadcast to (n, n)
    known = ~np.isnan(targets)
    columns = [(t[k], p[k]) for t, p, k in zip(targets.T, outputs.T, known.T, strict=True) if k.any()]
    return {each.__name__: float(mean(np.array([each(*c) for c in columns]))) for each in (mae, rmse, r2)}


def mean(values: NDArray[Any]) -> Scores:
    """Mean over the last axis; NaN, without a warning, where there is nothing to average."""
    return np.asarray(values.mean(axis=-1)) if values.shape[-1] else np.float64(np.nan)


def _ratio(part: Integers, whole: Integers) -> Floats:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _spread(values: Floats) -> Scores:
    """Standard deviation with n − 1; NaN, without a warning, for fewer than two values."""
    return np.asarray(values.std(axis=-1, ddof=1)) if values.shape[-1] > 1 else np.float64(np.nan)
