"""A ``Table`` → ``Index``: its columns are found, then read; of every row that cannot be used it is said why."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mirada.data.index import Index
from mirada.data.sources.boxes import by_image
from mirada.data.sources.by import notes_by, words_by
from mirada.data.sources.columns import Columns, Wanted
from mirada.data.sources.files import ImageFiles, Lookup
from mirada.data.sources.names import MISSING
from mirada.data.sources.roles import find_columns, split_words
from mirada.data.sources.tables import Table, not_divided
from mirada.data.sources.values import read_values
from mirada.errors import DataError, counted
from mirada.samples import SPLIT_NAMES, Excluded


def load_table(table: Table, wanted: Wanted, folder: Path, known: Sequence[str] | None) -> Index:
    """The index of a table: a row for each of its own, or of a table of boxes a row for each image.

    Args:
        table: With a row for each image, or for each box.
        wanted: What the caller says of its columns.
        folder: What its paths are relative to.
        known: The classes of a model.

    Returns:
        The samples; rows without a file, a target, a split or a covariate are in ``excluded``, by their number.

    Raises:
        DataError: For a column that is not there, cannot be what it is to be or could as well be another, an unknown
            split or class, or if no row can be used.
    """
    if table.undivided and not wanted.unlabeled:
        raise not_divided(table.name, table.undivided)
    files = ImageFiles(folder, Path(table.name).stem)
    columns = find_columns(table, wanted, files)
    looked = files.look_up(table.cells[columns.image.column], _splits(table, columns))
    without = f", read without {files.left_off}, which is not here" if files.left_off else ""
    notes = [*table.notes, f"image: {columns.image.name}{without}"]
    if columns.boxes:
        table, paths, boxes, excluded, about = by_image(table, columns, looked, unlabeled=wanted.unlabeled)
        notes = [*about, *notes]
    else:
        boxes, excluded = {}, _without_file(table, columns.image.column, columns.image.name, looked)
        table, paths = _with_file(table, looked)
    if not paths:
        raise _nothing_usable(
            table.name, folder, excluded, lost=not any(file.path or file.several for file in looked)
        )
    read = read_values(table, columns, wanted, known, paths)
    excluded += [
        Excluded(paths[row], f"row {table.numbers[row]}: {reason}")
        for row, reason in sorted(read.bad.items())
    ]
    usable = [row for row in range(len(paths)) if row not in read.bad]
    if not usable:
        raise _nothing_usable(table.name, folder, excluded, lost=False)
    notes += read.notes
    if several := sum(count > 1 for count in Counter([paths[row] for row in usable]).values()):
        notes.append(f"image: {counted(several, 'image')} in more than one row; each row counts as an image")
    index = Index(
        root=folder,
        paths=tuple(paths),
        target=read.target,
        targets=read.targets,
        splits=np.array(read.splits, dtype="<U5"),
        groups=read.groups,
        covariate_specs=read.covariates,
        covariates=read.covariate_values,
        by=words_by(table, columns.by),
        by_names=tuple(place.name for place in columns.by),
        excluded=tuple(excluded),
        columns=columns.names(),
    ).take(usable)
    own = {path: boxes[path] for path in index.paths if path in boxes}
    return replace(index, boxes=own, notes=(*notes, *notes_by(columns.by, index.by)))


def _splits(table: Table, columns: Columns) -> list[str]:
    """The split that each row says, "" for none; nothing without a column."""
    if columns.split is None:
        return []
    words = split_words(table.columns[columns.split.column], table.cells[columns.split.column])
    return [SPLIT_NAMES.get(word, "") for word in words]


def _with_file(table: Table, looked: Sequence[Lookup]) -> tuple[Table, list[str]]:
    """The rows whose file is there, and its path."""
    kept = [row for row, file in enumerate(looked) if file.path]
    cells = tuple(tuple(texts[row] for row in kept) for texts in table.cells)
    numbers = tuple(table.numbers[row] for row in kept)
    return replace(table, cells=cells, numbers=numbers), [looked[row].path for row in kept]


def _without_file(table: Table, column: int, name: str, looked: Sequence[Lookup]) -> list[Excluded]:
    """The rows whose file is not there, or there more than once."""
    excluded = []
    for cell, number, file in zip(table.cells[column], table.numbers, looked, strict=True):
        if not file.path:
            reason = f"no {name}" if cell.lower() in MISSING else file.reason
            excluded.append(Excluded(cell or table.name, f"row {number}: {reason}"))
    return excluded


def _nothing_usable(name: str, folder: Path, excluded: Sequence[Excluded], *, lost: bool) -> DataError:
    """What to raise if no row is left; ``lost`` says that no file was found."""
    first, rows = excluded[0], counted(len(excluded), "row")
    hint = (
        f" Paths are relative to {folder}; if this is the splits.csv of a run, load the data that it was made "
        f"from, with this file as `split`."
    )
    return DataError(
        f"{name}: of its {rows} none can be used; the first: {first.path}: {first.reason}.{hint if lost else ''}"
    )
