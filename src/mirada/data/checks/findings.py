"""What is worth knowing about a data set, each as one sentence that says what to do: the rules behind ``check``.

Every function here takes what was seen and yields ``Finding``s; nothing is read from disk.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from statistics import median_low
from typing import Any, Literal

import numpy as np

from mirada.data.checks.looks import Look
from mirada.data.checks.near import THUMB, near_groups
from mirada.data.index import Index
from mirada.data.pixels.decode import EXTENSIONS
from mirada.data.splits import divided_groups, group_code
from mirada.samples import Box

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")

TINY = 8  # pixels on a side
DARK, LIGHT = 16, 239  # grey values of 255: beyond them a picture is nearly black, or nearly white
SIZE_FACTOR = 8.0  # a longer side so many times the median one, or so many times less
SHAPE_FACTOR = 3.0  # a height by width so many times that of the median image, or so many times less
ENOUGH = 10  # images, or targets, from which on there is a rule to be an exception to
UNEQUAL = 10  # the largest class holds so many times as many images as the smallest
NAMED = 3  # files named in a sentence
FORMAT_EXTENSIONS = {
    "BMP": (".bmp",),
    "DICOM": (".dcm", ".dicom"),
    "GIF": (".gif",),
    "JPEG": (".jfif", ".jpe", ".jpeg", ".jpg", ".mpo"),  # an .mpo file is a JPEG with further ones behind it
    "PNG": (".apng", ".png"),
    "PPM": (".pbm", ".pgm", ".pnm", ".ppm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing. ``where`` is the file, the class, the group, the split or ``split/class`` it is about.

    ``severity`` is ``error`` for what cannot be used, ``warning`` for what will work but not well, and ``info`` for
    what is dealt with and only good to know: it asks for nothing. ``paths`` are the images to look at.
    ``kind`` is a key of ``KINDS``.
    """

    kind: str
    severity: Severity
    where: str
    message: str
    paths: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {**vars(self), "paths": list(self.paths)}


KINDS = {
    "unreadable": "Files that cannot be read",
    "few-classes": "Fewer than two classes",
    "constant-target": "Targets that are all the same",
    "no-split": "Splits without images",
    "no-class": "Classes without images",
    "single-image": "Classes with a single image",
    "two-labels": "One image with two labels",
    "leak": "The same image in two splits",
    "divided-group": "The same group in two splits",
    "duplicate": "The same file twice",
    "near-duplicate": "The same picture twice",
    "flat": "Images without a picture",
    "wrong-extension": "Names that do not fit the content",
    "tiny": "Tiny images",
    "extreme-size": "Sizes far from the others",
    "extreme-shape": "Shapes far from the others",
    "imbalance": "Unequal classes",
    "outside-box": "Boxes that are not within their image",
    "far-target": "Targets unlike the others",
    "rounded-target": "Rounded targets",
    "excluded": "Files left out",
    "rotated": "Images turned by their EXIF orientation",
}  # kind → heading, the most serious first


def file_findings(look: Look) -> Iterator[Finding]:
    """What one file shows by itself: unreadable, wrongly named, tiny, without a picture."""
    if look.reason:
        yield Finding("unreadable", "error", look.path, look.reason, (look.path,))
        return
    kind = "JPEG" if look.format == "MPO" else look.format
    extension = Path(look.path).suffix.lower()
    if kind and extension in EXTENSIONS and extension not in FORMAT_EXTENSIONS[kind]:
        message = f"is a {kind} image in spite of {extension} in its name; it is read as {kind}"
        yield Finding("wrong-extension", "warning", look.path, message, (look.path,))
    height, width = look.size
    if min(look.size) < TINY:
        message = f"is {width} × {height} pixels (width × height); {TINY} on a side is little already"
        yield Finding("tiny", "warning", look.path, message, (look.path,))
    if empty := _emptiness(look):
        message = f"{empty}: there is no picture to learn from; remove it, or find out how it came about"
        yield Finding("flat", "warning", look.path, message, (look.path,))


def _emptiness(look: Look) -> str:
    """In what way there is nothing to see, if that is so."""
    if look.flat:
        return "all its pixels are the same"
    if look.light < DARK:
        return f"is nearly black (999 of 1,000 pixels are below {DARK} of 255)"
    if look.dark > LIGHT:
        return f"is nearly white (999 of 1,000 pixels are above {LIGHT} of 255)"
    return ""


