"""The lecture notes' toy network of §3.6 with and without its skip, path by path; and gradients through many layers.

    X₁ = g(X₀·W₀),   X₂ = g(X₁·Wa),   X₃ = g(X₂·Wb [+ X₁]),   L = Σ (X₃ − T)²,   g = ReLU

The gradient of W₀ is a sum over the paths from L back to W₀. One leads through Wb and Wa, and is multiplied by both;
the skip adds one that leads through neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from mirada.lessons import Material
from mirada.reference import ToyValues, ToyWeights, rectifier_backward, toy_forward, toy_loss

if TYPE_CHECKING:
    from torch import Generator, Tensor

Array = NDArray[np.float64]
Wiring = Literal["plain", "residual", "dense"]

IMAGE, WANTED = ((1.0, 2.0),), ((0.5, 1.0),)
FIRST, MIDDLE, LAST = ((0.5, 0.2), (0.3, 0.6)), ((0.4, 0.1), (0.2, 0.5)), ((0.3, 0.2), (0.1, 0.6))
STEP = 1e-6  # of the finite differences

WIRINGS: tuple[Wiring, ...] = ("plain", "residual", "dense")
GAINS = (0.6, 0.8, 1.0)  # the spread of the weights, as a multiple of He's
LAYERS, MAPS, SIDE, IMAGES, SEED = 32, 8, 8, 8, 0


@dataclass(frozen=True)
class ToyPass:
    """The toy network once forwards and once backwards.

    Args:
        skip: whether X₁ is added.
        values: Y₀ … X₃, rows are samples.
        loss: L.
        delta: δ₂ = ∂L/∂Y₂.
        through: ∂L/∂W₀ along the path through Wb and Wa.
        around: along the skip; zeros without it.
        numeric: ∂L/∂W₀ by finite differences.
    """

    skip: bool
    values: ToyValues
    loss: float
    delta: Array
    through: Array
    around: Array
    numeric: Array

    @property
    def gradient(self) -> Array:
        """∂L/∂W₀: the sum of both paths."""
        return self.through + self.around


@dataclass(frozen=True)
class DepthNorms:
    """The length of the gradient at every layer's maps, as a multiple of that at the last one's.

    Args:
        wiring: ``plain``, ``residual`` (a skip around every two layers) or ``dense`` (every layer reads all before it).
        gain: the spread of the weights as a multiple of He's √(2 / fan-in).
        norms: one for each layer, the first layer first.
    """

    wiring: Wiring
    gain: float
    norms: tuple[float, ...]


@dataclass(frozen=True)
class ResidualLesson:
    """All that the page shows: the toy without and with its skip, and a row per gain and wiring."""

    x0: Array
    weights: ToyWeights
    target: Array
    plain: ToyPass
    skip: ToyPass
    depth: tuple[DepthNorms, ...]


def lesson(material: Material) -> ResidualLesson:
    """The numbers that the page begins with."""
    x0, target = np.array(IMAGE), np.array(WANTED)
    weights = ToyWeights(np.array(FIRST), np.array(MIDDLE), np.array(LAST))
    return ResidualLesson(
        x0,
        weights,
        target,
        toy_pass(x0, weights, target=target, skip=False),
        toy_pass(x0, weights, target=target, skip=True),
        tuple(gradient_norms(wiring, gain) for gain in GAINS for wiring in WIRINGS),
    )


def toy_pass(x0: Array, weights: ToyWeights, *, target: Array, skip: bool) -> ToyPass:
    """∂L/∂W₀ of the toy network, path by path.

    Args:
        x0: (N, D).
        weights: W₀ (D, E), Wa (E, F), Wb (F, E).
        target: (N, E).
        skip: whether X₁ is added before the last ReLU.

    Source: lecture notes §3.6, whose bracket should read (the path through Wa and Wb) + identity.
    """
    values = toy_forward(x0, weights, skip=skip)
    delta = rectifier_backward(2.0 * (values.x3 - target), values.y2).dz
    middle = rectifier_backward(delta @ weights.wb.T, values.y1).dz
    through = x0.T @ rectifier_backward(middle @ weights.wa.T, values.y0).dz
    around = x0.T @ rectifier_backward(delta, values.y0).dz if skip else np.zeros_like(through)
    return ToyPass(
        skip,
        values,
        toy_loss(x0, weights, target=target, skip=skip),
        delta,
        through,
        around,
        _numeric(x0, weights, target, skip),
    )


def gradient_norms(wiring: Wiring, gain: float, *, layers: int = LAYERS, seed: int = SEED) -> DepthNorms:
    """How long the gradient is at each layer's maps of a network that has learnt nothing yet.

    Args:
        wiring: how layers are joined.
        gain: the spread of the weights as a multiple of He's.
        layers: convolutions of 3×3 with ReLU, on 8 random images of 8×8 places with 8 maps.
        seed: of images, weights and the gradient that arrives at the end.

    Source: lecture notes §3.6; He et al. 2015, arXiv:1502.01852, §2.2, for the spread.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(IMAGES, MAPS, SIDE, SIDE, generator=generator, requires_grad=True)
    outputs = _outputs(wiring, maps, gain, layers, generator)
    arriving = torch.randn(outputs[-1].shape, generator=generator)
    slopes = torch.autograd.grad((outputs[-1] * arriving).sum(), outputs)
    lengths = [float(slope.norm()) for slope in slopes]
    return DepthNorms(wiring, gain, tuple(length / lengths[-1] for length in lengths))


def _outputs(wiring: Wiring, maps: Tensor, gain: float, layers: int, generator: Generator) -> list[Tensor]:
    """What each layer puts out; of a residual block's second layer what leaves the sum."""
    import torch

    found: list[Tensor] = []
    entering, before = maps, maps
    for number in range(layers):
        weight = torch.randn(MAPS, entering.shape[1], 3, 3, generator=generator)
        weight *= gain * (2 / weight[0].numel()) ** 0.5
        summed = torch.nn.functional.conv2d(entering, weight, padding=1)
        ends_a_block = wiring == "residual" and number % 2 == 1
        found.append(torch.relu(summed + before if ends_a_block else summed))
        before = found[-1] if ends_a_block else before
        entering = torch.cat((maps, *found), dim=1) if wiring == "dense" else found[-1]
    return found


def _numeric(x0: Array, weights: ToyWeights, target: Array, skip: bool) -> Array:
    """∂L/∂W₀ by finite differences."""
    found = np.zeros_like(weights.w0)
    for cell in np.ndindex(found.shape):
        sides = []
        for step in (STEP, -STEP):
            moved = weights.w0.copy()
            moved[cell] += step
            sides.append(toy_loss(x0, weights._replace(w0=moved), target=target, skip=skip))
        found[cell] = (sides[0] - sides[1]) / (2 * STEP)
    return found
