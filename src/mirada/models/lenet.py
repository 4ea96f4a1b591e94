"""LeNet-5 and two relatives.  LeCun, Bottou, Bengio & Haffner 1998, Proc. IEEE 86(11):2278–2324, §II-B and Fig. 2.

``lenet5_1998`` is the paper's network, ``lenet5`` its common modern form, ``lenet_caffe`` Caffe's example.

Differs from the paper:
- ``lenet5_1998``: the ten 7 × 12 digits of the output units are drawn anew; for other numbers of classes the codes
  are rows of a Hadamard matrix, and a single output, which has no codes to compare, is a linear unit. Outputs are
  −y, so that the largest wins and softmax applies. Digits of 28 pixels are stretched to the 32 of the network; the
  paper's frame is ``policy=frame``. It is trained with the paper's loss (``map`` in a recipe), but by
  Adam instead of gradient descent with second derivatives.
- ``lenet5``: C3 sees all six maps of S2 (2,416 weights instead of 1,516), ReLU instead of 1.7159·tanh(2a/3), max
  pooling instead of trainable sub-sampling, linear outputs. ReLU follows the max pooling, with which it commutes,
  and so has a quarter of the values to rectify; other activations stand before it.
- ``lenet_caffe``: two convolutions, 28 × 28 pixels, max pooling, ReLU in the hidden layer alone, linear outputs.

Shapes: images (N, 1, 32, 32) → outputs (N, 10).
"""

from collections import OrderedDict
from functools import partial

import torch
from torch import Tensor, nn

from mirada.errors import InvalidArgument
from mirada.layers.activation import make_activation
from mirada.layers.blocks import ConvStyle, average_head, dense_head
from mirada.layers.initialization import initialize
from mirada.layers.network import Network, Size, conv_pool_size, require_size

# fmt: off
#                 C1, C3     hidden       activation     smallest side
TABLE = {
    "lenet5_1998": (( 6, 16), (120, 84), "scaled_tanh",  32),
    "lenet5":      (( 6, 16), (120, 84), "relu",         16),
    "lenet_caffe": ((20, 50), (500,),    "relu",         16),
}
KERNEL = 5

