"""The lecture notes' toy network of §3.6 and its gradients, with and without the skip connection.

    X₁ = g(X₀·W₀),   X₂ = g(X₁·Wa),   X₃ = g(X₂·Wb [+ X₁]),   L = Σ (X₃ − T)²,   g = ReLU, rows are samples

Write Y₀, Y₁, Y₂ for what enters each g, and δ for ∂L/∂Y. The chain rule, from the end to the start:

    δ₂ = 2(X₃ − T) ⊙ g'(Y₂)          dWb = X₂ᵀ·δ₂
    δ₁ = (δ₂·Wbᵀ) ⊙ g'(Y₁)           dWa = X₁ᵀ·δ₁
    dX₁ = δ₁·Waᵀ [+ δ₂]
    δ₀ = dX₁ ⊙ g'(Y₀)                dW₀ = X₀ᵀ·δ₀

The terms in brackets are the skip. Without it dX₁ has passed through Wb and Wa and vanishes or explodes with
them; with it, δ₂ arrives as well, multiplied by no weight.

Source: lecture notes §3.6, whose bracket for ∂Y₂/∂X₁ should read (the path through Wa and Wb) + identity.
"""

from typing import NamedTuple

import numpy as np

from mirada.reference._arrays import Array
from mirada.reference.activation import rectifier, rectifier_backward


class ToyWeights(NamedTuple):
    """W₀ (D, E), Wa (E, F) and Wb (F, E); or their gradients."""

    w0: Array
    wa: Array
    wb: Array


class ToyValues(NamedTuple):
    """All that a forward pass computes, in order."""

    y0: Array
    x1: Array
    y1: Array
    x2: Array
    y2: Array
    x3: Array


def toy_forward(x0: Array, weights: ToyWeights, *, skip: bool) -> ToyValues:
    """X₃ and all before it.

    Shapes: x0 (N, D) → y0 and x1 (N, E), y1 and x2 (N, F), y2 and x3 (N, E).
    Source: lecture notes §3.6.
    """
    y0 = x0 @ weights.w0
    x1 = rectifier(y0)
    y1 = x1 @ weights.wa
    x2 = rectifier(y1)
    y2 = x2 @ weights.wb + (x1 if skip else 0.0)
    return ToyValues(y0, x1, y1, x2, y2, rectifier(y2))


def toy_loss(x0: Array, weights: ToyWeights, *, target: Array, skip: bool) -> float:
    """L = Σ (X₃ − T)².

    Shapes: x0 (N, D), target (N, E) → one number.
    Source: lecture notes §3.6.
    """
    return float(np.sum((toy_forward(x0, weights, skip=skip).x3 - target) ** 2))


def toy_backward(x0: Array, weights: ToyWeights, *, target: Array, skip: bool) -> ToyWeights:
    """∂L/∂W₀, ∂L/∂Wa and ∂L/∂Wb.

    Shapes: x0 (N, D), target (N, E) → the shapes of the weights.
    Source: lecture notes §3.6; the formulae are at the head of this file.
    """
    y0, x1, y1, x2, y2, x3 = toy_forward(x0, weights, skip=skip)
    delta2 = rectifier_backward(2.0 * (x3 - target), y2).dz
    delta1 = rectifier_backward(delta2 @ weights.wb.T, y1).dz
    dx1 = delta1 @ weights.wa.T + (delta2 if skip else 0.0)
    delta0 = rectifier_backward(dx1, y0).dz
    return ToyWeights(x0.T @ delta0, x1.T @ delta1, x2.T @ delta2)
