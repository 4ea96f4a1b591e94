"""Every metric: what it is called, what kind of number it is, which way is better, and how it is measured.

To add one, write its formula in ``metrics.py`` and its row here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mirada.errors import InvalidArgument, nearest
from mirada.evaluation import metrics as m
from mirada.evaluation.calibration import BINS, reliability
from mirada.evaluation.estimate import NO_IMAGES, Estimate, Sampling, linearised, resampled, share
from mirada.evaluation.ranking import average_precision, one_against_rest, roc_area
from mirada.samples import Classes, Target

Kind = Literal["share", "number", "unit"]  # shown in per cent; as it is; in the unit of the target
Better = Literal["high", "low", "neither"]
Measure = Callable[[Any, Any, Sampling], Estimate]  # of targets and outputs

MANY = 50  # classes; beyond, what is told of each class against all others is left out


@dataclass(frozen=True)
class Metric:
    """A number that says how good answers are.

    Args:
        key: Its name in files and in Python.
        title: Its name in a sentence.
        kind: How it is shown: a ``share`` in per cent, a ``number`` as it is, one in the ``unit`` of the target.
        better: Which way is better.
        function: Takes targets and outputs, (n,) and (n, K) of classes, (n,) and (n,) of a number, and how they were
            sampled; returns the estimate.
        unit: A unit of its own, such as nats.
        quick: The value alone, from targets and outputs: shown after every epoch.
        classes: For how many classes, from and to, it says something.
    """

    key: str
    title: str
    kind: Kind
    better: Better
    function: Measure
    unit: str = ""
    quick: Callable[[Any, Any], Any] | None = None
    classes: tuple[int, float] = (2, inf)

    def applies(self, classes: int) -> bool:
        """Whether it says something about so many classes: the top five of five are always right."""
        return self.classes[0] <= classes <= self.classes[1]


def _share(hits: Callable[[Any, Any], Any]) -> Measure:
    return lambda targets, outputs, sampling: share(hits(targets, outputs), sampling)


def _mean(rows: Callable[[Any, Any], Any]) -> Measure:
    def measure(targets: Any, outputs: Any, sampling: Sampling) -> Estimate:
        return resampled(partial(m.mean, rows(targets, outputs)), len(targets), sampling)

    return measure


def _statistic(function: Callable[..., Any]) -> Measure:
    """A function of targets, outputs and weights."""

    def measure(targets: Any, outputs: Any, sampling: Sampling) -> Estimate:
        return resampled(partial(function, targets, outputs), len(targets), sampling)

    return measure


def _area(area: Callable[..., Any], method: str) -> Measure:
    def measure(targets: Any, outputs: Any, sampling: Sampling) -> Estimate:
        value, influence = one_against_rest(area, targets, outputs)
        return linearised(value, influence, targets, sampling, method=method)

    return measure


def _balanced_accuracy(targets: m.Integers, outputs: m.Floats, sampling: Sampling) -> Estimate:
    members = np.unique(targets, return_inverse=True)[1]
    hits = outputs.argmax(axis=1) == targets
    return resampled(partial(m.mean_recall, members, hits), len(targets), sampling)


def _median_error(targets: m.Floats, outputs: m.Floats, sampling: Sampling) -> Estimate:
    return resampled(m.median_of(np.abs(outputs - targets)), len(targets), sampling)


def _calibration_error(targets: m.Integers, outputs: m.Floats, sampling: Sampling) -> Estimate:
    """Without an interval: resampling adds to the error what it should only measure."""
    found = reliability(targets, outputs)
    if found.ece is None:
        return Estimate(None, None, None, NO_IMAGES)
    method = f"{BINS} bins of equal width; chance alone would give about {found.ece_by_chance:.1%}"
    return Estimate(found.ece, None, None, f"no interval: {method.replace('%', ' %')}")


def _among(hits: Any, among: Any, sampling: Sampling) -> Estimate:
    """The share of hits among some rows."""
    return share(hits[among], sampling.take(among))


_first = partial(m.top_k_hits, k=1)
_top = partial(m.top_k_hits, k=m.TOP)

CLASS_METRICS = (
    Metric("accuracy", "accuracy", "share", "high", _share(_first), quick=partial(m.top_k_accuracy, k=1)),
    Metric("top5", "top-5 accuracy", "share", "high", _share(_top), quick=partial(m.top_k_accuracy, k=m.TOP),
           classes=(m.TOP + 1, inf)),
    Metric("balanced_accuracy", "balanced accuracy", "share", "high", _balanced_accuracy),
    Metric("roc_auc", "area under the ROC curve", "number", "high", _area(roc_area, "DeLong"), classes=(2, MANY)),
    Metric("average_precision", "average precision", "number", "high", _area(average_precision, "delta method"),
           classes=(2, MANY)),
    Metric("log_loss", "log loss", "number", "low", _mean(m.row_losses), unit="nats"),
    Metric("brier", "Brier score", "number", "low", _mean(m.row_brier)),
    Metric("ece", "expected calibration error", "share", "low", _calibration_error),
)  # fmt: skip
NUMBER_METRICS = (
    Metric("mae", "mean absolute error", "unit", "low", _statistic(m.mae), quick=m.mae),
    Metric("rmse", "root mean square error", "unit", "low", _statistic(m.rmse), quick=m.rmse),
    Metric("r2", "R²", "number", "high", _statistic(m.r2), quick=m.r2),
    Metric("bias", "mean error (bias)", "unit", "neither", _statistic(m.bias)),
    Metric("median_ae", "median absolute error", "unit", "low", _median_error),
    Metric("loa_low", "lower limit of agreement", "unit", "neither", _statistic(m.loa_low)),
    Metric("loa_high", "upper limit of agreement", "unit", "neither", _statistic(m.loa_high)),
)
THRESHOLD_METRICS = (
    Metric("sensitivity", "sensitivity", "share", "high", lambda own, called, way: _among(called, own, way)),
    Metric("specificity", "specificity", "share", "high", lambda own, called, way: _among(~called, ~own, way)),
    Metric("ppv", "positive predictive value", "share", "high", lambda own, called, way: _among(own, called, way)),
    Metric("npv", "negative predictive value", "share", "high", lambda own, called, way: _among(~own, ~called, way)),
)  # fmt: skip  # of whether each image is of the class, and whether a threshold calls it so
METRICS = {metric.key: metric for metric in (*CLASS_METRICS, *NUMBER_METRICS, *THRESHOLD_METRICS)}


def metric_named(key: str) -> Metric:
    """The metric of a key; ``mae:height`` is that of one of several targets.

    Raises:
        InvalidArgument: For a key that is not known.
    """
    name = key.partition(":")[0]
    if name not in METRICS:
        raise InvalidArgument(f'There is no metric "{name}". {nearest(name, METRICS)}')
    return METRICS[name]


def quick_metrics(target: Target, outputs: m.Floats, targets: NDArray[Any]) -> dict[str, float]:
    """The metrics shown after every epoch, without intervals; NaN where undefined.

    Args:
        target: Classes or numbers.
        outputs: (n, K) of classes, where logits do as well as probabilities; (n, T) of numbers.
        targets: Class numbers (n,); numbers (n, T), NaN where unknown.

    Returns:
        The values by key. Of several targets each is the mean over them, each over the rows where it is known.
    """
    if isinstance(target, Classes):
        chosen = [metric for metric in CLASS_METRICS if metric.quick and metric.applies(outputs.shape[1])]
        columns = [(targets.reshape(len(outputs)), outputs)]
    else:
        chosen = [metric for metric in NUMBER_METRICS if metric.quick]
        targets = targets.reshape(outputs.shape)  # (n,) against (n, 1) would broadcast to (n, n)
        known = ~np.isnan(targets)
        columns = [(t[k], p[k]) for t, p, k in zip(targets.T, outputs.T, known.T, strict=True) if k.any()]
    return {
        metric.key: float(m.mean(np.array([metric.quick(*pair) for pair in columns])))
        for metric in chosen
        if metric.quick
    }
