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
    return lambda weights: weights @ values / weights.sum(axis=-1)


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
        bootstrap(mean(np.arange(3.0)), 3, seed=0, level=level)


def test_bootstrap_equals_scipy_within_monte_carlo_error():
    random = np.random.default_rng(1)
    x = random.normal(size=80)
    y = x + random.normal(size=80)

    def ratio(x, y, axis=-1):
        return np.square(y - x).sum(axis=axis) / np.square(y).sum(axis=axis)

    def weighted(weights):
        return weights @ np.square(y - x) / (weights @ np.square(y))

    options = {"paired": True, "vectorized": True, "method": "percentile", "n_resamples": 20_000, "rng": 2}
    expected = stats.bootstrap((x, y), ratio, **options).confidence_interval
    found = bootstrap(weighted, 80, seed=3, resamples=20_000)
    # The ends are quantiles of 20,000 draws: their standard error is about 2 % of the interval's width.
    assert found == pytest.approx((expected.low, expected.high), abs=0.05 * (expected.high - expected.low))


def test_bootstrap_of_a_mean_covers_the_truth_about_95_times_in_100():
    random = np.random.default_rng(5)
    samples = random.normal(3.0, 2.0, size=(400, 60))
    covered = 0
    for seed, sample in enumerate(samples):
        low, high = bootstrap(mean(sample), 60, seed=seed, resamples=400)
        covered += low <= 3.0 <= high
    assert 0.91 < covered / len(samples) < 0.98


def test_bootstrap_counts_how_often_each_of_all_rows_was_drawn():
    seen = []
    bootstrap(lambda weights: seen.append(weights) or weights[:, 0], 50, seed=0, resamples=30)
    drawn = np.concatenate(seen)
    assert drawn.shape == (30, 50) and (drawn.sum(axis=1) == 50).all() and (drawn == drawn.round()).all()


def test_bootstrap_is_decided_by_its_seed_alone(monkeypatch):
    x = np.random.default_rng(0).normal(size=50)
    first = bootstrap(mean(x), len(x), seed=7)
    assert bootstrap(mean(x), len(x), seed=7) == first
    assert bootstrap(mean(x), len(x), seed=8) != first
    monkeypatch.setattr(intervals, "CHUNK", 130)  # two resamples at a time
    assert bootstrap(mean(x), len(x), seed=7) == pytest.approx(first, abs=1e-15)


def test_bootstrap_needs_little_memory():
    x = np.random.default_rng(0).normal(size=100_000)
    tracemalloc.start()
    try:
        bootstrap(mean(x), len(x), seed=0, resamples=20)
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()


def test_bootstrap_has_no_interval_for_fewer_than_two_rows():
    assert bootstrap(mean(np.array([])), 0, seed=0) is None
    assert bootstrap(mean(np.array([1.0])), 1, seed=0) is None


def test_bootstrap_has_no_interval_where_the_statistic_is_undefined_in_a_resample():
    assert bootstrap(lambda weights: np.where(weights[:, 0] > 0, 1.0, np.nan), 2, seed=0) is None


def test_bootstrap_refuses_no_resamples():
    with pytest.raises(InvalidArgument, match=r"`resamples` of bootstrap must be an integer ≥ 1. Got 0"):
        bootstrap(mean(np.zeros(2)), 2, seed=0, resamples=0)


def test_whole_groups_are_drawn():
    """All rows of a group are drawn equally often, and as many groups as there are."""
    groups = np.array([7, 3, 7, 5, 3, 7])
    seen = []
    bootstrap(lambda weights: seen.append(weights) or weights[:, 0], 6, seed=0, groups=groups, resamples=200)
    drawn = np.concatenate(seen)
    assert drawn.shape == (200, 6)
    for group in (7, 3, 5):
        assert (np.ptp(drawn[:, groups == group], axis=1) == 0).all()
    assert (drawn[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_drawing_groups_by_counts_draws_what_drawing_them_by_rows_drew():
    """The interval of before, row numbers of whole groups copied one resample at a time."""
    random = np.random.default_rng(4)
    groups, values = random.integers(40, size=200), random.normal(size=200)
    names = np.unique(groups)
    generator, means = np.random.default_rng(9), []
    for _ in range(2000):
        drawn = names[generator.integers(len(names), size=len(names))]
        means.append(np.concatenate([values[groups == name] for name in drawn]).mean())
    expected = np.quantile(means, [0.025, 0.975])
    assert bootstrap(mean(values), 200, seed=9, groups=groups) == pytest.approx(tuple(expected), rel=1e-12)


def test_groups_of_one_row_are_like_rows():
    x = np.random.default_rng(0).normal(size=200)
    low, high = bootstrap(mean(x), len(x), seed=1)
    found = bootstrap(mean(x), len(x), seed=2, groups=np.arange(200))
    assert found == pytest.approx((low, high), abs=0.08 * (high - low))


def test_the_cluster_bootstrap_covers_where_the_row_wise_one_does_not():
    """The mean of 30 groups of 5 rows that share half of their variance: ± 1 in truth, rows alone say ± 0.6."""
    random = np.random.default_rng(8)
    groups = np.repeat(np.arange(30), 5)
    covered = {"rows": 0, "groups": 0}
    for seed in range(200):
        x = random.normal(size=30)[groups] + random.normal(size=150)
        for name, own in (("rows", None), ("groups", groups)):
            low, high = bootstrap(mean(x), len(x), seed=seed, groups=own, resamples=300)
            covered[name] += low <= 0 <= high
    assert covered["groups"] >= 178  # 94 % expected, three standard deviations below
    assert covered["rows"] <= 160


def test_one_group_has_no_interval():
    assert bootstrap(mean(np.arange(4.0)), 4, seed=0, groups=np.zeros(4)) is None


def test_groups_of_another_length_are_refused():
    with pytest.raises(
        InvalidArgument, match=r"`groups` of bootstrap must name one for each of 3 rows\. Got 2"
    ):
        bootstrap(mean(np.zeros(3)), 3, seed=0, groups=np.zeros(2))
