"""``models``, ``summary``, ``sample`` and ``check``."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirada.models import CATALOGUE, facts

Cli = Callable[..., Any]


def test_models(cli: Cli) -> None:
    code, out, err = cli("models")
    assert code == 0 and err == ""
    header, *rows = out.splitlines()
    assert header.split() == ["network", "input", "outputs", "parameters", "MACs", "source"]
    assert [row.split()[0] for row in rows] == sorted(CATALOGUE)
    assert len({row.index("  " + CATALOGUE[row.split()[0]].source) for row in rows}) == 1  # one column
    assert [row.split()[0] for row in cli("models", "resnet1[058]*").out.splitlines()[1:]] == [
        "resnet101", "resnet152", "resnet18",
    ]  # fmt: skip
    assert [row.split()[0] for row in cli("models", "Feat").out.splitlines()[1:]] == [
        "overfeat_accurate", "overfeat_fast",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["lenet5", "LeNet5", "bonet_simple", "mlp", "plain20"])
def test_models_of_one_name_lists_its_options(name: str, cli: Cli) -> None:
    """Each with its default and what it may be, from the table that checks them."""
    code, out, err = cli("models", name)
    assert code == 0 and err == ""
    lines = out.splitlines()
    assert lines[1].split()[0] == name.lower() and lines[2] == ""
    options = facts(name.lower()).options
    assert [line.partition("=")[0] for line in lines[4 : 4 + len(options)]] == list(options)
    for line, option in zip(lines[4:], options.values(), strict=False):
        assert option.meaning in line and line.endswith(option.kind)
    assert lines[-1] == f"mirada train DATA --model {name.lower()} --set activation=leaky_relu"


def test_summary_of_a_name(cli: Cli) -> None:
    code, out, err = cli("summary", "lenet5")
    assert code == 0 and err == "" and "61,706" in out
    assert "62,158" not in out
    # 84 × 3 + 3 outputs in place of 84 × 10 + 10
    assert f"{61_706 - 595:,}" in cli("summary", "lenet5", "--classes", "3").out
    assert "64" in cli("summary", "resnet18", "--image-size", "64").out
    content = json.loads(cli("summary", "lenet5", "--json").out)
    assert content["parameters"] == 61_706


def test_summary_of_a_file(cli: Cli, trained: Callable[[str], Path]) -> None:
    code, out, err = cli("summary", trained("lenet5"))
    assert code == 0 and err == "" and f"{61_706 - 510:,}" in out  # four classes
    code, out, err = cli("summary", trained("lenet5"), "--classes", "3")
    assert code == 2 and err.endswith(
        "--image-size, --classes and --set are for names; a model file says all of them itself.\n"
    )


def test_summary_of_nothing(cli: Cli, tmp_path: Path, shared_data: Path) -> None:
    code, out, err = cli("summary", "lenet6")
    assert (code, out) == (2, "")
    assert err.startswith('Error: There is no network "lenet6". Did you mean "lenet5"? Known: alexnet, ')
    assert cli("summary", "lenet5", "--image-size", "4").code == 2
    assert (
        cli("summary", tmp_path).err
        == f"Error: {tmp_path}: the model file cannot be read (is a directory).\n"
    )
    for file in (shared_data / "broken-checkpoints").iterdir():
        code, out, err = cli("summary", file)
        assert (code, out) == (1, "") and err.startswith(f"Error: {file}: ") and err.count("\n") == 1


def test_sample(cli: Cli, tmp_path: Path) -> None:
    code, out, err = cli("sample", "digits", "d")
    assert (code, out, err) == (0, "1,797 images written to d\n", "")
    assert len(list((tmp_path / "d").rglob("*.png"))) == 1797
    code, out, err = cli("sample", "digits", "d")
    assert (code, out, err) == (1, "", "Error: d exists and is not an empty folder. Choose another folder.\n")
    code, out, err = cli("sample", "digit", "e")
    assert (code, err) == (
        2,
        'Error: There is no sample "digit". Did you mean "digits"? Known: ages, digits, shapes.\n',
    )
    assert not (tmp_path / "e").exists()


def test_check_without_a_finding(cli: Cli, shapes: Path, unchanged: None) -> None:
    code, out, err = cli("check", shapes)
    assert code == 0 and err == ""
    assert out.splitlines()[0].split() == ["class", "train", "test"]
    assert out.splitlines()[5].split() == ["all", "48", "12"]
    assert "sizes (height × width): all 32 × 32\nmodes: RGB 60\n" in out
    assert out.endswith("\nNo findings: ready to train.\n")


def test_check_with_findings(cli: Cli, shapes: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(shapes, data)
    (data / "train" / "star" / "bad.png").write_bytes(b"no image")
    before = sorted(data.rglob("*"))
    code, out, err = cli("check", data)
    assert code == 1 and err == ""
    assert "error: train/star/bad.png: " in out and out.endswith("\n1 finding\n")
    code, out, err = cli("check", data, "--json")
    content = json.loads(out)
    assert code == 1 and content["ok"] is False
    assert content["findings"][0]["where"] == "train/star/bad.png"
    (data / "train" / "star" / "worse.png").write_bytes(b"")
    assert cli("check", data).out.endswith("\n2 findings\n")
    assert [path for path in sorted(data.rglob("*")) if path.name != "worse.png"] == before


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_check_of_nothing(name: str, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, out, err = cli("check", name)
    assert code == (2 if name == "nothing" else 1) and out == "" and err.count("\n") == 1
