"""The script of a job. It trains; before the walltime ends it tells training to save and stop; it queues again.

One script does for the first node, which the scheduler starts it on, and for all others, on which the first one starts
it with the word ``node``. Between them is one file, ``stop`` in the folder of the job: once it is there, every node
tells its processes to save and stop. So no scheduler has to carry a signal to another node.
"""

import shlex

from mirada.cluster.job import NOTICE, SLACK, ClusterJob
from mirada.cluster.schedulers import Scheduler

HEAD = """\
set -u
job={job}
run={run}
cd {workdir} || exit 1
exec >> "$job/output.log" 2>&1
"""

NODE = """\
nap() {{ sleep 1 & wait $!; }}  # a signal ends it
node() {{  # start|resume HEAD PORT: the processes of this node, which save and stop once there is $job/stop
    local child code arguments
    arguments=({arguments})
    if [ "$1" = resume ]; then arguments=(train --resume "$run"); fi
    trap '' USR1 USR2  # meant for the script alone
    trap 'touch "$job/stop"' TERM
    {launch} -m mirada "${{arguments[@]}}" &
    child=$!
    until [ -e "$job/stop" ] || ! kill -0 "$child" 2> /dev/null; do nap; done
    if [ -e "$job/stop" ]; then {stop}; fi
    until wait "$child"; code=$?; ! kill -0 "$child" 2> /dev/null; do :; done  # a signal ends a wait, too
    if [ "$code" -ne 0 ]; then echo "$code" > "$job/code"; fi
}}
"""

MAIN = """\
if [ "${{1:-}}" = node ]; then
    shift
    node "$@"
    exit
fi
mode={mode}
rm -f "$job/stop" "$job/code"
saved() {{ find "$run" \\( -path '*/checkpoints/state-*' -o -name digests.json \\) 2> /dev/null | sort; }}
before=$(saved)  # by their names, which tell the step: what is saved once more at the same step is no progress
trap 'touch "$job/stop"' TERM USR1 USR2
{everywhere} "$mode" &
work=$!
while kill -0 "$work" 2> /dev/null; do
    if [ "$SECONDS" -ge {late} ]; then touch "$job/stop"; fi  # in case no signal comes
    nap
done
wait "$work"
code=$?
if [ -e "$job/code" ]; then code=$(cat "$job/code"); fi
if [ "$code" -eq 0 ]; then exit; fi
if [ -e "$job/cancelled" ] || [ "$SECONDS" -lt {late} ]; then exit "$code"; fi
if [ "$(saved)" = "$before" ]; then
    echo "Training came no further in the whole walltime, so the job does not queue again. Give it a longer one."
    exit "$code"
fi
echo "The walltime ends. The job queues again, and training goes on from where it is."
{again}
"""

SEVERAL = """\
hosts() {{ {hosts}; }}
everywhere() {{  # start|resume: the processes of all nodes
    local digits=${{{number}%%[!0-9]*}}
    local head port=$((20000 + digits % 20000))
    head=$(hosts | head -n 1)
    {launch}
}}
"""


def job_script(job: ClusterJob, scheduler: Scheduler) -> str:
    """The script of a job, for bash.

    Args:
        job: What is to be done.
        scheduler: Who is to start it.

    Returns:
        The text. Every argument is quoted for the shell.

    Raises:
        InvalidArgument: The scheduler cannot give this job without being told more.
    """
    late = job.walltime - NOTICE - SLACK
    several = job.nodes > 1
    quoted = " ".join(map(shlex.quote, job.arguments))
    setting = [
        *(f"export {name}={shlex.quote(value)}" for name, value in _variables(job).items()),
        *job.before,
    ]
    parts = [
        "#!/bin/bash\n",
        *(f"{scheduler.prefix} {line}\n" for line in (*scheduler.directives(job), *job.directives)),
        HEAD.format(job=_quoted(job.folder), run=_quoted(job.run), workdir=_quoted(job.workdir)),
        "".join(f"{line}\n" for line in setting),
        "\n",
        NODE.format(arguments=quoted, launch=_launcher(job), stop=_stop(job)),
        _everywhere(scheduler) if several else "",
        "\n",
        MAIN.format(
            mode=_mode(job),
            everywhere="everywhere" if several else "node",
            late=late,
            again=scheduler.again,
        ),
    ]
    return "".join(parts)


def _quoted(path: object) -> str:
    return shlex.quote(str(path))


def _mode(job: ClusterJob) -> str:
    """Whether the run begins or goes on; a run that ended before there was anything to go on from begins again."""
    if job.goes_on:
        return "resume"
    return '$(if [ -e "$run" ]; then echo resume; else echo start; fi)'


def _variables(job: ClusterJob) -> dict[str, str]:
    return {"OMP_NUM_THREADS": str(job.threads), **dict(job.variables)}


def _launcher(job: ClusterJob) -> str:
    """The command that Python starts with: itself, or torchrun, of which each node has one."""
    python = _quoted(job.python)
    if not job.distributed:
        return python
    each = f"{python} -m torch.distributed.run --nproc-per-node={job.processes}"
    if job.nodes == 1:
        return f"{each} --standalone"
    return f'{each} --nnodes={job.nodes} --rdzv-backend=c10d --rdzv-id="$3" --rdzv-endpoint="$2:$3"'


def _stop(job: ClusterJob) -> str:
    """How the processes of a node are told; torchrun itself would give them half a minute and no more."""
    if not job.distributed:
        return 'kill -TERM "$child"'
    return 'pkill -TERM -P "$child" || kill -TERM "$child"'


def _everywhere(scheduler: Scheduler) -> str:
    launch = "\n    ".join(scheduler.launch)
    return SEVERAL.format(hosts=scheduler.hosts, number=scheduler.number, launch=launch)
