"""What a place sees of the image: how it grows through a stack, what it costs, and how much of it counts.

    r_l = r_(l−1) + (k_l − 1)·j_(l−1),   j_l = j_(l−1)·s_l,   r_0 = j_0 = 1

r is the receptive field, j how many pixels two neighbouring places are apart, k the kernel, s the stride. The other
way round, the projective field of a pixel is all places that see it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mirada.arithmetic import output_size
from mirada.errors import InvalidArgument
from mirada.lessons import Material
from mirada.reference import avg_pool2d

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

Array = NDArray[np.float64]

LAYERS, KERNEL, STRIDE, PIXELS = 3, 3, 1, 25  # of the stack that the page begins with
CHANNELS = 64  # C
DEPTHS = (2, 5, 10, 20)  # layers of 3×3 whose effective field is measured
MAPS, NETWORKS, SEED = 8, 12, 0
NOISE = 8  # images of noise through a network of one's own
MOST_CELLS = 64  # a side of a measured field as it is drawn
SHARE = 0.9545  # of a field's weight: what lies within two deviations of a bell curve
PHOTO = "flower.jpg"  # of scikit-learn
PYRAMID_SIDE, PYRAMID_LEVELS, PYRAMID_WINDOW = 64, 4, 5
SHOWN_NETWORKS = ("lenet5", "alexnet", "vgg16", "resnet18")


@dataclass(frozen=True)
class GrowingStack:
    """Equal layers on a row of pixels, with (k − 1) / 2 zeros at each end.

    Args:
        kernel: k, odd.
        stride: s.
        pixels: of the row.
        places: of each layer, the pixels first.
        fields: pixels that a place of each layer sees, 1 first.
        jumps: pixels between the middles of two neighbours, 1 first.
    """

    kernel: int
    stride: int
    pixels: int
    places: tuple[int, ...]
    fields: tuple[int, ...]
    jumps: tuple[int, ...]

    def seen(self, layer: int, place: int) -> range:
        """The pixels that a place sees, those beyond the ends left out."""
        middle, half = place * self.jumps[layer], (self.fields[layer] - 1) // 2
        return range(max(0, middle - half), min(self.pixels, middle + half + 1))

    def reached(self, layer: int, pixel: int) -> range:
        """The places that see a pixel: its projective field."""
        half, jump = (self.fields[layer] - 1) // 2, self.jumps[layer]
        first, last = ceil((pixel - half) / jump), floor((pixel + half) / jump)
        return range(max(0, first), min(self.places[layer], last + 1))


@dataclass(frozen=True)
class StackCounts:
    """Three 3×3 against one 7×7 on C maps, without biases: weights, and pixels a side that a place sees."""

    channels: int
    three: int
    seven: int
    fields: tuple[int, int]


@dataclass(frozen=True)
class EffectiveField:
    """How much each pixel moves the place in the middle: the squared gradient, averaged.

    Args:
        name: of what was measured.
        theoretical: pixels a side that the place can see.
        shares: (h, w), of all the squared gradient; of a large field a cell is several pixels.
        effective: pixels a side of the square around the middle that holds ``SHARE`` of it.
        size: (height, width) in pixels of what is shown.
    """

    name: str
    theoretical: int
    shares: Array
    effective: int
    size: tuple[int, int]


@dataclass(frozen=True)
class NetworkField:
    """What a place before the head of a network of the catalogue sees, and the image's side, in pixels."""

    network: str
    field: int
    jump: int
    image: int


@dataclass(frozen=True, eq=False)
class Pyramid:
    """An image at several resolutions, and a window that is the same on all of them.

    Args:
        levels: (m, m) from 0 to 1, each the means of 2×2 of the one before.
        window: its side, in numbers of a level.
        covers: pixels a side of the first level that it covers on each.
    """

    levels: tuple[Array, ...]
    window: int
    covers: tuple[int, ...]


