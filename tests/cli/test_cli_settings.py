"""``settings``, and what leads to it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirada.errors import RecipeError
from mirada.models import CATALOGUE, facts
from mirada.settings import described
from mirada.training.recipe import LONG, PARTS, SYNONYMS, Recipe, place_of, recipe_for
from mirada.training.settings_table import settings_table

Cli = Callable[..., Any]


def test_every_setting_is_listed(cli: Cli) -> None:
    """With what resnet18, the network that is trained unless another is named, starts from."""
    code, out, err = cli("settings")
    assert (code, err) == (0, "")
    header, *lines = out.splitlines()
    assert header.split()[:3] == ["setting", "for", "resnet18"]
    listed = {line.split()[0] for line in lines}
    fields = {
        f"{table}.{each.name}" if table in LONG else each.name
        for table, kinds in PARTS.items()
        for kind in kinds
        for each in described(kind)
    }
    assert {each.name for each in described(Recipe)} <= listed
    assert fields <= listed
    assert {
        "optimizer",
        "schedule",
        "average",
        "augment",
        "freeze",
        "label_smoothing",
        "activation",
    } <= listed
    assert facts("resnet18").options.keys() <= listed
    assert "rmsprop" in out and "notes" in out and all(line.count("  ") >= 3 for line in lines)


@pytest.mark.parametrize("model", CATALOGUE)
def test_a_listed_value_is_one_that_can_be_set(model: str) -> None:
    """What the list says of a network is its recipe: set again, it changes nothing."""
    from mirada.cli.pairs import setting

    recipe = recipe_for(model)
    for row in settings_table(recipe):
        if " with " in row.default or row.default == "as below":  # of another kind; several
            continue
        key, value = setting(f"{row.short}={row.default}")
        again = recipe.with_settings({key: value})
        assert again.with_settings({"options": recipe.options}) == recipe, row


def test_one_setting(cli: Cli) -> None:
    assert cli("settings", "momentum").out.splitlines() == [
        "momentum, in full optimizer.momentum",
        "  The share of the last step that is added to the next one.",
        "  values: a number of at least 0",
        "  default: 0.9 with sgd, notes; 0 with rmsprop, rmsprop_tf",
        "  0.9 for bonet_simple, bonet",
    ]
    assert cli("settings", "optimizer.lr").out == cli("settings", "lr").out
    assert cli("settings", "epochs").out.startswith("epochs\n  Passes over the training images.\n")
    assert "dense, average" in cli("settings", "options.head").out.replace(
        "flatten, average_dense, average", "dense, average"
    )


def test_a_setting_that_there_is_not(cli: Cli) -> None:
    wrong = {
        "momentun": 'there is no setting "momentun". Did you mean "momentum"? Known: activation, ',
        "augment.zom": 'There is no setting "augment.zom". Did you mean "augment.zoom"? Known: ',
        "pixels": '"pixels" is a table; its settings are pixels.image_size, ',
        "resnet19": 'There is no network "resnet19". Did you mean "resnet18"? Known: ',
        "options.hed": 'There is no setting "options.hed". Did you mean "options.head"? Known: ',
    }
    for name, text in wrong.items():
        code, out, err = cli("settings", name)
        assert (code, out) == (2, "") and err.startswith(f"Error: {text}") and err.count("\n") == 1, err


def test_help_of_train_leads_there(cli: Cli) -> None:
    text = " ".join(cli("train", "--help").out.split())
    assert text.endswith("mirada settings [KEY|MODEL] lists what --set takes: type, range, default, meaning.")


@pytest.mark.parametrize(
    ("argument", "key"),
    [("--optimizer", "optimizer"), ("--weight-decay", "weight_decay"), ("--augment.zoom", "augment.zoom")],
)
def test_a_setting_that_is_no_option(argument: str, key: str, cli: Cli, tmp_path: Path) -> None:
    for words in ((argument, "x"), (f"{argument}=x",)):
        code, out, err = cli("train", tmp_path, *words)
        assert (code, out) == (2, "")
        assert err == (
            f"Error: There is no option {argument}; it is a setting: --set {key}=… "
            f"(mirada settings {key} tells more).\n"
        )


def test_an_option_that_is_nothing(cli: Cli, tmp_path: Path) -> None:
    code, _, err = cli("train", tmp_path, "--optimiser", "sgd")
    assert code == 2 and err.startswith("Error: No such option '--optimiser'")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("learning_rate", "lr"), ("lerning_rate", "lr"), ("LearningRate", "lr"), ("batchsize", "batch_size"),
        ("size", "image_size"), ("num_epochs", "epochs"), ("max_epoch", "epochs"), ("optimiser", "optimizer"),
        ("early_stopping", "patience"), ("architecture", "model"), ("pretrained", "weights"), ("epoch", "epochs"),
    ],
)  # fmt: skip
def test_a_setting_by_what_others_call_it(said: str, meant: str, cli: Cli, tmp_path: Path) -> None:
    code, out, err = cli("train", tmp_path, "--set", f"{said}=1")
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert f'there is no setting "{said}". Did you mean "{meant}"? Known: ' in err


def test_synonyms_are_of_settings_and_are_none() -> None:
    for said, meant in SYNONYMS.items():
        assert any(place_of(meant))  # it is one
        with pytest.raises(RecipeError):
            place_of(said)


def test_settings_without_an_end_or_a_sense(cli: Cli, tmp_path: Path) -> None:
    """One sentence and exit code 2, before anything is read."""
    wrong = {
        "epochs=" + "[" * 3000: "--set epochs: lists or tables too deep.",
        "epochs=" + "1" * 10_000: "--set epochs: a number with too many digits.",
        "options=5": "--set: `options` must be a table. Got 5.",
        "help=1": '--set: there is no setting "help"; `mirada settings` lists those there are.',
        'weights="a\\u0000b"': "--set: `weights` must not hold the character NUL. Got ",
        "e" * 5000 + "=1": '--set: there is no setting "eeee',
    }
    for setting, text in wrong.items():
        code, out, err = cli("train", tmp_path, "--set", setting)
        assert (code, out) == (2, "") and err.startswith(f"Error: {text}") and len(err) < 1200, err
    code, out, err = cli("train", tmp_path, "--recipe", "/dev/zero")
    assert (code, out) == (
        2,
        "",
    ) and err == "Error: /dev/zero: is no recipe (it has more than 1,048,576 bytes).\n"
