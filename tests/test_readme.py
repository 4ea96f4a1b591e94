"""The guide's recipe and script work, and no link leads nowhere."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mirada.cli import run
from mirada.training.recipe import Recipe, recipe_for
from mirada.training.recipe_text import read_settings

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "guide"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


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


def test_the_guides_stacks_train(photos: Path) -> None:
    """Every line of a terminal that trains one, with few epochs; the file of the page is the stack beside it."""
    page = (GUIDE / "own-network.md").read_text()
    (photos / "own.txt").write_text(re.findall(r"```text\n(.*?)```", page, flags=re.DOTALL)[0])
    lines = [line for line in page.splitlines() if line.startswith("mirada train")]
    assert len(lines) == 3
    for line in lines:
        assert run([*shlex.split(line)[1:], "--epochs", "1"]) == 0
    assert (photos / "runs" / "photos-layers-3" / "model.safetensors").is_file()
    texts = [(photos / "runs" / f"photos-layers{end}" / "recipe.toml").read_text() for end in ("", "-2")]
    stacks = [tomllib.loads(text)["options"]["layers"] for text in texts]
    assert stacks[0].replace("; pool k2; gap", "; gap") == stacks[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_points_to_is_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def anchors(page: Path) -> set[str]:
    """What links may lead to within a page: its headings, as GitHub and MyST write them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_sections_that_a_page_points_to_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target, section in re.findall(r"\]\(([^)#:]*\.md)?#([^)]+)\)", text):
        assert section in anchors(page.parent / target if target else page), f"{target}#{section}"


def recipe_of(name: str) -> Recipe:
    settings = read_settings(GUIDE / name)
    return recipe_for(str(settings["model"])).with_settings(settings)


def test_the_guides_recipes_are_recipes() -> None:
    hands, longer, scratch = map(recipe_of, ("bone-age.toml", "bone-age-longer.toml", "scratch.toml"))
    assert hands.pixels.clahe == 2 and hands.augment.fill == "black"
    assert longer.epochs == 2 * hands.epochs and longer.average.kind == "ema"
    assert scratch.flip_average and scratch.optimizer.weight_decay == 0.05 and scratch.augment.cutmix == 1


def test_the_guides_baselines(tmp_path: Path) -> None:
    """Ages that are linear in the brightness: least squares finds them, and the mean is off by what NumPy says."""
    random = np.random.default_rng(0)
    ages = random.integers(20, 200, 40)
    rows, splits = ["filename,boneage,male"], ["path,split"]
    for number, age in enumerate(ages):
        Image.fromarray(np.full((40, 40), age, np.uint8)).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{age},{number % 2 == 0}")
        splits.append(f"{number}.png,{'test' if number >= 30 else 'train'}")
    (tmp_path / "ages.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "splits.csv").write_text("\n".join(splits) + "\n")
    script = [sys.executable, str(GUIDE / "bone_age_baselines.py"), "ages.csv", "splits.csv"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    said = {
        line[:14].strip(): float(line.split()[line.split().index("MAE") + 1])
        for line in done.stdout.splitlines()
    }
    assert said["mean"] == pytest.approx(np.abs(ages[30:] - ages[:30].mean()).mean(), abs=0.06)
    assert said["median"] == pytest.approx(np.abs(ages[30:] - np.median(ages[:30])).mean(), abs=0.06)
    assert said["least squares"] < 0.1 and said["ridge"] < 5
