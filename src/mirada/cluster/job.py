"""What is to be done on a cluster, before any scheduler's words for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mirada.errors import InvalidArgument

NOTICE = 120  # seconds before the end of the walltime at which a scheduler is asked for a signal
SLACK = 60  # SLURM's may come that much earlier; then the script's own clock says that it is time

SCRIPT, RECORD, CANCELLED = "job.sh", "job.txt", "cancelled"  # in the folder of a job


@dataclass(frozen=True, kw_only=True)
class ClusterJob:
    """A training on some nodes, which saves before its walltime ends and goes on in the next job, until it is done.

    Args:
        run: The run folder, absolute.
        workdir: Where the command was given, absolute; relative paths in ``arguments`` start there.
        python: The interpreter, absolute.
        arguments: Of ``mirada``, from ``train`` on.
        goes_on: Whether the run is there already.
        nodes: Machines.
        gpus: Of each node.
        cpus: Of each node.
        processes: Of each node.
        walltime: Seconds.
        variables: Of the environment.
        before: Lines of shell that come first, such as ``module load cuda``.
        directives: What the scheduler is told besides, such as ``--partition=gpu``.
    """

    run: Path
    workdir: Path
    python: Path
    arguments: tuple[str, ...]
    goes_on: bool = False
    nodes: int = 1
    gpus: int = 0
    cpus: int = 1
    processes: int = 1
    walltime: int
    variables: tuple[tuple[str, str], ...] = ()
    before: tuple[str, ...] = ()
    directives: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for line in (*self.before, *self.directives, *self.arguments):
            if "\0" in line or ("\n" in line and line not in self.arguments):
                raise InvalidArgument(f"A line of a job's script has no line break in it. Got {line!r}.")

    @property
    def folder(self) -> Path:
        """Where the script, its record and its output lie: beside the run."""
        return job_folder(self.run)

    @property
    def name(self) -> str:
        """As schedulers take it: it begins with a letter, and has no other signs than - and _."""
        plain = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in self.run.name)
        return f"mirada-{plain}"

    @property
    def distributed(self) -> bool:
        """Whether several processes train together."""
        return self.nodes * self.processes > 1

    @property
    def threads(self) -> int:
        """Of each process."""
        return max(1, self.cpus // self.processes)


def job_folder(run: Path) -> Path:
    """Where the files of the job lie that trains a run: beside its folder, for a run makes its own."""
    return run.with_name(f"{run.name}.job")


def free_run(parent: Path, name: str) -> Path:
    """``parent/name``, or ``name-2``, ``name-3`` …: the first that no run and no job has."""
    path, number = parent / name, 1
    while path.exists() or job_folder(path).exists():
        number += 1
        path = parent / f"{name}-{number}"
    return path


def pairs(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Variables of the environment, of which each is written ``NAME=VALUE``. Raises ``InvalidArgument``."""
    found = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier() or not name.isascii():
            raise InvalidArgument(f'A variable of the environment is written NAME=VALUE. Got "{text}".')
        found.append((name, value))
    return tuple(found)
