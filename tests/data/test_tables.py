"""Tables → Index: any delimiter, quoting and encoding; what is inferred, and a reason for every row left out."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from refusals import table_refusal as refusal

from mirada.data.index import Index
from mirada.data.sources import load_data
from mirada.data.sources.names import made_equal
from mirada.data.sources.roles import name_and_unit
from mirada.data.sources.tables import Table, read_table
from mirada.data.sources.values import number
from mirada.samples import Excluded, Source

DELIMITERS = [",", ";", "\t", "|"]


def table_at(folder: Path, text: str, *, images: Sequence[str] = (), name: str = "table.csv") -> Path:
    """A table, and files (empty ones will do: nothing is decoded) that it names."""
    for image in images:
        (folder / image).parent.mkdir(parents=True, exist_ok=True)
        (folder / image).touch()
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def loaded(folder: Path, header: str, *rows: str, **options: Any) -> Index:
    """The index of a comma-separated table whose first field is the file name."""
    images = [row.split(",")[0] for row in rows]
    return load_data(table_at(folder, "\n".join((header, *rows)), images=images), **options)


def rows_of(table: Table) -> list[list[str]]:
    return [list(row) for row in zip(*table.cells, strict=True)]


# --- text → cells -------------------------------------------------------------------------------------------

# Latin-1 is told from UTF-8 by bytes that are not UTF-8, and from Windows-1252 by no letter at all.
LETTERS = st.characters(
    min_codepoint=0x20, max_codepoint=0xFF, exclude_characters='"\x7f', exclude_categories=["Cc"]
)
WORDS = st.text(LETTERS, min_size=1, max_size=8).map(str.strip).filter(bool)
ROWS = st.integers(2, 4).flatmap(
    lambda width: st.lists(st.lists(WORDS, min_size=width, max_size=width), min_size=1, max_size=6)
)


def is_utf8(data: bytes) -> bool:
    try:
        return bool(data.decode("utf-8"))
    except UnicodeDecodeError:
        return False


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for a table, which is looked for images: among those of all tests that takes 60 ms."""
    return tmp_path_factory.mktemp("alone")


@pytest.mark.slow
@settings(max_examples=300)
@given(
    rows=ROWS,
    delimiter=st.sampled_from(DELIMITERS),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"]),
    ending=st.sampled_from(["\n", "\r\n", "\n\n", "\r\n\r\n"]),
    padding=st.sampled_from(["", " ", "  "]),
)
@example([["é", "ü"]], ",", csv.QUOTE_ALL, "latin-1", "\n", "")
def test_any_delimiter_quoting_and_encoding(
    alone: Path,
    rows: list[list[str]],
    delimiter: str,
    quoting: int,
    encoding: str,
    ending: str,
    padding: str,
) -> None:
    header = [f"column {chr(65 + place)}" for place in range(len(rows[0]))]
    if quoting == csv.QUOTE_MINIMAL:  # an unquoted delimiter of another kind would be a guess
        rows = [[cell.translate(str.maketrans(dict.fromkeys("\t;|,", "_"))) for cell in row] for row in rows]
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter, quoting=quoting, lineterminator=ending)
    writer.writerows([header, *rows])
    text = stream.getvalue()
    if padding and delimiter != "\t":
        text = text.replace(delimiter + '"', delimiter + padding + '"') if quoting == csv.QUOTE_ALL else text
    data = text.encode(encoding)
    if encoding == "latin-1" and is_utf8(data):
        return  # it is UTF-8 as well
    file = alone / "round.csv"
    file.write_bytes(data)
    table = read_table(file)
    assert table.columns == tuple(header)
    assert rows_of(table) == [made_equal(row) for row in rows]
    step = 2 if len(ending.replace("\r", "")) == 2 else 1
    assert list(table.numbers) == [1 + step * (n + 1) for n in range(len(rows))]


def test_excels_own_line_says_the_delimiter(tmp_path: Path) -> None:
    file = table_at(tmp_path, "sep=|\na,b|c\n1,2|3\n")
    assert read_table(file).columns == ("a,b", "c")


