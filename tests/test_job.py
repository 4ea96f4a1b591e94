"""The main job on tiny data: a whole run folder, the same bits for the same seed, and a test split never looked at."""

import csv
import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mirada import reference as ref
from mirada.data.cache import open_cache
from mirada.data.examples.digits import write_digits
from mirada.data.examples.shapes import write_shapes
from mirada.data.index import Index
from mirada.data.sources import load_data
from mirada.errors import CheckpointError, DataError, InvalidArgument, RecipeError, TrainingError
from mirada.evaluation.calibration import fit_temperature, scaled
from mirada.evaluation.evaluate import evaluate
from mirada.events import EpochDone, Evaluated, Event, FileExcluded, LoadReport, Started
from mirada.inference.model import load_model
from mirada.jobs import train as job
from mirada.jobs.train import Run, train
from mirada.modelfile import WeightsOrigin, load_network
from mirada.models import create_model
from mirada.models.weight_files import read_public
from mirada.pages import write_report
from mirada.runs.folder import RunFolder
from mirada.runs.listing import list_runs
from mirada.runs.reader import read_run
from mirada.samples import Classes, Numbers
from mirada.training.feed import Feed
from mirada.training.loss import RUBBISH
from mirada.training.recipe import Recipe, recipe_for
from mirada.training.recipe_text import read_settings

pytestmark = pytest.mark.usefixtures("module_cache")
QUICK: dict[str, Any] = {
    "epochs": 2,
    "image_size": 32,
    "batch_size": 16,
    "device": "cpu",
    "precision": "float32",
}
IMAGENET_MEAN = (0.485, 0.456, 0.406)
FILES = {
    "cells.json", "checkpoints/last.safetensors", "data.json", "digests.json", "environment.json", "evaluation.json",
    "events.jsonl", "features.npz", "images.csv", "job.json", "maps.json", "model.json", "model.safetensors",
    "predictions.csv", "recipe.toml", "report.html", "results.csv", "samples.jpg", "samples.json", "splits.csv",
}  # fmt: skip


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "shapes"
    write_shapes(root, count=60, size=32)
    return root


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, shapes: Path) -> Callable[[str], Run]:
    """One run per network."""
    folder = tmp_path_factory.mktemp("runs")
    done: dict[str, Run] = {}

    def run(model: str) -> Run:
        if model not in done:
            done[model] = train(shapes, model=model, output=folder / model, **QUICK)
        return done[model]

    return run


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]


