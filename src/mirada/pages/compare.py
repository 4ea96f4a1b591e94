"""Draws runs beside each other as one HTML page that needs no other file."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite, nan
from pathlib import Path
from typing import Any

from mirada.errors import counted
from mirada.evaluation.evaluate import Measured
from mirada.evaluation.paired import Difference
from mirada.pages import charts
from mirada.pages.charts import Figure, Series
from mirada.pages.gradients import Norms, gradient_figure
from mirada.pages.overview import file_name, headline, leading, mark, nothing
from mirada.pages.page import cell, publish, recipe_rows, template
from mirada.pages.paper import PaperFiles, Row, named, write_paper
from mirada.pages.words import SPLITS, shown
from mirada.runs.reader import RunContents
from mirada.text import integer, number, shorten, with_unit

FAR = 10.0  # times what nine tenths of all values of a figure are below: what is beyond is counted, not drawn
FEW = 10  # values, of which none is beyond
POINTS = "points"  # of a difference of shares
WORDS = 18  # letters of a run's name in a legend
SAME_MACHINE = ("device", "precision", "threads", "torch", "mirada", "platform")  # of environment.json
CURVES = {  # column of results.csv → title and caption
    "train_loss": (
        "Training loss",
        "The mean over the steps of every epoch, of the images as they were augmented; lower is better.",
    ),
    "val_loss": (
        "Validation loss",
        "After every epoch; lower is better. Losses of another kind, or of mixed labels, cannot be compared.",
    ),
    "val_accuracy": (
        "Validation accuracy",
        "The share of right answers on the validation images, after every epoch. The axis need not start at zero.",
    ),
    "val_mae": (
        "Mean absolute error of validation",
        "How far off the predictions are on the validation images, after every epoch; lower is better.",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """An image on which the one alone is right, or nearer to the truth; what the first seed of each answers."""

    path: str
    picture: str
    target: object
    first: object
    second: object
    first_ahead: bool


@dataclass(frozen=True, kw_only=True)
class Beside:
    """A run beside the first one.

    Args:
        split: Which images judged both.
        images: How many of them.
        apart: How many are in one of the runs alone.
        differences: One for classes, one for each number.
        disagreements: Images on which they differ most.
        problem: Why nothing can be compared; "" if it can.
    """

    split: str = ""
    images: int = 0
    apart: int = 0
    differences: tuple[Difference, ...] = ()
    disagreements: tuple[Disagreement, ...] = ()
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    """A run, or several of one recipe.

    Args:
        contents: What is in its folder.
        state: How it ended.
        epochs: A row for each, with all that was measured after it; of several seeds the means.
        minutes: Of all training.
    """

    contents: RunContents
    state: str
    epochs: list[dict[str, float]]
    minutes: float


@dataclass(frozen=True, kw_only=True)
class ComparisonPage:
    """All that the page says: the runs, and each but the first beside the first."""

    runs: tuple[ComparedRun, ...]
    pairs: tuple[Beside, ...]


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """One run: its name, what was trained on what, how well it does, and what it took."""

    name: str
    network: str
    data: str
    answer: str
    interval: str
    state: str
    epochs: str
    minutes: str


@dataclass(frozen=True, kw_only=True)
class DifferenceRow:
    """A difference, ready to print."""

    label: str
    first: str
    second: str
    difference: str
    interval: str
    p_value: str
    test: str
    only: str
    called: str
    reason: str


def write_comparison(page: ComparisonPage, file: Path) -> Path:
    """Writes the page and returns its path; it appears whole or not at all."""
    return publish(render_comparison(page), file)


def write_comparison_paper(page: ComparisonPage, folder: Path) -> PaperFiles:
    """Writes the figures and tables of the page as files for a paper.

    Args:
        page: All that it says.
        folder: Where; it is made.

    Raises:
        OSError: The disk does not take it.
    """
    names = run_names(page.runs)
    folder.mkdir(parents=True, exist_ok=True)
    tables: dict[str, Sequence[Row]] = {
        "runs": [_run_record(name, run) for name, run in zip(names, page.runs, strict=True)],
        "differences": difference_records([page]),
        "settings": [
            {"setting": key, **dict(zip(names, values, strict=True))}
            for key, values in differing([run.contents for run in page.runs])
        ],
        "epochs": epoch_records(names, page.runs),
    }
    return write_paper(folder, named(curves(names, page.runs)), tables)


def difference_records(pages: Sequence[ComparisonPage]) -> list[Row]:
    """Each run beside the first of its page, a row for each metric, and one for what cannot be compared."""
    found: list[Row] = []
    for page in pages:
        names = run_names(page.runs)
        for name, run, pair in zip(names[1:], page.runs[1:], page.pairs, strict=True):
            marks = filter(None, map(mark, (page.runs[0].contents, run.contents)))
            about = {"run": name, "beside": names[0], "split": pair.split, "not_in_both": pair.apart}
            said = {"remark": "; ".join((*marks, *filter(None, [pair.problem])))}
            found += [{**about, **asdict(each), **said} for each in pair.differences] or [{**about, **said}]
    return found


def epoch_records(names: Sequence[str], runs: Sequence[ComparedRun]) -> list[Row]:
    """What was measured after each epoch of each run: the numbers of the curves."""
    return [{"run": name, **row} for name, run in zip(names, runs, strict=True) for row in run.epochs]


def _run_record(name: str, run: ComparedRun) -> Row:
    row, split = _row(name, run), headline(run.contents).split
    judged = (run.contents.evaluation or {}).get(split)
    return {
        "run": name,
        "network": row.network,
        "data": row.data,
        "result": row.answer,
        "split": split,
        **(asdict(leading(judged.metrics)) if judged else {}),
        "state": row.state,
        "epochs": len(run.epochs),
        "minutes": run.minutes,
    }


def render_comparison(page: ComparisonPage) -> str:
    """The page as text."""
    names = run_names(page.runs)
    return template("compare.html").render(
        title=f"{names[0]} and {' and '.join(names[1:])}",
        names=names,
        rows=[_row(name, run) for name, run in zip(names, page.runs, strict=True)],
        settings=differing([run.contents for run in page.runs]),
        curves=curves(names, page.runs),
        pairs=[
            (name, pair, [_difference_row(each) for each in pair.differences])
            for name, pair in zip(names[1:], page.pairs, strict=True)
        ],
        splits=SPLITS,
        sentence=sentence(names, page),
    )


def run_names(runs: Sequence[ComparedRun]) -> list[str]:
    """The name of each run's folder; with the folder above it, where two have one name."""
    places = [run.contents.folder.resolve() for run in runs]
    alone = [place.name for place in places]
    return [
        place.name if alone.count(place.name) == 1 else f"{place.parent.name}/{place.name}"
        for place in places
    ]


