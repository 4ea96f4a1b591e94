"""``mirada check``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from mirada.cli.console import Progress, counts_table

if TYPE_CHECKING:
    from mirada.data.check import Sizes


@click.command()
@click.argument("data", type=click.Path(exists=True))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(data: str, as_json: bool) -> int:
    """Look at every image before anything is trained: counts, sizes, modes, files that cannot be read.

    Exits with 1 if there is a finding. No file is changed.
    """
    from mirada.data.check import check
    from mirada.data.sources import load_data

    with Progress() as progress:
        report = check(load_data(data), watch=progress.watch)
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=1, ensure_ascii=False))
        return 0 if report.ok else 1
    click.echo(counts_table(report.counts))
    if report.sizes:
        click.echo(f"\nsizes (height × width): {_sizes(report.sizes)}")
        click.echo("modes: " + ", ".join(f"{mode} {count:,}" for mode, count in report.modes.items()))
    click.echo()
    for finding in report.findings:
        click.echo(f"{finding.severity}: {finding}")
    number = len(report.findings)
    click.echo(f"{number:,} finding{'s' * (number > 1)}" if number else "No findings: ready to train.")
    return 0 if report.ok else 1


def _sizes(sizes: Sizes) -> str:
    smallest, median, largest = (
        f"{height} × {width}" for height, width in (sizes.min, sizes.median, sizes.max)
    )
    if sizes.distinct == 1:
        return f"all {median}"
    return f"{smallest} to {largest}, median {median}, {sizes.distinct:,} different"
