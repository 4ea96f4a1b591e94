"""The recipe: where a value comes from, what is refused and in which words, and TOML there and back."""

import math
import tomllib
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mirada.data.augment import Augmentation
from mirada.errors import InvalidArgument, RecipeError
from mirada.models import CATALOGUE, create_model
from mirada.samples import Classes, Numbers
from mirada.training.loss import outputs_for
from mirada.training.recipe import (
    AUGMENT_PRESETS,
    Recipe,
    read_settings,
    recipe_for,
)

HINTS = get_type_hints(Recipe)
CHOICES = {name: get_args(hint) for name, hint in HINTS.items() if get_origin(hint) is Literal}


# Defaults ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", CATALOGUE)
def test_every_network_has_a_recipe_that_can_be_used(model: str) -> None:
    """Its images are as the paper's, and its augmentation is one that exists."""
    recipe = recipe_for(model)
    channels, height, width = CATALOGUE[model].image
    assert recipe.model == model
    assert recipe.image_size == (height, width)
    assert recipe.mode == ("L" if channels == 1 else "RGB")
    assert Augmentation(**recipe.augment).warps == (
        CATALOGUE[model].family != "bonet"
    )  # whose source says nothing


@pytest.mark.parametrize("model", CATALOGUE)
def test_every_recipe_builds_its_network(model: str) -> None:
    """At its size, with its options and a loss for classes as well as for numbers."""
    recipe = recipe_for(model)
    assert outputs_for(recipe, Classes(("a", "b"))) in (1, 2)
    assert outputs_for(recipe, Numbers()) == 1
    with torch.device("meta"):
        network = create_model(model, image_size=recipe.image_size, **recipe.options)
    assert hasattr(network, "auxiliary") == recipe.options.get("auxiliary", False)


def test_auxiliary_heads_and_label_smoothing_where_the_papers_have_them() -> None:
    recipes = {model: recipe_for(model) for model in CATALOGUE}
    assert [model for model, recipe in recipes.items() if recipe.options.get("auxiliary")] == [
        "googlenet",
        "googlenet_bn",
        "inception_v2",
        "inception_v3",
    ]
    assert {model: recipe.label_smoothing for model, recipe in recipes.items() if recipe.label_smoothing} == {
        "inception_v2": 0.1,
        "inception_v3": 0.1,
        "inception_v4": 0.1,
        "inception_resnet_v1": 0.1,
        "inception_resnet_v2": 0.1,
        "inception_resnet_v2_paper": 0.1,
    }


def test_an_unknown_network_has_no_recipe() -> None:
    with pytest.raises(
        InvalidArgument,
        match=r'^There is no network "lenet"\. Did you mean one of these\? lenet5, lenet5_1998, lenet_caffe\.$',
    ):
        recipe_for("lenet")


def test_what_the_notes_example_keeps() -> None:
    """Lecture notes, §5.1: Adam at 10⁻³, batches of 32, 25 epochs, pixels over 255."""
    recipe = recipe_for("simplecnn")
    assert (recipe.optimizer, recipe.lr, recipe.batch_size, recipe.epochs) == ("adam", 1e-3, 32, 25)
    assert recipe.normalize == "unit"
    assert AUGMENT_PRESETS["notes"] == {"shear": 0.2, "zoom": 0.2, "horizontal_flip": True}


@pytest.mark.parametrize("name", AUGMENT_PRESETS)
def test_presets_are_augmentations(name: str) -> None:
    assert Augmentation(**AUGMENT_PRESETS[name]).warps == (name != "none")


def test_a_recipe_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Recipe().lr = 1.0


def test_recipes_share_no_augmentation() -> None:
    """Changing the dict of one leaves the preset and later recipes alone."""
    before = dict(AUGMENT_PRESETS["digits"])
    recipe_for("lenet5").augment["rotation"] = 99.0
    Recipe().with_settings({"augment": "digits"}).augment["rotation"] = 99.0
    assert recipe_for("lenet5").augment == AUGMENT_PRESETS["digits"] == before


# Settings ------------------------------------------------------------------------------------------------


def test_later_settings_win_and_the_rest_stays() -> None:
    recipe = recipe_for("lenet5")
    file = recipe.with_settings({"epochs": 7, "lr": 0.5}, origin="recipe.toml")
    flags = file.with_settings({"lr": 0.25})
    assert flags == replace(recipe, epochs=7, lr=0.25)
    assert recipe == recipe_for("lenet5")


