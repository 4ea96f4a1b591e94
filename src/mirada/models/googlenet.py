"""GoogLeNet.  Szegedy et al. 2014, "Going Deeper with Convolutions", arXiv:1409.4842, Table 1 and Fig. 2.

Differs from the paper:

- The first convolution is an ordinary 7 × 7 with 9,408 weights, as in every public build; the 2.7 K weights of
  Table 1 are those of a separable one.
- The paper leaves open the constants of the local response normalization, the rounding of the poolings' sizes
  (up) and the initialisation (Glorot uniform by fan-in, biases 0.2): they are those of Caffe's bvlc_googlenet.
- The auxiliary heads, used in training only, are built where asked for (``auxiliary=True``); away from 224 × 224
  their 5 × 5 / 3 averages are averaged again to 4 × 4.
- ``googlenet_bn`` is torchvision's: batch normalization in place of biases and local response normalization,
  3 × 3 in place of 5 × 5, the last pooling 2 × 2, dropout 0.2, weights drawn from N(0, 0.01²).

Shapes: images (N, 3, 224, 224) → outputs (N, 1000).
"""

from collections import OrderedDict
from typing import NamedTuple

from torch import nn

from mirada.layers.blocks import ConvStyle, average_head, dense_head
from mirada.layers.branches import Branches
from mirada.layers.initialization import fill_bias, weighted_layers
from mirada.layers.network import Network, Size, require_size


class GoogLeNetVariant(NamedTuple):
    """One row of ``TABLE``; ``large`` and ``last_pool`` are kernels, the smallest sides are in pixels."""

    batch_norm: bool
    large: int
    last_pool: int
    dropout: float
    min_size: int
    min_size_auxiliary: int


class Widths(NamedTuple):
    """One inception module: the columns of Table 1, in the order in which the branches are concatenated."""

    one: int
    reduce3: int
    three: int
    reduce5: int
    five: int
    project: int

    @property
    def out(self) -> int:
        """Channels that the module puts out."""
        return self.one + self.three + self.five + self.project


# fmt: off
TABLE = {
    #                                batch norm  "5×5"  last pool  dropout  smallest side, with auxiliary heads
    "googlenet":    GoogLeNetVariant(False,      5,     3,         0.4,     31,            79),
    "googlenet_bn": GoogLeNetVariant(True,       3,     2,         0.2,     15,            15),
}
#               #1×1  #3×3r #3×3  #5×5r #5×5  proj.       maps × side at 224 × 224
STAGES = (
    {"3a": Widths( 64,   96,  128,   16,   32,   32),   #  256 × 28
     "3b": Widths(128,  128,  192,   32,   96,   64)},  #  480 × 28
    {"4a": Widths(192,   96,  208,   16,   48,   64)},  #  512 × 14, after pooling; auxiliary head 1
    {"4b": Widths(160,  112,  224,   24,   64,   64),   #  512 × 14
     "4c": Widths(128,  128,  256,   24,   64,   64),   #  512 × 14
     "4d": Widths(112,  144,  288,   32,   64,   64)},  #  528 × 14;                auxiliary head 2
    {"4e": Widths(256,  160,  320,   32,  128,  128)},  #  832 × 14
    {"5a": Widths(256,  160,  320,   32,  128,  128),   #  832 × 7,  after pooling
     "5b": Widths(384,  192,  384,   48,  128,  128)},  # 1024 × 7
)
# fmt: on
STEM_MAPS = 192
AUXILIARY = {"stage2": 512, "stage3": 528}  # the maps that the heads read
AUXILIARY_WEIGHT = 0.3  # of each auxiliary loss, § 5
AUXILIARY_DROPOUT = 0.7

# torchvision's googlenet → ours
PUBLIC_KEYS = (
    (r"^conv1\.", "stem.conv1."),
    (r"^conv2\.", "stem.reduce2."),
    (r"^conv3\.", "stem.conv2."),
    (r"^(inception3)", r"stage1.\1"),
    (r"^(inception4a)", r"stage2.\1"),
    (r"^(inception4[bcd])", r"stage3.\1"),
    (r"^(inception4e)", r"stage4.\1"),
    (r"^(inception5)", r"stage5.\1"),
    (r"\.branch1\.", ".1x1."),
    (r"\.branch2\.0\.", ".3x3.reduce."),
    (r"\.branch2\.1\.", ".3x3.conv."),
    (r"\.branch3\.0\.", ".5x5.reduce."),
    (r"\.branch3\.1\.", ".5x5.conv."),
    (r"\.branch4\.1\.", ".pool.project."),
    (r"\.bn\.", ".norm."),
    (r"^aux1\.", "auxiliary.stage2."),
    (r"^aux2\.", "auxiliary.stage3."),
    (r"\.fc1\.", ".dense.hidden1."),
    (r"\.fc2\.", ".dense.linear."),
    (r"^fc\.", "head.linear."),
)


