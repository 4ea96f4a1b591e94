"""docs/settings.md is what the records say."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_of_settings_is_current() -> None:
    pages = runpy.run_path(str(ROOT / "docs" / "make_settings.py"))["pages"]()
    for path, text in pages.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python docs/make_settings.py"
