"""Writes the notebooks in docs/notebooks from pages of the guide: the text as it is, each block of Python as a cell.

Run it as ``python docs/make_notebooks.py``; a test says when that was forgotten. ``make notebooks`` executes them.
"""

import json
import re
from doctest import DocTestParser
from pathlib import Path

DOCS = Path(__file__).parent
PAGES = ("guide/first-steps.md", "guide/gradients.md", "guia/convolucion-y-gradientes.md")
BLOCK = re.compile(r"^```python\n(.*?)^```\n", flags=re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|#)([^)]+)\)")


def pages() -> dict[Path, str]:
    """What each file must hold."""
    return {DOCS / "notebooks" / f"{Path(page).stem}.ipynb": notebook(DOCS / page) for page in PAGES}


def notebook(page: Path) -> str:
    """A page as a notebook, without outputs: they are for who runs it."""
    text, cells, end = page.read_text(encoding="utf-8"), [], 0
    for block in BLOCK.finditer(text):
        cells += [words(text[end : block.start()], page), *map(code, pieces(block[1]))]
        end = block.end()
    cells.append(words(text[end:], page))
    numbered = [{**cell, "id": f"cell-{number}"} for number, cell in enumerate(cells) if cell["source"]]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"cells": numbered, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def words(text: str, page: Path) -> dict[str, object]:
    """A cell of Markdown, whose links start from the folder of notebooks."""
    moved = LINK.sub(lambda found: f"](../{page.parent.name}/{found[1]})", text.strip())
    return {"cell_type": "markdown", "metadata": {}, "source": moved.splitlines(keepends=True)}


def pieces(block: str) -> list[str]:
    """The code of a block; of examples with ``>>>`` a piece ends where something is shown."""
    examples = DocTestParser().get_examples(block)
    if not examples:
        return [block]
    found = [""]
    for example in examples:
        found[-1] += example.source
        if example.want:
            found.append("")
    return [piece for piece in found if piece]


def code(piece: str) -> dict[str, object]:
    """A cell of Python."""
    source = piece.strip().splitlines(keepends=True)
    return {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": source}


def main() -> None:
    """Writes the files."""
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
