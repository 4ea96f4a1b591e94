"""A plan for the time there is: what fits, what is kept, and that the plan is a recipe."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mirada
from mirada.errors import InvalidArgument, RecipeError
from mirada.jobs.plan import AROUND, SHARE, Costs, Counts, Plan, decided, duration, epochs_in
from mirada.training.recipe import recipe_for
from mirada.training.recipe_text import read_settings

COUNTS = Counts(train=96, val=20, test=30, batch_size=32)
SIZES = [(32, 32), (64, 64), (128, 128)]
Size = tuple[int, int]


def quadratic(size: Size) -> Costs:
    """A step takes 0.1 s at 32 × 32 pixels, and in proportion to the pixels."""
    pixels = size[0] * size[1] / 1024
    return Costs(step=0.1 * pixels, forward=0.001 * pixels, decoding=0.01)


def test_a_run_takes_what_its_parts_take() -> None:
    costs = Costs(step=0.5, forward=0.01, decoding=0.02)
    # 146 images decoded, 4 epochs of 3 steps and 20 validation images, and 50 images judged at the end
    assert duration(4, costs, COUNTS) == pytest.approx(
        AROUND + 146 * 0.02 + 4 * (3 * 0.5 + 20 * 0.01) + 50 * 0.01
    )


@pytest.mark.parametrize("minutes", [0.3, 1, 2.5, 7, 30])
def test_as_many_epochs_as_fit_and_not_one_more(minutes: float) -> None:
    costs = Costs(step=0.5, forward=0.01, decoding=0.02)
    epochs = epochs_in(minutes, costs, COUNTS)
    assert duration(epochs, costs, COUNTS) <= 60 * minutes * SHARE < duration(epochs + 1, costs, COUNTS)


def plan_for(minutes: float, sizes: list[Size] = SIZES, **more: Any) -> Plan:
    recipe = recipe_for("resnet20").with_settings({"epochs": 30})
    return decided(recipe, sizes, COUNTS, quadratic, minutes=minutes, **more)


def test_the_largest_images_at_which_the_usual_epochs_fit() -> None:
    """An epoch takes 0.32 s, 1.28 s and 5.12 s: thirty take 10, 38 and 154 s."""
    found = {minutes: plan_for(minutes).recipe.pixels.image_size for minutes in (0.5, 1.0, 2.5, 3.5)}
    assert found == {0.5: (32, 32), 1.0: (64, 64), 2.5: (64, 64), 3.5: (128, 128)}


def test_the_time_that_is_left_goes_into_epochs() -> None:
    planned = plan_for(2.5)
    assert planned.recipe.epochs == epochs_in(2.5, quadratic((64, 64)), COUNTS) > 30
    assert planned.seconds == pytest.approx(duration(planned.recipe.epochs, quadratic((64, 64)), COUNTS))
    assert "at 128 × 128 only 24 epochs would" in str(planned)


def test_more_than_ten_times_the_usual_epochs_are_not_planned() -> None:
    planned = plan_for(600)
    assert planned.recipe.epochs == 300 and planned.seconds < 600 * 60
    assert "teach little" in str(planned)


def test_too_few_minutes_for_the_usual_epochs_leave_the_smallest_images() -> None:
    planned = plan_for(0.25)
    assert planned.recipe.pixels.image_size == (32, 32) and 1 <= planned.recipe.epochs < 30
    assert "the smallest; not even so would 30 epochs, the usual number, fit" in str(planned)


def test_no_larger_size_is_measured_than_is_needed() -> None:
    asked: list[Size] = []

    def measure(size: Size) -> Costs:
        asked.append(size)
        return quadratic(size)

    decided(recipe_for("resnet20"), SIZES, COUNTS, measure, minutes=0.5)
    assert asked == [(32, 32), (64, 64)]


def test_minutes_that_do_not_do_for_one_epoch() -> None:
    with pytest.raises(
        RecipeError, match=r"0\.1 minutes are too few: resnet20 at 32 × 32 pixels takes 0\.1 minutes"
    ):
        plan_for(0.1)


def test_epochs_that_are_kept() -> None:
    planned = plan_for(3.5, keep_epochs=True)
    assert planned.recipe.epochs == 30 and [choice.key for choice in planned.choices] == ["image_size"]
    with pytest.raises(RecipeError, match="for 30 epochs"):
        plan_for(0.25, keep_epochs=True)


def test_a_size_that_is_kept_is_not_weighed() -> None:
    planned = plan_for(3.5, sizes=[(64, 64)])
    assert planned.recipe.pixels.image_size == (64, 64)
    assert [choice.key for choice in planned.choices] == ["epochs"]


def test_a_plan_is_a_recipe(tmp_path: Path) -> None:
    planned = plan_for(2.5)
    (file := tmp_path / "plan.toml").write_text(planned.to_toml(), encoding="utf-8")
    assert recipe_for("resnet20").with_settings(read_settings(file)) == planned.recipe
    comments = [line[2:] for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("# ")]
    assert comments == str(planned).split("\n") and len(comments) == 1 + len(planned.choices)


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf")])
def test_minutes_that_are_none(minutes: float, shapes: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"`minutes` must be above 0\. Got "):
        mirada.plan(shapes, minutes=minutes)


def test_what_cannot_be_kept(shapes: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"`keep` takes .* Got .lr"):
        mirada.plan(shapes, keep=["lr"])


@pytest.fixture
def shapes(tmp_path: Path, cli: Callable[..., Any]) -> Path:
    assert cli("sample", "shapes", "shapes").code == 0
    return tmp_path / "shapes"


def test_sizes_are_those_of_the_images(shapes: Path) -> None:
    """Images of 64 pixels are not enlarged, though the network is one of 224."""
    recipe = recipe_for("resnet18").with_settings({"batch_size": 4})
    planned = mirada.plan(shapes, minutes=1000, recipe=recipe)
    assert planned.recipe.pixels.image_size == (64, 64)
    assert planned.recipe == recipe.with_settings({"image_size": [64, 64], "epochs": planned.recipe.epochs})


def test_plan_and_train_on_the_command_line(shapes: Path, cli: Callable[..., Any]) -> None:
    command = ("plan", "shapes", "--model", "simplecnn", "--minutes", 0.5, "--set", "image_size=32")
    code, out, err = cli(*command, "--output", "plan.toml")
    assert (code, err) == (0, "") and "epochs = " in out and "image_size" not in out
    again = cli(*command, "--output", "plan.toml")
    assert again.code == 0 and again.out.splitlines()[-1] == "plan-2.toml" and Path("plan-2.toml").is_file()
    assert again.err == "plan.toml exists already, and is not overwritten: written to plan-2.toml\n"
    epochs = tomllib.loads(Path("plan.toml").read_text(encoding="utf-8"))["epochs"]
    assert epochs >= 1
    done = cli(
        "train", "shapes", "--model", "simplecnn", "--minutes", 1, "--epochs", 1, "--image-size", 32,
        "--output", "run",
    )  # fmt: skip
    assert done.code == 0, done.err
    planned = Path("run/plan.toml").read_text(encoding="utf-8")
    assert planned.startswith("# A plan for 1 minutes: simplecnn")
    assert tomllib.loads(planned) == tomllib.loads(Path("run/recipe.toml").read_text(encoding="utf-8")) | {
        "augment": tomllib.loads(planned)["augment"]
    }
    assert tomllib.loads(planned)["epochs"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--minutes", "0"), "`minutes` must be above 0. Got 0."),
        (("--minutes", "0.001"), "0.001 minutes are too few: simplecnn at 32 × 32 pixels takes "),
        (("--output", "no/such/plan.toml"), "there is no folder no/such to write plan.toml into."),
    ],
)
def test_wrong_use(arguments: tuple[str, ...], said: str, shapes: Path, cli: Callable[..., Any]) -> None:
    code, out, err = cli("plan", "shapes", "--model", "simplecnn", *arguments)
    assert (code, out) == (2, "") and said in err and err.count("\n") == 1
