"""What is asked before training: flips that change nothing, batches that can be normalized, memory enough."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mirada.compute import Compute
from mirada.data.augment import Augmentation
from mirada.data.index import Index
from mirada.errors import DataError, RecipeError
from mirada.jobs.memory import Room
from mirada.modelfile import Architecture
from mirada.models import create_model
from mirada.samples import Classes, Covariate, Numbers
from mirada.training.demands import require_batches, require_colour, require_fitting, require_whole_batches
from mirada.training.flips import settle_flips
from mirada.training.freezing import NOTHING, freeze
from mirada.training.phases import phases_of
from mirada.training.recipe import Pixels, Recipe
from mirada.training.scaling import covariate_scale, target_scale

CPU = Compute(torch.device("cpu"), "float32")
AUTO = Augmentation(horizontal_flip="auto", zoom=0.1)


def index(target: Classes | Numbers, *covariates: Covariate, values: Any = None) -> Index:
    count = 6
    targets = np.arange(count) % 2 if values is None else np.array(values, dtype=np.float64)
    if isinstance(target, Numbers):
        targets = targets.astype(np.float64)
    return Index(
        root=Path("photos"), paths=tuple(f"{n}.png" for n in range(count)), target=target, targets=targets,
        splits=np.array(["train"] * (count - 1) + ["val"]), covariate_specs=covariates,
        covariates=np.tile(np.arange(count, dtype=np.float64)[:, None] % 2, (1, len(covariates))),
    )  # fmt: skip


# Flips -----------------------------------------------------------------------------------------------------------

MIRRORED = [
    index(Classes(("left", "right"))),
    index(Classes(("Hand_L", "Hand_R"))),
    index(Numbers(("steering angle",))),
    index(Classes(("cat", "dog")), Covariate("eye", "OS", "OD")),
    index(Numbers(("age",)), Covariate("side", "L", "R")),
    index(Numbers(("age",)), Covariate("left")),
]


@pytest.mark.parametrize("samples", MIRRORED)
def test_no_flips_where_a_mirror_changes_what_is_learnt(samples: Index) -> None:
    found, note = settle_flips(AUTO, samples)
    assert found == replace(AUTO, horizontal_flip=False)
    assert note.startswith("No training image is mirrored, since a mirror m")
    assert note.endswith("--set augment.horizontal_flip=true does it all the same.")


@pytest.mark.parametrize("samples", MIRRORED)
def test_flips_that_were_asked_for_are_done_and_said(samples: Index) -> None:
    asked = replace(AUTO, horizontal_flip=True)
    found, note = settle_flips(asked, samples)
    assert found == asked
    assert note.startswith("Half of the training images are mirrored, as was asked for, although a mirror m")
    assert settle_flips(Augmentation(), samples) == (Augmentation(), "")


@pytest.mark.parametrize("samples", MIRRORED)
def test_flips_by_turns_are_settled_likewise(samples: Index) -> None:
    alternate = replace(AUTO, horizontal_flip="alternate")
    found, note = settle_flips(alternate, samples)
    assert found == replace(AUTO, horizontal_flip=False) and note == settle_flips(AUTO, samples)[1]
    assert settle_flips(alternate, index(Classes(("cat", "dog")))) == (alternate, "")


def test_flips_of_all_others() -> None:
    for samples in (
        index(Classes(("cat", "dog"))), index(Numbers(("age",))), index(Numbers(("",)), Covariate("sex", "M", "F")),
    ):  # fmt: skip
        assert settle_flips(AUTO, samples) == (replace(AUTO, horizontal_flip=True), "")


# Images that are mixed -------------------------------------------------------------------------------------------


def test_cutmix_is_for_classes() -> None:
    recipe = Recipe().with_settings({"augment.cutmix": 1.0})
    require_fitting(recipe, Classes(("a", "b")))
    with pytest.raises(RecipeError, match=r"^`augment.cutmix` is for classes, and the target is a number"):
        require_fitting(recipe, Numbers())
    require_fitting(Recipe().with_settings({"augment.mixup": 0.2}), Numbers())


def test_colours_are_not_changed_where_there_are_none() -> None:
    recipe = Recipe().with_settings({"augment.saturation": 0.4})
    with pytest.raises(RecipeError, match=r"^`augment.saturation` .* grey\. Set it to 0\. Got 0\.4\.$"):
        require_colour(recipe, 1)
    require_colour(recipe, 3)
    require_colour(Recipe(), 1)


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_what_is_computed_once_for_an_image_is_not_mixed(mix: str) -> None:
    frozen = freeze(create_model("resnet20"), ("stem",))
    recipe = Recipe().with_settings({f"augment.{mix}": 0.2})
    with pytest.raises(RecipeError, match=r"Set views=0 .*Got `views` = 4\.$"):
        require_whole_batches(frozen, recipe)
    require_whole_batches(frozen, recipe.with_settings({"views": 0}))
    require_whole_batches(NOTHING, recipe)
    require_whole_batches(frozen, Recipe())


# One image and batch normalization ---------------------------------------------------------------------------


@pytest.mark.parametrize("setting", ["batch_size", "micro_batch"])
@pytest.mark.parametrize(
    ("model", "side", "works"), [("resnet18", 32, False), ("resnet18", 64, True), ("lenet5", 32, True)]
)
def test_one_image_at_a_time(setting: str, model: str, side: int, works: bool) -> None:
    """It works where the last maps have more than one place, or nothing is normalized."""
    network = create_model(model, num_classes=2, image_size=side)
    recipe = Recipe(model=model, **{setting: 1})  # type: ignore[arg-type]
    if works:
        require_batches(network, NOTHING, recipe)
        return
    with pytest.raises(RecipeError) as error:
        require_batches(network, NOTHING, recipe)
    assert str(error.value) == (
        f"`{setting}` = 1 cannot train resnet18 at 32 × 32 pixels: its batch normalization would get one number per "
        f"map, which has no deviation. Take 2 images or more, or larger ones."
    )
    require_batches(network, NOTHING, Recipe(model=model, batch_size=2))
    assert network.training and all(value.device.type == "cpu" for value in network.state_dict().values())


def test_frozen_normalization_takes_one_image() -> None:
    network = create_model("resnet18", num_classes=2, image_size=32)
    frozen = freeze(network, ("stem", "stage1", "stage2", "stage3", "stage4"))
    require_batches(network, frozen, Recipe(batch_size=1))


# Memory ----------------------------------------------------------------------------------------------------------


def room(model: str, side: int, count: int = 1000, **settings: Any) -> Room:
    channels = 1 if model in ("mlp", "lenet5") else 3
    architecture = Architecture(model=model, outputs=2, in_channels=channels, image_size=(side, side))
    return Room(
        architecture, Recipe(model=model, pixels=Pixels(image_size=(side, side)), **settings), CPU, count
    )


@pytest.mark.parametrize(("model", "side"), [("resnet18", 20_000), ("mlp", 20_000), ("lenet5", 20_000)])
def test_what_no_machine_has_is_refused_before_it_is_taken(model: str, side: int) -> None:
    with pytest.raises(RecipeError) as error:
        room(model, side).require_for_weights()
    assert str(error.value).startswith(f"{model} at 20000 × 20000 pixels in batches of 32 needs some ")
    assert "GB to train, and cpu has " in str(error.value)


def test_maps_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a gigabyte is enough for the weights of resnet18 and not for the maps of 32 images of 224 pixels."""
    monkeypatch.setattr("mirada.compute.machine_memory", lambda: 500_000_000)
    small = room("resnet18", 224)
    small.require_for_weights()
    network = small.architecture.build()
    with pytest.raises(
        RecipeError,
        match=r"^resnet18 at 224 × 224 pixels in batches of 32 needs some 0\.9 GB to train, and cpu has 0\.5\. ",
    ):
        small.require_for_maps(network)
    assert room("resnet18", 224, micro_batch=2).require_for_maps(network).parameters > 11e6
    assert room("resnet18", 224, count=4).require_for_maps(
        network
    )  # a batch has no more images than there are
    monkeypatch.setattr("mirada.compute.machine_memory", lambda: None)
    small.require_for_maps(network)


