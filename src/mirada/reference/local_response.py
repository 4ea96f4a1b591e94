"""Local response normalization: each number is divided by a power of the energy of its neighbour channels.

With W(c) the channels c − ⌊n/2⌋ … c + ⌊(n − 1)/2⌋ as far as they exist, at each place of the image by itself:

    s_c = k + α · Σ_{j ∈ W(c)} x_j²          y_c = x_c · s_c^−β

x_j acts on its own y_j and, through s, on every y_c whose window holds it. As ∂s_c/∂x_j = 2α·x_j,

    dx_j = dy_j · s_j^−β − 2αβ · x_j · Σ_{c: j ∈ W(c)} dy_c · x_c · s_c^(−β − 1)

and j ∈ W(c) means c ∈ {j − ⌊(n − 1)/2⌋ … j + ⌊n/2⌋}: the window mirrored.

The paper multiplies the sum by α; Caffe and PyTorch multiply the mean, so that their α is n times this one.

Source: Krizhevsky, Sutskever & Hinton 2012, ImageNet Classification with Deep Convolutional Neural Networks, §3.3.
"""

import numpy as np

from mirada.reference._arrays import Array

SIZE, BIAS, ALPHA, BETA = 5, 2.0, 1e-4, 0.75  # the paper's n, k, α and β


def local_response_norm(
    x: Array, *, size: int = SIZE, k: float = BIAS, alpha: float = ALPHA, beta: float = BETA
) -> Array:
    """y_c = x_c / (k + α · Σ x_j²)^β, over the ``size`` channels j around c.

    Shapes: x (N, C, …) → (N, C, …).
    Source: Krizhevsky et al. 2012, §3.3.

    >>> local_response_norm(np.array([[3.0, 4.0]]), k=0.0, alpha=1.0, beta=0.5).round(3).tolist()
    [[0.6, 0.8]]
    """
    return x * _energy(x, size, k, alpha) ** -beta


def local_response_norm_backward(
    dy: Array, x: Array, *, size: int = SIZE, k: float = BIAS, alpha: float = ALPHA, beta: float = BETA
) -> Array:
    """dx_j = dy_j · s_j^−β − 2αβ · x_j · Σ dy_c · x_c · s_c^(−β − 1), over the channels c whose window holds j.

    Shapes: dy and x (N, C, …) → (N, C, …).
    Source: the head of this file.
    """
    s = _energy(x, size, k, alpha)
    through_others = _window_sums(dy * x * s ** (-beta - 1), (size - 1) // 2, size // 2)
    return dy * s**-beta - 2 * alpha * beta * x * through_others


def _energy(x: Array, size: int, k: float, alpha: float) -> Array:
    return k + alpha * _window_sums(x**2, size // 2, (size - 1) // 2)


def _window_sums(values: Array, before: int, after: int) -> Array:
    """For each channel the sum over those from ``before`` ahead of it to ``after`` behind it."""
    channels = values.shape[1]
    padded = np.pad(values, [(0, 0), (before, after), *[(0, 0)] * (values.ndim - 2)])
    return np.asarray(
        np.sum([padded[:, first : first + channels] for first in range(before + after + 1)], axis=0)
    )
