"""The layers on vectors against torch and against differences."""

import numpy as np
import torch
import torch.nn.functional as F

from mirada.reference import (
    flatten,
    flatten_backward,
    linear,
    linear_backward,
    radial_basis,
    radial_basis_backward,
)


def test_linear_agrees_with_torch_and_differences(rng, autograd, differences, same, close):
    x, weight, bias = rng.normal(size=(3, 5)), rng.normal(size=(4, 5)), rng.normal(size=4)
    dy = rng.normal(size=(3, 4))
    value, gradients = autograd(F.linear, x, weight, bias, dy=dy)
    same(linear(x, weight, bias=bias), value)
    same(linear(x, weight), F.linear(torch.tensor(x), torch.tensor(weight)).numpy())
    same(linear_backward(dy, x, weight=weight), gradients)
    close(
        linear_backward(dy, x, weight=weight),
        differences(lambda x, w, b: linear(x, w, bias=b), x, weight, bias, dy=dy, h=1e-3),
    )


def test_flatten_agrees_with_torch(rng, autograd, same):
    x, dy = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(2, 60))
    value, [gradient] = autograd(lambda x: x.flatten(1), x, dy=dy)
    same(flatten(x), value)
    same(flatten_backward(dy, x), gradient)


def test_radial_basis_agrees_with_torch_and_differences(rng, autograd, differences, same, close):
    x, centres, dy = rng.normal(size=(3, 5)), rng.normal(size=(4, 5)), rng.normal(size=(3, 4))
    value, gradients = autograd(lambda x, w: torch.cdist(x, w) ** 2, x, centres, dy=dy)
    same(radial_basis(x, centres), value)
    same(radial_basis_backward(dy, x, centres=centres), gradients)
    close(radial_basis_backward(dy, x, centres=centres), differences(radial_basis, x, centres, dy=dy, h=1e-3))


def test_the_nearest_centre_has_the_smallest_output():
    centres = np.array([[1.0, 1.0, -1.0], [-1.0, 1.0, 1.0]])
    y = radial_basis(np.array([[1.0, 1.0, -1.0]]), centres)
    np.testing.assert_array_equal(y, [[0.0, 8.0]])
