"""Data in a format that is not read, such as COCO's or YOLO's boxes: what it is called, and what to do."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mirada.data.sources.listing import printable, relative
from mirada.data.sources.names import EXTENSIONS

HEAD = 4096  # bytes of a file that tell its format
LOOKED_AT = 2000  # files of a folder, and of those below it, that are looked at
DEPTH = 3  # levels of folders
COCO = re.compile(rb'"(file_name|annotations|categories|images)"\s*:')
YOLO = re.compile(rb"\s*(\d+( +-?[\d.]+(e-?\d+)?){4,}\s*?(\r?\n|$))+", re.IGNORECASE)
BOXES = (
    "Write a table with the columns image and label, one class for each image (or also left, top, right and bottom of "
    "each box, in pixels), and name it: mirada train table.csv"
)
EXPORT = "Export the images to a folder for each class"
AS_CSV = "Save the list as CSV with the columns image and label, and name it: mirada train table.csv"
PICKLED = f"{EXPORT}, or save images and labels as arrays in one NPZ file"


class Format(NamedTuple):
    """A format by its ``name``, and a sentence on what to do with it."""

    name: str
    remedy: str


NAMED = {
    "data_batch_1": Format("CIFAR-10's Python format", PICKLED),
    "data_batch_1.bin": Format("CIFAR-10's binary format", PICKLED),
    "metadata.jsonl": Format("Hugging Face's format (JSON Lines)", AS_CSV),
}
ENDINGS = {
    ending: Format(name, remedy)
    for endings, name, remedy in (
        (".tar .tgz .zip .7z .rar", "the format of an archive", "Unpack it first"),
        (".parquet .arrow .feather", "the format of Parquet or Arrow", EXPORT),
        (".tfrecord .tfrecords .rec", "a format of records", EXPORT),
        (".lmdb .mdb .db .sqlite", "the format of a database", EXPORT),
        (".h5 .hdf5 .mat .npy .pkl .pickle .pt .pth", "a format of arrays other than NPZ and IDX", PICKLED),
        (".json .jsonl .ndjson", "a format of lists other than CSV", AS_CSV),
    )
    for ending in endings.split()
}


def said_of_format(path: Path) -> str:
    """What a file or a folder holds in a format that is not read, and what to do; "" if none is known."""
    if path.is_file():
        return _sentence(path, path, _by_content(path) or ENDINGS.get(path.suffix.lower()))
    for file in _files(path, DEPTH):
        if known := NAMED.get(file.name.lower()) or _by_content(file):
            return _sentence(path, file, known)
    if any(file.suffix.lower() in EXTENSIONS for file in _files(path, DEPTH)):
        return ""
    own = [child for child in _files(path, 1) if child.suffix.lower() in ENDINGS]
    return _sentence(path, own[0], ENDINGS[own[0].suffix.lower()]) if own else ""


def _sentence(path: Path, file: Path, known: Format | None) -> str:
    if known is None:
        return ""
    inner = "" if file == path else f"{printable(relative(file, path))} "
    return f"{path}: {inner}is in {known.name}, which is not read. {known.remedy}."


def _by_content(file: Path) -> Format | None:
    """COCO's JSON and YOLO's text, by their first bytes."""
    suffix = file.suffix.lower()
    if suffix not in (".json", ".txt"):
        return None
    try:
        with file.open("rb") as opened:
            head = opened.read(HEAD)
    except OSError:
        return None
    if suffix == ".json" and COCO.search(head):
        return Format("COCO's format (annotations as JSON)", BOXES)
    whole = head if len(head) < HEAD else head[: head.rfind(b"\n") + 1]
    return (
        Format("YOLO's format (boxes as text)", BOXES) if suffix == ".txt" and YOLO.fullmatch(whole) else None
    )


def _files(folder: Path, depth: int) -> Iterator[Path]:
    """Files of a folder and of those below it, in order, the first of each; what cannot be listed has none."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(
                (entry for entry, _ in zip(entries, range(LOOKED_AT), strict=False)), key=lambda e: e.name
            )
    except OSError:
        return
    yield from (Path(entry.path) for entry in found if entry.is_file())
    if depth > 1:
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path), depth - 1)
