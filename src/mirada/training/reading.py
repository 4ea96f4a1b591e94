"""What must be known to read the figures of a run, where its recipe makes them other than they look."""

from collections.abc import Iterator

from mirada.training.averages import LastWeights, epochs_before
from mirada.training.recipe import Recipe


def said_of(recipe: Recipe) -> Iterator[str]:
    """A sentence for each setting that changes what a figure of the run means."""
    if not isinstance(recipe.average, LastWeights):
        first = epochs_before(recipe.average, recipe.epochs) + 1
        yield (
            f"From epoch {first} on, what is validated and kept has averaged weights, batch normalization's statistics "
            f"included: {recipe.average}."
        )
    if recipe.flip_average:
        yield (
            "Answers are the mean of the outputs for an image and for its mirror image (`flip_average`), on validation "
            "images as on all others, and so are maps."
        )
    if recipe.augment.mixes:
        yield (
            "The training loss is that of mixed images and of what is mixed of their targets, so it does not fall to 0 "
            "and may lie above the validation loss, which is that of images as they are."
        )
