"""The recipe: where a value comes from, what is refused and in which words, and TOML there and back."""

import json
import math
import os
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirada.data.augment import Augmentation
from mirada.errors import InvalidArgument, RecipeError
from mirada.models import CATALOGUE, create_model
from mirada.models.families import OPTION_NAMES
from mirada.samples import Classes, Numbers
from mirada.settings import described
from mirada.training.demands import require_fitting
from mirada.training.recipe import (
    AUGMENT_PRESETS,
    KINDS,
    LONG,
    PARTS,
    PLAIN,
    SHORT,
    TABLES,
    Pixels,
    Recipe,
    Splits,
    augment_preset,
    recipe_for,
)
from mirada.training.recipe_text import modern, parse, read_settings
from mirada.training.schedules import Constant, Cosine, MultiStep, OneCycle, Plateau, Time
from mirada.training.stepping import Adam, NotesMomentum, Rmsprop, RmspropTF, Sgd

# Every setting by its short name, as it is declared; of several kinds, the last that has it.
DECLARED = {
    each.name: each
    for record in (Recipe, *(kind for table, kinds in PARTS.items() if table not in LONG for kind in kinds))
    for each in described(record)
}
CHOICES = {name: get_args(each.hint) for name, each in DECLARED.items() if get_origin(each.hint) is Literal}
KNOWN = sorted({*PLAIN, *SHORT, *TABLES})
TAKEN: dict[str, dict[str, Any]] = {  # what a setting needs beside it to be taken
    "momentum": {"optimizer": "sgd"}, "nesterov": {"optimizer": "sgd"}, "decay": {"schedule": "time"},
    "alpha": {"optimizer": "rmsprop"}, "eps": {"optimizer": "rmsprop"}, "as_printed": {"optimizer": "notes"},
    "gamma": {"schedule": "step"}, "step_size": {"schedule": "step"}, "milestones": {"schedule": "multi_step"},
    "power": {"schedule": "poly"}, "wait": {"schedule": "plateau"},
    **{key: {"schedule": "one_cycle"} for key in ("rise", "begin", "end")},
}  # fmt: skip


def got(recipe: Recipe, name: str) -> Any:
    """The value of a setting by its short name."""
    return getattr(getattr(recipe, SHORT[name]) if name in SHORT else recipe, name)


# Defaults ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", CATALOGUE)
def test_every_network_has_a_recipe_that_can_be_used(model: str) -> None:
    """Its images are as the paper's, and its augmentation is one that exists."""
    recipe = recipe_for(model)
    channels, height, width = CATALOGUE[model].image
    assert recipe.model == model
    assert recipe.pixels.image_size == (height, width)
    assert recipe.pixels.mode == ("L" if channels == 1 else "RGB")
    assert recipe.augment.warps == (CATALOGUE[model].family != "bonet")  # whose source says nothing


@pytest.mark.parametrize("model", CATALOGUE)
def test_every_recipe_builds_its_network(model: str) -> None:
    """At its size, with its options and a loss for classes as well as for numbers."""
    recipe = recipe_for(model)
    require_fitting(recipe, Classes(("a", "b")))
    require_fitting(recipe, Numbers())
    with torch.device("meta"):
        network = create_model(model, image_size=recipe.pixels.image_size, **recipe.options)
    assert hasattr(network, "auxiliary") == recipe.options.get("auxiliary", False)


