"""The scripts of jobs: goldens of each scheduler's, and what bash does with them, by stand-ins for the programs."""

import os
import shlex
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mirada.cluster.job import NOTICE, SLACK, ClusterJob, free_run, job_folder, pairs
from mirada.cluster.schedulers import SCHEDULERS
from mirada.cluster.script import job_script
from mirada.errors import InvalidArgument

GOLDEN = Path(__file__).parents[1] / "golden"
TRAIN = (
    "train",
    "my photos/",
    "--set",
    "notes='it''s \"so\"'; rm -rf $HOME",
    "--output",
    "/work/runs/my cats",
)
JOB = ClusterJob(
    run=Path("/work/runs/my cats"),
    workdir=Path("/work/it's here"),
    python=Path("/envs/one two/bin/python"),
    arguments=TRAIN,
    nodes=2,
    gpus=4,
    cpus=16,
    processes=4,
    walltime=36 * 3600,
    variables=(("MIRADA_CACHE", "/scratch/a b"),),
    before=("module load cuda",),
    directives=("-A lab",),
)
PE = ("-pe mpi 32",)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_goldens(name: str) -> None:
    """To renew one after a change that is meant: MIRADA_GOLDEN=1 pytest, then read what has changed."""
    job = replace(JOB, directives=(*JOB.directives, *PE)) if name == "sge" else JOB
    text, golden = job_script(job, SCHEDULERS[name]), GOLDEN / f"job_{name}.sh"
    if os.environ.get("MIRADA_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("nodes", [1, 2])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_bash_takes_every_script(name: str, nodes: int) -> None:
    job = replace(JOB, nodes=nodes, directives=PE)
    script = job_script(job, SCHEDULERS[name])
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    lines = script.splitlines()
    directives = [line for line in lines if line.startswith(SCHEDULERS[name].prefix + " ")]
    assert directives == lines[1 : 1 + len(directives)]  # schedulers stop reading at the first other line


def test_sge_asks_for_its_parallel_environment() -> None:
    with pytest.raises(InvalidArgument, match=r"-pe NAME 32"):
        job_script(JOB, SCHEDULERS["sge"])
    assert "#$ -pe smp 16\n" in job_script(replace(JOB, nodes=1), SCHEDULERS["sge"])
    told = replace(JOB, nodes=1, directives=("-l gpu_card=1", "-pe threads 3"))
    assert "-pe smp" not in job_script(told, SCHEDULERS["sge"])
    assert "-l gpu=" not in job_script(told, SCHEDULERS["sge"])


def test_one_process_needs_no_launcher() -> None:
    alone = job_script(replace(JOB, nodes=1, gpus=1, processes=1), SCHEDULERS["slurm"])
    assert "distributed" not in alone and "pkill" not in alone
    assert "--standalone" in job_script(replace(JOB, nodes=1), SCHEDULERS["slurm"])


def test_what_would_break_a_script_is_refused() -> None:
    for field in ("before", "directives"):
        with pytest.raises(InvalidArgument, match="line break"):
            replace(JOB, **{field: ("a\nb",)})
    with pytest.raises(InvalidArgument, match="NAME=VALUE"):
        pairs(["1x=3"])
    assert pairs(["A=", "B=c=d"]) == (("A", ""), ("B", "c=d"))


def test_a_new_run_takes_neither_a_runs_nor_a_jobs_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    job_folder(tmp_path / "a-2").mkdir()
    assert free_run(tmp_path, "a") == tmp_path / "a-3"
    assert free_run(tmp_path, "b") == tmp_path / "b"


# What bash does -----------------------------------------------------------------------------------------------------

PYTHON = """\
#!/bin/bash
# Stands for Python: writes down what it was told, and waits for TERM, at which it saves and ends with 75.
if [ "$2" = torch.distributed.run ] && [ "${{*: -1}}" != rank ]; then  # its children train
    "$0" "$@" rank &
    wait $!
    exit $(($? > 0))
fi
save() {{ mkdir -p "{run}/checkpoints"; {save}; exit 75; }}
trap save TERM
printf '%s\\n' "$@" > "{root}/told.$$"
mkdir -p "{run}"
case "$*" in *--resume*) exit 0 ;; *fail*) exit 3 ;; esac
echo $$ > "{root}/running"
while :; do sleep 0.05; done
"""


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


class Cluster:
    """A folder with programs that stand for Python and for a scheduler's; ``start`` runs the script of a job."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.run = root / "runs" / "it's one"
        self.environment = {
            **os.environ, "PATH": f"{root}/bin:{os.environ['PATH']}", "SLURM_JOB_ID": "7",
            "SLURM_JOB_NODELIST": "n[1-2]",
            "PBS_JOBID": "9[].server", "PBS_NODEFILE": f"{root}/nodes", "JOB_ID": "8", "PE_HOSTFILE": f"{root}/hosts",
        }  # fmt: skip
        (root / "nodes").write_text("n1\nn1\nn2\nn2\n")
        (root / "hosts").write_text("n1 4 all.q@n1 <NULL>\nn2 4 all.q@n2 <NULL>\n")
        note = f'echo "$(basename "$0") $*" >> "{root}/called"\n'
        write_program(
            root / "bin" / "scontrol", f'#!/bin/bash\n{note}[ "$1" = show ] && printf "n1\\nn2\\n"; exit 0\n'
        )
        write_program(root / "bin" / "qsub", f"#!/bin/bash\n{note}echo 10.server\n")
        both = 'bash "$@" & bash "$@" & wait\n'
        write_program(root / "bin" / "srun", f"#!/bin/bash\n{note}shift 2\n{both}")
        write_program(
            root / "bin" / "pbsdsh",
            f'#!/bin/bash\n{note}[ "$1" = -- ] && shift; shift; [ "$1" = bash ] && shift\n{both}',
        )
        write_program(root / "bin" / "qrsh", f'#!/bin/bash\n{note}shift 2\nexec "$@"\n')
        self.save()

    def save(self, command: str = "touch {run}/checkpoints/state-$$") -> None:
        """What the stand-in for Python does to save."""
        save = command.format(run=shlex.quote(str(self.run)))
        python = PYTHON.format(root=self.root, run=self.run, save=save)
        write_program(self.root / "env" / "bin" / "python", python)

    def goes_on(self, checkpoint: str) -> None:
        """A run that is there, with a checkpoint, whose training does not end at once."""
        (self.run / "checkpoints").mkdir(parents=True)
        (self.run / "checkpoints" / checkpoint).touch()
        program = self.root / "env" / "bin" / "python"
        program.write_text(program.read_text().replace("*--resume*) exit 0", "*--resumed*) exit 0"))

    def job(self, *arguments: str, late: int = 100, nodes: int = 1) -> ClusterJob:
        job = ClusterJob(
            run=self.run,
            workdir=self.root,
            python=self.root / "env" / "bin" / "python",
            arguments=("train", *arguments),
            walltime=NOTICE + SLACK + late,
            nodes=nodes,
            directives=PE,
        )
        job.folder.mkdir(parents=True, exist_ok=True)
        return job

    def start(self, job: ClusterJob, name: str = "slurm") -> subprocess.Popen[bytes]:
        script = job.folder / "job.sh"
        script.write_text(job_script(job, SCHEDULERS[name]))
        return subprocess.Popen(["bash", str(script)], env=self.environment, cwd=job.folder)

    def wait_for_training(self) -> None:
        until = time.monotonic() + 60
        while not (self.root / "running").exists():
            assert time.monotonic() < until
            time.sleep(0.02)

    def told(self) -> list[list[str]]:
        return sorted(file.read_text().splitlines() for file in self.root.glob("told.*"))

    def called(self) -> list[str]:
        file = self.root / "called"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    root = tmp_path / "a cluster"
    root.mkdir()
    return Cluster(root)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_job_queues_again_when_its_walltime_ends(name: str, cluster: Cluster) -> None:
    job = cluster.job("it's $HOME", "--set", 'x="y z"', late=1)
    code = cluster.start(job, name).wait(60)
    assert cluster.told() == [["-m", "mirada", "train", "it's $HOME", "--set", 'x="y z"']]
    log = (job.folder / "output.log").read_text()
    assert "queues again" in log
    if name == "sge":
        assert code == 99
    else:
        assert code == 0
        again = "scontrol requeue 7" if name == "slurm" else "qsub job.sh"
        assert cluster.called() == [again]
    if name in ("pbs", "torque"):
        assert (job.folder / "job.txt").read_text() == f"{name} 10.server\n"
    assert cluster.start(job, name).wait(60) == 0  # the next job goes on, and is done
    assert ["-m", "mirada", "train", "--resume", str(cluster.run)] in cluster.told()
    assert len(cluster.called()) == (name != "sge")


@pytest.mark.parametrize("name", SCHEDULERS)
def test_several_nodes_stop_together(name: str, cluster: Cluster) -> None:
    job = cluster.job("photos", late=1, nodes=2)
    code = cluster.start(job, name).wait(60)
    assert code == (99 if name == "sge" else 0)
    number = {"slurm": 7, "sge": 8}.get(name, 9)
    first, second = cluster.told()
    assert first == second
    assert f"--rdzv-endpoint=n1:{20000 + number}" in first and "--nnodes=2" in first
    assert "queues again" in (job.folder / "output.log").read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_long_before_the_end_stops_and_does_not_queue_again(
    number: signal.Signals, cluster: Cluster
) -> None:
    job = cluster.job("photos")
    process = cluster.start(job)
    cluster.wait_for_training()
    process.send_signal(number)
    assert process.wait(60) == 75
    assert list((cluster.run / "checkpoints").glob("state-*")) and cluster.called() == []


def test_a_cancelled_job_does_not_queue_again(cluster: Cluster) -> None:
    job = cluster.job("photos", late=1)
    (job.folder / "cancelled").touch()
    assert cluster.start(job).wait(60) == 75
    assert cluster.called() == []


@pytest.mark.parametrize("saving", ["true", "touch {run}/checkpoints/state-0000000007"])
def test_a_job_that_comes_no_further_does_not_queue_for_ever(saving: str, cluster: Cluster) -> None:
    """Nothing is saved, or once more what was there: as of a last evaluation that is longer than the walltime."""
    cluster.save(saving)
    cluster.goes_on("state-0000000007")
    job = cluster.job("photos", late=3)
    assert cluster.start(job).wait(60) == 75
    assert cluster.called() == [] and "came no further" in (job.folder / "output.log").read_text()


@pytest.mark.parametrize("name", ["digests.json", "checkpoints/state-0000000003"])
def test_several_runs_queue_again_too(name: str, cluster: Cluster) -> None:
    """Those of a cross-validation lie in folders of their own: one that has saved, or one that is done."""
    cluster.save(f"mkdir -p {{run}}/fold-2/checkpoints; touch {{run}}/fold-2/{name}")
    assert cluster.start(cluster.job("photos", "--folds", "3", late=3)).wait(60) == 0
    assert cluster.called() == ["scontrol requeue 7"]


def test_a_failure_is_the_jobs(cluster: Cluster) -> None:
    assert cluster.start(cluster.job("fail")).wait(60) == 3
    assert cluster.called() == []


def test_a_launcher_that_fails_is_a_failure(cluster: Cluster) -> None:
    write_program(cluster.root / "bin" / "srun", "#!/bin/bash\nexit 4\n")
    assert cluster.start(cluster.job("photos", nodes=2)).wait(60) == 4
