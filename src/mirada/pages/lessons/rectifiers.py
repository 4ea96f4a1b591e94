"""The page of the rectifiers, their derivatives and dead units."""

from mirada.lessons.rectifiers import DEPTH, REACH, SLOPES, RectifiersLesson
from mirada.pages.lessons.page import Figures
from mirada.pages.lessons.wording import Wording
from mirada.text import table

AT = -2.0  # the z that the page begins with


def figures(lesson: RectifiersLesson, wording: Wording) -> Figures:
    """What the page shows, and what its script draws the curves with."""
    return Figures(
        values={
            "lesson": lesson,
            "depth": DEPTH,
            "at": AT,
            "slopes": SLOPES,
            "left": {each.name: wording.powered(each.steepest**DEPTH) for each in lesson.curves},
            "per_cent": lambda share: _share(share, wording),
        },
        script={
            "slopes": SLOPES,
            "about": {
                name: wording[f"about_{name}"] for name in (*(each.name for each in lesson.curves), "other")
            },
            "reach": REACH,
            "at": AT,
        },
    )


def essentials(lesson: RectifiersLesson, wording: Wording) -> list[str]:
    """The family at a few places, and the units of the trained networks, for the terminal."""
    places = (-2.0, -0.5, 0.5, 2.0)
    family = []
    for each in lesson.curves:
        at = [int(abs(each.z - place).argmin()) for place in places]
        cells = [f"{wording.shown(each.values[i], 3)} ({wording.shown(each.slopes[i], 3)})" for i in at]
        family.append([each.name, *cells])
    trained = [
        [
            each.activation,
            wording.shown(each.rate),
            str(each.units),
            str(each.silent),
            str(each.dead),
            _share(each.accuracy, wording),
        ]
        for each in lesson.trained
    ]
    lines = [
        *table([wording.plain("activation"), *(f"z = {wording.shown(place)}" for place in places)], family),
        "",
        *table([wording.plain(key) for key in TRAINED], trained),
    ]
    if lesson.own:
        rows = [[each.layer, str(each.channels), str(each.silent)] for each in lesson.own]
        header = [wording.plain(key) for key in ("layer", "channels", "silent_channels")]
        lines += ["", wording.plain("own_images").format(images=lesson.images), *table(header, rows)]
    return lines


TRAINED = ("activation", "rate", "units", "silent", "dead", "accuracy")


def _share(share: float, wording: Wording) -> str:
    return f"{wording.shown(100 * share, 1)} %"
