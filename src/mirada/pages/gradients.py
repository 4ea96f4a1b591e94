"""How the norm of the gradient runs through the layers of a network, as a drawing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10, nan

from markupsafe import Markup

from mirada.errors import counted
from mirada.pages.charts import Figure, Series, legend, path
from mirada.runs.reader import RunContents
from mirada.svg import (
    BOTTOM,
    DOT,
    HEIGHT,
    LEFT,
    NONE,
    PATH,
    RIGHT,
    SVG,
    TEXT,
    TITLE,
    TOP,
    WIDTH,
    PixelScale,
    power_of_ten,
    value_axis,
)
from mirada.text import number

CAPTION = (
    "The norm of ∂L/∂W of every convolution and dense layer, from the input at the left to the output at the right: "
    "its mean over the steps of an epoch, before any clipping, on a logarithmic scale."
)


@dataclass(frozen=True, kw_only=True)
class Norms:
    """One line: its name, its class in the style sheet, and the norm of each layer from the input to the output."""

    name: str
    kind: str
    layers: Mapping[str, float]


def gradients_of(run: RunContents) -> list[Figure]:
    """The first epoch of a run, one in the middle and the last; nothing where nobody watched the gradients."""
    epochs = sorted(run.gradients)
    if not epochs:
        return []
    chosen = dict.fromkeys([epochs[0], epochs[len(epochs) // 2], epochs[-1]])
    lines = [
        Norms(name=f"epoch {epoch}", kind=f"run{place}", layers=run.gradients[epoch])
        for place, epoch in enumerate(chosen, start=1)
    ]
    return [gradient_figure("Gradients by layer", lines)]


def gradient_figure(title: str, lines: Sequence[Norms]) -> Figure:
    """A line for each network or epoch over the depth of the network; a norm of 0 leaves a gap."""
    norms = [norm for line in lines for norm in line.layers.values() if norm > 0]
    low, high = (floor(log10(min(norms))), ceil(log10(max(norms)))) if norms else (-1, 0)
    powers = range(low, max(high, low + 1) + 1)
    marks = [float(power) for power in powers][:: ceil(len(powers) / 8)]
    y = PixelScale(powers[0], powers[-1], HEIGHT - BOTTOM, TOP)
    x = PixelScale(0, 1, LEFT + 8, WIDTH - RIGHT - 8)
    parts = [
        value_axis(y, marks, [power_of_ten(round(mark)) for mark in marks]),
        TEXT.format("axis", LEFT, HEIGHT - 6, "first layer"),
        TEXT.format("axis end", WIDTH - RIGHT, HEIGHT - 6, "last layer"),
        legend([Series(line.name, line.kind, []) for line in lines]),
        *(_line(x, y, line) for line in lines),
    ]
    names = " and ".join(line.name for line in lines)
    drawing = SVG.format(WIDTH, HEIGHT, f"Norm of the gradient by layer: {names}", NONE.join(parts))
    return Figure(title=title, svg=drawing, caption=CAPTION)


def _line(x: PixelScale, y: PixelScale, line: Norms) -> Markup:
    """The stroke of a line, and a dot for each layer that tells its name and norm under the pointer."""
    count = len(line.layers)
    places = [position / max(1, count - 1) for position in range(count)]
    values = [log10(norm) if norm > 0 else nan for norm in line.layers.values()]
    dots = [
        DOT.format(
            line.kind,
            x(place),
            y(value),
            TITLE.format(
                f"{line.name}, {name} ({place_of} of {counted(count, 'layer')}): {number(10**value, 4)}"
            ),
        )
        for place_of, (place, value, name) in enumerate(
            zip(places, values, line.layers, strict=True), start=1
        )
        if isfinite(value)
    ]
    return PATH.format(line.kind, path(x, y, places, values)) + Markup('<g class="few">{}</g>').format(
        NONE.join(dots)
    )
