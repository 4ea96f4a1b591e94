"""VGG.  Simonyan & Zisserman 2014, arXiv:1409.1556, Table 1.

Differs from the paper: images of another size than 224 are averaged to 7 × 7 maps before the dense layers, and
weights start as torchvision's do, He normal with fan-out and N(0, 0.01²) in the dense layers, since the paper
starts its deeper networks from trained shallower ones. ``_bn`` is torchvision's too: batch normalization after
every convolution, which keeps its bias.
Shapes: images (N, 3, 224, 224) → outputs (N, 1000).  ``stem`` is the paper's conv1, ``stage1 … stage4`` are its
conv2 … conv5, each with the pooling that ends it.
"""

from functools import partial

from torch import nn

from mirada.layers.blocks import ConvStyle, average_head, dense_head
from mirada.layers.initialization import initialize
from mirada.layers.network import Network, Size, require_size

# fmt: off
WIDTHS =    (64,     128,    256,          512,          512)            # 224 → 112 → 56 → 28 → 14 → 7 pixels
#            conv1   conv2   conv3         conv4         conv5             kernels; all stride 1, size kept
TABLE = {
    "vgg11":   ((3,),   (3,),   (3, 3),       (3, 3),       (3, 3)),        # A
    "vgg13":   ((3, 3), (3, 3), (3, 3),       (3, 3),       (3, 3)),        # B
    "vgg16_c": ((3, 3), (3, 3), (3, 3, 1),    (3, 3, 1),    (3, 3, 1)),     # C
    "vgg16":   ((3, 3), (3, 3), (3, 3, 3),    (3, 3, 3),    (3, 3, 3)),     # D
    "vgg19":   ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),  # E
}
# fmt: on
GRID = 7
HIDDEN = (4096, 4096)
MIN_SIZE = 32


def vgg(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    image_size: Size,
    activation: str = "relu",
    dropout: float = 0.5,
    head: str = "dense",
) -> Network:
    """Builds a row of ``TABLE``; with ``_bn`` behind its name, batch-normalized.

    With ``head`` "average" the convolutions' 14.7 million weights of ``vgg16`` are followed by one linear layer alone
    (Zhou et al. 2016, arXiv:1512.04150, §3).
    """
    require_size(image_size, MIN_SIZE)
    conv = ConvStyle(batch_norm=name.endswith("_bn"), bias=True, activation=activation)
    stages = []
    channels = in_channels
    for width, kernels in zip(WIDTHS, TABLE[name.removesuffix("_bn")], strict=True):
        layers: list[nn.Module] = []
        for kernel in kernels:
            layers.append(conv(channels, width, kernel))
            channels = width
        stages.append(nn.Sequential(*layers, nn.MaxPool2d(2)))
    network = Network(
        stem=stages[0],
        stages=stages[1:],
        head=average_head(channels, num_classes, dropout=dropout)
        if head == "average"
        else dense_head(
            channels * GRID**2, HIDDEN, num_classes, activation=activation, dropout=dropout, grid=GRID
        ),
        in_channels=in_channels,
        image_size=image_size,
        min_size=MIN_SIZE,
    )
    initialize(
        network,
        conv=partial(nn.init.kaiming_normal_, mode="fan_out", nonlinearity="relu"),
        linear=partial(nn.init.normal_, std=0.01),
    )
    return network


def _convolution_keys(name: str) -> tuple[tuple[str, str], ...]:
    """torchvision and timm count convolutions, normalizations, rectifiers and poolings together: features.0, .1, …"""
    batch_norm = name.endswith("_bn")
    keys, index = [], 0
    for stage, kernels in enumerate(TABLE[name.removesuffix("_bn")]):
        part = f"stage{stage}" if stage else "stem"
        for number in range(len(kernels)):
            keys.append((rf"^features\.{index}\.", f"{part}.{number}.conv."))
            if batch_norm:
                keys.append((rf"^features\.{index + 1}\.", f"{part}.{number}.norm."))
            index += 3 if batch_norm else 2
        index += 1  # the pooling
    return tuple(keys)


PUBLIC = ("vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn")
PUBLIC_KEYS = {  # by name, since a layer's index depends on the layers before it
    name: (
        *_convolution_keys(name),
        (r"^classifier\.0\.", "head.hidden1."),
        (r"^classifier\.3\.", "head.hidden2."),
        (r"^classifier\.6\.", "head.linear."),
    )
    for name in PUBLIC
}
TIMM_KEYS = {
    name: (
        *_convolution_keys(name),
        (r"^head\.fc\.", "head.linear."),
        (r"^pre_logits\.fc([12])\.", r"head.hidden\1."),
    )
    for name in PUBLIC
}
