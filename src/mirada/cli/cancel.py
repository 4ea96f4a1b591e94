"""``mirada cancel``."""

from __future__ import annotations

import click

from mirada.cli.console import say
from mirada.cli.submit import SCHEDULERS


@click.command()
@click.argument("job", metavar="RUN|JOB")
@click.option(
    "--scheduler", type=click.Choice(SCHEDULERS), help="Whose number JOB is. [default: the one that is there]"
)
def command(job: str, scheduler: str | None) -> int:
    """End a job of `mirada submit`, as scancel and qdel do.

    It is named by the folder of its run, or by the scheduler's number. Training saves what there is, and the job does
    not queue again; `mirada submit -- train --resume RUN` goes on with it.
    """
    from mirada.cluster.schedulers import SCHEDULERS as KNOWN
    from mirada.cluster.submission import cancel, find_job

    found = find_job(job, KNOWN[scheduler] if scheduler else None)
    cancel(found)
    say(f"Job {found.number} of {found.scheduler.name} is cancelled.")
    return 0
