"""``mirada train --resume``, ``--replay`` and ``--prove-resume``: what they say, and how they end."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirada.runs.folder import DIGESTS

Cli = Callable[..., Any]
SMALL = ["--model", "lenet5", "--image-size", "16", "--batch-size", "8", "--device", "cpu"]


def test_what_is_finished_is_said(cli: Cli, shapes: Path, tmp_path: Path) -> None:
    assert cli("train", shapes, *SMALL, "--epochs", "1", "--output", "run").code == 0
    code, out, err = cli("train", "--resume", "run")
    assert (code, err) == (0, "")
    assert out == "run: the run is finished, and there is nothing to resume.\nrun/report.html\n"
    code, out, _ = cli("runs", ".")
    assert code == 0 and " finished " in out and "--resume" not in out


def test_a_run_of_which_the_first_file_is_there(cli: Cli, shapes: Path, tmp_path: Path) -> None:
    """Killed before anything else was written: it is listed as killed, and resumed to the same end, once."""
    assert cli("train", shapes, *SMALL, "--epochs", "1", "--output", "runs/whole").code == 0
    (tmp_path / "runs" / "early").mkdir()
    shutil.copy(tmp_path / "runs" / "whole" / "job.json", tmp_path / "runs" / "early")
    code, out, _ = cli("runs")
    rows = [line.split()[:2] for line in out.splitlines()]
    assert code == 0 and ["early", "killed"] in rows and ["whole", "finished"] in rows
    assert out.endswith("mirada train --resume runs/early takes up what was stopped.\n")
    listed = {run["path"]: run["resumable"] for run in json.loads(cli("runs", "--json").out)}
    assert listed == {"runs/early": True, "runs/whole": False}
    code, out, err = cli("train", "--resume", "runs/early")
    assert (code, err) == (0, "") and "The run begins again: there is no checkpoint." in out
    one, other = (json.loads((tmp_path / "runs" / run / DIGESTS).read_text()) for run in ("early", "whole"))
    assert one == other
    assert "there is nothing to resume" in cli("train", "--resume", "runs/early").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--resume", "run", "--epochs", "3"], "--resume takes the data and the settings of run: leave --epochs out."),
        (["shapes", "--resume", "run"], "--resume takes the data and the settings of run: leave DATA out."),
        (["--replay", "run", "--set", "lr=1"], "--replay takes the data and the settings of run: leave --set out."),
        (["--resume", "run", "--replay", "run"], "--resume and --replay do not go together."),
        (["--replay", "run"], "run: holds no failed-step.safetensors, which a run leaves whose loss is no longer"),
        ([], "Missing argument 'DATA'."),
        (["shapes", "--prove-resume", "--folds", "3"], "--prove-resume is for one run: leave --folds and --seeds out."),
        (["shapes", "--set", "save=often"], "`save` must be auto, or a time or a number of epochs above 0, such as"),
        (["shapes", "--set", "save=0s"], "`save` must be auto, or a time or a number of epochs above 0, such as"),
    ],
)  # fmt: skip
def test_wrong_use_is_one_sentence(
    words: list[str], said: str, cli: Cli, shapes: Path, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    code, out, err = cli("train", *[shapes if word == "shapes" else word for word in words])
    assert (code, out) == (2, "") and said in err and err.count("\n") == 1


def test_a_folder_that_is_no_run(cli: Cli, shapes: Path) -> None:
    for option in ("--resume", "--replay"):
        code, _, err = cli("train", option, "none")
        assert code == 2 and f"Invalid value for '{option}': Directory 'none' does not exist." in err
    code, _, err = cli("train", "--resume", shapes)
    assert code == 1 and "it has no job.json" in err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_saves_and_resume_ends_alike(name: str, cli: Cli, shapes: Path, tmp_path: Path) -> None:
    arguments = ["train", str(shapes), *SMALL, "--epochs", "6", "--set", "save=1h"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mirada", *arguments, "--output", "run"],
        cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    for line in process.stdout:
        if line.startswith("epoch   2"):
            process.send_signal(getattr(signal, name))
            break
    _, err = process.communicate(timeout=120)
    assert process.returncode == 75
    assert err.endswith("Interrupted. What there is: run\nGo on with: mirada train --resume run\n")
    assert list((tmp_path / "run" / "checkpoints").glob("state-*"))
    code, out, err = cli("train", "--resume", "run")
    assert (code, err) == (0, "") and "The run goes on after step" in out
    assert cli(*arguments, "--output", "whole").code == 0
    one, other = (json.loads((tmp_path / run / DIGESTS).read_text()) for run in ("run", "whole"))
    assert one == other


@pytest.mark.slow
def test_the_proof_is_printed(cli: Cli, shapes: Path) -> None:
    code, out, _ = cli("train", shapes, *SMALL, "--epochs", "2", "--prove-resume", "--output", "proof")
    assert code == 0 and out.endswith("All three are identical.\n")
    assert "  whole: never stopped\n" in out and "  killed-twice: killed after step " in out
    rows = [line.split() for line in out.splitlines() if line.startswith(("weights", "optimizer", "best"))]
    assert len(rows) == 3 and all(len({*row[1:]}) == 1 and len(row) == 4 for row in rows)
