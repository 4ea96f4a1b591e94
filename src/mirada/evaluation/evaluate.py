"""From predictions to every number the terminal and the report show, each with its interval."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mirada.errors import DataError, InvalidArgument
from mirada.evaluation import metrics as m
from mirada.evaluation.calibration import BINS, Calibration, calibration
from mirada.evaluation.conformal import Conformal, Coverage, coverage
from mirada.evaluation.estimate import Estimate, Groups, defined, group_numbers, resampled, share
from mirada.evaluation.parts import Part, covariate_parts, target_parts
from mirada.evaluation.predictions import Predictions


@dataclass(frozen=True)
class Metric:
    """A number, its interval and where that comes from; None where undefined, ``method`` then says why.

    ``target`` names the column that it is about, where there are several.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    method: str
    unit: str = ""
    target: str = ""

    @property
    def key(self) -> str:
        """A name that no other metric of an evaluation has: ``mae``, or ``mae:height`` of several targets."""
        return f"{self.name}:{self.target}" if self.target else self.name


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

    Classes: ``confusion`` counts true classes (rows) against predicted ones (columns), in the order of
    ``per_class``; ``calibration`` says whether the probabilities can be trusted. Numbers: ``parts`` are the errors
    by range of the target and by covariate; ``coverage`` says how often the intervals held, per target. What is of
    the other task is empty.
    """

    n: int
    metrics: tuple[Metric, ...]
    per_class: tuple[ClassScore, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    calibration: Calibration | None = None
    parts: tuple[Part, ...] = ()
    coverage: tuple[Coverage, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values, None for undefined numbers; what there is not of the task has no key."""
        found = asdict(self)
        metrics = [
            {key: value for key, value in each.items() if key != "target" or value}
            for each in found["metrics"]
        ]
        result: dict[str, Any] = {"n": self.n, "metrics": metrics}
        if self.per_class:
            result["per_class"] = list(found["per_class"])
            result["confusion"] = [list(row) for row in self.confusion]
        if self.calibration:
            reports = {name: found["calibration"][name] for name in ("before", "after")}
            told = {name: each | {"bins": list(each["bins"])} for name, each in reports.items() if each}
            result["calibration"] = {"temperature": self.calibration.temperature, **told}
        return result | {name: list(found[name]) for name in ("parts", "coverage") if found[name]}


def evaluate(
    predictions: Predictions,
    *,
    seed: int = 0,
    temperature: float = 1.0,
    conformal: Conformal | None = None,
) -> Evaluation:
    """All metrics of the rows whose target is known, with 95 % intervals. ``seed`` draws the resamples.

    Classification: ``accuracy``, ``top5``, ``balanced_accuracy``, ``log_loss`` (nats), ``brier`` (0 to 2), ``ece``
    (expected calibration error). ``top5`` is left out for five classes or fewer, where it would be 100 % whatever
    the network does. ``temperature`` is the one that the outputs have been scaled by already; what they were without
    it is told beside.

    Regression, per target: ``mae``, ``rmse``, ``r2``, ``bias`` (predicted − target), ``median_ae``, and the limits
    of agreement ``loa_low`` and ``loa_high``; the error in parts of the data; with ``conformal``, the share of
    images in its intervals, which says something only for images that did not set their width.

    Where predictions have groups, whole groups are resampled. A table without rows gives undefined numbers.

    Raises ``DataError`` if there are predictions and none has a target, ``InvalidArgument`` if ``conformal`` has
    other targets.
    """
    known = predictions.known
    if predictions.targets is None or (len(known) and not known.any()):
        raise DataError(
            f"Nothing to evaluate: none of the {len(predictions)} predictions has a target. "
            "Give data that name a class or a value for each file."
        )
    table = predictions.take(np.flatnonzero(known))
    groups = group_numbers(table.groups)
    if table.task == "regression":
        return _regression(table, conformal, groups=groups, seed=seed)
    return _classification(table, temperature, groups=groups, seed=seed)


def _classification(table: Predictions, temperature: float, *, groups: Groups, seed: int) -> Evaluation:
    targets, outputs = table.class_numbers, table.outputs
    predicted = outputs.argmax(axis=1)
    hits = targets == predicted
    counts = m.confusion(targets, predicted, len(table.classes))
    columns = zip(table.classes, counts.sum(axis=1).tolist(), *m.precision_recall_f1(counts), strict=True)
    calibrated = calibration(targets, outputs, temperature)
    _, members = np.unique(targets, return_inverse=True)
    found = [Metric("accuracy", *share(hits, seed=seed, groups=groups))]
    if len(table.classes) > m.TOP:
        top = m.top_k_hits(targets, outputs, m.TOP)
        found.append(Metric("top5", *share(top, seed=seed, groups=groups)))
    found += [
        Metric("balanced_accuracy", *resampled(m.mean_recall, (members, hits), seed=seed, groups=groups)),
        Metric("log_loss", *_mean(m.row_losses(targets, outputs), groups, seed), "nats"),
        Metric("brier", *_mean(m.row_brier(targets, outputs), groups, seed)),
        Metric("ece", *_calibration_error(calibrated)),
    ]
    return Evaluation(
        n=len(targets),
        metrics=tuple(found),
        per_class=tuple(ClassScore(name, n, *map(defined, shares)) for name, n, *shares in columns),
        confusion=tuple(map(tuple, counts.tolist())),
        calibration=calibrated if len(targets) else None,
    )


def _mean(rows: m.Floats, groups: Groups, seed: int) -> Estimate:
    return resampled(m.mean, (rows,), seed=seed, groups=groups)


def _calibration_error(calibrated: Calibration) -> Estimate:
    """Without an interval: resampling adds to the error what it should only measure."""
    ece, chance = calibrated.after.ece, calibrated.after.ece_by_chance
    if ece is None:
        return Estimate(None, None, None, "no interval: no images")
    method = f"{BINS} bins of equal width; chance alone would give about {chance:.1%}".replace("%", " %")
    return Estimate(ece, None, None, f"no interval: {method}")


def _regression(table: Predictions, conformal: Conformal | None, *, groups: Groups, seed: int) -> Evaluation:
    targets, outputs = table.values, table.outputs
    names = table.target_names if len(table.target_names) > 1 else ("",)
    if conformal and len(conformal.half_widths) != len(names):
        raise InvalidArgument(
            f"`conformal` of evaluate must have a half width for each of {len(names)} targets. "
            f"Got {len(conformal.half_widths)}."
        )
    units = {
        m.mae: table.unit, m.rmse: table.unit, m.r2: "", m.bias: table.unit,
        m.median_ae: table.unit, m.loa_low: table.unit, m.loa_high: table.unit,
    }  # fmt: skip
    metrics: list[Metric] = []
    parts: list[Part] = []
    covered: list[Coverage] = []
    for number, name in enumerate(names):
        pair = (targets[:, number], outputs[:, number])
        for metric, unit in units.items():
            estimate = resampled(metric, pair, seed=seed, groups=groups)
            metrics.append(Metric(metric.__name__, *estimate, unit, name))
        parts += target_parts(*pair, target=name, groups=groups, seed=seed)
        for known, covariate in zip(table.covariates.T, table.covariate_names, strict=True):
            parts += covariate_parts(known, pair, names=(name, covariate), groups=groups, seed=seed)
        if conformal:
            errors = pair[1] - pair[0]
            covered.append(coverage(errors, conformal, number, target=name, groups=groups, seed=seed))
    return Evaluation(n=len(table), metrics=tuple(metrics), parts=tuple(parts), coverage=tuple(covered))
