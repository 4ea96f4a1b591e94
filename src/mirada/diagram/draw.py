"""A network as a drawing in the manner of the papers' figures: ``draw`` gives it as SVG.

Stages are frames, layers are boxes, branches stand side by side, skips run past them. What is drawn is what happened
to the tensors of one run, whatever the classes are that a network is made of.
"""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise
from math import dist

from torch import nn

from mirada import svg
from mirada.diagram import words
from mirada.diagram.flow import record
from mirada.diagram.layout import COUNT, LINE, REMARK, REMARK_LINE, TEXT, layout
from mirada.diagram.marks import SKIP, Mark, Path, Picture, Rect, Text, text_width, widest
from mirada.diagram.units import parts
from mirada.summary.table import Summary

MARGIN = 24
TITLE = 20  # height of its letters
HEADER = 96  # height of title, totals and legend, and what is free below
CORNER = 7  # radius
HEAD = 4  # half the width of an arrow's head

# What the colors mean, with the light and the dark ones: inside, edge.
LEGEND = {
    "conv": "convolution",
    "pool": "pooling",
    "dense": "dense",
    "other": "other",
    "join": "joins branches",
}
FILLS = {
    "conv": (("#dce9f6", "#3c78b4"), ("#1b3854", "#6aa6e0")),
    "pool": (("#dcf0de", "#3f8749"), ("#1d3f26", "#70bd7b")),
    "dense": (("#f9e6d0", "#b56b1c"), ("#4b3316", "#e0a25c")),
    "other": (("#eae6f4", "#7a6ca8"), ("#322e45", "#a99bd6")),
    "join, .sign": (("#ffffff", "#5d6670"), ("#2a3036", "#98a2ab")),
    "terminal": (("#ffffff", "#9aa3ab"), ("#14171a", "#6d767e")),
    "frame": (("#f6f7f8", "#d5dade"), ("#1b1f23", "#3a4249")),
    "paper": (("#ffffff", "none"), ("#14171a", "none")),
}
INKS = {"text": ("#1a1e22", "#e5e8ea"), ".remark": ("#525b64", "#a9b2ba")}
TEXTS = (
    f'text{{font:{TEXT}px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Liberation Sans",sans-serif}}',
    ":is(.what,.name){font-weight:600}",
    f".title{{font-size:{TITLE}px;font-weight:650}}",
    f".count{{font-size:{COUNT}px;font-weight:650}}",
    f".remark{{font-size:{REMARK}px}}",
    f".totals{{font-size:{TEXT}px}}",
    ".terminal .what{font-weight:400}",
    ".middle{text-anchor:middle}",
    ".end{text-anchor:end}",
    ":is(.flow,.bracket){fill:none;stroke-width:1.4}",
)
LINES = {".flow": ("#5d6670", "#98a2ab"), ".bracket": ("#8a939b", "#7c868f")}


def draw(network: nn.Module, input_shape: Sequence[int] | None = None, *, title: str = "") -> str:
    """``network`` as a standalone SVG picture, from the image at the top to the outputs at the bottom.

    ``input_shape`` is (channels, height, width) of the image in pixels; where it is left out, the network says it.
    Sizes in the picture are height × width × maps, as the papers write them. Units that follow each other and are
    alike in structure and widths are drawn once. The network runs as in ``summarize``, and is left as it was.

    Raises ``InvalidArgument`` as ``summarize`` does, whose message names the layer that cannot run.

    >>> picture = draw(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), (3, 32, 32))
    >>> picture[:4], "3×3 conv, 8" in picture, "30×30×8" in picture
    ('<svg', True, True)
    """
    flow, summary = record(network, input_shape)
    names = {stage.name for stage in flow.stages.values()}
    series = parts(flow)
    return _svg(
        layout(series, _parameters(summary, names)),
        title or summary.network,
        _totals(flow.nodes[-1].shape, summary),
    )


def _parameters(summary: Summary, stages: set[str]) -> dict[str, int]:
    return {
        name: sum(row.parameters for row in summary.rows if f"{row.name}.".startswith(f"{name}."))
        for name in stages
    }


def _totals(outputs: Sequence[int], summary: Summary) -> str:
    sizes = f"{words.size((1, *summary.input_shape))} → {words.size(tuple(outputs))}"
    return f"{sizes}, {summary.parameters:,} parameters, {summary.macs:,} multiply-adds"


def _svg(picture: Picture, title: str, totals: str) -> str:
    legend = list(_legend(picture))
    header = max(text_width(title, TITLE, bold=True), text_width(totals, TEXT), _end(legend))
    width = max(picture.left + picture.right, header) + 2 * MARGIN
    height = picture.height + HEADER + 2 * MARGIN
    axis = (width - picture.left - picture.right) / 2 + picture.left
    marks = [
        Rect("paper", 0, 0, width, height),
        Text("title", MARGIN, MARGIN + TITLE, title),
        Text("remark totals", MARGIN, MARGIN + TITLE + 24, totals),
        *(mark.shifted(MARGIN, MARGIN + TITLE + 50) for mark in legend),
        *picture.at(axis, MARGIN + HEADER),
    ]
    size = f"{width:.0f}", f"{height:.0f}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="mirada-diagram" viewBox="0 0 {size[0]} {size[1]}" '
            f'width="{size[0]}" height="{size[1]}" role="img" aria-label="{escape(title)}: {escape(totals)}">',
            svg.TITLE.format(title),
            f"<style>{_style()}</style>",
            *(_written(mark) for mark in sorted(marks, key=_layer)),
            "</svg>\n",
        ]
    )


