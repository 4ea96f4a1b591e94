"""What is judged: images, and two questions to a model: what it answers, and where its map lies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirada.data.pixels.fit import resize_to_photo
from mirada.judging.perturb import Pixels
from mirada.judging.verdict import Floats

Grid = NDArray[np.float32]  # (h, w), a map on its own grid
Rows = NDArray[np.int64]
Score = Callable[[Sequence[Pixels], Rows], Floats]
Maps = Callable[[Sequence[Pixels], Rows], list[Grid]]

ROUNDING = 1e-6  # of float32, relative: what is smaller is no difference between places


@dataclass(frozen=True, eq=False)
class Subject:
    """N images as a network reads them, and what is asked of it; nothing here knows a network.

    Args:
        images: N decoded images, (H, W, C) of 8 or 16 bits.
        maps: The map of each, (h, w), signed, for one class or number per image.
        score: (M images, their rows in ``images``) → what the network says of that class or number, (M,): a
            probability, or a value in its unit.
        explain: (M images, their rows) → their maps.
        level: The mean colour of the data, per channel, as a share of white.
        groups: A group per image, such as the patient; None where images are independent.
        seed: Draws all that is random.
        probability: Whether the score is one.
        unit: Of the score.
    """

    images: Sequence[Pixels]
    maps: Sequence[Grid]
    score: Score
    explain: Maps
    level: tuple[float, ...]
    groups: NDArray[Any] | None = None
    seed: int = 0
    probability: bool = True
    unit: str = ""

    def groups_of(self, rows: Rows) -> NDArray[Any] | None:
        """The groups of some rows; None where images are independent."""
        return None if self.groups is None else self.groups[rows]

    @property
    def uneven(self) -> Rows:
        """The rows whose map has different values at different places; the others name no place."""
        return np.array([row for row, grid in enumerate(self.maps) if not constant(grid)], dtype=np.int64)


def constant(grid: Grid) -> bool:
    """Whether a map has one value everywhere."""
    return bool(np.ptp(grid) <= ROUNDING * np.abs(grid).max())


def on_input(grid: Grid, size: tuple[int, int]) -> Grid:
    """A map (h, w) on the pixels of the network's input (H, W)."""
    return resize_to_photo(grid, size=size, policy="stretch", original=size)
