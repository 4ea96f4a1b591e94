"""The training loop: for every epoch, feed, step, validate, keep what is best, tell."""

import math
import time
from dataclasses import dataclass, replace

from mirada.data.parallel import TICK
from mirada.errors import TrainingError
from mirada.events import EpochDone, Event, NotSaved, OnEvent, Progress, Reason
from mirada.modelfile import save_model
from mirada.processes.ranks import here
from mirada.runs.folder import BEST, LAST, MODEL, Marks, RunFolder
from mirada.training.best import BestModel, keep, keeping_best
from mirada.training.feed import Feed
from mirada.training.interrupt import Pressed, Presses, interruptible
from mirada.training.loss import Loss
from mirada.training.phases import Phase, enter
from mirada.training.recipe import Recipe
from mirada.training.saving import Saver
from mirada.training.schedules import Plateau, learning_rate
from mirada.training.search import Search
from mirada.training.state import Best, TrainState
from mirada.training.step import fitting_step
from mirada.training.validation import score, validate

DIGITS = 8  # significant ones, of what is written of an epoch: more than float32 has
SHORTEST = 1e-9  # seconds that an epoch takes


class LossNotFinite(TrainingError):
    """The loss is no longer a number."""


@dataclass(frozen=True)
class Outcome:
    """How training ended: ``finished``, ``early`` (no improvement for ``patience`` epochs) or ``interrupted``."""

    reason: Reason
    epochs: int
    best_epoch: int


