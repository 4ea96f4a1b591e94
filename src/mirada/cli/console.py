"""What the verbs share: progress bars on a terminal and plain lines elsewhere, tables, numbers as people read them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import click

from mirada.cli.streams import heard_or_not, silence
from mirada.text import table, visible, visible_json

if TYPE_CHECKING:  # `mirada --help` loads little: what is used later is imported there
    from mirada.evaluation.evaluate import Measured
    from mirada.events import Progress

SECONDS_BETWEEN_LINES = 10.0  # progress without a terminal


def say(*lines: object, err: bool = False) -> None:
    """Prints lines, the only way in which a verb does: what a terminal would obey in them is written out.

    Where the reader has gone, as ``head`` does, the verb goes on, and what it says goes nowhere.

    Args:
        lines: one line each, also where a name in it has a line break.
        err: to standard error.

    Raises:
        OSError: if the output cannot be written, for the disk is full.
    """
    try:
        click.echo("\n".join(map(visible, lines)), err=err)
    except BrokenPipeError:
        silence(sys.stderr if err else sys.stdout)
    except OSError as error:
        error.filename = "standard error" if err else "standard output"
        raise


def say_json(content: object) -> None:
    """Prints a value as JSON; raises as ``say`` does."""
    from mirada.files import json_text

    say(*visible_json(json_text(content, indent=1)).split("\n"))


class _Underway(NamedTuple):
    """How work goes on: what was heard of it first, and when, and what last."""

    first: Progress
    began: float
    last: Progress

    def goes_on_with(self, event: Progress) -> bool:
        """Whether it is the same work, and not such work once more: one fold's time says nothing of the next one's."""
        last = self.last
        return (event.what, event.total) == (last.what, last.total) and event.done >= last.done

    def left(self, now: float) -> str:
        """How long the rest will take at the pace so far; "" where nothing is known of it."""
        done = self.last.done - self.first.done
        if done <= 0:
            return ""
        seconds = (now - self.began) / done * (self.last.total - self.last.done)
        return f", about {seconds:.0f} s left" if seconds < 100 else f", about {seconds / 60:.0f} min left"


class ProgressBar:
    """Shows progress: a bar on a terminal, now and then a line elsewhere. Use as a context."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self.bar: Any = None
        self.task: Any = None
        self.what = ""
        self.told = time.monotonic()
        self.work: _Underway | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def on_event(self, event: Progress, note: str = "") -> None:
        """Hears of progress; ``note`` stands behind the bar."""
        if os.environ.get("RANK", "0") != "0":  # the first of processes that train together speaks for all
            return
        with heard_or_not(sys.stderr):
            if self.terminal:
                self._draw(event, note)
            else:
                self._tell(event)

    def line(self, *lines: object) -> None:
        """Prints lines, above the bar if that is on the same terminal.

        Work does not end because nobody reads of it: where the output is full or closed, the rest goes unsaid.
        """
        with heard_or_not(sys.stdout):
            if self.bar and sys.stdout.isatty():
                text = "\n".join(map(visible, lines))
                self.bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
            else:
                say(*lines)

    def close(self) -> None:
        """Takes the bar away."""
        bar, self.bar, self.what = self.bar, None, ""
        if bar:
            with heard_or_not(sys.stderr):
                bar.stop()

    def _draw(self, event: Progress, note: str) -> None:
        if event.what != self.what:
            self.close()
            self.what = event.what
            self.bar = _bar()
            self.bar.start()
            self.task = self.bar.add_task(self.what, total=event.total, note="")
        self.bar.update(self.task, completed=event.done, note=note)
        if event.done >= event.total:
            self.close()

    def _tell(self, event: Progress) -> None:
        now = time.monotonic()
        if self.work and self.work.goes_on_with(event):
            self.work = self.work._replace(last=event)
        else:
            self.work = _Underway(event, now, event)
        if now - self.told >= SECONDS_BETWEEN_LINES and event.done < event.total:
            self.told = now
            say(f"{event.what}: {event.done:,} of {event.total:,}{self.work.left(now)}", err=True)


def _bar() -> Any:
    from rich import progress
    from rich.console import Console

    return progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[note]}"),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        redirect_stdout=False,  # which may be a file
        transient=True,
    )


def counts_table(counts: dict[str, dict[str, int]], *, classes: bool = True) -> list[str]:
    """Images per class and split; of numbers, which have no classes, per split."""
    splits = list(counts)
    names = list(next(iter(counts.values()), {})) if classes else []
    rows = [[name, *(f"{counts[split].get(name, 0):,}" for split in splits)] for name in names]
    rows.append(["all" if classes else "images", *(f"{sum(counts[split].values()):,}" for split in splits)])
    return table(["class" if classes else "", *splits], rows)


def share(value: float | None) -> str:
    """A share in per cent."""
    return "–" if value is None else f"{value:.1%}"


def quantity(value: float | None, unit: str = "") -> str:
    """A number with four digits and its unit."""
    return "–" if value is None else f"{value:.4g} {unit}".rstrip()


def figure(key: str, value: float | None, unit: str = "") -> str:
    """A metric's value, as its kind is shown."""
    from mirada.evaluation.metric_table import metric_named  # which brings NumPy, of no use to --help

    return share(value) if metric_named(key).kind == "share" else quantity(value, unit)


def interval(low: str, high: str) -> str:
    """From one end to the other; ``–`` where there is no interval."""
    return "–" if "–" in (low, high) else f"{low} … {high}"


def metric_lines(metrics: Sequence[Measured]) -> list[str]:
    """One line per metric, with its interval."""
    rows = [
        [
            measured.name,
            figure(measured.name, measured.value, measured.unit),
            interval(figure(measured.name, measured.low), figure(measured.name, measured.high)),
            measured.method,
        ]
        for measured in metrics
    ]
    return table(["metric", "value", "interval", "method"], rows, left=4)