def test_auxiliary_heads_and_label_smoothing_where_the_papers_have_them() -> None:
    recipes = {model: recipe_for(model) for model in CATALOGUE}
    assert [model for model, recipe in recipes.items() if recipe.options.get("auxiliary")] == [
        "googlenet",
        "googlenet_bn",
        "googlenet_gap",
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
    assert (recipe.optimizer, recipe.batch_size, recipe.epochs) == (Adam(lr=1e-3), 32, 25)
    assert recipe.pixels.normalize == "unit"
    assert AUGMENT_PRESETS["notes"] == {"shear": 0.2, "zoom": 0.2, "horizontal_flip": "auto"}


@pytest.mark.parametrize("name", AUGMENT_PRESETS)
def test_presets_are_augmentations(name: str) -> None:
    assert Augmentation(**AUGMENT_PRESETS[name]).warps == (name != "none")


def test_a_recipe_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Recipe().epochs = 1


def test_recipes_share_a_preset() -> None:
    assert (
        recipe_for("lenet5").augment == augment_preset("digits") == Augmentation(**AUGMENT_PRESETS["digits"])
    )


# Settings ------------------------------------------------------------------------------------------------


def test_later_settings_win_and_the_rest_stays() -> None:
    recipe = recipe_for("lenet5")
    file = recipe.with_settings({"epochs": 7, "lr": 0.5}, origin="recipe.toml")
    flags = file.with_settings({"lr": 0.25})
    assert flags == replace(recipe, epochs=7, optimizer=replace(recipe.optimizer, lr=0.25))
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
    assert text.endswith(f"Known: {', '.join(KNOWN)}.")


@pytest.mark.parametrize("key", ["lr.x", "model.name", "lr.", "augment.", ".lr", ""])
def test_only_tables_have_settings_of_their_own(key: str) -> None:
    with pytest.raises(RecipeError, match=rf'^settings: there is no setting "{key}"\. '):
        Recipe().with_settings({key: 0.5})


@pytest.mark.parametrize("key", ["help", "list", "?"])
def test_who_asks_what_there_is_is_told_where(key: str) -> None:
    with pytest.raises(RecipeError, match=r"; `mirada settings` lists those there are\.$"):
        Recipe().with_settings({key: 1})


@pytest.mark.parametrize("name", sorted(SHORT.keys() - set(OPTION_NAMES)))
def test_short_and_full_names_are_the_same(name: str) -> None:
    recipe = Recipe().with_settings(TAKEN.get(name, {}))
    values: dict[str, Any] = {
        "image_size": 48,
        "window": "full",
        "nesterov": True,
        "resize": 64,
        "as_printed": True,
    }
    values |= {"milestones": (30.0,), "wait": 3, "begin": 5.0, "end": 7.0}
    value = values.get(name, CHOICES[name][-1] if name in CHOICES else 0.25)
    one, other = (recipe.with_settings({key: value}) for key in (name, f"{SHORT[name]}.{name}"))
    assert one == other != recipe
    assert got(one, name) == ((48, 48) if name == "image_size" else value)


WRONG: list[tuple[str, Any, str]] = [
    ("epochs", 2.0, "`epochs` must be a whole number above 0. Got 2.0."),
    ("epochs", "2", "`epochs` must be a whole number above 0. Got '2'."),
    ("epochs", True, "`epochs` must be a whole number above 0. Got True."),
    ("lr", "fast", "`lr` must be a number above 0. Got 'fast'."),
    ("lr", True, "`lr` must be a number above 0. Got True."),
    ("lr", None, "`lr` must be a number above 0. Got None."),
    ("model", 5, "`model` must be a text. Got 5."),
    ("weights", 5, "`weights` must be a text. Got 5."),
    ("device", ["cpu"], "`device` must be a text. Got ['cpu']."),
    ("image_size", 64.0, "`image_size` must be a side in pixels or [height, width]. Got 64.0."),
    ("image_size", "64", "`image_size` must be a side in pixels or [height, width]. Got '64'."),
    ("image_size", [64], "`image_size` must be a side in pixels or [height, width]. Got [64]."),
    ("image_size", [64, 64, 3], "`image_size` must be a side in pixels or [height, width]. Got [64, 64, 3]."),
    ("image_size", [64, 64.5], "`image_size` must be a side in pixels or [height, width]. Got [64, 64.5]."),
    ("image_size", True, "`image_size` must be a side in pixels or [height, width]. Got True."),
    (
        "optimizer",
        "sdg",
        '`optimizer` cannot be "sdg". Did you mean "sgd"? Known: adam, adamw, notes, rmsprop, rmsprop_tf, sgd.',
    ),
    ("optimizer", ["sgd"], "`optimizer` cannot be \"['sgd']\". "),
    (
        "schedule",
        "cosin",
        '`schedule` cannot be "cosin". Did you mean "cosine"? Known: constant, cosine, '
        "exponential, multi_step, one_cycle, plateau, poly, step, time.",
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
    assert got(Recipe().with_settings({name: choice}), name) == choice


RANGES: list[tuple[str, Any, str]] = [
    *((name, value, "a whole number above 0") for name in ("epochs", "batch_size") for value in (0, -1)),
    *(("lr", value, "a number above 0") for value in (0.0, -1e-3)),
    *((name, -1, "a whole number of at least 0") for name in ("micro_batch", "patience", "seed")),
    *(
        (name, -0.1, "a number of at least 0")
        for name in ("momentum", "weight_decay", "decay", "warmup", "clahe")
    ),
    *(("val_fraction", value, "a number above 0 and below 1") for value in (0.0, -0.5, 1.0, 2.0)),
    *(
        (name, value, "a number from 0 to below 1")
        for name in ("test_fraction", "label_smoothing")
        for value in (-0.1, 1.0, 1.5)
    ),
]


@pytest.mark.parametrize(("name", "value", "rule"), RANGES)
def test_a_value_out_of_range(name: str, value: Any, rule: str) -> None:
    with pytest.raises(RecipeError, match=rf"^my\.toml: `{name}` must be {rule}\. Got {value!r}\.$"):
        Recipe().with_settings({**TAKEN.get(name, {}), name: value}, origin="my.toml")


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", [name for name, each in DECLARED.items() if each.hint is float])
def test_numbers_are_finite(name: str, value: float) -> None:
    """TOML knows inf and nan; no setting does."""
    with pytest.raises(RecipeError, match=rf"`{name}`"):
        Recipe().with_settings({**TAKEN.get(name, {}), name: value})


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["decay", "start"])
def test_numbers_of_an_average_are_finite(name: str, value: float) -> None:
    with pytest.raises(RecipeError, match=rf"`{name}` must be a number"):
        Recipe().with_settings({"average": "ema", f"average.{name}": value})


@pytest.mark.parametrize("name", [name for name, each in DECLARED.items() if each.hint is int])
def test_whole_numbers_have_an_end(name: str) -> None:
    for value in (2**63, 10**5000):
        with pytest.raises(RecipeError, match=rf"`{name}` must be below 2⁶³\. Got .{{1,80}}\.$"):
            Recipe().with_settings({**TAKEN.get(name, {}), name: value})
    assert got(Recipe().with_settings({**TAKEN.get(name, {}), name: 2**63 - 1}), name) == 2**63 - 1


@pytest.mark.parametrize("name", [name for name, each in DECLARED.items() if each.hint is str])
def test_texts_hold_no_nul(name: str) -> None:
    """No file, device or network is called so."""
    with pytest.raises(RecipeError, match=rf"`{name}` must not hold the character NUL\. Got "):
        Recipe().with_settings({name: "a\0b"})


@pytest.mark.parametrize("size", [(0, 5), (5, -1)])
def test_image_sizes_are_at_least_a_pixel(size: tuple[int, int]) -> None:
    with pytest.raises(
        RecipeError, match=rf"^`image_size` must be at least 1 pixel\. Got \({size[0]}, {size[1]}\)\.$"
    ):
        Pixels(image_size=size)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Recipe(optimizer="sgd"), "optimizer"),  # type: ignore[arg-type]
        (lambda: Recipe(epochs="3"), "epochs"),  # type: ignore[arg-type]
        (lambda: Adam(lr="fast"), "lr"),  # type: ignore[arg-type]
        (lambda: Pixels(image_size="64"), "image_size"),  # type: ignore[arg-type]
        (lambda: Pixels(depth=12), "depth"),  # type: ignore[arg-type]
        (lambda: Time(decay=-1), "decay"),
        (lambda: Splits(val_fraction=1), "val_fraction"),
        (lambda: Recipe(options=5), "options"),  # type: ignore[arg-type]
    ],
)
def test_the_records_themselves_check_as_well(make: Callable[[], object], name: str) -> None:
    """A recipe made in Python, not from settings, has no unknown choice either."""
    with pytest.raises(RecipeError, match=rf"`{name}`"):
        make()


