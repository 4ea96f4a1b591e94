"""Which training images an epoch visits, and in which order: a pure function of (seed, epoch)."""

import numpy as np
from numpy.typing import NDArray

from mirada.data.batches import generator

Rows = NDArray[np.int64]


def visits(labels: Rows) -> int:
    """How many images a balanced epoch shows for the class numbers (n,) of the training images: K · ⌈n / K⌉."""
    classes = len(np.unique(labels))
    return classes * -(-len(labels) // classes)


def balanced(rows: Rows, labels: Rows, *, seed: int, epoch: int) -> Rows:
    """The rows of an epoch in which every class comes equally often, in the order of the visits.

    ``labels`` are the class numbers of ``rows``, both (n,). Of a class with fewer than ⌈n / K⌉ images all are shown
    as often as the others, or once more; of a class with more, a part that changes from epoch to epoch.
    """
    random = generator(seed, epoch)
    classes = np.unique(labels)
    share = visits(labels) // len(classes)
    drawn = [_over_and_over(rows[labels == label], share, random) for label in classes]
    return random.permutation(np.concatenate(drawn))


def _over_and_over(rows: Rows, count: int, random: np.random.Generator) -> Rows:
    """``count`` rows: all of them in a random order, then all of them in another, …"""
    rounds = -(-count // len(rows))
    return np.concatenate([random.permutation(rows) for _ in range(rounds)])[:count]