def size_findings(looks: Sequence[Look]) -> Iterator[Finding]:
    """Readable images whose size or shape is far from that of the others."""
    if len(looks) < ENOUGH:
        return
    usual = median_low(max(look.size) for look in looks)
    shapes = {look.path: log(look.size[0] / look.size[1]) for look in looks}
    middle = median_low(shapes.values())
    for look in looks:
        height, width = look.size
        said = f"is {width:,} × {height:,} pixels (width × height)"
        if not 1 / SIZE_FACTOR <= max(look.size) / usual <= SIZE_FACTOR and min(look.size) >= TINY:
            message = f"{said}, while the longer side of most is about {usual:,}: does it belong here?"
            yield Finding("extreme-size", "warning", look.path, message, (look.path,))
        if abs(shapes[look.path] - middle) > log(SHAPE_FACTOR):
            message = f"{said}, a shape far from the others': it will be distorted, cut or mostly margin"
            yield Finding("extreme-shape", "warning", look.path, message, (look.path,))


def rotated_findings(looks: Sequence[Look]) -> Iterator[Finding]:
    """One note on all files that are stored turned."""
    turned = tuple(look.path for look in looks if look.turned)
    if turned:
        subject = f"{len(turned):,} files are" if len(turned) > 1 else f"{turned[0]} is"
        message = (
            f"{subject} stored turned, with an EXIF orientation; Mirada turns such images upright by itself"
        )
        yield Finding("rotated", "info", "", message, turned)


def split_findings(index: Index, rest: Index) -> Iterator[Finding]:
    """Splits without images, and groups in several splits; ``rest`` is ``index`` without its unreadable files."""
    listed, left = index.counts(), rest.counts()
    for split in sorted(listed.keys() - left.keys()):
        yield Finding("no-split", "error", split, f"none of its {len(index.rows(split))} images can be read")
    if "train" not in listed:
        yield Finding("no-split", "error", "train", "there are no images to train on")
    # Training sets images aside for validation, and for the test if neither is there; here it does not.
    if "val" in listed and "test" not in listed:
        yield Finding("no-split", "warning", "test", "there are no images to test on beside those of val")
    for group, rows in divided_groups(rest).items():
        counts = {split: int((rest.splits[rows] == split).sum()) for split in left}
        said = _and([f"{count:,} in {split}" for split, count in counts.items() if count])
        firsts = [rows[rest.splits[rows] == split] for split in left]
        message = (
            f"has images in several splits ({said}), so what is learnt of it leaks; keep it in one split"
        )
        paths = tuple(rest.paths[row] for part in firsts for row in part[:NAMED])
        yield Finding("divided-group", "warning", f"group {group_code(group)}", message, paths)


def class_findings(rest: Index) -> Iterator[Finding]:
    """Classes that lack images; ``rest`` is the index without its unreadable files."""
    if rest.task == "regression":
        return
    if len(rest.classes) < 2:
        found = f'only "{rest.classes[0]}"' if rest.classes else "none"
        yield Finding("few-classes", "error", "", f"classification needs at least two classes; found {found}")
    counts = rest.counts()
    for name in rest.classes:
        numbers = {split: table[name] for split, table in counts.items()}
        if numbers.get("train") == 0:
            yield Finding("no-class", "error", f"train/{name}", "no image to train on")
            continue
        if sum(numbers.values()) == 1:
            yield Finding("single-image", "warning", name, "a single image: none is left to test on")
            continue
        for split in (split for split, number in numbers.items() if number == 0):
            yield Finding("no-class", "warning", f"{split}/{name}", "no image of this class in this split")
    yield from _imbalance({name: count for name, count in counts.get("train", {}).items() if count})


def _imbalance(train: dict[str, int]) -> Iterator[Finding]:
    """``train`` says how many images of each class there are to train on."""
    if not train:
        return
    small, large = min(train, key=train.__getitem__), max(train, key=train.__getitem__)
    if train[large] >= UNEQUAL * train[small]:
        message = (
            f"{train[small]:,} training images, {train[large] / train[small]:,.0f} times fewer than the "
            f"{train[large]:,} of {large}: weight the classes, and judge by the balanced accuracy"
        )
        yield Finding("imbalance", "warning", small, message)


