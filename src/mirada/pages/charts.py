"""The figures of the report: curves over epochs, parity, histograms, confusion."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from types import MappingProxyType

from markupsafe import Markup

from mirada.errors import counted
from mirada.svg import (
    BOTTOM,
    DOT,
    HEIGHT,
    HOVER,
    LEFT,
    LINE,
    NONE,
    PATH,
    RECT,
    RIGHT,
    SVG,
    TEXT,
    TITLE,
    TOP,
    WIDTH,
    PixelScale,
    bars,
    bottom_axis,
    drawable,
    middle_within,
    text_width,
    tick_labels,
    ticks,
    value_axis,
)  # fmt: skip
from mirada.text import integer, number, percent, shorten, with_unit

POINTS = 1500  # at most so many points in a parity plot
HOVERS = 400  # at most so many places that show their numbers under the pointer


@dataclass(frozen=True)
class Series:
    """One line of a chart; ``kind`` is its class in the style sheet (``train``, ``val`` or ``other``)."""

    name: str
    kind: str
    values: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A drawing, its title and the sentence that tells how to read it.

    ``note`` is what the page says around it and what has to go with it wherever else it is shown.
    """

    title: str
    svg: Markup
    caption: str
    note: str = ""


def learning_curve(
    epochs: Sequence[float], series: Sequence[Series], *, best: int | None, share: bool = False
) -> Markup:
    """Lines over epochs, the best epoch marked; values that are no numbers leave a gap.

    An axis of shares is in percent and starts near the data, any other starts at zero.
    """
    values = [value for line in series for value in line.values if drawable(value)] or [0.0]
    marks = ticks(min(values) if share else min(0.0, *values), max(values))
    lonely = 1 if epochs[0] == epochs[-1] else 0  # one epoch alone stands in the middle
    x = PixelScale(epochs[0] - lonely, epochs[-1] + lonely, LEFT + 8, WIDTH - RIGHT - 8)
    y = PixelScale(marks[0], marks[-1], HEIGHT - BOTTOM, TOP)
    whole = [mark for mark in ticks(x.low, x.high) if mark.is_integer() and epochs[0] <= mark <= epochs[-1]]
    parts = [
        value_axis(y, marks, tick_labels(marks, share)),
        *(TEXT.format("tick middle", x(mark), HEIGHT - BOTTOM + 17, integer(mark)) for mark in whole),
        TEXT.format("axis end", WIDTH - RIGHT, HEIGHT - 6, "epoch"),
        best_mark(x, best) if best in epochs else NONE,
        legend(series),
        *(PATH.format(line.kind, path(x, y, epochs, line.values)) for line in series),
        hovers(x, y, epochs, series, share),
    ]
    names = " and ".join(line.name for line in series)
    return SVG.format(WIDTH, HEIGHT, f"Curves over the epochs: {names}", NONE.join(parts))


def best_mark(x: PixelScale, best: int | None) -> Markup:
    """The vertical line of the epoch whose weights were kept, its name above the plotting area."""
    place = x(best or 0)
    middle = middle_within(place, f"best: epoch {best}", LEFT, WIDTH - RIGHT)
    return LINE.format("best", place, TOP, place, HEIGHT - BOTTOM) + TEXT.format(
        "note middle", middle, TOP - 7, f"best: epoch {best}"
    )


def legend(series: Sequence[Series]) -> Markup:
    """A stroke and a name per line, side by side along the top."""
    parts, left = [], float(LEFT)
    for line in series:
        parts.append(LINE.format(f"line {line.kind}", left, 14, left + 24, 14))
        parts.append(TEXT.format("name", left + 31, 18, line.name))
        left = round(left + 31 + text_width(line.name) + 20, 1)
    return NONE.join(parts)


def path(x: PixelScale, y: PixelScale, across: Sequence[float], values: Sequence[float]) -> str:
    """The drawing commands of a line; it is lifted over values that are no numbers."""
    steps, command = [], "M"
    for place, value in zip(across, values, strict=True):
        if drawable(value):
            steps.append(f"{command}{x(place)} {y(value)}")
            command = "L"
        else:
            command = "M"
    return "".join(steps)


