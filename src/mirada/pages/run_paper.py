"""The figures and tables of a run's report, as files for a paper: numbers not rounded, checklists filled in."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from itertools import chain

from mirada.evaluation.evaluate import ClassScore, Evaluation, Measured, OperatingPoint
from mirada.evaluation.seeds import seed_spreads
from mirada.pages import charts, results
from mirada.pages.charts import Figure
from mirada.pages.checklists import Checklist, checklists
from mirada.pages.page import recipe_rows
from mirada.pages.paper import Row, free_name, slug
from mirada.pages.results import MATRIX_AS_TABLE, MATRIX_AT_ALL, Result
from mirada.pages.words import mark_of
from mirada.runs.reader import RunContents

BOUNDS = ("low", "high")  # of an interval


def figures_of(run: RunContents) -> dict[str, Figure]:
    """Every figure of a report, by the name of its file; those of the results begin with the name of the split."""
    found = {slug(each.title): each for each in results.curves(run)}
    for result in results.results(run):
        for title, figure in chain(_matrix(result, run.data.classes), _figures_in(result, "")):
            name = free_name(f"{result.split}-{slug(title)}", found)
            found[name] = replace(figure, note=result.mark)
    return found


def _matrix(result: Result, classes: Sequence[str]) -> Iterator[tuple[str, Figure]]:
    """The confusion matrix: of few classes a table on the page, of some a drawing, of many not shown whole."""
    drawing = result.matrix
    if result.confusion and len(classes) <= MATRIX_AS_TABLE:
        drawing = charts.confusion_figure(result.confusion, classes)
    if drawing:
        yield "Confusion matrix", Figure(title="Confusion matrix", svg=drawing, caption="")


def _figures_in(value: object, beside: str) -> Iterator[tuple[str, Figure]]:
    """All figures within a record, each with its title and the name of the target that it is about."""
    if isinstance(value, Figure):
        yield f"{value.title} {beside}".strip(), value
    elif is_dataclass(value) and not isinstance(value, type):
        name = "" if isinstance(value, Result) else str(getattr(value, "name", ""))
        for each in fields(value):
            yield from _figures_in(getattr(value, each.name), name or beside)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _figures_in(each, beside)


def tables_of(run: RunContents) -> dict[str, list[Row]]:
    """Every table of a report, by the name of its file; what is in files of the run already is not there again.

    Where an evaluation is no honest test, its rows say so in a column ``remark``.
    """
    found: dict[str, list[Row]] = {
        "images": [
            {"split": split, "class": name, "images": count}
            for split, counts in run.data.counts.items()
            for name, count in counts.items()
        ],
        "left_out": [{"file": each.path, "reason": each.reason} for each in run.data.excluded],
        "settings": [{"setting": key, "value": value} for key, value in recipe_rows(run)],
        "members": [
            {
                "folder": member.folder,
                "images": member.n,
                "epoch": member.epoch,
                **_plain(each),
                **_remark(member.trained_on, member.n),
            }
            for member in (*run.data.folds, *run.data.seeds)
            for each in member.metrics
        ],
    }
    if len(run.data.seeds) > 1:
        first, spreads = run.data.seeds[0], seed_spreads([member.metrics for member in run.data.seeds])
        remark = _remark(first.trained_on, first.n)
        found["seeds"] = [{**_spanned(asdict(each)), **remark} for each in spreads]
    for split, evaluation in (run.evaluation or {}).items():
        remark = _remark(evaluation.trained_on, evaluation.n)
        for name, rows in _tables_of(evaluation, run.data.classes).items():
            found.setdefault(name, []).extend({"split": split, **row, **remark} for row in rows)
    if run.evaluation or run.data.seeds:
        found |= {each.guideline.file: _checklist(each) for each in checklists(run)}
    return {name: rows for name, rows in found.items() if rows}


def _remark(trained_on: int, n: int) -> Row:
    """A column for what is no honest test; none for what is one."""
    mark = mark_of(trained_on, n)
    return {"remark": mark} if mark else {}


def _tables_of(evaluation: Evaluation, classes: Sequence[str]) -> dict[str, list[Row]]:
    trust = evaluation.calibration
    scaled = {"before": trust.before, "after": trust.after} if trust else {}
    return {
        "metrics": list(map(_plain, evaluation.metrics)),
        "per_class": list(map(_class_row, evaluation.per_class)),
        "confusion": list(_confusion(evaluation, classes)),
        "threshold": list(_threshold_rows(evaluation.operating)) if evaluation.operating else [],
        "parts": [
            {"column": part.column, "word": part.word, "images": part.n, **_plain(each)}
            for part in evaluation.by
            for each in part.metrics
        ],
        "part_tests": [
            {"column": test.column, "name": test.name, "target": test.target, "word": word, "value": value,
             "p_value": test.p_value, "left_out": test.left_out}
            for test in evaluation.by_tests
            for word, value in zip(test.words, test.values, strict=True)
        ],
        "error_by_range": list(map(asdict, evaluation.parts)),
        "intervals": list(map(asdict, evaluation.coverage)),
        "spread": [
            {"target": check.target, "correlation": check.correlation, **asdict(part)}
            for check in evaluation.spread
            for part in check.parts
        ],
        "calibration": [
            {"temperature": when, **asdict(each)}
            for when, found in scaled.items()
            for each in (found.bins if found else ())
        ],
        "probabilities": [
            {"temperature": when, "ece": found.ece, "brier": found.brier, "log_loss": found.log_loss}
            for when, found in scaled.items()
            if found and found.bins
        ],
        "roc": [
            {"class": curve.name, "one_minus_specificity": x, "sensitivity": y}
            for curve in evaluation.curves
            for x, y in curve.roc
        ],
        "precision_recall": [
            {"class": curve.name, "recall": x, "precision": y}
            for curve in evaluation.curves
            for x, y in curve.precision_recall
        ],
    }  # fmt: skip


def _confusion(evaluation: Evaluation, classes: Sequence[str]) -> Iterator[Row]:
    """A row of counts for each true class; of many classes one for each pair that was found."""
    counts = evaluation.counts
    if len(counts) <= MATRIX_AT_ALL:
        for true, row in zip(classes, counts.tolist(), strict=False):
            yield {"true": true, **{f"called {name}": n for name, n in zip(classes, row, strict=True)}}
        return
    for true, called in zip(*counts.nonzero(), strict=True):
        yield {"true": classes[true], "called": classes[called], "images": int(counts[true, called])}


def _plain(measured: Measured) -> dict[str, object]:
    return asdict(measured)


def _class_row(score: ClassScore) -> Row:
    return _spanned(asdict(score))


def _spanned(record: dict[str, object]) -> Row:
    """The ends of each interval in columns of their own."""
    row: dict[str, object] = {}
    for name, value in record.items():
        if name.endswith("interval"):
            ends = value if isinstance(value, tuple) else (None, None)
            row |= {name.replace("interval", end): each for end, each in zip(BOUNDS, ends, strict=True)}
        else:
            row[name] = value
    return row


def _threshold_rows(point: OperatingPoint) -> Iterator[Row]:
    first = point.thresholds[0]
    about = {
        "positive": point.positive,
        "thresholds": " ".join(f"{each.value:.17g}" for each in point.thresholds),
        "rule": first.rule,
        "chosen_on": first.n,
        "found": point.found,
        "missed": point.missed,
        "alarms": point.alarms,
        "passed": point.passed,
    }
    return ({**about, **_plain(each)} for each in point.measures)


def _checklist(filled: Checklist) -> list[Row]:
    return [
        {
            "guideline": f"{filled.guideline.name} {filled.guideline.version}",
            "item": each.item.number,
            "section": each.item.section,
            "asks for": each.item.asks,
            "the run says": each.answer,
            "open": "" if each.answer else "yes",
        }
        for each in filled.items
    ]