@pytest.mark.parametrize(
    ("key", "near"),
    [("epoch", "epochs"), ("learning_rate", "lr"), ("batchsize", "batch_size"), ("sed", "seed")],
)
def test_an_unknown_key_gets_the_nearest(key: str, near: str) -> None:
    with pytest.raises(RecipeError) as error:
        Recipe().with_settings({key: 1}, origin="recipe.toml")
    text = str(error.value)
    assert text.startswith(f'recipe.toml: there is no setting "{key}". ')
    if near != "lr":  # "learning_rate" is not spelt like "lr"; the list has it
        assert f'Did you mean "{near}"?' in text
    assert text.endswith(f"Known: {', '.join(sorted(HINTS))}.")


@pytest.mark.parametrize("key", ["lr.x", "model.name", "lr.", "augment."])
def test_only_augment_has_settings_of_its_own(key: str) -> None:
    with pytest.raises(RecipeError, match=rf'^settings: there is no setting "{key}"\. '):
        Recipe().with_settings({key: 0.5})


WRONG: list[tuple[str, Any, str]] = [
    ("epochs", 2.0, "`epochs` must be of type int. Got 2.0."),
    ("epochs", "2", "`epochs` must be of type int. Got '2'."),
    ("epochs", True, "`epochs` must be of type int. Got True."),
    ("lr", "fast", "`lr` must be of type float. Got 'fast'."),
    ("lr", True, "`lr` must be of type float. Got True."),
    ("lr", None, "`lr` must be of type float. Got None."),
    ("model", 5, "`model` must be of type str. Got 5."),
    ("weights", 5, "`weights` must be of type str. Got 5."),
    ("device", ["cpu"], "`device` must be of type str. Got ['cpu']."),
    ("image_size", 64.0, "`image_size` must be a side in pixels or [height, width]. Got 64.0."),
    ("image_size", "64", "`image_size` must be a side in pixels or [height, width]. Got '64'."),
    ("image_size", [64], "`image_size` must be a side in pixels or [height, width]. Got [64]."),
    ("image_size", [64, 64, 3], "`image_size` must be a side in pixels or [height, width]. Got [64, 64, 3]."),
    ("image_size", [64, 64.5], "`image_size` must be a side in pixels or [height, width]. Got [64, 64.5]."),
    ("image_size", True, "`image_size` must be a side in pixels or [height, width]. Got True."),
    ("optimizer", "sdg", '`optimizer` cannot be "sdg". Did you mean "sgd"? Known: adam, rmsprop, sgd.'),
    ("optimizer", ["sgd"], "`optimizer` cannot be \"['sgd']\". "),
    (
        "schedule",
        "cosin",
        '`schedule` cannot be "cosin". Did you mean "cosine"? Known: constant, cosine, time.',
    ),
    ("mode", "rgb", '`mode` cannot be "rgb". Known: L, RGB.'),
    ("precision", "float16", '`precision` cannot be "float16". Did you mean "bfloat16"? '),
    (
        "augment",
        "photo",
        'there is no augmentation "photo". Did you mean "photos"? Known: digits, none, notes, ',
    ),
    ("augment", 5, 'there is no augmentation "5". Known: digits, none, notes, photos.'),
    ("augment", ["notes"], "there is no augmentation \"['notes']\". "),
]


@pytest.mark.parametrize(("key", "value", "text"), WRONG, ids=lambda value: str(value)[:24])
def test_a_value_that_cannot_be_used(key: str, value: Any, text: str) -> None:
    with pytest.raises(RecipeError) as error:
        Recipe().with_settings({key: value}, origin="my.toml")
    assert str(error.value).startswith(f"my.toml: {text}")


@pytest.mark.parametrize(("name", "choice"), [(name, c) for name, values in CHOICES.items() for c in values])
def test_every_choice_can_be_made(name: str, choice: str) -> None:
    assert getattr(Recipe().with_settings({name: choice}), name) == choice


RANGES: list[tuple[str, Any, str]] = [
    *((name, value, "must be above 0") for name in ("epochs", "batch_size") for value in (0, -1)),
    *(("lr", value, "must be above 0") for value in (0.0, -1e-3)),
    *(
        (name, -1 if HINTS[name] is int else -0.1, "must not be negative")
        for name in (
            "momentum",
            "weight_decay",
            "decay",
            "warmup",
            "patience",
            "seed",
            "test_fraction",
            "label_smoothing",
        )
    ),
    *(("val_fraction", value, "must be between 0 and 1") for value in (0.0, -0.5, 1.0, 2.0)),
    *(
        (name, value, "must be between 0 and 1")
        for name in ("test_fraction", "label_smoothing")
        for value in (1.0, 1.5)
    ),
]


