"""``rate``: what it says, and what it leaves."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_the_command_line(cli: Callable[..., Any], shapes: Path) -> None:
    """Nothing but the page is left behind, and the page has both rates."""
    code, out, err = cli("rate", shapes, "--model", "lenet5", "--image-size", 32, "--device", "cpu")
    assert code == 0, err
    said, file = out.splitlines()[-2:]
    assert file == "rate.html" and "the recipe has 0.002." in said
    page = Path("rate.html").read_text(encoding="utf-8")
    assert "recipe: 0.002" in page and "10⁻⁷" in page and page.count('<path class="line') == 2
    assert [path.name for path in Path().iterdir()] == ["rate.html"]


def test_its_figure_and_its_numbers_for_a_paper(cli: Callable[..., Any], shapes: Path) -> None:
    tiny = ("--model", "lenet5", "--image-size", 32, "--device", "cpu")
    code, out, err = cli("rate", shapes, *tiny, "--paper", "paper")
    assert code == 0, err
    assert out.splitlines()[-2:] == ["paper/figures: 1 figure, each as SVG and PDF", "paper/tables: 1 table"]
    with Path("paper/tables/rates.csv").open(encoding="utf-8", newline="") as stream:
        rates = [float(row["rate"]) for row in csv.DictReader(stream)]
    assert rates[0] == pytest.approx(1e-7) and rates == sorted(rates)
    assert Path("paper/figures/loss-over-the-learning-rate.svg").exists()
