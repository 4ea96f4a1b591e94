"""The figures of every epoch as TensorBoard reads them, for those who watch many runs in one window."""

from pathlib import Path
from typing import Any

from mirada.errors import RecipeError, reason_of
from mirada.events import EpochDone, Event, NotSaved, OnEvent, Stopped
from mirada.runs.folder import FULL, RESULTS

FOLDER = "tensorboard"  # in the run folder


class TensorBoard:
    """Hears the events of a run and writes an event file into ``tensorboard/``; a run that goes on begins another one.

    Args:
        folder: The run folder.
        tell: Hears of a disk that is full, which ends these figures and nothing else.

    Raises:
        RecipeError: tensorboardX is not installed.
    """

    def __init__(self, folder: Path, tell: OnEvent) -> None:
        self.folder = folder / FOLDER
        self.tell = tell
        self.is_full = False
        self.writer: Any = None  # made with the first figures, so that a run that fails before leaves none
        require_tensorboard()

    def on_event(self, event: Event) -> None:
        """Writes the figures of an epoch, which is the step that they stand at; ends with the training."""
        if self.is_full:
            return
        try:
            self._hear(event)
        except OSError as error:
            if error.errno not in FULL:
                raise
            self.is_full = True  # what is left is not closed, for that would write again
            self.tell(
                NotSaved(
                    f"No figures for TensorBoard could be written to {self.folder} ({reason_of(error)}); training goes "
                    f"on without them, and {RESULTS} has them all."
                )
            )

    def _hear(self, event: Event) -> None:
        if isinstance(event, Stopped) and self.writer:
            self.writer.close()  # flushing alone may leave the last figures on their way
        if not isinstance(event, EpochDone):
            return
        if self.writer is None:
            from tensorboardX import SummaryWriter

            self.writer = SummaryWriter(str(self.folder))
        plain = {
            "loss/training": event.train_loss,
            "loss/validation": event.val_loss,
            "learning_rate": event.lr,
            "images_per_second": event.images_per_second,
        }
        validated = {
            f"validation/{name}": value for name, value in event.metrics.items() if value is not None
        }
        for name, value in (plain | validated).items():
            self.writer.add_scalar(name, value, event.epoch)
        self.writer.flush()  # after every epoch: somebody is looking


def require_tensorboard() -> None:
    """Raises ``RecipeError`` if what writes the files is not installed."""
    from importlib.util import find_spec

    if find_spec("tensorboardX") is None:
        raise RecipeError(
            "`tensorboard` needs tensorboardX, which is not installed: pip install 'mirada[tensorboard]'."
        )
