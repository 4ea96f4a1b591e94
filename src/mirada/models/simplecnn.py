"""The small cats-vs-dogs network.  Calderón 2019, lecture notes on convolutional networks, §5.1, Fig. 25.

Differs from the notes: the sigmoid (one output) or softmax (several) belongs to the loss, for stability; ReLU
follows the max pooling, with which it commutes, and so has a quarter of the values to rectify; other activations
stand before it.
Shapes: images (N, 3, 64, 64) → outputs (N, 1).  Initialisation as Keras has it: Glorot uniform, zero bias.
"""

from torch import nn

from mirada.layers.activation import make_activation
from mirada.layers.blocks import average_head, dense_head
from mirada.layers.initialization import initialize
from mirada.layers.network import Network, Size, conv_pool_size, require_size
from mirada.layers.onednn import Conv2d

#               maps  kernel   size at 64 × 64
CONVOLUTIONS = (( 32, 3),    # 62 → 31
                ( 32, 3))  # 29 → 14  # fmt: skip
HIDDEN = (128,)
MIN_SIZE = 10


def simplecnn(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    image_size: Size,
    activation: str = "relu",
    head: str = "dense",
) -> Network:
    """Builds ``simplecnn``: 896 + 9,248 + 802,944 + 129 = 813,217 parameters with one output.

    Raises ``InvalidArgument`` for images too small or an unknown activation.
    """
    require_size(image_size, MIN_SIZE)
    channels = [in_channels, *(maps for maps, _ in CONVOLUTIONS)]
    stages = [
        _conv_pool(before, maps, kernel, activation)
        for before, (maps, kernel) in zip(channels, CONVOLUTIONS, strict=False)
    ]
    network = Network(
        stem=stages[0],
        stages=stages[1:],
        head=_head(head, channels[-1], image_size, num_classes, activation),
        in_channels=in_channels,
        image_size=image_size,
        min_size=MIN_SIZE,
    )
    initialize(network, conv=nn.init.xavier_uniform_, linear=nn.init.xavier_uniform_)
    return network


def _head(kind: str, maps: int, image_size: Size, num_classes: int, activation: str) -> nn.Sequential:
    if kind == "average":
        return average_head(maps, num_classes)
    height, width = conv_pool_size(image_size, [kernel for _, kernel in CONVOLUTIONS])
    return dense_head(maps * height * width, HIDDEN, num_classes, activation=activation)


def _conv_pool(in_channels: int, out_channels: int, kernel: int, activation: str) -> nn.Sequential:
    conv, pool = Conv2d(in_channels, out_channels, kernel), nn.MaxPool2d(2)
    if activation == "relu":
        return nn.Sequential(conv, pool, nn.ReLU())
    return nn.Sequential(conv, make_activation(activation, out_channels), pool)