@pytest.mark.parametrize(("name", "value", "rule"), RANGES)
def test_a_value_out_of_range(name: str, value: Any, rule: str) -> None:
    text = rf"^`{name}` {rule}\. Got {value!r}\.$"
    with pytest.raises(RecipeError, match=text):
        Recipe(**{name: value})
    with pytest.raises(RecipeError, match=text):
        Recipe().with_settings({name: value})


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", [name for name, hint in HINTS.items() if hint is float])
def test_numbers_are_finite(name: str, value: float) -> None:
    """TOML knows inf and nan; no setting does."""
    with pytest.raises(RecipeError, match=rf"`{name}`"):
        Recipe().with_settings({name: value})


@pytest.mark.parametrize("size", [(0, 5), (5, -1)])
def test_image_sizes_are_at_least_a_pixel(size: tuple[int, int]) -> None:
    with pytest.raises(
        RecipeError, match=rf"^`image_size` must be at least 1 pixel\. Got \({size[0]}, {size[1]}\)\.$"
    ):
        Recipe(image_size=size)


@pytest.mark.parametrize(
    "value",
    [{"optimizer": "sdg"}, {"epochs": "3"}, {"lr": "fast"}, {"image_size": "64"}, {"schedule": "step"}],
)
def test_the_class_itself_checks_as_well(value: dict[str, Any]) -> None:
    """A recipe made in Python, not from settings, has no unknown choice either."""
    with pytest.raises(RecipeError, match=rf"`{next(iter(value))}`"):
        Recipe(**value)


def test_the_ends_of_ranges() -> None:
    recipe = Recipe(epochs=1, batch_size=1, test_fraction=0.0, warmup=0.0, momentum=0.0, image_size=(1, 1))
    assert recipe.with_settings({}) == recipe


@pytest.mark.parametrize("value", [64, [64, 64], (64, 64)])
def test_forms_of_image_size(value: Any) -> None:
    assert Recipe().with_settings({"image_size": value}).image_size == (64, 64)
    assert Recipe().with_settings({"image_size": [48, 64]}).image_size == (48, 64)


def test_whole_numbers_do_for_floats() -> None:
    lr = Recipe().with_settings({"lr": 1}).lr
    assert lr == 1.0
    assert type(lr) is float


def test_weights_are_a_file_by_name_or_by_path() -> None:
    assert Recipe(weights=Path("a") / "b.pth") == Recipe().with_settings({"weights": str(Path("a/b.pth"))})  # type: ignore[arg-type]


# Augmentation --------------------------------------------------------------------------------------------


def test_presets_tables_and_dotted_keys() -> None:
    preset = Recipe().with_settings({"augment": "notes"})
    assert preset.augment == {"shear": 0.2, "zoom": 0.2, "horizontal_flip": True}
    assert preset.with_settings({"augment.zoom": 0.5}).augment == {
        "shear": 0.2,
        "zoom": 0.5,
        "horizontal_flip": True,
    }
    assert preset.with_settings({"augment": {"rotation": 5}}).augment == {"rotation": 5}
    assert preset.with_settings({"augment": "none"}).augment == {}
    assert preset.with_settings({"augment": "none", "augment.shift": 0.1}).augment == {"shift": 0.1}
    assert preset.with_settings({"lr": 1.0}).augment == preset.augment


# TOML ----------------------------------------------------------------------------------------------------

POSITIVE = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
NOT_NEGATIVE = st.floats(min_value=0, allow_infinity=False)
SHARE = st.floats(min_value=0, max_value=1, exclude_min=True, exclude_max=True)
WORD = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
AUGMENTS = st.dictionaries(
    st.sampled_from([f.name for f in fields(Augmentation)]),
    st.one_of(st.booleans(), SHARE, st.integers(), WORD),
)
VALUES = {
    "model": WORD,
    "epochs": st.integers(min_value=1),
    "batch_size": st.integers(min_value=1),
    "micro_batch": st.integers(min_value=0),
    "lr": POSITIVE,
    "weights": WORD,
    "first_layer": WORD,
    "freeze": st.lists(st.sampled_from(["stem", "stage1", "head"])).map(tuple),
    "decay": NOT_NEGATIVE,
    "window": WORD,
    "clahe": NOT_NEGATIVE,
    "label_smoothing": SHARE,
    "momentum": SHARE,
    "weight_decay": NOT_NEGATIVE,
    "warmup": NOT_NEGATIVE,
    "patience": st.integers(min_value=0),
    "seed": st.integers(min_value=0, max_value=2**63 - 1),
    "val_fraction": SHARE,
    "test_fraction": SHARE,
    "image_size": st.tuples(st.integers(min_value=1), st.integers(min_value=1)),
    "device": WORD,
    "options": st.dictionaries(st.sampled_from(["activation", "dropout"]), st.sampled_from(["relu", "tanh"])),
    "augment": AUGMENTS,
    **{name: st.sampled_from(values) for name, values in CHOICES.items()},
}


