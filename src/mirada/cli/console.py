"""What the verbs share: progress bars on a terminal and plain lines elsewhere, tables, numbers as people read them."""

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import click

from mirada.events import Progress

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


SHARES = frozenset(("accuracy", "top5", "balanced_accuracy", "precision", "recall", "f1"))


def figure(name: str, value: float | None, unit: str = "") -> str:
    """A metric's value: shares in per cent, the rest with four digits and the unit."""
    if value is None:
        return "–"
    return f"{value:.1%}" if name in SHARES else f"{value:.4g} {unit}".rstrip()


def metric_lines(metrics: Sequence[Any]) -> list[str]:
    """One line per metric, with its interval."""
    rows = []
    for metric in metrics:
        interval = ""
        if metric.low is not None:
            interval = f"{figure(metric.name, metric.low)} … {figure(metric.name, metric.high)}"
        rows.append([metric.name, figure(metric.name, metric.value, metric.unit), interval, metric.method])
    return table(["metric", "value", "interval", "method"], rows, left=4).splitlines()
