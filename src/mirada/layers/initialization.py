"""How a fresh network's weights are drawn: layer by layer, in the order in which the layers were added."""

from collections.abc import Callable, Iterator

from torch import Tensor, nn

Layer = nn.Conv2d | nn.Linear
Draw = Callable[[Tensor], object]  # fills a tensor in place, as the functions of torch.nn.init do


def weighted_layers(network: nn.Module) -> Iterator[tuple[str, Layer]]:
    """Every convolution and linear layer of a network with its name, in order; none where no values are kept.

    On the meta device there is nothing to draw, and PyTorch's normal distribution imports its compiler for that.
    """
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and not layer.weight.is_meta:
            yield name, layer


def fill_bias(layer: Layer, value: float) -> None:
    """Sets the bias of a layer that has one."""
    if layer.bias is not None:
        nn.init.constant_(layer.bias, value)


def initialize(
    network: nn.Module, *, conv: Draw | None = None, linear: Draw | None = None, bias: float | None = 0.0
) -> None:
    """Draws the weights of all convolutions by ``conv`` and of all linear layers by ``linear``, and sets their biases.

    None leaves what PyTorch drew when the layer was made. One pass in the order of the layers, so that a seed gives
    the same weights whatever the layers are.
    """
    for _, layer in weighted_layers(network):
        draw = conv if isinstance(layer, nn.Conv2d) else linear
        if draw is not None:
            draw(layer.weight)
        if bias is not None:
            fill_bias(layer, bias)
