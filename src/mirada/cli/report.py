"""``mirada report``."""

from pathlib import Path

import click

from mirada.cli.console import ProgressBar, say


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False))
def command(run: str) -> int:
    """Write the report of a run anew, also of one that was killed.

    RUN is the folder that `mirada train` made. The page says how far the run came, and replaces the one that is
    there. Of folds, the pages of all of them and of the labels that are probably wrong are written. Beside the page,
    figures/ has every figure as SVG and PDF, and tables/ every table as CSV, with the checklists of TRIPOD+AI and CLAIM
    as far as the run can fill them in.
    """
    from mirada.jobs.suspects import suspects_of
    from mirada.pages import write_report
    from mirada.runs.folder import SUSPECTS

    with ProgressBar() as progress:
        suspects = suspects_of(Path(run), on_event=progress.on_event)
    if suspects:
        say(Path(run) / SUSPECTS)
    say(write_report(Path(run)))
    return 0
