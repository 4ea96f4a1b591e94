"""Tables that lie beside folders of classes and list the same images: not used, said so, or refused as a rival."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote

from mirada.data.index import Index
from mirada.data.sources.files import ImageFiles
from mirada.data.sources.headers import Purpose, purposes
from mirada.data.sources.layout import tables_of_images
from mirada.data.sources.tables import Table, read_table
from mirada.errors import DataError

SAMPLED = 200  # rows, evenly spread, of which a table's images are looked up


def with_tables_beside(folder: Path, index: Index) -> Index:
    """The index with a note on each table in its folder that lists its images.

    Raises ``DataError`` if a table has a column of labels that says other classes than the folders do.
    """
    notes = list(index.notes)
    for file in tables_of_images(folder):
        if any(file.name in note for note in index.notes):  # its classes are used
            continue
        try:
            table = read_table(file)
        except DataError:  # nothing is asked of it
            continue
        kinds = purposes(table.columns)
        paths = _paths(table, kinds, ImageFiles(folder, paths=index.paths))
        if not paths:
            continue
        labels = [column for column, kind in enumerate(kinds) if kind is Purpose.LABEL]
        if labels and not any(_agrees(index, table.cells[column], paths) for column in labels):
            raise DataError(
                f"{folder}: its folders are classes, and the column {table.columns[labels[0]]} of {file.name} says "
                f"others of the same images. To learn the column, name the table: mirada train {quote(str(file))}; to "
                f"learn the folders, move the table elsewhere."
            )
        notes.append(f"not used: {file.name}, which lists these images (name it to learn from it)")
    return replace(index, notes=tuple(notes))


def _paths(table: Table, kinds: Sequence[Purpose], files: ImageFiles) -> dict[int, str]:
    """The images of some rows, "" where several are called so, if a column names them; else none."""
    rows = range(0, len(table.numbers), max(1, len(table.numbers) // SAMPLED))
    for column in (column for column, kind in enumerate(kinds) if kind in (Purpose.IMAGE, Purpose.IDENTITY)):
        looked = files.look_up([table.cells[column][row] for row in rows])
        found = {row: file.path for row, file in zip(rows, looked, strict=True) if file.path or file.several}
        if 2 * len(found) >= len(rows):
            return found
    return {}


def _agrees(index: Index, labels: Sequence[str], paths: dict[int, str]) -> bool:
    """Whether labels go with the classes of the folders, one with one, by name or by another, such as a number."""
    names = index.classes
    class_of = {path: names[number] for path, number in zip(index.paths, index.targets.tolist(), strict=True)}
    pairs = {(class_of[path], labels[row]) for row, path in paths.items() if path in class_of and labels[row]}
    if not pairs:
        return {labels[row] for row in paths} <= {*names, ""}
    return len(pairs) == len({name for name, _ in pairs}) == len({label for _, label in pairs})
