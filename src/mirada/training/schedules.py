"""The learning rate as a pure function of the step. A new schedule is a class here and a name in the table below.

Durations are in epochs, which need not be whole; one function turns them into steps.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from mirada.errors import RecipeError
from mirada.settings import check, setting

WARMUP = "Epochs in which the rate rises in a straight line to `lr`."
GAMMA = "What the rate is multiplied by each time that it falls."


class Moment(NamedTuple):
    """Where a run is after its warm-up.

    Args:
        step: The number of the step, counted from 0.
        rest: How many steps there are after the warm-up.
        per_epoch: Steps of an epoch.
        plateaus: How often validation has stood still for as long as the schedule waits.
    """

    step: int
    rest: int
    per_epoch: int
    plateaus: int = 0

    @property
    def epochs(self) -> float:
        """Epochs since the warm-up."""
        return self.step / self.per_epoch


@dataclass(frozen=True, kw_only=True)
class Constant:
    """The rate itself."""

    kind: ClassVar[str] = "constant"
    warmup: float = setting(0.0, WARMUP, least=0)

    def __post_init__(self) -> None:
        check(self, RecipeError)

    def after(self, lr: float, at: Moment) -> float:
        """lr."""
        return lr


@dataclass(frozen=True, kw_only=True)
class Cosine(Constant):
    """Half a cosine that would reach zero one step after the last.

    Source:
        Loshchilov & Hutter 2016, arXiv:1608.03983, eq. 5, without restarts.
    """

    kind: ClassVar[str] = "cosine"

    def after(self, lr: float, at: Moment) -> float:
        """lr · (1 + cos(π · step / rest)) / 2."""
        return lr * 0.5 * (1 + math.cos(math.pi * at.step / at.rest))


@dataclass(frozen=True, kw_only=True)
class Time(Constant):
    """lr / (1 + decay · t) at step t: what Keras 2's optimizers did with ``decay``."""

    kind: ClassVar[str] = "time"
    decay: float = setting(0.0, "How fast the schedule `time` falls, per step.", least=0)

    def after(self, lr: float, at: Moment) -> float:
        """lr / (1 + decay · step)."""
        return lr / (1 + self.decay * at.step)


@dataclass(frozen=True, kw_only=True)
class StepDecay(Constant):
    """The rate falls at once, again and again after as many epochs, as ``torch.optim.lr_scheduler.StepLR``."""

    kind: ClassVar[str] = "step"
    gamma: float = setting(0.1, GAMMA, above=0, most=1)
    step_size: float = setting(30.0, "Epochs from one fall of the rate to the next.", above=0)

    def after(self, lr: float, at: Moment) -> float:
        """lr · γ^⌊epochs / step_size⌋."""
        return lr * float(self.gamma ** (at.step // max(1, round(self.step_size * at.per_epoch))))


@dataclass(frozen=True, kw_only=True)
class MultiStep(Constant):
    """The rate falls at once after the epochs that are named, as ``torch.optim.lr_scheduler.MultiStepLR``."""

    kind: ClassVar[str] = "multi_step"
    gamma: float = setting(0.1, GAMMA, above=0, most=1)
    milestones: tuple[float, ...] = setting((30.0, 60.0), "Epochs after which the rate falls.", above=0)

    def after(self, lr: float, at: Moment) -> float:
        """lr · γ^(milestones that have passed)."""
        passed = sum(at.step >= round(epoch * at.per_epoch) for epoch in self.milestones)
        return lr * float(self.gamma**passed)


@dataclass(frozen=True, kw_only=True)
class Exponential(Constant):
    """The rate falls a little at every step, so that after an epoch it is γ times what it was."""

    kind: ClassVar[str] = "exponential"
    gamma: float = setting(0.95, GAMMA, above=0, most=1)

    def after(self, lr: float, at: Moment) -> float:
        """lr · γ^epochs."""
        return lr * float(self.gamma**at.epochs)


@dataclass(frozen=True, kw_only=True)
class Poly(Constant):
    """A power of what is left, which would reach zero one step after the last: Caffe's ``poly``."""

    kind: ClassVar[str] = "poly"
    power: float = setting(0.5, "Of what is left of the steps: 1 for a straight line.", above=0)

    def after(self, lr: float, at: Moment) -> float:
        """lr · (1 − step / rest)^power."""
        return lr * float((1 - at.step / at.rest) ** self.power)


@dataclass(frozen=True, kw_only=True)
class OneCycle:
    """Half a cosine up to the rate, then half a cosine down to almost nothing, as ``torch``'s ``OneCycleLR``.

    Source:
        Smith & Topin 2017, arXiv:1708.07120, with the cosines of fastai.
    """

    kind: ClassVar[str] = "one_cycle"
    warmup: ClassVar[float] = 0.0  # it has its own rise
    rise: float = setting(0.3, "Share of the steps in which the rate rises.", above=0, below=1)
    begin: float = setting(25.0, "The rate over that of the first step.", least=1)
    end: float = setting(1e4, "The rate of the first step over that of the last one.", least=1)

    def __post_init__(self) -> None:
        check(self, RecipeError)

    def after(self, lr: float, at: Moment) -> float:
        """From lr / begin up to lr, and down to lr / begin / end."""
        first = lr / self.begin
        top, last = self.rise * at.rest - 1, at.rest - 1
        if at.step <= top:
            return first + (lr - first) * _half_cosine(at.step / top if top > 0 else 1.0)
        return lr + (first / self.end - lr) * _half_cosine((at.step - top) / (last - top))


def _half_cosine(share: float) -> float:
    """From 0 to 1 as a share goes from 0 to 1."""
    return (1 - math.cos(math.pi * share)) / 2


@dataclass(frozen=True, kw_only=True)
class Plateau(Constant):
    """The rate falls where validation has not improved for some epochs, as ``ReduceLROnPlateau`` with threshold 0.

    What is called better is what ``training.validation.score`` says, by which the best epoch is chosen.
    """

    kind: ClassVar[str] = "plateau"
    gamma: float = setting(0.1, GAMMA, above=0, most=1)
    wait: int = setting(10, "Epochs without improvement after which the rate falls.", above=0)

    def after(self, lr: float, at: Moment) -> float:
        """lr · γ^(plateaus so far)."""
        return lr * float(self.gamma**at.plateaus)


Schedule = Constant | Cosine | Time | StepDecay | MultiStep | Exponential | Poly | OneCycle | Plateau
SCHEDULES: dict[str, type[Schedule]] = {
    each.kind: each
    for each in (Constant, Cosine, Time, StepDecay, MultiStep, Exponential, Poly, OneCycle, Plateau)
}


def learning_rate(
    schedule: Schedule, lr: float, step: int, *, steps_per_epoch: int, epochs: int, plateaus: int = 0
) -> float:
    """The rate at a step of the whole run.

    Args:
        schedule: How the rate goes after the warm-up.
        lr: The highest rate.
        step: Counted from 0 over all epochs.
        steps_per_epoch: Optimizer steps of one epoch.
        epochs: Those of the run.
        plateaus: How often validation has stood still; ``Plateau`` alone goes by it.
    """
    warmup = round(schedule.warmup * steps_per_epoch)
    if step < warmup:
        return lr * (step + 1) / warmup
    rest = max(1, epochs * steps_per_epoch - warmup)
    return schedule.after(lr, Moment(step - warmup, rest, steps_per_epoch, plateaus))
