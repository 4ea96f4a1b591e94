"""Odd data where a model is used: one image, other capitals, words that it does not know, and networks gone wrong."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mirada.cli.training_lines import TrainingLines
from mirada.data.sources import load_data
from mirada.errors import InvalidArgument
from mirada.events import EpochDone
from mirada.inference.model import load_model
from mirada.modelfile import load_network, save_model
from mirada.samples import Covariate, Numbers, Scaling

TINY = ["--epochs", "1", "--image-size", "32", "--device", "cpu"]
Cli = Callable[..., Any]


@pytest.fixture
def number(trained: Callable[[str], Path], tmp_path: Path) -> Path:
    """The file of a model of a number, which reads whether the person is male."""
    return saved(trained("lenet5"), tmp_path / "number.safetensors", Covariate("male", binary=True))


@pytest.fixture
def word(trained: Callable[[str], Path], tmp_path: Path) -> Path:
    """The same, of a column of words."""
    return saved(trained("lenet5"), tmp_path / "word.safetensors", Covariate("sex", "M", "F"))


def saved(plain: Path, file: Path, covariate: Covariate) -> Path:
    card = load_network(plain)[1]
    card = replace(
        card,
        architecture=replace(card.architecture, outputs=1, covariates=1),
        target=Numbers(unit="months"),
        target_scaling=Scaling((90.0,), (10.0,)),
        covariates=(covariate,),
        covariate_scaling=Scaling((0.5,), (0.5,)),
    )
    torch.manual_seed(0)
    save_model(file, card.architecture.build(), card)
    return file


def broken(plain: Path, file: Path, factor: float) -> Path:
    """A model whose weights are multiplied: by 0 they say nothing, by much the outputs are no finite numbers."""
    network, card = load_network(plain)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(factor)
    save_model(file, network, card)
    return file


def listed(shapes: Path, tmp_path: Path, column: str, words: list[str]) -> Path:
    """A table of so many images with an age and another column."""
    files = sorted((shapes / "test").rglob("*.png"))
    rows = [
        f"{file},{60 + 7 * place},{word}"
        for place, (file, word) in enumerate(zip(files, words, strict=False))
    ]
    table = tmp_path / "t.csv"
    table.write_text("\n".join([f"image,age (months),{column}", *rows, ""]), encoding="utf-8")
    return table


def test_one_image_is_judged(
    cli: Cli, number: Path, trained: Callable[[str], Path], shapes: Path, tmp_path: Path
) -> None:
    """Without an interval, and it is said why."""
    code, out, err = cli("evaluate", number, listed(shapes, tmp_path, "male", ["True"]))
    assert (code, err) == (0, "") and out.startswith("1 image (")
    mae = next(line for line in out.splitlines() if line.startswith("mae"))
    assert "–" in mae and "no interval: fewer than two images" in mae
    picture = next((shapes / "test" / "star").glob("*.png"))
    (tmp_path / "one" / "star").mkdir(parents=True)
    shutil.copy(picture, tmp_path / "one" / "star")
    code, out, _ = cli("evaluate", trained("lenet5"), "one")
    assert code == 0 and "without images here: circle, square, triangle\n1 image (" in out


def test_classes_with_other_capitals(
    cli: Cli, trained: Callable[[str], Path], shapes: Path, tmp_path: Path
) -> None:
    for name, copy in (("circle", "Circle"), ("square", "SQUARE"), ("star", "star")):
        shutil.copytree(shapes / "test" / name, tmp_path / "data" / copy)
    code, _, err = cli("evaluate", trained("lenet5"), "data")
    assert (code, err) == (
        1,
        'Error: data: has the classes "Circle", "SQUARE", which the model does not have. Its "circle", "square" differ '
        "in capitals alone: write them so.\n",
    )
    (tmp_path / "data" / "Circle").rename(tmp_path / "data" / "circel")
    code, _, err = cli("evaluate", trained("lenet5"), "data")
    assert code == 1 and err.startswith('Error: data: has the classes "SQUARE", "circel", which')
    assert 'Did you mean "circle"?' in err


@pytest.mark.parametrize("verb", ["evaluate", "predict"])
def test_words_that_a_model_does_not_know_are_counted(
    verb: str, cli: Cli, number: Path, word: Path, shapes: Path, tmp_path: Path
) -> None:
    """Their rows are left out, by name; the others are answered."""
    given = ["True", "maybe", "no", "", "1", "False"]
    code, out, err = cli(verb, number, listed(shapes, tmp_path, "male", given))
    assert (code, err) == (1, "")
    assert out.count('row 3: male is "maybe", which is no number') == 1 and out.count("row 5: no male") == 1
    if verb == "evaluate":
        assert "\n4 images (" in out
    else:
        assert out.count(" months") == 4
    code, out, _ = cli(verb, word, listed(shapes, tmp_path, "sex", ["M", "F", "X", "F"]))
    assert code == 1 and out.count('row 4: sex is "X", neither M nor F') == 1
    code, _, err = cli(verb, number, listed(shapes, tmp_path, "male", ["x", "q", "z"]))
    assert code == 1 and "of its 3 rows none can be used" in err and 'male is "x", which is no number' in err


@pytest.mark.parametrize("factor", [1e15, 1e30])
def test_outputs_that_are_no_numbers(
    factor: float, cli: Cli, trained: Callable[[str], Path], number: Path, shapes: Path, tmp_path: Path
) -> None:
    """A sentence that names the image and exit code 1; nothing is written."""
    pictures = sorted((shapes / "test" / "star").glob("*.png"))[:2]
    for plain, known in ((trained("lenet5"), []), (number, ["--known", "male=1"])):
        model = broken(plain, tmp_path / "broken.safetensors", factor)
        before = set(tmp_path.iterdir())
        answers = [
            cli("predict", model, *pictures, "--csv", "p.csv", *known),
            cli("explain", model, *pictures, *known),
        ]
        for code, out, err in answers:
            assert (code, out) == (1, "")
            assert err.startswith(f"Error: {pictures[0]}: the network's output must be finite numbers")
        assert set(tmp_path.iterdir()) == before
    model = broken(trained("lenet5"), tmp_path / "broken.safetensors", factor)
    code, out, err = cli("evaluate", model, shapes)
    assert (code, out) == (1, "") and "the network's output must be finite numbers" in err
    with pytest.raises(ValueError, match=f"{pictures[0].name}: the network's output must be finite"):
        load_model(model).predict(pictures)
    with pytest.raises(ValueError, match=f"{pictures[0].name}: the network's output must be finite"):
        list(load_model(model).explain(pictures))


def test_a_network_that_has_learnt_nothing(
    cli: Cli, trained: Callable[[str], Path], number: Path, shapes: Path, tmp_path: Path
) -> None:
    pictures = sorted((shapes / "test" / "star").glob("*.png"))[:2]
    model = broken(trained("lenet5"), tmp_path / "nothing.safetensors", 0.0)
    code, out, _ = cli("evaluate", model, shapes)
    assert code == 0 and 'always answers "circle"; it has learnt nothing' in out
    code, _, err = cli("predict", model, *pictures)
    assert (code, err) == (0, "Note: the answer is the same for all 2 images, to the last digit.\n")
    code, out, err = cli("explain", model, *pictures)
    assert code == 0 and out.count("the map is zero everywhere") == 2
    code, _, err = cli("predict", number, *pictures, "--known", "male=1")
    assert (code, err) == (0, "")


def test_own_output_among_the_images_is_no_data(
    cli: Cli, trained: Callable[[str], Path], shapes: Path, tmp_path: Path
) -> None:
    """Maps in the folder of a class, tables beside those that list images, a run in a class: wherever one writes."""
    model = trained("lenet5")
    shutil.copytree(shapes / "test", tmp_path / "data")
    before = load_data("data")
    picture = sorted((tmp_path / "data" / "star").glob("*.png"))[0].relative_to(tmp_path)
    for folder in ("data/star", "data/circle", "data/star"):
        assert cli("explain", model, picture, "--output", folder).code == 0
    assert cli("train", shapes, "--model", "lenet5", *TINY, "--output", "data/star/run").code == 0
    after = load_data("data")
    assert after.paths == before.paths and after.classes == before.classes
    (note,) = (note for note in after.notes if "passed over" in note)
    assert "(Mirada's own output)" in note
    code, out, _ = cli("predict", model, "data/star", "--csv", "data/p.csv", "--similar", "data/near.csv")
    assert code == 0 and "-map" not in out
    (tmp_path / "data" / "t.csv").write_text(
        "image,label\n" + "".join(f"{path},x\n" for path in before.paths[:2])
    )
    with pytest.raises(InvalidArgument) as caught:
        load_data("data", target="label")
    assert "There is a table in it, too (t.csv)" in str(caught.value)
    own = tmp_path / "data" / "star" / "europe-map.png"
    shutil.copy(tmp_path / picture, own)
    assert len(load_data("data")) == len(before) + 1


def test_judged_by_the_words_of_a_column(
    cli: Cli, trained: Callable[[str], Path], number: Path, shapes: Path, tmp_path: Path
) -> None:
    """On the terminal, in evaluation.json, on the page, and in the command that repeats a run."""
    (tmp_path / "shapes").symlink_to(
        shapes
    )  # the split goes by the names, and those of pytest's folders change
    files = sorted(path.relative_to(shapes) for path in shapes.rglob("*.png"))
    rows = [
        f"shapes/{file},{file.parent.name},{('A', 'B', '')[place % 3]}" for place, file in enumerate(files)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["image,label,site", *rows, ""]))
    code, out, err = cli("evaluate", trained("lenet5"), "t.csv", "--by", "site")
    assert (code, err) == (0, "")
    head, *lines = out[out.index("site ") :].splitlines()[:4]
    assert head.split() == ["site", "images", "accuracy", "interval", "balanced_accuracy", "interval"]
    assert [line.split("  ")[0] for line in lines] == ["A", "B", "(says nothing)"]
    assert sum(int(line[len("(says nothing)") :].split()[0]) for line in lines) == int(
        out.split(" images (")[0]
    )
    done = cli("train", "t.csv", "--by", "site", "--model", "lenet5", *TINY, "--output", "run")
    assert done.code == 0 and "judged by site: A 20, B 20, 20 of which it says nothing" in done.out
    record = json.loads((tmp_path / "run" / "evaluation.json").read_text())["test"]["by"]
    assert [(each["column"], each["word"]) for each in record] == [("site", "A"), ("site", "B"), ("site", "")]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "<h3>By site</h3>" in page and '<th scope="row">(says nothing)</th>' in page
    command = json.loads((tmp_path / "run" / "environment.json").read_text())["command"]
    assert "--by site" in command
    code, out, err = cli(
        "evaluate", number, listed(shapes, tmp_path, "male", ["True", "no"] * 4), "--by", "male"
    )
    assert (code, err) == (0, "") and "\nmale " in out and "bias" in out


def test_the_encoding_of_a_table_is_said(
    cli: Cli, trained: Callable[[str], Path], shapes: Path, tmp_path: Path
) -> None:
    """Read as Windows-1252 the words would be none that the model knows."""
    model = saved(trained("lenet5"), tmp_path / "cyrillic.safetensors", Covariate("пол", "муж", "жен"))
    table = listed(shapes, tmp_path, "пол", ["муж", "жен", "муж"])
    table.write_bytes(table.read_text(encoding="utf-8").encode("cp1251"))
    for verb in ("predict", "evaluate"):
        code, out, err = cli(verb, model, table, "--encoding", "cp1251")
        assert (code, err) == (0, "") and out.count("left out") == 0
    assert cli("predict", model, table).code == 1
    code, out, err = cli("predict", model, table, "--encoding", "cp12510")
    assert (code, out) == (2, "") and 'no encoding of texts called "cp12510". Did you mean "cp1251"?' in err
    code, out, err = cli("predict", model, shapes / "test", "--encoding", "cp1251")
    assert (code, out) == (2, "") and "--encoding is that of a table, and" in err
    code, out, err = cli("evaluate", trained("lenet5"), shapes, "--encoding", "cp1251")
    assert (code, out) == (2, "") and "`encoding` is how a table is read, and" in err


def test_what_is_not_defined_is_left_out_of_an_epochs_line() -> None:
    """R² of validation targets that are all alike."""
    said: list[str] = []

    class Heard:
        def line(self, *lines: str) -> None:
            said.extend(lines)

    done = EpochDone(
        epoch=1,
        seconds=1.0,
        images_per_second=10.0,
        lr=0.1,
        train_loss=0.5,
        val_loss=0.25,
        metrics={"mae": 2.0, "r2": float("nan"), "rmse": None},
    )
    TrainingLines(Heard()).show(done)  # type: ignore[arg-type]
    assert said == ["epoch   1    1.00 s  loss 0.5000  validation loss 0.2500  mae 2"]
