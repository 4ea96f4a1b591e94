"""ResNet and its plain twins.  He, Zhang, Ren & Sun 2015, arXiv:1512.03385, Table 1 (ImageNet) and §4.2 (CIFAR-10).

Differs from the paper: a bottleneck's stride sits on its 3×3 convolution ("v1.5"), as in the public weights;
``version=1`` puts it on the first 1×1, as the paper has it. ReLU is ``activation``'s default, not the only choice.
Shapes: images (N, 3, 224, 224) → outputs (N, 1000); the CIFAR networks (N, 3, 32, 32) → (N, 10).
"""

from collections import OrderedDict
from dataclasses import dataclass
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from mirada.layers.activation import make_activation
from mirada.layers.blocks import ConvStyle, average_head
from mirada.layers.initialization import initialize
from mirada.layers.network import Network, Size, require_size

# fmt: off
#              block         blocks per stage   shortcut: an option of §3.3, or none in a plain network
TABLE = {
    "resnet18":  ("basic",      (2, 2,  2, 2), "B"),
    "resnet34":  ("basic",      (3, 4,  6, 3), "B"),
    "resnet50":  ("bottleneck", (3, 4,  6, 3), "B"),
    "resnet101": ("bottleneck", (3, 4, 23, 3), "B"),
    "resnet152": ("bottleneck", (3, 8, 36, 3), "B"),
    "plain18":   ("basic",      (2, 2,  2, 2), None),
    "plain34":   ("basic",      (3, 4,  6, 3), None),
    # CIFAR-10: n blocks per stage make 6n + 2 layers
    "resnet20":  ("basic",      ( 3,  3,  3),  "A"),
    "resnet32":  ("basic",      ( 5,  5,  5),  "A"),
    "resnet44":  ("basic",      ( 7,  7,  7),  "A"),
    "resnet56":  ("basic",      ( 9,  9,  9),  "A"),
    "resnet110": ("basic",      (18, 18, 18),  "A"),
    "plain20":   ("basic",      ( 3,  3,  3),  None),
    "plain32":   ("basic",      ( 5,  5,  5),  None),
    "plain44":   ("basic",      ( 7,  7,  7),  None),
    "plain56":   ("basic",      ( 9,  9,  9),  None),
    "plain110":  ("basic",      (18, 18, 18),  None),
}
IMAGENET_WIDTHS = (64, 128, 256, 512)  # at 56, 28, 14, 7 pixels
CIFAR_WIDTHS    = (16, 32, 64)         # at 32, 16, 8 pixels
EXPANSION = {"basic": 1, "bottleneck": 4}
MIN_SIZE = 1

BLOCK_KEYS = (
    (r"^layer(\d)\.",      r"stage\1."),
    (r"\.conv1\.",         ".block.0.conv."),
    (r"\.bn1\.",           ".block.0.norm."),
    (r"\.conv2\.",         ".block.1.conv."),
    (r"\.bn2\.",           ".block.1.norm."),
    (r"\.conv3\.",         ".block.2.conv."),
    (r"\.bn3\.",           ".block.2.norm."),
    (r"\.downsample\.0\.", ".shortcut.conv."),
    (r"\.downsample\.1\.", ".shortcut.norm."),
)
# torchvision and timm name alike
PUBLIC_KEYS = (
    (r"^conv1\.", "stem.0.conv."),
    (r"^bn1\.",   "stem.0.norm."),
    (r"^fc\.",    "head.linear."),
    *BLOCK_KEYS,
)
# torchvision's network as a list of its parts, without the last: RadImageNet's, fastai's
SEQUENTIAL_KEYS = (
    (r"^0\.", "stem.0.conv."),
    (r"^1\.", "stem.0.norm."),
    *((rf"^{number + 3}\.", f"stage{number}.") for number in range(1, 5)),
    *BLOCK_KEYS,
)
CIFAR_KEYS = (
    (r"^module\.", ""),
    (r"^conv1\.",  "stem.conv."),
    (r"^bn1\.",    "stem.norm."),
    (r"^linear\.", "head.linear."),
    *BLOCK_KEYS,
)
# fmt: on


class Residual(nn.Module):
    """act(F(x) + shortcut(x)), eq. 1 and 2. (N, C, H, W) → (N, C′, H′, W′)."""

    def __init__(self, block: nn.Module, shortcut: nn.Module, act: nn.Module) -> None:
        super().__init__()
        self.block = block
        self.shortcut = shortcut
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """The block and the shortcut, added, then rectified."""
        total = self.block(x).add_(self.shortcut(x))  # in place: no backward pass needs the block's output
        y: Tensor = self.act(total)
        return y


