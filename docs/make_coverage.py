"""Writes docs/errata.md and docs/notes-coverage.md, on the lecture notes, from the two TOML files of the same names.

Run it as ``python docs/make_coverage.py`` where Mirada is installed; a test says when that was forgotten.
"""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
COMMAND = "python docs/make_coverage.py"
NOTES = "S. Calderón's lecture notes on convolutional networks (*Redes convolucionales*, 1 May 2019)"
ERRATA = f"""# Errata of the lecture notes

Where {NOTES}
disagree with the papers that they tell of, or with arithmetic, and what Mirada does. Most points can be computed: a
test does so with what the network, its summary or the NumPy reference gives, not with a constant written down twice.
The others are history or wording.
"""
COVERAGE = f"""# The lecture notes, item by item

What {NOTES}
describe, where it is in Mirada, and the tests that show it. What is not there, or in part, says why. What the notes
have wrong is in [errata](errata.md).
"""


def pages() -> dict[Path, str]:
    """What each file must hold."""
    return {DOCS / "errata.md": errata(), DOCS / "notes-coverage.md": coverage()}


def errata() -> str:
    """The page of what the notes have wrong."""
    computed = tests_by_number()
    rows = []
    for point in read("errata.toml")["point"]:
        tests = computed.get(point["number"], []) + point.get("tests", [])
        shown = cells_of_tests(tests) or "–"
        rows.append(
            [
                str(point["number"]),
                point["section"],
                *(point[key] for key in ("notes", "truth", "mirada")),
                shown,
            ]
        )
    header = ["#", "§", "the notes say", "it is", "Mirada", "computed by"]
    return page(ERRATA, "errata.toml", header, rows)


def coverage() -> str:
    """The page of where everything is that the notes describe."""
    items = read("notes-coverage.toml")["item"]
    rows = []
    for item in items:
        shown = cells_of_tests(item.get("tests", [])) or "–"
        rows.append([str(item["number"]), item["section"], item["item"], place(item), shown])
    whole, part = (
        sum("missing" not in item for item in items),
        sum({"missing", "where"} <= item.keys() for item in items),
    )
    counts = (
        f"Of {len(items)} items {whole} are there, {part} in part, and {len(items) - whole - part} not.\n"
    )
    return page(f"{COVERAGE}\n{counts}", "notes-coverage.toml", ["#", "§", "item", "where", "shown by"], rows)


def place(item: dict[str, Any]) -> str:
    """Where an item is, and what is missing of it."""
    if "missing" not in item:
        return str(item["where"])
    if "where" not in item:
        return f"**not**: {item['missing']}"
    return f"{item['where']}. **In part**: {item['missing']}"


def tests_by_number() -> dict[int, list[str]]:
    """The tests of errata by the number that their names begin with."""
    found: dict[int, list[str]] = {}
    text = (ROOT / "tests" / "test_errata.py").read_text(encoding="utf-8")
    for name, number in re.findall(r"^def (test_(\d\d)_\w+)", text, flags=re.MULTILINE):
        found.setdefault(int(number), []).append(f"test_errata.py::{name}")
    return found


def read(name: str) -> dict[str, Any]:
    """A data file beside this script."""
    return tomllib.loads((DOCS / name).read_text(encoding="utf-8"))


def cells_of_tests(tests: Iterable[str]) -> str:
    """Names of tests, each with its file, as code."""
    return ", ".join(f"`{test}`" for test in tests)


def page(introduction: str, source: str, header: list[str], rows: list[list[str]]) -> str:
    """One table behind an introduction."""
    written = f"<!-- Written by `{COMMAND}` from docs/{source}; run it again after a change there. -->"
    lines = [written, "", introduction, line(header), line(["---"] * len(header)), *map(line, rows)]
    return "\n".join([*lines, ""])


def line(cells: list[str]) -> str:
    """A row of Markdown, in which a bar is no border."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def main() -> None:
    """Writes the files."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
