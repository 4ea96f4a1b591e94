"""What stands in the cells of tables as people write them: amounts with units, dates, spaces in numbers, paths."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from refusals import refusal, table_refusal

from mirada.data.sources import load_data
from mirada.samples import Excluded

N = 12


def listed(
    folder: Path,
    cell: Callable[[int], str],
    *,
    file: str = "im{}.png",
    header: str = "file;value",
    lie: str = "",
) -> Path:
    """A table of ``N`` rows, of which each names an image that is there."""
    for number in range(N):
        image = folder / (lie or file).format(number)
        image.parent.mkdir(parents=True, exist_ok=True)
        image.touch()
    rows = [f"{file.format(number)};{cell(number)}" for number in range(N)]
    (folder / "t.csv").write_text("\n".join((header, *rows)), encoding="utf-8")
    return folder / "t.csv"


@pytest.mark.parametrize(
    ("written", "odd"),
    [
        ("{} cm", "0 cm"), ("{} µm", "0 µm"), ("{}%", "0%"), (">{}", ">0"), ("{}-40", "0-40"),
        ("2020-01-{:02}", "2020-01-00"),
        ("{}.01.2020", "0.01.2020"), ("{}:30", "0:30"), ("{} kg.", "0 kg."), ("1/{}", "1/0"),
        ("1.234.00{}", "1.234.000"),
    ],
)  # fmt: skip
def test_amounts_and_dates_are_no_classes(tmp_path: Path, written: str, odd: str) -> None:
    said = table_refusal(listed(tmp_path, written.format))
    assert f'"{odd}" is no number' in said and "task=classification" in said
    assert len(load_data(tmp_path / "t.csv", task="classification").classes) == N


@pytest.mark.parametrize("word", ["unknown", "--", "n.a.", "missing", "inf", "*"])
def test_numbers_beside_a_word_are_not_classes_without_being_asked_for(tmp_path: Path, word: str) -> None:
    table = listed(tmp_path, lambda number: word if number in (3, 7) else f"{number * 2.5}")
    assert f'"{word}" is no number' in table_refusal(table)
    index = load_data(table, task="regression")
    assert len(index) == N - 2 and len(index.excluded) == 2


@pytest.mark.parametrize(
    "names",
    [
        ("0-9", "10-19", "20-29"),
        ("5 ml", "10 ml"),
        ("3D", "2D"),
        ("1a", "1b", "2a"),
        ("001", "002", "003", "004"),
    ],
)
def test_few_amounts_that_come_again_are_classes(tmp_path: Path, names: Sequence[str]) -> None:
    index = load_data(listed(tmp_path, lambda number: names[number % len(names)]))
    assert sorted(index.classes) == sorted(names)


def test_many_names_that_begin_with_a_number_are_classes(tmp_path: Path) -> None:
    index = load_data(
        listed(tmp_path, lambda number: f"{number % 11}.Albatross {'abcdefghijk'[number % 11]}")
    )
    assert len(index.classes) == 11


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("1 00{}", 1000), ("1\u202f00{}", 1000), ("1'00{}", 1000), ("1’00{}", 1000),
        ("12 345,{}", 12345), ("\u2212{}", 0),
    ],
)  # fmt: skip
def test_numbers_are_read_as_they_are_written_elsewhere(tmp_path: Path, written: str, right: float) -> None:
    index = load_data(listed(tmp_path, lambda number: written.format(number % 10)), task="regression")
    assert index.targets[0, 0] == right and len(index) == N
    assert load_data(tmp_path / "t.csv").targets.tolist() == index.targets.tolist()


def test_a_point_that_may_stand_between_thousands_is_said(tmp_path: Path) -> None:
    index = load_data(listed(tmp_path, lambda number: f"1.0{number:02}"))
    assert index.targets[1, 0] == 1.001
    assert 'point: decimal, assumed: "1.000" is 1' in " ".join(index.notes)


@pytest.mark.parametrize("words", [("true", "True", "false"), ("yes", "Yes", "NO", "no"), ("Y", "n", "y")])
def test_true_and_false_are_two_classes_however_they_are_spelt(tmp_path: Path, words: Sequence[str]) -> None:
    table = listed(tmp_path, lambda number: words[number % len(words)])
    index = load_data(table)
    assert len(index.classes) == 2
    for spelt in (str.lower, str.upper):
        index = load_data(table, classes=[spelt(word) for word in index.classes])
        assert [index.classes[number].lower() for number in index.targets] == [
            words[number % len(words)].lower() for number in range(N)
        ]


def test_two_columns_of_labels_are_asked_about(tmp_path: Path) -> None:
    """The second is empty for most images, which makes it no less a label."""
    words = ("Mass;", "Mass;Nodule", "Nodule;", "Normal;")
    table = listed(tmp_path, lambda number: words[number % 4], header="file;label1;label2")
    assert "label1, label2" in table_refusal(table)


@pytest.mark.parametrize("between", ["||", "~", "^", "#", "*", ";;"])
def test_several_labels_whatever_stands_between_them(tmp_path: Path, between: str) -> None:
    words = ("Mass", f"Mass{between}Nodule", "Nodule", "Normal")
    assert "several labels" in table_refusal(listed(tmp_path, lambda number: f'"{words[number % 4]}"'))


@pytest.mark.parametrize("header", ["in_train", "inTrain", "is_train"])
def test_a_column_that_says_what_is_trained_on_is_the_split(tmp_path: Path, header: str) -> None:
    table = listed(
        tmp_path, lambda number: f"{int(number > 3)};{'ab'[number % 2]}", header=f"file;{header};label"
    )
    assert load_data(table).splits.tolist() == ["test"] * 4 + ["train"] * 8


def test_words_of_splits_may_have_spaces(tmp_path: Path) -> None:
    words = ("Training Set", "test-set", "validation set")
    table = listed(
        tmp_path, lambda number: f"{words[number % 3]};{'ab'[number // 6]}", header="file;set;label"
    )
    assert load_data(table).splits[:3].tolist() == ["train", "test", "val"]


@pytest.mark.parametrize("header", ["animal_id", "eye no", "VideoID", "AccessionNumber", "pat_nr"])
def test_identifiers_of_several_images_each_are_named_as_groups(tmp_path: Path, header: str) -> None:
    table = listed(
        tmp_path, lambda number: f"P{number // 3};{'ab'[number % 2]}", header=f"file;{header};label"
    )
    assert f"not used: {header} (as the group" in " ".join(load_data(table).notes)


def test_utf_32_is_known_by_its_mark(tmp_path: Path) -> None:
    table = listed(tmp_path, lambda number: ("Käse", "Öl")[number % 2])
    table.write_text(table.read_text(encoding="utf-8"), encoding="utf-32")
    assert load_data(table).classes == ("Käse", "Öl")


# --- paths --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "begin", ["/data/project/", "C:\\data\\project\\", "CheXpert-v1.0-small/", "../elsewhere/"]
)
def test_folders_of_another_computer_are_left_off_and_said(tmp_path: Path, begin: str) -> None:
    table = listed(
        tmp_path, lambda number: "ab"[number % 2], file=begin + "train/p{}/view.png", lie="train/p{}/view.png"
    )
    index = load_data(table)
    assert index.paths == tuple(f"train/p{number}/view.png" for number in range(N)) and not index.excluded
    assert f"read without {begin.replace(chr(92), '/')}, which is not here" in " ".join(index.notes)


def test_a_folder_that_is_here_is_not_left_off(tmp_path: Path) -> None:
    """Where train/3.png is not there, 3.png beside the folder is another's."""
    table = listed(tmp_path, lambda number: "ab"[number % 2], file="train/{}.png", lie="{}.png")
    (tmp_path / "train").mkdir()
    assert "none can be used" in table_refusal(table)


