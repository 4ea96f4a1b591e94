"""Whatever images come in → ``Index``: folders, tables, data frames, IDX and NPZ. Nothing is decoded here."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mirada.data.decoding.arrays import is_idx, is_npz
from mirada.data.index import SPLIT_NAMES as SPLIT_NAMES
from mirada.data.index import Index, Task
from mirada.data.sources.boxes import box_columns, load_box_table, load_voc, voc_files
from mirada.data.sources.columns import index_of
from mirada.data.sources.folders import listed, load_folder
from mirada.data.sources.lists import pixels_folder
from mirada.data.sources.packed import idx_files, load_idx, load_npz
from mirada.data.sources.patients import with_patients
from mirada.data.sources.roles import Wanted
from mirada.data.sources.tables import TABLES, is_frame, read_table, table_of_frame
from mirada.data.sources.values import NUMBER
from mirada.errors import DataError, InvalidArgument

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

    ``classes`` are those of a model, in its order, which the data's must then be among. ``split`` may also be a CSV
    file of splits that training has saved.

    Raises ``DataError`` for what cannot be used: nothing there, no images, a single class without boxes, a class
    without an image, a column or class that is not there. ``InvalidArgument`` for columns where there is no table.
    """
    saved = Path(split) if split is not None and Path(split).suffix.lower() == ".csv" else None
    wanted = Wanted(
        target=_names(target),
        image=image,
        group=group,
        split=None if saved or split is None else str(split),
        covariates=_names(covariates),
        task=task,
    )
    try:
        index = with_patients(_load(root, wanted, classes))
    except OSError as error:
        raise DataError(
            f"{root}: cannot be read ({(error.strerror or 'unknown reason').lower()})."
        ) from error
    if task == "regression" and index.task == "classification":
        index = _as_numbers(index)
    if saved:
        from mirada.data.splits import read_splits

        index = replace(read_splits(saved, index), options=(*index.options, "--split", str(saved)))
    if classes is None and not index.boxes:
        require_images(index)
    return index


def _load(root: Any, wanted: Wanted, known: Sequence[str] | None) -> Index:
    if is_frame(root):
        return index_of(table_of_frame(root), wanted, Path.cwd(), known)
    path = Path(root)
    if path.is_dir() and (table := _only_table(path)):
        return _load_table(table, wanted, known)
    if path.is_file() and path.suffix.lower() in TABLES:
        return _load_table(path, wanted, known)
    columns = replace(wanted, task=None).words()
    if columns:
        raise InvalidArgument(f"{path}: `{columns[0][2:]}` names a column, and there is no table here.")
    if path.is_dir():
        return replace(_load_folder(path, wanted.task, known), options=wanted.words())
    if path.is_file() and (is_npz(path) or is_idx(path)):
        load = load_npz(path, wanted.task, known) if is_npz(path) else load_idx([path], wanted.task, known)
        return replace(load, source=path, options=wanted.words())
    found = f"a {path.suffix or 'nameless'} file" if path.is_file() else "nothing"
    raise DataError(
        f"{path}: expected a folder of images, a table (.csv, .tsv, .txt), or an IDX or .npz file; found {found} there."
    )


def _load_folder(folder: Path, task: Task | None, known: Sequence[str] | None) -> Index:
    if packed := idx_files(folder):
        return load_idx(packed, task, known)
    if xml := voc_files(folder):
        return load_voc(folder, xml, known)
    return load_folder(folder, known)


def _load_table(file: Path, wanted: Wanted, known: Sequence[str] | None) -> Index:
    table = read_table(file)
    columns = box_columns(table) if wanted == Wanted() else None
    if columns:
        index = load_box_table(table, columns, file.parent, known)
    else:
        index = index_of(table, wanted, file.parent, known)
    return replace(index, source=file)


def _only_table(folder: Path) -> Path | None:
    """The table of a folder that holds nothing else to go by: at most one sub-folder, and a single CSV file."""
    children = [child for child in folder.iterdir() if not child.name.startswith(".")]
    tables = [child for child in children if child.suffix.lower() in (".csv", ".tsv") and child.is_file()]
    folders = [child for child in children if child.is_dir()]
    if len(tables) != 1 or len(folders) > 1 or pixels_folder(folder) != folder:
        return None
    return None if any(child.name.lower() in SPLIT_NAMES for child in folders) else tables[0]


def _as_numbers(index: Index) -> Index:
    """Classes whose names are numbers as those numbers. Raises ``DataError`` if one is not."""
    odd = [name for name in index.classes if not NUMBER.fullmatch(name)]
    if odd:
        raise DataError(
            f'{index.origin}: for regression every class must be a number, and one is "{odd[0]}".'
        )
    values = np.array([float(name) for name in index.classes])
    return replace(index, task="regression", classes=(), targets=values[index.targets.astype(np.int64)])


def _names(columns: str | Sequence[str] | None) -> tuple[str, ...]:
    if columns is None:
        return ()
    return (columns,) if isinstance(columns, str) else tuple(columns)


def require_images(index: Index) -> None:
    """Raises ``DataError`` if a class has no image left to train on."""
    train = index.rows("train")
    if index.task == "regression":
        if len(train) < 2:
            raise DataError(
                f"{index.origin}: at least 2 training images are needed; {len(train)} can be used."
            )
        return
    if len(index.classes) == 1:
        raise DataError(
            f'{index.origin}: only one class ("{index.classes[0]}"). Classification needs at least two.'
        )
    counts = np.bincount(index.targets[train].astype(np.int64), minlength=len(index.classes))
    empty = [name for name, count in zip(index.classes, counts, strict=True) if count == 0]
    if empty:
        raise DataError(
            f"{index.origin}: no readable image to train on in the class {listed(empty)}. Add images or remove "
            f'the folder; "mirada check" names every file that cannot be read.'
        )
