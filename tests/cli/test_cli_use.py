"""``evaluate``, ``predict`` and ``explain`` on really trained tiny models, and on files that are none."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mirada.evaluation.conformal import Conformal
from mirada.inference.model import load_model
from mirada.modelfile import load_network, save_model
from mirada.samples import Covariate, Numbers, Scaling

Cli = Callable[..., Any]
Trained = Callable[[str], Path]


def table(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def lenet(trained: Trained) -> Path:
    return trained("lenet5")


@pytest.fixture
def number(tmp_path: Path, lenet: Path) -> Path:
    """The file of a model of a number, with random weights."""
    plain = load_network(lenet)[1]
    card = replace(
        plain,
        architecture=replace(plain.architecture, outputs=1),
        target=Numbers(unit="months"),
        target_scaling=Scaling((90.0,), (1.0,)),
    )
    torch.manual_seed(0)
    save_model(tmp_path / "number.safetensors", card.architecture.build(), card)
    return tmp_path / "number.safetensors"


@pytest.fixture
def beside(tmp_path: Path, number: Path) -> Path:
    """The file of a model of two numbers in units of their own, which reads two more beside the image."""
    plain = load_network(number)[1]
    card = replace(
        plain,
        architecture=replace(plain.architecture, outputs=2, covariates=2),
        target=Numbers(("age (months)", "height (cm)")),
        target_scaling=Scaling((24.0, 100.0), (10.0, 10.0)),
        covariates=(Covariate("male", binary=True), Covariate("kg")),
        covariate_scaling=Scaling((0.5, 16.0), (0.5, 4.0)),
        conformal=Conformal(0.9, (3.5, 7.25), 40),
    )
    torch.manual_seed(0)
    network = card.architecture.build()
    with torch.no_grad():
        joint = network.head.joint.weight  # type: ignore[union-attr]
        joint[:, -2:] = torch.linspace(-1, 1, len(joint))[:, None]  # so that they matter
    save_model(tmp_path / "beside.safetensors", network, card)
    return tmp_path / "beside.safetensors"


# --- evaluate ---------------------------------------------------------------------------------


def test_evaluate(cli: Cli, lenet: Path, shapes: Path, tmp_path: Path, unchanged: None) -> None:
    code, out, err = cli("evaluate", lenet, shapes)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "12 images (test)" and lines[2].split() == ["metric", "value", "interval", "method"]
    assert "rows: true class, columns: predicted" in lines
    assert lines[-1] == "every prediction: predictions.csv"
    rows = table(tmp_path / "predictions.csv")
    run = [row for row in table(lenet.parent / "predictions.csv") if row["split"] == "test"]
    assert [row["path"] for row in rows] == [row["path"] for row in run]
    for mine, theirs in zip(rows, run, strict=True):
        assert mine["predicted"] == theirs["predicted"]
        assert float(mine["p:star"]) == pytest.approx(float(theirs["p:star"]), abs=1e-6)
    right = sum(row["correct"] == "1" for row in rows)
    assert f"{right / 12:.1%}" in next(line for line in lines if line.startswith("accuracy"))
    assert cli("evaluate", lenet, shapes).out.endswith("every prediction: predictions-2.csv\n")
    assert cli("evaluate", lenet, shapes, "--csv", "mine.csv").out.endswith("every prediction: mine.csv\n")
    assert sorted(path.name for path in tmp_path.glob("*.csv")) == [
        "mine.csv",
        "predictions-2.csv",
        "predictions.csv",
    ]


def test_evaluate_sets_aside_what_training_set_aside(
    cli: Cli, lenet: Path, shapes: Path, tmp_path: Path
) -> None:
    assert cli("evaluate", lenet, shapes, "--split", "val").out.startswith("8 images (val)\n")
    own = {row["path"] for row in table(lenet.parent / "splits.csv") if row["split"] == "val"}
    assert {row["path"] for row in table(tmp_path / "predictions.csv")} == own
    code, out, err = cli("evaluate", lenet, shapes, "--split", "all")
    assert code == 0 and out.startswith("60 images (all splits)\n")
    assert err == (
        "Warning: 40 of these 60 images are among those that the network was trained on: no honest test. Judge those "
        "that were set aside.\n"
    )
    shutil.copytree(shapes, tmp_path / "elsewhere")  # the content tells, wherever it lies
    assert cli("evaluate", lenet, tmp_path / "elsewhere", "--split", "val").out.startswith("8 images (val)\n")
    shutil.copytree(shapes / "test", tmp_path / "part")
    code, out, err = cli("evaluate", lenet, tmp_path / "part", "--split", "val")
    assert (code, out, err) == (1, "", f"Error: {tmp_path}/part: there are no images in the split val.\n")


def test_evaluate_after_the_folder_has_changed(cli: Cli, shapes: Path, tmp_path: Path) -> None:
    shutil.copytree(shapes / "train", tmp_path / "data")
    command = ("train", "data", "--model", "lenet5", "--epochs", "1", "--device", "cpu", "--output", "run")
    assert cli(*command).code == 0
    assert cli("evaluate", "run/model.safetensors", "data").err == ""
    shutil.copy(tmp_path / "data" / "star" / "0002.png", tmp_path / "data" / "star" / "new.png")
    code, out, err = cli("evaluate", "run/model.safetensors", "data")
    assert (code, err) == (0, "") and out.startswith("9 images (test)\n")  # a copy is what it is a copy of
    Image.new("RGB", (32, 32), "red").save(tmp_path / "data" / "star" / "new.png")
    code, out, err = cli("evaluate", "run/model.safetensors", "data")
    assert code == 0 and out.startswith("9 images (test)\n")
    assert err == "Note: 48 images took part in training; 1 new image joins the test.\n"
    (tmp_path / "data" / "star" / "new.png").unlink()
    gone = next(row["path"] for row in table(tmp_path / "run" / "splits.csv") if row["split"] == "test")
    (tmp_path / "data" / gone).unlink()
    code, out, err = cli("evaluate", "run/model.safetensors", "data")
    assert code == 0 and out.startswith("7 images (test)\n")
    assert err == "Note: training used 48 images here, of which 47 are left.\n"


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    """48 grey images, four of each patient, their age and height, and what else is known of them."""
    rows = ["file,age (months),height (cm),male,kg,patient"]
    for number in range(48):
        Image.new("L", (20, 24), 5 * number).save(tmp_path / f"{number:02}.png")
        rows.append(f"{number:02}.png,{number},{80 + number},{number % 2},{10 + number % 13},p{number // 4}")
    (tmp_path / "ages.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "ages.csv"


TRAINING = ("--model", "lenet5", "--epochs", "1", "--device", "cpu")


def test_evaluate_tests_on_what_training_set_aside_whatever_is_not_repeated(
    cli: Cli, patients: Path, tmp_path: Path
) -> None:
    """With patients training divides the images in another way, which the table alone does not tell."""
    assert cli("train", patients, "--group", "patient", *TRAINING, "--output", "run").code == 0
    saved = {row["path"]: row["split"] for row in table(tmp_path / "run" / "splits.csv")}
    test = {path for path, split in saved.items() if split == "test"}
    code, out, err = cli("evaluate", "run/model.safetensors", patients)
    assert (code, err) == (0, "") and out.startswith(f"{len(test)} images (test)\n")
    assert {row["path"] for row in table(tmp_path / "predictions.csv")} == test

    (tmp_path / "run" / "model.safetensors").rename(tmp_path / "moved.safetensors")
    code, out, err = cli("evaluate", "moved.safetensors", patients, "--group", "none")
    assert (code, err) == (0, "") and out.startswith(f"{len(test)} images (test)\n")
    network, card = load_network(tmp_path / "moved.safetensors")
    without = replace(
        card, provenance={key: value for key, value in card.provenance.items() if key != "images"}
    )
    save_model(tmp_path / "older.safetensors", network, without)  # which remembers nothing by content
    code, out, err = cli("evaluate", "older.safetensors", patients, "--group", "none")
    assert code == 0 and out.startswith("48 images (all splits)\n")
    assert err.startswith("Note: these may include images that the model was trained on; give --split-column")
    assert err.count("\n") == 1
    for words in ((), ("--split-column", "run/splits.csv")):  # then it can be known
        code, out, err = cli("evaluate", "moved.safetensors", patients, *words, "--csv", "known.csv")
        assert (code, err) == (0, "") and out.startswith(f"{len(test)} images (test)\n")
        assert {row["path"] for row in table(tmp_path / "known.csv")} == test


def test_the_columns_of_training_are_taken_again(cli: Cli, patients: Path, tmp_path: Path) -> None:
    """Of a table with two columns of images and two of numbers, in evaluate as in predict and explain."""
    rows = table(patients)
    both = patients.with_name("both.csv")
    with both.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["left", "score", "right", "length_mm"])
        writer.writerows(
            [rows[-1 - number]["file"], 1000 + number, row["file"], row["age (months)"]]
            for number, row in enumerate(rows)
        )
    words = ("--target", "length_mm", "--image", "right")
    assert cli("train", both, *words, *TRAINING, "--output", "run").code == 0
    code, _, err = cli("evaluate", "run/model.safetensors", both, "--split", "all")
    assert code == 0 and err.startswith(
        "Warning: 33 of these 48 images are among those that the network was trained"
    )
    found = {row["path"]: float(row["target"]) for row in table(tmp_path / "predictions.csv")}
    assert found == {row["file"]: float(row["age (months)"]) for row in rows}

    listed = tmp_path / "listed.csv"
    for image in ("right", "left"):
        words = () if image == "right" else ("--image", "left")
        assert cli("predict", "run/model.safetensors", both, *words, "--csv", listed).code == 0
        assert [row["path"] for row in table(listed)] == [row[image] for row in table(both)]
    other = patients.with_name("other.csv")
    other.write_text(both.read_text().replace("length_mm", "age").replace("right", "picture"))
    code, _, err = cli("evaluate", "run/model.safetensors", other)
    assert code == 1 and err == (
        f"Error: {other}: has no column length (mm), which the model learnt. Name the one that is the same with "
        f"--target: left, score, picture, age.\n"
    )
    assert cli("evaluate", "run/model.safetensors", other, "--target", "age", "--split", "all").code == 0
    code, _, err = cli("predict", "run/model.safetensors", patients.parent, "--image", "right")
    assert code == 2 and "--image names a column, and" in err


def test_evaluate_with_an_older_model_file(cli: Cli, lenet: Path, shapes: Path, tmp_path: Path) -> None:
    """Which does not say how its images were divided: they are divided again."""
    network, card = load_network(lenet)
    older = {key: value for key, value in card.provenance.items() if key not in ("splits", "images")}
    save_model(tmp_path / "older.safetensors", network, replace(card, provenance=older))
    assert cli("evaluate", "older.safetensors", shapes).out.startswith("12 images (test)\n")
    code, out, err = cli("evaluate", "older.safetensors", shapes, "--split", "val")
    assert (code, err) == (0, "") and out.startswith("8 images (val)\n")
    fewer = replace(card, provenance=older | {"excluded": 3})
    save_model(tmp_path / "fewer.safetensors", network, fewer)
    code, out, err = cli("evaluate", "fewer.safetensors", shapes)
    assert code == 0 and out.startswith("12 images (test)\n")
    assert err == "Note: training saw 63 files here, now there are 60; other ones may be set aside.\n"


def test_evaluate_says_which_rows_it_leaves_out(
    cli: Cli, number: Path, patients: Path, tmp_path: Path
) -> None:
    with patients.open("a") as stream:
        stream.write("".join(f"absent-{row}.png,1,1,1,1,p\n" for row in range(12)))
    code, out, err = cli("evaluate", number, patients, "--target", "age (months)")
    lines = out.splitlines()
    assert (code, err) == (1, "")
    assert lines[0] == "left out: absent-0.png: row 50: there is no such file"
    assert lines[10:12] == ["left out: 2 more, all named in predictions.csv", "48 images (all splits)"]
    assert [row["path"] for row in table(tmp_path / "predictions.csv") if row["problem"]] == [
        f"absent-{row}.png" for row in range(12)
    ]


@pytest.mark.slow
def test_evaluate_leaves_its_table_even_if_nobody_reads_on(
    number: Path, patients: Path, tmp_path: Path
) -> None:
    """As in ``mirada evaluate … | head -1``: the reader has gone before the first line."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "mirada", "evaluate", str(number), str(patients)]
    done = subprocess.run(
        command, cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, timeout=120, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(table(tmp_path / "predictions.csv")) == 48


def test_evaluate_names_what_the_error_is_by(cli: Cli, beside: Path, patients: Path) -> None:
    code, out, err = cli("evaluate", beside, patients, "--target", "age,height")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert "target: age (months)" in lines and "target: height (cm)" in lines
    heads = [line.split("  ")[0] for line in lines if ": error by " in line]
    what = ("range of the true value", "male", "kg")
    assert heads == [f"{target}: error by {by}" for target in ("age (months)", "height (cm)") for by in what]
    row = lines[next(place for place, line in enumerate(lines) if ": error by kg" in line) + 1]
    assert row.startswith("under 13")


def test_evaluate_other_classes(cli: Cli, lenet: Path, shapes: Path, tmp_path: Path) -> None:
    shutil.copytree(shapes / "test" / "star", tmp_path / "some" / "star")
    shutil.copytree(shapes / "test" / "circle", tmp_path / "some" / "circle")
    code, out, err = cli("evaluate", lenet, "some")
    assert (code, err) == (0, "")
    assert out.startswith("without images here: square, triangle\n6 images (test)\n")
    shutil.copytree(shapes / "test" / "circle", tmp_path / "some" / "sircle")
    code, out, err = cli("evaluate", lenet, "some")
    assert (code, out) == (1, "") and err.count("\n") == 1
    assert '"sircle"' in err and 'Did you mean "circle"? Known: circle, square, star, triangle.' in err


def test_evaluate_with_a_bad_file(cli: Cli, lenet: Path, shapes: Path, tmp_path: Path) -> None:
    shutil.copytree(shapes / "test", tmp_path / "some")
    (tmp_path / "some" / "star" / "bad.png").write_bytes(b"no image")
    code, out, err = cli("evaluate", lenet, "some")
    assert err == "Note: 12 images took part in training; 1 new image joins the test.\n"
    assert code == 1 and out.startswith("left out: star/bad.png: not an image")
    assert "12 images (test)" in out
    assert table(tmp_path / "predictions.csv")[-1]["problem"].startswith("not an image")


def test_evaluate_what_cannot_be_evaluated(
    cli: Cli, number: Path, beside: Path, shapes: Path, tmp_path: Path
) -> None:
    code, out, err = cli("evaluate", number, shapes)
    assert (code, out) == (1, "")
    assert err == f'Error: {shapes}: for regression every class must be a number, and one is "circle".\n'
    (tmp_path / "a.png").touch()
    (tmp_path / "t.csv").write_text("file,sex\na.png,F\na.png,M\n")
    code, out, err = cli("evaluate", number, "t.csv")
    assert (code, out) == (1, "") and err.startswith("Error: t.csv: the column sex holds no number.")
    code, out, err = cli("evaluate", beside, shapes)
    assert (code, out) == (1, "") and err == (
        f"Error: {shapes}: the model reads male, kg as well as each image, and there is no table here that says "
        f"it; give one (.csv, .tsv) that has a row for each image.\n"
    )
    code, out, err = cli("evaluate", beside, shapes, "--target", "age")
    assert (code, out) == (2, "") and err.endswith("`target` names a column, and there is no table here.\n")


def test_a_folder_that_is_missing_is_said_first(cli: Cli, lenet: Path, shapes: Path) -> None:
    for arguments in (("evaluate", lenet, shapes, "--csv"), ("predict", lenet, shapes, "--csv")):
        code, out, err = cli(*arguments, "absent/x.csv")
        assert (code, out) == (2, "") and err.endswith("there is no folder absent to write x.csv into.\n")
    assert cli("predict", lenet, shapes, "--json", "absent/x.json").code == 2


# --- predict ----------------------------------------------------------------------------------


def test_predict(cli: Cli, lenet: Path, shapes: Path, tmp_path: Path, unchanged: None) -> None:
    files = sorted((shapes / "test" / "star").iterdir())
    code, out, err = cli("predict", lenet, *files, "--csv", "p.csv", "--json", "p.json", "--top", "2")
    assert (code, err) == (0, "")
    header, *lines = out.splitlines()
    assert header.split() == ["file", "classes,", "most", "probable", "first"]
    assert [line.split()[0] for line in lines] == list(map(str, files))
    records = json.loads((tmp_path / "p.json").read_text())
    for line, record in zip(lines, records, strict=True):
        assert line.count("%") == 2 and f"{record['predicted']} {record['probability']:.1%}" in line
    rows = table(tmp_path / "p.csv")
    assert [row["predicted"] for row in rows] == [record["predicted"] for record in records]
    assert sum(
        float(rows[0][f"p:{name}"]) for name in ("circle", "square", "star", "triangle")
    ) == pytest.approx(1)


def test_predict_prints_json_and_nothing_else(cli: Cli, lenet: Path, shapes: Path) -> None:
    code, out, err = cli("predict", lenet, shapes / "test", "--json", "-")
    assert (code, err) == (0, "")
    records = json.loads(out)
    found = sorted((shapes / "test").rglob("*.png"))
    assert [record["path"] for record in records] == list(map(str, found))


def test_predict_folders_and_files(cli: Cli, lenet: Path, shapes: Path, tmp_path: Path) -> None:
    (tmp_path / "in" / ".hidden").mkdir(parents=True)
    shutil.copy(shapes / "test" / "star" / "0018.png", tmp_path / "in" / "a.PNG")
    shutil.copy(shapes / "test" / "star" / "0018.png", tmp_path / "in" / ".hidden" / "b.png")
    (tmp_path / "in" / "notes.txt").write_text("no image, and not taken for one")
    code, out, err = cli("predict", lenet, "in", "in/a.PNG")
    assert code == 0 and [line.split()[0] for line in out.splitlines()[1:]] == ["in/a.PNG", "in/a.PNG"]
    (tmp_path / "empty").mkdir()
    assert cli("predict", lenet, "empty") == (2, "", "Error: No image files in empty.\n")
    code, out, err = cli("predict", lenet, "in", "absent.png")
    assert (code, out) == (2, "") and "absent.png" in err


def test_predict_with_a_bad_file(cli: Cli, lenet: Path, shapes: Path, tmp_path: Path) -> None:
    good = shapes / "test" / "star" / "0018.png"
    (tmp_path / "bad.png").write_bytes(b"no image")
    code, out, err = cli("predict", lenet, "bad.png", good, "--json", "p.json", "--csv", "p.csv")
    assert (code, err) == (1, "")
    assert out.splitlines()[1].startswith(str(good))
    assert out.splitlines()[2].split(maxsplit=1)[1].startswith("cannot be read: not an image")
    assert json.loads((tmp_path / "p.json").read_text())[1]["problem"].startswith("not an image")
    assert table(tmp_path / "p.csv")[1]["problem"].startswith("not an image")
    code, out, err = cli("predict", lenet, "bad.png")
    assert (code, err) == (1, "") and len(out.splitlines()) == 2
    assert json.loads(cli("predict", lenet, "bad.png", "--json", "-").out)[0]["problem"]


def test_predict_a_number(cli: Cli, number: Path, shapes: Path) -> None:
    code, out, err = cli("predict", number, shapes / "test" / "star")
    assert (code, err) == (0, "")
    header, *lines = out.splitlines()
    assert header.split() == ["file", "predicted"] and all(line.endswith(" months") for line in lines)
    (record, *_) = json.loads(cli("predict", number, shapes / "test" / "star", "--json", "-").out)
    assert f"{record['predicted']:.4g} months" in lines[0]


def test_predict_with_what_is_known(cli: Cli, beside: Path, patients: Path, tmp_path: Path) -> None:
    """It is in the tables, and so is the interval of each number; the units are in the header."""
    known = ("--known", "male=1", "--known", "kg=12.3")
    code, out, err = cli("predict", beside, "00.png", *known, "--csv", "p.csv", "--json", "p.json")
    assert (code, err) == (0, "")
    header, line = out.splitlines()
    assert "age (months) (± for 90%)" in header and "height (cm) (± for 90%)" in header
    assert " ± 3.5 " in line and line.endswith(" ± 7.25")
    (row,) = table(tmp_path / "p.csv")
    assert (row["half_width:age (months)"], row["half_width:height (cm)"]) == ("3.5", "7.25")
    assert (row["c:male"], row["c:kg"]) == ("1.0", "12.3")
    (record,) = json.loads((tmp_path / "p.json").read_text())
    assert record["half_width:height (cm)"] == 7.25 and record["c:kg"] == 12.3
    code, out, err = cli("predict", beside, "00.png", *known, "--known", "male=0")
    assert (code, out) == (2, "")
    assert err.endswith("'--known': \"male\" is given twice, as 1 and as 0. Say it once.\n")


def test_predict_a_table(cli: Cli, beside: Path, patients: Path, tmp_path: Path) -> None:
    """Row by row the same as with --known; of its targets, if it has any, nothing is read."""
    rows = [line.split(",") for line in patients.read_text().splitlines()]
    bare = [",".join((file, male, kg)) for file, _, _, male, kg, _ in rows]
    (tmp_path / "bare.csv").write_text("\n".join([*bare[:4], "absent.png,1,1"]) + "\n")
    code, out, err = cli("predict", beside, "bare.csv", "--csv", "p.csv")
    assert (code, err) == (1, "")
    assert out.splitlines()[-1].split("  ")[0] == "absent.png"
    found = table(tmp_path / "p.csv")
    assert [row["path"] for row in found] == ["00.png", "01.png", "02.png", "absent.png"]
    assert found[-1]["problem"] == "row 5: there is no such file"
    assert [(row["c:male"], row["c:kg"]) for row in found[:3]] == [
        ("0.0", "10.0"), ("1.0", "11.0"), ("0.0", "12.0"),
    ]  # fmt: skip
    for row in found[:3]:
        known = ("--known", f"male={row['c:male']}", "--known", f"kg={row['c:kg']}")
        assert cli("predict", beside, row["path"], *known, "--csv", "one.csv").code == 0
        (alone,) = table(tmp_path / "one.csv")
        assert float(alone["predicted:age (months)"]) == pytest.approx(
            float(row["predicted:age (months)"]), abs=1e-4
        )
    assert cli("predict", beside, patients, "--csv", "whole.csv").code == 0
    whole = table(tmp_path / "whole.csv")
    assert len(whole) == 48 and {row["target:age (months)"] for row in whole} == {""}
    assert {row["split"] for row in whole} == {""}
    heights = [[float(row["predicted:height (cm)"]) for row in rows[:3]] for rows in (whole, found)]
    assert heights[0] == pytest.approx(heights[1]) and len(set(heights[0])) == 3


def test_predict_a_table_that_does_not_say_all(
    cli: Cli, beside: Path, lenet: Path, patients: Path, tmp_path: Path
) -> None:
    (tmp_path / "some.csv").write_text("file,male\n00.png,0\n01.png,1\n")
    code, out, err = cli("predict", beside, "some.csv")
    assert (code, out) == (1, "")
    assert "these come without kg. Say it of all images (--known kg=VALUE)" in err
    assert cli("predict", beside, "some.csv", "--known", "kg=12", "--csv", "p.csv").code == 0
    assert [row["c:kg"] for row in table(tmp_path / "p.csv")] == ["12.0", "12.0"]
    code, out, err = cli("predict", beside, "some.csv", "00.png")
    assert (code, out, err) == (2, "", "Error: some.csv: is a table of images. Name it alone.\n")
    code, out, err = cli("predict", lenet, "some.csv")  # classes, and nothing beside the images
    assert (code, err) == (0, "") and len(out.splitlines()) == 3
    code, out, err = cli("explain", beside, "some.csv", "--known", "kg=12", "--class", "height (cm)")
    assert (code, err) == (0, "") and len(out.splitlines()) == 3
    assert all("age (months) " in line and "raises the height (cm)" in line for line in out.splitlines()[1:])


def test_an_image_in_a_file_of_many(cli: Cli, lenet: Path, shapes: Path, tmp_path: Path) -> None:
    """By its address; without one, an example is given that is there."""
    files = sorted((shapes / "test" / "star").iterdir())
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    np.savez(tmp_path / "some.npz", y_test=np.arange(len(files)), x_test=pixels)
    (tmp_path / "folder").mkdir()
    idx = bytes((0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 32, 0, 0, 0, 32)) + pixels[:2, ..., 0].tobytes()
    (tmp_path / "folder" / "train-images-idx3-ubyte").write_bytes(idx)
    (tmp_path / "folder" / "a-labels-idx1-ubyte").write_bytes(bytes((0, 0, 8, 1, 0, 0, 0, 2, 0, 1)))
    code, out, err = cli(
        "predict", lenet, "some.npz#x_test-1", "folder/train-images-idx3-ubyte#1", "--json", "-"
    )
    assert (code, err) == (0, "")
    alone = json.loads(cli("predict", lenet, files[1], "--json", "-").out)[0]
    first, second = json.loads(out)
    assert first["path"] == "some.npz#x_test-1" and second["path"] == "folder/train-images-idx3-ubyte#1"
    assert first["predicted"] == alone["predicted"]
    assert first["probability"] == pytest.approx(alone["probability"], abs=1e-6)
    code, out, err = cli("explain", lenet, "some.npz#x_test-1")
    assert (code, err) == (0, "") and out.splitlines()[1].startswith("maps/some-x_test-1-map.png: ")
    for verb in ("predict", "explain"):
        code, out, err = cli(verb, lenet, "some.npz")
        assert (code, out) == (2, "")
        assert err == "Error: some.npz: holds many images. Name one, such as some.npz#x_test-0\n"
        code, out, err = cli(verb, lenet, "folder")
        assert (code, out) == (2, "") and err.endswith(
            "folder: holds files of many images each. Name one image, such as folder/train-images-idx3-ubyte#0\n"
        )
        code, out, err = cli(verb, lenet, "folder/a-labels-idx1-ubyte")
        assert (code, out) == (2, "") and err.endswith("holds no images that can be read.\n")
        code, out, err = cli(verb, lenet, "absent.npz#x_test-0")
        assert (code, out) == (2, "") and "Path 'absent.npz#x_test-0' does not exist." in err


@pytest.mark.slow
def test_a_file_name_that_is_not_unicode(shell: Cli, lenet: Path, shapes: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    name = os.fsdecode(b"in/\xff.png")
    shutil.copy(shapes / "test" / "star" / "0018.png", tmp_path / name)
    code, out, err = shell("predict", lenet, "in", "--csv", "p.csv")
    assert (code, err) == (0, "") and "in/\\udcff.png" in out
    assert table(tmp_path / "p.csv")[0]["path"] == name
    code, out, err = shell("explain", lenet, "in")
    assert (code, err) == (0, "") and (tmp_path / "maps" / os.fsdecode(b"\xff-map.png")).exists()


# --- explain ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_explain(cli: Cli, trained: Trained, tmp_path: Path) -> None:
    """At the size of a large photo, turned by EXIF where it is, with a colour bar below; nothing overwritten."""
    draw = np.random.default_rng(0)
    blocks = draw.integers(0, 256, (10, 16, 3)).astype(np.uint8).repeat(24, 0).repeat(24, 1)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(blocks).save(tmp_path / "turned.jpg", exif=exif)
    Image.fromarray(blocks).save(tmp_path / "plain.png")
    model = trained("resnet20")
    code, out, err = cli("explain", model, "plain.png", "turned.jpg", "--class", "star")
    assert (code, err) == (0, "")
    places, first, second = out.splitlines()
    # By hand: 3 + 6 · 2 of the stem and stage 1, 2 + 5 · 4 of stage 2, 4 + 5 · 8 of stage 3: 81 pixels.
    assert places == (
        "Maps of stage3: 8 × 8 places, 4 pixels apart; each sees 81 × 81 pixels of the 32 × 32 that the network reads."
    )
    assert (
        first.startswith("maps/plain-map.png: ")
        and "; evidence for star, class activation map (exact)" in first
    )
    assert float(first.split("within ")[1].split(";")[0]) < 1e-4
    assert second.startswith("maps/turned-map.png: ")
    for name, width, height in (("plain", 384, 240), ("turned", 240, 384)):
        with Image.open(tmp_path / "maps" / f"{name}-map.png") as picture:
            assert picture.width == width and height < picture.height < height + 120 and picture.mode == "RGB"
    before = {path: path.read_bytes() for path in (tmp_path / "maps").iterdir()}
    assert cli("explain", model, "plain.png").out.splitlines()[1].startswith("maps/plain-map-2.png: ")
    assert {path: path.read_bytes() for path in before} == before
    answer = cli("explain", model, "plain.png", "--method", "grad_cam", "--layer", "stage2").out
    assert ", Grad-CAM at stage2" in answer and "Note:" not in answer
    assert "Grad-CAM" in cli("explain", trained("lenet5"), "plain.png", "--output", "other/deep").out
    assert (tmp_path / "other" / "deep" / "plain-map.png").exists()


def test_explain_says_once_where_the_maps_come_from(cli: Cli, trained: Trained, shapes: Path) -> None:
    """An mlp keeps no places behind its image; two images, one note; and one in the report of the run."""
    files = sorted((shapes / "test" / "star").iterdir())[:2]
    code, out, err = cli("explain", trained("mlp"), *files)
    assert (code, err) == (0, "")
    note, *lines = out.splitlines()
    said = "stage1 keeps no places (its maps are 1 × 1), so the maps are those of the image itself."
    assert note == f"Note: {said}"
    assert len(lines) == 2 and all("HiResCAM at image" in line for line in lines)
    report = (trained("mlp").parent / "report.html").read_text(encoding="utf-8")
    assert report.count(said) == 1 < report.count("HiResCAM at image")
    assert "keeps no places" not in (trained("lenet5").parent / "report.html").read_text(encoding="utf-8")


def test_explain_tells_of_many_passes_and_of_other_units(
    cli: Cli, lenet: Path, number: Path, shapes: Path, tmp_path: Path
) -> None:
    """How many passes, once and beforehand; what adds up to what; no unit where there is none."""
    first, second = sorted((shapes / "test" / "star").iterdir())[:2]
    (tmp_path / "bad.png").write_bytes(b"no image")
    code, out, err = cli("explain", lenet, "bad.png", first, second, "--method", "occlusion")
    assert (code, err) == (1, "")
    left_out, note, *lines = out.splitlines()
    assert left_out.startswith("left out: bad.png: ")
    assert note == "Note: this method takes 225 passes through the network for each image."
    assert len(lines) == 2 and all(re.search(r"; evidence for \w+, occlusion(;|$)", line) for line in lines)
    code, out, err = cli("explain", number, first, "--method", "integrated_gradients")
    assert (
        code == 0 and "integrated gradients, adds up to the output less that for a blank image within " in out
    )
    assert "Note: this method takes 50 passes " in out
    code, out, err = cli("explain", number, first, "--method", "saliency")
    assert code == 0 and "; sensitivity of months, saliency" in out and "Note" not in out
    assert (
        "; sensitivity of months, guided" in cli("explain", number, first, "--method", "guided_backprop").out
    )
    code, out, err = cli("explain", lenet, first, "--method", "rise", "--layer", "stage1")
    assert (code, out) == (2, "")
    assert err == "Error: RISE is about the image itself, not about stage1. Leave the layer out.\n"
    scaled = load_model(number)
    wide = replace(scaled.card, target_scaling=Scaling((90.0,), (40.0,)))
    for method, times, unit in (
        ("occlusion", 40, "months"), ("integrated_gradients", 40, "months"),
        ("saliency", 40, "months per deviation of a pixel"),
        ("guided_backprop", 1, "relative, no unit"), ("score_cam", 1, "relative, no unit"),
    ):  # fmt: skip
        (one,), (other,) = (
            model.explain([first], method=method) for model in (scaled, replace(scaled, card=wide))
        )
        np.testing.assert_allclose(other.map, times * one.map, rtol=1e-5)
        assert other.unit == unit
        if one.completeness_error is not None:
            assert other.completeness_error == pytest.approx(times * one.completeness_error)


def test_explain_what_cannot_be_explained(
    cli: Cli, lenet: Path, number: Path, shapes: Path, tmp_path: Path
) -> None:
    good = shapes / "test" / "star" / "0018.png"
    (tmp_path / "bad.png").write_bytes(b"no image")
    code, out, err = cli("explain", lenet, good, "--class", "sta")
    assert (code, out) == (2, "") and err.startswith(
        'Error: The model has no class "sta". Did you mean "star"?'
    )
    code, out, err = cli("explain", number, good, "--class", "star")
    assert (code, out) == (2, "") and err.startswith("Error: A model of a number has no classes")
    assert not (tmp_path / "maps").exists()
    code, out, err = cli("explain", lenet, "bad.png", good)
    assert (code, err) == (1, "")
    assert out.splitlines()[0].startswith("left out: bad.png: not an image")
    assert out.splitlines()[1].startswith(
        "Maps of stage1: 5 × 5 places, 4 pixels apart; each sees 16 × 16 pixels"
    )
    assert out.splitlines()[2].startswith("maps/0018-map.png: ")
    assert cli("explain", lenet, "bad.png", "--output", "none").code == 1
    assert not (tmp_path / "none").exists()
    (tmp_path / "empty").mkdir()
    assert cli("explain", lenet, "empty") == (2, "", "Error: No image files in empty.\n")
    for options, sentence in (
        (
            ["--layer", "stage9"],
            'There is no layer "stage9". Did you mean "stage1"? The parts are image, stem, stage1',
        ),
        (["--layer", "head.flatten"], '"head.flatten" cannot be explained by a map: '),
        (
            ["--method", "gradcam"],
            'There is no method "gradcam". Did you mean "grad_cam"? Known: exact, grad_cam, ',
        ),
        (
            ["--method", "exact"],
            "Exact class maps need a head of global average pooling and linear layers alone. ",
        ),
    ):
        code, out, err = cli("explain", lenet, good, *options)
        assert (code, out) == (2, "") and err.startswith(f"Error: {sentence}") and err.count("\n") == 1
    code, out, err = cli("explain", number, good)
    assert code == 0 and " months; what raises the months" in out


# --- files that are no models -----------------------------------------------------------------


@pytest.mark.parametrize("verb", ["evaluate", "predict", "explain"])
def test_no_model_file(verb: str, cli: Cli, shapes: Path, tmp_path: Path, shared_data: Path) -> None:
    torch.save({"w": torch.ones(2)}, tmp_path / "fresh.pt")
    (tmp_path / "empty").write_bytes(b"")
    broken = sorted((shared_data / "broken-checkpoints").iterdir())
    for file in (*broken, tmp_path / "fresh.pt", tmp_path / "empty"):
        code, out, err = cli(verb, file, shapes)
        assert (code, out) == (1, "") and err.startswith(f"Error: {file}: ") and err.count("\n") == 1
    assert cli(verb, "absent", shapes).code == cli(verb, tmp_path, shapes).code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "fresh.pt"]


# --- odd images -------------------------------------------------------------------------------


@pytest.mark.slow
def test_odd_images_through_every_verb(shell: Cli, shared_data: Path, tmp_path: Path) -> None:
    """254 awkward files as two classes: whatever is in them, no verb ends in a traceback."""
    for number, file in enumerate(sorted((shared_data / "odd-images").iterdir())):
        folder = tmp_path / "odd" / ("even" if number % 2 else "uneven")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file.name).symlink_to(file)
    model = "run/model.safetensors"
    for arguments, code in (
        (("check", "odd"), 1),
        (("check", "odd", "--json"), 1),
        (("train", "odd", "--model", "lenet5", "--epochs", "1", "--device", "cpu", "--output", "run"), 0),
        (("evaluate", model, "odd"), 1),
        (("predict", model, "odd", "--json", "p.json"), 1),
        (("explain", model, "odd"), 1),
    ):
        answer = shell(*arguments)
        assert answer.code == code, (arguments, answer.err)
        progress = re.compile(r"(checking|decoding|predicting|explaining): \d+ of \d+(, about .+ left)?")
        assert all(map(progress.fullmatch, answer.err.splitlines())), (arguments, answer.err)
    records = json.loads((tmp_path / "p.json").read_text())
    good = [record for record in records if record["problem"] is None]
    assert len(good) > 150 and len(records) - len(good) > 20
    assert len(list((tmp_path / "maps").iterdir())) == len(good)
