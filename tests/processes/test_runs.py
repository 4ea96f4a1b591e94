"""Whole runs of ``mirada train`` by two processes: stopped, killed and resumed, on as many processes and on others."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parent))
from launching import free_port, start

from mirada.data.examples.shapes import write_shapes

EPOCHS = 30
SETTINGS = (
    "--model", "lenet5", "--epochs", EPOCHS, "--image-size", 32, "--batch-size", 16, "--device", "cpu", "--set",
    "save=1epoch", "--set", "precision=float32",
)  # fmt: skip


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("runs")
    write_shapes(root / "shapes", count=60, size=32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIRADA_CACHE", str(root / "cache"))
        yield root / "shapes"


def train(size: int, shapes: Path, run: Path) -> list[subprocess.Popen[str]]:
    return start(
        size,
        "-m",
        "mirada",
        "train",
        shapes,
        *SETTINGS,
        "--output",
        run,
        logs=run.with_name(f"{run.name}.log"),
    )


def resume(size: int, run: Path) -> list[int]:
    processes = start(size, "-m", "mirada", "train", "--resume", run, logs=run.with_name(f"{run.name}.log"))
    return [each.wait(300) for each in processes]


def said(run: Path, rank: int) -> str:
    return run.with_name(f"{run.name}.log-{rank}").read_text()


def wait_for_epoch(run: Path, epoch: int) -> None:
    """Until a checkpoint of the epoch, or of a later one, is there."""
    until = time.monotonic() + 200
    while not any(int(file.stem.rsplit("-", 1)[1]) >= epoch for file in run.glob("checkpoints/state-*")):
        assert time.monotonic() < until
        time.sleep(0.01)


def rows(run: Path) -> list[str]:
    """What was written of each epoch, but for the time that it took."""
    lines = (run / "results.csv").read_text().splitlines()
    return [",".join(line.split(",")[:1] + line.split(",")[3:]) for line in lines]


@pytest.fixture(scope="module")
def whole(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run by two processes that nobody stops."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert [each.wait(300) for each in train(2, shapes, run)] == [0, 0]
    return run


def test_one_process_writes_and_speaks(whole: Path) -> None:
    events = [json.loads(line)["event"] for line in (whole / "events.jsonl").read_text().splitlines()]
    assert events.count("start") == 1 and events.count("epoch") == EPOCHS and events.count("stopped") == 1
    assert len(rows(whole)) == EPOCHS + 1 and (whole / "report.html").is_file()
    assert said(whole, 1) == ""
    assert len((whole / "predictions.csv").read_text().splitlines()) == 1 + 8 + 12  # no image judged twice


@pytest.mark.slow
def test_killed_and_resumed_by_as_many_ends_with_the_same_bits(
    shapes: Path, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    processes = train(2, shapes, run)
    wait_for_epoch(run, 2)
    for each in reversed(processes):
        each.kill()
        each.wait()
    assert resume(2, run) == [0, 0]
    assert (run / "digests.json").read_text() == (whole / "digests.json").read_text()
    assert rows(run) == rows(whole)


@pytest.fixture(scope="module")
def killed_everywhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For each optimizer a run by two processes, and what kills at many moments would have left, taken up by two."""
    root = tmp_path_factory.mktemp("everywhere")
    write_shapes(root / "shapes", count=48, size=32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIRADA_CACHE", str(root / "cache"))
        processes = start(
            2, Path(__file__).parent / "killed.py", root / "shapes", root, logs=root / "killed.log"
        )
        assert [each.wait(600) for each in processes] == [0, 0], (root / "killed.log-0").read_text()
    return root


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_killed_anywhere_two_processes_end_with_the_same_bits(
    optimizer: str, killed_everywhere: Path
) -> None:
    place = killed_everywhere / optimizer
    names = {path.name for path in place.iterdir()} - {"run"}
    assert {name.rpartition("-")[0] for name in names} == {
        "decoding", "preparing", "step", "validation", "saving", "written", "evaluation", "maps", "report", "end",
    }  # fmt: skip
    assert len(names) == 17
    for name in names:
        for file in ("digests.json", "predictions.csv"):
            assert (place / name / file).read_bytes() == (place / "run" / file).read_bytes(), (name, file)
        assert rows(place / name) == rows(place / "run"), name


@pytest.mark.slow
def test_two_nodes_are_as_two_processes_of_one(shapes: Path, whole: Path, tmp_path: Path) -> None:
    """Two torchruns that meet at an address, as on two machines: the same order, and the same bits."""
    run, port = tmp_path / "run", str(free_port())
    nodes = [
        subprocess.Popen(
            [
                sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--node-rank", str(node),
                "--nproc-per-node", "1", "--master-addr", "127.0.0.1", "--master-port", port, "-m", "mirada", "train",
                str(shapes), *map(str, SETTINGS), "--output", str(run),
            ],
            env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for node in range(2)
    ]  # fmt: skip
    told = [node.communicate(timeout=300) for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], told
    assert "report.html" in told[0][0] and "report.html" not in told[1][0]
    assert (run / "digests.json").read_text() == (whole / "digests.json").read_text()
    assert rows(run) == rows(whole)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 3])
