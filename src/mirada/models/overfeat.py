"""OverFeat.  Sermanet, Eigen, Zhang, Mathieu, Fergus & LeCun 2013, arXiv:1312.6229, Tables 1 and 3.

Differs from the paper: its classifier slides over images larger than it was trained on, where here their maps are
averaged to the grid that the dense layers expect.
Shapes: images (N, 3, 231, 231) → outputs (N, 1000); ``overfeat_accurate`` has 221 pixels.  ``stem`` is the paper's
layer 1, ``stage1 …`` are its other convolutional layers.  Initialisation N(0, 0.01²), zero bias.
"""

from functools import partial

from torch import nn

from mirada.layers.blocks import ConvStyle, average_head, dense_head
from mirada.layers.initialization import initialize
from mirada.layers.network import Network, Size, require_size

# fmt: off
TABLE = {
    #     maps kernel stride padding  pooling (size = stride)
    "overfeat_fast": (
        (  96, 11,    4,     0,       2),     # 231 → 56 → 28
        ( 256,  5,    1,     0,       2),     #  28 → 24 → 12
        ( 512,  3,    1,     1,       None),
        (1024,  3,    1,     1,       None),
        (1024,  3,    1,     1,       2),     #  12 → 6
    ),
    "overfeat_accurate": (
        (  96,  7,    2,     0,       3),     # 221 → 108 → 36
        ( 256,  7,    1,     0,       2),     #  36 → 30 → 15
        ( 512,  3,    1,     1,       None),
        ( 512,  3,    1,     1,       None),
        (1024,  3,    1,     1,       None),
        (1024,  3,    1,     1,       3),     #  15 → 5
    ),
}
#                       grid   hidden layers   smallest side
DENSE = {
    "overfeat_fast":     (6,   (3072, 4096),   71),
    "overfeat_accurate": (5,   (4096, 4096),   77),
}
# fmt: on


def overfeat(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    image_size: Size,
    activation: str = "relu",
    dropout: float = 0.5,
    head: str = "dense",
) -> Network:
    """Builds a row of ``TABLE``."""
    grid, hidden, min_size = DENSE[name]
    require_size(image_size, min_size)
    conv = ConvStyle(batch_norm=False, activation=activation)
    stages = []
    channels = in_channels
    for maps, kernel, stride, padding, pooling in TABLE[name]:
        stage = nn.Sequential(conv(channels, maps, kernel, stride=stride, padding=padding))
        if pooling:
            stage.append(nn.MaxPool2d(pooling))
        stages.append(stage)
        channels = maps
    network = Network(
        stem=stages[0],
        stages=stages[1:],
        head=average_head(channels, num_classes, dropout=dropout)
        if head == "average"
        else dense_head(
            channels * grid**2, hidden, num_classes, activation=activation, dropout=dropout, grid=grid
        ),
        in_channels=in_channels,
        image_size=image_size,
        min_size=min_size,
    )
    draw = partial(nn.init.normal_, std=0.01)
    initialize(network, conv=draw, linear=draw)
    return network
