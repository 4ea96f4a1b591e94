"""The index of a data set: its samples, where they lie, what was left out, and what was inferred."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from mirada.samples import SPLITS, Box, Classes, Excluded, Samples, Source


@dataclass(frozen=True, kw_only=True, eq=False)
class Index(Samples):
    """All samples of a data set, one row each.

    Args:
        root: The folder that ``paths`` are relative to.
        boxes: Rectangles by path.
        excluded: Files that were found and left out, and why.
        source: How it was loaded; None for an index made by hand.
        columns: Those of a table that are the image, the target, or targets, and the group, whether named or found.
        notes: The sentences on what was inferred, to be shown.

    The others are those of ``Samples``.

    Raises:
        DataError: The columns do not fit each other.
    """

    root: Path
    boxes: Mapping[str, tuple[Box, ...]] = field(default_factory=dict)
    excluded: tuple[Excluded, ...] = ()
    source: Source | None = None
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def origin(self) -> Path:
        """What to load to have this index again: its source, or else its root."""
        return self.source.path if self.source else self.root

    def path(self, row: int) -> Path:
        """The file of one row.

        Args:
            row: 0 … N − 1.

        Returns:
            The path below ``root``; one image of a container has ``#`` and its number behind the file's name.
        """
        return self.root / self.paths[row]

    def without(self, bad: Sequence[Excluded]) -> Self:
        """The index without some of its files, which are counted as left out instead.

        Args:
            bad: Files, as they are in ``paths``, and why they are left out.

        Returns:
            The other rows in their order, with ``bad`` at the end of ``excluded``.
        """
        names = {item.path for item in bad}
        kept = self.take([row for row, path in enumerate(self.paths) if path not in names])
        return replace(kept, excluded=(*self.excluded, *bad))

    def counts(self) -> dict[str, dict[str, int]]:
        """How many images there are per split and class.

        Returns:
            ``{"train": {"cat": 3, "dog": 0}}``: splits without images are left out, and so are images without a
            split. For numbers, the unit (or ``value``) stands in place of the classes.
        """
        table: dict[str, dict[str, int]] = {}
        for split in SPLITS:
            rows = self.rows(split)
            if len(rows) == 0:
                continue
            match self.target:
                case Classes(names):
                    numbers = Counter(int(target) for target in self.targets[rows])
                    table[split] = {name: numbers[number] for number, name in enumerate(names)}
                case _:
                    table[split] = {self.target.unit or "value": len(rows)}
        return table
