"""Dropout as it is used today, inverted: what is kept in training is scaled up, so that nothing is left to do later.

In training each number is kept with probability 1 − p, independently. With m = 1 where it is kept and 0 elsewhere,

    y = x · m / (1 − p)          dx = dy · m / (1 − p)

The expectation of y over m is x, so evaluation is the identity. (The paper scales the weights of the trained network by
1 − p instead, which comes to the same.) The masks are given, not drawn here: a layer is then a function that can be
differentiated.

Source: Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov 2014, Dropout, §4 and, for the inverted form, §10.
"""

import numpy as np
from numpy.typing import NDArray

from mirada.errors import InvalidArgument
from mirada.reference._arrays import Array


def dropout(x: Array, kept: NDArray[np.bool_], *, rate: float) -> Array:
    """y = x · m / (1 − p), with p the share that is dropped.

    Shapes: x and kept (…) → (…).
    Source: Srivastava et al. 2014, §4 and §10.

    >>> dropout(np.array([1.0, 2.0, 3.0]), np.array([True, False, True]), rate=0.5).tolist()
    [2.0, 0.0, 6.0]
    """
    if not 0 <= rate < 1:
        raise InvalidArgument(f"`rate` of dropout must lie between 0 and 1, 1 excluded. Got {rate}.")
    return x * kept / (1 - rate)


def dropout_backward(dy: Array, kept: NDArray[np.bool_], *, rate: float) -> Array:
    """dx = dy · m / (1 − p), which is dropout itself with the same mask.

    Shapes: dy and kept (…) → (…).
    Source: y is linear in x.
    """
    return dropout(dy, kept, rate=rate)
