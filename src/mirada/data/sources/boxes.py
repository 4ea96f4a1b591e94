"""Labelled rectangles beside images: VOC's XML files, and tables with a row for each box.

Sources: Everingham et al. 2010, "The Pascal Visual Object Classes (VOC) Challenge", development kit: corners count
from 1 and belong to the box. A table's corners count from 0, the right and lower ones lie behind the box.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from mirada.data.index import Index
from mirada.data.pixels.decode import EXTENSIONS
from mirada.data.sources.columns import index_of, splits_of
from mirada.data.sources.roles import Files, Roles, Wanted, find_roles
from mirada.data.sources.tables import Row, Table, read_table
from mirada.data.sources.values import classes, is_missing, number
from mirada.errors import DataError, counted
from mirada.samples import SPLIT_NAMES, SPLITS, Box, Classes, Excluded

SIDES = (
    frozenset(("left", "x1", "xmin")), frozenset(("top", "y1", "ymin")),
    frozenset(("right", "x2", "xmax")), frozenset(("bottom", "y2", "ymax")),
)  # fmt: skip
LABELS = ("class", "label", "name", "category")
ANNOTATIONS = frozenset(("annotations", "annots", "labels", "xml", "xmls"))
BOX_TABLE = "boxes.csv"
MAX_BYTES = 10 * 2**20

Boxes = dict[str, tuple[Box, ...]]


class Annotation(NamedTuple):
    """What an XML file of VOC's says: the image's file name and its boxes."""

    filename: str
    boxes: tuple[Box, ...]


class Columns(NamedTuple):
    """The columns of a table of boxes."""

    sides: tuple[int, int, int, int]
    label: int


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuses a document type, without which there are no entities to expand."""

    def doctype(self, name: str, public: str, system: str) -> None:
        raise DataError("declares a document type, which VOC's files do not")


def read_voc(file: Path) -> Annotation:
    """Reads an XML file of VOC's. Raises ``DataError``, without the file's name, if it is none."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise DataError("is larger than 10 MiB")
        root = ElementTree.parse(file, ElementTree.XMLParser(target=_NoDoctype())).getroot()  # noqa: S314
    except (OSError, ElementTree.ParseError) as error:
        raise DataError(f"cannot be read as XML ({error})") from error
    if root.tag != "annotation":
        raise DataError(f"is not VOC's XML: its outermost element is <{root.tag}>, not <annotation>")
    boxes = [_voc_box(part) for part in root.iter("object")]
    return Annotation((root.findtext("filename") or "").strip(), tuple(boxes))


def _voc_box(part: ElementTree.Element) -> Box:
    name = (part.findtext("name") or "").strip()
    corners = [
        number((part.findtext(f"bndbox/{side}") or "").strip()) for side in ("xmin", "ymin", "xmax", "ymax")
    ]
    box = Box(name, max(0.0, corners[0] - 1), max(0.0, corners[1] - 1), corners[2], corners[3])
    known = name and not any(map(math.isnan, corners))  # max(0, NaN) is 0
    if not known or not (box.left < box.right and box.top < box.bottom):
        raise DataError(f'holds the object "{name}" with the corners {corners}, which is no labelled box')
    return box


def box_columns(table: Table) -> Columns | None:
    """The columns of a table of boxes, ``filename, label, left, top, right, bottom`` by any usual names, or None."""
    plain = [column.lower().replace("_", "").replace(" ", "") for column in table.columns]
    sides = [next((place for place, name in enumerate(plain) if name in names), -1) for names in SIDES]
    label = next((plain.index(name) for name in LABELS if name in plain), -1)
    if min(*sides, label) < 0:
        return None
    return Columns((sides[0], sides[1], sides[2], sides[3]), label)


def table_boxes(table: Table, columns: Columns, image: int) -> tuple[Boxes, list[Excluded]]:
    """The boxes of each image named in the column ``image``, the same one once, and the rows that hold none."""
    found: dict[str, list[Box]] = {}
    excluded = []
    for row in table.rows:
        corners = [number(row.cells[side], decimal_comma=table.decimal_comma) for side in columns.sides]
        box = Box(row.cells[columns.label], *corners)
        if box.label and box.left < box.right and box.top < box.bottom:
            found.setdefault(row.cells[image], []).append(box)
        else:
            cells = ", ".join(row.cells[place] for place in (columns.label, *columns.sides))
            excluded.append(Excluded(row.cells[image], f"row {row.number}: {cells} is no labelled box"))
    return {name: _once(boxes) for name, boxes in found.items()}, excluded


def _once(boxes: Iterable[Box]) -> tuple[Box, ...]:
    return tuple(dict.fromkeys(boxes))


def voc_files(folder: Path) -> list[Path]:
    """The XML files of a folder of VOC's kind: in it, in its splits, or in a folder called ``annotations``."""
    folders = [folder]
    for child in sorted(part for part in folder.iterdir() if part.is_dir()):
        if child.name.lower() in SPLIT_NAMES:
            folders.append(child)
        elif child.name.lower() in ANNOTATIONS:
            folders += [child, child / "xmls"]
    return [
        file for place in folders for file in sorted(place.glob("*.xml")) if not file.name.startswith(".")
    ]


