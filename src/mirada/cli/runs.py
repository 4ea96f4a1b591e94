"""``mirada runs``."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from mirada.cli.console import figure, say
from mirada.text import table

if TYPE_CHECKING:
    from mirada.runs.listing import RunState

SPLITS = {"test": "test", "val": "validation"}


@click.command()
@click.argument("folder", default="runs", type=click.Path(exists=True, file_okay=False))
@click.option("--json", "as_text", is_flag=True, help="Print the list as JSON.")
def command(folder: str, as_text: bool) -> int:
    """List the runs of a folder: how each ended, and how well it does; `mirada compare` sets some beside each other.

    Exits with 1 if the files of a run are damaged.
    """
    from mirada.runs.listing import list_runs

    runs = list_runs(Path(folder))
    if not runs:
        say(f"There are no runs in {folder}.", err=True)
        return 1
    problems = [run.problem for run in runs if run.problem]
    if problems:
        say(*problems, err=True)
    if as_text:
        import json

        from mirada.codec import to_json

        listed = [{**to_json(run), "path": str(run.path)} for run in runs]
        say(*json.dumps(listed, indent=2, ensure_ascii=False).splitlines())
        return 1 if problems else 0
    header = ["run", "state", "network", "data", "epochs", "result"]
    rows = [
        [
            run.path.name,
            run.state,
            run.network,
            run.data,
            f"{run.epochs:,}" if run.epochs else "",
            _result(run),
        ]
        for run in runs
    ]
    say(*table(header, rows, left=len(header)))
    if stopped := [run for run in runs if run.resumable]:
        say(f"mirada train --resume {quote(str(stopped[-1].path))} takes up what was stopped.")
    return 1 if problems else 0


def _result(run: RunState) -> str:
    """The first metric, of which images it is, of several seeds how far they are apart, and if it is no honest one."""
    from mirada.pages.words import mark_of, nothing_learnt

    if run.judged is None or not run.judged.metrics:
        return "–"
    key, value = next(iter(run.judged.metrics.items()))
    said = f"{key} {figure(key, value, run.unit)} on {run.judged.n:,} {SPLITS[run.judged.split]} images"
    if run.by_seed:
        low, high = (figure(key, end, run.unit) for end in (min(run.by_seed), max(run.by_seed)))
        said = f"{said}, {low} to {high} with {len(run.by_seed)} seeds"
    nothing = nothing_learnt(run.judged.constant, run.judged.networks)
    return "; ".join(filter(None, (said, nothing, mark_of(run.judged.trained_on, run.judged.n))))
