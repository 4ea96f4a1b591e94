"""The folder of a run: read back with csv and json, and never written over."""

import csv
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from mirada.errors import DataError
from mirada.events import EpochDone, FileExcluded, Progress, Stopped
from mirada.runs.folder import EVENTS, LAST, RESULTS, RunFolder

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
    return RunFolder.create(tmp_path / "runs" / "digits-lenet5")


def test_it_is_made_with_its_parents(folder: RunFolder) -> None:
    assert folder.path.is_dir()
    assert list(folder.path.iterdir()) == []
    assert folder.file(LAST).parent.is_dir()


def test_an_existing_run_is_never_overwritten(folder: RunFolder) -> None:
    (folder.path / "model.safetensors").write_bytes(b"weeks of work")
    with pytest.raises(DataError) as error:
        RunFolder.create(folder.path)
    assert str(error.value) == (
        f"{folder.path}: exists already; a run is never overwritten. Choose another --output."
    )
    assert (folder.path / "model.safetensors").read_bytes() == b"weeks of work"


def test_drafts_of_a_process_at_work_stay(folder: RunFolder) -> None:
    """Whoever tries to take up a run that is alive must not take away what it is writing."""
    drafts = [folder.path / f".{number:016x}.json" for number in range(2)]
    drafts[0].touch()
    with RunFolder.reopened(folder.path).alone():
        assert not drafts[0].exists()  # of the one that was killed
        drafts[1].touch()
        again = RunFolder.reopened(folder.path)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("mirada.runs.folder.PATIENCE", 0.0)
            with pytest.raises(DataError, match="another process is at work"), again.alone():
                pass
        assert drafts[1].exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(DataError) as error:
        RunFolder.create(tmp_path / "file" / "run")
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


@pytest.mark.parametrize(
    "damage", [b"\0\0\0\0\n", b"[1]\n", b'{"event"\n', b'{"time": 1}\n', b'{"time": 1, "ev']
)
def test_lines_that_are_no_events_are_forgotten_with_the_end_of_a_run(
    damage: bytes, folder: RunFolder
) -> None:
    """As a power cut leaves them; a run of several would not go on."""
    folder.event(FileExcluded("a.png", "empty"))
    kept = (folder.path / EVENTS).read_bytes()
    folder.event(Stopped("interrupted", 1))
    with (folder.path / EVENTS).open("ab") as stream:
        stream.write(damage)
    folder.forget(Stopped)
    assert (folder.path / EVENTS).read_bytes() == kept


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


def test_a_record_is_written_as_json(folder: RunFolder) -> None:
    content = {"root": "Bäume/\udcff", "counts": {"train": 3}, "mean": 0.1, "none": None, "nan": float("nan")}
    folder.write("data.json", content)
    text = (folder.path / "data.json").read_text(encoding="utf-8")
    assert json.loads(text) == content | {"nan": None}
    assert text.startswith('{\n "root"')  # one value per line, for people
    assert text.endswith("}\n")


def test_numbers_count_up(tmp_path: Path) -> None:
    names = [RunFolder.numbered(tmp_path, "digits-lenet5").path.name for _ in range(3)]
    assert names == ["digits-lenet5", "digits-lenet5-2", "digits-lenet5-3"]
    assert RunFolder.numbered(tmp_path / "none", "run").path == tmp_path / "none" / "run"
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file/run: cannot be made \(not a directory\)"):
        RunFolder.numbered(tmp_path / "file", "run")


def test_of_many_runs_that_begin_at_once_each_has_its_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda _: RunFolder.numbered(tmp_path / "runs", "run").path, range(64)))
    assert len(set(made)) == 64 and sorted(made) == sorted((tmp_path / "runs").iterdir())


def test_what_cannot_begin_is_taken_away_and_nothing_else(folder: RunFolder) -> None:
    folder.write("data.json", {})
    folder.event(FileExcluded("a.png", "empty"))
    folder.file(LAST).write_bytes(b"weights")
    (folder.path / "thesis.txt").write_text("precious")
    folder.discard()
    assert [path.name for path in folder.path.iterdir()] == ["thesis.txt"]
    (folder.path / "thesis.txt").unlink()
    folder.discard()
    assert not folder.path.exists() and folder.path.parent.is_dir()
