"""The schedulers: their words for nodes and times, and the few lines of a script that differ between them.

The flags are those of the manuals of SLURM 24, OpenPBS 23, Torque 6 and SGE 8; they are tried against stand-ins, since
no cluster was at hand.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mirada.cluster.job import NOTICE, ClusterJob
from mirada.cluster.walltime import clock
from mirada.errors import InvalidArgument

PBS_NAME = 15  # signs of a job's name that every PBS takes


@dataclass(frozen=True, kw_only=True)
class Scheduler:
    """What differs between schedulers.

    Args:
        name: As ``--scheduler`` takes it.
        prefix: Of a line of the script that is meant for it.
        submit: The program that takes the script, with what makes it print no more than the job's number.
        cancel: The program that ends a job.
        number: The variable with the job's number, as the script sees it.
        hosts: The command that prints the names of the nodes, a line each.
        launch: The lines that start ``$job/job.sh node …`` on every node, and wait for all.
        again: The line that lets the job be queued once more.
        directives: The job in its words.
    """

    name: str
    prefix: str
    submit: tuple[str, ...]
    cancel: str
    number: str
    hosts: str
    launch: tuple[str, ...]
    again: str
    directives: Callable[[ClusterJob], list[str]]


def _slurm(job: ClusterJob) -> list[str]:
    return [
        f"--job-name={job.name}",
        f"--nodes={job.nodes}",
        "--ntasks-per-node=1",
        f"--cpus-per-task={job.cpus}",
        *([f"--gpus-per-node={job.gpus}"] if job.gpus else []),
        f"--time={clock(job.walltime)}",
        f"--signal=B:TERM@{NOTICE}",
        "--requeue",
        "--open-mode=append",
        "--output=scheduler.log",
    ]


def _pbs(job: ClusterJob) -> list[str]:
    gpus = f":ngpus={job.gpus}" if job.gpus else ""
    return [*_any_pbs(job), f"-l select={job.nodes}:ncpus={job.cpus}{gpus}:mpiprocs=1", "-l place=scatter"]


def _torque(job: ClusterJob) -> list[str]:
    gpus = f":gpus={job.gpus}" if job.gpus else ""
    return [*_any_pbs(job), f"-l nodes={job.nodes}:ppn={job.cpus}{gpus}"]


def _any_pbs(job: ClusterJob) -> list[str]:
    return [
        f"-N {job.name[:PBS_NAME]}",
        f"-l walltime={clock(job.walltime)}",
        "-r y",
        "-j oe",
        "-o scheduler.log",
    ]


def _sge(job: ClusterJob) -> list[str]:
    own = any(line.split()[0] == "-pe" for line in job.directives if line.split())
    if job.nodes > 1 and not own:
        raise InvalidArgument(
            "SGE gives several nodes by a parallel environment, whose name is the site's (qconf -spl lists them). Name "
            f'it: --directive "-pe NAME {job.nodes * job.cpus}".'
        )
    return [
        f"-N {job.name}",
        "-S /bin/bash",
        "-cwd",
        *([] if own else [f"-pe smp {job.cpus}"]),
        *([f"-l gpu={job.gpus}"] if job.gpus and not any("gpu" in line for line in job.directives) else []),
        f"-l h_rt={clock(job.walltime)},s_rt={clock(job.walltime - NOTICE)}",
        "-notify",
        "-r y",
        "-j y",
        "-o scheduler.log",
    ]


SGE_LAUNCH = (
    'for host in $(hosts); do qrsh -inherit "$host" bash "$job/job.sh" node "$1" "$head" "$port" & done',
    "wait  # for all of them",
)
SCHEDULERS: dict[str, Scheduler] = {
    each.name: each
    for each in (
        Scheduler(
            name="slurm",
            prefix="#SBATCH",
            submit=("sbatch", "--parsable"),
            cancel="scancel",
            number="SLURM_JOB_ID",
            hosts='scontrol show hostnames "$SLURM_JOB_NODELIST"',
            launch=('srun --ntasks-per-node=1 bash "$job/job.sh" node "$1" "$head" "$port"',),
            again='scontrol requeue "$SLURM_JOB_ID"',
            directives=_slurm,
        ),
        Scheduler(
            name="pbs",
            prefix="#PBS",
            submit=("qsub",),
            cancel="qdel",
            number="PBS_JOBID",
            hosts="awk '!seen[$0]++' \"$PBS_NODEFILE\"",
            launch=('pbsdsh -- bash "$job/job.sh" node "$1" "$head" "$port"',),
            again='number=$(cd "$job" && qsub job.sh) && printf \'pbs %s\\n\' "$number" > "$job/job.txt"',
            directives=_pbs,
        ),
        Scheduler(
            name="torque",
            prefix="#PBS",
            submit=("qsub",),
            cancel="qdel",
            number="PBS_JOBID",
            hosts="awk '!seen[$0]++' \"$PBS_NODEFILE\"",
            launch=('pbsdsh -u bash "$job/job.sh" node "$1" "$head" "$port"',),
            again='number=$(cd "$job" && qsub job.sh) && printf \'torque %s\\n\' "$number" > "$job/job.txt"',
            directives=_torque,
        ),
        Scheduler(
            name="sge",
            prefix="#$",
            submit=("qsub", "-terse"),
            cancel="qdel",
            number="JOB_ID",
            hosts="awk '{print $1}' \"$PE_HOSTFILE\"",
            launch=SGE_LAUNCH,
            again="exit 99  # SGE queues a job that ends so once more",
            directives=_sge,
        ),
    )
}


def find_scheduler(path: str | None = None, environment: Mapping[str, str] | None = None) -> Scheduler:
    """The scheduler whose programs are there.

    Args:
        path: Where to look for programs; by default the ``PATH`` of the environment.
        environment: By default the process's own.

    Raises:
        InvalidArgument: There is none, or more than one, or none that can be told from another.
    """
    variables = os.environ if environment is None else environment
    there = {name for name in ("sbatch", "qsub", "qconf", "pbsnodes") if shutil.which(name, path=path)}
    if not there & {"sbatch", "qsub"}:
        raise InvalidArgument(
            "There is no scheduler here: neither sbatch (SLURM) nor qsub (PBS, SGE) is on the PATH. Submit from a "
            "login node of the cluster, or name one to see its script: --scheduler slurm --dry-run."
        )
    if there >= {"sbatch", "qsub"}:
        raise InvalidArgument(
            "Both sbatch (SLURM) and qsub (PBS, SGE) are on the PATH. Name one: --scheduler slurm, pbs, torque or sge."
        )
    if "sbatch" in there:
        return SCHEDULERS["slurm"]
    is_sge, is_pbs = "qconf" in there or "SGE_ROOT" in variables, "pbsnodes" in there
    if is_sge == is_pbs:
        raise InvalidArgument(
            "qsub is on the PATH, and PBS, Torque and SGE all have one. Name yours: --scheduler pbs, torque or sge."
        )
    if is_sge:
        return SCHEDULERS["sge"]
    pro = "PBS_EXEC" in variables or shutil.which("pbs_tmrsh", path=path)
    if not pro and not shutil.which("pbs_mom", path=path) and not shutil.which("trqauthd", path=path):
        raise InvalidArgument(
            "qsub and pbsnodes are on the PATH, and PBS Pro and Torque both have them. Name yours: --scheduler pbs or "
            "torque."
        )
    return SCHEDULERS["pbs" if pro else "torque"]
