"""Checkpoints as files: whole or not at all, known by their digest, the last two kept; and when they are taken."""

import os
import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import CheckpointError, RecipeError
from mirada.events import Event, NotSaved
from mirada.modelfile import Architecture, Card, load_network, save_model
from mirada.models import create_model
from mirada.runs.folder import CHECKPOINTS, MODEL, RunFolder
from mirada.samples import Classes
from mirada.training import checkpoints, saving
from mirada.training.best import BestModel
from mirada.training.checkpoints import KEY, put_back, read_latest, read_tensors, states, write_tensors
from mirada.training.optimizer import Optimizer
from mirada.training.pace import Pace, pace_of
from mirada.training.recipe import Recipe
from mirada.training.saving import Saver
from mirada.training.state import Best, TrainState
from mirada.training.stepping import Adam

CARD = Card(
    architecture=Architecture(model="lenet5", outputs=2, in_channels=1, image_size=(16, 16)),
    target=Classes(("a", "b")),
    preprocessing=Preprocessing(mode="L", size=(16, 16), mean=(0.5,), std=(0.5,)),
)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder.create(tmp_path / "run")
    made.touch()
    return made


def state_at(step: int) -> TrainState:
    """A state that says by its weights after which step it was."""
    torch.manual_seed(0)
    network = create_model("lenet5", num_classes=2, in_channels=1, image_size=(16, 16))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(step)
    return TrainState(
        network=network,
        optimizer=Optimizer(network, Adam()),
        step=step,
        epoch=step // 10,
        best=Best(1, (0.5, -1.0)),
    )


def fail(why: str) -> None:
    raise AssertionError(why)


def take(folder: RunFolder, steps: tuple[int, ...], heard: list[Event] | None = None) -> Saver:
    """Checkpoints after these steps, each with a best model of its own, which says so as well."""
    saver = Saver(folder, Pace(), heard.append if heard is not None else lambda event: fail(str(event)))
    for step in steps:
        state = state_at(step)
        save_model(folder.file(MODEL), state.network, CARD)
        saver.save(state, BestModel(folder.file(MODEL), CARD, fail).held())
    return saver


def number(tensors: dict[str, Tensor] | Any) -> float:
    return float(
        tensors["network.head.output.bias" if "network.head.output.bias" in tensors else first(tensors)][0]
    )


def first(tensors: Any) -> str:
    return next(name for name in sorted(tensors) if name.startswith("network.") and name.endswith("bias"))


def test_any_reader_of_safetensors_reads_it(folder: RunFolder) -> None:
    take(folder, (7,))
    (file,) = states(folder.path / CHECKPOINTS)
    own, state = load_file(file), state_at(7).tensors()
    assert own.keys() == state.keys()
    for name, value in state.items():
        assert torch.equal(own[name], value) and own[name].dtype == value.dtype, name


def test_tensors_of_every_kind_come_back(tmp_path: Path) -> None:
    kinds = [kind for kind in checkpoints.KINDS if kind is not torch.bool]
    tensors = {f"t{place}": torch.arange(place).to(kind) for place, kind in enumerate(kinds)}
    tensors |= {"yes": torch.tensor([True, False]), "one": torch.tensor(3.0), "none": torch.zeros(0, 4)}
    tensors["turned"] = torch.arange(24.0).reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last)
    write_tensors(tmp_path / "file", tensors, {KEY: '{"a": 1}'})
    back, told = read_tensors(tmp_path / "file", KEY)
    assert told == {"a": 1} and back.keys() == tensors.keys()
    assert all(torch.equal(back[name], value) for name, value in tensors.items())


def test_the_last_two_are_kept_each_with_its_best_model(folder: RunFolder) -> None:
    take(folder, (3, 12, 25, 31))
    kept = sorted(path.name for path in (folder.path / CHECKPOINTS).iterdir())
    names = ["0000000025-000002.safetensors", "0000000031-000003.safetensors"]
    assert kept == [*(f"best-{name}" for name in names), *(f"state-{name}" for name in names)]
    found, problems = read_latest(folder)
    assert found and not problems and (found.moment.step, found.moment.epoch) == (31, 3)
    for name, step in zip(names, (25, 31), strict=True):
        weights = load_network(folder.path / CHECKPOINTS / f"best-{name}").network.state_dict()
        assert {float(value.min()) for value in weights.values()} == {step}


