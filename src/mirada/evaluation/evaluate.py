"""From predictions to every number the terminal and the report show, each with its interval."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirada.errors import DataError
from mirada.evaluation import metrics as m
from mirada.evaluation.intervals import LEVEL, RESAMPLES, Interval, bootstrap, wilson
from mirada.evaluation.predictions import Predictions

WILSON = f"Wilson {100 * LEVEL:g} %"
BOOTSTRAP = f"bootstrap {100 * LEVEL:g} %, {RESAMPLES:,} resamples"


@dataclass(frozen=True)
class Metric:
    """A number, its interval and where that comes from; None where undefined, ``method`` then says why."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    method: str
    unit: str = ""


@dataclass(frozen=True)
class ClassScore:
    """How one class fared: ``n`` images that are of it; None where a share is undefined."""

    name: str
    n: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a model is worth on ``n`` images with a known target.

    ``confusion`` counts true classes (rows) against predicted ones (columns), in the order of ``per_class``.
    Both are empty for regression.
    """

    n: int
    metrics: tuple[Metric, ...]
    per_class: tuple[ClassScore, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values, None for undefined numbers; no classes and confusion for regression."""
        result: dict[str, Any] = {"n": self.n, "metrics": [asdict(metric) for metric in self.metrics]}
        if self.per_class:
            result["per_class"] = [asdict(score) for score in self.per_class]
            result["confusion"] = [list(row) for row in self.confusion]
        return result


def evaluate(predictions: Predictions, *, seed: int = 0) -> Evaluation:
    """All metrics of the rows whose target is known, with 95 % intervals. ``seed`` draws the resamples.

    Classification: ``accuracy``, ``top5``, ``balanced_accuracy``, ``log_loss`` (nats). ``top5`` is left out
    for five classes or fewer, where it would be 100 % whatever the network does. Regression: ``mae``,
    ``rmse``, ``r2``, ``bias`` (predicted − target). A table without rows gives undefined numbers.

    Raises ``DataError`` if there are predictions and none has a target.
    """
    known = predictions.known
    if predictions.targets is None or (len(known) and not known.any()):
        raise DataError(
            f"Nothing to evaluate: none of the {len(predictions)} predictions has a target. "
            "Give data that name a class or a value for each file."
        )
    targets, outputs = predictions.targets[known], predictions.outputs[known]
    if predictions.task == "regression":
        return _regression(targets.astype(np.float64), outputs[:, 0], unit=predictions.unit, seed=seed)
    return _classification(targets.astype(np.int64), outputs, classes=predictions.classes, seed=seed)


def _classification(
    targets: m.Integers, outputs: m.Floats, *, classes: tuple[str, ...], seed: int
) -> Evaluation:
    predicted = outputs.argmax(axis=1)
    hits = targets == predicted
    _, groups = np.unique(targets, return_inverse=True)
    found = [_share("accuracy", hits)]
    if len(classes) > m.TOP:
        found.append(_share("top5", m.top_k_hits(targets, outputs, m.TOP)))
    found.append(_resampled("balanced_accuracy", m.mean_recall, (groups, hits), seed=seed))
    found.append(_resampled("log_loss", m.mean, (m.row_losses(targets, outputs),), unit="nats", seed=seed))
    counts = m.confusion(targets, predicted, len(classes))
    columns = zip(classes, counts.sum(axis=1).tolist(), *m.precision_recall_f1(counts), strict=True)
    scores = (ClassScore(name, n, *map(_defined, shares)) for name, n, *shares in columns)
    return Evaluation(
        n=len(targets),
        metrics=tuple(found),
        per_class=tuple(scores),
        confusion=tuple(map(tuple, counts.tolist())),
    )


def _regression(targets: m.Floats, predicted: m.Floats, *, unit: str, seed: int) -> Evaluation:
    units = {m.mae: unit, m.rmse: unit, m.r2: "", m.bias: unit}
    found = tuple(
        _resampled(metric.__name__, metric, (targets, predicted), unit=own, seed=seed)
        for metric, own in units.items()
    )
    return Evaluation(n=len(targets), metrics=found)


def _share(name: str, hits: NDArray[np.bool_]) -> Metric:
    """A metric that is a share of rows."""
    interval = wilson(int(hits.sum()), len(hits))
    return _metric(
        name, float(m.mean(hits)), interval, method=WILSON if interval else "no interval: no images"
    )


def _resampled(
    name: str, statistic: Callable[..., Any], columns: Sequence[NDArray[Any]], *, seed: int, unit: str = ""
) -> Metric:
    """A metric whose interval comes from the bootstrap."""
    interval = bootstrap(statistic, columns, seed=seed)
    few = len(columns[0]) < 2
    reason = "fewer than two images" if few else "undefined in some resamples"
    method = BOOTSTRAP if interval else f"no interval: {reason}"
    return _metric(name, float(statistic(*columns)), interval, method=method, unit=unit)


def _metric(name: str, value: float, interval: Interval | None, *, method: str, unit: str = "") -> Metric:
    low, high = interval or (None, None)
    return Metric(name, _defined(value), low, high, method, unit)


def _defined(value: float) -> float | None:
    """The number, or None where it is none: JSON has no NaN."""
    return float(value) if isfinite(value) else None
