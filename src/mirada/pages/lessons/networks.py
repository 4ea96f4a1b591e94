"""The page of the notes' networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from mirada.pages.lessons.page import Figures
from mirada.pages.lessons.wording import Wording
from mirada.text import table

if TYPE_CHECKING:
    from mirada.lessons.networks import NetworkShown, NetworksLesson

# The sentences of each network: its name, and what it introduced.
SAID = {
    "lenet5_1998": ("name_lenet5_1998", "about_lenet5_1998"),
    "alexnet": ("name_alexnet", "about_alexnet"),
    "vgg16": ("name_vgg16", "about_vgg16"),
    "vgg19": ("name_vgg19", "about_vgg19"),
    "googlenet": ("name_googlenet", "about_googlenet"),
    "inception_v3": ("name_inception_v3", "about_inception_v3"),
    "resnet18": ("name_resnet18", "about_resnet18"),
    "resnet50": ("name_resnet50", "about_resnet50"),
    "densenet121": ("name_densenet121", "about_densenet121"),
}


def figures(lesson: NetworksLesson, wording: Wording) -> Figures:
    """What the page shows; its script does nothing but open the drawing that is asked for."""
    return Figures(
        values={
            "networks": lesson.networks,
            "said": SAID,
            "drawings": {each.name: Markup(each.drawing) for each in lesson.networks},  # noqa: S704 # mirada.diagram's
            "comparison": Markup(lesson.comparison),  # noqa: S704 # of mirada.summary
            "numbers": {each.name: numbers(each, wording) for each in lesson.networks},
        },
        script={"names": [each.name for each in lesson.networks]},
    )


def numbers(shown: NetworkShown, wording: Wording) -> list[tuple[str, str]]:
    """What is counted of a network, by what it is called."""
    counts = shown.counts
    channels, height, width = counts.input_shape
    rows = [
        ("input", f"{height} × {width} × {channels}"),
        ("layers", wording.counted(counts.layers)),
        ("parameters", wording.counted(counts.parameters)),
        ("macs", wording.counted(counts.macs)),
        ("file", f"{wording.shown(counts.megabytes, 1)} MB"),
    ]
    if counts.accuracy:
        rows.append(("top1", f"{wording.shown(counts.accuracy.top1, 1)} % ({counts.accuracy.dataset})"))
    return [(wording.plain(key), value) for key, value in rows]


def essentials(lesson: NetworksLesson, wording: Wording) -> list[str]:
    """A line a network."""
    rows = [
        [
            each.name,
            f"{wording.plain('figure')} {each.figures}",
            str(each.year),
            wording.counted(each.counts.layers),
            wording.counted(each.counts.parameters),
            wording.counted(each.counts.macs),
        ]
        for each in lesson.networks
    ]
    header = [wording.plain(key) for key in ("network", "figure", "year", "layers", "parameters", "macs")]
    return table(header, rows, left=3)
