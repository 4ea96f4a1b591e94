"""A recipe whose length is said in steps, images or minutes, for the images that there are."""

from dataclasses import asdict, replace

import numpy as np

from mirada.data.index import Index
from mirada.data.sampling import visits
from mirada.data.splits import complete_splits
from mirada.jobs.plan import plan
from mirada.training.durations import in_epochs
from mirada.training.recipe import Recipe

KEPT = ("image_size", "freeze", "views")  # what a number of minutes does not decide


def in_whole_epochs(recipe: Recipe, index: Index, first: Index | None = None) -> tuple[Recipe, Index]:
    """The recipe with its length in epochs, and the data with a note on it; both as they are where it was so already.

    Args:
        recipe: What is to be trained.
        index: On what; the splits that it lacks are drawn as for training.
        first: Of several runs on parts of the data those of the first one, whose epochs are those of all.

    Raises:
        RecipeError: The duration cannot be read, or is too short for an epoch.
        DataError: The data cannot be split.
    """
    if not recipe.duration:
        return recipe, index
    split, _ = complete_splits(first or index, **asdict(recipe.splits), seed=recipe.seed)
    rows = split.rows("train")
    balanced = recipe.sampling == "balanced"
    shown = visits(split.targets[rows].astype(np.int64)) if balanced else len(rows)

    def within(minutes: float) -> int:
        plain = replace(recipe, duration="")
        return plan(index, minutes=minutes, recipe=plain, keep=KEPT).recipe.epochs

    recipe, note = in_epochs(recipe, shown, within)
    return recipe, replace(index, notes=(*index.notes, note))
