"""Looks at every file of an ``Index`` before anything is trained, and says what it finds. Changes nothing."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from statistics import median_low
from typing import Any

from mirada.data.checks.findings import (
    KINDS,
    SEVERITIES,
    Finding,
    box_findings,
    class_findings,
    copy_findings,
    file_findings,
    rotated_findings,
    size_findings,
    split_findings,
)
from mirada.data.checks.looks import look
from mirada.data.checks.targets import target_findings
from mirada.data.index import Index
from mirada.data.parallel import parallel_map
from mirada.events import OnProgress
from mirada.samples import Excluded


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

    ``modes`` counts Pillow's colour modes; ``sizes`` is None if no image can be read, and ``size_counts`` says how
    many images have each (height, width). ``findings`` are in the order of their severity, and then of ``KINDS``.
    """

    findings: tuple[Finding, ...]
    counts: dict[str, dict[str, int]]
    sizes: Sizes | None
    modes: dict[str, int]
    size_counts: Mapping[tuple[int, int], int] = field(default_factory=dict, repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """True without any error or warning; what is only ``info`` asks for nothing."""
        return all(finding.severity == "info" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "ok": self.ok,
            "findings": [finding.to_dict() for finding in self.findings],
            "counts": self.counts,
            "sizes": self.sizes and self.sizes.to_dict(),
            "modes": self.modes,
        }


def check(index: Index, *, on_event: OnProgress | None = None) -> CheckReport:
    """Decodes every file of ``index`` once, by all cores, and reports counts, sizes, colour modes and findings.

    Never raises for a bad file and never changes one. Of each image, a kilobyte is kept. Copies are looked for
    among the images of the index only; a group is named by its code.
    """
    paths = tuple(dict.fromkeys(index.paths))  # a table may name a file twice
    looks = list(parallel_map(partial(look, index.root), paths, what="checking", on_event=on_event))
    readable = [seen for seen in looks if not seen.reason]
    rest = index.without([Excluded(seen.path, seen.reason) for seen in looks if seen.reason])
    findings = [
        *(finding for seen in looks for finding in file_findings(seen)),
        *split_findings(index, rest),
        *class_findings(rest),
        *copy_findings(rest, readable),
        *size_findings(readable),
        *box_findings(rest, readable),
        *target_findings(rest),
        *rotated_findings(readable),
        *(Finding("excluded", "warning", file.path, f"left out: {file.reason}") for file in index.excluded),
    ]
    sizes = Counter(seen.size for seen in readable)
    kinds = list(KINDS)
    return CheckReport(
        findings=tuple(sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), kinds.index(f.kind)))),
        counts=rest.counts(),
        sizes=_sizes(sizes),
        modes=dict(Counter(seen.mode for seen in readable).most_common()),
        size_counts=sizes,
    )


def _sizes(counts: Counter[tuple[int, int]]) -> Sizes | None:
    if not counts:
        return None
    heights, widths = zip(*counts.elements(), strict=True)
    return Sizes(
        min=(min(heights), min(widths)),
        median=(median_low(heights), median_low(widths)),
        max=(max(heights), max(widths)),
        distinct=len(counts),
    )
