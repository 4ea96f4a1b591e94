"""``mirada recipes``."""

import click

from mirada.cli.console import say
from mirada.text import table


@click.command(epilog="docs/guide/recipes.md tells what recipes decide, and what has been measured of them.")
@click.argument("name", required=False)
def command(name: str | None) -> int:
    """List the recipes of the papers and of the lecture notes, or print one of them whole.

    With NAME: where it stands, what they reached with it, what the source leaves open, what differs here, and all of
    its settings as TOML, to begin a file of one's own with.
    """
    from mirada.training.papers import paper_recipe, paper_recipes

    if name is None:
        rows = [[each.name, each.model, f"  {each.source}"] for each in paper_recipes().values()]
        for line in table(["recipe", "network", "  source"], rows, left=3):
            say(line)
        say("", "mirada train DATA --recipe NAME trains by one; mirada recipes NAME tells what is in it.")
        return 0
    recipe = paper_recipe(name)
    paper = paper_recipes()[name]
    said = {
        "Source": paper.source,
        "Expects": paper.expects,
        "Unsaid": paper.unsaid,
        "Differs": paper.differs,
    }
    for head, text in said.items():
        say(f"# {head}: {text}")
    say(f"# mirada train DATA --recipe {name}", "", *recipe.to_toml().splitlines())
    return 0
