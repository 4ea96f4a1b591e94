"""The numeric judge of every gradient: central differences, which know nothing of the formulae."""

from collections.abc import Callable

import numpy as np

from mirada.reference._arrays import Array


def numerical_gradient(loss: Callable[[Array], float], x: Array, *, step: float = 1e-5) -> Array:
    """∂L/∂x, each number moved up and down by h: (L(x + h) − L(x − h)) / 2h.

    The error is of the order of h², and of the rounding of L divided by h; at 1e-5 some nine digits agree. Where the
    loss bends within h, as ReLU's does at 0, it is wrong.

    Shapes: x (…) → (…); ``loss`` takes an array of that shape.
    Source: Taylor's expansion of L to the second order, whose even terms cancel.

    >>> numerical_gradient(lambda w: float((w**2).sum()), np.array([1.0, -3.0])).round(6).tolist()
    [2.0, -6.0]
    """
    gradient = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        moved = x.copy()
        moved[place] = x[place] + step
        above = loss(moved)
        moved[place] = x[place] - step
        gradient[place] = (above - loss(moved)) / (2 * step)
    return gradient