def test_stopped_and_resumed_by_others_ends_nearly_alike(
    size: int, shapes: Path, whole: Path, tmp_path: Path
) -> None:
    """Only one process is told to stop: both do, at the same step, with the code of a run that can go on."""
    run = tmp_path / "run"
    processes = train(2, shapes, run)
    wait_for_epoch(run, 2)
    processes[1].send_signal(signal.SIGTERM)
    assert [each.wait(100) for each in processes] == [75, 75]
    assert "mirada train --resume" in said(run, 0) and said(run, 1) == ""
    done = len(rows(run))
    assert resume(size, run) == [0] * size
    assert rows(run)[:done] == rows(whole)[:done] and len(rows(run)) == EPOCHS + 1
    own, other = (load_file(each / "checkpoints" / "last.safetensors") for each in (run, whole))
    for name in own:
        torch.testing.assert_close(own[name], other[name], rtol=2e-2, atol=2e-3)  # after 90 steps of Adam


PRESSING = """
import os, signal, sys
from mirada.cli import main
from mirada.jobs import train as job

original = job.{name}

def pressing(*arguments, **named):
    if os.environ["RANK"] == "{rank}":
        os.kill(os.getpid(), signal.SIGTERM)
    return original(*arguments, **named)

job.{name} = pressing
main(sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rank"), [("keep_for_evaluation", 0), ("keep_for_evaluation", 1), ("draw_maps", 0)]
)
def test_stopped_in_the_final_evaluation_all_save_and_say_so(
    name: str, rank: int, shapes: Path, whole: Path, tmp_path: Path
) -> None:
    run, script = tmp_path / "run", PRESSING.format(name=name, rank=rank)
    arguments = ("-c", script, "train", shapes, *SETTINGS, "--output", run)
    assert [each.wait(300) for each in start(2, *arguments, logs=tmp_path / "run.log")] == [75, 75]
    assert "mirada train --resume" in said(run, 0) and said(run, 1) == ""
    assert resume(2, run) == [0, 0]
    assert (run / "digests.json").read_text() == (whole / "digests.json").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_process_is_named_within_a_minute(how: signal.Signals, shapes: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    first, second = train(2, shapes, run)
    wait_for_epoch(run, 1)
    second.send_signal(how)
    try:
        assert first.wait(60) == 1
    finally:
        second.kill()
        second.wait()
    last = said(run, 0).splitlines()[-1]
    assert last.startswith(f"Error: Process 1 of 2 ({second.pid} on ") and "--resume" in last


@pytest.mark.slow
def test_a_first_process_that_is_stopped_ends_the_others_too(shapes: Path, tmp_path: Path) -> None:
    """It holds the store by which all hear of each other, which then answers nobody: as a machine without power."""
    run = tmp_path / "run"
    first, second = train(2, shapes, run)
    wait_for_epoch(run, 1)
    first.send_signal(signal.SIGSTOP)
    try:
        assert second.wait(60) == 1
    finally:
        first.kill()
        first.wait()
    assert said(run, 1).startswith("Error: The first process, or its torchrun, is lost.")


def test_what_several_processes_do_not_do(shapes: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    processes = start(
        2, "-m", "mirada", "train", shapes, "--folds", 3, "--output", run, logs=tmp_path / "run.log"
    )
    assert [each.wait(100) for each in processes] == [2, 2]
    assert said(run, 0).startswith("Error: --folds is not for processes that train together.")
    assert said(run, 0).count("\n") == 1 and said(run, 1) == ""
