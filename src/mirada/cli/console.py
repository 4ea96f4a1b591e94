"""What the verbs share: progress bars on a terminal and plain lines elsewhere, tables, numbers as people read them."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

from mirada.events import Progress

if TYPE_CHECKING:
    from mirada.evaluation.evaluate import Measured

SECONDS_BETWEEN_LINES = 10.0  # progress without a terminal


class ProgressBar:
    """Shows progress: a bar on a terminal, now and then a line elsewhere. Use as a context."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self.bar: Any = None
        self.task: Any = None
        self.what = ""
        self.told = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def on_event(self, event: Progress, note: str = "") -> None:
        """Hears of progress; ``note`` stands behind the bar."""
        if self.terminal:
            self._draw(event, note)
        else:
            self._tell(event)

    def line(self, text: str = "") -> None:
        """Prints a line, above the bar if that is on the same terminal."""
        if self.bar and sys.stdout.isatty():
            self.bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            click.echo(text)

    def close(self) -> None:
        """Takes the bar away."""
        if self.bar:
            self.bar.stop()
        self.bar, self.what = None, ""

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
        if time.monotonic() - self.told >= SECONDS_BETWEEN_LINES and event.done < event.total:
            self.told = time.monotonic()
            click.echo(f"{event.what}: {event.done:,} of {event.total:,}", err=True)


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


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Aligned columns; the first ``left`` ones to the left, the rest, numbers, to the right."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def counts_table(counts: dict[str, dict[str, int]]) -> str:
    """Images per class and split."""
    splits = list(counts)
    names = list(next(iter(counts.values()), {}))
    rows = [[name, *(f"{counts[split].get(name, 0):,}" for split in splits)] for name in names]
    rows.append(["all", *(f"{sum(counts[split].values()):,}" for split in splits)])
    return table(["class", *splits], rows)


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
    return table(["metric", "value", "interval", "method"], rows, left=4).splitlines()