def test_the_ends_of_ranges() -> None:
    recipe = Recipe(
        epochs=1, batch_size=1, optimizer=Sgd(momentum=0.0), schedule=Cosine(warmup=0.0),
        splits=Splits(test_fraction=0.0), pixels=Pixels(image_size=(1, 1)),
    )  # fmt: skip
    assert recipe.with_settings({}) == recipe


# Optimizer and schedule ----------------------------------------------------------------------------------


def test_another_optimizer_keeps_what_all_take() -> None:
    """Rate and weight decay; momentum is the new one's own, so that RMSprop has none that nobody asked for."""
    recipe = recipe_for("bonet").with_settings({"lr": 0.5, "weight_decay": 0.25, "momentum": 0.75})
    assert recipe.optimizer == Sgd(lr=0.5, weight_decay=0.25, momentum=0.75)
    assert recipe.with_settings({"optimizer": "rmsprop"}).optimizer == Rmsprop(
        lr=0.5, weight_decay=0.25, momentum=0.0
    )
    assert recipe.with_settings({"optimizer": "adam"}).optimizer == Adam(lr=0.5, weight_decay=0.25)
    assert recipe.with_settings({"optimizer": "sgd"}) == recipe
    assert recipe.with_settings({"warmup": 2, "schedule": "cosine"}).schedule == Cosine(warmup=2.0)