def test_windows_quotation_marks(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("name,text\na,“quoted” – €5\n".encode("cp1252"))
    assert rows_of(read_table(tmp_path / "t.csv")) == [["a", "“quoted” – €5"]]


def test_line_breaks_and_quotes_within_a_field(tmp_path: Path) -> None:
    file = table_at(tmp_path, 'a,b\n"two\nlines","say ""x"""\n\n3,4\n')
    table = read_table(file)
    assert (table.numbers, rows_of(table)) == ((2, 4), [["two\nlines", 'say "x"'], ["3", "4"]])


def test_trailing_delimiters_make_no_column_and_short_rows_are_filled(tmp_path: Path) -> None:
    table = read_table(table_at(tmp_path, "a;b;\n1;2;\n3\n"))
    assert table.columns == ("a", "b")
    assert rows_of(table) == [["1", "2"], ["3", ""]]
    assert read_table(table_at(tmp_path, ",a\n0,x\n1,y\n")).columns == (
        "column 1",
        "a",
    )  # pandas' row numbers


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,a\n1,2,3\n", 'TABLE: has more than one column called "a". Rename all but one.'),
        ("a,b\n", "TABLE: has a header (a, b) and no rows."),
        (
            "a,b\n1,2\n1,2,3\n",
            "TABLE: row 3 has 3 fields and the header 2. Put quotes around a field that holds the delimiter.",
        ),
        (
            "one\ntwo\n",
            "TABLE: expected columns divided by comma, semicolon, tab or |, with a header of at least two names; "
            "found 'one'.",
        ),
        ("PK\x03\x04…", "TABLE: is an Excel workbook or another packed file. Save the sheet as CSV."),
    ],
)
def test_what_is_no_table(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(table_at(tmp_path, text)) == message


def test_an_empty_file_and_a_huge_field(tmp_path: Path) -> None:
    for text in ("", "\n\n", " \r\n", "\ufeff"):
        assert refusal(table_at(tmp_path, text)) == (
            "TABLE: is empty. Expected a header and a row for each image."
        )
    assert "field larger than field limit" in refusal(table_at(tmp_path, "a,b\n1," + "x" * 200_000))


# --- numbers and units --------------------------------------------------------------------------------------


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_read_as_python_writes_them(value: float) -> None:
    assert number(repr(value)) == value
    assert number(repr(value).replace(".", ","), decimal_comma=True) == value


@pytest.mark.parametrize(
    "text", ["", "abc", "1_000", "inf", "1e999", "nan", "1 2", "1,5", "0x10", "1e", "--1", "12 months"]
)
def test_what_is_no_number(text: str) -> None:
    assert math.isnan(number(text))


@pytest.mark.parametrize(
    ("header", "name", "unit"),
    [
        ("age (months)", "age", "months"), ("age [months]", "age", "months"), ("age_months", "age", "months"),
        ("length mm", "length", "mm"), ("boneage", "boneage", ""), ("left_hand", "left_hand", ""), ("(mm)", "(mm)", ""),
    ],
)  # fmt: skip
def test_units_in_headers(header: str, name: str, unit: str) -> None:
    assert name_and_unit(header) == (name, unit)


# --- what is inferred ---------------------------------------------------------------------------------------


def test_image_and_target_are_found(tmp_path: Path) -> None:
    text = "id,filename,boneage,male\n1,x/1.png,12.5,True\n2,x/2.png,30,False\n3,x/3.png,7,True\n"
    file = table_at(tmp_path, text, images=["x/1.png", "x/2.png", "x/3.png"])
    index = load_data(file)
    assert (index.root, index.source, index.origin) == (tmp_path, Source(path=file), file)
    assert index.paths == ("x/1.png", "x/2.png", "x/3.png")
    assert (index.task, index.targets[:, 0].tolist(), index.targets.dtype) == (
        "regression",
        [12.5, 30, 7],
        np.float64,
    )
    assert index.notes == ("image: filename", "target: boneage, 3 numbers from 7 to 30 → regression")
    assert load_data(tmp_path).paths == index.paths  # the folder's only table


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["b", "a", "b"], "classification", ("a", "b")),
        (["1", "0", "1"], "classification", ("0", "1")),  # two whole numbers
        (["1.5", "0.5", "1.5"], "regression", ()),
        (["1", "2", "3"], "regression", ()),
        (["01", "02", "11"], "classification", ("01", "02", "11")),  # codes
        (["True", "False", "True"], "classification", ("False", "True")),
    ],
)
def test_texts_are_classes_and_numbers_are_numbers(
    tmp_path: Path, values: list[str], task: str, classes: tuple[str, ...]
) -> None:
    rows = [f"{n}.png,{value}" for n, value in enumerate(values)]
    index = loaded(tmp_path, "file,label", *rows)
    assert (index.task, index.classes) == (task, classes)
    assert index.notes[1].startswith("target: label, ")
    assert f"→ {task}" in index.notes[1]
    want = [classes.index(v) for v in values] if classes else [float(v) for v in values]
    assert index.targets.ravel().tolist() == want


