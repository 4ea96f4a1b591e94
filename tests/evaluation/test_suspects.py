"""Suspect labels: against examples worked out by hand, and labels that were made wrong on purpose."""

import csv
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from mirada import suspect_labels
from mirada.errors import ContaminationWarning, DataError
from mirada.evaluation.predictions import Predictions
from mirada.evaluation.suspects import BEYOND_BY_CHANCE
from mirada.samples import Classes, Numbers


def of_classes(given: list[int], probabilities: list[list[float]], names: str = "xyz") -> Predictions:
    outputs = np.array(probabilities, dtype=np.float64).reshape(len(given), -1)
    return Predictions(
        paths=tuple(f"{row}.png" for row in range(len(given))),
        splits=np.full(len(given), "test"),
        target=Classes(tuple(names[: outputs.shape[1]])),
        targets=np.array(given, dtype=np.int64),
        outputs=outputs,
    )


def of_numbers(given: np.ndarray, predicted: np.ndarray, names: tuple[str, ...] = ("",)) -> Predictions:
    return Predictions(
        paths=tuple(f"{row}.png" for row in range(len(given))),
        splits=np.full(len(given), "test"),
        target=Numbers(names, "cm"),
        targets=given,
        outputs=predicted.reshape(len(given), len(names)),
    )


def test_an_example_worked_out_by_hand() -> None:
    """Thresholds: x (0.9 + 0.2 + 0.7) / 3 = 0.6, y (0.9 + 0.3 + 0.9) / 3 = 0.7.

    Confident of x: rows 0, 2, 4. Of y: 1, 3, 5. The joint is [[2, 1], [1, 2]], so a third of 6 labels is wrong.
    """
    table = of_classes(
        [0, 0, 0, 1, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.1, 0.9], [0.7, 0.3], [0.1, 0.9]]
    )
    found = suspect_labels(table)
    assert [each.path for each in found.suspected] == ["1.png", "4.png"]
    assert [each.path for each in found.ranked] == [f"{row}.png" for row in (1, 4, 2, 0, 3, 5)]
    assert [each.score for each in found.ranked] == pytest.approx([-0.6, -0.4, 0.4, 0.8, 0.8, 0.8])
    first = found.ranked[0]
    assert (first.given, first.predicted) == ("x", "y")
    assert (first.given_probability, first.predicted_probability) == (0.2, 0.8)
    assert found.wrong == pytest.approx(2)
    # Every row has a confident class, its most probable one: labels drawn by the probabilities differ from it in
    assert found.by_chance == pytest.approx(0.1 + 0.2 + 0.3 + 0.1 + 0.3 + 0.1)


def test_a_class_by_its_own_threshold() -> None:
    """Row 2 is called y, but y usually gets 0.95: the network is not sure enough of it to accuse the label."""
    table = of_classes([0, 0, 0, 1, 1], [[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.05, 0.95], [0.05, 0.95]])
    found = suspect_labels(table)
    assert not found.suspected and found.wrong == 0
    assert found.ranked[0].path == "2.png" and found.ranked[0].score == pytest.approx(-0.2)


def test_the_margin_alone_ranks() -> None:
    """Row 2 is not suspected, since y usually gets 0.95; row 6 is, and its margin is nearer to 0.

    Of 480 shapes, learnt to 72 %, the first tenth held 14 of 24 flipped labels with the suspected ones first, and 19 by
    the margin.
    """
    table = of_classes(
        [0, 0, 0, 1, 1, 2, 2],
        [
            [0.9, 0.1, 0],
            [0.65, 0.35, 0],
            [0.1, 0.9, 0],
            [0.05, 0.95, 0],
            [0.05, 0.95, 0],
            [0, 0, 1],
            [0.6, 0, 0.4],
        ],
    )
    found = suspect_labels(table)
    assert [each.path for each in found.suspected] == ["6.png"]
    assert [each.path for each in found.ranked][:2] == ["2.png", "6.png"]


