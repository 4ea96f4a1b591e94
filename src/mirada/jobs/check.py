"""Check a data set before anything is trained: what is there, what is odd, and a page that shows it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import groupby
from pathlib import Path
from statistics import median_low
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mirada.data.checks.check import examine
from mirada.data.checks.findings import label
from mirada.data.checks.inspection import Inspection, preview
from mirada.data.checks.kinds import Finding, Kind, Severity
from mirada.data.index import Index
from mirada.data.parallel import parallel_map
from mirada.data.sources import load_data
from mirada.data.sources.aside import with_other_columns
from mirada.errors import InvalidArgument
from mirada.events import OnProgress
from mirada.pages.findings import (
    PICTURES,
    SHOWN,
    CheckPage,
    Remark,
    Section,
    Strip,
    TargetColumn,
    Thumbnail,
    grouped,
    write_findings,
)
from mirada.samples import Classes, Covariate, Numbers

if TYPE_CHECKING:
    from pandas import DataFrame  # type: ignore[import-untyped]  # nothing of it is needed to run

CLASSES = 20  # of which sample pictures are shown
SAMPLES = 6  # of each class
SPREAD = 18  # of numbers, from the lowest to the highest


@dataclass(frozen=True)
class Sizes:
    """(height, width) in pixels of the readable images, per side; ``distinct`` counts the pairs."""

    min: tuple[int, int]
    median: tuple[int, int]
    max: tuple[int, int]
    distinct: int

    def to_dict(self) -> dict[str, object]:
        """As plain JSON values."""
        sides = {"min": list(self.min), "median": list(self.median), "max": list(self.max)}
        return {**sides, "distinct": self.distinct}


@dataclass(frozen=True)
class CheckReport:
    """What ``check`` found. Counts, sizes and colour modes are those of the images that can be read.

    Args:
        index: What was checked.
        findings: In the order of their severity, and then of their kind.
        readable: The rows of the index whose file can be read.
        inspections: What was seen of each of their files.
    """

    index: Index
    findings: tuple[Finding, ...]
    readable: Index
    inspections: tuple[Inspection, ...] = field(repr=False)

    @property
    def ok(self) -> bool:
        """True without any error or warning; what is only ``info`` asks for nothing."""
        return all(finding.severity == "info" for finding in self.findings)

    @property
    def name(self) -> str:
        """What the data is called: its folder, or its file without the ending."""
        origin = self.index.origin.resolve()
        return (origin.stem if origin.is_file() else origin.name) or "data"

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Split → class → images."""
        return self.readable.counts()

    @property
    def size_counts(self) -> Counter[tuple[int, int]]:
        """Images by (height, width) in pixels."""
        return Counter(one.size for one in self.inspections)

    @property
    def sizes(self) -> Sizes | None:
        """The range of sizes, None if no image can be read."""
        if not (counts := self.size_counts):
            return None
        heights, widths = zip(*counts.elements(), strict=True)
        return Sizes(
            min=(min(heights), min(widths)),
            median=(median_low(heights), median_low(widths)),
            max=(max(heights), max(widths)),
            distinct=len(counts),
        )

    @property
    def modes(self) -> dict[str, int]:
        """Images by Pillow's colour mode, the commonest first."""
        return dict(Counter(one.mode for one in self.inspections).most_common())

    def to_dict(self) -> dict[str, object]:
        """As plain JSON values."""
        sizes = self.sizes
        return {
            "ok": self.ok,
            "findings": [finding.to_dict() for finding in self.findings],
            "counts": self.counts,
            "sizes": sizes.to_dict() if sizes else None,
            "modes": self.modes,
        }

    def by_kind(self) -> Iterator[tuple[Kind, Severity, list[Finding]]]:
        """The findings of each kind and severity, which lie together."""
        for (severity, kind), found in groupby(self.findings, key=lambda each: (each.severity, each.kind)):
            yield kind, severity, list(found)

    def write(self, page: str | Path, *, on_event: OnProgress | None = None) -> Path:
        """Writes one HTML page with what is there, what was found, and pictures.

        Args:
            page: The file to make or replace; not in a folder of images, in which nothing is changed.
            on_event: Called with each ``Progress`` as images are read.

        Returns:
            Its path.

        Raises:
            InvalidArgument: For a page among the images.
            OSError: If it cannot be written.
        """
        if lies_among_images(self.index, page):
            raise InvalidArgument(
                f"{page} lies in the data folder, in which nothing is changed. Choose another place."
            )
        return write_findings(_page(self, on_event), Path(page))


def check(data: "Index | str | Path | DataFrame", *, on_event: OnProgress | None = None) -> CheckReport:
    """Looks at every image of a data set before anything is trained; changes nothing.

    Args:
        data: An index of ``load_data``, or what it takes.
        on_event: Called with each ``Progress`` as images are read.

    Returns:
        Counts, sizes, colour modes and findings, which ``write`` makes a page of. A bad file is a finding.

    Raises:
        DataError: For data that cannot be listed.
    """
    index = data if isinstance(data, Index) else load_data(data)
    examined = examine(with_other_columns(index), on_event=on_event)
    return CheckReport(index, examined.findings, examined.rest, examined.readable)


