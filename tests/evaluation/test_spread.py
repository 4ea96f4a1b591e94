"""The spread among networks: rank correlation as scipy has it, and only networks that were not trained on an image."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from mirada.evaluation.conformal import fit_conformal
from mirada.evaluation.estimate import Sampling
from mirada.evaluation.evaluate import evaluate
from mirada.evaluation.predictions import Predictions
from mirada.evaluation.spread import check_spread, rank_correlation, with_spreads
from mirada.samples import Classes, Covariate, Numbers


@pytest.mark.parametrize("decimals", [0, 1, 9])
def test_rank_correlation_is_spearmans_in_every_resample(decimals: int) -> None:
    draw = np.random.default_rng(decimals)
    first = draw.normal(size=60).round(decimals)
    second = (first + draw.normal(size=60)).round(decimals)
    assert float(rank_correlation(first, second)) == pytest.approx(spearmanr(first, second)[0], abs=1e-12)
    weights = draw.multinomial(60, np.full(60, 1 / 60), size=7)
    wanted = [spearmanr(np.repeat(first, each), np.repeat(second, each))[0] for each in weights]
    np.testing.assert_allclose(
        rank_correlation(first, second, weights.astype(np.float64)), wanted, atol=1e-12
    )


def test_nothing_follows_from_what_is_always_the_same() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(rank_correlation(np.ones(9), np.arange(9.0)))


def values(paths: str, split: str, outputs: list[float], targets: float = 0.0) -> Predictions:
    return Predictions(
        paths=tuple(paths),
        splits=np.full(len(paths), split),
        target=Numbers(("",), "cm"),
        targets=np.full((len(paths), 1), targets),
        outputs=np.array(outputs)[:, np.newaxis],
    )


def test_only_networks_that_were_not_trained_on_an_image_are_asked() -> None:
    """``a`` tested the first network and validated the other two, ``b`` one of them, ``c`` none."""
    tables = [
        Predictions.joined([values("a", "test", [1.0]), values("x", "val", [0.0])]),
        Predictions.joined([values("bx", "test", [4.0, 2.0]), values("a", "val", [2.0])]),
        Predictions.joined([values("c", "test", [7.0]), values("ab", "val", [6.0, 5.0])]),
    ]
    found = with_spreads(tables)
    assert found.paths == ("a", "b", "x", "c")
    wanted = [np.std(each, ddof=1) for each in ([1, 2, 6], [4, 5], [2, 0])]
    np.testing.assert_allclose(found.spreads[:3, 0], wanted)
    assert np.isnan(found.spreads[3, 0])
    np.testing.assert_array_equal(found.outputs[:, 0], [1, 4, 2, 7])


def test_rows_of_one_image_are_told_apart_by_what_is_read_beside_it() -> None:
    """And by their group, whose images are in one split. By hand: 1 and 3; 5 and 9; 2 alone."""

    def said(split: str, ages: list[float], outputs: list[float], group: str) -> Predictions:
        return replace(
            values("a" * len(ages), split, outputs),
            covariate_specs=(Covariate("age"),),
            covariates=np.array(ages)[:, np.newaxis],
            groups=(group,) * len(ages),
        )

    first = Predictions.joined([said("test", [30, 60], [1.0, 5.0], "p"), said("test", [30], [2.0], "q")])
    found = with_spreads([first, said("val", [60, 30], [9.0, 3.0], "p")])
    np.testing.assert_allclose(found.spreads[:2, 0], [np.std([1, 3], ddof=1), np.std([5, 9], ddof=1)])
    assert np.isnan(found.spreads[2, 0])


def test_of_classes_the_probability_of_the_answer_is_compared() -> None:
    def said(split: str, first: float) -> Predictions:
        return Predictions(
            paths=("a",),
            splits=np.array([split]),
            target=Classes(("ash", "birch")),
            targets=np.array([0]),
            outputs=np.array([[first, 1 - first]]),
        )

    found = with_spreads([said("test", 0.2), said("val", 0.9), said("val", 0.4)])
    assert found.spreads[0, 0] == pytest.approx(np.std([0.8, 0.1, 0.6], ddof=1))


def test_the_error_of_each_third_and_its_correlation() -> None:
    draw = np.random.default_rng(0)
    spread = draw.uniform(1, 5, 300)
    errors = spread * draw.normal(size=300)
    table = Predictions(
        paths=tuple(map(str, range(310))),
        splits=np.full(310, "test"),
        target=Numbers(("",), "cm"),
        targets=np.zeros((310, 1)),
        outputs=np.append(errors, np.full(10, 99.0))[:, np.newaxis],
        spreads=np.append(spread, np.full(10, np.nan))[:, np.newaxis],
    )
    (found,) = evaluate(table).spread
    assert found.n == 300 and found.target == ""
    assert found.correlation == pytest.approx(spearmanr(spread, abs(errors))[0])
    assert found.low and found.high and 0 < found.low < found.correlation < found.high
    order = np.argsort(spread)
    for part, rows in zip(found.parts, np.split(order, 3), strict=True):
        assert part.n == 100 and part.error == pytest.approx(abs(errors[rows]).mean())
        assert (part.least, part.most) == (spread[rows].min(), spread[rows].max())
        assert part.low and part.high and part.low < part.error < part.high
    assert evaluate(table).to_dict()["spread"][0]["parts"][0]["n"] == 100  # type: ignore[index, call-overload]


def test_of_classes_mistakes_are_counted() -> None:
    draw = np.random.default_rng(1)
    spread = draw.uniform(0, 0.3, 90)
    wrong = draw.uniform(0, 0.3, 90) < spread
    table = Predictions(
        paths=tuple(map(str, range(90))),
        splits=np.full(90, "test"),
        target=Classes(("ash", "birch")),
        targets=wrong.astype(np.int64),
        outputs=np.tile([0.7, 0.3], (90, 1)),
        spreads=spread[:, np.newaxis],
    )
    (found,) = check_spread(table, Sampling())
    assert found.correlation == pytest.approx(spearmanr(spread, wrong)[0])
    thirds = np.split(np.argsort(spread), 3)
    assert [part.error for part in found.parts] == [wrong[rows].mean() for rows in thirds]


def test_few_images_or_a_single_network_are_not_spoken_of() -> None:
    table = values("abcdefghij" * 4, "test", list(range(40)))
    assert check_spread(table, Sampling()) == ()
    assert "spread" not in evaluate(table).to_dict()


def test_intervals_out_of_fold_hold_for_the_mean_of_the_members() -> None:
    """Ridge regressions of 60 rows in 20 columns, five folds: 90 % are promised, of 400 × 20 new rows."""
    draw = np.random.default_rng(2)
    held = []
    for _ in range(400):
        truth = draw.normal(size=20)
        rows, new = draw.normal(size=(60, 20)), draw.normal(size=(20, 20))
        given = rows @ truth + 2 * draw.normal(size=60)
        fold = np.arange(60) % 5
        members = [
            np.linalg.solve(
                rows[fold != k].T @ rows[fold != k] + np.eye(20), rows[fold != k].T @ given[fold != k]
            )
            for k in range(5)
        ]
        unseen = np.einsum("nd,nd->n", rows, np.array(members)[fold])
        learnt = fit_conformal(given, unseen)
        assert learnt
        error = new @ np.mean(members, axis=0) - new @ truth - 2 * draw.normal(size=20)
        held += (abs(error) <= learnt.half_widths[0]).tolist()
    assert 0.9 < np.mean(held) < 0.97
