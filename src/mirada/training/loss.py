"""Losses, and how many outputs a network needs for its task."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from mirada.checkpoint import Card
from mirada.errors import RecipeError
from mirada.models import find
from mirada.training.recipe import Recipe

Loss = Callable[[Tensor, Tensor], Tensor]

DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mse": F.mse_loss, "mae": F.l1_loss}
CODED = ("lenet5_1998",)  # the networks whose outputs are minus a squared distance to the code of each class
# j, the squared distance of the rubbish class from every image. The paper gives no number. The codes of the digits
# differ in at least 11 of their 84 places: half-way between two of those, an image is at 11 from both.
RUBBISH = 11.0


def outputs_for(recipe: Recipe, task: str, classes: int) -> int:
    """1 for a number, K for K classes; 1 for two classes where the network or the loss is a yes/no one.

    Raises ``RecipeError`` if the loss does not go with the task, the network or the label smoothing.
    """
    _require_fitting(recipe, task, classes)
    if task == "regression":
        return 1
    binary = recipe.loss != "cross_entropy" and find(recipe.model).num_classes == 1
    return 1 if classes == 2 and (binary or recipe.loss == "binary_cross_entropy") else classes


def make_loss(recipe: Recipe, card: Card) -> Loss:
    """The loss (raw outputs (N, K), targets (N,)) → mean over the batch; training and validation use the same.

    - classes: cross-entropy of the softmax (K > 1) or of the sigmoid (K = 1), with the recipe's label smoothing,
      in validation too; ``map`` for a network whose outputs are distances, whose ``auto`` it is; ``mse`` and
      ``mae`` compare the probabilities with 0 and 1;
    - numbers: ``mse`` (the default) or ``mae`` in units of the training targets' standard deviation.
    """
    loss, smoothing = _named(recipe, card.task), recipe.label_smoothing
    distance = DISTANCES.get(loss, F.mse_loss)
    if card.task == "regression":
        return lambda raw, targets: distance(raw[:, 0], (targets - card.target_mean) / card.target_std)
    if card.num_classes == 1:
        if loss in DISTANCES:
            return lambda raw, targets: distance(raw[:, 0].sigmoid(), targets.to(raw.dtype))
        return lambda raw, targets: F.binary_cross_entropy_with_logits(
            raw[:, 0], (1 - smoothing) * targets.to(raw.dtype) + smoothing / 2
        )
    if loss in DISTANCES:
        return lambda raw, targets: distance(raw.softmax(1), F.one_hot(targets, raw.shape[1]).to(raw.dtype))
    if loss == "map":
        return map_loss
    return lambda raw, targets: F.cross_entropy(raw, targets, label_smoothing=smoothing)


def map_loss(raw: Tensor, targets: Tensor) -> Tensor:
    """mean(y_t + log(e^−j + Σₖ e^−yₖ)) for the distances y = −raw (N, K) and the right classes t (N,).

    It is the cross-entropy with one class more, "rubbish", at the distance j = ``RUBBISH`` from every image: an
    image is drawn to its code until it is much nearer than j, and pushed off the codes that are nearer than j.
    Source: LeCun et al. 1998, Proc. IEEE 86(11), §II-C, eq. 9 (maximum a posteriori).
    """
    rubbish = raw.new_full((len(raw), 1), -RUBBISH)
    return F.cross_entropy(torch.cat((raw, rubbish), dim=1), targets)


def _named(recipe: Recipe, task: str) -> str:
    """The recipe's loss, or what its ``auto`` stands for."""
    if recipe.loss != "auto":
        return recipe.loss
    if task == "regression":
        return "mse"
    return "map" if recipe.model in CODED else "cross_entropy"


def _require_fitting(recipe: Recipe, task: str, classes: int) -> None:
    loss = _named(recipe, task)
    if task == "regression":
        if loss not in DISTANCES:
            raise RecipeError(f'The loss "{loss}" is for classes; for a number choose mae or mse.')
        return
    if loss == "binary_cross_entropy" and classes != 2:
        raise RecipeError(
            f'The loss "binary_cross_entropy" is for two classes; there are {classes}. Choose cross_entropy.'
        )
    if loss == "map" and recipe.model not in CODED:
        raise RecipeError(
            f'The loss "map" is for distances to codes, which {", ".join(CODED)} puts out and {recipe.model} does '
            "not. Choose cross_entropy."
        )
    if recipe.label_smoothing and loss in (*DISTANCES, "map"):
        raise RecipeError(
            f'`label_smoothing` goes with cross-entropy and not with the loss "{loss}". Set it to 0. '
            f"Got {recipe.label_smoothing!r}."
        )
