"""A stack of layers planned from one line of text, without any weights: sizes, counts, receptive fields.

A map of m pixels under a kernel of k, with c zeros added to each side (the notes' *relleno*) and a step of p
(*paso*), becomes (m − k + 2c)/p + 1 pixels. With dilation d, k stands for d(k − 1) + 1. What the division leaves is
cut off, as frameworks do, and said. Source: Calderón 2019, lecture notes on convolutional networks, §2.2.2.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from textwrap import wrap

from mirada.errors import InvalidArgument
from mirada.models.stack_shapes import AXES, Shape, output_shapes
from mirada.models.stack_text import (
    DENSE,
    LARGEST,
    POOLS,
    Layer,
    Pair,
    StackWindow,
    parse_layers,
    parse_shape,
    sizes_text,
)
from mirada.summary import rules
from mirada.text import table, times, width

__all__ = ["Stack", "StackStep", "parse_shape", "plan"]

WIDTH = 100  # columns of a terminal
NEAR = 512  # how far from the given input a better one is looked for, in pixels
LEFT = 3  # columns of text
HEADER = ("", "step", "(m − k + 2c)/p + 1", "output", "parameters", "MACs", "sees")


@dataclass(frozen=True, kw_only=True)
class StackStep:
    """One layer of a stack: what it makes of what reaches it.

    ``output_shape`` is (channels, height, width), or (features,) once maps were flattened or averaged.
    ``receptive_field`` is the (height, width) of the window of the input, padding included, that one output value
    depends on, in pixels. ``whole`` is False where the formula's division left rows or columns that are cut off;
    ``remark`` is a sentence on that and on what else is worth knowing, or empty. ``formulae`` are one for both axes,
    or one each.
    """

    number: int
    text: str
    output_shape: Shape
    receptive_field: Pair
    formulae: tuple[str, ...] = ()
    parameters: int = 0
    macs: int = 0
    whole: bool = True
    remark: str = ""

    @property
    def formula(self) -> str:
        """The formulae in one line."""
        return " by ".join(self.formulae)


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A planned stack for one image of ``input_shape``; ``str`` gives the table.

    ``advice`` names an input for which every division is whole, where it is not; else it is empty.
    """

    input_shape: tuple[int, int, int]
    steps: tuple[StackStep, ...]
    advice: str = ""

    @property
    def parameters(self) -> int:
        """How many numbers the layers would learn."""
        return sum(step.parameters for step in self.steps)

    @property
    def macs(self) -> int:
        """Multiply-adds for one image, biases excluded."""
        return sum(step.macs for step in self.steps)

    def to_dict(self) -> dict[str, object]:
        """As plain JSON values."""
        return {
            "input_shape": list(self.input_shape),
            "steps": [
                {
                    "number": step.number,
                    "text": step.text,
                    "output_shape": list(step.output_shape),
                    "receptive_field": list(step.receptive_field),
                    "formula": step.formula,
                    "parameters": step.parameters,
                    "macs": step.macs,
                    "whole": step.whole,
                    "remark": step.remark,
                }
                for step in self.steps
            ],
            "parameters": self.parameters,
            "macs": self.macs,
            "advice": self.advice,
        }

    def __str__(self) -> str:
        digits = len(str(len(self.steps)))
        rows = [cells for step in self.steps for cells in _cells(step, self.input_shape, digits)]
        header, *lines = table(HEADER, rows, left=LEFT)
        rule = "─" * max(map(width, (header, *lines)))
        totals = [
            f"Parameters  {self.parameters:,}",
            f"MACs        {self.macs:,} multiply-adds for one image",
        ]
        told = [text for text in (*(step.remark for step in self.steps), self.advice) if text]
        remarks = [line for text in told for line in wrap(text, WIDTH, subsequent_indent="  ")]
        title = f"One image of {times(self.input_shape)}; m map, k kernel, c padding, p stride"
        return "\n".join(
            [title, "", header, rule, *lines, rule, *totals, *([""] if remarks else []), *remarks]
        )


