"""The lecture notes' momentum, §2.2.2, as printed and as corrected: on a quadratic, and on a small network.

    printed    W(τ+1) = W(τ) − α·g(τ) + μ·g(τ−1)
    corrected  v(τ) = μ·v(τ−1) − α·g(τ),   W(τ+1) = W(τ) + v(τ)

The last term of the printed rule leads up the slope just come down. On L = ½·λ·w² the weight obeys
w(τ+1) = (1 − αλ)·w(τ) + μλ·w(τ−1), whose larger root is beyond 1 as soon as μ > α: it runs away, however small the
steps are. The corrected rule has the roots of z² − (1 + μ − αλ)·z + μ, inside the unit circle for 0 < αλ < 2(1 + μ).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mirada.lessons import Material
from mirada.reference.optimizer import sgd_step, sgd_step_as_printed

if TYPE_CHECKING:
    from torch import Tensor, nn

Array = NDArray[np.float64]
RULES = ("printed", "corrected", "plain")  # plain: the corrected rule with μ = 0
RATE, MOMENTUM = 0.1, 0.9
CURVATURES = (0.2, 6.0)  # of the valley, along and across
START = (-4.0, 1.5)
STEPS = 40
HIDDEN, BATCH, NETWORK_STEPS, NETWORK_RATE = 32, 64, 120, 0.02


@dataclass(frozen=True)
class Descent:
    """What a rule does.

    Args:
        rule: one of ``RULES``.
        weights: (steps + 1, 2), the first one where it starts; none for a network.
        losses: (steps + 1,); of a network that of each batch, (steps,).
    """

    rule: str
    weights: Array
    losses: Array

    @property
    def diverges(self) -> bool:
        """Whether it ends higher than it began, or beyond all numbers."""
        return not self.losses[-1] < self.losses[0]


@dataclass(frozen=True)
class OptimiserLesson:
    """The rules on the quadratic and on the network, with what they are set to."""

    valley: tuple[Descent, ...]
    network: tuple[Descent, ...]
    growth: float
    rate: float = RATE
    momentum: float = MOMENTUM
    curvatures: tuple[float, float] = CURVATURES
    start: tuple[float, float] = START


def lesson(material: Material) -> OptimiserLesson:
    """The rules with the settings that the page begins with."""
    valley = tuple(descent(rule, rate=RATE, momentum=MOMENTUM) for rule in RULES)
    return OptimiserLesson(valley, tuple(map(training, RULES)), growth(RATE, MOMENTUM, max(CURVATURES)))


def descent(rule: str, *, rate: float, momentum: float, steps: int = STEPS) -> Descent:
    """A rule on L(w) = ½ (λ₁·w₁² + λ₂·w₂²), from ``START``.

    Args:
        rule: one of ``RULES``.
        rate: α.
        momentum: μ.
        steps: how many.
    """
    curvatures = np.array(CURVATURES)
    weight, memory = np.array(START), np.zeros(2)
    weights = [weight]
    for _ in range(steps):
        gradient = curvatures * weight
        if rule == "printed":
            weight = sgd_step_as_printed(
                weight, gradient, previous_gradient=memory, lr=rate, momentum=momentum
            )
            memory = gradient
        else:
            kept = momentum if rule == "corrected" else 0.0
            weight, memory = sgd_step(weight, gradient, velocity=memory, lr=rate, momentum=kept)
        weights.append(weight)
    path = np.array(weights)
    return Descent(rule, path, (curvatures * path**2).sum(axis=1) / 2)


def growth(rate: float, momentum: float, curvature: float) -> float:
    """By how much the printed rule multiplies the weight at each step in the end: the larger |root|."""
    return float(np.abs(np.roots([1, rate * curvature - 1, -momentum * curvature])).max())


@cache
def training(rule: str) -> Descent:
    """A rule on a convolutional network that learns scikit-learn's digits: the loss of every batch."""
    import torch
    from torch.nn.functional import cross_entropy

    from mirada.training.optimizer import Optimizer
    from mirada.training.stepping import NotesMomentum, Sgd

    images, labels = _digits()
    network = _network()
    kept = 0.0 if rule == "plain" else MOMENTUM
    stepping = (
        Sgd(lr=NETWORK_RATE, momentum=kept)
        if rule == "plain"
        else NotesMomentum(lr=NETWORK_RATE, momentum=kept, as_printed=rule == "printed")
    )
    optimizer, losses = Optimizer(network, stepping), []
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    for step in range(NETWORK_STEPS):
        rows = order[(torch.arange(BATCH) + step * BATCH) % len(images)]
        optimizer.zero_grad()
        loss = cross_entropy(network(images[rows]), labels[rows])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step(NETWORK_RATE)
        losses.append(loss.item())
    return Descent(rule, np.empty((0, 2)), np.array(losses))


def _digits() -> tuple[Tensor, Tensor]:
    """The 1,797 digits, (N, 1, 8, 8) from −1 to 1, and their classes."""
    import torch
    from sklearn.datasets import load_digits

    digits = load_digits()
    return torch.tensor(digits.images[:, None] / 8 - 1).float(), torch.tensor(digits.target)


def _network() -> nn.Module:
    """Two convolutions and a dense layer, with weights drawn by a seed that disturbs no other."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, HIDDEN, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(16 * HIDDEN, 10),
        )  # fmt: skip