def test_the_task_can_be_said(tmp_path: Path) -> None:
    rows = [f"{n}.png,{value}" for n, value in enumerate([10, 9, 10, 2])]
    index = loaded(tmp_path, "file,grade", *rows, task="classification")
    assert (index.classes, index.targets.tolist()) == (("2", "9", "10"), [2, 1, 2, 0])
    assert index.source is not None and index.source.task == "classification"
    rows = [f"{n}.png,{value}" for n, value in enumerate([0, 1, 1])]
    assert loaded(tmp_path, "file,grade", *rows, task="regression").targets[:, 0].tolist() == [0.0, 1.0, 1.0]


def test_a_few_whole_numbers_are_said_to_be_perhaps_classes(tmp_path: Path) -> None:
    index = loaded(tmp_path, "file,grade", *(f"{n}.png,{n % 4}" for n in range(8)))
    note = "target: grade, 8 numbers from 0 to 3 → regression (only 4 different ones; task=classification makes classes"
    assert index.notes[1] == f"{note} of them)"


def test_the_target_may_come_before_the_image_and_a_table_may_lack_a_header(tmp_path: Path) -> None:
    index = load_data(table_at(tmp_path, "cat\ta.png\ndog\tb.png\n", images=["a.png", "b.png"], name="t.tsv"))
    assert index.classes == ("cat", "dog")
    assert index.notes[0] == "the first row names an image: the table has no header"
    assert load_data(tmp_path / "t.tsv", target="column 1").targets.tolist() == [0, 1]


def test_decimal_commas(tmp_path: Path) -> None:
    index = load_data(table_at(tmp_path, "file;size\na.png;1,5\nb.png;-2,25\n", images=["a.png", "b.png"]))
    assert index.targets[:, 0].tolist() == [1.5, -2.25]


def test_several_targets(tmp_path: Path) -> None:
    rows = ("a.png,1,2", "b.png,3,4", "c.png,,5")
    for target in ("x,y", ("x", "y"), "x (mm),y (mm)"):
        index = loaded(tmp_path, "file,x,y", *rows, target=target)
        np.testing.assert_array_equal(index.targets, [[1, 2], [3, 4]])
        assert index.target_names == ("x", "y")
        assert index.unit == ("mm" if "mm" in target else "")
        assert index.excluded == (Excluded("c.png", "row 4: no x"),)


def test_units_come_from_the_header_or_the_caller(tmp_path: Path) -> None:
    rows = ("a.png,10", "b.png,20")
    assert loaded(tmp_path, "file,age (months)", *rows, target="age").unit == "months"
    assert loaded(tmp_path, "file,Age", *rows, target="age (months)").unit == "months"
    assert loaded(tmp_path, "file,size, mm".replace(", mm", "_mm"), *rows).unit == "mm"
    assert loaded(tmp_path, "file,age", *rows).counts() == {"train": {"value": 2}}


def test_splits_by_a_column_named_or_found(tmp_path: Path) -> None:
    rows = ("a.png,Training,x", "b.png,valid,y", "c.png,TEST,x", "d.png,train,y")
    for header, options in (("file,split,kind", {}), ("file,role,kind", {"split": "role", "target": "kind"})):
        index = loaded(tmp_path, header, *rows, **options)
        assert index.splits.tolist() == ["train", "val", "test", "train"]
        assert index.classes == ("x", "y")
    assert refusal(tmp_path / "table.csv", split="kind").startswith(
        'TABLE: row 2 has "x" in the column kind, which is no split. '
    )


