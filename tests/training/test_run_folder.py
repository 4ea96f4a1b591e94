"""The folder of a run: read back with csv and json, and never written over."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from mirada.errors import DataError
from mirada.events import EpochDone, FileExcluded, Progress
from mirada.runs.folder import EVENTS, LAST, RESULTS, RunFolder, free_name

EPOCH = EpochDone(
    epoch=1,
    seconds=2.5,
    images_per_second=400.0,
    lr=0.001,
    train_loss=0.5,
    val_loss=0.25,
    metrics={"mae": 3.0},
)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "runs" / "digits-lenet5")


def test_it_is_made_with_its_parents(folder: RunFolder) -> None:
    assert folder.path.is_dir()
    assert (folder.path / LAST).parent.is_dir()
    assert sorted(path.name for path in folder.path.iterdir()) == ["checkpoints"]


def test_an_existing_run_is_never_overwritten(folder: RunFolder) -> None:
    (folder.path / "model.safetensors").write_bytes(b"weeks of work")
    with pytest.raises(DataError) as error:
        RunFolder(folder.path)
    assert str(error.value) == (
        f"{folder.path}: exists already; a run is never overwritten. Choose another --output."
    )
    assert (folder.path / "model.safetensors").read_bytes() == b"weeks of work"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(DataError) as error:
        RunFolder(tmp_path / "file" / "run")
    assert str(error.value) == f"{tmp_path / 'file' / 'run'}: cannot be made (not a directory)."


def test_events_are_lines_of_json_without_progress(folder: RunFolder) -> None:
    folder.event(FileExcluded("Äpfel/\udcff", "empty"))  # a name that is no UTF-8 is no obstacle
    folder.event(Progress("training", 1, 2))
    folder.event(replace(EPOCH, metrics={"r2": float("nan")}))
    text = (folder.path / EVENTS).read_text(encoding="utf-8")
    assert len(text.splitlines()) == 2
    start, epoch = map(json.loads, text.splitlines())
    assert start.keys() == {"time", "event", "path", "reason"}
    assert (start["event"], start["path"]) == ("excluded", "Äpfel/\udcff")
    assert (epoch["event"], epoch["epoch"], epoch["val_loss"]) == ("epoch", 1, 0.25)
    assert epoch["metrics"] == {"r2": None}  # JSON has no NaN
    assert 0 <= start["time"] <= epoch["time"] <= folder.seconds + 0.001


def test_results_are_a_table_with_one_header(folder: RunFolder) -> None:
    first = {
        "epoch": 1,
        "seconds": 2.5,
        "images_per_second": 400.0,
        "lr": 0.001,
        "train_loss": 0.5,
        "val_loss": 0.25,
    }
    rows = [{**first, "val_mae": 3.0}, {**first, "epoch": 2, "lr": 1e-10, "val_loss": 0.125, "val_mae": 2.0}]
    for row, done in zip(
        rows, (EPOCH, replace(EPOCH, epoch=2, lr=1e-10, val_loss=0.125, metrics={"mae": 2.0})), strict=True
    ):
        folder.result(done)
        with (folder.path / RESULTS).open(newline="", encoding="utf-8") as stream:  # whole after every epoch
            read = list(csv.DictReader(stream))
        assert [{key: float(value) for key, value in line.items()} for line in read] == rows[: done.epoch]
        assert list(read[0]) == list(row)


def test_json(folder: RunFolder) -> None:
    content = {"root": "Bäume/\udcff", "counts": {"train": 3}, "mean": 0.1, "none": None}
    folder.json("data.json", content)
    text = (folder.path / "data.json").read_text(encoding="utf-8")
    assert json.loads(text) == content
    assert text.startswith('{\n "root"')  # one value per line, for people
    assert text.endswith("}\n")


def test_free_names_count_up(tmp_path: Path) -> None:
    names = []
    for _ in range(3):
        path = free_name(tmp_path, "digits-lenet5")
        path.mkdir()
        names.append(path.name)
    assert names == ["digits-lenet5", "digits-lenet5-2", "digits-lenet5-3"]
    assert free_name(tmp_path / "none", "run") == tmp_path / "none" / "run"
