"""The recipes of the papers by name, and what each source says, expects and leaves open. Readable without torch."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mirada.errors import RecipeError, nearest
from mirada.training.recipe import Recipe, Settings, recipe_for

FILE = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True, kw_only=True)
class PaperRecipe:
    """A recipe as a source has it.

    Args:
        name: Its name on the command line.
        title: Which network it is for, in words.
        source: Where it stands.
        expects: What they reached with it.
        unsaid: What the source leaves open, and what is taken for it.
        differs: What is not as in the source.
        settings: What it sets, the network among it.
    """

    name: str
    title: str
    source: str
    expects: str
    unsaid: str
    differs: str
    settings: Settings

    @property
    def model(self) -> str:
        """The network that it is for."""
        return str(self.settings["model"])

    @property
    def recipe(self) -> Recipe:
        """It, laid over the network's own."""
        return recipe_for(self.model).with_settings(self.settings, origin=self.name)


@cache
def paper_recipes() -> dict[str, PaperRecipe]:
    """All of them by name, from the oldest network to the youngest, the notes' last."""
    table = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {name: PaperRecipe(name=name, **values) for name, values in table.items()}


def paper_recipe(name: str) -> Recipe:
    """The recipe of a paper, or of the lecture notes, such as ``resnet-2015``.

    Args:
        name: One of ``mirada recipes``.

    Returns:
        The recipe; ``with_settings`` changes it, the network included.

    Raises:
        RecipeError: There is none of this name; the nearest is named.
    """
    if name not in paper_recipes():
        raise RecipeError(f'There is no recipe "{name}". {nearest(name, paper_recipes())}')
    return paper_recipes()[name].recipe