def load_voc(folder: Path, xml: Sequence[Path], known: Sequence[str] | None) -> Index:
    """Images with their boxes from VOC's XML files; an image's class is the label of its largest box.

    Splits are those of ``ImageSets/Main`` or of the folders, if there are any. What cannot be read, and an image
    without a box or in several lists, is in ``excluded``.

    Raises ``DataError`` if nothing is left, or for a label that is not ``known``.
    """
    files, lists = Files(folder), _image_sets(folder)
    boxes: Boxes = {}
    splits: dict[str, str] = {}
    excluded = []
    for file in xml:
        name = file.relative_to(folder).as_posix()
        try:
            annotation = read_voc(file)
        except DataError as error:
            image = _image_of(file, "", files)
            excluded.append(Excluded(image, f"{name} {error}") if image else Excluded(name, str(error)))
            continue
        path, listed = _image_of(file, annotation.filename, files), lists.get(file.stem, [])
        if path is None:
            excluded.append(Excluded(name, f'its image "{annotation.filename or file.stem}" is not there'))
        elif not annotation.boxes:
            excluded.append(Excluded(path, "has no box"))
        elif lists and not listed:
            excluded.append(Excluded(path, "is in no list of ImageSets/Main"))
        elif len(listed) > 1:
            excluded.append(Excluded(path, f"is in several lists of ImageSets/Main: {', '.join(listed)}"))
        else:
            boxes[path] = annotation.boxes
            splits[path] = listed[0] if listed else SPLIT_NAMES.get(path.partition("/")[0].lower(), "train")
    named = {item.path for item in excluded}
    alone = [path for path in files.images if path not in boxes and path not in named]
    excluded += [Excluded(path, "no XML file describes it") for path in alone]
    return _index(folder, boxes, splits, excluded, known)


def load_table(table: Table, wanted: Wanted, folder: Path, known: Sequence[str] | None) -> Index:
    """The index of any table: of one with a row for each box, every image once with its boxes; else ``index_of``.

    An image's class is the label of its largest box. Its group, split and covariates are what its rows say, some of
    which may say nothing; an image whose rows disagree is in ``excluded``. If something else than the label is to be
    learnt, or a column of the boxes is to be something else, every row is an image, and a note says so.

    Raises ``DataError`` as ``index_of``, and for a table of boxes if no image has one.
    """
    columns = box_columns(table)
    if columns is None:
        return _row_by_row(table, wanted, folder, known)
    named_only = replace(wanted, unlabeled=True)  # no target is guessed
    roles = find_roles(table, named_only, Files(folder))
    beside = (roles.image, roles.group, roles.split, *roles.covariates)
    twice = {place.column for place in beside if place} & {columns.label, *columns.sides}
    if twice or {place.column for place in roles.targets} - {columns.label}:
        index = _row_by_row(table, wanted, folder, known)
        return replace(index, notes=(*index.notes, "not used: the boxes, since other columns were asked for"))
    return _image_by_image(table, columns, roles, wanted, folder, known)


def _row_by_row(table: Table, wanted: Wanted, folder: Path, known: Sequence[str] | None) -> Index:
    """``index_of``, with a note if images have several rows."""
    index = index_of(table, wanted, folder, known)
    several = sum(count > 1 for count in Counter(index.paths).values())
    note = f"image: {counted(several, 'image')} in more than one row; each row counts as an image"
    return replace(index, notes=(*index.notes, note)) if several else index


def _image_by_image(
    table: Table, columns: Columns, roles: Roles, wanted: Wanted, folder: Path, known: Sequence[str] | None
) -> Index:
    """A table of boxes, by way of a table with a row for each image, whose target is the largest box's label."""
    files, names = Files(folder), table.cells(roles.image.column)
    paths = {name: files.find(name) for name in dict.fromkeys(names)}
    named, excluded = table_boxes(table, columns, roles.image.column)
    boxes: Boxes = {}
    for name, found in named.items():
        if path := paths[name]:
            boxes[path] = _once((*boxes.get(path, ()), *found))
    if wanted.unlabeled:  # an image without a box that can be used is an image, too
        named, excluded = dict.fromkeys(paths, ()), []
    excluded += [Excluded(name, "there is no such file") for name in named if paths[name] is None]
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        if (path := paths[name]) and name in named:
            rows.setdefault(path, []).append(row)
    merged, disagreeing = _merged(table, roles, rows)
    excluded += disagreeing
    if not merged:
        raise DataError(f"{table.name}: no image with a box that can be used{_first(excluded)}.")
    label = {path: {columns.label: max(found, key=_area).label} for path, found in boxes.items()}
    of_images = tuple(_with(row, label.get(path, {})) for path, row in merged.items())
    target = () if wanted.unlabeled else (table.columns[columns.label],)
    as_row = replace(
        wanted,
        target=target,
        image=table.columns[roles.image.column],
        task=wanted.task or "classification",
    )
    index = index_of(replace(table, rows=of_images), as_row, folder, known)
    boxes = {path: boxes[path] for path in index.paths if path in boxes}
    return replace(
        index,
        boxes=boxes,
        excluded=(*excluded, *index.excluded),
        notes=(*_box_notes(boxes), *index.notes),
    )


