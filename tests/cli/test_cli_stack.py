"""Every verb that takes a network takes one that is written as a stack of layers."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mirada.cli import run as run_line
from mirada.modelfile import load_members, load_network

Cli = Callable[..., Any]
STACK = "conv 4 k3 p1; relu; pool k2; conv 6 k3 p1; relu; pool k2; flatten; dense 8; relu"
TINY = ["--epochs", "2", "--image-size", "16", "--batch-size", "16", "--device", "cpu"]


@pytest.fixture(scope="session")
def stacked(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a stack from a file."""
    folder = tmp_path_factory.mktemp("stacked")
    (folder / "own.txt").write_text(STACK.replace("; ", "\n"), encoding="utf-8")
    output = folder / "run"
    assert (
        run_line(["train", str(shapes), "--layers", str(folder / "own.txt"), *TINY, "--output", str(output)])
        == 0
    )
    return output


@pytest.fixture
def image(shapes: Path) -> str:
    return str(min(shapes.rglob("*.png")))


def test_the_run_says_what_became_of_the_stack(stacked: Path) -> None:
    card = load_network(stacked / "model.safetensors").card
    assert (card.architecture.model, card.architecture.options) == ("layers", {"layers": STACK})
    notes = json.loads((stacked / "data.json").read_text(encoding="utf-8"))["notes"]
    assert "The stack ends in a vector of 8, and one linear layer behind it puts out 4 values." in notes
    assert any(note.startswith("Images are brought to 16 × 16 pixels") for note in notes)


def test_it_predicts_and_is_measured(
    cli: Cli, stacked: Path, shapes: Path, image: str, tmp_path: Path
) -> None:
    assert cli("predict", stacked, image).code == 0
    found = cli("evaluate", stacked, shapes)
    assert found.code == 0, found.err
    with (tmp_path / "predictions.csv").open(encoding="utf-8") as opened:
        assert len(list(csv.DictReader(opened))) == 12


@pytest.mark.parametrize("layer", [None, "stem", "stage1", "stem.conv1"])
def test_it_is_explained_at_any_layer(
    cli: Cli, stacked: Path, image: str, tmp_path: Path, layer: str | None
) -> None:
    at = ["--layer", layer] if layer else []
    answer = cli("explain", stacked, image, *at, "--output", tmp_path / "maps")
    assert answer.code == 0, answer.err
    assert "Grad-CAM" in answer.out and len(list((tmp_path / "maps").glob("*.png"))) == 1


def test_it_is_drawn_and_its_units_are_shown(cli: Cli, stacked: Path, image: str, tmp_path: Path) -> None:
    drawn = cli("summary", stacked, "--diagram", tmp_path / "own.svg")
    assert drawn.code == 0 and "layers, one image of 3×16×16" in drawn.out
    assert (tmp_path / "own.svg").read_text(encoding="utf-8").startswith("<svg")
    assert cli("units", stacked, "--filters", "--output", tmp_path / "filters").code == 0
    assert cli("units", stacked, image, "--maps", "stage1", "--output", tmp_path / "maps").code == 0


def test_it_is_opened_and_listed(cli: Cli, stacked: Path, image: str, tmp_path: Path) -> None:
    opened = cli("learn", stacked, image, "--output", tmp_path / "opened.html")
    assert opened.code == 0, opened.err
    assert "conv1" in (tmp_path / "opened.html").read_text(encoding="utf-8")
    assert "layers" in cli("runs", stacked.parent).out
    assert cli("report", stacked).code == 0


def test_it_is_cut_for_class_maps(cli: Cli, stacked: Path, shapes: Path, tmp_path: Path) -> None:
    answer = cli("surgery", stacked, shapes, "--epochs", "2", "--output", tmp_path / "cut")
    assert answer.code == 0, answer.err
    network, card = load_network(tmp_path / "cut" / "model.safetensors")
    assert network.parts() == ("stem", "stage1", "stage2", "head")
    assert card.architecture.options["head"] == "cam"
    kept, before = network.state_dict(), load_network(stacked / "model.safetensors").network.state_dict()
    assert kept["stem.conv1.weight"].shape == before["stem.conv1.weight"].shape
    assert any(
        note.startswith('Step 7, "flatten", and what follows it in the stack is left out for head=cam')
        for note in json.loads((tmp_path / "cut" / "data.json").read_text(encoding="utf-8"))["notes"]
    )


