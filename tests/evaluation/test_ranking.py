"""Areas under curves against scikit-learn, their derivatives against differences, their intervals by definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from mirada.codec import from_json
from mirada.evaluation.estimate import Sampling, linearised
from mirada.evaluation.evaluate import Evaluation, evaluate
from mirada.evaluation.predictions import Predictions
from mirada.evaluation.ranking import average_precision, one_against_rest, ranking_curve, roc_area
from mirada.evaluation.threshold import choose_threshold
from mirada.samples import Classes

AREAS = [(roc_area, sk.roc_auc_score), (average_precision, sk.average_precision_score)]


@st.composite
def ranked(draw):
    """Positives and negatives, their scores with and without ties."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, levels = draw(st.integers(2, 60)), draw(st.sampled_from([3, 10, 10_000]))
    positive = random.random(n) < 0.4
    positive[:2] = True, False
    return positive, random.integers(levels, size=n) / levels + 0.3 * positive


@pytest.mark.parametrize(("area", "oracle"), AREAS)
@given(data=ranked())
def test_areas_equal_scikit_learn(area, oracle, data):
    assert area(*data)[0] == pytest.approx(oracle(*data))


@pytest.mark.parametrize(("area", "oracle"), AREAS)
@given(data=ranked())
def test_derivatives_are_those_of_the_weighted_area(area, oracle, data):
    positive, scores = data
    slopes = area(positive, scores)[1]
    step = 1e-5
    for row in range(0, len(scores), 7):
        ends = []
        for change in (-step, step):
            weights = np.ones(len(scores))
            weights[row] += change
            ends.append(oracle(positive, scores, sample_weight=weights))
        assert slopes[row] == pytest.approx((ends[1] - ends[0]) / (2 * step), abs=1e-7)


@pytest.mark.parametrize(("area", "oracle"), AREAS)
def test_of_several_classes_the_mean_of_each_against_the_rest(area, oracle):
    random = np.random.default_rng(0)
    targets, outputs = random.integers(4, size=90), random.dirichlet(np.ones(5), size=90)
    expected = [oracle(targets == number, outputs[:, number]) for number in range(4)]  # class 4 has no images
    assert one_against_rest(area, targets, outputs)[0] == pytest.approx(np.mean(expected))


def test_two_classes_have_one_roc_curve():
    random = np.random.default_rng(0)
    targets, p = random.integers(2, size=50), random.random(50)
    found, _ = one_against_rest(roc_area, targets, np.stack([1 - p, p], axis=1))
    assert found == pytest.approx(sk.roc_auc_score(targets, p))


def test_the_interval_is_delongs_by_its_definition():
    """Placement values one pair at a time, S10 / m + S01 / n, then the interval on the scale of the logit."""
    random = np.random.default_rng(3)
    targets = (random.random(70) < 0.4).astype(np.int64)
    p = np.clip(0.5 + 0.2 * (targets - 0.5) + random.normal(0, 0.2, 70), 0.01, 0.99).round(2)
    ill, well = p[targets == 1], p[targets == 0]
    pairs = (ill[:, None] > well).astype(float) + 0.5 * (ill[:, None] == well)
    variance = pairs.mean(axis=1).var(ddof=1) / len(ill) + pairs.mean(axis=0).var(ddof=1) / len(well)
    area = pairs.mean()
    half = 1.959964 * np.sqrt(variance) / (area * (1 - area))
    logit = np.log(area / (1 - area))
    expected = [1 / (1 + np.exp(-end)) for end in (logit - half, logit + half)]
    value, slopes = one_against_rest(roc_area, targets, np.stack([1 - p, p], axis=1))
    found = linearised(value, slopes, targets, Sampling(), method="DeLong")
    assert (found.value, found.low, found.high) == pytest.approx((area, *expected), rel=1e-6)


@pytest.mark.parametrize(("area", "truth"), [(roc_area, 0.7602), (average_precision, 0.7527)])
def test_the_intervals_hold_the_truth_about_95_times_in_100(area, truth):
    """Normal scores one standard deviation apart, 40 of each: areas from a simulation of 2 million scores."""
    covered = 0
    for seed in range(400):
        random = np.random.default_rng(seed)
        targets = np.repeat([0, 1], 40)
        score = random.normal(size=80) + targets
        value, slopes = area(targets == 1, score)
        found = linearised(value, slopes, targets, Sampling(), method="DeLong")
        covered += found.low <= truth <= found.high
    assert 0.91 <= covered / 400 <= 0.98


def test_groups_of_both_classes_are_drawn_together():
    """Obuchowski: pairs of an ill and a well image of one patient, whose scores rise and fall together."""
    random = np.random.default_rng(0)
    shift = random.normal(0, 3, size=60)
    targets, groups = np.tile([0, 1], 60), np.repeat(np.arange(60), 2)
    value, slopes = roc_area(targets == 1, shift[groups] + targets + random.normal(0, 0.1, 120))
    alone, together = (
        linearised(value, slopes, targets, Sampling(0, own), method="DeLong") for own in (None, groups)
    )
    assert together.high - together.low < 0.5 * (alone.high - alone.low)
    assert together.method == "DeLong 95 % of 60 groups"


