"""The model file of the best epoch, written when it is worth the time."""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import inf
from pathlib import Path

from torch import Tensor

from mirada.errors import CheckpointError
from mirada.layers.network import Network
from mirada.modelfile import Card, save_weights

PAUSE = (
    5.0  # seconds between two writings: a file of many weights takes longer than an epoch on kept features
)


class BestModel:
    """Keeps the best model of a network in a file: at once, or in memory if the file was written a moment ago.

    Args:
        file: The model file.
        card: What the file says.
        on_failure: Hears why the disk does not take the file, which then waits in memory.
    """

    def __init__(self, file: Path, card: Card, on_failure: Callable[[str], None]) -> None:
        self.file = file
        self.card = card
        self.on_failure = on_failure
        self.written = -inf
        self.waiting: Mapping[str, Tensor] = {}

    def take(self, judged: Network) -> None:
        """Holds a network to be the best so far, as it is now."""
        if time.monotonic() - self.written < PAUSE:
            self.waiting = _copy(judged)
            return
        try:
            self._write(judged.state_dict())
        except CheckpointError as error:
            self.waiting, self.written = _copy(judged), time.monotonic()
            self.on_failure(f"{error} The best model is kept in memory until it can be written.")

    def flush(self) -> None:
        """Writes what still waits. Raises ``CheckpointError`` if the disk does not take it."""
        if self.waiting:
            self._write(self.waiting)

    def held(self) -> "Held":
        """What the file holds, or would if it were written now."""
        return Held(self.file, self.card, self.waiting)

    def _write(self, tensors: Mapping[str, Tensor]) -> None:
        save_weights(self.file, tensors, self.card)
        self.written, self.waiting = time.monotonic(), {}


class Held:
    """The best model at one moment, to be kept under another name.

    Args:
        file: The model file; it may be another one later.
        card: What it says.
        waiting: The tensors that were not yet written; none if the file was the latest.
    """

    def __init__(self, file: Path, card: Card, waiting: Mapping[str, Tensor]) -> None:
        self.file = file
        self.card = card
        self.waiting = waiting

    def link(self, name: Path) -> None:
        """Gives the file a second name, if nothing waits: it costs nothing, and outlives what replaces the file."""
        if not self.waiting and self.file.exists():
            keep(self.file, name)

    def write(self, name: Path) -> None:
        """Writes what waits, if anything does, under a name. Raises ``CheckpointError`` if it cannot be written."""
        if self.waiting:
            save_weights(name, self.waiting, self.card)


def keep(file: Path, name: Path) -> None:
    """A second name for a file, or a copy where a file can have but one; what had that name is replaced."""
    draft = name.with_name(f".{os.urandom(8).hex()}{name.suffix}")
    try:
        try:
            os.link(file, draft)
        except OSError:
            shutil.copyfile(file, draft)
        draft.replace(name)
    finally:
        draft.unlink(missing_ok=True)


def _copy(network: Network) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


@contextmanager
def keeping_best(file: Path, card: Card, on_failure: Callable[[str], None]) -> Iterator[BestModel]:
    """The keeper of a run's best model, whose file is complete at the end, however that comes."""
    best = BestModel(file, card, on_failure)
    try:
        yield best
    finally:
        best.flush()
