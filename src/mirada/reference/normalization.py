"""Batch normalization in its two modes, with gradients.

Per channel, with x̂ = (x − μ) / √(σ² + ε):   y = γ·x̂ + β.

**Training.** μ and σ² are the mean and the (biased, 1/M) variance over the M = N·H·W numbers of the channel
in this very batch. So each x acts on y in three ways: by itself, through μ and through σ². With s = √(σ² +
ε), g = γ·dy = ∂L/∂x̂ and ∂μ/∂x = 1/M, ∂σ²/∂x = 2(x − μ)/M = 2s·x̂/M, ∂x̂/∂μ = −1/s, ∂x̂/∂σ² = −x̂/(2s²):

    dx = g/s + (1/M)·Σ(−g/s) + (2s·x̂/M)·Σ(−g·x̂/(2s²)) = (γ/s) · (dy − mean(dy) − x̂·mean(dy·x̂))

The two means taken away say that dy cannot move the channel's mean or its spread: both are normalised out.

**Evaluation.** μ and σ² are stored numbers, the layer is a straight line, and dx = (γ/s)·dy.

In both modes dγ = Σ dy·x̂ and dβ = Σ dy.

Source: Ioffe & Szegedy 2015, arXiv:1502.03167, algorithm 1 and §3.
"""

from typing import NamedTuple

import numpy as np

from mirada.reference._arrays import Array, all_but_channels, along_channels, sum_per_channel

EPS = 1e-5


class BatchNormGradients(NamedTuple):
    """∂L/∂x, ∂L/∂γ and ∂L/∂β of a batch normalization."""

    dx: Array
    dgamma: Array
    dbeta: Array


class ChannelStatistics(NamedTuple):
    """A mean and a variance per channel, (C,) each."""

    mean: Array
    variance: Array


def batch_norm_train(x: Array, *, gamma: Array, beta: Array, eps: float = EPS) -> Array:
    """y = γ·x̂ + β, with the mean and variance of this batch.

    Shapes: x (N, C) or (N, C, H, W), gamma (C,), beta (C,) → the shape of x.
    Source: Ioffe & Szegedy 2015, algorithm 1.
    """
    x_hat, _ = _normalised(x, _batch_statistics(x), eps)
    return along_channels(gamma, x) * x_hat + along_channels(beta, x)


def batch_norm_train_backward(dy: Array, x: Array, *, gamma: Array, eps: float = EPS) -> BatchNormGradients:
    """dx = (γ/s)·(dy − mean(dy) − x̂·mean(dy·x̂)), dγ = Σ dy·x̂, dβ = Σ dy, per channel.

    Shapes: dy and x (N, C) or (N, C, H, W), gamma (C,) → the shapes of x, gamma and beta (C,).
    Source: the head of this file.
    """
    x_hat, spread = _normalised(x, _batch_statistics(x), eps)
    dgamma, dbeta = sum_per_channel(dy * x_hat), sum_per_channel(dy)
    count = x.size // x.shape[1]
    centred = dy - along_channels(dbeta / count, x) - x_hat * along_channels(dgamma / count, x)
    return BatchNormGradients(along_channels(gamma, x) / spread * centred, dgamma, dbeta)


def batch_norm_eval(
    x: Array, running: ChannelStatistics, *, gamma: Array, beta: Array, eps: float = EPS
) -> Array:
    """y = γ·x̂ + β, with the stored mean and variance.

    Shapes: x (N, C) or (N, C, H, W), running two of (C,), gamma (C,), beta (C,) → the shape of x.
    Source: Ioffe & Szegedy 2015, §3.1.
    """
    x_hat, _ = _normalised(x, running, eps)
    return along_channels(gamma, x) * x_hat + along_channels(beta, x)


def batch_norm_eval_backward(
    dy: Array, x: Array, *, running: ChannelStatistics, gamma: Array, eps: float = EPS
) -> BatchNormGradients:
    """dx = (γ/s)·dy, dγ = Σ dy·x̂, dβ = Σ dy, per channel.

    Shapes: dy and x (N, C) or (N, C, H, W), running two of (C,), gamma (C,) → the shapes of x, gamma and
    beta.
    Source: the head of this file.
    """
    x_hat, spread = _normalised(x, running, eps)
    return BatchNormGradients(
        along_channels(gamma, x) / spread * dy, sum_per_channel(dy * x_hat), sum_per_channel(dy)
    )


def running_statistics(x: Array, running: ChannelStatistics, *, momentum: float = 0.1) -> ChannelStatistics:
    """running ← (1 − momentum)·running + momentum·(statistics of this batch), as a training step leaves them.

    The variance stored is the unbiased one, 1/(M − 1), although the batch itself is normalised by 1/M. In
    Caffe and TensorFlow the word momentum means 1 − this one.

    Shapes: x (N, C) or (N, C, H, W) with M > 1 numbers per channel, running two of (C,) → two of (C,).
    Source: ``torch.nn.BatchNorm2d``; Ioffe & Szegedy 2015, algorithm 2, for the factor M/(M − 1).
    """
    count = x.size // x.shape[1]
    mean, biased = _batch_statistics(x)
    variance = biased * count / (count - 1)
    return ChannelStatistics(
        (1 - momentum) * running.mean + momentum * mean,
        (1 - momentum) * running.variance + momentum * variance,
    )


def _batch_statistics(x: Array) -> ChannelStatistics:
    axes = all_but_channels(x)
    return ChannelStatistics(np.asarray(x.mean(axis=axes)), np.asarray(x.var(axis=axes)))


def _normalised(x: Array, statistics: ChannelStatistics, eps: float) -> tuple[Array, Array]:
    """x̂, and s = √(σ² + ε) shaped to meet x."""
    spread = along_channels(np.sqrt(statistics.variance + eps), x)
    return (x - along_channels(statistics.mean, x)) / spread, spread
