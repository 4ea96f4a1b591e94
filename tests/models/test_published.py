"""The published accuracies fit the catalogue, and the tables that are made of both are up to date."""

import runpy
import subprocess
import sys
import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

from mirada.models import CATALOGUE
from mirada.models import published as module
from mirada.models.published import Published, read_published

ROOT = Path(__file__).parents[2]
FIGURES = read_published()


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_fits_its_network(name: str) -> None:
    figure, entry = FIGURES[name], CATALOGUE[name]
    assert (figure.crop, figure.crop) == entry.image[1:]
    assert (
        figure.dataset
        == {1000: "ImageNet", 10: "MNIST" if entry.image[0] == 1 else "CIFAR-10"}[entry.num_classes]
    )
    assert 50 < figure.top1 < 100
    assert figure.top5 is None or figure.top1 < figure.top5 < 100
    assert figure.measured in ("1 crop", "10 crops", "whole images")
    assert figure.source
    assert figure.weights


@pytest.mark.parametrize(
    ("name", "top1", "top5"),
    [  # from torchvision's weights, timm's results, Caffe's readme and He et al. 2015, Table 6, in that order
        ("alexnet_owt", 56.522, 79.066),
        ("vgg16", 71.592, 90.382),
        ("resnet50", 76.130, 92.862),
        ("densenet201", 76.896, 93.370),
        ("inception_v4", 80.156, 94.968),
        ("alexnet", 57.1, 80.2),
        ("resnet20", 100 - 8.75, None),
        ("resnet110", 100 - 6.43, None),
    ],
)
def test_figures_as_published(name: str, top1: float, top5: float | None) -> None:
    assert (FIGURES[name].top1, FIGURES[name].top5) == (pytest.approx(top1), top5)


def test_deeper_networks_of_a_family_are_more_accurate() -> None:
    """A slip of a digit would break the order that the sources have."""
    for family in (
        ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"],
        ["resnet20", "resnet32", "resnet44", "resnet56", "resnet110"],
        ["vgg11", "vgg13", "vgg16", "vgg19"],
        ["vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"],
        ["densenet121", "densenet169", "densenet201", "densenet161"],
    ):
        top1 = [FIGURES[name].top1 for name in family]
        assert top1 == sorted(top1)


def test_every_source_is_used_and_none_is_missing() -> None:
    table = tomllib.loads(module.FILE.read_text(encoding="utf-8"))
    assert {figure["from"] for figure in table["networks"].values()} == table["sources"].keys()


def test_a_figure_says_where_it_is_from() -> None:
    figure = Published(
        top1=1.0, dataset="d", measured="m", crop=1, weights="theirs", source="Someone 2020, Table 1"
    )
    assert figure.reference == "Someone 2020, Table 1 (theirs)"
    assert asdict(figure)["top5"] is None


def test_reading_them_takes_no_torch() -> None:
    code = "import sys, mirada.models.published as p; p.read_published(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_file_is_among_what_the_package_ships() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["mirada"]
    package = ROOT / "src" / "mirada"
    assert module.FILE in {file for pattern in patterns for file in package.glob(pattern)}


def test_the_tables_are_up_to_date() -> None:
    pages = runpy.run_path(str(ROOT / "docs" / "make_networks.py"))["pages"]()
    for path, text in pages.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python docs/make_networks.py"


def test_the_page_has_a_row_per_network() -> None:
    text = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
    rows = {line.split("|")[1].strip(" `"): line for line in text.splitlines() if line.startswith("| `")}
    assert rows.keys() == CATALOGUE.keys()
    assert "| 25,557,032 | 4,089,184,256 | 76.13 % | 92.862 % | [" in rows["resnet50"]
    assert "| 813,217 | 11,874,816 | – | – |  |" in rows["simplecnn"]
