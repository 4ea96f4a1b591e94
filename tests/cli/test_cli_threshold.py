"""A threshold from the setting of a training to the model file, the report, ``evaluate`` and ``predict``."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mirada.cli import run
from mirada.evaluation.predictions import Predictions
from mirada.modelfile import load_card

Cli = Callable[..., Any]
TINY = ["--epochs", "2", "--image-size", "32", "--batch-size", "16", "--device", "cpu"]


@pytest.fixture(scope="module")
def two(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of the four shapes, called as a doctor would."""
    root = tmp_path_factory.mktemp("two") / "scans"
    for split in ("train", "test"):
        for called, shape in (("finding", "circle"), ("normal", "square")):
            shutil.copytree(shapes / split / shape, root / split / called)
    return root


@pytest.fixture(scope="module")
def lenet(two: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a threshold."""
    folder = tmp_path_factory.mktemp("with") / "run"
    asked = ["--set", "threshold=sensitivity=0.9"]
    assert run(["train", str(two), "--model", "lenet5", *TINY, *asked, "--output", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def plain(two: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One without."""
    folder = tmp_path_factory.mktemp("without") / "run"
    assert run(["train", str(two), "--model", "lenet5", *TINY, "--output", str(folder)]) == 0
    return folder


def test_the_threshold_is_kept_shown_and_told(lenet: Path, cli: Cli) -> None:
    threshold = load_card(lenet / "model.safetensors").threshold
    assert threshold is not None
    assert (threshold.positive, threshold.rule) == ("finding", "sensitivity=0.9")
    table = Predictions.from_csv(lenet / "predictions.csv")
    said = table.of_split("val")
    own = said.class_numbers == 0
    called = said.outputs[:, 0] >= threshold.value
    assert threshold.sensitivity == (own & called).sum() / own.sum()
    assert threshold.sensitivity >= 0.9
    assert threshold.specificity == (~own & ~called).sum() / (~own).sum()
    assert threshold.n == len(own)
    assert said.called == tuple(np.where(called, "finding", "normal").tolist())
    page = (lenet / "report.html").read_text(encoding="utf-8")
    assert "At the threshold" in page
    assert "the most specific one with a sensitivity of at least 90.0" in page
    assert "Images were called finding at a probability of at least" in page
    events = [json.loads(line) for line in (lenet / "events.jsonl").read_text().splitlines()]
    told = next(event for event in events if event["event"] == "threshold")
    assert (told["positive"], told["value"]) == ("finding", threshold.value)
    kept = json.loads((lenet / "evaluation.json").read_text())
    assert kept["val"]["operating"]["thresholds"][0]["value"] == threshold.value
    assert cli("report", lenet).code == 0


def test_a_file_without_a_threshold_says_nothing_of_one(plain: Path) -> None:
    assert load_card(plain / "model.safetensors").threshold is None
    assert '"threshold": null' not in load_card(plain / "model.safetensors").to_json()
    assert "operating" not in (plain / "evaluation.json").read_text()
    assert "At the threshold" not in (plain / "report.html").read_text(encoding="utf-8")


def test_evaluate_takes_the_threshold_of_the_file(lenet: Path, two: Path, cli: Cli) -> None:
    for asked in ([], ["--threshold", "file"], ["--threshold", "Sensitivity=0.90"]):
        answer = cli("evaluate", lenet, two, *asked)
        assert answer.code == 0
        assert "of the probability of finding, chosen by sensitivity=0.9" in answer.out
        assert "ppv" in answer.out
    assert "flatter" not in cli("evaluate", lenet, two).out
    assert "so these figures flatter it" in cli("evaluate", lenet, two, "--split", "val").out
    given = cli("evaluate", lenet, two, "--threshold", "0.25", "--positive", "normal")
    assert "at the threshold 0.25 of the probability of normal" in given.out


def test_evaluate_finds_a_threshold_on_the_validation_images(plain: Path, two: Path, cli: Cli) -> None:
    answer = cli("evaluate", plain, two, "--threshold", "youden")
    assert answer.code == 0
    assert "of the probability of finding, chosen by youden on" in answer.out
    rest = cli(
        "evaluate", plain, two / "test", "--threshold", "youden"
    )  # known by content to be those of the test
    assert rest.code == 2
    assert "there are no validation images to choose a threshold on by youden" in rest.err


def test_predict_says_what_the_threshold_calls(lenet: Path, two: Path, cli: Cli, tmp_path: Path) -> None:
    answer = cli("predict", lenet, two / "test", "--threshold", "file", "--csv", "p.csv")
    assert answer.code == 0
    assert "called by the threshold" in answer.out
    with (tmp_path / "p.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    threshold = load_card(lenet / "model.safetensors").threshold
    assert threshold
    assert [row["called"] for row in rows] == [
        "finding" if float(row["p:finding"]) >= threshold.value else "normal" for row in rows
    ]
    everything = json.loads(cli("predict", lenet, two / "test", "--threshold", "0", "--json", "-").out)
    assert {row["called"] for row in everything} == {"finding"}
    assert "called" not in json.loads(cli("predict", lenet, two / "test", "--json", "-").out)[0]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--threshold", "file"], "has no threshold. Train with --set threshold=youden"),
        (["--threshold", "youden"], "has no threshold by the rule youden"),
        (["--threshold", "1.5"], "between 0 and 1. Got 1.5"),
        (["--threshold", "-0.5"], "between 0 and 1. Got -0.5"),
        (["--threshold", "high"], '"high" is no rule for a threshold'),
        (["--threshold", "0.5", "--positive", "findings"], 'Did you mean "finding"?'),
        (["--positive", "normal"], "has no threshold. Train with"),
    ],
)
def test_predict_refuses_in_a_sentence(asked: list[str], said: str, plain: Path, two: Path, cli: Cli) -> None:
    answer = cli("predict", plain, two / "test", *asked)
    assert answer.code == 2
    assert said in answer.err


