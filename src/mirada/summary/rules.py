"""The arithmetic of a layer as functions of integers: sizes, multiply-adds (MACs), and geometry as text.

One MAC is one multiplication and the addition that collects its product. Biases are not counted.
Source: Dumoulin & Visin 2016, arXiv:1603.07285, relationships 6, 14 and 15.
"""

from collections.abc import Sequence
from math import prod

Shape = tuple[int, ...]


def conv_size(size: int, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Output size along one axis of a convolution or a pooling: ⌊(n + 2p − d(k − 1) − 1) / s⌋ + 1.

    Sizes are in pixels. A result below 1 says that the window does not fit.

    >>> conv_size(224, 7, stride=2, padding=3)
    112
    """
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def transposed_size(
    size: int, kernel: int, *, stride: int = 1, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> int:
    """Output size along one axis of a transposed convolution: (n − 1)s − 2p + d(k − 1) + o + 1, in pixels.

    >>> transposed_size(7, 4, stride=2, padding=1)
    14
    """
    return (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1


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


def without_batch(shape: Shape) -> Shape:
    """The shape for one image: a first axis of 1 is left out; an axis that other axes were folded into stays.

    >>> without_batch((1, 64, 7, 7))
    (64, 7, 7)
    """
    return shape[1:] if shape[:1] == (1,) else shape


def times(sizes: Sequence[int]) -> str:
    """Sizes as text.

    >>> times((64, 112, 112))
    '64×112×112'
    """
    return "×".join(str(size) for size in sizes)


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
