"""The poolings against torch and against differences, with ties, overlap, padding and rounding up."""

from itertools import product

import numpy as np
import pytest
import torch.nn.functional as F

from mirada.errors import InvalidArgument
from mirada.reference import (
    avg_pool2d,
    avg_pool2d_backward,
    global_avg_pool2d,
    global_avg_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
    subsample,
    subsample_backward,
)

WALKS = [
    {"kernel": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil_mode}
    for kernel, stride, padding, ceil_mode in product(
        [2, 3, (3, 2)], [None, 1, 2, (3, 4)], [0, 1, (1, 0)], [False, True]
    )
]


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("walk", WALKS, ids=str)
def test_max_agrees_with_torch(rng, autograd, same, walk, dilation):
    x = rng.integers(4, size=(2, 3, 9, 8)).astype(float) - 2  # many ties: the first maximum must win
    kernel, options = (
        walk["kernel"],
        {k: v for k, v in walk.items() if k != "kernel"} | {"dilation": dilation},
    )
    y = max_pool2d(x, kernel, **options)
    dy = rng.normal(size=y.shape)
    value, [gradient] = autograd(lambda x: F.max_pool2d(x, kernel, **options), x, dy=dy)
    same(y, value)
    same(max_pool2d_backward(dy, x, kernel=kernel, **options), gradient)


@pytest.mark.parametrize("count_include_pad", [True, False])
@pytest.mark.parametrize("walk", WALKS, ids=str)
def test_average_agrees_with_torch(rng, autograd, same, walk, count_include_pad):
    x = rng.normal(size=(2, 3, 9, 8))
    kernel, options = walk["kernel"], {k: v for k, v in walk.items() if k != "kernel"}
    options |= {"count_include_pad": count_include_pad}
    y = avg_pool2d(x, kernel, **options)
    dy = rng.normal(size=y.shape)
    value, [gradient] = autograd(lambda x: F.avg_pool2d(x, kernel, **options), x, dy=dy)
    same(y, value)
    same(avg_pool2d_backward(dy, x, kernel=kernel, **options), gradient)


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_rounding_up_at_every_size(rng, autograd, same, size, stride):
    """Where the last window hangs over, is dropped, or is larger than the image itself."""
    x = rng.normal(size=(1, 1, size, 5))
    options = {"stride": stride, "padding": 1, "ceil_mode": True}
    y = max_pool2d(x, 3, **options)
    dy = rng.normal(size=y.shape)
    value, [gradient] = autograd(lambda x: F.max_pool2d(x, 3, **options), x, dy=dy)
    same(y, value)
    same(max_pool2d_backward(dy, x, kernel=3, **options), gradient)
    value, [gradient] = autograd(lambda x: F.avg_pool2d(x, 3, **options), x, dy=dy)
    same(avg_pool2d(x, 3, **options), value)
    same(avg_pool2d_backward(dy, x, kernel=3, **options), gradient)


OVERLAPPING = [
    {"kernel": 2},
    {"kernel": 3, "stride": 2},
    {"kernel": 3, "stride": 2, "padding": 1, "ceil_mode": True},
]


@pytest.mark.parametrize("walk", OVERLAPPING, ids=str)
def test_gradients_agree_with_differences(rng, differences, close, walk):
    x = rng.permutation(2 * 2 * 6 * 6).reshape(2, 2, 6, 6).astype(float)  # no two alike, so no bend is near
    for forward, backward in ((max_pool2d, max_pool2d_backward), (avg_pool2d, avg_pool2d_backward)):
        dy = rng.normal(size=forward(x, **walk).shape)
        close(backward(dy, x, **walk), differences(lambda x, f=forward: f(x, **walk), x, dy=dy, h=1e-3))


def test_maximum_of_the_figure():
    """§2.1: a 2×2 window keeps the largest of four, and hands the gradient to the first of the largest."""
    x = np.array([[1.0, 1.0, 2.0, 4.0], [5.0, 6.0, 7.0, 8.0], [3.0, 3.0, 1.0, 0.0], [3.0, 2.0, 3.0, 4.0]])
    y = max_pool2d(x[None, None], 2)
    np.testing.assert_array_equal(y[0, 0], [[6, 8], [3, 4]])
    dx = max_pool2d_backward(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), x[None, None], kernel=2)
    np.testing.assert_array_equal(dx[0, 0], [[0, 0, 0, 0], [0, 1, 0, 2], [3, 0, 0, 0], [0, 0, 0, 4]])