def test_the_networks_own_answer_is_never_suspected() -> None:
    """z is given little everywhere, so 0.35 of it is much; the answer x is the label all the same."""
    table = of_classes([0, 0, 2, 2], [[0.9, 0.05, 0.05], [0.6, 0.05, 0.35], [0.6, 0.2, 0.2], [0.6, 0.1, 0.3]])
    found = suspect_labels(table)
    assert [each.path for each in found.suspected] == []
    assert found.wrong == pytest.approx(1)  # row 1 is confident of z alone, as one of two rows of x


def test_a_class_that_nobody_has_is_nobodys() -> None:
    found = suspect_labels(of_classes([0, 0], [[0.4, 0.6], [0.9, 0.1]]))
    assert (
        not found.suspected
        and found.wrong == 0
        and [each.score for each in found.ranked]
        == [
            pytest.approx(-0.2),
            pytest.approx(0.8),
        ]
    )


def test_equals_stay_in_order_and_the_mean_of_equals_is_reached() -> None:
    """0.1 + 0.1 + 0.1 is not 0.3 in binary; a network that says the same of all images is sure of every class."""
    found = suspect_labels(of_classes([0, 1, 0, 1, 0, 1], [[0.1, 0.9]] * 6))
    assert [each.path for each in found.ranked] == [f"{row}.png" for row in (0, 2, 4, 1, 3, 5)]
    assert [each.path for each in found.suspected] == ["0.png", "2.png", "4.png"]


def test_rows_without_a_label_are_left_out() -> None:
    found = suspect_labels(of_classes([0, -1, 1], [[0.9, 0.1], [0.1, 0.9], [0.1, 0.9]]))
    assert [each.path for each in found.ranked] == ["0.png", "2.png"]
    with pytest.raises(DataError, match="None of the predictions has a target"):
        suspect_labels(of_classes([-1], [[0.9, 0.1]]))
    with pytest.raises(DataError, match="None of the predictions has a target"):
        suspect_labels(of_numbers(np.array([np.nan]), np.array([1.0])))


@pytest.mark.parametrize("table", [of_classes([0], [[0.5, 0.5]]), of_numbers(np.zeros(1), np.zeros(1))])
def test_no_predictions_no_suspects(table: Predictions) -> None:
    found = suspect_labels(table.take([]))
    assert found.ranked == () and found.suspected == () and found.by_chance == 0


def test_what_a_network_was_trained_on_accuses_nobody() -> None:
    table = of_classes([0, 1], [[0.9, 0.1], [0.1, 0.9]])
    table = Predictions(**{**vars(table), "trained_on": np.array([True, False])})
    with pytest.warns(ContaminationWarning, match="1 of these 2 images are among those that the network was"):
        suspect_labels(table)


