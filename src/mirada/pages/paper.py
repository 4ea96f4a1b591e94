"""What of a report goes into a paper: every figure as SVG and PDF, every table as CSV, checklists filled in."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path

from mirada.evaluation.evaluate import ClassScore, Evaluation, Measured, OperatingPoint
from mirada.files import replacing, write_bytes, write_text
from mirada.pages import charts, results
from mirada.pages.charts import Figure
from mirada.pages.checklists import Checklist, checklists
from mirada.pages.page import recipe_rows, without_home
from mirada.pages.pdf import lost_letters, pdf_of
from mirada.pages.results import MATRIX_AS_TABLE, Result
from mirada.pages.standalone import standalone
from mirada.runs.reader import RunContents, read_run
from mirada.text import csv_cell

FIGURES, TABLES = "figures", "tables"
Row = Mapping[str, object]
BOUNDS = ("low", "high")  # of an interval


@dataclass(frozen=True, kw_only=True)
class PaperFiles:
    """What was written: the files of figures, of tables and of checklists, and letters that no PDF file has."""

    figures: tuple[Path, ...]
    tables: tuple[Path, ...]
    checklists: tuple[Path, ...]
    lost: str = ""


def write_paper(folder: Path) -> PaperFiles:
    """Writes ``figures`` and ``tables`` into the folder of a run; files of the same name are written anew.

    Args:
        folder: That of a run, finished or not.

    Returns:
        What was written.

    Raises:
        DataError: A file of the run is missing or damaged.
        OSError: The disk does not take it.
    """
    run = read_run(folder)
    drawn = {name: standalone(str(figure.svg)) for name, figure in figures_of(run).items()}
    for part in (FIGURES, TABLES) if drawn else (TABLES,):
        (folder / part).mkdir(exist_ok=True)
    figures = []
    for name, svg in drawn.items():
        figures += [folder / FIGURES / f"{name}.svg", folder / FIGURES / f"{name}.pdf"]
        write_text(figures[-2], svg)
        write_bytes(figures[-1], pdf_of(svg))
    tables = [_write(folder / TABLES / f"{name}.csv", rows) for name, rows in tables_of(run).items()]
    filled = [_write(folder / TABLES / each.guideline.file, _checklist(each)) for each in checklists(run)]
    return PaperFiles(
        figures=tuple(figures),
        tables=tuple(tables),
        checklists=tuple(filled),
        lost="".join(dict.fromkeys("".join(map(lost_letters, drawn.values())))),
    )


def figures_of(run: RunContents) -> dict[str, Figure]:
    """Every figure of a report, by the name of its file; those of the results begin with the name of the split."""
    found = {_slug(each.title): each for each in results.curves(run)}
    for result in results.results(run):
        classes = run.data.classes
        if result.confusion and len(classes) <= MATRIX_AS_TABLE:
            drawing = charts.confusion_figure(result.confusion, classes)
            found[f"{result.split}-confusion-matrix"] = Figure(
                title="Confusion matrix", svg=drawing, caption=""
            )
        elif result.matrix:
            found[f"{result.split}-confusion-matrix"] = Figure(
                title="Confusion matrix", svg=result.matrix, caption=""
            )
        for title, figure in _figures_in(result, ""):
            found[_free(f"{result.split}-{_slug(title)}", found)] = figure
    return found


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
    """Every table of a report, by the name of its file, as rows with numbers that are not rounded."""
    found: dict[str, list[Row]] = {
        "images": [
            {"split": split, "class": name, "images": count}
            for split, counts in run.data.counts.items()
            for name, count in counts.items()
        ],
        "settings": [{"setting": key, "value": value} for key, value in recipe_rows(run)],
        "members": [
            {"folder": member.folder, "images": member.n, "epoch": member.epoch, **_plain(each)}
            for member in (*run.data.folds, *run.data.seeds)
            for each in member.metrics
        ],
    }
    for split, evaluation in (run.evaluation or {}).items():
        for name, rows in _tables_of(evaluation, run.data.classes).items():
            found.setdefault(name, []).extend({"split": split, **row} for row in rows)
    return {name: rows for name, rows in found.items() if rows}


def _tables_of(evaluation: Evaluation, classes: Sequence[str]) -> dict[str, list[Row]]:
    trust = evaluation.calibration
    return {
        "metrics": list(map(_plain, evaluation.metrics)),
        "per_class": list(map(_class_row, evaluation.per_class)),
        "confusion": [
            {"true": true, **{f"called {name}": n for name, n in zip(classes, counts, strict=True)}}
            for true, counts in zip(classes, evaluation.counts.tolist(), strict=False)
        ],
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
        "calibration": [asdict(each) for each in trust.after.bins] if trust else [],
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


def _plain(measured: Measured) -> dict[str, object]:
    return asdict(measured)


def _class_row(score: ClassScore) -> Row:
    """The ends of an interval in columns of their own."""
    row: dict[str, object] = {}
    for name, value in asdict(score).items():
        if name.endswith("_interval"):
            ends = value or (None, None)
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
            "item": each.item.number,
            "section": each.item.section,
            "asks for": each.item.asks,
            "the run says": each.answer,
            "open": "" if each.answer else "yes",
        }
        for each in filled.items
    ]


def _write(file: Path, rows: Sequence[Row]) -> Path:
    """Rows as a CSV file; its columns are all that a row has."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with (
        replacing(file) as draft,
        draft.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow(map(csv_cell, columns))
        writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    return file


def _cell(value: object) -> object:
    if isinstance(value, str):
        return csv_cell(str(without_home(value)))
    return int(value) if isinstance(value, bool) else value


def _slug(title: str) -> str:
    """A title as the name of a file: ASCII letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower().replace("²", "2")).strip("-") or "figure"


def _free(name: str, taken: Mapping[str, object]) -> str:
    """The name, numbered where it is taken."""
    number = 1
    while (free := name if number == 1 else f"{name}-{number}") in taken:
        number += 1
    return free
