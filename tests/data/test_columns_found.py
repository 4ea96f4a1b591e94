"""Which column of a table is what, where nobody says: by header and content, or refused with the option's name."""

import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from refusals import table_refusal as refusal

from mirada.data import sources
from mirada.data.index import Index
from mirada.data.sources import load_data
from mirada.data.sources.headers import Purpose, purposes
from mirada.data.sources.names import made_equal
from mirada.errors import DataError, InvalidArgument
from mirada.samples import Classes, Excluded, Source

Made = Callable[..., Path]
N = 24


def image(number: int) -> str:
    return f"p{number:02}.png"


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Writes a table of 24 rows, a cell by its row's number; the images p00.png … are there."""

    def make(header: str, *columns: Callable[[int], object], encoding: str = "utf-8") -> Path:
        for number in range(N):
            (tmp_path / image(number)).touch()
        rows = ["\t".join(str(column(number)) for column in columns) for number in range(N)]
        text = "\n".join(("\t".join(header.split(",")), *rows))
        (tmp_path / "t.csv").write_text(text, encoding=encoding)
        return tmp_path / "t.csv"

    return make


def kind(number: int) -> str:
    return ("sick", "well")[number % 2]


def named(index: Index) -> dict[str, object]:
    """Path → class, or number."""
    match index.target:
        case Classes(names):
            values: Sequence[object] = [names[value] for value in index.targets.tolist()]
        case _:
            values = index.targets[:, 0].tolist()
    return dict(zip(index.paths, values, strict=True))


# --- the image ----------------------------------------------------------------------------------------------

FIRST = 1
LAST = 60


def numbered(folder: Path, header: str, *columns: Callable[[int], object]) -> Path:
    """A table of 60 rows for the images 1.png … 60.png, which stand in the opposite order."""
    (folder / "img").mkdir()
    for number in range(FIRST, LAST + 1):
        (folder / "img" / f"{number}.png").touch()
    rows = (",".join(str(column(row)) for column in columns) for row in range(LAST))
    (folder / "t.csv").write_text("\n".join((header, *rows)))
    return folder / "t.csv"


def own(row: int) -> int:
    return LAST - row


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize(
    "header",
    [
        ",id,age", "Unnamed: 0,image_id,age", "row,image,age", "index,Bild,Alter", "nr,文件名,年龄", "#,picture_no,age",
        "x1,photo,age", "SN,имя файла,возраст", "Unnamed: 0.1,id,y",
    ],
)  # fmt: skip
def test_a_row_number_is_not_the_image(tmp_path: Path, header: str, start: int) -> None:
    file = numbered(tmp_path, header, lambda row: row + start, own, lambda row: 100 + own(row))
    assert named(load_data(file)) == {f"img/{n}.png": 100 + n for n in range(FIRST, LAST + 1)}


@pytest.mark.parametrize("header", ["age,image", "age,scan_id", "visits,k"])
def test_numbers_that_happen_to_be_names_of_files_are_not_the_image(tmp_path: Path, header: str) -> None:
    file = numbered(tmp_path, header, lambda row: 1 + own(row) % 18, own)
    assert named(load_data(file)) == {f"img/{n}.png": 1 + n % 18 for n in range(FIRST, LAST + 1)}


def test_two_columns_that_name_different_images_are_refused(tmp_path: Path) -> None:
    file = numbered(tmp_path, "before,after,age", lambda row: row + 1, own, lambda row: 100 + own(row))
    assert refusal(file, target="age") == (
        "TABLE: the columns before, after name images, and not the same. Name the right one with `image`."
    )
    assert named(load_data(file, image="after", target="age"))["img/7.png"] == 107


def test_two_columns_of_the_same_images_are_one(made: Made) -> None:
    file = made("path,filename,label", lambda n: f"./{image(n)}", image, kind)
    assert load_data(file).paths == tuple(map(image, range(N)))


def test_files_that_are_there_go_before_files_that_are_not(made: Made) -> None:
    file = made("mask,photo,label", lambda n: f"masks/{n}.png", image, kind)
    assert load_data(file).notes[0] == "image: photo"
    file = made("url,scan,label", lambda n: f"https://x.org/{n}.png", lambda n: f"p{n:02}", kind)
    assert load_data(file).notes[0] == "image: scan"


