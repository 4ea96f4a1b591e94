"""Parts of the images by the words of a column: against scikit-learn, with groups, and with nothing said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, mean_absolute_error, recall_score

from mirada import load_data
from mirada.codec import from_json
from mirada.errors import DataError, InvalidArgument
from mirada.evaluation.evaluate import Evaluation, evaluate
from mirada.evaluation.predictions import Predictions
from mirada.evaluation.threshold import Threshold
from mirada.samples import MOST_PARTS, OUTSIDE, Classes, Numbers, Source

N = 60
SITES = np.array(["A", "B", ""])[np.arange(N) % 3]
SEXES = np.array(["F", "M"])[np.arange(N) % 2]


def classes() -> Predictions:
    rng = np.random.default_rng(0)
    return Predictions(
        paths=tuple(f"{row}.png" for row in range(N)),
        splits=np.full(N, "test"),
        target=Classes(("a", "b", "c")),
        targets=rng.integers(3, size=N),
        outputs=rng.dirichlet(np.ones(3), N),
        by=tuple(zip(SITES.tolist(), SEXES.tolist(), strict=True)),
        by_names=("site", "sex"),
    )


def numbers() -> Predictions:
    rng = np.random.default_rng(1)
    return replace(
        classes(),
        target=Numbers(("age", "height"), "cm"),
        targets=rng.normal(size=(N, 2)),
        outputs=rng.normal(size=(N, 2)),
        half_widths=np.empty((0, 0)),
        spreads=np.empty((0, 0)),
    )


def test_each_word_of_each_column_is_judged_apart() -> None:
    table = classes()
    parts = evaluate(table).by
    assert [(part.column, part.word, part.n) for part in parts] == [
        ("site", "A", 20),
        ("site", "B", 20),
        ("site", "", 20),  # of which nothing is said: last
        ("sex", "F", 30),
        ("sex", "M", 30),
    ]
    for part in parts:
        rows = (SITES if part.column == "site" else SEXES) == part.word
        truth, said = table.class_numbers[rows], table.predicted[rows]
        accuracy, balanced = part.metrics
        assert (accuracy.name, balanced.name, accuracy.n) == ("accuracy", "balanced_accuracy", part.n)
        assert accuracy.value == pytest.approx(accuracy_score(truth, said))
        assert balanced.value == pytest.approx(balanced_accuracy_score(truth, said))
        assert accuracy.low is not None and accuracy.high is not None
        assert accuracy.low < accuracy_score(truth, said) < accuracy.high


def test_numbers_are_judged_per_target() -> None:
    table = numbers()
    for part in evaluate(table).by:
        rows = (SITES if part.column == "site" else SEXES) == part.word
        assert [metric.key for metric in part.metrics] == ["mae:age", "mae:height", "bias:age", "bias:height"]
        for column in (0, 1):
            error = mean_absolute_error(table.values[rows, column], table.outputs[rows, column])
            assert part.metrics[column].value == pytest.approx(error) and part.metrics[column].unit == "cm"


def test_a_part_of_one_group_has_no_interval() -> None:
    """Patients stay whole in the resamples of a part, too."""
    grouped = replace(numbers(), groups=tuple(f"p{site or row}" for row, site in enumerate(SITES)))
    first, _, last, *_ = evaluate(grouped).by
    assert first.metrics[0].low is None and "fewer than two groups" in first.metrics[0].method
    assert last.metrics[0].low is not None


def test_it_reads_back() -> None:
    found = evaluate(classes())
    assert from_json(Evaluation, found.to_dict()) == found
    without = evaluate(replace(classes(), by=(), by_names=()))
    assert without.by == () and "by" not in without.to_dict()
    assert without.metrics == found.metrics
    assert evaluate(classes().take([])).by == ()


def test_columns_that_do_not_fit() -> None:
    with pytest.raises(DataError, match=r"`by` of Predictions must have 2 words for each of 60 rows"):
        replace(classes(), by=(("A", "F"),))
    with pytest.raises(DataError, match=r"`by` of Predictions must have 1 words"):
        replace(classes(), by_names=("site",))


def made(folder: Path, words: list[str], column: str = "site") -> Path:
    for row in range(len(words)):
        (folder / f"{row}.png").touch()
    rows = [f"{row}.png,{'cat' if row % 2 else 'dog'},{word}" for row, word in enumerate(words)]
    (folder / "t.csv").write_text("\n".join([f"image,label,{column}", *rows, ""]))
    return folder / "t.csv"


def test_a_tables_column(tmp_path: Path) -> None:
    index = load_data(Source(path=made(tmp_path, ["A", "B", "NA", "", "A", "B"]), by=("site",)))
    assert index.by_names == ("site",) and index.by == (("A",), ("B",), ("",), ("",), ("A",), ("B",))
    assert "judged by site: A 2, B 2, 2 of which it says nothing" in index.notes
    assert index.columns["target"] == ("label",) and index.source and index.source.by == ("site",)
    assert index.take([5, 0]).by == (("B",), ("A",))
    plain = load_data(tmp_path / "t.csv", target="label")
    assert plain.by == () and plain.take([1]).by == ()


def test_too_many_words_are_refused(tmp_path: Path) -> None:
    """A number, too: its ranges are not guessed."""
    most = [f"s{row % MOST_PARTS}" for row in range(2 * MOST_PARTS)]
    assert len(set(load_data(Source(path=made(tmp_path, most), by=("site",))).by)) == MOST_PARTS
    file = made(tmp_path, [str(20 + row) for row in range(30)], "age")
    with pytest.raises(
        DataError, match="the column age says 30 different things, and a model is judged by 20 at the"
    ):
        load_data(Source(path=file, targets=("label",), by=("age",)))
    with pytest.raises(DataError, match='has no column "sites"'):
        load_data(Source(path=file, targets=("label",), by=("sites",)))
    for name in ("cat", "dog"):
        (tmp_path / "d" / name).mkdir(parents=True)
        (tmp_path / "d" / name / "1.png").touch()
    with pytest.raises(InvalidArgument, match="`by` names a column, and there is no table here"):
        load_data(Source(path=tmp_path / "d", by=("site",)))


def aged(folder: Path, ages: list[str]) -> Path:
    return made(folder, ages, "age (years)")


def test_ranges_of_a_number(tmp_path: Path) -> None:
    """The lower end belongs to a range, of the last one the upper end too; what lies outside is counted."""
    ages = ["0", "4.99", "5", "9", "10", "18", "18.01", "-1", "", "NA"]
    index = load_data(Source(path=aged(tmp_path, ages), targets=("label",), by=("age=0..5..10..18",)))
    said = ["0..5", "0..5", "5..10", "5..10", "10..18", "10..18", OUTSIDE, OUTSIDE, "", ""]
    assert index.by_names == ("age",)
    assert [words[0] for words in index.by] == said
    assert index.source and index.source.by == ("age=0..5..10..18",)
    note = "judged by age: 0..5 2, 5..10 2, 10..18 2, 2 outside of its ranges, 2 of which it says nothing"
    assert note in index.notes
    again = load_data(index.source)
    assert again.by == index.by


def test_ranges_with_open_ends_and_several_columns(tmp_path: Path) -> None:
    file = aged(tmp_path, ["3", "7", "12", "70"])
    open_ends = load_data(Source(path=file, targets=("label",), by=("age=..5..10..", "image")))
    assert [words[0] for words in open_ends.by] == ["..5", "5..10", "10..", "10.."]
    assert open_ends.by_names == ("age", "image")
    half = load_data(Source(path=file, targets=("label",), by=("age=10..",)))
    assert [words[0] for words in half.by] == [OUTSIDE, OUTSIDE, "10..", "10.."]


def test_ranges_follow_the_notation_of_the_column(tmp_path: Path) -> None:
    for row in range(4):
        (tmp_path / f"{row}.png").touch()
    rows = "".join(
        f"{row}.png;{'ab'[row % 2]};{size}\n" for row, size in enumerate(("0,5", "1,5", "2,5", "x"))
    )
    (tmp_path / "t.csv").write_text(f"image;label;size\n{rows}")
    index = load_data(Source(path=tmp_path / "t.csv", targets=("label",), by=("size=0..1..2.5",)))
    assert [words[0] for words in index.by] == ["0..1", "1..2.5", "1..2.5", ""]


@pytest.mark.parametrize(
    "ranges", ["A", "5", "", "..", "5..5", "10..5", "0..a..5", "0....5", "0..nan", "..x.."]
)
def test_what_are_no_ranges(ranges: str, tmp_path: Path) -> None:
    file = aged(tmp_path, ["3", "7"])
    with pytest.raises(InvalidArgument, match=r"`by`: age=.* names no ranges\. Expected rising numbers"):
        load_data(Source(path=file, targets=("label",), by=(f"age={ranges}",)))


def test_ranges_of_words_and_a_column_twice(tmp_path: Path) -> None:
    file = made(tmp_path, ["A", "B", "A", "B"])
    with pytest.raises(DataError, match=r"site holds no number that could lie in the ranges 0\.\.5"):
        load_data(Source(path=file, by=("site=0..5",)))
    with pytest.raises(DataError, match="`by` names the column site more than once"):
        load_data(Source(path=file, by=("site", "site")))


def test_parts_stand_in_order_and_what_lies_outside_is_no_part_of_the_test() -> None:
    ages = np.array(["10..18", "5..10", "..5", OUTSIDE, ""])[np.arange(N) % 5]
    table = replace(classes(), by=tuple((age,) for age in ages.tolist()), by_names=("age",))
    found = evaluate(table)
    assert [part.word for part in found.by] == ["..5", "5..10", "10..18", OUTSIDE, ""]
    (test,) = found.by_tests
    assert set(test.words) == {"..5", "5..10", "10..18"} and test.left_out == 24


def test_at_a_threshold_parts_have_its_measures_and_two_more_tests() -> None:
    rng = np.random.default_rng(0)
    n, site = 400, np.array(["A", "B"])[np.arange(400) % 2]
    truth = rng.integers(2, size=n)
    lift = np.where((truth == 1) & (site == "A"), 0.6, np.where(truth == 1, 0.2, 0.0))  # B's cases are missed
    p = np.clip(lift + 0.4 * rng.random(n), 0, 1)
    table = Predictions(
        paths=tuple(f"{row}.png" for row in range(n)), splits=np.full(n, "test"), target=Classes(("no", "yes")),
        targets=truth, outputs=np.column_stack([1 - p, p]), by=tuple((each,) for each in site.tolist()),
        by_names=("site",),
    )  # fmt: skip
    found = evaluate(table, threshold=Threshold(positive="yes", value=0.45, rule="given"))
    for part in found.by:
        rows = site == part.word
        measures = {each.name: each for each in part.metrics}
        assert measures["sensitivity"].value == pytest.approx(recall_score(truth[rows], p[rows] >= 0.45))
        assert measures["specificity"].value == pytest.approx(recall_score(1 - truth[rows], p[rows] < 0.45))
        assert measures["sensitivity"].n == truth[rows].sum()
    tests = {each.name: each for each in found.by_tests}
    assert tests.keys() == {"accuracy", "sensitivity", "specificity"}
    assert tests["sensitivity"].beyond_chance and tests["sensitivity"].words == ("B", "A")
    assert not tests["specificity"].beyond_chance and tests["specificity"].left_out == 0
