"""Inception-v4 and the Inception-ResNets.  Szegedy, Ioffe, Vanhoucke & Alemi 2016, arXiv:1602.07261.

``inception_v4`` is Figure 9; ``inception_resnet_v1`` and ``inception_resnet_v2_paper`` are Figure 15;
``inception_resnet_v2`` is what the authors released under that name (TF-slim), which is another network.

Differs from the paper:
- Branches are concatenated in the order of the release, pooling last, and a pair of long kernels is in its order
  too where the figures have the other: 1×7 before 7×1 in the stem, for one, and 3×1 448 before 1×3 512 in
  Inception-C. The numbers of parameters and MACs do not depend on it.
- The last 1×1 convolution of a residual block has as many maps as the block's input. In Figures 17 and 19 it has
  1154 and 2048, which cannot be added to 1152 and 2144.
- The paper scales residuals by "0.1 to 0.3" (§3.3); the scales of the release are used for all.
- ``inception_resnet_v2`` begins like Inception-v3, has 10, 20 and 10 residual blocks, the last one neither scaled
  nor rectified, and a 1×1 convolution before the head.
- The figures have no auxiliary head, and so there is none, though the release trains with one.

Every convolution is followed by batch normalization and ReLU, except the last of a residual block, which has a bias
instead. Weights are drawn as in the release.

Shapes: images (N, 3, 299, 299) → outputs (N, 1000); the stem ends at 35 pixels, the stages at 35, 17 and 8.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from mirada.layers.activation import make_activation
from mirada.layers.blocks import ConvStyle, average_head
from mirada.layers.branches import Branches
from mirada.layers.initialization import initialize
from mirada.layers.network import Network, Size, require_size


class Addition(NamedTuple):
    """A figure whose branches, concatenated and through a linear 1×1 convolution, are scaled and added to x."""

    scale: float
    branches: tuple[str, ...]
    activate: bool = True


# A chain of steps, or parallel branches in the order of concatenation, or a residual block. A step is "h×w n", a
# convolution to n maps, with stride 2 where it says "/2" and without padding where it says "V" (valid); or "max", a
# 3×3 maximum, /2 V; or "avg", a 3×3 mean of what is inside the image; or "{a ∥ b}", which splits into branches.
Figure = str | tuple[str, ...] | Addition

# fmt: off
STEM: list[Figure] = [                       # Figure 3
     "3×3 32 /2 V → 3×3 32 V → 3×3 64",
    ("max",
     "3×3 96 /2 V"),
    ("1×1 64 → 3×3 96 V",
     "1×1 64 → 1×7 64 → 7×1 64 → 3×3 96 V"),
    ("3×3 192 /2 V",
     "max"),
]
STEM1 = [                                    # Figure 14
     "3×3 32 /2 V → 3×3 32 V → 3×3 64 → max → 1×1 80 → 3×3 192 V → 3×3 256 /2 V",
]
STEM2 = [                                    # the release's, and Inception-v3's
     "3×3 32 /2 V → 3×3 32 V → 3×3 64 → max → 1×1 80 → 3×3 192 V → max",
]

# Inception-v4
A4 = ("1×1 96",                              # Figure 4: Inception-A
      "1×1 64 → 3×3 96",
      "1×1 64 → 3×3 96 → 3×3 96",
      "avg → 1×1 96")
RA4 = ("3×3 384 /2 V",                       # Figure 7: Reduction-A with k, l, m, n = 192, 224, 256, 384 (Table 1)
       "1×1 192 → 3×3 224 → 3×3 256 /2 V",
       "max")
B4 = ("1×1 384",                             # Figure 5: Inception-B
      "1×1 192 → 1×7 224 → 7×1 256",
      "1×1 192 → 7×1 192 → 1×7 224 → 7×1 224 → 1×7 256",
      "avg → 1×1 128")
RB4 = ("1×1 192 → 3×3 192 /2 V",             # Figure 8: Reduction-B
       "1×1 256 → 1×7 256 → 7×1 320 → 3×3 320 /2 V",
       "max")
C4 = ("1×1 256",                             # Figure 6: Inception-C
      "1×1 384 → {1×3 256 ∥ 3×1 256}",
      "1×1 384 → 3×1 448 → 1×3 512 → {1×3 256 ∥ 3×1 256}",
      "avg → 1×1 256")

# Inception-ResNet-v1
A1 = Addition(0.17, ("1×1 32",               # Figure 10
                     "1×1 32 → 3×3 32",
                     "1×1 32 → 3×3 32 → 3×3 32"))
RA1 = ("3×3 384 /2 V",                       # Figure 7 with 192, 192, 256, 384
       "1×1 192 → 3×3 192 → 3×3 256 /2 V",
       "max")
B1 = Addition(0.10, ("1×1 128",              # Figure 11
                     "1×1 128 → 1×7 128 → 7×1 128"))
RB1 = ("1×1 256 → 3×3 384 /2 V",             # Figure 12
       "1×1 256 → 3×3 256 /2 V",
       "1×1 256 → 3×3 256 → 3×3 256 /2 V",
       "max")
C1 = Addition(0.20, ("1×1 192",              # Figure 13
                     "1×1 192 → 1×3 192 → 3×1 192"))

# Inception-ResNet-v2
MIXED = ("1×1 96",                           # in the release only
         "1×1 48 → 5×5 64",
         "1×1 64 → 3×3 96 → 3×3 96",
         "avg → 1×1 64")
A2 = Addition(0.17, ("1×1 32",               # Figure 16
                     "1×1 32 → 3×3 32",
                     "1×1 32 → 3×3 48 → 3×3 64"))
RA2 = ("3×3 384 /2 V",                       # Figure 7 with 256, 256, 384, 384
       "1×1 256 → 3×3 256 → 3×3 384 /2 V",
       "max")
B2 = Addition(0.10, ("1×1 192",              # Figure 17
                     "1×1 128 → 1×7 160 → 7×1 192"))
RB2 = ("1×1 256 → 3×3 384 /2 V",             # Figure 18
       "1×1 256 → 3×3 288 /2 V",
       "1×1 256 → 3×3 288 → 3×3 320 /2 V",
       "max")
C2 = Addition(0.20, ("1×1 192",              # Figure 19
                     "1×1 192 → 1×3 224 → 3×1 256"))
LAST = Addition(1.0, C2.branches, activate=False)

TABLE: dict[str, list[Sequence[Figure]]] = {
    #                            stem   35 × 35                17 × 17            8 × 8
    "inception_v4":              [STEM,  4 * [A4],            [RA4, *7 * [B4]],  [RB4, *3 * [C4]]],
    "inception_resnet_v1":       [STEM1, 5 * [A1],            [RA1, *10 * [B1]], [RB1, *5 * [C1]]],
    "inception_resnet_v2_paper": [STEM,  5 * [A2],            [RA2, *10 * [B2]], [RB2, *5 * [C2]]],
    "inception_resnet_v2":       [STEM2, [MIXED, *10 * [A2]], [RA2, *20 * [B2]], [RB2, *9 * [C2], LAST, "1×1 1536"]],
}
# fmt: on
EPS = 1e-3  # of batch normalization
MIN_SIZE = 75


def _renumber(stage: str, shift: int) -> Callable[[re.Match[str]], str]:
    return lambda match: f"{stage}.{int(match[1]) + shift}."


TIMM_KEYS = (
    # inception_v4
    (r"^features\.([0-2])\.", r"stem.0.\1."),
    (r"^features\.3\.conv\.", "stem.1.branch1."),
    (r"^features\.4\.", "stem.2."),
    (r"^features\.5\.conv\.", "stem.3.branch0."),
    (r"^features\.([6-9])\.", _renumber("stage1", -6)),
    (r"^features\.(1[0-7])\.", _renumber("stage2", -10)),
    (r"^features\.(1[89]|2[01])\.", _renumber("stage3", -18)),
    (r"\.branch(\d)_(\d)a\.", r".branch\1.\2.branch0."),
    (r"\.branch(\d)_(\d)b\.", r".branch\1.\2.branch1."),
    (r"\.branch(\d)_(\d)\.", r".branch\1.\2."),
    (r"^last_linear\.", "head.linear."),
    # inception_resnet_v2
    (r"^(repeat\w*\.\d+|block8)\.branch", r"\1.branches.branch"),
    (r"^(repeat\w*\.\d+|block8)\.conv2d\.", r"\1.expansion."),
    (r"^conv2d_1a\.", "stem.0.0."),
    (r"^conv2d_2a\.", "stem.0.1."),
    (r"^conv2d_2b\.", "stem.0.2."),
    (r"^conv2d_3b\.", "stem.0.4."),
    (r"^conv2d_4a\.", "stem.0.5."),
    (r"^mixed_5b\.", "stage1.0."),
    (r"^repeat\.(\d+)\.", _renumber("stage1", 1)),
    (r"^mixed_6a\.", "stage2.0."),
    (r"^repeat_1\.(\d+)\.", _renumber("stage2", 1)),
    (r"^mixed_7a\.", "stage3.0."),
    (r"^repeat_2\.(\d+)\.", _renumber("stage3", 1)),
    (r"^block8\.", "stage3.10."),
    (r"^conv2d_7b\.", "stage3.11."),
    (r"^classif\.", "head.linear."),
    # both
    (r"\.bn\.", ".norm."),
)


class ScaledResidual(nn.Module):
    """x + scale · W ∗ branches(x), then the activation: Figure 20. (N, C, H, W) → the same shape.

    ``expansion`` W is a linear 1×1 convolution with a bias, from what the branches give to the C maps of x.
    """

    def __init__(self, branches: nn.Module, expansion: nn.Conv2d, *, scale: float, act: nn.Module) -> None:
        super().__init__()
        self.branches = branches
        self.expansion = expansion
        self.scale = scale
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """The scaled residual, added, then activated."""
        y: Tensor = self.act(x + self.scale * self.expansion(self.branches(x)))
        return y

    def extra_repr(self) -> str:
        """The factor of the residual."""
        return f"scale={self.scale:g}"


def inception_v4(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    image_size: Size,
    activation: str = "relu",
    dropout: float = 0.2,
) -> Network:
    """Builds a row of ``TABLE``. ``dropout`` is the fraction left out before the linear layer (Figure 9 keeps 0.8)."""
    require_size(image_size, MIN_SIZE)
    conv = ConvStyle(eps=EPS, activation=activation)
    channels = in_channels
    parts = []
    for figures in TABLE[name]:
        layers = []
        for figure in figures:
            layer, channels = _draw(figure, channels, conv)
            layers.append(layer)
        parts.append(nn.Sequential(*layers))
    network = Network(
        stem=parts[0],
        stages=parts[1:],
        head=average_head(channels, num_classes, dropout=dropout),
        in_channels=in_channels,
        image_size=image_size,
        min_size=MIN_SIZE,
    )
    glorot = nn.init.xavier_uniform_  # as TF-slim, which has He's normal for the convolutions of Inception-v4
    initialize(network, conv=_he if name == "inception_v4" else glorot, linear=glorot)
    return network


def _draw(figure: Figure, channels: int, conv: ConvStyle) -> tuple[nn.Module, int]:
    """A figure as a layer, and how many maps that gives."""
    if isinstance(figure, str):
        return _chain(figure.split(" → "), channels, conv)
    if isinstance(figure, Addition):
        inner, width = _draw(figure.branches, channels, conv)
        expansion = nn.Conv2d(width, channels, 1)
        act = make_activation(conv.activation, channels) if figure.activate else nn.Identity()
        return ScaledResidual(inner, expansion, scale=figure.scale, act=act), channels
    layers, widths = zip(*(_draw(branch, channels, conv) for branch in figure), strict=True)
    branches = Branches(OrderedDict((f"branch{number}", layer) for number, layer in enumerate(layers)))
    return branches, sum(widths)


def _chain(steps: Sequence[str], channels: int, conv: ConvStyle) -> tuple[nn.Module, int]:
    layers = []
    for step in steps:
        layer, channels = _step(step, channels, conv)
        layers.append(layer)
    return (layers[0] if len(layers) == 1 else nn.Sequential(*layers)), channels


def _step(step: str, channels: int, conv: ConvStyle) -> tuple[nn.Module, int]:
    if step == "max":
        return nn.MaxPool2d(3, stride=2), channels
    if step == "avg":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False), channels
    if step.startswith("{"):
        return _draw(tuple(step[1:-1].split(" ∥ ")), channels, conv)
    kernel, width, *marks = step.split()
    height, _, breadth = kernel.partition("×")
    layer = conv(
        channels,
        int(width),
        (int(height), int(breadth)),
        stride=2 if "/2" in marks else 1,
        padding=0 if "V" in marks else None,
    )
    return layer, int(width)


def _he(weight: Tensor) -> None:
    """Normal, cut at two deviations, which takes 1.3 times the variance to give 2 / fan-in."""
    deviation = (1.3 * 2 / weight[0].numel()) ** 0.5
    nn.init.trunc_normal_(weight, std=deviation, a=-2 * deviation, b=2 * deviation)
