"""The options by which ``predict`` and ``evaluate`` are told a threshold of the probability of a class."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from mirada.errors import InvalidArgument

if TYPE_CHECKING:
    from mirada.evaluation.threshold import Threshold
    from mirada.modelfile import Card

OWN = "file"  # the threshold that the model file has


def threshold_options(help_text: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Gives a verb ``--threshold`` and ``--positive``."""

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        positive = click.option(
            "--positive",
            metavar="CLASS",
            help="The class of a threshold. [default: that of the file's threshold, else of two the one that is not "
            "called normal, benign or alike, else the second]",
        )
        asked = click.option("--threshold", metavar="file|NUMBER|RULE", help=help_text)
        return asked(positive(command))

    return decorate


def threshold_of(card: Card, asked: str, positive: str | None, model: str) -> Threshold | str:
    """The threshold that is asked for, or the rule by which one has to be chosen first.

    Args:
        card: What the model file says.
        asked: ``file``, a number, or a rule, which may be that of the file's threshold.
        positive: The class, if it was named.
        model: The file, for the message.

    Raises:
        InvalidArgument: The file has none; it is one of another class; or there can be no such threshold.
    """
    from mirada.evaluation.threshold import GIVEN, Threshold, ThresholdRule, positive_class

    own = card.threshold
    name = own.positive if own and not positive else positive_class(card.target, positive or "")
    if asked.strip().lower() == OWN:
        if own is None:
            raise InvalidArgument(
                f"{model}: has no threshold. Train with --set threshold=youden, let mirada evaluate find one on the "
                f"validation images (--threshold youden), or give a number, such as --threshold 0.3."
            )
        if own.positive != name:
            raise InvalidArgument(f"{model}: has a threshold of {own.positive}, and none of {name}.")
        return own
    value = _number(asked)
    if value is not None:
        return Threshold(positive=name, value=value, rule=GIVEN)
    rule = ThresholdRule.parse(asked)
    if own and own.positive == name and ThresholdRule.parse(own.rule) == rule:
        return own
    return asked


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
