"""Every block of Python on the pages runs: examples with ``>>>`` give what they say, the others run to their end.

The blocks of a page share their names. What a reader of the page has by then, a function here makes beforehand.
"""

import doctest
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mirada.evaluation.predictions import Predictions
from mirada.samples import Classes

ROOT = Path(__file__).parents[1]
PAGES = {page.relative_to(ROOT / "docs").as_posix(): page for page in sorted((ROOT / "docs").rglob("*.md"))}
BLOCK = re.compile(r"^```python\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)


def predictions_of_folds() -> None:
    """What a cross-validation leaves, of three images."""
    folder = Path("runs/photos-resnet20-folds")
    folder.mkdir(parents=True)
    outputs = np.array([[0.9, 0.1], [0.2, 0.8], [0.95, 0.05]])
    Predictions(
        paths=("1.png", "2.png", "3.png"),
        splits=np.full(3, "test"),
        target=Classes(("cat", "dog")),
        targets=np.array([0, 1, 1]),
        outputs=outputs,
    ).to_csv(folder / "predictions.csv")


def photos() -> None:
    """A folder of dark cats and bright dogs."""
    random = np.random.default_rng(0)
    for name, level in (("cat", 60), ("dog", 180)):
        folder = Path("photos") / name
        folder.mkdir(parents=True)
        for number in range(1, 21):
            pixels = random.normal(level, 20, (32, 32, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:03}.png")


BEFORE = {"guide/wrong-labels.md": predictions_of_folds, "guide/own-network.md": photos}


def blocks(page: Path) -> list[tuple[int, str]]:
    """The Python of a page, each block with the number of lines before it."""
    text = page.read_text(encoding="utf-8")
    return [(text.count("\n", 0, found.start(1)), found[1]) for found in BLOCK.finditer(text)]


@pytest.mark.parametrize("name", [name for name, page in PAGES.items() if blocks(page)])
def test_the_python_of_a_page_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    BEFORE.get(name, lambda: None)()
    names: dict[str, object] = {"__name__": "page"}
    for line, block in blocks(PAGES[name]):
        if ">>>" in block:
            example = doctest.DocTestParser().get_doctest(block, names, name, name, line)
            example.globs = names  # what it defines, the next block knows
            outcome = doctest.DocTestRunner(verbose=False).run(example, clear_globs=False)
            assert outcome.failed == 0
        else:
            exec(compile("\n" * line + block, name, "exec"), names)


def test_there_are_such_pages() -> None:
    assert "guide/gradients.md" in [name for name, page in PAGES.items() if blocks(page)]
