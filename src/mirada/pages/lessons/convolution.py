"""The page of a kernel that slides."""

from base64 import b64encode

import numpy as np
from markupsafe import Markup

from mirada.lessons.convolution import KERNELS, ConvolutionLesson, Line, Slide
from mirada.pages.lessons.page import Figures
from mirada.pages.lessons.wording import Wording
from mirada.svg import NONE, SVG
from mirada.text import table

EDGE = Markup('<line class="edge {}" data-edge="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>')
NODE = Markup(
    '<circle class="node {0}" data-node="{1}{2}" cx="{3}" cy="{4}" r="15"/>'
    '<text class="middle node-name" x="{3}" y="{5}">{1}{2}</text>'
)
GAP, LEFT, TOP, BOTTOM = 66, 34, 24, 142


def figures(lesson: ConvolutionLesson, wording: Wording) -> Figures:
    """What the page shows, and what its script computes with."""
    slide, line = lesson.slide, lesson.line
    names = {key: str(wording[key]) for key in KERNELS}
    return Figures(
        values={
            "slide": slide,
            "line": line,
            "counts": lesson.counts,
            "kernels": names,
            "sums": [_sum(line, place) for place in range(len(line.s))],
            "graphs": [
                (wording["convolution_graph"], graph(line, dense=False)),
                (wording["dense_graph"], graph(line, dense=True)),
            ],
            "photo": lesson.photo.size > 0,
        },
        script={
            "image": slide.image.tolist(),
            "kernel": slide.kernel.tolist(),
            "kernels": {key: np.array(kernel).tolist() for key, kernel in KERNELS.items()},
            "x": line.x.tolist(),
            "w": line.w.tolist(),
            "photo": _packed(lesson),
            "matrix_said": wording["matrix_said"],
        },
    )


def graph(line: Line, *, dense: bool) -> Markup:
    """Inputs below, outputs above, an edge a product; in the convolution edges of one weight have one colour."""
    size, half = len(line.x), len(line.w) // 2
    edges, nodes = [], []
    for output in range(size):
        for each in range(size):
            if dense or line.reached[output, each]:
                kind = "own" if dense else f"weight{each - output + half + 1}"
                ends = (LEFT + GAP * each, BOTTOM, LEFT + GAP * output, TOP)
                edges.append(EDGE.format(kind, f"{output + 1},{each + 1}", *ends))
    for place in range(size):
        across = LEFT + GAP * place
        nodes.append(NODE.format("h", "s", place + 1, across, TOP, TOP + 4))
        nodes.append(NODE.format("x", "x", place + 1, across, BOTTOM, BOTTOM + 4))
    width, height = 2 * LEFT + GAP * (size - 1), BOTTOM + TOP
    return SVG.format(width, height, "s ← x", NONE.join((*edges, *nodes)))


def essentials(lesson: ConvolutionLesson, wording: Wording) -> list[str]:
    """The map and its size, s₁ … s₅, and the counts, for the terminal."""
    slide, line = lesson.slide, lesson.line
    sums = [
        [
            f"s{place + 1}",
            " + ".join(f"{left}·{right}" for left, right in _sum(line, place)),
            wording.shown(s),
        ]
        for place, s in enumerate(line.s)
    ]
    counts = [
        [wording.plain(key), wording.counted(count)]
        for key, count in (
            ("shared_count", line.shared),
            ("local_count", line.local),
            ("dense_count", line.dense),
            ("lenet_convolution", lesson.counts.convolution),
            ("lenet_dense", lesson.counts.dense),
        )
    ]
    return [
        f"{wording.plain('map')}: {_size(slide)}",
        *table(
            [""] * slide.map.shape[1], [[wording.shown(value) for value in row] for row in slide.map], left=0
        )[1:],
        f"{wording.plain('matrix')}: {slide.matrix.shape[0]}×{slide.matrix.shape[1]}",
        "",
        *table(["", wording.plain("sum"), wording.plain("value")], sums, left=2),
        "",
        *table([wording.plain("layer"), wording.plain("weight_count")], counts),
    ]


def _size(slide: Slide) -> str:
    m, k = len(slide.image), len(slide.kernel)
    return f"⌊({m} − {k} + 2·{slide.padding}) / {slide.stride}⌋ + 1 = {len(slide.map)}"


def _sum(line: Line, place: int) -> list[tuple[str, str]]:
    """s of a place as pairs of names: ``("w2", "x1")``."""
    half = len(line.w) // 2
    return [(f"w{x - place + half + 1}", f"x{x + 1}") for x in np.flatnonzero(line.reached[place])]


def _packed(lesson: ConvolutionLesson) -> dict[str, object] | None:
    """The photo as its sides and a text of bytes; None where there is none."""
    if not lesson.photo.size:
        return None
    height, width = lesson.photo.shape
    return {"width": width, "height": height, "grey": b64encode(lesson.photo.tobytes()).decode()}
