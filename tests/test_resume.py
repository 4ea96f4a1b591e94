"""A run that is killed ends as one that was never stopped: to the bit, wherever it was killed.

What a kill leaves is what lies in the run's folder at that moment. So one run, whose folder is copied at many moments,
shows what many kills leave; that a real SIGKILL leaves the same is tested too.
"""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from killing import ADAM, SETTINGS, SGD, Copies, at_once, everywhere
from PIL import Image
from torch import nn

from mirada import cross_validate, resume, train, train_seeds
from mirada.data.examples.shapes import write_shapes
from mirada.data.index import Index
from mirada.data.sources import load_data
from mirada.errors import DataError, MiradaError, TrainingError
from mirada.evaluation.predictions import Predictions
from mirada.events import EpochDone, Event, NotSaved, Resumed
from mirada.jobs import ending, prove
from mirada.jobs import folds as folds_job
from mirada.jobs import seeds as seeds_job
from mirada.jobs import train as job
from mirada.jobs.again import _with_words, one_of_several
from mirada.jobs.prove import prove_resume
from mirada.jobs.train import Run
from mirada.modelfile import load_members
from mirada.pages import write_report
from mirada.runs.folder import CHECKPOINTS, DIGESTS, EVENTS, RunFolder
from mirada.runs.listing import list_runs, state_of
from mirada.samples import Numbers
from mirada.training import checkpoints, loop, saving
from mirada.training.checkpoints import digest_of
from mirada.training.loop import Outcome
from mirada.training.recipe import recipe_for
from mirada.training.saving import Saver


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "shapes"
    write_shapes(folder, count=48, size=32)
    return folder


def digests(folder: Path) -> dict[str, str]:
    return json.loads((folder / DIGESTS).read_text())


@pytest.fixture(scope="module", params=[SGD, pytest.param(ADAM, marks=pytest.mark.slow)], ids=["sgd", "adam"])
def killed(
    request: pytest.FixtureRequest, shapes: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Run, list[Path]]:
    """A run that was never stopped, and the folders that it would have left at many moments."""
    place = tmp_path_factory.mktemp("killed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIRADA_CACHE", str(place / "cache"))
        copies = everywhere(place / "run", place, patch)
        run = train(shapes, output=place / "run", **(SETTINGS | request.param))
    return run, [place / name for name in copies.names]