def test_the_threshold_of_another_class_is_refused(lenet: Path, two: Path, cli: Cli) -> None:
    answer = cli("predict", lenet, two / "test", "--threshold", "file", "--positive", "normal")
    assert answer.code == 2
    assert "has a threshold of finding, and none of normal" in answer.err


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["threshold=best"], '"best" is no rule for a threshold'),
        (["positive=finding"], "names the class of a threshold, and there is none"),
        (["threshold=youden", "positive=lesion"], 'no class "lesion"'),
    ],
)
def test_training_refuses_before_it_begins(settings: list[str], said: str, two: Path, cli: Cli) -> None:
    asked = [word for setting in settings for word in ("--set", setting)]
    answer = cli("train", two, "--model", "lenet5", *TINY, *asked, "--output", "none")
    assert answer.code == 2
    assert said in answer.err
    assert not Path("none").exists()


def test_of_several_classes_one_has_to_be_named(shapes: Path, cli: Cli) -> None:
    answer = cli("train", shapes, "--model", "lenet5", *TINY, "--set", "threshold=youden", "--output", "none")
    assert answer.code == 2
    assert "there are 4: name it by positive=CLASS" in answer.err


def test_validation_images_of_both_kinds_are_needed(two: Path, cli: Cli, tmp_path: Path) -> None:
    shutil.copytree(two / "train", tmp_path / "odd" / "train")
    shutil.copytree(two / "test" / "normal", tmp_path / "odd" / "val" / "normal")
    answer = cli("train", "odd", "--model", "lenet5", *TINY, "--set", "threshold=youden", "--output", "none")
    assert answer.code == 2
    assert 'there are none of the class "finding"' in answer.err
    assert not Path("none").exists()


def test_numbers_have_no_threshold(cli: Cli, tmp_path: Path, two: Path) -> None:
    files = sorted((two / "train").rglob("*.png"))[:20]
    rows = "".join(f"{file},{place}\n" for place, file in enumerate(files))
    (tmp_path / "ages.csv").write_text(f"image,age\n{rows}")
    asked = ["--task", "regression", "--set", "threshold=youden", "--output", "none"]
    answer = cli("train", "ages.csv", "--model", "lenet5", *TINY, *asked)
    assert answer.code == 2
    assert "here numbers are learnt" in answer.err


def test_folds_share_no_threshold_and_the_ensemble_has_its_own(two: Path, cli: Cli) -> None:
    asked = [
        "--folds",
        "2",
        "--epochs",
        "1",
        "--image-size",
        "32",
        "--device",
        "cpu",
        "--set",
        "threshold=cost=2:1",
    ]
    assert cli("train", two / "train", "--model", "lenet5", *asked, "--output", "folds").code == 0
    cards = [load_card(Path(f"folds/fold-{fold}/model.safetensors")) for fold in (1, 2)]
    kept = json.loads(Path("folds/evaluation.json").read_text())["test"]["operating"]
    assert [each["value"] for each in kept["thresholds"]] == [card.threshold.value for card in cards]  # type: ignore[union-attr]
    table = Predictions.from_csv("folds/predictions.csv")
    answer = cli("predict", "folds", two / "test", "--threshold", "file")
    assert answer.code == 0
    assert f"chosen by cost=2:1 on {len(table):,} images" in answer.out
    assert "the threshold of the network of its fold" in Path("folds/report.html").read_text(encoding="utf-8")


def test_every_fold_is_looked_at_before_the_first_is_trained(two: Path, cli: Cli, tmp_path: Path) -> None:
    """Of two findings one is tested and one is trained on: there is none to choose a threshold on."""
    shutil.copytree(two / "train" / "normal", tmp_path / "rare" / "normal")
    (tmp_path / "rare" / "finding").mkdir()
    for file in sorted((two / "train" / "finding").iterdir())[:2]:
        shutil.copy(file, tmp_path / "rare" / "finding")
    asked = ["--folds", "2", "--set", "threshold=youden", "--output", "folds"]
    answer = cli("train", "rare", "--model", "lenet5", *TINY, *asked)
    assert answer.code == 2
    assert answer.err.startswith(
        "Error: Fold 1 of 2: A threshold is chosen on validation images of both kinds"
    )
    assert not Path("folds").exists()