def hovers(
    x: PixelScale, y: PixelScale, epochs: Sequence[float], series: Sequence[Series], share: bool
) -> Markup:
    """Per epoch a strip and dots that tell the numbers under the pointer; with few epochs the dots stay visible."""
    parts = []
    half = (x.stop - x.start) / max(1, len(epochs) - 1) / 2
    for position in range(0, len(epochs), ceil(len(epochs) / HOVERS)):
        place = x(epochs[position])
        found = [line for line in series if drawable(line.values[position])]
        write = percent if share else number
        said = "\n".join(f"{line.name} {write(line.values[position])}" for line in found)
        title = TITLE.format(f"epoch {integer(epochs[position])}\n{said}")
        left, right = max(LEFT, place - half), min(WIDTH - RIGHT, place + half)
        strip = RECT.format("strip", round(left, 1), TOP, round(right - left, 1), HEIGHT - TOP - BOTTOM, NONE)
        dots = (DOT.format(line.kind, place, y(line.values[position]), NONE) for line in found)
        parts.append(HOVER.format(title, strip + NONE.join(dots)))
    return Markup('<g class="{}">{}</g>').format("few" if len(epochs) <= 30 else "many", NONE.join(parts))


def parity(points: Sequence[tuple[float, float, str]], unit: str) -> Markup:
    """Predicted over true value with the line of perfect agreement; points are (true, predicted, name)."""
    every = max(1, ceil(len(points) / POINTS))
    drawn = [point for point in points[::every] if drawable(point[0]) and drawable(point[1])]
    values = [value for point in drawn for value in point[:2]] or [0.0]
    marks = ticks(min(values), max(values))
    x = PixelScale(marks[0], marks[-1], LEFT, WIDTH - RIGHT)
    y = PixelScale(marks[0], marks[-1], WIDTH - BOTTOM, TOP)
    dots = (
        DOT.format("val", x(true), y(guess), TITLE.format(f"{name}\ntrue {true:.4g}, predicted {guess:.4g}"))
        for true, guess, name in drawn
    )
    parts = [
        value_axis(y, marks, tick_labels(marks)),
        bottom_axis(x, marks, WIDTH),
        LINE.format("identity", x.start, y.start, x.stop, y.stop),
        TEXT.format("axis", 6, TOP - 16, with_unit("predicted", f"({unit})" if unit else "")),
        TEXT.format("axis end", WIDTH - RIGHT, WIDTH - 6, with_unit("true", f"({unit})" if unit else "")),
        Markup('<g class="cloud">{}</g>').format(NONE.join(dots)),
    ]
    return SVG.format(WIDTH, WIDTH, "Predicted over true values", NONE.join(parts))


def histogram(
    values: Sequence[tuple[float, int]],
    *,
    across: str,
    unit: str = "",
    title: str,
    zero: bool = False,
    height: int = HEIGHT,
) -> Markup:
    """How many images fall into each of about 20 intervals; with ``zero`` that is on the axis, and marked.

    ``values`` are (value, images that have it); ``across`` names what they are.
    """
    kept = [(value, count) for value, count in values if drawable(value)] or [(0.0, 0)]
    ends = [value for value, _ in kept] + ([0.0] if zero else [])
    edges = ticks(min(ends), max(ends), count=20)
    counts = [0] * (len(edges) - 1)
    for value, count in kept:
        counts[min(max(bisect_right(edges, value), 1), len(counts)) - 1] += count
    marks = [mark for mark in ticks(0, max(counts)) if mark.is_integer()]
    x = PixelScale(edges[0], edges[-1], LEFT, WIDTH - RIGHT)
    y = PixelScale(0, marks[-1], height - BOTTOM, TOP)
    said = [
        f"{with_unit(f'{number(low)} to {number(high)}', unit)}\n{counted(count, 'image')}"
        for (low, high), count in zip(pairwise(edges), counts, strict=True)
    ]
    parts = [
        value_axis(y, marks, tick_labels(marks)),
        *bars(x, y, edges, counts, said),
        LINE.format("identity", x(0), TOP, x(0), height - BOTTOM) if zero else NONE,
        bottom_axis(
            x, [mark for mark in ticks(edges[0], edges[-1]) if edges[0] <= mark <= edges[-1]], height
        ),
        TEXT.format("axis", 6, TOP - 16, "images"),
        TEXT.format("axis end", WIDTH - RIGHT, height - 6, with_unit(across, f"({unit})" if unit else "")),
    ]
    return SVG.format(WIDTH, height, title, NONE.join(parts))


