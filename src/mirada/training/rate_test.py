"""Which learning rate a training can bear: a run of a few steps whose rate rises until the loss does.

Smith 2015, "Cyclical Learning Rates for Training Neural Networks", arXiv:1506.01186, §3.3; on a logarithmic scale, with
the loss smoothed and the end as fastai has them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from mirada.errors import TrainingError
from mirada.events import Progress

if TYPE_CHECKING:
    from mirada.training.loop import Training
    from mirada.training.step import Batch

LOWEST, HIGHEST = 1e-7, 10.0  # the rates of the first and of the last step
STEPS = 100
SMOOTHING = 0.9  # what a step leaves of the mean of the losses before it
ENOUGH = 4.0  # times the lowest loss: what comes then is known
FEWEST = 10  # steps of which something can be said
BEYOND_CHANCE = (
    1.5  # deviations of single losses: four of the difference between a mean of ten and the smoothed loss
)
BELOW = 10.0  # the suggestion is so many times lower than the rate of the lowest loss


@dataclass(frozen=True, kw_only=True)
class RateTest:
    """What the loss did while the rate rose.

    Args:
        rates: Of each step.
        losses: Of the batch of each step.
        smoothed: Their exponential mean, its pull towards the beginning undone.
        current: The rate of the recipe.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    current: float

    @property
    def lowest(self) -> int:
        """The step with the lowest smoothed loss."""
        return min(range(len(self.smoothed)), key=self.smoothed.__getitem__)

    @property
    def suggested(self) -> float | None:
        """A rate to begin with: a tenth of that of the lowest loss, rounded; None where it fell by chance alone."""
        first = self.losses[:FEWEST]
        if fmean(first) - self.smoothed[self.lowest] <= BEYOND_CHANCE * stdev(first):
            return None
        return float(f"{self.rates[self.lowest] / BELOW:.1g}")


def rate_test(training: Training) -> RateTest:
    """Takes steps at rates that rise from 1e-7 to 10, until the loss is four times what it was at its lowest.

    Args:
        training: Before its first step. It is changed; what it has learnt is of no use afterwards.

    Raises:
        TrainingError: The loss is no number before anything can be said.
    """
    from mirada.training.step import train_step

    state = training.state
    state.learn()
    rates: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    mean = 0.0
    for rate, batch in zip(_rising(), _batches(training.feed.epoch), strict=False):
        value = float(
            train_step(
                state, batch, rate, loss=training.loss, compute=training.feed.compute,
                micro_batch=training.recipe.micro_batch,
            )
        )  # fmt: skip
        if not math.isfinite(value):
            break
        rates.append(rate)
        losses.append(value)
        training.on_event(Progress("rates", len(rates), STEPS))
        mean = SMOOTHING * mean + (1 - SMOOTHING) * value
        smoothed.append(mean / (1 - SMOOTHING ** len(losses)))
        if len(losses) > FEWEST and smoothed[-1] > ENOUGH * min(smoothed):
            break
    if len(losses) <= FEWEST:
        raise TrainingError(
            f"The loss is no longer a number after {len(losses)} steps, at a learning rate of at most "
            f"{LOWEST * (HIGHEST / LOWEST) ** (FEWEST / STEPS):.0e}. Look at the images with mirada check."
        )
    return RateTest(
        rates=tuple(rates),
        losses=tuple(losses),
        smoothed=tuple(smoothed),
        current=training.recipe.optimizer.lr,
    )


def _rising() -> Iterator[float]:
    for step in range(STEPS):
        yield LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1))


def _batches(epoch: Callable[[int], Iterator[Batch]]) -> Iterator[Batch]:
    """Those of one epoch after the other."""
    for number in count(1):
        yield from epoch(number)
