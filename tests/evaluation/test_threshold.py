"""Thresholds against a search over all cuts, and what holds at one against scikit-learn and SciPy."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as sk

from mirada.codec import from_json
from mirada.errors import InvalidArgument
from mirada.evaluation.evaluate import Evaluation, evaluate
from mirada.evaluation.metric_table import METRICS
from mirada.evaluation.predictions import Predictions, called_at
from mirada.evaluation.threshold import HIGHEST, Threshold, ThresholdRule, choose_threshold, positive_class
from mirada.samples import Classes, Numbers

TWO = Classes(("benign", "malignant"))
RULES = ["youden", "sensitivity=0.95", "sensitivity=1", "sensitivity=0.7", "specificity=0.9", "specificity=1",
         "cost=5:1", "cost=1:20", "cost=0.3:0.1"]  # fmt: skip


def table(targets, probabilities, names=TWO.names, **more):
    p = np.asarray(probabilities, dtype=np.float64)
    outputs = np.column_stack([1 - p, p]) if p.ndim == 1 else p
    return Predictions(
        paths=tuple(f"{row}.png" for row in range(len(p))),
        splits=np.full(len(p), "test"),
        target=Classes(names),
        targets=np.asarray(targets),
        outputs=outputs,
        **more,
    )


@st.composite
def judged(draw):
    """Class numbers of both kinds, and probabilities with and without ties, 0 and 1 among them."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, levels = draw(st.integers(2, 40)), draw(st.sampled_from([1, 3, 10, 100_000]))
    own = random.random(n) < draw(st.sampled_from([0.1, 0.5]))
    own[:2] = True, False
    scores = np.clip(
        random.integers(levels + 1, size=n) / levels + draw(st.sampled_from([0, 0.3])) * own, 0, 1
    )
    return own, scores


def cuts(own, scores):
    """Sensitivity and specificity, exactly, and missed and false alarms, of every way to part the images."""
    for value in [*sorted(set(scores.tolist())), HIGHEST]:
        called = scores >= value
        hits, alarms = int((own & called).sum()), int((~own & called).sum())
        n, rest = int(own.sum()), int((~own).sum())
        yield Fraction(hits, n), Fraction(rest - alarms, rest), n - hits, alarms, called


def best_by_search(own, scores, rule):
    kind, _, rest = rule.partition("=")
    numbers = [Fraction(part) for part in rest.split(":")] if rest else []

    def worth(cut):
        found, passed, missed, alarms, _ = cut
        match kind:
            case "youden":
                return found + passed, found
            case "sensitivity":
                return found >= numbers[0], passed, found
            case "specificity":
                return passed >= numbers[0], found, passed
        return -(numbers[0] * missed + numbers[1] * alarms), found

    return max(cuts(own, scores), key=worth)


@pytest.mark.parametrize("rule", RULES)
@given(data=judged())
def test_the_threshold_is_the_best_of_all_cuts(rule, data):
    own, scores = data
    chosen = choose_threshold(
        TWO, own.astype(np.int64), np.column_stack([1 - scores, scores]), rule, "malignant"
    )
    found, passed, _, _, called = best_by_search(own, scores, rule)
    assert np.array_equal(chosen.calls(TWO.names, np.column_stack([1 - scores, scores])), called)
    assert chosen.sensitivity == pytest.approx(float(found))
    assert chosen.specificity == pytest.approx(float(passed))
    assert (chosen.n, chosen.positives, chosen.rule) == (len(own), own.sum(), rule)


def test_the_largest_youden_index_is_that_of_scikit_learns_curve():
    random = np.random.default_rng(3)
    own = random.random(300) < 0.3
    scores = np.clip(0.4 * own + 0.6 * random.random(300), 0, 1)
    chosen = choose_threshold(
        TWO, own.astype(np.int64), np.column_stack([1 - scores, scores]), "youden", "malignant"
    )
    false, true, _ = sk.roc_curve(own, scores)
    assert chosen.sensitivity + chosen.specificity - 1 == pytest.approx((true - false).max())


def test_the_threshold_lies_between_the_last_that_is_called_and_the_next():
    p = np.array([0.1, 0.2, 0.6, 0.9])
    chosen = choose_threshold(TWO, np.array([0, 0, 1, 1]), np.column_stack([1 - p, p]), "youden", "malignant")
    assert chosen.value == pytest.approx(0.4)
    assert (chosen.sensitivity, chosen.specificity) == (1, 1)


def test_the_first_class_may_be_the_positive_one():
    p = np.array([0.1, 0.2, 0.6, 0.9])  # of the second
    chosen = choose_threshold(TWO, np.array([0, 0, 1, 1]), np.column_stack([1 - p, p]), "youden", "benign")
    assert chosen.value == pytest.approx(0.6)
    assert chosen.other(TWO.names) == "malignant"


