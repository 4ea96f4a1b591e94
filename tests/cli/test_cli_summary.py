"""``mirada summary``: names and model files, as text, JSON and Markdown, and every wrong use."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

Cli = Callable[..., Any]


def test_the_title_is_the_networks_name(cli: Cli, trained: Callable[[str], Path]) -> None:
    assert cli("summary", "resnet20").out.startswith("resnet20, one image of 3×32×32\n")
    assert cli("summary", trained("lenet5")).out.startswith("lenet5, one image of 1×32×32\n")
    assert cli("summary", "lenet5", "--markdown").out.startswith("## lenet5, one image of 1×32×32\n")
    assert json.loads(cli("summary", "lenet5", "--json").out)["network"] == "lenet5"


@pytest.mark.parametrize("name", ["absent.safetensors", "runs/photos-resnet18", "absent.pth"])
def test_a_model_that_is_not_there(name: str, cli: Cli) -> None:
    code, out, err = cli("summary", name)
    assert (code, out, err) == (2, "", f"Error: Invalid value: there is no model file and no run '{name}'.\n")


def test_one_row_per_stage(cli: Cli, trained: Callable[[str], Path]) -> None:
    lines = cli("summary", "resnet20", "--depth", "1").out.splitlines()
    names = [line.split()[0] for line in lines[2:] if line[:1].islower()]
    assert names == ["layer", "stem", "stage1", "stage2", "stage3", "head"]
    rows = json.loads(cli("summary", trained("lenet5"), "--depth", "1", "--json").out)["rows"]
    assert [row["name"] for row in rows] == ["stem", "stage1", "head"]


def test_the_batch_size_counts_in_memory_alone(cli: Cli) -> None:
    one, two = (
        json.loads(cli("summary", "lenet5", "--json", "--batch-size", size).out) for size in ("1", "1000")
    )
    assert two["predicting_bytes"] > 500 * (one["predicting_bytes"] - 4 * 61_706)
    assert {key for key in one if one[key] != two[key]} == {
        "batch_size",
        "predicting_bytes",
        "training_bytes",
    }
    assert "1,000 images" in cli("summary", "lenet5", "--batch-size", "1000").out
    assert "1 image:" in cli("summary", "lenet5", "--batch-size", "1").out


def test_it_ends_with_what_was_not_counted(cli: Cli) -> None:
    for form in ((), ("--markdown",)):
        assert cli("summary", "lenet5", *form).out.splitlines()[-1] == (
            "Not counted: biases; activations (ReLU); pooling (MaxPool2d)."
        )


def test_away_from_a_terminal_tables_have_a_hundred_columns(cli: Cli) -> None:
    for arguments in (["googlenet"], ["resnet18", "--depth", "2"], ["resnet110"], ["vgg16"]):
        lines = cli("summary", *arguments).out.splitlines()
        assert 90 < max(map(len, lines)) <= 100


@pytest.mark.parametrize("key", ["head", "options.head"])
def test_a_network_with_options(cli: Cli, key: str) -> None:
    """vgg16 with a head of averages: 14,714,688 weights of its convolutions, and 512 · 10 + 10."""
    code, out, err = cli("summary", "vgg16", "--set", f"{key}=average", "--classes", "10", "--json")
    assert code == 0 and err == "" and json.loads(out)["parameters"] == 14_714_688 + 5_130
    code, out, err = cli("summary", "bonet", "--set", f"{key}=average", "--set", "padding=same")
    assert code == 0 and err == "" and "AdaptiveAvgPool2d" in out
    assert "69.76 %" not in cli("summary", "--compare", "resnet18", "--set", "activation=tanh").out


@pytest.mark.parametrize("option", ["--depth", "--batch-size"])
@pytest.mark.parametrize("value", ["0", "-3", "1.5", "all"])
def test_numbers_that_cannot_be(cli: Cli, option: str, value: str) -> None:
    code, out, err = cli("summary", "lenet5", option, value)
    assert (code, out) == (2, "")
    assert err.startswith(f"Error: Invalid value for '{option}'")
    assert err.count("\n") == 1


@pytest.mark.parametrize("networks", [("bonet",), ("mlp",), ("lenet5",), ("--compare", "resnet18", "vgg16")])
@pytest.mark.parametrize("option", ["--image-size", "--classes"])
@pytest.mark.parametrize("digits", [9, 20, 400])
def test_numbers_that_no_machine_holds(cli: Cli, networks: tuple[str, ...], option: str, digits: int) -> None:
    code, out, err = cli("summary", *networks, option, "1" + "0" * (digits - 1))
    assert (code, out) == (2, "") and err.count("\n") == 1 and len(err) < 300
    name = {"--image-size": "image_size", "--classes": "num_classes"}[option]
    assert err.startswith(f"Error: `{name}` of create_model must be at most 1")


def test_a_network_is_drawn_up_without_its_memory(cli: Cli) -> None:
    """Its hidden layer alone would take terabytes."""
    code, out, err = cli("summary", "bonet", "--image-size", "30000", "--json")
    assert (code, err) == (0, "") and json.loads(out)["parameters"] > 10**11


# --- pictures, comparisons, stacks --------------------------------------------------------------------------


def test_a_diagram_is_drawn_into_the_file(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "lenet.svg"
    code, out, err = cli("summary", "lenet5", "--classes", "3", "--diagram", file)
    assert code == 0 and err == "" and out.splitlines()[-1] == str(file)
    texts = {text for node in ElementTree.parse(file).iter() for text in (node.text or "",) if text.strip()}
    assert {"lenet5", "stem", "stage1", "head", "dense, 3"} <= texts


def test_networks_are_compared_and_drawn_without_overwriting(cli: Cli, tmp_path: Path) -> None:
    answers = [cli("summary", "--compare", "alexnet", "resnet18", "lenet5") for _ in range(2)]
    assert [answer.code for answer in answers] == [0, 0]
    assert [answer.out.splitlines()[-1] for answer in answers] == ["comparison.svg", "comparison-2.svg"]
    rows = {line.split()[0]: line for line in answers[0].out.splitlines() if line.strip()}
    assert "60,965,224" in rows["alexnet"] and "57.10 %" in rows["alexnet"]
    assert "11,689,512" in rows["resnet18"] and "69.76 %" in rows["resnet18"]
    drawn = (tmp_path / "comparison.svg").read_text(encoding="utf-8")
    assert "resnet18" in drawn and "alexnet" in drawn
    chosen = cli("summary", "--compare", "lenet5", "resnet18", "--json", "--diagram", tmp_path / "two.svg")
    assert [row["name"] for row in json.loads(chosen.out)] == ["lenet5", "resnet18"]
    assert (tmp_path / "two.svg").exists()


def test_a_figure_is_written_beside_what_is_there(cli: Cli, tmp_path: Path) -> None:
    kept = tmp_path / "mine.svg"
    kept.write_text("mine", encoding="utf-8")
    stack = ("--layers", "conv 4 k3; relu; dense 2", "--input", "1x8x8")
    for number, arguments in enumerate([("lenet5",), ("--compare", "alexnet", "resnet18"), stack], start=2):
        code, out, err = cli("summary", *arguments, "--diagram", kept)
        new = kept.with_stem(f"mine-{number}")
        assert (code, err, out.splitlines()[-1]) == (0, "", str(new))
        assert ElementTree.parse(new).getroot().tag.endswith("svg")
    assert kept.read_text(encoding="utf-8") == "mine"


def test_json_stays_json_beside_a_diagram(cli: Cli, tmp_path: Path) -> None:
    code, out, err = cli("summary", "lenet5", "--json", "--diagram", tmp_path / "x.svg")
    assert code == 0 and json.loads(out)["network"] == "lenet5" and err.strip() == str(tmp_path / "x.svg")


def test_one_network_is_compared_with_none(cli: Cli, tmp_path: Path) -> None:
    code, out, err = cli("summary", "--compare", "LeNet5")
    assert code == 0 and "61,706" in out and not list(tmp_path.glob("*.svg"))
    assert err.startswith("lenet5 is the only network: name several") and "No figure" in err
    code, out, err = cli("summary", "--compare", "lenet5", "mlp", "--diagram", tmp_path / "x.svg")
    assert (code, out) == (2, "") and "a published accuracy is known for none" in err


def test_at_another_size_no_published_accuracy_is_shown(cli: Cli) -> None:
    assert "69.76 %" not in cli("summary", "--compare", "resnet18", "--image-size", "64").out


def test_a_stack_is_planned(cli: Cli) -> None:
    code, out, err = cli("summary", "--layers", "conv 96 k11 s4; pool k3 s2", "--input", "3x227x227")
    assert code == 0 and err == ""
    assert "(227 − 11 + 0)/4 + 1 = 55" in out and "(55 − 3 + 0)/2 + 1 = 27" in out
    planned = json.loads(cli("summary", "--layers", "conv 6 k5", "--input", "1x32x32", "--json").out)
    assert planned["parameters"] == 156


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Name a network"),
        (["lenet5", "mlp"], "--compare"),
        (["--layers", "relu"], "--input"),
        (["--input", "3x8x8", "lenet5"], "--layers"),
        (["--layers", "relu", "--input", "3x8x8", "lenet5"], "a stack of its own"),
        (["--layers", "relu", "--input", "3by8"], "is not a shape"),
        (["--layers", "conv 5 k9", "--input", "3x8x8"], 'Step 1, "conv 5 k9", does not fit'),
        (["lenet5", "--diagram", "x.png"], "x.png must end in .svg"),
        (["--compare", "lenet5", "mlp", "--diagram", "x"], "x must end in .svg"),
        (
            ["--layers", "relu", "--input", "3x8x8", "--markdown", "--classes", "3"],
            "take --classes, --markdown",
        ),
        (["--compare", "lenet5", "mlp", "--depth", "1"], "--compare does not take --depth"),
        (["--compare", "vgg99"], 'no network "vgg99"'),
        (["lenet5", "--diagram", "nowhere/x.svg"], "there is no folder nowhere"),
        (["lenet5", "--set", "head"], "--set needs KEY=VALUE"),
        (["lenet5", "--set", "hed=average"], 'lenet5 has no option "hed". Did you mean "head"?'),
        (
            ["lenet5", "--set", "weights=a.pth"],
            'no option "weights". Known: activation, cam_after, cam_groups, cam_width, head.',
        ),
        (["lenet5", "--set", "head=5"], "`head` of lenet5 must be 'dense' or 'average' or 'cam'. Got 5."),
    ],
)
def test_what_does_not_go_together_is_one_sentence(cli: Cli, arguments: list[str], said: str) -> None:
    code, out, err = cli("summary", *arguments)
    assert code == 2 and out == "" and said in err
    assert err.startswith("Error: ") and "Traceback" not in err
