"""One step of each optimizer: stochastic gradient descent with momentum, Adam and RMSprop.

Each takes the weight, its gradient g and what it remembers, and returns the new weight and the new memory;
every memory starts at 0. Nothing is changed in place.

**On the lecture notes' momentum.** §2.2.2 prints W(τ+1) = W(τ) − α·ΔW(τ) + μ·ΔW(τ−1) and speaks of "the
previous weights". In the line before it ΔW is the gradient; read so, the last term pushes *up* the slope just
come down, and the iteration diverges (on L = w²/2 with α = 0.1 and μ = 0.9, from w = 1 to about 1.4·10⁵ in 30
steps). What is meant is the previous *update* v, which already points downhill:

    v ← μ·v − α·g,    W ← W + v

PyTorch keeps v' ← μ·v' + g and W ← W − α·v'. With v = −α·v' the two are the same as long as α does not
change; after a change PyTorch's whole step is scaled by the new α, while here the old speed is kept.
"""

from typing import NamedTuple

import numpy as np

from mirada.reference._arrays import Array


class SgdStep(NamedTuple):
    """The weight after the step, and the step itself."""

    weight: Array
    velocity: Array


class AdamStep(NamedTuple):
    """The weight after the step, and the running means of the gradient and of its square."""

    weight: Array
    mean: Array
    square: Array


class RmspropStep(NamedTuple):
    """The weight after the step, and the running mean of the squared gradient."""

    weight: Array
    square: Array


def sgd_step(weight: Array, gradient: Array, *, velocity: Array, lr: float, momentum: float = 0.0) -> SgdStep:
    """v ← μ·v − α·g, W ← W + v, with α = ``lr`` and μ = ``momentum``.

    Shapes: weight, gradient and velocity alike → the same.
    Source: lecture notes §2.2.2, corrected as the head of this file says; Sutskever et al. 2013, eq. 1–2.

    >>> step = sgd_step(np.array([1.0]), np.array([1.0]), velocity=np.array([0.5]), lr=0.25, momentum=0.5)
    >>> step.weight.tolist(), step.velocity.tolist()
    ([1.0], [0.0])
    """
    velocity = momentum * velocity - lr * gradient
    return SgdStep(weight + velocity, velocity)


def sgd_step_as_printed(
    weight: Array, gradient: Array, *, previous_gradient: Array, lr: float, momentum: float
) -> Array:
    """W ← W − α·g + μ·g', with g' the gradient of the step before: the notes' rule as printed, which runs away.

    Shapes: weight, gradient and previous_gradient alike → the same.
    Source: lecture notes §2.2.2; the head of this file says what is wrong with it.

    On L = w²/2, whose gradient is w, the step back up is larger than the step down:

    >>> w = sgd_step_as_printed(np.array([1.0]), np.array([1.0]), previous_gradient=np.zeros(1), lr=0.1, momentum=0.9)
    >>> sgd_step_as_printed(w, w, previous_gradient=np.array([1.0]), lr=0.1, momentum=0.9).round(2).tolist()
    [1.71]
    """
    return weight - lr * gradient + momentum * previous_gradient


def adam_step(
    weight: Array,
    gradient: Array,
    *,
    mean: Array,
    square: Array,
    step: int,
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> AdamStep:
    """m ← β₁·m + (1 − β₁)·g, s ← β₂·s + (1 − β₂)·g², W ← W − α·m̂ / (√ŝ + ε).

    m̂ = m / (1 − β₁ᵗ) and ŝ = s / (1 − β₂ᵗ) undo the pull towards the zeros that both started from; ``step``
    is t = 1, 2, 3 …

    Shapes: weight, gradient, mean and square alike → the same.
    Source: Kingma & Ba 2014, arXiv:1412.6980, algorithm 1. (Keras has ε = 10⁻⁷ and α = 10⁻³.)
    """
    mean = betas[0] * mean + (1 - betas[0]) * gradient
    square = betas[1] * square + (1 - betas[1]) * gradient**2
    unbiased_mean = mean / (1 - betas[0] ** step)
    unbiased_square = square / (1 - betas[1] ** step)
    return AdamStep(weight - lr * unbiased_mean / (np.sqrt(unbiased_square) + eps), mean, square)


def rmsprop_step(
    weight: Array, gradient: Array, *, square: Array, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8
) -> RmspropStep:
    """s ← a·s + (1 − a)·g², W ← W − α·g / (√s + ε), with a = ``alpha`` and α = ``lr``.

    ε stands outside the square root, as in PyTorch; TensorFlow has √(s + ε), which is another optimizer where
    ε is as large as the 1.0 of the Inception papers.

    Shapes: weight, gradient and square alike → the same.
    Source: Hinton 2012, lecture 6e of "Neural networks for machine learning"; ``torch.optim.RMSprop``.
    """
    square = alpha * square + (1 - alpha) * gradient**2
    return RmspropStep(weight - lr * gradient / (np.sqrt(square) + eps), square)
