"""Whether training images may be mirrored, by the names of what is learnt."""

from dataclasses import replace

from mirada.data.augment import Augmentation, Flip
from mirada.data.mirrored import what_a_mirror_changes
from mirada.samples import Samples


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
