"""``mirada train``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from mirada.cli.console import ProgressBar, counts_table, figure, say
from mirada.cli.data_options import DataOptions, data_options
from mirada.cli.pairs import setting
from mirada.cli.streams import heard_or_not
from mirada.errors import counted
from mirada.events import (
    BestEpoch,
    EpochDone,
    Evaluated,
    Event,
    FileExcluded,
    FirstLayerLoaded,
    FoldStarted,
    LayersFrozen,
    LoadReport,
    Progress,
    Started,
    Stopped,
)

if TYPE_CHECKING:
    from mirada.training.recipe import Recipe

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
@click.argument("data", type=click.Path(exists=True))
@click.option("--model", help="A network of `mirada models`. [default: resnet18]")
@click.option(
    "--weights",
    type=click.Path(exists=True, dir_okay=False),
    help="Public weights, or a model file, to start from. [default: random]",
)
@click.option("--epochs", type=int, help="Passes over the training images. [default: the network's own]")
@click.option("--batch-size", type=int, help="Images per step. [default: the network's own]")
@click.option("--lr", type=float, help="Learning rate. [default: the network's own]")
@click.option("--image-size", type=int, help="Side of the network's input in pixels. [default: its own]")
@click.option("--device", help="cpu, cuda, cuda:1, mps. [default: the best there is]")
@click.option("--precision", help="auto, bfloat16 or float32. [default: auto]")
@click.option("--seed", type=int, help="Same seed, same machine: same weights. [default: 0]")
@click.option("--recipe", type=click.Path(exists=True, dir_okay=False), help="A TOML file of settings.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any setting; `mirada settings` lists them."
)
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    help="Train this many networks, each tested on another part of the images.",
)
@click.option("--output", type=click.Path(), help="The run folder. [default: runs/<data>-<model>]")
def command(
    columns: DataOptions,
    data: str,
    recipe: str | None,
    settings: tuple[str, ...],
    folds: int | None,
    output: str | None,
    **flags: Any,
) -> int:
    """Train a network on images, for their classes or for numbers.

    DATA holds a folder per class, or train, val and test folders with a folder per class in each; or it is a table
    (CSV, TSV) with a row per image, or a file of arrays (IDX, NPZ). What is missing of validation and test is set
    aside, no group divided, and the test images are used once, at the end. Leaves a run folder with the model,
    predictions and report.html.

    --weights takes what torchvision and timm publish for the network, or a model that was trained before. A head
    of another size is replaced by a random one, with a message, and pixels are normalized as the weights expect.

    --folds is cross-validation, for few images: every image is tested once, by a network that was not trained on it,
    and the report judges them all together.
    """
    chosen = _recipe(recipe, {key: value for key, value in flags.items() if value is not None}, settings)
    index = columns.load(data)  # said before torch is loaded
    from mirada.compute import flush_denormals, keep_freed_memory
    from mirada.jobs.folds import cross_validate
    from mirada.jobs.train import train

    flush_denormals()
    with ProgressBar() as progress:
        lines = _Lines(progress)

        def on_event(event: Event) -> None:
            if isinstance(event, Started):  # what decoding has freed goes back
                keep_freed_memory()
            lines.show(event)

        if folds:
            done = cross_validate(index, recipe=chosen, folds=folds, output=output, on_event=on_event)
            run, report, complete = done.runs[-1], done.report_path, done.evaluation is not None
        else:
            run = train(index, recipe=chosen, output=output, on_event=on_event)
            report, complete = run.report_path, run.outcome.reason != "interrupted"
    if not complete:
        with heard_or_not(sys.stderr):
            say(f"Interrupted. What there is: {run.folder}", err=True)
        report = run.report_path
    progress.line(report)
    return 0 if complete else 130


def _recipe(file: str | None, flags: dict[str, Any], settings: tuple[str, ...]) -> Recipe:
    """The model's recipe, then the file's settings, then --set, then the flags."""
    from mirada.models import find
    from mirada.training.recipe import Recipe, recipe_for
    from mirada.training.recipe_text import modern, read_settings

    stated, notes = modern(read_settings(file), file) if file else ({}, ())
    for note in notes:
        say(note)
    pairs = dict(map(setting, settings))
    model = str(flags.get("model") or pairs.get("model") or stated.get("model") or Recipe.model)
    find(model)
    recipe = recipe_for(model)
    if file:
        recipe = recipe.with_settings(stated, origin=file)
    return recipe.with_settings(pairs, origin="--set").with_settings(flags, origin="options")


def _loss(value: float) -> str:
    """Four decimals, so that the numbers stand in a column; fewer digits for a loss that has run away."""
    return f"{value:.4f}" if value < 1000 else f"{value:.1e}"


class _Lines:
    """Turns the events of a run into lines and a progress bar."""

    def __init__(self, progress: ProgressBar) -> None:
        self.progress = progress
        self.speed = ""
        self.excluded = 0

    def show(self, event: Event) -> None:
        match event:
            case Progress():
                note = f"epoch {event.epoch}{self.speed}" if event.epoch else ""
                self.progress.on_event(event, note)
            case Started():
                self._start(event)
            case LoadReport() | FirstLayerLoaded() | LayersFrozen():
                self.progress.line(*event.text.split("\n"))
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
            case Evaluated():
                self._evaluation(event)
            case FoldStarted():
                self.progress.line(f"fold {event.fold} of {event.folds}")

    def _start(self, event: Started) -> None:
        for note in event.notes:
            self.progress.line(note)
        self.progress.line(*counts_table(event.counts, classes=event.classes))
        self.progress.line(event.split_note)
        if event.augmentation:
            self.progress.line(f"Augmentation: {event.augmentation}.")
        decoded = f"{event.decoded:,} images decoded" if event.decoded else "all images in the cache"
        self.progress.line(f"{event.parameters:,} parameters, {decoded}, training on {event.compute}.")

    def _excluded(self, event: FileExcluded) -> None:
        self.excluded += 1
        if self.excluded <= LISTED:
            self.progress.line(f"left out: {event.path}: {event.reason}")
        elif self.excluded == LISTED + 1:
            self.progress.line("left out: more, all named in events.jsonl and in the report")

    def _epoch(self, event: EpochDone) -> None:
        self.speed = f", {event.images_per_second:,.0f} images/s"
        shown = [f"{name} {figure(name, value)}" for name, value in event.metrics.items()]
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
