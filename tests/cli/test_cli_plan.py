"""A plan for the time there is: what fits, what is kept, and that the plan is a recipe."""

import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import mirada
from mirada.compute import choose
from mirada.data.examples.shapes import write_shapes
from mirada.data.sources import load_data
from mirada.errors import DataError, InvalidArgument, RecipeError
from mirada.jobs.durations import in_whole_epochs
from mirada.jobs.plan import SHARE, Budget, Plan, decided
from mirada.jobs.train import TrainJob
from mirada.models import create_model
from mirada.training.costs import AROUND, DRAWN, Bench, Costs, Counts, Stretch, duration, features_in
from mirada.training.recipe import Recipe, recipe_for
from mirada.training.recipe_text import read_settings

COUNTS = Counts(train=96, val=20, test=30, batch_size=32)
SIZES = [(32, 32), (64, 64), (128, 128)]
Size = tuple[int, int]


def quadratic(size: Size) -> Costs:
    """A step takes 0.1 s at 32 × 32 pixels, and in proportion to the pixels."""
    pixels = size[0] * size[1] / 1024
    return Costs(step=0.1 * pixels, forward=0.001 * pixels, decoding=0.01, judged=0.001 * pixels)


def unfrozen(recipe: Recipe) -> list[Stretch]:
    return [Stretch(recipe.epochs, 1, quadratic(recipe.pixels.image_size))]


def budget_of(minutes: float, measure: Callable[[Recipe], list[Stretch]] = unfrozen) -> Budget:
    return Budget(COUNTS, measure, lambda: 60 * minutes * SHARE)


def test_a_run_takes_what_its_parts_take() -> None:
    costs = Costs(step=0.5, forward=0.01, decoding=0.02, judged=0.03)
    # 146 images decoded, 4 epochs of 3 steps and 20 validation images; at the end all images seen once, and the maps
    assert duration([Stretch(4, 1, costs)], COUNTS) == pytest.approx(
        AROUND + 146 * 0.02 + 4 * (3 * 0.5 + 20 * 0.01) + (146 + DRAWN) * 0.03
    )


def test_frozen_parts_run_once_a_view_and_then_never_again() -> None:
    """Or in every epoch, where there is no room for what they make."""
    costs = Costs(step=0.5, forward=0.01, decoding=0.0, judged=0.12, before=0.1, row=1000)
    frozen = Stretch(10, 4, costs)
    assert features_in(frozen, COUNTS) == pytest.approx((4 * 96 + 20) * 0.1)
    for free, times in ((434_000, 4), (433_999, 10)):
        cramped = COUNTS._replace(free=free)
        assert features_in(frozen, cramped) == pytest.approx(
            (times * 96 + (1 if times == 4 else 10) * 20) * 0.1
        )
    judged = (50 + DRAWN) * 0.12 + 4 * 96 * 0.01
    assert duration([frozen], COUNTS) == pytest.approx(
        AROUND + features_in(frozen, COUNTS) + 10 * (3 * 0.5 + 20 * 0.01) + judged
    )


@pytest.mark.parametrize("minutes", [0.3, 1, 2.5, 7, 30])
def test_as_many_epochs_as_fit_and_not_one_more(minutes: float) -> None:
    budget, recipe = budget_of(minutes), recipe_for("resnet20")
    epochs = budget.epochs(recipe, 1, 10_000)
    fewer, more = (budget.seconds(replace(recipe, epochs=each)) for each in (epochs, epochs + 1))
    assert fewer <= 60 * minutes * SHARE < more


def plan_for(minutes: float, sizes: list[Size] = SIZES, **more: Any) -> Plan:
    recipe = recipe_for("resnet20").with_settings({"epochs": 30})
    return decided(recipe, minutes, budget_of(minutes), sizes, **more)


def test_the_largest_images_at_which_the_usual_epochs_fit() -> None:
    """An epoch takes 0.32 s, 1.28 s and 5.12 s: thirty take 10, 38 and 154 s."""
    found = {minutes: plan_for(minutes).recipe.pixels.image_size for minutes in (0.5, 1.0, 2.5, 3.5)}
    assert found == {0.5: (32, 32), 1.0: (64, 64), 2.5: (64, 64), 3.5: (128, 128)}


def test_the_time_that_is_left_goes_into_epochs() -> None:
    planned = plan_for(2.5)
    assert planned.recipe.epochs == budget_of(2.5).epochs(planned.recipe, 1, 1000) > 30
    assert planned.seconds == pytest.approx(budget_of(2.5).seconds(planned.recipe))
    assert "at 128 × 128 only 24 epochs would" in str(planned)


