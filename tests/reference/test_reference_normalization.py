"""Batch normalization in both modes against torch and against differences."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mirada.reference import (
    ChannelStatistics,
    batch_norm_eval,
    batch_norm_eval_backward,
    batch_norm_train,
    batch_norm_train_backward,
    running_statistics,
)

SHAPES = [(6, 3), (2, 3, 4, 5), (1, 3, 2, 2)]


@pytest.mark.parametrize("eps", [1e-5, 1e-3])
@pytest.mark.parametrize("shape", SHAPES)
def test_training_agrees_with_torch_and_differences(rng, autograd, differences, same, close, shape, eps):
    x, dy = 2 + 3 * rng.normal(size=shape), rng.normal(size=shape)
    gamma, beta = rng.normal(size=3), rng.normal(size=3)

    def theirs(x, gamma, beta):
        return F.batch_norm(x, None, None, gamma, beta, training=True, eps=eps)

    value, gradients = autograd(theirs, x, gamma, beta, dy=dy)
    ours = batch_norm_train_backward(dy, x, gamma=gamma, eps=eps)
    same(batch_norm_train(x, gamma=gamma, beta=beta, eps=eps), value)
    same(ours, gradients)
    close(
        ours,
        differences(lambda x, g, b: batch_norm_train(x, gamma=g, beta=b, eps=eps), x, gamma, beta, dy=dy),
    )


@pytest.mark.parametrize("eps", [1e-5, 1e-3])
@pytest.mark.parametrize("shape", SHAPES)
def test_evaluation_agrees_with_torch_and_differences(rng, autograd, differences, same, close, shape, eps):
    x, dy = rng.normal(size=shape), rng.normal(size=shape)
    gamma, beta = rng.normal(size=3), rng.normal(size=3)
    running = ChannelStatistics(rng.normal(size=3), rng.uniform(0.5, 2, size=3))

    def theirs(x, gamma, beta):
        mean, variance = (torch.tensor(values) for values in running)
        return F.batch_norm(x, mean, variance, gamma, beta, training=False, eps=eps)

    value, gradients = autograd(theirs, x, gamma, beta, dy=dy)
    ours = batch_norm_eval_backward(dy, x, running=running, gamma=gamma, eps=eps)
    same(batch_norm_eval(x, running, gamma=gamma, beta=beta, eps=eps), value)
    same(ours, gradients)
    close(
        ours,
        differences(
            lambda x, g, b: batch_norm_eval(x, running, gamma=g, beta=b, eps=eps), x, gamma, beta, dy=dy
        ),
    )


@pytest.mark.parametrize("momentum", [0.1, 0.5, 1.0])
def test_running_statistics_agree_with_torch_over_three_batches(rng, same, momentum):
    layer = torch.nn.BatchNorm2d(3, momentum=momentum, dtype=torch.float64).train()
    running = ChannelStatistics(np.zeros(3), np.ones(3))
    for _ in range(3):
        x = 1 + 2 * rng.normal(size=(2, 3, 3, 2))
        layer(torch.tensor(x))
        running = running_statistics(x, running, momentum=momentum)
    same(running, [layer.running_mean.numpy(), layer.running_var.numpy()])


def test_gradient_that_moves_mean_or_spread_is_lost(rng):
    """What the derivation says: adding a constant, or a multiple of x̂, to dy changes nothing in dx."""
    x, dy = rng.normal(size=(4, 3, 5, 5)), rng.normal(size=(4, 3, 5, 5))
    gamma = rng.normal(size=3)
    x_hat = batch_norm_train(x, gamma=np.ones(3), beta=np.zeros(3), eps=0.0)
    plain = batch_norm_train_backward(dy, x, gamma=gamma, eps=0.0).dx
    shifted = batch_norm_train_backward(dy + 7 + 3 * x_hat, x, gamma=gamma, eps=0.0).dx
    np.testing.assert_allclose(shifted, plain, atol=1e-12)