def sentence(names: Sequence[str], page: ComparisonPage) -> list[str]:
    """What may be said of each run beside the first, a sentence each; first which of them were not tested honestly."""
    said = [
        f"{name}: {told}. Its figures flatter it."
        for name, run in zip(names, page.runs, strict=True)
        if (told := mark(run.contents))
    ]
    said += [
        f"{name}: {told}."
        for name, run in zip(names, page.runs, strict=True)
        if (told := nothing(run.contents))
    ]
    for name, pair in zip(names[1:], page.pairs, strict=True):
        if pair.problem:
            said.append(f"{name} beside {names[0]}: {pair.problem}")
            continue
        for each in pair.differences:
            row = _difference_row(each)
            said.append(
                f"{name} beside {names[0]}, {row.label} on {counted(pair.images, 'image')}: {row.second} against "
                f"{row.first}, a difference of {row.difference} ({row.interval or 'no interval'}). "
                f"{row.called.capitalize()}: {row.reason[0].lower()}{row.reason[1:]}"
            )
    return said


def differing(runs: Sequence[RunContents]) -> list[tuple[str, list[str]]]:
    """The settings that are not the same in all runs, each with the value of every run."""
    tables = [_known(run) for run in runs]
    keys = list(dict.fromkeys(key for table in tables for key in table))
    rows = [(key, [table.get(key, "–") for table in tables]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values)) > 1]


