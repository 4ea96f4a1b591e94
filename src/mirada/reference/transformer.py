"""The spatial transformer: maps seen through an affine motion whose six numbers can be learnt, with both gradients.

Places run from −1 to 1 along both axes, (−1, −1) being the upper left corner of the upper left pixel. The output at
place (X, Y) is what the input has at (X', Y') = θ·(X, Y, 1), and between pixels that is bilinear: with a and b the rows
and columns of the input, and (p, q) the place (X', Y') in pixels,

    y[n,c,i,j] = Σ_a Σ_b x[n,c,a,b] · k(q − a) · k(p − b),    k(t) = max(0, 1 − |t|)

so that it is 0 outside of the image. It is linear in x, and k has the slope −1 at the pixel before the place and 1 at
the one behind it.

Source: Jaderberg, Simonyan, Zisserman & Kavukcuoglu 2015, arXiv:1506.02025, eq. 1 and 5 to 7.
"""

from typing import NamedTuple

import numpy as np

from mirada.reference._arrays import Array

READ = "nija,nijb,ncab->ncij"  # the pixels of every map, weighted by row and by column


class TransformerGradients(NamedTuple):
    """∂L/∂x and ∂L/∂θ."""

    dx: Array
    dtheta: Array


def spatial_transformer(x: Array, theta: Array) -> Array:
    """The maps of each image, moved by its own θ.

    Shapes: x (N, C, H, W), theta (N, 2, 3) → (N, C, H, W).
    Source: the head of this file; ``align_corners=False`` in PyTorch.

    θ = (1 0 0; 0 1 0) is the identity; a half more in X' is a pixel to the left of four:

    >>> x = np.arange(4.0).reshape(1, 1, 1, 4)
    >>> spatial_transformer(x, np.array([[[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]])).tolist()
    [[[[1.0, 2.0, 3.0, 0.0]]]]
    """
    rows, columns = _places(x, theta)
    return np.asarray(np.einsum(READ, _weights(rows, x.shape[2]), _weights(columns, x.shape[3]), x))


def spatial_transformer_backward(dy: Array, x: Array, *, theta: Array) -> TransformerGradients:
    """dx spreads dy over the four pixels it was read from; dθ goes by the slopes between them.

    Where a place lies on the middle of a pixel, the slope is that to the next one, as in PyTorch.

    Shapes: dy and x (N, C, H, W), theta (N, 2, 3) → the shapes of x and theta.
    Source: the head of this file.
    """
    height, width = x.shape[2:]
    rows, columns = _places(x, theta)
    down, across = _weights(rows, height), _weights(columns, width)
    dx = np.einsum("nija,nijb,ncij->ncab", down, across, dy)
    drows = (np.einsum(READ, _slopes(rows, height), across, x) * dy).sum(axis=1) * height / 2
    dcolumns = (np.einsum(READ, down, _slopes(columns, width), x) * dy).sum(axis=1) * width / 2
    dtheta = np.einsum("dnij,ijt->ndt", np.stack([dcolumns, drows]), _grid(height, width))
    return TransformerGradients(np.asarray(dx), np.asarray(dtheta))


def _grid(height: int, width: int) -> Array:
    """(X, Y, 1) of every pixel's middle: (H, W, 3)."""
    across, down = (2 * np.arange(width) + 1) / width - 1, (2 * np.arange(height) + 1) / height - 1
    return np.stack([*np.meshgrid(across, down), np.ones((height, width))], axis=-1)


def _places(x: Array, theta: Array) -> tuple[Array, Array]:
    """Where each output pixel looks, as rows and columns of the input that need not be whole: (N, H, W) each."""
    height, width = x.shape[2:]
    across, down = np.einsum("ndt,ijt->dnij", theta, _grid(height, width))
    return ((down + 1) * height - 1) / 2, ((across + 1) * width - 1) / 2


def _weights(places: Array, pixels: int) -> Array:
    """k(place − pixel) for every pixel of an axis: (N, H, W, pixels)."""
    return np.maximum(0.0, 1.0 - np.abs(places[..., None] - np.arange(pixels)))


def _slopes(places: Array, pixels: int) -> Array:
    """∂k/∂place: −1 for the pixel at or before the place, 1 for the next one."""
    before = np.floor(places)[..., None]
    after, at = np.arange(pixels) == before + 1, np.arange(pixels) == before
    return np.asarray(after.astype(np.float64) - at)