class PaddedIdentity(nn.Module):
    """Option A: every second pixel, and maps of zeros, half of them before and half after, to make up the width.

    (N, in, H, W) → (N, out, ⌈H / stride⌉, ⌈W / stride⌉), without parameters.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.before = (out_channels - in_channels) // 2
        self.after = out_channels - in_channels - self.before
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Takes the pixels and pads the channels."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))

    def extra_repr(self) -> str:
        """The maps of zeros and the stride."""
        return f"before={self.before}, after={self.after}, stride={self.stride}"


@dataclass(frozen=True)
class BlockStyle:
    """How the blocks of one network are built; calling it makes one."""

    kind: str
    shortcut: str | None
    version: float
    conv: ConvStyle

    def __call__(self, channels: int, width: int, stride: int) -> nn.Module:
        """A block and its shortcut, from ``channels`` maps to ``width`` times the block's expansion."""
        out = width * EXPANSION[self.kind]
        if self.kind == "basic":  # Fig. 5, left
            block = nn.Sequential(
                self.conv(channels, width, 3, stride=stride),
                self.conv(width, out, 3, activate=False),
            )
        else:  # Fig. 5, right
            first, second = (stride, 1) if self.version == 1 else (1, stride)
            block = nn.Sequential(
                self.conv(channels, width, 1, stride=first),
                self.conv(width, width, 3, stride=second),
                self.conv(width, out, 1, activate=False),
            )
        act = make_activation(self.conv.activation, out)
        if self.shortcut is None:
            return nn.Sequential(OrderedDict(block=block, act=act))
        return Residual(block, self._way_past(channels, out, stride), act)

    def _way_past(self, channels: int, out: int, stride: int) -> nn.Module:
        changes = stride != 1 or channels != out
        if self.shortcut == "C" or (self.shortcut == "B" and changes):
            return self.conv(channels, out, 1, stride=stride, activate=False)
        return PaddedIdentity(channels, out, stride) if changes else nn.Identity()


def resnet(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    image_size: Size,
    version: float = 1.5,
    shortcut: str | None = None,
    activation: str = "relu",
    width: int = 1,
) -> Network:
    """Builds a row of ``TABLE``; ``shortcut`` replaces the table's.

    ``version`` 1 or 1.5 places a bottleneck's stride. Shortcut A is ``PaddedIdentity`` where the shape changes, B a
    projection there, C a projection everywhere; a plain network has no such option. ``width`` is the widening factor
    k of Zagoruyko & Komodakis 2016, arXiv:1605.07146, Table 1: the stages of a CIFAR network have k times the maps.
    """
    require_size(image_size, MIN_SIZE)
    kind, depths, usual = TABLE[name]
    conv = ConvStyle(activation=activation)
    block = BlockStyle(kind, shortcut or usual, version, conv)
    stem, widths = _cifar_stem(conv, in_channels) if len(depths) == 3 else _imagenet_stem(conv, in_channels)
    stages: list[nn.Module] = []
    channels = widths[0]
    for maps, depth in zip(widths, depths, strict=True):
        maps *= width
        first = block(channels, maps, 2 if stages else 1)
        channels = maps * EXPANSION[kind]
        stages.append(nn.Sequential(first, *(block(channels, maps, 1) for _ in range(depth - 1))))
    network = Network(
        stem=stem,
        stages=stages,
        head=average_head(channels, num_classes),
        in_channels=in_channels,
        image_size=image_size,
        min_size=MIN_SIZE,
    )
    he = partial(nn.init.kaiming_normal_, mode="fan_out", nonlinearity="relu")
    initialize(network, conv=he, bias=None)
    return network


def _imagenet_stem(conv: ConvStyle, in_channels: int) -> tuple[nn.Module, tuple[int, ...]]:
    stem = nn.Sequential(
        conv(in_channels, IMAGENET_WIDTHS[0], 7, stride=2),  # 224 → 112
        nn.MaxPool2d(3, stride=2, padding=1),  # 112 → 56
    )
    return stem, IMAGENET_WIDTHS


def _cifar_stem(conv: ConvStyle, in_channels: int) -> tuple[nn.Module, tuple[int, ...]]:
    return conv(in_channels, CIFAR_WIDTHS[0], 3), CIFAR_WIDTHS
