"""``mirada report``."""

from pathlib import Path

import click

from mirada.cli.console import say


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False))
def command(run: str) -> int:
    """Write the report of a run anew, also of one that was killed.

    RUN is the folder that `mirada train` made. The page says how far the run came, and replaces the one that is
    there.
    """
    from mirada.pages import write_report

    say(write_report(Path(run)))
    return 0