def table(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def metrics(folder: Path) -> list[dict[str, str]]:
    """The epochs without what a clock wrote."""
    clock = ("seconds", "images_per_second")
    return [
        {key: value for key, value in row.items() if key not in clock}
        for row in table(folder / "results.csv")
    ]


def same_weights(one: Path, other: Path) -> bool:
    first, second = (load_network(file)[0].state_dict() for file in (one, other))
    return all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("model", ["lenet5", "simplecnn", pytest.param("resnet18", marks=pytest.mark.slow)])
def test_a_run_leaves_everything(model: str, runs: Callable[[str], Run], shapes: Path) -> None:
    run = runs(model)
    written = {path.relative_to(run.folder).as_posix() for path in run.folder.rglob("*") if path.is_file()}
    papers = {name for name in written if name.startswith(("figures/", "tables/"))}
    assert {"figures/loss.svg", "figures/loss.pdf", "figures/test-roc.svg", "tables/claim.csv"} <= papers
    maps = {name for name in written if name.startswith("maps/")}
    cells = {name for name in written if name.startswith("cells/")}
    assert written - maps - cells - papers == FILES
    records = json.loads((run.folder / "maps.json").read_text())
    near = {each["image"] for record in records for each in record["similar"]}
    assert {record[key] for record in records for key in ("image", "overlay")} | near == maps
    assert all(len(record["similar"]) == 5 for record in records)
    taught = {row["path"] for row in table(run.folder / "splits.csv") if row["split"] == "train"}
    assert {each["path"] for record in records for each in record["similar"]} <= taught
    assert "training images that the network finds most similar" in run.report_path.read_text(
        encoding="utf-8"
    )
    assert len({record["path"] for record in records}) == len(records) > 0
    assert {
        each["image"]
        for cell in json.loads((run.folder / "cells.json").read_text())
        for each in cell["images"]
    } == cells
    assert run.outcome.reason == "finished" and run.outcome.epochs == 2
    assert [row["epoch"] for row in table(run.folder / "results.csv")] == ["1", "2"]
    assert Counter(row["split"] for row in table(run.folder / "splits.csv")) == {
        "train": 40,
        "val": 8,
        "test": 12,
    }
    assert Counter(row["split"] for row in table(run.folder / "predictions.csv")) == {"val": 8, "test": 12}
    kinds = Counter(event["event"] for event in events(run.folder))
    assert kinds == {"start": 1, "epoch": 2, "stopped": 1, "best": 1, "evaluation": 2}
    assert (run.folder / "report.html").read_text().startswith("<!")
    assert run.evaluations["test"].n == 12 and run.model_path.exists() and run.report_path.exists()


def test_each_cell_of_the_confusion_matrix_has_pictures_of_its_images(runs: Callable[[str], Run]) -> None:
    """Against predictions.csv: every test image is in the cell that its row says, the surest first."""
    folder = runs("lenet5").folder
    rows = {row["path"]: row for row in table(folder / "predictions.csv") if row["split"] == "test"}
    cells = json.loads((folder / "cells.json").read_text())
    shown = [each["path"] for cell in cells for each in cell["images"]]
    assert sorted(shown) == sorted(rows)  # so few that all are shown
    for cell in cells:
        assert {
            (rows[each["path"]]["target"], rows[each["path"]]["predicted"]) for each in cell["images"]
        } == {(cell["true"], cell["predicted"])}
        said = [each["probability"] for each in cell["images"]]
        assert said == sorted(said, reverse=True)
        for each in cell["images"]:
            assert each["probability"] == pytest.approx(float(rows[each["path"]]["probability"]), abs=1e-4)
            with Image.open(folder / each["image"]) as picture:
                assert max(picture.size) <= 96
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count('class="cell"') == len(cells) > 1


@pytest.mark.slow
def test_the_recipe_that_is_left_gives_the_same_run(
    runs: Callable[[str], Run], shapes: Path, tmp_path: Path
) -> None:

    run = runs("simplecnn")
    recipe = Recipe().with_settings(read_settings(run.folder / "recipe.toml"))
    assert recipe == recipe_for("simplecnn").with_settings(
        {**QUICK, "augment.horizontal_flip": True}
    )  # decided
    again = train(shapes, recipe=recipe, output=tmp_path / "again")
    assert same_weights(run.model_path, again.model_path)


def test_the_table_of_layers_is_that_of_this_training(runs: Callable[[str], Run]) -> None:
    """Under the network's own name, with the memory of its own optimizer and batch size."""
    text = read_run(runs("lenet5").folder).network.summary
    assert text.startswith("lenet5, one image of 1×32×32")
    assert "16 images, Adam: weights, gradients and" in text and "SGD" not in text


def test_the_model_file_says_how_it_was_made(runs: Callable[[str], Run], shapes: Path) -> None:
    card = load_model(runs("lenet5").model_path, device="cpu").card
    assert (
        card.target.names == ("circle", "square", "star", "triangle") and card.architecture.model == "lenet5"
    )
    assert card.preprocessing.mode == "L" and card.preprocessing.size == card.architecture.image_size == (
        32,
        32,
    )
    assert card.recipe["seed"] == 0 and card.recipe["augment"]["fill"] == "black"
    assert card.provenance["data"] == str(shapes) and card.provenance["excluded"] == 0
    assert card.provenance["counts"]["val"] == {"circle": 2, "square": 2, "star": 2, "triangle": 2}
    assert {"mirada", "torch", "created"} <= card.provenance.keys()


def test_predictions_of_the_run_are_those_of_the_model(runs: Callable[[str], Run], shapes: Path) -> None:
    run = runs("simplecnn")
    rows = table(run.folder / "predictions.csv")
    found = load_model(run.model_path, device="cpu").predict([shapes / row["path"] for row in rows])
    stated = [[float(row[f"p:{name}"]) for name in found.classes] for row in rows]
    np.testing.assert_allclose(found.outputs, stated, atol=1e-6)


@pytest.mark.parametrize("model", ["simplecnn", pytest.param("resnet18", marks=pytest.mark.slow)])
def test_same_seed_same_bits(model: str, runs: Callable[[str], Run], shapes: Path, tmp_path: Path) -> None:
    torch.manual_seed(99)  # whatever came before does not matter
    again = train(shapes, model=model, output=tmp_path / "again", **QUICK)
    for name in ("model.safetensors", "checkpoints/last.safetensors"):
        assert same_weights(runs(model).folder / name, again.folder / name)
    assert metrics(again.folder) == metrics(runs(model).folder)
    for name in ("splits.csv", "predictions.csv", "samples.jpg", "evaluation.json"):
        assert (again.folder / name).read_bytes() == (runs(model).folder / name).read_bytes(), name


def test_another_seed_is_another_run(runs: Callable[[str], Run], shapes: Path, tmp_path: Path) -> None:
    other = train(shapes, model="simplecnn", output=tmp_path / "other", seed=1, **QUICK)
    first = runs("simplecnn")
    assert not same_weights(
        first.folder / "checkpoints/last.safetensors", other.folder / "checkpoints/last.safetensors"
    )
    assert table(other.folder / "splits.csv") != table(first.folder / "splits.csv")
    assert metrics(other.folder) != metrics(first.folder)


def test_the_callers_random_states_are_left_alone(shapes: Path, tmp_path: Path) -> None:
    torch.manual_seed(11)
    np.random.seed(11)
    random.seed(11)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    train(shapes, model="lenet5", output=tmp_path / "run", **QUICK)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]


def test_the_test_split_chooses_nothing(shapes: Path, tmp_path: Path, runs: Callable[[str], Run]) -> None:
    """Other test images, with other labels: the same weights, best epoch and validation, bit for bit."""
    spoilt = tmp_path / "shapes"
    shutil.copytree(shapes, spoilt)
    draw = np.random.default_rng(3)
    for number, file in enumerate(sorted((spoilt / "test").rglob("*.png"))):
        file.unlink()
        noise = Image.fromarray(draw.integers(0, 256, (32, 32, 3)).astype(np.uint8))
        noise.save(spoilt / "test" / ("circle" if number % 2 else "star") / f"n{number}.png")
    spoilt_run = train(spoilt, model="simplecnn", output=tmp_path / "run", **QUICK)
    first = runs("simplecnn")
    assert spoilt_run.outcome == first.outcome
    for name in ("model.safetensors", "checkpoints/last.safetensors"):
        assert same_weights(spoilt_run.folder / name, first.folder / name)
    assert metrics(spoilt_run.folder) == metrics(first.folder)
    assert spoilt_run.evaluations["val"] == first.evaluations["val"]
    assert spoilt_run.evaluations["test"] != first.evaluations["test"]
    one, other = (load_network(run.model_path)[1].preprocessing for run in (spoilt_run, first))
    assert one == other  # mean and standard deviation come from the training images alone


def bright(root: Path, count: int = 48) -> Index:
    """Images whose mean brightness × 100 is their target, in "units"."""
    root.mkdir()
    draw = np.random.default_rng(0)
    targets = []
    for number in range(count):
        level = draw.uniform(0.1, 0.9)
        pixels = np.clip(level + draw.normal(0, 0.05, (32, 32, 3)), 0, 1)
        array = np.rint(pixels * 255).astype(np.uint8)
        Image.fromarray(array).save(root / f"{number:02}.png")
        targets.append(array.mean() / 255 * 100)
    return Index(
        root=root,
        paths=tuple(f"{number:02}.png" for number in range(count)),
        targets=np.array(targets),
        splits=np.array(["train"] * count),
        target=Numbers(unit="units"),
    )


