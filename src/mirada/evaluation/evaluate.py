"""From predictions to every number the terminal and the report show, each with its interval."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirada.codec import Json
from mirada.errors import ContaminationWarning, DataError, InvalidArgument, counted
from mirada.evaluation import metrics as m
from mirada.evaluation.calibration import Calibration, calibration
from mirada.evaluation.calls import Calls, calls_of
from mirada.evaluation.conformal import Conformal, Coverage, coverage
from mirada.evaluation.estimate import Estimate, Sampling, defined, group_numbers, quick_share
from mirada.evaluation.metric_table import (
    CLASS_METRICS,
    MANY,
    NUMBER_METRICS,
    THRESHOLD_METRICS,
    Metric,
    metric_named,
)
from mirada.evaluation.part_tests import PartTest, part_tests
from mirada.evaluation.predictions import Predictions
from mirada.evaluation.ranking import RankingCurve, ranking_curve, roc_area
from mirada.evaluation.spread import SpreadCheck, check_spread
from mirada.evaluation.subgroups import Subgroup, covariate_subgroups, target_subgroups
from mirada.evaluation.threshold import Threshold
from mirada.samples import Classes, Numbers, part_order

PART_METRICS = {Classes: ("accuracy", "balanced_accuracy"), Numbers: ("mae", "bias")}
DRAWN = 6  # classes whose curves are kept: more of them over each other cannot be told apart
ALIKE = 0.01  # of the targets' range: answers closer to each other are one answer


@dataclass(frozen=True)
class Measured:
    """A metric's value on ``n`` images, its interval and where that comes from.

    Args:
        name: The key of the metric.
        value: None where undefined.
        low: Lower end of the interval; None where there is none, ``method`` then says why.
        high: Upper end.
        method: How the interval was found.
        unit: Of the value: that of the target, or the metric's own.
        target: The column that it is about, where there are several.
        level: What the interval promises, such as 0.95; None without one.
        n: Images.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    method: str
    unit: str = ""
    target: str = ""
    level: float | None = None
    n: int = 0

    @property
    def metric(self) -> Metric:
        """What is measured: its title, its kind, which way is better."""
        return metric_named(self.name)

    @property
    def key(self) -> str:
        """A name that no other metric of an evaluation has: ``mae``, or ``mae:height`` of several targets."""
        return f"{self.name}:{self.target}" if self.target else self.name


@dataclass(frozen=True)
class ClassScore:
    """How one class fared: ``n`` images that are of it; None where a share is undefined.

    ``recall`` is also called sensitivity; ``specificity`` is the share of the other classes' images that were not
    given to it, ``roc_auc`` the area under the ROC curve against all others. The last two are left out for more than
    50 classes. The 95 % intervals are (low, high).
    """

    name: str
    n: int
    precision: float | None
    recall: float | None
    f1: float | None
    specificity: float | None = None
    roc_auc: float | None = None
    precision_interval: tuple[float, float] | None = None
    recall_interval: tuple[float, float] | None = None
    specificity_interval: tuple[float, float] | None = None
    f1_interval: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """How well one class is told from the rest at a threshold of its probability.

    Args:
        thresholds: The threshold, or those of the networks of several folds, all of one class.
        other: What the rest is called.
        found: Images of the class that are called.
        missed: Images of the class that are not.
        alarms: Other images that are called.
        passed: Other images that are not.
        measures: Sensitivity, specificity, positive and negative predictive value.
    """

    thresholds: tuple[Threshold, ...]
    other: str
    found: int
    missed: int
    alarms: int
    passed: int
    measures: tuple[Measured, ...]

    @property
    def positive(self) -> str:
        """The class that is called at the threshold or above it."""
        return self.thresholds[0].positive


@dataclass(frozen=True)
class OneAnswer:
    """The one answer that a network gives whatever the image: a class, or a number of ``target``."""

    target: str
    answer: str | float