def test_its_recipe_trains_it_again_and_its_weights_start_it(
    cli: Cli, stacked: Path, shapes: Path, tmp_path: Path
) -> None:
    """The same bits by the recipe; and a first part that is frozen keeps the weights of the file."""
    again = cli("train", shapes, "--recipe", stacked, "--output", tmp_path / "again")
    assert again.code == 0, again.err
    first, second = (
        load_network(each / "model.safetensors").network for each in (stacked, tmp_path / "again")
    )
    assert all(value.equal(second.state_dict()[name]) for name, value in first.state_dict().items())
    freeze = ["--weights", stacked, "--set", "freeze=stem"]
    more = cli("train", shapes, "--layers", STACK, *TINY, *freeze, "--output", tmp_path / "more")
    assert more.code == 0, more.err
    third = load_network(tmp_path / "more" / "model.safetensors").network
    assert third.state_dict()["stem.conv1.weight"].equal(first.state_dict()["stem.conv1.weight"])


@pytest.mark.parametrize("verb", ["plan", "rate"])
def test_it_is_planned(cli: Cli, shapes: Path, tmp_path: Path, verb: str) -> None:
    output = tmp_path / {"plan": "plan.toml", "rate": "rate.html"}[verb]
    more = ["--minutes", "0.5"] if verb == "plan" else []
    answer = cli(verb, shapes, "--layers", "conv 4 k3; relu", *TINY[2:], *more, "--output", output)
    assert answer.code == 0, answer.err
    assert output.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--layers", "conv 4 k3; softmax"], 'Step 2, "softmax", ends the stack'),
        (["--layers", "conv 4 k99"], 'Step 1, "conv 4 k99", does not fit: maps of 64×64 reach it'),
        (["--layers", "conv 4"], 'Step 1, "conv 4": it does not say the size of its kernel'),
        (["--layers", "flatten", "--model", "vgg11"], "--layers is a network of its own. Leave --model out."),
        (["--model", "module"], "The network is a module of one's own, which only its class builds"),
    ],
)
def test_mistakes_are_wrong_use(
    cli: Cli, shapes: Path, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    answer = cli("train", shapes, *arguments, "--output", tmp_path / "run")
    assert answer.code == 2
    assert sentence in answer.err and answer.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_its_options_are_listed(cli: Cli) -> None:
    assert "layers=flatten" in cli("models", "layers").out
    assert "the stack, such as" in cli("settings", "layers").out
    assert (
        "layers, one image of 3×16×16"
        in cli(
            "summary", "layers", "--set", "layers=conv 4 k3; gap", "--image-size", "16", "--classes", "2"
        ).out
    )


def test_it_learns_a_number_with_what_is_known_beside(cli: Cli, tmp_path: Path) -> None:
    """Two folds of a linear model that reads a covariate: one ensemble, explained and predicted like any other."""
    rows = ["file,age,weight"]
    for number in range(30):
        Image.new("RGB", (8, 8), (8 * number, 0, 0)).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{8 * number},{number % 5}")
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    data = [tmp_path / "table.csv", "--target", "age", "--covariates", "weight"]
    more = [
        "--layers",
        "flatten; dense",
        "--folds",
        "2",
        *TINY,
        "--image-size",
        "8",
        "--output",
        tmp_path / "run",
    ]
    trained = cli("train", *data, *more)
    assert trained.code == 0, trained.err
    model = tmp_path / "run" / "ensemble.safetensors"
    network, card = load_members(model)[0]
    assert network.state_dict()["head.linear.weight"].shape == (1, 3 * 8 * 8 + 1)
    assert card.covariate_names == ("weight",)
    assert cli("predict", model, tmp_path / "3.png", "--known", "weight=3").code == 0
    assert (
        cli("explain", model, tmp_path / "3.png", "--known", "weight=3", "--output", tmp_path / "maps").code
        == 0
    )


def test_an_empty_stack_is_a_linear_model(cli: Cli, shapes: Path, tmp_path: Path) -> None:
    answer = cli("train", shapes, "--layers", "", *TINY, "--output", tmp_path / "run")
    assert answer.code == 0, answer.err
    network = load_network(tmp_path / "run" / "model.safetensors").network
    assert network.state_dict().keys() == {"head.linear.weight", "head.linear.bias"}