@given(st.fixed_dictionaries(VALUES))
def test_toml_there_and_back(values: dict[str, Any]) -> None:
    assert values.keys() == HINTS.keys()
    recipe = Recipe(**values)
    again = Recipe().with_settings(tomllib.loads(recipe.to_toml()))
    assert again == recipe
    assert again.to_toml() == recipe.to_toml()


def test_a_saved_recipe_says_what_is_not_done() -> None:
    """Over a network's own recipe too, which may augment."""
    recipe = recipe_for("googlenet").with_settings({"augment": "none", "options": {}})
    assert recipe_for("googlenet").with_settings(tomllib.loads(recipe.to_toml())) == recipe


@pytest.mark.parametrize("model", CATALOGUE)
def test_a_saved_recipe_repeats_the_run(model: str, tmp_path: Path) -> None:
    recipe = recipe_for(model).with_settings({"seed": 5})
    file = tmp_path / "recipe.toml"
    file.write_text(recipe.to_toml(), encoding="utf-8")
    assert recipe_for("resnet18").with_settings(read_settings(file), origin=str(file)) == recipe


def test_to_dict_is_all_of_it() -> None:
    recipe = recipe_for("lenet5")
    assert Recipe(**recipe.to_dict()) == recipe
    assert recipe.to_dict().keys() == HINTS.keys()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "none.toml"
    with pytest.raises(RecipeError) as error:
        read_settings(file)
    assert str(error.value) == f"{file}: cannot be read (no such file or directory)."


def test_a_file_that_is_no_toml(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text("lr = 0.1\nepochs = = 3\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"bad\.toml: no valid TOML \(.*line 2, column 10\)\)\.$"):
        read_settings(file)
    file.write_bytes(b'model = "\xff"\n')
    with pytest.raises(RecipeError, match=r"bad\.toml: no valid TOML \(.*invalid start byte\)\.$"):
        read_settings(file)


# The lecture notes' bone ages, §5.2 and §5.3 -------------------------------------------------------------------


@pytest.mark.parametrize("model", ["bonet_simple", "bonet"])
def test_bonet_is_trained_as_the_notes_say(model: str) -> None:
    recipe = recipe_for(model)
    assert recipe.image_size == (220, 220) and recipe.epochs == 150 and recipe.loss == "mae"
    assert (recipe.optimizer, recipe.lr, recipe.momentum) == ("sgd", 0.002, 0.9)
    assert (recipe.schedule, recipe.decay, recipe.warmup, recipe.weight_decay) == ("time", 2e-4, 0.0, 0.0)
    assert recipe.freeze == ("stem",) and recipe.first_layer == "" and recipe.augment == {}
    assert recipe.with_settings({"freeze": []}).freeze == ()


@pytest.mark.parametrize(
    ("value", "names"),
    [([], ()), ("", ()), (["stem"], ("stem",)), ("stem, stage1", ("stem", "stage1")), (("head",), ("head",))],
)
def test_names_as_a_list_or_as_words(value: Any, names: tuple[str, ...]) -> None:
    assert Recipe().with_settings({"freeze": value}).freeze == names


@pytest.mark.parametrize("value", [True, 3, [1], {"stem": 1}])
def test_names_that_are_none(value: Any) -> None:
    with pytest.raises(RecipeError) as error:
        Recipe().with_settings({"freeze": value}, origin="--set")
    assert str(error.value) == f'--set: `freeze` must be a list of names, such as ["stem"]. Got {value!r}.'


@pytest.mark.parametrize("value", [12, "16", True, 16.0])
def test_a_depth_that_is_none(value: Any) -> None:
    with pytest.raises(RecipeError, match=rf'^settings: `depth` cannot be "{value}"\. .*Known: 16, 8\.$'):
        Recipe().with_settings({"depth": value})
