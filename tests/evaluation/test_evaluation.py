"""The evaluation of a table: which metrics, their intervals, and JSON without NaN."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from mirada.cli.console import figure
from mirada.cli.evaluate import _calibration, _metrics, _parts
from mirada.errors import DataError, InvalidArgument
from mirada.evaluation.calibration import scaled
from mirada.evaluation.conformal import Conformal
from mirada.evaluation.evaluate import OneAnswer, evaluate
from mirada.evaluation.predictions import Predictions
from mirada.samples import Classes, Covariate, Numbers


def classified(n, num_classes, *, targets=None, seed=0):
    random = np.random.default_rng(seed)
    targets = random.integers(num_classes, size=n) if targets is None else np.asarray(targets)
    scores = random.random((n, num_classes)) + 0.5 * (np.arange(num_classes) == targets[:, None])
    return Predictions(
        paths=tuple(f"{row}.png" for row in range(n)),
        splits=("test",) * n,
        targets=targets,
        outputs=scores / scores.sum(axis=1, keepdims=True),
        target=Classes(tuple(f"class {number}" for number in range(num_classes))),
    )


def measured(targets, predicted):
    n = len(targets)
    return Predictions(
        paths=tuple(f"{row}.png" for row in range(n)),
        splits=("test",) * n,
        targets=np.asarray(targets, dtype=float),
        outputs=np.asarray(predicted, dtype=float).reshape(n, 1),
        target=Numbers(unit="months"),
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
    assert list(found) == [
        "accuracy", "top5", "balanced_accuracy", "roc_auc", "average_precision", "log_loss", "brier", "ece",
    ]  # fmt: skip
    predicted = table.outputs.argmax(axis=1)
    expected = {
        "accuracy": sk.accuracy_score(table.targets, predicted),
        "top5": sk.top_k_accuracy_score(table.targets, table.outputs, k=5),
        "balanced_accuracy": sk.balanced_accuracy_score(table.targets, predicted),
        "roc_auc": sk.roc_auc_score(table.targets, table.outputs, multi_class="ovr"),
        "average_precision": sk.average_precision_score(np.eye(7)[table.targets], table.outputs),
        "log_loss": sk.log_loss(table.targets, table.outputs),
        "brier": sk.brier_score_loss(table.targets, table.outputs, scale_by_half=False),
    }
    ece = found.pop("ece")
    assert {name: metric.value for name, metric in found.items()} == pytest.approx(expected)
    assert ece.value == evaluation.calibration.after.ece and (ece.low, ece.high) == (None, None)
    assert re.fullmatch(
        r"no interval: 15 bins of equal width; chance alone would give about \d\.\d %", ece.method
    )
    wilson = stats.binomtest(round(200 * expected["accuracy"]), 200).proportion_ci(method="wilson")
    assert (found["accuracy"].low, found["accuracy"].high) == pytest.approx((wilson.low, wilson.high))
    assert all(metric.low < metric.value < metric.high for metric in found.values())
    methods = [metric.method for metric in found.values()]
    bootstrap = "bootstrap 95 %, 2,000 resamples"
    assert (
        methods == ["Wilson 95 %"] * 2 + [bootstrap] + ["DeLong 95 %", "delta method 95 %"] + [bootstrap] * 2
    )
    assert [metric.unit for metric in found.values()] == ["", "", "", "", "", "nats", ""]
    assert {(metric.level, metric.n) for metric in found.values()} == {(0.95, 200)}
    assert [metric.metric.kind for metric in found.values()] == ["share"] * 3 + ["number"] * 4
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
    assert list(found) == ["mae", "rmse", "r2", "bias", "median_ae", "loa_low", "loa_high"]
    predicted = table.outputs[:, 0]
    expected = {
        "mae": sk.mean_absolute_error(targets, predicted),
        "rmse": sk.root_mean_squared_error(targets, predicted),
        "r2": sk.r2_score(targets, predicted),
        "bias": np.mean(predicted - targets),
        "median_ae": sk.median_absolute_error(targets, predicted),
        "loa_low": np.mean(predicted - targets) - 1.96 * stats.tstd(predicted - targets),
        "loa_high": np.mean(predicted - targets) + 1.96 * stats.tstd(predicted - targets),
    }
    assert {name: metric.value for name, metric in found.items()} == pytest.approx(expected)
    assert [metric.unit for metric in evaluation.metrics] == ["months", "months", "", *["months"] * 4]
    assert all(metric.low < metric.value < metric.high for metric in evaluation.metrics)
    assert set(strict(evaluation)) == {"n", "metrics", "parts"}


def test_the_dict_has_exactly_these_keys():
    result = strict(evaluate(classified(40, 3)))
    assert list(result) == ["n", "metrics", "per_class", "confusion", "calibration", "curves"]
    assert list(result["calibration"]) == [
        "temperature",
        "after",
    ]  # nothing was scaled, so there is no before
    assert result["n"] == 40
    for metric in result["metrics"]:
        assert list(metric) == ["name", "value", "low", "high", "method", "unit", "level", "n", "kind"]
    for score in result["per_class"]:
        assert list(score) == [
            "name", "n", "precision", "recall", "f1", "specificity", "roc_auc",
            "precision_interval", "recall_interval", "specificity_interval", "f1_interval",
        ]  # fmt: skip
    assert [score["n"] for score in result["per_class"]] == [sum(row) for row in result["confusion"]]


def test_top5_is_left_out_where_it_would_be_trivial():
    assert "top5" not in by_name(evaluate(classified(20, 5)))
    assert "top5" in by_name(evaluate(classified(20, 6)))


def test_an_absent_class_is_none_in_json():
    table = replace(classified(30, 3, targets=[0, 1] * 15), outputs=np.tile([0.9, 0.1, 0.0], (30, 1)))
    result = strict(evaluate(table))
    keys = ("name", "n", "precision", "recall", "f1")
    assert [{key: score[key] for key in keys} for score in result["per_class"]] == [
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
        "level": None,
    }
    assert r2 == {"name": "r2", "unit": "", "n": 4, "kind": "number"} | undefined


def test_one_row_has_values_and_says_why_it_has_no_interval():
    metric = strict(evaluate(measured([5.0], [7.0])))["metrics"][0]
    assert metric == {
        "name": "mae", "value": 2.0, "low": None, "high": None,
        "method": "no interval: fewer than two images", "unit": "months", "level": None, "n": 1, "kind": "unit",
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


def test_predictions_without_any_target_are_refused():
    table = replace(classified(3, 2), targets=np.full(3, -1))
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


def test_the_limits_of_agreement_published_by_bland_and_altman():
    """Lancet 1986, tables 1 and 2: peak flow of 17 people by two meters; mean difference −2.1 l/min, s = 38.8."""
    large = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
    mini = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]
    found = by_name(evaluate(measured(mini, large)))
    assert found["bias"].value == pytest.approx(-2.1, abs=0.05)
    assert found["loa_low"].value == pytest.approx(-2.1 - 1.96 * 38.8, abs=0.2)
    assert found["loa_high"].value == pytest.approx(-2.1 + 1.96 * 38.8, abs=0.2)
    # Their intervals, by the t distribution and √(3 s² / n): −114.3 to −45.1 and 40.9 to 110.1, for ± 2 s.
    assert (found["loa_high"].low, found["loa_high"].high) == pytest.approx((40.9, 110.1), abs=15)


def test_intervals_of_the_limits_agree_with_theory_for_normal_errors():
    """Bland & Altman 1999: the variance of a limit is about s² (1/n + 1.96² / 2(n − 1))."""
    n = 2000
    errors = np.random.default_rng(2).normal(1.0, 5.0, size=n)
    found = by_name(evaluate(measured(np.zeros(n) + np.arange(n), errors + np.arange(n))))["loa_high"]
    half = 1.96 * errors.std(ddof=1) * np.sqrt(1 / n + 1.96**2 / (2 * (n - 1)))
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)


def several(n, seed=0):
    """Two targets, a covariate and groups of two rows."""
    random = np.random.default_rng(seed)
    targets = random.normal((100, 5), (40, 1), size=(n, 2))
    return Predictions(
        paths=tuple(f"{row}.png" for row in range(n)),
        splits=("test",) * n,
        targets=targets,
        outputs=targets + random.normal(1, (10, 0.3), size=(n, 2)),
        target=Numbers(("width", "height"), "mm"),
        covariates=random.integers(2, size=(n, 1)).astype(float),
        covariate_specs=(Covariate("male"),),
    )


def test_several_targets_equal_scikit_learn_column_by_column():
    table = several(60)
    evaluation = evaluate(table)
    assert len({metric.key for metric in evaluation.metrics}) == len(evaluation.metrics) == 14
    found = {metric.key: metric.value for metric in evaluation.metrics}
    each = {"multioutput": "raw_values"}
    maes = sk.mean_absolute_error(table.targets, table.outputs, **each)
    r2s = sk.r2_score(table.targets, table.outputs, **each)
    rmses = sk.root_mean_squared_error(table.targets, table.outputs, **each)
    for number, name in enumerate(table.target_names):
        assert found[f"mae:{name}"] == pytest.approx(maes[number])
        assert found[f"r2:{name}"] == pytest.approx(r2s[number])
        assert found[f"rmse:{name}"] == pytest.approx(rmses[number])
    assert {metric["target"] for metric in strict(evaluation)["metrics"]} == {"width", "height"}
    assert {part.target for part in evaluation.parts} == {"width", "height"}


def test_rows_that_lack_one_of_several_targets_are_left_out():
    table = several(30)
    targets = table.targets.copy()
    targets[3, 1] = np.nan
    assert evaluate(replace(table, targets=targets)).n == 29


def test_groups_are_resampled_whole_and_the_method_says_so():
    """Every row four times: alone, the copies halve the interval; as groups, they leave it as it was."""
    random = np.random.default_rng(3)
    targets = random.normal(100, 40, size=40)
    single = measured(targets, targets + random.normal(0, 10, size=40))
    copied = measured(np.repeat(single.targets, 4), np.repeat(single.outputs[:, 0], 4))
    grouped = replace(copied, groups=tuple(str(row // 4) for row in range(160)))
    widths = []
    for table in (single, copied, grouped):
        mae = by_name(evaluate(table))["mae"]
        widths.append(mae.high - mae.low)
    assert widths[1] == pytest.approx(widths[0] / 2, rel=0.1)
    assert widths[2] == pytest.approx(widths[0], rel=0.1)
    assert mae.method == "bootstrap 95 %, 2,000 resamples of 40 groups"
    alone = replace(single, groups=tuple(map(str, range(40))))
    unnamed = replace(single, groups=("",) * 40)  # rows without a group belong to none
    for table in (alone, unnamed):
        assert by_name(evaluate(table))["mae"] == by_name(evaluate(single))["mae"]


def test_groups_widen_the_interval_of_a_share():
    table = classified(40, 3)
    copied = table.take(np.repeat(np.arange(40), 4))
    grouped = replace(copied, groups=tuple(str(row // 4) for row in range(160)))
    plain, whole = (by_name(evaluate(each))["accuracy"] for each in (copied, grouped))
    assert whole.high - whole.low > 1.5 * (plain.high - plain.low)
    right = replace(grouped, outputs=np.eye(3)[grouped.targets])
    perfect = by_name(evaluate(right))["accuracy"]
    bounds = stats.binomtest(40, 40).proportion_ci(method="wilson")
    assert (perfect.low, perfect.high) == pytest.approx((bounds.low, bounds.high))
    assert perfect.method == "Wilson 95 % of 40 groups"


def test_one_group_alone_has_no_interval():
    table = replace(measured([1.0, 2, 3], [1.0, 3, 5]), groups=("a", "a", "a"))
    mae = by_name(evaluate(table))["mae"]
    assert (mae.value, mae.low, mae.method) == (1.0, None, "no interval: fewer than two groups")


def test_a_conformal_interval_for_other_targets_is_refused():
    with pytest.raises(InvalidArgument, match=r"half width for each of 2 targets. Got 1"):
        evaluate(several(20), conformal=Conformal(0.9, (3.0,), 50))


def test_before_and_after_a_temperature():
    raw = classified(300, 3, seed=6)
    table = replace(raw, outputs=scaled(raw.outputs, 0.25))
    found = strict(evaluate(table, temperature=0.25))["calibration"]
    assert list(found) == ["temperature", "after", "before"]
    assert found["before"]["log_loss"] == pytest.approx(sk.log_loss(raw.targets, raw.outputs))
    assert found["after"]["log_loss"] == pytest.approx(sk.log_loss(table.targets, table.outputs))
    assert sum(each["n"] for each in found["after"]["bins"]) == 300


def test_the_command_line_prints_parts_coverage_and_calibration(capsys):
    random = np.random.default_rng(0)
    targets = np.repeat([10.0, 30.0], 20)
    table = measured(targets, targets + np.where(targets < 20, 1.0, 3.0))
    result = evaluate(table, conformal=Conformal(0.9, (2.5,), 77))
    _metrics(result)
    _parts(result, "months", "validation")
    printed = capsys.readouterr().out
    assert re.search(r"^loa_high +[\d.]+ months", printed, flags=re.M)
    assert re.search(
        r"^under 30 +20 +1 months +–$", printed, flags=re.M
    )  # all errors alike: nothing can vary
    assert re.search(r"^30 and over +20 +3 months +–$", printed, flags=re.M)
    assert "value ± 2.5 months: to hold for 90%, by 77 validation images; holds here for 50.0% (3" in printed
    _metrics(evaluate(several(30)))
    assert [line for line in capsys.readouterr().out.splitlines() if "target" in line] == [
        "target: width",
        "target: height",
    ]
    raw = classified(50, 3, targets=random.integers(3, size=50))
    result = evaluate(replace(raw, outputs=scaled(raw.outputs, 2.0)), temperature=2.0)
    _calibration(result)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "probabilities scaled by the temperature 2, fitted on validation images"
    before, after = (sk.log_loss(raw.targets, scaled(raw.outputs, t)) for t in (1.0, 2.0))
    assert lines[3].split() == ["log", "loss", f"{before:.4g}", f"{after:.4g}"]


@pytest.mark.parametrize("num_classes", [2, 3, 8])
def test_per_class_shares_against_scikit_learn(num_classes):
    table = classified(120, num_classes, seed=2)
    predicted = table.outputs.argmax(axis=1)
    for number, score in enumerate(evaluate(table).per_class):
        own, called = table.targets == number, predicted == number
        assert score.specificity == pytest.approx(sk.recall_score(~own, ~called))
        assert score.roc_auc == pytest.approx(sk.roc_auc_score(own, table.outputs[:, number]))
        for interval, hits, n in (
            (score.recall_interval, (own & called).sum(), own.sum()),
            (score.precision_interval, (own & called).sum(), called.sum()),
            (score.specificity_interval, (~own & ~called).sum(), (~own).sum()),
        ):
            expected = stats.binomtest(int(hits), int(n)).proportion_ci(method="wilson")
            assert interval == pytest.approx((expected.low, expected.high))


def test_repeated_rows_of_a_group_do_not_narrow_the_intervals_of_a_class():
    table = classified(80, 3)
    copied = table.take(np.repeat(np.arange(80), 5))
    grouped = replace(copied, groups=tuple(str(row // 5) for row in range(400)))
    for alone, together in zip(evaluate(table).per_class, evaluate(grouped).per_class, strict=True):
        assert together.recall == alone.recall
        assert together.recall_interval == pytest.approx(alone.recall_interval, abs=0.02)
        assert together.specificity_interval == pytest.approx(alone.specificity_interval, abs=0.02)
    auc = [by_name(evaluate(each))["roc_auc"] for each in (table, grouped)]
    assert auc[1].method == "DeLong 95 % of 80 groups"
    assert (auc[1].low, auc[1].high) == pytest.approx((auc[0].low, auc[0].high), abs=0.01)


def constant(n, answer, targets):
    outputs = np.full((n, 2), 0.2)
    outputs[:, answer] = 0.8
    return replace(classified(n, 2, targets=targets), outputs=outputs)


def test_a_network_that_always_gives_the_same_answer_is_named_and_has_no_interval_of_a_constant():
    result = evaluate(constant(46, 1, [0, 1] * 23))
    assert result.constant == (OneAnswer("", "class 1"),)
    balanced = by_name(result)["balanced_accuracy"]
    assert (balanced.value, balanced.low, balanced.high, balanced.level) == (0.5, None, None, None)
    assert balanced.method == "no interval: the same in all resamples"
    area = by_name(result)["roc_auc"]
    assert (area.value, area.low, area.method) == (0.5, None, "no interval: it cannot vary")
    assert strict(result)["constant"] == [{"target": "", "answer": "class 1"}]
    assert evaluate(constant(10, 1, [1] * 10)).constant == ()  # one class of images: nothing to tell apart
    assert evaluate(classified(40, 2)).constant == ()


def test_all_right_has_wilsons_interval_and_none_of_a_constant():
    found = by_name(evaluate(replace(classified(60, 3), outputs=np.eye(3)[classified(60, 3).targets])))
    assert found["accuracy"].high == 1 and found["accuracy"].low < 1
    for name in ("balanced_accuracy", "roc_auc", "average_precision"):
        assert (found[name].value, found[name].low, found[name].high) == (1, None, None)
    assert found["roc_auc"].method == "no interval: it is at the end of its scale"


def test_a_constant_number_is_named():
    targets = np.linspace(10, 200, 30)
    result = evaluate(measured(targets, np.full(30, 105.0) + np.linspace(0, 0.01, 30)))
    assert [(each.target, round(each.answer)) for each in result.constant] == [("", 105)]
    assert evaluate(measured(targets, targets * 0.5)).constant == ()
    assert (
        by_name(evaluate(measured([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])))["mae"].low is None
    )  # always off by one


def test_many_classes_are_told_in_few_places():
    table = classified(300, 60)
    result = strict(evaluate(table))
    assert "confusion" not in result
    counts = np.zeros((60, 60), dtype=int)
    for true, predicted, count in result["confusion_cells"]:
        counts[true, predicted] += count
    np.testing.assert_array_equal(counts, sk.confusion_matrix(table.targets, table.predicted))
    assert set(result["per_class"][0]) >= {"precision", "recall", "f1", "recall_interval"}
    assert "specificity" not in result["per_class"][0]
    assert not {"roc_auc", "average_precision"} & {metric["name"] for metric in result["metrics"]}


def test_a_class_without_images_or_with_one_has_an_area_and_no_interval():
    single = by_name(evaluate(classified(21, 3, targets=[0] * 10 + [1] * 10 + [2])))["roc_auc"]
    assert single.value is not None
    assert (single.low, single.method) == (None, "no interval: a class has a single image")
    none = by_name(evaluate(classified(20, 2, targets=[0] * 20)))["roc_auc"]
    assert (none.value, none.low) == (None, None)


def test_the_terminal_shows_a_metric_by_its_kind():
    assert figure("ece", 0.0312) == "3.1%"
    assert figure("roc_auc", 0.8734) == "0.8734"
    assert figure("mae:height", 12.3456, "months") == "12.35 months"


def test_temperatures_of_several_networks():
    raw = classified(300, 3, seed=6)
    each = np.repeat([0.5, 2.0, 1.5], 100)
    table = replace(raw, outputs=scaled(raw.outputs, each))
    found = strict(evaluate(table, temperature=each))["calibration"]
    assert found["temperatures"] == [0.5, 2.0, 1.5]
    assert found["temperature"] == pytest.approx((0.5 * 2 * 1.5) ** (1 / 3))
    assert found["before"]["log_loss"] == pytest.approx(sk.log_loss(raw.targets, raw.outputs))
    with pytest.raises(
        InvalidArgument, match=r"one for each of 300 predictions. Got an array of shape \(2,\)"
    ):
        evaluate(table, temperature=[1.0, 2.0])
