"""What training asks before it begins: targets to learn from, enough images, a recipe that goes with both."""

from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray

from mirada.data.index import Index
from mirada.data.sources import require_images
from mirada.errors import DataError, InvalidArgument, RecipeError
from mirada.evaluation.threshold import positive_class, require_both
from mirada.layers.network import Network
from mirada.models import CATALOGUE, facts
from mirada.samples import Classes, Numbers, Target
from mirada.training.freezing import FrozenParts
from mirada.training.loss import DISTANCES, chosen_loss
from mirada.training.recipe import Recipe


def require_targets(index: Index) -> None:
    """Raises ``DataError`` if an image to train or validate on has no usable target; of several, one is enough."""
    usable: NDArray[np.bool_]
    match index.target:
        case Classes(names):
            usable = (index.targets >= 0) & (index.targets < len(names))
        case Numbers():
            usable = np.asarray(np.isfinite(index.targets).any(axis=1) & ~np.isinf(index.targets).any(axis=1))
    bad = np.flatnonzero(~usable & (index.splits != "test"))
    if len(bad):
        found = np.squeeze(index.targets[bad[0]])
        raise DataError(
            f"{index.path(bad[0])}: has no target to train on ({found}); {len(bad):,} images have none. Leave them "
            f"out of the Index."
        )


def require_splits(index: Index) -> None:
    """Raises ``DataError`` if decoding left too little to train or validate on."""
    require_images(index)
    if len(index.rows("train")) < 2 or len(index.rows("val")) < 1:
        counts = {split: len(index.rows(split)) for split in ("train", "val")}
        raise DataError(
            f"{index.origin}: {counts['train']} images to train on and {counts['val']} for validation are too few; "
            f"at least 2 and 1 are needed."
        )


def require_threshold(recipe: Recipe, index: Index) -> None:
    """Raises ``InvalidArgument`` if there is to be a threshold, and no validation images to choose it on."""
    if recipe.threshold:
        positive = positive_class(index.target, recipe.positive)
        own = index.targets[index.rows("val")] == index.target.names.index(positive)
        require_both(int(own.sum()), len(own), positive)


def usual_loss(recipe: Recipe) -> str:
    """The loss for classes that ``auto`` stands for, which the network decides."""
    return facts(recipe.model).loss_with(recipe.options)


def require_fitting(recipe: Recipe, target: Target) -> None:
    """Raises ``RecipeError`` if a loss, a weighting, a sampling or a threshold does not go with target or network."""
    loss = chosen_loss(recipe.loss, target, usual_loss(recipe))
    if recipe.threshold:
        try:
            positive_class(target, recipe.positive)
        except InvalidArgument as error:
            raise RecipeError(f"`threshold` does not fit: {error}") from error
    if recipe.augment.cutmix and not isinstance(target, Classes):
        raise RecipeError(
            "`augment.cutmix` is for classes, and the target is a number. Choose augment.mixup."
        )
    if not isinstance(target, Classes):
        _require_for_numbers(recipe, loss)
        return
    if loss == "huber":
        raise RecipeError('The loss "huber" is for numbers; for classes choose cross_entropy.')
    if loss == "binary_cross_entropy" and len(target.names) != 2:
        raise RecipeError(
            f'The loss "binary_cross_entropy" is for two classes; there are {len(target.names)}. Choose cross_entropy.'
        )
    if loss == "map" and usual_loss(recipe) != "map":
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


def _require_for_numbers(recipe: Recipe, loss: str) -> None:
    if loss not in DISTANCES:
        raise RecipeError(f'The loss "{loss}" is for classes; for a number choose mae, mse or huber.')
    for setting in ("class_weights", "sampling"):
        if getattr(recipe, setting) == "balanced":
            raise RecipeError(
                f'`{setting}` = "balanced" is for classes, and the target is a number. Leave it out.'
            )


def require_colour(recipe: Recipe, channels: int) -> None:
    """Raises ``RecipeError`` where the saturation of images without colours is to be changed."""
    if recipe.augment.saturation and channels == 1:
        raise RecipeError(
            f"`augment.saturation` changes colours, and these images are grey. Set it to 0. "
            f"Got {recipe.augment.saturation!r}."
        )


def require_whole_batches(frozen: FrozenParts, recipe: Recipe) -> None:
    """Raises ``RecipeError`` where images are to be mixed whose features are computed once, for each by itself."""
    if recipe.augment.mixes and frozen.place and recipe.views:
        raise RecipeError(
            f"`augment.mixup` and `augment.cutmix` mix the images of a step, and what frozen parts make of an image is "
            f"computed once. Set views=0 to compute it each time, or leave them out. Got `views` = {recipe.views}."
        )


def require_batches(network: Network, frozen: FrozenParts, recipe: Recipe) -> None:
    """Raises ``RecipeError`` where batch normalization would get one number per map, which has no deviation.

    That is where one image at a time goes through a network whose last maps have a single place.
    """
    alone = [name for name in ("batch_size", "micro_batch") if getattr(recipe, name) == 1]
    if not alone:
        return
    twin = deepcopy(network).to("meta")
    frozen.train(twin)
    height, width = twin.image_size
    try:
        twin.training_outputs(torch.zeros(1, twin.in_channels, height, width, device="meta"))
    except ValueError as error:  # PyTorch's, which looks at the shape alone
        raise RecipeError(
            f"`{alone[0]}` = 1 cannot train {recipe.model} at {height} × {width} pixels: its batch normalization would "
            f"get one number per map, which has no deviation. Take 2 images or more, or larger ones."
        ) from error