def googlenet(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    image_size: Size,
    activation: str = "relu",
    dropout: float | None = None,
    auxiliary: bool = False,
) -> Network:
    """Builds a row of ``TABLE``.

    ``dropout`` is the one before the last layer, None for the row's. ``auxiliary`` adds the two heads that help
    in training: 3,188,840 and 3,190,888 parameters for 1000 outputs.
    """
    variant = TABLE[name]
    min_size = variant.min_size_auxiliary if auxiliary else variant.min_size
    require_size(image_size, min_size)
    conv = ConvStyle(batch_norm=variant.batch_norm, eps=1e-3, activation=activation)
    read = AUXILIARY if auxiliary else {}
    network = Network(
        stem=_stem(conv, in_channels),
        stages=_stages(conv, variant),
        head=average_head(
            STAGES[-1]["5b"].out, num_classes, dropout=variant.dropout if dropout is None else dropout
        ),
        auxiliary={stage: _auxiliary_head(conv, maps, num_classes) for stage, maps in read.items()},
        auxiliary_weight=AUXILIARY_WEIGHT,
        in_channels=in_channels,
        image_size=image_size,
        min_size=min_size,
    )
    _initialize(network, batch_norm=variant.batch_norm)
    return network


def inception_module(conv: ConvStyle, channels: int, *, widths: Widths, large: int = 5) -> Branches:
    """Fig. 2b, with bottlenecks: (N, channels, H, W) → (N, ``widths.out``, H, W). ``large`` is the third kernel.

    On 256 × 28 × 28 with 64 maps in each bottleneck and 128, 192 and 96 after it: 480 maps, 271 million MACs.
    """
    return Branches(
        OrderedDict(
            {
                "1x1": conv(channels, widths.one, 1),
                "3x3": nn.Sequential(
                    OrderedDict(
                        reduce=conv(channels, widths.reduce3, 1),
                        conv=conv(widths.reduce3, widths.three, 3),
                    )
                ),
                "5x5": nn.Sequential(
                    OrderedDict(
                        reduce=conv(channels, widths.reduce5, 1),
                        conv=conv(widths.reduce5, widths.five, large),
                    )
                ),
                "pool": nn.Sequential(
                    OrderedDict(
                        pool=nn.MaxPool2d(3, stride=1, padding=1),
                        project=conv(channels, widths.project, 1),
                    )
                ),
            }
        )
    )


def naive_module(conv: ConvStyle, channels: int, *, one: int, three: int, five: int) -> Branches:
    """Fig. 2a, without bottlenecks: (N, channels, H, W) → (N, one + three + five + channels, H, W).

    On 256 × 28 × 28 with 128, 192 and 96 maps: 672 maps, 854 million MACs (lecture notes, Fig. 16).
    """
    return Branches(
        OrderedDict(
            {
                "1x1": conv(channels, one, 1),
                "3x3": conv(channels, three, 3),
                "5x5": conv(channels, five, 5),
                "pool": nn.MaxPool2d(3, stride=1, padding=1),
            }
        )
    )


def _stem(conv: ConvStyle, in_channels: int) -> nn.Sequential:
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    parts["conv1"] = conv(in_channels, 64, 7, stride=2)  # 224 → 112
    parts["pool1"] = _max_pool(3)  # 112 → 56
    if not conv.batch_norm:
        parts["norm1"] = _local_response_norm()
    parts["reduce2"] = conv(64, 64, 1)
    parts["conv2"] = conv(64, STEM_MAPS, 3)
    if not conv.batch_norm:
        parts["norm2"] = _local_response_norm()
    parts["pool2"] = _max_pool(3)  # 56 → 28
    return nn.Sequential(parts)


def _stages(conv: ConvStyle, variant: GoogLeNetVariant) -> list[nn.Module]:
    pools = {"4a": 3, "5a": variant.last_pool}  # before these modules: 28 → 14 and 14 → 7
    stages: list[nn.Module] = []
    channels = STEM_MAPS
    for rows in STAGES:
        stage: OrderedDict[str, nn.Module] = OrderedDict()
        for module, widths in rows.items():
            if module in pools:
                stage["pool"] = _max_pool(pools[module])
            stage[f"inception{module}"] = inception_module(conv, channels, widths=widths, large=variant.large)
            channels = widths.out
        stages.append(nn.Sequential(stage))
    return stages


def _max_pool(kernel: int) -> nn.MaxPool2d:
    return nn.MaxPool2d(kernel, stride=2, ceil_mode=True)


def _local_response_norm() -> nn.LocalResponseNorm:
    return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)


def _auxiliary_head(conv: ConvStyle, channels: int, num_classes: int) -> nn.Sequential:
    """§ 5: average to 4 × 4, 1 × 1 convolution, two dense layers. (N, channels, 14, 14) → (N, num_classes)."""
    to_4x4 = nn.AdaptiveAvgPool2d(4)
    return nn.Sequential(
        OrderedDict(
            pool=to_4x4 if conv.batch_norm else nn.Sequential(nn.AvgPool2d(5, stride=3), to_4x4),
            conv=conv(channels, 128, 1),
            dense=dense_head(
                128 * 4 * 4, (1024,), num_classes, activation=conv.activation, dropout=AUXILIARY_DROPOUT
            ),
        )
    )


def _initialize(network: Network, *, batch_norm: bool) -> None:
    """torchvision's with batch normalization, Caffe's without; layers that put out predictions get no bias."""
    for name, layer in weighted_layers(network):
        if batch_norm:
            nn.init.normal_(layer.weight, std=0.01)
        else:
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="linear")  # ±√(3 / fan-in)
        predicts = name.endswith("linear")
        fill_bias(layer, 0.0 if batch_norm or predicts else 0.2)
