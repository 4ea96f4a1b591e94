"""Submitting and cancelling with stand-ins for the schedulers' programs on the PATH, and what is refused."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirada.cli import run
from mirada.cluster.schedulers import SCHEDULERS, find_scheduler
from mirada.cluster.walltime import clock, seconds_of
from mirada.errors import InvalidArgument

Cli = Callable[..., Any]
ANSWERS = {"slurm": "16672;main", "pbs": "16672.server", "torque": "16672.server.lab", "sge": "16672"}


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Makes programs, the only ones on the PATH; each writes where it was called, and with what."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    for name in ("SGE_ROOT", "PBS_EXEC", "MIRADA_CACHE"):
        monkeypatch.delenv(name, raising=False)

    def make(*names: str, answer: str = "16672", code: int = 0) -> Path:
        for name in names:
            program = folder / name
            program.write_text(
                f'#!/bin/bash\necho "{name} $* in $PWD" >> "{tmp_path}/called"\n'
                f'echo "{answer}" {">&2" if code else ""}\nexit {code}\n'
            )
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return tmp_path / "called"

    return make


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Calls the command line in a folder that has photos in ``my photos``."""
    (tmp_path / "my photos" / "cat").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.mark.parametrize("name", SCHEDULERS)
def test_submit_and_cancel(name: str, programs: Callable[..., Path], cli: Cli, tmp_path: Path) -> None:
    scheduler = SCHEDULERS[name]
    called = programs(scheduler.submit[0], scheduler.cancel, answer=ANSWERS[name])
    arguments = (
        "--gpus",
        2,
        "--walltime",
        "90min",
        "--",
        "train",
        "my photos",
        "--model",
        "lenet5",
        "--lr",
        "0.1",
    )
    code, printed, _ = cli("submit", "--scheduler", name, "--dry-run", *arguments)
    assert code == 0 and not (tmp_path / "runs").exists()
    code, out, err = cli("submit", "--scheduler", name, *arguments)
    assert (code, err) == (0, "")
    folder = tmp_path / "runs" / "my photos-lenet5.job"
    number = ANSWERS[name].partition(";")[0]
    assert out.splitlines() == [
        f"Job {number} of {name} trains runs/my photos-lenet5; what it says: runs/my photos-lenet5.job/output.log",
        "mirada cancel 'runs/my photos-lenet5' ends it.",
    ]
    assert (folder / "job.sh").read_text() == printed
    assert (
        f"arguments=(train 'my photos' --model lenet5 --lr 0.1 --output '{tmp_path}/runs/my photos-lenet5')"
        in printed
    )
    assert (folder / "job.txt").read_text() == f"{name} {number}\n"
    assert called.read_text() == f"{' '.join(scheduler.submit)} job.sh in {folder}\n"
    called.unlink()
    code, out, _ = cli("cancel", "runs/my photos-lenet5")
    assert (code, out) == (0, f"Job {number} of {name} is cancelled.\n")
    assert called.read_text() == f"{scheduler.cancel} {number} in {tmp_path}\n"
    assert (folder / "cancelled").exists()


def test_a_second_job_is_another_run(programs: Callable[..., Path], cli: Cli, tmp_path: Path) -> None:
    programs("sbatch")
    for _ in range(2):
        assert cli("submit", "--", "train", "my photos")[0] == 0
    found = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert found == ["my photos-resnet18-2.job", "my photos-resnet18.job"]


def test_cancel_by_number(programs: Callable[..., Path], cli: Cli, tmp_path: Path) -> None:
    """As ``qdel 16672``; a job that was submitted from here is known by its number, too, and does not queue again."""
    called = programs("qsub", "qdel", "qconf", answer="16672")
    assert cli("cancel", "16672") == (0, "Job 16672 of sge is cancelled.\n", "")
    assert called.read_text() == f"qdel 16672 in {tmp_path}\n"
    assert cli("submit", "--scheduler", "pbs", "--", "train", "my photos")[0] == 0
    assert cli("cancel", "16672") == (0, "Job 16672 of pbs is cancelled.\n", "")
    assert (tmp_path / "runs" / "my photos-resnet18.job" / "cancelled").exists()
    assert cli("cancel", "16672", "--scheduler", "torque") == (0, "Job 16672 of torque is cancelled.\n", "")


