"""ResNet.  He, Zhang, Ren & Sun 2015, arXiv:1512.03385, Table 1.

Differs from the paper: a bottleneck's stride sits on its 3×3 convolution, not on its first 1×1 ("v1.5").
Shapes: images (N, 3, 224, 224) → outputs (N, 1000).  Shortcuts are option B: a projection where the shape changes.
"""

from torch import Tensor, nn

from mirada.layers.blocks import ConvStyle, average_head
from mirada.layers.network import Network, Size, require_size

# fmt: off
#             block         blocks in conv2_x … conv5_x
TABLE = {
    "resnet18":  ("basic",      (2, 2,  2, 2)),
    "resnet34":  ("basic",      (3, 4,  6, 3)),
    "resnet50":  ("bottleneck", (3, 4,  6, 3)),
    "resnet101": ("bottleneck", (3, 4, 23, 3)),
    "resnet152": ("bottleneck", (3, 8, 36, 3)),
}
WIDTHS  = (64, 128, 256, 512)
STRIDES = (1, 2, 2, 2)               # 56 → 28 → 14 → 7 pixels
EXPANSION = {"basic": 1, "bottleneck": 4}
# fmt: on
CONV = ConvStyle()
MIN_SIZE = 1


class Residual(nn.Module):
    """ReLU(F(x) + shortcut(x)), eq. 1 and 2. (N, C, H, W) → (N, C′, H′, W′)."""

    def __init__(self, block: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.block = block
        self.shortcut = shortcut
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """The block and the shortcut, added, then rectified."""
        y: Tensor = self.act(self.block(x) + self.shortcut(x))
        return y


def resnet(name: str, *, num_classes: int, in_channels: int, image_size: Size) -> Network:
    """Builds a row of ``TABLE``."""
    require_size(image_size, MIN_SIZE)
    kind, depths = TABLE[name]
    stem = nn.Sequential(
        CONV(in_channels, 64, 7, stride=2),  # 224 → 112
        nn.MaxPool2d(3, stride=2, padding=1),  # 112 → 56
    )
    stages = []
    channels = 64
    for width, depth, stride in zip(WIDTHS, depths, STRIDES, strict=True):
        blocks = []
        for number in range(depth):
            blocks.append(_residual(kind, channels, width, stride if number == 0 else 1))
            channels = width * EXPANSION[kind]
        stages.append(nn.Sequential(*blocks))
    network = Network(
        stem=stem,
        stages=stages,
        head=average_head(channels, num_classes),
        in_channels=in_channels,
        image_size=image_size,
        min_size=MIN_SIZE,
    )
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return network


def _residual(kind: str, channels: int, width: int, stride: int) -> Residual:
    out = width * EXPANSION[kind]
    if kind == "basic":  # Fig. 5, left
        block = nn.Sequential(
            CONV(channels, width, 3, stride=stride),
            CONV(width, out, 3, activate=False),
        )
    else:  # Fig. 5, right
        block = nn.Sequential(
            CONV(channels, width, 1),
            CONV(width, width, 3, stride=stride),
            CONV(width, out, 1, activate=False),
        )
    changes = stride != 1 or channels != out
    shortcut = CONV(channels, out, 1, stride=stride, activate=False) if changes else nn.Identity()
    return Residual(block, shortcut)
