"""Labelled rectangles in VOC's XML files, and boxes beside the images of a folder of classes.

Source: Everingham et al. 2010, "The Pascal Visual Object Classes (VOC) Challenge", development kit: corners count from
1 and belong to the box.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from mirada.data.index import Index
from mirada.data.sources.boxes import Boxes, box_notes, boxes_of_rows, largest, no_boxes
from mirada.data.sources.columns import Wanted
from mirada.data.sources.files import ImageFiles
from mirada.data.sources.headers import box_columns
from mirada.data.sources.listing import images_near, split_named
from mirada.data.sources.names import BOX_TABLE, EXTENSIONS
from mirada.data.sources.roles import find_columns
from mirada.data.sources.tables import read_table
from mirada.data.sources.values import classes_of, plain_numbers
from mirada.errors import DataError
from mirada.samples import SPLITS, Box, Classes, Excluded

ANNOTATIONS = frozenset(("annotations", "annots", "labels", "xml", "xmls"))
MAX_BYTES = 10 * 2**20


class Annotation(NamedTuple):
    """What an XML file of VOC's says: the image's file name and its boxes."""

    filename: str
    boxes: tuple[Box, ...]


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
    texts = [(part.findtext(f"bndbox/{side}") or "").strip() for side in ("xmin", "ymin", "xmax", "ymax")]
    corners = plain_numbers(texts, decimal_comma=False)
    box = Box(name, max(0.0, corners[0] - 1), max(0.0, corners[1] - 1), corners[2], corners[3])
    known = name and not any(map(math.isnan, corners))  # max(0, NaN) is 0
    if not known or not (box.left < box.right and box.top < box.bottom):
        raise DataError(f'holds the object "{name}" with the corners {corners}, which is no labelled box')
    return box


def voc_files(folder: Path) -> list[Path]:
    """The XML files of a folder of VOC's kind: in it, in its splits, or in a folder called ``annotations``."""
    folders = [folder]
    for child in sorted(part for part in folder.iterdir() if part.is_dir()):
        if split_named(child.name):
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
    files, lists = ImageFiles(folder), _image_sets(folder)
    boxes: dict[str, tuple[Box, ...]] = {}
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
        if not path:
            excluded.append(Excluded(name, f'its image "{annotation.filename or file.stem}" is not there'))
        elif not annotation.boxes:
            excluded.append(Excluded(path, "has no box"))
        elif lists and not listed:
            excluded.append(Excluded(path, "is in no list of ImageSets/Main"))
        elif len(listed) > 1:
            excluded.append(Excluded(path, f"is in several lists of ImageSets/Main: {', '.join(listed)}"))
        else:
            boxes[path] = annotation.boxes
            splits[path] = listed[0] if listed else split_named(path.partition("/")[0]) or "train"
    named = {item.path for item in excluded}
    alone = [path for path in images_near(folder) if path not in boxes and path not in named]
    excluded += [Excluded(path, "no XML file describes it") for path in alone]
    return _index(folder, boxes, splits, excluded, known)


def _index(
    folder: Path,
    boxes: Boxes,
    splits: Mapping[str, str],
    excluded: list[Excluded],
    known: Sequence[str] | None,
) -> Index:
    if not boxes:
        raise no_boxes(str(folder), excluded)
    labels = [largest(found).label for found in boxes.values()]
    names, numbers = classes_of(f"{folder}: a box", labels, known)
    return Index(
        root=folder,
        paths=tuple(boxes),
        target=Classes(names),
        targets=numbers,
        splits=np.array([splits[path] for path in boxes], dtype="<U5"),
        boxes=boxes,
        excluded=tuple(excluded),
        notes=tuple(box_notes(boxes)),
    )


def _image_of(file: Path, named: str, files: ImageFiles) -> str:
    """The image of an XML file: beside it, or anywhere by its stem, or by the name that the XML says."""
    beside = file.parent.relative_to(files.folder)
    for extension in EXTENSIONS:
        if file.with_suffix(extension).is_file():
            return (beside / f"{file.stem}{extension}").as_posix()
    by_stem, by_name = files.look_up((file.stem, named))
    return by_stem.path or by_name.path


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
    by_stem = {path.rpartition(".")[0]: path for path in paths}
    boxes: dict[str, tuple[Box, ...]] = {}
    excluded: list[Excluded] = []
    if (folder / BOX_TABLE).is_file():
        try:
            boxes, excluded = _boxes_of_table(folder, paths)
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
    return boxes, excluded


def _boxes_of_table(folder: Path, paths: Sequence[str]) -> tuple[dict[str, tuple[Box, ...]], list[Excluded]]:
    """The boxes of ``boxes.csv`` by image, and the rows that hold none or name no image."""
    table, files, known = read_table(folder / BOX_TABLE), ImageFiles(folder, paths=paths), set(paths)
    columns = box_columns(table.columns)
    if columns is None:
        reason = f"has no columns of boxes (label, left, top, right, bottom): {', '.join(table.columns)}"
        return {}, [Excluded(BOX_TABLE, reason)]
    image = find_columns(table, Wanted(target=(table.columns[columns.label],)), files).image
    names = table.cells[image.column]
    found: dict[str, list[Box]] = {}
    excluded = []
    for row, (file, box) in enumerate(zip(files.look_up(names), boxes_of_rows(table, columns), strict=True)):
        where = f"{BOX_TABLE}, row {table.numbers[row]}"
        if isinstance(box, str):
            excluded.append(Excluded(names[row], f"{where}: {box} is no labelled box"))
        elif file.path not in known:
            excluded.append(Excluded(names[row], f"{where}: {file.reason}"))
        else:
            found.setdefault(file.path, []).append(box)
    return {path: tuple(dict.fromkeys(own)) for path, own in found.items()}, excluded
