"""The answer and the key numbers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mirada.pages import overview
from mirada.runs.reader import RunContents, read_run

NB = "\u00a0"


def with_evaluation(folder: Path, change: Callable[[dict[str, Any]], object]) -> RunContents:
    file = folder / "evaluation.json"
    evaluation = json.loads(file.read_text())
    change(evaluation)
    file.write_text(json.dumps(evaluation))
    return read_run(folder)


def test_headline_of_a_classification_run(classification: Path) -> None:
    def change(evaluation: dict[str, Any]) -> None:
        evaluation["test"]["metrics"][0].update(value=0.7317, low=0.6948, high=0.7656)
        evaluation["test"]["metrics"].reverse()  # accuracy leads wherever it stands

    head = overview.headline(with_evaluation(classification, change))
    expected = (
        f"resnet18 on cats-dogs: 73.2{NB}% accuracy on 600 test images (95{NB}% interval 69.5–76.6{NB}%)"
    )
    assert head.text == expected
    assert head.split == "test"


def test_headline_of_a_regression_run(regression: Path) -> None:
    assert overview.headline(read_run(regression)).text == (
        f"resnet18 on boneage: mean absolute error 9.41{NB}months on 400 test images "
        f"(95{NB}% interval 8.87–9.99{NB}months)"
    )


def test_headline_without_a_test_split(classification: Path) -> None:
    head = overview.headline(with_evaluation(classification, lambda evaluation: evaluation.pop("test")))
    assert "300 validation images" in head.text
    assert head.split == "val"


def test_an_evaluation_of_no_image_is_none(classification: Path) -> None:
    head = overview.headline(
        with_evaluation(classification, lambda evaluation: evaluation["test"].update(n=0))
    )
    assert head.split == "val"


def test_headline_without_an_interval(classification: Path) -> None:
    def change(evaluation: dict[str, Any]) -> None:
        evaluation["test"]["metrics"][0].update(
            low=None, high=None, method="no interval: fewer than two images"
        )

    head = overview.headline(with_evaluation(classification, change))
    assert head.interval == ""
    assert head.text.endswith("accuracy on 600 test images")


def test_headline_and_progress_before_any_evaluation(classification: Path, regression: Path) -> None:
    for folder in (classification, regression):
        (folder / "evaluation.json").unlink()
    run = read_run(classification)
    assert overview.headline(run).text == "resnet18 on cats-dogs: trained for 24 epochs, not evaluated"
    assert overview.progress(run).startswith("After epoch 16, the accuracy on the validation images was 7")
    assert "the mean absolute error on the validation images was 1" in overview.progress(read_run(regression))


def test_progress_without_a_metric_tells_the_loss(classification: Path) -> None:
    header = "epoch,seconds,images_per_second,lr,train_loss,val_loss\n"
    (classification / "results.csv").write_text(header + "1,9,90,0.1,0.7,0.6543\n")
    assert overview.progress(read_run(classification)) == "After epoch 1, the validation loss was 0.654."


def test_headline_without_an_epoch(classification: Path) -> None:
    for name in ("evaluation.json", "results.csv"):
        (classification / name).unlink()
    run = read_run(classification)
    assert overview.headline(run).answer == "no epoch finished, not evaluated"
    assert overview.progress(run) == ""


def test_tiles(classification: Path) -> None:
    run = read_run(classification)
    tiles = {tile.label: tile for tile in overview.tiles(run, overview.headline(run))}
    assert list(tiles) == [
        "Accuracy",
        "Balanced accuracy",
        "Log loss",
        "Parameters",
        "Epochs",
        "Training time",
    ]
    assert tiles["Parameters"].value == f"11.2{NB}M"
    assert tiles["Parameters"].note == f"148{NB}M multiply-accumulates per image"
    assert (tiles["Epochs"].value, tiles["Epochs"].note) == ("24", "epoch 16 was kept")


def test_tiles_split_the_unit_off(regression: Path) -> None:
    run = read_run(regression)
    tile = overview.tiles(run, overview.headline(run))[0]
    assert (tile.label, tile.value, tile.unit) == ("Mean absolute error", "9.41", "months")


def test_counts_per_class_and_split(classification: Path, regression: Path) -> None:
    splits, rows = overview.count_table(read_run(classification))
    assert splits == ["train", "val", "test"]
    assert rows[1] == ("dogs", [(457, 457 / 464), (109, 109 / 116), (293, 293 / 300)])
    assert overview.count_table(read_run(regression))[1] == [
        ("Images", [(1600, 1.0), (200, 1.0), (400, 1.0)])
    ]