def _layer(mark: Mark) -> int:
    """Frames lie below lines, and lines below boxes and texts."""
    if isinstance(mark, Rect):
        return ("paper", "frame").index(mark.kind) if mark.kind in ("paper", "frame") else 3
    return 2 if isinstance(mark, Path) else 4


def _legend(picture: Picture) -> Iterator[Mark]:
    """The kinds of boxes that are there, side by side."""
    found = {mark.kind for mark in picture.marks if isinstance(mark, Rect)}
    x = 0.0
    for kind, text in LEGEND.items():
        if kind in found:
            yield Rect(kind, x, -10, 16, 12)
            yield Text("remark", x + 22, 0, text)
            x += 22 + text_width(text, REMARK) + 18
    if any(isinstance(mark, Path) and mark.kind == SKIP for mark in picture.marks):
        yield Path(SKIP, ((x, -4), (x + 20, -4)), True)
        yield Text("remark", x + 26, 0, "skip")
        x += 26 + text_width("skip", REMARK) + 18
    yield Text("remark", x, 0, "sizes: height×width×maps")


def _end(marks: Sequence[Mark]) -> float:
    """The right end of the texts."""
    return max(mark.x + widest([mark.text], REMARK) for mark in marks if isinstance(mark, Text))


# SVG ------------------------------------------------------------------------------------------------------------


def _written(mark: Mark) -> str:
    if isinstance(mark, Text):
        return svg.TEXT.format(mark.kind, _n(mark.x), _n(mark.y), mark.text)
    return _line(mark) if isinstance(mark, Path) else _box(mark)


def _box(rect: Rect) -> str:
    radius = rect.height / 2 if rect.kind in ("sign", "terminal") else 5 if rect.lines else 2
    radius = {"frame": 10, "paper": 0}.get(rect.kind, radius)
    shape = (
        f'<rect x="{_n(rect.x)}" y="{_n(rect.y)}" width="{_n(rect.width)}" height="{_n(rect.height)}" '
        f'rx="{_n(radius)}"/>'
    )
    middle = rect.x + rect.width / 2
    y = rect.y + (rect.height - LINE - REMARK_LINE * (len(rect.lines) - 1)) / 2
    texts = []
    for number, line in enumerate(rect.lines):
        strong = number == rect.strong
        y += LINE if strong else REMARK_LINE
        kind = "what" if strong else "remark"
        texts.append(svg.TEXT.format(f"{kind} middle", _n(middle), _n(y - 4), line))
    tip = svg.TITLE.format(rect.tip) if rect.tip else ""
    return f'<g class="{rect.kind}">{tip}{shape}{"".join(texts)}</g>'


def _line(path: Path) -> str:
    points = [path.points[0], *(after for before, after in pairwise(path.points) if before != after)]
    if len(points) < 2:
        return ""
    steps = [f"M{_n(points[0][0])} {_n(points[0][1])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        first, second = _toward(corner, before), _toward(corner, after)
        steps.append(f"L{_at(first)}Q{_at(corner)} {_at(second)}")
    steps.append(f"L{_at(points[-1])}")
    line = f'<path class="{path.kind}" d="{"".join(steps)}"/>'
    return line + (_head(points[-2], points[-1]) if path.arrow else "")


def _toward(corner: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    """Where the rounding of a corner begins on the way to ``end``."""
    length = dist(corner, end)
    share = min(CORNER, length / 2) / length
    return corner[0] + share * (end[0] - corner[0]), corner[1] + share * (end[1] - corner[1])


def _head(before: tuple[float, float], tip: tuple[float, float]) -> str:
    length = dist(before, tip)
    along = (tip[0] - before[0]) / length, (tip[1] - before[1]) / length
    back = tip[0] - 2 * HEAD * along[0], tip[1] - 2 * HEAD * along[1]
    side = -HEAD * along[1], HEAD * along[0]
    corners = tip, (back[0] + side[0], back[1] + side[1]), (back[0] - side[0], back[1] - side[1])
    return f'<path class="head" d="M{"L".join(map(_at, corners))}Z"/>'


def _at(point: tuple[float, float]) -> str:
    return f"{_n(point[0])} {_n(point[1])}"


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _style() -> str:
    """The rules, each for this picture alone, since a page may hold it with others."""
    rules = [*TEXTS, *_colors(0)]
    light = "\n".join(f".mirada-diagram {rule}" for rule in rules)
    dark = "\n".join(f".mirada-diagram {rule}" for rule in _colors(1))
    return f"\n{light}\n@media (prefers-color-scheme:dark){{\n{dark}\n}}\n"


def _colors(scheme: int) -> list[str]:
    """The rules of the light (0) or the dark (1) colors."""
    rules = []
    for kind, schemes in FILLS.items():
        fill, edge = schemes[scheme]
        rules.append(f":is(.{kind}) rect{{fill:{fill};stroke:{edge}}}")
    rules += [f"{kind}{{fill:{colors[scheme]}}}" for kind, colors in INKS.items()]
    rules += [f"{kind}{{stroke:{colors[scheme]}}}" for kind, colors in LINES.items()]
    return [*rules, f".head{{fill:{LINES['.flow'][scheme]}}}"]
