"""The training loop. Everything random in it is a pure function of (seed, epoch, step), so it keeps no hidden state."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mirada.compute import Compute
from mirada.data.augment import Augmentation
from mirada.data.batches import batch_rows, chunks, generator, normalize, read, shuffled, steps_per_epoch
from mirada.data.cache import Cache
from mirada.data.parallel import TICK
from mirada.data.sampling import balanced, visits
from mirada.errors import TrainingError
from mirada.evaluation.infer import AT_ONCE, infer
from mirada.evaluation.metric_table import quick_metrics
from mirada.events import EpochDone, OnEvent, Progress, Reason
from mirada.layers.network import Network
from mirada.modelfile import Card, save_model
from mirada.runs.folder import LAST, MODEL, RunFolder
from mirada.samples import Classes, Numbers
from mirada.training.freezing import NOTHING, Frozen
from mirada.training.loss import Loss, balanced_weights, make_loss
from mirada.training.optimizer import Optimizer, learning_rate
from mirada.training.recipe import Recipe


@dataclass(frozen=True)
class Outcome:
    """How training ended: ``finished``, ``early`` (no improvement for ``patience`` epochs) or ``interrupted``."""

    reason: Reason
    epochs: int
    best_epoch: int


@dataclass(kw_only=True)
class Training:
    """One training run: what is trained, on what, how, and where the results go.

    ``targets``, as the target says, and ``covariates`` (N, K), as the network reads them, are of all samples, on
    the device. ``visits`` is the number of images that an epoch shows.
    """

    network: Network
    card: Card
    cache: Cache
    recipe: Recipe
    augmentation: Augmentation
    compute: Compute
    folder: RunFolder
    on_event: OnEvent
    frozen: Frozen = NOTHING
    targets: Tensor = field(init=False)
    covariates: Tensor | None = field(init=False)
    train_rows: NDArray[np.int64] = field(init=False)
    val_rows: NDArray[np.int64] = field(init=False)
    visits: int = field(init=False)
    loss: Loss = field(init=False)
    optimizer: Optimizer = field(init=False)

    def __post_init__(self) -> None:
        index = self.cache.index
        kind = torch.int64 if isinstance(index.target, Classes) else torch.float32
        self.targets = torch.from_numpy(index.targets).to(self.compute.device, kind)
        covariates = self.card.scale_covariates(index.covariates)
        self.covariates = None if covariates is None else covariates.to(self.compute.device)
        self.train_rows, self.val_rows = index.rows("train"), index.rows("val")
        drawn_evenly = self.recipe.sampling == "balanced"
        self.visits = visits(self.labels) if drawn_evenly else len(self.train_rows)
        self.compute.place(self.network)
        weighted = self.recipe.class_weights == "balanced"
        weights = balanced_weights(self.labels, len(self.card.target.names)) if weighted else None
        self.loss = make_loss(self.recipe, self.card, weights)
        self.optimizer = Optimizer(self.network, self.recipe)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class numbers of the training images."""
        return self.cache.index.targets[self.train_rows].astype(np.int64)

    @property
    def steps(self) -> int:
        """Optimizer steps per epoch."""
        return steps_per_epoch(self.visits, self.recipe.batch_size)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The rows in the order in which an epoch visits them; epochs count from 1."""
        seed = self.recipe.seed
        if self.recipe.sampling == "balanced":
            return balanced(self.train_rows, self.labels, seed=seed, epoch=epoch)
        return shuffled(self.train_rows, seed=seed, epoch=epoch)

    def beside(self, rows: NDArray[np.int64]) -> Tensor | None:
        """The covariates (n, K) of some rows; None for a network that reads images alone."""
        return None if self.covariates is None else self.covariates[torch.from_numpy(rows)]

    def rate(self, epoch: int, step: int) -> float:
        """The learning rate at a step of an epoch; epochs count from 1, steps from 0."""
        return learning_rate(self.recipe, (epoch - 1) * self.steps + step, self.steps)


def fit(training: Training) -> Outcome:
    """Trains to the end of the recipe; keeps the best model by validation and the last one.

    The best model has the highest validation accuracy (ties: the lower loss), or the lowest validation MAE; of several
    numbers, whose units may differ, the lowest loss.
    Raises ``TrainingError`` when the loss is no longer a finite number.
    """
    best, best_epoch, epoch = (-math.inf, -math.inf), 0, 0
    reason: Reason = "finished"
    with _interruptible() as interrupted:
        for epoch in range(1, training.recipe.epochs + 1):
            done = _epoch(training, epoch, interrupted)
            if done is None:
                reason, epoch = "interrupted", epoch - 1
                break
            training.folder.result(done)
            score = _score(done, training.card)
            if score > best:
                best, best_epoch = score, epoch
                save_model(training.folder.path / MODEL, training.network, training.card)
            training.on_event(replace(done, best=best_epoch == epoch))
            patience = training.recipe.patience
            if patience and epoch - best_epoch >= patience and epoch < training.recipe.epochs:
                reason = "early"
                break
    save_model(training.folder.file(LAST), training.network, training.card)
    return Outcome(reason, epoch, best_epoch)


def _epoch(training: Training, epoch: int, interrupted: Callable[[], bool]) -> EpochDone | None:
    """Trains one epoch and validates; None if it was interrupted."""
    started = time.monotonic()
    train_loss = _train(training, epoch, interrupted)
    if train_loss is None:
        return None
    trained = time.monotonic() - started
    validation = validate(training)
    rate = training.rate(epoch, training.steps - 1)
    _require_finite(validation["loss"], epoch, rate)  # the last step may have broken the weights
    found = {name: round(value, 6) for name, value in validation.items()}
    return EpochDone(
        epoch=epoch,
        seconds=round(time.monotonic() - started, 4),
        images_per_second=round(training.visits / trained, 1),
        lr=rate,
        train_loss=round(train_loss, 6),
        val_loss=found.pop("loss"),
        metrics=dict(found),
    )


def _train(training: Training, epoch: int, interrupted: Callable[[], bool]) -> float | None:
    """One pass over the training images: the mean loss, or None if it was interrupted."""
    training.frozen.train(training.network)
    recipe, steps = training.recipe, training.steps
    order = training.order(epoch)
    total = torch.zeros((), device=training.compute.device)
    told = 0.0
    for step in range(steps):
        if interrupted():
            return None
        rows = batch_rows(order, batch_size=recipe.batch_size, step=step)
        total += _step(training, rows, epoch, step) * len(rows)
        if time.monotonic() - told >= TICK or step == steps - 1:
            told = time.monotonic()
            _require_finite(float(total), epoch, training.rate(epoch, step))
            done = (epoch - 1) * steps + step + 1
            training.on_event(Progress("training", done, steps * recipe.epochs, epoch))
    return float(total) / len(order)


def _step(training: Training, rows: NDArray[np.int64], epoch: int, step: int) -> Tensor:
    """One optimizer step; returns the batch's mean loss, still on the device.

    The batch goes through the network in slices of ``micro_batch`` images, whose gradients add up.
    """
    seed = training.recipe.seed
    images, targets = training_batch(training, rows, epoch, step)
    covariates = training.beside(rows)
    training.compute.seed(int(generator(seed, epoch, step, 1).integers(2**63)))  # for dropout
    training.optimizer.zero_grad()
    total = torch.zeros((), device=training.compute.device)
    size = training.recipe.micro_batch or len(rows)
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        with training.compute.autocast():
            known = None if covariates is None else covariates[part]
            outputs, *auxiliary = training.network.training_outputs(images[part], known)
        loss = training.loss(outputs.float(), targets[part])
        for extra in auxiliary:
            loss = loss + training.network.auxiliary_weight * training.loss(extra.float(), targets[part])
        loss = loss * (len(outputs) / len(rows))
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
    training.optimizer.step(training.rate(epoch, step))
    return total


def training_batch(
    training: Training, rows: NDArray[np.int64], epoch: int, step: int
) -> tuple[Tensor, Tensor]:
    """What the network sees at a step: augmented, normalized images (n, C, H, W); and the targets (n,) or (n, T)."""
    images = training.compute.to_device(read(training.cache, rows))
    random = generator(training.recipe.seed, epoch, step)
    images = training.augmentation.apply(images, training.augmentation.draw(len(rows), random))
    images = normalize(images, training.card.preprocessing)
    return images.contiguous(memory_format=torch.channels_last), training.targets[torch.from_numpy(rows)]


def validate(training: Training) -> dict[str, float]:
    """Loss and metrics on the validation split, at the precision of training."""
    rows, card, compute = training.val_rows, training.card, training.compute
    outputs = [
        infer(
            training.network,
            read(training.cache, part),
            card.preprocessing,
            compute,
            training.beside(part),
        )
        for part in chunks(rows, AT_ONCE)
    ]
    raw = torch.cat(outputs)
    loss = float(training.loss(raw, training.targets.cpu()[torch.from_numpy(rows)]))
    metrics = quick_metrics(card.target, card.read_outputs(raw).numpy(), training.cache.index.targets[rows])
    return {"loss": loss, **metrics}


def _score(done: EpochDone, card: Card) -> tuple[float, float]:
    """Higher is better."""
    accuracy, error = done.metrics.get("accuracy"), done.metrics.get("mae")
    if accuracy is not None:
        return accuracy, -done.val_loss
    several = isinstance(card.target, Numbers) and card.target.several
    return -(done.val_loss if several or error is None else error), -done.val_loss


def _require_finite(loss: float, epoch: int, rate: float) -> None:
    if not math.isfinite(loss):
        raise TrainingError(
            f"The loss is no longer a number (epoch {epoch}, learning rate {rate:g}). Try a lower --lr; the best "
            f"model so far, if any, is kept in the run folder."
        )


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Yields a question: has Ctrl-C been pressed? A second press interrupts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    pressed = threading.Event()
    before = signal.getsignal(signal.SIGINT)

    def on_press(number: int, frame: object) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, on_press)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)
