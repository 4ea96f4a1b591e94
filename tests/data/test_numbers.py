"""Columns of a table → numbers: what a comma means, what says nothing, which cells are slips; and covariates."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import table_refusal as refusal

from mirada.data.index import Index
from mirada.data.sources import load_data
from mirada.data.sources.columns import Wanted
from mirada.data.sources.rows import load_table
from mirada.data.sources.tables import read_table
from mirada.data.sources.values import blanked, is_numeric, read_numbers
from mirada.samples import Excluded

Made = Callable[..., Path]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Writes a table of the column ``file`` and those given, every field quoted; the images are there."""

    def make(*, delimiter: str = ",", **columns: Sequence[object]) -> Path:
        lines = [("file", *columns)]
        for number, cells in enumerate(zip(*columns.values(), strict=True)):
            (tmp_path / f"{number}.png").touch()
            lines.append((f"{number}.png", *map(str, cells)))
        text = "\n".join(delimiter.join(f'"{cell}"' for cell in line) for line in lines)
        (tmp_path / "t.csv").write_text(text, encoding="utf-8")
        return tmp_path / "t.csv"

    return make


# --- what a comma means -------------------------------------------------------------------------------------

ENGLISH = ["900.5", "1,001", "902.5", "1,234,567.25", "-12,000"]
GERMAN = ["900,5", "1.001", "902,5", "1.234.567,25", "-12.000"]
BOTH = [900.5, 1001, 902.5, 1234567.25, -12000]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    ("cells", "note"),
    [(ENGLISH, "comma: thousands"), (GERMAN, "comma: decimal, point: thousands")],
    ids=["English", "German"],
)
def test_the_column_and_not_the_delimiter_says_what_a_comma_means(
    made: Made, delimiter: str, cells: list[str], note: str
) -> None:
    index = load_data(made(delimiter=delimiter, size=cells))
    assert index.targets[:, 0].tolist() == BOTH
    assert index.notes[1] == f"target: size, 5 numbers from -12,000 to 1.23457e+06 ({note}) → regression"


def test_thousands_of_excel_in_a_file_of_tabs(made: Made) -> None:
    cells = [f"{900.5 + n}" for n in range(29)] + ["1,001"]
    index = load_data(made(delimiter="\t", age=cells))
    assert index.targets[:, 0].tolist() == [*(900.5 + n for n in range(29)), 1001]
    assert index.notes[1] == "target: age, 30 numbers from 900.5 to 1,001 (comma: thousands) → regression"


