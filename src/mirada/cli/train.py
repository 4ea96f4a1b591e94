"""``mirada train``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from mirada.cli.console import ProgressBar, counts_table, figure, interval, say
from mirada.cli.data_options import DataOptions, data_options
from mirada.cli.files import data_path, new_folder
from mirada.cli.loading import loading
from mirada.cli.plan import PLAN, planned_for
from mirada.cli.recipe_options import recipe_options, stated_recipe
from mirada.cli.streams import heard_or_not
from mirada.errors import counted
from mirada.events import (
    Beginning,
    BestEpoch,
    EpochDone,
    Evaluated,
    Event,
    FileExcluded,
    FoldStarted,
    Progress,
    SeedStarted,
    Started,
    Stopped,
    ThresholdChosen,
)
from mirada.files import write_text
from mirada.text import table

if TYPE_CHECKING:
    from mirada.data.index import Index
    from mirada.evaluation.seeds import SeedSpread
    from mirada.events import OnEvent
    from mirada.training.recipe import Recipe

FEW = 5_000  # images to train on, with which public weights mostly do better
LISTED = 10  # files that are left out, by name
SPLITS = {"val": "validation", "test": "test"}


class _Train(click.Command):
    """The verb; of a setting that is no option it says how it is given."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(context, args)
        except click.NoSuchOption as error:
            raise click.UsageError(_hint(error), context) from error


def _hint(error: click.NoSuchOption) -> str:
    """What to do instead of an option that there is not."""
    from mirada.errors import RecipeError
    from mirada.training.recipe import place_of

    key = error.option_name.lstrip("-").replace("-", "_")
    try:
        place_of(key)
    except RecipeError:
        return error.format_message()
    return f"There is no option {error.option_name}; it is a setting: --set {key}=… (mirada settings {key} tells more)."


@click.command(
    cls=_Train, epilog="mirada settings [KEY|MODEL] lists what --set takes: type, range, default, meaning."
)
@data_options()
@click.argument("data", callback=data_path)
@recipe_options
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    help="Train this many networks, each tested on another part of the images.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=2),
    help="Train with this many seeds on the same split, to see how much is luck.",
)
@click.option(
    "--minutes",
    type=float,
    help="Choose image size, epochs and what is frozen for this much time, as `mirada plan` does.",
)
@click.option(
    "--output", type=click.Path(), callback=new_folder, help="The run folder. [default: runs/<data>-<model>]"
)
def command(
    columns: DataOptions,
    data: str,
    recipe: str | None,
    settings: tuple[str, ...],
    folds: int | None,
    seeds: int | None,
    minutes: float | None,
    output: str | None,
    **flags: Any,
) -> int:
    """Train a network on images, for their classes or for numbers.

    DATA holds a folder per class, or train, val and test folders with a folder per class in each; or it is a table
    (CSV, TSV) with a row per image, or a file of arrays (IDX, NPZ). What is missing of validation and test is set
    aside, no group divided, and the test images are used once, at the end. Leaves a run folder with the model,
    predictions and report.html.

    --weights takes public weights by name (mirada weights list), what torchvision and timm publish for the network,
    or a model that was trained before. A head of another size is replaced by a random one, with a message, and pixels
    are normalized as the weights expect. From public weights the head is average, unless --set head=… names another.

    --minutes measures a few steps first and chooses image size, epochs and, with --weights, what is frozen, so that the
    whole run takes that long; the plan is kept as plan.toml in the run folder.

    --folds is cross-validation, for few images: every image is tested once, by a network that was not trained on it,
    and the report judges them all together.

    --seeds makes the same training with several seeds: the report says how much the figures vary by luck alone, so
    that no smaller difference is taken for an improvement.
    """
    if folds and seeds:
        raise click.UsageError("--folds and --seeds do not go together: each makes several runs.")
    chosen, stated = stated_recipe(recipe, settings, flags)
    index = columns.load(data)  # said before torch is loaded
    with loading():
        from mirada.compute import flush_denormals, keep_freed_memory

    flush_denormals()
    planned = None
    if minutes is not None:
        planned = planned_for(index, minutes / (folds or seeds or 1), chosen, stated, training=True)
        chosen = planned.recipe
    with ProgressBar() as progress:
        lines = TrainingLines(progress, "" if chosen.weights else chosen.model)

        def on_event(event: Event) -> None:
            if isinstance(event, Started):  # what decoding has freed goes back
                keep_freed_memory()
                if planned:
                    write_text(Path(event.folder) / PLAN, planned.to_toml())
            lines.show(event)

        done = _done(index, chosen, (folds, seeds), output, on_event)
    if not done.complete:
        with heard_or_not(sys.stderr):
            say(*_interrupted(done.folder, done.missing), err=True)
    progress.line(*done.lines, done.report)
    return 0 if done.complete else 130


def _interrupted(folder: Path, missing: Sequence[str]) -> list[str]:
    """What there is after Ctrl-C, and of several runs which are not there, and how to see how far each came."""
    lines = [f"Interrupted. What there is: {folder}"]
    if missing:
        lines += [f"Not finished: {', '.join(missing)}. How far each came: mirada runs {folder}"]
    return lines


class _Done(NamedTuple):
    """What has been trained: its folder, the page to look at, lines to say before it, and what is not finished."""

    folder: Path
    report: Path
    complete: bool
    lines: Sequence[str] = ()
    missing: Sequence[str] = ()


