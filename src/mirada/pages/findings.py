"""Draws what a check of a data set has found as one HTML page, with pictures, that needs no other file."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from mirada.errors import counted
from mirada.pages.charts import histogram
from mirada.pages.page import publish, template
from mirada.pages.words import SPLITS, integer

SHOWN = 24  # findings of one kind
PICTURES = 6  # of one finding


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A thumbnail as a ``data:`` address, empty where there is none; ``note`` is what is known: ``train, cat``."""

    path: str
    note: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Item:
    """A finding: what it is about, the sentence, and the pictures that show it; ``more`` are not shown."""

    where: str
    message: str
    pictures: Sequence[Picture] = ()
    more: int = 0


@dataclass(frozen=True, kw_only=True)
class Kind:
    """All findings of a kind under their heading; ``severity`` is error, warning or info, ``more`` are not shown.

    ``name`` is what addresses it within the page.
    """

    name: str
    heading: str
    severity: str
    findings: Sequence[Item]
    more: int = 0

    @property
    def count(self) -> int:
        """How many there are, those not shown included."""
        return len(self.findings) + self.more

    @property
    def pictured(self) -> bool:
        """Whether there is anything to look at."""
        return any(item.pictures for item in self.findings)


@dataclass(frozen=True, kw_only=True)
class Check:
    """All that the page says. ``counts`` is split → class → images, ``sizes`` (height, width) → images.

    ``unit`` is None for classes; for numbers it is that of the target, which may be empty.
    """

    name: str
    root: str
    counts: Mapping[str, Mapping[str, int]]
    sizes: Mapping[tuple[int, int], int]
    modes: Mapping[str, int]
    kinds: Sequence[Kind]
    unit: str | None = None
    made: str = ""

    @property
    def images(self) -> int:
        """Images that can be read, in all splits."""
        return sum(sum(table.values()) for table in self.counts.values())

    def number(self, severity: str) -> int:
        """Findings of a severity."""
        return sum(kind.count for kind in self.kinds if kind.severity == severity)


def write_findings(check: Check, file: Path) -> Path:
    """Writes the page and returns its path; it appears whole or not at all."""
    return publish(render_findings(check), file)


def render_findings(check: Check) -> str:
    """The page as text."""
    return template("findings.html").render(
        check=check,
        title=title(check),
        tiles=tiles(check),
        split_names=SPLITS,
        counts=count_rows(check),
        figures=figures(check),
        sizes=size_sentence(check),
    )


def title(check: Check) -> str:
    """The answer in one line: ``pets: 2 errors and 3 warnings in 1,655 images``."""
    found = [counted(check.number(severity), severity) for severity in ("error", "warning")]
    said = " and ".join(text for text in found if not text.startswith("0 ")) or "nothing to mend"
    return f"{check.name}: {said} in {counted(check.images, 'image')}"


def tiles(check: Check) -> list[tuple[str, str, str]]:
    """The key numbers: name, value, note."""
    classes = len(next(iter(check.counts.values()), {}))
    target = (
        ("Target", "a number", check.unit) if check.unit is not None else ("Classes", integer(classes), "")
    )
    return [
        ("Images", integer(check.images), "that can be read"),
        target,
        ("Errors", integer(check.number("error")), "cannot be used as they are"),
        ("Warnings", integer(check.number("warning")), "will work, but not well"),
        ("Notes", integer(check.number("info")), "nothing has to be done"),
    ]


def count_rows(check: Check) -> list[tuple[str, list[tuple[int, float]]]]:
    """Per class, (count, share of the split's largest class) for each split."""
    names = list(dict.fromkeys(name for table in check.counts.values() for name in table))
    most = {split: max([1, *table.values()]) for split, table in check.counts.items()}
    return [
        (
            "Images" if check.unit is not None else name,
            [(table.get(name, 0), table.get(name, 0) / most[split]) for split, table in check.counts.items()],
        )
        for name in names
    ]


def size_sentence(check: Check) -> str:
    """How large the images are, and in which colour modes."""
    if not check.sizes:
        return "No image can be read."
    modes = ", ".join(f"{mode} ({integer(count)})" for mode, count in check.modes.items())
    if len(check.sizes) == 1:
        height, width = next(iter(check.sizes))
        return f"All images are {width} × {height} pixels (width × height). Colour modes: {modes}."
    return f"The images have {integer(len(check.sizes))} different sizes. Colour modes: {modes}."


def figures(check: Check) -> list[dict[str, Any]]:
    """The distributions of sizes and shapes; none if all images have one size."""
    if len(check.sizes) < 2:
        return []
    drawn = (
        (
            "Shorter side",
            "pixels",
            [(float(min(size)), count) for size, count in check.sizes.items()],
            "A network cannot see more detail than there is: images smaller than its input are enlarged.",
        ),
        (
            "Width by height",
            "width / height",
            [(width / height, count) for (height, width), count in check.sizes.items()],
            "1 is square. The further from it, the more a square input distorts, cuts or pads the image.",
        ),
    )
    found = []
    for name, unit, values, caption in drawn:
        kept, beyond = without_extremes(values)
        drawing = histogram(kept, across=unit, title=f"Distribution of the images by {unit}")
        aside = f" Not drawn: {counted(beyond, 'image')} far from the others." if beyond else ""
        found.append({"title": name, "svg": drawing, "caption": caption + aside})
    return found


def without_extremes(values: Sequence[tuple[float, int]]) -> tuple[list[tuple[float, int]], int]:
    """The (value, how many) without the outer hundredths, if these take most of the axis; and how many those are."""
    ordered = sorted(values)
    ranks = list(accumulate(count for _, count in ordered))
    cut = max(1.0, 0.01 * ranks[-1])
    low = ordered[min(bisect_right(ranks, cut), len(ordered) - 1)][0]
    high = ordered[bisect_left(ranks, ranks[-1] - cut)][0]
    if not 0 < high - low < (ordered[-1][0] - ordered[0][0]) / 2:
        return ordered, 0
    kept = [(value, count) for value, count in ordered if low <= value <= high]
    return kept, ranks[-1] - sum(count for _, count in kept)
