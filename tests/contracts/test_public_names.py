"""The names of ``mirada``: few, sorted, each with one home, and loaded only when they are used."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import mirada


def test_few_and_sorted() -> None:
    assert mirada.__all__ == sorted(mirada.__all__)
    assert len(mirada.__all__) == len(set(mirada.__all__)) <= 32
    assert dir(mirada) == mirada.__all__


@pytest.mark.parametrize("name", mirada.__all__)
def test_each_resolves_to_what_its_home_defines(name: str) -> None:
    thing = getattr(mirada, name)
    home = importlib.import_module(mirada._HOMES[name])
    assert thing is getattr(home, name)
    assert thing.__name__ == name
    assert thing.__module__.startswith(home.__name__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"module 'mirada' has no attribute 'trian'"):
        _ = mirada.trian


def test_type_checkers_see_the_same_names() -> None:
    """The TYPE_CHECKING block re-exports exactly what is loaded on demand, from the same homes."""
    tree = ast.parse(Path(mirada.__file__).read_text(encoding="utf-8"))
    (block,) = [n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    seen = {}
    for line in block.body:
        assert isinstance(line, ast.ImportFrom)
        for alias in line.names:
            assert alias.asname == alias.name  # the form that re-exports
            seen[alias.name] = line.module
    assert seen == mirada._HOMES


def test_importing_it_is_light() -> None:
    heavy = ("torch", "numpy", "PIL", "sklearn", "jinja2", "click", "rich", "safetensors")
    code = f"import sys, mirada; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_version_is_that_of_the_package_and_of_the_citation() -> None:
    from importlib.metadata import version

    assert mirada.__version__ == version("mirada")
    citation = (Path(__file__).parents[2] / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {mirada.__version__}\n" in citation and "license: Apache-2.0\n" in citation
