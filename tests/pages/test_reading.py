"""Reading a run folder: what is missing or damaged is named."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mirada.errors import DataError
from mirada.events import BestEpoch
from mirada.pages.overview import stopped
from mirada.runs.reader import read_run

JSON_FILES = ("data.json", "environment.json", "model.json", "evaluation.json", "maps.json", "cells.json")


def edit(file: Path, *keys: Any, value: object) -> None:
    """Replace the value at a trail of keys of a JSON file; the value ``...`` removes the key."""
    content = json.loads(file.read_text(encoding="utf-8"))
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    file.write_text(json.dumps(content), encoding="utf-8")


def test_reads_what_was_written(classification: Path) -> None:
    run = read_run(classification)
    assert run.recipe["augment"] == {"flip": True, "rotate": 10.0}
    assert [row["epoch"] for row in run.epochs] == list(range(1, 25))
    assert run.best == 16
    assert not run.data.numeric
    assert run.predictions is not None
    assert len(run.predictions) == 900
    assert run.maps is not None
    assert run.maps[0].image == "maps/000-photo.jpg"  # a reference: a list of runs reads no picture
    assert run.events[1] == BestEpoch(16)
    assert run.notices == ()


def test_predictions_are_wrong_by_the_probability_or_the_error(
    classification: Path, regression: Path
) -> None:
    for row in read_run(classification).predictions or []:
        assert (row.wrong > 0) == (row.target != row.predicted)
    for row in read_run(regression).predictions or []:
        assert row.wrong == pytest.approx(float(row.predicted) - float(row.target))


def test_predictions_without_a_target_are_left_out(regression: Path) -> None:
    file = regression / "predictions.csv"
    before = len(read_run(regression).predictions or [])
    file.write_text(file.read_text() + "lost.png,test,,101.5,\nunread.png,,,,\n")
    assert len(read_run(regression).predictions or []) == before


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: there is no such run folder\. Give the folder"):
        read_run(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "name", ["recipe.toml", "environment.json", "data.json", "model.json", "events.jsonl"]
)
def test_missing_required_file_is_named(classification: Path, name: str) -> None:
    (classification / name).unlink()
    with pytest.raises(
        DataError, match=rf"{re.escape(name)}: the file is missing, which a run writes before it begins"
    ):
        read_run(classification)


def test_a_folder_in_place_of_a_file(classification: Path) -> None:
    (classification / "model.json").unlink()
    (classification / "model.json").mkdir()
    with pytest.raises(DataError, match=r"model\.json: the file is damaged: .*directory"):
        read_run(classification)


@pytest.mark.parametrize(
    "name", ["recipe.toml", "results.csv", "events.jsonl", "predictions.csv", *JSON_FILES]
)
@pytest.mark.parametrize("content", [b"\xff\xfe\x00{[\n", b"[[[1,\n", b'{"half": \n'])
def test_damaged_file_is_named(classification: Path, name: str, content: bytes) -> None:
    (classification / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{re.escape(name)}: the file is damaged: .*Restore it from a copy"):
        read_run(classification)


def test_json_nested_too_deeply(classification: Path) -> None:
    (classification / "data.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"data\.json: the file is damaged"):
        read_run(classification)


@pytest.mark.parametrize(
    ("name", "keys", "value", "finding"),
    [
        (
            "data.json",
            ["counts", "train", "cats"],
            "many",
            "counts → train → cats must be a whole number. Got 'many'.",
        ),
        ("data.json", ["classes"], None, "classes must be a list. Got 'None'."),
        ("data.json", ["excluded", 0, "reason"], ..., 'the key "reason" is missing in excluded → 0.'),
        ("data.json", ["root"], ..., 'the key "root" is missing in its content.'),
        (
            "data.json",
            ["task"],
            "segmentation",
            "task must be classification or regression. Got 'segmentation'.",
        ),
        ("model.json", ["macs"], "few", "macs must be a whole number or null. Got 'few'."),
        ("model.json", ["parameters"], True, "parameters must be a whole number. Got 'True'."),
        ("environment.json", ["command"], ..., 'the key "command" is missing in its content.'),
        ("evaluation.json", ["test", "metrics"], [], "test has no metric."),
        ("evaluation.json", ["val", "confusion"], [[1, 2, 3]], "the confusion matrix of val must be 2 × 2."),
        ("evaluation.json", ["test", "n"], 0.5, "test → n must be a whole number. Got '0.5'."),
        (
            "maps.json",
            [0, "section"],
            "nice",
            "0 → section must be typical or uncertain or wrong. Got 'nice'.",
        ),
        ("maps.json", [1, "overlay"], "../secret.jpg", "'../secret.jpg' lies outside the run folder."),
        (
            "cells.json",
            [0, "images", 0, "image"],
            "../secret.jpg",
            "'../secret.jpg' lies outside the run folder.",
        ),
        ("cells.json", [0, "true"], ..., 'the key "true" is missing in 0.'),
        ("maps.json", [2, "limit"], None, "2 → limit must be a number. Got 'None'."),
    ],
)
def test_wrong_content_is_named(
    classification: Path, name: str, keys: list[Any], value: object, finding: str
) -> None:
    edit(classification / name, *keys, value=value)
    with pytest.raises(DataError, match=re.escape(f"{name}: the file is damaged: {finding}")):
        read_run(classification)


@pytest.mark.parametrize(
    ("name", "content", "finding"),
    [
        (
            "results.csv",
            "epoch,seconds\n1,2\n",
            "the column images_per_second, lr, train_loss, val_loss is missing.",
        ),
        (
            "results.csv",
            "epoch,seconds,images_per_second,lr,train_loss,val_loss\n1,2\n",
            "line 2 does not have as many",
        ),
        (
            "results.csv",
            "epoch,seconds,images_per_second,lr,train_loss,val_loss\n1,2,3,4,x,6\n",
            "where it has 'x'",
        ),
        (
            "results.csv",
            "epoch,seconds,images_per_second,lr,train_loss,val_loss\n,2,3,4,5,6\n",
            "has no epoch number",
        ),
        ("predictions.csv", "path,split,target,predicted\n", "the column probability, correct is missing."),
        (
            "predictions.csv",
            'path,split,target,predicted,probability,correct\na,"b',
            "its last line is not complete.",
        ),
        (
            "predictions.csv",
            'path,split,target,predicted,probability,correct\n"a"b,c,d,e,1,1\n',
            "',' expected",
        ),
        ("events.jsonl", '{"kind": 1}\n', 'the key "event" is missing in line 1.'),
        ("events.jsonl", '{"event": "best"}\n', 'the key "epoch" is missing in line 1.'),
        (
            "events.jsonl",
            '\n{"event": "best", "epoch": null}\n',
            "line 2 → epoch must be a whole number. Got 'None'.",
        ),
        (
            "events.jsonl",
            '{"event": "stopped", "reason": "bored"}\n',
            "line 1 → reason must be finished or early or interrupted or failed. Got 'bored'.",
        ),
    ],
)
def test_damaged_tables(classification: Path, name: str, content: str, finding: str) -> None:
    (classification / name).write_text(content)
    with pytest.raises(DataError, match=rf"{re.escape(name)}: the file is damaged: .*{re.escape(finding)}"):
        read_run(classification)


def test_a_line_that_was_cut_is_left_out_and_told(classification: Path) -> None:
    for name in ("results.csv", "events.jsonl"):
        file = classification / name
        file.write_bytes(file.read_bytes().rstrip()[:-3])
    run = read_run(classification)
    assert len(run.epochs) == 23
    assert run.notices == (
        "The last line of results.csv was cut while it was being written, and is left out.",
        "The last line of events.jsonl was cut while it was being written, and is left out.",
    )


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("finished", ""),
        ("interrupted", "Training was interrupted after 24 of 40 epochs."),
        (
            "early",
            "Training stopped early, after 24 of 40 epochs: the validation result had not improved for 10 epochs.",
        ),
        ("failed", "Training ended after 24 of 40 epochs: the disk was full."),
    ],
)
def test_why_the_run_ended(classification: Path, reason: str, expected: str) -> None:
    event = {"event": "stopped", "reason": reason, "text": "the disk was full." if reason == "failed" else ""}
    (classification / "events.jsonl").write_text(json.dumps(event) + "\n")
    run = read_run(classification)
    assert stopped(run) == expected
    assert run.best is None


def test_a_run_without_an_end_may_have_been_killed(classification: Path) -> None:
    (classification / "events.jsonl").write_text('{"event": "started"}\n\n')
    assert stopped(read_run(classification)) == ""
    (classification / "evaluation.json").unlink()
    assert stopped(read_run(classification)).startswith(
        "The run was killed after 24 of 40 epochs, or is still running: its end is not recorded"
    )


@pytest.mark.parametrize("epoch", [0, 99])
def test_a_best_epoch_that_was_not_finished_is_not_marked(classification: Path, epoch: int) -> None:
    (classification / "events.jsonl").write_text(json.dumps({"event": "best", "epoch": epoch}) + "\n")
    assert read_run(classification).best is None


def test_file_names_that_are_no_unicode_survive(classification: Path) -> None:
    file = classification / "predictions.csv"
    file.write_bytes(file.read_bytes() + b"caf\xe9.jpg,test,cats,dogs,0.9,0,0.1,0.9\r\n")
    assert (read_run(classification).predictions or [])[-1].path == "caf\udce9.jpg"
