"""Whatever images come in → ``Index``: folders, tables, data frames, IDX and NPZ. Nothing is decoded here.

A table goes through three stages with one record each: ``tables`` reads it (``Table``), ``roles`` finds its columns
(``Columns``), ``values`` reads them; ``rows`` makes the index. Of a table of boxes, ``boxes`` first makes a row for
each image.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirada.data.index import Index
from mirada.data.sources.beside import with_tables_beside
from mirada.data.sources.columns import Kind, Wanted, wanted_kind
from mirada.data.sources.folders import load_folder
from mirada.data.sources.foreign import said_of_format
from mirada.data.sources.glance import header_notes
from mirada.data.sources.layout import instead_of_a_table, table_at, tables_hint
from mirada.data.sources.names import UNGROUPED, WORKBOOKS, is_idx, is_npz, is_table
from mirada.data.sources.packed import idx_files, load_idx, load_npz
from mirada.data.sources.patients import with_patients
from mirada.data.sources.rows import load_table
from mirada.data.sources.splits import read_splits
from mirada.data.sources.tables import is_frame, read_table, table_of_frame
from mirada.data.sources.usable import require_images, with_numbers
from mirada.data.sources.voc import load_voc, voc_files
from mirada.errors import DataError, InvalidArgument, reason_of
from mirada.samples import SPLIT_NAMES, Covariate, Numbers, Source, Task

if TYPE_CHECKING:
    from pandas import DataFrame  # type: ignore[import-untyped]  # nothing of it is needed to run

__all__ = ["SPLIT_NAMES", "load_data", "load_to_judge", "read_splits", "require_images", "table_at"]


def load_data(
    root: "str | Path | DataFrame | Source",
    *,
    classes: Sequence[str] | None = None,
    target: str | Sequence[str] | None = None,
    image: str | None = None,
    group: str | None = None,
    split: str | Path | None = None,
    covariates: str | Sequence[str] = (),
    task: Task | None = None,
) -> Index:
    """Lists the images of a folder, a table, a data frame, IDX files or an NPZ file.

    A folder has one sub-folder per class, with or without split folders above them; or MNIST's IDX files; or VOC's
    XML files with their images; or a single table. Without splits every row is ``train``.

    A table has a row for each image, or for each box; paths are relative to its folder. Columns that are not named are
    found by their headers and what they hold; where another reading is as likely, it is refused.

    Args:
        root: A path, or a data frame of pandas or polars. Or a ``Source``, which says the columns itself, and what is
            asked for more rarely: the encoding of a table, and the columns by whose words a model is judged apart.
        classes: Those of a model, in its order, which the data's must then be among.
        target: The column to learn; several (``"x,y"``, ``("x", "y")``) are numbers, or classes where each is a
            column of 0 and 1. ``age (months)`` says the unit of ``age``.
        image: The column of the images' files.
        group: The column of what must not be divided between splits, such as the patient; ``none`` for no groups,
            not even those that DICOM files say.
        split: The column of splits, or the path of a table of splits that training has saved, ``splits.csv``.
        covariates: The columns that the network reads as well as the image.
        task: Classes or numbers; by default numbers make a regression, texts classes.

    Returns:
        The samples; ``notes`` say what was inferred, ``excluded`` what was left out and why.

    Raises:
        DataError: For what cannot be used, is not there or could as well be another.
        InvalidArgument: For columns without a table, and arguments of another type.
    """
    one = {"image": image, "group": group}
    said = {**one, "target": target, "covariates": covariates}
    _require_texts({**said, "classes": classes}, single=tuple(one))
    if isinstance(root, Source):
        if named := [name for name, value in {**said, "split": split, "task": task}.items() if value]:
            raise InvalidArgument(
                f"A Source says its columns itself. Leave `{named[0]}` out, or say it there."
            )
        index = _loaded(root.path, _wanted(root), classes, root.split)
    else:
        _require_paths(root, split)
        asked = Source(
            path=Path(), image=image or "", targets=_names(target), group=group or "", split=str(split or ""),
            covariates=_names(covariates), task=task,
        )  # fmt: skip
        index = _loaded(root, _wanted(asked), classes, asked.split)
    if classes is None and not index.boxes:
        require_images(index)
    return _with_header_notes(index)


def load_to_judge(source: Source, classes: Sequence[str] | None, covariates: Sequence[Covariate]) -> Index:
    """The data of ``load_data`` for a model that is there: one image is enough, and need not be of every class.

    Args:
        source: The data, and what is said of their columns.
        classes: Those of the model; None for numbers.
        covariates: What the model reads beside each image; a row with another word, or with none, is left out.

    Returns:
        The samples.

    Raises:
        DataError: As ``load_data``, and for a class that the model does not have.
        InvalidArgument: As ``load_data``.
    """
    wanted = replace(_wanted(source), read=tuple(covariates))
    index = _loaded(source.path, wanted, classes, source.split)
    return _with_header_notes(index)


def _wanted(source: Source) -> Wanted:
    """What a source says of a table's columns; its path is passed over."""
    ungrouped = source.group.lower() == UNGROUPED
    return Wanted(
        target=source.targets,
        image=source.image or None,
        group=None if ungrouped else source.group or None,
        split=None if _saved_splits(source.split) else source.split or None,
        covariates=source.covariates,
        by=source.by,
        kind=wanted_kind(source.task),
        encoding=source.encoding or None,
        ungrouped=ungrouped,
    )