@pytest.mark.parametrize("classes", [0, 1])
def test_images_of_both_kinds_are_needed(classes):
    outputs = np.full((3, 2), 0.5)
    with pytest.raises(InvalidArgument, match='the class "malignant"'):
        choose_threshold(TWO, np.full(3, classes), outputs, "youden", "malignant")


@pytest.mark.parametrize(
    "text", ["", "yuden", "youden=1", "sensitivity", "sensitivity=0", "sensitivity=1.1", "sensitivity=nan",
             "sensitivity=95%", "specificity=a", "cost=5", "cost=5:0", "cost=-1:2", "cost=1:2:3", "cost=inf:1"],
)  # fmt: skip
def test_other_rules_are_refused(text):
    with pytest.raises(InvalidArgument, match="no rule for a threshold"):
        ThresholdRule.parse(text)


@pytest.mark.parametrize(
    ("names", "positive"),
    [
        (("benign", "malignant"), "malignant"),
        (("Abnormal", "Normal"), "Abnormal"),
        (("Pneumonia", "no_finding"), "Pneumonia"),
        (("covid", "non-covid"), "covid"),
        (("disease", "healthy"), "disease"),
        (("0", "1"), "1"),
        (("cat", "dog"), "dog"),
        (("negative", "normal"), "normal"),  # both show nothing: the second
    ],
)
def test_the_positive_class_by_default(names, positive):
    assert positive_class(Classes(names), "") == positive
    assert positive_class(Classes(names), names[0]) == names[0]


def test_what_has_no_positive_class():
    with pytest.raises(InvalidArgument, match="numbers are learnt"):
        positive_class(Numbers(("age",)), "")
    with pytest.raises(InvalidArgument, match="there are 3: name it by positive=CLASS"):
        positive_class(Classes(("a", "b", "c")), "")
    with pytest.raises(InvalidArgument, match=r'no class "malign"\. Did you mean "malignant"'):
        positive_class(TWO, "malign")
    assert positive_class(Classes(("a", "b", "c")), "b") == "b"


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_threshold_lies_between_0_and_1(value):
    with pytest.raises(InvalidArgument, match="between 0 and 1"):
        Threshold(positive="malignant", value=value, rule="given")


def test_what_holds_at_a_threshold_is_what_scikit_learn_and_scipy_say():
    random = np.random.default_rng(0)
    targets = (random.random(200) < 0.3).astype(np.int64)
    p = np.clip(0.3 * targets + 0.7 * random.random(200), 0, 1)
    result = evaluate(table(targets, p), threshold=Threshold(positive="malignant", value=0.45, rule="given"))
    called = p >= 0.45
    point = result.operating
    assert point
    cells = sk.confusion_matrix(targets, called)
    assert [[point.passed, point.alarms], [point.missed, point.found]] == cells.tolist()
    expected = {
        "sensitivity": (sk.recall_score(targets, called), point.found, point.found + point.missed),
        "specificity": (sk.recall_score(1 - targets, ~called), point.passed, point.passed + point.alarms),
        "ppv": (sk.precision_score(targets, called), point.found, point.found + point.alarms),
        "npv": (sk.precision_score(1 - targets, ~called), point.passed, point.passed + point.missed),
    }
    assert [each.name for each in point.measures] == list(expected)
    for each in point.measures:
        value, hits, among = expected[each.name]
        ends = binomtest(hits, among).proportion_ci(method="wilson")
        assert (each.value, each.low, each.high) == pytest.approx((value, ends.low, ends.high))
        assert each.n == among
        assert METRICS[each.name].kind == "share"


def test_a_threshold_that_calls_nothing_has_no_predictive_value():
    result = evaluate(
        table([0, 1], [0.2, 0.3]), threshold=Threshold(positive="malignant", value=0.9, rule="given")
    )
    assert result.operating
    sensitivity, specificity, ppv, npv = result.operating.measures
    assert (sensitivity.value, specificity.value, npv.value) == (0, 1, 0.5)
    assert (ppv.value, ppv.low, ppv.method) == (None, None, "no interval: no images")


def test_one_of_three_classes_against_the_rest():
    outputs = np.array([[0.5, 0.3, 0.2], [0.1, 0.45, 0.45], [0.2, 0.2, 0.6]])
    three = table([0, 1, 2], outputs, names=("a", "b", "c"))
    result = evaluate(three, threshold=Threshold(positive="b", value=0.3, rule="given"))
    assert result.operating
    assert (result.operating.found, result.operating.alarms, result.operating.other) == (1, 1, "not b")
    assert called_at(three, Threshold(positive="b", value=0.3, rule="given")).called == ("b", "b", "not b")


