"""``mirada check``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirada.cli.console import ProgressBar, counts_table, say, say_json
from mirada.cli.data_options import DataOptions, data_options
from mirada.cli.files import in_a_folder, unused

if TYPE_CHECKING:
    from mirada.data.checks.check import CheckReport, Sizes
    from mirada.data.checks.findings import Finding
    from mirada.data.index import Index
    from mirada.pages.findings import Kind, Picture

LINES = 20  # findings of one kind on the terminal
WORDS = {"error": "error", "warning": "warning", "info": "note"}


@click.command()
@data_options()
@click.argument("data", type=click.Path(exists=True))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--html",
    type=click.Path(dir_okay=False),
    callback=in_a_folder,
    help="The page to write. [default: DATA-check.html here, if there is a finding]",
)
@click.option("--no-html", is_flag=True, help="Write no page.")
def command(columns: DataOptions, data: str, as_json: bool, html: str | None, no_html: bool) -> int:
    """Look at every image before anything is trained: files, sizes, copies, splits, targets.

    Exits with 1 if there is a finding; notes are none. A page shows the images of each. No file of the data is
    changed.
    """
    if html and no_html:
        raise click.UsageError("--html and --no-html contradict each other.")
    from mirada.data.checks.check import check

    index = columns.load(data)
    if html and _within(index, Path(html)):
        raise click.UsageError(
            f"{html} lies in the data folder, in which nothing is changed. Choose another place."
        )
    with ProgressBar() as progress:
        report = check(index, on_event=progress.on_event)
    if as_json:
        say_json(report.to_dict())
    else:
        _tell(index, report)
    wanted = html or (report.findings and not as_json and not no_html)
    said = _page(index, report, html) if wanted else ""
    if not as_json:
        say(*filter(None, (said, _verdict(report))))
    return 0 if report.ok else 1


def _page(index: Index, report: CheckReport, html: str | None) -> str:
    """Writes the page, and returns what is said about it."""
    page = Path(html) if html else unused(Path(f"{_name(index)}-check.html"))
    if _within(index, page):
        return "No page is written into the data folder; --html FILE writes it elsewhere."
    return f"with pictures: {_write_page(index, report, page)}"


def _name(index: Index) -> str:
    """What the data is called: its folder, or its file without the ending."""
    origin = index.origin.resolve()
    return (origin.stem if origin.is_file() else origin.name) or "data"


def _within(index: Index, page: Path) -> bool:
    """Whether a page would lie in the folder that holds the images; beside a table it may."""
    return not index.origin.is_file() and page.resolve().is_relative_to(index.root.resolve())


def _tell(index: Index, report: CheckReport) -> None:
    say(*counts_table(report.counts))
    if report.sizes:
        say("", f"sizes (height × width): {_sizes(report.sizes)}")
        say("modes: " + ", ".join(f"{mode} {count:,}" for mode, count in report.modes.items()))
    for note in index.notes:
        say(note)
    say()
    for severity, kind in _kinds(report):
        for finding in kind[:LINES]:
            say(f"{WORDS[severity]}: {finding}")
        if len(kind) > LINES:
            say(f"{WORDS[severity]}: … and {len(kind) - LINES:,} more like this; --json names all")


def _kinds(report: CheckReport) -> list[tuple[str, list[Finding]]]:
    """The findings of each kind and severity, which lie together, with their severity."""
    grouped = groupby(report.findings, key=lambda finding: (finding.severity, finding.kind))
    return [(severity, list(findings)) for (severity, _), findings in grouped]


def _verdict(report: CheckReport) -> str:
    notes = sum(finding.severity == "info" for finding in report.findings)
    number = len(report.findings) - notes
    aside = f" ({notes:,} note{'s' * (notes > 1)})" if notes else ""
    return (
        f"{number:,} finding{'s' * (number > 1)}{aside}" if number else f"No findings: ready to train.{aside}"
    )


def _sizes(sizes: Sizes) -> str:
    smallest, median, largest = (
        f"{height} × {width}" for height, width in (sizes.min, sizes.median, sizes.max)
    )
    if sizes.distinct == 1:
        return f"all {median}"
    return f"{smallest} to {largest}, median {median}, {sizes.distinct:,} different"


def _write_page(index: Index, report: CheckReport, page: Path) -> Path:
    from mirada.pages.findings import Check, write_findings

    checked = Check(
        name=_name(index),
        root=str(index.origin),
        counts=report.counts,
        sizes=report.size_counts,
        modes=report.modes,
        kinds=_page_kinds(index, report),
        unit=index.unit if index.task == "regression" else None,
        made=datetime.now().astimezone().isoformat(" ", "minutes"),
    )
    return write_findings(checked, page)


def _page_kinds(index: Index, report: CheckReport) -> list[Kind]:
    """The findings as the page shows them, with thumbnails of those that fit on it."""
    from mirada.data.checks.findings import KINDS
    from mirada.pages.findings import PICTURES, SHOWN, Item, Kind

    kinds = [(severity, kind, kind[:SHOWN]) for severity, kind in _kinds(report)]
    pictures = _pictures(
        index, (path for _, _, shown in kinds for f in shown for path in _seen(f)[:PICTURES])
    )
    return [
        Kind(
            name=f"{severity}-{kind[0].kind}",
            heading=KINDS[kind[0].kind],
            severity=severity,
            findings=[
                Item(
                    where=finding.where,
                    message=finding.message,
                    pictures=[pictures[path] for path in _seen(finding)[:PICTURES]],
                    more=len(_seen(finding)[PICTURES:]),
                )
                for finding in shown
            ],
            more=len(kind) - len(shown),
        )
        for severity, kind, shown in kinds
    ]


def _seen(finding: Finding) -> tuple[str, ...]:
    """The images of a finding that can be shown."""
    return () if finding.kind == "unreadable" else finding.paths


def _pictures(index: Index, paths: Iterable[str]) -> dict[str, Picture]:
    """Thumbnails by path, with the split and the target of each: ``train, cat``."""
    from functools import partial

    from mirada.data.checks.findings import label
    from mirada.data.checks.looks import preview
    from mirada.data.parallel import parallel_map
    from mirada.pages.findings import Picture

    wanted = list(dict.fromkeys(paths))
    notes: dict[str, dict[str, None]] = {path: {} for path in wanted}
    for row, path in enumerate(index.paths):
        if path in notes:
            notes[path][", ".join(filter(None, (str(index.splits[row]), label(index, row))))] = None
    sources = parallel_map(partial(preview, index.root), wanted, what="drawing")
    return {
        path: Picture(path=path, note=" and ".join(notes[path]), source=source)
        for path, source in zip(wanted, sources, strict=True)
    }
