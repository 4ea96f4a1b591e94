"""What training starts from: whose scale the pixels get, and what is said of images too small."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import CheckpointError, InvalidArgument, RecipeError
from mirada.events import LoadReport
from mirada.layers.network import Network
from mirada.modelfile import Architecture, Card, save_model
from mirada.models.weights import CADENE, OWN, SEQUENTIAL
from mirada.samples import Classes, Numbers, Scaling
from mirada.training.known_weights import StartingWeights, find_weights
from mirada.training.recipe import Pixels, Recipe, recipe_for
from mirada.training.start import starting_network, starting_scale

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def pixels_of(recipe: Recipe, mean: float, std: float) -> Preprocessing:
    """Images as the network takes them; a model file whose images are others is not read."""
    channels = 3 if recipe.pixels.mode == "RGB" else 1
    return Preprocessing(
        mode="RGB" if channels == 3 else "L",
        size=recipe.pixels.image_size,
        mean=(mean,) * channels,
        std=(std,) * channels,
    )


def card_of(recipe: Recipe, **changes: Any) -> Card:
    values: dict[str, Any] = {
        "architecture": Architecture(
            model=recipe.model,
            outputs=3,
            in_channels=3 if recipe.pixels.mode == "RGB" else 1,
            image_size=recipe.pixels.image_size,
            options=recipe.options,
        ),
        "target": Classes(("a", "b", "c")),
        "preprocessing": pixels_of(recipe, 0.0, 1.0),
    }
    return Card(**(values | changes))


def report(convention: str) -> LoadReport:
    return LoadReport(
        file="weights.pth", sha256="0", convention=convention, loaded=1, renamed=(), adapted=(), dropped=(),
        initialised=(), replaced=(),
    )  # fmt: skip


def begun(recipe: Recipe, card: Card) -> tuple[Network, LoadReport | None]:
    """What training starts with, of a model file that says this."""
    return starting_network(recipe, card.architecture, card.target, card.covariates, find_weights(recipe))


@pytest.mark.parametrize(
    ("normalize", "colour", "grey"),
    [
        ("auto", None, None),
        ("data", None, None),
        ("imagenet", IMAGENET, ((0.449,), (0.226,))),
        ("half", ((0.5,) * 3, (0.5,) * 3), ((0.5,), (0.5,))),
        ("unit", ((0.0,) * 3, (1.0,) * 3), ((0.0,), (1.0,))),
    ],
)
def test_scales_by_name(normalize: Any, colour: Any, grey: Any) -> None:
    for channels, expected in ((3, colour), (1, grey)):
        found = starting_scale(Recipe().with_settings({"normalize": normalize}), None, channels)
        if expected is None:
            assert found is None
        else:
            assert found is not None
            for values, wanted in zip(found, expected, strict=True):
                assert values == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("model", "convention", "mean"),
    [
        ("resnet50", "torchvision", 0.485),
        ("resnet50", "timm", 0.485),
        ("resnet20", "CIFAR", 0.485),
        ("googlenet_bn", "torchvision", 0.5),
        ("inception_v3", "torchvision", 0.5),
        ("inception_v3", "timm", 0.5),
        ("inception_v4", "timm", 0.5),
        ("inception_resnet_v2", "timm", 0.5),
    ],
)
def test_public_weights_get_the_scale_they_were_trained_on(model: str, convention: str, mean: float) -> None:
    """Unless the recipe names another."""
    found = starting_scale(Recipe(model=model), report(convention), 3)
    assert found is not None and found[0][0] == mean
    assert starting_scale(Recipe(model=model, pixels=Pixels(normalize="data")), report(convention), 3) is None
    assert starting_scale(Recipe(model=model, pixels=Pixels(normalize="unit")), report(convention), 3) == (
        (0,) * 3,
        (1,) * 3,
    )


def test_a_model_file_keeps_its_own_scale(tmp_path: Path) -> None:
    """Of weights alone, under Mirada's names, nobody knows it, and a person has to state it."""
    recipe = recipe_for("resnet20")
    own = replace(pixels_of(recipe, 0.0, 1.0), mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    network, _ = begun(recipe, card_of(recipe))
    save_model(tmp_path / "model.safetensors", network, card_of(recipe, preprocessing=own))
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    again = replace(recipe, weights=str(tmp_path / "model.safetensors"))
    assert starting_scale(again, report(OWN), 3, find_weights(again)) == (own.mean, own.std)
    bare = replace(recipe, weights=str(tmp_path / "weights.pth"))
    with pytest.raises(
        RecipeError, match=r"nobody knows which pixel values .* --set normalize=imagenet, half, "
    ):
        starting_scale(bare, report(OWN), 3, find_weights(bare))
    stated = bare.with_settings({"normalize": "data"})
    assert starting_scale(stated, report(OWN), 3, find_weights(stated)) is None
    copied, found = begun(again, card_of(recipe))
    assert found is not None and found.whole and found.convention == OWN
    assert torch.equal(copied.state_dict()["stem.conv.weight"], network.state_dict()["stem.conv.weight"])


def test_a_head_of_other_classes_is_said_to_be_one(tmp_path: Path) -> None:
    """One of as many classes is loaded; of another number it is drawn anew, which is said already."""
    recipe = recipe_for("lenet5")
    save_model(tmp_path / "model.safetensors", begun(recipe, card_of(recipe))[0], card_of(recipe))
    recipe = replace(recipe, weights=str(tmp_path / "model.safetensors"))
    for classes, head_of in ((("a", "b", "c"), ()), (("x", "y", "z"), ("a", "b", "c")), (("x", "y"), ())):
        plain = card_of(recipe)
        card = replace(
            plain, architecture=replace(plain.architecture, outputs=len(classes)), target=Classes(classes)
        )
        _, found = begun(recipe, card)
        assert found is not None and found.head_of == head_of
        assert ("trained for: a, b, c" in str(found)) == bool(head_of)


def test_a_head_of_numbers_is_said_to_be_one(tmp_path: Path) -> None:
    """Two numbers are as many outputs as two classes, and one is as many as a sigmoid unit has."""
    recipe = recipe_for("lenet5")
    for target, said in (
        (Numbers(("age", "weight")), "age, weight"),
        (Numbers(("",), "cm"), "a number in cm"),
        (Numbers(), "a number"),
    ):
        plain, count = card_of(recipe), target.width
        built = replace(plain.architecture, outputs=count)
        plain = replace(plain, architecture=built, target=Classes(("a", "b")))
        scaling = Scaling((0.0,) * count, (1.0,) * count)
        card = replace(plain, target=target, target_scaling=scaling)
        save_model(tmp_path / "model.safetensors", begun(recipe, card)[0], card)
        _, found = begun(replace(recipe, weights=str(tmp_path / "model.safetensors")), plain)
        assert f"the head was loaded, though it was trained for: {said}" in str(found)
        _, same = begun(replace(recipe, weights=str(tmp_path / "model.safetensors")), card)
        assert same is not None and not same.head_of


def test_without_weights_there_is_no_report() -> None:
    recipe = recipe_for("lenet5")
    network, found = begun(recipe, card_of(recipe))
    assert found is None
    assert network.image_size == recipe.pixels.image_size


@pytest.mark.parametrize(("model", "side", "least"), [("googlenet", 78, 79), ("inception_v3", 150, 299)])
def test_images_too_small_for_auxiliary_heads_alone(model: str, side: int, least: int) -> None:
    recipe = recipe_for(model).with_settings({"image_size": side})
    with pytest.raises(RecipeError) as error:
        begun(recipe, card_of(recipe))
    assert str(error.value) == (
        f"Images of {side} × {side} pixels are too small for this network; it needs at least {least} × {least}. "
        "Without auxiliary heads it can be trained: --set auxiliary=false."
    )
    with torch.device("meta"):
        without = recipe.with_settings({"options.auxiliary": False})
        assert not hasattr(begun(without, card_of(without))[0], "auxiliary")


def test_images_too_small_for_the_network_itself() -> None:
    recipe = recipe_for("inception_v3").with_settings({"image_size": 40})
    with pytest.raises(InvalidArgument, match=r"^Images of 40 × 40 .* it needs at least 75 × 75\.$"):
        begun(recipe, card_of(recipe))


def test_a_network_without_auxiliary_heads() -> None:
    for model, start in (
        ("bn_inception", r'bn_inception has no option "auxiliary"\. '),
        ("resnet18", "resnet18 has no "),
    ):
        recipe = recipe_for(model).with_settings({"options.auxiliary": True})
        with pytest.raises((RecipeError, InvalidArgument), match=f"^{start}"):
            begun(recipe, card_of(recipe))


def test_another_networks_weights(tmp_path: Path) -> None:
    recipe = recipe_for("resnet20")
    torch.save(begun(recipe, card_of(recipe))[0].state_dict(), tmp_path / "weights.pth")
    other = replace(recipe_for("lenet5"), weights=str(tmp_path / "weights.pth"))
    with pytest.raises(
        CheckpointError,
        match=r"weights\.pth: these weights are those of resnet20, and the network is lenet5\. ",
    ):
        begun(other, card_of(other))


def test_names_alone_do_not_say_what_a_list_of_parts_expects(tmp_path: Path) -> None:
    """RadImageNet's backbones expect −1 … 1 where torchvision's, saved so, expect ImageNet's scale."""
    recipe = recipe_for("resnet50")
    with pytest.raises(
        RecipeError, match=r"nobody knows which pixel values .* --set normalize=imagenet, half, "
    ):
        starting_scale(recipe, report(SEQUENTIAL), 3)
    assert starting_scale(recipe.with_settings({"normalize": "half"}), report(SEQUENTIAL), 3) == (
        (0.5,) * 3,
        (0.5,) * 3,
    )


def test_caffes_names_say_blue_first_and_0_to_255() -> None:
    found = StartingWeights(file=Path("own.pth"), sha256="0")
    mean, std = starting_scale(recipe_for("bn_inception"), report(CADENE), 3, found) or ((), ())
    assert mean == pytest.approx((128 / 255, 117 / 255, 104 / 255)) and std == pytest.approx((1 / 255,) * 3)
