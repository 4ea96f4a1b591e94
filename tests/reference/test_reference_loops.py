"""The loops that read like the formulae, against the fast products; and one dimension, against torch."""

import numpy as np
import pytest
import torch

from mirada import reference as ref
from mirada.errors import InvalidArgument


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), ((1, 2), (2, 0)), (3, 2)])
def test_loops_are_the_fast_convolution(rng, same, stride, padding):
    x, w, b = rng.normal(size=(2, 3, 6, 7)), rng.normal(size=(4, 3, 3, 2)), rng.normal(size=4)
    h = ref.conv2d_loops(x, w, bias=b, stride=stride, padding=padding)
    same(h, ref.conv2d(x, w, bias=b, stride=stride, padding=padding))
    dh = rng.normal(size=h.shape)
    slow = ref.conv2d_loops_backward(dh, x, weight=w, stride=stride, padding=padding)
    same(slow, list(ref.conv2d_backward(dh, x, weight=w, stride=stride, padding=padding)))


def test_loops_are_the_fast_pooling_and_the_first_of_equals_wins(rng, same):
    x = rng.integers(3, size=(2, 2, 5, 7)).astype(float)
    y = ref.max_pool2d_loops(x, 2)
    same(y, ref.max_pool2d(x, 2))
    dy = rng.normal(size=y.shape)
    same(ref.max_pool2d_loops_backward(dy, x, kernel=2), ref.max_pool2d_backward(dy, x, kernel=2))


@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 0, 1), (2, 2, 1), (1, 3, 2)])
def test_one_dimension_is_torchs(rng, same, autograd, stride, padding, dilation):
    x, w, b = rng.normal(size=(2, 3, 11)), rng.normal(size=(4, 3, 3)), rng.normal(size=4)
    steps = {"stride": stride, "padding": padding, "dilation": dilation}
    h = ref.conv1d(x, w, bias=b, **steps)
    dh = rng.normal(size=h.shape)
    theirs, gradients = autograd(lambda x, w, b: torch.conv1d(x, w, b, **steps), x, w, b, dy=dh)
    same(h, theirs)
    same(ref.conv1d_backward(dh, x, weight=w, **steps), gradients)


def test_sizes_that_do_not_fit_are_refused(rng):
    x, w = np.zeros((1, 1, 3, 3)), np.zeros((1, 1, 4, 4))
    with pytest.raises(InvalidArgument):
        ref.conv2d_loops(x, w)
    with pytest.raises(InvalidArgument):
        ref.conv2d_loops_backward(np.zeros((1, 1, 2, 2)), x, weight=w)
    with pytest.raises(InvalidArgument):
        ref.max_pool2d_loops(x, 4)
    with pytest.raises(InvalidArgument):
        ref.max_pool2d_loops_backward(np.zeros((1, 1, 2, 2)), x, kernel=2)


def test_differences_judge_a_gradient(rng, close):
    x, w = rng.normal(size=(1, 2, 4, 4)), rng.normal(size=(3, 2, 2, 2))
    dh = rng.normal(size=(1, 3, 3, 3))
    numeric = ref.numerical_gradient(lambda w: float((ref.conv2d(x, w) * dh).sum()), w)
    close(ref.conv2d_backward(dh, x, weight=w).dweight, [numeric])


def test_differences_leave_their_argument_alone():
    x = np.array([1.0, 2.0])
    ref.numerical_gradient(lambda x: float(x.sum()), x)
    assert x.tolist() == [1.0, 2.0]
