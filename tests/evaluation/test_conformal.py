"""Split conformal intervals: the quantile by hand, and the promised coverage by simulation."""

from math import ceil

import numpy as np
import pytest
from scipy import stats

from mirada.errors import InvalidArgument
from mirada.evaluation.conformal import Conformal, coverage, fit_conformal
from mirada.evaluation.estimate import Sampling


def test_the_half_width_by_hand():
    """Ten errors 1 … 10, level 0.8: the ⌈11 · 0.8⌉ = 9th smallest."""
    errors = np.array([3.0, -1, 10, -7, 5, 2, -9, 4, 8, 6])
    assert fit_conformal(np.zeros(10), errors, level=0.8) == Conformal(0.8, (9.0,), 10)


@pytest.mark.parametrize(("n", "level"), [(9, 0.9), (19, 0.95), (29, 0.9), (99, 0.9)])
def test_rounding_does_not_cost_a_rank(n, level):
    """(n + 1) · level is whole here, whatever its floating point says."""
    found = fit_conformal(np.zeros(n), np.arange(1.0, n + 1), level=level)
    assert found.half_widths == (round((n + 1) * level),)


def test_too_few_images_promise_nothing():
    assert fit_conformal(np.zeros(8), np.ones(8)) is None
    assert fit_conformal(np.zeros(0), np.ones(0)) is None
    assert fit_conformal(np.zeros(9), np.ones(9)) is not None


@pytest.mark.parametrize(("n", "level"), [(20, 0.9), (77, 0.9), (50, 0.8)])
def test_coverage_of_exchangeable_images_is_what_was_promised(n, level):
    """Over 4,000 draws of n images and one new one, heavy tails included: exactly ⌈(n + 1) level⌉ / (n + 1)."""
    random = np.random.default_rng(n)
    draws = 4000
    held = 0
    for _ in range(draws):
        errors = random.standard_t(2, size=n + 1)
        width = fit_conformal(np.zeros(n), errors[:n], level=level).half_widths[0]
        held += abs(errors[n]) <= width
    exact = ceil((n + 1) * level - 1e-9) / (n + 1)
    assert exact >= level
    low, high = stats.binom.ppf([0.001, 0.999], draws, exact)
    assert low <= held <= high


def test_each_target_has_its_own_width():
    random = np.random.default_rng(0)
    targets = random.normal(size=(50, 2))
    predicted = targets + random.normal(0, (1, 10), size=(50, 2))
    both = fit_conformal(targets, predicted)
    alone = [fit_conformal(targets[:, k], predicted[:, k]).half_widths[0] for k in (0, 1)]
    assert both.half_widths == tuple(alone)


def test_coverage_is_counted_with_wilsons_interval():
    errors = np.array([-3.0, 1, 2, 3, 4])
    found = coverage(errors, Conformal(0.9, (7.0, 3.0), 30), 1, target="height", sampling=Sampling())
    expected = stats.binomtest(4, 5).proportion_ci(method="wilson")
    assert (found.covered, found.half_width, found.n, found.learnt_from) == (0.8, 3.0, 5, 30)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("level", [0, 1, 90])
def test_levels_that_are_none_are_refused(level):
    with pytest.raises(
        InvalidArgument, match=rf"`level` of fit_conformal must lie between 0 and 1.* Got {level}"
    ):
        fit_conformal(np.zeros(20), np.ones(20), level=level)


def test_shapes_that_differ_are_refused():
    with pytest.raises(InvalidArgument, match=r"must have the same shape. Got \(20,\) and \(20, 1\)"):
        fit_conformal(np.zeros(20), np.ones((20, 1)))