def box_findings(rest: Index, looks: Sequence[Look]) -> Iterator[Finding]:
    """Boxes that are not within their image; of a turned file, neither as it is shown nor as it is stored."""
    for look in looks:
        boxes = rest.boxes.get(look.path, ())
        height, width = look.size
        frames = ((width, height), (height, width)) if look.turned else ((width, height),)
        beyond = [box for box in boxes if not any(_within(box, *frame) for frame in frames)]
        if not beyond:
            continue
        box = beyond[0]
        corners = f"left {box.left:,g}, top {box.top:,g}, right {box.right:,g}, bottom {box.bottom:,g}"
        one = "its box" if len(boxes) == 1 else f"{len(beyond):,} of its {len(boxes):,} boxes"
        verb = "is" if len(beyond) == 1 else "are"
        first = "the first of them " if len(beyond) > 1 else ""
        message = (
            f"{one} {verb} not within the image of {width:,} × {height:,} pixels (width × height), {first}"
            f'"{box.label}" with {corners}: correct it, or find out what its numbers mean'
        )
        yield Finding("outside-box", "warning", look.path, message, (look.path,))


def _within(box: Box, width: int, height: int) -> bool:
    """Whether a box lies in an image, give or take a pixel, which is often counted otherwise."""
    inside = box.left < width and box.top < height and box.right > 0 and box.bottom > 0
    return inside and min(box.left, box.top, width - box.right, height - box.bottom) >= -1


def copy_findings(rest: Index, looks: Sequence[Look]) -> Iterator[Finding]:
    """The same image twice: with two labels, in two splits, or just twice. One finding per picture.

    ``looks`` are those of the files of ``rest``. Files with the same content are one picture; different ones may
    still show the same (``data.checks.near``).
    """
    rows: dict[str, list[int]] = {}
    for row, path in enumerate(rest.paths):
        rows.setdefault(path, []).append(row)
    for members, same in _copies([look for look in looks if look.path in rows]):
        yield from _copy_finding(rest, [row for look in members for row in rows[look.path]], same)


def _copies(looks: Sequence[Look]) -> Iterator[tuple[list[Look], bool]]:
    """All files by the picture that they show, most of them alone; and whether their content is the same, too."""
    contents: dict[str, list[Look]] = {}
    for look in looks:
        contents.setdefault(look.digest, []).append(look)
    distinct = list(contents.values())
    hashes = np.array([looks[0].hash for looks in distinct], dtype=np.uint64)
    thumbs = np.frombuffer(b"".join(looks[0].thumb for looks in distinct), dtype=np.uint8)
    grouped = near_groups(hashes, thumbs.reshape(-1, THUMB, THUMB))
    for group in grouped:
        yield [look for number in group for look in distinct[number]], False
    near = {number for group in grouped for number in group}
    yield from ((looks, True) for number, looks in enumerate(distinct) if number not in near)


def _copy_finding(rest: Index, rows: Sequence[int], same: bool) -> Iterator[Finding]:
    if len(rows) < 2:
        return
    paths = tuple(dict.fromkeys(rest.paths[row] for row in rows))
    labels = list(dict.fromkeys(filter(None, (label(rest, row) for row in rows))))
    splits = _and(list(dict.fromkeys(str(rest.splits[row]) for row in rows)))
    alike = "has the same content as" if same else "looks the same as"
    said = f"{alike} {_some(paths[1:])}" if len(paths) > 1 else f"is listed {len(rows)} times"
    divided = f"divided between {splits}" if " and " in splits else ""
    if len(labels) > 1:
        also = f"; they are {divided}, too" if divided else ""
        message = f"{said}, but the labels are {_some(labels)}: correct them and keep one{also}"
        yield Finding("two-labels", "warning", paths[0], message, paths)
    elif divided:
        message = f"{said}, {divided}: the result will be too good; keep them in one split"
        yield Finding("leak", "warning", paths[0], message, paths)
    else:
        kind = "duplicate" if same else "near-duplicate"
        message = f"{said}: it counts more than once; keep one, or see that no split divides them"
        yield Finding(kind, "warning", paths[0], message, paths)


def label(index: Index, row: int) -> str:
    """The target of a row in words: its class, or its number with the unit; empty if it has none."""
    target = index.targets[row]
    if index.task == "classification":
        return index.classes[int(target)] if target >= 0 else ""
    numbers = [f"{value:,.6g}" for value in np.atleast_1d(target) if np.isfinite(value)]
    return " ".join(filter(None, (", ".join(numbers), index.unit if numbers else "")))


def _some(words: Sequence[str]) -> str:
    """The first three, and how many more."""
    more = [f"{len(words) - NAMED:,} more"] if len(words) > NAMED else []
    return _and([*words[:NAMED], *more])


def _and(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