@pytest.mark.slow
def test_what_never_learns_has_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """138 million weights are 0.55 GB, 2.2 with gradients and Adam's moments, which only the last layers need."""
    options = {"head": "average"}
    architecture = Architecture(model="vgg16", options=options, outputs=2, in_channels=3, image_size=(64, 64))
    recipe = Recipe(model="vgg16", options=options, batch_size=2, pixels=Pixels(image_size=(64, 64)))

    def most(**settings: Any) -> int:
        """The least memory that training is content with, to a megabyte."""
        own = Room(architecture, recipe.with_settings(settings), CPU, 1000)
        with torch.device("meta"):
            network = architecture.build()
        phases = phases_of(network, own.recipe)
        low, high = 0, 2_000
        while low < high:
            middle = (low + high) // 2
            monkeypatch.setattr("mirada.compute.machine_memory", lambda there=middle: there * 10**6)
            try:
                own.require_for_weights()
                own.require_for_maps(network, phases)
            except RecipeError:
                low = middle + 1
            else:
                high = middle
        return low

    weights = 14_715_714 * 4 / 1e6
    frozen, thawed, whole = most(freeze="all"), most(thaw="stage4"), most()
    assert weights < frozen < 1.5 * weights
    late = 3 * 512 * (512 * 9 + 1) * 4 / 1e6  # stage 4: three convolutions of 512 maps
    assert weights + 3 * late < thawed < whole
    assert whole > 4 * weights