def confusion_figure(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> Markup:
    """A confusion matrix of few classes with its counts: rows are true, columns predicted, colour is the share."""
    cell, names = 46, [shorten(name) for name in classes]
    margin = round(max(map(text_width, names)) + 24)
    size = cell * len(classes)
    parts = [
        RECT.format("ground", margin, margin, size, size, NONE),
        TEXT.format("axis", 6, 16, "true ↓ predicted →"),
    ]
    for row, counts in enumerate(confusion):
        middle = margin + cell * (row + 0.5)
        parts += [
            TEXT.format("name end", margin - 8, middle + 4, names[row]),
            Markup('<text class="name" transform="translate({} {}) rotate(-90)">{}</text>').format(
                middle + 4, margin - 8, names[row]
            ),
        ]
        for column, count in enumerate(counts):
            left = margin + cell * column
            if count:
                drawn = Markup(
                    '<rect class="{}" x="{}" y="{}" width="{}" height="{}" fill-opacity="{}"/>'
                ).format(
                    "hit" if row == column else "miss",
                    left + 1,
                    middle - cell / 2 + 1,
                    cell - 2,
                    cell - 2,
                    round(0.1 + 0.6 * count / sum(counts), 2),
                )
                parts.append(drawn)
            parts.append(TEXT.format("name middle", left + cell / 2, middle + 4, integer(count)))
    return Markup('<svg class="matrix" viewBox="0 0 {0} {0}" role="img" aria-label="{1}">{2}</svg>').format(
        margin + size + 4, "Confusion matrix, rows are the true classes", NONE.join(parts)
    )


def confusion_map(
    confusion: Sequence[Sequence[int]],
    classes: Sequence[str],
    anchors: Mapping[tuple[int, int], str] = MappingProxyType({}),
) -> Markup:
    """A confusion matrix of many classes: rows are true, columns predicted, colour is the share of the row.

    ``anchors`` are places of the page, by row and column, that a cell leads to.
    """
    cell, margin = 14, 118
    size = margin + cell * len(classes) + 4
    names = [shorten(name) for name in classes]
    parts = [RECT.format("ground", margin, margin, cell * len(classes), cell * len(classes), NONE)]
    for row, counts in enumerate(confusion):
        middle = margin + cell * row + cell / 2
        parts.append(TEXT.format("small end", margin - 6, middle + 3.5, names[row]))
        parts.append(
            Markup('<text class="small" transform="translate({} {}) rotate(-90)">{}</text>').format(
                middle + 3.5, margin - 6, names[row]
            )
        )
        for column, count in enumerate(counts):
            if count:
                share = count / sum(counts)
                said = f"{classes[row]} → {classes[column]}: {count} of {sum(counts)} ({percent(share)})"
                drawn = Markup(
                    '<rect class="{}" x="{}" y="{}" width="{}" height="{}" fill-opacity="{}">{}</rect>'
                ).format(
                    "hit" if row == column else "miss",
                    margin + cell * column + 0.5,
                    margin + cell * row + 0.5,
                    cell - 1,
                    cell - 1,
                    round(0.15 + 0.85 * share, 2),
                    TITLE.format(said),
                )
                anchor = anchors.get((row, column))
                link = Markup('<a href="#{}" aria-label="{}">{}</a>').format(anchor, said, drawn)
                parts.append(link if anchor else drawn)
    return Markup(
        '<svg class="matrix" viewBox="0 0 {0} {0}" width="{0}" height="{0}" role="{3}" aria-label="{1}">{2}</svg>'
    ).format(
        size,
        "Confusion matrix, rows are the true classes",
        NONE.join(parts),
        "group" if anchors else "img",
    )