def _merged(
    table: Table, roles: Roles, rows: Mapping[str, Sequence[int]]
) -> tuple[dict[str, Row], list[Excluded]]:
    """A row for each image with what its rows say of group, split and covariates; the images whose rows disagree."""
    places = [place for place in (roles.group, *roles.covariates) if place]
    said = {place.column: table.cells(place.column) for place in places}
    if roles.split:
        read = splits_of(table, roles.split)
        said[roles.split.column] = ["" if row in read.bad else split for row, split in enumerate(read.values)]
    merged: dict[str, Row] = {}
    excluded = []
    for path, own in rows.items():
        cells: dict[int, str] = {}
        for column, texts in said.items():
            different = dict.fromkeys(texts[row] for row in own if not is_missing(texts[row]))
            if len(different) > 1:  # they go unnamed: a group may be a patient's name
                excluded.append(Excluded(path, f"its rows disagree on {table.columns[column]}"))
                break
            cells[column] = next(iter(different), "")
        else:
            merged[path] = _with(table.rows[own[0]], cells)
    return merged, excluded


def _with(row: Row, cells: Mapping[int, str]) -> Row:
    """The row with these texts in these columns."""
    return row._replace(cells=tuple(cells.get(column, text) for column, text in enumerate(row.cells)))


def _first(excluded: Sequence[Excluded]) -> str:
    return f"; the first: {excluded[0].path}: {excluded[0].reason}" if excluded else ""


def _box_notes(boxes: Boxes) -> list[str]:
    """How many boxes there are, and whether they leave open what an image's class is."""
    labels = sorted({box.label for found in boxes.values() for box in found})
    several = sum(len({box.label for box in found}) > 1 for found in boxes.values())
    total, images = sum(map(len, boxes.values())), counted(len(boxes), "image")
    notes = [f"boxes: {total:,} in {images}, labelled {', '.join(labels[:6])}"] if boxes else []
    if several:
        notes.append(
            f"class: {counted(several, 'image')} with boxes of several labels; the largest box's was taken"
        )
    return notes


def _index(
    folder: Path,
    boxes: Boxes,
    splits: Mapping[str, str],
    excluded: list[Excluded],
    known: Sequence[str] | None,
) -> Index:
    if not boxes:
        raise DataError(f"{folder}: no image with a box that can be used{_first(excluded)}.")
    paths = tuple(boxes)
    labels = [max(boxes[path], key=_area).label for path in paths]
    numbers, _, names = classes(f"{folder}: a box", labels, known)
    return Index(
        root=folder,
        paths=paths,
        targets=numbers,
        splits=np.array([splits[path] for path in paths], dtype="<U5"),
        target=Classes(names),
        boxes=boxes,
        excluded=tuple(excluded),
        notes=tuple(_box_notes(boxes)),
    )


def _area(box: Box) -> float:
    return (box.right - box.left) * (box.bottom - box.top)


def _image_of(file: Path, named: str, files: Files) -> str | None:
    """The image of an XML file: beside it, or anywhere by its stem, or by the name that the XML says."""
    beside = file.parent.relative_to(files.folder)
    for extension in EXTENSIONS:
        if file.with_suffix(extension).is_file():
            return (beside / f"{file.stem}{extension}").as_posix()
    return files.find(file.stem) or files.find(named)


def _image_sets(folder: Path) -> dict[str, list[str]]:
    """The splits of every image that the lists of VOC's ``ImageSets/Main`` name, by its stem."""
    found: dict[str, list[str]] = {}
    for split in SPLITS:
        file = folder / "ImageSets" / "Main" / f"{split}.txt"
        if file.is_file():
            for stem in dict.fromkeys(file.read_text(encoding="utf-8").split()):
                found.setdefault(stem, []).append(split)
    return found


def boxes_beside(folder: Path, paths: Sequence[str], xml: Sequence[str]) -> tuple[Boxes, list[Excluded]]:
    """The boxes of a folder of classes: from its ``boxes.csv`` and the XML files beside the images; what is bad."""
    known, by_stem = set(paths), {path.rpartition(".")[0]: path for path in paths}
    boxes: Boxes = {}
    excluded: list[Excluded] = []
    if (folder / BOX_TABLE).is_file():
        try:
            table = read_table(folder / BOX_TABLE)
            columns = box_columns(table)
            if columns:
                image = find_roles(table, Wanted(target=(table.columns[columns.label],)), Files(folder)).image
                boxes, excluded = table_boxes(table, columns, image.column)
        except DataError as error:
            excluded.append(Excluded(BOX_TABLE, str(error)))
    for name in xml:
        try:
            found = read_voc(folder / name).boxes
        except DataError as error:
            excluded.append(Excluded(name, str(error)))
            continue
        path = by_stem.get(name.rpartition(".")[0])
        if path is None:
            excluded.append(Excluded(name, "there is no image beside it"))
        elif found:
            boxes[path] = found
    return {path: found for path, found in boxes.items() if path in known}, excluded
