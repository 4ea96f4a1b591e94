"""``mirada learn``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirada.cli.console import say
from mirada.cli.files import new_file, new_folder, new_name, told_of

if TYPE_CHECKING:
    from mirada.lessons import Material

EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("topic", required=False)
@click.option(
    "--output",
    type=click.Path(dir_okay=False),
    callback=new_name,
    help="Where to write the page; numbered if it exists.  [default: TOPIC.html]",
)
@click.option(
    "--all",
    "folder",
    type=click.Path(file_okay=False),
    callback=new_folder,
    help="Write every lesson into this folder, with an index.",
)
@click.option("--language", type=click.Choice(["en", "es"]), default="en", show_default=True)
@click.option("--image", type=EXISTING, help="A photo of your own, for the lessons that show one.")
@click.option("--model", type=EXISTING, help="A model file of your own, for the lessons that open one.")
@click.option(
    "--data",
    type=click.Path(exists=True, path_type=Path),
    help="Images of your own, for the lessons that measure --model on them.",
)
def command(
    topic: str | None,
    output: str | None,
    folder: str | None,
    language: str,
    image: Path | None,
    model: Path | None,
    data: Path | None,
) -> int:
    """Teach a topic of the lecture notes on one page that computes; without TOPIC, list them.

    The page needs no network: numbers can be changed, and the others follow. What it begins with is printed as well.
    """
    from mirada.lessons import Material

    material = Material(image=image, model=model, data=data)
    if folder:
        if topic or output:
            raise click.UsageError(
                "--all writes every lesson into a folder; it takes no TOPIC and no --output."
            )
        return write_all(Path(folder), material, language)
    if topic is None:
        if output or any(vars(material).values()):
            raise click.UsageError("Which lesson? Name a TOPIC, or --all with a folder.")
        return list_topics(language)
    return write_one(topic, material, language, output)


def list_topics(language: str) -> int:
    """Print the lessons there are, one a line."""
    from mirada.lessons import TOPICS
    from mirada.pages.lessons.wording import Wording
    from mirada.text import table

    rows = [[name, Wording(topic.module, language).plain("about")] for name, topic in TOPICS.items()]
    say(*table(["topic", "about"], rows, left=2))
    return 0


def write_one(topic: str, material: Material, language: str, output: str | None) -> int:
    """Write the page of a lesson and print its numbers."""
    from mirada.jobs.lessons import teach
    from mirada.pages.page import publish

    taught = teach(topic, material, language)
    asked = Path(output or f"{topic}.html")
    say(*taught.essentials)
    with new_file(asked) as file:
        publish(taught.html, file)
    told_of(asked, file)
    say(file)
    return 0


def write_all(folder: Path, material: Material, language: str) -> int:
    """Write every lesson, and the index of them."""
    from mirada.jobs.lessons import teach_all

    say(teach_all(folder, material, language)[0])
    return 0