def test_decimal_commas_in_a_file_of_commas_and_in_a_data_frame(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = [f"{n},75" for n in range(30)]
    file = made(size=cells)
    want = [n + 0.75 for n in range(30)]
    for options in ({}, {"target": "size"}, {"task": "regression"}):
        index = load_data(file, **options)  # type: ignore[arg-type]
        assert index.targets[:, 0].tolist() == want
        assert index.notes[1] == "target: size, 30 numbers from 0.75 to 29.75 (comma: decimal) → regression"
    monkeypatch.chdir(file.parent)
    frame = pandas.DataFrame({"file": [f"{n}.png" for n in range(30)], "size": cells})
    assert load_data(frame).targets[:, 0].tolist() == want


@pytest.mark.parametrize(
    ("delimiter", "values", "meaning"),
    [
        (",", [900, 1001, 2500], 'comma: thousands, assumed: "1,001" is 1001'),
        ("\t", [900, 1.001, 2.5], 'comma: decimal, assumed: "1,001" is 1.001'),
        (";", [900, 1.001, 2.5], 'comma: decimal, assumed: "1,001" is 1.001'),
    ],
)
def test_what_could_be_either_follows_the_delimiter_and_is_said(
    made: Made, delimiter: str, values: list[float], meaning: str
) -> None:
    file = made(delimiter=delimiter, size=["900", "1,001", "2,500"], weight=["1,001", "900", "2,500"])
    index = load_data(file, covariates="weight")
    assert index.targets[:, 0].tolist() == values
    assert f"({meaning}) → regression" in index.notes[1]
    assert index.notes[-1] == f"covariate: weight (numbers, {meaning})"
    several = load_data(file, target="size,weight")
    np.testing.assert_array_equal(several.targets[:, 0], values)
    assert several.notes[1] == f"targets: size ({meaning}), weight ({meaning}) → regression of 2 numbers"


@pytest.mark.parametrize(
    ("cell", "thousands"),
    [("0,125", False), ("1,0001", False), ("1000,125", False), (",125", False), ("1,001,000", True), ("1,001.", True)],
)  # fmt: skip
@pytest.mark.parametrize("decimal_comma", [False, True])
def test_one_cell_may_tell(cell: str, thousands: bool, decimal_comma: bool) -> None:
    want = float(cell.replace(",", "" if thousands else "."))
    reading = read_numbers([cell, "1,001"], decimal_comma=decimal_comma)
    assert reading.values.tolist() == [want, 1001 if thousands else 1.001]
    assert reading.note == ("comma: thousands" if thousands else "comma: decimal")


@given(
    values=st.lists(st.integers(-(10**12), 10**12).map(lambda n: n / 100), min_size=1, max_size=8),
    decimal_comma=st.booleans(),
)
def test_whatever_python_writes_is_read(values: list[float], decimal_comma: bool) -> None:
    """With two decimals a comma is never in doubt."""
    english = [f"{value:,.2f}" for value in values]
    german = [cell.translate(str.maketrans(",.", ".,")) for cell in english]
    for cells in (english, german, [cell.replace(",", "") for cell in english]):
        reading = read_numbers(cells, decimal_comma=decimal_comma)
        assert reading.values.tolist() == values
        assert bool(reading.note) == ("," in "".join(cells))
        assert "assumed" not in reading.note


def test_two_ways_of_writing_in_one_column_are_refused(made: Made) -> None:
    file = made(size=["3,75", "12.5", "4,25", "13.5"])
    message = (
        'size: "12.5" needs a decimal point, "3,75" a decimal comma. Write all numbers of the column alike.'
    )
    for options in ({}, {"target": "size"}, {"task": "regression"}):
        assert refusal(file, **options) == message
    file = made(age=[1, 2, 3, 5], size=["x", "4,25", "12.5", "4,5"])
    assert "cannot" not in load_data(file, target="age").notes[1]  # what is not used may be as it likes
    file = made(age=[1, 2, 3, 5], size=["3,75", "4,25", "12.5", "4,5"])
    assert refusal(file, covariates="size") == (
        'size: "3,75" needs a decimal comma, "12.5" a decimal point. Write all numbers of the column alike.'
    )


def test_a_few_cells_written_otherwise_are_slips(made: Made) -> None:
    index = load_data(made(delimiter="\t", size=[*(f"{n}.5" for n in range(19)), "7,5"]))
    assert index.excluded == (
        Excluded("19.png", 'row 21: size is "7,5", which is no number with a decimal point'),
    )
    assert "comma" not in index.notes[1]  # none was interpreted
    index = load_data(made(size=[*(f"{n},5" for n in range(19)), "1,2,3"]))
    assert index.excluded == (Excluded("19.png", 'row 21: size is "1,2,3", which is no number'),)


def test_commas_between_words_say_nothing_of_numbers() -> None:
    reading = read_numbers(["1.001", "Smith, J", "2.002"], decimal_comma=True)
    np.testing.assert_array_equal(reading.values, [1.001, np.nan, 2.002])
    assert reading.note == ""
    versions = ["1.001.002"] * 9 + ["Smith, J"]
    assert not is_numeric(versions, decimal_comma=True)


# --- what says nothing, and slips ---------------------------------------------------------------------------


@pytest.mark.parametrize(("numbers", "is_one"), [(27, True), (26, False), (30, True)])
def test_nine_in_ten_are_counted_exactly(numbers: int, is_one: bool) -> None:
    cells = [f"{n}" for n in range(numbers)] + ["?!"] * (30 - numbers)
    assert is_numeric(cells, decimal_comma=False) == is_one
    assert is_numeric([*cells, "", "?", "."], decimal_comma=False) == is_one


def test_nine_numbers_and_a_slip_are_a_regression(made: Made) -> None:
    file = made(age=[*range(10, 19), "12y"])
    for options in ({}, {"target": "age"}):
        index = load_data(file, **options)  # type: ignore[arg-type]
        assert (index.task, index.targets[:, 0].tolist()) == ("regression", list(range(10, 19)))
        assert index.excluded == (Excluded("9.png", 'row 11: age is "12y", which is no number'),)


def test_classes_of_which_most_are_numbers_are_remarked_upon(made: Made) -> None:
    said = refusal(made(age=[1, 2, 3, "12y"]))  # they would be four classes of an image each
    assert '"12y" is no number' in said and "task=regression" in said
    note = load_data(made(age=[1, 2, 3, "12y"] * 2)).notes[1]
    assert note == (
        "target: age, 4 classes (1, 12y, 2, 3) → classification (3 of them are numbers; task=regression leaves out "
        "the rest)"
    )


@pytest.mark.parametrize("word", ["-", "?", ".", "None", "null", "NA", ""])
def test_what_says_nothing_among_numbers(made: Made, word: str) -> None:
    index = load_data(made(age=[1, 2.5, word, 4, word]))
    assert index.targets[:, 0].tolist() == [1, 2.5, 4]
    assert [item.reason for item in index.excluded] == ["row 4: no age", "row 6: no age"]
    index = load_data(made(age=[1, 2, 3], size=[1, word, 2.5]), covariates="size")
    assert (index.covariates.tolist(), index.excluded[0].reason) == ([[1], [2.5]], "row 3: no size")
    index = load_data(made(ill=[0, 1, 0, word]))
    assert (index.classes, index.targets.tolist()) == (("0", "1"), [0, 1, 0])
    assert load_data(index.origin, classes=index.classes).targets.tolist() == [0, 1, 0]  # of a model


def test_a_dash_and_none_may_be_classes(made: Made) -> None:
    assert load_data(made(her2=["+", "-", "+", "?"])).classes == ("+", "-")
    assert load_data(made(finding=["None", "mass", "mass"])).classes == ("None", "mass")
    file = made(grade=["None", 1, 2])
    assert load_data(file, task="classification").classes == ("1", "2", "None")
    assert load_data(file, classes=("None", "1", "2")).targets.tolist() == [0, 1, 2]
    assert blanked(["None", "1"]) == ["", "1"]
    assert blanked(["None", "x"]) == ["None", "x"]


def test_a_target_that_was_named_is_not_asked_for(made: Made) -> None:
    file = made(who=[f"n{n}" for n in range(30)])
    advice = refusal(file, target="who").removeprefix(
        "TABLE: the column who has 30 different values in 30 rows, which cannot be classes. "
    )
    assert advice == "Name another column as the target, or say task=classification if they are."
    assert len(load_data(file, task="classification").classes) == 30


@pytest.mark.parametrize("options", [{}, {"task": "regression"}, {"target": "age (years)"}])
def test_a_target_that_is_always_the_same(made: Made, options: dict[str, Any]) -> None:
    note = load_data(made(age=[7] * 5), **options).notes[1]
    unit = " years" if "target" in options else ""
    assert (
        note
        == f"target: age, 5 numbers from 7 to 7{unit} → regression (all are 7: there is nothing to learn)"
    )


def test_a_task_that_there_is_not(made: Made) -> None:
    assert refusal(made(age=[1, 2, 3]), task="regresion") == (
        'There is no task called "regresion". Did you mean "regression"? Known: classification, regression.'
    )


# --- covariates of words ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "meant"), [("Male", "male"), ("FEMALE", "female")])
def test_other_capitals_are_a_slip(made: Made, value: str, meant: str) -> None:
    file = made(age=[1, 2, 3], sex=["female", "male", "female"])
    assert refusal(file, covariates=f"sex={value}") == (
        f'the column sex has no "{value}". Did you mean "{meant}"? Known: female, male.'
    )


@pytest.mark.parametrize(
    ("value", "found", "meaning"),
    [
        ("M", "F", 'M is 1, all else 0; no row has "M", only "F"'),
        ("male", "female", 'male is 1, all else 0; no row has "male", only "female"'),
        ("site1", "site2", 'site1 is 1, all else 0; no row has "site1", only "site2"'),
        ("M|F", "F", "M is 1, F is 0"),
    ],
)
def test_data_may_lack_the_value_that_a_model_names(made: Made, value: str, found: str, meaning: str) -> None:
    index = load_data(made(age=[1, 2, 3], kind=[found] * 3), covariates=f"kind={value}", task="regression")
    assert index.covariates.tolist() == [[0], [0], [0]]
    assert index.notes[-1] == f"covariate: kind={value} ({meaning}; 0 in every row)"


def test_a_constant_covariate_is_noted(made: Made) -> None:
    index = load_data(made(age=[1, 2, ""], weight=[70.5, 70.5, 80], male=[1, 0, 1]), covariates="weight,male")
    assert index.notes[-2:] == (
        "covariate: weight (numbers; 70.5 in every row)",  # that can be used
        "covariate: male (numbers)",
    )


def test_a_word_with_a_bar_is_not_proposed(made: Made) -> None:
    start = 'c: a covariate is a column of numbers or of two different words without "|"; found '
    file = made(age=[1, 2, 3], c=["a|b", "c", "d"])
    assert refusal(file, covariates="c") == (
        f'{start}3 ("a|b", "c", "d"). Name a value to tell from the rest: c=c.'
    )
    np.testing.assert_array_equal(load_data(file, covariates="c=c").covariates, [[0], [1], [0]])
    file = made(age=[1, 2], c=["a|b", "c|d"])
    assert refusal(file, covariates="c") == f'{start}2 ("a|b", "c|d"). Write them without "|".'


# --- files --------------------------------------------------------------------------------------------------


def listed(file: Path, wanted: Wanted) -> Index:
    return load_table(read_table(file), wanted, file.parent, None)


@pytest.mark.parametrize(
    "text", ["file\n0.png\n1, 2.png\n", "0.png\n1, 2.png\n", '"0.png"\r\n"1, 2.png"\r\n']
)
def test_a_list_of_images_is_a_table_of_one_column(tmp_path: Path, text: str) -> None:
    for name in ("0.png", "1, 2.png"):
        (tmp_path / name).touch()
    (tmp_path / "list.csv").write_text(text)
    assert listed(tmp_path / "list.csv", Wanted(unlabeled=True)).paths == ("0.png", "1, 2.png")
    first = text.split()[0]
    assert refusal(tmp_path / "list.csv") == (
        "TABLE: expected columns divided by comma, semicolon, tab or |, with a header of at least two names; "
        f"found {first!r}."
    )


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', '"sep=;"\r'])
def test_the_line_of_excel_may_be_quoted(tmp_path: Path, line: str) -> None:
    (tmp_path / "t.csv").write_text(f"{line}\na,b;c\n1,2;3\n", encoding="utf-8", newline="")
    assert read_table(tmp_path / "t.csv").columns == ("a,b", "c")


def test_a_single_nul_does_not_make_a_table_utf16(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("größe,b\n1\0,2\n".encode() + b"3,4\n" * 30)
    assert read_table(tmp_path / "t.csv").columns == ("größe", "b")
    for encoding in ("utf-16-le", "utf-16-be"):
        (tmp_path / "t.csv").write_bytes("größe,Ж\n1,2\n".encode(encoding))
        assert read_table(tmp_path / "t.csv").columns == ("größe", "Ж")


def test_workbooks_are_named_as_such(tmp_path: Path) -> None:
    for start in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        (tmp_path / "t.csv").write_bytes(start + b"\0" * 600)
        assert refusal(tmp_path / "t.csv") == (
            "TABLE: is an Excel workbook or another packed file. Save the sheet as CSV."
        )
