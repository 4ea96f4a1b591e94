"""Whether parts differ beyond chance: all permutations counted, planted and absent differences, harder cases."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from mirada.codec import from_json
from mirada.evaluation import part_tests
from mirada.evaluation.calls import calls_of
from mirada.evaluation.estimate import Sampling, group_numbers
from mirada.evaluation.evaluate import Evaluation, evaluate
from mirada.evaluation.part_tests import PartTest
from mirada.evaluation.predictions import Predictions
from mirada.evaluation.threshold import Threshold
from mirada.samples import Classes, Numbers


def table(
    hits: NDArray[np.bool_],
    words: list[str],
    *,
    truth: NDArray[np.int64] | None = None,
    groups: tuple[str, ...] = (),
) -> Predictions:
    """Images of two classes, of which some are recognised, with a column ``site``."""
    truth = np.zeros(len(hits), dtype=np.int64) if truth is None else truth
    said = np.where(hits, truth, 1 - truth)
    return Predictions(
        paths=tuple(f"{row}.png" for row in range(len(hits))),
        splits=("test",) * len(hits),
        target=Classes(("a", "b")),
        targets=truth,
        groups=groups,
        outputs=np.eye(2)[said] * 0.8 + 0.1,
        by=tuple((word,) for word in words),
        by_names=("site",),
    )


def only(predictions: Predictions) -> PartTest:
    (test,) = evaluate(predictions).by_tests
    return test


def test_the_p_value_is_the_share_of_all_permutations() -> None:
    """Five images of each of two sites: all 252 ways to give out the words, counted."""
    hits = np.array([1, 1, 1, 1, 1, 1, 0, 0, 0, 0], dtype=bool)

    def between(chosen: tuple[int, ...]) -> float:
        inside = np.isin(np.arange(10), chosen)
        return float(sum(5 * (hits[side].mean() - hits.mean()) ** 2 for side in (inside, ~inside)))

    ways = [between(chosen) for chosen in itertools.combinations(range(10), 5)]
    expected = np.mean(np.array(ways) >= between((0, 1, 2, 3, 4)) - 1e-12)
    found = only(table(hits, ["A"] * 5 + ["B"] * 5))
    assert found.p_value == pytest.approx(expected, abs=0.02)
    assert (found.words, found.values) == (("B", "A"), (0.2, 1.0))
    assert found.left_out == 0 and found.name == "accuracy"


def test_a_planted_difference_is_found_and_chance_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """90 against 60 % on 100 images each; and 200 tables without one, of which at most 5 % and a little are called."""
    random = np.random.default_rng(0)
    words = ["A"] * 100 + ["B"] * 100
    share = np.repeat([0.9, 0.6], 100)
    assert only(table(random.random(200) < share, words)).beyond_chance
    monkeypatch.setattr(part_tests, "DRAWS", 199)  # p-values in steps of 0.5 %
    called = 0
    for seed in range(200):
        (found,) = part_tests.part_tests(
            table(random.random(80) < 0.7, ["A", "B"] * 40), Sampling(seed, None), None
        )
        called += found.beyond_chance
    assert called <= 18  # P(more) = 1.4 % for a binomial of 200 at 5 %


def test_harder_cases_are_not_unfairness() -> None:
    """Class b is always missed and site B has mostly b: within a class both sites fare alike."""
    truth = np.array([0] * 40 + [1] * 10 + [0] * 10 + [1] * 40)
    words = ["A"] * 50 + ["B"] * 50
    found = only(table(truth == 0, words, truth=truth))
    assert found.values == (0.2, 0.8) and found.p_value == 1.0


def test_patients_keep_one_word() -> None:
    """Ten patients with ten images each: five of A right, five of B wrong is one of 252 ways, and its mirror image."""
    patients = tuple(f"p{row // 10}" for row in range(100))
    hits = np.arange(100) < 50
    words = ["A"] * 50 + ["B"] * 50
    grouped = only(table(hits, words, groups=patients))
    assert grouped.p_value == pytest.approx(2 / 252, abs=0.006)
    assert only(table(hits, words)).p_value == 1 / 2000


def test_small_parts_and_silence_are_left_out_and_counted() -> None:
    random = np.random.default_rng(0)
    found = only(table(random.random(30) < 0.5, ["A"] * 12 + ["B"] * 12 + ["C"] * 3 + [""] * 3))
    assert set(found.words) == {"A", "B"} and found.left_out == 6
    alone = only(table(random.random(20) < 0.5, ["A"] * 17 + ["B"] * 3))
    assert alone.p_value is None and not alone.beyond_chance and alone.left_out == 3


def test_several_numbers_and_columns_are_several_tests() -> None:
    """By Holm's rule: the smallest p times the number of tests, the next times one less, never below the one before."""
    random = np.random.default_rng(0)
    base = table(np.ones(120, dtype=bool), ["A", "B"] * 60)
    numbers = random.normal(size=(120, 2))
    errors = np.where(np.arange(120)[:, None] % 2, [0.2, 0.2], [2.0, 0.2]) * random.normal(size=(120, 2))
    both = replace(
        base,
        target=Numbers(("age", "height"), "cm"),
        targets=numbers,
        outputs=numbers + errors,
        half_widths=np.empty((0, 0)),
        spreads=np.empty((0, 0)),
        by=tuple(zip(["A", "B"] * 60, np.where(random.random(120) < 0.5, "x", "y").tolist(), strict=True)),
        by_names=("site", "noise"),
    )
    tests = evaluate(both).by_tests
    assert [(each.column, each.target) for each in tests] == [
        ("site", "age"), ("site", "height"), ("noise", "age"), ("noise", "height"),
    ]  # fmt: skip
    assert tests[0].beyond_chance and tests[0].p_value == pytest.approx(4 / 2000)
    assert not any(each.beyond_chance for each in tests[1:])
    assert tests[0].words == ("B", "A") and tests[0].unit == "cm"


def test_they_are_written_and_read() -> None:
    random = np.random.default_rng(0)
    found = evaluate(table(random.random(40) < 0.5, ["A", "B"] * 20))
    assert from_json(Evaluation, found.to_dict()).by_tests == found.by_tests


@pytest.mark.slow
def test_of_parts_that_mean_nothing_few_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two columns, three tests of each at a threshold: in at most 5 of 100 data sets one of them is beyond chance."""
    monkeypatch.setattr(part_tests, "DRAWS", 199)
    random, n, named = np.random.default_rng(0), 90, 0
    for seed in range(100):
        truth, p = random.integers(2, size=n), random.random(n)
        site, age = random.choice(["A", "B", ""], n), random.choice(["..5", "5..10", "10.."], n)
        data = replace(
            table(truth == 1, ["A"] * n, truth=truth, groups=tuple(map(str, random.integers(200, size=n)))),
            outputs=np.column_stack([1 - p, p]),
            by=tuple(zip(site.tolist(), age.tolist(), strict=True)),
            by_names=("site", "age"),
        )  # fmt: skip
        calls = calls_of(data, Threshold(positive="b", value=0.2, rule="given"), data.known)
        found = part_tests.part_tests(data, Sampling(seed, group_numbers(data.groups)), calls)
        assert len(found) == 6
        named += any(test.beyond_chance for test in found)
    assert named <= 11  # 5 of 100, and three standard deviations