def test_the_order_of_settings_does_not_matter() -> None:
    for given_so in (
        {"momentum": 0.5, "optimizer": "rmsprop"},
        {"optimizer": "rmsprop", "momentum": 0.5},
    ):
        assert Recipe().with_settings(given_so).optimizer == Rmsprop(momentum=0.5)


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": Sgd(lr=0.5)},
        {"optimizer": {"kind": "sgd", "lr": 0.5}},
        {"optimizer": {"kind": "sgd"}, "optimizer.lr": 0.5},
    ],
)
def test_forms_of_a_table(settings: dict[str, Any]) -> None:
    assert Recipe().with_settings(settings).optimizer == Sgd(lr=0.5)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"momentum": 0.5}, 'adam takes no `momentum`. Leave it out, or choose optimizer = "sgd". Got 0.5.'),
        ({"decay": 0.5}, 'constant takes no `decay`. Leave it out, or choose schedule = "time". Got 0.5.'),
        ({"optimizer": {"mom": 1}}, 'optimizer: there is no setting "mom". '),
        ({"pixels": {"sise": 1}}, 'pixels: there is no setting "sise". '),
        ({"pixels": 5}, "`pixels` must be a table. Got 5."),
        ({"options": 5}, "`options` must be a table. Got 5."),
        ({"options": {"activation": [[math.nan]]}}, "options: activation cannot be [[nan]]."),
        ({"options": {"a b": 1}}, "options: a b cannot be 1."),
        ({"options.activation": lambda: 1}, "options: activation cannot be <function"),
    ],
)
def test_what_a_table_does_not_take(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(RecipeError) as error:
        Recipe().with_settings(settings, origin="--set")
    assert str(error.value).startswith(f"--set: {text}")


@pytest.mark.parametrize("value", [64, [64, 64], (64, 64)])
def test_forms_of_image_size(value: Any) -> None:
    assert Recipe().with_settings({"image_size": value}).pixels.image_size == (64, 64)
    assert Recipe().with_settings({"image_size": [48, 64]}).pixels.image_size == (48, 64)


def test_whole_numbers_do_for_floats() -> None:
    lr = Recipe().with_settings({"lr": 1}).optimizer.lr
    assert lr == 1.0
    assert type(lr) is float


def test_weights_are_a_file_by_name_or_by_path() -> None:
    assert Recipe(weights=Path("a") / "b.pth") == Recipe().with_settings({"weights": str(Path("a/b.pth"))})  # type: ignore[arg-type]


# Augmentation --------------------------------------------------------------------------------------------


def test_presets_tables_and_dotted_keys() -> None:
    preset = Recipe().with_settings({"augment": "notes"})
    assert preset.augment == Augmentation(shear=0.2, zoom=0.2, horizontal_flip="auto")
    assert preset.with_settings({"augment.zoom": 0.5}).augment == replace(preset.augment, zoom=0.5)
    assert preset.with_settings({"augment": {"rotation": 5}}).augment == Augmentation(rotation=5)
    assert preset.with_settings({"augment": "none"}).augment == Augmentation()
    assert preset.with_settings({"augment": "none", "augment.shift": 0.1}).augment == Augmentation(shift=0.1)
    assert preset.with_settings({"augment": Augmentation(crop=0.5)}).augment == Augmentation(crop=0.5)
    assert preset.with_settings({"lr": 1.0}).augment == preset.augment


# TOML ----------------------------------------------------------------------------------------------------

POSITIVE = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
NOT_NEGATIVE = st.floats(min_value=0, allow_infinity=False)
SHARE = st.floats(min_value=0, max_value=1, exclude_min=True, exclude_max=True)
# All that a file name may hold: any letter but NUL, and bytes that are no Unicode, as Python holds them.
WORD = st.text(st.characters(exclude_characters="\0", exclude_categories=()), max_size=12)
PLAIN_VALUES = st.recursive(
    st.one_of(st.booleans(), SHARE, st.integers(-(2**63) + 1, 2**63 - 1), WORD),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "b c", "犬"]), inner, max_size=3)
    ),
    max_leaves=5,
)
OPTIONS = st.dictionaries(st.sampled_from(["activation", "dropout", "widths"]), st.none() | PLAIN_VALUES)
SMALL = st.integers(min_value=1, max_value=2**63 - 1)
OPTIMIZERS = st.one_of(
    st.builds(Adam, lr=POSITIVE, weight_decay=NOT_NEGATIVE),
    st.builds(Sgd, lr=POSITIVE, weight_decay=NOT_NEGATIVE, momentum=SHARE),
    st.builds(Rmsprop, lr=POSITIVE, weight_decay=NOT_NEGATIVE, momentum=SHARE),
    st.builds(RmspropTF, lr=POSITIVE, eps=POSITIVE, alpha=SHARE),
    st.builds(NotesMomentum, lr=POSITIVE, as_printed=st.booleans()),
)
SCHEDULES = st.one_of(
    st.builds(Constant, warmup=NOT_NEGATIVE),
    st.builds(Cosine, warmup=NOT_NEGATIVE),
    st.builds(Time, warmup=NOT_NEGATIVE, decay=NOT_NEGATIVE),
    st.builds(MultiStep, warmup=NOT_NEGATIVE, milestones=st.lists(POSITIVE, max_size=3).map(tuple)),
    st.builds(OneCycle, rise=SHARE),
    st.builds(Plateau, wait=SMALL),
)
RECIPES = st.builds(
    Recipe,
    model=WORD,
    weights=WORD,
    first_layer=WORD,
    freeze=st.lists(WORD.filter(lambda word: word.strip() == word != "")).map(tuple),
    epochs=SMALL,
    batch_size=SMALL,
    seed=st.integers(min_value=0, max_value=2**63 - 1),
    label_smoothing=SHARE,
    loss=st.sampled_from(CHOICES["loss"]),
    device=WORD,
    optimizer=OPTIMIZERS,
    schedule=SCHEDULES,
    pixels=st.builds(
        Pixels, image_size=st.tuples(SMALL, SMALL), window=WORD, clahe=NOT_NEGATIVE,
        mode=st.sampled_from(CHOICES["mode"]), depth=st.sampled_from(CHOICES["depth"]),
    ),
    splits=st.builds(Splits, val_fraction=SHARE, test_fraction=SHARE),
    augment=st.builds(
        Augmentation, zoom=st.floats(0, 0.95), horizontal_flip=st.sampled_from([True, False, "auto"])
    ),
    options=OPTIONS,
)  # fmt: skip


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=60)
@given(recipe=RECIPES, other=RECIPES)
def test_what_is_written_can_be_read(recipe: Recipe, other: Recipe, tmp_path: Path) -> None:
    """For any text, whatever recipe it is laid over; and the file is UTF-8."""
    file = tmp_path / "recipe.toml"
    file.write_bytes(recipe.to_toml().encode("utf-8"))
    again = other.with_settings(read_settings(file))
    assert again == recipe
    assert again.to_toml() == recipe.to_toml()


