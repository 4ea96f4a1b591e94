"""Event files of TensorBoard, read back record by record as its format is published."""

import csv
import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from mirada.cli import run
from mirada.errors import RecipeError
from mirada.runs import tensorboard

pytest.importorskip("tensorboardX", reason="an extra of Mirada's")

OPTIONS = ["--model", "lenet5", "--epochs", "3", "--batch-size", "8", "--image-size", "32", "--device", "cpu"]


@pytest.fixture(scope="module")
def photos(
    tmp_path_factory: pytest.TempPathFactory, module_cache: None, write_noise: Callable[..., None]
) -> Path:
    """40 images of noise in two classes, one brighter than the other."""
    root = tmp_path_factory.mktemp("data") / "photos"
    write_noise(root, 20)
    return root


def scalars(file: Path) -> dict[tuple[str, int], float]:
    """(name, step) → value; a record is its length (8 bytes), a checksum (4), an Event and a checksum (4)."""
    from tensorboardX.proto.event_pb2 import Event

    found, data, start = {}, file.read_bytes(), 0
    while start < len(data):
        (length,) = struct.unpack_from("<Q", data, start)
        event = Event.FromString(data[start + 12 : start + 12 + length])
        found |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
        start += length + 16
    return found


def test_the_figures_are_those_of_results_csv(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert run(["train", str(photos), *OPTIONS, "--set", "tensorboard=true", "--output", str(folder)]) == 0
    (file,) = (folder / "tensorboard").iterdir()
    found = scalars(file)
    with (folder / "results.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = {"loss/training": "train_loss", "loss/validation": "val_loss", "learning_rate": "lr",
             "validation/accuracy": "val_accuracy"}  # fmt: skip
    for row in rows:
        for name, column in names.items():
            assert found[name, int(row["epoch"])] == pytest.approx(float(row[column]), rel=1e-6)
    assert {step for _, step in found} == {1, 2, 3}


def test_a_full_disk_ends_the_figures_and_not_the_run(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorboardX

    def full(writer: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensorboardX.SummaryWriter, "flush", full)
    folder = tmp_path / "run"
    assert run(["train", str(photos), *OPTIONS, "--set", "tensorboard=true", "--output", str(folder)]) == 0
    told = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    (said,) = [each["text"] for each in told if each["event"] == "unsaved"]
    assert said.startswith(
        f"No figures for TensorBoard could be written to {folder / 'tensorboard'} (no space left"
    )


def test_no_run_writes_them_unasked(photos: Path, tmp_path: Path) -> None:
    assert run(["train", str(photos), *OPTIONS, "--output", str(tmp_path / "run")]) == 0
    assert not (tmp_path / "run/tensorboard").exists()


def test_without_the_extra_one_sentence_says_what_to_install(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RecipeError, match="pip install"):
        tensorboard.require_tensorboard()
    output = tmp_path / "run"
    options = [*OPTIONS, "--set", "tensorboard=true", "--output", str(output)]
    assert run(["train", str(photos), *options]) == 2
    error = capsys.readouterr().err
    assert "mirada[tensorboard]" in error and error.count("\n") == 1 and not output.exists()
