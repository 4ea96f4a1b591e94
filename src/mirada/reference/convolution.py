"""Convolution, as convolutional networks use the word, with its three gradients.

**Forward.** The lecture notes' eq. (1) is H = X ⋆ W, a *cross-correlation*: the kernel is not turned. For a
3×3 image and a 2×2 kernel, H[1,1] = W[1,1]·X[1,1] + W[1,2]·X[1,2] + W[2,1]·X[2,1] + W[2,2]·X[2,2]. In full,
counting from 0, with X̄ the zero-padded image, stride s, dilation d, image n, filter o and input channel c:

    H[n,o,i,j] = b[o] + Σ_c Σ_u Σ_v  W[o,c,u,v] · X̄[n, c, s·i + d·u, s·j + d·v]

**Backward.** Write dH for ∂L/∂H and so on, L being the loss. Each gradient follows from the chain rule,
∂L/∂θ = Σ_nij ∂L/∂H[n,o,i,j] · ∂H[n,o,i,j]/∂θ, and from reading ∂H/∂θ off the formula above:

    db[o]       = Σ_n Σ_i Σ_j  dH[n,o,i,j]                                       since ∂H/∂b = 1
    dW[o,c,u,v] = Σ_n Σ_i Σ_j  dH[n,o,i,j] · X̄[n, c, s·i + d·u, s·j + d·v]       since ∂H/∂W = that pixel
    dX̄[n,c,y,x] = Σ over all (o,i,j,u,v) with s·i + d·u = y, s·j + d·v = x of  dH[n,o,i,j] · W[o,c,u,v]

and dX is dX̄ without its frame. With s = d = 1 the second line reads: dW is the *valid cross-correlation of
X̄ with dH*, which for the 3×3 example are the notes' four equations ∂W[1,1] … ∂W[2,2]. In the third line,
i = y − u: the kernel runs backwards, so dX̄ is the *full correlation of dH with W turned by 180°*. With s > 1
that holds once s − 1 zeros stand between the entries of dH, and with d > 1 between those of W.

Source: lecture notes §2.2 and §2.2.1, which give dW only (and ∂H[i,j]/∂W[m,n] as X[m,n], for X[i+m−1,
j+n−1]); dX and db complete them.
"""

from typing import NamedTuple

import numpy as np

from mirada.errors import InvalidArgument
from mirada.reference._arrays import Array, along_channels, sum_per_channel
from mirada.reference._window import Size, SlidingWindow, pair


class Conv2dGradients(NamedTuple):
    """∂L/∂X, ∂L/∂W and ∂L/∂b of a convolution, each in the shape of what it belongs to."""

    dx: Array
    dweight: Array
    dbias: Array


