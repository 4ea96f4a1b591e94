"""Markers: spots of one grey value, at one place at the border or in a corner, in many images.

A picture's own content hardly ever has one and the same grey value at one place; what is drawn into it, a letter, a
logo, a clip, a frame, has. So of each image the outermost eighth is kept as cells of 1/64 of a side, and spots are
looked for without knowing the labels: windows of 8 grey values that more images hit at one place than hit the windows
around, in cells that differ from the picture just inside the border (a plain ground is no marker). Whether the labels
go with any of these spots is then a question of few numbers.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mirada.data.checks.cues import Codes, Flags, Floats, Parting
from mirada.data.checks.inspection import RIM, RIM_CELLS, RIM_SIDE, Inspection
from mirada.data.checks.kinds import Severity

LEAST = 0.15  # J beyond chance that is worth a word
STEP = 4  # grey values of a bin; a window is two
AROUND = (2, 6)  # bins on either side, from and to, that a window is compared with
APART = 16  # grey values by which a spot differs from the picture inside
SMALLEST = 16  # pixels of a side: below, a cell is a part of the content
FEWEST = 4  # images with a spot
SPOTS = 256  # that are looked at


class SpotCue:
    """The spots of all images, and which image has which.

    Args:
        looks: What was seen of the images.
    """

    name = "a marker"
    least = LEAST
    severity: Severity = "warning"
    implies: tuple[str, ...] = ()

    def __init__(self, looks: Sequence[Inspection]) -> None:
        self._rims = np.frombuffer(b"".join(look.rim for look in looks), dtype=np.uint8).reshape(
            len(looks), -1
        )
        inside = np.array([look.inside for look in looks], dtype=np.int16)
        small = np.array([min(look.size) < SMALLEST for look in looks])
        self._apart = np.abs(self._rims.astype(np.int16) - inside[:, None]) > APART
        self._apart &= ~small[:, None]

    @cached_property
    def _found(self) -> tuple[Codes, Codes]:
        """The cell and the lowest bin of each spot, those first that stand out most (M,)."""
        return _standing_out(self._rims, self._apart)

    @cached_property
    def _masks(self) -> NDArray[np.float32]:
        """Whether an image has a spot (N, M)."""
        cells, bins = self._found
        levels = self._rims[:, cells] // STEP
        return np.asarray((levels >= bins) & (levels <= bins + 1) & self._apart[:, cells], dtype=np.float32)

    @property
    def varies(self) -> bool:
        """Whether there is any spot."""
        return len(self._found[0]) > 0

    def strength(self, labels: Parting) -> Floats:
        """By how much more of a label's images than of the others have the spot that tells most (L,)."""
        return np.asarray(_scores(self._masks, labels).max(axis=0))

    def rule(self, rows: Codes, own: Flags) -> Flags:
        """Whether an image has the spot that tells most (N,)."""
        best = int(_scores(self._masks[rows], Parting.one(own[rows]))[:, 0].argmax())
        return np.asarray(self._masks[:, best] > 0)

    def box(self, own: Flags) -> tuple[float, float, float, float]:
        """Where the spot is: left, top, right, bottom, as shares of the upright picture's width and height."""
        row, column = divmod(int(RIM_CELLS[self._found[0][self._best(own)]]), RIM_SIDE)
        return column / RIM_SIDE, row / RIM_SIDE, (column + 1) / RIM_SIDE, (row + 1) / RIM_SIDE

    def where(self, own: Flags) -> str:
        """Where the spot is, in words: ``top left``."""
        return _place(int(self._found[0][self._best(own)]))

    def said(self, own: Flags) -> str:
        """``a spot at the top left, grey 248 to 255: 40 of its 150 images, 2 of the 450 others``."""
        best = self._best(own)
        cell, low = int(self._found[0][best]), int(self._found[1][best]) * STEP
        has = self._masks[:, best] > 0
        return (
            f"a spot at the {_place(cell)}, grey {low} to {low + 2 * STEP - 1}: {int((has & own).sum()):,} of its "
            f"{int(own.sum()):,} images, {int((has & ~own).sum()):,} of the {int((~own).sum()):,} others"
        )

    def _best(self, own: Flags) -> int:
        """The number of the spot that tells most."""
        return int(_scores(self._masks, Parting.one(own))[:, 0].argmax())


def _scores(masks: NDArray[np.float32], labels: Parting) -> Floats:
    """(p − q) / √(r (1 − r)), r the share in all: by it spots can be compared (M, L)."""
    count = len(masks)
    members = np.zeros((count, len(labels.unions)), dtype=np.float32)
    members[np.arange(count), labels.parts] = 1
    table = (masks.T @ members).astype(np.float64)
    own, others = labels.shares(table)
    share = table.sum(axis=1, keepdims=True) / count
    return np.asarray((own - others) / np.sqrt(np.maximum(share * (1 - share), 1 / count)))


def _standing_out(rims: NDArray[np.uint8], apart: Flags) -> tuple[Codes, Codes]:
    """Cell and bin of the windows that more images hit than the windows around make likely."""
    cells, width = rims.shape[1], 256 // STEP
    counts = np.zeros(cells * width, dtype=np.int64)
    for start in range(0, len(rims), 512):
        part = slice(start, start + 512)
        places = rims[part] // STEP + np.arange(cells) * width
        counts += np.bincount(places[apart[part]], minlength=cells * width)
    table = counts.reshape(cells, width)
    windows = table[:, :-1] + table[:, 1:]  # (cells, width − 1)
    first, last = AROUND
    padded = np.pad(windows, ((0, 0), (last, last)), mode="reflect")
    starts = [last + side * offset for side in (-1, 1) for offset in range(first, last + 1)]
    around = np.mean([padded[:, start : start + width - 1] for start in starts], axis=0)
    excess = np.where(windows >= FEWEST, (windows - around) / np.sqrt(around + 1), 0)
    order = np.argsort(-excess, axis=None, kind="stable")[:SPOTS]
    order = order[excess.ravel()[order] > 0]
    return order // (width - 1), order % (width - 1)


def _place(cell: int) -> str:
    """Where a cell of the rim lies, in words."""
    row, column = divmod(int(RIM_CELLS[cell]), RIM_SIDE)
    corner = RIM_SIDE // 4
    rows = "top" if row < corner else "bottom" if row >= RIM_SIDE - corner else ""
    columns = "left" if column < corner else "right" if column >= RIM_SIDE - corner else ""
    if not (rows and columns):
        rows, columns = (
            ("top" if row < RIM else "bottom" if row >= RIM_SIDE - RIM else ""),
            ("left" if column < RIM else "right" if column >= RIM_SIDE - RIM else ""),
        )
    return f"{rows} {columns}".strip()
