"""Metrics against scikit-learn; ties, absent classes and empty tables by hand."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from mirada.errors import InvalidArgument
from mirada.evaluation import metrics as m
from mirada.evaluation.metric_table import CLASS_METRICS, METRICS, metric_named, quick_metrics
from mirada.samples import Classes, Numbers


@st.composite
def answers(draw):
    """Targets (n,) and probabilities (n, K), many of them equal, and K."""
    num_classes, n = draw(st.integers(2, 8)), draw(st.integers(1, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weights = random.integers(1, draw(st.sampled_from([3, 10_000])), size=(n, num_classes))
    return random.integers(num_classes, size=n), weights / weights.sum(axis=1, keepdims=True), num_classes


@given(answers())
def test_classification_equals_scikit_learn(table):
    targets, outputs, num_classes = table
    predicted, labels = outputs.argmax(axis=1), np.arange(num_classes)
    assert m.accuracy(targets, predicted) == pytest.approx(sk.accuracy_score(targets, predicted))
    assert m.log_loss(targets, outputs) == pytest.approx(sk.log_loss(targets, outputs, labels=labels))
    counts = m.confusion(targets, predicted, num_classes)
    np.testing.assert_array_equal(counts, sk.confusion_matrix(targets, predicted, labels=labels))
    *expected, _ = sk.precision_recall_fscore_support(targets, predicted, labels=labels, zero_division=np.nan)
    np.testing.assert_allclose(m.precision_recall_f1(counts), expected)
    # scikit-learn's own balanced accuracy warns of classes that are predicted only.
    present = np.unique(targets)
    recall = sk.recall_score(targets, predicted, labels=present, average="macro")
    assert m.balanced_accuracy(targets, predicted) == pytest.approx(recall)


@given(answers(), st.integers(1, 9))
def test_top_k_is_a_stable_argsort(table, k):
    targets, outputs, _ = table
    best = np.argsort(-outputs, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(m.top_k_hits(targets, outputs, k), (best == targets[:, None]).any(axis=1))


@given(answers().filter(lambda table: table[2] > 2), st.integers(1, 7))
def test_top_k_equals_scikit_learn(table, k):
    targets, outputs, num_classes = table
    k = min(k, num_classes - 1)
    # scikit-learn prefers the highest number among equals, Mirada the lowest: number the classes backwards.
    expected = sk.top_k_accuracy_score(
        num_classes - 1 - targets, outputs[:, ::-1], k=k, labels=np.arange(num_classes)
    )
    assert m.top_k_accuracy(targets, outputs, k) == pytest.approx(expected)


def test_top_k_of_ties_by_hand():
    outputs = np.array([[0.4, 0.4, 0.2], [0.4, 0.4, 0.2], [1 / 3, 1 / 3, 1 / 3]])
    assert m.top_k_hits(np.array([0, 1, 1]), outputs, 1).tolist() == [True, False, False]
    assert m.top_k_hits(np.array([0, 1, 2]), outputs, 2).tolist() == [True, True, False]
    assert m.top_k_hits(np.array([0, 1, 2]), outputs, 5).tolist() == [True, True, True]


def test_outputs_that_are_not_numbers_are_no_hits():
    outputs = np.full((4, 6), np.nan)
    assert m.top_k_accuracy(np.arange(4), outputs, 1) == 0.0
    assert m.top_k_accuracy(np.arange(4), outputs, 5) == 0.0


def test_log_loss_is_clipped_at_1e_12():
    outputs = np.array([[0.0, 1.0], [0.0, 1.0]])
    assert m.row_losses(np.array([0, 1]), outputs).tolist() == pytest.approx([-math.log(1e-12), 0.0])


def test_confusion_has_true_classes_in_rows():
    assert m.confusion(np.array([0, 0, 2]), np.array([1, 0, 1]), 3).tolist() == [
        [1, 1, 0],
        [0, 0, 0],
        [0, 1, 0],
    ]


def test_shares_of_a_class_that_is_absent_or_never_predicted():
    """Class 0 is right once; class 1 has images and is never predicted; 2 is predicted only; 3 is neither."""
    counts = m.confusion(np.array([0, 1, 1]), np.array([0, 2, 0]), 4)
    precision, recall, f1 = m.precision_recall_f1(counts)
    np.testing.assert_array_equal(precision, [0.5, np.nan, 0.0, np.nan])
    np.testing.assert_array_equal(recall, [1.0, 0.0, np.nan, np.nan])
    np.testing.assert_allclose(f1, [2 / 3, 0.0, 0.0, np.nan])


def test_balanced_accuracy_equals_scikit_learn_and_skips_absent_classes():
    targets, predicted = np.array([0, 0, 0, 4, 4, 2]), np.array([0, 0, 2, 4, 0, 2])
    assert m.balanced_accuracy(targets, predicted) == pytest.approx(
        sk.balanced_accuracy_score(targets, predicted)
    )


def test_weights_of_mean_recall_are_repeated_rows():
    random = np.random.default_rng(0)
    members, hits, weights = (
        random.integers(5, size=9),
        random.random(9) < 0.6,
        random.integers(3, size=(4, 9)),
    )
    found = m.mean_recall(members, hits, weights.astype(float))
    assert found.shape == (4,)
    for value, own in zip(found, weights, strict=True):
        assert value == pytest.approx(float(m.mean_recall(np.repeat(members, own), np.repeat(hits, own))))


@given(st.integers(2, 60), st.integers(0, 2**32 - 1), st.sampled_from([1e-3, 1.0, 1e4]))
def test_regression_equals_scikit_learn(n, seed, scale):
    random = np.random.default_rng(seed)
    targets = random.normal(100, 40, size=n)
    predicted = targets + scale * random.normal(1, size=n)
    assert m.mae(targets, predicted) == pytest.approx(sk.mean_absolute_error(targets, predicted))
    assert m.rmse(targets, predicted) == pytest.approx(sk.root_mean_squared_error(targets, predicted))
    assert m.r2(targets, predicted) == pytest.approx(sk.r2_score(targets, predicted), rel=1e-9)
    assert m.bias(targets, predicted) == pytest.approx(predicted.mean() - targets.mean(), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("metric", [m.mae, m.rmse, m.bias, m.r2, m.median_ae, m.loa_low, m.loa_high])
def test_weights_are_repeated_rows(metric):
    random = np.random.default_rng(0)
    (targets, predicted), weights = random.normal(1e4, 1, size=(2, 9)), random.integers(3, size=(6, 9))
    found = metric(targets, predicted, weights.astype(float))
    expected = [float(metric(np.repeat(targets, own), np.repeat(predicted, own))) for own in weights]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_r2_is_undefined_where_the_rows_drawn_have_one_target():
    targets, predicted = np.array([0.1, 0.1, 0.3]), np.array([0.1, 0.2, 0.3])
    found = m.r2(targets, predicted, np.array([[2.0, 1, 0], [1, 1, 1]]))
    assert math.isnan(found[0]) and not math.isnan(found[1])


def test_r2_is_undefined_for_constant_targets():
    # The mean of three times 0.1 is not 0.1 in floating point, so the variance is not quite zero.
    assert math.isnan(m.r2(np.full(3, 0.1), np.array([0.1, 0.2, 0.3])))
    assert math.isnan(m.r2(np.array([5.0]), np.array([5.0])))


def test_no_rows_are_undefined_without_a_warning():
    none, integers = np.empty(0), np.empty(0, dtype=np.int64)
    for metric in (m.mae, m.rmse, m.r2, m.bias):
        assert math.isnan(metric(none, none))
    assert math.isnan(m.accuracy(integers, integers))
    assert math.isnan(m.balanced_accuracy(integers, integers))
    assert math.isnan(m.log_loss(integers, np.empty((0, 3))))
    assert all(map(math.isnan, quick_metrics(Classes(("a", "b", "c")), np.empty((0, 3)), integers).values()))
    assert all(map(math.isnan, quick_metrics(Numbers(), np.empty((0, 1)), none[:, None]).values()))


def test_quick_metrics_of_classes():
    targets = np.array([0, 6, 1])
    logits = np.array([[9.0, 1, 1, 1, 1, 1, 1], [6.0, 5, 4, 3, 2, 1, 1.5], [0.0, -1, 3, 1, 1, -9, -9]])
    assert quick_metrics(Classes(tuple("abcdefg")), logits, targets) == pytest.approx(
        {"accuracy": 1 / 3, "top5": 2 / 3}
    )
    assert list(quick_metrics(Classes(tuple("abcde")), logits[:, :5], np.array([0, 1, 1]))) == ["accuracy"]


def test_quick_metrics_of_values():
    targets, outputs = np.array([[1.0], [2.0], [4.0]]), np.array([[1.0], [3.0], [2.0]])
    expected = {"mae": 1.0, "rmse": math.sqrt(5 / 3), "r2": sk.r2_score(targets.ravel(), outputs[:, 0])}
    assert quick_metrics(Numbers(), outputs, targets) == pytest.approx(expected)


def test_quick_metrics_of_several_values_are_the_mean_over_them():
    random = np.random.default_rng(0)
    targets = random.normal((0, 100), (1, 20), size=(30, 2))
    outputs = targets + random.normal(size=(30, 2))
    rmses = sk.root_mean_squared_error(targets, outputs, multioutput="raw_values")
    expected = {
        "mae": sk.mean_absolute_error(targets, outputs),
        "rmse": rmses.mean(),
        "r2": sk.r2_score(targets, outputs),
    }
    assert quick_metrics(Numbers(("x", "y")), outputs, targets) == pytest.approx(expected)


@given(answers())
def test_brier_equals_scikit_learn(data):
    targets, outputs, num_classes = data
    expected = sk.brier_score_loss(targets, outputs, labels=range(num_classes), scale_by_half=False)
    assert m.row_brier(targets, outputs).mean() == pytest.approx(expected)


def test_limits_of_agreement_and_median_by_hand():
    targets, predicted = np.array([10.0, 10, 10, 10]), np.array([9.0, 11, 13, 15])  # errors −1, 1, 3, 5
    spread = math.sqrt((9 + 1 + 1 + 9) / 3)
    assert m.loa_low(targets, predicted) == pytest.approx(2 - 1.96 * spread)
    assert m.loa_high(targets, predicted) == pytest.approx(2 + 1.96 * spread)
    assert m.median_ae(targets, predicted) == 2.0
    assert math.isnan(m.loa_low(targets[:1], predicted[:1]))
    assert math.isnan(m.median_ae(targets[:0], predicted[:0]))


def test_the_page_on_evaluation_names_every_metric_and_which_way_is_better():
    page = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    rows = [
        row for row in rows if len(row) == 4
    ]  # key, meaning, better, interval; other tables have other columns
    told = {key: row[2] for row in rows for key in re.findall(r"`(\w+)`", row[0])}
    assert told == {
        key: {"neither": "–"}.get(metric.better, metric.better) for key, metric in METRICS.items()
    }


def test_a_metric_that_is_not_known_is_refused_by_the_nearest():
    assert metric_named("mae:height") is METRICS["mae"]
    with pytest.raises(InvalidArgument, match=r'There is no metric "acuracy". Did you mean "accuracy"'):
        metric_named("acuracy")


@pytest.mark.parametrize(("classes", "keys"), [(2, 7), (5, 7), (6, 8), (50, 8), (51, 6)])
def test_metrics_that_say_nothing_of_so_many_classes_are_left_out(classes, keys):
    assert sum(metric.applies(classes) for metric in CLASS_METRICS) == keys
