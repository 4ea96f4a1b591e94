"""The page of the skip connection."""

from collections.abc import Sequence
from math import ceil, floor, log10

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mirada.lessons.residual import DepthNorms, ResidualLesson, ToyPass
from mirada.pages.charts import Series, legend
from mirada.pages.lessons.page import Figures
from mirada.pages.lessons.wording import RAISED, Wording
from mirada.svg import BOTTOM, HEIGHT, LEFT, NONE, PATH, RIGHT, SVG, TEXT, TOP, WIDTH, PixelScale, value_axis
from mirada.text import table

KINDS = {"plain": "run2", "residual": "run1", "dense": "run3"}  # the lines of the charts
SHOWN = ("X1", "X2", "X3", "delta", "through", "around", "gradient")


def figures(lesson: ResidualLesson, wording: Wording) -> Figures:
    """What the page shows, and the numbers that its script begins with."""
    return Figures(
        values={
            "lesson": lesson,
            "cells": {**cells_of(lesson.plain), **cells_of(lesson.skip)},
            "shown_rows": SHOWN,
            "charts": [(gain, depth_chart(rows, wording)) for gain, rows in by_gain(lesson.depth)],
        },
        script={
            "X0": lesson.x0[0].tolist(),
            "W0": lesson.weights.w0.tolist(),
            "Wa": lesson.weights.wa.tolist(),
            "Wb": lesson.weights.wb.tolist(),
            "T": lesson.target[0].tolist(),
            "names": {"plain": wording["plain"], "skip": wording["with_skip"]},
        },
    )


def cells_of(taken: ToyPass) -> dict[str, float]:
    """Every number of a pass by its name on the page, ``skip.X1.2`` or ``plain.gradient.21``."""
    kind = "skip" if taken.skip else "plain"
    found = {f"{kind}.L": taken.loss}
    rows = {"X1": taken.values.x1, "X2": taken.values.x2, "X3": taken.values.x3, "delta": taken.delta}
    for name, row in rows.items():
        found |= {f"{kind}.{name}.{place + 1}": float(value) for place, value in enumerate(row[0])}
    tables = {
        "through": taken.through, "around": taken.around, "gradient": taken.gradient, "numeric": taken.numeric,
    }  # fmt: skip
    for name, values in tables.items():
        found |= {f"{kind}.{name}.{i + 1}{j + 1}": float(value) for (i, j), value in np.ndenumerate(values)}
    return found


def by_gain(depth: Sequence[DepthNorms]) -> list[tuple[float, list[DepthNorms]]]:
    """The rows of one gain together."""
    gains = dict.fromkeys(row.gain for row in depth)
    return [(gain, [row for row in depth if row.gain == gain]) for gain in gains]


def depth_chart(rows: Sequence[DepthNorms], wording: Wording) -> Markup:
    """The gradient over the layers, a line a wiring, on an axis of powers of ten."""
    layers = len(rows[0].norms)
    powers = [log10(norm) for row in rows for norm in row.norms[1::2]]
    low, high = min(-2, floor(min(powers))), max(2, ceil(max(powers)))
    x = PixelScale(2, layers, LEFT + 8, WIDTH - RIGHT - 8)
    y = PixelScale(low, high, HEIGHT - BOTTOM, TOP)
    marks = [float(power) for power in range(low, high + 1) if power % 2 == 0]
    labels = ["10" + str(int(mark)).translate(RAISED) for mark in marks]
    series = [Series(wording.plain(row.wiring), KINDS[row.wiring], ()) for row in rows]
    parts = [
        value_axis(y, marks, labels),
        *(
            TEXT.format("tick middle", x(mark), HEIGHT - BOTTOM + 17, mark)
            for mark in range(4, layers + 1, 4)
        ),
        TEXT.format("axis end", WIDTH - RIGHT, HEIGHT - 6, wording.plain("layer")),
        legend(series),
        *(PATH.format(KINDS[row.wiring], _line(row, x, y)) for row in rows),
    ]
    return SVG.format(WIDTH, HEIGHT, wording.plain("depth_title"), NONE.join(parts))


def essentials(lesson: ResidualLesson, wording: Wording) -> list[str]:
    """∂L/∂W₀ path by path, and the gradients through depth, for the terminal."""
    paths = [
        [wording.plain(name), *(_row(values, wording) for values in each)]
        for name, each in (
            ("through", (lesson.plain.through, lesson.skip.through)),
            ("around", (lesson.plain.around, lesson.skip.around)),
            ("gradient", (lesson.plain.gradient, lesson.skip.gradient)),
            ("numeric", (lesson.plain.numeric, lesson.skip.numeric)),
        )
    ]
    norms = [
        [wording.plain(row.wiring), wording.shown(row.gain), wording.powered(row.norms[1])]
        for row in lesson.depth
    ]
    return [
        *table(["∂L/∂W₀", wording.plain("plain"), wording.plain("with_skip")], paths),
        "",
        *table([wording.plain(key) for key in ("network", "gain", "at_layer_two")], norms),
    ]


def _line(row: DepthNorms, x: PixelScale, y: PixelScale) -> str:
    """Every second layer, where a residual block ends."""
    places = range(1, len(row.norms), 2)
    return "M" + "L".join(f"{x(place + 1)},{y(log10(row.norms[place]))}" for place in places)


def _row(values: NDArray[np.float64], wording: Wording) -> str:
    return "  ".join(wording.shown(value) for value in values.ravel())
