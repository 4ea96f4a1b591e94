"""Looks at every file of an ``Index`` before anything is trained, and tells what is odd. Changes nothing."""

from functools import partial
from typing import NamedTuple

from mirada.data.checks.findings import (
    box_findings,
    class_findings,
    copy_findings,
    few_findings,
    file_findings,
    rotated_findings,
    size_findings,
    split_findings,
)
from mirada.data.checks.inspection import Inspection, inspect
from mirada.data.checks.kinds import SEVERITIES, Finding, Kind
from mirada.data.checks.names import name_findings
from mirada.data.checks.shortcuts import shortcut_findings
from mirada.data.checks.targets import target_findings
from mirada.data.index import Index
from mirada.data.parallel import parallel_map
from mirada.events import OnProgress
from mirada.samples import Excluded


class Examined(NamedTuple):
    """What was found: the findings in order, the rows that can be read, and what was seen of their files."""

    findings: tuple[Finding, ...]
    rest: Index
    readable: tuple[Inspection, ...]


def examine(index: Index, *, on_event: OnProgress | None = None) -> Examined:
    """Decodes every file of an index once, by all cores, and looks for what is odd.

    Args:
        index: Copies are looked for among its images only; a group is named by its code.
        on_event: Called with each ``Progress`` as images are read.

    Returns:
        The findings in the order of their severity, and then of ``Kind``. A bad file is a finding; of each image a
        kilobyte is kept.
    """
    paths = tuple(dict.fromkeys(index.paths))  # a table may name a file twice
    seen = list(parallel_map(partial(inspect, index.root), paths, what="checking", on_event=on_event))
    readable = [one for one in seen if not one.reason]
    rest = index.without([Excluded(one.path, one.reason) for one in seen if one.reason])
    findings = [
        *(finding for one in seen for finding in file_findings(one)),
        *split_findings(index, rest),
        *few_findings(rest),
        *class_findings(rest),
        *name_findings(rest),
        *copy_findings(rest, readable, on_event),
        *shortcut_findings(rest, readable),
        *size_findings(readable),
        *box_findings(rest, readable),
        *target_findings(rest),
        *rotated_findings(readable),
        *(
            Finding(Kind.EXCLUDED, "warning", file.path, f"left out: {file.reason}")
            for file in index.excluded
        ),
    ]
    kinds = list(Kind)
    findings.sort(key=lambda finding: (SEVERITIES.index(finding.severity), kinds.index(finding.kind)))
    return Examined(tuple(findings), rest, tuple(readable))
