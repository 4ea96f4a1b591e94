"""Multilayer perceptron.  Rumelhart, Hinton & Williams 1986, Nature 323:533–536; Calderón 2019, lecture notes, §1.

h₀ = the pixels, hₗ = g(Wₗ hₗ₋₁ + bₗ), outputs W hₗ + b: Σ (dₗ₋₁ + 1) dₗ parameters for widths d.

Differs from the paper: any activation g instead of the sigmoid only; the last layer stays linear, since sigmoid or
softmax belong to the loss.
Shapes: images (N, 1, 28, 28) → outputs (N, 10).  ``stem`` is the first hidden layer, ``stage1 …`` are the others.
A hidden layer's units are maps of one pixel, (N, width, 1, 1), as those of a convolution as large as its input.
Initialisation Glorot uniform, zero bias.
"""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from mirada.layers.activation import make_activation
from mirada.layers.blocks import average_head, dense_head
from mirada.layers.initialization import initialize
from mirada.layers.network import Network, Size, require_size

WIDTHS = (256, 128)
MIN_SIZE = 1


def mlp(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    image_size: Size,
    widths: Sequence[int] = WIDTHS,
    activation: str = "relu",
    head: str = "dense",
) -> Network:
    """Builds ``mlp``, with one hidden layer for each of ``widths``: 200,960 + 32,896 + 1,290 = 235,146 parameters.

    Its maps have one pixel, so ``head`` "average" has the layers of "dense", behind an average of one value.
    """
    require_size(image_size, MIN_SIZE)
    before = [in_channels * image_size[0] * image_size[1], *widths[:-1]]
    layers = [_hidden(*sizes, activation=activation) for sizes in zip(before, widths, strict=True)]
    network = Network(
        stem=layers[0],
        stages=layers[1:],
        head=average_head(widths[-1], num_classes)
        if head == "average"
        else dense_head(widths[-1], (), num_classes),
        in_channels=in_channels,
        image_size=image_size,
        min_size=MIN_SIZE,
    )
    initialize(network, linear=nn.init.xavier_uniform_)
    return network


def _hidden(features: int, width: int, *, activation: str) -> nn.Sequential:
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        flatten=nn.Flatten(),
        linear=nn.Linear(features, width),
        act=make_activation(activation, width),
        unflatten=nn.Unflatten(1, (width, 1, 1)),
    )
    return nn.Sequential(parts)
