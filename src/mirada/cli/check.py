"""``mirada check``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirada.cli.console import ProgressBar, counts_table, say, say_json
from mirada.cli.data_options import DataOptions, data_options
from mirada.cli.files import data_path, new_file, new_name
from mirada.errors import counted

if TYPE_CHECKING:
    from mirada.jobs.check import CheckReport, Sizes

LINES = 20  # findings of one kind on the terminal
WORDS = {"error": "error", "warning": "warning", "info": "note"}


@click.command()
@data_options()
@click.argument("data", callback=data_path)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.option(
    "--html",
    type=click.Path(dir_okay=False),
    callback=new_name,
    help="The page to write. [default: DATA-check.html here, if anything was found]",
)
@click.option("--no-html", is_flag=True, help="Write no page.")
def command(columns: DataOptions, data: str, as_json: bool, html: str | None, no_html: bool) -> int:
    """Look at every image before anything is trained: files, sizes, copies, splits, targets.

    The exit code is 1 if there is an error or a warning; notes do not count. An HTML page shows the images concerned.
    No file of the data is changed.
    """
    if html and no_html:
        raise click.UsageError("--html and --no-html contradict each other.")
    from mirada.jobs.check import check, lies_among_images

    index = columns.load(data)
    if html and lies_among_images(index, html):
        raise click.UsageError(
            f"{html} lies in the data folder, in which nothing is changed. Choose another place."
        )
    with ProgressBar() as progress:
        report = check(index, on_event=progress.on_event)
        if as_json:
            say_json(report.to_dict())
        else:
            _tell(report)
        wanted = html or (report.findings and not as_json and not no_html)
        page = Path(html or f"{report.name}-check.html")
        said = ""
        if wanted and lies_among_images(index, page):
            said = "No page is written into the data folder; --html FILE writes it elsewhere."
        elif wanted:
            with new_file(page) as file:
                said = f"with pictures: {report.write(file, on_event=progress.on_event)}"
    if not as_json:
        say(*filter(None, (said, _verdict(report))))
    return 0 if report.ok else 1


def _tell(report: CheckReport) -> None:
    say(*counts_table(report.counts))
    if sizes := report.sizes:
        say("", f"sizes (height × width): {_sizes(sizes)}")
        say("modes: " + ", ".join(f"{mode} {count:,}" for mode, count in report.modes.items()))
    for note in report.index.notes:
        say(note)
    say()
    for _, severity, found in report.by_kind():
        for finding in found[:LINES]:
            say(f"{WORDS[severity]}: {finding}")
        if len(found) > LINES:
            say(f"{WORDS[severity]}: … and {len(found) - LINES:,} more like this; --json names all")


def _verdict(report: CheckReport) -> str:
    notes = sum(finding.severity == "info" for finding in report.findings)
    number = len(report.findings) - notes
    aside = f" ({counted(notes, 'note')})" if notes else ""
    return f"{counted(number, 'finding')}{aside}" if number else f"No findings: ready to train.{aside}"


def _sizes(sizes: Sizes) -> str:
    smallest, median, largest = (
        f"{height} × {width}" for height, width in (sizes.min, sizes.median, sizes.max)
    )
    if sizes.distinct == 1:
        return f"all {median}"
    return f"{smallest} to {largest}, median {median}, {sizes.distinct:,} different"
