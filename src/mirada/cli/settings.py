"""``mirada settings``."""

from difflib import get_close_matches

import click

from mirada.cli.console import say
from mirada.errors import RecipeError
from mirada.text import table


@click.command(epilog="mirada models NAME tells more of a network; docs/settings.md is this list as a page.")
@click.argument("name", required=False, metavar="[KEY|MODEL]")
def command(name: str | None) -> int:
    """Print the settings of a recipe: what each may be, its default, and what it means.

    With MODEL, the values are those that the network starts from, and its own options are among them. With KEY, that
    setting alone, and which networks start from another value.

    A setting is given as `mirada train DATA --set KEY=VALUE`, in the TOML file of --recipe, or in Python as
    `mirada.train(data, key=value)`.
    """
    from mirada.models import CATALOGUE, OF_ONES_OWN, find
    from mirada.training.recipe import Recipe, recipe_for
    from mirada.training.settings_table import settings_row, settings_table, starting_values

    if name and name not in CATALOGUE and name not in OF_ONES_OWN:
        try:
            row = settings_row(Recipe(), name)
        except RecipeError:
            if get_close_matches(name.lower(), CATALOGUE, n=1, cutoff=0.75):
                find(name)  # raises: it says which network may be meant
            raise
        usual, *others = starting_values(row.key).items()
        say(row.key if row.short == row.key else f"{row.short}, in full {row.key}", f"  {row.meaning}")
        say(f"  values: {row.values}", f"  default: {row.default if row.key == 'model' else usual[0]}")
        for value, models in others if row.key != "model" else ():
            say(f"  {value} for {', '.join(models)}")
        return 0
    model = name or Recipe.model
    header = ["setting", f"for {model}", "values", "meaning"]
    cells = [[row.short, row.default, row.values, row.meaning] for row in settings_table(recipe_for(model))]
    for line in table(header, cells, left=4):
        say(line)
    return 0
