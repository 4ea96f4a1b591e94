"""``recipes``, and ``train --recipe`` with a paper's name."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirada import paper_recipe
from mirada.data.examples.hands import write_ages
from mirada.training.papers import paper_recipes
from mirada.training.recipe import Recipe, recipe_for

Cli = Callable[..., Any]
PAPERS = paper_recipes()
SMALLER = {  # sides at which a network of 2012 to 2016 still has places, and no second head to feed
    "alexnet": 96, "overfeat_fast": 160, "vgg16": 64, "googlenet": 96, "inception_v3": 107, "inception_v4": 107,
    "resnet50": 64, "densenet121": 64, "bonet_simple": 160, "bonet": 200,
}  # fmt: skip


def test_they_are_listed_and_printed_as_a_file_to_begin_with(cli: Cli, tmp_path: Path) -> None:
    code, out, _ = cli("recipes")
    assert code == 0 and [line.split()[0] for line in out.splitlines()[1 : 1 + len(PAPERS)]] == list(PAPERS)
    code, out, _ = cli("recipes", "googlenet-2014")
    assert code == 0 and out.startswith("# Source: Szegedy")
    (tmp_path / "mine.toml").write_text(out, encoding="utf-8")
    settings = tomllib.loads((tmp_path / "mine.toml").read_text(encoding="utf-8"))
    assert recipe_for("lenet5").with_settings(settings) == paper_recipe("googlenet-2014")


def test_a_run_by_a_papers_name(cli: Cli, shapes: Path) -> None:
    code, out, err = cli(
        "train", shapes, "--recipe", "notes-keras", "--epochs", 1, "--image-size", 32, "--output", "run",
    )  # fmt: skip
    assert code == 0, err
    assert "notes-keras: Lecture notes, §5.1." in out and "What differs from it: " in out
    written = tomllib.loads(Path("run/recipe.toml").read_text(encoding="utf-8"))
    expected = paper_recipe("notes-keras").with_settings(
        {"epochs": 1, "augment.horizontal_flip": True}  # these names tell no left from right
    )
    for part in ("optimizer", "schedule", "augment", "epochs"):
        assert getattr(Recipe().with_settings(written), part) == getattr(expected, part)


def test_a_recipe_that_is_none(cli: Cli, shapes: Path) -> None:
    code, _, err = cli("train", shapes, "--recipe", "alexnt-2012")
    assert code == 2
    assert "'alexnt-2012' is no file, no folder and no recipe of `mirada recipes`." in err
    assert 'Did you mean "alexnet-2012"?' in err and not Path("runs").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", PAPERS)
def test_each_trains_an_epoch(name: str, cli: Cli, shapes: Path, tmp_path: Path) -> None:
    """On samples, in small: 16 images a step, smaller sides, no second head."""
    recipe, data, options = PAPERS[name], shapes, []
    if recipe.settings.get("loss") == "mae":
        data, options = tmp_path / "ages", ["--target", "age (months)"]
        write_ages(data, count=40)
    side = ["--image-size", SMALLER[recipe.model]] if recipe.model in SMALLER else []
    alone = ["--set", "auxiliary=false"] if recipe.settings.get("options") == {"auxiliary": True} else []
    code, _, err = cli(
        "train", data, *options, "--recipe", name, *side, *alone, "--epochs", 1, "--batch-size", 8, "--output", "run",
    )  # fmt: skip
    assert code == 0, err
    losses = Path("run/results.csv").read_text(encoding="utf-8").splitlines()
    assert len(losses) == 2 and (Path("run") / "model.safetensors").exists()
