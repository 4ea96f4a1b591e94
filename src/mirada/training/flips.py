"""Whether images may be mirrored, by the names of what is learnt."""

from dataclasses import replace

from mirada.data.augment import Augmentation, Flip
from mirada.data.mirrored import what_a_mirror_changes
from mirada.errors import RecipeError
from mirada.samples import Samples
from mirada.training.recipe import Recipe


def settle_flips(augmentation: Augmentation, samples: Samples) -> tuple[Augmentation, str]:
    """Decides about horizontal flips where the recipe leaves it open.

    Args:
        augmentation: That of the recipe.
        samples: Whose target and covariates have names.

    Returns:
        The augmentation with true or false in the place of ``"auto"``, and a sentence if a mirror would change what
        is learnt, else "". Flips that alternate are settled like ``"auto"``.
    """
    if augmentation.horizontal_flip is False:
        return augmentation, ""
    why = what_a_mirror_changes(samples)
    if augmentation.horizontal_flip is True:
        return (
            augmentation,
            why and f"Half of the training images are mirrored, as was asked for, although {why}.",
        )
    note = (
        why
        and f"No training image is mirrored, since {why}: --set augment.horizontal_flip=true does it all the same."
    )
    flip: Flip = "alternate" if augmentation.alternates else True
    return replace(augmentation, horizontal_flip=False if why else flip), note


def require_mirrored_answers(recipe: Recipe, samples: Samples) -> None:
    """Raises ``RecipeError`` where answers are to be averaged over mirror images whose right answer is another."""
    if recipe.flip_average and (why := what_a_mirror_changes(samples)):
        raise RecipeError(
            f"`flip_average`: answers for an image and for its mirror image are averaged, and {why}. Leave it out."
        )
