"""Draws what a check of a data set has found as one HTML page, with pictures, that needs no other file."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

from markupsafe import Markup

from mirada.errors import counted
from mirada.pages.charts import histogram
from mirada.pages.overview import count_rows
from mirada.pages.page import publish, template
from mirada.pages.words import SPLITS
from mirada.text import integer

SHOWN = 24  # findings of one kind
PICTURES = 6  # of one finding


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A small picture as a ``data:`` address, empty where there is none; ``note`` is what is known: ``train, cat``."""

    path: str
    note: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Remark:
    """A finding: what it is about, the sentence, and the pictures that show it; ``more`` are not shown."""

    where: str
    message: str
    pictures: Sequence[Thumbnail] = ()
    more: int = 0


@dataclass(frozen=True)
class Group:
    """Findings that a sentence, said once above them, is about; their own messages are what is left to say."""

    sentence: str
    remarks: Sequence[Remark]

    @property
    def pictured(self) -> bool:
        """Whether there is anything to look at."""
        return any(remark.pictures for remark in self.remarks)

    @property
    def placed(self) -> bool:
        """Whether any of them is about something that has a name."""
        return any(remark.where for remark in self.remarks)


@dataclass(frozen=True, kw_only=True)
class Section:
    """All findings of a kind under their heading; ``severity`` is error, warning or info, ``more`` are not shown.

    ``name`` is what addresses it within the page.
    """

    name: str
    heading: str
    severity: str
    groups: Sequence[Group]
    more: int = 0

    @property
    def count(self) -> int:
        """How many there are, those not shown included."""
        return sum(len(group.remarks) for group in self.groups) + self.more


@dataclass(frozen=True)
class Strip:
    """Some pictures in a row, of a class if it has a name."""

    name: str
    pictures: Sequence[Thumbnail]


@dataclass(frozen=True)
class TargetColumn:
    """Numbers to be learnt: their name, if there are several, or whose they are; their unit, and the values."""

    name: str
    unit: str
    values: Sequence[float]


@dataclass(frozen=True)
class Plot:
    """A chart with its title and what it means."""

    title: str
    svg: Markup
    caption: str


@dataclass(frozen=True, kw_only=True)
class CheckPage:
    """All that the page says. ``counts`` is split → class → images, ``sizes`` (height, width) → images.

    ``targets`` is None for classes, ``parts`` are the first of them by covariates; ``samples`` show what is there.
    """

    name: str
    root: str
    counts: Mapping[str, Mapping[str, int]]
    sizes: Mapping[tuple[int, int], int]
    modes: Mapping[str, int]
    sections: Sequence[Section]
    targets: Sequence[TargetColumn] | None = None
    parts: Sequence[TargetColumn] = ()
    samples: Sequence[Strip] = ()
    made: str = ""

    @property
    def images(self) -> int:
        """Images that can be read, in all splits."""
        return sum(sum(table.values()) for table in self.counts.values())

    @property
    def classes(self) -> int:
        """How many there are, those without a picture on the page included."""
        return len(next(iter(self.counts.values()), {}))

    def number(self, severity: str) -> int:
        """Findings of a severity."""
        return sum(section.count for section in self.sections if section.severity == severity)


def grouped(findings: Sequence[tuple[Remark, str]]) -> list[Group]:
    """Remarks by the advice that follows from them, which is said once for several; and so is what they all say."""
    by_advice: dict[str, list[Remark]] = {}
    for remark, advice in findings:
        by_advice.setdefault(advice, []).append(remark)
    return [group for advice, remarks in by_advice.items() for group in _groups(remarks, advice)]


def _groups(remarks: Sequence[Remark], advice: str) -> list[Group]:
    """One group under the advice, or one for each fact where each stands for several remarks."""
    by_fact: dict[str, list[Remark]] = {}
    for remark in remarks:
        by_fact.setdefault(remark.message, []).append(remark)
    if len(remarks) > 1 and len(by_fact) <= len(remarks) / 2:
        return [
            Group(_sentence(fact, advice), [replace(remark, message="") for remark in alike])
            for fact, alike in by_fact.items()
        ]
    if len(remarks) > 1:
        return [Group(_sentence(advice), remarks)]
    whole = [": ".join(filter(None, (remark.message, advice))) for remark in remarks]
    return [Group("", [replace(remark, message=said) for remark, said in zip(remarks, whole, strict=True)])]


def _sentence(*parts: str) -> str:
    said = ": ".join(filter(None, parts))
    return f"{said[:1].upper()}{said[1:]}{'' if said.endswith('?') or not said else '.'}"


def write_findings(check: CheckPage, file: Path) -> Path:
    """Writes the page and returns its path; it appears whole or not at all."""
    return publish(render_findings(check), file)


def render_findings(check: CheckPage) -> str:
    """The page as text."""
    return template("findings.html").render(
        check=check,
        title=title(check),
        tiles=tiles(check),
        split_names=SPLITS,
        counts=count_rows(check.counts, numeric=check.targets is not None),
        figures=figures(check),
        sizes=size_sentence(check),
    )


def title(check: CheckPage) -> str:
    """The answer in one line: ``pets: 2 errors and 3 warnings in 1,655 images``."""
    numbers = {severity: check.number(severity) for severity in ("error", "warning")}
    said = " and ".join(counted(number, severity) for severity, number in numbers.items() if number)
    return f"{check.name}: {said or 'nothing to mend'} in {counted(check.images, 'image')}"


def tiles(check: CheckPage) -> list[tuple[str, str, str]]:
    """The key numbers: name, value, note."""
    target = ("Classes", integer(check.classes), "")
    if check.targets is not None:
        several = len(check.targets) > 1
        units = dict.fromkeys(target.unit for target in check.targets)
        target = ("Target", f"{len(check.targets)} numbers" if several else "a number", ", ".join(units))
    return [
        ("Images", integer(check.images), "that can be read"),
        target,
        ("Errors", integer(check.number("error")), "cannot be used as they are"),
        ("Warnings", integer(check.number("warning")), "will work, but not well"),
        ("Notes", integer(check.number("info")), "nothing has to be done"),
    ]


def size_sentence(check: CheckPage) -> str:
    """How large the images are, and in which colour modes."""
    if not check.sizes:
        return "No image can be read."
    modes = ", ".join(f"{mode} ({integer(count)})" for mode, count in check.modes.items())
    if len(check.sizes) == 1:
        height, width = next(iter(check.sizes))
        return f"All images are {width} × {height} pixels (width × height). Colour modes: {modes}."
    return f"The images have {integer(len(check.sizes))} different sizes. Colour modes: {modes}."


def figures(check: CheckPage) -> list[Plot]:
    """The distributions of the targets, if they are numbers, and of sizes and shapes, if they differ."""
    drawn = [
        (
            "Targets" if not target.name else f"Targets: {target.name}",
            target.unit or target.name or "target",
            [(value, 1) for value in target.values],
            "What is rare here is learnt from few images, and beyond the ends nothing is learnt.",
        )
        for target in (*(check.targets or ()), *check.parts)
        if len(set(target.values)) > 1
    ]
    if len(check.sizes) > 1:
        drawn += [
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
        ]
    found = []
    for name, unit, values, caption in drawn:
        kept, beyond = without_extremes(values)
        drawing = histogram(kept, across=unit, title=f"Distribution of the images by {unit}")
        aside = f" Not drawn: {counted(beyond, 'image')} far from the others." if beyond else ""
        found.append(Plot(name, drawing, caption + aside))
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
