"""Errors by range and covariate against NumPy; edges that are round and near the quantiles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirada.evaluation.estimate import Sampling
from mirada.evaluation.subgroups import covariate_subgroups, round_edges, target_subgroups
from mirada.samples import Covariate


def parts_of(targets, predicted):
    return target_subgroups(
        np.asarray(targets, float), np.asarray(predicted, float), target="", sampling=Sampling()
    )


def test_ranges_cover_all_images_once_and_have_their_mean_error():
    random = np.random.default_rng(0)
    targets = random.permutation(np.linspace(4, 228, 200))
    predicted = targets + random.normal(0, 10, size=200)
    parts = parts_of(targets, predicted)
    assert [part.name for part in parts] == [
        "under 50",
        "50 to 90",
        "90 to 140",
        "140 to 180",
        "180 and over",
    ]
    edges = [-np.inf, 50, 90, 140, 180, np.inf]
    for part, low, high in zip(parts, edges, edges[1:], strict=False):
        rows = (targets >= low) & (targets < high)
        assert part.n == rows.sum()
        assert part.mae == pytest.approx(np.abs(predicted - targets)[rows].mean())
        assert part.low < part.mae < part.high
    assert sum(part.n for part in parts) == 200


@pytest.mark.parametrize(("n", "parts"), [(19, 0), (20, 2), (30, 3), (400, 5)])
def test_few_images_give_few_ranges(n, parts):
    assert len(parts_of(np.arange(n) * 10.0, np.arange(n) * 10.0 + 1)) == parts


def test_equal_targets_have_no_ranges():
    assert parts_of(np.full(50, 7.0), np.zeros(50)) == ()


@given(
    n=st.integers(50, 500), low=st.floats(-1e4, 1e4), width=st.floats(1e-3, 1e5), seed=st.integers(0, 10**6)
)
def test_edges_are_round_inside_and_cut_near_the_quantiles(n, low, width, seed):
    values = np.random.default_rng(seed).uniform(low, low + width, size=n)
    edges = round_edges(values, 5)
    assert edges == sorted(set(edges)) and 3 <= len(edges) <= 4
    assert values.min() < edges[0] and edges[-1] <= values.max()
    shares = np.histogram(values, [-np.inf, *edges, np.inf])[0] / n
    assert shares.min() > 0.04  # a fifth each, but for rounding to a tenth of the inner width, and few images


def test_a_gap_holds_no_range_of_its_own():
    values = np.repeat([10.0, 30.0], 20)
    assert round_edges(values, 4) == [30.0]
    assert [part.n for part in parts_of(values, values)] == [20, 20]


def test_a_skewed_target_is_cut_where_its_images_are():
    values = np.concatenate([np.linspace(1, 2, 99), [1e6]])
    assert round_edges(values, 5) == [1.2, 1.4, 1.6, 1.8]


def test_a_covariate_of_few_values_has_a_part_for_each():
    random = np.random.default_rng(1)
    male = random.integers(2, size=60).astype(float)
    targets = random.normal(size=60)
    predicted = targets + np.where(male == 1, 1.0, 3.0)
    male[0] = np.nan
    parts = covariate_subgroups(
        male, (targets, predicted), names=("age", Covariate("male")), sampling=Sampling()
    )
    assert [(part.name, part.mae) for part in parts] == [
        ("male = 0", pytest.approx(3.0)),
        ("male = 1", pytest.approx(1.0)),
    ]
    assert {(part.target, part.covariate) for part in parts} == {("age", "male")}
    assert sum(part.n for part in parts) == 59


@pytest.mark.parametrize(
    ("covariate", "names"),
    [
        ("sex=M|F", ["sex=F", "sex=M"]),
        ("site=A", ["site≠A", "site=A"]),
        ("male", ["male = 0", "male = 1"]),
    ],
)
def test_parts_by_words_are_called_by_them(covariate, names):
    values, errors = np.repeat([0.0, 1.0], 5), np.repeat([2.0, 7.0], 5)
    parts = covariate_subgroups(
        values, (np.zeros(10), errors), names=("", Covariate.parse(covariate)), sampling=Sampling()
    )
    assert [part.name for part in parts] == names
    assert [part.mae for part in parts] == [2.0, 7.0]


def test_a_covariate_of_many_values_has_ranges_and_a_constant_one_nothing():
    targets = np.zeros(100)
    weight = np.arange(100.0)
    parts = covariate_subgroups(
        weight, (targets, weight), names=("", Covariate("weight")), sampling=Sampling()
    )
    assert [part.name for part in parts] == ["under 20", "20 to 40", "40 to 60", "60 to 80", "80 and over"]
    assert parts[0].mae == pytest.approx(9.5)
    assert (
        covariate_subgroups(np.ones(100), (targets, weight), names=("", Covariate("x")), sampling=Sampling())
        == ()
    )