def test_more_than_ten_times_the_usual_epochs_are_not_planned() -> None:
    planned = plan_for(600)
    assert planned.recipe.epochs == 300 and planned.seconds < 600 * 60
    assert "teach little" in str(planned)
    assert "the largest for these images and this network; 30 epochs, the usual number, fit\n" in str(planned)


def test_too_few_minutes_for_the_usual_epochs_leave_the_smallest_images() -> None:
    planned = plan_for(0.25)
    assert planned.recipe.pixels.image_size == (32, 32) and 1 <= planned.recipe.epochs < 30
    assert "the smallest; not even so would 30 epochs, the usual number, fit" in str(planned)


def test_no_larger_size_is_measured_than_is_needed() -> None:
    asked: list[Size] = []

    def measure(recipe: Recipe) -> list[Stretch]:
        asked.append(recipe.pixels.image_size)
        return unfrozen(recipe)

    decided(recipe_for("resnet20"), 0.5, budget_of(0.5, measure), SIZES)
    assert set(asked) == {(32, 32), (64, 64)}


# What is frozen --------------------------------------------------------------------------------------------

WAYS: list[tuple[str, ...]] = [(), ("stage3",), ("stage2", "stage3"), ("stage1", "stage2", "stage3")]


def frozen(recipe: Recipe) -> list[Stretch]:
    """The head alone takes 10 ms a step on features of 1 ms an image; each thawed stage a second a step more."""
    pixels = recipe.pixels.image_size[0] ** 2 / 1024
    head = Costs(step=0.01, forward=0.0001, decoding=0.01, judged=0.0, before=0.001 * pixels, row=4)
    if not recipe.thaw:
        return [Stretch(recipe.epochs, recipe.views, head)]
    later = head._replace(step=0.2 * pixels * len(recipe.thaw))
    return [Stretch(9, recipe.views, head), Stretch(recipe.epochs - 9, recipe.views, later)]


def thawing(minutes: float, **more: Any) -> Plan:
    recipe = recipe_for("resnet20").with_settings({"epochs": 30})
    return decided(recipe, minutes, budget_of(minutes, frozen), SIZES[:2], WAYS, (1, 2, 3, 4), **more)


def test_the_time_for_trained_weights_goes_into_size_and_then_into_thawing() -> None:
    """Features of 64 × 64 pixels fit into 15 s; thawing takes 21 epochs of three steps, 50 s a stage."""
    found = {minutes: thawing(minutes).recipe for minutes in (0.25, 1.0, 1.5, 2.5, 10.0)}
    assert {recipe.pixels.image_size for recipe in found.values()} == {(64, 64)}
    assert {recipe.freeze for recipe in found.values()} == {("all",)}
    assert {minutes: recipe.thaw for minutes, recipe in found.items()} == {
        0.25: (), 1.0: (), 1.5: WAYS[1], 2.5: WAYS[2], 10.0: WAYS[3],
    }  # fmt: skip
    assert {recipe.epochs for recipe in found.values()} == {30}  # and never into more of them


def test_each_choice_has_its_reason() -> None:
    planned = thawing(1.5)
    lines = {choice.key: str(choice) for choice in planned.choices}
    assert list(lines) == ["image_size", "views", "freeze", "thaw", "epochs"]
    assert lines["freeze"] == (
        "freeze = all: what the weights make of an image is computed once, 4 ms each, 2 s for 4 views, 0.0 MiB kept"
    )
    assert lines["thaw"].startswith("thaw = stage3: learns as well, more slowly, after 30% of the epochs")
    assert "; with stage2,stage3 30 epochs would take 1.9 minutes" in lines["thaw"]
    assert str(thawing(1.0).choices[3]).startswith('thaw = "": with stage3 30 epochs would take 1.')


def test_larger_images_come_before_more_views() -> None:
    """At 64 × 64 pixels a view of 96 images takes 0.4 s, at 32 × 32 a quarter."""
    few, many = thawing(0.18), thawing(0.25)
    assert (few.recipe.pixels.image_size, few.recipe.views) == ((64, 64), 3)
    assert (many.recipe.pixels.image_size, many.recipe.views) == ((64, 64), 4)
    assert str(few.choices[1]) == (
        "views = 3: of each training image; 4, the usual number, would take more time than there is"
    )


def test_too_little_time_for_the_usual_epochs_leaves_everything_frozen() -> None:
    planned = thawing(0.155)
    assert (planned.recipe.freeze, planned.recipe.thaw) == (("all",), ())
    assert planned.recipe.epochs < 30 and planned.recipe.pixels.image_size == (32, 32)


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


@pytest.mark.parametrize("minutes", [0, -1, 2e6, float("nan"), float("inf")])
def test_minutes_that_are_none(minutes: float, shapes: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"`minutes` must be above 0 and below 1,000,000\. Got "):
        mirada.plan(shapes, minutes=minutes)