@dataclass(frozen=True)
class ReceptiveLesson:
    """All that the page shows; ``own`` is a trained network and the same one before training, or empty."""

    stack: GrowingStack
    counts: StackCounts
    measured: tuple[EffectiveField, ...]
    networks: tuple[NetworkField, ...]
    own: tuple[EffectiveField, ...]
    pyramid: Pyramid


def lesson(material: Material) -> ReceptiveLesson:
    """A stack that grows, the counts, the measured fields, a network of one's own, and a pyramid."""
    return ReceptiveLesson(
        growing_stack(LAYERS, KERNEL, stride=STRIDE, pixels=PIXELS),
        stack_counts(CHANNELS),
        tuple(effective_field(depth) for depth in DEPTHS),
        tuple(network_field(name) for name in SHOWN_NETWORKS),
        own_fields(material.model) if material.model else (),
        image_pyramid(photo(PYRAMID_SIDE), PYRAMID_LEVELS, PYRAMID_WINDOW),
    )


def photo(side: int) -> Array:
    """The middle of a real photo in grey, (side, side) from 0 to 1."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    picture = Image.fromarray(load_sample_image(PHOTO)).convert("L")
    left, top = ((length - min(picture.size)) // 2 for length in picture.size)
    box = (left, top, left + min(picture.size), top + min(picture.size))
    return np.asarray(picture.resize((side, side), Image.Resampling.BOX, box=box), dtype=np.float64) / 255


def image_pyramid(image: Array, levels: int, window: int) -> Pyramid:
    """An image (m, m), pooled again and again: what a window of one size covers of it."""
    found = [image]
    for _ in range(levels - 1):
        found.append(avg_pool2d(found[-1][None, None], 2)[0, 0])
    return Pyramid(tuple(found), window, tuple(window * 2**level for level in range(levels)))


def growing_stack(layers: int, kernel: int, *, stride: int = 1, pixels: int = PIXELS) -> GrowingStack:
    """Places, fields and jumps of equal layers, one on the other. Raises ``InvalidArgument`` for an even kernel."""
    if kernel % 2 == 0:
        raise InvalidArgument(f"A kernel of the drawing has a middle, so its size is odd. Got {kernel}.")
    places, fields, jumps = [pixels], [1], [1]
    for _ in range(layers):
        places.append(output_size(places[-1], kernel, stride=stride, padding=kernel // 2))
        fields.append(fields[-1] + (kernel - 1) * jumps[-1])
        jumps.append(jumps[-1] * stride)
    return GrowingStack(kernel, stride, pixels, tuple(places), tuple(fields), tuple(jumps))


def stack_counts(channels: int) -> StackCounts:
    """27 C² weights against 49 C², counted by ``mirada.summary``. Source: lecture notes §3.4."""
    from torch import nn

    from mirada.summary import summarize

    def conv(kernel: int) -> nn.Conv2d:
        return nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False)

    three = summarize(nn.Sequential(conv(3), conv(3), conv(3)), (channels, 32, 32))
    seven = summarize(nn.Sequential(conv(7)), (channels, 32, 32))
    fields = [
        int(each.rows[-1].receptive_field[0]) for each in (three, seven) if each.rows[-1].receptive_field
    ]
    return StackCounts(channels, three.parameters, seven.parameters, (fields[0], fields[1]))


def network_field(name: str) -> NetworkField:
    """What a place before the head of a network sees, as ``mirada.summary`` follows it."""
    from mirada.summary.fields import map_geometry
    from mirada.summary.undrawn import named

    network = named(name)
    geometry = map_geometry(network, network.trunk()[-1])
    return NetworkField(name, geometry.field[0], geometry.jump[0], network.image_size[0])


def effective_field(layers: int, *, networks: int = NETWORKS, seed: int = SEED) -> EffectiveField:
    """The squared gradient of the middle place by the pixels, over networks of 3×3 with random weights and ReLU.

    Args:
        layers: of 3×3, each on 8 maps but the first, which reads one.
        networks: to average over.
        seed: of weights and images.

    Source: Luo et al. 2016, arXiv:1701.04128, §2.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    side = 2 * layers + 1
    total = torch.zeros(side, side)
    for _ in range(networks):
        image = torch.randn(1, 1, side, side, generator=generator)
        total += _squared_gradient(image, _weights(layers, generator))
    return _field(f"{layers}", side, total.double().numpy())


