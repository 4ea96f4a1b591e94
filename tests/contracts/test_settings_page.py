"""Every page that a script of docs/ writes is what the script writes now."""

import runpy
from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).parents[2] / "docs").glob("make_*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_the_pages_of_a_script_are_current(script: Path) -> None:
    for path, text in runpy.run_path(str(script))["pages"]().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python docs/{script.name}"