def test_flipped_labels_come_first() -> None:
    """Answers as of a network that is right in 94 % of 2,000 images of ten classes; 5 % of the labels are flipped."""
    draw = np.random.default_rng(0)
    n, classes = 2000, 10
    truth = draw.integers(classes, size=n)
    logits = draw.normal(0, 1, (n, classes))
    logits[np.arange(n), truth] += 4
    outputs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    given, flipped = truth.copy(), draw.choice(n, n // 20, replace=False)
    given[flipped] = (truth[flipped] + draw.integers(1, classes, len(flipped))) % classes
    found = suspect_labels(of_classes(given.tolist(), outputs.tolist(), "abcdefghij"))
    names = {f"{row}.png" for row in flipped}
    first = {each.path for each in found.ranked[: n // 10]}
    assert len(names & first) >= 0.95 * len(names)
    assert found.wrong == pytest.approx(len(names), rel=0.25)
    right = suspect_labels(of_classes(truth.tolist(), outputs.tolist(), "abcdefghij"))
    assert 2 * len(right.suspected) < len(found.suspected)


def test_numbers_by_what_is_usual_at_such_answers() -> None:
    """The error grows with the value: 12 cm off is nothing among the large, and much among the small."""
    draw = np.random.default_rng(1)
    predicted = np.linspace(10, 200, 600)
    given = predicted + draw.normal(0, predicted / 20)
    given[40] += 12
    given[560] += 12
    found = suspect_labels(of_numbers(given, predicted))
    places = {each.path: place for place, each in enumerate(found.ranked)}
    assert places["40.png"] == 0 and found.ranked[0].suspected
    assert places["560.png"] > 20
    assert found.ranked[0].given == pytest.approx(given[40]) and found.ranked[0].score > 5
    assert found.wrong is None


def test_normal_errors_are_suspected_as_often_as_is_said() -> None:
    """0.7 % lie beyond Tukey's fences of a normal distribution."""
    tail = 2 * NormalDist().cdf(
        NormalDist().inv_cdf(0.25) * 4
    )  # the quartile, and 1.5 times 2 quartiles beyond it
    assert pytest.approx(tail, abs=1e-5) == BEYOND_BY_CHANCE
    draw = np.random.default_rng(2)
    predicted = draw.normal(0, 1, 20_000)
    found = suspect_labels(of_numbers(predicted + draw.normal(0, 1, 20_000), predicted))
    assert len(found.suspected) == pytest.approx(found.by_chance, rel=0.5)  # local deviations vary


def test_of_several_numbers_the_furthest_off_counts_and_unknown_ones_do_not() -> None:
    draw = np.random.default_rng(3)
    predicted = draw.normal(100, 10, (300, 2))
    given = predicted + draw.normal(0, (1, 5), (300, 2))
    given[7, 0] += 15
    given[8, 1] += 15
    given[9] = np.nan
    given[10, 0] = np.nan
    found = suspect_labels(of_numbers(given, predicted, ("height", "weight")))
    assert len(found.ranked) == 299 and "9.png" not in {each.path for each in found.ranked}
    assert (found.ranked[0].path, found.ranked[0].target) == ("7.png", "height")
    scores = {each.path: each.score for each in found.ranked}
    assert scores["7.png"] > 2 * scores["8.png"]
    assert next(each for each in found.ranked if each.path == "10.png").target == "weight"


@pytest.mark.parametrize("n", [1, 2, 3, 30])
def test_few_or_equal_numbers_are_not_suspected(n: int) -> None:
    found = suspect_labels(of_numbers(np.full(n, 3.0), np.full(n, 5.0)))
    assert len(found.ranked) == n and not found.suspected
    assert {each.score for each in found.ranked} == {0}


def test_one_that_is_off_among_equals() -> None:
    given = np.full(50, 3.0)
    given[20] = 4
    found = suspect_labels(of_numbers(given, np.full(50, 3.0)))
    assert [each.path for each in found.suspected] == ["20.png"]


def test_the_table(tmp_path: Path) -> None:
    table = of_classes([0, 0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.3, 0.7]])
    table = Predictions(**{**vars(table), "paths": ("a.png", "=b.png", "c.png", "d.png")})
    suspect_labels(table).to_csv(tmp_path / "s.csv")
    with (tmp_path / "s.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == [
        "rank", "path", "given", "predicted", "given_probability", "predicted_probability", "margin", "suspected",
    ]  # fmt: skip
    assert [row["path"] for row in rows] == ["'=b.png", "c.png", "d.png", "a.png"]
    assert rows[0]["given"] == "x" and float(rows[0]["margin"]) == pytest.approx(-0.6)
    assert [row["suspected"] for row in rows] == ["1", "0", "0", "0"] and rows[3]["rank"] == "4"


def test_the_table_of_numbers(tmp_path: Path) -> None:
    given, predicted = np.array([[1.0, 2.0], [3.0, np.nan]]), np.array([[1.5, 2.0], [3.0, 1.0]])
    suspect_labels(of_numbers(given, predicted, ("h", "w"))).to_csv(tmp_path / "s.csv")
    with (tmp_path / "s.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == [
        "rank",
        "path",
        "target",
        "given",
        "predicted",
        "error",
        "deviations",
        "suspected",
    ]
    assert rows[0]["path"] == "0.png" and float(rows[0]["error"]) == 0.5
