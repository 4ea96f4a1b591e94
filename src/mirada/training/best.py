"""The model file of the best epoch, written when it is worth the time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path

from torch import Tensor

from mirada.layers.network import Network
from mirada.modelfile import Card, save_model

PAUSE = (
    5.0  # seconds between two writings: a file of many weights takes longer than an epoch on kept features
)


class BestModel:
    """Keeps the best model of a network in a file: at once, or in memory if the file was written a moment ago.

    Args:
        file: The model file.
        network: One of its kind, whose weights are for a moment others while the file is written.
        card: What the file says.
    """

    def __init__(self, file: Path, network: Network, card: Card) -> None:
        self.file = file
        self.network = network
        self.card = card
        self.written = -inf
        self.waiting: dict[str, Tensor] = {}

    def take(self, judged: Network) -> None:
        """Holds a network to be the best so far, as it is now."""
        if time.monotonic() - self.written < PAUSE:
            self.waiting = _copy(judged)
        else:
            self._write(judged)

    def flush(self) -> None:
        """Writes what still waits; the network is afterwards as it was before."""
        if self.waiting:
            now = _copy(self.network)
            self.network.load_state_dict(self.waiting)
            try:
                self._write(self.network)
            finally:
                self.network.load_state_dict(now)

    def _write(self, judged: Network) -> None:
        save_model(self.file, judged, self.card)
        self.written, self.waiting = time.monotonic(), {}


def _copy(network: Network) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


@contextmanager
def keeping_best(file: Path, network: Network, card: Card) -> Iterator[BestModel]:
    """The keeper of a network's best model, whose file is complete at the end, however that comes."""
    best = BestModel(file, network, card)
    try:
        yield best
    finally:
        best.flush()