@pytest.mark.parametrize("loss", ["mse", pytest.param("mae", marks=pytest.mark.slow)])
def test_regression(loss: str, tmp_path: Path) -> None:
    index = bright(tmp_path / "bright")
    run = train(
        index, model="resnet20", loss=loss, output=tmp_path / "run", optimizer="adam", lr=1e-3, warmup=0.0,
        augment="none", **QUICK,
    )  # fmt: skip
    card = load_network(run.model_path)[1]
    own = {
        row["path"]: float(row["target"])
        for row in table(run.folder / "splits.csv")
        if row["split"] == "train"
    }
    values = np.array(list(own.values()))
    scaling = card.target_scaling
    assert card.target == index.target and card.architecture.outputs == 1 and scaling is not None
    assert scaling.mean == (pytest.approx(values.mean()),) and scaling.std == (pytest.approx(values.std()),)
    assert {"val_mae", "val_loss"} < table(run.folder / "results.csv")[0].keys()
    test = {metric.name: metric for metric in run.evaluations["test"].metrics}
    assert {"mae", "rmse", "r2", "bias"} <= test.keys() and test["mae"].unit == "units"
    rows = [row for row in table(run.folder / "predictions.csv") if row["split"] == "test"]
    stated, true = (np.array([float(row[key]) for row in rows]) for key in ("predicted", "target"))
    assert test["mae"].value == pytest.approx(np.abs(stated - true).mean())
    assert test["rmse"].value == pytest.approx(np.sqrt(((stated - true) ** 2).mean()))
    assert test["r2"].value == pytest.approx(
        1 - ((stated - true) ** 2).sum() / ((true - true.mean()) ** 2).sum()
    )
    model = load_model(run.model_path, device="cpu")
    files = [index.root / row["path"] for row in rows]
    bias = model.network.head.linear.bias[0].item()  # type: ignore[union-attr, index]
    for seen, value in zip(model.explain(files), stated, strict=True):
        assert seen.unit == "units" and seen.map.shape == (8, 8)
        assert seen.map.mean() + bias * scaling.std[0] + scaling.mean[0] == pytest.approx(value, abs=1e-3)
    assert "units" in (run.folder / "report.html").read_text()
    assert json.loads((run.folder / "data.json").read_text())["counts"]["train"] == {"units": len(own)}


@pytest.mark.slow
def test_regression_learns(tmp_path: Path) -> None:
    run = train(
        bright(tmp_path / "bright", 120), model="simplecnn", output=tmp_path / "run", augment="none",
        **{**QUICK, "epochs": 30},
    )  # fmt: skip
    scores = {metric.name: metric.value for metric in run.evaluations["test"].metrics}
    assert scores["r2"] is not None and scores["r2"] > 0.9


