"""A step that gives no number is found, named with its images and its layer, kept, and replayed to the same end."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import nn

from mirada.cli import run as cli
from mirada.data.examples.shapes import write_shapes
from mirada.errors import CheckpointError, TrainingError
from mirada.events import Event, Progress, Started
from mirada.jobs import ending, failure
from mirada.jobs.train import train
from mirada.training import loop
from mirada.training.failed_step import replay
from mirada.training.saving import Saver
from mirada.training.step import fitting_step

QUICK: dict[str, Any] = {
    "model": "lenet5",
    "epochs": 3,
    "batch_size": 8,
    "image_size": 16,
    "schedule": "constant",
}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "shapes"
    write_shapes(folder, count=48, size=32)
    return folder


def failed(shapes: Path, run: Path, **settings: Any) -> str:
    with pytest.raises(TrainingError) as caught:
        train(shapes, output=run, **QUICK | settings)
    return str(caught.value)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_rate_that_is_too_high(optimizer: str, shapes: Path, tmp_path: Path) -> None:
    said = failed(shapes, tmp_path / "my run", optimizer=optimizer, lr=1e30)
    assert said.startswith("The loss is no longer a number (epoch 1, learning rate 1e+30): in step ")
    assert f"mirada train --replay '{tmp_path}/my run' repeats the step" in said
    step, place = replay(tmp_path / "my run" / "failed-step.safetensors")
    assert place == step.place and f"was in {place}; its images were {step.files[0]}, " in said
    assert len(step.files) == 8 and step.rate == 1e30


def test_an_image_of_the_data_that_is_named(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights before the step are those of a run that ends there; what was saved before it stays."""
    monkeypatch.setattr(Saver, "due", lambda saver, state: state.step == 5)

    def breaking(state: Any, batch: Any, rate: float, **rest: Any) -> Any:
        if state.step == 7:
            batch.images[2, 0, 3, 3] = math.inf
        return fitting_step(state, batch, rate, **rest)

    monkeypatch.setattr(loop, "fitting_step", breaking)
    said = failed(shapes, tmp_path / "run", model="simplecnn")
    assert "in step 8 the first number that is not finite was in the images; its images were" in said
    assert list((tmp_path / "run" / "checkpoints").glob("state-0000000005-*"))
    file = tmp_path / "run" / "failed-step.safetensors"
    with safe_open(file, "pt") as kept:
        names = [name for name in kept.keys() if name.startswith("before.network.")]  # noqa: SIM118 # no dict
        before = {name: kept.get_tensor(name) for name in names}
        told = json.loads(kept.metadata()["failed step"])
    seen: dict[str, torch.Tensor] = {}

    def looking(state: Any, *arguments: Any, **rest: Any) -> Any:
        if state.step == 7:
            seen.update({name: value.clone() for name, value in state.network.state_dict().items()})
        return fitting_step(state, *arguments, **rest)

    monkeypatch.setattr(loop, "fitting_step", looking)
    train(shapes, output=tmp_path / "whole", **QUICK | {"model": "simplecnn"})
    assert {name.removeprefix("before.network.") for name in before} == seen.keys()
    assert all(torch.equal(value, before[f"before.network.{name}"]) for name, value in seen.items())
    assert told["step"] == 8 and told["epoch"] == 2


def test_the_layer_that_overflows(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaking(state: Any, batch: Any, rate: float, **rest: Any) -> Any:
        value = fitting_step(state, batch, rate, **rest)
        if state.step == 3:
            with torch.no_grad():
                next(iter(state.network.head.parameters())).fill_(3e38)
        return value

    monkeypatch.setattr(loop, "fitting_step", breaking)
    heard: list[Event] = []
    said = failed(shapes, tmp_path / "run", on_event=heard.append)
    assert "in step 4 the first number that is not finite was in the output of head." in said
    told = [event for event in heard if isinstance(event, Progress) and event.what == "looking for the step"]
    assert told[0].done == 1 and told[0].total == 12  # nothing else of the second training is told
    assert sum(isinstance(event, Started) for event in heard) == 1
    assert cli(["train", "--replay", str(tmp_path / "run")]) == 0


def test_a_full_disk_hides_nothing(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What went wrong is told, also where neither the step can be kept nor a report be written."""

    def full(file: Path, *arguments: Any) -> None:
        raise OSError(28, "No space left on device", str(file))

    monkeypatch.setattr(failure, "save_failed_step", full)
    monkeypatch.setattr(ending, "write_report", full)
    said = failed(shapes, tmp_path / "run", optimizer="sgd", lr=1e30)
    assert said.startswith("The loss is no longer a number (epoch 1, learning rate 1e+30): in step ")
    assert said.endswith("and the step itself could not be kept there (no space left on device).")
    last = json.loads((tmp_path / "run" / "events.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["reason"], last["text"]) == ("stopped", "failed", said)


@pytest.mark.parametrize("error", [MemoryError, torch.OutOfMemoryError])
def test_where_memory_is_too_small_to_look_for_the_step_the_failure_is_told(
    error: type[Exception], shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second network and a copy of its state stand beside those that failed."""

    def full(*arguments: Any) -> None:
        raise error("out of memory")

    monkeypatch.setattr(failure, "go_on", full)
    monkeypatch.setattr(failure, "fit", full)
    said = failed(shapes, tmp_path / "run", optimizer="sgd", lr=1e30)
    assert said.startswith("The loss is no longer a number (epoch 1, learning rate 1e+30). Try a lower --lr;")
    last = json.loads((tmp_path / "run" / "events.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["reason"], last["text"]) == ("stopped", "failed", said)


def test_the_random_numbers_of_who_replays_a_step_stay(shapes: Path, tmp_path: Path) -> None:
    failed(shapes, tmp_path / "run", optimizer="sgd", lr=1e30)
    before = torch.get_rng_state()
    replay(tmp_path / "run" / "failed-step.safetensors")
    assert torch.equal(torch.get_rng_state(), before)


class Masked(nn.Module):
    """A network with a mask of infinities, as attention has one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.out = nn.Conv2d(3, 4, 3), nn.Linear(4, 4)
        self.register_buffer("mask", torch.tensor([0.0, 0.0, -math.inf, 0.0]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) → (N, 4)."""
        weights = (self.stem(images).mean((2, 3)) + self.mask).softmax(1)
        return torch.as_tensor(self.out(weights))


def test_a_mask_of_infinities_is_not_what_went_wrong(shapes: Path, tmp_path: Path) -> None:
    module = Masked()
    said = failed(shapes, tmp_path / "run", model=module, optimizer="sgd", lr=1e38)
    place = said.partition("not finite was in ")[2].partition(";")[0]
    assert "mask" not in place and int(said.partition("in step ")[2].partition(" ")[0]) > 1
    step, again = replay(tmp_path / "run" / "failed-step.safetensors", module)
    assert again == step.place == place


def test_the_verb_says_the_same(shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = failed(shapes, tmp_path / "run", optimizer="sgd", lr=1e20)
    place = said.partition("not finite was in ")[2].partition(";")[0]
    assert cli(["train", "--replay", str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    assert f"then: the first number that was not finite was in {place}\n" in out
    assert f"now: the first number that is not finite is in {place}\n" in out
    file = tmp_path / "run" / "failed-step.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match="digest does not match"):
        replay(file)
    assert cli(["train", "--replay", str(tmp_path)]) == 2
    assert "holds no failed-step.safetensors" in capsys.readouterr().err
