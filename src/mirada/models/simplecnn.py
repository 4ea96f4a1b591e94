"""The small cats-vs-dogs network.  Calderón 2019, lecture notes on convolutional networks, §5.1, Fig. 25.

Differs from the notes: the sigmoid (one output) or softmax (several) belongs to the loss, for stability; ReLU
follows the max pooling, with which it commutes, and so has a quarter of the values to rectify; other activations
stand before it.
Shapes: images (N, 3, 64, 64) → outputs (N, 1).  Initialisation as Keras has it: Glorot uniform, zero bias.
"""

from torch import nn

from mirada.layers.activation import make_activation
from mirada.layers.blocks import dense_head
from mirada.layers.network import Network, Size, conv_pool_size, require_size

#               maps  kernel   size at 64 × 64
CONVOLUTIONS = (( 32, 3),    # 62 → 31
                ( 32, 3))  # 29 → 14  # fmt: skip
HIDDEN = (128,)
MIN_SIZE = 10


def simplecnn(
    name: str, *, num_classes: int, in_channels: int, image_size: Size, activation: str = "relu"
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
    height, width = conv_pool_size(image_size, [kernel for _, kernel in CONVOLUTIONS])
    network = Network(
        stem=stages[0],
        stages=stages[1:],
        head=dense_head(channels[-1] * height * width, HIDDEN, num_classes, activation=activation),
        in_channels=in_channels,
        image_size=image_size,
        min_size=MIN_SIZE,
    )
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return network


def _conv_pool(in_channels: int, out_channels: int, kernel: int, activation: str) -> nn.Sequential:
    conv, pool = nn.Conv2d(in_channels, out_channels, kernel), nn.MaxPool2d(2)
    act = make_activation(activation, out_channels)
    return nn.Sequential(conv, pool, act) if activation == "relu" else nn.Sequential(conv, act, pool)
