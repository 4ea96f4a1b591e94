"""``mirada rate``."""

from pathlib import Path
from typing import Any

import click

from mirada.cli.console import ProgressBar, say
from mirada.cli.data_options import DataOptions, data_options
from mirada.cli.files import new_file, new_name, paper_option, told_of, told_of_paper
from mirada.cli.loading import loading
from mirada.cli.recipe_options import recipe_options, stated_recipe

PAGE = b'<p class="eyebrow">Learning-rate test</p>'  # by which the verb knows a page of its own


@click.command(epilog="mirada train DATA --lr 0.003 then trains with it.")
@data_options()
@click.argument("data", type=click.Path(exists=True))
@recipe_options
@click.option(
    "--output", type=click.Path(dir_okay=False), default="rate.html", show_default=True, callback=new_name,
    help="The page to write.",
)  # fmt: skip
@paper_option
def command(
    columns: DataOptions,
    data: str,
    recipe: str | None,
    settings: tuple[str, ...],
    output: str,
    paper: str | None,
    **flags: Any,
) -> int:
    """Try out which learning rate a training can bear, without training.

    A hundred steps are taken at a rate that rises until the loss does; nothing that is learnt is kept. The page shows
    the loss over the rate, with the rate of the recipe and one to begin with.
    """
    stated = stated_recipe(recipe, settings, flags)
    index = columns.load(data)
    with loading():
        from mirada.jobs.describe import data_name
        from mirada.jobs.rate import find_rate
        from mirada.pages.rate import rate_sentence, write_rate_page, write_rate_paper
    with ProgressBar() as progress:
        found = find_rate(index, recipe=stated.recipe, on_event=progress.on_event)
    with new_file(Path(output), is_own=_is_own) as file:
        write_rate_page(found, f"{stated.recipe.model} on {data_name(index)}", file)
    told_of(output, file)
    say(rate_sentence(found), file)
    if paper:
        told_of_paper(write_rate_paper(found, Path(paper)))
    return 0


def _is_own(file: Path) -> bool:
    return PAGE in file.read_bytes()
