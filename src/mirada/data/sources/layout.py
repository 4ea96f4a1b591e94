"""Which table a path means: itself, or the only one in a folder that has nothing else to go by."""

from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from mirada.data.sources.listing import FolderListing, is_own_table, split_named
from mirada.data.sources.lists import pixels_folder
from mirada.data.sources.names import BOX_TABLE, is_table


def table_at(path: Path) -> Path | None:
    """The table that a path names, or that is all there is to go by in a folder; None if there is none."""
    if path.is_dir():
        return _only_table(path)
    return path if path.is_file() and is_table(path) else None


def _only_table(folder: Path) -> Path | None:
    """The table of a folder that holds nothing else to go by: at most one sub-folder, and a single CSV file."""
    tables = _tables(folder)
    if len(tables) != 1:
        return None
    folders = FolderListing().folders(folder)
    if len(folders) > 1 or pixels_folder(folder) != folder:
        return None
    return None if any(map(split_named, folders)) else tables[0]


def instead_of_a_table(path: Path) -> str:
    """What there is where a column was named and there is no table."""
    meant = tables_of_images(path) if path.is_dir() else []
    return f"a folder was given. {_tables_in(meant)}" if meant else "there is no table here."


def tables_of_images(folder: Path) -> list[Path]:
    """The tables directly in a folder, without that of boxes, which belongs to the folder's images."""
    return [file for file in _tables(folder) if file.name != BOX_TABLE]


def tables_hint(folder: Path) -> str:
    """That a folder has tables, to add to what is wrong with it; "" if it has none."""
    tables = _tables(folder)
    return f" {_tables_in(tables)}" if tables else ""


def _tables_in(tables: Sequence[Path]) -> str:
    names, train = ", ".join(file.name for file in tables), ("train.csv", "train.tsv")
    first = next((file for file in tables if file.name.lower() in train), tables[0])
    return (
        f"There {'is a table' if len(tables) == 1 else 'are tables'} in it, too ({names}): if one lists the images, "
        f"name it: mirada train {quote(str(first))}"
    )


def _tables(folder: Path) -> list[Path]:
    """The tables of images directly in a folder, sorted."""
    return sorted(
        child
        for child in folder.iterdir()
        if child.suffix.lower() in (".csv", ".tsv")
        and child.is_file()
        and not child.name.startswith(".")
        and not is_own_table(child)
    )