def plan(layers: str, input_shape: tuple[int, int, int]) -> Stack:
    """Plans ``layers``, steps with semicolons between them, for one image of ``input_shape`` (C, h, w) in pixels.

    The steps are ``conv N kK [sS] [pP] [gG] [dD]``, ``pool`` (``maxpool``, ``avgpool``) ``kK [sS] [pP] [ceil]``
    whose stride is its kernel unless it is said, ``dense N`` (``fc``, ``linear``), ``flatten``, ``gap`` (the mean
    of each map), ``bn``, ``lrn``, ``dropout``, ``relu``, ``sigmoid``, ``tanh``, ``softmax``; a size such as
    ``k1x7`` is height by width. Convolutions and dense layers have biases.

    Raises ``InvalidArgument`` where the text cannot be read, or a window is larger than the map that reaches it.

    >>> plan("conv 96 k11 s4; pool k3 s2", (3, 227, 227)).steps[0].formula
    '(227 − 11 + 0)/4 + 1 = 55'
    """
    if len(input_shape) != 3 or not all(type(side) is int and 1 <= side <= LARGEST for side in input_shape):
        raise InvalidArgument(
            f"`input_shape` of plan must be channels, height and width, each from 1 to {LARGEST:,}, "
            f"for example (3, 224, 224). Got {input_shape!r}."
        )
    parsed = parse_layers(layers)
    maps = _Maps(shape=input_shape, grid=input_shape[1:])
    steps = []
    for layer, shape in zip(parsed, output_shapes(parsed, input_shape), strict=True):
        step, maps = _apply(layer, maps, shape)
        steps.append(step)
    advice = "" if all(step.whole for step in steps) else _advice(parsed, input_shape)
    return Stack(input_shape=input_shape, steps=tuple(steps), advice=advice)


@dataclass(frozen=True, kw_only=True)
class _Maps:
    """What reaches a step, and how it lies on the input.

    ``grid`` is (height, width) of the places that have values of their own, flattened or not; ``field`` and
    ``jump`` are the window of the input behind one place and the distance to the next, in pixels.
    """

    shape: Shape
    grid: Pair
    field: Pair = (1, 1)
    jump: Pair = (1, 1)

    def slid(self, window: StackWindow, shape: Shape) -> "_Maps":
        """Under a window that takes every step and makes maps of this shape."""
        _, height, width = shape
        top, left = (self.field[axis] + (window.span(axis) - 1) * self.jump[axis] for axis in AXES)
        jump = (self.jump[0] * window.stride[0], self.jump[1] * window.stride[1])
        return _Maps(shape=shape, grid=(height, width), field=(top, left), jump=jump)

    def joined(self, features: int) -> "_Maps":
        """As a vector of which every number depends on all places."""
        height, width = (self.field[axis] + (self.grid[axis] - 1) * self.jump[axis] for axis in AXES)
        return _Maps(shape=(features,), grid=(1, 1), field=(height, width), jump=self.jump)


def _apply(layer: Layer, maps: _Maps, shape: Shape) -> tuple[StackStep, _Maps]:
    """What a layer makes of the maps that reach it, whose output has this shape."""
    if layer.window is not None:
        return _slide(layer, layer.window, maps, shape)
    step = StackStep(
        number=layer.number, text=layer.text, output_shape=maps.shape, receptive_field=maps.field
    )
    if layer.word in DENSE:
        return _dense(layer, step, maps)
    if layer.word == "gap":
        mean = maps.joined(maps.shape[0])
        formula = f"mean of {times(maps.grid)}"
        return replace(step, formulae=(formula,), output_shape=mean.shape, receptive_field=mean.field), mean
    if layer.word == "flatten":
        flat = replace(maps, shape=shape)
        return replace(step, formulae=_product(maps.shape), output_shape=flat.shape), flat
    if layer.word == "bn":
        return replace(step, formulae=(f"2·{maps.shape[0]} weights",), parameters=2 * maps.shape[0]), maps
    return step, maps


