"""The papers' recipes: whole, and the rate over a run as the papers' own counts of steps have it."""

import tomllib
from dataclasses import asdict, replace
from math import ceil, isfinite
from pathlib import Path

import pytest
import torch

from mirada import create_model, paper_recipe, train
from mirada.data.examples.hands import write_ages
from mirada.data.examples.shapes import write_shapes
from mirada.errors import RecipeError
from mirada.models import CATALOGUE
from mirada.runs.reader import read_results, read_run
from mirada.training.papers import paper_recipes
from mirada.training.recipe import Recipe, recipe_for
from mirada.training.schedules import learning_rate

PAPERS = paper_recipes()
LARGE = [name for name in PAPERS if CATALOGUE[PAPERS[name].model].parameters > 5_000_000]
STAND_INS = {name: "bonet_simple" if name == "bonet" else "lenet5" for name in LARGE}
AUXILIARY = {"googlenet": 79, "inception_v3": 299}  # the smallest side at which their auxiliary heads fit
DECIDED = ("optimizer", "schedule", "average", "augment")  # tables of which a paper's recipe says all


def rate(recipe: Recipe, step: int, per_epoch: int) -> float:
    return learning_rate(
        recipe.schedule, recipe.optimizer.lr, step, steps_per_epoch=per_epoch, epochs=recipe.epochs
    )


@pytest.mark.parametrize("name", PAPERS)
def test_each_says_where_it_stands_and_what_is_open(name: str) -> None:
    paper = PAPERS[name]
    assert paper.model in CATALOGUE
    for text in (paper.source, paper.expects, paper.unsaid, paper.differs):
        assert (text.strip() == text and text.endswith((".", "§8", "§6", "§5", "§III.B"))) or "§" in text
    assert tomllib.loads(paper.recipe.to_toml())["model"] == paper.model


@pytest.mark.parametrize("name", PAPERS)
def test_nothing_of_the_networks_own_recipe_shines_through(name: str) -> None:
    """Laid over a recipe of which every such setting is another one, the tables and the numbers are the same."""
    paper = PAPERS[name]
    odd = Recipe().with_settings(
        {
            "optimizer": "sgd", "lr": 7.0, "momentum": 0.3, "nesterov": True, "weight_decay": 0.7, "clip": 9.0,
            "schedule": "cosine", "warmup": 3.0, "average": "ema", "average.decay": 0.5, "label_smoothing": 0.4,
            "augment.rotation": 9.0, "augment.mixup": 0.5, "epochs": 3, "batch_size": 5,
        }
    )  # fmt: skip
    over = odd.with_settings(paper.settings)
    for part in (*DECIDED, "label_smoothing", "clip", "epochs", "batch_size", "model"):
        assert getattr(over, part) == getattr(paper.recipe, part), part


def test_resnet20_falls_after_32_and_48_of_64_thousand_batches() -> None:
    """Of 128 of 45,000 images: He et al. 2015, §4.2."""
    recipe, per_epoch = paper_recipe("resnet20-2015"), 45_000 // 128 + 1
    assert recipe.epochs * per_epoch == pytest.approx(64_000, rel=0.005)
    found = (
        {round(rate(recipe, step, per_epoch), 9) for step in (0, 31_900)},
        {round(rate(recipe, step, per_epoch), 9) for step in (32_100, 47_900)},
    )
    assert found == ({0.1}, {0.01})
    assert {round(rate(recipe, step, per_epoch), 9) for step in (48_100, 63_900)} == {0.001}


def test_the_inceptions_lose_6_per_cent_every_two_epochs_and_googlenet_4_every_eight() -> None:
    for name, first, factor, every in (
        ("inception-2015", 0.045, 0.94, 2),
        ("inception-2016", 0.045, 0.94, 2),
        ("googlenet-2014", 0.01, 0.96, 8),
    ):
        recipe = paper_recipe(name)
        for epochs in (0, 1, every - 1, every, 3 * every + 1):
            expected = first * factor ** (epochs // every)
            assert rate(recipe, epochs * 10 + 9, 10) == pytest.approx(expected), (name, epochs)


def test_overfeat_halves_after_30_50_60_70_and_80_epochs() -> None:
    recipe = paper_recipe("overfeat-2013")
    found = [rate(recipe, epoch * 4, 4) for epoch in (0, 29, 30, 50, 60, 70, 80, 89)]
    assert found == pytest.approx([0.05, 0.05, 0.025, 0.0125, 0.00625, 0.003125, 0.0015625, 0.0015625])


def test_the_notes_bonet_is_what_the_network_starts_from() -> None:
    for name, model in (("bonet", "bonet"), ("bonet-simple", "bonet_simple")):
        own, paper = recipe_for(model), paper_recipe(name)
        assert {**asdict(own), "average": None} == {**asdict(paper), "average": None}


def test_a_name_that_is_none_gets_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r'There is no recipe "resnet"\. Did you mean "resnet-2015"'):
        paper_recipe("resnet")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Few shapes, whose classes are to be told, and few hands, whose age is; by whether it is a number."""
    root = tmp_path_factory.mktemp("samples")
    write_shapes(root / "shapes", count=40, size=32)
    write_ages(root / "ages", count=40, size=48)
    return {False: root / "shapes", True: root / "ages" / "ages.csv"}


def train_an_epoch(name: str, model: str, data: Path, folder: Path) -> None:
    """The paper's optimizer, schedule and average are what the run had, and its rate that of the last step."""
    with torch.device("meta"):
        side = max(32, AUXILIARY.get(model, create_model(model).min_size))
    small = {"model": model, "epochs": 1, "batch_size": 8, "image_size": side, "device": "cpu"}
    recipe = PAPERS[name].recipe.with_settings(small)
    if model != PAPERS[name].model:
        recipe = replace(recipe, options={})  # which are those of the paper's network
    run = train(data, recipe=recipe, output=folder / name)
    (row,), _ = read_results(run.folder / "results.csv")
    kept = tomllib.loads((run.folder / "recipe.toml").read_text(encoding="utf-8"))
    own = tomllib.loads(PAPERS[name].recipe.to_toml())
    for part in ("optimizer", "schedule", "average"):
        assert kept[part] == own[part], part
    steps = ceil(sum(read_run(run.folder).data.counts["train"].values()) / 8)
    assert row["lr"] == pytest.approx(rate(recipe, steps - 1, steps)) and isfinite(row["train_loss"])
    assert run.evaluations["test"].n > 0 and run.report_path.exists()


@pytest.mark.parametrize("name", PAPERS)
def test_each_trains_an_epoch(name: str, samples: dict[bool, Path], tmp_path: Path) -> None:
    """A large network's recipe with a small network in its place."""
    train_an_epoch(name, STAND_INS.get(name, PAPERS[name].model), samples["bonet" in name], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_each_large_network_trains_an_epoch_by_its_own(
    name: str, samples: dict[bool, Path], tmp_path: Path
) -> None:
    train_an_epoch(name, PAPERS[name].model, samples["bonet" in name], tmp_path)
