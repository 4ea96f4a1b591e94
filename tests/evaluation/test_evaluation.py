"""The evaluation of a table: which metrics, their intervals, and JSON without NaN."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from mirada.errors import DataError
from mirada.evaluation.evaluate import evaluate
from mirada.evaluation.predictions import Predictions


def classified(n, num_classes, *, targets=None, seed=0):
    random = np.random.default_rng(seed)
    targets = random.integers(num_classes, size=n) if targets is None else np.asarray(targets)
    scores = random.random((n, num_classes)) + 0.5 * (np.arange(num_classes) == targets[:, None])
    return Predictions(
        task="classification",
        paths=tuple(f"{row}.png" for row in range(n)),
        splits=("test",) * n,
        targets=targets,
        outputs=scores / scores.sum(axis=1, keepdims=True),
        classes=tuple(f"class {number}" for number in range(num_classes)),
    )


def measured(targets, predicted):
    n = len(targets)
    return Predictions(
        task="regression",
        paths=tuple(f"{row}.png" for row in range(n)),
        splits=("test",) * n,
        targets=np.asarray(targets, dtype=float),
        outputs=np.asarray(predicted, dtype=float).reshape(n, 1),
        unit="months",
    )


def strict(evaluation):
    """``to_dict`` after a trip through strict JSON."""
    return json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))


def by_name(evaluation):
    return {metric.name: metric for metric in evaluation.metrics}


def test_classes_against_scikit_learn_and_scipy():
    table = classified(200, 7)
    evaluation = evaluate(table)
    found = by_name(evaluation)
    assert list(found) == ["accuracy", "top5", "balanced_accuracy", "log_loss"]
    predicted = table.outputs.argmax(axis=1)
    expected = {
        "accuracy": sk.accuracy_score(table.targets, predicted),
        "top5": sk.top_k_accuracy_score(table.targets, table.outputs, k=5),
        "balanced_accuracy": sk.balanced_accuracy_score(table.targets, predicted),
        "log_loss": sk.log_loss(table.targets, table.outputs),
    }
    assert {name: metric.value for name, metric in found.items()} == pytest.approx(expected)
    wilson = stats.binomtest(round(200 * expected["accuracy"]), 200).proportion_ci(method="wilson")
    assert (found["accuracy"].low, found["accuracy"].high) == pytest.approx((wilson.low, wilson.high))
    assert all(metric.low < metric.value < metric.high for metric in evaluation.metrics)
    methods = [metric.method for metric in evaluation.metrics]
    assert methods == ["Wilson 95 %"] * 2 + ["bootstrap 95 %, 2,000 resamples"] * 2
    assert [metric.unit for metric in evaluation.metrics] == ["", "", "", "nats"]
    np.testing.assert_array_equal(evaluation.confusion, sk.confusion_matrix(table.targets, predicted))


def test_bootstrap_intervals_of_classes_against_scipy():
    table = classified(150, 3, seed=4)
    found = by_name(evaluate(table))
    hits = table.outputs.argmax(axis=1) == table.targets

    def balanced(targets, hits):
        return np.mean([hits[targets == number].mean() for number in range(3)])

    options = {"paired": True, "vectorized": False, "method": "percentile", "n_resamples": 2000, "rng": 1}
    expected = stats.bootstrap((table.targets, hits), balanced, **options).confidence_interval
    metric = found["balanced_accuracy"]
    tolerance = 0.1 * (expected.high - expected.low)
    assert (metric.low, metric.high) == pytest.approx((expected.low, expected.high), abs=tolerance)


def test_values_against_scikit_learn():
    random = np.random.default_rng(0)
    targets = random.normal(100, 40, size=90)
    table = measured(targets, targets + random.normal(2, 10, size=90))
    evaluation = evaluate(table)
    found = by_name(evaluation)
    assert list(found) == ["mae", "rmse", "r2", "bias"]
    predicted = table.outputs[:, 0]
    expected = {
        "mae": sk.mean_absolute_error(targets, predicted),
        "rmse": sk.root_mean_squared_error(targets, predicted),
        "r2": sk.r2_score(targets, predicted),
        "bias": np.mean(predicted - targets),
    }
    assert {name: metric.value for name, metric in found.items()} == pytest.approx(expected)
    assert [metric.unit for metric in evaluation.metrics] == ["months", "months", "", "months"]
    assert all(metric.low < metric.value < metric.high for metric in evaluation.metrics)
    assert set(strict(evaluation)) == {"n", "metrics"}


def test_the_dict_has_exactly_these_keys():
    result = strict(evaluate(classified(40, 3)))
    assert list(result) == ["n", "metrics", "per_class", "confusion"]
    assert result["n"] == 40
    for metric in result["metrics"]:
        assert list(metric) == ["name", "value", "low", "high", "method", "unit"]
    for score in result["per_class"]:
        assert list(score) == ["name", "n", "precision", "recall", "f1"]
    assert [score["n"] for score in result["per_class"]] == [sum(row) for row in result["confusion"]]


def test_top5_is_left_out_where_it_would_be_trivial():
    assert "top5" not in by_name(evaluate(classified(20, 5)))
    assert "top5" in by_name(evaluate(classified(20, 6)))


def test_an_absent_class_is_none_in_json():
    table = replace(classified(30, 3, targets=[0, 1] * 15), outputs=np.tile([0.9, 0.1, 0.0], (30, 1)))
    result = strict(evaluate(table))
    assert result["per_class"] == [
        {"name": "class 0", "n": 15, "precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3)},
        {"name": "class 1", "n": 15, "precision": None, "recall": 0.0, "f1": 0.0},
        {"name": "class 2", "n": 0, "precision": None, "recall": None, "f1": None},
    ]
    assert result["confusion"] == [[15, 0, 0], [15, 0, 0], [0, 0, 0]]
    assert result["metrics"][1]["value"] == 0.5  # balanced over the two classes that have images


def test_rows_without_a_target_are_left_out():
    table = classified(60, 4)
    masked = replace(table, targets=np.where(np.arange(60) < 40, table.targets, -1))
    assert evaluate(masked).to_dict() == evaluate(table.take(range(40))).to_dict()


def test_constant_targets_have_no_r2():
    result = strict(evaluate(measured([5, 5, 5, 5], [4, 5, 6, 8])))
    r2 = result["metrics"][2]
    undefined = {
        "value": None,
        "low": None,
        "high": None,
        "method": "no interval: undefined in some resamples",
    }
    assert r2 == {"name": "r2", "unit": ""} | undefined


def test_one_row_has_values_and_says_why_it_has_no_interval():
    metric = strict(evaluate(measured([5.0], [7.0])))["metrics"][0]
    assert metric == {
        "name": "mae", "value": 2.0, "low": None, "high": None,
        "method": "no interval: fewer than two images", "unit": "months",
    }  # fmt: skip
    accuracy, *_ = evaluate(classified(1, 3)).metrics
    assert accuracy.method == "Wilson 95 %"


@pytest.mark.parametrize(
    "table", [classified(4, 7).of_split("val"), measured([1, 2], [1, 2]).of_split("val")]
)
def test_an_empty_table_is_undefined_throughout(table):
    result = strict(evaluate(table))
    assert result["n"] == 0
    for metric in result["metrics"]:
        assert (metric["value"], metric["low"], metric["high"]) == (None, None, None)
        assert metric["method"].startswith("no interval: ")
    for score in result.get("per_class", []):
        assert (score["n"], score["precision"], score["recall"], score["f1"]) == (0, None, None, None)


@pytest.mark.parametrize("targets", [None, np.full(3, -1)])
def test_predictions_without_any_target_are_refused(targets):
    table = replace(classified(3, 2), targets=targets)
    with pytest.raises(
        DataError, match=r"Nothing to evaluate: none of the 3 predictions has a target. Give data"
    ):
        evaluate(table)


def test_the_seed_decides_the_intervals():
    table = measured(np.arange(30.0), np.arange(30.0) ** 1.1)
    assert evaluate(table, seed=1) == evaluate(table, seed=1)
    assert evaluate(table, seed=1) != evaluate(table, seed=2)


def test_the_room_loads_no_heavy_library():
    code = (
        "import sys, mirada.evaluation.evaluate; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "scipy", "sklearn", "pandas", "PIL"} & set(done.stdout.split())
