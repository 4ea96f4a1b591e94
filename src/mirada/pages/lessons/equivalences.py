"""The page of convolutions that are dense layers, and of maps that move with the image."""

from markupsafe import Markup

from mirada.lessons.equivalences import POOLS, SHIFTS, STRIDE, EquivalencesLesson, Moved
from mirada.pages.charts import Series, legend, path
from mirada.pages.lessons.page import Figures
from mirada.pages.lessons.wording import Wording
from mirada.svg import (
    BOTTOM,
    HEIGHT,
    LEFT,
    NONE,
    PATH,
    RIGHT,
    SVG,
    TEXT,
    TOP,
    WIDTH,
    PixelScale,
    bottom_axis,
    value_axis,
)
from mirada.text import table

LINES = dict(zip(POOLS, ("run1", "run2", "run3", "run4"), strict=True))
MARKS = (0.0, 0.5, 1.0, 1.5)  # of changes: 1 is as long as the map itself
BEGIN = 1, 4  # the shift and the window that the page begins with


def figures(lesson: EquivalencesLesson, wording: Wording) -> Figures:
    """What the page shows, and what its script moves."""
    names = {"maximum": str(wording["maximum"]), "average": str(wording["average"])}
    return Figures(
        values={
            "lesson": lesson,
            "names": names,
            "pools": POOLS,
            "shifts": SHIFTS,
            "stride": STRIDE,
            "begin": BEGIN,
            "rows": list(zip(lesson.dense.by_convolution, lesson.dense.by_dense, strict=True)),
            "difference": abs(lesson.dense.by_convolution - lesson.dense.by_dense).max(),
            "chart": chart([each for each in lesson.moved if each.pooling == "maximum"], wording),
            "per_cent": lambda share: f"{wording.shown(100 * share, 1)} %",
        },
        script={"image": (lesson.image / 16).tolist(), "kernel": lesson.kernel.tolist()},
    )


def chart(moved: list[Moved], wording: Wording) -> Markup:
    """The change over the shift, a line for each window."""
    x = PixelScale(SHIFTS[0], SHIFTS[-1], LEFT + 8, WIDTH - RIGHT - 8)
    y = PixelScale(MARKS[0], MARKS[-1], HEIGHT - BOTTOM, TOP)
    lines = [Series(f"{each.window}×{each.window}", LINES[each.window], each.changes) for each in moved]
    parts = [
        value_axis(y, MARKS, [wording.shown(mark, 1) for mark in MARKS]),
        bottom_axis(x, [float(shift) for shift in SHIFTS], HEIGHT),
        TEXT.format("axis end", WIDTH - RIGHT, HEIGHT - 6, wording.plain("shift")),
        legend(lines),
        *(PATH.format(line.kind, path(x, y, SHIFTS, line.values)) for line in lines),
    ]
    return SVG.format(WIDTH, HEIGHT, wording.plain("measured"), NONE.join(parts))


def essentials(lesson: EquivalencesLesson, wording: Wording) -> list[str]:
    """The two layers that are one, and how much moves with the image."""
    header = [wording.plain("shift"), *map(str, SHIFTS)]
    rows = [
        [wording.plain("error_one"), *(wording.shown(error) for error in lesson.errors)],
        *(
            [f"{wording.plain(each.pooling)} {each.window}×{each.window}", *map(wording.shown, each.changes)]
            for each in lesson.moved
        ),
    ]
    dense = ", ".join(wording.shown(value, 6) for value in lesson.dense.by_dense)
    return [f"{wording.plain('dense_is')}: {dense}", "", *table(header, rows, left=1)]
