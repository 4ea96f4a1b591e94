"""The arithmetic of a layer as functions of integers: multiply-adds (MACs), receptive fields, geometry as text.

One MAC is one multiplication and the addition that collects its product. Biases are not counted.
Source of the receptive fields: Araujo, Norris & Sim 2019, "Computing receptive fields of convolutional neural
networks", doi:10.23915/distill.00021.
"""

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

from mirada.text import times

Shape = tuple[int, ...]


def conv_macs(outputs: int, in_channels: int, kernel: Sequence[int], *, groups: int = 1) -> int:
    """MACs of a convolution: every output value sums (C_in / groups) · k_h · k_w products.

    ``outputs`` is the number of output values, C_out · H_out · W_out. Dilation moves the products, it adds
    none. Products with padded zeros are counted.

    >>> conv_macs(64 * 112 * 112, 3, (7, 7))
    118013952
    """
    return outputs * (in_channels // groups) * prod(kernel)


def transposed_macs(inputs: int, out_channels: int, kernel: Sequence[int], *, groups: int = 1) -> int:
    """MACs of a transposed convolution: every input value is spread over (C_out / groups) · k_h · k_w places.

    ``inputs`` is the number of input values, C_in · H_in · W_in.

    >>> transposed_macs(8 * 7 * 7, 4, (4, 4))
    25088
    """
    return inputs * (out_channels // groups) * prod(kernel)


def linear_macs(outputs: int, in_features: int) -> int:
    """MACs of a linear layer: every output value sums ``in_features`` products.

    ``outputs`` is the number of output values, over all axes that the layer is applied to.

    >>> linear_macs(120, 400)
    48000
    """
    return outputs * in_features


class Span(NamedTuple):
    """What the values along one axis of a map see of the image: value i sees ``first`` + i·jump … ``last`` + i·jump.

    Pixels are numbered from 0; numbers outside the image are padding. ``jump`` 0 says that every value sees the
    same, None that the values no longer lie at even distances. ``end`` is the last pixel that the last value sees.
    """

    first: int
    last: int
    jump: int | None
    end: int

    @property
    def size(self) -> int:
        """The receptive field: how many pixels, padding included, one value sees."""
        return self.last - self.first + 1

    @property
    def centre(self) -> float:
        """Where the field of value 0 has its middle; the middle of pixel 0 is at 0."""
        return (self.first + self.last) / 2

    def whole(self) -> "Span":
        """What a value sees that reads all values of the axis."""
        return Span(self.first, self.end, 0, self.end)

    def unordered(self) -> "Span":
        """These fields, where the order of the values no longer tells their places."""
        return self._replace(jump=None) if self.jump else self


def image_span(size: int) -> Span:
    """An axis of the image itself: every pixel sees itself.

    >>> image_span(224)
    Span(first=0, last=0, jump=1, end=223)
    """
    return Span(0, 0, 1, size - 1)


def window_span(
    span: Span, count: int, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1
) -> Span:
    """Behind a convolution or a pooling with ``count`` outputs: first − p·j, last + (d(k − 1) − p)·j, jump s·j.

    ``padding`` is the one at the start of the axis. A kernel of 1 with a negative padding is a crop. Where there is
    no even jump to go by, every value may see all.

    >>> window_span(image_span(224), 112, 7, stride=2, padding=3)
    Span(first=-3, last=3, jump=2, end=225)
    """
    if not span.jump:
        return span.whole()
    first = span.first - padding * span.jump
    last = span.last + (dilation * (kernel - 1) - padding) * span.jump
    jump = span.jump * stride
    return Span(first, last, jump, last + (count - 1) * jump)


def adaptive_span(span: Span, size: int, count: int) -> Span:
    """Behind a pooling from ``size`` to ``count`` values, whose windows are ⌊i·n / m⌋ … ⌈(i + 1)·n / m⌉ − 1.

    Where ``count`` does not divide ``size`` the widest window stands for all, and there is no jump.

    >>> adaptive_span(Span(-89, 121, 32, 313), 7, 1).size
    403
    """
    if size % count == 0 or not span.jump:
        kernel = max(1, size // count)
        return window_span(span, count, kernel, stride=kernel)
    widest = max(-(-(i + 1) * size // count) - i * size // count for i in range(count))
    return Span(span.first, span.last + (widest - 1) * span.jump, None, span.end)


def join_spans(one: Span, other: Span) -> Span | None:
    """What a value sees that is made of one of each: from the least to the greatest pixel, along the largest path.

    None where both have a jump but not the same, so that no one rule holds for all values.

    >>> join_spans(Span(0, 6, 4, 30), Span(-4, 2, 4, 26))
    Span(first=-4, last=6, jump=4, end=30)
    """
    jumps = {one.jump, other.jump}
    first, last, end = (
        min(one.first, other.first),
        max(one.last, other.last),
        max(one.end, other.end),
    )
    if len(jumps) == 1 or None in jumps:
        return Span(first, last, one.jump if len(jumps) == 1 else None, end)
    return Span(first, end, 0, end) if 0 in jumps else None


def without_batch(shape: Shape) -> Shape:
    """The shape for one image: a first axis of 1 is left out; an axis that other axes were folded into stays.

    >>> without_batch((1, 64, 7, 7))
    (64, 7, 7)
    """
    return shape[1:] if shape[:1] == (1,) else shape


def per_axis(value: Any, axes: int) -> tuple[Any, ...]:
    """A number for each axis; one alone stands for all.

    >>> per_axis(2, 3), per_axis([3], 2), per_axis((1, None), 2)
    ((2, 2, 2), (3, 3), (1, None))
    """
    sizes = tuple(value) if isinstance(value, Sequence) else (value,)
    return sizes * axes if len(sizes) == 1 else sizes


def geometry(
    kernel: Sequence[int],
    *,
    stride: Sequence[int] = (1,),
    padding: Sequence[int] = (0,),
    output_padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    groups: int = 1,
) -> str:
    """The geometry of a window as text; what has its usual value is left out, equal axes are written once.

    >>> geometry((3, 3), stride=(2, 2), padding=(1, 1))
    '3×3 /2 p1'
    >>> geometry((1, 7), padding=(0, 3), dilation=(2, 2), groups=32)
    '1×7 p0×3 d2 g32'
    """
    parts = [times(kernel)]
    for sign, sizes, usual in (
        ("/", stride, 1),
        ("p", padding, 0),
        ("op", output_padding, 0),
        ("d", dilation, 1),
        ("g", (groups,), 1),
    ):
        if set(sizes) != {usual}:
            parts.append(sign + times(sizes[:1] if len(set(sizes)) == 1 else sizes))
    return " ".join(parts)
