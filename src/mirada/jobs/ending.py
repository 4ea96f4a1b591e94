"""The end of a run, however it comes: a report says how far it came, and a folder that is gone is named."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from mirada.errors import DataError, TrainingError
from mirada.pages import write_report
from mirada.processes.ranks import here
from mirada.runs.folder import RunFolder
from mirada.runs.records import EnvironmentRecord
from mirada.training.interrupt import interruptible


class LastPage:
    """The report of a run, written once: when all is done, or when the run ends before that.

    Args:
        folder: Of the run.
        environment: Where it was made.
    """

    def __init__(self, folder: RunFolder, environment: EnvironmentRecord) -> None:
        self.folder = folder
        self.environment = environment
        self.is_written = False

    def write(self) -> None:
        """Writes how long the run took, and the report; of several processes the first one does."""
        self.folder.write(
            "environment.json", replace(self.environment, seconds=round(self.folder.seconds, 2))
        )
        if here().first:
            write_report(self.folder.path)
        self.is_written = True


@contextmanager
def together() -> Iterator[None]:
    """Around what all processes do: one that is told to stop does not leave the others in the middle of it.

    All of them raise ``KeyboardInterrupt`` at its end. A process that is alone does at once.
    """
    if here().size == 1:
        yield
        return
    with interruptible() as presses:
        yield
        pressed = presses()
    if pressed:
        raise KeyboardInterrupt


@contextmanager
def reported(folder: RunFolder, environment: EnvironmentRecord) -> Iterator[LastPage]:
    """Leaves a report of how far a run came, also of one that fails; none where nobody waits for it.

    Raises ``TrainingError`` if the folder is gone.
    """
    page = LastPage(folder, environment)
    try:
        try:
            yield page
        except KeyboardInterrupt:  # a second press waits for nothing; ``mirada report`` can write it
            raise
        except BaseException:
            with suppress(OSError, DataError):  # what has ended the run is what has to be told
                page.write()
            raise
        if not page.is_written:
            page.write()
    except (OSError, DataError) as error:
        if folder.path.is_dir():
            raise
        raise TrainingError(
            f"{folder.path}: the run folder has disappeared while the run was writing into it, and its results with "
            f"it. Train again, and leave the folder where it is."
        ) from error
