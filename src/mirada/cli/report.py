"""``mirada report``."""

from pathlib import Path

import click

from mirada.cli.console import ProgressBar, say
from mirada.errors import counted


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False))
@click.option(
    "--paper",
    is_flag=True,
    help="Write into the run folder, too, every figure as SVG and PDF (figures/), every table as CSV (tables/), and "
    "the checklists of TRIPOD+AI and CLAIM as far as the run can fill them in.",
)
def command(run: str, paper: bool) -> int:
    """Write the report of a run anew, also of one that was killed.

    RUN is the folder that `mirada train` made. The page says how far the run came, and replaces the one that is
    there. Of folds, the pages of all of them and of the labels that are probably wrong are written.
    """
    from mirada.jobs.suspects import suspects_of
    from mirada.pages import write_report
    from mirada.runs.folder import SUSPECTS

    with ProgressBar() as progress:
        suspects = suspects_of(Path(run), on_event=progress.on_event)
    if suspects:
        say(Path(run) / SUSPECTS)
    say(write_report(Path(run)))
    if paper:
        _paper(Path(run))
    return 0


def _paper(run: Path) -> None:
    """Writes what goes into a paper, and says what there is."""
    from mirada.pages.paper import FIGURES, TABLES, write_paper

    written = write_paper(run)
    if written.figures:
        say(f"{run / FIGURES}: {counted(len(written.figures) // 2, 'figure')}, each as SVG and PDF")
    say(f"{run / TABLES}: {counted(len(written.tables), 'table')}", *written.checklists)
    if written.lost:
        say(
            f"The fonts of the PDF figures lack {written.lost}, and have ? in its place; the SVG ones are whole."
        )