# The paper's Table I: the maps of S2 that each of the 16 maps of C3 sees, in groups of equally many.
CONNECTIONS = (
    ((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    ((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
     (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    ((0, 1, 2, 3, 4, 5),),
)
DIGITS = """
    ..###.. ...#... .#####. ######. #....#. ####### ...###. ####### .#####. ..###..
    .#...#. ..##... #.....# ......# #....#. #...... ..#.... #.....# #.....# .#...#.
    #.....# .#.#... ......# ......# #....#. #...... .#..... ......# #.....# #.....#
    #.....# ...#... ......# ......# #....#. #...... #...... .....#. #.....# #.....#
    #.....# ...#... ......# ......# #....#. #...... #...... .....#. #.....# #.....#
    #.....# ...#... .....#. ..####. #....#. ######. #.####. ....#.. .#####. #....##
    #.....# ...#... ....#.. ......# ####### ......# ##....# ....#.. #.....# .####.#
    #.....# ...#... ...#... ......# .....#. ......# #.....# ...#... #.....# ......#
    #.....# ...#... ..#.... ......# .....#. ......# #.....# ...#... #.....# ......#
    #.....# ...#... .#..... ......# .....#. ......# #.....# ..#.... #.....# .....#.
    .#...#. ...#... #...... ......# .....#. #.....# .#...#. ..#.... #.....# ....#..
    ..###.. .#####. ####### ######. .....#. .#####. ..###.. ..#.... .#####. .###...
"""
# fmt: on
BITS = 7 * 12


class PartialConv(nn.Module):
    """C3: each of its 16 maps sees only the maps of S2 that Table I lists.  (N, 6, H, W) → (N, 16, H − 4, W − 4).

    There is a kernel per connection and none besides, so that nothing has to be masked: 60 · 25 + 16 parameters.
    """

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(len(group) * len(group[0]), len(group), KERNEL, groups=len(group))
            for group in CONNECTIONS
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Hands each group its maps, in the order of the table, and convolves."""
        single = maps.chunk(maps.shape[1], dim=1)
        return torch.cat(
            [
                conv(torch.cat([single[seen] for row in group for seen in row], dim=1))
                for group, conv in zip(CONNECTIONS, self.convs, strict=True)
            ],
            dim=1,
        )


class Subsampling(nn.Module):
    """S2 and S4: coefficient · (sum over disjoint 2 × 2 windows) + bias, both learned, per channel.

    (N, C, H, W) → (N, C, ⌊H / 2⌋, ⌊W / 2⌋).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.coefficient = nn.Parameter(torch.empty(channels, 1, 1))
        self.bias = nn.Parameter(torch.empty(channels, 1, 1))
        self.sum = nn.AvgPool2d(2, divisor_override=1)

    def forward(self, maps: Tensor) -> Tensor:
        """Sums, scales and shifts."""
        shrunk: Tensor = self.coefficient * self.sum(maps) + self.bias
        return shrunk


class RadialBasis(nn.Module):
    """The output units: −yₖ = −Σⱼ (xⱼ − wₖⱼ)², minus the squared distance to each class's fixed code of ±1.

    (N, 84) → (N, K). The paper's smallest yₖ is the largest output.
    """

    codes: Tensor

    def __init__(self, codes: Tensor) -> None:
        super().__init__()
        self.register_buffer("codes", codes)

    def forward(self, x: Tensor) -> Tensor:
        """Compares with every code."""
        return -(x.unsqueeze(1) - self.codes).square().sum(2).to(x.dtype)


def lenet(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    image_size: Size,
    activation: str | None = None,
    head: str = "",
) -> Network:
    """Builds a row of ``TABLE``; ``activation`` replaces the table's, and ``head`` "average" the hidden layers.

    Raises ``InvalidArgument`` for images too small, or more classes than codes (168) in ``lenet5_1998``.
    """
    maps, hidden, usual, min_size = TABLE[name]
    require_size(image_size, min_size)
    activation = activation or usual
    height, width = conv_pool_size(image_size, (KERNEL, KERNEL))
    if name == "lenet5_1998":
        stem, *stages = _paper_stages(in_channels, activation)
        last, height, width = hidden[0], height - KERNEL + 1, width - KERNEL + 1  # after C5
        published = partial(_paper_head, last * height * width, num_classes, activation)
    else:
        squash = activation if name == "lenet5" else None
        stem = _conv_pool(in_channels, maps[0], squash)
        stages, last = [_conv_pool(maps[0], maps[1], squash)], maps[1]
        published = partial(dense_head, last * height * width, hidden, num_classes, activation=activation)
    network = Network(
        stem=stem,
        stages=stages,
        head=average_head(last, num_classes) if head == "average" else published(),
        in_channels=in_channels,
        image_size=image_size,
        min_size=min_size,
    )
    if name == "lenet5_1998":
        _initialize_as_published(network)
    elif name == "lenet_caffe":  # Caffe's "xavier": ±√(3 / F), F being the inputs of a unit
        draw = partial(nn.init.kaiming_uniform_, nonlinearity="linear")
        initialize(network, conv=draw, linear=draw)
    return network


def _conv_pool(in_channels: int, out_channels: int, activation: str | None) -> nn.Sequential:
    conv, pool = nn.Conv2d(in_channels, out_channels, KERNEL), nn.MaxPool2d(2)
    if activation is None:
        return nn.Sequential(conv, pool)
    squash = make_activation(activation, out_channels)
    return nn.Sequential(conv, pool, squash) if activation == "relu" else nn.Sequential(conv, squash, pool)


def _paper_stages(in_channels: int, activation: str) -> list[nn.Sequential]:
    """C1 and S2, C3 and S4, C5; every one of them squashes."""
    (c1, c3), (c5, _), _, _ = TABLE["lenet5_1998"]
    conv = ConvStyle(batch_norm=False, activation=activation)

    def shrink(channels: int) -> tuple[nn.Module, nn.Module]:
        return Subsampling(channels), make_activation(activation, channels)

    return [
        nn.Sequential(conv(in_channels, c1, KERNEL, padding=0), *shrink(c1)),  # 28 → 14
        nn.Sequential(PartialConv(), make_activation(activation, c3), *shrink(c3)),  # 10 → 5
        conv(c3, c5, KERNEL, padding=0),  # 1
    ]


def _paper_head(features: int, num_classes: int, activation: str) -> nn.Sequential:
    parts: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    parts["hidden"] = nn.Linear(features, BITS)  # F6
    parts["act"] = make_activation(activation, BITS)
    if num_classes == 1:
        parts["linear"] = nn.Linear(BITS, 1)
    else:
        parts["distance"] = RadialBasis(output_codes(num_classes))
    return nn.Sequential(parts)


def output_codes(num_classes: int) -> Tensor:
    """The fixed codes of ±1 that the output units compare F6 with, (num_classes, 84).

    Ten classes get 7 × 12 pictures of the digits, of which any two differ in at least 11 pixels. Other numbers get
    rows of Paley's Hadamard matrix of order 84, of which any two differ in exactly 42 places, then their negatives.

    Raises ``InvalidArgument`` for more than 168 classes.
    """
    if num_classes == 10:
        rows = [line.split() for line in DIGITS.split("\n") if line.strip()]
        pictures = ["".join(row[digit] for row in rows) for digit in range(10)]
        return torch.tensor([[1.0 if pixel == "#" else -1.0 for pixel in picture] for picture in pictures])
    if num_classes > 2 * BITS:
        raise InvalidArgument(
            f"lenet5_1998 has output codes for at most {2 * BITS} classes. Got {num_classes}; use lenet5."
        )
    prime = BITS - 1
    squares = {k * k % prime for k in range(prime)}
    paley = [
        [-1.0] + [1.0 if (i - j) % prime in squares else -1.0 for j in range(prime)] for i in range(prime)
    ]
    matrix = torch.tensor([[1.0] * BITS, *paley])
    return torch.cat((matrix, -matrix))[:num_classes]


def _initialize_as_published(network: Network) -> None:
    """The paper's uniform in ±2.4 / F, F being the inputs of a unit, for biases and coefficients as well."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            inputs = layer.weight[0].numel()
        elif isinstance(layer, Subsampling):
            inputs = 4
        else:
            continue
        for values in layer.parameters(recurse=False):
            nn.init.uniform_(values, -2.4 / inputs, 2.4 / inputs)