def lies_among_images(index: Index, page: str | Path) -> bool:
    """Whether a page would lie in the folder that holds the images; beside a table it may."""
    return not index.origin.is_file() and Path(page).resolve().is_relative_to(index.root.resolve())


def _page(report: CheckReport, on_event: OnProgress | None) -> CheckPage:
    """All that the page shows, with the thumbnails of what fits on it."""
    rows = _sample_rows(report.readable)
    kinds = [(kind, severity, found, found[:SHOWN]) for kind, severity, found in report.by_kind()]
    findings = (finding for _, _, _, shown in kinds for finding in shown)
    wanted = [
        *(path for finding in findings for path in _visible(finding)[:PICTURES]),
        *(report.readable.paths[row] for _, part in rows for row in part),
    ]
    thumbnails = _thumbnails(report.index, wanted, on_event)
    return CheckPage(
        name=report.name,
        root=str(report.index.origin),
        counts=report.counts,
        sizes=report.size_counts,
        modes=report.modes,
        sections=[
            Section(
                name=f"{severity}-{kind}",
                heading=kind.heading,
                severity=severity,
                groups=grouped([(_entry(finding, thumbnails), finding.advice) for finding in shown]),
                more=len(found) - len(shown),
            )
            for kind, severity, found, shown in kinds
        ],
        targets=_targets(report.readable),
        parts=_targets_by_covariate(report.readable),
        samples=[
            Strip(name, [thumbnails[report.readable.paths[row]] for row in part]) for name, part in rows
        ],
        made=datetime.now().astimezone().isoformat(" ", "minutes"),
    )


def _entry(finding: Finding, thumbnails: Mapping[str, Thumbnail]) -> Remark:
    paths = _visible(finding)
    return Remark(
        where=finding.where,
        message=finding.fact,
        pictures=[thumbnails[path] for path in paths[:PICTURES]],
        more=len(paths[PICTURES:]),
    )


def _visible(finding: Finding) -> tuple[str, ...]:
    """The images of a finding that can be shown."""
    return () if finding.kind is Kind.UNREADABLE else finding.paths


def _thumbnails(index: Index, paths: Iterable[str], on_event: OnProgress | None) -> dict[str, Thumbnail]:
    """Thumbnails by path, with the split and the target of each: ``train, cat``."""
    wanted = list(dict.fromkeys(paths))
    notes: dict[str, dict[str, None]] = {path: {} for path in wanted}
    for row, path in enumerate(index.paths):
        if path in notes:
            notes[path][", ".join(filter(None, (str(index.splits[row]), label(index, row))))] = None
    sources = parallel_map(partial(preview, index.root), wanted, what="drawing", on_event=on_event)
    return {
        path: Thumbnail(path=path, note=" and ".join(notes[path]), source=source)
        for path, source in zip(wanted, sources, strict=True)
    }


def _sample_rows(rest: Index) -> list[tuple[str, list[int]]]:
    """Rows to show what the data look like: some of each class, evenly spaced; of numbers from low to high."""
    match rest.target:
        case Classes(names):
            rows = [np.flatnonzero(rest.targets == number) for number in range(len(names[:CLASSES]))]
            return [(name, _spaced(part, SAMPLES)) for name, part in zip(names, rows, strict=False)]
        case Numbers():
            order = np.argsort(rest.targets[:, 0], kind="stable")  # what is unknown comes last
            known = order[: int(np.isfinite(rest.targets[:, 0]).sum())]
            return [("", _spaced(known, SPREAD))] if len(known) else []


def _spaced(rows: NDArray[np.int64], count: int) -> list[int]:
    """So many of the rows, evenly spaced, the first and the last among them."""
    places = np.linspace(0, max(len(rows) - 1, 0), min(count, len(rows))).round().astype(np.int64)
    return [int(row) for row in rows[places]]


def _targets(rest: Index) -> list[TargetColumn] | None:
    """The numbers to be learnt, one distribution for each; None for classes."""
    match rest.target:
        case Classes():
            return None
        case Numbers(names, unit):
            columns = zip(names, rest.targets.T, strict=True)
            return [
                TargetColumn(name, unit, values[np.isfinite(values)].tolist()) for name, values in columns
            ]


def _targets_by_covariate(rest: Index) -> list[TargetColumn]:
    """The first number by each covariate that has two values, such as the sex."""
    match rest.target:
        case Classes():
            return []
        case Numbers(_, unit):
            first = rest.targets[:, 0]
            halves = [
                (f"{covariate.column} = {word}", np.isfinite(first) & (column == code))
                for covariate, column in zip(rest.covariate_specs, rest.covariates.T, strict=True)
                if covariate.one or covariate.binary
                for word, code in _two_values(covariate)
            ]
            return [TargetColumn(name, unit, first[rows].tolist()) for name, rows in halves]


def _two_values(covariate: Covariate) -> tuple[tuple[str, int], tuple[str, int]]:
    """What stands for 1 and for 0."""
    return ((covariate.one, 1), (covariate.other or "others", 0)) if covariate.one else (("1", 1), ("0", 0))
