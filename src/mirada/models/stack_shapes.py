"""What reaches each layer of a stack: (channels, height, width), or (features,) once maps are flattened or averaged."""

from collections.abc import Sequence
from math import prod

from mirada.errors import InvalidArgument
from mirada.models.stack_text import DENSE, POOLS, Layer, StackWindow, sizes_text
from mirada.text import times

Shape = tuple[int, ...]
AXES = (0, 1)  # height, width
OF_MAPS = ("gap", "lrn")  # what works on maps without a window


def output_shapes(layers: Sequence[Layer], input_shape: tuple[int, int, int]) -> tuple[Shape, ...]:
    """What every layer puts out for one image.

    Args:
        layers: The stack.
        input_shape: (channels, height, width) of the image.

    Returns:
        A shape per layer.

    Raises:
        InvalidArgument: A layer cannot take what reaches it; what would fit is said.
    """
    shapes: list[Shape] = []
    for layer in layers:
        reaching = shapes[-1] if shapes else input_shape
        _require_fit(layer, reaching, layers, input_shape)
        shapes.append(_output(layer, reaching))
    return tuple(shapes)


def _output(layer: Layer, shape: Shape) -> Shape:
    if layer.word in DENSE:
        return (layer.units,)
    if layer.word == "flatten":
        return (prod(shape),)
    if layer.word == "gap":
        return shape[:1]
    if layer.window is None:
        return shape
    sides = (layer.window.output(shape[1 + axis], axis) for axis in AXES)
    return (shape[0] if layer.word in POOLS else layer.units, *sides)


def _require_fit(layer: Layer, shape: Shape, layers: Sequence[Layer], input_shape: Shape) -> None:
    """Raises ``InvalidArgument`` where a step cannot take what reaches it."""
    window = layer.window
    if len(shape) == 1 and (window is not None or layer.word in OF_MAPS):
        raise InvalidArgument(
            f"{layer.name}, works on maps, and a vector of {shape[0]:,} numbers reaches it; "
            "put it before the step that makes the vector."
        )
    if window is None:
        return
    grid = shape[1:]
    if small := [axis for axis in AXES if window.room(grid[axis], axis) < 0]:
        axis = small[0]
        exact = window.room(grid[axis], axis) / window.stride[axis] + 1
        raise InvalidArgument(
            f"{layer.name}, does not fit: maps of {times(grid)} reach it, and "
            f"{window.formula(grid[axis], axis)} + 1 = {exact:.4g} is less than one place for its window. "
            f"Make it {_smaller(layer, window, grid)}, or the input {times(larger_input(layers, input_shape))}."
        )
    if layer.word not in POOLS and (shape[0] % layer.groups or layer.units % layer.groups):
        raise InvalidArgument(
            f"{layer.name}: {layer.groups} groups must divide both the {shape[0]} channels that reach it and "
            f"its {layer.units} outputs."
        )


def _smaller(layer: Layer, window: StackWindow, grid: Shape) -> str:
    """The least padding and the largest kernel with which the window fits."""
    rooms = [window.room(grid[axis], axis) for axis in AXES]
    padding = [c + max(0, 1 - room) // 2 for c, room in zip(window.padding, rooms, strict=True)]
    kernel = [
        k if room >= 0 else max(1, (size + 2 * c - 1) // d + 1)
        for k, c, d, size, room in zip(
            window.kernel, window.padding, window.dilation, grid, rooms, strict=True
        )
    ]
    options = [sizes_text("k", (kernel[0], kernel[1]))]
    if layer.word not in POOLS or all(2 * c <= k for c, k in zip(padding, window.kernel, strict=True)):
        options.insert(0, sizes_text("p", (padding[0], padding[1])))
    return " or ".join(options)


def larger_input(layers: Sequence[Layer], input_shape: Shape) -> Shape:
    """The smallest input, at least as large as the given one, that leaves every window a place."""
    sides = [1, 1]
    for window in (layer.window for layer in reversed(layers) if layer.window is not None):
        for axis in AXES:
            room = (sides[axis] - 1) * window.stride[axis]
            sides[axis] = max(1, room + window.span(axis) - 2 * window.padding[axis])
    return (input_shape[0], *(max(side, given) for side, given in zip(sides, input_shape[1:], strict=True)))