def test_capitals_of_a_files_name_do_not_matter_where_one_bears_it(tmp_path: Path) -> None:
    table = listed(tmp_path, lambda number: "ab"[number % 2], file="IM{}.PNG", lie="im{}.png")
    assert load_data(table).paths == tuple(f"im{number}.png" for number in range(N))
    (tmp_path / "Im3.png").touch()
    assert [item.reason[:28] for item in load_data(table).excluded] == ["row 5: there are several of "]


def test_a_file_of_another_extension_is_said(tmp_path: Path) -> None:
    table = listed(tmp_path, lambda number: "ab"[number % 2], file="{}.png")
    text = table.read_text().replace("3.png", "3.dcm")
    table.write_text(text)
    assert load_data(table).excluded == (Excluded("3.dcm", "row 5: there is no such file, but 3.png"),)


def test_images_two_folders_below_are_found_by_name(tmp_path: Path) -> None:
    table = listed(tmp_path, lambda number: "ab"[number % 2], file="{}.png", lie="images_001/images/{}.png")
    assert load_data(table).paths[3] == "images_001/images/3.png"


# --- folders ------------------------------------------------------------------------------------------------


def folders(root: Path, names: Sequence[str]) -> Path:
    for name in names:
        (root / name).mkdir(parents=True)
        for number in range(3):
            (root / name / f"{number}.png").touch()
    return root


@pytest.mark.parametrize(
    "names",
    [
        ("patient01", "patient02"), ("Subject 1", "Subject 2"), ("images_001", "images_002"), ("part-1", "part-2"),
        ("HAM10000_images_part_1", "HAM10000_images_part_2"), ("fold_0", "fold_1"), ("batch (1)", "batch (2)"),
        ("center_A", "center_B"), ("images", "masks"), ("JPEG", "PNG"), ("annotations", "images"),
    ],
)  # fmt: skip
def test_folders_that_are_called_like_parts_are_no_classes(tmp_path: Path, names: Sequence[str]) -> None:
    root = folders(tmp_path, names)
    said = refusal(root)
    assert "like parts of the data" in said and names[0] in said and "table" in said
    assert load_data(root, classes=names).classes == tuple(names)  # a model has them


