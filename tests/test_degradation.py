"""``mirada degradation``: four runs by one recipe, and one page."""

import csv
import json
import re
import signal
from collections.abc import Callable
from itertools import count
from math import isnan, nan
from pathlib import Path
from typing import Any

import pytest

from mirada.cli import run
from mirada.errors import InvalidArgument
from mirada.jobs.degradation import degradation, recipe_of
from mirada.pages.charts import Series
from mirada.pages.compare import _in_sight
from mirada.runs.folder import DIGESTS, FOUR_NETWORKS
from mirada.runs.listing import RunState, state_of
from mirada.runs.reader import read_results
from mirada.training import loop
from mirada.training.validation import validate

NETWORKS = ("plain20", "plain32", "resnet20", "resnet32")


@pytest.fixture(scope="module")
def photos(
    tmp_path_factory: pytest.TempPathFactory, module_cache: None, write_noise: Callable[..., None]
) -> Path:
    """48 images of noise in two classes, one brighter than the other."""
    root = tmp_path_factory.mktemp("data") / "photos"
    write_noise(root, 24, (32, 32, 3))
    return root


@pytest.fixture(scope="module")
def done(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("done") / "four"
    options = ["--depths", "20", "32", "--epochs", "2", "--set", "batch_size=16", "--output", str(folder)]
    assert run(["degradation", str(photos), *options]) == 0
    return folder


@pytest.mark.slow
def test_four_runs_that_differ_in_their_network_alone(done: Path) -> None:
    recipes = [(done / name / "recipe.toml").read_text().replace(name, "NETWORK") for name in NETWORKS]
    assert len(set(recipes)) == 1 and 'watch = "gradients"' in recipes[0]
    splits = {(done / name / "splits.csv").read_text() for name in NETWORKS}
    assert len(splits) == 1


def test_the_page_says_which_network_trained_down_to_the_lower_loss(done: Path) -> None:
    page = (done / "degradation.html").read_text()
    losses = {}
    for name in NETWORKS:
        rows = (done / name / "results.csv").read_text().splitlines()
        losses[name] = float(dict(zip(rows[0].split(","), rows[-1].split(","), strict=True))["train_loss"])
    for kind in ("plain", "resnet"):
        shallow, deep = losses[f"{kind}20"], losses[f"{kind}32"]
        word = "above" if deep > shallow else "below"
        said = f"the training loss of {kind}32 is {deep:.3f}, {word} the {shallow:.3f} of {kind}20"
        assert said in page
    assert page.count("<svg") == 5  # training and validation loss, accuracy, gradients at first and at last
    assert "Gradients by layer, epoch 1" in page and "Gradients by layer, epoch 2" in page
    assert not re.search(r"https?://", page)
    # Each network with as many dots as it has layers: 20 and 32 weighted ones, shortcuts without weights.
    assert page.count("resnet32, ") >= 2 * 32 and "of 32 layers" in page and "of 20 layers" in page
    assert all(json.loads((done / name / "evaluation.json").read_text()) for name in NETWORKS)


def test_its_figures_and_tables_are_files_for_a_paper(done: Path) -> None:
    drawn = {file.name for file in (done / "figures").iterdir()}
    assert {"training-loss.svg", "training-loss.pdf", "gradients-by-layer-epoch-1.svg"} <= drawn
    with (done / "tables" / "differences.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["run"], row["beside"]) for row in rows] == [("plain32", "plain20"), ("resnet32", "resnet20")]
    with (done / "tables" / "epochs.csv").open(encoding="utf-8", newline="") as stream:
        losses = [row["train_loss"] for row in csv.DictReader(stream) if row["run"] == "plain20"]
    assert losses == [f"{row['train_loss']}" for row in read_results(done / "plain20" / "results.csv")[0]]


def test_the_recipe_is_the_papers_with_its_falls_in_the_middle_and_at_three_quarters() -> None:
    recipe = recipe_of("plain56", 40, {"seed": 3})
    assert recipe.model == "plain56" and recipe.seed == 3 and recipe.watch == "gradients"
    assert recipe.schedule.milestones == (20, 30)
    assert (recipe.optimizer.kind, recipe.optimizer.lr, recipe.optimizer.weight_decay) == ("sgd", 0.1, 1e-4)


@pytest.mark.parametrize("depths", [(20,), (56, 20), (20, 20), (20, 32, 44)])
def test_depths_must_be_two_the_smaller_first(photos: Path, tmp_path: Path, depths: tuple[int, ...]) -> None:
    with pytest.raises(InvalidArgument, match="must be two, the smaller first"):
        degradation(photos, depths=depths, output=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_network_that_is_not_there_leaves_no_folder(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new"
    assert run(["degradation", str(photos), "--depths", "20", "57", "--output", str(output)]) == 2
    error = capsys.readouterr().err
    assert "plain57" in error and error.count("\n") == 1 and not output.exists()


def test_what_would_press_all_else_flat_is_left_out_and_counted() -> None:
    falling = [2.0 / 2**step for step in range(20)]
    lines = [Series("a", "run1", falling), Series("b", "run2", [1e7, 2.0, nan])]
    kept, told = _in_sight(lines)
    assert kept[0].values == falling and isnan(kept[1].values[0]) and kept[1].values[1] == 2.0
    assert told == " Not drawn: 1 value above 20.000, up to 1e+07."
    assert _in_sight(lines[:1]) == (lines[:1], "")  # a loss that falls by a million is drawn whole
    assert _in_sight(lines[1:]) == (lines[1:], "")  # of so few nobody knows which is far
    assert _in_sight([]) == ([], "")


@pytest.mark.slow
def test_interrupted_it_goes_on_to_the_same_end(
    photos: Path,
    done: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Told to stop in the second epoch of the third network: the finished ones stay, and all ends alike."""
    folder, calls = tmp_path / "four", count(1)

    def pressed(*arguments: Any) -> Any:
        if next(calls) == 6:
            signal.raise_signal(signal.SIGTERM)
        return validate(*arguments)

    options = ["--depths", "20", "32", "--epochs", "2", "--set", "batch_size=16", "--output", str(folder)]
    with monkeypatch.context() as patch:
        patch.setattr(loop, "validate", pressed)
        handler = signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
        try:
            assert run(["degradation", str(photos), *options]) == 75
        finally:
            signal.signal(signal.SIGTERM, handler)
    assert capsys.readouterr().err.endswith(
        f"Not finished: resnet20, resnet32. How far each came: mirada runs {folder}\n"
        f"Go on with: mirada train --resume {folder}\n"
    )
    before = state_of(folder)
    assert (before.state, before.resumable) == ("interrupted", True) and not (folder / FOUR_NETWORKS).exists()
    kept = (folder / "plain32" / DIGESTS).stat().st_mtime_ns
    assert run(["train", "--resume", str(folder)]) == 0
    assert "the training loss of resnet32 is" in capsys.readouterr().out
    assert (folder / "plain32" / DIGESTS).stat().st_mtime_ns == kept
    for name in NETWORKS:
        assert (folder / name / DIGESTS).read_text() == (done / name / DIGESTS).read_text(), name
    assert (folder / FOUR_NETWORKS).exists() and state_of(folder) == RunState(path=folder, state="finished")
    assert run(["train", "--resume", str(folder)]) == 0
    assert capsys.readouterr().out.endswith(f"nothing to resume.\n{folder / FOUR_NETWORKS}\n")


@pytest.mark.parametrize("words", [["degradation"], ["surgery", __file__]])
def test_torchrun_is_for_training(
    words: list[str], photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run([*words, str(photos)]) == 2
    said = f"mirada {words[0]} is for one process: start it without torchrun.\n"
    assert capsys.readouterr().err.endswith(said)


def test_the_recipes_of_all_follow_from_that_of_the_first() -> None:
    settings = {"seed": 3, "batch_size": 16, "augment.crop": 0.5}
    first = recipe_of("plain20", 40, settings)
    for name in ("plain56", "resnet20", "resnet56"):
        assert first.with_settings({"model": name}) == recipe_of(name, 40, settings)
