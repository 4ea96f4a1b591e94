"""The activations against torch and against differences, with what happens exactly at the bend."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mirada.reference import (
    rectifier,
    rectifier_backward,
    scaled_tanh,
    scaled_tanh_backward,
    sigmoid,
    sigmoid_backward,
    tanh,
    tanh_backward,
)

FIXED = [
    pytest.param(0.0, F.relu, id="ReLU"),
    pytest.param(0.01, lambda z: F.leaky_relu(z, 0.01), id="leaky"),
    pytest.param(-1.0, torch.abs, id="absolute"),
    pytest.param(1.0, lambda z: 1.0 * z, id="identity"),
]
SMOOTH = [
    pytest.param(sigmoid, sigmoid_backward, torch.sigmoid, id="sigmoid"),
    pytest.param(tanh, tanh_backward, torch.tanh, id="tanh"),
    pytest.param(
        scaled_tanh, scaled_tanh_backward, lambda z: 1.7159 * torch.tanh(2 * z / 3), id="scaled tanh"
    ),
]


@pytest.mark.parametrize(("alpha", "theirs"), FIXED)
def test_rectifiers_agree_with_torch(rng, autograd, same, alpha, theirs):
    z, dy = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(2, 3, 4, 5))
    value, [gradient] = autograd(theirs, z, dy=dy)
    same(rectifier(z, alpha), value)
    same(rectifier_backward(dy, z, alpha=alpha).dz, gradient)


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 4, 5)])
@pytest.mark.parametrize("count", [1, 3], ids=["shared", "per channel"])
def test_learned_alpha_agrees_with_torch_and_differences(
    rng, autograd, differences, same, close, shape, count
):
    z, dy, alpha = rng.normal(size=shape), rng.normal(size=shape), rng.uniform(0.1, 0.4, size=count)
    value, gradients = autograd(F.prelu, z, alpha, dy=dy)
    same(rectifier(z, alpha), value)
    same(rectifier_backward(dy, z, alpha=alpha), gradients)
    close(rectifier_backward(dy, z, alpha=alpha), differences(rectifier, z, alpha, dy=dy))


def test_gradient_of_alpha_has_the_shape_of_alpha(rng):
    z = rng.normal(size=(2, 3))
    for alpha in (0.1, np.array(0.1), np.full(1, 0.1), np.full(3, 0.1)):
        assert rectifier_backward(z, z, alpha=alpha).dalpha.shape == np.shape(alpha)


def test_slope_at_zero_is_that_of_torch(autograd):
    """§2.1.1 leaves it open. α, the slope on the left; ``torch.abs`` alone takes the middle of −1 and 1."""
    zero = np.zeros((1, 1))

    def ours(alpha):
        return rectifier_backward(np.ones((1, 1)), zero, alpha=alpha).dz.item()

    def theirs(function):
        return autograd(function, zero)[1][0].item()

    assert ours(0.0) == theirs(F.relu) == 0.0
    assert ours(0.2) == theirs(lambda z: F.leaky_relu(z, 0.2)) == 0.2
    assert ours(0.3) == theirs(lambda z: F.prelu(z, torch.tensor([0.3], dtype=z.dtype))) == 0.3
    assert ours(-1.0) == theirs(lambda z: F.leaky_relu(z, -1.0)) == -1.0
    assert theirs(torch.abs) == 0.0


def test_family_of_the_notes():
    """§2.1.1: one formula, four functions; the absolute one does not mind an inverted polarity."""
    z = np.array([-3.0, -0.5, 0.0, 0.5, 3.0])
    np.testing.assert_array_equal(rectifier(z), [0, 0, 0, 0.5, 3])
    np.testing.assert_array_equal(rectifier(z, 0.5), [-1.5, -0.25, 0, 0.5, 3])
    np.testing.assert_array_equal(rectifier(z, -1.0), np.abs(z))
    np.testing.assert_array_equal(rectifier(z, -1.0), rectifier(-z, -1.0))
    np.testing.assert_array_equal(rectifier(z, 1.0), z)


@pytest.mark.parametrize(("forward", "backward", "theirs"), SMOOTH)
def test_smooth_ones_agree_with_torch_and_differences(
    rng, autograd, differences, same, close, forward, backward, theirs
):
    z, dy = 3 * rng.normal(size=(4, 5)), rng.normal(size=(4, 5))
    value, [gradient] = autograd(theirs, z, dy=dy)
    same(forward(z), value)
    same(backward(dy, z), gradient)
    close(backward(dy, z), differences(forward, z, dy=dy))


def test_sigmoid_of_very_large_numbers():
    with np.errstate(over="raise", invalid="raise"):
        np.testing.assert_array_equal(sigmoid(np.array([-1000.0, 0.0, 1000.0])), [0.0, 0.5, 1.0])
        np.testing.assert_allclose(sigmoid(np.array([-50.0])), np.exp([-50.0]), rtol=1e-13)


def test_scaled_tanh_maps_one_to_one():
    np.testing.assert_allclose(scaled_tanh(np.array([-1.0, 1.0])), [-0.9999973, 0.9999973], atol=5e-8)