def test_equal_targets_are_not_divided_by_zero(tmp_path: Path) -> None:
    index = bright(tmp_path / "bright", 12)
    run = train(replace(index, targets=np.full(12, 0.1)), model="lenet5", output=tmp_path / "run", **QUICK)
    card = load_network(run.model_path)[1]
    scaling = card.target_scaling
    assert scaling is not None and scaling.mean == (pytest.approx(0.1),) and scaling.std == (1.0,)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_missing_value_is_said(bad: float, tmp_path: Path) -> None:
    index = bright(tmp_path / "bright", 12)
    index.targets[[3, 5]] = bad
    with pytest.raises(DataError) as caught:
        train(index, model="lenet5", output=tmp_path / "run", **QUICK)
    assert str(caught.value) == (
        f"{tmp_path}/bright/03.png: has no target to train on ({bad}); 2 images have none. "
        f"Leave them out of the Index."
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("bad", [-1, 2])
def test_a_missing_class_is_said(bad: int, tmp_path: Path) -> None:
    index = bright(tmp_path / "bright", 12)
    targets = np.array([0, 1] * 5 + [bad, 0])
    classes = replace(index, target=Classes(("a", "b")), targets=targets)
    with pytest.raises(DataError, match=rf"10\.png: has no target to train on \({bad}\); 1 images have none"):
        train(classes, model="lenet5", output=tmp_path / "run", **QUICK)


def test_bad_files_are_named_everywhere(shapes: Path, tmp_path: Path) -> None:
    data = tmp_path / "shapes"
    shutil.copytree(shapes, data)
    (data / "train" / "star" / "aaa.png").write_bytes(b"no image")
    (data / "train" / "star" / "notes.pdf").write_bytes(b"%PDF")
    heard: list[Event] = []
    run = train(data, model="lenet5", output=tmp_path / "run", on_event=heard.append, **QUICK)
    named = {"train/star/aaa.png", "train/star/notes.pdf"}
    stated = json.loads((run.folder / "data.json").read_text())["excluded"]
    assert {item["path"] for item in stated} == named and all(item["reason"] for item in stated)
    assert {event.path for event in heard if isinstance(event, FileExcluded)} == named
    assert {event["path"] for event in events(run.folder) if event["event"] == "excluded"} == named
    assert "aaa.png" in (run.folder / "report.html").read_text()
    assert not named & {row["path"] for row in table(run.folder / "splits.csv")}
    assert load_network(run.model_path)[1].provenance["excluded"] == 2


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_existing_run_is_never_overwritten(
    runs: Callable[[str], Run], shapes: Path, tmp_path: Path
) -> None:
    run = runs("lenet5")
    before = snapshot(run.folder)
    with pytest.raises(
        DataError, match=r"exists already; a run is never overwritten\. Choose another --output"
    ):
        train(shapes, model="lenet5", output=run.folder, **QUICK)
    assert snapshot(run.folder) == before


def test_default_names_are_numbered(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = [train(shapes, model="lenet5", **QUICK).folder for _ in range(2)]
    assert found == [Path("runs/shapes-lenet5"), Path("runs/shapes-lenet5-2")]


def test_a_loss_that_runs_away(shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(
        TrainingError, match=r"^The loss is no longer a number \(epoch \d, learning rate 1e\+06\)"
    ):
        train(
            shapes, model="resnet20", output=tmp_path / "run", lr=1e6, optimizer="sgd", warmup=0.0,
            schedule="constant", **QUICK,
        )  # fmt: skip
    stopped = [event for event in events(tmp_path / "run") if event["event"] == "stopped"]
    assert len(stopped) == 1 and stopped[0]["reason"] == "failed"
    assert stopped[0]["text"].startswith("The loss is no longer a number")
    assert "no longer a number" in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.parametrize(("asked", "flips"), [({}, False), ({"augment.horizontal_flip": True}, True)])
def test_left_and_right_are_not_mirrored(
    asked: dict[str, Any], flips: bool, shapes: Path, tmp_path: Path
) -> None:
    """Unless it is asked for; either is said, and the recipe that is left says which it was."""
    for name, source in zip(("Hand_L", "Hand_R"), sorted((shapes / "train").iterdir()), strict=False):
        shutil.copytree(source, tmp_path / "hands" / name)
    heard: list[Event] = []
    settings = {**QUICK, "epochs": 1, **asked}
    run = train(
        tmp_path / "hands", model="simplecnn", output=tmp_path / "run", on_event=heard.append, **settings
    )
    (start,) = (event for event in heard if isinstance(event, Started))
    said = (
        "Half of the training images are mirrored, as was asked for"
        if flips
        else "No training image is mirrored"
    )
    assert any(note.startswith(said) for note in start.notes)
    assert ("horizontal flip" in start.augmentation) == flips
    left = read_settings(run.folder / "recipe.toml")
    assert left["augment"]["horizontal_flip"] is flips  # type: ignore[index]


@pytest.mark.parametrize("batch_size", [pytest.param(64, marks=pytest.mark.slow), 39])
def test_odd_batches(batch_size: int, shapes: Path, tmp_path: Path) -> None:
    """Fewer images than a batch; 40 images in batches of 39, whose last one joins the one before it."""
    run = train(
        shapes, model="resnet20", output=tmp_path / "run", **{**QUICK, "batch_size": batch_size, "epochs": 1}
    )
    assert run.outcome.epochs == 1
    assert np.isfinite(float(table(run.folder / "results.csv")[0]["train_loss"]))


def test_what_cannot_be_trained(shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r'^There is no network "resnet81"\. Did you mean "resnet18"\?'):
        train(shapes, model="resnet81", output=tmp_path / "run")
    with pytest.raises(
        InvalidArgument, match=r"^Images of 8 × 8 pixels are too small for this network; it needs"
    ):
        train(shapes, model="lenet5", output=tmp_path / "run", image_size=8)
    with pytest.raises(RecipeError, match=r'"binary_cross_entropy" is for two classes; there are 4\. Choose'):
        train(shapes, model="lenet5", output=tmp_path / "run", loss="binary_cross_entropy")
    with pytest.raises(
        RecipeError, match=r'^settings: there is no setting "epoch"\. Did you mean "epochs"\?'
    ):
        train(shapes, model="lenet5", output=tmp_path / "run", epoch=3)
    with pytest.raises(RecipeError, match=r"`epochs` must be a whole number above 0\. Got '3'\.$"):
        train(shapes, model="lenet5", output=tmp_path / "run", epochs="3")
    with pytest.raises(InvalidArgument, match=r'^The device "abacus" is not available here'):
        train(shapes, model="lenet5", output=tmp_path / "run", device="abacus")
    with pytest.raises(
        RecipeError, match='"cross_entropy" is for classes; for a number choose mae, mse or huber'
    ):
        train(bright(tmp_path / "b", 8), model="lenet5", output=tmp_path / "run", loss="cross_entropy")
    with pytest.raises(DataError, match=r"absent: expected a folder of images.* found nothing there"):
        train(tmp_path / "absent", model="lenet5", output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_too_few_images(tmp_path: Path) -> None:
    index = replace(bright(tmp_path / "b", 3), splits=np.array(["train", "test", "test"]))
    with pytest.raises(DataError, match="at least 2 training images are needed; 1 can be used"):
        train(index, model="lenet5", output=tmp_path / "run", **QUICK)
    pair = replace(
        bright(tmp_path / "c", 2),
        target=Classes(("a", "b")),
        targets=np.array([0, 1]),
    )
    with pytest.raises(
        DataError, match=r"2 images to train on and 0 for validation are too few; at least 2 and 1"
    ):
        train(pair, model="lenet5", output=tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()


def test_the_augmentation_is_checked() -> None:
    recipe = recipe_for("lenet5")
    with pytest.raises(
        RecipeError, match=r'^settings: augment: there is no setting "zom"\. Did you mean "zoom"\? Known: '
    ):
        recipe.with_settings({"augment.zom": 0.1})
    for value in (-3.0, "much"):
        with pytest.raises(
            RecipeError, match=r"^settings: `zoom` of Augmentation must be a number from 0 to 0\.95"
        ):
            recipe.with_settings({"augment.zoom": value})
    assert recipe.augment.fill == "black"


@pytest.mark.parametrize(
    ("mode", "normalize", "mean"),
    [
        ("RGB", "imagenet", IMAGENET_MEAN),
        ("RGB", "half", (0.5, 0.5, 0.5)),
        ("L", "imagenet", (0.449,)),
        ("L", "unit", (0.0,)),
    ],
)
def test_normalisations(
    mode: str, normalize: str, mean: tuple[float, ...], shapes: Path, tmp_path: Path
) -> None:
    run = train(
        shapes,
        model="lenet5",
        mode=mode,
        normalize=normalize,
        output=tmp_path / "run",
        **{**QUICK, "epochs": 1},
    )
    assert load_network(run.model_path)[1].preprocessing.mean == pytest.approx(mean)


def test_mean_and_deviation_of_the_training_images(runs: Callable[[str], Run], shapes: Path) -> None:
    run = runs("lenet5")
    own = [row["path"] for row in table(run.folder / "splits.csv") if row["split"] == "train"]
    pixels = (
        np.stack([np.asarray(Image.open(shapes / path).convert("L")) for path in own]).reshape(-1, 1) / 255
    )
    pre = load_network(run.model_path)[1].preprocessing
    np.testing.assert_allclose(pre.mean, pixels.mean(0), atol=1e-6)
    np.testing.assert_allclose(pre.std, pixels.std(0), atol=1e-5)


def test_a_recipe_and_a_model_together(shapes: Path, tmp_path: Path) -> None:
    recipe = recipe_for("simplecnn").with_settings({**QUICK, "epochs": 1})
    run = train(shapes, model="lenet5", recipe=recipe, output=tmp_path / "run")
    assert load_network(run.model_path)[1].architecture.model == "lenet5"


def test_two_classes_and_one_output(tmp_path: Path, shapes: Path) -> None:
    for name in ("circle", "star"):
        shutil.copytree(shapes / "train" / name, tmp_path / "two" / name)
    run = train(tmp_path / "two", model="simplecnn", output=tmp_path / "run", **QUICK)
    card = load_network(run.model_path)[1]
    assert card.architecture.outputs == 1 and card.target.names == ("circle", "star")
    assert {"p:circle", "p:star"} < table(run.folder / "predictions.csv")[0].keys()
    assert "20%" in json.loads((run.folder / "data.json").read_text())["split_note"]


# Other losses, heads and weights to start from ----------------------------------------------------------------


def raw_outputs(run: Run, root: Path, split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """What the network of a run puts out for the images of a split, decoded here, and their classes."""
    network, card = load_network(run.model_path)
    rows = [row for row in table(run.folder / "predictions.csv") if row["split"] == split]
    pixels = np.stack([np.asarray(Image.open(root / row["path"]).convert("L")) for row in rows])
    images = (torch.from_numpy(pixels)[:, None] / 255 - card.preprocessing.mean[0]) / card.preprocessing.std[
        0
    ]
    with torch.no_grad():
        raw = network(images.float())
    return raw, torch.tensor([card.target.names.index(row["target"]) for row in rows])


def test_lenets_own_loss_is_trained_and_validated(runs: Callable[[str], Run], shapes: Path) -> None:
    """The loss of the best epoch is eq. 9 of its paper on the outputs of the best model."""
    run = runs("lenet5_1998")
    rows = table(run.folder / "results.csv")
    assert float(rows[1]["train_loss"]) < float(rows[0]["train_loss"])
    raw, labels = raw_outputs(run, shapes, "val")
    distances = -raw.double().numpy()
    right = distances[np.arange(len(labels)), labels.numpy()]
    wanted = np.mean(right + np.log(np.exp(-RUBBISH) + np.exp(-distances).sum(1)))
    stated = float(rows[run.outcome.best_epoch - 1]["val_loss"])
    assert stated == pytest.approx(wanted, rel=1e-4)


@pytest.mark.slow
def test_lenet_reads_digits_by_its_own_recipe(tmp_path: Path) -> None:
    write_digits(tmp_path / "digits")
    run = train(tmp_path / "digits", model="lenet5_1998", output=tmp_path / "run", device="cpu")
    assert {metric.name: metric.value for metric in run.evaluations["test"].metrics}["accuracy"] > 0.95


def test_smoothed_labels_are_validated_as_they_are_trained(shapes: Path, tmp_path: Path) -> None:
    run = train(
        shapes, model="lenet5", output=tmp_path / "run", label_smoothing=0.2, **{**QUICK, "epochs": 1}
    )
    raw, labels = raw_outputs(run, shapes, "val")
    wanted = ref.cross_entropy(raw.double().numpy(), labels.numpy(), label_smoothing=0.2)
    stated = float(table(run.folder / "results.csv")[0]["val_loss"])
    assert stated == pytest.approx(wanted, abs=1e-5)
    assert stated != pytest.approx(ref.cross_entropy(raw.double().numpy(), labels.numpy()), abs=1e-4)


@pytest.mark.slow
def test_auxiliary_heads_learn_and_stay_in_the_model_file(shapes: Path, tmp_path: Path) -> None:
    """They are there again after loading, and predictions do not need them."""
    quick = {**QUICK, "epochs": 1}
    run = train(shapes, model="googlenet_bn", output=tmp_path / "run", **quick)
    network, card = load_network(run.model_path)
    assert card.architecture.options == {"auxiliary": True}
    torch.manual_seed(0)
    drawn = card.architecture.build().state_dict()
    heads = [name for name in drawn if name.startswith("auxiliary.") and name.endswith("linear.weight")]
    assert len(heads) == 2
    assert not any(torch.equal(network.state_dict()[name], drawn[name]) for name in heads)
    image = torch.zeros(1, 3, 32, 32)
    with torch.no_grad():
        before = network(image)
        for value in network.auxiliary.parameters():
            value.fill_(float("nan"))
        assert torch.equal(network(image), before)
    again = train(
        shapes, model="googlenet_bn", output=tmp_path / "without", options={"auxiliary": False}, **quick
    )
    assert not hasattr(load_network(again.model_path)[0], "auxiliary")


def test_images_too_small_for_auxiliary_heads(shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(
        RecipeError, match=r"at least 79 × 79\. Without auxiliary heads it can be trained: --set "
    ):
        train(shapes, model="googlenet", output=tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()


STILL: dict[str, Any] = {**QUICK, "epochs": 1, "lr": 1e-12, "weight_decay": 0.0}


def test_starting_from_a_model(runs: Callable[[str], Run], shapes: Path, tmp_path: Path) -> None:
    """Of two classes instead of four: the head is drawn anew, all else is copied, and the scale is that model's."""
    for name in ("circle", "star"):
        shutil.copytree(shapes / "train" / name, tmp_path / "two" / name)
    file = runs("lenet5").model_path
    heard: list[Event] = []
    run = train(
        tmp_path / "two",
        model="lenet5",
        weights=file,
        output=tmp_path / "run",
        on_event=heard.append,
        contamination="mark",  # the images that it was trained on
        **STILL,
    )
    before, after = (load_network(path)[0].state_dict() for path in (file, run.model_path))
    for name, value in before.items():
        if name.startswith("head.linear."):
            assert after[name].shape[0] == 2
        else:
            torch.testing.assert_close(after[name], value, rtol=0, atol=1e-9)
    (told,) = [event for event in heard if isinstance(event, LoadReport)]
    (kept,) = [event for event in events(run.folder) if event["event"] == "weights"]
    assert kept["replaced"] == list(told.replaced) == ["head.linear.weight", "head.linear.bias"]
    assert told.text.endswith(
        "of another size in the file, newly drawn: head.linear.weight, head.linear.bias"
    )
    card, first = load_network(run.model_path)[1], load_network(file)[1]
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert card.began_with == WeightsOrigin(file=file.name, sha256=digest, names="Mirada's own")
    assert card.recipe["weights"] == str(file)
    assert card.preprocessing.mean == first.preprocessing.mean
    assert card.preprocessing.std == first.preprocessing.std


def test_a_run_without_weights_says_none(runs: Callable[[str], Run]) -> None:
    run = runs("lenet5")
    assert load_network(run.model_path)[1].provenance["weights"] == {}
    assert not [event for event in events(run.folder) if event["event"] == "weights"]


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_starting_from_public_weights(mode: str, shapes: Path, tmp_path: Path, shared_data: Path) -> None:
    """On ImageNet's scale, which these were trained on; grey images get the sum of the first kernels."""
    file = shared_data / "cifar10" / "resnet20-12fca82f.th"
    run = train(
        shapes, model="resnet20", weights=str(file), mode=mode, output=tmp_path / "run", warmup=0.0, **STILL
    )
    (told,) = [event for event in events(run.folder) if event["event"] == "weights"]
    assert told["convention"] == "CIFAR"
    assert told["replaced"] == ["head.linear.weight", "head.linear.bias"]
    assert told["adapted"] == ([] if mode == "RGB" else ["stem.conv.weight"])
    network, card = load_network(run.model_path)
    theirs = read_public(file)["conv1.weight"]
    wanted = theirs if mode == "RGB" else theirs.sum(1, keepdim=True)
    torch.testing.assert_close(network.state_dict()["stem.conv.weight"], wanted, rtol=0, atol=1e-6)
    assert card.preprocessing.mean == pytest.approx(IMAGENET_MEAN if mode == "RGB" else (0.449,))


def test_weights_that_do_not_fit_leave_nothing(
    runs: Callable[[str], Run], shapes: Path, tmp_path: Path
) -> None:
    file = runs("simplecnn").model_path
    with pytest.raises(
        CheckpointError, match=r"model\.safetensors: stem\.0\.weight is \(32, 3, 3, 3\) in the file "
    ):
        train(shapes, model="lenet5", weights=file, output=tmp_path / "run", **QUICK)
    with pytest.raises(CheckpointError, match=r"none\.pth: the checkpoint cannot be read \(no such file"):
        train(shapes, model="lenet5", weights=tmp_path / "none.pth", output=tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()


def interrupt(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def press(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(job, where, press)


KILLED = """
import os, sys
from mirada import train
from mirada.events import EpochDone, Started
def hear(event):
    if isinstance(event, Started) and not {epochs} or isinstance(event, EpochDone) and event.epoch == {epochs}:
        os.kill(os.getpid(), 9)
train({data!r}, model="lenet5", output={output!r}, on_event=hear, **{settings!r})
"""


@pytest.mark.parametrize("epochs", [0, 2])
def test_a_run_that_is_killed_can_be_read_reported_and_listed(
    epochs: int, shapes: Path, tmp_path: Path
) -> None:
    """What is known is in its folder from the start: the data, the command, the recipe, the machine, the network."""
    folder = tmp_path / "runs" / "killed"
    script = KILLED.format(
        epochs=epochs, data=str(shapes), output=str(folder), settings=QUICK | {"epochs": 5}
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    run = read_run(folder)
    assert run.recipe["epochs"] == 5 and len(run.epochs) == epochs and run.ending is None
    assert run.data.name == "shapes" and run.data.classes == ("circle", "square", "star", "triangle")
    assert run.data.counts["train"] == dict.fromkeys(run.data.classes, 10)
    assert run.environment.command == f"mirada train {shapes} --recipe {folder}/recipe.toml"
    assert run.environment.threads and run.environment.seconds is None
    assert run.network.name == "lenet5" and run.has_model == (epochs > 0)
    (state,) = list_runs(folder.parent)
    assert (state.state, state.network, state.data, state.epochs) == (
        "killed",
        "lenet5",
        "shapes",
        epochs,
    )
    page = write_report(folder).read_text(encoding="utf-8")
    assert f"The run was killed after {epochs} of 5 epochs, or is still running" in page
    assert ("Evaluate its model" in page) == (epochs > 0)


@pytest.mark.parametrize("last", [False, True])
def test_a_folder_that_disappears_is_said(last: bool, shapes: Path, tmp_path: Path) -> None:
    """In the middle, or when all but the report is written."""
    folder = tmp_path / "run"

    def hear(event: Event) -> None:
        if isinstance(event, Evaluated if last else EpochDone) and (not last or event.split == "test"):
            shutil.rmtree(folder)

    with pytest.raises(TrainingError, match="run: the run folder has disappeared while the run was writing"):
        train(shapes, model="lenet5", output=folder, on_event=hear, **QUICK)
    assert not folder.exists()


def test_a_folder_that_disappears_at_the_very_end_is_said(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = job.draw_maps

    def gone(*arguments: Any) -> Any:
        found = draw(*arguments)
        monkeypatch.setattr(RunFolder, "write", lambda *_: None)
        shutil.rmtree(tmp_path / "run")
        return found

    monkeypatch.setattr(job, "draw_maps", gone)
    with pytest.raises(TrainingError, match="run: the run folder has disappeared"):
        train(shapes, model="lenet5", output=tmp_path / "run", **QUICK)


def test_preparing_that_fails_takes_away_its_own_files_only(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        (tmp_path / "run" / "thesis.txt").write_text("precious")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(job, "save_samples", fail)
    with pytest.raises(OSError, match="No space left"):
        train(shapes, model="lenet5", output=tmp_path / "run", **QUICK)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def test_interrupted_while_preparing(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt("save_samples", monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(shapes, model="lenet5", output=tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()


def test_interrupted_during_the_final_evaluation(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt("draw_maps", monkeypatch)
    run = train(shapes, model="lenet5", output=tmp_path / "run", **QUICK)
    assert run.outcome.reason == "interrupted" and run.outcome.epochs == 2 and run.evaluations == {}
    assert run.report_path.exists() and load_network(run.model_path)
    last = events(run.folder)[-1]
    assert (last["reason"], last["text"]) == ("interrupted", "during the final evaluation")


def test_interrupted_at_once(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the report is waited for, which can be written later."""
    interrupt("fit", monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(shapes, model="lenet5", output=tmp_path / "run", **QUICK)
    assert not (tmp_path / "run" / "report.html").exists()
    assert "interrupted" in write_report(tmp_path / "run").read_text()


# A table of patients, from the CSV to the maps ------------------------------------------------------------------


def xrays(root: Path, *, bits: int = 8, count: int = 48) -> Path:
    """Grey images; the age is their brightness plus 20 for the male; three images of each patient."""
    root.mkdir()
    draw = np.random.default_rng(0)
    rows = []
    for number in range(count):
        levels = np.clip(draw.uniform(0.1, 0.9) + draw.normal(0, 0.05, (40, 36)), 0, 1)
        array = np.rint(levels * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)
        Image.fromarray(array).save(root / f"{number:02}.png")
        male = number % 2
        rows.append(
            (f"{number:02}.png", f"{100 * levels.mean() + 20 * male:.3f}", male, f"patient {number // 3}")
        )
    with (root / "ages.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("file", "age (months)", "male", "patient"), *rows])
    return root / "ages.csv"


TABLE: dict[str, Any] = {**QUICK, "model": "resnet20", "mode": "L", "augment": "none"}


def test_a_table_with_patients_and_a_covariate(tmp_path: Path) -> None:
    index = load_data(xrays(tmp_path / "xrays"), target="age", group="patient", covariates="male")
    run = train(index, output=tmp_path / "run", loss="huber", freeze=["stem"], **TABLE)
    card = load_network(run.model_path)[1]
    splits = table(run.folder / "splits.csv")
    own = np.array([[float(row["target"]), float(row["male"])] for row in splits if row["split"] == "train"])
    assert card.covariate_names == ("male",) and card.target == Numbers(("age",), "months")
    scaling = card.target_scaling
    assert scaling is not None
    assert (*scaling.mean, *card.covariate_scaling.mean) == pytest.approx(own.mean(axis=0))
    assert (*scaling.std, *card.covariate_scaling.std) == pytest.approx(own.std(axis=0))
    where: dict[str, set[str]] = {}
    for path, group in zip(index.paths, index.groups, strict=True):
        where.setdefault(group, set()).update(row["split"] for row in splits if row["path"] == path)
    assert {len(found) for found in where.values()} == {1}  # no patient is in two splits
    kinds = Counter(event["event"] for event in events(run.folder))
    assert kinds["frozen"] == 1 and kinds["epoch"] == 2
    rows = [row for row in table(run.folder / "predictions.csv") if row["split"] == "test"]
    assert {"c:male", "group"} < rows[0].keys() and "patient 0" not in (
        run.folder / "predictions.csv"
    ).read_text()
    model = load_model(run.model_path, device="cpu")
    found = model.predict(index.take([index.paths.index(row["path"]) for row in rows]))
    np.testing.assert_allclose(found.predicted, [float(row["predicted"]) for row in rows], rtol=1e-5)
    test = {metric.name: metric.value for metric in evaluate(found).metrics}
    assert test["mae"] == pytest.approx(
        next(m.value for m in run.evaluations["test"].metrics if m.name == "mae")
    )
    records = json.loads((run.folder / "maps.json").read_text())
    assert {record["method"] for record in records} == {"class activation map (exact)"}
    command = json.loads((run.folder / "environment.json").read_text())["command"]
    assert (
        f"{tmp_path / 'xrays' / 'ages.csv'} --target age --group patient --covariates male --recipe"
        in command
    )
    notes = json.loads((run.folder / "data.json").read_text())
    assert (
        notes["covariate_names"] == ["male"]
        and notes["groups"] == 16
        and "covariate: male" in str(notes["notes"])
    )


@pytest.mark.parametrize("bits", [8, 16])
def test_the_same_tensor_everywhere(bits: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image is the same to the last bit in training, evaluation, prediction and explanation, also at 16 bits."""
    index = load_data(xrays(tmp_path / "xrays", bits=bits, count=24), target="age")
    seen: dict[str, dict[str, str]] = {}

    def note(who: str, names: Any, images: torch.Tensor) -> None:
        every = (hashlib.sha256(image.contiguous().numpy().tobytes()).hexdigest() for image in images)
        digests = dict.fromkeys(every)  # an explanation may look at an image more than once
        seen.setdefault(who, {}).update(zip(names, digests, strict=True))

    original = Feed.batch

    def spy(feed: Feed, rows: Any, epoch: int, step: int, draw: Any = None) -> Any:
        batch = original(feed, rows, epoch, step, draw)
        note("train", [feed.cache.index.paths[row] for row in rows], batch.images)
        return batch

    monkeypatch.setattr(Feed, "batch", spy)
    run = train(index, output=tmp_path / "run", depth=bits, window="1%..99%", **TABLE)
    model = load_model(run.model_path, device="cpu")
    stem: list[torch.Tensor] = []
    model.network.stem.register_forward_pre_hook(lambda module, arguments: stem.append(arguments[0].clone()))
    files = [index.path(row) for row in range(len(index))]
    cache = open_cache(index, model.card.preprocessing)
    uses: dict[str, Callable[[], Any]] = {
        "evaluate": lambda: model.predict(index),
        "validate": lambda: model.predict_cached(cache, ["train"]),
        "predict": lambda: model.predict(files),
        "explain": lambda: list(model.explain(files)),
    }
    for who, use in uses.items():
        stem.clear()
        use()
        note(who, index.paths, torch.cat(stem))
    assert cache.pixels.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert seen["evaluate"] == seen["validate"] == seen["predict"] == seen["explain"]
    assert len(set(seen["predict"].values())) == 24
    assert seen["train"].items() < seen["predict"].items() and len(seen["train"]) > 10
    values = torch.cat(stem) * model.card.preprocessing.std[0] + model.card.preprocessing.mean[0]
    assert values.min() >= -1e-6 and 0.9 < values.max() <= 1 + 1e-6


def test_the_table_has_the_intervals_that_the_model_has(tmp_path: Path) -> None:
    """The calibrated model predicts, so that a row of the table is what the model file says of its image."""
    index = load_data(xrays(tmp_path / "xrays", count=96), target="age")
    run = train(index, output=tmp_path / "run", **TABLE)
    rows = table(run.folder / "predictions.csv")
    found = load_model(run.model_path, device="cpu").predict([index.root / row["path"] for row in rows])
    assert np.isfinite(found.half_widths).all()
    assert [float(row["half_width"]) for row in rows] == pytest.approx(found.half_widths[:, 0].tolist())


def test_several_numbers(tmp_path: Path) -> None:
    """Of which some are not known: they are left out of the loss and of the metrics."""
    plain = bright(tmp_path / "bright", 36)
    targets = np.concatenate((plain.targets, 1 - plain.targets / 50), axis=1)
    targets[::4, 1] = np.nan
    index = replace(plain, targets=targets, target=Numbers(("level", "dark")))
    run = train(index, model="lenet5", output=tmp_path / "run", **QUICK)
    card = load_network(run.model_path)[1]
    assert card.architecture.outputs == 2 and card.target.names == ("level", "dark")
    assert {"mae:level", "mae:dark"} <= {metric.key for metric in run.evaluations["test"].metrics}
    assert np.isfinite(float(table(run.folder / "results.csv")[-1]["val_mae"]))
    columns = table(run.folder / "predictions.csv")[0].keys()
    assert {"target:level", "predicted:level", "target:dark", "predicted:dark"} <= columns
    record = json.loads((run.folder / "maps.json").read_text())[0]
    assert record["explained"] == "what raises the level" and isinstance(record["predicted"], float)


def test_probabilities_are_calibrated_on_validation(runs: Callable[[str], Run], shapes: Path) -> None:
    """The temperature in the model file is that of the validation images, and the tables hold what it gives."""
    run = runs("lenet5")
    card = load_network(run.model_path)[1]
    untouched = replace(card, temperature=1.0)
    raw, labels = raw_outputs(run, shapes, "val")
    plain = untouched.read_outputs(raw).numpy()
    assert card.temperature == pytest.approx(fit_temperature(labels.numpy(), plain), rel=1e-4)
    stated = [row for row in table(run.folder / "predictions.csv") if row["split"] == "val"]
    found = np.array([[float(row[f"p:{name}"]) for name in card.target.names] for row in stated])
    np.testing.assert_allclose(found, scaled(plain, card.temperature), atol=1e-5)


def test_bonet_starts_from_overfeats_layer_and_leaves_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    with torch.device("meta"):
        overfeat = create_model("overfeat_accurate", num_classes=2, image_size=77).state_dict()
    light = {name: torch.randn(tensor.shape) for name, tensor in overfeat.items() if tensor.numel() < 1e6}
    torch.save(light, tmp_path / "overfeat.pth")  # without the layers that make the file large
    index = load_data(xrays(tmp_path / "xrays", count=16), target="age")
    small = {**QUICK, "epochs": 1, "image_size": 33}
    run = train(
        index, model="bonet_simple", first_layer=tmp_path / "overfeat.pth", output=tmp_path / "run", **small,
        options={"deformation": True},
    )  # fmt: skip
    network, card = load_network(run.model_path)
    wanted = light["stem.0.conv.weight"].sum(dim=1, keepdim=True)
    assert torch.equal(network.state_dict()["stem.0.conv.weight"], wanted)
    assert card.provenance["first_layer"]["tensor"] == "stem.0.conv.weight" and card.recipe["loss"] == "mae"
    assert [e["text"] for e in events(run.folder) if e["event"] == "frozen"] == [
        "frozen: stem, 4,800 parameters"  # and not that they are random
    ]
    free = train(index, model="bonet_simple", freeze=[], output=tmp_path / "free", **small)
    assert not [event for event in events(free.folder) if event["event"] == "frozen"]


def test_a_model_with_covariates_can_be_gone_on_from(tmp_path: Path) -> None:
    """Its weights for them, too; a network that had none keeps the rest, and starts with zeros."""
    index = load_data(xrays(tmp_path / "xrays", count=24), target="age", covariates="male")
    first = train(index, output=tmp_path / "first", **TABLE)
    still = {**TABLE, "epochs": 1, "lr": 1e-12, "weight_decay": 0.0, "warmup": 0.0}
    again = train(index, weights=first.model_path, output=tmp_path / "again", **still)
    one, other = (load_network(run.model_path)[0].state_dict() for run in (first, again))
    torch.testing.assert_close(one["head.linear.weight"], other["head.linear.weight"], rtol=0, atol=1e-9)
    bare = train(
        replace(index, covariates=np.empty((24, 0)), covariate_specs=()), output=tmp_path / "bare", **TABLE
    )
    joined = train(index, weights=bare.model_path, output=tmp_path / "joined", **still)
    one, other = (load_network(run.model_path)[0].state_dict() for run in (bare, joined))
    torch.testing.assert_close(
        one["head.linear.weight"], other["head.linear.weight"][:, :-1], rtol=0, atol=1e-9
    )
    assert other["head.linear.weight"][:, -1].abs().max() < 1e-9