def test_an_unknown_word_in_a_column_of_splits_is_refused_however_it_was_found(tmp_path: Path) -> None:
    rows = ("a.png,train,x", "b.png,tset,y", "c.png,,x")
    file = table_at(tmp_path, "\n".join(("file,split,kind", *rows)), images=["a.png", "b.png", "c.png"])
    known = "test, test_set, testing, train, training, training_set, val, valid, validate, validation, validation_set"
    for options in ({}, {"split": "split"}):
        assert refusal(file, **options) == (
            'TABLE: row 3 has "tset" in the column split, which is no split. Did you mean "test"? '
            f"Known: {known}."
        )


def test_a_column_called_split_without_a_split_is_not_used_and_is_no_target(tmp_path: Path) -> None:
    rows = ("a.png,1,x,train", "b.png,2,y,test", "c.png,3,x,train")
    index = loaded(tmp_path, "file,set,kind,role", *rows, target="kind")
    assert set(index.splits) == {"train"}
    assert "not used: set, which has no split words (train, val, test)" in index.notes
    rows = ("a.png,1,train,x", "b.png,2,Train,y", "c.png,3,test,x")
    index = loaded(tmp_path, "file,set,split,kind", *rows)
    assert (index.classes, index.splits.tolist()) == (("x", "y"), ["train", "train", "test"])
    assert index.notes[-2:] == ("split: split", "not used: set, since split is")
    file = table_at(tmp_path, "file,set\na.png,x\nb.png,y\n")
    assert refusal(file).startswith(
        "TABLE: has no column left for the target beside file, set. Name the target"
    )
    assert load_data(file, target="set").classes == ("x", "y")


def test_a_saved_table_of_splits_can_be_fed_back(tmp_path: Path) -> None:
    from mirada.data.splits import complete_splits, save_splits

    rows = [f"{n}.png,{n},p{n // 2},{n % 2}" for n in range(20)]
    options = {"target": "age", "group": "patient", "covariates": "male"}
    index = loaded(tmp_path, "file,age,patient,male", *rows, **options)
    split, _ = complete_splits(index, val_fraction=0.2, test_fraction=0.2, seed=3)
    save_splits(split, tmp_path / "splits.csv")
    again = load_data(tmp_path / "table.csv", **options, split=tmp_path / "splits.csv")
    assert again.splits.tolist() == split.splits.tolist()
    assert set(again.splits) == {"train", "val", "test"}
    np.testing.assert_array_equal(again.covariates, split.covariates)
    assert again.source is not None and again.source.split == str(tmp_path / "splits.csv")
    table = load_data(
        tmp_path / "splits.csv", target="target", group="group", covariates=("male",)
    )  # beside the data
    assert (table.targets.tolist(), table.splits.tolist()) == (split.targets.tolist(), split.splits.tolist())


def test_groups(tmp_path: Path) -> None:
    rows = ("a.png,1,p1", "b.png,2,p1", "c.png,3,")
    index = loaded(tmp_path, "file,age,patient", *rows, group="Patient")
    assert index.groups == ("p1", "p1", "c.png")
    assert index.notes[-1] == "group: patient, 2 groups, of which 1 row without a name"
    assert loaded(tmp_path, "file,age,patient", *rows).notes[-1].startswith("not used: patient")


def test_covariates(tmp_path: Path) -> None:
    rows = ("a.png,1,True,F,70.5,x", "b.png,2,False,M,80,y", "c.png,3,True,M,,x", "d.png,4,False,F,65,z")
    header = "file,age,male,sex,weight,site"
    index = loaded(tmp_path, header, *rows, covariates="male, sex,weight,site=x")
    assert index.covariate_names == ("male", "sex=M|F", "weight", "site=x")
    np.testing.assert_array_equal(index.covariates, [[1, 0, 70.5, 1], [0, 1, 80, 0], [0, 0, 65, 0]])
    assert index.excluded == (Excluded("c.png", "row 4: no weight"),)
    assert index.notes[-4:] == (
        "covariate: male (False is 0, True is 1)",
        "covariate: sex=M|F (M is 1, F is 0)",
        "covariate: weight (numbers)",
        "covariate: site=x (x is 1, all else 0)",
    )
    only_men = loaded(tmp_path, header, rows[1], rows[2], covariates=index.covariate_names[:2], target="age")
    np.testing.assert_array_equal(only_men.covariates, [[0, 1], [1, 1]])  # the same meaning in other data
    older = loaded(tmp_path, header, *rows[:2], covariates="sex=M", target="age")
    np.testing.assert_array_equal(older.covariates, [[0], [1]])