def test_each_row_may_have_a_threshold_of_its_own():
    first, second = (Threshold(positive="malignant", value=value, rule="youden", n=9) for value in (0.2, 0.6))
    targets = [1, 1, 0, -1]
    result = evaluate(table(targets, [0.3, 0.3, 0.7, 0.9]), threshold=[first, second, second, first])
    assert result.operating
    assert (result.operating.found, result.operating.missed, result.operating.alarms) == (1, 1, 1)
    assert result.operating.thresholds == (first, second)
    with pytest.raises(InvalidArgument, match=r"one for each of 4 predictions\. Got 1"):
        evaluate(table(targets, [0.3, 0.3, 0.7, 0.9]), threshold=[first])


def test_a_threshold_of_another_class_is_refused():
    with pytest.raises(InvalidArgument, match='one of the class "cancer"'):
        evaluate(table([0, 1], [0.2, 0.3]), threshold=Threshold(positive="cancer", value=0.5, rule="given"))


def test_a_threshold_of_numbers_is_refused():
    numbers = Predictions(
        paths=("a", "b"), splits=np.full(2, "test"), target=Numbers(("",)), targets=np.ones((2, 1)),
        outputs=np.ones((2, 1)),
    )  # fmt: skip
    with pytest.raises(InvalidArgument, match="these are predictions of numbers"):
        evaluate(numbers, threshold=Threshold(positive="cancer", value=0.5, rule="given"))


def test_groups_widen_the_interval():
    random = np.random.default_rng(1)
    member = np.repeat(np.arange(30), 6)
    targets = (member % 2).astype(np.int64)
    p = np.clip(0.3 * targets + 0.7 * random.random(30)[member], 0, 1)
    threshold = Threshold(positive="malignant", value=0.5, rule="given")
    alone = evaluate(table(targets, p), threshold=threshold).operating
    together = evaluate(table(targets, p, groups=tuple(map(str, member))), threshold=threshold).operating
    assert alone
    assert together
    for one, other in zip(alone.measures, together.measures, strict=True):
        assert one.value == other.value
        assert other.high - other.low > 1.5 * (one.high - one.low)


def test_records_come_back(tmp_path: Path):
    threshold = Threshold(
        positive="malignant", value=0.25, rule="cost=5:1", n=9, positives=3, sensitivity=1.0
    )
    result = evaluate(table([0, 1, 1], [0.2, 0.3, 0.1]), threshold=threshold)
    assert from_json(Evaluation, result.to_dict()) == result
    without = evaluate(table([0, 1, 1], [0.2, 0.3, 0.1])).to_dict()
    assert not {"operating", "trained_on"} & without.keys()
    said = called_at(table([0, 1, 1], [0.2, 0.3, 0.1]), threshold)
    said.to_csv(tmp_path / "p.csv")
    again = Predictions.from_csv(tmp_path / "p.csv")
    assert again.called == said.called == ("benign", "malignant", "benign")
    assert again.take(np.array([1])).called == ("malignant",)
    assert [row["called"] for row in said.to_json()] == list(said.called)


@given(data=judged())
def test_the_interval_of_f1_holds_it_and_is_that_of_the_share(data):
    own, scores = data
    result = evaluate(table(own.astype(np.int64), scores))
    called = scores > 0.5
    for number, score in enumerate(result.per_class):
        mine, said = (own == number, called == number)
        either = int((mine | said).sum())
        if not either:
            assert score.f1_interval is None
            continue
        ends = binomtest(int((mine & said).sum()), either).proportion_ci(method="wilson")
        assert score.f1 == pytest.approx(sk.f1_score(own, called, pos_label=number))
        assert score.f1_interval == pytest.approx(tuple(2 * end / (1 + end) for end in ends))
        assert score.f1_interval[0] <= score.f1 + 1e-12
        assert score.f1 <= score.f1_interval[1] + 1e-12


@pytest.mark.slow
def test_the_interval_of_f1_covers_the_truth_as_often_as_it_says():
    random = np.random.default_rng(0)
    truth = 2 * 0.24 / (2 * 0.24 + 0.06 + 0.14)  # of cells 0.24 found, 0.06 missed, 0.14 false alarms
    held = 0
    for _ in range(200):
        cell = random.choice(4, size=150, p=[0.24, 0.06, 0.14, 0.56])
        own, called = np.isin(cell, (0, 1)), np.isin(cell, (0, 2))
        low, high = evaluate(table(own.astype(np.int64), 0.2 + 0.6 * called)).per_class[1].f1_interval
        held += low <= truth <= high
    assert 180 <= held <= 199  # 95 % of 200, by four standard deviations
