"""The paragraph for a paper: every number in it is one of the run's records, and what is not recorded is not said."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mirada.pages import write_report
from mirada.pages.methods import UNKNOWN, methods_paragraph
from mirada.pages.overview import headline
from mirada.runs.reader import read_run

Make = Callable[..., Path]


def changed(file: Path, **values: Any) -> None:
    known = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(known | values), encoding="utf-8")


def test_it_says_what_the_records_say(classification: Path) -> None:
    run = read_run(classification)
    text = methods_paragraph(run)
    total = sum(sum(found.values()) for found in run.data.counts.values())
    assert text.startswith(f"{total:,} images of {len(run.data.classes)} classes (")
    for split, word in (("train", "training"), ("val", "validation"), ("test", "the test")):
        assert f"{sum(run.data.counts[split].values()):,} for {word}" in text
    assert f"The network is resnet18 with {run.network.parameters:,} parameters." in text
    answer = headline(run)
    value = re.search(r"[\d.]+", answer.answer)
    assert value and f"is {value[0]}" in text and answer.interval.split()[-2] in text
    assert "Mirada 0.1.0, PyTorch 2.13.0, Python 3.11.7, on AMD EPYC 7R13" in text
    assert "\n" not in text and "None" not in text and "  " not in text


def test_numbers_have_their_unit(regression: Path) -> None:
    run = read_run(regression)
    text = methods_paragraph(run)
    assert "images of known a number in months were used" in text
    assert "The mean absolute error on 400 test images is 9.41" in text


def test_groups_seeds_and_files_that_were_left_out(classification: Path) -> None:
    changed(classification / "data.json", groups=17, excluded=[{"path": "a.png", "reason": "is empty"}])
    text = methods_paragraph(read_run(classification))
    assert "They belong to 17 groups, none of which was divided between splits. " in text
    assert "1 file could not be used." in text


def test_validation_images_are_called_what_they_are(classification: Path) -> None:
    file = classification / "evaluation.json"
    found = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({"val": found["val"]}), encoding="utf-8")
    text = methods_paragraph(read_run(classification))
    assert "There was no test split: what follows is of the validation images" in text
    assert "The test images were used once" not in text


def test_the_page_has_it_with_what_no_record_knows(classification: Path) -> None:
    page = write_report(classification).read_text(encoding="utf-8")
    assert '<a href="#methods">For a paper</a>' in page and '<section id="methods">' in page
    assert all(item in page for item in UNKNOWN)
    (classification / "evaluation.json").unlink()
    page = write_report(classification).read_text(encoding="utf-8")
    assert 'id="methods"' not in page and "#methods" not in page


def test_a_network_that_has_learnt_nothing_is_named(classification: Path) -> None:
    file = classification / "evaluation.json"
    found = json.loads(file.read_text(encoding="utf-8"))
    assert "learnt nothing" not in methods_paragraph(read_run(classification))
    found["test"]["constant"] = [{"target": "", "answer": "cat"}]
    file.write_text(json.dumps(found), encoding="utf-8")
    said = methods_paragraph(read_run(classification))
    assert "The network gives the same answer whatever the image: it has learnt nothing." in said
