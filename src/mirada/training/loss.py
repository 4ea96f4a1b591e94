"""Losses, and how many outputs a network needs for its task."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from mirada.checkpoint import Card
from mirada.errors import RecipeError
from mirada.models import find
from mirada.training.recipe import Recipe

Loss = Callable[[Tensor, Tensor], Tensor]


def outputs_for(recipe: Recipe, task: str, classes: int) -> int:
    """1 for a number, K for K classes; 1 for two classes where the network or the loss is a yes/no one.

    Raises ``RecipeError`` if the loss does not go with the task.
    """
    if task == "regression":
        if recipe.loss in ("cross_entropy", "binary_cross_entropy"):
            raise RecipeError(f'The loss "{recipe.loss}" is for classes; for a number choose mae or mse.')
        return 1
    if recipe.loss == "binary_cross_entropy" and classes != 2:
        raise RecipeError(
            f'The loss "binary_cross_entropy" is for two classes; there are {classes}. Choose cross_entropy.'
        )
    binary = recipe.loss != "cross_entropy" and find(recipe.model).num_classes == 1
    return 1 if classes == 2 and (binary or recipe.loss == "binary_cross_entropy") else classes


def make_loss(recipe: Recipe, card: Card) -> Loss:
    """The loss (raw outputs (N, K), targets (N,)) → mean over the batch.

    - classes: cross-entropy of the softmax (K > 1) or of the sigmoid (K = 1); ``mse`` and ``mae`` compare the
      probabilities with 0 and 1;
    - numbers: ``mse`` (the default) or ``mae`` in units of the training targets' standard deviation.
    """
    distance = F.l1_loss if recipe.loss == "mae" else F.mse_loss
    if card.task == "regression":
        return lambda raw, targets: distance(raw[:, 0], (targets - card.target_mean) / card.target_std)
    if card.num_classes == 1:
        if recipe.loss in ("mse", "mae"):
            return lambda raw, targets: distance(raw[:, 0].sigmoid(), targets.to(raw.dtype))
        return lambda raw, targets: F.binary_cross_entropy_with_logits(raw[:, 0], targets.to(raw.dtype))
    if recipe.loss in ("mse", "mae"):
        return lambda raw, targets: distance(raw.softmax(1), F.one_hot(targets, raw.shape[1]).to(raw.dtype))
    return F.cross_entropy
