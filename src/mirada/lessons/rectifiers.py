"""The rectifiers and the sigmoids with their derivatives, and units that a training has silenced for good.

    g(z) = max{0, z} + α·min{0, z},   g'(z) = 1 for z > 0, α for z < 0

α = 0 is ReLU, a small α leaky ReLU, α = −1 the absolute value; where α is learnt it is PReLU. A unit whose z is
negative for every image passes no gradient on where α = 0: nothing can wake it any more. It is dead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mirada.errors import InvalidArgument
from mirada.lessons import Material
from mirada.reference import (
    rectifier,
    rectifier_backward,
    scaled_tanh,
    scaled_tanh_backward,
    sigmoid,
    sigmoid_backward,
    tanh,
    tanh_backward,
)

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

Array = NDArray[np.float64]

# α of the activations of ``mirada.layers``; PReLU begins at 0.25 and learns it.
SLOPES = {"relu": 0.0, "leaky_relu": 0.01, "prelu": 0.25, "absolute": -1.0}
SIGMOIDS: Mapping[str, tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]] = {
    "sigmoid": (sigmoid, sigmoid_backward),
    "tanh": (tanh, tanh_backward),
    "scaled_tanh": (scaled_tanh, scaled_tanh_backward),
}
REACH, POINTS = 4.0, 161  # of the curves: z from −4 to 4
DEPTH = 20  # layers through which a gradient is followed

HIDDEN, EPOCHS, BATCH, SEED = (64, 64), 10, 64, 0
TRIED = (("relu", 0.01), ("relu", 0.1), ("relu", 1.0), ("leaky_relu", 1.0))
MOST_IMAGES = 512  # of a person's own


@dataclass(frozen=True)
class Curve:
    """An activation and its derivative.

    Args:
        name: as in ``mirada.layers``.
        alpha: the slope below 0; None for a sigmoid.
        z: (n,).
        values: g(z), (n,).
        slopes: g'(z), (n,); at 0 that of PyTorch, α.
    """

    name: str
    alpha: float | None
    z: Array
    values: Array
    slopes: Array

    @property
    def steepest(self) -> float:
        """The largest |g'|: what a layer leaves of a gradient at best."""
        return float(np.abs(self.slopes).max())


@dataclass(frozen=True)
class TrainedUnits:
    """The hidden units of a network trained on digits.

    Args:
        activation: as in ``mirada.layers``.
        rate: the learning rate.
        units: hidden units, in both layers.
        silent: of them, whose z is never above 0 on any training image.
        dead: of them, which pass no gradient on for any training image either.
        accuracy: on digits that were not trained on.
    """

    activation: str
    rate: float
    units: int
    silent: int
    dead: int
    accuracy: float


@dataclass(frozen=True)
class LayerUnits:
    """The channels behind one activation of a person's own network, and how many were above 0 nowhere, in no image."""

    layer: str
    channels: int
    silent: int


@dataclass(frozen=True)
class RectifiersLesson:
    """All that the page shows; ``own`` is empty without a model, else a row per rectifier, over ``images`` images."""

    curves: tuple[Curve, ...]
    trained: tuple[TrainedUnits, ...]
    own: tuple[LayerUnits, ...]
    images: int


def lesson(material: Material) -> RectifiersLesson:
    """All curves, the trainings on digits, and a person's own network on a folder of images."""
    own, images = (
        silent_channels(material.model, material.data) if material.model and material.data else ((), 0)
    )
    return RectifiersLesson(curves(), tuple(train_units(*each) for each in TRIED), own, images)


def curves() -> tuple[Curve, ...]:
    """The family of ``mirada.layers``, rectifiers first. Source: lecture notes §2.1.1, Fig. 4."""
    z = np.linspace(-REACH, REACH, POINTS)
    rectifiers = (curve(name, alpha, z) for name, alpha in SLOPES.items())
    one = np.ones_like(z)
    sigmoids = (
        Curve(name, None, z, forward(z), backward(one, z)) for name, (forward, backward) in SIGMOIDS.items()
    )
    return (*rectifiers, *sigmoids)


def curve(name: str, alpha: float, z: Array) -> Curve:
    """A rectifier of slope α on some z, (n,)."""
    slopes = rectifier_backward(np.ones_like(z), z, alpha=alpha).dz
    return Curve(name, alpha, z, rectifier(z, alpha), slopes)