def _known(run: RunContents) -> dict[str, str]:
    machine: dict[str, Any] = vars(run.environment)
    data = {"data": run.data.name or file_name(run.data.root)}
    counts = {
        f"{SPLITS[split]} images": integer(sum(found.values())) for split, found in run.data.counts.items()
    }
    settings = {key: cell(value) for key, value in recipe_rows(run)}
    return {
        **data, **counts, **settings, **{key: cell(machine[key]) for key in SAME_MACHINE if key in machine},
    }  # fmt: skip


def _row(name: str, run: ComparedRun) -> RunRow:
    contents = run.contents
    head = headline(contents)
    return RunRow(
        name=name,
        network=contents.network.name,
        data=contents.data.name or file_name(contents.data.root),
        answer=f"{head.answer} ({head.mark})" if head.mark else head.answer,
        interval=head.interval,
        state=run.state,
        epochs=integer(len(run.epochs)) if run.epochs else "–",
        minutes=number(run.minutes, 1) if run.minutes >= 0.05 else "< 0.1",
    )


def _difference_row(each: Difference) -> DifferenceRow:
    def said(value: float, low: float | None = None, high: float | None = None) -> Any:
        return shown(Measured(each.name, value, low, high, "", each.unit, each.target))

    change = said(each.difference, each.low, each.high)
    sign = "+" if each.difference > 0 else ""
    ahead = "right" if each.name == "accuracy" else "nearer"
    return DifferenceRow(
        label=change.label,
        first=said(each.first).value,
        second=said(each.second).value,
        difference=sign + with_unit(change.number, POINTS if change.share else each.unit),
        interval=change.interval.replace("%", POINTS) if change.share else change.interval,
        p_value="< 0.001" if each.p_value < 0.001 else number(each.p_value, 3),
        test=each.test,
        only=f"{integer(each.only_first)} the first alone {ahead}, {integer(each.only_second)} the second",
        called=each.called,
        reason=each.reason,
    )


def curves(names: Sequence[str], runs: Sequence[ComparedRun]) -> list[Figure]:
    """Losses, and accuracy or error, of all runs over each other, and their gradients where those were watched."""
    epochs = sorted({row["epoch"] for run in runs for row in run.epochs})
    if not epochs:
        return []
    figures = []
    for column, (title, caption) in CURVES.items():
        lines = [
            Series(shorten(name, WORDS), f"run{place}", _values(run, column, epochs))
            for place, (name, run) in enumerate(zip(names, runs, strict=True), start=1)
            if any(column in row for row in run.epochs)
        ]
        lines, beyond = _in_sight(lines)
        if lines:
            drawing = charts.learning_curve(epochs, lines, best=None, share=column == "val_accuracy")
            figures.append(Figure(title=title, svg=drawing, caption=caption + beyond))
    return [*figures, *_gradients(names, runs)]


def _in_sight(lines: Sequence[Series]) -> tuple[list[Series], str]:
    """The lines without what would press all else flat, and a sentence on what is left out, "" for nothing."""
    known = [value for line in lines for value in line.values if isfinite(value)]
    ceiling = FAR * sorted(known)[9 * len(known) // 10] if len(known) >= FEW else nan
    far = sum(value > ceiling for value in known)
    if not far:
        return list(lines), ""
    kept = [
        replace(each, values=[nan if value > ceiling else value for value in each.values]) for each in lines
    ]
    return kept, f" Not drawn: {counted(far, 'value')} above {number(ceiling, 3)}, up to {max(known):.3g}."


def _gradients(names: Sequence[str], runs: Sequence[ComparedRun]) -> list[Figure]:
    """The gradients by layer in the first epoch and in the last that all have; nothing if they were not watched."""
    watched = [run.contents.gradients for run in runs]
    common = sorted(set.intersection(*(set(each) for each in watched)))
    figures = []
    for epoch in dict.fromkeys([*common[:1], *common[-1:]]):
        lines = [
            Norms(name=shorten(name, WORDS), kind=f"run{place}", layers=each[epoch])
            for place, (name, each) in enumerate(zip(names, watched, strict=True), start=1)
        ]
        figures.append(gradient_figure(f"Gradients by layer, epoch {epoch}", lines))
    return figures


def _values(run: ComparedRun, column: str, epochs: Sequence[float]) -> list[float]:
    found = {row["epoch"]: row.get(column, nan) for row in run.epochs}
    return [found.get(epoch, nan) for epoch in epochs]
