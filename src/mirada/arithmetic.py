"""How large an output is, as a function of integers: of convolutions and poolings, along one axis.

Source: Dumoulin & Visin 2016, arXiv:1603.07285, relationships 6 and 15.
"""


def output_size(
    size: int, kernel: int, *, stride: int = 1, padding: int = 0, dilation: int = 1, ceil: bool = False
) -> int:
    """The output of a convolution or a pooling along one axis: ⌊(n + 2p − d(k − 1) − 1) / s⌋ + 1.

    Args:
        size: n, of the input in pixels.
        kernel: k.
        stride: s.
        padding: p, at each end.
        dilation: d.
        ceil: Whether a last window may hang over the edge, though not begin beyond it, as poolings can be told.

    Returns:
        Pixels; below 1 where the window does not fit.

    >>> output_size(224, 7, stride=2, padding=3), output_size(6, 3, stride=2, ceil=True)
    (112, 3)
    """
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    steps = -(-room // stride)
    if ceil and steps * stride < size + padding:
        return steps + 1
    return room // stride + 1
