"""A small network trained on drawn shapes, and the run that it is from."""

from pathlib import Path

import pytest

from mirada.cli import run
from mirada.data.examples.shapes import write_shapes


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory, module_cache: None) -> Path:
    """75 images of 32 pixels in four classes, 12 of them in the test, and their boxes."""
    root = tmp_path_factory.mktemp("data") / "shapes"
    write_shapes(root, count=75, size=32)
    return root


@pytest.fixture(scope="module")
def trained(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two epochs."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    options = ["--model", "resnet20", "--epochs", "2", "--batch-size", "16", "--device", "cpu"]
    assert run(["train", str(shapes), *options, "--output", str(folder)]) == 0
    return folder
