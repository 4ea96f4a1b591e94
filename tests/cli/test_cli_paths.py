"""Paths on the command line: nothing that exists is overwritten, and each path is what is meant there."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirada import load_model
from mirada.errors import CheckpointError

Cli = Callable[..., Any]
Trained = Callable[[str], Path]


@pytest.fixture
def model(trained: Trained) -> Path:
    return trained("lenet5")


@pytest.mark.parametrize(
    ("verb", "option"),
    [("predict", "--csv"), ("predict", "--json"), ("evaluate", "--csv"), ("check", "--html")],
)
def test_no_file_is_overwritten(
    verb: str, option: str, cli: Cli, model: Path, shapes: Path, tmp_path: Path
) -> None:
    """The name that is taken instead is said; what the same verb wrote under a name it may replace."""
    mine = tmp_path / "mine.txt"
    mine.write_text("mine", encoding="utf-8")
    models = [] if verb == "check" else [model]
    for number in (2, 3):
        answer = cli(verb, *models, shapes, option, mine)
        assert answer.code == 0
        assert f"mine-{number}.txt" in answer.out + answer.err
        assert (tmp_path / f"mine-{number}.txt").stat().st_size > 100
    assert mine.read_text(encoding="utf-8") == "mine"


def test_predictions_are_replaced_by_the_same_verb_only(
    cli: Cli, model: Path, shapes: Path, tmp_path: Path
) -> None:
    assert cli("evaluate", model, shapes, "--csv", "t.csv").code == 0
    judged = (tmp_path / "t.csv").read_bytes()
    for _ in range(2):
        assert cli("predict", model, shapes, "--csv", "t.csv", "--json", "t.json").code == 0
        assert cli("predict", model, shapes, "--csv", "own.csv").code == 0
    assert cli("evaluate", model, shapes, "--csv", "t.csv").code == 0
    assert (tmp_path / "t.csv").read_bytes() == judged
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "own.csv", "t-2.csv", "t-3.csv", "t.csv", "t.json"
    ]  # fmt: skip


def test_a_model_is_not_overwritten_by_its_predictions(cli: Cli, model: Path, shapes: Path) -> None:
    before = model.read_bytes()
    written = model.with_stem("model-2")
    assert cli("predict", model, shapes, "--csv", model).code == 0
    assert model.read_bytes() == before and written.read_bytes().startswith(b"path,")
    written.unlink()


def test_two_tables_of_one_name(cli: Cli, model: Path, shapes: Path, tmp_path: Path) -> None:
    code, _, err = cli("predict", model, shapes, "--csv", "p.txt", "--json", "p.txt")
    assert code == 0 and "p.txt exists already, and is not overwritten: written to p-2.txt" in err
    assert (tmp_path / "p.txt").read_bytes().startswith(b"path,")
    assert (tmp_path / "p-2.txt").read_bytes().startswith(b"[")


def test_what_fails_leaves_no_file(
    cli: Cli, model: Path, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **settings: object) -> None:
        raise OSError(28, "No space left on device", "p.csv")

    monkeypatch.setattr("mirada.evaluation.predictions.Predictions.to_csv", full)
    assert cli("predict", model, shapes, "--csv", "p.csv").code == 1
    assert not list(tmp_path.glob("p*"))


@pytest.mark.parametrize("name", ["", "-"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "MODEL", "DATA", "--csv"), ("evaluate", "MODEL", "DATA", "--csv"), ("sample", "shapes"),
        ("explain", "MODEL", "DATA", "--output"), ("train", "DATA", "--output"), ("check", "DATA", "--html"),
        ("summary", "lenet5", "--diagram"),
    ],
)  # fmt: skip
def test_an_output_has_a_name(
    arguments: tuple[str, ...], name: str, cli: Cli, model: Path, shapes: Path, tmp_path: Path
) -> None:
    given = [{"MODEL": model, "DATA": shapes}.get(word, word) for word in arguments]
    code, out, err = cli(*given, name)
    assert (code, out) == (2, "") and err.startswith("Error: ") and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("verb", ["predict", "evaluate", "explain"])
def test_the_folder_of_a_run_stands_for_its_model(verb: str, cli: Cli, model: Path, shapes: Path) -> None:
    image = shapes if verb == "evaluate" else next(shapes.rglob("*.png"))
    assert cli(verb, model.parent, image).code == 0


def test_a_run_folder_in_python_and_in_summary(cli: Cli, model: Path) -> None:
    assert load_model(model.parent).card == load_model(model).card
    assert cli("summary", model.parent).out == cli("summary", model).out


def test_the_folder_of_a_run_stands_for_its_model_and_its_recipe_in_training(
    cli: Cli, model: Path, shapes: Path, tmp_path: Path
) -> None:
    folder = model.parent
    code, out, err = cli(
        "train", shapes, "--recipe", folder, "--set", f"weights={folder}", "--epochs", 1, "--output", "again"
    )
    assert code == 0, err
    assert f"{model.name}: 10 tensors loaded" in out
    recipe = tomllib.loads((tmp_path / "again" / "recipe.toml").read_text(encoding="utf-8"))
    first = tomllib.loads((folder / "recipe.toml").read_text(encoding="utf-8"))
    assert recipe["weights"] == str(model)
    assert (
        recipe["pixels"]["image_size"] == first["pixels"]["image_size"] and recipe["model"] == first["model"]
    )
    code, out, err = cli("train", shapes, "--recipe", shapes)
    assert (code, out) == (2, "") and "is a folder without a recipe.toml" in err and err.count("\n") == 1
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / "recipe.toml").write_text("")
    for key in ("weights", "first_layer"):
        code, out, err = cli("train", shapes, "--set", f"{key}=killed")
        assert code != 0 and "is a run that ended before there was a model" in err and err.count("\n") == 1


def test_folders_that_are_no_model(cli: Cli, model: Path, shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"holds the models of \d+ runs?\. Name one of them, such as .*lenet5"
    ):
        load_model(model.parents[1])
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / "recipe.toml").touch()
    code, _, err = cli("predict", "killed", shapes)
    assert code == 2 and "ended before there was a model" in err
    code, _, err = cli("predict", shapes, model)
    assert code == 2 and "is a folder without a model file" in err
    code, _, err = cli("summary", shapes)
    assert code == 1 and "is a directory" in err


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "a path is needed"), ("~/x", "leaves ~ as it is"), ("https://a.org/x.zip", "nothing is fetched"),
        ("no", "does not exist"), ("RUN", "is the folder of a run"), ("MODEL", "is a model file"),
    ],
)  # fmt: skip
def test_paths_that_are_no_data(path: str, said: str, cli: Cli, model: Path) -> None:
    name = {"RUN": model.parent, "MODEL": model}.get(path, path)
    for arguments in (("predict", model), ("evaluate", model), ("train",), ("check",), ("explain", model)):
        code, out, err = cli(*arguments, name)
        assert (code, out) == (2, "") and said in err and err.count("\n") == 1
    if path not in ("RUN", "MODEL"):
        code, _, err = cli("predict", name, name)
        assert code == 2 and said in err


def test_a_setting_has_one_value(cli: Cli, shapes: Path) -> None:
    code, out, err = cli("train", shapes, "--set", "lr=1", "--set", "lr=2")
    assert (code, out) == (2, "") and err == "Error: --set gives lr twice, as 1 and as 2. Give it once.\n"
    code, out, err = cli("train", shapes, "--set", "lr=1", "--set", "optimizer.lr=2")
    assert (code, out) == (2, "") and "`lr` is given twice" in err
