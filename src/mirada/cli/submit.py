"""``mirada submit``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from mirada.cli.console import say
from mirada.errors import InvalidArgument

if TYPE_CHECKING:
    from mirada.cluster.job import ClusterJob

SCHEDULERS = ("slurm", "pbs", "torque", "sge")
CPUS = 4  # of each process, to decode images
FLAGS = ("model", "weights", "epochs", "batch_size", "lr", "image_size", "device", "precision", "seed")
KEPT = ("MIRADA_CACHE",)  # variables that a job takes along, since they say where things are


class _Submit(click.Command):
    """The verb; it says where the command that is to be done begins."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        if args and "--" not in args and not {"-h", "--help"} & set(args):
            raise click.UsageError(
                "What is to be done stands behind --, as in mirada submit --walltime 4h -- train photos/. There is no "
                "-- here.",
                context,
            )
        return super().parse_args(context, args)


@click.command(
    cls=_Submit,
    epilog="mirada submit --gpus 2 --walltime 4h -- train photos/ --model resnet50",
)
@click.option(
    "--scheduler", type=click.Choice(SCHEDULERS), help="[default: the one whose programs are there]"
)
@click.option("--nodes", type=click.IntRange(min=1), default=1, show_default=True, help="Machines.")
@click.option("--gpus", type=click.IntRange(min=0), default=0, show_default=True, help="Of each node.")
@click.option("--cpus", type=click.IntRange(min=1), help="Of each node. [default: 4 for each process]")
@click.option("--processes", type=click.IntRange(min=1), help="Of each node. [default: one for each GPU]")
@click.option("--walltime", default="4h", show_default=True, help="4h, 1d12h, 90min, 04:00:00.")
@click.option(
    "--environment", metavar="FOLDER", help="A virtual or conda environment. [default: that of this command]"
)
@click.option(
    "--variable",
    "variables",
    multiple=True,
    metavar="NAME=VALUE",
    help="Of the job's environment; again for more.",
)
@click.option(
    "--before", multiple=True, metavar="LINE", help='Shell that comes first, such as "module load cuda".'
)
@click.option(
    "--directive", "directives", multiple=True, metavar="LINE",
    help='For the scheduler, such as "--partition=gpu" or "-q gpu"; again for more.',
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Print the script, and submit nothing.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="-- train …")
def command(
    scheduler: str | None,
    nodes: int,
    gpus: int,
    cpus: int | None,
    processes: int | None,
    walltime: str,
    environment: str | None,
    variables: tuple[str, ...],
    before: tuple[str, ...],
    directives: tuple[str, ...],
    dry_run: bool,
    arguments: tuple[str, ...],
) -> int:
    """Train on a cluster: write a job's script, and hand it to the scheduler.

    What is to be trained stands behind --, as on this machine, and is checked before anything is submitted. With
    several processes, --batch-size and --lr are those of all of them together.

    Three minutes before the walltime ends, training saves and stops; the job queues again and goes on with it, until
    the training is done. Script, output and number of the job lie beside the run, in RUN.job. `mirada cancel RUN` ends
    it.
    """
    from mirada.cluster.job import ClusterJob, pairs
    from mirada.cluster.walltime import seconds_of

    seconds = seconds_of(walltime)
    kept = tuple((name, os.environ[name]) for name in KEPT if name in os.environ)
    each = processes or max(gpus, 1)
    if gpus and each > gpus:
        raise InvalidArgument(
            f"Each process needs a GPU of its own. Got --processes {each} and --gpus {gpus}."
        )
    run, goes_on, train = trained(arguments)
    job = ClusterJob(
        run=run,
        workdir=Path.cwd(),
        python=interpreter(environment),
        arguments=train,
        goes_on=goes_on,
        nodes=nodes,
        gpus=gpus,
        cpus=cpus or CPUS * each,
        processes=each,
        walltime=seconds,
        variables=(*kept, *pairs(variables)),
        before=before,
        directives=directives,
    )
    return _submitted(job, scheduler, dry_run=dry_run)