def conv2d(
    x: Array,
    weight: Array,
    *,
    bias: Array | None = None,
    stride: Size = 1,
    padding: Size = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Array:
    """H = X ⋆ W + b, the cross-correlation of each image with each filter.

    ``groups`` = G cuts input channels and filters into G equal runs and convolves run with run, as AlexNet
    did on two GPUs. A partial table of connections, such as that of LeNet-5's C3, is a weight multiplied by a
    mask of 0 and 1.

    Shapes: x (N, C, H, W), weight (O, C / G, K, L), bias (O,) → (N, O, H', W').
    Raises: ``InvalidArgument`` where channels, filters and groups do not fit, or the kernel is larger than
    the padded image.
    Source: lecture notes §2.2.1, eq. (1).

    The notes' example in one dimension, x = [1 2 3 4 5] and w = [10 20 30] with zeros at both ends; for
    instance s₁ = w₂·x₁ + w₃·x₂ = 20·1 + 30·2:

    >>> x, w = np.arange(1.0, 6.0), np.array([10.0, 20.0, 30.0])
    >>> conv2d(x.reshape(1, 1, 1, 5), w.reshape(1, 1, 1, 3), padding=(0, 1)).ravel().tolist()
    [80.0, 140.0, 200.0, 260.0, 140.0]
    """
    _check_channels(x, weight, groups)
    window = SlidingWindow(weight.shape[-2:], pair(stride), pair(padding), pair(dilation))
    runs = zip(np.split(x, groups, axis=1), np.split(weight, groups), strict=True)
    h = np.concatenate([_correlate(x_run, weight_run, window) for x_run, weight_run in runs], axis=1)
    return h if bias is None else h + along_channels(bias, h)


def conv2d_backward(
    dh: Array,
    x: Array,
    *,
    weight: Array,
    stride: Size = 1,
    padding: Size = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Conv2dGradients:
    """dX, dW and db from dH = ∂L/∂H; the formulae are at the head of this file.

    Shapes: dh (N, O, H', W'), x (N, C, H, W), weight (O, C / G, K, L) → the shapes of x, weight and bias
    (O,).
    Raises: ``InvalidArgument`` as ``conv2d``, and for a dh of another size than H.
    Source: lecture notes §2.2.1, completed with dX and db.
    """
    _check_channels(x, weight, groups)
    window = SlidingWindow(weight.shape[-2:], pair(stride), pair(padding), pair(dilation))
    window.check_gradient(dh, x)
    runs = zip(
        np.split(dh, groups, axis=1), np.split(x, groups, axis=1), np.split(weight, groups), strict=True
    )
    dx, dweight = zip(*(_correlate_backward(*run, window) for run in runs), strict=True)
    return Conv2dGradients(np.concatenate(dx, axis=1), np.concatenate(dweight), sum_per_channel(dh))


def conv1d(
    x: Array,
    weight: Array,
    *,
    bias: Array | None = None,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> Array:
    """Convolution along one axis: that of an image of one row, h[n,o,i] = b[o] + Σ_c Σ_u w[o,c,u] · x̄[n,c,s·i + d·u].

    Shapes: x (N, C, L), weight (O, C, K), bias (O,) → (N, O, L').
    Raises: ``InvalidArgument`` as ``conv2d``.
    Source: lecture notes §2.2.

    The notes' s₁ … s₅, with x = [1 2 3 4 5] and w = [10 20 30]:

    >>> conv1d(np.arange(1.0, 6.0)[None, None], np.array([[[10.0, 20.0, 30.0]]]), padding=1).ravel().tolist()
    [80.0, 140.0, 200.0, 260.0, 140.0]
    """
    row, filters = x[:, :, None], weight[:, :, None]
    h = conv2d(row, filters, bias=bias, stride=(1, stride), padding=(0, padding), dilation=(1, dilation))
    return h[:, :, 0]


def conv1d_backward(
    dh: Array, x: Array, *, weight: Array, stride: int = 1, padding: int = 0, dilation: int = 1
) -> Conv2dGradients:
    """dx, dw and db of ``conv1d``: those of the image of one row, without its row.

    Shapes: dh (N, O, L'), x (N, C, L), weight (O, C, K) → the shapes of x, weight and bias (O,).
    Raises: ``InvalidArgument`` as ``conv2d_backward``.
    Source: the head of this file.
    """
    dx, dweight, dbias = conv2d_backward(
        dh[:, :, None],
        x[:, :, None],
        weight=weight[:, :, None],
        stride=(1, stride),
        padding=(0, padding),
        dilation=(1, dilation),
    )
    return Conv2dGradients(dx[:, :, 0], dweight[:, :, 0], dbias)


def _correlate(x: Array, weight: Array, window: SlidingWindow) -> Array:
    """One group: the filters, written as rows, times what each place of the window sees, written as a column.

    So all sums of the formula are one product of two matrices.
    """
    h = _rows(weight) @ _columns(x, window)
    return h.reshape(len(weight), len(x), *window.output(x)).swapaxes(0, 1)


def _correlate_backward(dh: Array, x: Array, weight: Array, window: SlidingWindow) -> tuple[Array, Array]:
    """One group: dH goes back along the two factors of that product."""
    arriving = _rows(dh.swapaxes(0, 1))  # (O, N·H'·W')
    dweight = arriving @ _columns(x, window).T
    dcolumns = _rows(weight).T @ arriving
    dseen = dcolumns.reshape(x.shape[1], -1, len(x), *window.output(x))
    dpadded = np.zeros_like(window.pad(x))
    for tap, (_, _, seen) in enumerate(window.taps(x)):
        dpadded[seen] += dseen[:, tap].swapaxes(0, 1)
    return window.unpad(dpadded, x), dweight.reshape(weight.shape)


def _rows(values: Array) -> Array:
    """All but the first axis in one: (O, C, K, L) → (O, C·K·L)."""
    return values.reshape(len(values), -1)


def _columns(x: Array, window: SlidingWindow) -> Array:
    """The pixels that each place sees, channel by channel and position by position: (C·K·L, N·H'·W')."""
    padded = window.pad(x).swapaxes(0, 1)
    seen = np.stack([padded[index] for _, _, index in window.taps(x)], axis=1)  # (C, K·L, N, H', W')
    return seen.reshape(x.shape[1] * seen.shape[1], -1)


def _check_channels(x: Array, weight: Array, groups: int) -> None:
    filters, channels = weight.shape[:2]
    if groups < 1 or x.shape[1] != channels * groups or filters % groups:
        raise InvalidArgument(
            f"A convolution in {groups} group(s) with weight {weight.shape} needs {channels * groups} input "
            f"channels and a number of filters that {groups} divides. "
            f"Got {x.shape[1]} channels and {filters} filters."
        )