@pytest.mark.parametrize("start", [0, *(pytest.param(start, marks=pytest.mark.slow) for start in (1, 2))])
def test_a_run_that_was_killed_anywhere_ends_alike(
    start: int, killed: tuple[Run, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every third moment at a time."""
    run, folders = killed
    monkeypatch.setenv("MIRADA_CACHE", str(run.folder.parent / "cache"))
    assert len(folders) == 17
    folders = folders[start::3]
    heard: list[Event] = []
    for folder in folders:
        assert state_of(folder).state == "killed" and write_report(folder).exists()
        again = resume(folder, on_event=heard.append)
        assert isinstance(again, Run) and again.outcome == run.outcome
        assert digests(folder) == digests(run.folder), folder.name
        assert not list((folder / CHECKPOINTS).glob("state-*")) and not list(folder.rglob(".*"))
        assert kinds(folder) == kinds(run.folder), folder.name
    steps = [event.step for event in heard if isinstance(event, Resumed)]
    assert len(steps) == len(folders) and len(set(steps)) > 2


def kinds(folder: Path) -> list[str]:
    """What was told in a run, but for its being taken up."""
    told = [json.loads(line)["event"] for line in (folder / EVENTS).read_text().splitlines()]
    return [kind for kind in told if kind != "resumed"]


# The data, the folder, the end ---------------------------------------------------------------------------------------


@pytest.fixture
def stopped(shapes: Path, tmp_path: Path) -> Path:
    """A run of data of its own that was stopped in its second epoch, after a checkpoint."""
    shutil.copytree(shapes, tmp_path / "data")
    with pytest.MonkeyPatch.context() as patch:
        press_after(4, patch)
        run = train(tmp_path / "data", output=tmp_path / "run", **SETTINGS)
    assert isinstance(run, Run) and run.outcome.reason == "interrupted" and not run.complete
    return run.folder


def press_after(steps: int, patch: pytest.MonkeyPatch) -> None:
    """Ctrl-C once so many steps are done."""
    take, count = loop.fitting_step, itertools.count(1)

    def pressing(*arguments: Any, **named: Any) -> Any:
        if next(count) == steps:
            signal.raise_signal(signal.SIGINT)
        return take(*arguments, **named)

    patch.setattr(loop, "fitting_step", pressing)


def test_ctrl_c_saves_at_the_next_step(stopped: Path) -> None:
    (file,) = checkpoints.states(stopped / CHECKPOINTS)
    assert file.name.startswith("state-0000000004-")
    (state,) = list_runs(stopped.parent)
    assert (state.state, state.resumable) == ("interrupted", True)
    page = write_report(stopped).read_text(encoding="utf-8")
    assert "Training was interrupted after" in page


def test_ctrl_c_while_validating_ends_it_promptly(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps of the epoch are saved, and validation, which was cut short, is made when the run goes on."""

    def pressing(*arguments: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("validation went on")

    with monkeypatch.context() as patch:
        patch.setattr(loop, "validate", pressing)
        run = train(shapes, output=tmp_path / "run", **SETTINGS)
    assert run.outcome == Outcome("interrupted", 0, 0)
    (file,) = checkpoints.states(run.folder / CHECKPOINTS)
    steps = int(file.name.split("-")[1])
    took: list[int] = []
    take = loop.fitting_step
    monkeypatch.setattr(
        loop, "fitting_step", lambda *args, **named: (took.append(1), take(*args, **named))[1]
    )
    resume(run.folder)
    assert len(took) == steps * (SETTINGS["epochs"] - 1)
    whole = train(shapes, output=tmp_path / "whole", **SETTINGS)
    assert digests(run.folder) == digests(whole.folder)


def test_ctrl_c_in_the_final_evaluation_costs_no_step(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best model was calibrated already: it is again what it was before."""
    whole = train(shapes, output=tmp_path / "whole", **SETTINGS | ADAM)

    def press(*arguments: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(job, "draw_maps", press)
        run = train(shapes, output=tmp_path / "run", **SETTINGS | ADAM)
    assert not run.complete and run.outcome.epochs == whole.outcome.epochs
    monkeypatch.setattr(loop, "fitting_step", None)
    again = resume(run.folder)
    assert isinstance(again, Run) and again.outcome == whole.outcome
    assert digests(run.folder) == digests(whole.folder) and kinds(run.folder) == kinds(whole.folder)


@pytest.mark.parametrize("moment", ["write_report", "digests"])
def test_ctrl_c_in_the_report_costs_no_step(
    moment: str, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(shapes, output=tmp_path / "whole", **SETTINGS)
    module = ending if moment == "write_report" else job
    do, count = getattr(module, moment), itertools.count()

    def press(*arguments: Any) -> Any:
        if next(count) == 0:
            raise KeyboardInterrupt
        return do(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, moment, press)
        run = train(shapes, output=tmp_path / "run", **SETTINGS)
    assert not run.complete and "interrupted" in run.report_path.read_text(encoding="utf-8")
    assert (state_of(run.folder).state, state_of(run.folder).resumable) == ("interrupted", True)
    monkeypatch.setattr(loop, "fitting_step", None)
    resume(run.folder)
    assert digests(run.folder) == digests(whole.folder) and kinds(run.folder) == kinds(whole.folder)


def test_a_kill_in_the_final_evaluation_costs_no_step(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a run that is long enough that a checkpoint of its end costs little; here all are."""
    monkeypatch.setattr(saving, "LEAST", 0.0)
    monkeypatch.setattr(Saver, "due", lambda saver, state: False)
    whole = train(shapes, output=tmp_path / "whole", **SETTINGS)
    assert not list((whole.folder / CHECKPOINTS).glob("state-*"))

    def killed(*arguments: Any) -> Any:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(job, "draw_maps", killed)
        with pytest.raises(SystemExit):
            train(shapes, output=tmp_path / "run", **SETTINGS)
    until = time.monotonic() + 60
    while not list((tmp_path / "run" / CHECKPOINTS).glob("state-*")):  # written beside the evaluation
        assert time.monotonic() < until
    monkeypatch.setattr(loop, "fitting_step", None)
    resume(tmp_path / "run")
    assert digests(tmp_path / "run") == digests(whole.folder)
    assert kinds(tmp_path / "run") == kinds(whole.folder)


def test_another_recipe_is_refused_by_name(stopped: Path) -> None:
    """Half of the steps by one recipe and half by another would be nobody's run."""
    file = stopped / "job.json"
    text = file.read_text()
    file.write_text(text.replace("epochs = 3", "epochs = 4"))
    with pytest.raises(
        DataError, match=r"cannot go on, since job\.json and recipe\.toml do not agree on epochs"
    ):
        resume(stopped)
    file.write_text(text)
    resume(stopped)


def test_what_is_not_as_it_was_is_told(stopped: Path) -> None:
    file = stopped / "environment.json"
    record = json.loads(file.read_text())
    assert record["processes"] == 1
    other = {"mirada": "0.0.1", "numpy": "1.0", "processor": "an abacus", "threads": 99, "processes": 7}
    file.write_text(json.dumps({**record, **other, "torch": None}))
    heard: list[Event] = []
    resume(stopped, on_event=heard.append)
    (told,) = (event for event in heard if isinstance(event, Resumed))
    for name, value in other.items():
        assert f"It began with {name} {value} and goes on with {record[name]}, so its last bits" in told.text
    assert "torch" not in told.text


@pytest.mark.parametrize("change", ["content", "gone", "new"])
def test_data_that_have_changed_are_refused_by_name(change: str, stopped: Path) -> None:
    file = sorted(stopped.parent.glob("data/*/circle/*.png"))[0]
    if change == "gone":
        file.unlink()
    elif change == "new":
        shutil.copy(file, file := file.with_name("another.png"))
    else:
        Image.new("RGB", (32, 32), "red").save(file)
    before = sorted(path.name for path in stopped.rglob("*") if path.name != "lock")
    with pytest.raises(DataError, match=rf"cannot go on, since .* of its data, .*: .*{file.name}"):
        resume(stopped)
    assert sorted(path.name for path in stopped.rglob("*") if path.name != "lock") == before


def test_data_that_have_moved(stopped: Path) -> None:
    """What an image is called within the data, and its content, is what counts."""
    whole = train(stopped.parent / "data", output=stopped.parent / "whole", **SETTINGS)
    (stopped.parent / "data").rename(stopped.parent / "elsewhere")
    with pytest.raises(DataError, match="data"):
        resume(stopped)
    resume(stopped, data=load_data(stopped.parent / "elsewhere"))
    assert digests(stopped) == digests(whole.folder)


def test_the_file_of_splits_is_seen_from_where_the_run_began(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(shapes, output=tmp_path / "whole", **SETTINGS)
    monkeypatch.chdir(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        press_after(4, patch)
        train(load_data(shapes, split="whole/splits.csv"), output=tmp_path / "run", **SETTINGS)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    resume("../run")
    assert digests(tmp_path / "run") == digests(whole.folder)


@pytest.mark.slow
def test_weights_of_the_same_name_in_another_working_folder_are_others(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, name in enumerate(("here", "there")):
        (tmp_path / name).mkdir()
        first = train(shapes, output=tmp_path / name / "first", **(SETTINGS | {"epochs": 1, "seed": seed}))
        shutil.copy(first.model_path, tmp_path / name / "model.safetensors")
    monkeypatch.chdir(tmp_path / "here")
    with pytest.MonkeyPatch.context() as patch:
        press_after(2, patch)
        train(shapes, output="run", weights="model.safetensors", contamination="mark", **SETTINGS)
    monkeypatch.chdir(tmp_path / "there")
    with pytest.raises(
        DataError, match=r"its recipe names model\.safetensors, seen from .*here\. Resume it in that"
    ):
        resume("../here/run")
    shutil.copy(tmp_path / "here" / "model.safetensors", ".")  # the very same ones are as good
    assert resume("../here/run").complete


def test_rows_in_another_order_are_another_run(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an epoch shows goes by the rows: the same images in another order would train otherwise."""
    index = load_data(stopped.parent / "data")
    with pytest.raises(DataError, match=r"cannot go on, since \d+ images of its data"):
        resume(stopped, data=index.take(list(range(len(index)))[::-1]))


def test_one_process_at_a_time(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mirada.runs.folder.PATIENCE", 0.0)
    with RunFolder.reopened(stopped).alone():
        assert list_runs(stopped.parent)[0].state == "interrupted"
        with pytest.raises(DataError, match="another process is at work in this run"):
            resume(stopped)


def test_a_damaged_checkpoint_is_named_and_the_run_still_ends_alike(stopped: Path, shapes: Path) -> None:
    (file,) = checkpoints.states(stopped / CHECKPOINTS)
    data = bytearray(file.read_bytes())
    data[-100] ^= 4
    file.write_bytes(bytes(data))
    heard: list[Event] = []
    run = resume(stopped, on_event=heard.append)
    (told,) = (event for event in heard if isinstance(event, Resumed))
    assert told.text.startswith(f"{file}: damaged since it was written") and "begins again" in told.text
    whole = train(stopped.parent / "data", output=stopped.parent / "whole", **SETTINGS)
    assert digests(run.folder) == digests(whole.folder)


def test_what_is_no_run_or_is_finished(shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such run folder"):
        resume(tmp_path / "none")
    with pytest.raises(DataError, match=r"it has no job\.json"):
        resume(shapes)
    run = train(shapes, output=tmp_path / "run", **SETTINGS | {"epochs": 1})
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    again = resume(run.folder)
    assert isinstance(again, Run) and again.outcome == run.outcome and again.predictions and run.predictions
    assert (again.predictions.outputs == run.predictions.outputs).all()
    assert before == {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}


def test_data_made_by_hand_are_given_again(shapes: Path, tmp_path: Path) -> None:
    index = replace(load_data(shapes), source=None)
    with pytest.MonkeyPatch.context() as patch:
        press_after(2, patch)
        train(index, output=tmp_path / "run", **SETTINGS)
    with pytest.raises(DataError, match=r"mirada\.resume\(folder, data=index\)"):
        resume(tmp_path / "run")
    run = resume(tmp_path / "run", data=index)
    assert isinstance(run, Run) and run.complete


class Tiny(nn.Module):
    """A network of one's own, with dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten())
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(128, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        answers: torch.Tensor = self.head(self.drop(self.body(images)))
        return answers


def test_a_module_of_ones_own_and_its_gradients(shapes: Path, tmp_path: Path) -> None:
    """The module is given again; what is watched of an epoch goes on where it was stopped."""
    settings = {name: value for name, value in SETTINGS.items() if name != "model"} | {"watch": "gradients"}
    torch.manual_seed(0)
    first = Tiny()
    whole = train(shapes, model=first, output=tmp_path / "whole", **settings)
    with pytest.MonkeyPatch.context() as patch:
        press_after(6, patch)
        train(shapes, model=first, output=tmp_path / "run", **settings)
    with pytest.raises(MiradaError):
        resume(tmp_path / "run")
    resume(tmp_path / "run", model=first)
    assert digests(tmp_path / "run") == digests(whole.folder)
    one, other = ((tmp_path / run / "gradients.csv").read_text() for run in ("run", "whole"))
    assert one == other and one.count("\n") == 1 + 3 * 2


# Phases, folds, seeds --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_parts_that_thaw(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before, at and after the epoch at which a part begins to learn, with kept features and views."""
    settings = SETTINGS | {
        "model": "resnet20", "epochs": 3, "thaw": "stage3", "thaw_after": 0.4, "image_size": 32, "augment.mixup": 0.0,
        "save": "1epoch",
    }  # fmt: skip
    monkeypatch.setattr(Saver, "take", at_once(Saver.take))
    copies = Copies(tmp_path / "run", tmp_path, monkeypatch)
    copies.before("step", loop, "fitting_step", (3, 6, 10))
    copies.before("validation", loop, "validate", (2,))
    run = train(shapes, output=tmp_path / "run", **settings)
    for name in copies.names:
        resume(tmp_path / name)
        assert digests(tmp_path / name) == digests(run.folder), name
        assert kinds(tmp_path / name) == kinds(run.folder), name


@pytest.mark.parametrize("left", [(), ("lock", ".0123456789abcdef.json")], ids=["nothing", "a draft"])
def test_a_member_that_was_killed_before_its_first_file(
    left: tuple[str, ...], shapes: Path, tmp_path: Path
) -> None:
    member = tmp_path / "fold-1"
    member.mkdir()
    for name in left:
        (member / name).touch()
    recipe = recipe_for("lenet5").with_settings({"epochs": 1, "image_size": 16})
    run = one_of_several(member, load_data(shapes), recipe, lambda event: None)
    assert run.complete and (member / "job.json").is_file() and not list(member.glob(".*"))


@pytest.mark.slow
def test_of_many_classes_a_finished_run_says_what_it_said(tmp_path: Path) -> None:
    """Its table has the five most probable classes alone, and all are wanted to judge folds together."""
    draw = np.random.default_rng(0)
    for number in range(51):
        folder = tmp_path / "data" / f"class{number:02d}"
        folder.mkdir(parents=True)
        for name in range(4):
            Image.fromarray(draw.integers(0, 256, (16, 16), dtype=np.uint8)).save(folder / f"{name}.png")
    data, settings = tmp_path / "data", {"model": "lenet5", "image_size": 16, "epochs": 1, "device": "cpu"}
    done = train(data, output=tmp_path / "run", threshold="youden", positive="class07", **settings)
    again = resume(tmp_path / "run")
    assert isinstance(again, Run) and again.predictions and done.predictions
    assert (
        again.predictions.paths == done.predictions.paths
        and again.predictions.called == done.predictions.called
    )
    np.testing.assert_array_equal(again.predictions.outputs, done.predictions.outputs)
    np.testing.assert_array_equal(again.predictions.splits, done.predictions.splits)


def test_words_beside_rows_of_one_image_stay_with_their_rows() -> None:
    index = Index(
        root=Path(), paths=("a", "a", "b", "a"), splits=np.array(["test", "test", "val", "val"]),
        target=Numbers(), targets=np.zeros((4, 1)), groups=("p", "p", "p", "q"), by_names=("site",),
        by=(("one",), ("two",), ("three",), ("four",)),
    )  # fmt: skip
    table = Predictions.of(index, np.zeros((4, 1))).take(np.array([2, 3, 0, 1]))
    read = _with_words(replace(table, by=(), by_names=()), index)
    assert read.by == table.by == (("three",), ("four",), ("one",), ("two",)) and read.by_names == ("site",)


@pytest.mark.parametrize("family", ["folds", "seeds"])
def test_members_that_are_finished_stay(
    family: str, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    copies = Copies(whole, tmp_path, monkeypatch)
    copies.before("first", loop, "validate", (1,))
    copies.before("second", loop, "validate", (2,))
    copies.before("joined", family_jobs[family], joining[family])
    settings = SETTINGS | {"epochs": 1}
    if family == "folds":
        cross_validate(shapes / "train", folds=2, output=whole, **settings)
    else:
        train_seeds(shapes, seeds=2, output=whole, **settings)
    for name in copies.names:
        done = resume(tmp_path / name)
        assert done.complete and digests(tmp_path / name) == digests(whole)
        for member in sorted(path.parent for path in whole.glob(f"*/{DIGESTS}")):
            assert digests(tmp_path / name / member.name) == digests(member)
        if family == "folds":
            one, other = (place / "ensemble.safetensors" for place in (tmp_path / name, whole))
            assert joined_weights(one) == joined_weights(other)
    states = {state.path.name: state.state for state in list_runs(tmp_path)}
    assert set(states.values()) == {"finished"} and len(states) == 4


family_jobs = {"folds": folds_job, "seeds": seeds_job}
joining = {"folds": "write_suspects", "seeds": "seed_spreads"}


def joined_weights(file: Path) -> list[str]:
    return [digest_of(member.network.state_dict()) for member in load_members(file)]


# The real thing ------------------------------------------------------------------------------------------------------

KILLED = """
import itertools, os, sys
from mirada.training import loop
from mirada.training.saving import Saver
from mirada import train
take, count = loop.fitting_step, itertools.count(1)
def killing(*arguments, **named):
    if next(count) == {step}:
        os.kill(os.getpid(), 9)
    return take(*arguments, **named)
loop.fitting_step = killing
train({data!r}, output={output!r}, save="0.01s", **{settings!r})
"""


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 7, 12])
def test_a_real_kill(step: int, shapes: Path, tmp_path: Path) -> None:
    script = KILLED.format(step=step, data=str(shapes), output=str(tmp_path / "run"), settings=SETTINGS)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (state,) = list_runs(tmp_path)
    assert (state.state, state.resumable) == ("killed", True)
    resume(tmp_path / "run")
    whole = train(shapes, output=tmp_path / "whole", save="0.01s", **SETTINGS)
    assert digests(tmp_path / "run") == digests(whole.folder)


@pytest.mark.slow
def test_the_runs_of_a_proof_import_nothing_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "torch.py").write_text("raise SystemExit('another torch')")
    with pytest.raises(
        TrainingError, match=r"the run failed, so nothing is proved\. .*there is no such run folder"
    ):
        prove._child(tmp_path / "none", 0)


@pytest.mark.slow
def test_the_proof(shapes: Path, tmp_path: Path) -> None:
    recipe = recipe_for("lenet5").with_settings(SETTINGS)
    proof = prove_resume(load_data(shapes), recipe, tmp_path / "proof", lambda event: None)
    assert proof.different == () and [len(kills) for kills in proof.kills.values()] == [0, 1, 2]
    assert len(proof.digests) == 3 and all(proof.digests["whole"].weights for _ in range(1))


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_disk_of_three_megabytes(shapes: Path, tmp_path: Path) -> None:
    """It is full half-way: the run goes on, and once there is room it is taken up to the very same end."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(disk)], capture_output=True
    ).returncode:
        pytest.skip("nothing may be mounted here")
    filler, heard = disk / "filler", []

    def fill(event: Event) -> None:
        heard.append(event)
        if isinstance(event, EpochDone) and event.epoch == 1:
            free = shutil.disk_usage(disk).free
            filler.write_bytes(bytes(max(0, free - 20_000)))

    settings = SETTINGS | {"save": "1epoch", "epochs": 5}
    try:
        with pytest.raises((MiradaError, OSError)):
            train(shapes, output=disk / "run", on_event=fill, **settings)
        told = [event for event in heard if isinstance(event, NotSaved)]
        assert told and sum(isinstance(event, EpochDone) for event in heard) == 5
        filler.unlink()
        shutil.move(disk / "run", tmp_path / "run")
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    resume(tmp_path / "run")
    whole = train(shapes, output=tmp_path / "whole", **settings)
    assert digests(tmp_path / "run") == digests(whole.folder)
