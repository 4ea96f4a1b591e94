"""Losses, each a mean over the batch, and their gradients with respect to what the network put out.

The gradient functions start the backward pass: they return ∂L/∂output with nothing to be handed in.
"""

import numpy as np

from mirada.errors import InvalidArgument
from mirada.reference._arrays import Array, Labels
from mirada.reference.activation import sigmoid


def softmax(logits: Array) -> Array:
    """p[n,k] = e^z[n,k] / Σ_j e^z[n,j]: over the whole row, so that each row adds up to 1.

    Shapes: logits (N, K) → (N, K).
    Source: lecture notes §4.
    """
    return np.asarray(np.exp(_log_softmax(logits)))


def cross_entropy(logits: Array, labels: Labels, *, label_smoothing: float = 0.0) -> float:
    """L = −(1/N)·Σ_n Σ_k q[n,k] · log p[n,k], with p = softmax(logits) and q the wanted distribution.

    Without smoothing q is 1 at the label and 0 elsewhere. With smoothing ε it is (1 − ε) at the label, plus
    ε/K everywhere.

    Shapes: logits (N, K), labels (N,) whole numbers from 0 to K − 1 → one number.
    Raises: ``InvalidArgument`` for a label outside that range.
    Source: smoothing, Szegedy et al. 2015, arXiv:1512.00567, §7.
    """
    wanted = _wanted(logits, labels, label_smoothing)
    return float(-(wanted * _log_softmax(logits)).sum() / len(logits))


def cross_entropy_backward(logits: Array, labels: Labels, *, label_smoothing: float = 0.0) -> Array:
    """dlogits = (p − q) / N.

    From log p[k] = z[k] − log Σ_j e^z[j] follows ∂log p[k]/∂z[i] = (1 if k = i else 0) − p[i]; summed with
    −q[k], whose total is 1, this leaves p[i] − q[i].

    Shapes: logits (N, K), labels (N,) → (N, K).
    Raises: ``InvalidArgument`` as ``cross_entropy``.
    Source: the derivation above.
    """
    return (softmax(logits) - _wanted(logits, labels, label_smoothing)) / len(logits)


def binary_cross_entropy(logits: Array, targets: Array) -> float:
    """L = −mean(t·log σ(z) + (1 − t)·log(1 − σ(z))), computed as mean(log(1 + e^z) − t·z).

    The two are equal since log σ(z) = z − log(1 + e^z) and log(1 − σ(z)) = −log(1 + e^z); the second never
    takes the logarithm of a σ rounded to 0 or 1.

    Shapes: logits and targets (…), targets from 0 to 1 → one number.
    Raises: ``InvalidArgument`` where the two shapes differ.
    Source: lecture notes §5.1 (``loss = 'binary_crossentropy'``).
    """
    _check_shapes(logits, targets)
    return float(np.mean(np.logaddexp(0.0, logits) - targets * logits))


def binary_cross_entropy_backward(logits: Array, targets: Array) -> Array:
    """dlogits = (σ(z) − t) / M, M being the number of logits.

    Shapes: logits and targets (…) → (…).
    Raises: ``InvalidArgument`` where the two shapes differ.
    Source: the derivative of log(1 + e^z) is σ(z).
    """
    _check_shapes(logits, targets)
    return (sigmoid(logits) - targets) / logits.size


def mean_squared_error(outputs: Array, targets: Array) -> float:
    """L = mean((y − t)²).

    Shapes: outputs and targets (…) → one number, in the square of the outcome's unit.
    Raises: ``InvalidArgument`` where the two shapes differ.
    Source: lecture notes §3.6, there as a sum.
    """
    _check_shapes(outputs, targets)
    return float(np.mean((outputs - targets) ** 2))


def mean_squared_error_backward(outputs: Array, targets: Array) -> Array:
    """dy = 2·(y − t) / M, M being the number of outputs.

    Shapes: outputs and targets (…) → (…).
    Raises: ``InvalidArgument`` where the two shapes differ.
    Source: the derivative of (y − t)².
    """
    _check_shapes(outputs, targets)
    return 2.0 * (outputs - targets) / outputs.size


def mean_absolute_error(outputs: Array, targets: Array) -> float:
    """L = mean(|y − t|).

    Shapes: outputs and targets (…) → one number, in the outcome's unit.
    Raises: ``InvalidArgument`` where the two shapes differ.
    Source: lecture notes §5.2, which leave out the mean.
    """
    _check_shapes(outputs, targets)
    return float(np.mean(np.abs(outputs - targets)))


def mean_absolute_error_backward(outputs: Array, targets: Array) -> Array:
    """dy = sign(y − t) / M, M being the number of outputs; 0 where y = t, as in PyTorch.

    Shapes: outputs and targets (…) → (…).
    Raises: ``InvalidArgument`` where the two shapes differ.
    Source: the derivative of |y − t| left and right of its bend.
    """
    _check_shapes(outputs, targets)
    return np.asarray(np.sign(outputs - targets) / outputs.size)


def _log_softmax(logits: Array) -> Array:
    """z − log Σ e^z, with the largest logit taken off first so that no exponential overflows."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _wanted(logits: Array, labels: Labels, label_smoothing: float) -> Array:
    """q, the distribution that the loss asks for: (N, K)."""
    classes = logits.shape[1]
    outside = labels[(labels < 0) | (labels >= classes)]
    if outside.size:  # a negative label would silently count from the end
        raise InvalidArgument(
            f"`labels` of cross_entropy must lie between 0 and {classes - 1} for {classes} classes. "
            f"Got {outside[0]}."
        )
    return np.asarray((1 - label_smoothing) * np.eye(classes)[labels] + label_smoothing / classes)


def _check_shapes(outputs: Array, targets: Array) -> None:
    if outputs.shape != targets.shape:  # (N,) and (N, 1) would silently become N × N differences
        raise InvalidArgument(
            f"Outputs and targets of a loss must have the same shape. "
            f"Got {outputs.shape} and {targets.shape}."
        )
