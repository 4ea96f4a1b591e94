"""When a training run saves: by time or by epochs, beside the steps, and at once when it is told to stop."""

import threading
import time
from collections.abc import Container

from torch import Tensor

from mirada.errors import MiradaError, reason_of
from mirada.events import NotSaved, OnEvent
from mirada.runs.folder import CHECKPOINTS, Marks, RunFolder
from mirada.training.best import Held
from mirada.training.checkpoints import BESIDE, Checkpoint, SavedAt, write_checkpoint
from mirada.training.pace import Pace
from mirada.training.state import TrainState

SHARE = 0.02  # of the time, that saving may take where nobody says how often
LEAST = 30.0  # seconds between two checkpoints then: a run of seconds does not save
STALL = 0.05  # of the time between two checkpoints, that the steps may have to wait for them
AGAIN = 10.0  # seconds after which a disk that was full is tried again


class Saver:
    """Takes the checkpoints of a run: copies its state between two steps, and writes it in another thread.

    Args:
        folder: Of the run.
        pace: How often.
        on_event: Hears of a disk that does not take one.
    """

    def __init__(self, folder: RunFolder, pace: Pace, on_event: OnEvent) -> None:
        self.folder = folder
        self.pace = pace
        self.on_event = on_event
        self.last = time.monotonic()
        self.epoch = 0  # of the last one
        self.stall = self.cost = (
            0.0  # seconds that the steps waited for the last one, and that it took in all
        )
        self.thread: threading.Thread | None = None
        self.problem = ""
        self.told = False  # that the disk takes no more

    def due(self, state: TrainState) -> bool:
        """Whether it is time for a checkpoint, and none is being written."""
        if self.thread:
            if self.thread.is_alive():
                return False
            self._conclude()
        passed = time.monotonic() - self.last
        if passed < self.stall / STALL:
            return False
        if self.pace.epochs:
            return state.batch == 0 and state.epoch >= self.epoch + self.pace.epochs
        return passed >= (self.pace.seconds or max(LEAST, self.cost / SHARE))

    def take(self, state: TrainState, best: Held, marks: Marks | None = None) -> None:
        """Begins a checkpoint of this moment; training may go on at once.

        Args:
            state: Of the training.
            best: The best model so far.
            marks: How far the run's files count, if not as far as they are.
        """
        began = self.last = time.monotonic()
        self.epoch = state.epoch
        counted = self.folder.marks() if marks is None else marks
        moment = SavedAt(step=state.step, epoch=state.epoch, best=state.best.epoch, marks=counted)
        try:
            self.folder.settle()
            best.link(self.folder.file(f"{CHECKPOINTS}/{BESIDE}-{moment.name}"))
        except OSError as error:
            self._failed(reason_of(error))
            return
        tensors = {name: _copy(value) for name, value in state.tensors().items()}
        self.stall = time.monotonic() - began
        checkpoint = Checkpoint(moment, tensors)
        masks = {name for name, value in state.network.named_buffers() if not value.isfinite().all()}
        self.thread = threading.Thread(target=self._write, args=(checkpoint, best, began, masks), daemon=True)
        self.thread.start()

    def trained(self, state: TrainState, best: Held, marks: Marks) -> None:
        """Begins a checkpoint of the end of training, if the run has been long enough that this costs little.

        The evaluation may take long, too, and whoever is killed in it need not train again.

        Args:
            state: After the last step.
            best: The best model.
            marks: How far the run's files count.
        """
        self.wait()
        if self.folder.seconds >= max(LEAST, self.cost / SHARE):
            self.take(state, best, marks)

    def save(self, state: TrainState, best: Held, marks: Marks | None = None) -> None:
        """Takes a checkpoint and waits until it is there; a disk that does not take it is told of."""
        self.wait()
        self.take(state, best, marks)
        self.wait()

    def wait(self) -> None:
        """Waits for the checkpoint that is being written."""
        if self.thread:
            self.thread.join()
            self._conclude()

    def _write(self, checkpoint: Checkpoint, best: Held, began: float, masks: Container[str]) -> None:
        """In the other thread: what goes wrong is told by the one that trains.

        A state that is broken is not kept: the next loss will say so. ``masks`` are buffers of the network that may be
        infinite, as those of a module of one's own.
        """
        names = [name for name in checkpoint.tensors if "." in name and name.partition(".")[2] not in masks]
        try:
            if all(bool(checkpoint.tensors[name].isfinite().all()) for name in names):
                self.folder.sync()
                write_checkpoint(self.folder, checkpoint, best)
        except OSError as error:
            self.problem = reason_of(error)
        except MiradaError as error:
            self.problem = str(error)
        self.cost = time.monotonic() - began

    def _conclude(self) -> None:
        self.thread = None
        problem, self.problem = self.problem, ""
        if problem:
            self._failed(problem)
        else:
            self.told = False

    def _failed(self, reason: str) -> None:
        """Lets the next one come soon, and says so once until one is written."""
        self.last = time.monotonic() - max(0.0, (self.pace.seconds or LEAST) - AGAIN)
        if self.told:
            return
        self.told = True
        self.on_event(
            NotSaved(
                f"No checkpoint could be written to {self.folder.path / CHECKPOINTS} ({reason.rstrip('.')}); training "
                f"goes on and tries again, and the checkpoint before is whole."
            )
        )


def _copy(value: Tensor) -> Tensor:
    """A tensor as it is now, on the processor."""
    return value.detach().to("cpu", copy=True)
