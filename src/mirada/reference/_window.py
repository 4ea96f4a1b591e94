"""How a sliding window meets a padded image: the index arithmetic that convolution and pooling share.

Along one side, with image size m, kernel k, stride s, padding p and dilation d, a window reaches over
r = d·(k − 1) + 1 pixels, and there is room for

    v = ⌊(m + 2p − r) / s⌋ + 1

of them. For d = 1 that is the lecture notes' (m − k + 2c)/p + 1 (their c is the padding, their p the stride),
with the floor they leave out. ``ceil_mode`` rounds up instead, then drops a last window that would begin
beyond the image and its padding on the left: it would see nothing.

Source: lecture notes §2.2.2; the ``ceil_mode`` rule is that of ``torch.nn.MaxPool2d``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from types import EllipsisType

import numpy as np

from mirada.errors import InvalidArgument
from mirada.reference._arrays import Array

Pair = tuple[int, int]
Size = int | Pair
Index = tuple[EllipsisType, slice, slice]


def pair(size: Size) -> Pair:
    """(height, width) of a size that may be given as one number for both."""
    return (size, size) if isinstance(size, int) else size


@dataclass(frozen=True)
class SlidingWindow:
    """A kernel's size and the way it walks over an image; every pair is (vertical, horizontal)."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair = (1, 1)
    ceil_mode: bool = False

    @property
    def reach(self) -> Pair:
        """The pixels from the first to the last that one window sees."""
        return self.dilation[0] * (self.kernel[0] - 1) + 1, self.dilation[1] * (self.kernel[1] - 1) + 1

    def output(self, x: Array) -> Pair:
        """The number of places of the window on ``x`` (…, H, W).

        Raises ``InvalidArgument`` where the window does not fit even once.
        """
        places = self._places(x, 0), self._places(x, 1)
        if min(places) < 1:
            raise InvalidArgument(
                f"A window that reaches over {self.reach} pixels does not fit in an image of {x.shape[-2:]} "
                f"with padding {self.padding}. Use a larger image or more padding."
            )
        return places

    def check_gradient(self, dy: Array, x: Array) -> None:
        """Raises ``InvalidArgument`` unless ``dy`` has a number for each place; NumPy would repeat it."""
        if dy.shape[-2:] != self.output(x):
            raise InvalidArgument(
                f"The gradient that arrives must have the size of the window's output, {self.output(x)}. "
                f"Got {dy.shape[-2:]}."
            )

    def pad(self, x: Array, *, fill: float = 0.0) -> Array:
        """``x`` in a frame of ``fill``, at the bottom and right as wide as the last window needs."""
        frame = [(0, 0)] * (x.ndim - 2) + [self._frame(x, 0), self._frame(x, 1)]
        return np.pad(x, frame, constant_values=fill)

    def unpad(self, padded: Array, x: Array) -> Array:
        """The part of ``padded`` where ``x`` lies, the inverse of ``pad``."""
        (top, left), (height, width) = self.padding, x.shape[-2:]
        return padded[..., top : top + height, left : left + width]

    def taps(self, x: Array) -> Iterator[tuple[int, int, Index]]:
        """(i, j, index) for each kernel position, row by row.

        ``padded[index]`` holds, for all places of the window at once, the pixel that position (i, j) of the
        kernel lies on: row stride·place + dilation·i of the padded image, and likewise for columns.
        """
        places = self.output(x)
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                rows = _every(self.stride[0], self.dilation[0] * i, places[0])
                columns = _every(self.stride[1], self.dilation[1] * j, places[1])
                yield i, j, (..., rows, columns)

    def _places(self, x: Array, axis: int) -> int:
        size: int = x.shape[-2 + axis]
        stride, padding = self.stride[axis], self.padding[axis]
        free = size + 2 * padding - self.reach[axis]
        if not self.ceil_mode:
            return free // stride + 1
        places = -(-free // stride) + 1
        begins_beyond = (places - 1) * stride >= size + padding
        return places - 1 if begins_beyond else places

    def _frame(self, x: Array, axis: int) -> Pair:
        size: int = x.shape[-2 + axis]
        before = self.padding[axis]
        last_window_ends = (self.output(x)[axis] - 1) * self.stride[axis] + self.reach[axis]
        return before, max(0, last_window_ends - size - before)


def _every(step: int, first: int, count: int) -> slice:
    """The indices first, first + step, …, ``count`` of them."""
    return slice(first, first + step * (count - 1) + 1, step)
