"""The notes' toy network (§3.6): its gradients, and the two things the notes say of the skip."""

import numpy as np
import pytest
import torch

from mirada.reference import ToyWeights, toy_backward, toy_forward, toy_loss


@pytest.fixture
def toy(rng):
    weights = ToyWeights(rng.normal(size=(3, 4)), rng.normal(size=(4, 5)), rng.normal(size=(5, 4)))
    return rng.normal(size=(6, 3)), weights, rng.normal(size=(6, 4))


@pytest.mark.parametrize("skip", [False, True])
def test_agrees_with_torch_and_differences(toy, autograd, differences, same, close, skip):
    x0, weights, target = toy

    def theirs(w0, wa, wb):
        x1 = torch.relu(torch.tensor(x0) @ w0)
        x2 = torch.relu(x1 @ wa)
        x3 = torch.relu(x2 @ wb + x1) if skip else torch.relu(x2 @ wb)
        return ((x3 - torch.tensor(target)) ** 2).sum()

    value, gradients = autograd(theirs, *weights)
    ours = toy_backward(x0, weights, target=target, skip=skip)
    same(toy_loss(x0, weights, target=target, skip=skip), value)
    same(tuple(ours), gradients)
    close(
        ours,
        differences(lambda *w: toy_loss(x0, ToyWeights(*w), target=target, skip=skip), *weights, h=1e-6),
    )


def test_without_weights_the_skip_is_the_identity(toy):
    """§3.6: for Wb → 0, X₃ = g(X₁) = X₁."""
    x0, weights, _ = toy
    values = toy_forward(x0, weights._replace(wb=np.zeros((5, 4))), skip=True)
    np.testing.assert_array_equal(values.x3, values.x1)


@pytest.mark.parametrize("scale", [1e-3, 1e-6])
def test_the_skip_keeps_the_gradient_of_the_first_weight_from_vanishing(toy, scale):
    """§3.6: without skip dW₀ shrinks with Wa·Wb, with skip it does not."""
    x0, weights, target = toy
    small = weights._replace(wa=scale * weights.wa, wb=scale * weights.wb)
    plain = toy_backward(x0, small, target=target, skip=False).w0
    skipped = toy_backward(x0, small, target=target, skip=True).w0
    assert 0 < np.abs(plain).max() < 1e3 * scale**2
    assert np.abs(skipped).max() > 1
