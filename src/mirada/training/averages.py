"""Averages of weights over steps, as pure functions of a count. A new one is a class here and a name in the table."""

from dataclasses import dataclass
from typing import ClassVar

from mirada.errors import RecipeError
from mirada.settings import check, setting

START = "Share of the epochs before the weights are averaged."


@dataclass(frozen=True, kw_only=True)
class LastWeights:
    """No average: the weights after the last step of an epoch are those that are judged and kept."""

    kind: ClassVar[str] = "none"


@dataclass(frozen=True, kw_only=True)
class Ema:
    """The exponential moving average W̄ ← W̄ + (1 − d)(W − W̄), with d = min(decay, (1 + n) / (10 + n)) at step n.

    Source:
        Szegedy et al. 2015, arXiv:1512.00567, §8, "a running average of the parameters computed over time"; d as
        ``tf.train.ExponentialMovingAverage(decay, num_updates)`` has it, by which those networks were trained.
    """

    kind: ClassVar[str] = "ema"
    decay: float = setting(0.999, "What each step leaves of the moving average.", least=0, below=1)
    start: float = setting(0.0, START, least=0, below=1)

    def __post_init__(self) -> None:
        check(self, RecipeError)

    def __str__(self) -> str:
        return f"their exponential moving average over steps, with the decay {self.decay:g}"

    def weight(self, count: int) -> float:
        """How much of the difference an average of ``count`` steps takes over from one step more."""
        return 1 - min(self.decay, (1 + count) / (10 + count)) if count else 1.0


@dataclass(frozen=True, kw_only=True)
class Polyak:
    """The mean of the weights after every step from ``start`` on.

    Source:
        Polyak & Juditsky 1992, SIAM J. Control Optim. 30:838; Szegedy et al. 2014, arXiv:1409.4842, §6.
    """

    kind: ClassVar[str] = "polyak"
    start: float = setting(0.5, START, least=0, below=1)

    def __post_init__(self) -> None:
        check(self, RecipeError)

    def __str__(self) -> str:
        return "their mean over all steps since"

    def weight(self, count: int) -> float:
        """How much of the difference an average of ``count`` steps takes over from one step more."""
        return 1 / (count + 1)


Averaging = LastWeights | Ema | Polyak
AVERAGES: dict[str, type[Averaging]] = {each.kind: each for each in (LastWeights, Ema, Polyak)}


def epochs_before(averaging: Averaging, epochs: int) -> int:
    """How many of a run's epochs pass before its weights are averaged: all of them, or at most all but one."""
    if isinstance(averaging, LastWeights):
        return epochs
    return min(round(averaging.start * epochs), epochs - 1)
