"""BN-Inception, Inception-v2 and Inception-v3: "Inception v2" is the name of the first as well as of the second.

``bn_inception``: Ioffe & Szegedy 2015, arXiv:1502.03167, Figure 5.
``inception_v2`` and ``inception_v3``: Szegedy, Vanhoucke, Ioffe, Shlens & Wojna 2015, arXiv:1512.00567, Table 1.

Differs from the papers:

- ``bn_inception``: modules 4c and 4d put out 608 maps and 4e 1056, the sums of the widths that Figure 5 prints,
  and not the 576 and 1024 of its output column (in TF-slim it is the widths that give way). The first convolution
  is an ordinary 7 × 7. Poolings round sizes up, as in the public Caffe network.
- ``inception_v2``: Table 1 gives no widths within the modules. They are those of ``inception_v3``, where there is a
  3 × 3 in place of the 5 × 5 of the modules at 35 × 35 (Fig. 5); so it has 26 million parameters and 6.4 billion
  MACs, more than the paper's.
- ``inception_v3`` is the released network (TF-slim, torchvision): it differs from Table 1 in the stem, keeps the
  5 × 5, and has four modules at 17 × 17 instead of five.
- The auxiliary head, used in training only, is built where asked for (``auxiliary=True``), with the release's weight
  of 0.4; the one of ``inception_v2`` is that of ``inception_v3``.

Weights are drawn as in TF-slim: He normal by fan-in; in the auxiliary head N(0, 0.01²), then N(0, 0.001²).
Shapes: images (N, 3, 299, 299) → outputs (N, 1000); ``bn_inception`` takes (N, 3, 224, 224).
"""

from collections import OrderedDict
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.functional import max_pool2d, pad

from mirada.layers.blocks import ConvStyle, average_head
from mirada.layers.branches import Branches
from mirada.layers.initialization import fill_bias, weighted_layers
from mirada.layers.network import Network, Size, require_size

Parts = tuple[nn.Sequential, list[nn.Module]]  # the stem and the stages


class BNModule(NamedTuple):
    """A module of BN-Inception: the columns of its Figure 5, in the order in which branches are concatenated."""

    one: int
    reduce3: int
    three: int
    reduce_double3: int
    double3: int
    pool: str
    project: int


class InceptionVariant(NamedTuple):
    """A row of ``VARIANTS``."""

    stem: dict[str, tuple[int, int, int, int] | None]
    kernel35: int
    projections35: tuple[int, ...]
    widths17: tuple[int, ...]


# fmt: off
#                #1×1  #3×3r #3×3  double: #r #3×3 pool, projection         maps × side at 224 × 224
BN_STAGES = (
    {"3a": BNModule( 64,   64,   64,   64,   96, "average",  32),   #  256 × 28
     "3b": BNModule( 64,   64,   96,   64,   96, "average",  64)},  #  320 × 28
    {"3c": BNModule(  0,  128,  160,   64,   96, "max",       0),   #  576 × 14, stride 2
     "4a": BNModule(224,   64,   96,   96,  128, "average", 128),   #  576 × 14
     "4b": BNModule(192,   96,  128,   96,  128, "average", 128),   #  576 × 14
     "4c": BNModule(160,  128,  160,  128,  160, "average", 128),   #  608 × 14
     "4d": BNModule( 96,  128,  192,  160,  192, "average", 128)},  #  608 × 14
    {"4e": BNModule(  0,  128,  192,  192,  256, "max",       0),   # 1056 × 7,  stride 2
     "5a": BNModule(352,  192,  320,  160,  224, "average", 128),   # 1024 × 7
     "5b": BNModule(352,  192,  320,  192,  224, "max",     128)},  # 1024 × 7
)

