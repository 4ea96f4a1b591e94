"""What a page says of the spread among networks."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mirada.evaluation.conformal import Conformal
from mirada.evaluation.evaluate import evaluate
from mirada.evaluation.predictions import Predictions
from mirada.evaluation.spread import SpreadCheck
from mirada.pages import write_report
from mirada.pages.spread import intervals_sentence, sentence
from mirada.samples import Numbers

NB = "\u00a0"


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ((0.4, 0.2, 0.6), "so answers on which the networks differ more are further off"),
        ((-0.4, -0.6, -0.2), "the spread misleads"),
        ((0.1, -0.1, 0.3), "which may be chance: here the spread does not tell how far off an answer is"),
        ((0.1, None, None), "which may be chance"),
        ((None, None, None), "nothing follows from it"),
    ],
)
def test_what_follows_from_the_correlation(ends: tuple[float | None, ...], said: str) -> None:
    value, low, high = ends
    check = SpreadCheck(target="girth", n=96, correlation=value, low=low, high=high, method="")
    text = sentence(check)
    assert said in text and "of girth" in text and "96 images" in text
    assert ("95" in text) == (low is not None)


def test_intervals_are_said_with_what_they_promise() -> None:
    text = intervals_sentence(Conformal(0.9, (25.2,), 480), (), "months")
    assert f"± 25.2{NB}months" in text and "480 images" in text and "no guarantee" in text
    text = intervals_sentence(Conformal(0.9, (1.5, 20.0), 99), ("height", "girth"), "cm")
    assert f"height ± 1.50{NB}cm, girth ± 20.0{NB}cm" in text


@pytest.mark.parametrize("name", ["", "girth"])
def test_the_page_has_the_cloud_the_thirds_and_a_column(regression: Path, name: str) -> None:
    file = regression / "predictions.csv"
    with file.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    draw = np.random.default_rng(0)
    for row in rows:
        row["spread"] = str(abs(float(row["error"] or 0)) * draw.uniform(0.5, 1.5))
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    tested = [row for row in rows if row["split"] == "test" and row["target"]]
    table = Predictions(
        paths=tuple(row["path"] for row in tested),
        splits=np.full(len(tested), "test"),
        target=Numbers((name,), "months"),
        targets=np.array([[float(row["target"])] for row in tested]),
        outputs=np.array([[float(row["predicted"])] for row in tested]),
        spreads=np.array([[float(row["spread"])] for row in tested]),
    )
    found = evaluate(table)
    written = json.loads((regression / "evaluation.json").read_text(encoding="utf-8"))
    written["test"]["spread"] = found.to_dict()["spread"]
    (regression / "evaluation.json").write_text(json.dumps(written), encoding="utf-8")
    page = write_report(regression).read_text(encoding="utf-8")
    assert "Does the spread among the networks tell the error?" in page
    assert sentence(found.spread[0]) in page and "Error over the spread" in page
    assert page.count("<title>" + tested[0]["path"] + "\nspread ") == 1
    assert '<th scope="col" class="figures-right">Spread</th>' in page
