"""The page of the notes' momentum."""

from math import isfinite, log10

from markupsafe import Markup

from mirada.lessons.optimiser import Descent, OptimiserLesson
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

LINES = {"printed": "run2", "corrected": "run1", "plain": "run3"}
LEAST, MOST = -3, 6  # powers of ten of the losses that are drawn
FAR = 1e6  # a loss beyond it is not told as a number


def figures(lesson: OptimiserLesson, wording: Wording) -> Figures:
    """What the page shows, and what its script begins with."""
    names = {rule: str(wording[rule]) for rule in LINES}
    return Figures(
        values={
            "lesson": lesson,
            "names": names,
            "lines": LINES,
            "losses": losses_chart(lesson.network, names, wording),
            "far": FAR,
            "ends": {each.rule: end(each, wording) for each in lesson.network},
        },
        script={
            "rate": lesson.rate,
            "momentum": lesson.momentum,
            "curvatures": lesson.curvatures,
            "start": lesson.start,
            "steps": len(lesson.valley[0].losses) - 1,
            "lines": LINES,
            "far": FAR,
            "runs_away": wording["runs_away"],
        },
    )


def losses_chart(paths: tuple[Descent, ...], names: dict[str, str], wording: Wording) -> Markup:
    """The losses of the batches on a logarithmic axis; a line that leaves it runs away."""
    steps = list(range(1, len(paths[0].losses) + 1))
    x = PixelScale(1, steps[-1], LEFT + 8, WIDTH - RIGHT - 8)
    y = PixelScale(LEAST, MOST, HEIGHT - BOTTOM, TOP)
    marks = [float(mark) for mark in range(LEAST, MOST + 1, 3)]
    raised = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    parts = [value_axis(y, marks, [f"10{str(int(mark)).translate(raised)}" for mark in marks])]
    lines = []
    for each in paths:
        inside = [log10(loss) if isfinite(loss) and loss > 0 else float("nan") for loss in each.losses]
        drawn = [value if LEAST <= value <= MOST else float("nan") for value in inside]
        parts.append(PATH.format(LINES[each.rule], path(x, y, steps, drawn)))
        lines.append(Series(names[each.rule], LINES[each.rule], drawn))
    parts.append(legend(lines))
    parts.append(bottom_axis(x, [float(mark) for mark in range(20, steps[-1] + 1, 20)], HEIGHT))
    parts.append(TEXT.format("axis end", WIDTH - RIGHT, HEIGHT - 6, wording.plain("step")))
    return SVG.format(WIDTH, HEIGHT, wording.plain("network"), NONE.join(parts))


def end(each: Descent, wording: Wording) -> str:
    """How a path ends."""
    last = float(each.losses[-1])
    if each.diverges:
        return wording.plain("runs_away")
    return f"{wording.plain('ends_at')} {wording.shown(last, 4)}"


def essentials(lesson: OptimiserLesson, wording: Wording) -> list[str]:
    """How each rule ends, on the quadratic and on the network."""
    rows = [
        [wording.plain(valley.rule), end(valley, wording), end(network, wording)]
        for valley, network in zip(lesson.valley, lesson.network, strict=True)
    ]
    return table(["α = 0.1, μ = 0.9", wording.plain("valley"), wording.plain("network")], rows, left=3)
