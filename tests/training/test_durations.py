"""A training's length in any unit, as whole epochs."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from mirada.cli import run
from mirada.errors import RecipeError
from mirada.training.durations import Length, in_epochs, length_of
from mirada.training.recipe import Recipe


def never(minutes: float) -> int:
    raise AssertionError("only minutes are measured")


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("64000 steps", Length(64_000, "steps")),
        ("64_000steps", Length(64_000, "steps")),
        ("1,281,167 images", Length(1_281_167, "images")),
        ("1e6 images", Length(1e6, "images")),
        ("1 step", Length(1, "steps")),
        ("12.5 min", Length(12.5, "minutes")),
        ("2h", Length(2, "hours")),
        (" 90 epochs ", Length(90, "epochs")),
    ],
)
def test_what_is_written(text: str, length: Length) -> None:
    assert length_of(text) == length


@pytest.mark.parametrize(
    "text",
    [
        "steps",
        "90",
        "-3 steps",
        "0 steps",
        "0.0 min",
        "3 weeks",
        "1e400 images",
        "3 steps 2",
        "three steps",
        "1.2.3 h",
        "1,5h",  # one and a half, as many write it
        "1,2345 steps",
        "1,,200 steps",
        "64_ steps",
        pytest.param("9" * 400 + " epochs", id="400 digits"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="`duration` must be a number above 0 with epochs, steps"):
        length_of(text)


@pytest.mark.parametrize(
    ("duration", "epochs"),
    [
        # 845 images in batches of 32 are 27 steps an epoch.
        ("27 steps", 1),
        ("28 steps", 2),
        ("64000 steps", 2371),
        ("845 images", 1),
        ("846 images", 2),
        ("90 epochs", 90),
        ("2.5 epochs", 3),
    ],
)
def test_epochs_are_whole_ones(duration: str, epochs: int) -> None:
    recipe, note = in_epochs(Recipe(duration=duration, batch_size=32), 845, never)
    assert recipe.epochs == epochs and recipe.duration == ""
    assert f"{duration} are {epochs:,} epoch" in note and "27 steps with 845 images" in note
    assert in_epochs(recipe, 845, never) == (recipe, "")  # once, and never again


def test_minutes_are_asked_for() -> None:
    asked: list[float] = []

    def within(minutes: float) -> int:
        asked.append(minutes)
        return int(minutes // 10)

    assert in_epochs(Recipe(duration="1.5 hours"), 100, within)[0].epochs == 9
    assert asked == [90]
    with pytest.raises(RecipeError, match="not even one epoch fits into 5 min"):
        in_epochs(Recipe(duration="5 min"), 100, within)


def test_a_run_says_what_became_of_its_duration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], write_noise: Callable[..., None]
) -> None:
    """20 images to train on, in batches of 8, are 3 steps an epoch; 6 steps are 2 epochs."""
    for part, count in (("train", 10), ("val", 3), ("test", 3)):
        write_noise(tmp_path / "photos" / part, count)
    options = ["--model", "lenet5", "--batch-size", "8", "--device", "cpu", "--output", str(tmp_path / "run")]
    assert run(["train", str(tmp_path / "photos"), *options, "--set", "duration=6 steps"]) == 0
    assert "6 steps are 2 epochs of 3 steps with 20 images each" in capsys.readouterr().out
    assert len((tmp_path / "run/results.csv").read_text().splitlines()) == 1 + 2
    recipe = tomllib.loads((tmp_path / "run/recipe.toml").read_text())
    assert recipe["epochs"] == 2 and recipe["duration"] == ""
    assert run(["train", str(tmp_path / "photos"), *options[:-2], "--set", "duration=6 weeks"]) == 2
    assert "such as 64000 steps" in capsys.readouterr().err


def test_the_epochs_of_several_runs_are_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], write_noise: Callable[..., None]
) -> None:
    """Of folds those that the first one asks for."""
    write_noise(tmp_path / "photos", 15)
    options = ["--model", "lenet5", "--batch-size", "8", "--device", "cpu", "--set", "duration=4 steps"]
    for several, name in ((["--folds", "3"], "folds"), (["--seeds", "2"], "seeds")):
        output = tmp_path / name
        assert run(["train", str(tmp_path / "photos"), *options, *several, "--output", str(output)]) == 0
        assert "4 steps are 2 epochs of " in capsys.readouterr().out
        members = list(output.glob("*/recipe.toml"))
        assert len(members) == int(several[1])
        assert {tomllib.loads(file.read_text())["epochs"] for file in members} == {2}
