"""The training loop: for every epoch, feed, step, validate, keep what is best, tell."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from mirada.data.parallel import TICK
from mirada.errors import TrainingError
from mirada.events import EpochDone, OnEvent, Progress, Reason
from mirada.modelfile import save_model
from mirada.runs.folder import LAST, MODEL, RunFolder
from mirada.training.best import keeping_best
from mirada.training.feed import Feed
from mirada.training.interrupt import interruptible
from mirada.training.loss import Loss
from mirada.training.phases import Phase, enter
from mirada.training.recipe import Recipe
from mirada.training.schedules import Plateau, learning_rate
from mirada.training.state import Best, TrainState
from mirada.training.step import train_step
from mirada.training.validation import score, validate

DIGITS = 8  # significant ones, of what is written of an epoch: more than float32 has


@dataclass(frozen=True)
class Outcome:
    """How training ended: ``finished``, ``early`` (no improvement for ``patience`` epochs) or ``interrupted``."""

    reason: Reason
    epochs: int
    best_epoch: int


@dataclass(frozen=True, kw_only=True)
class Training:
    """What a run works with: how far it is, what it is shown, what it minimizes, and where the results go."""

    phases: tuple[Phase, ...]
    state: TrainState
    feed: Feed
    loss: Loss
    recipe: Recipe
    folder: RunFolder
    on_event: OnEvent

    def phase(self, epoch: int) -> Phase:
        """The one that an epoch, counted from 1, is in."""
        return next(phase for phase in reversed(self.phases) if phase.first <= epoch)

    @property
    def settled(self) -> int:
        """The epoch after which the same parts learn, and the same average of their weights is judged, to the end."""
        averaged = 0 if self.state.average is None else self.state.average.first // self.feed.steps
        return max(self.phases[-1].first - 1, averaged)

    def rate(self, step: int) -> float:
        """The learning rate at a step of the run, counted from 0."""
        recipe = self.recipe
        return learning_rate(
            recipe.schedule,
            recipe.optimizer.lr,
            step,
            steps_per_epoch=self.feed.steps,
            epochs=recipe.epochs,
            plateaus=self.state.plateaus,
        )


def fit(training: Training) -> Outcome:
    """Trains to the end of the recipe, from where the state is; keeps the best model by validation and the last one.

    The best model has the highest validation accuracy (ties: the lower loss), or the lowest validation MAE; of several
    numbers, whose units may differ, the lowest loss.

    Raises:
        TrainingError: When the loss is no longer a finite number.
    """
    state, recipe, card = training.state, training.recipe, training.feed.card
    reason: Reason = "finished"
    phase: Phase | None = None
    file = training.folder.file(MODEL)
    with interruptible() as interrupted, keeping_best(file, state.network, card) as best:
        for epoch in range(state.epoch + 1, recipe.epochs + 1):
            before, phase = phase, training.phase(epoch)
            if phase is not before and not _enter(training, phase, interrupted):
                reason = "interrupted"
                break
            started = time.monotonic()
            train_loss = _train(training, epoch, interrupted)
            if train_loss is None:
                reason = "interrupted"
                break
            trained = time.monotonic() - started
            found = validate(state.judged, training.feed, training.loss)
            rate = training.rate(state.step - 1)
            _require_finite(found["loss"], epoch, rate)  # the last step may have broken the weights
            done = EpochDone(
                epoch=epoch,
                seconds=round(time.monotonic() - started, 4),
                images_per_second=round(training.feed.visits / trained, 1),
                lr=rate,
                train_loss=_digits(train_loss),
                val_loss=_digits(found["loss"]),
                metrics={name: _digits(value) for name, value in found.items() if name != "loss"},
            )
            training.folder.result(done)
            if state.watch:
                training.folder.watched(epoch, state.watch.take())
            state.epoch = epoch
            # Labels that were dealt out can only be learnt by heart: validation has nothing to say of that.
            if (reached := score(found, card.target)) > state.best.score or recipe.permute_labels:
                state.best = Best(epoch, reached)
                best.take(state.judged)
            training.on_event(replace(done, best=state.best.epoch == epoch))
            since = max(state.best.epoch, training.settled)  # what begins later has its chance, too
            _lower(training, max(since, state.lowered))
            if 0 < recipe.patience <= epoch - since and epoch < recipe.epochs:
                reason = "early"
                break
        if interrupted():  # also during the last epoch: nobody waits for the final evaluation
            reason = "interrupted"
    save_model(training.folder.file(LAST), state.judged, card)
    return Outcome(reason, state.epoch, state.best.epoch)


def _lower(training: Training, since: int) -> None:
    """Counts a plateau where the schedule goes by them, and validation has not improved for as long as it waits."""
    schedule, state = training.recipe.schedule, training.state
    if isinstance(schedule, Plateau) and state.epoch - since >= schedule.wait:
        state.plateaus, state.lowered = state.plateaus + 1, state.epoch


def _enter(training: Training, phase: Phase, interrupted: Callable[[], bool]) -> bool:
    return enter(phase, training.state, training.feed, training.recipe, training.on_event, interrupted)


def _train(training: Training, epoch: int, interrupted: Callable[[], bool]) -> float | None:
    """One pass over the training images: the mean loss, or None if it was interrupted."""
    state, feed, recipe = training.state, training.feed, training.recipe
    state.learn()
    total, seen, reported = torch.zeros((), device=feed.compute.device), 0, 0.0
    for batch in feed.epoch(epoch):
        if interrupted():
            return None
        rate = training.rate(state.step)
        value = train_step(
            state, batch, rate, loss=training.loss, compute=feed.compute, micro_batch=recipe.micro_batch
        )
        total, seen = total + value * len(batch.images), seen + len(batch.images)
        if time.monotonic() - reported >= TICK or seen == feed.visits:
            reported = time.monotonic()
            _require_finite(float(total), epoch, rate)
            training.on_event(Progress("training", state.step, feed.steps * recipe.epochs, epoch))
    return float(total) / seen


def _digits(value: float) -> float:
    """A number as it is written: rounded to significant digits, since the unit of a target may be anything."""
    return float(f"{value:.{DIGITS}g}")


def _require_finite(loss: float, epoch: int, rate: float) -> None:
    if not math.isfinite(loss):
        raise TrainingError(
            f"The loss is no longer a number (epoch {epoch}, learning rate {rate:g}). Try a lower --lr; the best "
            f"model so far, if any, is kept in the run folder."
        )
