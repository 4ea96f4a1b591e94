"""What is said while a network trains: the lines of the verbs that train."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING

from mirada.cli.console import ProgressBar, counts_table, figure, interval
from mirada.errors import counted
from mirada.events import (
    Beginning,
    BestEpoch,
    EpochDone,
    Evaluated,
    Event,
    FileExcluded,
    FoldStarted,
    NotSaved,
    Progress,
    Resumed,
    SeedStarted,
    Started,
    Stopped,
    ThresholdChosen,
)
from mirada.text import table

if TYPE_CHECKING:
    from mirada.evaluation.seeds import SeedSpread

FEW = 5_000  # images to train on, with which public weights mostly do better
LISTED = 10  # files that are left out, by name
SPLITS = {"val": "validation", "test": "test"}


def spread_lines(spreads: Sequence[SeedSpread]) -> list[str]:
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


def advice_on(network: str, images: int) -> str:
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
            case Resumed() | NotSaved():
                self.progress.line(event.text)
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
        if advice := advice_on(self.untaught, sum(event.counts.get("train", {}).values())):
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
        from mirada.pages.words import mark_of, nothing_learnt

        nothing = nothing_learnt(event.constant, event.networks)
        for remark in filter(None, (nothing, mark_of(event.trained_on, event.n))):
            self.progress.line(f"{SPLITS[event.split]}: {remark}")
