"""A recipe whose length is said in steps, images or minutes, for the images that there are."""

from dataclasses import asdict, replace

import numpy as np
from torch import nn

from mirada.data.index import Index
from mirada.data.sampling import visits
from mirada.data.splits import complete_splits
from mirada.errors import RecipeError
from mirada.jobs.plan import epochs_within
from mirada.processes.ranks import expected
from mirada.training.durations import in_epochs
from mirada.training.recipe import Recipe
from mirada.training.start import module_for


def in_whole_epochs(
    recipe: Recipe, index: Index, first: Index | None = None, module: nn.Module | None = None
) -> tuple[Recipe, Index]:
    """The recipe with its length in epochs, and the data with a note on it; both as they are where it was so already.

    Args:
        recipe: What is to be trained.
        index: On what; the splits that it lacks are drawn as for training.
        first: Of several runs on parts of the data those of the first one, whose epochs are those of all.
        module: The module of one's own that is to be trained, if it is one; it stays as it is.

    Raises:
        RecipeError: The duration cannot be read, is too short for an epoch, or is a time where several processes train
            together, each of which would measure another one.
        DataError: The data cannot be split.
    """
    if not recipe.duration:
        return recipe, index
    split, _ = complete_splits(first or index, **asdict(recipe.splits), seed=recipe.seed)
    rows = split.rows("train")
    balanced = recipe.sampling == "balanced"
    shown = visits(split.targets[rows].astype(np.int64)) if balanced else len(rows)
    plain = replace(recipe, duration="")

    def within(minutes: float) -> int:
        if expected() > 1:
            raise RecipeError(
                f"`duration`: each of several processes would measure another number of epochs. Give epochs, steps or "
                f"images. Got {recipe.duration}."
            )
        return epochs_within(plain, index, minutes, module_for(module, plain, index))

    recipe, note = in_epochs(recipe, shown, within)
    return recipe, replace(index, notes=(*index.notes, note))