@pytest.mark.parametrize(
    "names",
    [
        ("digit_0", "digit_1"),
        ("c0", "c1"),
        ("2019", "2020"),
        ("grade1", "grade2"),
        ("image", "cat"),
        ("a", "b"),
    ],
)
def test_folders_that_are_numbered_may_be_classes(tmp_path: Path, names: Sequence[str]) -> None:
    assert load_data(folders(tmp_path, names)).classes == tuple(sorted(names))


def test_folders_that_differ_in_a_space_at_the_end_are_one_class(tmp_path: Path) -> None:
    index = load_data(folders(tmp_path, ("cat", "dog", "dog ")))
    assert index.classes == ("cat", "dog") and "train: 2 folders are the class dog" in index.notes


def test_images_called_by_their_class_are_not_left_out_as_well(tmp_path: Path) -> None:
    for number in range(N):
        (tmp_path / f"{('cat', 'dog')[number % 2]}.{number}.jpg").touch()
    index = load_data(tmp_path)
    assert len(index) == N and not index.excluded


@pytest.mark.parametrize(
    ("words", "agree"), [(("a", "b"), True), (("0", "1"), True), (("x", "y", "z"), False)]
)
def test_a_table_beside_the_folders_is_said_and_refused_if_it_says_other_classes(
    tmp_path: Path, words: Sequence[str], agree: bool
) -> None:
    root = folders(tmp_path, ("a", "b"))
    rows = [
        f"{name}/{n}.png,{words[(place + (0 if agree else n)) % len(words)]}"
        for place, name in enumerate("ab")
        for n in range(3)
    ]
    (root / "labels.csv").write_text("\n".join(("file,label", *rows)))
    if agree:
        assert "not used: labels.csv, which lists these images" in " ".join(load_data(root).notes)
    else:
        assert "the column label of labels.csv says others of the same images" in refusal(root)
        assert load_data(root, classes=("a", "b")).classes == ("a", "b")
        spaced = root.rename(root.with_name("my photos"))
        assert "name the table: mirada train 'ROOT/labels.csv'; to learn the folders" in refusal(spaced)
        spaced.rename(root)
    (root / "labels.csv").write_text("id,label\nother1,x\nother2,y\n")  # of other images
    assert not load_data(root).notes


def test_labels_of_an_npz_that_may_be_classes_or_numbers_are_asked_about(tmp_path: Path) -> None:
    images, file = np.zeros((24, 4, 4), np.uint8), tmp_path / "d.npz"
    shares = np.array([[0.9, 0.1], [0.25, 0.75]])[np.arange(24) % 2]
    for labels, reason in ((np.arange(24), "24 different whole numbers"), (shares, "shares of 2 classes")):
        np.savez(file, x=images, y=labels)
        assert reason in refusal(file)
        assert load_data(file, task="regression").task == "regression"
    words = np.array(["Ka\u0308se", "K\u00e4se ", "Öl"])[np.arange(24) % 3]
    np.savez(file, x=images, y=words)
    assert load_data(file).classes == ("Käse", "Öl")


@pytest.mark.parametrize("mark", ["-1", "-1.0", "255", "-100"])
@pytest.mark.parametrize("classes", [("0", "1"), ("0", "1", "2"), ("1", "2", "3")])
def test_a_number_beside_classes_that_stands_for_unknown(
    tmp_path: Path, mark: str, classes: tuple[str, ...]
) -> None:
    """CheXpert's -1 of uncertain findings, and what programs write for no class."""
    cells = (mark, *classes)
    table = listed(tmp_path, lambda number: cells[number % len(cells)])
    said = table_refusal(table)
    assert f"the column value: {float(mark):g} beside {classes[0]} … {classes[-1]} usually marks" in said
    assert len(load_data(table, task="classification").classes) == len(cells)
    assert load_data(table, task="regression").targets.min() == min(map(float, cells))


@pytest.mark.parametrize("cells", [("-1", "1"), ("-1", "0"), ("-2", "-1", "0", "1", "2"), ("5", "10", "-1")])
def test_numbers_below_zero_that_stand_for_themselves(tmp_path: Path, cells: tuple[str, ...]) -> None:
    assert len(load_data(listed(tmp_path, lambda number: cells[number % len(cells)]))) == N


def test_many_ranges_that_come_again_and_again_are_classes(tmp_path: Path) -> None:
    """Of measured numbers somebody has made classes; of amounts that are as many, nobody has."""
    for number in range(60):
        (tmp_path / f"{number}.png").touch()
    for written, classes in (("{}-{} years", 12), ("{} years", 0)):
        rows = [
            f"{number}.png;" + written.format(number % 12 * 5, number % 12 * 5 + 4) for number in range(60)
        ]
        (tmp_path / "t.csv").write_text("\n".join(("file;age", *rows)), encoding="utf-8")
        if classes:
            assert len(load_data(tmp_path / "t.csv").classes) == classes
        else:
            assert "most of which begin with a number" in table_refusal(tmp_path / "t.csv")