def test_a_third_word_is_neither_of_two(tmp_path: Path) -> None:
    rows = ("a.png,1,F", "b.png,2,M", "c.png,3,male", "d.png,4,")
    index = loaded(tmp_path, "file,age,sex", *rows, covariates="sex=M|F")
    assert (index.paths, index.covariates.tolist()) == (("a.png", "b.png"), [[0.0], [1.0]])
    assert index.excluded == (
        Excluded("c.png", 'row 4: sex is "male", neither M nor F'),
        Excluded("d.png", "row 5: no sex"),
    )
    turned = loaded(tmp_path, "file,age,sex", *rows[:2], covariates="sex=F|M")
    assert (turned.covariate_names, turned.covariates.tolist()) == (("sex=F|M",), [[1.0], [0.0]])


def test_a_covariate_of_three_words_is_refused(tmp_path: Path) -> None:
    loaded(tmp_path, "file,age,site", "a.png,1,x", "b.png,2,y", "c.png,3,z")
    assert refusal(tmp_path / "table.csv", covariates="site") == (
        'site: a covariate is a column of numbers or of two different words; found 3 ("x", "y", "z"). '
        "Name a value to tell from the rest: site=x."
    )


def test_a_models_classes(tmp_path: Path) -> None:
    rows = ("a.png,0", "b.png,0")
    assert loaded(tmp_path, "file,kind", *rows, classes=("1", "0")).targets.tolist() == [1, 1]
    assert refusal(tmp_path / "table.csv", classes=("x", "o")) == (
        'TABLE: the column kind has the class "0", which the model does not have. Known: o, x.'
    )


# --- files --------------------------------------------------------------------------------------------------


def test_rows_that_cannot_be_used_are_named_by_their_number(tmp_path: Path) -> None:
    text = "file,age\na.png,1\n\nimages/gone.png,2\nb.png,\nc.png,old\n,3\nd.png,4\na.png,5\n" + "".join(
        f"n{n}.png,{n}\n" for n in range(20)
    )
    images = ["a.png", "b.png", "c.png", "d.png", *(f"n{n}.png" for n in range(20))]
    index = load_data(table_at(tmp_path, text, images=images))
    assert index.excluded == (
        Excluded("images/gone.png", "row 4: there is no such file"),
        Excluded(str(tmp_path / "table.csv"), "row 7: no file"),
        Excluded("b.png", "row 5: no age"),
        Excluded("c.png", 'row 6: age is "old", which is no number'),
    )
    assert index.paths[:3] == ("a.png", "d.png", "a.png")  # a file may be named twice
    assert index.targets[:3, 0].tolist() == [1, 4, 5]


def test_paths_of_windows_and_absolute_ones(tmp_path: Path) -> None:
    images = ["x/1.png", "x/2.png", "x/3.png"]
    text = f"file,age\nx\\1.png,1\n{tmp_path.resolve()}/x/2.png,2\n./x/3.png,3\n"
    assert load_data(table_at(tmp_path, text, images=images)).paths == tuple(images)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    text = f"file,age\n{tmp_path}/x/1.png,1\n../x/2.png,2\n"
    index = load_data(table_at(elsewhere, text))
    assert index.paths == (f"{tmp_path}/x/1.png", "../x/2.png")
    assert all(index.path(row).is_file() for row in range(2))