# Numbers of any size -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("constant", [0.0, 1.7e9, 5.8e6, -739_000.0, 2.0**40])
@pytest.mark.parametrize("spread", [1.0, 2.0**-10])
def test_a_constant_changes_nothing_of_the_scaled_numbers(constant: float, spread: float) -> None:
    """Seconds since 1970 and metres: also where float32 would hold them all as one number."""
    values = np.array([0, 1, 2, 3, 4, 5]) * spread
    plain = index(Numbers(("y",)), values=values)
    moved = index(Numbers(("y",)), values=values + constant)
    expected = target_scale(plain).forward(plain.targets)
    np.testing.assert_allclose(target_scale(moved).forward(moved.targets), expected, atol=2e-4)
    beside = replace(plain, covariate_specs=(Covariate("t"),), covariates=values[:, None] + constant)
    np.testing.assert_allclose(covariate_scale(beside).forward(beside.covariates), expected, atol=2e-4)


@pytest.mark.parametrize("unit", [1e-9, 1e40, 1e100])
def test_a_unit_changes_nothing_either(unit: float) -> None:
    values = np.array([0, 1, 2, 3, 4, 5.0])
    plain, other = (index(Numbers(("y",)), values=values * factor) for factor in (1, unit))
    np.testing.assert_allclose(
        target_scale(other).forward(other.targets), target_scale(plain).forward(plain.targets), rtol=1e-12
    )


def test_numbers_whose_squares_are_none() -> None:
    large = index(Numbers(("y",)), values=[0, 1e200, 2, 3, 4, 5])
    with pytest.raises(DataError) as error:
        target_scale(large)
    assert str(error.value) == (
        'photos: "y" reaches 1e+200, which is too large to compute with. Give it in a larger unit.'
    )
    beside = replace(large, covariate_specs=(Covariate("w"),), covariates=np.full((6, 1), 1e200))
    with pytest.raises(DataError, match=r'^photos: "w" reaches 1e\+200'):
        covariate_scale(beside)
