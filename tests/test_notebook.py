"""What a notebook shows of a run, of predictions and of an explanation: small, right, and escaped."""

import io
import re
from base64 import b64decode
from pathlib import Path

import numpy as np
from PIL import Image

from mirada.evaluation.evaluate import evaluate
from mirada.evaluation.predictions import Predictions
from mirada.explain.methods import METHODS
from mirada.inference.explained import Explained
from mirada.jobs.train import Run
from mirada.samples import Classes, Numbers
from mirada.training.loop import Outcome


def of_classes(rows: int) -> Predictions:
    return Predictions(
        paths=tuple(f"<b>{row}.png" for row in range(rows)),
        splits=np.full(rows, "test"),
        target=Classes(("<i>cat", "dog")),
        targets=np.array([0, 1, -1] * rows)[:rows],
        outputs=np.tile([0.25, 0.75], (rows, 1)),
    )


def cells(shown: str) -> list[list[str]]:
    """The rows of the body of a table."""
    body = re.search("<tbody>(.*)</tbody>", shown)
    assert body
    return [re.findall("<td>(.*?)</td>", row) for row in re.findall("<tr>(.*?)</tr>", body[1])]


def test_predictions_of_classes() -> None:
    shown = of_classes(25)._repr_html_()
    assert "<caption>10 of 25 predictions</caption>" in shown
    first, second, third, *rest = cells(shown)
    assert first == ["&lt;b&gt;0.png", "&lt;i&gt;cat", "dog", "75.0\N{NO-BREAK SPACE}%"]
    assert second[1] == "dog" and third[1] == "–" and len(rest) == 7
    assert "<b>" not in shown and "<i>" not in shown


def test_predictions_of_numbers() -> None:
    table = Predictions(
        paths=("a.png", "b.png"),
        splits=np.full(2, "test"),
        target=Numbers(("age",), "months"),
        targets=np.array([[12.0], [np.nan]]),
        outputs=np.array([[13.5], [20.0]]),
    )
    shown = table._repr_html_()
    assert "<th>age is</th><th>age predicted</th>" in shown and "caption" not in shown
    assert cells(shown) == [["a.png", "12.0", "13.5"], ["b.png", "–", "20.0"]]


def test_a_run(tmp_path: Path) -> None:
    folder = tmp_path / "<b>run"
    run = Run(folder=folder, outcome=Outcome("early", 9, 4), evaluations={"test": evaluate(of_classes(6))})
    shown = run._repr_html_()
    assert "&lt;b&gt;run: early, best epoch 4 of 9" in shown and "<b>" not in shown
    accuracy = next(row for row in cells(shown) if row[1] == "accuracy")
    assert accuracy[:3] == ["test", "accuracy", "50.0\N{NO-BREAK SPACE}%"]


def test_an_explanation() -> None:
    heat = np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8)
    explained = Explained(
        path=Path("<b>.png"),
        answer="cat",
        subject="cat",
        method=METHODS["grad_cam"],
        layer="stage1",
        title="Grad-CAM",
        unit="logits",
        map=heat,
        heat=heat,
        photo=np.full((8, 8, 3), 128, np.uint8),
        cell=(1.0, 1.0),
        completeness_error=None,
        remark="",
        note="no positive evidence",
    )
    shown = explained._repr_html_()
    assert "&lt;b&gt;.png · cat · no positive evidence" in shown and "<b>" not in shown
    picture = re.search('src="data:image/png;base64,([^"]+)"', shown)
    assert picture
    drawn = np.asarray(Image.open(io.BytesIO(b64decode(picture[1]))).convert("RGB"))
    np.testing.assert_array_equal(drawn, explained.picture())
