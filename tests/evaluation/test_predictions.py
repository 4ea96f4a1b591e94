"""The table of predictions: its order, its checks, and that it survives CSV and JSON."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirada.data.index import Index
from mirada.errors import DataError, InvalidArgument
from mirada.evaluation.predictions import Predictions
from mirada.files import write_json
from mirada.samples import Classes, Covariate, Excluded, Numbers
from mirada.text import csv_cell, csv_value

AWKWARD = ("cat", 'a "b", c', "line\nbreak\rand\r\nmore", " ünï ", "=1+1", "p:x", "problem")


def classified(**changes):
    fields = {
        "paths": ("a.png", "b.png", "c.png", "d.png", "e.png"),
        "splits": ("val", "val", "test", "test", ""),
        "targets": np.array([0, 0, 2, 1, -1]),
        "outputs": np.array(
            [[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.4, 0.4, 0.2], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]]
        ),
        "target": Classes(("cat", "dog", "owl")),
        "failed": (Excluded("bad.png", "cannot decode (truncated)"),),
    }
    return Predictions(**fields | changes)


def measured(**changes):
    fields = {
        "paths": ("a.png", "b.png", "c.png", "d.png"),
        "splits": ("test", "val", "test", "test"),
        "targets": np.array([10.0, np.nan, 30.0, 7.0]),
        "outputs": np.array([[12.5], [1.0], [27.5], [7.0]]),
        "target": Numbers(unit="months"),
    }
    return Predictions(**fields | changes)


BESIDE = {
    "groups": ("a1", "a1", "b2", "c3"),
    "covariates": np.array([[1.0, 0.1], [0, np.nan], [1, -3], [0, 2]]),
    "covariate_specs": (Covariate("male"), Covariate("weight")),
}
WIDTHS = np.array([[3.5], [3.5], [np.nan], [3.5]])


def several(**changes):
    fields = {
        "targets": np.array([[10.0, 1], [np.nan, 2], [30, 3], [np.nan, np.nan]]),
        "outputs": np.array([[12.5, 1.5], [1, 2], [27.5, 4], [7, 7]]),
        "target": Numbers(("width", "height"), "months"),
    }
    return measured(**fields | BESIDE | changes)


def assert_same(found, expected):
    for name in (
        "paths", "target", "failed", "groups", "covariate_names",
    ):  # fmt: skip
        assert getattr(found, name) == getattr(expected, name)
    np.testing.assert_array_equal(found.covariates, expected.covariates)
    np.testing.assert_array_equal(found.half_widths, expected.half_widths)
    np.testing.assert_array_equal(found.outputs, expected.outputs)
    np.testing.assert_array_equal(found.splits, expected.splits)
    np.testing.assert_array_equal(found.targets, expected.targets)
    assert found.targets.dtype == expected.targets.dtype


def test_classes_ranks_and_probabilities():
    table = classified()
    assert len(table) == 5
    assert table.known.tolist() == [True, True, True, True, False]
    assert table.predicted.tolist() == [0, 1, 0, 1, 2]
    assert table.probability.tolist() == [0.5, 0.8, 0.4, 0.8, 0.6]
    assert table.top(2).tolist() == [[0, 1], [1, 0], [0, 1], [1, 0], [2, 0]]
    assert table.top(1)[:, 0].tolist() == table.predicted.tolist()
    assert table.top(9).shape == (5, 3)


def test_values_and_errors():
    table = measured()
    assert table.known.tolist() == [True, False, True, True]
    assert table.predicted.tolist() == [12.5, 1.0, 27.5, 7.0]
    np.testing.assert_array_equal(table.error, [2.5, np.nan, -2.5, 0.0])
    np.testing.assert_array_equal(measured(targets=np.full(4, np.nan)).error, [np.nan] * 4)


def test_most_wrong_and_most_uncertain():
    table = classified()
    assert table.most_wrong(9).tolist() == [1, 2]  # p(true) 0.1 and 0.2; the others are right or unknown
    assert table.most_wrong(1).tolist() == [1]
    assert table.most_uncertain(9).tolist() == [2, 0, 4, 1, 3]  # rows 1 and 3 are equal, in their order
    assert table.most_uncertain(0).tolist() == []
    assert classified(targets=np.full(5, -1)).most_wrong(3).tolist() == []
    assert measured().most_wrong(2).tolist() == [0, 2]  # equal |error|, in their order
    assert measured().most_wrong(9).tolist() == [0, 2, 3]


def test_most_wrong_finds_the_row_in_a_subset():
    assert classified().take([4, 0, 2]).most_wrong(5).tolist() == [2]


def test_of_split_keeps_the_failed_files():
    part = classified().of_split("test")
    assert part.paths == ("c.png", "d.png")
    assert part.targets.tolist() == [2, 1]
    assert part.outputs.shape == (2, 3)
    assert part.failed == classified().failed
    empty = classified(targets=np.full(5, -1)).of_split("train")
    assert (len(empty), empty.outputs.shape, empty.targets.shape) == (0, (0, 3), (0,))
    assert empty.top(2).shape == (0, 2)
    assert empty.most_uncertain(2).tolist() == []


def test_arrays_get_the_promised_types():
    table = classified(
        outputs=classified().outputs.astype(np.float32), targets=np.array([0, 1, 2, 1, 0], np.uint8)
    )
    assert (table.outputs.dtype, table.targets.dtype) == (np.float64, np.int64)
    assert measured(targets=np.array([1, 2, 3, 4])).targets.dtype == np.float64


def test_csv_of_classes_by_hand(tmp_path):
    table = classified().take([0, 2, 4])
    table.to_csv(tmp_path / "predictions.csv")
    with (tmp_path / "predictions.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            [
                *["path", "split", "target", "predicted", "probability", "correct"],
                "p:cat",
                "p:dog",
                "p:owl",
                "problem",
            ],
            ["a.png", "val", "cat", "cat", "0.5", "1", "0.5", "0.25", "0.25", ""],
            ["c.png", "test", "owl", "cat", "0.4", "0", "0.4", "0.4", "0.2", ""],
            ["e.png", "", "", "owl", "0.6", "", "0.2", "0.2", "0.6", ""],
            ["bad.png", "", "", "", "", "", "", "", "", "cannot decode (truncated)"],
        ]
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.csv"]


def test_csv_of_values_by_hand(tmp_path):
    measured(failed=(Excluded("x.png", "empty"),), half_widths=WIDTHS).to_csv(tmp_path / "p.csv")
    assert (tmp_path / "p.csv").read_text().splitlines() == [
        "path,split,target,predicted,error,half_width,problem",
        "a.png,test,10.0,12.5,2.5,3.5,",
        "b.png,val,,1.0,,3.5,",
        "c.png,test,30.0,27.5,-2.5,,",
        "d.png,test,7.0,7.0,0.0,3.5,",
        "x.png,,,,,,empty",
    ]


def test_a_csv_from_before_there_were_half_widths_reads(tmp_path):
    (tmp_path / "p.csv").write_text(
        "path,split,target,predicted,error,c:male,problem\na.png,test,10,12,2,1,\n"
    )
    found = Predictions.from_csv(tmp_path / "p.csv")
    assert found.outputs.tolist() == [[12.0]] and found.covariates.tolist() == [[1.0]]
    assert found.half_widths.shape == (1, 1) and np.isnan(found.half_widths).all()
    old = [f"{name}:{target}" for target in ("a", "b") for name in ("target", "predicted", "error")]
    (tmp_path / "p.csv").write_text(f"path,split,{','.join(old)},problem\na.png,test,1,2,1,3,5,2,\n")
    found = Predictions.from_csv(tmp_path / "p.csv")
    assert found.values.tolist() == [[1.0, 3.0]] and found.outputs.tolist() == [[2.0, 5.0]]
    assert np.isnan(found.half_widths).all()


def test_half_widths_go_with_their_rows():
    table = measured(half_widths=WIDTHS)
    np.testing.assert_array_equal(table.take([2, 0]).half_widths, [[np.nan], [3.5]])
    joined = Predictions.joined([table, measured()])
    np.testing.assert_array_equal(joined.half_widths, np.concatenate([WIDTHS, np.full((4, 1), np.nan)]))
    assert classified().half_widths.shape == (5, 0)


def test_json_has_the_columns_of_the_csv_and_no_nan():
    records = json.loads(json.dumps(classified().to_json(), allow_nan=False))
    assert all(tuple(record) == classified().columns for record in records)
    start = {"path": "b.png", "split": "val", "target": "cat", "predicted": "dog", "probability": 0.8}
    assert records[1] == start | {"correct": False, "p:cat": 0.1, "p:dog": 0.8, "p:owl": 0.1, "problem": None}
    assert (records[4]["split"], records[4]["target"], records[4]["correct"]) == (None, None, None)
    failed = records[5]
    assert (failed.pop("path"), failed.pop("problem")) == ("bad.png", "cannot decode (truncated)")
    assert set(failed.values()) == {None}
    records = json.loads(json.dumps(measured().to_json(), allow_nan=False))
    assert [record["error"] for record in records] == [2.5, None, -2.5, 0.0]


@pytest.mark.parametrize(
    "table",
    [
        classified(),
        classified(targets=np.full(5, -1)),
        classified(failed=()).of_split("train"),
        classified().of_split("train"),
        measured(),
        measured(targets=np.full(4, np.nan)),
        measured().take([]),
        measured(**BESIDE),
        measured(half_widths=WIDTHS),
        measured(half_widths=WIDTHS, **BESIDE).take([]),
        several(half_widths=np.tile([1.5, 0.25], (4, 1))),
        several(),
        several(targets=np.full((4, 2), np.nan)),
        several().take([]),
        several().take([2, 0]),
        classified(
            groups=tuple("aabbc"), covariates=np.arange(5.0)[:, None], covariate_specs=(Covariate("age"),)
        ),
    ],
)
def test_csv_round_trip(table, tmp_path):
    table.to_csv(tmp_path / "p.csv")
    assert_same(Predictions.from_csv(tmp_path / "p.csv", unit=table.unit), table)


@given(
    classes=st.lists(st.text(min_size=1, max_size=6), min_size=2, max_size=5, unique=True),
    names=st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=5),
    reason=st.text(max_size=6),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_text_and_any_probability_survive_csv(tmp_path_factory, classes, names, reason, seed):
    random = np.random.default_rng(seed)
    weights = random.random((len(names), len(classes))) ** 9
    table = Predictions(
        paths=tuple(names),
        splits=("test",) * len(names),
        targets=random.integers(len(classes), size=len(names)),
        outputs=weights / weights.sum(axis=1, keepdims=True),
        target=Classes(tuple(classes)),
        failed=(Excluded(names[0], reason),),
    )
    file = tmp_path_factory.getbasetemp() / "any.csv"
    table.to_csv(file)
    assert_same(Predictions.from_csv(file), table)


def test_awkward_names_survive_csv(tmp_path):
    outputs = np.full((2, len(AWKWARD)), 1 / len(AWKWARD))
    paths = ("caf\udce9.png", "a,b.png")  # the first is no valid UTF-8 on disk
    table = classified(
        target=Classes(AWKWARD),
        outputs=outputs,
        paths=paths,
        splits=("test", "val"),
        targets=np.array([1, 2]),
    )
    table.to_csv(tmp_path / "p.csv")
    assert_same(Predictions.from_csv(tmp_path / "p.csv"), table)


def test_a_csv_saved_again_by_a_spreadsheet_still_reads(tmp_path):
    measured().to_csv(tmp_path / "p.csv")
    text = (tmp_path / "p.csv").read_text()
    (tmp_path / "p.csv").write_text(text, encoding="utf-8-sig")
    assert_same(Predictions.from_csv(tmp_path / "p.csv", unit="months"), measured())


def test_a_csv_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "p.csv"
    measured().to_csv(file)
    before = file.read_bytes()

    def broken(self, target):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(OSError, match=r"disk full"):
        classified().to_csv(file)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"splits": ("val",)}, r"for 5 paths, targets \(5,\) and 5 splits. Got targets \(5,\) and 1 splits"),
        (
            {"targets": np.zeros((5, 1), int)},
            r"for 5 paths, targets \(5,\) and 5 splits. Got targets \(5, 1\)",
        ),
        ({"outputs": np.ones((5, 1))}, r"outputs \(5, 1\)"),
        ({"target": Classes(("cat",))}, r"need two class names or more. Got \['cat'\]"),
        (
            {"target": Classes(("cat", "cat", "owl"))},
            r"Every class needs a name of its own. Got \['cat', 'cat', 'owl'\]",
        ),
        ({"target": Classes(("cat", "", "owl"))}, "Every class needs a name of its own"),
        ({"targets": np.zeros(5)}, r"must be class numbers \(int64\). Got float64"),
        ({"targets": np.array([0, 1, 3, 0, 0])}, "c.png: the target must be a class number below 3. Got 3"),
        (
            {"outputs": np.full((5, 3), np.nan)},
            "a.png: the network's output must be finite numbers. Got .nan",
        ),
        (
            {"outputs": np.array([[1.0, 0, 0], [2.0, -1, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0]])},
            r"b.png: the network's output must be probabilities that sum to 1. Got \[2.0, -1.0, 0.0\]",
        ),
        ({"outputs": np.ones((5, 3))}, "a.png: .* probabilities that sum to 1"),
    ],
)
def test_columns_that_cannot_be_are_refused(changes, message):
    with pytest.raises(DataError, match=message):
        classified(**changes)


def test_values_that_cannot_be_are_refused():
    with pytest.raises(DataError, match=r"b.png: the target must be a finite number. Got inf"):
        measured(targets=np.array([1, np.inf, 2, 3]))
    with pytest.raises(DataError, match=r"d.png: the network's output must be finite numbers. Got .inf"):
        measured(outputs=np.array([[1.0], [1], [1], [np.inf]]))


def test_questions_of_the_other_task_are_refused():
    with pytest.raises(InvalidArgument, match=r"`probability` of Predictions exists for classification only"):
        _ = measured().probability
    with pytest.raises(InvalidArgument, match=r"`top` of .* for classification only. This is regression"):
        measured().top(1)
    with pytest.raises(InvalidArgument, match=r"`most_uncertain` of .* for classification only"):
        measured().most_uncertain(1)
    with pytest.raises(InvalidArgument, match=r"`error` of .* for regression only. This is classification"):
        _ = classified().error


def test_counts_below_the_least_are_refused():
    with pytest.raises(InvalidArgument, match=r"`k` of top must be an integer ≥ 1. Got 0"):
        classified().top(0)
    with pytest.raises(InvalidArgument, match=r"`n` of most_wrong must be an integer ≥ 0. Got -1"):
        classified().most_wrong(-1)
    with pytest.raises(InvalidArgument, match=r"`n` of most_uncertain must be an integer ≥ 0. Got -1"):
        classified().most_uncertain(-1)


HEADER = "path,split,target,predicted,probability,correct,p:a,p:b,problem\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a table of predictions. Expected the columns path, .* Got an empty file"),
        ("name,boneage\nx,1\n", "not a table of predictions.* Got name, boneage"),
        ("path,split,target,predicted,probability,correct,problem\n", "not a table of predictions"),
        (HEADER + "x,val,a,a\n", "p.csv, line 2: expected 9 cells. Got 4"),
        (HEADER + "x,val,c,a,1,1,1,0,\n", "p.csv, line 2: unknown class 'c', expected one of a, b"),
        (HEADER + "x,val,a,a,1,1,one,0,\n", "p.csv, line 2: could not convert string to float: 'one'"),
        (HEADER + "x" * 200_000, "p.csv: not a CSV file .field larger than field limit"),
        (HEADER.replace("p:b", "p:a") + "x,val,a,a,1,1,1,0,\n", "Every class needs a name of its own"),
    ],
)
def test_files_that_are_no_predictions_are_refused(text, message, tmp_path):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        Predictions.from_csv(tmp_path / "p.csv")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none.csv: no such file. Expected predictions"):
        Predictions.from_csv(tmp_path / "none.csv")


def test_several_values():
    table = several()
    assert table.known.tolist() == [True, False, True, False]
    np.testing.assert_array_equal(table.predicted, table.outputs)
    np.testing.assert_array_equal(table.error[:, 1], [0.5, 0, 1, np.nan])
    # |errors| 2.5, 0.5 against 2.5, 1.0, in shares of their means 2.5 and 0.75
    assert table.most_wrong(4).tolist() == [2, 0]


def test_csv_of_several_values_by_hand(tmp_path):
    several(half_widths=np.tile([1.5, 0.25], (4, 1))).take([0, 3]).to_csv(tmp_path / "p.csv")
    assert (tmp_path / "p.csv").read_text().splitlines() == [
        "path,split,target:width,predicted:width,error:width,half_width:width,target:height,predicted:height,"
        "error:height,half_width:height,group,c:male,c:weight,problem",
        "a.png,test,10.0,12.5,2.5,1.5,1.0,1.5,0.5,0.25,a1,1.0,0.1,",
        "d.png,test,,7.0,,1.5,,7.0,,0.25,c3,0.0,2.0,",
    ]


def test_of_an_index_takes_all_that_is_known_and_hides_who_a_patient_is(tmp_path):
    index = Index(
        root=tmp_path,
        paths=("a.png", "b.png", "c.png"),
        targets=np.array([1.0, 2, 3]),
        splits=np.array(["val", "test", "test"]),
        target=Numbers(unit="months"),
        groups=("Smith, John", "Smith, John", "Doe, Jane"),
        covariates=np.array([[1.0], [1], [0]]),
        covariate_specs=(Covariate("male"),),
    )
    table = Predictions.of(index, np.array([[1.5], [2.5], [3.5]]), half_widths=(0.5,))
    assert table.half_widths.tolist() == [[0.5]] * 3
    assert table.groups[0] == table.groups[1] != table.groups[2]
    table.to_csv(tmp_path / "p.csv")
    text = (tmp_path / "p.csv").read_text()
    assert "Smith" not in text and "Doe" not in text
    assert table.splits.tolist() == ["val", "test", "test"] and table.unit == "months"
    np.testing.assert_array_equal(table.covariates, index.covariates)
    assert_same(Predictions.from_csv(tmp_path / "p.csv", unit="months"), table)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": ("a",)}, r"groups of Predictions must be none or one per row. Got 1 groups and 4 paths"),
        ({"covariates": np.ones((4, 1))}, r"The covariates of Predictions must be \(4, 2\). Got \(4, 1\)"),
        ({"half_widths": np.ones((4, 1))}, r"half widths \(4, 2\)\. .* and half widths \(4, 1\)\.$"),
        (
            {"covariate_specs": (Covariate("male"), Covariate("male"))},
            r"Every covariate needs a name of its own",
        ),
        ({"target": Numbers(("", "b"))}, r"Every target needs a name of its own"),
        ({"targets": np.ones(4)}, r"for 4 paths, targets \(4, 2\) and 4 splits. Got targets \(4,\)"),
        ({"targets": np.full((4, 2), np.inf)}, r"a.png: the target must be a finite number"),
    ],
)
def test_what_does_not_fit_beside_is_refused(changes, message):
    with pytest.raises(DataError, match=message):
        several(**changes)


def test_a_covariate_that_is_no_number_is_refused(tmp_path):
    (tmp_path / "p.csv").write_text("path,split,target,predicted,error,c:male,problem\nx,val,1,1,0,yes,\n")
    with pytest.raises(DataError, match=r"p.csv: a covariate must be a number .*'yes'"):
        Predictions.from_csv(tmp_path / "p.csv")


def of_many(n=7, num_classes=60, seed=0):
    random = np.random.default_rng(seed)
    outputs = random.dirichlet(np.full(num_classes, 0.1), size=n)
    return Predictions(
        paths=tuple(f"{row}.png" for row in range(n)),
        splits=("test",) * n,
        target=Classes(tuple(f"kind {number}" for number in range(num_classes))),
        targets=random.integers(-1, num_classes, size=n),
        outputs=outputs,
        failed=(Excluded("bad.png", "empty"),),
    )


def test_of_many_classes_a_table_has_the_most_probable(tmp_path):
    table = of_many()
    table.to_csv(tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == [
        "path", "split", "target", "predicted", "probability", "correct",
        *(f"{name}:{rank}" for rank in (2, 3, 4, 5) for name in ("predicted", "probability")), "problem",
    ]  # fmt: skip
    for row, numbers, outputs in zip(rows, table.top(5), table.outputs, strict=False):
        names = [row[3], row[6], row[8], row[10], row[12]]
        assert names == [f"kind {number}" for number in numbers]
        assert [float(row[place]) for place in (4, 7, 9, 11, 13)] == outputs[numbers].tolist()
    assert rows[-1] == ["bad.png", *[""] * 13, "empty"]
    assert tuple(header) == table.columns == tuple(table.to_json()[0])
    assert len(of_many(num_classes=50).columns) == 57


def test_of_many_classes_all_are_written_if_asked_for_and_only_they_read_back(tmp_path):
    table = of_many()
    table.to_csv(tmp_path / "all.csv", all_classes=True)
    assert_same(Predictions.from_csv(tmp_path / "all.csv"), table)
    assert len(table.to_json(all_classes=True)[0]) == 67
    table.to_csv(tmp_path / "top.csv")
    with pytest.raises(DataError, match=r"top.csv: has the 5 most probable classes .* all_classes=True"):
        Predictions.from_csv(tmp_path / "top.csv")


def test_json_is_written_a_record_at_a_time_as_it_would_be_at_once(tmp_path):
    for name, table in {"many": of_many(), "few": classified(), "none": classified().take([])}.items():
        table = replace(table, failed=()) if name == "none" else table
        table.write_json(tmp_path / f"{name}.json")
        write_json(tmp_path / "whole.json", table.to_json())
        assert (tmp_path / f"{name}.json").read_text() == (tmp_path / "whole.json").read_text()


FORMULAS = ("=1+1", "\t=1+1", "\r=1", "  +1", "@SUM(A1)", "-1+1", "\n\t =1", "'=1", "''\t=1", "\u00a0=1")


def test_no_cell_is_a_formula_and_each_reads_back(tmp_path):
    """A spreadsheet calculates a cell that begins with a sign, quoted or not; white space before it does not help."""
    names = (*FORMULAS, "'quoted'", "'", "a=1")
    table = classified(
        target=Classes(("=A", "\t-b", "c")),
        paths=names[: len(classified())],
        failed=tuple(Excluded(n, n) for n in names),
    )
    table.to_csv(tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [
        cell for cell in cells if re.match(r"\s*[=+@-]", cell) and not re.fullmatch(r"-?[\d.e+-]+", cell)
    ]
    assert_same(Predictions.from_csv(tmp_path / "p.csv"), table)


@given(st.text(st.sampled_from("'= +-@\t\na"), max_size=6))
def test_any_text_survives_being_made_harmless(text):
    assert csv_value(csv_cell(text)) == text
    assert not re.match(r"\s*[=+@-]", csv_cell(text))
