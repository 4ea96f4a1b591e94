"""Pooling: the maximum, the average, LeNet-5's subsampling and the global average, with their gradients.

No pooling except LeNet-5's has weights, yet every one has a gradient with respect to its *input*, without
which nothing before it could learn. A window's output y depends on the pixels under it, so by the chain rule
each pixel collects, over all windows that see it, dy · ∂y/∂pixel:

    maximum     ∂y/∂pixel = 1 for the pixel that won, 0 for the others
    average     ∂y/∂pixel = 1 / (the number of pixels counted)

Where windows overlap (stride < kernel, as in AlexNet and ResNet) the contributions add up.

Source: lecture notes §2.1 (their remark in §2.1.2 that pooling needs no gradient is true of parameters only).
"""

from typing import NamedTuple

import numpy as np

from mirada.errors import InvalidArgument
from mirada.reference._arrays import Array, along_channels, sum_per_channel
from mirada.reference._window import Size, SlidingWindow, pair


def max_pool2d(
    x: Array,
    kernel: Size,
    *,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Array:
    """The largest pixel of each window; padding never wins. ``stride`` is the kernel size unless given.

    Shapes: x (N, C, H, W) → (N, C, H', W').
    Raises: ``InvalidArgument`` for padding of more than half a window, or a window larger than the padded
    image.
    Source: lecture notes §2.1; overlapping windows, Krizhevsky et al. 2012.

    >>> max_pool2d(np.array([[[[1.0, 2.0, 5.0, 0.0], [4.0, 3.0, 0.0, 0.0]]]]), 2).tolist()
    [[[[4.0, 5.0]]]]
    """
    window = _pooling_window(kernel, stride, padding, dilation, ceil_mode)
    return np.asarray(_stack_of_taps(x, window).max(axis=0))


def max_pool2d_backward(
    dy: Array,
    x: Array,
    *,
    kernel: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Array:
    """dX: each window hands its dy to its winner, and to the first one in reading order where several tie.

    Shapes: dy (N, C, H', W'), x (N, C, H, W) → (N, C, H, W).
    Raises: ``InvalidArgument`` as ``max_pool2d``, and for a dy of another size than the output.
    Source: the head of this file; the first-maximum rule is that of ``torch.nn.MaxPool2d``.
    """
    window = _pooling_window(kernel, stride, padding, dilation, ceil_mode)
    window.check_gradient(dy, x)
    winner = _stack_of_taps(x, window).argmax(axis=0)  # argmax takes the first of several
    dpadded = np.zeros_like(window.pad(x))
    for tap, (_, _, seen) in enumerate(window.taps(x)):
        dpadded[seen] += np.where(winner == tap, dy, 0.0)
    return window.unpad(dpadded, x)


def avg_pool2d(
    x: Array,
    kernel: Size,
    *,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """The mean of each window. ``stride`` is the kernel size unless given.

    ``count_include_pad`` says whether the zeros of the padding count as pixels; what ``ceil_mode`` adds
    beyond them never does.

    Shapes: x (N, C, H, W) → (N, C, H', W').
    Raises: ``InvalidArgument`` for padding of more than half a window, or a window larger than the padded
    image.
    Source: lecture notes §2.1; the counting rule is that of ``torch.nn.AvgPool2d``.

    >>> avg_pool2d(np.array([[[[1.0, 2.0, 5.0, 0.0], [4.0, 3.0, 1.0, 0.0]]]]), 2).tolist()
    [[[[2.5, 1.5]]]]
    """
    window = _pooling_window(kernel, stride, padding, 1, ceil_mode)
    padded = window.pad(x)
    total = sum(padded[seen] for _, _, seen in window.taps(x))
    return np.asarray(total / _pixels_counted(x, window, count_include_pad))


def avg_pool2d_backward(
    dy: Array,
    x: Array,
    *,
    kernel: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Array:
    """dX: each window hands an equal share of its dy to every pixel it sees. Of ``x`` only the shape matters.

    Shapes: dy (N, C, H', W'), x (N, C, H, W) → (N, C, H, W).
    Raises: ``InvalidArgument`` as ``avg_pool2d``, and for a dy of another size than the output.
    Source: the head of this file.
    """
    window = _pooling_window(kernel, stride, padding, 1, ceil_mode)
    window.check_gradient(dy, x)
    share = dy / _pixels_counted(x, window, count_include_pad)
    dpadded = np.zeros_like(window.pad(x))
    for _, _, seen in window.taps(x):
        dpadded[seen] += share
    return window.unpad(dpadded, x)


class SubsampleGradients(NamedTuple):
    """∂L/∂x, ∂L/∂coefficient and ∂L/∂bias of LeNet-5's subsampling."""

    dx: Array
    dcoefficient: Array
    dbias: Array


def subsample(x: Array, kernel: int = 2, *, coefficient: Array, bias: Array) -> Array:
    """LeNet-5's S2 and S4: each window's *sum* times a learned coefficient, plus a learned bias, per channel.

    Windows do not overlap. With coefficient 1/k² and bias 0 it is the plain average that the lecture notes
    print; the 12 and 32 parameters of the paper's S2 and S4 are these coefficients and biases.

    Shapes: x (N, C, H, W), coefficient (C,), bias (C,) → (N, C, ⌊H/k⌋, ⌊W/k⌋).
    Raises: ``InvalidArgument`` for a window larger than the image.
    Source: LeCun, Bottou, Bengio & Haffner 1998, §II-B.
    """
    total = kernel**2 * avg_pool2d(x, kernel)
    return along_channels(coefficient, x) * total + along_channels(bias, x)


def subsample_backward(dy: Array, x: Array, *, kernel: int = 2, coefficient: Array) -> SubsampleGradients:
    """dx = coefficient · dy for every pixel of the window, dcoefficient = Σ dy · (window sum), dbias = Σ dy.

    Shapes: dy (N, C, ⌊H/k⌋, ⌊W/k⌋), x (N, C, H, W), coefficient (C,) → the shapes of x, coefficient and bias.
    Raises: ``InvalidArgument`` as ``subsample``.
    Source: the product rule on ``subsample``.
    """
    total = kernel**2 * avg_pool2d(x, kernel)
    dtotal = along_channels(coefficient, x) * dy
    dx = kernel**2 * avg_pool2d_backward(dtotal, x, kernel=kernel)
    return SubsampleGradients(dx, sum_per_channel(dy * total), sum_per_channel(dy))


def global_avg_pool2d(x: Array) -> Array:
    """μ[n,c], the mean of each map, and so the vector the notes write μ⃗ = [μ₁ … μ_N].

    Shapes: x (N, C, H, W) → (N, C).
    Source: lecture notes §4; Lin, Chen & Yan 2013, arXiv:1312.4400, §3.2.
    """
    return np.asarray(x.mean(axis=(2, 3)))


def global_avg_pool2d_backward(dy: Array, x: Array) -> Array:
    """dX: every pixel of a map gets dy / (H·W). Of ``x`` only the shape matters.

    Shapes: dy (N, C), x (N, C, H, W) → (N, C, H, W).
    Source: ∂(mean)/∂pixel = 1 / (H·W).
    """
    height, width = x.shape[2:]
    return np.broadcast_to(dy[:, :, None, None] / (height * width), x.shape).copy()


def _stack_of_taps(x: Array, window: SlidingWindow) -> Array:
    """All that each window sees, in reading order: (K·L, N, C, H', W')."""
    padded = window.pad(x, fill=-np.inf)
    return np.stack([padded[seen] for _, _, seen in window.taps(x)])


def _pixels_counted(x: Array, window: SlidingWindow, count_include_pad: bool) -> Array:
    """By what the sum of each window is divided: (H', W')."""
    (top, left), (height, width) = window.padding, x.shape[2:]
    counted = np.zeros_like(window.pad(x[0, 0]))
    if count_include_pad:
        counted[: height + 2 * top, : width + 2 * left] = 1.0
    else:
        counted[top : top + height, left : left + width] = 1.0
    return np.asarray(sum(counted[seen] for _, _, seen in window.taps(x)))


def _pooling_window(
    kernel: Size, stride: Size | None, padding: Size, dilation: Size, ceil_mode: bool
) -> SlidingWindow:
    steps = pair(kernel) if stride is None else pair(stride)
    window = SlidingWindow(pair(kernel), steps, pair(padding), pair(dilation), ceil_mode)
    # With more padding a window could lie outside the image altogether and have no maximum.
    if any(2 * padded > reach for padded, reach in zip(window.padding, window.reach, strict=True)):
        raise InvalidArgument(
            f"`padding` of a pooling must be at most half of what its window reaches over, {window.reach}. "
            f"Got {window.padding}."
        )
    return window
