"""The pages on the lecture notes are complete, and every test that they name is there.

That they are what their data files say is held by contracts/test_settings_page; that the commands, options, settings,
names and links on them exist, by test_docs and test_readme for all pages.
"""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from mirada.summary.stack import plan

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
HISTORY = {12, 24, 31, 53, 55}  # of errata: sources, dates and letters, with nothing to compute


def rows(name: str) -> dict[int, str]:
    """The rows of a page's table by their numbers."""
    lines = (DOCS / name).read_text(encoding="utf-8").splitlines()
    numbered = [(int(found[1]), line) for line in lines if (found := re.match(r"\| (\d+) \|", line))]
    assert len(numbered) == len(dict(numbered))
    return dict(numbered)


def named_tests(text: str) -> list[tuple[str, str]]:
    """``file.py::test`` in code, as file and function."""
    return re.findall(r"`([\w/]+\.py)::(test_\w+)`", text)


@cache
def functions(path: Path) -> set[str]:
    """The tests that a file defines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_point_is_there_and_computed_where_it_can_be() -> None:
    points = rows("errata.md")
    assert list(points) == list(range(1, 68))
    assert {number for number, row in points.items() if not named_tests(row)} == HISTORY


def test_every_item_of_the_notes_is_there_and_shown_or_said_to_be_missing() -> None:
    items = rows("notes-coverage.md")
    assert list(items) == list(range(1, 162))
    for number, row in items.items():
        assert named_tests(row) or "**not**" in row, number


def test_a_dense_layer_in_the_place_of_c1() -> None:
    assert plan("dense 4704", (1, 32, 32)).parameters == 4_821_600 == (32**2 + 1) * 28**2 * 6


def test_the_frameworks_of_the_notes_are_told_of() -> None:
    page = (DOCS / "guide" / "tools.md").read_text(encoding="utf-8")
    named = ("Caffe", "Torch", "Theano", "TensorFlow", "PaddlePaddle", "CNTK", "MXNet")
    assert [name for name in named if f"| {name} |" not in page] == []


@pytest.mark.parametrize("page", ["errata.md", "notes-coverage.md"])
def test_every_test_that_a_page_names_is_there(page: str) -> None:
    named = named_tests((DOCS / page).read_text(encoding="utf-8"))
    assert len(named) > 50
    for file, function in named:
        assert function in functions(ROOT / "tests" / file), f"{file}::{function}"
