"""When a convolution is a dense layer, and what becomes of a map when the image moves.

A kernel as large as the image has one place, so N = M makes a convolution a dense layer. A convolution commutes with a
shift, f(s(x)) = s(f(x)): that is equivariance, which the notes call invariance. Pooling alone makes some of it
invariance: a feature that moves within its window leaves the pooled value as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mirada.lessons import Material
from mirada.lessons.convolution import DIGIT, KERNELS
from mirada.reference import avg_pool2d, conv2d, linear, max_pool2d

Array = NDArray[np.float64]
FRAME = 8  # zeros around a digit, so that nothing leaves the picture when it moves
SHIFTS = tuple(range(5))  # pixels
POOLS = (1, 2, 4, 8)  # sides of the windows; 1 is no pooling
UNITS = 3  # of the dense layer
STRIDE = 2


@dataclass(frozen=True)
class DenseEqual:
    """One layer computed twice: by a kernel as large as the image, and by a dense layer of the same weights.

    Args:
        weight: (units, M, M).
        bias: (units,).
        by_convolution: (units,).
        by_dense: (units,).
    """

    weight: Array
    bias: Array
    by_convolution: Array
    by_dense: Array


@dataclass(frozen=True)
class Moved:
    """How much of a map changes when the image moves: ‖P(x shifted) − P(x)‖ / ‖P(x)‖.

    Args:
        pooling: ``maximum`` or ``average``.
        window: the side of its window; its stride is as long.
        changes: by shift, in the order of ``SHIFTS``, the mean over digits.
    """

    pooling: str
    window: int
    changes: tuple[float, ...]


@dataclass(frozen=True)
class EquivalencesLesson:
    """All that the page shows.

    Args:
        image: a digit in its frame, (H, W).
        kernel: that is slid over it.
        dense: the two layers that are one.
        errors: ‖f(s(x)) − s(f(x))‖ by shift, with stride 1.
        strided: the same with stride 2; None where the map would have to move by half a place.
        moved: how far pooling makes it invariance.
        digits: how many were measured.
    """

    image: Array
    kernel: Array
    dense: DenseEqual
    errors: tuple[float, ...]
    strided: tuple[float | None, ...]
    moved: tuple[Moved, ...]
    digits: int


def lesson(material: Material) -> EquivalencesLesson:
    """Everything, on scikit-learn's digits."""
    digits = _digits()
    kernel = np.array(KERNELS["vertical_edges"])
    return EquivalencesLesson(
        image=np.pad(np.array(DIGIT, dtype=float), FRAME),
        kernel=kernel,
        dense=dense_equal(np.array(DIGIT, dtype=float) / 16),
        errors=tuple(equivariance_error(digits, kernel, shift) or 0.0 for shift in SHIFTS),
        strided=tuple(equivariance_error(digits, kernel, shift, STRIDE) for shift in SHIFTS),
        moved=tuple(
            Moved(pooling, window, tuple(change(digits, kernel, shift, pooling, window) for shift in SHIFTS))
            for pooling in ("maximum", "average")
            for window in POOLS
        ),
        digits=len(digits),
    )


def dense_equal(image: Array) -> DenseEqual:
    """A layer of three units on an image (M, M), as a convolution with N = M and as a dense layer."""
    random = np.random.default_rng(0)
    weight = random.normal(0, 1 / image.shape[0], (UNITS, *image.shape))
    bias = random.normal(0, 0.1, UNITS)
    slid = conv2d(image[None, None], weight[:, None], bias=bias)  # (1, units, 1, 1)
    dense = linear(image.reshape(1, -1), weight.reshape(UNITS, -1), bias=bias)
    return DenseEqual(weight, bias, slid.ravel(), dense.ravel())


def shifted(images: Array, shift: int) -> Array:
    """Images (N, 1, H, W) moved to the right; what leaves comes in again at the left, so frames must be wide enough."""
    return np.roll(images, shift, axis=3)


def equivariance_error(images: Array, kernel: Array, shift: int, stride: int = 1) -> float | None:
    """The largest |f(s(x)) − s(f(x))| of a convolution, relative to the largest |f(x)|; None for half a place."""
    if shift % stride:
        return None
    weight = kernel[None, None]
    first = conv2d(shifted(images, shift), weight, stride=stride, padding=1)
    second = shifted(conv2d(images, weight, stride=stride, padding=1), shift // stride)
    return float(np.abs(first - second).max() / np.abs(second).max())


def change(images: Array, kernel: Array, shift: int, pooling: str, window: int) -> float:
    """How much the pooled maps of digits change with a shift: the mean of ‖P(s(x)) − P(x)‖ / ‖P(x)‖."""
    pool = max_pool2d if pooling == "maximum" else avg_pool2d

    def pooled(entering: Array) -> Array:
        maps = np.maximum(conv2d(entering, kernel[None, None], padding=1), 0)
        return np.asarray(pool(maps, window))

    before, after = pooled(images), pooled(shifted(images, shift))
    axes = (1, 2, 3)
    lengths = np.sqrt((before**2).sum(axis=axes))
    return float((np.sqrt(((after - before) ** 2).sum(axis=axes)) / lengths).mean())


def _digits() -> Array:
    """A hundred digits in frames, (100, 1, 24, 24) from 0 to 1."""
    from sklearn.datasets import load_digits

    return np.pad(load_digits().images[:100, None] / 16, ((0, 0), (0, 0), (FRAME, FRAME), (FRAME, FRAME)))
