"""Networks side by side: a table, and the lecture notes' Figure 22, accuracy against operations and parameters.

Source of the figure: Canziani, Paszke & Culurciello 2016, arXiv:1605.07678, Figure 2.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import ceil, hypot, log10, sqrt
from textwrap import wrap

from mirada import svg
from mirada.errors import InvalidArgument
from mirada.summary.rules import Shape
from mirada.summary.table import Summary
from mirada.svg import PixelScale, ticks
from mirada.text import table, times, width

COLUMNS = 100  # of a terminal
HEADER = ("network", "input", "layers", "parameters", "MACs", "MB", "top-1")

WIDTH, HEIGHT = 860, 600
LEFT, RIGHT, TOP, BOTTOM = 64, 700, 64, 540  # edges of the plotting area
INSET = 14  # between those edges and the first and last blob
LETTER, LINE = 7.0, 15  # width of a letter and height of a line at the labels' size
MARKS = 8  # steps of an axis, about
LARGEST = 38  # radius of the largest blob of the legend
NEAR = 8  # a label farther away than this has a line to its blob
CHOICES, ROUNDS = 24, 6  # places kept for a label, and how often it may change its mind
SIDES = ((1, 0), (-1, 0), (0, -1), (0, 1), (0.75, -0.75), (0.75, 0.75), (-0.75, -0.75), (-0.75, 0.75))
AREAS = (5, 50, 150)  # million parameters, in the legend
HUES = ("#2563eb", "#d97706", "#059669", "#c026d3", "#dc2626", "#0891b2", "#65a30d", "#7c3aed")

STYLE = """
.comparison{--ink:#1f2430;--soft:#667085;--rule:#e4e7ec;--paper:#fff;font:12px system-ui,sans-serif}
@media(prefers-color-scheme:dark){.comparison{--ink:#e6e8ec;--soft:#98a2b3;--rule:#333a46;--paper:#14171c}}
.comparison text{fill:var(--ink)}
.comparison .soft{fill:var(--soft);font-size:11px}
.comparison .title{font-size:16px;font-weight:600}
.comparison .end{text-anchor:end}.comparison .middle{text-anchor:middle}
.comparison .rule{stroke:var(--rule)}.comparison .leader{stroke:var(--soft);stroke-width:.8}
.comparison .blob{fill-opacity:.45;stroke-width:1.2}
.comparison .ring{fill:none;stroke:var(--soft)}
.comparison .label{paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}
"""


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """A published top-1 accuracy in percent: on which images, shown how (``1 crop`` …), and where it stands."""

    top1: float
    dataset: str
    measured: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One network of a comparison.

    ``layers`` counts the convolutions and dense layers, ``macs`` are multiply-adds for one image, and
    ``megabytes`` (10⁶ bytes) is the size of its model file.
    """

    name: str
    input_shape: Shape
    layers: int
    parameters: int
    macs: int
    megabytes: float
    accuracy: Accuracy | None = None

    def to_dict(self) -> dict[str, object]:
        """As plain JSON values."""
        return {**asdict(self), "input_shape": list(self.input_shape)}


def compare(name: str, summary: Summary, accuracy: Accuracy | None = None) -> Compared:
    """A network's row of the comparison, from its summary and what was published about it."""
    return Compared(
        name=name,
        input_shape=summary.input_shape,
        layers=sum(row.macs > 0 for row in summary.rows),
        parameters=summary.parameters,
        macs=summary.macs,
        megabytes=summary.memory.file / 1e6,
        accuracy=accuracy,
    )


def comparison_table(rows: Sequence[Compared]) -> str:
    """One line per network, and below them where the accuracies come from."""
    notes = list(dict.fromkeys(_note(row.accuracy) for row in rows if row.accuracy))
    header, *lines = table(HEADER, [_cells(row, notes) for row in rows])
    rule = "─" * max(map(width, (header, *lines)))
    told = [f"[{number}] {note}." for number, note in enumerate(notes, start=1)]
    told.append(
        "Layers are convolutions and dense ones; MACs are multiply-adds for one image; MB is the size of a model file."
    )
    return "\n".join(
        [
            header,
            rule,
            *lines,
            rule,
            *(line for note in told for line in wrap(note, COLUMNS, subsequent_indent="    ")),
        ]
    )


def _cells(row: Compared, notes: Sequence[str]) -> tuple[str, ...]:
    top1 = "–"
    if row.accuracy:
        top1 = f"{row.accuracy.top1:.2f} % [{notes.index(_note(row.accuracy)) + 1}]"
    return (
        row.name,
        times(row.input_shape),
        str(row.layers),
        f"{row.parameters:,}",
        f"{row.macs:,}",
        f"{row.megabytes:,.1f}",
        top1,
    )


def _note(accuracy: Accuracy) -> str:
    return f"{accuracy.dataset}, {accuracy.measured}: {accuracy.source}"


@dataclass(frozen=True)
class _Blob:
    """A network as it is drawn: centre and radius in pixels, and its colour."""

    row: Compared
    top1: float
    x: float
    y: float
    r: float
    hue: str


@dataclass(frozen=True)
class _LabelPlace:
    """A label's place: its left and top edge and its width."""

    x: float
    y: float
    width: float

    def overlap(self, other: "_LabelPlace") -> float:
        """The area they share."""
        across = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        down = LINE - abs(self.y - other.y)
        return max(0.0, across) * max(0.0, down)

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """The point of the box nearest to another."""
        return min(max(x, self.x), self.x + self.width), min(max(y, self.y), self.y + LINE)

    def gap(self, x: float, y: float) -> float:
        """The distance from a point to the nearest edge, 0 within."""
        return hypot(*(there - here for there, here in zip(self.nearest(x, y), (x, y), strict=True)))


def draw_comparison(rows: Sequence[Compared]) -> str:
    """The figure as one SVG file: top-1 accuracy against MACs, the area of a blob by parameters.

    Only accuracies on the same images, shown in the same way, are comparable: the most frequent kind is drawn, and
    the line below the figure names what is left out, and why.

    Raises ``InvalidArgument`` if no network has a published accuracy.
    """
    kinds = Counter((row.accuracy.dataset, row.accuracy.measured) for row in rows if row.accuracy)
    if not kinds:
        names = ", ".join(row.name for row in rows) or "no network"
        raise InvalidArgument(
            f"There is nothing to draw: a published accuracy is known for none of the networks given ({names})."
        )
    kind = kinds.most_common(1)[0][0]
    drawn = [row for row in rows if row.accuracy and (row.accuracy.dataset, row.accuracy.measured) == kind]
    unit, name = (1e9, "GMACs") if max(row.macs for row in drawn) >= 1e9 else (1e6, "MMACs")
    largest = _area_scale(max(row.parameters for row in drawn))
    across, up, blobs = _place_blobs(drawn, unit, largest)
    notes = list(_footnotes(rows, drawn, kind))
    height = HEIGHT + LINE * len(notes)
    parts = [
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="var(--paper)"/>',
        _text(LEFT, 26, f"Top-1 accuracy on {kind[0]} against operations", "title"),
        *_axes(across, up, f"multiply-adds for one image ({name})", f"top-1 accuracy, {kind[1]} (%)"),
        *(_blob(blob) for blob in sorted(blobs, key=lambda blob: -blob.r)),
        *_labels(blobs),
        *_legend(largest),
        *(_text(LEFT, HEIGHT + LINE * line, note, "soft") for line, note in enumerate(notes)),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="comparison" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" aria-label="Top-1 accuracy against operations">'
        f"{''.join(parts)}</svg>\n"
    )


def _place_blobs(
    rows: Sequence[Compared], unit: float, largest: float
) -> tuple[PixelScale, PixelScale, list[_Blob]]:
    """The axes, with room for every blob, and the blobs."""
    top1 = [row.accuracy.top1 if row.accuracy else 0.0 for row in rows]
    radii = [LARGEST * sqrt(row.parameters / largest) for row in rows]
    room = max(radii) + INSET
    most = max(1, *(row.macs for row in rows))
    lack = max(r - row.macs / most * (RIGHT - room - LEFT) for row, r in zip(rows, radii, strict=True))
    across = PixelScale(0.0, most / unit, LEFT + max(0.0, lack + 4), RIGHT - room)
    spread = max(top1) > min(top1)
    up = PixelScale(min(top1) - (not spread), max(top1) + (not spread), BOTTOM - room, TOP + room)
    families = [(re.match(r"[a-z]+", row.name.lower()) or [row.name])[0] for row in rows]
    order = list(dict.fromkeys(families))
    blobs = [
        _Blob(row, share, across(row.macs / unit), up(share), r, HUES[order.index(family) % len(HUES)])
        for row, share, r, family in zip(rows, top1, radii, families, strict=True)
    ]
    return across, up, blobs


def _marks(scale: PixelScale, first: float, last: float) -> list[float]:
    """Round numbers between two pixels."""
    share = (scale.high - scale.low) / (scale.stop - scale.start)
    low, high = (scale.low + (pixel - scale.start) * share for pixel in (first, last))
    edge = 1e-9 * (high - low)
    return [mark for mark in ticks(low, high, MARKS) if low - edge <= mark <= high + edge]


def _axes(across: PixelScale, up: PixelScale, name_across: str, name_up: str) -> Iterator[str]:
    for mark in _marks(up, BOTTOM, TOP):
        yield svg.LINE.format("rule", LEFT, up(mark), RIGHT, up(mark))
        yield _text(LEFT - 8, up(mark) + 4, f"{mark:g}", "soft end")
    yield svg.LINE.format("leader", LEFT, BOTTOM, RIGHT, BOTTOM)
    for mark in _marks(across, across.start, RIGHT):
        yield svg.LINE.format("rule", across(mark), TOP, across(mark), BOTTOM)
        yield _text(across(mark), BOTTOM + 16, f"{mark:g}", "soft middle")
    yield _text(RIGHT, BOTTOM + 34, name_across, "end")
    yield _text(LEFT, TOP - 12, name_up, "")


def _blob(blob: _Blob) -> str:
    told = f"{blob.row.name}: {blob.top1:g} %, {blob.row.macs:,} MACs, {blob.row.parameters:,} parameters"
    return (
        f'<circle class="blob" cx="{blob.x:.1f}" cy="{blob.y:.1f}" r="{blob.r:.1f}" fill="{blob.hue}" '
        f'stroke="{blob.hue}">{svg.TITLE.format(told)}</circle>'
    )


def _labels(blobs: Sequence[_Blob]) -> Iterator[str]:
    """Every name beside its blob, with a thin line to the centre where it could not stand close."""
    for blob, box in zip(blobs, _place_labels(blobs), strict=True):
        if box.gap(blob.x, blob.y) > blob.r + NEAR:
            x, y = box.nearest(blob.x, blob.y)
            yield svg.LINE.format("leader", blob.x, blob.y, round(x, 1), round(y, 1))
        yield _text(box.x + 2, box.y + LINE - 4, blob.row.name, "label")


def _place_labels(blobs: Sequence[_Blob]) -> list[_LabelPlace]:
    """Each label takes the cheapest of many places around its blob, some rounds long, as all depend on all."""
    places = []
    for index, blob in enumerate(blobs):
        costs = [(box, _cost(box, blobs, index)) for box in _candidates(blob)]
        places.append(sorted(costs, key=lambda place: place[1])[:CHOICES])
    chosen = [candidates[0][0] for candidates in places]
    for _ in range(ROUNDS):
        before = list(chosen)
        for index, candidates in enumerate(places):
            others = [(blobs[other], box) for other, box in enumerate(chosen) if other != index]
            totals = [cost + _clash(box, blobs[index], others) for box, cost in candidates]
            chosen[index] = candidates[totals.index(min(totals))][0]
        if chosen == before:
            break
    return chosen


def _candidates(blob: _Blob) -> Iterator[_LabelPlace]:
    """To the right, left, above, below and between, ever farther away; within the plotting area."""
    width = LETTER * len(blob.row.name) + 4
    for distance in (3, 8, 14, 22, 32, 46, 62, 80, 100):
        reach = blob.r + distance
        for side, rise in SIDES:
            x = blob.x + side * reach - (0 if side > 0 else width if side < 0 else width / 2)
            y = blob.y + rise * reach - (LINE / 2 if not rise else 0 if rise > 0 else LINE)
            yield _LabelPlace(min(max(x, LEFT + 2), RIGHT - width), min(max(y, TOP), BOTTOM - LINE), width)


def _cost(box: _LabelPlace, blobs: Sequence[_Blob], own: int) -> float:
    """What a place costs: covered blobs by how deep, others that are nearer than its own, the way to its own."""
    way = box.gap(blobs[own].x, blobs[own].y) - blobs[own].r
    total = 3 * way + 60 * (way > NEAR)
    for index, blob in enumerate(blobs):
        distance = box.gap(blob.x, blob.y) - blob.r
        if distance < 2:
            total += 60 + 20 * (2 - distance)
        elif index != own and distance < way:
            total += 30
    return total


def _clash(box: _LabelPlace, blob: _Blob, others: Sequence[tuple[_Blob, _LabelPlace]]) -> float:
    """What a place costs for the other labels: those it covers, and lines to blobs that run through a label."""
    total = 40 * sum(box.overlap(other) for _, other in others)
    crossed = sum(
        _runs_through(blob, box, other) + _runs_through(there, other, box) for there, other in others
    )
    return total + 150 * crossed


def _runs_through(blob: _Blob, box: _LabelPlace, label: _LabelPlace) -> bool:
    """Whether the line from a blob to its box, if it has one, runs through another label."""
    x, y = box.nearest(blob.x, blob.y)
    if hypot(x - blob.x, y - blob.y) <= blob.r + NEAR:
        return False
    return any(label.gap(x + (blob.x - x) * part / 8, y + (blob.y - y) * part / 8) == 0 for part in range(9))


def _area_scale(parameters: int) -> float:
    """The number of parameters of the legend's largest blob: 150 million, or so many tenths of it as will do."""
    power = max(-6, ceil(log10(max(1, parameters) / (AREAS[-1] * 1e6)) - 1e-9))
    return AREAS[-1] * 1e6 * 10.0**power


def _legend(largest: float) -> Iterator[str]:
    """Three circles that stand on one line, each with its number of parameters."""
    x, floor_line = RIGHT + 24 + LARGEST, TOP + 30 + 2 * LARGEST
    yield _text(RIGHT + 24, TOP + 8, "area: parameters", "soft")
    for area in AREAS:
        count = area / AREAS[-1] * largest
        radius = LARGEST * sqrt(count / largest)
        top = floor_line - 2 * radius
        yield f'<circle class="ring" cx="{x}" cy="{floor_line - radius:.1f}" r="{radius:.1f}"/>'
        yield svg.LINE.format("leader", x, round(top, 1), x + LARGEST + 8, round(top, 1))
        yield _text(x + LARGEST + 11, top + 4, _short(count), "soft")


def _short(count: float) -> str:
    return f"{count / 1e6:g} M" if count >= 1e5 else f"{count / 1e3:g} k"


def _footnotes(rows: Sequence[Compared], drawn: Sequence[Compared], kind: tuple[str, str]) -> Iterator[str]:
    """Where the figures come from, and which networks are not in the figure."""
    sources: dict[str, list[str]] = {}
    for row in drawn:
        sources.setdefault(row.accuracy.source if row.accuracy else "", []).append(row.name)
    told = [f"{', '.join(names)}: {source}." for source, names in sources.items()]
    missing = [row.name for row in rows if not row.accuracy]
    if missing:
        told.append(f"Not drawn, as no published accuracy is known: {', '.join(missing)}.")
    other = [f"{row.name} ({_kind(row.accuracy, kind)})" for row in rows if row.accuracy and row not in drawn]
    if other:
        told.append(f"Not drawn, as it was measured otherwise: {', '.join(other)}.")
    for note in told:
        yield from wrap(note, int((WIDTH - LEFT - 20) / (LETTER * 11 / 12)))


def _kind(accuracy: Accuracy, drawn: tuple[str, str]) -> str:
    """What sets an accuracy apart from those that are drawn."""
    return accuracy.dataset if accuracy.dataset != drawn[0] else accuracy.measured


def _text(x: float, y: float, text: str, style: str) -> str:
    return svg.TEXT.format(style, round(x, 1), round(y, 1), text)