# --- the target ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("image,patient_id,diagnosis", (image, lambda n: 100 + n // 2, kind)),
        ("image,width,height,label", (image, lambda n: 24, lambda n: 24 + n, kind)),
        ("patientid,offset,sex,age,finding,filename",
         (lambda n: n // 2, lambda n: n % 7, lambda n: "MF"[n % 3 > 0], lambda n: 30 + n % 9, kind, image)),
        ("lesion_id,image_id,dx,dx_type,age", (lambda n: n // 2, image, kind, lambda n: "ab"[n % 3 > 0], lambda n: n)),
        ("Image Index,Finding,Follow-up #,Patient ID,Patient Age,Patient Gender",
         (image, kind, lambda n: n % 3, lambda n: n // 3, lambda n: 50 + n % 9, lambda n: "MF"[n % 2])),
        ("Datei,Patient,Geschlecht,Befund", (image, lambda n: n // 2, lambda n: "mw"[n % 2], kind)),
        ("fichier,âge,diagnostic", (image, lambda n: 40 + n % 9, kind)),
        ("archivo,edad,Diagnóstico", (image, lambda n: 40 + n % 9, kind)),
        ("图片,患者,年龄,标签", (image, lambda n: n // 2, lambda n: 40 + n % 9, kind)),
        ("ファイル名,性別,ラベル", (image, lambda n: "男女"[n % 3 > 0], kind)),
        ("файл,возраст,диагноз", (image, lambda n: 40 + n % 9, kind)),
        ("image,x,y,w,h,class_name", (image, *[lambda n: n % 5] * 4, kind)),
        ("image,label,class_id", (image, kind, lambda n: n % 2)),
        ("image,label,label_text", (image, lambda n: n % 2, kind)),  # a number's class says more
        ("image,class_id,class_name", (image, lambda n: n % 2, kind)),
        ("image,subject,sex,what", (image, lambda n: n // 2, lambda n: "MF"[n % 2], kind)),  # all but what is known
        ("image,remark,what", (image, lambda n: f"seen {n}", kind)),
        ("image,hospital number,what", (image, lambda n: f"H{n}x{n * n}", kind)),  # differs in every row
    ],
)  # fmt: skip
def test_the_label_is_what_is_called_so_or_all_that_can_be_learnt(
    made: Made, header: str, columns: Sequence[Callable[[int], object]]
) -> None:
    index = load_data(made(header, *columns))
    assert named(index) == {image(n): kind(n) for n in range(N)}


@pytest.mark.parametrize(
    ("header", "columns", "listed"),
    [
        ("image,grade,quality", (lambda n: "abc"[n % 3], kind), "grade, quality"),
        ("image,age,survival", (lambda n: 40 + n % 9, kind), "age, survival"),
        ("image,diagnosis,category", (lambda n: "abc"[n % 3], kind), "diagnosis, category"),
        ("image,width,sex", (lambda n: 20 + n % 9, lambda n: "MF"[n % 2]), "width, sex"),
        ("image,patient,sex", (lambda n: n // 2, lambda n: "MF"[n % 2]), "sex"),
    ],
)  # fmt: skip
def test_two_targets_as_likely_are_refused(
    made: Made, header: str, columns: Sequence[Callable[[int], object]], listed: str
) -> None:
    file = made(header, image, *columns)
    assert refusal(file) == (
        f"TABLE: which column is to be learnt is not clear: the columns {listed}. Name it as the `target`."
    )
    assert len(load_data(file, target=header.split(",")[2])) == N


def test_a_patients_number_is_never_the_target(made: Made) -> None:
    for header in ("image,patient_id", "image,StudyInstanceUID", "image,Patienten-Nr."):
        assert "has no column left for the target" in refusal(made(header, image, lambda n: n // 2))


def test_what_nobody_else_could_mean_is_learnt_if_there_is_nothing_else(made: Made) -> None:
    assert load_data(made("image,sex", image, lambda n: "MF"[n % 2])).classes == ("F", "M")


# --- a column for each class ---------------------------------------------------------------------------------

THREE = ("MEL", "NV", "BCC")


@pytest.mark.parametrize(
    ("one", "zero"),
    [
        (1, 0), ("1.0", "0.0"), (True, False), (1, ""), (1, -1), ("yes", "no"), ("x", ""), ("Y", "N"), ("ja", "nein"),
        ("T", "F"), ("是", "否"), (1, "nan"),
    ],
)  # fmt: skip
def test_a_column_of_yes_and_no_for_each_class(made: Made, one: object, zero: object) -> None:
    columns = [lambda n, k=k: one if n % 3 == k else zero for k in range(3)]
    file = made("image,MEL,NV,BCC", image, *columns)
    index = load_data(file)
    assert index.classes == THREE
    assert named(index) == {image(n): THREE[n % 3] for n in range(N)}
    assert index.notes[1] == (
        "target: a column of 0 and 1 for each of 3 classes (MEL, NV, BCC) → classification"
    )
    assert load_data(file, target="MEL,NV,BCC").classes == THREE


def test_a_class_that_no_row_has_is_not_used(made: Made) -> None:
    columns = [lambda n, k=k: int(n % 2 == k) for k in range(3)]
    file = made("image,sex,MEL,NV,BCC", image, lambda n: "MF"[n % 2], *columns)
    index = load_data(file)
    assert index.classes == ("MEL", "NV")
    assert "not used: BCC, of which no row says 1" in index.notes
    assert load_data(file, classes=THREE).classes == THREE


def test_a_column_for_each_class_is_seen_whatever_the_classes_are_called(made: Made) -> None:
    columns = [lambda n, k=k: int(n % 3 == k) for k in range(3)]
    file = made("image,age,normal,disease,category_3", image, lambda n: 30 + n % 9, *columns)
    assert load_data(file).classes == ("normal", "disease", "category_3")
    file = made("image,age,smoker,healthy", image, lambda n: 30 + n % 9, *columns[:2])
    assert "which column is to be learnt is not clear: the columns age, smoker, healthy." in refusal(file)


def test_one_or_nothing_is_refused(made: Made) -> None:
    file = made("image,sick", image, lambda n: "" if n % 2 else 1)
    assert refusal(file) == (
        "TABLE: the column sick says 1 or nothing, which may mean 0, or not known. Write 0, or the class, where there "
        "is nothing."
    )


def test_several_classes_of_an_image_are_refused(made: Made) -> None:
    columns = [lambda n, k=k: int(n % (k + 2) == 0) for k in range(3)]
    file = made("image,DR,ARMD,MH", image, *columns)
    assert refusal(file) == (
        "TABLE: the columns DR, ARMD, MH are 0 or 1; of 24 rows 8 say 1 in several columns and 8 in none, and an image "
        "can have one class only. Name one column as the `target`."
    )
    assert load_data(file, target="ARMD").classes == ("0", "1")
    assert load_data(file, target="DR,ARMD,MH").target_names == ("DR", "ARMD", "MH")  # three numbers


# --- several labels in a cell --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "between", ["|", ";", ", ", ",", " ", "/", " + ", " & ", "+", "、", "，", " and ", "\u00a0|\u00a0"]
)
def test_several_labels_in_a_cell_are_refused(made: Made, between: str) -> None:
    words = ("Mass", "Nodule", "Effusion", f"Mass{between}Nodule", f"Effusion{between}Mass")
    file = made("image,findings", image, lambda n: words[n % len(words)])
    assert refusal(file).startswith("TABLE: the column findings has several labels in a cell, such as ")
    assert len(load_data(file, task="classification").classes) == 5


@pytest.mark.parametrize(
    "words",
    [
        ("['Mass']", "['Nodule']", "['Mass', 'Nodule']"), ('["Mass"]', '["Mass", "Nodule"]'),
        ("{Mass;Nodule}", "{Mass}"),
        ("Cardiomegaly|Emphysema", "No Finding", "Cardiomegaly|Mass"),  # no part stands alone
        ("Mass", "Nodule", "mass|NODULE"), ("a", "b", "a\\b"), ("a", "b", "a:b"),
        ("0 2", "0", "2", "5"), ("16 0", "7 1 2 0", "5"),
        ("frog_eye rust", "rust", "frog_eye scab"), ("Covid-19, ARDS", "Covid-19", "SARS, ARDS"),
    ],
)  # fmt: skip
def test_lists_and_joint_findings_are_refused(made: Made, words: Sequence[str]) -> None:
    file = made("image,label", image, lambda n: words[n % len(words)])
    assert "has several labels in a cell" in refusal(file, target="label")


@pytest.mark.parametrize(
    "words",
    [
        ("black cat", "black dog", "dog"), ("maillot", "maillot, tank suit"), ("A/B", "A/C"), ("Smith, J", "Smith, K"),
        ("left hand", "right hand", "left foot"), ("c++", "c"), ("n/a yet", "done"), ("+", "-"), ("(a)", "(b)"),
    ],
)  # fmt: skip
def test_names_of_several_words_are_names(made: Made, words: Sequence[str]) -> None:
    assert load_data(made("image,label", image, lambda n: words[n % len(words)])).classes == tuple(
        sorted(words)
    )


# --- a class that is called like a missing value --------------------------------------------------------------


@pytest.mark.parametrize("word", ["NA", "null", "nan", "?", "N/A", "."])
def test_a_class_called_like_a_missing_value_is_said_and_can_be_kept(made: Made, word: str) -> None:
    words = (word, "EU", "SA")
    file = made("image,region", image, lambda n: words[n % 3])
    index = load_data(file)
    assert (index.classes, len(index.excluded)) == (("EU", "SA"), 8)
    assert f'missing: "{word}" in 8 rows of region (task=classification keeps it as a class)' in index.notes
    kept = load_data(file, task="classification")
    assert set(kept.classes) == set(words) and not kept.excluded
    assert (
        f'class: "{word}" is one of region, not a missing value, since classes were asked for' in kept.notes
    )
    assert load_data(file, classes=tuple(sorted(words))).classes == tuple(sorted(words))  # of a model


def test_of_two_classes_one_called_like_a_missing_value_is_asked_for(made: Made) -> None:
    file = made("image,region", image, lambda n: ("NA", "EU")[n % 2])
    assert refusal(file) == (
        'TABLE: the column region has only one class ("EU") beside "NA", which is taken for missing. '
        "Say task=classification to keep it as a class."
    )
    assert load_data(file, task="classification").classes == ("EU", "NA")


@pytest.mark.parametrize("word", ["", "#N/A", "<NA>"])
def test_what_is_never_a_class(made: Made, word: str) -> None:
    words = (word, "EU", "SA")
    file = made("image,region", image, lambda n: words[n % 3])
    assert load_data(file, task="classification").classes == ("EU", "SA")


# --- texts that look alike ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Café", unicodedata.normalize("NFD", "Café")), ("old cat", "old\u00a0cat"), ("old cat", "old  cat"),
        ("cat", "c\u200bat"), ("cat", "\ufeffcat"), ("old cat", "old\u3000cat"), ("cat", "c\u00adat"),
        ("cat", "cat\u2060"), ("cat", "ca\u200dt"), ("고양이", unicodedata.normalize("NFD", "고양이")),
    ],
)  # fmt: skip
def test_classes_and_groups_that_look_alike_are_one(made: Made, one: str, other: str) -> None:
    words = (one, other, "dog")
    file = made("image,label,patient", image, lambda n: words[n % 3], lambda n: words[n % 3])
    index = load_data(file, group="patient")
    assert index.classes == tuple(sorted((one, "dog")))
    assert set(index.groups) == {one, "dog"}


def test_joiners_of_other_scripts_are_kept() -> None:
    persian = "می\u200cخواهم"
    assert made_equal([persian, "a\nb", " a "]) == [persian, "a\nb", "a"]


def test_files_are_found_however_their_letters_are_composed(tmp_path: Path) -> None:
    nfd = unicodedata.normalize("NFD", "Käse")
    for name in (f"{nfd}.png", "Brot  1.png", "sub/Öl.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    rows = (
        "file,label",
        "Käse.png,a",
        "Brot\u00a01.png,b",
        f"sub/{unicodedata.normalize('NFD', 'Öl')}.png,a",
    )
    (tmp_path / "t.csv").write_text("\n".join(rows), encoding="utf-8")
    assert load_data(tmp_path / "t.csv").paths == (f"{nfd}.png", "Brot  1.png", "sub/Öl.png")


# --- splits and groups ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "cell", "counts"),
    [
        ("is_valid", lambda n: n >= 16, (16, 8, 0)), ("valid", lambda n: int(n >= 16), (16, 8, 0)),
        ("isVal", lambda n: "yes" if n >= 16 else "no", (16, 8, 0)), ("is_test", lambda n: n >= 16, (16, 0, 8)),
        ("is_train", lambda n: n < 16, (16, 0, 8)), ("is_training_image", lambda n: int(n < 16), (16, 0, 8)),
        ("Usage", lambda n: ("Training", "PublicTest", "PrivateTest")[n // 8], (8, 8, 8)),
        ("data_split", lambda n: ("train", "dev", "test")[n // 8], (8, 8, 8)),
        ("split", lambda n: ("train", "validate", "test")[n // 8], (8, 8, 8)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", [False, True])
def test_columns_of_splits_by_many_names(
    made: Made, header: str, cell: Callable[[int], object], counts: tuple[int, ...], before: bool
) -> None:
    file = (
        made(f"image,{header},label", image, cell, kind)
        if before
        else made(f"image,label,{header}", image, kind, cell)
    )
    index = load_data(file)
    assert index.classes == ("sick", "well")
    assert tuple(len(index.rows(split)) for split in ("train", "val", "test")) == counts
    assert any(note.startswith(f"split: {header}") for note in index.notes)
    assert load_data(file, split=header).splits.tolist() == index.splits.tolist()


@pytest.mark.parametrize(
    ("header", "cell"),
    [
        ("split", lambda n: n // 8), ("partition", lambda n: n // 8), ("fold", lambda n: n % 5),
        ("kfold", lambda n: n % 5), ("Usage", lambda n: ("Public", "Private")[n % 2]), ("cv_fold", lambda n: n % 3),
        ("valid", lambda n: int(n > 2)),  # most rows are: it rather says that they are sound
        ("where", lambda n: ("train", "test")[n % 2]),
    ],
)  # fmt: skip
def test_columns_that_may_be_splits_are_named_and_never_learnt(
    made: Made, header: str, cell: Callable[[int], object]
) -> None:
    index = load_data(made(f"image,{header},label", image, cell, kind))
    assert (index.classes, len(index.rows("train"))) == (("sick", "well"), N)
    assert any(note.startswith(f"not used: {header}") for note in index.notes)


def test_two_columns_of_yes_and_no_do_not_make_a_split(made: Made) -> None:
    file = made("image,label,is_valid,is_test", image, kind, lambda n: n % 4 == 1, lambda n: n % 4 == 2)
    index = load_data(file)
    assert len(index.rows("train")) == N
    assert "not used: is_valid and is_test, since one column is to say the split" in index.notes


@pytest.mark.parametrize(
    "header",
    [
        "patient_id", "PatientID", "Patient ID", "subject", "case_id", "lesion_id", "StudyInstanceUID", "participant",
        "Patienten-Nr.", "paciente", "患者ID", "病历号", "пациент", "MRN", "Subject No",
    ],
)  # fmt: skip
def test_a_column_of_patients_is_named(made: Made, header: str) -> None:
    file = made(f"image,label,{header}", image, kind, lambda n: f"P{n // 3}")
    hint = f"not used: {header} (as the group, it would keep each in one split)"
    assert load_data(file).notes[-1] == hint
    assert hint not in load_data(file, group="none").notes
    assert len(set(load_data(file, group=header).groups)) == 8


# --- names that lie in several folders ------------------------------------------------------------------------


def touched(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.mark.parametrize(("right", "wrong"), [("images", "masks"), ("imgs", "labels"), ("scans", "x_thumbs")])
def test_masks_are_not_the_images(tmp_path: Path, right: str, wrong: str) -> None:
    touched(tmp_path, *(f"{folder}/{n}.png" for folder in (right, wrong) for n in range(4)))
    for ending in (".png", ""):
        (tmp_path / "t.csv").write_text("file,label\n" + "".join(f"{n}{ending},{n % 2}\n" for n in range(4)))
        assert load_data(tmp_path / "t.csv").paths == tuple(f"{right}/{n}.png" for n in range(4))


@pytest.mark.parametrize(
    ("table", "folder"), [("train", "train"), ("train_labels", "train"), ("Train", "train_images")]
)
def test_the_folder_that_is_called_as_the_table_is_searched_alone(
    tmp_path: Path, table: str, folder: str
) -> None:
    touched(tmp_path, *(f"{folder}/{n}.jpg" for n in (0, 1, 2)), *(f"test/{n}.jpg" for n in range(8)))
    (tmp_path / f"{table}.csv").write_text("file,label\n" + "".join(f"{n}.jpg,{n % 2}\n" for n in range(4)))
    index = load_data(tmp_path / f"{table}.csv")
    assert index.paths == tuple(f"{folder}/{n}.jpg" for n in (0, 1, 2))
    assert index.excluded == (Excluded("3.jpg", "row 5: there is no such file"),)


def test_the_column_of_splits_tells_the_folder(tmp_path: Path) -> None:
    touched(
        tmp_path,
        *(f"{folder}/{n}.png" for folder in ("train", "val") for n in range(3)),
        "val/3.png",
        "x/4.png",
    )
    rows = [f"{n}.png,{split},{n % 2}" for split in ("train", "valid") for n in range(3)]
    rows += ["3.png,train,1", "4.png,train,0"]  # 3.png is another's
    (tmp_path / "labels.csv").write_text("\n".join(("file,split,label", *rows)))
    index = load_data(tmp_path / "labels.csv")
    assert index.paths == (*(f"{folder}/{n}.png" for folder in ("train", "val") for n in range(3)), "x/4.png")
    assert index.excluded == (Excluded("3.png", "row 8: there is no such file"),)


def test_a_name_that_is_there_several_times_is_said(tmp_path: Path) -> None:
    touched(tmp_path, "a/1.png", "b/1.png", "a/2.png", "b/3.png", "a/4.png")
    (tmp_path / "t.csv").write_text("file,label\n1.png,x\n2.png,y\n3.png,x\n4.png,y\n")
    index = load_data(tmp_path / "t.csv")
    assert index.paths == ("a/2.png", "b/3.png", "a/4.png")
    reason = "row 2: there are several of this name (a/1.png, b/1.png): write the folder in the table"
    assert index.excluded == (Excluded("1.png", reason),)


@pytest.mark.parametrize(
    "cell", ["{c}/{c}{n}.png", "{c}{n}.png", "{c}{n}", "./{c}/{c}{n}.png", "{c}\\{c}{n}.png"]
)
@pytest.mark.parametrize("above", ["", "train/"])
def test_boxes_beside_the_classes_are_found_by_name(tmp_path: Path, cell: str, above: str) -> None:
    touched(tmp_path, *(f"{above}{c}/{c}{n}.png" for c in "ab" for n in range(4)))
    names = [(c, cell.format(c=c, n=n)) for c in "ab" for n in range(4)]
    if above and "/" in cell.replace("\\", "/"):
        names = [(c, f"{above}{name.removeprefix('./')}") for c, name in names]
    rows = "".join(f"{name},{c},2,2,9,9\n" for c, name in names)
    (tmp_path / "boxes.csv").write_text(f"filename,label,left,top,right,bottom\n{rows}")
    index = load_data(tmp_path)
    assert set(index.boxes) == set(index.paths) and not index.excluded


def test_boxes_of_no_image_are_said(tmp_path: Path) -> None:
    touched(tmp_path, "a/1.png", "b/2.png", "b/1.png")
    (tmp_path / "boxes.csv").write_text(
        "filename,label,left,top,right,bottom\n2.png,b,2,2,9,9\nnowhere/2.png,b,2,2,9,9\n1.png,a,2,2,9,9\n"
    )
    index = load_data(tmp_path)
    assert set(index.boxes) == {"b/2.png"}
    assert [item.reason for item in index.excluded] == [
        "boxes.csv, row 3: there is no such file",
        "boxes.csv, row 4: there are several of this name (a/1.png, b/1.png): write the folder in the table",
    ]
    (tmp_path / "boxes.csv").write_text("filename,kind\n1.png,b\n")
    assert load_data(tmp_path).excluded[0].reason.startswith("has no columns of boxes")


# --- encodings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("gbk", ("猫", "狗")), ("shift_jis", ("犬", "猫")), ("big5", ("貓", "狗")), ("cp949", ("고양이", "개")),
        ("cp1251", ("кот", "пёс")), ("koi8_r", ("кот", "пёс")), ("cp1253", ("γάτα", "σκύλος")),
        ("cp1255", ("חתול", "כלב")),
        ("mac_roman", ("Käse", "Müller")), ("mac_cyrillic", ("кот", "пёс")), ("gb18030", ("正常", "异常 A")),
        ("cp866", ("кот", "пёс")), ("cp1254", ("sağlıklı", "hasta")), ("euc_jp", ("正常", "異常")),
    ],
)  # fmt: skip
def test_class_names_are_never_rubbish(made: Made, encoding: str, words: Sequence[str]) -> None:
    file = made("image,label", image, lambda n: words[n % 2], encoding=encoding)
    assert refusal(file).endswith(
        'Save the table as UTF-8 (in Excel: "CSV UTF-8"), or name its `encoding`, such as cp1251 or gb18030.'
    )
    said = load_data(Source(path=file, encoding=encoding))
    assert set(said.classes) == set(words) and not any("encoding" in note for note in said.notes)
    assert said.source and said.source.encoding == encoding
    plain = made(
        "image,remark,label", image, lambda n: words[n % 2], kind, encoding=encoding
    )  # what is not learnt
    assert load_data(plain).classes == ("sick", "well")
    assert load_data(plain).notes[0].startswith("encoding: not UTF-8, read as ")


def test_western_letters_are_read_and_said(made: Made) -> None:
    words = ("Käse", "cœur", "naïve façade", "señor", "Ærø", "ligne d’été")
    file = made("image,label", image, lambda n: words[n % len(words)], encoding="cp1252")
    index = load_data(file)
    assert set(index.classes) == set(words)
    assert index.notes[0] == (
        "encoding: not UTF-8, read as Windows-1252, which is a guess; name the `encoding`, or save the table as "
        "UTF-8, if letters are wrong"
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1251"])
def test_an_encoding_that_is_stated(made: Made, encoding: str) -> None:
    file = made("image,label", image, lambda n: ("кот", "пёс")[n % 2], encoding=encoding)
    stated = encoding.removesuffix("-sig")
    assert load_data(Source(path=file, encoding=stated)).classes == ("кот", "пёс")
    wrong = "utf-8" if encoding in ("utf-16", "cp1251") else "ascii"
    with pytest.raises(DataError, match=f"is not in {wrong}: its byte [0-9,]+ cannot be read"):
        load_data(Source(path=file, encoding=wrong))


@pytest.mark.parametrize("encoding", ["cp1521", "rot13", "hex", "\0", "latin-one"])
def test_what_is_no_encoding(made: Made, encoding: str) -> None:
    file = made("image,label", image, kind)
    with pytest.raises(InvalidArgument, match="There is no encoding of texts called"):
        load_data(Source(path=file, encoding=encoding))


def test_an_encoding_is_a_tables(made: Made, tmp_path: Path) -> None:
    made("image,label", image, kind).unlink()
    with pytest.raises(
        InvalidArgument, match="`encoding` is how a table is read, and there is no table here"
    ):
        load_data(Source(path=tmp_path, encoding="cp1251"))
    with pytest.raises(InvalidArgument, match=r"A Source says its columns itself\. Leave `group` out"):
        load_data(Source(path=tmp_path), group="patient")


@pytest.mark.parametrize(
    ("encoding", "said", "names"),
    [
        ("gb18030", "GB18030", ("猫", "狗")), ("cp932", "Shift-JIS", ("犬の写真", "猫の写真")),
        ("cp1251", "Windows-1251", ("кот", "пёс")), ("mac_roman", "Mac Roman", ("Käse", "Müller")),
        ("cp949", "CP949", ("고양이", "강아지")),
    ],
)  # fmt: skip
def test_the_files_that_are_there_tell_the_encoding(
    tmp_path: Path, encoding: str, said: str, names: Sequence[str]
) -> None:
    touched(tmp_path, *(f"x/{name}.png" for name in names))
    text = "file,label\n" + "".join(f"{name}.png,{name}\n" for name in names)
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    index = load_data(tmp_path / "t.csv")
    assert named(index) == {f"x/{name}.png": name for name in names}
    assert index.notes[0] == f"encoding: {said}, in which the files that it names are there"


# --- what stands above the header, frames ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "above",
    [
        "# made in 2019\n",
        "# a, b, and c\n#\n",
        "Bone ages\n",
        "Bone ages\n\n",
        "#one\n#two\n",
        "# title\n\n\n",
    ],
)
def test_comments_and_titles_above_the_header(tmp_path: Path, above: str) -> None:
    touched(tmp_path, "a.png", "b.png")
    (tmp_path / "t.csv").write_text(f"{above}file,label\na.png,x\nb.png,y\n")
    index = load_data(tmp_path / "t.csv")
    assert (index.paths, index.classes) == (("a.png", "b.png"), ("x", "y"))
    assert "above the header" in index.notes[0]


def test_a_header_may_begin_with_a_hash(tmp_path: Path) -> None:
    touched(tmp_path, "a.png", "b.png")
    (tmp_path / "t.csv").write_text("# file,label\na.png,x\nb.png,y\n")
    assert load_data(tmp_path / "t.csv").notes[0] == "image: file"
    (tmp_path / "t.csv").write_text("#,file,label\n1,a.png,x\n2,b.png,y\n")
    assert load_data(tmp_path / "t.csv").notes[0] == "image: file"


class PolarsLike:
    """What is used of a polars ``DataFrame``."""

    def __init__(self, **columns: list[Any]) -> None:
        self.columns = list(columns)
        self._rows = list(zip(*columns.values(), strict=True))

    def iter_rows(self) -> Any:
        return iter(self._rows)


def test_a_frame_of_polars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(touched(tmp_path, "a.png", "b.png", "c.png"))
    frame = PolarsLike(path=["a.png", "b.png", "c.png"], age=[1.5, 2, None])
    index = load_data(frame)
    assert (index.paths, index.targets.tolist()) == (("a.png", "b.png"), [[1.5], [2.0]])
    assert index.excluded == (Excluded("c.png", "row 2: no age"),)


# --- the shape ------------------------------------------------------------------------------------------------


def test_headers_say_what_they_are() -> None:
    headers = [
        "img_path",
        "ID",
        "Label",
        "final_diagnosis",
        "No Finding",
        "SubjectID",
        "Fold",
        "Width",
        "boneage",
        "",
    ]
    assert purposes(headers) == [
        Purpose.IMAGE, Purpose.IDENTITY, Purpose.LABEL, Purpose.LABEL_LIKE, Purpose.OPEN, Purpose.GROUP, Purpose.SPLIT,
        Purpose.ASIDE, Purpose.OPEN, Purpose.ROW,
    ]  # fmt: skip
    assert purposes(["column 1", "column 2"]) == [Purpose.OPEN] * 2


def entered(load: Callable[[], Index]) -> Counter[str]:
    """How often each file of the room is entered from outside of it while something is loaded."""
    room = str(Path(sources.__file__).parent)
    count: Counter[str] = Counter()

    def seen(frame: FrameType, event: str, _: object) -> None:
        file, caller = frame.f_code.co_filename, frame.f_back
        if (
            event == "call"
            and file.startswith(room)
            and (caller is None or caller.f_code.co_filename != file)
        ):
            count[Path(file).name] += 1

    sys.setprofile(seen)
    try:
        load()
    finally:
        sys.setprofile(None)
    return count


def test_one_load_of_a_table_enters_no_file_more_than_three_times(made: Made, tmp_path: Path) -> None:
    header = "image,patient,age,sex,site,weight,is_valid,label"
    file = made(
        header, lambda n: image(n) if n else "gone.png", lambda n: n // 2, lambda n: 30 + n, lambda n: "MF"[n % 2],
        lambda n: "AB"[n % 2], lambda n: 50.5 + n, lambda n: n >= 16, kind,
    )  # fmt: skip
    many = entered(
        lambda: load_data(file, group="patient", covariates="age,sex,weight,site=A", target="label")
    )
    assert many["values.py"] and max(many.values()) <= 3
    numbers = entered(lambda: load_data(file, target="age,weight"))
    assert numbers["values.py"] and max(numbers.values()) <= 3
    assert np.isfinite(load_data(file, target="age").targets).all()
    bare = made("scan,what", lambda n: f"p{n:02}" if n else "gone", kind)
    by_name = entered(lambda: load_data(bare))
    assert by_name["files.py"] and max(by_name.values()) <= 3
    boxes = made("image,label,left,top,right,bottom", image, kind, *[lambda n: n % 5] * 2, *[lambda n: 9] * 2)
    of_boxes = entered(lambda: load_data(boxes))
    assert of_boxes["boxes.py"] and max(of_boxes.values()) <= 3
