"""Back-propagation through one convolution, term by term: the lecture notes' example of §2.2.1, completed.

    H = X ⋆ W + b,   L = ½ Σ (H − T)²

X is 3×3, W is 2×2, b a bias that the notes leave out, T the values that H should have. The notes let ∂L/∂H arrive from
above; here it arrives from L, so that every gradient can be checked against the loss itself. Every number is a sum of
products of two others, which ``TermSum`` writes out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mirada.errors import InvalidArgument
from mirada.lessons import Material
from mirada.reference import conv2d, conv2d_backward

Array = NDArray[np.float64]

IMAGE = ((1.0, 2.0, 0.0), (3.0, 1.0, 2.0), (0.0, 1.0, 4.0))
KERNEL = ((1.0, -1.0), (-1.0, 2.0))
BIAS = 1.0
WANTED = ((-2.0, 4.0), (6.0, 4.0))
STEP = 1e-5  # of the finite differences


@dataclass(frozen=True)
class Product:
    """Two cells that are multiplied: a letter each, with row and column from 1."""

    left: str
    right: str


@dataclass(frozen=True)
class TermSum:
    """A number, the products whose sum it is, and for a gradient the same number by finite differences."""

    name: str
    products: tuple[Product, ...]
    value: float
    numeric: float | None = None


@dataclass(frozen=True)
class GradientExample:
    """One convolution forwards and backwards.

    Args:
        x: the image, (M, M).
        weight: the kernel, (N, N).
        bias: added to every place.
        target: what H should be, (V, V) with V = M − N + 1.
        h: the map, (V, V).
        loss: ½ Σ (H − T)².
        dh: ∂L/∂H = H − T, (V, V).
        forward: each H[i,j] written out; the bias is not among the products.
        dweight: each ∂L/∂W[m,n] written out.
        dx: each ∂L/∂X[y,x] written out.
        dbias: ∂L/∂b written out: each ∂L/∂H once.
    """

    x: Array
    weight: Array
    bias: float
    target: Array
    h: Array
    loss: float
    dh: Array
    forward: tuple[TermSum, ...]
    dweight: tuple[TermSum, ...]
    dx: tuple[TermSum, ...]
    dbias: TermSum

    @property
    def gradients(self) -> tuple[TermSum, ...]:
        """Of all that could learn, and of the image."""
        return (*self.dweight, self.dbias, *self.dx)

    @property
    def largest_difference(self) -> float:
        """Between a gradient by the formula and by finite differences."""
        return max(abs(entry.value - (entry.numeric or 0.0)) for entry in self.gradients)


def lesson(material: Material) -> GradientExample:
    """The example with the numbers that the page begins with."""
    return convolution_gradients(np.array(IMAGE), np.array(KERNEL), bias=BIAS, target=np.array(WANTED))


def convolution_gradients(x: Array, weight: Array, *, bias: float, target: Array) -> GradientExample:
    """H, L and the gradients of L by W, b and X, each as a sum of products, and by finite differences.

    Args:
        x: (M, M).
        weight: (N, N), N ≤ M.
        bias: one number.
        target: (M − N + 1, M − N + 1).

    Raises:
        InvalidArgument: where the shapes do not fit.

    Source: lecture notes §2.2.1, eq. (1) and the four equations for ∂W; ∂X and ∂b complete them.
    """
    h = _map(x, weight, bias)
    if target.shape != h.shape:
        raise InvalidArgument(f"The target must have the shape of the map, {h.shape}. Got {target.shape}.")
    dh = h - target
    dx, dweight, dbias = conv2d_backward(dh[None, None], x[None, None], weight=weight[None, None])

    def loss(x: Array, weight: Array, bias: Array) -> float:
        return float(np.sum((_map(x, weight, float(bias)) - target) ** 2) / 2)

    def numeric(which: int) -> Array:
        return finite_differences(loss, (x, weight, np.array(bias)), which)

    cells = list(np.ndindex(h.shape))
    ones = tuple(Product(_name("H", *cell, gradient=True), "1") for cell in cells)
    return GradientExample(
        x=x, weight=weight, bias=bias, target=target, h=h, loss=loss(x, weight, np.array(bias)), dh=dh,
        forward=tuple(_entries("H", h, lambda i, j: _window(weight, i, j))),
        dweight=tuple(_entries("W", dweight[0, 0], lambda m, n: _seen(h, m, n), numeric(1))),
        dx=tuple(_entries("X", dx[0, 0], lambda y, x: _reached(weight, h, y, x), numeric(0))),
        dbias=TermSum("db", ones, float(dbias[0]), float(numeric(2))),
    )  # fmt: skip


def finite_differences(
    loss: Callable[[Array, Array, Array], float], values: tuple[Array, Array, Array], which: int
) -> Array:
    """(L(θ + ε) − L(θ − ε)) / 2ε for every number θ of one of the arrays, in its shape."""
    found = np.zeros_like(values[which])
    for cell in np.ndindex(found.shape):
        sides = []
        for step in (STEP, -STEP):
            moved = [value.copy() for value in values]
            moved[which][cell] += step
            sides.append(loss(moved[0], moved[1], moved[2]))
        found[cell] = (sides[0] - sides[1]) / (2 * STEP)
    return found


def _map(x: Array, weight: Array, bias: float) -> Array:
    return np.asarray(conv2d(x[None, None], weight[None, None], bias=np.array([bias]))[0, 0])


def _entries(
    letter: str,
    values: Array,
    products: Callable[[int, int], Iterator[Product]],
    numeric: Array | None = None,
) -> Iterator[TermSum]:
    """Every cell of an array, written out; with ``numeric`` it is a gradient."""
    for i, j in np.ndindex(values.shape):
        name = _name(letter, i, j, gradient=numeric is not None)
        yield TermSum(
            name,
            tuple(products(i, j)),
            float(values[i, j]),
            None if numeric is None else float(numeric[i, j]),
        )


def _window(weight: Array, i: int, j: int) -> Iterator[Product]:
    """H[i,j]: every weight times the pixel that it lies on."""
    for m, n in np.ndindex(weight.shape):
        yield Product(_name("W", m, n), _name("X", i + m, j + n))


def _seen(h: Array, m: int, n: int) -> Iterator[Product]:
    """∂W[m,n]: every pixel that the weight lay on times the gradient of the place where it did."""
    for i, j in np.ndindex(h.shape):
        yield Product(_name("X", i + m, j + n), _name("H", i, j, gradient=True))


def _reached(weight: Array, h: Array, y: int, x: int) -> Iterator[Product]:
    """∂X[y,x]: every weight that met the pixel times the gradient of the place where it did."""
    for m, n in np.ndindex(weight.shape):
        if 0 <= y - m < h.shape[0] and 0 <= x - n < h.shape[1]:
            yield Product(_name("W", m, n), _name("H", y - m, x - n, gradient=True))


def _name(letter: str, row: int, column: int, *, gradient: bool = False) -> str:
    """``X12``, ``dH21``: row and column from 1, as in the notes."""
    return f"{'d' if gradient else ''}{letter}{row + 1}{column + 1}"