def test_what_cannot_be_kept(shapes: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"`keep` takes .* Got .lr"):
        mirada.plan(shapes, keep=["lr"])


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample as it is, 64 × 64 pixels, drawn once."""
    write_shapes(folder := tmp_path_factory.mktemp("sample") / "shapes")
    return folder


@pytest.fixture
def shapes(tmp_path: Path, sample: Path) -> Path:
    (tmp_path / "shapes").symlink_to(sample)
    return tmp_path / "shapes"


@pytest.mark.slow
def test_sizes_are_those_of_the_images(shapes: Path) -> None:
    """Images of 64 pixels are not enlarged, though the network is one of 224."""
    recipe = recipe_for("resnet18").with_settings({"batch_size": 4})
    planned = mirada.plan(shapes, minutes=1000, recipe=recipe)
    assert planned.recipe.pixels.image_size == (64, 64)
    assert planned.recipe == recipe.with_settings({"image_size": [64, 64], "epochs": planned.recipe.epochs})


@pytest.mark.slow
def test_trained_weights_are_frozen_first(shapes: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    """What is stated is kept, the plan can be edited and passed again, and training follows it."""
    (tmp_path / "store").mkdir()
    torch.manual_seed(0)
    torch.save(create_model("lenet5").state_dict(), tmp_path / "own.pth")
    command = ("shapes", "--model", "lenet5", "--weights", "own.pth", "--set", "normalize=unit")
    done = cli("plan", *command, "--minutes", 2, "--epochs", 4, "--output", "plan.toml")
    assert done.code == 0, done.err
    assert "  freeze = all: what the weights make of an image is computed once, " in done.out
    assert "  thaw = stem,stage1: learns as well, more slowly, after 30% of the epochs" in done.out
    text = Path("plan.toml").read_text(encoding="utf-8")
    values = tomllib.loads(text)
    assert values["freeze"] == ["all"] and values["thaw"] == ["stem", "stage1"]
    assert values["options"]["head"] == "average" and values["epochs"] == 4
    Path("plan.toml").write_text(text.replace('["stem", "stage1"]', '["stage1"]'), encoding="utf-8")
    run = cli("train", "shapes", "--recipe", "plan.toml", "--output", "run")
    assert run.code == 0 and "from epoch 2 on: stage1 learns at 0.1 × the learning rate" in run.out, run.err
    unknown = cli("plan", *command[:-2], "--minutes", 2)
    assert (unknown.code, unknown.out) == (2, "")
    assert "own.pth: nobody knows which pixel values these weights expect" in unknown.err
    kept = cli("plan", *command, "--minutes", 2, "--epochs", 4, "--set", "freeze=stem")
    assert kept.code == 0 and "freeze" not in kept.out and "thaw" not in kept.out


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """Twelve grey images of two classes."""
    for number in range(12):
        file = tmp_path / "few" / "ab"[number % 2] / f"{number // 2}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (32, 32), 20 * number).save(file)
    return tmp_path / "few"


@pytest.fixture
def from_weights(tmp_path: Path) -> Recipe:
    """That of a run from trained weights, as small as can be."""
    torch.manual_seed(0)
    torch.save(create_model("lenet5").state_dict(), tmp_path / "own.pth")
    return recipe_for("lenet5").with_settings(
        {"weights": str(tmp_path / "own.pth"), "normalize": "unit", "epochs": 3, "device": "cpu"}
    )


KEPT = ["image_size", "epochs"]


def test_a_rate_for_every_part_leaves_all_of_them_learning(few: Path, from_weights: Recipe) -> None:
    """What is thawed has another rate, and training takes only one of both."""
    wanted = from_weights.with_settings({"stage_rate": 0.5})
    planned = mirada.plan(few, minutes=5, recipe=wanted, keep=KEPT)
    assert (planned.recipe.freeze, planned.recipe.thaw) == ((), ())
    TrainJob(planned.recipe, load_data(few), lambda event: None)  # which refuses what cannot be trained


def test_images_that_are_mixed_are_not_computed_once(few: Path, from_weights: Recipe) -> None:
    wanted = from_weights.with_settings({"augment.mixup": 0.4})
    planned = mirada.plan(few, minutes=5, recipe=wanted, keep=KEPT)
    assert (planned.recipe.freeze, planned.recipe.views) == (("all",), 0)
    lines = {choice.key: str(choice) for choice in planned.choices}
    assert lines["views"] == "views = 0: images are mixed in every step, and none is computed once"
    assert lines["freeze"] == "freeze = all: the weights know images already; they are run in every step"
    TrainJob(planned.recipe, load_data(few), lambda event: None)
    with pytest.raises(RecipeError, match=r"Set views=0 to compute it each time"):  # as training does
        mirada.plan(few, minutes=5, recipe=wanted, keep=[*KEPT, "views"])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"duration": "64 steps"}, r"`duration` says how long training is, and so do the minutes of a plan"),
        ({"freeze": "stem", "augment.cutmix": 1}, r"Set views=0"),
        ({"stage_rate": 0.5, "thaw": "stage1", "epochs": 4}, r"`stage_rate` and `thaw` do not go together"),
        ({"loss": "huber"}, r'The loss "huber" is for numbers'),
        ({"augment.saturation": 0.4, "mode": "L"}, r"changes colours, and these images are grey"),
    ],
)
def test_a_plan_refuses_what_training_does(settings: dict[str, object], said: str, few: Path) -> None:
    wanted = recipe_for("lenet5").with_settings({"device": "cpu", **settings})
    with pytest.raises(RecipeError, match=said):
        mirada.plan(few, minutes=5, recipe=wanted, keep=KEPT)


def test_too_few_images_to_train_on(few: Path) -> None:
    for file in few.rglob("*.png"):
        if file.stem != "0":
            file.unlink()
    with pytest.raises(DataError, match=r"too few"):
        mirada.plan(few, recipe=recipe_for("lenet5"))


def test_a_time_in_place_of_epochs_is_no_plan(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many epochs as fit, also more than ten times the usual number, and the size as it is."""
    monkeypatch.setattr(Bench, "stretches", lambda bench, recipe: unfrozen(recipe))
    recipe, index = recipe_for("resnet20"), load_data(few)
    within, noted = in_whole_epochs(recipe.with_settings({"duration": "20 hours"}), index)
    assert within.epochs > 100 * recipe.epochs and within.pixels == recipe.pixels
    assert noted.notes[-1].startswith(f"duration: 20 hours are {within.epochs:,} epochs of ")
    with pytest.raises(RecipeError, match=r"not even one epoch fits into 0\.01 minutes"):
        in_whole_epochs(recipe.with_settings({"duration": "0.01 minutes"}), index)
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RecipeError, match=r"each of several processes would measure another number"):
        in_whole_epochs(recipe.with_settings({"duration": "1 hour"}), index)
    assert in_whole_epochs(recipe.with_settings({"duration": "9 epochs"}), index)[0].epochs == 9