def own_fields(model: Path, *, seed: int = SEED) -> tuple[EffectiveField, EffectiveField]:
    """The field of the middle place before the head, of a trained network and of the same one before training.

    Args:
        model: a model file.
        seed: of the images of noise that go through both, and of the weights before training.

    Raises:
        InvalidArgument: it is not known what the network's last maps see.
    """
    import torch

    from mirada.inference.model import load_model

    opened = load_model(model, device="cpu")
    torch.manual_seed(seed)
    fresh = opened.card.architecture.build().eval()
    return _measured("trained", opened.network), _measured("untrained", fresh)


def _measured(name: str, network: nn.Module) -> EffectiveField:
    import torch

    from mirada.layers.network import Network
    from mirada.summary.fields import map_geometry

    if not isinstance(network, Network):
        raise InvalidArgument("Only networks of stages, as the catalogue has them, can be measured.")
    layer = network.trunk()[-1]
    generator = torch.Generator().manual_seed(SEED)
    images = torch.randn(
        NOISE, network.in_channels, *network.image_size, generator=generator, requires_grad=True
    )
    maps = network.forward_to(layer, images)
    middle = maps[:, :, maps.shape[2] // 2, maps.shape[3] // 2]
    signs = torch.randn(middle.shape, generator=generator)
    (slope,) = torch.autograd.grad((middle * signs).sum(), images)
    weight = (slope**2).sum((0, 1)).double().numpy()
    return _field(name, map_geometry(network, layer).field[0], weight)


def _weights(layers: int, generator: Generator) -> list[Tensor]:
    """3×3 from one map to 8, and from 8 to 8, by He et al. 2015."""
    import torch

    sizes = [(MAPS, 1 if number == 0 else MAPS, 3, 3) for number in range(layers)]
    return [torch.randn(size, generator=generator) * (2 / (size[1] * 9)) ** 0.5 for size in sizes]


def _squared_gradient(image: Tensor, weights: list[Tensor]) -> Tensor:
    """Of the first map's only place by the pixels, (side, side); the layers pad nothing, so one place is left."""
    import torch

    maps = image.requires_grad_()
    for number, weight in enumerate(weights):
        maps = torch.nn.functional.conv2d(maps, weight)
        maps = torch.relu(maps) if number < len(weights) - 1 else maps
    (slope,) = torch.autograd.grad(maps[0, 0, 0, 0], image)
    return slope[0, 0] ** 2


def _field(name: str, theoretical: int, weight: Array) -> EffectiveField:
    shares = weight / max(weight.sum(), np.finfo(float).tiny)
    height, width = weight.shape
    cell = ceil(max(height, width) / MOST_CELLS)
    frame = ((0, -height % cell), (0, -width % cell))
    padded = np.pad(shares, frame)
    coarse = padded.reshape(padded.shape[0] // cell, cell, padded.shape[1] // cell, cell).sum((1, 3))
    return EffectiveField(name, theoretical, coarse, min(theoretical, _holding(shares)), (height, width))


def _holding(shares: Array) -> int:
    """The side of the smallest square around the weight's middle that holds ``SHARE`` of it."""
    rows, columns = np.indices(shares.shape)
    y, x = round(float((rows * shares).sum())), round(float((columns * shares).sum()))
    away = np.maximum(abs(rows - y), abs(columns - x))
    held = np.cumsum(np.bincount(away.ravel(), shares.ravel()))
    return 2 * int(np.searchsorted(held, SHARE * held[-1])) + 1
