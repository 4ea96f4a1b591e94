"""The learning rate as a pure function of the step. A new schedule is a class here and a name in the table below."""

import math
from dataclasses import dataclass
from typing import ClassVar

from mirada.errors import RecipeError
from mirada.settings import check, setting

WARMUP = "Epochs in which the rate rises in a straight line to `lr`."


@dataclass(frozen=True, kw_only=True)
class Constant:
    """The rate itself."""

    kind: ClassVar[str] = "constant"
    warmup: float = setting(0.0, WARMUP, least=0)

    def __post_init__(self) -> None:
        check(self, RecipeError)

    def after(self, lr: float, step: int, rest: int) -> float:
        """The rate at a step after the warm-up, counted from 0, of ``rest``."""
        return lr


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """Half a cosine that would reach zero one step after the last.

    Source:
        Loshchilov & Hutter 2016, arXiv:1608.03983, eq. 5, without restarts.
    """

    kind: ClassVar[str] = "cosine"
    warmup: float = setting(0.0, WARMUP, least=0)

    def __post_init__(self) -> None:
        check(self, RecipeError)

    def after(self, lr: float, step: int, rest: int) -> float:
        """lr · (1 + cos(π · step / rest)) / 2, the step counted from 0 after the warm-up."""
        return lr * 0.5 * (1 + math.cos(math.pi * step / rest))


@dataclass(frozen=True, kw_only=True)
class Time:
    """lr / (1 + decay · t) at step t: what Keras 2's optimizers did with ``decay``."""

    kind: ClassVar[str] = "time"
    decay: float = setting(0.0, "How fast the schedule `time` falls, per step.", least=0)
    warmup: float = setting(0.0, WARMUP, least=0)

    def __post_init__(self) -> None:
        check(self, RecipeError)

    def after(self, lr: float, step: int, rest: int) -> float:
        """The rate at a step after the warm-up, counted from 0."""
        return lr / (1 + self.decay * step)


Schedule = Constant | Cosine | Time
SCHEDULES: dict[str, type[Schedule]] = {each.kind: each for each in (Constant, Cosine, Time)}


def learning_rate(schedule: Schedule, lr: float, step: int, *, steps_per_epoch: int, epochs: int) -> float:
    """The rate at a step of the whole run.

    Args:
        schedule: How the rate goes after the warm-up.
        lr: The highest rate.
        step: Counted from 0 over all epochs.
        steps_per_epoch: Optimizer steps of one epoch.
        epochs: Those of the run.
    """
    warmup = round(schedule.warmup * steps_per_epoch)
    if step < warmup:
        return lr * (step + 1) / warmup
    return schedule.after(lr, step - warmup, max(1, epochs * steps_per_epoch - warmup))