def train_units(activation: str, rate: float, *, epochs: int = EPOCHS, seed: int = SEED) -> TrainedUnits:
    """Train a network of two hidden layers on scikit-learn's digits by plain descent, and look at its units.

    Args:
        activation: a rectifier of ``mirada.layers``.
        rate: of stochastic gradient descent, without momentum.
        epochs: over 1,437 digits of 8×8 pixels; 360 are held out.
        seed: of the weights and of the order.
    """
    import torch
    from sklearn.datasets import load_digits
    from torch.nn.functional import cross_entropy

    digits = load_digits()
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(digits.target), generator=generator)
    images = torch.tensor(digits.data, dtype=torch.float32)[order] / 16
    labels = torch.tensor(digits.target, dtype=torch.long)[order]
    taught = len(labels) * 4 // 5
    network = _perceptron(activation, images.shape[1], generator)
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(taught, generator=generator), BATCH):
            loss = cross_entropy(network(images[rows]), labels[rows])
            weights = tuple(network.parameters())
            for weight, slope in zip(weights, torch.autograd.grad(loss, weights), strict=True):
                weight.data -= rate * slope
    before = _entering(network, images[:taught])
    with torch.no_grad():
        right = (network(images[taught:]).argmax(1) == labels[taught:]).float().mean()
    silent = sum(int((z <= 0).all(0).sum()) for z in before)
    lost = silent if SLOPES[activation] == 0 else 0
    return TrainedUnits(activation, rate, sum(HIDDEN), silent, lost, float(right))


def silent_channels(model: Path, data: Path) -> tuple[tuple[LayerUnits, ...], int]:
    """The channels of a trained network that are above 0 nowhere in any of some images, behind each rectifier.

    Args:
        model: a model file.
        data: a folder or table of images that the model can read; of many, ``MOST_IMAGES`` are drawn with a seed.

    Returns:
        A row per rectifier, and the number of images.

    Raises:
        InvalidArgument: the network has no rectifier.
    """
    from mirada.data.sources import load_data
    from mirada.inference.model import load_model

    opened = load_model(model)
    index = load_data(data)
    rows = np.sort(np.random.default_rng(SEED).permutation(len(index))[:MOST_IMAGES])
    with _largest_per_channel(opened.network) as largest:
        read = len(opened.predict(index.take(rows)))
    if not largest:
        raise InvalidArgument(f"{model}: the network has no rectifier, so no unit of it can be dead.")
    found = (LayerUnits(name, len(most), int((most <= 0).sum())) for name, most in largest.items())
    return tuple(found), read


@contextmanager
def _largest_per_channel(network: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Fills a table with the largest value of each channel that has come out of each rectifier, (C,)."""
    import torch
    from torch import nn

    from mirada.layers.activation import Rectifier

    largest: dict[str, Tensor] = {}

    def watch(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def look(module: nn.Module, _: object, output: Tensor) -> None:
            most = output.detach().amax(dim=[axis for axis in range(output.ndim) if axis != 1]).cpu()
            largest[name] = torch.maximum(largest[name], most) if name in largest else most

        return look

    kinds = (nn.ReLU, nn.LeakyReLU, nn.PReLU, Rectifier)
    hooks = [
        module.register_forward_hook(watch(name))
        for name, module in network.named_modules()
        if isinstance(module, kinds)
    ]
    try:
        yield largest
    finally:
        for hook in hooks:
            hook.remove()


def _perceptron(activation: str, inputs: int, generator: Generator) -> nn.Sequential:
    """64 pixels → 64 → 64 → 10, weights by He et al. 2015, biases 0."""
    from torch import nn

    from mirada.layers.activation import make_activation

    layers: list[nn.Module] = []
    for width in HIDDEN:
        layers += [nn.Linear(inputs, width), make_activation(activation, width)]
        inputs = width
    network = nn.Sequential(*layers, nn.Linear(inputs, 10))
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(layer.bias)
    return network


def _entering(network: nn.Sequential, images: Tensor) -> list[Tensor]:
    """What enters each activation, (N, C)."""
    import torch
    from torch import nn

    found = []
    with torch.no_grad():
        for layer in network:
            if not isinstance(layer, nn.Linear):
                found.append(images.clone())  # rectified in place
            images = layer(images)
    return found
