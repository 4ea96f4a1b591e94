"""``mirada learn``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from mirada.cli.console import say
from mirada.cli.files import model_path, new_file, new_folder, new_name, there, told_of
from mirada.cli.image_options import device_option, known_option
from mirada.cli.loading import loading
from mirada.errors import nearest

if TYPE_CHECKING:
    from mirada.lessons import Material

EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("topic", metavar="[TOPIC | MODEL IMAGE]", required=False)
@click.argument("photo", metavar="", required=False)
@click.option(
    "--output",
    type=click.Path(dir_okay=False),
    callback=new_name,
    help="Where to write the page; numbered if it exists.  [default: TOPIC.html, or opened.html]",
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
@click.option(
    "--model",
    callback=model_path,
    metavar="MODEL",
    help="A model of your own, for the lessons that open one.",
)
@click.option(
    "--data",
    type=click.Path(exists=True, path_type=Path),
    help="Images of your own, for the lessons that measure --model on them.",
)
@click.option(
    "--class",
    "target",
    help="With MODEL IMAGE: whose gradients. [default: the answer; the first of several numbers]",
)
@known_option
@device_option
@click.pass_context
def command(
    context: click.Context,
    topic: str | None,
    photo: str | None,
    output: str | None,
    folder: str | None,
    language: str,
    image: Path | None,
    model: str | None,
    data: Path | None,
    target: str | None,
    known: dict[str, str],
    device: str,
) -> int:
    """Teach a topic of the lecture notes on one page that computes; without TOPIC, list them.

    The page needs no network: numbers can be changed, and the others follow. What it begins with is printed as well.

    With MODEL IMAGE a trained network is opened instead: every layer that the photo went through, forwards and
    backwards, number by number, on one page. Numbers are those of PyTorch; what a page has no room for is counted.
    """
    from mirada.lessons import TOPICS

    _refuse_photo_of_lesson(topic, photo)
    if topic is not None and (photo is not None or (topic not in TOPICS and Path(topic).exists())):
        if folder or image or model or data:
            raise click.UsageError(
                "MODEL IMAGE opens a network; --all, --image, --model and --data go with lessons."
            )
        if photo is None:
            raise click.UsageError(
                f"Which IMAGE is {topic} to be opened on? mirada learn {quote(topic)} photo.jpg"
            )
        parameter = context.command.params[0]
        file = model_path(context, parameter, topic) or topic
        (shown,) = there(context, parameter, (photo,))
        asked = Opening(shown, target, known, device)
        return open_one(file, asked, output or "opened.html", language)
    if target or known or device != "auto":
        raise click.UsageError("--class, --known and --device go with MODEL IMAGE.")
    from mirada.lessons import Material

    material = Material(image=image, model=Path(model) if model else None, data=data)
    if folder:
        if topic or output:
            raise click.UsageError(
                "--all writes every lesson into a folder; it takes no TOPIC and no --output."
            )
        return write_all(Path(folder), material, language)
    if topic is not None and topic not in TOPICS:
        raise click.UsageError(
            f'There is no lesson "{topic}", and no file of that name. {nearest(topic, TOPICS)}'
        )
    if topic is None:
        if output or any(vars(material).values()):
            raise click.UsageError("Which lesson? Name a TOPIC, or --all with a folder.")
        return list_topics(language)
    return write_one(topic, material, language, output)


def _refuse_photo_of_lesson(topic: str | None, photo: str | None) -> None:
    """Raises ``UsageError`` for a lesson with a photo behind it, where only that of a network stands."""
    from mirada.lessons import TOPICS

    if topic is not None and topic in TOPICS and photo is not None and not Path(topic).exists():
        own = f"a photo of your own goes with --image {photo}"
        said = own if "image" in TOPICS[topic].takes else "takes no photo"
        raise click.UsageError(f"{topic} is a lesson, and {said}; MODEL IMAGE opens a network.")


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


@dataclass(frozen=True)
class Opening:
    """What a network is opened on, and how."""

    photo: str
    target: str | None
    known: dict[str, str]
    device: str


def open_one(model: str, asked: Opening, output: str, language: str) -> int:
    """Write the page of a trained network that is opened on a photo."""
    with loading():
        from mirada.inference.model import load_model
        from mirada.jobs.opened import open_network
        from mirada.pages.opened import exact_numbers, write_opened_page

    page = open_network(
        load_model(model, device=asked.device), asked.photo, target=asked.target, known=asked.known
    )
    with new_file(Path(output)) as file:
        write_opened_page(page, file, language)
    told_of(output, file)
    held, there_are = exact_numbers(page)
    say(
        f"{file}: {len(page.stages):,} steps, {held:,} of {there_are:,} numbers forwards, and as many backwards"
    )
    return 0