def test_padding_never_wins_a_maximum():
    y = max_pool2d(np.full((1, 1, 3, 3), -7.0), 3, stride=2, padding=1)
    np.testing.assert_array_equal(y, np.full((1, 1, 2, 2), -7.0))


def test_subsampling_is_the_sum_of_four_scaled_and_shifted(rng):
    """§3.1, as LeCun et al. have it: a coefficient and a bias per map, 12 parameters for the 6 maps of S2."""
    x, coefficient, bias = rng.normal(size=(2, 6, 4, 4)), rng.normal(size=6), rng.normal(size=6)
    y = subsample(x, coefficient=coefficient, bias=bias)
    four = x[1, 4, 2, 0] + x[1, 4, 2, 1] + x[1, 4, 3, 0] + x[1, 4, 3, 1]
    np.testing.assert_allclose(y[1, 4, 1, 0], coefficient[4] * four + bias[4], rtol=1e-13)
    average = subsample(x, coefficient=np.full(6, 0.25), bias=np.zeros(6))
    np.testing.assert_allclose(average, avg_pool2d(x, 2), rtol=1e-13)
    assert coefficient.size + bias.size == 12


@pytest.mark.parametrize("kernel", [2, 3])
def test_subsampling_agrees_with_torch_and_differences(rng, autograd, differences, same, close, kernel):
    x, coefficient, bias = rng.normal(size=(2, 3, 6, 7)), rng.normal(size=3), rng.normal(size=3)
    y = subsample(x, kernel, coefficient=coefficient, bias=bias)
    dy = rng.normal(size=y.shape)

    def theirs(x, coefficient, bias):
        total = F.avg_pool2d(x, kernel, divisor_override=1)
        return coefficient[:, None, None] * total + bias[:, None, None]

    value, gradients = autograd(theirs, x, coefficient, bias, dy=dy)
    ours = subsample_backward(dy, x, kernel=kernel, coefficient=coefficient)
    same(y, value)
    same(ours, gradients)
    close(
        ours,
        differences(
            lambda x, c, b: subsample(x, kernel, coefficient=c, bias=b), x, coefficient, bias, dy=dy, h=1e-3
        ),
    )


def test_global_average_agrees_with_torch_and_differences(rng, autograd, differences, same, close):
    x, dy = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(2, 3))
    value, [gradient] = autograd(lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1), x, dy=dy)
    same(global_avg_pool2d(x), value)
    same(global_avg_pool2d_backward(dy, x), gradient)
    close(global_avg_pool2d_backward(dy, x), differences(global_avg_pool2d, x, dy=dy, h=1e-3))


def test_too_much_padding():
    x, dy = np.zeros((1, 1, 4, 4)), np.zeros((1, 1, 4, 2))
    found = r"at most half of what its window reaches over, \(2, 3\)\. Got \(2, 0\)\."
    for pooling in (
        lambda: max_pool2d(x, (2, 3), padding=(2, 0)),
        lambda: max_pool2d_backward(dy, x, kernel=(2, 3), padding=(2, 0)),
        lambda: avg_pool2d(x, (2, 3), padding=(2, 0)),
        lambda: avg_pool2d_backward(dy, x, kernel=(2, 3), padding=(2, 0)),
    ):
        with pytest.raises(InvalidArgument, match=found):
            pooling()


def test_window_larger_than_the_image():
    with pytest.raises(
        InvalidArgument, match=r"reaches over \(5, 5\) pixels does not fit in an image of \(4, 9\)"
    ):
        max_pool2d(np.zeros((1, 1, 4, 9)), 5)
    with pytest.raises(
        InvalidArgument, match=r"with padding \(0, 0\)\. Use a larger image or more padding\."
    ):
        subsample(np.zeros((1, 1, 1, 1)), coefficient=np.ones(1), bias=np.zeros(1))


def test_gradient_of_another_size():
    for backward in (max_pool2d_backward, avg_pool2d_backward):
        with pytest.raises(InvalidArgument, match=r"size of the window's output, \(2, 3\)\. Got \(1, 3\)\."):
            backward(np.zeros((1, 1, 1, 3)), np.zeros((1, 1, 4, 6)), kernel=2)
