"""The Python of the pages and of the docstrings is run by Sybil: a test for each block of a page, and for each ``>>>``.

The blocks of a page share their names, and so do the examples of a module, which begin with the module's own.
"""

import gc
from collections.abc import Iterator
from contextlib import chdir
from doctest import NORMALIZE_WHITESPACE
from pathlib import Path

import numpy as np
import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser

ROOT = Path(__file__).parent
PAGES = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/**/*.md", "docs/*.md"],
    fixtures=["place_of_the_page"],
)
DOCSTRINGS = Sybil(
    parsers=[DocTestParser(optionflags=NORMALIZE_WHITESPACE)],
    patterns=["src/mirada/**/*.py", "src/mirada/*.py"],
)

pytest_collect_file = (PAGES + DOCSTRINGS).pytest()


def pytest_sessionstart() -> None:
    """Thirteen thousand tests are collected with the garbage collector off: a third of the time, in every process."""
    gc.disable()


def pytest_collection_finish() -> None:
    """They stay, and are not searched again."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="module")
def place_of_the_page(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """An empty folder to work in, with what a reader of the page has by then."""
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch, chdir(folder):
        patch.setenv("MIRADA_CACHE", str(folder / "cache"))
        page = request.path.relative_to(ROOT).as_posix()
        if page in ("README.md", "docs/guide/own-network.md"):
            photos()
        if page == "docs/guide/wrong-labels.md":
            predictions_of_folds()
        yield folder


def photos() -> None:
    """A folder of dark cats and bright dogs."""
    from PIL import Image

    random = np.random.default_rng(0)
    for name, level in (("cat", 60), ("dog", 180)):
        folder = Path("photos") / name
        folder.mkdir(parents=True)
        for number in range(1, 21):
            pixels = random.normal(level, 20, (64, 64, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:03}.png")


def predictions_of_folds() -> None:
    """What a cross-validation leaves, of three images."""
    from mirada.evaluation.predictions import Predictions
    from mirada.samples import Classes

    folder = Path("runs/photos-resnet20-folds")
    folder.mkdir(parents=True)
    Predictions(
        paths=("1.png", "2.png", "3.png"),
        splits=np.full(3, "test"),
        target=Classes(("cat", "dog")),
        targets=np.array([0, 1, 1]),
        outputs=np.array([[0.9, 0.1], [0.2, 0.8], [0.95, 0.05]]),
    ).to_csv(folder / "predictions.csv")
