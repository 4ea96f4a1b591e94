"""How long a training is, said in epochs, steps, images or minutes, and turned into epochs once."""

import re
from collections.abc import Callable
from dataclasses import replace
from math import ceil, inf
from typing import Literal, NamedTuple, get_args

from mirada.data.batches import steps_per_epoch
from mirada.errors import RecipeError, counted
from mirada.training.recipe import Recipe

Unit = Literal["epochs", "steps", "images", "minutes", "hours"]
WORDS: dict[str, Unit] = {
    **{each: each for each in get_args(Unit)},
    **{each[:-1]: each for each in get_args(Unit)},
    "min": "minutes",
    "h": "hours",
}
WHOLE = r"[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+(?:_[0-9]+)*"  # a comma is one between thousands, for some write 1.5 as 1,5
WRITTEN = re.compile(rf"\s*((?:{WHOLE})(?:\.[0-9]+)?(?:e[0-9]{{1,2}})?)\s*([a-z]+)\s*")


class Length(NamedTuple):
    """A number of epochs, steps, images or minutes."""

    number: float
    unit: Unit


def length_of(text: str) -> Length:
    """What a setting says.

    >>> length_of("64_000 steps"), length_of("1.5h")
    (Length(number=64000.0, unit='steps'), Length(number=1.5, unit='hours'))

    Args:
        text: A number with its unit.

    Raises:
        RecipeError: It is none, or not above 0.
    """
    found = WRITTEN.fullmatch(text)
    unit = WORDS.get(found[2]) if found else None
    number = float(found[1].translate(str.maketrans("", "", "_,"))) if found else 0.0
    if unit is None or not 0 < number < inf:
        raise RecipeError(
            f"`duration` must be a number above 0 with epochs, steps, images, minutes or hours, such as 64000 steps. "
            f"Got {text[:60]!r}."
        )
    return Length(number, unit)


def in_epochs(recipe: Recipe, visits: int, within: Callable[[float], int]) -> tuple[Recipe, str]:
    """A recipe whose length is said in epochs, and a sentence on what became of it, "" where it was so already.

    Args:
        recipe: With ``duration``, or with ``epochs`` alone.
        visits: Images that an epoch shows.
        within: How many epochs take so many minutes, 0 if not even one does; it is asked for minutes alone.

    Raises:
        RecipeError: The duration cannot be read, or is too short for an epoch.
    """
    if not recipe.duration:
        return recipe, ""
    number, unit = length_of(recipe.duration)
    steps = steps_per_epoch(visits, recipe.batch_size)
    match unit:
        case "epochs":
            epochs = ceil(number)
        case "steps":
            epochs = ceil(number / steps)
        case "images":
            epochs = ceil(number / visits)
        case "minutes" | "hours":
            epochs = within(number * (60 if unit == "hours" else 1))
    if not epochs:
        raise RecipeError(
            f"`duration`: not even one epoch fits into {recipe.duration}. Give more, or smaller images."
        )
    whole = f"of {counted(steps, 'step')} with {counted(visits, 'image')} each"
    return (
        replace(recipe, epochs=epochs, duration=""),
        f"duration: {recipe.duration} are {counted(epochs, 'epoch')} {whole}: whole ones are trained.",
    )
