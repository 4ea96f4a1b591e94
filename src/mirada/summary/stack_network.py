"""A planned stack as a network that can be drawn and run, without drawn weights."""

from math import prod

from torch import nn

from mirada.summary.rules import Shape
from mirada.summary.stack import Stack
from mirada.summary.stack_text import DENSE, Layer, StackWindow, parse_layers
from mirada.summary.undrawn import SMALL, undrawn

LOCAL = 5  # channels that an lrn looks at (Krizhevsky et al. 2012, §3.3)
SIMPLE: dict[str, type[nn.Module]] = {
    "flatten": nn.Flatten, "relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh,
}  # fmt: skip


def stack_network(layers: str, stack: Stack) -> nn.Sequential:
    """The layers of a text, one child per step; a dense layer that maps reach flattens them before.

    Args:
        layers: The text that was planned.
        stack: Its plan, which says what reaches each layer.
    """
    shapes: list[Shape] = [stack.input_shape, *(step.output_shape for step in stack.steps)]
    with undrawn("cpu" if stack.parameters < SMALL else "meta"):
        steps = [_module(layer, shape) for layer, shape in zip(parse_layers(layers), shapes, strict=False)]
    return nn.Sequential(*steps)


def _module(layer: Layer, shape: Shape) -> nn.Module:
    """A step's layer for the (channels, height, width) or (features,) that reaches it."""
    if layer.word in SIMPLE:
        return SIMPLE[layer.word]()
    if layer.word in DENSE:
        dense = nn.Linear(prod(shape), layer.units)
        return dense if len(shape) == 1 else nn.Sequential(nn.Flatten(), dense)
    if layer.window is not None:
        return _sliding(layer, layer.window, shape[0])
    match layer.word:
        case "bn":
            return nn.BatchNorm2d(shape[0]) if len(shape) == 3 else nn.BatchNorm1d(shape[0])
        case "gap":
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case "lrn":
            return nn.LocalResponseNorm(LOCAL)
        case "dropout":
            return nn.Dropout(layer.rate)
    return nn.Softmax(dim=1)


def _sliding(layer: Layer, window: StackWindow, channels: int) -> nn.Module:
    kernel, stride, padding = window.kernel, window.stride, window.padding
    match layer.word:
        case "conv":
            return nn.Conv2d(
                channels,
                layer.units,
                kernel,
                stride=stride,
                padding=padding,
                dilation=window.dilation,
                groups=layer.groups,
            )
        case "avgpool":
            return nn.AvgPool2d(kernel, stride, padding, ceil_mode=window.ceil)
    return nn.MaxPool2d(kernel, stride, padding, ceil_mode=window.ceil)
