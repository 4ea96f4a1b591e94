"""Intervals against SciPy, and the bootstrap's promises: seeded, bounded in memory, honest when it cannot."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mirada.errors import InvalidArgument
from mirada.evaluation import intervals
from mirada.evaluation.intervals import bootstrap, wilson


def mean(values):
    return values.mean(axis=-1)


@given(
    counts=st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    level=st.sampled_from([0.5, 0.9, 0.95, 0.99]),
)
def test_wilson_equals_scipy(counts, level):
    expected = stats.binomtest(*counts).proportion_ci(level, method="wilson")
    assert wilson(*counts, level) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_at_the_ends():
    assert wilson(0, 0) is None
    assert wilson(0, 7)[0] == 0.0
    assert wilson(7, 7)[1] == 1.0


@pytest.mark.parametrize("successes", [-1, 4])
def test_wilson_refuses_impossible_counts(successes):
    with pytest.raises(
        InvalidArgument, match=f"`successes` of wilson must lie between 0 and n = 3. Got {successes}"
    ):
        wilson(successes, 3)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_levels_outside_the_open_unit_interval_are_refused(level):
    with pytest.raises(
        InvalidArgument, match=f"`level` of wilson must lie between 0 and 1, exclusive. Got {level}"
    ):
        wilson(1, 2, level)
    with pytest.raises(InvalidArgument, match=r"`level` of bootstrap must lie between 0 and 1"):
        bootstrap(mean, [np.arange(3.0)], seed=0, level=level)


def test_bootstrap_equals_scipy_within_monte_carlo_error():
    random = np.random.default_rng(1)
    x = random.normal(size=80)
    y = x + random.normal(size=80)

    def ratio(x, y, axis=-1):
        return np.square(y - x).sum(axis=axis) / np.square(y).sum(axis=axis)

    options = {"paired": True, "vectorized": True, "method": "percentile", "n_resamples": 20_000, "rng": 2}
    expected = stats.bootstrap((x, y), ratio, **options).confidence_interval
    found = bootstrap(ratio, (x, y), seed=3, resamples=20_000)
    # The ends are quantiles of 20,000 draws: their standard error is about 2 % of the interval's width.
    assert found == pytest.approx((expected.low, expected.high), abs=0.05 * (expected.high - expected.low))


def test_bootstrap_of_a_mean_covers_the_truth_about_95_times_in_100():
    random = np.random.default_rng(5)
    samples = random.normal(3.0, 2.0, size=(400, 60))
    covered = 0
    for seed, sample in enumerate(samples):
        low, high = bootstrap(mean, [sample], seed=seed, resamples=400)
        covered += low <= 3.0 <= high
    assert 0.91 < covered / len(samples) < 0.98


def test_bootstrap_draws_columns_together():
    """The difference of equal columns is zero in every resample, so its interval is a point."""
    x = np.random.default_rng(0).normal(size=50)
    assert bootstrap(lambda a, b: np.abs(a - b).sum(axis=-1), (x, x.copy()), seed=0) == (0.0, 0.0)


def test_bootstrap_is_decided_by_its_seed_alone(monkeypatch):
    x = np.random.default_rng(0).normal(size=50)
    first = bootstrap(mean, [x], seed=7)
    assert bootstrap(mean, [x], seed=7) == first
    assert bootstrap(mean, [x], seed=8) != first
    monkeypatch.setattr(intervals, "CHUNK", 130)  # two resamples at a time
    assert bootstrap(mean, [x], seed=7) == pytest.approx(first, abs=1e-15)


def test_bootstrap_needs_little_memory():
    x = np.random.default_rng(0).normal(size=100_000)
    tracemalloc.start()
    try:
        bootstrap(lambda a, b: np.abs(a - b).mean(axis=-1), (x, -x), seed=0, resamples=20)
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()


def test_bootstrap_has_no_interval_for_fewer_than_two_rows():
    assert bootstrap(mean, [np.array([])], seed=0) is None
    assert bootstrap(mean, [np.array([1.0])], seed=0) is None


def test_bootstrap_has_no_interval_where_the_statistic_is_undefined_in_a_resample():
    def spread(x):
        return np.where(x.std(axis=-1) > 0, x.std(axis=-1), np.nan)

    assert bootstrap(spread, [np.array([0.0, 1.0])], seed=0) is None


def test_bootstrap_refuses_columns_of_different_length():
    with pytest.raises(InvalidArgument, match=r"must be one or more of equal length\. Got \[2, 3\]"):
        bootstrap(mean, [np.zeros(2), np.zeros(3)], seed=0)
    with pytest.raises(InvalidArgument, match=r"Got \[\]"):
        bootstrap(mean, [], seed=0)


def test_bootstrap_refuses_no_resamples():
    with pytest.raises(InvalidArgument, match=r"`resamples` of bootstrap must be an integer ≥ 1. Got 0"):
        bootstrap(mean, [np.zeros(2)], seed=0, resamples=0)


def test_whole_groups_are_drawn():
    """The estimates are means of whole groups: with groups of one value each, only sums of those can come up."""
    values, groups = np.array([1.0, 10, 1, 100, 10, 1]), np.array([7, 3, 7, 5, 3, 7])
    seen = []

    def watched(x):
        seen.append(x)
        return x.mean(axis=-1)

    bootstrap(watched, [values], seed=0, groups=groups, resamples=200)
    for drawn in seen:
        counts = {value: int((drawn == value).sum()) for value in (1.0, 10.0, 100.0)}
        assert counts[1.0] % 3 == counts[10.0] % 2 == 0
        assert counts[1.0] // 3 + counts[10.0] // 2 + counts[100.0] == 3  # three groups each time


def test_groups_of_one_row_are_like_rows():
    x = np.random.default_rng(0).normal(size=200)
    low, high = bootstrap(mean, [x], seed=1)
    found = bootstrap(mean, [x], seed=2, groups=np.arange(200))
    assert found == pytest.approx((low, high), abs=0.08 * (high - low))


def test_the_cluster_bootstrap_covers_where_the_row_wise_one_does_not():
    """The mean of 30 groups of 5 rows that share half of their variance: ± 1 in truth, rows alone say ± 0.6."""
    random = np.random.default_rng(8)
    groups = np.repeat(np.arange(30), 5)
    covered = {"rows": 0, "groups": 0}
    for seed in range(200):
        x = random.normal(size=30)[groups] + random.normal(size=150)
        for name, own in (("rows", None), ("groups", groups)):
            low, high = bootstrap(mean, [x], seed=seed, groups=own, resamples=300)
            covered[name] += low <= 0 <= high
    assert covered["groups"] >= 178  # 94 % expected, three standard deviations below
    assert covered["rows"] <= 160


def test_one_group_has_no_interval():
    assert bootstrap(mean, [np.arange(4.0)], seed=0, groups=np.zeros(4)) is None


def test_groups_of_another_length_are_refused():
    with pytest.raises(InvalidArgument, match=r"must be one or more of equal length\. Got \[3, 2\]"):
        bootstrap(mean, [np.zeros(3)], seed=0, groups=np.zeros(2))
