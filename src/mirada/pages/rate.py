"""Draws the loss over a rising learning rate as one HTML page that needs no other file."""

from collections.abc import Sequence
from math import ceil, floor, log10
from pathlib import Path
from typing import Protocol

from markupsafe import Markup

from mirada.pages.charts import Figure, Series, legend, path
from mirada.pages.page import publish, template
from mirada.pages.paper import PaperFiles, named, write_paper
from mirada.svg import (
    BOTTOM,
    HEIGHT,
    LEFT,
    LINE,
    NONE,
    PATH,
    RIGHT,
    SVG,
    TEXT,
    TOP,
    WIDTH,
    PixelScale,
    power_of_ten,
    tick_labels,
    ticks,
    value_axis,
)

CEILING = 2.0  # times the first loss: the axis ends there, since beyond it only one thing is to be seen


class Tried(Protocol):
    """What was tried: ``training.rate_test.RateTest``, which this room may not import."""

    @property
    def rates(self) -> tuple[float, ...]:
        """Of each step."""

    @property
    def losses(self) -> tuple[float, ...]:
        """Of each step."""

    @property
    def smoothed(self) -> tuple[float, ...]:
        """Their exponential mean."""

    @property
    def lowest(self) -> int:
        """The step with the lowest smoothed loss."""

    @property
    def current(self) -> float:
        """The rate of the recipe."""

    @property
    def suggested(self) -> float | None:
        """A rate to begin with."""


def rate_sentence(found: Tried) -> str:
    """What the test says, in one or two sentences."""
    first = power_of_ten(round(log10(found.rates[0])))
    end = f"After {len(found.rates)} steps, from {first} to {found.rates[-1]:.1g}: "
    if found.suggested is None:
        return (
            f"{end}the loss did not fall by more than its noise, so nothing is suggested; the recipe has "
            f"{found.current:g}."
        )
    return (
        f"{end}the loss was lowest at {found.rates[found.lowest]:.1g}, and a tenth of that, {found.suggested:g}, is a "
        f"rate to begin with; the recipe has {found.current:g}."
    )


def write_rate_page(found: Tried, name: str, file: Path) -> Path:
    """Writes the page and returns its path; it appears whole or not at all.

    Args:
        found: What was tried.
        name: Of network and data.
        file: Where.
    """
    return publish(
        template("rate.html").render(
            title=f"{name}: learning rate", sentence=rate_sentence(found), figure=_figure(found)
        ),
        file,
    )


def write_rate_paper(found: Tried, folder: Path) -> PaperFiles:
    """Writes the figure of the page and its numbers as files for a paper, into a folder that is made.

    Raises:
        OSError: The disk does not take it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"step": step, "rate": rate, "loss": loss, "smoothed": smoothed}
        for step, (rate, loss, smoothed) in enumerate(
            zip(found.rates, found.losses, found.smoothed, strict=True), start=1
        )
    ]
    return write_paper(folder, named([_figure(found)]), {"rates": rows})


def _figure(found: Tried) -> Figure:
    return Figure(title="Loss over the learning rate", svg=rate_curve(found), caption=CAPTION)


CAPTION = (
    "Each step has a higher rate than the one before. Where the line falls, the network learns; where it rises, steps "
    "are too long. What is right for the first steps may be too high for a long training without a schedule."
)


def rate_curve(found: Tried) -> Markup:
    """The losses, and their smoothed course, over the logarithm of the rate."""
    across = [log10(rate) for rate in found.rates]
    top = CEILING * found.smoothed[0]
    marks = ticks(min(0.0, *found.smoothed), min(top, max(found.losses)))
    x = PixelScale(across[0], across[-1], LEFT + 8, WIDTH - RIGHT - 8)
    y = PixelScale(marks[0], marks[-1], HEIGHT - BOTTOM, TOP)
    decades = range(ceil(across[0] - 1e-9), floor(across[-1] + 1e-9) + 1)
    series = [
        Series("loss", "train", _within(found.losses, marks[-1])),
        Series("smoothed", "val", _within(found.smoothed, marks[-1])),
    ]
    parts = [
        value_axis(y, marks, tick_labels(marks)),
        *(TEXT.format("tick middle", x(each), HEIGHT - BOTTOM + 17, power_of_ten(each)) for each in decades),
        TEXT.format("axis end", WIDTH - RIGHT, HEIGHT - 6, "learning rate"),
        legend(series),
        *(PATH.format(each.kind, path(x, y, across, each.values)) for each in series),
        *_mark(x, found.suggested, "suggested"),
        *_mark(x, found.current, "recipe"),
    ]
    return SVG.format(WIDTH, HEIGHT, "The loss over the learning rate", NONE.join(parts))


def _within(values: Sequence[float], top: float) -> list[float]:
    """What lies above the axis is cut off, so that the line leaves it at the top."""
    return [min(value, top) for value in values]


def _mark(x: PixelScale, rate: float | None, name: str) -> list[Markup]:
    if rate is None or not x.low <= log10(rate) <= x.high:
        return []
    place = x(log10(rate))
    height = TOP + (14 if name == "recipe" else 0)
    return [
        LINE.format("best", place, TOP, place, HEIGHT - BOTTOM),
        TEXT.format("note", place + 5, height + 8, f"{name}: {rate:g}"),
    ]
