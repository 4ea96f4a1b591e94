"""What the verbs take that show images to a model."""

from collections.abc import Callable

import click

from mirada.cli.data_options import ENCODING_HELP, IMAGE_HELP
from mirada.cli.files import model_path, there

Command = Callable[..., int]

device_option = click.option(
    "--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, mps; auto: the best there is."
)


def _pairs(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    """``male=1`` → ``{"male": "1"}``."""
    known: dict[str, str] = {}
    for text in texts:
        name, _, value = (part.strip() for part in text.partition("="))
        if not name or not value:
            raise click.BadParameter(f'expected NAME=VALUE, such as male=1. Got "{text}".')
        if name in known:
            raise click.BadParameter(
                f'"{name}" is given twice, as {known[name]} and as {value}. Say it once.'
            )
        known[name] = value
    return known


known_option = click.option(
    "--known",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_pairs,
    help="The value of a covariate for all images, such as male=1.",
)


def image_arguments(command: Command) -> Command:
    """A verb's model and images."""
    images = click.argument("images", nargs=-1, required=True, callback=there)
    return click.argument("model", callback=model_path)(images(command))


def image_options(command: Command) -> Command:
    """How a table that lists the images is read, what is known of all of them, and where the model runs."""
    image = click.option("--image", metavar="COLUMN", help=IMAGE_HELP)
    encoding = click.option("--encoding", metavar="NAME", help=ENCODING_HELP)
    return image(encoding(known_option(device_option(command))))
