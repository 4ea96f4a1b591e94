"""Jobs on their way: handed to the scheduler, remembered beside the run, and cancelled."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mirada.cluster.job import CANCELLED, RECORD, SCRIPT, ClusterJob, job_folder
from mirada.cluster.schedulers import SCHEDULERS, Scheduler, find_scheduler
from mirada.cluster.script import job_script
from mirada.errors import ClusterError, InvalidArgument, reason_of
from mirada.files import write_text

NUMBER = re.compile(
    r"\d+(\[\d*\])?(\.[\w.-]+)?(;[\w.-]+)?", re.ASCII
)  # 16672, 16672.server, 16672;cluster, an array's
PATIENCE = 60  # seconds for a scheduler's program to answer


@dataclass(frozen=True)
class SubmittedJob:
    """A job that a scheduler has taken.

    Args:
        scheduler: Who has it.
        number: What it calls it.
        folder: Where its script, its record and its output lie; None where that is not known.
    """

    scheduler: Scheduler
    number: str
    folder: Path | None = None


def submit(job: ClusterJob, scheduler: Scheduler) -> SubmittedJob:
    """Writes the script of a job beside its run, and hands it to the scheduler.

    Args:
        job: What is to be done.
        scheduler: Who is to start it.

    Returns:
        The job as the scheduler knows it; it is remembered in the job's folder.

    Raises:
        InvalidArgument: The job cannot be written for this scheduler.
        ClusterError: The scheduler does not take it, or gives no number.
    """
    script = job_script(job, scheduler)
    job.folder.mkdir(parents=True, exist_ok=True)
    (job.folder / CANCELLED).unlink(missing_ok=True)
    write_text(job.folder / SCRIPT, script)
    # There, so that the script needs no paths in the scheduler's own lines, where quoting differs.
    said = _run((*scheduler.submit, SCRIPT), job.folder)
    number = said.split()[0] if said.split() else ""
    if not NUMBER.fullmatch(number):
        raise ClusterError(
            f'{scheduler.submit[0]} should print the number of the job. Got "{said}". Look whether it queues.'
        )
    number = number.partition(";")[0]
    write_text(job.folder / RECORD, f"{scheduler.name} {number}\n")
    return SubmittedJob(scheduler, number, job.folder)


def find_job(name: str, scheduler: Scheduler | None = None) -> SubmittedJob:
    """The job that is meant by a number, or by the run that it trains.

    Args:
        name: A run folder, its ``.job`` folder, or a scheduler's number; one that was submitted from this folder is
            found in ``runs``.
        scheduler: Whose number it is; by default the one whose programs are there.

    Raises:
        InvalidArgument: There is no such run, or nobody has submitted it.
    """
    path = Path(name)
    if not NUMBER.fullmatch(name) or path.exists():
        folder = path if (path / RECORD).is_file() else job_folder(path)
        if (folder / RECORD).is_file():
            return _recorded(folder)
        if path.is_dir():
            raise InvalidArgument(
                f"{name}: nobody has submitted this run; there is no {folder}. Give the scheduler's number of the job."
            )
        raise InvalidArgument(f"{name}: is neither a run that was submitted nor the number of a job.")
    for record in sorted(Path("runs").glob(f"*.job/{RECORD}")):
        found = _recorded(record.parent)
        if name in (found.number, found.number.partition(".")[0]) and scheduler in (None, found.scheduler):
            return found
    return SubmittedJob(scheduler or find_scheduler(), name)


def _recorded(folder: Path) -> SubmittedJob:
    scheduler, _, number = (folder / RECORD).read_text(encoding="utf-8").strip().partition(" ")
    if scheduler not in SCHEDULERS or not NUMBER.fullmatch(number):
        raise InvalidArgument(
            f"{folder / RECORD}: should say the scheduler and the number of the job, such as slurm 16672. Cancel it by "
            "its number."
        )
    return SubmittedJob(SCHEDULERS[scheduler], number, folder)


def cancel(job: SubmittedJob) -> None:
    """Ends a job; its script then does not queue it again. Raises ``ClusterError`` if the scheduler refuses."""
    if job.folder:
        write_text(job.folder / CANCELLED, "")
    _run((job.scheduler.cancel, job.number), Path())


def _run(command: tuple[str, ...], folder: Path) -> str:
    """What a scheduler's program prints. Raises ``ClusterError`` with what it complains of."""
    try:
        done = subprocess.run(  # noqa: S603 # the scheduler's, with a script and a number that were checked
            command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ClusterError(
            f"{command[0]} has not answered for {PATIENCE} seconds. Try again later."
        ) from error
    except OSError as error:
        raise ClusterError(
            f"{command[0]} cannot be run here ({reason_of(error)}). Use a login node."
        ) from error
    if done.returncode:
        complaint = " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
        raise ClusterError(f"{command[0]} refused: {complaint}")
    return done.stdout.strip()
