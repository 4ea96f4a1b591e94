"""Splits that were saved, ``splits.csv``, or are in any table with the columns path and split → the index's."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from mirada.data.index import Index
from mirada.data.sources.names import made_equal
from mirada.data.sources.tables import Table, written_table
from mirada.errors import DataError
from mirada.samples import SPLIT_NAMES, Excluded
from mirada.text import csv_value


def read_splits(file: Path, index: Index, *, missing_ok: bool = False) -> Index:
    """The index with the splits of a table by ``save_splits``, or of any table with the columns path and split.

    Images of the index that the table does not name join ``excluded``. The table's groups, if it has any, become those
    of an index without.

    Raises ``DataError`` for a file that is no such table, and, unless ``missing_ok``, for paths in it that the index
    does not have.
    """
    named = _named(written_table(file))
    in_table = dict(zip(made_equal(named), named, strict=True))
    paths = [*index.paths, *(item.path for item in index.excluded)]
    names = {  # as the table has them: as they are, but for spaces at the ends, or else as they look
        path: path.strip() if path.strip() in named else in_table.get(equal)
        for path, equal in zip(paths, made_equal(paths), strict=True)
    }
    unknown = sorted(named.keys() - names.values())
    if unknown and not missing_ok:
        raise DataError(
            f"{file}: {len(unknown):,} of the files that it names are not in {index.origin}, {unknown[0]} first. "
            f"Use the table with the data that it was made from."
        )
    index = index.without(
        [Excluded(path, f"{file.name} does not name it") for path in index.paths if names[path] is None]
    )
    saved = [named[names[path] or ""] for path in index.paths]
    groups = tuple(group for _, group in saved)
    return replace(
        index,
        splits=np.array([split for split, _ in saved], dtype="<U5"),
        groups=index.groups or (groups if any(groups) else ()),
    )


def _named(table: Table) -> Mapping[str, tuple[str, str]]:
    """Path → split and group, which is empty where there is none. A table's cells are stripped, and so the paths."""
    places = {column.lower(): place for place, column in enumerate(table.columns)}
    if not {"path", "split"} <= places.keys():
        raise DataError(
            f"{table.name}: expected a table with the columns path and split; it has {', '.join(table.columns)}."
        )
    paths = [csv_value(cell).strip() for cell in table.cells[places["path"]]]  # as save_splits wrote them
    words = table.cells[places["split"]]
    groups = table.cells[places["group"]] if "group" in places else ("",) * len(paths)
    named: dict[str, tuple[str, str]] = {}
    for number, path, word, group in zip(table.numbers, paths, words, groups, strict=True):
        split = SPLIT_NAMES.get(word.lower())
        if split is None:
            raise DataError(f'{table.name}: row {number}: a split is train, val or test. Got "{word}".')
        before, _ = named.setdefault(path, (split, group))
        if before != split:
            raise DataError(f"{table.name}: row {number}: {path} is in {before} and in {split}.")
    return named
