"""The options by which ``train`` and ``plan`` are told the recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from mirada.cli.console import say
from mirada.cli.files import model_path
from mirada.cli.pairs import require_once, setting
from mirada.errors import nearest

if TYPE_CHECKING:
    from mirada.training.recipe import Recipe


def weights_there(context: click.Context, parameter: click.Parameter, weights: str | None) -> str | None:
    """An option's callback: what reads like a path leads to a file, or to the folder of a run, whose model is taken."""
    from mirada.store.catalogue import is_path

    if weights is not None and is_path(weights):  # an empty text is no name
        return model_path(context, parameter, weights)
    return weights


def layers_there(context: click.Context, parameter: click.Parameter, layers: str | None) -> str | None:
    """An option's callback: the text of a stack, or that of the file of this name; mistakes in it are said at once."""
    from mirada.models.stack_text import read_layers

    return None if layers is None else read_layers(layers)


def recipe_there(context: click.Context, parameter: click.Parameter, recipe: str | None) -> str | None:
    """An option's callback: the folder of a run stands for its recipe; what is no path is the name of a paper's."""
    if recipe is None:
        return recipe
    if Path(recipe).is_dir():
        file = Path(recipe) / "recipe.toml"
        if not file.is_file():
            raise click.BadParameter(
                f"'{recipe}' is a folder without a recipe.toml. Give a file, or the folder of a run."
            )
        return str(file)
    if Path(recipe).exists():
        return recipe
    from mirada.training.papers import paper_recipes

    if recipe not in paper_recipes():
        known = nearest(recipe, paper_recipes())
        raise click.BadParameter(
            f"'{recipe}' is no file, no folder and no recipe of `mirada recipes`. {known}"
        )
    return recipe


def _pair(text: str) -> tuple[str, object]:
    """A setting and its value; the folder of a run stands for its model."""
    from mirada.runs.folder import model_file

    key, value = setting(text)
    return (
        (key, str(model_file(value))) if key in FILES and isinstance(value, str) and value else (key, value)
    )


FILES = ("weights", "first_layer")  # settings that name a file of weights
OPTIONS = (
    click.option("--model", help="A network of `mirada models`. [default: resnet18]"),
    click.option(
        "--layers", metavar="TEXT|FILE", callback=layers_there,
        help='Your own network: "conv 16 k3 p1; relu; pool k2; gap", or a file of such lines.',
    ),
    click.option(
        "--weights", metavar="NAME|FILE", callback=weights_there,
        help="Public weights by name or file, or a model file, to start from. [default: random]",
    ),
    click.option("--epochs", type=int, help="Passes over the training images. [default: the network's own]"),
    click.option("--batch-size", type=int, help="Images per step. [default: the network's own]"),
    click.option("--lr", type=float, help="Learning rate. [default: the network's own]"),
    click.option("--image-size", type=int, help="Side of the network's input in pixels. [default: its own]"),
    click.option("--device", help="cpu, cuda, cuda:1, mps. [default: the best there is]"),
    click.option("--precision", help="auto, bfloat16 or float32. [default: auto]"),
    click.option("--seed", type=int, help="Same seed, same machine: same weights. [default: 0]"),
    click.option(
        "--recipe", metavar="NAME|FILE|RUN", callback=recipe_there,
        help="A paper's by name (`mirada recipes`), a TOML file of settings, or the folder of a run.",
    ),
    click.option(
        "--set", "settings", multiple=True, metavar="KEY=VALUE",
        help="Any setting; `mirada settings` lists them.",
    ),
)  # fmt: skip


class Stated(NamedTuple):
    """A recipe, and the full names of the settings that were stated; the others are the network's own."""

    recipe: Recipe
    keys: frozenset[str]


def recipe_options(command: Callable[..., int]) -> Callable[..., int]:
    """Gives a verb the options above; ``stated_recipe`` takes their values."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def stated_recipe(file: str | None, settings: tuple[str, ...], flags: Mapping[str, object]) -> Stated:
    """The network's recipe, then the file's or the paper's settings, then --set, then the flags that were given."""
    from mirada.models import find
    from mirada.training.recipe import Recipe, place_of, recipe_for

    given = {key: value for key, value in flags.items() if value is not None}
    if "layers" in given and given.setdefault("model", "layers") != "layers":
        raise click.UsageError("--layers is a network of its own. Leave --model out.")
    read = _settings_of(file) if file else {}
    said = list(map(_pair, settings))
    pairs = dict(said)
    model = str(given.get("model") or pairs.get("model") or read.get("model") or Recipe.model)
    find(model)
    recipe = recipe_for(model)
    if file:
        recipe = recipe.with_settings(read, origin=file)
    recipe = recipe.with_settings(pairs, origin="--set").with_settings(given, origin="options")
    require_once(said)
    _require_files(recipe)
    inner = {f"{table}.{name}" for table, part in read.items() if isinstance(part, dict) for name in part}
    places = (place_of(key) for key in (*read, *pairs, *given))
    return Stated(recipe, frozenset(inner | {".".join(filter(None, place)) for place in places}))


def _require_files(recipe: Recipe) -> None:
    """Raises ``UsageError`` where a setting, wherever it was stated, names a file that is not there."""
    named = {name: file for name in FILES if (file := getattr(recipe, name))}
    if not named:
        return
    from mirada.store.catalogue import is_path

    for name, file in named.items():
        if (name != "weights" or is_path(file)) and not Path(file).exists():
            raise click.UsageError(f"{name}: there is no file '{file}'.")


def _settings_of(recipe: str) -> Mapping[str, object]:
    """What a file of settings says, or a paper's recipe; what is to be known of it is told."""
    if not Path(recipe).exists():
        from mirada.training.papers import paper_recipes

        paper = paper_recipes()[recipe]
        say(f"{recipe}: {paper.source}.", f"What differs from it: {paper.differs}")
        return paper.settings
    from mirada.training.recipe_text import modern, read_settings

    settings, notes = modern(read_settings(recipe), recipe)
    for note in notes:
        say(note)
    return settings
