"""The README's Python runs as it stands, and its links and figures lead somewhere."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``photos/cat`` is dark, ``photos/dog`` is bright; the working folder is beside them."""
    random = np.random.default_rng(0)
    for name, level in (("cat", 60), ("dog", 180)):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for number in range(1, 21):
            pixels = random.normal(level, 20, (64, 64, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:03}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_examples_run(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    (record,) = json.loads(capsys.readouterr().out.replace("'", '"').replace("None", "null"))
    assert record["predicted"] == "cat"
    assert (photos / "runs" / "photos-simplecnn" / "report.html").is_file()


def test_what_it_points_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if "://" not in target:
            assert (ROOT / target).exists(), target
