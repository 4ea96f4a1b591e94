"""Looks at every file of an ``Index`` before anything is trained, and says what it finds. Changes nothing."""

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median_low
from typing import Any, Literal, NamedTuple

from PIL import Image

from mirada.data.decode import EXTENSIONS, FORMATS, DecodeError, open_upright, read_file
from mirada.data.index import Excluded, Index
from mirada.data.parallel import Watch, each

Severity = Literal["error", "warning"]

TINY = 8  # pixels on a side
FORMAT_EXTENSIONS = {
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "JPEG": (".jfif", ".jpe", ".jpeg", ".jpg", ".mpo"),  # an .mpo file is a JPEG with further ones behind it
    "PNG": (".apng", ".png"),
    "PPM": (".pbm", ".pgm", ".pnm", ".ppm"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing. ``where`` is the file, the class, the split or ``split/class`` it is about.

    ``severity`` is ``error`` for what cannot be used and ``warning`` for what will work. ``kind`` is one of
    ``unreadable``, ``excluded``, ``wrong-extension``, ``tiny``, ``few-classes``, ``no-split``, ``no-class``,
    ``single-image``.
    """

    kind: str
    severity: Severity
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


@dataclass(frozen=True)
class Sizes:
    """(height, width) in pixels of the readable images, per side; ``distinct`` counts the pairs."""

    min: tuple[int, int]
    median: tuple[int, int]
    max: tuple[int, int]
    distinct: int

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        sides = {"min": list(self.min), "median": list(self.median), "max": list(self.max)}
        return {**sides, "distinct": self.distinct}


@dataclass(frozen=True)
class CheckReport:
    """What ``check`` found. ``counts`` (split → class → images) and all else cover the readable images.

    ``modes`` counts Pillow's colour modes; ``sizes`` is None if no image can be read. Errors come first in
    ``findings``.
    """

    findings: tuple[Finding, ...]
    counts: dict[str, dict[str, int]]
    sizes: Sizes | None
    modes: dict[str, int]

    @property
    def ok(self) -> bool:
        """True without any finding."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "ok": self.ok,
            "findings": [asdict(finding) for finding in self.findings],
            "counts": self.counts,
            "sizes": self.sizes and self.sizes.to_dict(),
            "modes": self.modes,
        }


def check(index: Index, *, watch: Watch | None = None) -> CheckReport:
    """Decodes every file of ``index`` by all cores and reports counts, sizes, colour modes and findings.

    Never raises for a bad file and never changes one. Pixels are dropped as soon as they have been decoded.
    """
    paths = tuple(dict.fromkeys(index.paths))  # a table may name a file twice
    looks = list(each(partial(_look, index.root), paths, what="checking", watch=watch))
    readable = [look for look in looks if not look.reason]
    rest = index.without([Excluded(look.path, look.reason) for look in looks if look.reason])
    findings = [
        *_split_findings(index, rest),
        *_class_findings(rest),
        *(finding for look in looks for finding in _file_findings(look)),
        *(Finding("excluded", "warning", file.path, f"left out: {file.reason}") for file in index.excluded),
    ]
    return CheckReport(
        findings=tuple(sorted(findings, key=lambda finding: finding.severity)),  # "error" < "warning"
        counts=rest.counts(),
        sizes=_sizes([look.size for look in readable]),
        modes=dict(Counter(look.mode for look in readable).most_common()),
    )


class _Look(NamedTuple):
    """What one file is: upright (height, width), mode and format, or the reason why it cannot be read."""

    path: str
    size: tuple[int, int] = (0, 0)
    mode: str = ""
    format: str = ""
    reason: str = ""


def _look(root: Path, path: str) -> _Look:
    try:
        data = read_file(root / path)
        upright = open_upright(data)  # all of it: a truncated file only shows at its end
    except DecodeError as error:
        return _Look(path, reason=str(error))
    with Image.open(io.BytesIO(data), formats=FORMATS) as header:
        return _Look(path, (upright.height, upright.width), header.mode, header.format or "")


def _file_findings(look: _Look) -> Iterator[Finding]:
    if look.reason:
        yield Finding("unreadable", "error", look.path, look.reason)
        return
    kind = "JPEG" if look.format == "MPO" else look.format
    extension = Path(look.path).suffix.lower()
    if extension in EXTENSIONS and extension not in FORMAT_EXTENSIONS[kind]:
        message = f"is a {kind} image in spite of {extension} in its name; it is read as {kind}"
        yield Finding("wrong-extension", "warning", look.path, message)
    height, width = look.size
    if min(look.size) < TINY:
        message = f"is {width} × {height} pixels (width × height); {TINY} on a side is little already"
        yield Finding("tiny", "warning", look.path, message)


def _split_findings(index: Index, rest: Index) -> Iterator[Finding]:
    """``rest`` is ``index`` without its unreadable files."""
    listed, left = index.counts(), rest.counts()
    for split in sorted(listed.keys() - left.keys()):
        yield Finding("no-split", "error", split, f"none of its {len(index.rows(split))} images can be read")
    if "train" not in listed:
        yield Finding("no-split", "error", "train", "there are no images to train on")
    # Training sets images aside for validation, and for the test if neither is there; here it does not.
    if "val" in listed and "test" not in listed:
        yield Finding("no-split", "warning", "test", "there are no images to test on beside those of val")


def _class_findings(rest: Index) -> Iterator[Finding]:
    """``rest`` is the index without its unreadable files."""
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


def _sizes(sizes: Sequence[tuple[int, int]]) -> Sizes | None:
    if not sizes:
        return None
    heights, widths = zip(*sizes, strict=True)
    return Sizes(
        min=(min(heights), min(widths)),
        median=(median_low(heights), median_low(widths)),
        max=(max(heights), max(widths)),
        distinct=len(set(sizes)),
    )
