"""The papers' recipes: whole, and the rate over a run as the papers' own counts of steps have it."""

import tomllib
from dataclasses import asdict

import pytest

from mirada import paper_recipe
from mirada.errors import RecipeError
from mirada.models import CATALOGUE
from mirada.training.papers import paper_recipes
from mirada.training.recipe import Recipe, recipe_for
from mirada.training.schedules import learning_rate

PAPERS = paper_recipes()
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
