"""The option by which ``predict`` and ``explain`` are told what a model reads beside the images."""

from collections.abc import Callable

import click


def _pairs(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    """``male=1`` → ``{"male": "1"}``."""
    pairs = [text.partition("=") for text in texts]
    for text, (name, _, value) in zip(texts, pairs, strict=True):
        if not name.strip() or not value.strip():
            raise click.BadParameter(f'expected NAME=VALUE, such as male=1. Got "{text}".')
    return {name.strip(): value.strip() for name, _, value in pairs}


def known_option(command: Callable[..., int]) -> Callable[..., int]:
    """Gives a verb ``--known``, as ``known``."""
    option = click.option(
        "--known",
        metavar="NAME=VALUE",
        multiple=True,
        callback=_pairs,
        help="What a model with covariates is to know of all images, such as male=1.",
    )
    return option(command)