#             kernel, maps, stride, padding (None: a max pooling, 3 × 3 with stride 2)   # side from 299
V2_STEM = {
    "conv1a": (3,  32, 2, 0),  # 149
    "conv2a": (3,  32, 1, 0),  # 147
    "conv2b": (3,  64, 1, 1),  # 147
    "pool3a": None,            #  73
    "conv3b": (3,  80, 1, 0),  #  71
    "conv4a": (3, 192, 2, 0),  #  35
    "conv4b": (3, 288, 1, 1),  #  35
}
V3_STEM = {
    "conv1a": (3,  32, 2, 0),  # 149
    "conv2a": (3,  32, 1, 0),  # 147
    "conv2b": (3,  64, 1, 1),  # 147
    "pool3a": None,            #  73
    "conv3b": (1,  80, 1, 0),  #  73
    "conv4a": (3, 192, 1, 0),  #  71
    "pool5a": None,            #  35
}
VARIANTS = {
    #                                stem     35 × 35: kernel, projections   17 × 17: widths of the 1 × 7 and 7 × 1
    "inception_v2": InceptionVariant(V2_STEM,          3,      (64, 64, 64), (128, 160, 160, 160, 192)),
    "inception_v3": InceptionVariant(V3_STEM,          5,      (32, 64, 64), (128, 160, 160, 192)),
}
#                 eps   maps  dropout  smallest side, with the auxiliary head
TABLE = {
    "bn_inception": (1e-5, 1024, 0.0,   7,              7),
    "inception_v2": (1e-3, 2048, 0.5,  75,            299),
    "inception_v3": (1e-3, 2048, 0.5,  75,            299),
}
# fmt: on
AUXILIARY_WEIGHT = 0.4

# torchvision's and timm's inception_v3 → ours
PUBLIC_KEYS = (
    (r"^Conv2d_(\d.)_\dx\d\.", r"stem.conv\1."),
    (r"^Mixed_5", "stage1.mixed5"),
    (r"^Mixed_6", "stage2.mixed6"),
    (r"^Mixed_7", "stage3.mixed7"),
    (r"\.branch_pool\.", ".pool.project."),
    (r"\.branch(1x1|3x3|5x5|7x7|7x7x3)(?=[._])", r".\1"),
    (r"\.branch(3x3|7x7)dbl(?=_)", r".double\1"),
    (r"_([23])a\.", r"_\1.1x3."),
    (r"_([23])b\.", r"_\1.3x1."),
    *((rf"x(\d)_{number}\.", rf"x\1.{number - 1}.") for number in range(1, 6)),
    (r"\.bn\.", ".norm."),
    (r"^AuxLogits\.conv0\.", "auxiliary.stage2.reduce."),
    (r"^AuxLogits\.conv1\.", "auxiliary.stage2.conv."),
    (r"^AuxLogits\.fc\.", "auxiliary.stage2.predict.linear."),
    (r"^fc\.", "head.linear."),
)

# torchvision's inception_v3 as a list of its parts, poolings among them, without auxiliary head: RadImageNet's
SEQUENTIAL_KEYS = {
    "inception_v3": (
        *(
            (rf"^{number}\.", f"{name}.")
            for number, name in enumerate(
                (
                    "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Conv2d_3b_1x1", "Conv2d_4a_3x3",
                    "maxpool2", "Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d",
                    "Mixed_6e", "Mixed_7a", "Mixed_7b", "Mixed_7c",
                )
            )
        ),
        *PUBLIC_KEYS,
    )
}  # fmt: skip
# pretrained-models.pytorch's port of a Caffe network: BN-Inception alone. Its convolutions have biases.
CADENE_KEYS = {
    "bn_inception": (
        (r"^(last_linear|fc)\.", "head.linear."),
        (r"^((?:conv|inception)[^.]*)_bn\.", r"\1.norm."),
        (r"^((?:conv|inception)[^.]*)\.(weight|bias)$", r"\1.conv.\2"),
        (r"^conv1_7x7_s2\.", "stem.conv1."),
        (r"^conv2_3x3_reduce\.", "stem.reduce2."),
        (r"^conv2_3x3\.", "stem.conv2."),
        (r"^inception_(3[ab])_", r"stage1.inception\1."),
        (r"^inception_(3c|4[a-d])_", r"stage2.inception\1."),
        (r"^inception_(4e|5[ab])_", r"stage3.inception\1."),
        (r"\.double_3x3_reduce\.", ".double3x3.0."),
        (r"\.double_3x3_([12])\.", r".double3x3.\1."),
        (r"\.3x3_reduce\.", ".3x3.0."),
        (r"\.3x3\.(conv|norm)\.", r".3x3.1.\1."),
        (r"\.pool_proj\.", ".pool.project."),
    )
}