@dataclass(frozen=True)
class Part:
    """How well a model does on ``n`` images of which ``column`` says ``word``, which is "" where it says nothing.

    ``metrics`` are, with intervals, accuracy and balanced accuracy of classes, and what holds at a threshold, where
    there is one; of numbers, per target, the mean absolute error and the bias.
    """

    column: str
    word: str
    n: int
    metrics: tuple[Measured, ...]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a model is worth on ``n`` images with a known target.

    Args:
        n: Images.
        metrics: The numbers.
        per_class: How each class fared, in the order of ``predictions.classes``. Empty for numbers.
        confusion: Counts of true classes (rows) against predicted ones (columns), up to 50 classes.
        confusion_cells: Of more classes, (true, predicted, count) of those counts that are not zero.
        calibration: How far the probabilities can be trusted. None for numbers.
        parts: The error by range of the target and by covariate. Empty for classes.
        coverage: How often the conformal intervals held, per target.
        curves: ROC and precision over recall, of up to 6 classes. Empty for numbers.
        operating: What holds at a threshold, where there is one.
        trained_on: Images that the network was trained on: where there are some, this is no honest test.
        constant: The answer, per target, of a network that always gives the same although the images differ.
        spread: Of several networks, whether a large spread among them goes with a large error, per target.
        by: How well it does on the images of which a column says the same word.
        by_tests: For each such column, whether its parts differ by more than chance.
    """

    n: int
    metrics: tuple[Measured, ...]
    per_class: tuple[ClassScore, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    confusion_cells: tuple[tuple[int, int, int], ...] = ()
    calibration: Calibration | None = None
    parts: tuple[Subgroup, ...] = ()
    coverage: tuple[Coverage, ...] = ()
    constant: tuple[OneAnswer, ...] = ()
    spread: tuple[SpreadCheck, ...] = ()
    by: tuple[Part, ...] = ()
    by_tests: tuple[PartTest, ...] = ()
    curves: tuple[RankingCurve, ...] = ()
    operating: OperatingPoint | None = None
    trained_on: int = 0

    def to_dict(self) -> dict[str, Json]:
        """As plain JSON values, None for undefined numbers; what there is not of the task has no key."""
        result: dict[str, Any] = {"n": self.n, "metrics": [_measured_record(each) for each in self.metrics]}
        if self.per_class:
            result["per_class"] = [_class_record(score) for score in self.per_class]
            name = "confusion_cells" if self.confusion_cells else "confusion"
            result[name] = _listed(getattr(self, name))
        if self.calibration:
            result["calibration"] = _without_none(_listed(asdict(self.calibration)))
        if self.operating:
            measures = [_measured_record(each) for each in self.operating.measures]
            result["operating"] = {**_listed(asdict(self.operating)), "measures": measures}
        if self.trained_on:
            result["trained_on"] = self.trained_on
        for name in ("parts", "coverage", "constant", "spread", "by", "by_tests", "curves"):
            if found := getattr(self, name):
                result[name] = [_listed(asdict(each)) for each in found]
        return result

    @property
    def counts(self) -> NDArray[np.int64]:
        """The whole confusion matrix (K, K), whichever way it is kept; (0, 0) of numbers."""
        if not self.confusion_cells:
            return np.array(self.confusion, dtype=np.int64).reshape(len(self.confusion), len(self.confusion))
        counts = np.zeros((len(self.per_class), len(self.per_class)), dtype=np.int64)
        true, predicted, found = np.array(self.confusion_cells).T
        counts[true, predicted] = found
        return counts


def evaluate(
    predictions: Predictions,
    *,
    seed: int = 0,
    temperature: float | Sequence[float] = 1.0,
    conformal: Conformal | None = None,
    threshold: Threshold | Sequence[Threshold] | None = None,
) -> Evaluation:
    """All metrics of the rows whose target is known, with 95 % intervals.

    ``metric_table`` says which there are. Of the spread among several networks its rank correlation with the error.

    Args:
        predictions: What a network says of N images. Where they have groups, whole groups are resampled. Without
            rows all numbers are undefined.
        seed: Draws the resamples.
        temperature: That by which the outputs have been scaled already, or one for each of the N rows; what they were
            without it is given as well.
        conformal: Intervals whose coverage is to be measured, which says something only for images that did not
            set their width.
        threshold: Of the probability of one class, at which sensitivity, specificity and predictive values are given;
            or one for each of the N rows, all of the same class.

    Returns:
        The numbers of all, and of parts of the data.

    Raises:
        DataError: If there are predictions and none has a target.
        InvalidArgument: If ``conformal`` has other targets, ``temperature`` or ``threshold`` another length or class.
    """
    known = predictions.known
    if len(known) and not known.any():
        raise DataError(
            f"Nothing to evaluate: none of the {len(predictions)} predictions has a target. "
            "Give data that name a class or a value for each file."
        )
    table = predictions.take(np.flatnonzero(known))
    if seen := int(table.trained_on.sum()):
        warnings.warn(
            f"{seen:,} of these {counted(len(table), 'image')} are among those that the network was trained on: no "
            f"honest test. Judge those that were set aside.",
            ContaminationWarning,
            stacklevel=2,
        )
    sampling = Sampling(seed, group_numbers(table.groups))
    calls = calls_of(table, threshold, known)
    result = (
        _regression(table, conformal, sampling)
        if isinstance(table.target, Numbers)
        else _classification(table, _temperatures(temperature, known), sampling)
    )
    return replace(
        result,
        trained_on=seen,
        operating=_operating(calls, sampling),
        spread=check_spread(table, sampling),
        by=_parts(table, sampling, calls),
        by_tests=part_tests(table, sampling, calls),
    )


def _parts(table: Predictions, sampling: Sampling, calls: Calls | None) -> tuple[Part, ...]:
    """The rows by the words of each column; those of which nothing is said come last."""
    found: list[Part] = []
    if not len(table):
        return ()
    for name, words in zip(table.by_names, zip(*table.by, strict=True), strict=True):
        for word in sorted(set(words), key=part_order):
            members = np.array([each == word for each in words])
            part, own = table.take(np.flatnonzero(members)), sampling.take(members)
            metrics = _metrics_of_part(part, own)
            if calls:
                metrics += _at_threshold(calls.take(members), own)
            found.append(Part(name, word, len(part), metrics))
    return tuple(found)


def _metrics_of_part(part: Predictions, sampling: Sampling) -> tuple[Measured, ...]:
    chosen = map(metric_named, PART_METRICS[type(part.target)])
    if not isinstance(part.target, Numbers):
        columns = [("", part.class_numbers, part.outputs)]
    else:
        columns = list(zip(part.target_names or ("",), part.values.T, part.outputs.T, strict=True))
    return tuple(
        _measured(
            metric, targets, outputs, sampling, part.unit if metric.kind == "unit" else metric.unit, name
        )
        for metric, (name, targets, outputs) in product(chosen, columns)
    )


def _operating(calls: Calls | None, sampling: Sampling) -> OperatingPoint | None:
    """What holds at a threshold, if there is one."""
    if not calls:
        return None
    own, called = calls.own, calls.called
    return OperatingPoint(
        thresholds=calls.thresholds,
        other=calls.other,
        found=int((own & called).sum()),
        missed=int((own & ~called).sum()),
        alarms=int((~own & called).sum()),
        passed=int((~own & ~called).sum()),
        measures=_at_threshold(calls, sampling),
    )


def _at_threshold(calls: Calls, sampling: Sampling) -> tuple[Measured, ...]:
    own, called = calls.own, calls.called
    among = {"sensitivity": own, "specificity": ~own, "ppv": called, "npv": ~called}
    return tuple(
        replace(_measured(each, own, called, sampling, ""), n=int(among[each.key].sum()))
        for each in THRESHOLD_METRICS
    )


def _temperatures(temperature: float | Sequence[float], known: NDArray[np.bool_]) -> float | m.Floats:
    if isinstance(temperature, int | float):
        return temperature
    each = np.asarray(temperature, dtype=np.float64)
    if each.shape != known.shape:
        raise InvalidArgument(
            f"`temperature` of evaluate must be a number, or one for each of {len(known)} predictions. "
            f"Got an array of shape {each.shape}."
        )
    return each[known]


def _classification(table: Predictions, temperature: float | m.Floats, sampling: Sampling) -> Evaluation:
    targets, outputs = table.class_numbers, table.outputs
    predicted = outputs.argmax(axis=1)
    answers, classes = np.unique(predicted), len(table.classes)
    alike = len(answers) == 1 and len(np.unique(targets)) > 1
    chosen = [metric for metric in CLASS_METRICS if metric.applies(classes)]
    counts = m.confusion(targets, predicted, classes)
    return Evaluation(
        n=len(targets),
        metrics=tuple(_measured(each, targets, outputs, sampling, each.unit) for each in chosen),
        per_class=_class_scores(table, predicted, sampling),
        confusion=_rows(counts) if classes <= MANY else (),
        confusion_cells=()
        if classes <= MANY
        else _rows(np.column_stack([np.argwhere(counts), counts[counts > 0]])),
        calibration=calibration(targets, outputs, temperature) if len(targets) else None,
        constant=(OneAnswer("", table.classes[answers[0]]),) if alike else (),
        curves=_curves(table) if classes <= DRAWN else (),
    )


def _curves(table: Predictions) -> tuple[RankingCurve, ...]:
    """The curves of every class against the others; of two classes those of the second, which says all of both."""
    numbers = range(1, 2) if len(table.classes) == 2 else range(len(table.classes))
    found = (
        ranking_curve(table.classes[each], table.class_numbers == each, table.outputs[:, each])
        for each in numbers
    )
    return tuple(curve for curve in found if curve)


def _measured(
    metric: Metric, targets: Any, outputs: Any, sampling: Sampling, unit: str, target: str = ""
) -> Measured:
    found: Estimate = metric.function(targets, outputs, sampling)
    return Measured(metric.key, *found[:4], unit, target, found.level, len(targets))


def _class_scores(table: Predictions, predicted: m.Integers, sampling: Sampling) -> tuple[ClassScore, ...]:
    targets = table.class_numbers
    counts = m.confusion(targets, predicted, len(table.classes))
    shares = zip(*m.precision_recall_f1(counts), m.specificity(counts), strict=True)
    scores = []
    for number, (name, (precision, recall, f1, specificity)) in enumerate(
        zip(table.classes, shares, strict=True)
    ):
        own, called = targets == number, predicted == number
        few = len(table.classes) <= MANY
        scores.append(
            ClassScore(
                name,
                int(own.sum()),
                defined(precision),
                defined(recall),
                defined(f1),
                defined(specificity) if few else None,
                defined(roc_area(own, table.outputs[:, number])[0]) if few else None,
                _interval(own, called, sampling),
                _interval(called, own, sampling),
                _interval(~called, ~own, sampling) if few else None,
                _f1_interval(own, called, sampling),
            )
        )
    return tuple(scores)


def _interval(
    hits: NDArray[np.bool_], among: NDArray[np.bool_], sampling: Sampling
) -> tuple[float, float] | None:
    """The interval of the share of hits among some rows."""
    found = quick_share(hits[among], sampling.take(among))
    return None if found.low is None or found.high is None else (found.low, found.high)


def _f1_interval(
    own: NDArray[np.bool_], called: NDArray[np.bool_], sampling: Sampling
) -> tuple[float, float] | None:
    """By that of the share J of images that are of a class and called it, among those that are either: F1 = 2J/(1 + J).

    F1 rises with J, so the ends of Wilson's interval for J give those of one for F1; it is as wide at 0 and 1 as it
    should be.
    """
    found = _interval(own & called, own | called, sampling)
    return None if found is None else (2 * found[0] / (1 + found[0]), 2 * found[1] / (1 + found[1]))


def _regression(table: Predictions, conformal: Conformal | None, sampling: Sampling) -> Evaluation:
    targets, outputs = table.values, table.outputs
    names = table.target_names or ("",)
    if conformal and len(conformal.half_widths) != len(names):
        raise InvalidArgument(
            f"`conformal` of evaluate must have a half width for each of {len(names)} targets. "
            f"Got {len(conformal.half_widths)}."
        )
    metrics: list[Measured] = []
    parts: list[Subgroup] = []
    covered: list[Coverage] = []
    constant: list[OneAnswer] = []
    for number, name in enumerate(names):
        pair = (targets[:, number], outputs[:, number])
        for metric in NUMBER_METRICS:
            unit = table.unit if metric.kind == "unit" else metric.unit
            metrics.append(_measured(metric, *pair, sampling, unit, name))
        parts += target_subgroups(*pair, target=name, sampling=sampling)
        for known, covariate in zip(table.covariates.T, table.covariate_specs, strict=True):
            parts += covariate_subgroups(known, pair, names=(name, covariate), sampling=sampling)
        if conformal:
            covered.append(coverage(pair[1] - pair[0], conformal, number, target=name, sampling=sampling))
        if len(table) > 1 and np.ptp(pair[1]) < ALIKE * np.ptp(pair[0]):
            constant.append(OneAnswer(name, float(np.median(pair[1]))))
    return Evaluation(
        n=len(table),
        metrics=tuple(metrics),
        parts=tuple(parts),
        coverage=tuple(covered),
        constant=tuple(constant),
    )


def _measured_record(measured: Measured) -> dict[str, Any]:
    """``kind`` is there for other readers: Mirada knows it by the name."""
    found = asdict(measured) | {"kind": measured.metric.kind}
    return {key: value for key, value in found.items() if key != "target" or value}


def _class_record(score: ClassScore) -> dict[str, Any]:
    """Without the keys that are left out for many classes."""
    return _without_none(_listed(asdict(score)), but=("precision", "recall", "f1"))


def _rows(table: m.Integers) -> tuple[Any, ...]:
    return tuple(map(tuple, table.tolist()))


def _listed(value: Any) -> Any:
    """Tuples as the lists that JSON knows, at every depth."""
    if isinstance(value, dict):
        return {key: _listed(each) for key, each in value.items()}
    return [_listed(each) for each in value] if isinstance(value, list | tuple) else value


def _without_none(record: dict[str, Any], but: Sequence[str] = ()) -> dict[str, Any]:
    return {key: value for key, value in record.items() if value is not None or key in but}
