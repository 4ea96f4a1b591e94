"""Activation functions and their gradients: the rectifier family, the sigmoid, and two hyperbolic tangents.

An activation works on each number by itself, y = g(z), so its gradient is dz = dy · g'(z): the only thing to
know of each is g'. Source of the rectifier family: lecture notes §2.1.1.
"""

from typing import NamedTuple

import numpy as np

from mirada.reference._arrays import Array, along_channels, sum_per_channel

AMPLITUDE = 1.7159
SLOPE = 2 / 3


class RectifierGradients(NamedTuple):
    """∂L/∂z, and ∂L/∂α in the shape in which α was given."""

    dz: Array
    dalpha: Array


def rectifier(z: Array, alpha: float | Array = 0.0) -> Array:
    """g(z) = max{0, z} + α·min{0, z}, one formula for the whole family.

    α = 0 is ReLU, α = −1 the absolute rectification |z|, a small α such as 0.01 leaky ReLU, and α = 1 the
    identity; where α is learned it is PReLU, with one α for all, shape () or (1,), or one per channel, shape
    (C,).

    Shapes: z (N, C, …), alpha (), (1,) or (C,) → (N, C, …).
    Source: lecture notes §2.1.1; PReLU, He et al. 2015, arXiv:1502.01852.

    >>> rectifier(np.array([[-2.0, 0.0, 3.0]]), -1.0).tolist()
    [[2.0, 0.0, 3.0]]
    """
    return np.maximum(0.0, z) + _shaped(alpha, z) * np.minimum(0.0, z)


def rectifier_backward(dy: Array, z: Array, *, alpha: float | Array = 0.0) -> RectifierGradients:
    """dz = dy · (1 if z > 0 else α), and dα = Σ dy · min{0, z} over everything that shares this α.

    At z = 0 the function bends and any slope between α and 1 is a subgradient. Taken is α, the slope on the
    left, which is what PyTorch takes in ``relu`` (0), ``leaky_relu`` and ``prelu`` (α); ``torch.abs`` alone
    takes 0, half-way between −1 and 1. (The notes put z = ε there, which would give 1.)

    Shapes: dy and z (N, C, …), alpha (), (1,) or (C,) → dz (N, C, …), dalpha in the shape of alpha.
    Source: lecture notes §2.1.1; dα, He et al. 2015, arXiv:1502.01852, §2.1.
    """
    dz = dy * np.where(z > 0, 1.0, _shaped(alpha, z))
    dalpha = dy * np.minimum(0.0, z)
    shared = np.size(alpha) == 1
    total = dalpha.sum() if shared else sum_per_channel(dalpha)
    return RectifierGradients(dz, np.reshape(total, np.shape(alpha)))


def sigmoid(z: Array) -> Array:
    """σ(z) = 1 / (1 + e^−z), computed as e^−log(1 + e^−z), which overflows nowhere.

    Shapes: z (…) → (…).
    Source: lecture notes §2.1.
    """
    return np.asarray(np.exp(-np.logaddexp(0.0, -z)))


def sigmoid_backward(dy: Array, z: Array) -> Array:
    """dz = dy · σ(z)·(1 − σ(z)), where 1 − σ(z) = σ(−z).

    Shapes: dy and z (…) → (…).
    Source: the derivative of 1 / (1 + e^−z) is e^−z / (1 + e^−z)².
    """
    return dy * sigmoid(z) * sigmoid(-z)


def tanh(z: Array) -> Array:
    """tanh(z) = (e^z − e^−z) / (e^z + e^−z).

    Shapes: z (…) → (…).
    Source: lecture notes §2.1 and §3.1.
    """
    return np.asarray(np.tanh(z))


def tanh_backward(dy: Array, z: Array) -> Array:
    """dz = dy · (1 − tanh²(z)).

    Shapes: dy and z (…) → (…).
    Source: the quotient rule on ``tanh``.
    """
    return np.asarray(dy * (1.0 - np.tanh(z) ** 2))


def scaled_tanh(z: Array) -> Array:
    """LeNet-5's squashing function, 1.7159 · tanh(2z/3), chosen so that ±1 are (nearly) mapped to ±1.

    Shapes: z (…) → (…).
    Source: LeCun, Bottou, Bengio & Haffner 1998, §II-B and appendix A.
    """
    return np.asarray(AMPLITUDE * np.tanh(SLOPE * z))


def scaled_tanh_backward(dy: Array, z: Array) -> Array:
    """dz = dy · 1.7159 · 2/3 · (1 − tanh²(2z/3)).

    Shapes: dy and z (…) → (…).
    Source: the chain rule on ``scaled_tanh``.
    """
    return np.asarray(dy * AMPLITUDE * SLOPE * (1.0 - np.tanh(SLOPE * z) ** 2))


def _shaped(alpha: float | Array, z: Array) -> Array:
    """α so that it broadcasts against z: as one number, or along the channels."""
    values = np.asarray(alpha, dtype=np.float64)
    return values.reshape(()) if values.size == 1 else along_channels(values, z)