class Tiny(torch.nn.Module):
    """Of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.linear = torch.nn.Conv2d(3, 4, 3, stride=4), torch.nn.Linear(4, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.linear(self.convolution(images).mean((2, 3)))


def test_a_time_for_a_network_of_ones_own(few: Path) -> None:
    """It is measured, and stays as it is."""
    module = Tiny()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    recipe = recipe_for("module").with_settings(
        {"duration": "5 minutes", "image_size": 32, "batch_size": 8, "device": "cpu"}
    )
    assert in_whole_epochs(recipe, load_data(few), module=module)[0].epochs > 0
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_parts_that_are_computed_once_cost_no_step(shapes: Path) -> None:
    """Measured on the network: what is behind the frozen parts, and the bytes of what they put out."""
    recipe = recipe_for("resnet20").with_settings({"freeze": "all", "epochs": 10, "batch_size": 8})
    bench = Bench(load_data(shapes), choose("cpu", "float32"), COUNTS._replace(batch_size=8), 0.0)
    (once,) = bench.stretches(recipe)
    assert (once.epochs, once.views, once.costs.row) == (10, 4, 64 * 4) and once.costs.before > 0
    head, later = bench.stretches(replace(recipe, thaw=("stage3",)))
    assert head.costs == once.costs and (head.epochs, later.epochs) == (3, 7)
    assert later.costs.row == 32 * 16 * 16 * 4  # what stage 2 makes of an image of 32 pixels
    (each_time,) = bench.stretches(replace(recipe, views=0))
    assert (each_time.costs.before, each_time.costs.row) == (0, 0)


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
        (("--minutes", "0"), "`minutes` must be above 0 and below 1,000,000. Got 0."),
        (("--minutes", "0.001"), "0.001 minutes are too few: simplecnn at 32 × 32 pixels takes "),
        (("--output", "no/such/plan.toml"), "there is no folder no/such to write plan.toml into."),
    ],
)
def test_wrong_use(arguments: tuple[str, ...], said: str, shapes: Path, cli: Callable[..., Any]) -> None:
    code, out, err = cli("plan", "shapes", "--model", "simplecnn", *arguments)
    assert (code, out) == (2, "") and said in err and err.count("\n") == 1
