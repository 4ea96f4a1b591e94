"""Losses, and how many outputs a network needs for its target."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from mirada.samples import Classes, Target

Loss = Callable[[Tensor, Tensor], Tensor]

HUBER_DELTA = 1.0  # where the square becomes a line, in standard deviations of the target
DISTANCES: dict[str, Callable[..., Tensor]] = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss}
# j, the squared distance of the rubbish class from every image. The paper gives no number. The codes of the digits
# differ in at least 11 of their 84 places: half-way between two of those, an image is at 11 from both.
RUBBISH = 11.0


def chosen_loss(loss: str, target: Target, usual: str) -> str:
    """The loss by name, or what ``auto`` stands for: ``usual`` for classes, which the network decides, or mse."""
    if loss != "auto":
        return loss
    return usual if isinstance(target, Classes) else "mse"


def outputs_for(target: Target, loss: str, *, yes_or_no: bool) -> int:
    """How many numbers a network has to put out.

    Args:
        target: What it is to say.
        loss: As the recipe names it; ``auto`` is not yet decided.
        yes_or_no: Whether the network has, as its paper has it, one output.

    Returns:
        One per number to predict, K for K classes; 1 for two classes where the network or the loss is a yes/no one.
    """
    classes = len(target.names)
    if not isinstance(target, Classes) or classes != 2:
        return classes
    binary = loss == "binary_cross_entropy" or (yes_or_no and loss != "cross_entropy")
    return 1 if binary else classes


def make_loss(
    name: str,
    target: Target,
    *,
    outputs: int,
    label_smoothing: float = 0.0,
    class_weights: Tensor | None = None,
) -> Loss:
    """The loss (raw outputs (N, K), targets) → mean over the batch; training and validation use the same.

    - classes, targets (N,): cross-entropy of the softmax (K > 1) or of the sigmoid (K = 1), with label smoothing, in
      validation too; ``map`` for a network whose outputs are distances; ``mse`` and ``mae`` compare the probabilities
      with 0 and 1. With ``class_weights`` w (K,) it is Σ w_t · loss / N;
    - numbers, targets (N, T) in standard deviations from the mean: ``mse``, ``mae`` or ``huber``, the mean over all
      N · T, where an unknown one (NaN) counts as met.

    Args:
        name: Of the loss; ``auto`` is decided before (``chosen_loss``).
        target: What the network says.
        outputs: K.
        label_smoothing: ε of cross-entropy.
        class_weights: (K,), on any device.

    Source:
        Huber 1964, Ann. Math. Statist. 35:73, eq. 2.1: e²/2 up to |e| = δ, then δ·(|e| − δ/2), with δ = 1.
    """
    if not isinstance(target, Classes):
        return _number_loss(DISTANCES[name])
    if class_weights is None:
        return _class_loss(name, outputs, label_smoothing, "mean")
    rows, weights = _class_loss(name, outputs, label_smoothing, "none"), class_weights

    def weighted(raw: Tensor, targets: Tensor) -> Tensor:
        per_row = rows(raw, targets).reshape(len(raw), -1).mean(dim=1)
        return (weights.to(raw.device)[targets] * per_row).mean()

    return weighted


def balanced_weights(labels: NDArray[np.int64], classes: int) -> Tensor:
    """n / (K · n_k) for the class numbers (n,) of the training images: every class weighs the same in all. (K,)

    It is scikit-learn's "balanced"; King & Zeng 2001, Political Analysis 9:137. The mean over the images is 1.
    """
    return torch.from_numpy(len(labels) / (classes * np.bincount(labels, minlength=classes))).float()


def _number_loss(distance: Callable[..., Tensor]) -> Loss:
    def of_numbers(raw: Tensor, targets: Tensor) -> Tensor:
        return distance(raw, torch.where(targets.isnan(), raw.detach(), targets))

    return of_numbers


def _class_loss(loss: str, outputs: int, smoothing: float, reduction: str) -> Loss:
    """The mean, or with ``reduction`` none the losses of the rows, (N,) or (N, K)."""
    if loss in DISTANCES:
        distance = DISTANCES[loss]
        if outputs == 1:
            return lambda raw, targets: distance(
                raw[:, 0].sigmoid(), targets.to(raw.dtype), reduction=reduction
            )
        return lambda raw, targets: distance(
            raw.softmax(1), F.one_hot(targets, raw.shape[1]).to(raw.dtype), reduction=reduction
        )
    if outputs == 1:
        return lambda raw, targets: F.binary_cross_entropy_with_logits(
            raw[:, 0], (1 - smoothing) * targets.to(raw.dtype) + smoothing / 2, reduction=reduction
        )
    if loss == "map":
        return lambda raw, targets: map_loss(raw, targets, reduction)
    return lambda raw, targets: F.cross_entropy(raw, targets, label_smoothing=smoothing, reduction=reduction)


def map_loss(raw: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    """mean(y_t + log(e^−j + Σₖ e^−yₖ)) for the distances y = −raw (N, K) and the right classes t (N,).

    It is the cross-entropy with one class more, "rubbish", at the distance j = ``RUBBISH`` from every image: an
    image is drawn to its code until it is much nearer than j, and pushed off the codes that are nearer than j.
    ``reduction`` "none" gives the terms (N,).
    Source: LeCun et al. 1998, Proc. IEEE 86(11), §II-C, eq. 9 (maximum a posteriori).
    """
    rubbish = raw.new_full((len(raw), 1), -RUBBISH)
    return F.cross_entropy(torch.cat((raw, rubbish), dim=1), targets, reduction=reduction)
