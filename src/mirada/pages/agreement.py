"""The figures that ask how far answers can be trusted: errors over values, errors in parts, reliability."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor

from markupsafe import Markup

from mirada.errors import counted
from mirada.evaluation.calibration import Bin, merged_bins
from mirada.evaluation.subgroups import Subgroup
from mirada.pages.charts import POINTS
from mirada.svg import (
    BOTTOM,
    DOT,
    HOVER,
    LEFT,
    LINE,
    NONE,
    RECT,
    RIGHT,
    SVG,
    TEXT,
    TITLE,
    TOP,
    WIDTH,
    PixelScale,
    bottom_axis,
    drawable,
    middle_within,
    text_width,
    tick_labels,
    ticks,
    value_axis,
)  # fmt: skip
from mirada.text import integer, number, percent, shorten, with_unit

STEP = 27  # height of a row of a dot plot
COUNTS = 46  # height of the bars under a reliability diagram
STRIP = 48  # below the axis: its values, then the bars


@dataclass(frozen=True)
class Level:
    """A line across a cloud of errors; ``low`` to ``high`` is its interval, None where there is none."""

    value: float
    label: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class DotRow:
    """A row of a dot plot: a part of the images, its value and interval."""

    name: str
    n: int
    value: float
    low: float | None
    high: float | None


def error_cloud(
    points: Sequence[tuple[float, float, str]], levels: Sequence[Level], *, across: str, unit: str
) -> Markup:
    """Errors over values with lines at some errors; points are (value, error, what the pointer shows)."""
    every = max(1, ceil(len(points) / POINTS))
    drawn = [point for point in points[::every] if drawable(point[0]) and drawable(point[1])]
    heights = [0.0, *(error for _, error, _ in drawn)]
    heights += [end for line in levels for end in (line.value, line.low, line.high) if end is not None]
    across_marks = (
        ticks(min(place for place, *_ in drawn), max(place for place, *_ in drawn)) if drawn else [0.0, 1.0]
    )
    marks = ticks(min(heights), max(heights))
    x = PixelScale(across_marks[0], across_marks[-1], LEFT, WIDTH - RIGHT)
    y = PixelScale(marks[0], marks[-1], WIDTH - BOTTOM, TOP)
    dots = (DOT.format("val", x(place), y(error), TITLE.format(said)) for place, error, said in drawn)
    parts = [
        value_axis(y, marks, tick_labels(marks)),
        bottom_axis(x, across_marks, WIDTH),
        *(_band(y, line) for line in levels),
        Markup('<g class="cloud">{}</g>').format(NONE.join(dots)),
        LINE.format("zero", LEFT, y(0), WIDTH - RIGHT, y(0)),
        *(LINE.format("identity", LEFT, y(line.value), WIDTH - RIGHT, y(line.value)) for line in levels),
        _level_names(y, levels),
        TEXT.format("axis", 6, TOP - 16, with_unit("predicted − true", f"({unit})" if unit else "")),
        TEXT.format("axis end", WIDTH - RIGHT, WIDTH - 6, with_unit(across, f"({unit})" if unit else "")),
    ]
    return SVG.format(WIDTH, WIDTH, f"Error over the {across} value", NONE.join(parts))


def _band(y: PixelScale, line: Level) -> Markup:
    if line.low is None or line.high is None:
        return NONE
    top, foot = y(line.high), y(line.low)
    return RECT.format("band", LEFT, top, WIDTH - RIGHT - LEFT, round(foot - top, 1), NONE)


def _level_names(y: PixelScale, levels: Sequence[Level]) -> Markup:
    """The names at the right end: the highest above its line, the lowest below; those between at the left end."""
    ordered = sorted((line for line in levels if line.label), key=lambda line: line.value)
    parts = []
    for line in ordered:
        outer = line in (ordered[0], ordered[-1])
        # one between keeps off the line of zero
        below = line is ordered[0] and len(ordered) > 1 if outer else line.value < 0
        height = y(line.value) + (14 if below else -5)
        kind, place = ("halo end", WIDTH - RIGHT - 4) if outer else ("halo", LEFT + 4)
        parts.append(TEXT.format(kind, place, round(height, 1), line.label))
    return NONE.join(parts)


def dot_plot(rows: Sequence[DotRow], *, overall: float | None, unit: str, title: str) -> Markup:
    """One dot with its interval per row, on an axis from zero; a dashed line marks the value of all images."""
    names = [shorten(row.name) for row in rows]
    left = round(max(LEFT, max(map(text_width, names)) + 14), 1)
    right = WIDTH - 62
    height = TOP + STEP * len(rows) + BOTTOM
    ends = [end for row in rows for end in (row.value, row.high) if end is not None]
    marks = ticks(0.0, max(*ends, overall or 0.0, 1e-9))
    x = PixelScale(marks[0], marks[-1], left, right)
    foot = height - BOTTOM
    parts = [*(LINE.format("rule", x(mark), TOP - 4, x(mark), foot) for mark in marks)]
    if overall is not None:
        place = x(overall)
        parts.append(LINE.format("identity", place, TOP - 4, place, foot))
        middle = middle_within(place, "all images", left, right)
        parts.append(TEXT.format("note middle", middle, TOP - 11, "all images"))
    for position, (row, name) in enumerate(zip(rows, names, strict=True)):
        parts.append(_dot_row(row, name, x, (left, TOP + STEP * (position + 0.5)), unit))
    parts += [
        bottom_axis(x, marks, height),
        TEXT.format("tick end", WIDTH - RIGHT, TOP - 11, "images"),
        TEXT.format(
            "axis end", right, height - 6, with_unit("mean absolute error", f"({unit})" if unit else "")
        ),
    ]
    return SVG.format(WIDTH, height, title, NONE.join(parts))


def _dot_row(row: DotRow, name: str, x: PixelScale, corner: tuple[float, float], unit: str) -> Markup:
    left, middle = corner
    said = f"{row.name}: {with_unit(number(row.value), unit)}"
    whisker = NONE
    if row.low is not None and row.high is not None:
        said += f"\n95 % interval {number(row.low)} to {number(row.high)}"
        whisker = LINE.format("whisker", x(row.low), middle, x(row.high), middle)
    strip = RECT.format("strip", left, middle - STEP / 2, x.stop - left, STEP, NONE)
    texts = TEXT.format("name end", left - 9, middle + 4, name) + TEXT.format(
        "tick end", WIDTH - RIGHT, middle + 4, integer(row.n)
    )
    drawing = strip + whisker + DOT.format("val", x(row.value), middle, NONE)
    return texts + Markup('<g class="few">{}</g>').format(HOVER.format(TITLE.format(said), drawing))


def reliability_diagram(after: Sequence[Bin], before: Sequence[Bin]) -> Markup:
    """Share of right answers over the probability given, with the diagonal of perfect agreement.

    Bars below count the images. Without a ``before`` there is one curve only. Bins of fewer than ten images are put
    together with their neighbours: their intervals would be all that is seen.
    """
    after, before = merged_bins(after), merged_bins(before)
    every = [*after, *before]
    lowest = floor(10 * min(min(each.confidence, each.share_low) for each in every)) / 10
    marks = ticks(min(lowest, 0.9), 1.0)
    height = WIDTH + STRIP + COUNTS
    foot = WIDTH - BOTTOM
    x = PixelScale(marks[0], 1.0, LEFT, WIDTH - RIGHT)
    y = PixelScale(marks[0], 1.0, foot, TOP)
    curves = [(before, "other"), (after, "val")] if before else [(after, "val")]
    parts = [
        value_axis(y, marks, tick_labels(marks, share=True)),
        *(
            TEXT.format("tick middle", x(mark), foot + 17, label)
            for mark, label in zip(marks, tick_labels(marks, share=True), strict=True)
        ),
        LINE.format("identity", x.start, y.start, x.stop, y.stop),
        _dot_names({"other": "before scaling", "val": "after scaling"} if before else {}),
        *(_bins(bins, kind, x, y) for bins, kind in curves),
        TEXT.format("axis", 6, TOP - 16, "right answers"),
        _counts(after, x, height),
        TEXT.format("axis end", WIDTH - RIGHT, height - 6, "probability of the answer"),
    ]
    return SVG.format(WIDTH, height, "Reliability: right answers over probability", NONE.join(parts))


def _dot_names(names: Mapping[str, str]) -> Markup:
    """A dot and a name per kind, side by side along the top."""
    parts, left = [], float(LEFT)
    for kind, name in names.items():
        parts += [DOT.format(kind, left + 4, 14, NONE), TEXT.format("name", left + 13, 18, name)]
        left = round(left + 13 + text_width(name) + 20, 1)
    return NONE.join(parts)


def _bins(bins: Sequence[Bin], kind: str, x: PixelScale, y: PixelScale) -> Markup:
    parts = []
    for each in bins:
        place, low, high = x(each.confidence), y(each.share_low), y(each.share_high)
        said = (
            f"{counted(each.n, 'image')}\nmean probability {percent(each.confidence)}\n"
            f"right {percent(each.share)} ({percent(each.share_low)} to {percent(each.share_high)})"
        )
        whisker = LINE.format(f"whisker {kind}", place, low, place, high)
        strip = RECT.format("strip", place - 4, high, 8, round(low - high, 1), NONE)
        dot = DOT.format(kind, place, y(each.share), NONE)
        parts.append(HOVER.format(TITLE.format(said), strip + whisker + dot))
    return Markup('<g class="few">{}</g>').format(NONE.join(parts))


def _counts(bins: Sequence[Bin], x: PixelScale, height: int) -> Markup:
    """How many images lie in each bin, as bars under the diagram; the tallest is named."""
    foot = height - 22
    most = max(each.n for each in bins)
    parts = []
    for each in bins:
        left, right = x(max(each.low, x.low)), x(each.high)
        tall = round(max(1.0, (COUNTS - 8) * each.n / most), 1)
        title = TITLE.format(f"{percent(each.low, 0)} to {percent(each.high, 0)}\n{counted(each.n, 'image')}")
        parts.append(
            RECT.format(
                "bar",
                round(left + 0.5, 1),
                round(foot - tall, 1),
                round(max(0.5, right - left - 1), 1),
                tall,
                title,
            )
        )
    tallest = round(foot - COUNTS + 12, 1)
    parts += [
        LINE.format("rule", x.start, foot, x.stop, foot),
        TEXT.format("tick end", LEFT - 7, tallest, integer(most)),
        TEXT.format("tick end", LEFT - 7, foot + 4, "0"),
        TEXT.format("axis", 6, tallest - 18, "images"),
    ]
    return NONE.join(parts)


def part_rows(parts: Sequence[Subgroup]) -> list[DotRow]:
    """The rows of a dot plot for the parts whose error is defined."""
    return [
        DotRow(part.name, part.n, part.mae, part.low, part.high) for part in parts if part.mae is not None
    ]