def _saved_splits(split: str) -> Path | None:
    """The table of splits that is meant, unless a column is."""
    return Path(split) if split and is_table(Path(split)) else None


def _loaded(root: Any, wanted: Wanted, classes: Sequence[str] | None, split: str) -> Index:
    """The data, with saved splits; of a foreign format it is said which."""
    try:
        return _usable(_load(root, wanted, classes), wanted, _saved_splits(split))
    except DataError as error:
        if is_frame(root) or not (foreign := _foreign(Path(root))):
            raise
        raise DataError(foreign) from error
    except OSError as error:
        raise DataError(f"{root}: cannot be read ({reason_of(error)}).") from error


def _usable(index: Index, wanted: Wanted, saved: Path | None) -> Index:
    """The index with patients as its groups, numbers if they are asked for, and saved splits."""
    if not wanted.ungrouped:
        index = with_patients(index)
    if wanted.kind is Numbers:
        index = with_numbers(index)
    if saved:
        index = read_splits(saved, index)
        index = replace(index, source=replace(index.source, split=str(saved)) if index.source else None)
    if not len(index):
        raise DataError(f"{index.origin}: there are no images in it.")
    return index


def _with_header_notes(index: Index) -> Index:
    """The index with notes on what its files say of themselves."""
    return replace(index, notes=(*index.notes, *header_notes(index)))


def _foreign(path: Path) -> str:
    """What is said of a format that is not read, where a path holds nothing in one that is."""
    if not path.exists() or table_at(path) or (path.is_dir() and idx_files(path)):
        return ""
    return "" if path.is_file() and (is_npz(path) or is_idx(path)) else said_of_format(path)


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


def _names(columns: str | Sequence[str] | None) -> tuple[str, ...]:
    if columns is None:
        return ()
    return (columns,) if isinstance(columns, str) else tuple(columns)


def _load(root: Any, wanted: Wanted, known: Sequence[str] | None) -> Index:
    if is_frame(root):
        if wanted.encoding:
            raise InvalidArgument(
                "`encoding` is how a table is read from a file, and a data frame was given."
            )
        return load_table(table_of_frame(root), wanted, Path.cwd(), known)
    path = Path(root)
    if file := table_at(path):
        return replace(
            load_table(read_table(file, wanted.encoding), wanted, file.parent, known),
            source=wanted.source(file),
        )
    if path.is_file() and path.suffix.lower() in WORKBOOKS:
        raise DataError(f"{path}: is an Excel workbook. Save the sheet as CSV.")
    if columns := wanted.columns():
        raise InvalidArgument(f"{path}: `{columns[0]}` names a column, and {instead_of_a_table(path)}")
    if wanted.encoding:
        raise InvalidArgument(f"{path}: `encoding` is how a table is read, and {instead_of_a_table(path)}")
    if path.is_dir():
        return replace(_load_folder(path, wanted.kind, known), source=wanted.source(path))
    if path.is_file() and (is_npz(path) or is_idx(path)):
        load = load_npz(path, wanted.kind, known) if is_npz(path) else load_idx([path], wanted.kind, known)
        return replace(load, source=wanted.source(path))
    found = f"a {path.suffix or 'nameless'} file" if path.is_file() else "nothing"
    raise DataError(
        f"{path}: expected a folder of images, a table (.csv, .tsv, .txt), or an IDX or .npz file; found {found} there."
    )


def _load_folder(folder: Path, kind: Kind | None, known: Sequence[str] | None) -> Index:
    if packed := idx_files(folder):
        return load_idx(packed, kind, known)
    if xml := voc_files(folder):
        return load_voc(folder, xml, known)
    try:
        index = load_folder(folder, known, kind)
    except DataError as error:
        if not (hint := tables_hint(folder)):
            raise
        raise DataError(f"{error}{hint}") from error
    return index if known is not None else with_tables_beside(folder, index)
