"""The layers that work on vectors, with gradients: fully connected, flattening, LeNet-5's output units."""

from typing import NamedTuple

import numpy as np

from mirada.reference._arrays import Array


class LinearGradients(NamedTuple):
    """∂L/∂x, ∂L/∂W and ∂L/∂b of a fully connected layer."""

    dx: Array
    dweight: Array
    dbias: Array


def linear(x: Array, weight: Array, *, bias: Array | None = None) -> Array:
    """y = x·Wᵀ + b for rows x: output unit k is y[n,k] = b[k] + Σ_d x[n,d] · W[k,d].

    The notes write W as inputs × outputs; here, as in PyTorch, it is outputs × inputs.

    Shapes: x (N, D), weight (K, D), bias (K,) → (N, K).
    Source: lecture notes §2.1, z = wᵀx + b.
    """
    y = x @ weight.T
    return y if bias is None else y + bias


def linear_backward(dy: Array, x: Array, *, weight: Array) -> LinearGradients:
    """dx = dy·W, dW = dyᵀ·x, db = Σ_n dy[n].

    From the sum in ``linear``: ∂y[n,k]/∂x[n,d] = W[k,d], so dx[n,d] = Σ_k dy[n,k]·W[k,d]; and
    ∂y[n,k]/∂W[k,d] = x[n,d], so dW[k,d] = Σ_n dy[n,k]·x[n,d].

    Shapes: dy (N, K), x (N, D), weight (K, D) → (N, D), (K, D), (K,).
    Source: the chain rule on ``linear``.
    """
    return LinearGradients(dy @ weight, dy.T @ x, np.asarray(dy.sum(axis=0)))


def flatten(x: Array) -> Array:
    """Each image's maps written one after another, channel by channel and row by row.

    Shapes: x (N, C, H, W) → (N, C·H·W).
    Source: lecture notes §2.1. Keras, with channels last, writes them pixel by pixel.
    """
    return x.reshape(len(x), -1)


def flatten_backward(dy: Array, x: Array) -> Array:
    """dx: the same numbers, back in the shape of ``x``.

    Shapes: dy (N, C·H·W), x (N, C, H, W) → (N, C, H, W).
    Source: flattening moves numbers and changes none.
    """
    return dy.reshape(x.shape)


class RadialBasisGradients(NamedTuple):
    """∂L/∂x and ∂L/∂centres of Euclidean radial basis units."""

    dx: Array
    dcentres: Array


def radial_basis(x: Array, centres: Array) -> Array:
    """LeNet-5's output units: y[n,k] = Σ_d (x[n,d] − w[k,d])², the squared distance to each class's centre.

    The *smallest* output names the class.

    Shapes: x (N, D), centres (K, D) → (N, K).
    Source: LeCun, Bottou, Bengio & Haffner 1998, §II-B, eq. 7.
    """
    difference = x[:, None, :] - centres[None, :, :]  # (N, K, D)
    return np.asarray((difference**2).sum(axis=2))


def radial_basis_backward(dy: Array, x: Array, *, centres: Array) -> RadialBasisGradients:
    """dx[n] = 2·Σ_k dy[n,k]·(x[n] − w[k]), and dw[k] = −2·Σ_n dy[n,k]·(x[n] − w[k]).

    Shapes: dy (N, K), x (N, D), centres (K, D) → (N, D), (K, D).
    Source: the chain rule on ``radial_basis``. (The paper keeps the centres fixed and needs dx alone.)
    """
    pull = 2.0 * dy[:, :, None] * (x[:, None, :] - centres[None, :, :])  # (N, K, D)
    return RadialBasisGradients(np.asarray(pull.sum(axis=1)), np.asarray(-pull.sum(axis=0)))