def inception(
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

    ``dropout`` is the one before the last layer, None for the row's. ``auxiliary`` adds the head that helps in
    training: 3,326,696 parameters for 1000 outputs; ``bn_inception`` has no such option.
    """
    eps, maps, usual_dropout, smallest, smallest_auxiliary = TABLE[name]
    min_size = smallest_auxiliary if auxiliary else smallest
    require_size(image_size, min_size)
    conv = ConvStyle(eps=eps, activation=activation)
    if name == "bn_inception":
        stem, stages = _bn_parts(conv, in_channels)
    else:
        stem, stages = _parts(conv, in_channels, VARIANTS[name])
    network = Network(
        stem=stem,
        stages=stages,
        head=average_head(maps, num_classes, dropout=usual_dropout if dropout is None else dropout),
        auxiliary={"stage2": _auxiliary_head(conv, num_classes)} if auxiliary else None,
        auxiliary_weight=AUXILIARY_WEIGHT,
        in_channels=in_channels,
        image_size=image_size,
        min_size=min_size,
    )
    _initialize(network)
    return network


# BN-Inception ----------------------------------------------------------------------------------------------


class ReducingMaxPool(nn.MaxPool2d):
    """Maximum of 3 × 3 pixels from every second one on: (N, C, H, W) → (N, C, ⌈H / 2⌉, ⌈W / 2⌉).

    At even sizes it is the pooling that rounds up; at odd ones it has one more row, as many as a padded
    convolution with stride 2.
    """

    def __init__(self) -> None:
        super().__init__(3, stride=2, ceil_mode=True)

    def forward(self, x: Tensor) -> Tensor:
        """Pools."""
        height, width = x.shape[-2:]
        if height % 2 or width % 2:
            x = pad(x, (0, width % 2, 0, height % 2), value=-float("inf"))
        return max_pool2d(x, self.kernel_size, self.stride, ceil_mode=True)


def _bn_parts(conv: ConvStyle, in_channels: int) -> Parts:
    stem = nn.Sequential(
        OrderedDict(
            conv1=conv(in_channels, 64, 7, stride=2),  # 224 → 112
            pool1=nn.MaxPool2d(3, stride=2, ceil_mode=True),  # 112 → 56
            reduce2=conv(64, 64, 1),
            conv2=conv(64, 192, 3),
            pool2=nn.MaxPool2d(3, stride=2, ceil_mode=True),  # 56 → 28
        )
    )
    stages: list[nn.Module] = []
    channels = 192
    for rows in BN_STAGES:
        stage: OrderedDict[str, nn.Module] = OrderedDict()
        for name, row in rows.items():
            stage[f"inception{name}"] = _bn_module(conv, channels, row)
            channels = row.one + row.three + row.double3 + (row.project or channels)
        stages.append(nn.Sequential(stage))
    return stem, stages


def _bn_module(conv: ConvStyle, channels: int, row: BNModule) -> Branches:
    """Without a 1 × 1 branch and a projection it has stride 2."""
    stride = 1 if row.one else 2
    branches: OrderedDict[str, nn.Module] = OrderedDict()
    if row.one:
        branches["1x1"] = conv(channels, row.one, 1)
    branches["3x3"] = nn.Sequential(
        conv(channels, row.reduce3, 1),
        conv(row.reduce3, row.three, 3, stride=stride),
    )
    branches["double3x3"] = nn.Sequential(
        conv(channels, row.reduce_double3, 1),
        conv(row.reduce_double3, row.double3, 3),
        conv(row.double3, row.double3, 3, stride=stride),
    )
    if row.project:
        pool = _average() if row.pool == "average" else nn.MaxPool2d(3, stride=1, padding=1)
        branches["pool"] = nn.Sequential(OrderedDict(pool=pool, project=conv(channels, row.project, 1)))
    else:
        branches["pool"] = ReducingMaxPool()
    return Branches(branches)


# Inception-v2 and -v3 --------------------------------------------------------------------------------------


def _parts(conv: ConvStyle, in_channels: int, variant: InceptionVariant) -> Parts:
    stem, channels = _stem(conv, in_channels, variant)
    at35: OrderedDict[str, nn.Module] = OrderedDict()
    for letter, project in zip("bcd", variant.projections35, strict=True):
        at35[f"mixed5{letter}"] = _module35(conv, channels, kernel=variant.kernel35, project=project)
        channels = 64 + 64 + 96 + project
    at17: OrderedDict[str, nn.Module] = OrderedDict(mixed6a=_reduction35(conv))
    for letter, width in zip("bcdef", variant.widths17, strict=False):
        at17[f"mixed6{letter}"] = _module17(conv, width)
    at8: OrderedDict[str, nn.Module] = OrderedDict(mixed7a=_reduction17(conv))
    at8["mixed7b"] = _module8(conv, 1280)
    at8["mixed7c"] = _module8(conv, 2048)
    return stem, [nn.Sequential(at35), nn.Sequential(at17), nn.Sequential(at8)]


def _stem(conv: ConvStyle, channels: int, variant: InceptionVariant) -> tuple[nn.Sequential, int]:
    """The stem and how many maps it puts out."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for name, row in variant.stem.items():
        if row is None:
            parts[name] = nn.MaxPool2d(3, stride=2)
        else:
            kernel, maps, stride, padding = row
            parts[name] = conv(channels, maps, kernel, stride=stride, padding=padding)
            channels = maps
    return nn.Sequential(parts), channels


def _module35(conv: ConvStyle, channels: int, *, kernel: int, project: int) -> Branches:
    """Fig. 4 or 5: (N, channels, 35, 35) → (N, 224 + project, 35, 35)."""
    return Branches(
        OrderedDict(
            {
                "1x1": conv(channels, 64, 1),
                f"{kernel}x{kernel}": nn.Sequential(conv(channels, 48, 1), conv(48, 64, kernel)),
                "double3x3": nn.Sequential(conv(channels, 64, 1), conv(64, 96, 3), conv(96, 96, 3)),
                "pool": _projected(conv, channels, project),
            }
        )
    )


def _reduction35(conv: ConvStyle) -> Branches:
    """Fig. 10: (N, 288, 35, 35) → (N, 768, 17, 17)."""
    return Branches(
        OrderedDict(
            {
                "3x3": conv(288, 384, 3, stride=2, padding=0),
                "double3x3": nn.Sequential(
                    conv(288, 64, 1),
                    conv(64, 96, 3),
                    conv(96, 96, 3, stride=2, padding=0),
                ),
                "pool": nn.MaxPool2d(3, stride=2),
            }
        )
    )


def _module17(conv: ConvStyle, width: int) -> Branches:
    """Fig. 6 with n = 7: (N, 768, 17, 17) → (N, 768, 17, 17)."""
    return Branches(
        OrderedDict(
            {
                "1x1": conv(768, 192, 1),
                "7x7": nn.Sequential(
                    conv(768, width, 1),
                    conv(width, width, (1, 7)),
                    conv(width, 192, (7, 1)),
                ),
                "double7x7": nn.Sequential(
                    conv(768, width, 1),
                    conv(width, width, (7, 1)),
                    conv(width, width, (1, 7)),
                    conv(width, width, (7, 1)),
                    conv(width, 192, (1, 7)),
                ),
                "pool": _projected(conv, 768, 192),
            }
        )
    )


def _reduction17(conv: ConvStyle) -> Branches:
    """(N, 768, 17, 17) → (N, 1280, 8, 8)."""
    return Branches(
        OrderedDict(
            {
                "3x3": nn.Sequential(conv(768, 192, 1), conv(192, 320, 3, stride=2, padding=0)),
                "7x7x3": nn.Sequential(
                    conv(768, 192, 1),
                    conv(192, 192, (1, 7)),
                    conv(192, 192, (7, 1)),
                    conv(192, 192, 3, stride=2, padding=0),
                ),
                "pool": nn.MaxPool2d(3, stride=2),
            }
        )
    )


def _module8(conv: ConvStyle, channels: int) -> Branches:
    """Fig. 7: (N, channels, 8, 8) → (N, 2048, 8, 8)."""
    return Branches(
        OrderedDict(
            {
                "1x1": conv(channels, 320, 1),
                "3x3": nn.Sequential(conv(channels, 384, 1), _split(conv)),
                "double3x3": nn.Sequential(conv(channels, 448, 1), conv(448, 384, 3), _split(conv)),
                "pool": _projected(conv, channels, 192),
            }
        )
    )


def _split(conv: ConvStyle) -> Branches:
    return Branches(OrderedDict({"1x3": conv(384, 384, (1, 3)), "3x1": conv(384, 384, (3, 1))}))


def _projected(conv: ConvStyle, channels: int, project: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(pool=_average(), project=conv(channels, project, 1)))


def _average() -> nn.AvgPool2d:
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=True)


def _auxiliary_head(conv: ConvStyle, num_classes: int) -> nn.Sequential:
    """Fig. 8: (N, 768, 17, 17) → (N, num_classes)."""
    return nn.Sequential(
        OrderedDict(
            pool=nn.AvgPool2d(5, stride=3),  # 17 → 5
            reduce=conv(768, 128, 1),
            conv=conv(128, 768, 5, padding=0),  # 5 → 1
            predict=average_head(768, num_classes),
        )
    )


def _initialize(network: Network) -> None:
    for name, layer in weighted_layers(network):
        fill_bias(layer, 0.0)
        if name == "auxiliary.stage2.conv.conv":
            nn.init.normal_(layer.weight, std=0.01)
        elif name == "auxiliary.stage2.predict.linear":
            nn.init.normal_(layer.weight, std=0.001)
        else:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
