"""Losses, and how many outputs a network needs for its task."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from mirada.errors import RecipeError
from mirada.modelfile import Card
from mirada.models import CATALOGUE, facts, find
from mirada.samples import Classes, Scaling, Target
from mirada.training.recipe import Recipe

Loss = Callable[[Tensor, Tensor], Tensor]

HUBER_DELTA = 1.0  # where the square becomes a line, in standard deviations of the target
DISTANCES: dict[str, Callable[..., Tensor]] = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss}
# j, the squared distance of the rubbish class from every image. The paper gives no number. The codes of the digits
# differ in at least 11 of their 84 places: half-way between two of those, an image is at 11 from both.
RUBBISH = 11.0


def outputs_for(recipe: Recipe, target: Target) -> int:
    """One per number to predict, K for K classes; 1 for two classes where the network or the loss is a yes/no one.

    Raises ``RecipeError`` if the loss, the weighting or the sampling does not go with the task or the network.
    """
    _require_fitting(recipe, target)
    classes = len(target.names)
    if not isinstance(target, Classes):
        return classes
    binary = recipe.loss != "cross_entropy" and find(recipe.model).num_classes == 1
    return 1 if classes == 2 and (binary or recipe.loss == "binary_cross_entropy") else classes


def make_loss(recipe: Recipe, card: Card, class_weights: Tensor | None = None) -> Loss:
    """The loss (raw outputs (N, K), targets (N,)) → mean over the batch; training and validation use the same.

    - classes: cross-entropy of the softmax (K > 1) or of the sigmoid (K = 1), with the recipe's label smoothing,
      in validation too; ``map`` for a network whose outputs are distances, whose ``auto`` it is; ``mse`` and
      ``mae`` compare the probabilities with 0 and 1. With ``class_weights`` w (K,) it is Σ w_t · loss / N;
    - numbers, targets (N, T): ``mse`` (the default), ``mae`` or ``huber`` in units of the training targets'
      standard deviation; of several, the mean over all N · T, where an unknown one (NaN) counts as met.

    Huber 1964, Ann. Math. Statist. 35:73, eq. 2.1: e²/2 up to |e| = δ, then δ·(|e| − δ/2), with δ = 1.
    """
    if card.target_scaling is not None:
        return _number_loss(DISTANCES[_named(recipe, card.target)], card.target_scaling)
    if class_weights is None:
        return _class_loss(recipe, card, "mean")
    rows, weights = _class_loss(recipe, card, "none"), class_weights

    def weighted(raw: Tensor, targets: Tensor) -> Tensor:
        per_row = rows(raw, targets).reshape(len(raw), -1).mean(dim=1)
        return (weights.to(raw.device)[targets] * per_row).mean()

    return weighted


def balanced_weights(labels: NDArray[np.int64], classes: int) -> Tensor:
    """n / (K · n_k) for the class numbers (n,) of the training images: every class weighs the same in all. (K,)

    It is scikit-learn's "balanced"; King & Zeng 2001, Political Analysis 9:137. The mean over the images is 1.
    """
    return torch.from_numpy(len(labels) / (classes * np.bincount(labels, minlength=classes))).float()


def _number_loss(distance: Callable[..., Tensor], scaling: Scaling) -> Loss:
    means, stds = torch.tensor(scaling.mean), torch.tensor(scaling.std)

    def of_numbers(raw: Tensor, targets: Tensor) -> Tensor:
        wanted = (targets - means.to(raw)) / stds.to(raw)
        return distance(raw, torch.where(wanted.isnan(), raw.detach(), wanted))

    return of_numbers


def _class_loss(recipe: Recipe, card: Card, reduction: str) -> Loss:
    """The mean, or with ``reduction`` none the losses of the rows, (N,) or (N, K)."""
    loss, smoothing = _named(recipe, card.target), recipe.label_smoothing
    if loss in DISTANCES:
        distance = DISTANCES[loss]
        if card.architecture.outputs == 1:
            return lambda raw, targets: distance(
                raw[:, 0].sigmoid(), targets.to(raw.dtype), reduction=reduction
            )
        return lambda raw, targets: distance(
            raw.softmax(1), F.one_hot(targets, raw.shape[1]).to(raw.dtype), reduction=reduction
        )
    if card.architecture.outputs == 1:
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


def _named(recipe: Recipe, target: Target) -> str:
    """The recipe's loss, or what its ``auto`` stands for."""
    if recipe.loss != "auto":
        return recipe.loss
    if not isinstance(target, Classes):
        return "mse"
    return facts(recipe.model).loss_with(recipe.options)


def _require_fitting(recipe: Recipe, target: Target) -> None:
    loss, classes = _named(recipe, target), len(target.names)
    if not isinstance(target, Classes):
        if loss not in DISTANCES:
            raise RecipeError(f'The loss "{loss}" is for classes; for a number choose mae, mse or huber.')
        if recipe.class_weights != "none" or recipe.sampling == "balanced":
            setting = "class_weights" if recipe.class_weights != "none" else "sampling"
            raise RecipeError(
                f'`{setting}` = "balanced" is for classes, and the target is a number. Leave it out.'
            )
        return
    if loss == "huber":
        raise RecipeError('The loss "huber" is for numbers; for classes choose cross_entropy.')
    if loss == "binary_cross_entropy" and classes != 2:
        raise RecipeError(
            f'The loss "binary_cross_entropy" is for two classes; there are {classes}. Choose cross_entropy.'
        )
    if loss == "map" and facts(recipe.model).loss_with(recipe.options) != "map":
        coded = ", ".join(name for name in CATALOGUE if facts(name).loss == "map")
        raise RecipeError(
            f'The loss "map" is for distances to codes, which {coded} puts out and this {recipe.model} does not. '
            "Choose cross_entropy."
        )
    if recipe.label_smoothing and loss in (*DISTANCES, "map"):
        raise RecipeError(
            f'`label_smoothing` goes with cross-entropy and not with the loss "{loss}". Set it to 0. '
            f"Got {recipe.label_smoothing!r}."
        )