def _slide(layer: Layer, window: StackWindow, maps: _Maps, shape: Shape) -> tuple[StackStep, _Maps]:
    channels, kernel = maps.shape[0], window.kernel
    parameters = macs = 0
    outputs = maps.slid(window, shape)
    if layer.word not in POOLS:
        parameters = layer.units * (channels // layer.groups * prod(kernel) + 1)
        macs = rules.conv_macs(prod(outputs.shape), channels, kernel, groups=layer.groups)
    step = StackStep(
        number=layer.number,
        text=layer.text,
        output_shape=outputs.shape,
        receptive_field=outputs.field,
        formulae=_formulae(window, maps.grid),
        parameters=parameters,
        macs=macs,
        whole=not any(window.left(maps.grid[axis], axis) for axis in AXES),
    )
    return (step if step.whole else replace(step, remark=_cut_off(layer, window, maps.grid))), outputs


def _dense(layer: Layer, step: StackStep, maps: _Maps) -> tuple[StackStep, _Maps]:
    features = prod(maps.shape)
    outputs = maps.joined(layer.units)
    flattens = f"{layer.name}, flattens the {times(maps.shape)} maps to {features:,} numbers itself."
    step = replace(
        step,
        formulae=(f"({features:,} + 1)·{layer.units:,} weights",),
        output_shape=outputs.shape,
        receptive_field=outputs.field,
        parameters=(features + 1) * layer.units,
        macs=rules.linear_macs(layer.units, features),
        remark=flattens if len(maps.shape) > 1 else "",
    )
    return step, outputs


def _formulae(window: StackWindow, grid: Pair) -> tuple[str, ...]:
    """With its numbers and its result; one per axis where they differ."""
    parts = []
    for axis in AXES:
        exact = window.room(grid[axis], axis) / window.stride[axis] + 1
        size = window.output(grid[axis], axis)
        rounded = "" if exact == size else f"{exact:.2f}".rstrip("0").rstrip(".") + " → "
        parts.append(f"{window.formula(grid[axis], axis)} + 1 = {rounded}{size}")
    return tuple(dict.fromkeys(parts))


def _cut_off(layer: Layer, window: StackWindow, grid: Pair) -> str:
    """What a division with a remainder leaves unseen, and the padding that would leave none."""
    left = [window.left(grid[axis], axis) for axis in AXES]
    broken = [axis for axis in AXES if left[axis]]
    terms = [
        f"{window.formula(grid[axis], axis)} = {window.room(grid[axis], axis) / window.stride[axis]:.4g}"
        for axis in broken
    ]
    unseen = [max(0, left[axis] - window.padding[axis]) for axis in AXES]
    lost = [f"the last {_many(unseen[axis], ('row', 'column')[axis])}" for axis in AXES if unseen[axis]]
    verb = "is" if sum(unseen) == 1 else "are"
    loss = f"{' and '.join(lost)} {verb} never looked at" if lost else "only padding is cut off"
    height, width = (_whole_padding(layer, window, grid[axis], axis) for axis in AXES)
    if height is None or width is None:
        cure = "no padding makes it whole"
    else:
        cure = f"{sizes_text('p', (height, width))} makes it whole"
    divisions = " and ".join(dict.fromkeys(terms)) + (" is" if len(set(terms)) == 1 else " are")
    return f"{layer.name}: {divisions} not whole, so {loss}; {cure}."


def _many(count: int, noun: str) -> str:
    return noun if count == 1 else f"{count} {noun}s"


def _whole_padding(layer: Layer, window: StackWindow, size: int, axis: int) -> int | None:
    """The padding nearest to the window's own that leaves no remainder; None if there is none."""
    own, stride = window.padding[axis], window.stride[axis]
    most = window.kernel[axis] // 2 if layer.word in POOLS else own + stride
    fitting = [
        c for c in range(most + 1) if (room := size - window.span(axis) + 2 * c) >= 0 and room % stride == 0
    ]
    return min(fitting, key=lambda c: (abs(c - own), -c), default=None)


def _advice(layers: Sequence[Layer], input_shape: Shape) -> str:
    """The nearest input for which every division of the stack is whole."""
    windows = [layer.window for layer in layers if layer.window is not None]
    height, width = (_nearest(windows, input_shape[axis + 1], axis) for axis in AXES)
    if height is None or width is None:
        return f"No input within {NEAR} pixels of {times(input_shape[1:])} makes every division whole."
    return f"With an input of {times((input_shape[0], height, width))} every division is whole."


def _nearest(windows: Sequence[StackWindow], side: int, axis: int) -> int | None:
    near = sorted(range(max(1, side - NEAR), side + NEAR + 1), key=lambda other: (abs(other - side), -other))
    return next((other for other in near if _whole(windows, other, axis)), None)


def _whole(windows: Sequence[StackWindow], side: int, axis: int) -> bool:
    for window in windows:
        if window.room(side, axis) < 0 or window.left(side, axis):
            return False
        side = window.output(side, axis)
    return True


def _product(sizes: Sequence[int]) -> tuple[str, ...]:
    product = "·".join(map(str, sizes))
    return (f"{product} = {prod(sizes):,}",) if len(sizes) > 1 else ()


def _cells(step: StackStep, input_shape: Shape, digits: int) -> Iterator[tuple[str, ...]]:
    """As text; a star marks what a remark speaks of, and a second formula goes below the first."""
    field = step.receptive_field
    sees = str(field[0]) if field[0] == field[1] else times(field)
    if all(seen >= side for seen, side in zip(field, input_shape[1:], strict=True)):
        sees = "all"
    formula, *more = step.formulae or ("",)
    yield (
        f"{step.number:>{digits}}{'*' if step.remark else ' '}",
        step.text,
        formula,
        times(step.output_shape),
        f"{step.parameters:,}" if step.parameters else "–",
        f"{step.macs:,}" if step.macs else "–",
        sees,
    )
    for other in more:
        yield ("", "", f"by {other}", "", "", "", "")
