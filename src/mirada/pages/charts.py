"""The figures of the report as inline SVG: no library and no script; colours come from the page's style sheet."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, isfinite, log10

from markupsafe import Markup

from mirada.pages.words import NBSP, integer, number, percent, shorten, with_unit

WIDTH, HEIGHT = 440, 290
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 50, 40  # margins around the plotting area
POINTS = 1500  # at most so many points in a parity plot
HOVERS = 400  # at most so many places that show their numbers under the pointer
LETTER = 6.6  # average width of a letter at the font size of the figures

SVG = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
TEXT = Markup('<text class="{}" x="{}" y="{}">{}</text>')
LINE = Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>')
RECT = Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}">{}</rect>')
DOT = Markup('<circle class="dot {}" cx="{}" cy="{}" r="3.2">{}</circle>')
PATH = Markup('<path class="line {}" d="{}"/>')
HOVER = Markup('<g class="hover">{}{}</g>')
TITLE = Markup("<title>{}</title>")
NONE = Markup("")


@dataclass(frozen=True)
class Scale:
    """Places values from ``low`` to ``high`` on the pixels from ``start`` to ``stop``."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.stop - self.start), 1)


@dataclass(frozen=True)
class Series:
    """One line of a chart; ``kind`` is its class in the style sheet (``train``, ``val`` or ``other``)."""

    name: str
    kind: str
    values: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A drawing, its title and the sentence that tells how to read it."""

    title: str
    svg: Markup
    caption: str


def drawable(value: float) -> bool:
    """Whether a value has a place on an axis; NaN and a loss that left all bounds do not."""
    return isfinite(value) and abs(value) < 1e100


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers, 1, 2 or 5 times a power of ten apart, that cover [low, high] in about ``count`` steps.

    One value alone is covered from zero.

    >>> ticks(0.13, 0.87)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        low, high = min(low, 0.0), max(high, 0.0)
        high = high if high > low else 1.0
    raw = (high - low) / count
    power = 10.0 ** floor(log10(raw))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= raw * (1 - 1e-9))
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [float(f"{position * step:.12g}") for position in range(first, last + 1)]


def tick_labels(values: Sequence[float], share: bool = False) -> list[str]:
    """Ticks as text, all with the same decimals."""
    factor = 100 if share else 1
    step = factor * (values[1] - values[0]) if len(values) > 1 else 1
    decimals = max(0, -floor(log10(step) + 1e-9))
    if share:
        return [percent(value, decimals) for value in values]
    if max(map(abs, values)) >= 1e6 or decimals > 4:
        return [f"{value:g}".replace("-", "−") for value in values]
    return [number(value, decimals) for value in values]


def learning_curve(
    epochs: Sequence[float], series: Sequence[Series], *, best: int | None, share: bool = False
) -> Markup:
    """Lines over epochs, the best epoch marked; values that are no numbers leave a gap.

    An axis of shares is in percent and starts near the data, any other starts at zero.
    """
    values = [value for line in series for value in line.values if drawable(value)] or [0.0]
    marks = ticks(min(values) if share else min(0.0, *values), max(values))
    lonely = 1 if epochs[0] == epochs[-1] else 0  # one epoch alone stands in the middle
    x = Scale(epochs[0] - lonely, epochs[-1] + lonely, LEFT + 8, WIDTH - RIGHT - 8)
    y = Scale(marks[0], marks[-1], HEIGHT - BOTTOM, TOP)
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


def value_axis(y: Scale, marks: Sequence[float], labels: Sequence[str]) -> Markup:
    """Horizontal rules with their values at the left."""
    rules = (LINE.format("rule", LEFT, y(mark), WIDTH - RIGHT, y(mark)) for mark in marks)
    texts = (
        TEXT.format("tick end", LEFT - 7, y(mark) + 4, text) for mark, text in zip(marks, labels, strict=True)
    )
    return NONE.join((*rules, *texts))


def best_mark(x: Scale, best: int | None) -> Markup:
    """The vertical line of the epoch whose weights were kept, its name above the plotting area."""
    place = x(best or 0)
    half = len(f"best: epoch {best}") * LETTER / 2
    middle = round(min(max(place, LEFT + half), WIDTH - RIGHT - half), 1)
    return LINE.format("best", place, TOP, place, HEIGHT - BOTTOM) + TEXT.format(
        "note middle", middle, TOP - 7, f"best: epoch {best}"
    )


def legend(series: Sequence[Series]) -> Markup:
    """A stroke and a name per line, side by side along the top."""
    parts, left = [], float(LEFT)
    for line in series:
        parts.append(LINE.format(f"line {line.kind}", left, 14, left + 24, 14))
        parts.append(TEXT.format("name", left + 31, 18, line.name))
        left = round(left + 31 + len(line.name) * LETTER + 20, 1)
    return NONE.join(parts)


def path(x: Scale, y: Scale, across: Sequence[float], values: Sequence[float]) -> str:
    """The drawing commands of a line; it is lifted over values that are no numbers."""
    steps, command = [], "M"
    for place, value in zip(across, values, strict=True):
        if drawable(value):
            steps.append(f"{command}{x(place)} {y(value)}")
            command = "L"
        else:
            command = "M"
    return "".join(steps)


def hovers(x: Scale, y: Scale, epochs: Sequence[float], series: Sequence[Series], share: bool) -> Markup:
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
    x = Scale(marks[0], marks[-1], LEFT, WIDTH - RIGHT)
    y = Scale(marks[0], marks[-1], WIDTH - BOTTOM, TOP)
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


def bottom_axis(x: Scale, marks: Sequence[float], height: int) -> Markup:
    """Values below the plotting area, those that would collide left out."""
    room = (x.stop - x.start) / max(1, len(marks) - 1)
    texts = tick_labels(marks)
    every = ceil((max(map(len, texts)) * LETTER + 8) / room)
    chosen = list(zip(marks, texts, strict=True))[::every]
    return NONE.join(TEXT.format("tick middle", x(mark), height - BOTTOM + 17, text) for mark, text in chosen)


def histogram(values: Sequence[float], unit: str) -> Markup:
    """How often an error falls into each of about 20 intervals; zero is marked."""
    kept = [value for value in values if drawable(value)] or [0.0]
    edges = ticks(min(0.0, *kept), max(0.0, *kept), count=20)
    counts = [0] * (len(edges) - 1)
    for value in kept:
        counts[min(max(bisect_right(edges, value), 1), len(counts)) - 1] += 1
    marks = [mark for mark in ticks(0, max(counts)) if mark.is_integer()]
    x = Scale(edges[0], edges[-1], LEFT, WIDTH - RIGHT)
    y = Scale(0, marks[-1], WIDTH - BOTTOM, TOP)
    said = [
        f"{low:g} to {high:g}{NBSP}{unit}\n{integer(count)} images"
        for (low, high), count in zip(pairwise(edges), counts, strict=True)
    ]
    parts = [
        value_axis(y, marks, tick_labels(marks)),
        *bars(x, y, edges, counts, said),
        LINE.format("identity", x(0), TOP, x(0), WIDTH - BOTTOM),
        bottom_axis(x, [mark for mark in ticks(edges[0], edges[-1]) if edges[0] <= mark <= edges[-1]], WIDTH),
        TEXT.format("axis", 6, TOP - 16, "images"),
        TEXT.format("axis end", WIDTH - RIGHT, WIDTH - 6, with_unit("error", f"({unit})" if unit else "")),
    ]
    return SVG.format(WIDTH, WIDTH, "Distribution of the errors", NONE.join(parts))


def bars(
    x: Scale, y: Scale, edges: Sequence[float], counts: Sequence[int], said: Sequence[str]
) -> Iterator[Markup]:
    """A bar for every interval that holds something; ``said`` is what each shows under the pointer."""
    for (low, high), count, text in zip(pairwise(edges), counts, said, strict=True):
        if count:
            width = round(max(0.5, x(high) - x(low) - 1), 1)
            height = round(y(0) - y(count), 1)
            yield RECT.format("bar", round(x(low) + 0.5, 1), y(count), width, height, TITLE.format(text))


def confusion_map(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> Markup:
    """A confusion matrix of many classes: rows are true, columns predicted, colour is the share of the row."""
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
                parts.append(
                    Markup(
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
                )
    return Markup(
        '<svg class="matrix" viewBox="0 0 {0} {0}" width="{0}" height="{0}" role="img" aria-label="{1}">{2}</svg>'
    ).format(size, "Confusion matrix, rows are the true classes", NONE.join(parts))
