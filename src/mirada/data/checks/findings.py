"""What is worth knowing about a data set, each as one sentence that says what to do: the rules behind ``check``.

Every function here takes what was seen and yields ``Finding``s; nothing is read from disk.
"""

from collections.abc import Iterator, Sequence
from math import log
from pathlib import Path
from statistics import median_low

import numpy as np

from mirada.data.checks.inspection import Inspection
from mirada.data.checks.kinds import Finding, Kind
from mirada.data.checks.near import THUMB, near_groups
from mirada.data.index import Index
from mirada.data.pixels.decode import EXTENSIONS
from mirada.data.splits import divided_groups, group_code
from mirada.errors import counted
from mirada.events import OnProgress
from mirada.samples import Box, Classes, Numbers

TINY = 8  # pixels on a side
DARK, LIGHT = 16, 239  # grey values of 255: beyond them a picture is nearly black, or nearly white
SIZE_FACTOR = 8.0  # a longer side so many times the median one, or so many times less
SHAPE_FACTOR = 3.0  # a height by width so many times that of the median image, or so many times less
ENOUGH = 10  # images, or targets, from which on there is a rule to be an exception to
UNEQUAL = 10  # the largest class holds so many times as many images as the smallest
FEW = 20  # images, fewer than which hardly show anything that is not chance
NAMED = 3  # files named in a sentence
FORMAT_EXTENSIONS = {
    "AVIF": (".avif", ".avifs"),
    "BMP": (".bmp",),
    "DICOM": (".dcm", ".dicom"),
    "GIF": (".gif",),
    "JPEG": (".jfif", ".jpe", ".jpeg", ".jpg", ".mpo"),  # an .mpo file is a JPEG with further ones behind it
    "JPEG2000": (".j2c", ".j2k", ".jp2", ".jpc", ".jpf", ".jpx"),
    "PNG": (".apng", ".png"),
    "PPM": (".pbm", ".pgm", ".pnm", ".ppm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}


def file_findings(look: Inspection) -> Iterator[Finding]:
    """What one file shows by itself: unreadable, wrongly named, tiny, without a picture."""
    if look.reason:
        yield Finding(Kind.UNREADABLE, "error", look.path, look.reason, (look.path,))
        return
    kind = "JPEG" if look.format == "MPO" else look.format
    extension = Path(look.path).suffix.lower()
    if kind and extension in EXTENSIONS and extension not in FORMAT_EXTENSIONS[kind]:
        fact = f"is a {kind} image in spite of {extension} in its name; it is read as {kind}"
        yield Finding(Kind.WRONG_EXTENSION, "warning", look.path, fact, (look.path,))
    height, width = look.size
    if min(look.size) < TINY:
        fact = f"is {width} × {height} pixels (width × height)"
        advice = f"{TINY} on a side is little already"
        yield Finding(Kind.TINY, "warning", look.path, fact, (look.path,), advice)
    if empty := _emptiness(look):
        advice = "there is no picture to learn from; remove it, or find out how it came about"
        yield Finding(Kind.FLAT, "warning", look.path, empty, (look.path,), advice)


def _emptiness(look: Inspection) -> str:
    """In what way there is nothing to see, if that is so."""
    if look.flat:
        return "all its pixels are the same"
    if look.light < DARK:
        return f"is nearly black (999 of 1,000 pixels are below {DARK} of 255)"
    if look.dark > LIGHT:
        return f"is nearly white (999 of 1,000 pixels are above {LIGHT} of 255)"
    return ""


def size_findings(looks: Sequence[Inspection]) -> Iterator[Finding]:
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
            fact = f"{said}, while the longer side of most is about {usual:,}"
            yield Finding(Kind.EXTREME_SIZE, "warning", look.path, fact, (look.path,), "does it belong here?")
        if abs(shapes[look.path] - middle) > log(SHAPE_FACTOR):
            fact = f"{said}, a shape far from the others'"
            advice = "it will be distorted, cut or mostly margin"
            yield Finding(Kind.EXTREME_SHAPE, "warning", look.path, fact, (look.path,), advice)


def rotated_findings(looks: Sequence[Inspection]) -> Iterator[Finding]:
    """One note on all files that are stored turned."""
    turned = tuple(look.path for look in looks if look.turned)
    if turned:
        subject = f"{len(turned):,} files are" if len(turned) > 1 else f"{turned[0]} is"
        fact = (
            f"{subject} stored turned, with an EXIF orientation; Mirada turns such images upright by itself"
        )
        yield Finding(Kind.ROTATED, "info", "", fact, turned)


def split_findings(index: Index, rest: Index) -> Iterator[Finding]:
    """Splits without images, and groups in several splits; ``rest`` is ``index`` without its unreadable files."""
    listed, left = index.counts(), rest.counts()
    for split in sorted(listed.keys() - left.keys()):
        images = counted(len(index.rows(split)), "image")
        yield Finding(Kind.NO_SPLIT, "error", split, f"none of its {images} can be read")
    if "train" not in listed:
        yield Finding(Kind.NO_SPLIT, "error", "train", "there are no images to train on")
    # Training sets images aside for validation, and for the test if neither is there; here it does not.
    if "val" in listed and "test" not in listed:
        yield Finding(Kind.NO_SPLIT, "warning", "test", "there are no images to test on beside those of val")
    for group, rows in divided_groups(rest).items():
        counts = {split: int((rest.splits[rows] == split).sum()) for split in left}
        said = _and([f"{count:,} in {split}" for split, count in counts.items() if count])
        firsts = [rows[rest.splits[rows] == split] for split in left]
        advice = "what is learnt of it leaks; keep it in one split"
        paths = tuple(rest.paths[row] for part in firsts for row in part[:NAMED])
        where = f"group {group_code(group)}"
        yield Finding(
            Kind.DIVIDED_GROUP, "warning", where, f"has images in several splits ({said})", paths, advice
        )


def few_findings(rest: Index) -> Iterator[Finding]:
    """One finding if there are hardly any images; ``rest`` is the index without its unreadable files."""
    if 0 < len(rest) < FEW:
        fact = f"{counted(len(rest), 'image')} in all" if len(rest) > 1 else "a single image in all"
        advice = f"with fewer than {FEW}, what is learnt and how it is judged are mostly chance"
        yield Finding(Kind.FEW_IMAGES, "warning", "", fact, advice=advice)


def class_findings(rest: Index) -> Iterator[Finding]:
    """Classes that lack images; ``rest`` is the index without its unreadable files."""
    if not isinstance(rest.target, Classes):
        return
    names = rest.target.names
    if len(names) < 2:
        found = f'only "{names[0]}"' if names else "none"
        yield Finding(
            Kind.FEW_CLASSES, "error", "", f"classification needs at least two classes; found {found}"
        )
    counts = rest.counts()
    for name in names:
        numbers = {split: table[name] for split, table in counts.items()}
        if numbers.get("train") == 0:
            yield Finding(Kind.NO_CLASS, "error", f"train/{name}", "no image to train on")
            continue
        if sum(numbers.values()) == 1:
            yield Finding(Kind.SINGLE_IMAGE, "warning", name, "a single image: none is left to test on")
            continue
        for split in (split for split, number in numbers.items() if number == 0):
            yield Finding(Kind.NO_CLASS, "warning", f"{split}/{name}", "no image of this class in this split")
    yield from _imbalance({name: count for name, count in counts.get("train", {}).items() if count})


def _imbalance(train: dict[str, int]) -> Iterator[Finding]:
    """``train`` says how many images of each class there are to train on."""
    if not train:
        return
    small, large = min(train, key=train.__getitem__), max(train, key=train.__getitem__)
    if train[large] >= UNEQUAL * train[small]:
        fact = (
            f"{counted(train[small], 'training image')}, {train[large] / train[small]:,.0f} times fewer than the "
            f"{train[large]:,} of {large}"
        )
        advice = "weight the classes, and judge by the balanced accuracy"
        yield Finding(Kind.IMBALANCE, "warning", small, fact, advice=advice)


def box_findings(rest: Index, looks: Sequence[Inspection]) -> Iterator[Finding]:
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
        fact = (
            f"{one} {verb} not within the image of {width:,} × {height:,} pixels (width × height), {first}"
            f'"{box.label}" with {corners}'
        )
        advice = "correct it, or find out what its numbers mean"
        yield Finding(Kind.OUTSIDE_BOX, "warning", look.path, fact, (look.path,), advice)


def _within(box: Box, width: int, height: int) -> bool:
    """Whether a box lies in an image, give or take a pixel, which is often counted otherwise."""
    inside = box.left < width and box.top < height and box.right > 0 and box.bottom > 0
    return inside and min(box.left, box.top, width - box.right, height - box.bottom) >= -1


def copy_findings(
    rest: Index, looks: Sequence[Inspection], on_event: OnProgress | None = None
) -> Iterator[Finding]:
    """One image twice: with two labels, in two splits, or just twice. One finding per picture.

    ``looks`` are those of the files of ``rest``. Files with the same content are one picture; different ones may
    still show the same (``data.checks.near``).
    """
    rows: dict[str, list[int]] = {}
    for row, path in enumerate(rest.paths):
        rows.setdefault(path, []).append(row)
    for members, same in _copies([look for look in looks if look.path in rows], on_event):
        yield from _copy_finding(rest, [row for look in members for row in rows[look.path]], same)


def _copies(
    looks: Sequence[Inspection], on_event: OnProgress | None
) -> Iterator[tuple[list[Inspection], bool]]:
    """All files by the picture that they show, most of them alone; and whether their content is the same, too."""
    contents: dict[str, list[Inspection]] = {}
    for look in looks:
        contents.setdefault(look.digest, []).append(look)
    distinct = list(contents.values())
    hashes = np.array([looks[0].hash for looks in distinct], dtype=np.uint64)
    thumbs = np.frombuffer(b"".join(looks[0].thumb for looks in distinct), dtype=np.uint8)
    grouped = near_groups(hashes, thumbs.reshape(-1, THUMB, THUMB), on_event=on_event)
    for group in grouped:
        yield [look for number in group for look in distinct[number]], False
    near = {number for group in grouped for number in group}
    yield from ((looks, True) for number, looks in enumerate(distinct) if number not in near)


def _copy_finding(rest: Index, rows: Sequence[int], same: bool) -> Iterator[Finding]:
    if len(rows) < 2:
        return
    paths = tuple(dict.fromkeys(rest.paths[row] for row in rows))
    labels = list(dict.fromkeys(filter(None, (label(rest, row) for row in rows))))
    splits = list(dict.fromkeys(str(rest.splits[row]) for row in rows))
    alike = "has the same content as" if same else "looks the same as"
    said = f"{alike} {_some(paths[1:])}" if len(paths) > 1 else f"is listed {len(rows)} times"
    divided = f"divided between {_and(splits)}" if len(splits) > 1 else ""
    if len(labels) > 1:
        fact = f"{said}, but the labels are {_some(labels)}"
        advice = "correct them and keep one" + (f"; they are {divided}, too" if divided else "")
        yield Finding(Kind.TWO_LABELS, "warning", paths[0], fact, paths, advice)
    elif divided:
        advice = "the result will be too good; keep them in one split"
        yield Finding(Kind.LEAK, "warning", paths[0], f"{said}, {divided}", paths, advice)
    else:
        kind = Kind.DUPLICATE if same else Kind.NEAR_DUPLICATE
        advice = "it counts more than once; keep one, or see that no split divides them"
        yield Finding(kind, "warning", paths[0], said, paths, advice)


def label(index: Index, row: int) -> str:
    """The target of a row in words: its class, or its number with the unit; empty if it has none."""
    match index.target:
        case Classes(names):
            return names[int(index.targets[row])] if index.targets[row] >= 0 else ""
        case Numbers(_, unit):
            numbers = [f"{value:,.6g}" for value in index.targets[row] if np.isfinite(value)]
            return " ".join(filter(None, (", ".join(numbers), unit if numbers else "")))


def _some(words: Sequence[str]) -> str:
    """The first three, and how many more."""
    more = [f"{len(words) - NAMED:,} more"] if len(words) > NAMED else []
    return _and([*words[:NAMED], *more])


def _and(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