@dataclass(kw_only=True)
class Training:
    """What a run works with: how far it is, what it is shown, what it minimizes, and where the results go.

    ``entered`` is how long the run's files were before a phase that was interrupted while it began; ``search`` looks at
    every step, where one is looked for.
    """

    phases: tuple[Phase, ...]
    state: TrainState
    feed: Feed
    loss: Loss
    recipe: Recipe
    folder: RunFolder
    on_event: OnEvent
    saver: Saver
    entered: Marks | None = None
    search: Search | None = None

    def on_progress(self, event: Event) -> None:
        """Hears what has been told before, and passes on how far it is."""
        if isinstance(event, Progress):
            self.on_event(event)

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
    numbers, whose units may differ, the lowest loss. Ctrl-C saves a checkpoint at the next step, or at once while the
    images of validation are looked at, and ends it.

    Raises:
        LossNotFinite: When the loss is no longer a finite number.
    """
    state, card, folder, saver = training.state, training.feed.card, training.folder, training.saver
    file = folder.file(MODEL)
    with interruptible() as presses:
        with keeping_best(file, card, lambda why: training.on_event(NotSaved(why))) as best:
            reason = _epochs(training, presses, best)
            if reason == "interrupted":
                _save(training, best, training.entered)
        saver.wait()
        if here().first:
            if state.best.epoch:
                keep(file, folder.file(BEST))
            save_model(folder.file(LAST), state.judged, card)
        if reason != "interrupted" and presses():
            _save(training, best)
            reason = "interrupted"
    return Outcome(reason, state.epoch, state.best.epoch)


def _epochs(training: Training, presses: Presses, best: BestModel) -> Reason:
    """Trains and validates an epoch after the other: why that ended."""
    state, phase = training.state, None
    while state.epoch < training.recipe.epochs and not _stands_still(training):
        before, phase = phase, training.phase(state.epoch + 1)
        if phase is not before and not _enter(training, phase, presses):
            return "interrupted"
        if not (_train(training, presses, best) and _judge(training, presses, best)) or presses():
            return "interrupted"  # also after the last epoch: nobody waits for the final evaluation
        _save_if_due(training, best)
    return "finished" if state.epoch == training.recipe.epochs else "early"


def _stands_still(training: Training) -> bool:
    """Whether validation has not improved for as long as the recipe waits."""
    state, patience = training.state, training.recipe.patience
    return 0 < patience <= state.epoch - max(state.best.epoch, training.settled)


def _lower(training: Training) -> None:
    """Counts a plateau where the schedule goes by them, and validation has not improved for as long as it waits."""
    schedule, state = training.recipe.schedule, training.state
    since = max(state.best.epoch, training.settled, state.lowered)  # what begins later has its chance, too
    if isinstance(schedule, Plateau) and state.epoch - since >= schedule.wait:
        state.plateaus, state.lowered = state.plateaus + 1, state.epoch


def _enter(training: Training, phase: Phase, presses: Presses) -> bool:
    """Begins a phase; one in which training goes on has been told of."""
    state, feed, recipe = training.state, training.feed, training.recipe
    again = state.batch > 0 or phase.first <= state.epoch
    tell = training.on_progress if again else training.on_event
    marks = training.folder.marks()
    with here().turns():  # what the first process has computed is there for the others
        whole = enter(phase, state, feed, recipe, tell, lambda: presses.heard)
    whole = not here().any(not whole)
    if not again:
        training.entered = None if whole else marks  # what was told is told again
    return whole


def _train(training: Training, presses: Presses, best: BestModel) -> bool:
    """The steps of an epoch that are not done; whether they were not interrupted."""
    state, feed, recipe = training.state, training.feed, training.recipe
    epoch, began, reported = state.epoch + 1, time.monotonic() - state.seconds, 0.0
    state.learn()
    for batch in feed.epoch(epoch, state.batch):
        if presses():
            return False
        rate = training.rate(state.step)
        if training.search:
            training.search.before(state)
        value = fitting_step(
            state, batch, rate, loss=training.loss, compute=feed.compute, on_event=training.on_event
        )
        if training.search:
            training.search.after(state, batch, rate, value)
        now = time.monotonic()
        state.seconds = now - began
        if now - reported >= TICK or state.seen == feed.visits:
            reported = now
            require_finite(float(state.loss), epoch, rate)
            training.on_event(Progress("training", state.step, feed.steps * recipe.epochs, epoch))
        _save_if_due(training, best)
    return True


def _judge(training: Training, presses: Presses, best: BestModel) -> bool:
    """Validates after the last step of an epoch, and counts and tells it; whether it was not interrupted."""
    state, feed, epoch = training.state, training.feed, training.state.epoch + 1
    began = time.monotonic()
    try:
        with presses.promptly():
            if presses():
                return False
            found = validate(state.judged, feed, training.loss)
    except Pressed:
        return False
    rate = training.rate(state.step - 1)
    require_finite(found["loss"], epoch, rate)  # the last step may have broken the weights
    done = EpochDone(
        epoch=epoch,
        seconds=round(state.seconds + time.monotonic() - began, 4),
        images_per_second=round(feed.visits / max(state.seconds, SHORTEST), 1),
        lr=rate,
        train_loss=_digits(float(state.loss) / state.seen),
        val_loss=_digits(found["loss"]),
        metrics={name: _digits(value) for name, value in found.items() if name != "loss"},
    )
    training.folder.result(done)
    if state.watch:
        training.folder.watched(epoch, state.watch.take())
    state.done(epoch)
    # Labels that were dealt out can only be learnt by heart: validation has nothing to say of that.
    if (reached := score(found, feed.card.target)) > state.best.score or training.recipe.permute_labels:
        state.best = Best(epoch, reached)
        if here().first:
            best.take(state.judged)
    training.on_event(replace(done, best=state.best.epoch == epoch))
    _lower(training)
    return True


def _save(training: Training, best: BestModel, marks: Marks | None = None) -> None:
    """Saves at once; of several processes the first one does, whose state is that of all."""
    if here().first:
        training.saver.save(training.state, best.held(), marks)


def _save_if_due(training: Training, best: BestModel) -> None:
    if here().first and training.saver.due(training.state):
        training.saver.take(training.state, best.held())


def _digits(value: float) -> float:
    """A number as it is written: rounded to significant digits, since the unit of a target may be anything."""
    return float(f"{value:.{DIGITS}g}")


def require_finite(loss: float, epoch: int, rate: float) -> None:
    """Raises ``LossNotFinite`` for the loss of a step, or of validation, that is no number."""
    if not math.isfinite(loss):
        raise LossNotFinite(
            f"The loss is no longer a number (epoch {epoch}, learning rate {rate:g}). Try a lower --lr; the best "
            f"model so far, if any, is kept in the run folder."
        )
