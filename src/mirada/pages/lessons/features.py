"""The page of the three options for φ."""

from math import cos, pi, sin

import numpy as np
from markupsafe import Markup

from mirada.lessons.features import BINS, CELL, OPTIONS, SIZES, FeaturesLesson, OptionScore
from mirada.pages.charts import Series, legend, path
from mirada.pages.lessons.page import Figures
from mirada.pages.lessons.wording import Wording
from mirada.svg import BOTTOM, HEIGHT, LEFT, NONE, PATH, RIGHT, SVG, TEXT, TOP, WIDTH, PixelScale, value_axis
from mirada.text import table

LINES = dict(zip(OPTIONS, ("run1", "run2", "run3", "run4"), strict=True))
MARKS = (0.85, 0.9, 0.95, 1.0)
PIXEL = Markup('<rect x="{}" y="{}" width="1.02" height="1.02" fill-opacity="{}"/>')
STROKE = Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" stroke-opacity="{}"/>')
DRAWING = Markup('<svg class="{}" viewBox="0 0 8 8" role="img" aria-label="{}">{}</svg>')


def figures(lesson: FeaturesLesson, wording: Wording) -> Figures:
    """What the page shows; its script shows one test image at a time."""
    names = {option: str(wording[option]) for option in OPTIONS}
    return Figures(
        values={
            "fitted": lesson.fitted,
            "names": names,
            "sizes": SIZES,
            "said": {score: said(score, wording) for each in lesson.fitted for score in each.scores},
            "chart": chart(lesson, names, wording),
            "cards": [
                {
                    "image": pixels(lesson.images[row], wording),
                    "cells": strokes(lesson.cells[row], wording),
                    "label": int(lesson.labels[row]),
                    "answers": [
                        (names[each.option], int(each.answers[lesson.rows[row]])) for each in lesson.fitted
                    ],
                }
                for row in range(len(lesson.rows))
            ],
        },
        script={},
    )


def said(score: OptionScore, wording: Wording) -> str:
    """An accuracy with its interval."""
    low, high = (wording.shown(100 * end, 1) for end in score.interval)
    return f"{wording.shown(100 * score.accuracy, 1)} % ({low}–{high})"


def chart(lesson: FeaturesLesson, names: dict[str, str], wording: Wording) -> Markup:
    """The accuracies over the number of training images, its steps equally far apart."""
    steps = list(range(len(SIZES)))
    x = PixelScale(0, steps[-1], LEFT + 20, WIDTH - RIGHT - 20)
    y = PixelScale(MARKS[0], MARKS[-1], HEIGHT - BOTTOM, TOP)
    lines = [
        Series(names[each.option], LINES[each.option], [score.accuracy for score in each.scores])
        for each in lesson.fitted
    ]
    parts = [
        value_axis(y, MARKS, [f"{wording.shown(100 * mark)} %" for mark in MARKS]),
        *(
            TEXT.format("tick middle", x(step), HEIGHT - BOTTOM + 17, wording.counted(size))
            for step, size in zip(steps, SIZES, strict=True)
        ),
        TEXT.format("axis end", WIDTH - RIGHT, HEIGHT - 6, wording.plain("training_images")),
        legend(lines),
        *(PATH.format(line.kind, path(x, y, steps, line.values)) for line in lines),
    ]
    return SVG.format(WIDTH, HEIGHT, wording.plain("measured"), NONE.join(parts))


def pixels(image: np.ndarray, wording: Wording) -> Markup:
    """A digit, a square a pixel."""
    squares = (
        PIXEL.format(column, row, round(float(image[row, column]) / 16, 3))
        for row, column in np.ndindex(image.shape)
        if image[row, column]
    )
    return DRAWING.format("pixels", wording.plain("pixels"), NONE.join(squares))


def strokes(cells: np.ndarray, wording: Wording) -> Markup:
    """In each cell a stroke for every orientation, along the edge: across the gradient, the stronger the darker."""
    most = cells.max() or 1.0
    lines = []
    for row, column, part in np.ndindex(cells.shape):
        strength = float(cells[row, column, part] / most)
        if strength > 0.05:
            angle = (part + 0.5) / BINS * pi + pi / 2
            middle = ((column + 0.5) * CELL, (row + 0.5) * CELL)
            along = (0.9 * cos(angle), 0.9 * sin(angle))
            ends = [round(middle[axis] + sign * along[axis], 2) for sign in (-1, 1) for axis in (0, 1)]
            lines.append(STROKE.format(*ends, round(strength, 2)))
    return DRAWING.format("strokes", wording.plain("designed"), NONE.join(lines))


def essentials(lesson: FeaturesLesson, wording: Wording) -> list[str]:
    """The accuracy of each option by the number of training images."""
    rows = [
        [
            wording.plain(each.option),
            wording.counted(each.dimensions) if each.dimensions else "∞",
            *(said(score, wording) for score in each.scores),
        ]
        for each in lesson.fitted
    ]
    header = ["φ", wording.plain("dimensions"), *(f"n = {wording.counted(size)}" for size in SIZES)]
    return table(header, rows, left=1)
