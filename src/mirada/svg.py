"""What figures are drawn with, as inline SVG: elements, widths of text, scales, ticks, axes, bars.

No library and no script; colours come from the style sheet of the page, by the class of an element. Whatever is put
into an element is escaped: names come from strangers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, isfinite, log10

from markupsafe import Markup

from mirada.text import number, percent

WIDTH, HEIGHT = 440, 290
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 50, 40  # margins around the plotting area
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
LETTER = 6.6  # average width of a letter at the font size of the figures, 12 pixels

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
class PixelScale:
    """Places values from ``low`` to ``high`` on the pixels from ``start`` to ``stop``."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.stop - self.start), 1)


def drawable(value: float) -> bool:
    """Whether a value has a place on an axis; NaN and a loss that left all bounds do not."""
    return isfinite(value) and abs(value) < 1e100


def text_width(text: str) -> float:
    """About how wide a text is in pixels, at the font size of the figures."""
    return len(text) * LETTER


def middle_within(place: float, text: str, low: float, high: float) -> float:
    """The middle of a text that stands at a place, moved so that no part of it is beyond either end."""
    half = text_width(text) / 2
    return round(min(max(place, low + half), high - half), 1)


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


def power_of_ten(power: int) -> str:
    """A tick of a logarithmic axis.

    >>> power_of_ten(-3)
    '10⁻³'
    """
    return f"10{str(power).translate(RAISED)}"


def value_axis(y: PixelScale, marks: Sequence[float], labels: Sequence[str]) -> Markup:
    """Horizontal rules with their values at the left."""
    rules = (LINE.format("rule", LEFT, y(mark), WIDTH - RIGHT, y(mark)) for mark in marks)
    texts = (
        TEXT.format("tick end", LEFT - 7, y(mark) + 4, text) for mark, text in zip(marks, labels, strict=True)
    )
    return NONE.join((*rules, *texts))


def bottom_axis(x: PixelScale, marks: Sequence[float], height: int) -> Markup:
    """Values below the plotting area, those that would collide left out."""
    room = (x.stop - x.start) / max(1, len(marks) - 1)
    texts = tick_labels(marks)
    every = ceil((max(map(text_width, texts)) + 8) / room)
    chosen = list(zip(marks, texts, strict=True))[::every]
    return NONE.join(TEXT.format("tick middle", x(mark), height - BOTTOM + 17, text) for mark, text in chosen)


def bars(
    x: PixelScale, y: PixelScale, edges: Sequence[float], counts: Sequence[int], said: Sequence[str]
) -> Iterator[Markup]:
    """A bar for every interval that holds something; ``said`` is what each shows under the pointer."""
    for (low, high), count, text in zip(pairwise(edges), counts, said, strict=True):
        if count:
            width = round(max(0.5, x(high) - x(low) - 1), 1)
            height = round(y(0) - y(count), 1)
            yield RECT.format("bar", round(x(low) + 0.5, 1), y(count), width, height, TITLE.format(text))
