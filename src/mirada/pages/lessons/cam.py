"""The page of class activation maps: fibre, map, picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mirada.pages.lessons.page import Figures
from mirada.pages.lessons.wording import Wording
from mirada.text import table

if TYPE_CHECKING:
    from mirada.lessons.cam import CamLesson

DIGITS = 6  # decimals of what the script computes with: far more than it shows


def figures(lesson: CamLesson, wording: Wording) -> Figures:
    """What the page shows, and what its script adds up."""
    first = lesson.pair[0]
    row, column = np.unravel_index(int(lesson.class_maps[first].argmax()), lesson.class_maps[first].shape)
    return Figures(
        values={
            "lesson": lesson,
            "first": first,
            "classes": [
                (number, lesson.outputs[number], lesson.probabilities[number])
                for number in range(len(lesson.outputs))
            ],
            "per_cent": lambda share: f"{wording.shown(100 * share, 1)} %",
            "cells": "×".join(map(str, lesson.maps.shape[1:])),
        },
        script={
            "image": _rounded(lesson.image),
            "maps": _rounded(lesson.maps),
            "means": _rounded(lesson.means),
            "weight": _rounded(lesson.weight),
            "bias": _rounded(lesson.bias),
            "place": [int(row), int(column)],
            "others": wording["others"],
            "added": wording["added"],
        },
    )


def essentials(lesson: CamLesson, wording: Wording) -> list[str]:
    """What was trained, and how well; for the two classes the output, its parts, and where the map is highest."""
    first, second = lesson.pair
    accuracy = f"{wording.shown(100 * lesson.accuracy, 1)} %"
    told = wording.plain("told").format(accuracy=accuracy, count=lesson.tested, first=first, second=second)
    rows = []
    for number in lesson.pair:
        found = lesson.class_maps[number]
        place = np.unravel_index(int(found.argmax()), found.shape)
        rows.append(
            [
                str(number),
                wording.shown(float(found.mean())),
                wording.shown(float(lesson.bias[number])),
                wording.shown(float(lesson.outputs[number])),
                f"({int(place[0])}, {int(place[1])})",
            ]
        )
    header = [wording.plain(key) for key in ("class", "mean_of_map", "bias", "output", "highest")]
    return [
        told,
        "",
        *table(header, rows, left=1),
        "",
        f"{wording.plain('own')} mirada learn MODEL photo.jpg",
    ]


def _rounded(values: np.ndarray) -> object:
    return np.round(values, DIGITS).tolist()
