"""The losses against torch and against differences."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mirada.errors import InvalidArgument
from mirada.reference import (
    binary_cross_entropy,
    binary_cross_entropy_backward,
    cross_entropy,
    cross_entropy_backward,
    mean_absolute_error,
    mean_absolute_error_backward,
    mean_squared_error,
    mean_squared_error_backward,
    softmax,
)

PAIRED = [
    pytest.param(
        binary_cross_entropy,
        binary_cross_entropy_backward,
        F.binary_cross_entropy_with_logits,
        id="binary cross-entropy",
    ),
    pytest.param(mean_squared_error, mean_squared_error_backward, F.mse_loss, id="MSE"),
    pytest.param(mean_absolute_error, mean_absolute_error_backward, F.l1_loss, id="MAE"),
]


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 1.0])
def test_cross_entropy_agrees_with_torch_and_differences(
    rng, autograd, differences, same, close, label_smoothing
):
    logits, labels = 3 * rng.normal(size=(6, 4)), rng.integers(4, size=6)

    def ours(logits):
        return cross_entropy(logits, labels, label_smoothing=label_smoothing)

    def theirs(logits):
        return F.cross_entropy(logits, torch.tensor(labels), label_smoothing=label_smoothing)

    value, [gradient] = autograd(theirs, logits)
    ours_gradient = cross_entropy_backward(logits, labels, label_smoothing=label_smoothing)
    same(ours(logits), value)
    same(ours_gradient, gradient)
    close(ours_gradient, differences(ours, logits))


def test_softmax_agrees_with_torch_and_sums_to_one(rng, same):
    logits = 5 * rng.normal(size=(4, 7))
    same(softmax(logits), torch.softmax(torch.tensor(logits), dim=1).numpy())
    np.testing.assert_allclose(softmax(logits).sum(axis=1), 1.0, rtol=1e-14)


@pytest.mark.parametrize("shape", [(5,), (5, 1), (3, 4)])
@pytest.mark.parametrize(("forward", "backward", "theirs"), PAIRED)
def test_paired_losses_agree_with_torch_and_differences(
    rng, autograd, differences, same, close, forward, backward, theirs, shape
):
    outputs, targets = 3 * rng.normal(size=shape), rng.uniform(size=shape)
    value, [gradient] = autograd(lambda y: theirs(y, torch.tensor(targets)), outputs)
    same(forward(outputs, targets), value)
    same(backward(outputs, targets), gradient)
    close(backward(outputs, targets), differences(lambda y: forward(y, targets), outputs))


def test_absolute_error_has_no_slope_where_it_is_zero(autograd, same):
    outputs, targets = np.array([1.0, 2.0]), np.array([1.0, 5.0])
    _, [gradient] = autograd(lambda y: F.l1_loss(y, torch.tensor(targets)), outputs)
    same(mean_absolute_error_backward(outputs, targets), gradient)
    np.testing.assert_array_equal(gradient, [0.0, -0.5])


def test_very_large_logits():
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        assert cross_entropy(np.array([[1000.0, -1000.0]]), np.array([1])) == 2000.0
        assert binary_cross_entropy(np.array([1000.0, -1000.0]), np.array([0.0, 0.0])) == 500.0
        np.testing.assert_array_equal(
            cross_entropy_backward(np.array([[1000.0, -1000.0]]), np.array([1])), [[1.0, -1.0]]
        )


@pytest.mark.parametrize("wrong", [-1, 3])
def test_label_outside_the_classes(wrong):
    logits, labels = np.zeros((2, 3)), np.array([0, wrong])
    found = rf"`labels` of cross_entropy must lie between 0 and 2 for 3 classes\. Got {wrong}\."
    for function in (cross_entropy, cross_entropy_backward):
        with pytest.raises(InvalidArgument, match=found):
            function(logits, labels)


@pytest.mark.parametrize(("forward", "backward", "theirs"), PAIRED)
def test_shapes_that_would_broadcast(forward, backward, theirs):
    for function in (forward, backward):
        with pytest.raises(InvalidArgument, match=r"must have the same shape\. Got \(4, 1\) and \(4,\)\."):
            function(np.zeros((4, 1)), np.zeros(4))
