"""The formulae of convolution and pooling as loops, a line for a Σ: slow, and to be read beside them.

The functions of ``convolution`` and ``pooling`` compute the same with one product for all places of the window; a test
holds each against the other. Here x̄ is the image in its frame of zeros, s the stride, and every index counts from 0.
"""

import numpy as np

from mirada.reference._arrays import Array
from mirada.reference._window import Size, SlidingWindow, pair
from mirada.reference.convolution import Conv2dGradients


def conv2d_loops(
    x: Array, weight: Array, *, bias: Array | None = None, stride: Size = 1, padding: Size = 0
) -> Array:
    """H[n,o,i,j] = b[o] + Σ_c Σ_u Σ_v W[o,c,u,v] · x̄[n, c, s·i + u, s·j + v].

    Shapes: x (N, C, H, W), weight (O, C, K, L), bias (O,) → (N, O, H', W').
    Raises: ``InvalidArgument`` for a kernel larger than the padded image.
    Source: lecture notes §2.2.1, eq. (1).

    >>> conv2d_loops(np.arange(1.0, 10.0).reshape(1, 1, 3, 3), np.array([[[[1.0, 2.0], [3.0, 4.0]]]])).tolist()
    [[[[37.0, 47.0], [67.0, 77.0]]]]
    """
    filters, channels, height, width = weight.shape
    window = SlidingWindow((height, width), pair(stride), pair(padding))
    down, across = window.stride
    padded = window.pad(x)
    h = np.zeros((len(x), filters, *window.output(x)))
    for n, o, i, j in np.ndindex(h.shape):
        if bias is not None:
            h[n, o, i, j] = bias[o]
        for c in range(channels):
            for u in range(height):
                for v in range(width):
                    h[n, o, i, j] += weight[o, c, u, v] * padded[n, c, down * i + u, across * j + v]
    return h


def conv2d_loops_backward(
    dh: Array, x: Array, *, weight: Array, stride: Size = 1, padding: Size = 0
) -> Conv2dGradients:
    """Each product W · x̄ of the forward loops hands its dH to both factors, times the other one.

    Shapes: dh (N, O, H', W'), x (N, C, H, W), weight (O, C, K, L) → the shapes of x, weight and bias (O,).
    Raises: ``InvalidArgument`` for a kernel larger than the padded image, and for a dh of another size than H.
    Source: the chain rule, term by term; lecture notes §2.2.1 for dW.
    """
    filters, channels, height, width = weight.shape
    window = SlidingWindow((height, width), pair(stride), pair(padding))
    window.check_gradient(dh, x)
    down, across = window.stride
    padded = window.pad(x)
    dpadded, dweight, dbias = np.zeros_like(padded), np.zeros_like(weight), np.zeros(filters)
    for n, o, i, j in np.ndindex(dh.shape):
        dbias[o] += dh[n, o, i, j]
        for c in range(channels):
            for u in range(height):
                for v in range(width):
                    y, z = down * i + u, across * j + v
                    dweight[o, c, u, v] += dh[n, o, i, j] * padded[n, c, y, z]
                    dpadded[n, c, y, z] += dh[n, o, i, j] * weight[o, c, u, v]
    return Conv2dGradients(window.unpad(dpadded, x), dweight, dbias)


def max_pool2d_loops(x: Array, kernel: int) -> Array:
    """The largest number of each window of kernel × kernel pixels; windows do not overlap.

    Shapes: x (N, C, H, W) → (N, C, ⌊H/k⌋, ⌊W/k⌋).
    Raises: ``InvalidArgument`` for a window larger than the image.
    Source: lecture notes §2.1.
    """
    y = np.zeros((*x.shape[:2], *SlidingWindow(pair(kernel), pair(kernel), (0, 0)).output(x)))
    for n, c, i, j in np.ndindex(y.shape):
        largest = -np.inf
        for u in range(kernel):
            for v in range(kernel):
                largest = max(largest, x[n, c, kernel * i + u, kernel * j + v])
        y[n, c, i, j] = largest
    return y


def max_pool2d_loops_backward(dy: Array, x: Array, *, kernel: int) -> Array:
    """Each window's dy goes to the first of its largest pixels, and the others get nothing.

    Shapes: dy (N, C, ⌊H/k⌋, ⌊W/k⌋), x (N, C, H, W) → (N, C, H, W).
    Raises: ``InvalidArgument`` for a window larger than the image, and for a dy of another size.
    Source: lecture notes §2.1; ∂y/∂pixel is 1 for the winner and 0 for the others.
    """
    SlidingWindow(pair(kernel), pair(kernel), (0, 0)).check_gradient(dy, x)
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(dy.shape):
        winner = (kernel * i, kernel * j)
        for u in range(kernel):
            for v in range(kernel):
                place = (kernel * i + u, kernel * j + v)
                if x[n, c, *place] > x[n, c, *winner]:
                    winner = place
        dx[n, c, *winner] += dy[n, c, i, j]
    return dx
