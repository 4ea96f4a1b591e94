"""The run folder as a process sees it that trains in it, while another one writes."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mirada.events import EpochDone, Event
from mirada.runs.folder import Marks, RunFolder


class OnlookerFolder(RunFolder):
    """A run folder of which one process only reads: what it would write goes to a place that is thrown away.

    Args:
        path: Of the run, which another process has made.
        is_new: Whether it has just done so.
    """

    def __init__(self, path: Path, *, is_new: bool) -> None:
        super().__init__(path)
        self.is_new = is_new
        self._away = tempfile.TemporaryDirectory(prefix="mirada-")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nothing: the process that writes holds the lock."""
        yield

    def discard(self) -> None:
        """Nothing: the process that has made the folder takes it away."""

    def file(self, name: str) -> Path:
        """A path to write to that nobody reads."""
        place = Path(self._away.name) / name
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def event(self, event: Event) -> None:
        """Nothing."""

    def result(self, done: EpochDone) -> None:
        """Nothing."""

    def watched(self, epoch: int, norms: Mapping[str, float]) -> None:
        """Nothing."""

    def rewind(self, marks: Marks) -> None:
        """Nothing."""

    def touch(self) -> None:
        """Nothing."""
