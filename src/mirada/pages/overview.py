"""The top of the page, computed from a run folder: the answer, the key numbers, the images per class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from statistics import fmean, median, stdev

from mirada.errors import counted
from mirada.evaluation.evaluate import Measured
from mirada.events import Evaluated, FoldStarted, SeedStarted
from mirada.pages.seeds import LEADING, seed_table
from mirada.pages.words import SPLITS, Shown, mark_of, nothing_learnt, shown
from mirada.runs.reader import RunContents
from mirada.text import compact, duration, integer, known, number, percent, with_unit


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A key number."""

    label: str
    value: str
    unit: str = ""
    note: str
    interval: str = ""


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The answer: what was trained on what, and how well it does. ``split`` is empty before any evaluation.

    ``mark`` says why it is no honest one, where that is so.
    """

    subject: str
    answer: str
    interval: str
    split: str
    mark: str = ""

    @property
    def text(self) -> str:
        """The answer as one line."""
        beside = "; ".join(filter(None, (self.interval, self.mark)))
        return f"{self.subject}: {self.answer}" + (f" ({beside})" if beside else "")


def headline(run: RunContents) -> Headline:
    """The answer, from the test split if there is one, else from the validation split."""
    subject = f"{run.network.name} on {run.data.name or file_name(run.data.root)}"
    evaluation = run.evaluation or {}
    if len(run.data.seeds) > 1:
        seeds = seed_table(run)
        images = counted(run.data.seeds[0].n, f"{SPLITS[seeds.split]} image")
        answer = f"{seeds.answer} on {images}"
        return Headline(subject=subject, answer=answer, interval="", split=seeds.split, mark=mark(run))
    split = next((name for name in ("test", "val") if name in evaluation and evaluation[name].n), "")
    if not split:
        count = len(run.epochs)
        trained = f"trained for {integer(count)} epoch{'s' if count != 1 else ''}"
        answer = f"{trained if count else 'no epoch finished'}, not evaluated"
        match run.begun:
            case FoldStarted(fold, planned):
                answer = f"{fold} of {planned} folds begun, not judged together"
            case SeedStarted(_, number, planned):
                answer = f"{number} of {planned} seeds begun, not compared"
        return Headline(subject=subject, answer=answer, interval="", split="")
    first = shown(leading(evaluation[split].metrics))
    said = f"{first.value} {first.label}" if first.share else f"{first.label} {first.value}"
    images = counted(evaluation[split].n, f"{SPLITS[split]} image")
    if run.data.folds:
        planned = len(run.data.folds) + len(run.missing)
        images += f" of {len(run.data.folds)}{f' of the {planned}' if run.missing else ''} folds"
    interval = f"{first.level} {first.interval}" if first.interval else ""
    answer = f"{said} on {images}"
    return Headline(subject=subject, answer=answer, interval=interval, split=split, mark=mark(run))


def mark(run: RunContents) -> str:
    """Why the figures of the test are no honest ones: the weights had learnt from some of its images; else ""."""
    judged = [event for event in run.events if isinstance(event, Evaluated) and event.split == "test"]
    return mark_of(judged[-1].trained_on, judged[-1].n) if judged else ""


def nothing(run: RunContents) -> str:
    """Whether the network, or how many of several, gives the same answer whatever the image; else ""."""
    if not run.begun:
        return nothing_learnt(int(any(each.constant for each in (run.evaluation or {}).values())))
    judged = [event for event in run.events if isinstance(event, Evaluated)]
    return nothing_learnt(judged[-1].constant, judged[-1].networks) if judged else ""


def file_name(path: str) -> str:
    """The last part of a path, of any system: what is said of a place without telling whose it is."""
    return PurePath(path.replace("\\", "/")).name or path


def stopped(run: RunContents) -> str:
    """What is to be said of how the run ended: how far it came, if not to its end; else, mostly, nothing."""
    end = run.ending
    planned, patience = run.recipe.get("epochs"), run.recipe.get("patience")
    after = f"after {len(run.epochs)} of {planned} epochs" if planned else f"after {len(run.epochs)} epochs"
    if run.begun:
        done = len(run.data.folds) + len(run.data.seeds)
        kind = "folds" if isinstance(run.begun, FoldStarted) else "seeds"
        after = f"after {done} of {done + len(run.missing)} {kind}"
    unjudged = ""
    if run.evaluation is None and not run.begun:
        unjudged = " It was killed before its model was judged, or is still at it: its end is not recorded."
    match end.reason if end else None:
        case None:
            return _unrecorded(run, after)
        case "finished":
            return f"All {planned} epochs are trained.{unjudged}" if unjudged else ""
        case "early":
            sentence = f"Training stopped early, {after}: the validation result had not improved for {patience} epochs."
            return sentence + unjudged
        case "interrupted":
            when = f" {end.text}" if end and end.text else ""
            return f"Training was interrupted {after}{when}.{_without(run)}"
        case "failed":
            return f"Training ended {after}: {end.text.rstrip('.') if end else ''}.{_without(run)}"


def _unrecorded(run: RunContents, after: str) -> str:
    """Of a run whose end is not recorded how far it came; nothing of one that has all there is to be."""
    whole = not run.missing if run.begun else run.evaluation is not None
    if whole:
        return ""
    return f"The run was killed {after}, or is still running: its end is not recorded.{_without(run)}"


def _without(run: RunContents) -> str:
    """Which folds, or seeds, are not finished, and of how many images nothing is known."""
    if not run.missing:
        return ""
    unjudged = ""
    if run.evaluation and "test" in run.evaluation:
        images = sum(sum(counts.values()) for counts in run.data.counts.values())
        unjudged = f", so {counted(images - run.evaluation['test'].n, 'image')} of {images:,} are not judged"
    verb = "is" if len(run.missing) == 1 else "are"
    return f" Not finished {verb} {', '.join(run.missing)}{unjudged}."


def leading(metrics: Sequence[Measured]) -> Measured:
    """The metric that answers the question; of several targets, the first one's."""
    named: dict[str, Measured] = {}
    for metric in metrics:
        named.setdefault(metric.name, metric)
    return next(named[name] for name in (*LEADING, *named) if name in named)


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One network of a cross-validation: its folder, how many images tested it, the epoch kept, how well it did."""

    folder: str
    n: int
    epoch: int
    metric: Shown


def folds(run: RunContents) -> tuple[list[Fold], str]:
    """The networks of a cross-validation, none for a single run, and a sentence on how much they differ."""
    rows = run.data.folds
    if not rows:
        return [], ""
    measured = [leading(row.metrics) for row in rows]
    found = [
        Fold(folder=row.folder, n=row.n, epoch=row.epoch, metric=shown(metric))
        for row, metric in zip(rows, measured, strict=True)
    ]
    values = [metric.value for metric in measured if metric.value is not None]
    if len(values) < 2:
        return found, ""
    mean, spread = (
        shown(replace(measured[0], value=value)).value for value in (fmean(values), stdev(values))
    )
    name = found[0].metric.label
    return (
        found,
        f"The folds’ {name} is {mean} on average, with a standard deviation of {spread} between folds.",
    )


def progress(run: RunContents) -> str:
    """What training itself measured at the epoch whose weights were kept, else at the last one."""
    if not run.epochs:
        return ""
    row = next((row for row in run.epochs if row["epoch"] == run.best), run.epochs[-1])
    when = f"After epoch {integer(row['epoch'])}"
    if run.data.numeric and known(row.get("val_mae")):
        value = with_unit(number(row["val_mae"]), run.data.unit)
        return f"{when}, the mean absolute error on the validation images was {value}."
    if known(row.get("val_accuracy")):
        return f"{when}, the accuracy on the validation images was {percent(row['val_accuracy'])}."
    return f"{when}, the validation loss was {number(row['val_loss'])}."


def tiles(run: RunContents, head: Headline) -> list[Tile]:
    """The key numbers: first the metrics of the headline's split, then what training cost."""
    found = []
    if head.split and run.evaluation:
        for metric in map(shown, run.evaluation[head.split].metrics[:3]):
            name = metric.label[0].upper() + metric.label[1:]
            note = metric.level or f"{SPLITS[head.split]} images"
            note = f"no honest test; {note}" if head.mark else note
            value, unit = (metric.value, "") if metric.share else (metric.number, metric.unit)
            found.append(Tile(label=name, value=value, unit=unit, note=note, interval=metric.interval))
    macs = run.network.macs
    work = f"{compact(macs)} multiply-accumulates per image" if macs is not None else ""
    found.append(Tile(label="Parameters", value=compact(run.network.parameters), note=work))
    if run.epochs:
        last = int(run.epochs[-1]["epoch"])
        note = f"epoch {integer(run.best)} was kept" if run.best is not None else ""
        found.append(Tile(label="Epochs", value=integer(last), note=note))
    seconds = run.environment.seconds
    if seconds is not None:
        speeds = [row["images_per_second"] for row in run.epochs if known(row["images_per_second"])]
        note = f"{number(median(speeds))} images per second" if speeds else ""
        found.append(Tile(label="Training time", value=duration(seconds), note=note))
    return found


CountRow = tuple[
    str, list[tuple[int, float]]
]  # a class; per split (count, share of the split's largest class)


def count_table(run: RunContents) -> tuple[list[str], list[CountRow]]:
    """The splits that have images, in their order, and the rows of their classes."""
    counts = {split: run.data.counts[split] for split in SPLITS if split in run.data.counts}
    return list(counts), count_rows(counts, numeric=run.data.numeric, names=run.data.classes)


def count_rows(
    counts: Mapping[str, Mapping[str, int]], *, numeric: bool, names: Sequence[str] = ()
) -> list[CountRow]:
    """A row for each class, by default for all that are counted; of numbers one for all images.

    Args:
        counts: Images by split and class.
        numeric: Whether the target is a number, which has no classes.
        names: The classes.
    """
    names = names or list(dict.fromkeys(name for table in counts.values() for name in table))
    most = {split: max([1, *table.values()]) for split, table in counts.items()}
    return [
        (
            "Images" if numeric else name,
            [(table.get(name, 0), table.get(name, 0) / most[split]) for split, table in counts.items()],
        )
        for name in names
    ]
