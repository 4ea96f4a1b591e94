"""What decides between pass, fail and cannot tell; p-values and intervals beside SciPy's and counted ones."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from mirada.evaluation.paired import Paired, paired
from mirada.judging.verdict import decide, mean_of_images


def test_the_p_value_of_few_images_is_counted_over_all_signs() -> None:
    differences = np.array([0.4, 0.1, -0.2, 0.3, 0.25, 0.05])
    flipped = [np.dot(signs, differences) for signs in product((1, -1), repeat=6)]
    counted = np.mean([value >= differences.sum() - 1e-12 for value in flipped])
    assert paired(differences).p_value == pytest.approx(counted)


def test_with_many_images_the_test_agrees_with_students() -> None:
    differences = np.random.default_rng(3).normal(0.15, 1, size=200)
    t_test = stats.ttest_1samp(differences, 0, alternative="greater").pvalue
    found = paired(differences)
    assert found.p_value == pytest.approx(t_test, abs=0.01)
    mean, error = differences.mean(), stats.sem(differences)
    assert (found.low, found.high) == pytest.approx((mean - 1.96 * error, mean + 1.96 * error), abs=0.02)


def test_images_of_one_patient_count_once() -> None:
    """Forty copies of five differences prove no more than the five do."""
    five = np.array([0.5, 0.2, -0.1, 0.4, -0.3])
    alone = paired(five)
    copied = paired(np.repeat(five, 40), groups=np.repeat(np.arange(5), 40))
    assert copied.p_value == alone.p_value
    assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high))


@pytest.mark.parametrize(
    ("low", "high", "p_value", "outcome"),
    [
        (0.1, 0.3, 0.001, "pass"),
        (-0.3, -0.1, 1.0, "fail"),
        (-0.3, 0.0, 0.98, "fail"),
        (-0.1, 0.3, 0.2, "cannot tell"),
        (0.01, 0.3, 0.06, "cannot tell"),
    ],
)
def test_the_rule(low: float, high: float, p_value: float, outcome: str) -> None:
    assert decide([Paired((low + high) / 2, low, high, p_value)], 50)[0] == outcome


def test_one_rival_that_is_as_good_is_enough_to_fail_and_few_images_are_never_enough() -> None:
    better, worse = Paired(0.2, 0.1, 0.3, 0.001), Paired(-0.2, -0.3, -0.1, 0.999)
    assert decide([better, worse], 50)[0] == "fail"
    assert decide([better], 9)[0] == decide([worse], 9)[0] == "cannot tell"
    assert decide([], 50)[0] == "cannot tell"


def test_an_advantage_too_small_to_matter_is_none() -> None:
    assert decide([Paired(0.02, 0.01, 0.03, 0.001)], 50, worth=0.05)[0] == "fail"
    assert decide([Paired(0.1, 0.06, 0.14, 0.001)], 50, worth=0.05)[0] == "pass"


def test_a_mean_passes_over_images_without_a_number() -> None:
    values = np.array([1.0, np.nan, 3.0])
    found = mean_of_images("x", values, groups=None, seed=0)
    assert (found.value, found.low, found.high) == (2.0, 1.0, 3.0)
    assert mean_of_images("x", np.full(3, np.nan), groups=None, seed=0).value is None
