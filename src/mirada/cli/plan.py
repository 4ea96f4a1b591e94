"""``mirada plan``."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirada.cli.console import say
from mirada.cli.data_options import DataOptions, data_options
from mirada.cli.files import new_file, new_name, told_of
from mirada.cli.recipe_options import recipe_options, stated_recipe
from mirada.files import write_text

if TYPE_CHECKING:
    from mirada.data.index import Index
    from mirada.jobs.plan import Plan
    from mirada.training.recipe import Recipe

PLAN = "plan.toml"  # in the folder of a run that was planned
DECIDED = {
    "pixels.image_size": "image_size",
    "epochs": "epochs",
    "views": "views",
    "freeze": "freeze",
    "thaw": "freeze",
}


@click.command()
@data_options()
@click.argument("data", type=click.Path(exists=True))
@click.option("--minutes", type=float, default=15.0, show_default=True, help="For the whole run.")
@recipe_options
@click.option(
    "--output",
    type=click.Path(dir_okay=False),
    callback=new_name,
    help="Where to write the plan, a recipe in TOML; numbered if it exists.",
)
def command(
    columns: DataOptions,
    data: str,
    minutes: float,
    recipe: str | None,
    settings: tuple[str, ...],
    output: str | None,
    **flags: Any,
) -> int:
    """Choose image size, epochs and what is frozen for the time there is, and say why, without training.

    A few steps of the network are measured on this machine, from small images to larger ones. With --weights the head
    learns first, on features that are computed once, and then as many of the last stages as there is time for. What
    --set or an option states is kept. The plan is a recipe: `mirada train DATA --recipe plan.toml` follows it, and it
    can be edited.
    """
    chosen, stated = stated_recipe(recipe, settings, flags)
    planned = planned_for(columns.load(data), minutes, chosen, stated)
    if output:
        with new_file(Path(output)) as file:
            write_text(file, planned.to_toml())
        told_of(output, file)
        say(file)
    return 0


def planned_for(
    index: Index, minutes: float, recipe: Recipe, stated: Collection[str], *, training: bool = False
) -> Plan:
    """The plan, printed. What was stated is not decided anew; ``training`` says that it follows at once."""
    from mirada.jobs.plan import plan

    keep = [name for key, name in DECIDED.items() if key in stated]
    found = plan(index, minutes=minutes, recipe=recipe, keep=keep, training=training)
    say(*str(found).split("\n"))
    return found