def test_what_the_job_takes_along(
    programs: Callable[..., Path], cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRADA_CACHE", "/scratch/my cache")
    (Path("env one") / "bin").mkdir(parents=True)
    (Path("env one") / "bin" / "python").touch()
    code, out, _ = cli(
        "submit", "--scheduler", "slurm", "--dry-run", "--environment", "env one", "--variable", "A=b c", "--cpus", "6",
        "--before", "module load cuda", "--directive", "--partition=gpu", "--", "train", "my photos",
    )  # fmt: skip
    assert code == 0
    lines = out.splitlines()
    for line in (
        "#SBATCH --partition=gpu",
        "export OMP_NUM_THREADS=6",
        "export MIRADA_CACHE='/scratch/my cache'",
        "export A='b c'",
        "module load cuda",
        f"    '{Path.cwd()}/env one/bin/python' -m mirada \"${{arguments[@]}}\" &",
    ):
        assert line in lines


def test_going_on_with_a_run(programs: Callable[..., Path], cli: Cli) -> None:
    """The job goes on from its first start, and takes the place of one that has ended."""
    programs("sbatch")
    folder = Path("runs/a")
    folder.mkdir(parents=True)
    (folder / "job.json").touch()
    for _ in range(2):
        assert cli("submit", "--", "train", "--resume", "runs/a")[0] == 0
    assert "\nmode=resume\n" in Path("runs/a.job/job.sh").read_text()


SUBMIT = ("submit", "--scheduler", "slurm")
TRAIN = ("--", "train", "my photos")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("submit", *TRAIN), "There is no scheduler here"),
        ((*SUBMIT, "train", "my photos"), "There is no -- here."),
        ((*SUBMIT, "train", "my photos", "--model", "lenet5"), "There is no -- here."),
        ((*SUBMIT, "--"), "Nothing stands there."),
        ((*SUBMIT, "--", "check", "my photos"), 'Got "check".'),
        (("submit", "--scheduler", "slrm", *TRAIN), "'slrm' is not one of"),
        ((*SUBMIT, "--walltime", "soon", *TRAIN), 'Got "soon".'),
        ((*SUBMIT, "--walltime", "10:00", *TRAIN), 'Got "10:00".'),
        ((*SUBMIT, "--walltime", "9min", *TRAIN), "at least 10 minutes"),
        ((*SUBMIT, "--walltime", "-4h", *TRAIN), 'Got "-4h".'),
        ((*SUBMIT, "--nodes", "0", *TRAIN), "0 is not in the range"),
        ((*SUBMIT, "--gpus", "2", "--processes", "3", *TRAIN), "Got --processes 3 and --gpus 2."),
        ((*SUBMIT, "--environment", "absent", *TRAIN), "there is no bin/python in it"),
        ((*SUBMIT, "--variable", "A", *TRAIN), 'Got "A".'),
        ((*SUBMIT, "--before", "a\nb", *TRAIN), "no line break"),
        ((*SUBMIT, "--", "train", "absent"), "'absent' does not exist"),
        ((*SUBMIT, *TRAIN, "--epoch", "3"), "--epoch"),
        ((*SUBMIT, *TRAIN, "--model", "resnet81"), 'Did you mean "resnet18"?'),
        ((*SUBMIT, *TRAIN, "--set", "patiens=3"), "patience"),
        ((*SUBMIT, *TRAIN, "--output", "my photos"), "-- train --resume 'my photos'"),
        ((*SUBMIT, "--", "train", "--epochs", "3"), "Got neither."),
        ((*SUBMIT, "--", "train", "--resume", "absent"), "Directory 'absent' does not exist"),
        ((*SUBMIT, "--", "train", "--resume", "my photos"), "is no run that can be resumed"),
        ((*SUBMIT, "--", "train", "--resume", "my photos", "--epochs", "3"), "leave --epochs out"),
        (("submit", "--scheduler", "sge", "--nodes", "2", *TRAIN), "-pe NAME"),
        (("cancel", "runs/absent"), "is neither a run that was submitted nor the number of a job"),
        (("cancel", "my photos"), "nobody has submitted this run"),
        (("cancel", "16672"), "There is no scheduler here"),
    ],
)
def test_wrong_use_is_one_sentence(
    arguments: tuple[str, ...], said: str, programs: Callable[..., Path], cli: Cli, tmp_path: Path
) -> None:
    code, out, err = cli(*arguments)
    assert (code, out) == (2, ""), err
    assert said in err and err.startswith("Error: ") and err.count("\n") == 1
    assert not (tmp_path / "runs").exists() and not (tmp_path / "my photos.job").exists()


