"""A network of one's own, written as a stack of layers: ``conv 6 k5; relu; pool k2; gap; dense 84; relu``.

Sources of the layers: LeCun et al. 1998 (convolution, pooling, dense), Krizhevsky et al. 2012 (ReLU, LRN, dropout),
Ioffe & Szegedy 2015 (batch normalization), Lin et al. 2013 (global average).

Differs from the papers: weights start He normal with fan-in, those of the last linear layer Glorot uniform, biases 0.
Shapes: images (N, 3, 64, 64) → outputs (N, 10), or other sizes.  The first layers, up to the second convolution, are
``stem``; every later convolution begins another stage; from the first layer that makes a vector on they are ``head``.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import prod

from torch import nn

from mirada.errors import InvalidArgument
from mirada.layers.activation import Rectifier
from mirada.layers.blocks import average_head, dense_head
from mirada.layers.initialization import initialize
from mirada.layers.network import Network, Size
from mirada.models.families import OWN_HEAD
from mirada.models.stack_shapes import Shape, larger_input, output_shapes
from mirada.models.stack_text import DENSE, Layer, StackWindow, parse_layers
from mirada.text import times

LINEAR = "flatten"  # with the last linear layer behind it: a linear model of the pixels
SIMPLE: dict[str, type[nn.Module]] = {
    "flatten": nn.Flatten, "relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh,
}  # fmt: skip
LEAK = 0.01  # slope of a leaky_relu below 0 (Maas et al. 2013)


@dataclass(frozen=True, kw_only=True)
class PlannedStack:
    """A stack for one kind of image and so many outputs.

    Args:
        layers: The steps.
        shapes: What reaches each of them, and at the end what leaves the last one.
        outputs: How many numbers the network puts out.
    """

    layers: tuple[Layer, ...]
    shapes: tuple[Shape, ...]
    outputs: int

    @classmethod
    def of(cls, text: str, *, outputs: int, in_channels: int, image_size: Size) -> "PlannedStack":
        """Reads a stack; an empty text is a linear model.

        Raises:
            InvalidArgument: A step cannot be read, does not fit, or is a softmax at the end.
        """
        layers = parse_layers(text if text.strip() else LINEAR, outputs=outputs)
        if layers[-1].word == "softmax":
            raise InvalidArgument(
                f"{layers[-1].name}, ends the stack: what a network puts out is compared before any softmax. "
                "Leave it out."
            )
        image = (in_channels, *image_size)
        return cls(layers=layers, shapes=(image, *output_shapes(layers, image)), outputs=outputs)

    @property
    def trunk(self) -> int:
        """How many layers put out maps; the next one, if any, makes a vector of them."""
        return sum(len(shape) == 3 for shape in self.shapes[1:])

    @property
    def complete(self) -> bool:
        """Whether the last layer puts out the numbers that are wanted, so that none is added."""
        last = self.layers[-1]
        return last.word in DENSE and last.units == self.outputs

    def sentence(self, head: str) -> str:
        """What becomes of the end of the stack, for people.

        Args:
            head: As ``stack`` takes it; a head of class activation maps is like another one.
        """
        count = f"{self.outputs} {'value' if self.outputs == 1 else 'values'}"
        ending, maps = self.layers[self.trunk :], self.shapes[self.trunk]
        if ending and head != OWN_HEAD:
            return f"{ending[0].name}, and what follows it in the stack is left out for head={head}."
        if not ending:
            done = "flattened" if head == "dense" else "averaged"
            other = "" if head == "dense" else ", as --set head=dense flattens them"
            return (
                f"The stack ends in {maps[0]} maps of {times(maps[1:])}, which are {done} before one linear layer puts "
                f"out {count}{other}."
            )
        if self.complete:
            return f"{ending[-1].name}, puts out the {count}, and no layer is added to the stack."
        return f"The stack ends in a vector of {self.shapes[-1][0]:,}, and one linear layer behind it puts out {count}."


def stack(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    image_size: Size,
    layers: str = LINEAR,
    head: str = OWN_HEAD,
) -> Network:
    """Builds a stack, with a last linear layer unless it ends in a dense layer of ``num_classes``.

    ``head`` "average" or "dense" replaces whatever makes a vector of the maps; without such layers "own" averages.
    """
    planned = PlannedStack.of(layers, outputs=num_classes, in_channels=in_channels, image_size=image_size)
    stem, *stages = _trunk(planned)
    maps = planned.shapes[planned.trunk]
    if head == OWN_HEAD and planned.trunk < len(planned.layers):
        ending = _ending(planned)
    elif head == "dense":
        ending = dense_head(prod(maps), (), num_classes)
    else:
        ending = average_head(maps[0], num_classes)
    smallest = max(larger_input(planned.layers, (in_channels, 1, 1))[1:])
    network = Network(
        stem=stem,
        stages=stages,
        head=ending,
        in_channels=in_channels,
        image_size=image_size,
        min_size=min(smallest, *image_size),  # of an oblong kernel one side may be shorter
    )
    draw = partial(nn.init.kaiming_normal_, nonlinearity="relu")
    initialize(network, conv=draw, linear=draw)
    initialize(ending[-1:], linear=nn.init.xavier_uniform_)
    return network


def _trunk(planned: PlannedStack) -> list[nn.Sequential]:
    """The layers that put out maps, cut before every convolution but the first; the stem may be empty."""
    parts: list[OrderedDict[str, nn.Module]] = [OrderedDict()]
    convolved = False
    for layer, shape in zip(planned.layers[: planned.trunk], planned.shapes, strict=False):
        if layer.word == "conv":
            if convolved:
                parts.append(OrderedDict())
            convolved = True
        parts[-1][f"{layer.word}{layer.number}"] = step_module(layer, shape)
    return [nn.Sequential(part) for part in parts]


def _ending(planned: PlannedStack) -> nn.Sequential:
    """The layers from the first that makes a vector on, and the last linear one, which is called so."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for layer, shape in list(zip(planned.layers, planned.shapes, strict=False))[planned.trunk :]:
        if layer.word == "gap":
            parts["pool"] = nn.AdaptiveAvgPool2d(1)
        if len(shape) > 1:
            parts["flatten"] = nn.Flatten()
        if layer.word not in ("gap", "flatten"):
            parts[f"{layer.word}{layer.number}"] = step_module(layer, (prod(shape),))
    if planned.complete:
        parts["linear"] = parts.popitem()[1]
    else:
        parts["linear"] = nn.Linear(planned.shapes[-1][0], planned.outputs)
    return nn.Sequential(parts)


def stack_modules(layers: Sequence[Layer], shapes: Sequence[Shape]) -> nn.Sequential:
    """The layers of a stack and nothing else, one child per step.

    Args:
        layers: The steps.
        shapes: What reaches each of them, (channels, height, width) or (features,).
    """
    return nn.Sequential(*(step_module(layer, shape) for layer, shape in zip(layers, shapes, strict=False)))


def step_module(layer: Layer, shape: Shape) -> nn.Module:
    """A step's layer for the (channels, height, width) or (features,) that reaches it; a dense one flattens maps."""
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
        case "lrn":  # Krizhevsky et al. 2012, §3.3: torch divides alpha by the number of maps
            return nn.LocalResponseNorm(size=5, alpha=5e-4, beta=0.75, k=2.0)
        case "dropout":
            return nn.Dropout(layer.rate)
        case "leaky_relu":
            return Rectifier(LEAK)
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
