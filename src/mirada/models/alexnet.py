"""AlexNet, three of them.  Krizhevsky, Sutskever & Hinton 2012, NIPS 25, §3 (``alexnet``).

``alexnet_bn`` is the table of Calderón 2019, lecture notes, §3.3: one tower, batch normalization after the pooling.
``alexnet_owt`` is torchvision's: Krizhevsky 2014, arXiv:1404.5997, one narrower tower without normalization.

Differs from the paper: the images have 227 pixels, of which (227 − 11) / 4 + 1 = 55 is a whole number, and not its
224; weights start as in Caffe's bvlc_alexnet (biases 0.1 where the paper has 1, with which Caffe did not learn),
``alexnet_owt`` as torchvision's; maps of another size than 6 × 6 are averaged to it before the dense layers.
Differs from the notes: layer 2 has stride 1, since their stride 4 does not keep the size as they say.
Shapes: images (N, 3, 227, 227) → outputs (N, 1000); ``alexnet_owt`` has 224 pixels.  ``stem`` is the paper's
layer 1, ``stage1 … stage4`` are its layers 2 … 5.
"""

from collections import OrderedDict
from collections.abc import Callable

from torch import nn

from mirada.layers.activation import make_activation
from mirada.layers.blocks import ConvStyle, average_head
from mirada.layers.initialization import fill_bias, weighted_layers
from mirada.layers.network import Network, Size, require_size

# fmt: off
TABLE = {
    #     maps kernel stride padding groups   after the rectifier      size at 227 × 227
    "alexnet": (
        ( 96,  11,    4,     0,      1,       ("lrn", "pool")),      # 55 → 27
        (256,   5,    1,     2,      2,       ("lrn", "pool")),      # 27 → 13
        (384,   3,    1,     1,      1,       ()),                   # both towers see each other here
        (384,   3,    1,     1,      2,       ()),
        (256,   3,    1,     1,      2,       ("pool",)),            # 13 → 6
    ),
    "alexnet_bn": (
        ( 96,  11,    4,     0,      1,       ("pool", "batch_norm")),
        (256,   5,    1,     2,      1,       ("pool", "batch_norm")),
        (384,   3,    1,     1,      1,       ()),
        (384,   3,    1,     1,      1,       ()),
        (256,   3,    1,     1,      1,       ("pool",)),
    ),
    "alexnet_owt": (
        ( 64,  11,    4,     2,      1,       ("pool",)),
        (192,   5,    1,     2,      1,       ("pool",)),
        (384,   3,    1,     1,      1,       ()),
        (256,   3,    1,     1,      1,       ()),
        (256,   3,    1,     1,      1,       ("pool",)),
    ),
}
MIN_SIZE = {"alexnet": 67, "alexnet_bn": 67, "alexnet_owt": 63}
PUBLIC_KEYS = (  # of alexnet_owt; the others have no public weights
    (r"^features\.0\.",    "stem.0.conv."),
    (r"^features\.3\.",    "stage1.0.conv."),
    (r"^features\.6\.",    "stage2.0.conv."),
    (r"^features\.8\.",    "stage3.0.conv."),
    (r"^features\.10\.",   "stage4.0.conv."),
    (r"^classifier\.1\.",  "head.hidden1."),
    (r"^classifier\.4\.",  "head.hidden2."),
    (r"^classifier\.6\.",  "head.linear."),
)
# fmt: on
AFTER: dict[str, Callable[[int], nn.Module]] = {
    # aᵢ / (2 + 10⁻⁴ Σ aⱼ²)^0.75 over five maps; torch divides alpha by their number
    "lrn": lambda maps: nn.LocalResponseNorm(size=5, alpha=5e-4, beta=0.75, k=2.0),
    "batch_norm": nn.BatchNorm2d,
    "pool": lambda maps: nn.MaxPool2d(3, stride=2),
}
GRID = 6
HIDDEN = 4096


def alexnet(
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
    require_size(image_size, MIN_SIZE[name])
    conv = ConvStyle(batch_norm=False, activation=activation)
    stages = []
    channels = in_channels
    for maps, kernel, stride, padding, groups, after in TABLE[name]:
        layer = conv(channels, maps, kernel, stride=stride, padding=padding, groups=groups)
        stages.append(nn.Sequential(layer, *(AFTER[part](maps) for part in after)))
        channels = maps
    first = name == "alexnet_owt"
    network = Network(
        stem=stages[0],
        stages=stages[1:],
        head=average_head(channels, num_classes, dropout=dropout)
        if head == "average"
        else _head(channels, num_classes, activation=activation, dropout=dropout, dropout_first=first),
        in_channels=in_channels,
        image_size=image_size,
        min_size=MIN_SIZE[name],
    )
    if name != "alexnet_owt":
        _initialize(network)
    return network


def _head(
    channels: int, num_classes: int, *, activation: str, dropout: float, dropout_first: bool
) -> nn.Sequential:
    """Two hidden layers, with dropout on their outputs (2012) or on their inputs (torchvision)."""
    parts: OrderedDict[str, nn.Module] = OrderedDict(pool=nn.AdaptiveAvgPool2d(GRID), flatten=nn.Flatten())
    features = channels * GRID**2
    for number in (1, 2):
        if dropout_first:
            parts[f"dropout{number}"] = nn.Dropout(dropout)
        parts[f"hidden{number}"] = nn.Linear(features, HIDDEN)
        parts[f"act{number}"] = make_activation(activation, HIDDEN)
        if not dropout_first:
            parts[f"dropout{number}"] = nn.Dropout(dropout)
        features = HIDDEN
    parts["linear"] = nn.Linear(features, num_classes)
    return nn.Sequential(parts)


def _initialize(network: Network) -> None:
    """Normal weights; biases of 0.1 in layers 2, 4, 5, 6 and 7, so that their rectifiers start in the open."""
    for number, (name, layer) in enumerate(weighted_layers(network), start=1):
        hidden = name.startswith("head.hidden")
        nn.init.normal_(layer.weight, std=0.005 if hidden else 0.01)
        fill_bias(layer, 0.1 if hidden or number in (2, 4, 5) else 0.0)
