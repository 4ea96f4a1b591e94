"""A kernel that slides: over an image, over five numbers, and as the product with one large matrix.

    H[i,j] = Σ_u Σ_v W[u,v] · X̄[p·i + u, p·j + v],   ⌊(m − k + 2c) / p⌋ + 1 places a side

in the letters of the lecture notes: m the side of the image, k that of the kernel, p the stride, c the zeros added at
each end. Since H is linear in X, it is also a matrix times the pixels in one column: a row a place, which holds the
kernel's weights where the window lies and 0 elsewhere.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mirada.arithmetic import output_size
from mirada.data.pixels.arrays import read_image, show_image
from mirada.data.pixels.decode import DecodeError
from mirada.lessons import Material
from mirada.reference import conv2d

Array = NDArray[np.float64]

# The handwritten digit number 3 of scikit-learn's, from 0 to 16; reading all of them takes half a second.
DIGIT = (
    (0, 0, 7, 15, 13, 1, 0, 0), (0, 8, 13, 6, 15, 4, 0, 0), (0, 2, 1, 13, 13, 0, 0, 0), (0, 0, 2, 15, 11, 1, 0, 0),
    (0, 0, 0, 1, 12, 12, 1, 0), (0, 0, 0, 0, 1, 10, 8, 0), (0, 0, 8, 4, 5, 14, 9, 0), (0, 0, 7, 13, 13, 9, 0, 0),
)  # fmt: skip
KERNELS = {
    "vertical_edges": ((1.0, 0.0, -1.0), (2.0, 0.0, -2.0), (1.0, 0.0, -1.0)),
    "horizontal_edges": ((1.0, 2.0, 1.0), (0.0, 0.0, 0.0), (-1.0, -2.0, -1.0)),
    "blur": ((0.1, 0.1, 0.1), (0.1, 0.2, 0.1), (0.1, 0.1, 0.1)),
    "sharpen": ((0.0, -1.0, 0.0), (-1.0, 5.0, -1.0), (0.0, -1.0, 0.0)),
    "spots": ((-1.0, -1.0, -1.0), (-1.0, 8.0, -1.0), (-1.0, -1.0, -1.0)),
    "identity": ((0.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 0.0)),
}
SIGNAL, FILTER = (1.0, 2.0, 4.0, 3.0, 1.0), (1.0, 2.0, -1.0)
PHOTO_SIDE = 160  # pixels of the longer side: the page's script convolves them while one looks on


@dataclass(frozen=True)
class Slide:
    """A kernel over an image.

    Args:
        image: (M, M).
        kernel: (K, K).
        stride: p.
        padding: c, zeros at each end.
        map: H, (V, V).
        matrix: the same kernel as a matrix, (V², M²): ``matrix @ image.ravel() == map.ravel()``.
    """

    image: Array
    kernel: Array
    stride: int
    padding: int
    map: Array
    matrix: Array


@dataclass(frozen=True)
class Line:
    """The notes' example in one dimension, zeros at both ends.

    Args:
        x: what enters, (M,).
        w: the filter, (K,).
        s: what leaves, (M,).
        matrix: (M, M): the filter along the diagonal.
    """

    x: Array
    w: Array
    s: Array
    matrix: Array

    @property
    def shared(self) -> int:
        """Weights of the convolution."""
        return len(self.w)

    @property
    def local(self) -> int:
        """Weights if each edge of the convolution had its own."""
        return int(self.reached.sum())

    @property
    def dense(self) -> int:
        """Weights of a fully connected layer."""
        return len(self.s) * len(self.x)

    @property
    def reached(self) -> NDArray[np.bool_]:
        """Which input has an edge to which output, (M, M), whatever the weights are."""
        return np.asarray(_along(len(self.x), np.ones_like(self.w)) != 0)


@dataclass(frozen=True)
class LayerCounts:
    """LeNet-5's first layer as the notes count it: 6 filters of 5×5 on 32×32 pixels."""

    convolution: int
    dense: int


@dataclass(frozen=True)
class ConvolutionLesson:
    """All that the page shows; ``photo`` is grey, (H, W), and empty where there is none."""

    slide: Slide
    line: Line
    counts: LayerCounts
    photo: NDArray[np.uint8]


def lesson(material: Material) -> ConvolutionLesson:
    """A digit under a filter of edges, the notes' five numbers, and a person's photo."""
    return ConvolutionLesson(
        slide(np.array(DIGIT, dtype=float), np.array(KERNELS["vertical_edges"])),
        line(np.array(SIGNAL), np.array(FILTER)),
        first_layer(),
        grey_photo(material.image) if material.image else np.zeros((0, 0), np.uint8),
    )


def slide(image: Array, kernel: Array, *, stride: int = 1, padding: int = 0) -> Slide:
    """The map of a kernel on an image, and the matrix that does the same.

    Args:
        image: (M, M).
        kernel: (K, K), K ≤ M + 2 · padding.
        stride: p, at least 1.
        padding: c.

    Raises:
        InvalidArgument: where the kernel does not fit.

    Source: lecture notes §2.2 and §2.2.2.
    """
    h = conv2d(image[None, None], kernel[None, None], stride=stride, padding=padding)[0, 0]
    matrix = convolution_matrix(kernel, len(image), stride=stride, padding=padding)
    return Slide(image, kernel, stride, padding, h, matrix)


def convolution_matrix(kernel: Array, side: int, *, stride: int = 1, padding: int = 0) -> Array:
    """The (V², side²) matrix whose product with the pixels of an image, row by row, is the convolution.

    With stride 1 it is a block Toeplitz matrix: along its diagonals the weights repeat. Source: Goodfellow, Bengio &
    Courville 2016, §9.1.
    """
    places = output_size(side, len(kernel), stride=stride, padding=padding)
    matrix = np.zeros((places, places, side, side))
    for i, j, u, v in np.ndindex(places, places, *kernel.shape):
        y, x = stride * i + u - padding, stride * j + v - padding
        if 0 <= y < side and 0 <= x < side:
            matrix[i, j, y, x] = kernel[u, v]
    return matrix.reshape(places**2, side**2)


def line(x: Array, w: Array) -> Line:
    """s₁ … s₅ of the notes: each the filter times a number and its two neighbours, zeros beyond the ends.

    Args:
        x: (M,).
        w: (K,), K odd.

    Source: lecture notes §2.2, Figs. 6 and 7.
    """
    s = conv2d(x[None, None, None], w[None, None, None], padding=(0, len(w) // 2))[0, 0, 0]
    return Line(x, w, s, _along(len(x), w))


def first_layer() -> LayerCounts:
    """(5·5 + 1)·6 weights against (32·32 + 1)·(28·28)·6. Source: lecture notes §3.1."""
    kernel, filters, side = 5, 6, 32
    places = output_size(side, kernel)
    return LayerCounts((kernel**2 + 1) * filters, (side**2 + 1) * places**2 * filters)


def grey_photo(file: Path) -> NDArray[np.uint8]:
    """A photo in grey, (H, W), its longer side ``PHOTO_SIDE`` pixels at most. Raises ``DecodeError``, with the file."""
    try:
        picture = show_image(read_image(file), least=PHOTO_SIDE).convert("L")
    except DecodeError as error:
        raise DecodeError(f"{file}: {error}.") from error
    picture.thumbnail((PHOTO_SIDE, PHOTO_SIDE))
    return np.asarray(picture)


def _along(size: int, w: Array) -> Array:
    """The filter in every row, its middle on the diagonal."""
    half = len(w) // 2
    return np.asarray(sum(np.diag(np.full(size - abs(k - half), w[k]), k - half) for k in range(len(w))))