def flipped(data: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << draw.randrange(8)]) + data[place + 1 :]


def zeroed(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(900, len(data) - 64)
    return data[:at] + bytes(64) + data[at + 64 :]


def swapped(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(data) - 9)
    return data[:at] + data[at + 8 :] + data[at : at + 8]


DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "a bit": flipped,
    "cut": lambda data, draw: data[: draw.randrange(len(data))],
    "header": lambda data, draw: flipped(data[:400], draw) + data[400:],
    "zeros": zeroed,
    "longer": lambda data, draw: data + draw.randbytes(draw.randrange(1, 99)),
    "swapped": swapped,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_no_damage_is_silent(damage: str, folder: RunFolder) -> None:
    """400 in all, of the state or of the best model beside it: each is named, and the checkpoint before is used."""
    take(folder, (12, 25))
    last = states(folder.path / CHECKPOINTS)[0]
    files = (last, last.with_name(last.name.replace("state-", "best-")))
    draw = random.Random(damage)
    for file in files:
        whole = file.read_bytes()
        for _ in range(34):
            broken = DAMAGES[damage](whole, draw)
            if broken == whole:
                continue
            file.write_bytes(broken)
            found, problems = read_latest(folder)
            assert found and found.moment.step == 12 and number(found.tensors) == 12
            assert len(problems) == 1 and problems[0].startswith(f"{file}: ")
        file.write_bytes(whole)
    found, problems = read_latest(folder)
    assert found and found.moment.step == 25 and not problems


def test_a_best_model_that_is_gone_and_all_that_are_damaged(folder: RunFolder) -> None:
    take(folder, (12, 25))
    for file in (folder.path / CHECKPOINTS).glob("best-*"):
        file.unlink()
    found, problems = read_latest(folder)
    assert found is None and len(problems) == 2 and all("best-" in problem for problem in problems)


def test_a_list_of_events_that_has_become_shorter(folder: RunFolder) -> None:
    folder.event(NotSaved("something"))
    take(folder, (12,))
    os.truncate(folder.path / "events.jsonl", 3)
    found, problems = read_latest(folder)
    assert found is None and "events.jsonl has become shorter" in problems[0]


@pytest.mark.parametrize("name", ["events.jsonl", "results.csv"])
def test_what_the_run_had_told_is_part_of_it(name: str, folder: RunFolder) -> None:
    """As long as before, but otherwise: it is another run's, or somebody has changed it."""
    folder.event(NotSaved("something"))
    (folder.path / "results.csv").write_text("epoch,seconds\n1,2.5\n")
    take(folder, (12,))
    file = folder.path / name
    data = file.read_bytes()
    file.write_bytes(data.replace(b"s", b"S", 1))
    found, problems = read_latest(folder)
    assert found is None and len(problems) == 1
    assert "is another run's, or this run's results.csv or events.jsonl has been changed" in problems[0]
    file.write_bytes(data + b"more\n")
    assert read_latest(folder)[0]


def test_another_runs_files_are_not_taken_for_its_own(tmp_path: Path) -> None:
    """Whole, of the same network and the same step: the state of one, or the model beside it alone."""
    folders = [RunFolder.create(tmp_path / name) for name in ("one", "two")]
    for folder in folders:
        (folder.path / "events.jsonl").write_text(folder.path.name)
        take(folder, (12, 25))
    one, two = (folder.path / CHECKPOINTS for folder in folders)
    last = "0000000025-000002.safetensors"
    with torch.no_grad():
        other = state_at(7).network
    save_model(two / f"best-{last}", other, CARD)
    for kind, said in (("best", "is not the model that was saved with"), ("state", "is another run's")):
        own = (one / f"{kind}-{last}").read_bytes()
        shutil.copy(two / f"{kind}-{last}", one)
        found, problems = read_latest(folders[0])
        assert found and found.moment.step == 12
        assert len(problems) == 1 and problems[0].startswith(f"{one / f'{kind}-{last}'}: {said}")
        (one / f"{kind}-{last}").write_bytes(own)
    assert read_latest(folders[0])[1] == []


@pytest.mark.parametrize("used", [(12,), ()], ids=["the one before", "none"])
def test_after_damage_new_ones_are_kept_and_the_damaged_go(used: tuple[int, ...], folder: RunFolder) -> None:
    """A run that goes on from before a damaged one saves at earlier steps than that one's."""
    take(folder, (12, 25))
    for file in states(folder.path / CHECKPOINTS):
        if int(file.name.split("-")[1]) not in used:
            file.write_bytes(file.read_bytes()[:-1])
    assert len(read_latest(folder)[1]) == 2 - len(used)
    step = 15 if used else 5
    take(folder, (step,))
    found, problems = read_latest(folder)
    assert found and found.moment.step == step and problems == []
    kept = {int(file.name.split("-")[1]) for file in (folder.path / CHECKPOINTS).iterdir()}
    assert kept == {*used, step}


def test_a_folder_in_the_place_of_a_checkpoint(folder: RunFolder) -> None:
    take(folder, (12, 25))
    place = folder.path / CHECKPOINTS
    for kind in ("state", "best"):
        (place / f"{kind}-0000000031-000003.safetensors").mkdir()
    found, problems = read_latest(folder)
    assert found and found.moment.step == 25 and "is a directory" in problems[0]
    take(folder, (28, 40))  # says if it could not be written
    found, problems = read_latest(folder)
    assert found and found.moment.step == 40 and problems == []
    checkpoints.remove_checkpoints(place)
    assert sorted(path.name.partition("-")[0] for path in place.iterdir()) == ["best", "state"]


def test_what_was_written_since_is_taken_back(folder: RunFolder) -> None:
    folder.event(NotSaved("before"))
    take(folder, (12,))
    marks = folder.marks()
    folder.event(NotSaved("after"))
    save_model(folder.path / MODEL, state_at(99).network, CARD)
    found, _ = read_latest(folder)
    assert found
    put_back(folder, found.moment)
    assert (folder.marks().results, folder.marks().events) == (marks.results, marks.events)
    weights = load_network(folder.path / MODEL).network.state_dict()
    assert {float(value.max()) for value in weights.values()} == {12.0}


def test_what_is_no_number_is_not_kept(folder: RunFolder) -> None:
    saver = take(folder, (12,))
    broken = state_at(25)
    with torch.no_grad():
        next(iter(broken.network.parameters())).view(-1)[3] = float("nan")
    saver.save(broken, BestModel(folder.file(MODEL), CARD, fail).held())
    found, problems = read_latest(folder)
    assert found and found.moment.step == 12 and not problems


# When --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pace"),
    [
        ("auto", Pace()), ("2s", Pace(2.0)), ("10min", Pace(600.0)), ("1.5h", Pace(5400.0)), ("0.5 s", Pace(0.5)),
        ("1epoch", Pace(epochs=1)), ("3 epochs", Pace(epochs=3)),
    ],
)  # fmt: skip
def test_how_often(text: str, pace: Pace) -> None:
    assert pace_of(text) == pace and Recipe(save=text).save == text


