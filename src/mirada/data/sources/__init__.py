"""Whatever images come in → ``Index``: folders, tables, data frames, IDX and NPZ. Nothing is decoded here."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mirada.data.index import Index
from mirada.data.pixels.arrays import is_idx, is_npz
from mirada.data.sources.boxes import BOX_TABLE, load_table, load_voc, voc_files
from mirada.data.sources.folders import load_folder
from mirada.data.sources.listing import Listing, is_predictions, listed, split_named
from mirada.data.sources.lists import pixels_folder
from mirada.data.sources.packed import idx_files, load_idx, load_npz
from mirada.data.sources.patients import with_patients
from mirada.data.sources.roles import Wanted
from mirada.data.sources.tables import TABLES, is_frame, read_table, table_of_frame
from mirada.data.sources.values import NUMBER
from mirada.errors import DataError, InvalidArgument, reason_of
from mirada.samples import SPLIT_NAMES as SPLIT_NAMES
from mirada.samples import Classes, Numbers, Task

WORKBOOKS = (".xls", ".xlsm", ".xlsx")

if TYPE_CHECKING:
    from pandas import DataFrame  # type: ignore[import-untyped]  # nothing of it is needed to run


def load_data(
    root: "str | Path | DataFrame",
    *,
    classes: Sequence[str] | None = None,
    target: str | Sequence[str] | None = None,
    image: str | None = None,
    group: str | None = None,
    split: str | Path | None = None,
    covariates: str | Sequence[str] = (),
    task: Task | None = None,
) -> Index:
    """Lists the images of a folder, a table, a pandas data frame, IDX files or an NPZ file.

    A folder has one sub-folder per class, with or without split folders above them; or MNIST's IDX files; or VOC's
    XML files with their images; or a single table. Without splits every row is ``train``; training sets a validation
    and a test part aside. Hidden files are passed over; what else cannot be used is named in ``excluded``.

    A table has a row for each image; paths are relative to its folder. ``image``, ``target``, ``group``, ``split``
    and ``covariates`` are its columns; image and target are found if they are not named. Several targets are numbers,
    ``target="x,y"`` as well as ``("x", "y")``; ``age (months)`` says the unit of the column ``age``. A numeric target
    makes a regression, a text classes, unless ``task`` says otherwise. ``notes`` say what was inferred.

    Of a table with a row for each box every image is a row once, with its boxes; its class is that of the largest.

    ``classes`` are those of a model, in its order, which the data's must then be among. ``split`` may also be a table
    of splits that training has saved, ``splits.csv``.

    Raises ``DataError`` for what cannot be used: nothing there, no images, a single class without boxes, a class
    without an image, a column or class that is not there. ``InvalidArgument`` for columns without a table, and
    arguments of another type.
    """
    one = {"image": image, "group": group}
    _require_texts({**one, "target": target, "covariates": covariates, "classes": classes}, single=tuple(one))
    _require_paths(root, split)
    saved = Path(split) if split is not None and Path(split).suffix.lower() in TABLES else None
    column = None if saved or split is None else str(split)
    targets, beside = _names(target), _names(covariates)
    wanted = Wanted(target=targets, image=image, group=group, split=column, covariates=beside, task=task)
    try:
        index = with_patients(_load(root, wanted, classes))
    except OSError as error:
        raise DataError(f"{root}: cannot be read ({reason_of(error)}).") from error
    if task == "regression" and isinstance(index.target, Classes):
        index = _as_numbers(index, index.target)
    if saved:
        from mirada.data.splits import read_splits

        index = read_splits(saved, index)
        index = replace(index, source=replace(index.source, split=str(saved)) if index.source else None)
    if not len(index):
        raise DataError(f"{index.origin}: there are no images in it.")
    if classes is None and not index.boxes:
        require_images(index)
    return index


def _require_paths(root: Any, split: Any) -> None:
    """Raises ``InvalidArgument`` for data, or splits, of which nothing can be read."""
    if not isinstance(root, str | os.PathLike) and not is_frame(root):
        raise InvalidArgument(f"`data` must be a path or a data frame. Got {_kind(root)}.")
    if not isinstance(split, str | os.PathLike | None):
        raise InvalidArgument(f"`split` must be a column's name or a table's path. Got {_kind(split)}.")


def _kind(value: Any) -> str:
    return "None" if value is None else f"a value of the type {type(value).__name__}"


def _require_texts(arguments: Mapping[str, Any], *, single: Collection[str]) -> None:
    """Raises ``InvalidArgument`` for an argument that is not text, nor, unless it is to be ``single``, several."""
    for name, value in arguments.items():
        if value is None or isinstance(value, str):
            continue
        several = isinstance(value, Collection) and all(isinstance(each, str) for each in value)
        if name in single or not several:
            expected = "text" if name in single else "text, or several texts"
            raise InvalidArgument(f"`{name}` must be {expected}. Got {_kind(value)}.")


def _load(root: Any, wanted: Wanted, known: Sequence[str] | None) -> Index:
    if is_frame(root):
        return load_table(table_of_frame(root), wanted, Path.cwd(), known)
    path = Path(root)
    if file := table_at(path):
        return replace(load_table(read_table(file), wanted, file.parent, known), source=wanted.source(file))
    if path.is_file() and path.suffix.lower() in WORKBOOKS:
        raise DataError(f"{path}: is an Excel workbook. Save the sheet as CSV.")
    if columns := wanted.columns():
        raise InvalidArgument(f"{path}: `{columns[0]}` names a column, and {_instead_of_a_table(path)}")
    if path.is_dir():
        return replace(_load_folder(path, wanted.task, known), source=wanted.source(path))
    if path.is_file() and (is_npz(path) or is_idx(path)):
        load = load_npz(path, wanted.task, known) if is_npz(path) else load_idx([path], wanted.task, known)
        return replace(load, source=wanted.source(path))
    found = f"a {path.suffix or 'nameless'} file" if path.is_file() else "nothing"
    raise DataError(
        f"{path}: expected a folder of images, a table (.csv, .tsv, .txt), or an IDX or .npz file; found {found} there."
    )


def _load_folder(folder: Path, task: Task | None, known: Sequence[str] | None) -> Index:
    if packed := idx_files(folder):
        return load_idx(packed, task, known)
    if xml := voc_files(folder):
        return load_voc(folder, xml, known)
    try:
        return load_folder(folder, known)
    except DataError as error:
        if not (tables := _tables(folder)):
            raise
        raise DataError(f"{error} {_tables_in(tables)}") from error


def _instead_of_a_table(path: Path) -> str:
    tables = _tables(path) if path.is_dir() else []
    meant = [file for file in tables if file.name != BOX_TABLE]  # that one belongs to the folder's images
    return f"a folder was given. {_tables_in(meant)}" if meant else "there is no table here."


def _tables_in(tables: Sequence[Path]) -> str:
    """That a folder has these, and what to do if one of them was meant."""
    names, train = ", ".join(file.name for file in tables), ("train.csv", "train.tsv")
    first = next((file for file in tables if file.name.lower() in train), tables[0])
    return (
        f"There {'is a table' if len(tables) == 1 else 'are tables'} in it, too ({names}): if one lists the images, "
        f"name it: mirada train {first}"
    )


def table_at(path: Path) -> Path | None:
    """The table that a path names, or that is all there is to go by in a folder; None if there is none."""
    if path.is_dir():
        return _only_table(path)
    return path if path.is_file() and path.suffix.lower() in TABLES else None


def _only_table(folder: Path) -> Path | None:
    """The table of a folder that holds nothing else to go by: at most one sub-folder, and a single CSV file."""
    tables = _tables(folder)
    if len(tables) != 1:
        return None
    folders = Listing().folders(folder)
    if len(folders) > 1 or pixels_folder(folder) != folder:
        return None
    return None if any(map(split_named, folders)) else tables[0]


def _tables(folder: Path) -> list[Path]:
    """The tables of images directly in a folder, sorted."""
    return sorted(
        child
        for child in folder.iterdir()
        if child.suffix.lower() in (".csv", ".tsv")
        and child.is_file()
        and not child.name.startswith(".")
        and not is_predictions(child)
    )


def _as_numbers(index: Index, classes: Classes) -> Index:
    """Classes whose names are numbers as those numbers. Raises ``DataError`` if one is not."""
    odd = [name for name in classes.names if not NUMBER.fullmatch(name)]
    if odd:
        raise DataError(
            f'{index.origin}: for regression every class must be a number, and one is "{odd[0]}".'
        )
    values = np.array([float(name) for name in classes.names])
    return replace(index, target=Numbers(), targets=values[index.targets.astype(np.int64), np.newaxis])


def _names(columns: str | Sequence[str] | None) -> tuple[str, ...]:
    if columns is None:
        return ()
    return (columns,) if isinstance(columns, str) else tuple(columns)


def require_images(index: Index) -> None:
    """Raises ``DataError`` if a class has no image left to train on."""
    train = index.rows("train")
    if not isinstance(index.target, Classes):
        if len(train) < 2:
            raise DataError(
                f"{index.origin}: at least 2 training images are needed; {len(train)} can be used."
            )
        return
    if len(index.target.names) == 1:
        raise DataError(
            f'{index.origin}: only one class ("{index.target.names[0]}"). Classification needs at least two.'
        )
    counts = np.bincount(index.targets[train].astype(np.int64), minlength=len(index.target.names))
    empty = [name for name, count in zip(index.target.names, counts, strict=True) if count == 0]
    if empty:
        first = [f"The first that was left out: {item.path}: {item.reason}." for item in index.excluded[:1]]
        advice = first or ["Add images, or remove the class."]
        raise DataError(
            f"{index.origin}: no readable image to train on in the class {listed(empty)}. {advice[0]}"
        )