def _done(
    index: Index,
    recipe: Recipe,
    several: tuple[int | None, int | None],
    output: str | None,
    on_event: OnEvent,
) -> _Done:
    """One run, or those of so many folds, or seeds."""
    number_of_folds, number_of_seeds = several
    if number_of_folds:
        with loading():
            from mirada.jobs.folds import cross_validate
        folds = cross_validate(index, recipe=recipe, folds=number_of_folds, output=output, on_event=on_event)
        return _Done(folds.folder, folds.report_path, folds.complete, missing=folds.missing)
    if number_of_seeds:
        with loading():
            from mirada.jobs.seeds import train_seeds
        seeds = train_seeds(index, recipe=recipe, seeds=number_of_seeds, output=output, on_event=on_event)
        lines = _spread_lines(seeds.spreads)
        return _Done(seeds.folder, seeds.report_path, seeds.complete, lines, seeds.missing)
    with loading():
        from mirada.jobs.train import train
    run = train(index, recipe=recipe, output=output, on_event=on_event)
    return _Done(run.folder, run.report_path, run.outcome.reason != "interrupted")


def _spread_lines(spreads: Sequence[SeedSpread]) -> list[str]:
    """A table of how much each metric varies between seeds, and what follows; nothing without runs to compare."""
    if not spreads:
        return []
    rows = [
        [
            f"{each.name}:{each.target}" if each.target else each.name,
            figure(each.name, each.mean, each.unit),
            figure(each.name, each.deviation),
            interval(figure(each.name, each.least), figure(each.name, each.most)),
            interval(*(figure(each.name, end) for end in each.interval)) if each.interval else "–",
            figure(each.name, each.luck),
        ]
        for each in spreads
    ]
    header = ["metric", "mean", "deviation", "seeds", "interval of the images", "luck"]
    return [
        "",
        *table(header, rows),
        f"{spreads[0].seeds} runs that differ in their seed alone. Two of them are as far apart as the column luck "
        "says in 1 case of 20: a smaller difference is no improvement.",
    ]


def _loss(value: float) -> str:
    """Four decimals, so that the numbers stand in a column; fewer digits for a loss that has run away."""
    return f"{value:.4f}" if value < 1000 else f"{value:.1e}"


def _advice(network: str, images: int) -> str:
    """What to do better than to begin with random weights on few images, where there are public ones."""
    from mirada.store.catalogue import weights_of

    if not network or images >= FEW or not weights_of(network):
        return ""
    return (
        f"The weights are random. With so few images public ones mostly do better: --weights {network}; mirada weights "
        f"list {network} shows what there is."
    )


class TrainingLines:
    """Turns the events of a run into lines and a progress bar; ``untaught`` is a network that begins at random."""

    def __init__(self, progress: ProgressBar, untaught: str = "") -> None:
        self.progress = progress
        self.untaught = untaught
        self.speed = ""
        self.excluded = 0

    def show(self, event: Event) -> None:
        """Hears an event of a run."""
        if isinstance(event, Beginning):
            self.progress.line(*event.text.split("\n"))
        match event:
            case Progress():
                note = f"epoch {event.epoch}{self.speed}" if event.epoch else ""
                self.progress.on_event(event, note)
            case Started():
                self._start(event)
            case FileExcluded():
                self._excluded(event)
            case EpochDone():
                self._epoch(event)
            case Stopped(reason="early"):
                self.progress.line(
                    f"Stopped after epoch {event.epochs}: no improvement for `patience` epochs."
                )
            case BestEpoch():
                self.progress.line(f"best epoch: {event.epoch}")
            case ThresholdChosen():
                self.progress.line(event.text)
            case Evaluated():
                self._evaluation(event)
            case FoldStarted():
                self.progress.line(f"fold {event.fold} of {event.folds}")
            case SeedStarted():
                self.progress.line(f"seed {event.seed}, {event.number} of {event.seeds}")

    def _start(self, event: Started) -> None:
        for note in event.notes:
            self.progress.line(note)
        self.progress.line(*counts_table(event.counts, classes=event.classes))
        self.progress.line(event.split_note)
        if event.augmentation:
            self.progress.line(f"Augmentation: {event.augmentation}.")
        decoded = f"{event.decoded:,} images decoded" if event.decoded else "all images in the cache"
        self.progress.line(f"{event.parameters:,} parameters, {decoded}, training on {event.compute}.")
        if advice := _advice(self.untaught, sum(event.counts.get("train", {}).values())):
            self.progress.line(advice)
        self.untaught = ""  # of folds, once

    def _excluded(self, event: FileExcluded) -> None:
        self.excluded += 1
        if self.excluded <= LISTED:
            self.progress.line(f"left out: {event.path}: {event.reason}")
        elif self.excluded == LISTED + 1:
            self.progress.line("left out: more, all named in events.jsonl and in the report")

    def _epoch(self, event: EpochDone) -> None:
        self.speed = f", {event.images_per_second:,.0f} images/s"
        shown = [
            f"{name} {figure(name, value)}"
            for name, value in event.metrics.items()
            if value is not None and isfinite(value)  # R² of targets that are all alike is not defined
        ]
        self.progress.line(
            f"epoch {event.epoch:3}  {event.seconds:6.2f} s  loss {_loss(event.train_loss)}  "
            f"validation loss {_loss(event.val_loss)}  {'  '.join(shown)}{'  best' if event.best else ''}"
        )

    def _evaluation(self, event: Evaluated) -> None:
        told = event.metrics
        if any(":" in key for key in told):  # of several targets, the two that say most
            told = {key: value for key, value in told.items() if key.startswith(("mae:", "r2:"))}
        shown = [f"{key} {figure(key, value)}" for key, value in told.items()]
        self.progress.line(f"{SPLITS[event.split]}, {counted(event.n, 'image')}: {', '.join(shown)}")
        from mirada.pages.words import mark_of

        if mark := mark_of(event.trained_on, event.n):
            self.progress.line(f"{SPLITS[event.split]}: {mark}")
