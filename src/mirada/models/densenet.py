"""DenseNet.  Huang, Liu, van der Maaten & Weinberger 2016, arXiv:1608.06993, Table 1 (DenseNet-BC).

Differs from the paper: nothing.  Initialisation He normal with fan-in, as torchvision has it.
Shapes: images (N, 3, 224, 224) → outputs (N, 1000).  A stage is a dense block, with the transition before it, and
in the last one the normalization and rectifier after it.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from mirada.layers.activation import make_activation
from mirada.layers.blocks import ConvStyle, average_head
from mirada.layers.initialization import initialize
from mirada.layers.network import Network, Size, require_size

# fmt: off
#              growth rate k   layers in dense blocks 1 … 4
TABLE = {
    "densenet121": (32,        (6, 12, 24, 16)),
    "densenet161": (48,        (6, 12, 36, 24)),
    "densenet169": (32,        (6, 12, 32, 32)),
    "densenet201": (32,        (6, 12, 48, 32)),
}                            # 56 → 28 → 14 → 7 pixels
PUBLIC_KEYS = (  # norm1 of a layer is norm.1 in the older files
    (r"^features\.denseblock(\d)\.denselayer(\d+)\.(norm|conv)\.?1\.",  r"stage\1.layer\2.function.0.\3."),
    (r"^features\.denseblock(\d)\.denselayer(\d+)\.(norm|conv)\.?2\.",  r"stage\1.layer\2.function.1.\3."),
    (r"^features\.transition1\.",                                       "stage2.transition.0."),
    (r"^features\.transition2\.",                                       "stage3.transition.0."),
    (r"^features\.transition3\.",                                       "stage4.transition.0."),
    (r"^features\.(norm|conv)0\.",                                      r"stem.0.\1."),
    (r"^features\.norm5\.",                                             "stage4.norm."),
    (r"^classifier\.",                                                  "head.linear."),
)
SEQUENTIAL_KEYS = (  # torchvision's features alone, as the part of a list: RadImageNet's
    (r"^(?=(conv|norm|denseblock|transition)\d)", "features."),
    *PUBLIC_KEYS,
)
# fmt: on
BOTTLENECK = 4
MIN_SIZE = 29


class DenseLayer(nn.Module):
    """[x, H(x)], eq. 2: what came in stays, and k maps are added. (N, C, H, W) → (N, C + k, H, W).

    H is a 1 × 1 convolution to 4k maps and a 3 × 3 convolution to k, each normalized and rectified beforehand.
    """

    def __init__(self, channels: int, growth: int, *, activation: str) -> None:
        super().__init__()
        self.function = nn.Sequential(
            _normalized_conv(channels, BOTTLENECK * growth, 1, activation=activation),
            _normalized_conv(BOTTLENECK * growth, growth, 3, activation=activation),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The input and the new maps, concatenated."""
        return torch.cat([x, self.function(x)], dim=1)


def densenet(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    image_size: Size,
    growth: int | None = None,
    compression: float = 0.5,
    activation: str = "relu",
) -> Network:
    """Builds a row of ``TABLE``, with another growth rate k or compression θ if they are given."""
    require_size(image_size, MIN_SIZE)
    paper_growth, depths = TABLE[name]
    growth = paper_growth if growth is None else growth
    channels = 2 * growth
    stem = nn.Sequential(
        ConvStyle(activation=activation)(in_channels, channels, 7, stride=2),  # 224 → 112
        nn.MaxPool2d(3, stride=2, padding=1),  # 112 → 56
    )
    stages: list[nn.Sequential] = []
    for depth in depths:
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        if stages:
            compressed = max(1, int(compression * channels))  # ⌊θm⌋
            reduce = _normalized_conv(channels, compressed, 1, activation=activation)
            parts["transition"] = nn.Sequential(reduce, nn.AvgPool2d(2))  # 56 → 28 → 14 → 7
            channels = compressed
        for number in range(1, depth + 1):
            parts[f"layer{number}"] = DenseLayer(channels, growth, activation=activation)
            channels += growth
        stages.append(nn.Sequential(parts))
    stages[-1].add_module("norm", nn.BatchNorm2d(channels))
    stages[-1].add_module("act", make_activation(activation, channels))
    network = Network(
        stem=stem,
        stages=stages,
        head=average_head(channels, num_classes),
        in_channels=in_channels,
        image_size=image_size,
        min_size=MIN_SIZE,
    )
    initialize(network, conv=nn.init.kaiming_normal_)
    return network


def _normalized_conv(channels: int, maps: int, kernel: int, *, activation: str) -> nn.Sequential:
    """Batch normalization, rectifier, convolution: §3, "composite function"."""
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        norm=nn.BatchNorm2d(channels),
        act=make_activation(activation, channels),
        conv=nn.Conv2d(channels, maps, kernel, padding=kernel // 2, bias=False),
    )
    return nn.Sequential(parts)
