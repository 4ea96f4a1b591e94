"""BoNet, for the age of bones.  Spampinato et al. 2017, Medical Image Analysis 36:41–51; lecture notes §5.2 and §5.3.

Differs from the paper: what the notes leave open is an argument. By default the first layer strides by 2, as
OverFeat's does, nothing is padded, the activation is ReLU, and ``bonet_simple`` averages its maps instead of
flattening them; taken literally (``stride=1, head="flatten"``) it has 5–6 billion weights. The
deformation layer of the paper, whose size and place the notes do not give, is an option: an affine spatial
transformer on the maps of the first layer, where there are still many pixels to move. No dropout.
The notes train with their first layer frozen, also where its weights are random (``bonet_simple``): so does the
recipe, which ``freeze=[]`` changes. ``first_layer`` takes a file of OverFeat's, whose layer fits at any stride; the
pooling stays the notes' 2 × 2, not OverFeat's 3 × 3. The age may be in months or years: the target is scaled.
Shapes: images (N, 3, 220, 220) → outputs (N, 1); ``bonet_simple`` takes grey images (N, 1, 220, 220).
``stem`` is the first convolution, of OverFeat's size and so 3-channelled in ``bonet``, with its pooling: the part
to freeze. Initialisation as Keras, which the notes use, has it: Glorot uniform, zero bias.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mirada.arithmetic import output_size
from mirada.errors import InvalidArgument
from mirada.layers.activation import make_activation
from mirada.layers.blocks import ConvStyle, average_head, dense_head
from mirada.layers.initialization import initialize
from mirada.layers.network import Network, Size, require_size

# fmt: off
#                  kernels          maps                            head
TABLE = {
    "bonet_simple": ((7, 5),          (96, 1024),                   "average_dense"),
    "bonet":        ((7, 5, 3, 3, 3), (96, 2048, 1024, 1024, 1024), "flatten"),
}
# fmt: on
HIDDEN = 2048
LOCALIZATION_GRID = 4
LOCALIZATION_HIDDEN = 32


class AffineSampling(nn.Module):
    """y(p) = x(A·p + t), bilinear, 0 outside; p is −1 … 1 from edge to edge, and the 6 numbers are A | t, row by row.

    Maps (N, C, H, W) and numbers (N, 6) → (N, C, H, W).
    """

    def forward(self, maps: Tensor, affine: Tensor) -> Tensor:
        """Moves the maps."""
        precise = torch.promote_types(maps.dtype, torch.float32)  # bfloat16 confuses neighbouring pixels
        rows = affine.to(precise).view(-1, 1, 1, 2, 3)
        height, width = maps.shape[2:]
        down = _pixel_centres(height, like=rows).view(1, height, 1, 1)
        across = _pixel_centres(width, like=rows).view(1, 1, width, 1)
        places = across * rows[..., 0] + down * rows[..., 1] + rows[..., 2]  # (N, H, W, 2), x before y
        return F.grid_sample(maps.to(precise), places, align_corners=False).to(maps.dtype)


class SpatialTransformer(nn.Module):
    """Turns, shifts, scales and shears the maps by 6 numbers that it reads off them.  Jaderberg et al. 2015, §3.

    (N, C, H, W) → (N, C, H, W). It begins as the identity: zero weights in the last layer, whose bias is A = I, t = 0.
    Source: arXiv:1506.02025.
    """

    def __init__(self, channels: int, *, activation: str = "relu") -> None:
        super().__init__()
        self.localization = nn.Sequential(
            nn.AdaptiveAvgPool2d(LOCALIZATION_GRID),
            nn.Flatten(),
            nn.Linear(channels * LOCALIZATION_GRID**2, LOCALIZATION_HIDDEN),
            make_activation(activation, LOCALIZATION_HIDDEN),
        )
        self.affine = nn.Linear(LOCALIZATION_HIDDEN, 6)
        self.sampling = AffineSampling()
        self.reset()

    def reset(self) -> None:
        """Makes it the identity."""
        with torch.no_grad():
            self.affine.weight.zero_()
            self.affine.bias.copy_(torch.eye(2, 3).flatten())

    def forward(self, maps: Tensor) -> Tensor:
        """Finds the 6 numbers and moves the maps."""
        moved: Tensor = self.sampling(maps, self.affine(self.localization(maps)))
        return moved


def bonet(
    name: str,
    *,
    num_classes: int,
    in_channels: int,
    image_size: Size,
    stride: int = 2,
    padding: str = "valid",
    head: str | None = None,
    deformation: bool = False,
    activation: str = "relu",
) -> Network:
    """Builds a row of ``TABLE``: ``stride`` of the first layer, ``padding`` same or valid.

    ``head`` flattens the maps (flatten) or averages them (average_dense) before a hidden layer, or averages them
    before the last layer (average). ``deformation`` adds a ``SpatialTransformer`` behind the first layer. Raises
    ``InvalidArgument`` for images too small, or more weights than this machine can train.
    """
    kernels, maps, usual = TABLE[name]
    head = usual if head is None else head
    geometry = _Geometry(kernels, stride, padding == "same")
    require_size(image_size, geometry.min_size())
    conv = ConvStyle(batch_norm=False, activation=activation)
    stages = [
        nn.Sequential(conv(before, after, kernel, stride=step, padding=rim), nn.MaxPool2d(2))
        for before, after, (kernel, step, rim) in zip(
            (in_channels, *maps), maps, geometry.windows(), strict=False
        )
    ]
    if deformation:
        stages[1].insert(0, SpatialTransformer(maps[0], activation=activation))
    last = (maps[-1], *map(geometry.last_side, image_size))
    make_head = partial(_head, head, last, num_classes=num_classes, activation=activation)
    _require_memory(name, stages, make_head)
    network = Network(
        stem=stages[0],
        stages=stages[1:],
        head=make_head(),
        in_channels=in_channels,
        image_size=image_size,
        min_size=geometry.min_size(),
    )
    _initialize(network)
    return network


@dataclass(frozen=True)
class _Geometry:
    """Sizes, as §2.2.2 of the notes has them: ⌊(m − k + 2c) / p⌋ + 1, then halved by the pooling."""

    kernels: Sequence[int]
    stride: int
    same: bool

    def windows(self) -> list[tuple[int, int, int]]:
        """Kernel, stride and padding of each convolution."""
        strides = (self.stride, *(1 for _ in self.kernels[1:]))
        return [
            (kernel, stride, kernel // 2 if self.same else 0)
            for kernel, stride in zip(self.kernels, strides, strict=True)
        ]

    def last_side(self, side: int) -> int:
        """Pixels of a side after the last pooling; none or fewer if the image is too small."""
        for kernel, stride, padding in self.windows():
            side = output_size(output_size(side, kernel, stride=stride, padding=padding), 2, stride=2)
        return side

    def min_size(self) -> int:
        """The smallest side that leaves a pixel."""
        return next(side for side in count(1) if self.last_side(side) >= 1)


def _head(kind: str, maps: tuple[int, ...], *, num_classes: int, activation: str) -> nn.Sequential:
    if kind == "flatten":
        return dense_head(prod(maps), (HIDDEN,), num_classes, activation=activation)
    if kind == "average":
        return average_head(maps[0], num_classes)
    dense = dense_head(maps[0], (HIDDEN,), num_classes, activation=activation)
    return nn.Sequential(OrderedDict([("pool", nn.AdaptiveAvgPool2d(1)), *dense.named_children()]))


def _pixel_centres(pixels: int, *, like: Tensor) -> Tensor:
    """Where they lie when the edges of the image are at −1 and 1."""
    return (2 * torch.arange(pixels, dtype=like.dtype, device=like.device) + 1) / pixels - 1


def _require_memory(name: str, stages: Sequence[nn.Module], make_head: Callable[[], nn.Module]) -> None:
    """Refuses weights that cannot be trained here, rather than let the machine swap or kill the process."""
    if torch.empty(0).is_meta or not hasattr(os, "sysconf"):  # nothing is allocated; Windows does not say
        return
    with torch.device("meta"):
        parts = [*stages, make_head()]
    weights = [parameter for part in parts for parameter in part.parameters()]
    number = sum(weight.numel() for weight in weights)
    needed = 2 * sum(weight.numel() * weight.element_size() for weight in weights)
    # All of it, not what is free now: the system gives back what it uses as a cache.
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > memory:
        raise InvalidArgument(
            f"{name} with these options has {number:,} weights, which take {needed / 1e9:.1f} GB with their "
            f"gradients; this machine has {memory / 1e9:.1f} GB of memory. "
            'Choose head="average", a larger stride or smaller images.'
        )


def _initialize(network: Network) -> None:
    initialize(network, conv=nn.init.xavier_uniform_, linear=nn.init.xavier_uniform_)
    for layer in network.modules():
        if isinstance(layer, SpatialTransformer):
            layer.reset()