def test_bare_names_are_found_one_folder_below_and_without_extension(tmp_path: Path) -> None:
    images = ["part1/1377.png", "part2/1378.png", "part2/1379.png"]
    text = "id,boneage\n1377,180\n1378,12\n1379,94\n1380,3\n" + "\n"
    index = load_data(table_at(tmp_path, text, images=[*images, "part2/9.png"]), image="id")
    assert index.paths == tuple(images)
    assert index.excluded == (Excluded("1380", "row 5: there is no such file"),)
    assert load_data(table_at(tmp_path, text.replace("1380,3\n", ""))).paths == tuple(images)
    (tmp_path / "part1" / "1378.png").touch()  # now there are two
    assert load_data(tmp_path / "table.csv", image="id").paths == (images[0], images[2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "agee"}, 'TABLE: has no column "agee". Did you mean "age"? Known: age, file, sex.'),
        ({"image": "nothing"}, 'TABLE: has no column "nothing". Known: age, file, sex.'),
        (
            {"target": "file", "image": "file"},
            'TABLE: the column "file" cannot be both the image and the target.',
        ),
        ({"target": "file"}, 'TABLE: the column "file" cannot be both the image and the target.'),
        ({"group": "file"}, 'TABLE: the column "file" cannot be both the image and the group.'),
        ({"covariates": "file"}, 'TABLE: the column "file" cannot be both the image and a covariate.'),
        (
            {"target": "age", "covariates": "age"},
            'TABLE: the column "age" cannot be both the target and a covariate.',
        ),
        (
            {"target": "age", "covariates": "sex,age=1"},
            'TABLE: the column "age" cannot be both the target and a covariate.',
        ),
        (
            {"target": "age", "group": "Age"},
            'TABLE: the column "age" cannot be both the target and the group.',
        ),
        (
            {"target": "age", "split": "age"},
            'TABLE: the column "age" cannot be both the target and the split.',
        ),
        ({"target": "age,age"}, 'TABLE: the column "age" is named twice among the targets.'),
        ({"target": ("age", "age (months)")}, 'TABLE: the column "age" is named twice among the targets.'),
        (
            {"target": "age,sex", "task": "classification"},
            "TABLE: age, sex are several targets, and there can be only one for classification.",
        ),
        (
            {"target": "sex", "task": "regression"},
            "TABLE: the column sex holds no number. Name another column as the target.",
        ),
        ({"target": "sex"}, 'TABLE: only one class ("m"). Classification needs at least two.'),
        ({"covariates": ("age", "Age")}, "TABLE: a column is named twice among the covariates age."),
    ],
)
def test_columns_that_cannot_be_meant(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    loaded(tmp_path, "file,age,sex", "a.png,1,m", "b.png,2,m")
    assert refusal(tmp_path / "table.csv", **options).replace(str(tmp_path), "ROOT") == message


def test_the_nearest_column_is_offered_whatever_its_unit_and_capitals(tmp_path: Path) -> None:
    loaded(tmp_path, "file,Age (months),sex", "a.png,1,m", "b.png,2,m")
    assert refusal(tmp_path / "table.csv", target="ageee") == (
        'TABLE: has no column "ageee". Did you mean "Age (months)"? Known: Age (months), file, sex.'
    )


def test_one_row_is_not_several(tmp_path: Path) -> None:
    file = table_at(tmp_path, "file,age\na.png,1\n")
    assert "TABLE: of its 1 row none can be used; the first: a.png: row 2: there is no such file." in refusal(
        file
    )


def test_a_column_of_names_cannot_be_classes(tmp_path: Path) -> None:
    rows = [f"{n}.png,name{n},{n % 2}" for n in range(30)]
    images = [f"{n}.png" for n in range(30)]
    file = table_at(tmp_path, "\n".join(("file,who,kind", *rows)), images=images)
    assert load_data(file).classes == ("0", "1")  # kind: who is all that is left besides, and is none
    file = table_at(tmp_path, "\n".join(("file,who", *(row.rpartition(",")[0] for row in rows))))
    assert refusal(file) == (
        "TABLE: the column who has 30 different values in 30 rows, which cannot be classes. "
        "Name the target: file, who."
    )


def test_a_table_whose_files_are_elsewhere(tmp_path: Path) -> None:
    file = table_at(tmp_path, "path,split,target\na/1.png,train,x\nb/1.png,test,y\n")
    assert refusal(file).replace(str(tmp_path), "ROOT") == (
        "TABLE: of its 2 rows none can be used; the first: a/1.png: row 2: there is no such file. Paths are relative "
        "to ROOT; if this is the splits.csv of a run, load the data that it was made from, with this file as `split`."
    )


def test_a_table_without_images_or_without_a_target(tmp_path: Path) -> None:
    assert refusal(table_at(tmp_path, "a,b\n1,2\n")).replace(str(tmp_path), "ROOT") == (
        "TABLE: no column names image files. Name it with `image`, if the files are there: paths are relative to ROOT. "
        "Columns: a, b."
    )
    file = table_at(tmp_path, "file,patient\na.png,p\nb.png,q\n", images=["a.png", "b.png"])
    assert refusal(file, group="patient") == (
        "TABLE: has no column left for the target beside file, patient. Name the target, or add a column with a class "
        "or a number for each image."
    )


def test_columns_need_a_table(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert refusal(tmp_path, target="age") == "TABLE: `target` names a column, and there is no table here."
    for name in ("one.csv", "train.csv"):
        table_at(tmp_path, "file,age\na.png,1\n", name=name)
    assert refusal(tmp_path, target="age") == (
        "TABLE: `target` names a column, and a folder was given. There are tables in it, too (one.csv, train.csv): "
        "if one lists the images, name it: mirada train TABLE/train.csv"
    )


# --- data frames --------------------------------------------------------------------------------------------


class Frame:
    """What is used of a pandas ``DataFrame``."""

    def __init__(self, **columns: list[Any]) -> None:
        self.columns = list(columns)
        self._rows = list(zip(*columns.values(), strict=True))

    def itertuples(self, *, index: bool, name: str | None) -> Any:
        assert (index, name) == (False, None)
        return iter(self._rows)


def test_a_data_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).touch()
    frame = Frame(
        path=["a.png", str(tmp_path / "b.png"), "c.png", "a.png"],
        age=[1.5, np.float64(2), float("nan"), np.float32(4)],
        male=[True, np.False_, True, None],
    )
    index = load_data(frame, covariates="male")  # type: ignore[arg-type]
    assert (index.paths, index.targets[:, 0].tolist()) == (("a.png", "b.png"), [1.5, 2.0])
    assert index.covariates[:, 0].tolist() == [1, 0]
    assert index.excluded == (Excluded("c.png", "row 2: no age"), Excluded("a.png", "row 3: no male"))
    assert (index.root, index.source) == (tmp_path, None)


def test_pandas_frame_is_the_table_that_it_was_read_from(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = shared_data / "boneage" / "boneage.csv"
    monkeypatch.chdir(file.parent)
    frame = pandas.read_csv(file)
    of_file, of_frame = (
        load_data(root, target="boneage (months)", covariates="male") for root in (file, frame)
    )
    assert of_frame.paths == of_file.paths
    np.testing.assert_array_equal(of_frame.targets, of_file.targets)
    np.testing.assert_array_equal(of_frame.covariates, of_file.covariates)
    boys = load_data(frame[frame["male"]], target="boneage")  # row labels with gaps
    assert len(boys) == frame["male"].sum()


@pytest.mark.parametrize("kind", ["object", "string", "category", "Int64", "Float64", "float32"])
def test_pandas_kinds_of_columns(kind: str, tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / f"{name}.png").touch()
    ages: list[object] = (
        ["1", "2", None, "4"] if kind in ("object", "string", "category") else [1, 2, None, 4]
    )
    frame = pandas.DataFrame({"file": [tmp_path / f"{name}.png" for name in "abcd"]})
    frame["age"] = pandas.Series(ages, dtype=kind)
    index = load_data(frame, task="regression")
    assert index.targets[:, 0].tolist() == [1, 2, 4]
    assert [item.reason for item in index.excluded] == ["row 2: no age"]


# --- real data ----------------------------------------------------------------------------------------------


def test_bone_age_in_place(shared_data: Path) -> None:
    file = shared_data / "boneage" / "boneage.csv"
    index = load_data(file, target="boneage (months)", covariates="male")
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(index) == len(rows) == 480
    assert (index.task, index.unit, index.excluded) == ("regression", "months", ())
    assert index.paths == tuple(row["filename"] for row in rows)
    np.testing.assert_array_equal(index.targets[:, 0], [float(row["boneage"]) for row in rows])
    np.testing.assert_array_equal(index.covariates[:, 0], [row["male"] == "True" for row in rows])
    assert index.notes[1] == "target: boneage, 480 numbers from 15 to 216 months → regression"
    assert load_data(file.parent).paths == index.paths


@pytest.mark.slow
@settings(max_examples=200)
@given(data=st.binary(max_size=200))
@example(b"\xff\xfe")
@example(b"\x00")
@example(b"a,b\n\x00,1")
@example(b"sep=;\n")
@example(b'"')
def test_no_bytes_end_in_anything_but_a_sentence(alone: Path, data: bytes) -> None:
    file = alone / "fuzz.csv"
    file.write_bytes(data)
    text = refusal(file)
    assert text.startswith("TABLE: ") and text.endswith((".", "…"))