@pytest.mark.parametrize(
    "bad", ["", "never", "10", "0s", "-2s", "2 days", "1.5epochs", "0epochs", "infs", "nans", "2s 3s", "9" * 400 + "s",
            "٢s"]
)  # fmt: skip
def test_a_pace_that_is_none_is_one_sentence(bad: str) -> None:
    with pytest.raises(
        RecipeError, match=r"^`save` must be auto, or a time or a number of epochs above 0"
    ) as caught:
        Recipe(save=bad)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize("bad", [5, 2.5, True, None, ["2s"]])
def test_a_pace_that_is_no_text(bad: Any) -> None:
    with pytest.raises(RecipeError, match=r"^`save` must be auto, a text"):
        Recipe(save=bad)


def test_it_is_time(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """By seconds, by epochs, and by what one costs; steps never wait for more than a twentieth of the time."""
    clock = [1000.0]
    monkeypatch.setattr(saving.time, "monotonic", lambda: clock[0])
    state = state_at(12)

    def due(pace: Pace, seconds: float, *, stall: float = 0.0, cost: float = 0.0) -> bool:
        clock[0] = 1000.0
        saver = Saver(folder, pace, lambda event: None)
        saver.stall, saver.cost = stall, cost
        clock[0] += seconds
        return saver.due(state)

    assert not due(Pace(seconds=2), 1.9) and due(Pace(seconds=2), 2.1)
    assert not due(Pace(), 29) and due(Pace(), 31)
    assert not due(Pace(), 99, cost=2.0) and due(Pace(), 101, cost=2.0)
    assert not due(Pace(seconds=2), 19, stall=1.0) and due(Pace(seconds=2), 21, stall=1.0)
    assert due(Pace(epochs=1), 0.1) and not due(Pace(epochs=2), 1e6)
    state.batch = 1
    assert not due(Pace(epochs=1), 1e6)


def test_steps_go_on_while_a_checkpoint_is_written(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the weights of its moment, whatever the next steps do; and there is never more than one at once."""
    write, may_go_on = saving.write_checkpoint, threading.Event()

    def slow(*arguments: Any) -> None:
        assert may_go_on.wait(60)
        write(*arguments)

    monkeypatch.setattr(saving, "write_checkpoint", slow)
    saver = Saver(folder, Pace(seconds=1e-9), lambda event: fail(str(event)))
    state = state_at(12)
    save_model(folder.file(MODEL), state.network, CARD)
    saver.take(state, BestModel(folder.file(MODEL), CARD, fail).held())
    with torch.no_grad():
        for parameter in state.network.parameters():
            parameter.fill_(99)
    assert not saver.due(state) and not states(folder.path / CHECKPOINTS)
    may_go_on.set()
    saver.wait()
    found, _ = read_latest(folder)
    assert found and number(found.tensors) == 12


# A full disk -------------------------------------------------------------------------------------------------------


def test_a_full_disk_leaves_the_last_one_whole(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told once, until one is written again; nothing is left of what was not."""
    heard: list[Event] = []
    saver = take(folder, (12,), heard)
    write = checkpoints.write_pieces

    def full(file: Path, *arguments: Any) -> None:
        raise OSError(28, "No space left on device", str(file))

    monkeypatch.setattr(checkpoints, "write_pieces", full)
    held = BestModel(folder.file(MODEL), CARD, fail).held()
    for step in (25, 26):
        saver.save(state_at(step), held)
    (told,) = heard
    assert isinstance(told, NotSaved) and "no space left on device" in told.text and "is whole" in told.text
    found, problems = read_latest(folder)
    assert found and found.moment.step == 12 and not problems
    monkeypatch.setattr(checkpoints, "write_pieces", write)
    saver.save(state_at(31), held)
    found, _ = read_latest(folder)
    assert found and found.moment.step == 31 and len(heard) == 1
    assert not list((folder.path / CHECKPOINTS).glob(".*"))


def test_lines_wait_for_the_disk(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.event(NotSaved("one"))
    monkeypatch.setattr("mirada.runs.folder.append_text", lambda file, text: _full(file))
    folder.event(NotSaved("two"))
    assert folder.waiting
    monkeypatch.undo()
    folder.event(NotSaved("three"))
    text = (folder.path / "events.jsonl").read_text()
    assert [word in text for word in ("one", "two", "three")] == [True] * 3 and text.count("\n") == 3


def test_norms_of_gradients_wait_for_the_disk(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mirada.runs.folder.write_text", lambda file, text, synced: _full(file))
    folder.watched(1, {"stem": 0.5})
    monkeypatch.undo()
    folder.watched(2, {"stem": 0.25})
    assert (folder.path / "gradients.csv").read_text() == "epoch,layer,norm\n1,stem,0.5\n2,stem,0.25\n"


def _full(file: Path) -> None:
    raise OSError(28, "No space left on device", str(file))


def test_a_checkpoint_of_another_network(folder: RunFolder) -> None:
    take(folder, (12,))
    found, _ = read_latest(folder)
    assert found
    other = create_model("lenet5", num_classes=3, in_channels=1, image_size=(16, 16))
    with pytest.raises(CheckpointError, match="another network"):
        TrainState(network=other, optimizer=Optimizer(other, Adam())).restore(found.tensors)
