"""From fibre to map to picture, §4 and Fig. 24: a class activation map with every step, on a trained network.

    μ_n = mean of A_n,   s_k = Σ_n W_kn·μ_n + b_k,   M_k[x,y] = Σ_n W_kn·A_n[x,y],   s_k = mean of M_k + b_k

The network learns to tell digits that lie anywhere in an image, one in each. It is then shown an image with two, and
its map for each class says where it sees that one, though nobody ever told it where anything was.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mirada.lessons import Material
from mirada.lessons.features import load

if TYPE_CHECKING:
    from torch import Tensor

    from mirada.layers.network import Network

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
SIDE, SCALE = 32, 2  # pixels of an image, and of a pixel of a digit in it
CLASSES, MAPS = 10, 32
EPOCHS, BATCH, RATE = 12, 32, 3e-3
PAIR = (3, 0)  # the classes of the two digits
CORNERS = ((2, 1), (12, 15))  # (row, column) of theirs


@dataclass(frozen=True, eq=False)
class CamLesson:
    """One image with two digits, and all that its maps are made of.

    Args:
        image: (SIDE, SIDE) from 0 to 1.
        pair: the classes of the digits in it.
        boxes: (top, left, bottom, right) of each.
        maps: A, (N, h, w).
        means: μ, (N,).
        weight: W, (K, N).
        bias: b, (K,).
        outputs: s before the softmax, (K,), the network's own.
        class_maps: M, (K, h, w).
        accuracy: of the network on images with one digit that it was not trained on.
        tested: how many of those.
    """

    image: Array
    pair: tuple[int, int]
    boxes: tuple[tuple[int, int, int, int], ...]
    maps: Array
    means: Array
    weight: Array
    bias: Array
    outputs: Array
    class_maps: Array
    accuracy: float
    tested: int

    @property
    def probabilities(self) -> Array:
        """The softmax of the outputs."""
        raised = np.exp(self.outputs - self.outputs.max())
        return np.asarray(raised / raised.sum())


def lesson(material: Material) -> CamLesson:
    """A network is trained, and opened on an image with two digits."""
    import torch

    from mirada.explain.class_maps import affine_head, class_maps
    from mirada.explain.explainable import Explainable

    network, accuracy, tested = trained()
    image, boxes = two_digits()
    tensor = _tensor(image[None])
    maps, outputs = Explainable(network).read(tensor, "stage2")
    head = affine_head(network)
    if head is None:
        raise TypeError("The head of this network is global average pooling and one linear layer.")
    with torch.no_grad():
        return CamLesson(
            image=image,
            pair=PAIR,
            boxes=boxes,
            maps=_array(maps[0]),
            means=_array(maps[0].mean(dim=(1, 2))),
            weight=_array(head.weight),
            bias=_array(head.bias),
            outputs=_array(outputs[0]),
            class_maps=_array(class_maps(network, tensor).maps[0]),
            accuracy=accuracy,
            tested=tested,
        )


@cache
def trained() -> tuple[Network, float, int]:
    """A network that tells digits wherever they lie, its accuracy on test images, and how many these are."""
    import torch
    from torch.nn.functional import cross_entropy

    from mirada.training.optimizer import Optimizer
    from mirada.training.stepping import Adam

    digits = load()
    labels = torch.from_numpy(digits.train_labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = _network()
        optimizer = Optimizer(network, Adam(lr=RATE))
        for epoch in range(EPOCHS):
            images = _tensor(scattered(digits.train, seed=epoch))
            for rows in torch.split(torch.randperm(len(images)), BATCH):
                optimizer.zero_grad()
                cross_entropy(network(images[rows]), labels[rows]).backward()  # type: ignore[no-untyped-call]
                optimizer.step(RATE * (1 - epoch / EPOCHS))
    network.eval()
    with torch.no_grad():
        answers = network(_tensor(scattered(digits.test, seed=EPOCHS))).argmax(dim=1).numpy()
    return network, float((answers == digits.test_labels).mean()), len(answers)


def _network() -> Network:
    """Three convolutions of 3 × 3, a global average, one linear layer."""
    from torch import nn

    from mirada.layers.blocks import average_head
    from mirada.layers.network import Network

    def part(before: int, after: int, *, pooled: bool) -> nn.Module:
        layers = [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        return nn.Sequential(*layers, *([nn.MaxPool2d(2)] if pooled else []))

    return Network(
        stem=part(1, 16, pooled=True),
        stages=[part(16, MAPS, pooled=True), part(MAPS, MAPS, pooled=False)],
        head=average_head(MAPS, CLASSES),
        in_channels=1,
        image_size=(SIDE, SIDE),
        min_size=8,
    )


def scattered(digits: Array, *, seed: int) -> Array:
    """Each digit (8, 8) somewhere in an image of its own, (N, SIDE, SIDE) from 0 to 1."""
    random = np.random.default_rng(seed)
    side = digits.shape[1] * SCALE
    corners = random.integers(0, SIDE - side + 1, (len(digits), 2))
    images = np.zeros((len(digits), SIDE, SIDE))
    for image, digit, (row, column) in zip(images, digits, corners, strict=True):
        image[row : row + side, column : column + side] = _enlarged(digit)
    return images


def two_digits() -> tuple[Array, tuple[tuple[int, int, int, int], ...]]:
    """An image with two test digits, and where they are."""
    digits = load()
    image, boxes = np.zeros((SIDE, SIDE)), []
    for kind, (row, column) in zip(PAIR, CORNERS, strict=True):
        digit = _enlarged(digits.test[np.flatnonzero(digits.test_labels == kind)[0]])
        side = len(digit)
        image[row : row + side, column : column + side] += digit
        boxes.append((row, column, row + side, column + side))
    return image.clip(0, 1), tuple(boxes)


def _enlarged(digit: Array) -> Array:
    return np.asarray(np.kron(digit / 16, np.ones((SCALE, SCALE))), dtype=np.float64)


def _tensor(images: Array) -> Tensor:
    """(N, SIDE, SIDE) → (N, 1, SIDE, SIDE), from −1 to 1."""
    import torch

    return torch.from_numpy(images[:, None] * 2 - 1).float()


def _array(tensor: Tensor) -> Array:
    return np.asarray(tensor.detach().double().numpy())