@pytest.mark.parametrize(
    "name", ["😀/𠮷.pth", os.fsdecode(b"caf\xe9.pth"), 'a"b\\c\x7f\n\r', "\ud800", "\u2028"], ids=ascii
)
def test_names_that_toml_has_no_letters_for(name: str, tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_bytes(Recipe(weights=name).to_toml().encode("utf-8"))
    assert Recipe().with_settings(read_settings(file)).weights == name


def test_an_option_of_none_is_none() -> None:
    assert Recipe(options={"activation": None, "dropout": 0.5}).options == {"dropout": 0.5}


def test_a_saved_recipe_says_what_is_not_done() -> None:
    """Over a network's own recipe too, which may augment."""
    recipe = recipe_for("googlenet").with_settings({"augment": "none", "options": {}})
    assert recipe_for("googlenet").with_settings(parse(recipe.to_toml())) == recipe


@pytest.mark.parametrize("model", CATALOGUE)
def test_a_saved_recipe_repeats_the_run(model: str, tmp_path: Path) -> None:
    recipe = recipe_for(model).with_settings({"seed": 5})
    file = tmp_path / "recipe.toml"
    file.write_text(recipe.to_toml(), encoding="utf-8")
    assert recipe_for("resnet18").with_settings(read_settings(file), origin=str(file)) == recipe


def test_to_dict_is_all_of_it() -> None:
    recipe = recipe_for("lenet5")
    assert Recipe().with_settings(recipe.to_dict()) == recipe
    assert recipe.to_dict().keys() == {each.name for each in fields(Recipe)}
    assert json.loads(json.dumps(recipe.to_dict()))["schedule"] == {"kind": "cosine", "warmup": 0.0}


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


def test_files_without_an_end_or_a_sense(tmp_path: Path) -> None:
    file = tmp_path / "deep.toml"
    for text, reason in (
        ("epochs = " + "[" * 5000, "no valid TOML (lists or tables too deep)."),
        ("epochs = " + "1" * 10_000, "no valid TOML (a number with too many digits)."),
        ('weights = "a\0b"', "no valid TOML (Illegal character '\\x00' (at line 1, column 13))."),
        ("#" * 2**20 + "#", "is no recipe (it has more than 1,048,576 bytes)."),
    ):
        file.write_text(text)
        with pytest.raises(RecipeError) as error:
            read_settings(file)
        assert str(error.value) == f"{file}: {reason}"
    with pytest.raises(RecipeError, match=r"^/dev/zero: is no recipe"):
        read_settings("/dev/zero")
    with pytest.raises(RecipeError, match=r"cannot be read \(embedded null byte\)\.$"):
        read_settings("a\0b")


# Recipes of earlier versions -----------------------------------------------------------------------------

FLAT = """
model = "resnet20"
weights = ""
epochs = 7
lr = 0.5
optimizer = "adam"
momentum = 0.9
weight_decay = 0.25
schedule = "cosine"
decay = 0.0
warmup = 1.0
val_fraction = 0.3
image_size = [64, 48]
mode = "L"

[augment]
horizontal_flip = true
"""


def test_a_flat_recipe_is_read_and_what_became_of_its_keys_is_said() -> None:
    settings, notes = modern(parse(FLAT), "old.toml")
    assert Recipe().with_settings(settings) == Recipe(
        model="resnet20", epochs=7, optimizer=Adam(lr=0.5, weight_decay=0.25), schedule=Cosine(warmup=1.0),
        splits=Splits(val_fraction=0.3), pixels=Pixels(image_size=(64, 48), mode="L"),
        augment=Augmentation(horizontal_flip=True),
    )  # fmt: skip
    assert notes[0].startswith(
        "old.toml: the flat recipe of an earlier version; lr, momentum and weight_decay are now in"
    )
    assert notes[1:] == (
        "old.toml: momentum = 0.9 is left out: adam does not take it.",
        "old.toml: decay = 0.0 is left out: cosine does not take it.",
    )


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop"])
def test_momentum_of_a_flat_recipe_is_kept_where_it_was_used(optimizer: str) -> None:
    settings, notes = modern(parse(FLAT.replace('"adam"', f'"{optimizer}"')), "old.toml")
    assert Recipe().with_settings(settings).optimizer == KINDS["optimizer"][optimizer](
        lr=0.5, weight_decay=0.25, momentum=0.9
    )
    assert len(notes) == 2


def test_a_recipe_of_today_is_not_old() -> None:
    for recipe in (recipe_for("lenet5"), recipe_for("bonet")):
        assert modern(parse(recipe.to_toml()), "new.toml") == (parse(recipe.to_toml()), ())
    short = {"lr": 0.1, "optimizer": "sgd", "momentum": 0.5}
    assert modern(short, "short.toml") == (short, ())


# The lecture notes' bone ages, §5.2 and §5.3 -------------------------------------------------------------------


@pytest.mark.parametrize("model", ["bonet_simple", "bonet"])
def test_bonet_is_trained_as_the_notes_say(model: str) -> None:
    recipe = recipe_for(model)
    assert recipe.pixels.image_size == (220, 220) and recipe.epochs == 150 and recipe.loss == "mae"
    assert recipe.optimizer == Sgd(lr=0.002, momentum=0.9, weight_decay=0.0)
    assert recipe.schedule == Time(decay=2e-4, warmup=0.0)
    assert recipe.freeze == ("stem",) and recipe.first_layer == "" and recipe.augment == Augmentation()
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


def test_an_option_of_a_network_is_set_by_its_own_name() -> None:
    assert recipe_for("vgg16").with_settings({"head": "average"}).options == {"head": "average"}
    assert recipe_for("vgg16").with_settings({"options.head": "average"}).options == {"head": "average"}


def test_no_option_is_called_like_another_setting() -> None:
    settings = {*PLAIN, *TABLES} | {
        each.name for kinds in PARTS.values() for kind in kinds for each in described(kind)
    }
    assert not settings & set(OPTION_NAMES)


def test_the_head_of_a_flat_recipe_of_bonet_is_the_one_it_was() -> None:
    """Averages before a hidden layer were called ``average``, as those before none are now."""
    flat = {"model": "bonet", "optimizer": "adam", "schedule": "constant", "momentum": 0.9, "decay": 0.0}
    known, notes = modern({**flat, "options": {"head": "average", "stride": 2}}, "old.toml")
    assert known["options"] == {"head": "average_dense", "stride": 2}
    assert any("is now called average_dense" in note for note in notes)
    known, notes = modern({**flat, "model": "vgg16", "options": {"head": "average"}}, "old.toml")
    assert known["options"] == {"head": "average"}
    assert not any("average_dense" in note for note in notes)


@pytest.mark.parametrize(
    "settings",
    [
        {"lr": 0.1, "optimizer": {"lr": 0.2}}, {"optimizer": {"lr": 0.2}, "lr": 0.1},
        {"lr": 0.1, "optimizer.lr": 0.2}, {"val_fraction": 0.1, "splits": {"val_fraction": 0.2}},
        {"options": {"head": "average"}, "head": "flatten"},
    ],
)  # fmt: skip
def test_a_setting_is_given_once(settings: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match=r"is given twice, .* Give it once\."):
        Recipe().with_settings(settings)


def test_a_recipe_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text("epochs = 3\n", encoding="utf-8-sig")
    assert read_settings(tmp_path / "r.toml") == {"epochs": 3}
