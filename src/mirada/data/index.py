"""The table of samples that every other room reads: path, target, split; class names or the target's unit."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from mirada.errors import DataError

Task = Literal["classification", "regression"]
SPLITS = ("train", "val", "test")
SPLIT_NAMES = {
    "train": "train", "training": "train", "training_set": "train",
    "val": "val", "valid": "val", "validation": "val", "validation_set": "val",
    "test": "test", "testing": "test", "test_set": "test",
}  # fmt: skip  # what folders and columns call them, in small letters


@dataclass(frozen=True)
class Excluded:
    """A file that is left out, and why. ``path`` is relative to the index's root."""

    path: str
    reason: str


@dataclass(frozen=True)
class Box:
    """A labelled rectangle in an image, in pixels of the upright image, ends not included."""

    label: str
    left: float
    top: float
    right: float
    bottom: float


def _no_numbers() -> NDArray[np.float64]:
    return np.empty((0, 0))


@dataclass(frozen=True, kw_only=True)
class Index:
    """All samples of a data set, one row each.

    ``paths`` are relative to ``root`` and use ``/``. ``targets`` holds class numbers (int64) for classification
    and values in ``unit`` (float64) for regression, (N,) or, for several numbers at once, (N, T); a negative class
    number or NaN marks a sample without a target. ``target_names`` are the columns that several targets come from.
    ``splits`` says ``train``, ``val`` or ``test`` per row. ``excluded`` are files found and left out.

    ``groups`` names what must not be divided between splits, such as the patient; empty, or one per row.
    ``covariates`` (N, K) are numbers that are known beside the image; ``covariate_names`` has K, of which ``sex=M|F``
    is 1 for M and 0 for F, ``site=A`` 1 for A and 0 for all else. ``boxes`` are rectangles by path.

    ``source`` is what was loaded where that is not the root: the table, the file of arrays. ``options`` are the words
    of the command line that go with it; ``columns`` are those of a table that are the image, the target, or targets,
    and the group, whether named or found. ``notes`` are the sentences on what was inferred, to be shown.

    Raises ``DataError`` if the columns do not have the same length.
    """

    root: Path
    paths: tuple[str, ...]
    targets: NDArray[np.int64] | NDArray[np.float64]
    splits: NDArray[np.str_]
    task: Task = "classification"
    classes: tuple[str, ...] = ()
    unit: str = ""
    target_names: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    covariates: NDArray[np.float64] = field(default_factory=_no_numbers)
    covariate_names: tuple[str, ...] = ()
    boxes: Mapping[str, tuple[Box, ...]] = field(default_factory=dict)
    excluded: tuple[Excluded, ...] = field(default=())
    source: Path | None = None
    options: tuple[str, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.covariate_names:
            object.__setattr__(self, "covariates", np.empty((len(self.paths), 0)))
        self._require_beside()
        lengths = {len(self.paths), len(self.targets), len(self.splits)}
        if len(lengths) > 1:
            raise DataError(
                f"The columns of an Index must have the same length. Got {len(self.paths)} paths, "
                f"{len(self.targets)} targets and {len(self.splits)} splits."
            )
        unknown = set(np.unique(self.splits)) - set(SPLITS)
        if unknown:
            raise DataError(f"A split is called train, val or test. Got {', '.join(sorted(unknown))}.")

    def _require_beside(self) -> None:
        """Raises ``DataError`` if what is known beside the images has not one row for each."""
        expected = (len(self.paths), len(self.covariate_names))
        if self.covariates.shape != expected:
            raise DataError(f"The covariates of an Index must be {expected}. Got {self.covariates.shape}.")
        if len(self.groups) not in (0, len(self.paths)):
            raise DataError(
                f"The groups of an Index must be none or one per row. Got {len(self.groups)} groups and "
                f"{len(self.paths)} paths."
            )

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def origin(self) -> Path:
        """What to load to have this index again: its source, or else its root."""
        return self.source or self.root

    def rows(self, split: str) -> NDArray[np.int64]:
        """The row numbers of one split, in order."""
        return np.flatnonzero(self.splits == split)

    def path(self, row: int) -> Path:
        """The file of one row."""
        return self.root / self.paths[row]

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Self:
        """The same index with these rows only."""
        chosen = np.asarray(rows, dtype=np.int64)
        return replace(
            self,
            paths=tuple(self.paths[row] for row in chosen),
            targets=self.targets[chosen],
            splits=self.splits[chosen],
            groups=tuple(self.groups[row] for row in chosen) if self.groups else (),
            covariates=self.covariates[chosen],
        )

    def without(self, bad: Sequence[Excluded]) -> Self:
        """The same index without the files named in ``bad``, which join ``excluded``."""
        names = {item.path for item in bad}
        kept = self.take([row for row, path in enumerate(self.paths) if path not in names])
        return replace(kept, excluded=(*self.excluded, *bad))

    def counts(self) -> dict[str, dict[str, int]]:
        """Images per split and class (``{"train": {"cat": 3}}``); for regression the class is the unit."""
        table: dict[str, dict[str, int]] = {}
        for split in SPLITS:
            rows = self.rows(split)
            if len(rows) == 0:
                continue
            if self.task == "regression":
                table[split] = {self.unit or "value": len(rows)}
                continue
            numbers = Counter(int(target) for target in self.targets[rows])
            table[split] = {name: numbers[number] for number, name in enumerate(self.classes)}
        return table
