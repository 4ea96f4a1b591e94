"""The option by which ``predict`` and ``explain`` take the covariates that a model reads."""

from collections.abc import Callable

import click


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


def known_option(command: Callable[..., int]) -> Callable[..., int]:
    """Gives a verb ``--known``, as ``known``."""
    option = click.option(
        "--known",
        metavar="NAME=VALUE",
        multiple=True,
        callback=_pairs,
        help="The value of a covariate for all images, such as male=1.",
    )
    return option(command)