@pytest.mark.parametrize(
    ("there", "variables", "found"),
    [
        (("sbatch",), {}, "slurm"),
        (("sbatch", "pbsnodes"), {}, "slurm"),
        (("qsub", "qconf"), {}, "sge"),
        (("qsub",), {"SGE_ROOT": "/sge"}, "sge"),
        (("qsub", "pbsnodes", "pbs_tmrsh"), {}, "pbs"),
        (("qsub", "pbsnodes"), {"PBS_EXEC": "/opt/pbs"}, "pbs"),
        (("qsub", "pbsnodes", "trqauthd"), {}, "torque"),
        (("qsub",), {}, "--scheduler pbs, torque or sge"),
        (("qsub", "qconf", "pbsnodes"), {}, "--scheduler pbs, torque or sge"),
        (("qsub", "pbsnodes"), {}, "--scheduler pbs or torque"),
        (("sbatch", "qsub"), {}, "Both sbatch"),
        ((), {}, "neither sbatch"),
    ],
)
def test_the_scheduler_that_is_there(
    there: tuple[str, ...], variables: dict[str, str], found: str, programs: Callable[..., Path]
) -> None:
    programs(*there)
    if found in SCHEDULERS:
        assert find_scheduler(os.environ["PATH"], variables).name == found
    else:
        with pytest.raises(InvalidArgument, match=found):
            find_scheduler(os.environ["PATH"], variables)


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ("sbatch: error: invalid partition", 1, "Error: sbatch refused: sbatch: error: invalid partition\n"),
        ("Welcome to the cluster", 0, 'Got "Welcome to the cluster".'),
        ("", 0, 'Got "".'),
    ],
)
def test_a_scheduler_that_does_not_take_the_job(
    answer: str, code: int, said: str, programs: Callable[..., Path], cli: Cli, tmp_path: Path
) -> None:
    programs("sbatch", answer=answer, code=code)
    found, out, err = cli("submit", "--", "train", "my photos")
    assert (found, out) == (1, "") and said in err and err.count("\n") == 1
    assert cli("cancel", "runs/my photos-resnet18")[0] == 2  # there is nothing to cancel


def test_a_job_that_was_refused_is_submitted_again(programs: Callable[..., Path], cli: Cli) -> None:
    """The very same command, once what was wrong is mended."""
    command = ("submit", "--", "train", "my photos", "--output", "runs/mine")
    programs("sbatch", answer="sbatch: error: invalid partition", code=1)
    assert cli(*command)[0] == 1
    programs("sbatch")
    assert cli(*command)[0] == 0
    code, _, err = cli(*command)
    assert code == 2 and "mine.job: exists already" in err


def test_a_record_that_was_altered(programs: Callable[..., Path], cli: Cli) -> None:
    folder = Path("runs/a.job")
    folder.mkdir(parents=True)
    (folder / "job.txt").write_text("slurm; rm -rf ~")
    code, _, err = cli("cancel", "runs/a")
    assert code == 2 and "should say the scheduler" in err


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4h", 14_400), ("1d12h", 129_600), ("90min", 5_400), ("90m", 5_400), ("2h30min", 9_000), ("04:00:00", 14_400),
        ("36:00:00", 129_600), ("1-12:00:00", 129_600), (" 1D 2H ", 93_600), ("0:10:00", 600),
    ],
)  # fmt: skip
def test_walltimes(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds
    assert seconds_of(clock(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "4", "4:00", "4x", "1h1d", "00:61:00", "1.5h", "0h", "٤h"])
def test_walltimes_that_are_none(text: str) -> None:
    with pytest.raises(InvalidArgument, match="walltime"):
        seconds_of(text)