@pytest.mark.parametrize("positive", [np.ones(3, bool), np.zeros(3, bool)])
def test_one_class_alone_has_no_area(positive):
    for area, _ in AREAS:
        value, slopes = area(positive, np.arange(3.0))
        assert np.isnan(value) and slopes.shape == (3,)


# --- curves ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", [False, True])
def test_curves_are_scikit_learns(ties):
    random = np.random.default_rng(0)
    positive = random.random(60) < 0.4
    scores = np.clip(0.3 * positive + random.random(60) * 0.7, 0, 1)
    scores = np.round(scores, 1) if ties else scores
    curve = ranking_curve("cat", positive, scores)
    assert curve is not None and (curve.name, curve.n) == ("cat", positive.sum())
    false, true, _ = sk.roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose(curve.roc, np.column_stack([false, true]), atol=1e-4)
    precision, recall, _ = sk.precision_recall_curve(positive, scores)
    theirs = np.column_stack([recall, precision])[:-1][::-1]  # without the point (0, 1) that it adds
    np.testing.assert_allclose(curve.precision_recall, theirs, atol=1e-4)


def test_a_long_curve_keeps_its_ends_and_its_shape():
    random = np.random.default_rng(0)
    positive = random.random(5000) < 0.3
    scores = random.random(5000) + 0.5 * positive
    curve = ranking_curve("cat", positive, scores)
    assert curve is not None and len(curve.roc) == len(curve.precision_recall) == 101
    assert curve.roc[0] == (0, 0) and curve.roc[-1] == (1, 1)
    false, true = np.array(curve.roc).T
    area = float(np.sum(np.diff(false) * (true[1:] + true[:-1]) / 2))
    assert area == pytest.approx(sk.roc_auc_score(positive, scores), abs=0.002)


def test_no_curve_without_both_kinds():
    for positive in (np.ones(5, bool), np.zeros(5, bool)):
        assert ranking_curve("cat", positive, np.linspace(0, 1, 5)) is None


@pytest.mark.parametrize(("classes", "drawn"), [(2, ["b"]), (3, ["a", "b", "c"]), (7, [])])
def test_of_two_classes_one_curve_and_of_many_none(classes, drawn):
    random = np.random.default_rng(0)
    table = Predictions(
        paths=tuple(map(str, range(70))),
        splits=("test",) * 70,
        target=Classes(tuple("abcdefg"[:classes])),
        targets=np.arange(70) % classes,
        outputs=random.dirichlet(np.ones(classes), 70),
    )
    found = evaluate(table)
    assert [curve.name for curve in found.curves] == drawn
    assert from_json(Evaluation, found.to_dict()).curves == found.curves


def test_delongs_interval_is_the_published_one():
    """WFNS grades 1 to 5 of 72 patients with a good and 41 with a poor outcome after a haemorrhage (pROC, aSAH).

    pROC gives the area 0.8237 and DeLong's interval 0.7485–0.8988, on the scale of the area.
    Source: Robin et al. 2011, BMC Bioinformatics 12:77; Turck et al. 2010, Intensive Care Med. 36:107.
    """
    good, poor = (37, 20, 3, 8, 4), (2, 12, 1, 8, 18)
    grades = np.concatenate([np.repeat(np.arange(1.0, 6), good), np.repeat(np.arange(1.0, 6), poor)])
    positive = np.repeat([False, True], [72, 41])
    area, influence = roc_area(positive, grades)
    found = linearised(area, influence, positive.astype(np.int64), Sampling(), method="DeLong")
    assert found.value == pytest.approx(0.8237, abs=5e-5)
    # The logit of our interval has the standard error of pROC's, divided by area · (1 − area).
    half = (
        (np.log(found.high / (1 - found.high)) - np.log(found.low / (1 - found.low))) / 2 * area * (1 - area)
    )
    assert (area - half, area + half) == pytest.approx((0.7485, 0.8988), abs=5e-5)


def test_the_best_cut_of_the_published_example():
    """Between the grades 3 and 4, where 60 of 72 and 26 of 41 are told rightly (pROC: 3.5, 0.833 and 0.634)."""
    good, poor = (37, 20, 3, 8, 4), (2, 12, 1, 8, 18)
    p = np.concatenate([np.repeat(np.arange(1.0, 6), good), np.repeat(np.arange(1.0, 6), poor)]) / 10
    target, truth = Classes(("good", "poor")), np.repeat([0, 1], [72, 41])
    found = choose_threshold(target, truth, np.column_stack([1 - p, p]), "youden", "poor")
    assert found.value == pytest.approx(0.35)
    assert (found.sensitivity, found.specificity) == pytest.approx((26 / 41, 60 / 72))