def _submitted(job: ClusterJob, scheduler: str | None, *, dry_run: bool) -> int:
    """Hands the job to the scheduler, or to the one that is there, and says so; or prints its script."""
    from mirada.cluster.schedulers import SCHEDULERS as KNOWN
    from mirada.cluster.schedulers import find_scheduler
    from mirada.cluster.script import job_script
    from mirada.cluster.submission import submit

    chosen = KNOWN[scheduler] if scheduler else find_scheduler()
    if dry_run:
        say(*job_script(job, chosen).splitlines())
        return 0
    number, run = submit(job, chosen).number, _shown(job.run)
    say(
        f"Job {number} of {chosen.name} trains {run}; what it says: {_shown(job.folder / 'output.log')}",
        f"mirada cancel {quote(run)} ends it.",
    )
    return 0


def _shown(path: Path) -> str:
    """A path as short as it can be said here."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def trained(arguments: tuple[str, ...]) -> tuple[Path, bool, tuple[str, ...]]:
    """The run folder that ``train …`` is to fill, whether it is there and goes on, and the arguments that say so.

    Raises:
        UsageError: What stands behind ``--`` is not ``train``, or is none of its options.
        InvalidArgument: The run is there already, and is not to go on; or it is not there, and is.
        RecipeError: For a setting that is unknown or does not fit.
    """
    from mirada.cluster.job import RECORD, free_run, job_folder

    if not arguments or arguments[0] != "train":
        found = f'Got "{arguments[0]}".' if arguments else "Nothing stands there."
        raise click.UsageError(
            f"What is to be done stands behind --, as -- train photos/ --epochs 20. {found}"
        )
    said, name = _understood(arguments[1:])
    if resumed := said["resume"]:
        from mirada.runs.folder import JOB

        run = Path(str(resumed)).absolute()
        if not (run / JOB).is_file():
            raise InvalidArgument(f"{resumed}: is no run that can be resumed; there is no {JOB} in it.")
        return run, True, arguments
    if said["data"] is None:
        raise click.UsageError("`train` needs DATA, a folder or a table, or --resume RUN. Got neither.")
    if output := said["output"]:
        run = Path(str(output)).absolute()
        # a job that the scheduler did not take has no record, and may be submitted again
        for there, sign in ((run, run), (job_folder(run), job_folder(run) / RECORD)):
            if sign.exists():
                raise InvalidArgument(
                    f"{there}: exists already; a run is never overwritten. Choose another --output, or go on with it: "
                    f"-- train --resume {quote(str(output))}"
                )
        return run, False, arguments
    run = free_run(Path("runs").absolute(), name)
    return run, False, (*arguments, "--output", str(run))


def _understood(arguments: Sequence[str]) -> tuple[Mapping[str, object], str]:
    """What ``train`` is told, and the name of a run of it.

    A wrong option, setting or path is said now, and not when the job has started.
    """
    from mirada.cli.again import resumed_run, run_again
    from mirada.cli.recipe_options import stated_recipe
    from mirada.cli.train import command as train

    context = train.make_context("mirada train", list(arguments))
    run_again(context)  # says what does not go with it
    said = {**context.params, "resume": resumed_run(context)}
    if said["recipe"]:  # what it says of itself is for the one who trains by it
        model = said["model"] or Path(said["recipe"]).stem
    else:
        model = stated_recipe(None, said["settings"], {flag: said[flag] for flag in FLAGS}).recipe.model
    data = Path(said["data"] or "").resolve()
    return said, f"{(data.stem if data.is_file() else data.name) or 'data'}-{model}"


def interpreter(environment: str | None) -> Path:
    """Python in an environment, or the one that runs this. Raises ``InvalidArgument``."""
    if environment is None:
        return Path(sys.executable)
    python = Path(environment).absolute() / "bin" / "python"
    if not python.is_file():
        raise InvalidArgument(f"{environment}: is no environment; there is no bin/python in it.")
    return python
