"""Boxes beside images: VOC's XML, and tables; nothing in an XML file can do harm. What is no data is said."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from refusals import refusal

from mirada.data.examples.shapes import write_shapes
from mirada.data.sources import load_data, require_images
from mirada.data.sources.columns import Wanted
from mirada.data.sources.rows import load_table
from mirada.data.sources.tables import read_table
from mirada.data.sources.voc import read_voc
from mirada.errors import DataError, InvalidArgument
from mirada.samples import Box, Excluded, Source


def voc(*objects: tuple[str, float, float, float, float], filename: str = "") -> str:
    parts = [
        f"<object><name>{name}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox>"
        f"<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part></object>"
        for name, a, b, c, d in objects
    ]
    return f"<annotation><filename>{filename}</filename>{''.join(parts)}</annotation>"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def test_vocs_corners_count_from_one_and_belong_to_the_box(tmp_path: Path) -> None:
    file = (
        write(tmp_path, {"a.xml": voc(("dog", 1, 2, 10, 20), ("cat", 3.5, 4, 5, 6), filename="a.jpg")})
        / "a.xml"
    )
    name, boxes = read_voc(file)
    assert name == "a.jpg"
    assert boxes == (Box("dog", 0, 1, 10, 20), Box("cat", 2.5, 3, 5, 6))


def test_images_and_annotations_in_two_folders(tmp_path: Path) -> None:
    files = {
        "images/1.jpg": "", "annotations/1.xml": voc(("dog", 1, 1, 10, 10), ("cat", 1, 1, 20, 20)),
        "images/2.jpg": "", "annotations/two.xml": voc(("dog", 1, 1, 10, 10), filename="2.jpg"),
        "images/3.jpg": "", "annotations/3.xml": voc(),
        "images/4.jpg": "", "annotations/5.xml": voc(("dog", 1, 1, 2, 2)),
        "annotations/bad.xml": "<annotation>", "annotations/odd.xml": voc(("dog", 9, 1, 8, 2)),
    }  # fmt: skip
    index = load_data(write(tmp_path, files))
    assert index.paths == ("images/1.jpg", "images/2.jpg")
    assert [index.classes[target] for target in index.targets] == ["cat", "dog"]  # the largest box's
    assert index.boxes["images/2.jpg"] == (Box("dog", 0, 0, 10, 10),)
    assert {item.path: item.reason.partition(" (")[0] for item in index.excluded} == {
        "images/3.jpg": "has no box",
        "annotations/5.xml": 'its image "5" is not there',
        "annotations/bad.xml": "cannot be read as XML",
        "annotations/odd.xml": 'holds the object "dog" with the corners [9.0, 1.0, 8.0, 2.0], which is no labelled box',
        "images/4.jpg": "no XML file describes it",
    }
    assert index.notes[1] == "class: 1 image with boxes of several labels; the largest box's was taken"


def test_vocs_own_layout_with_its_lists(tmp_path: Path) -> None:
    files = {"ImageSets/Main/train.txt": "a\nb\n", "ImageSets/Main/val.txt": "c\n"}
    for name, label in (("a", "dog"), ("b", "cat"), ("c", "dog"), ("d", "cat")):
        files |= {f"JPEGImages/{name}.jpg": "", f"Annotations/{name}.xml": voc((label, 1, 1, 5, 5))}
    index = load_data(write(tmp_path, files))
    assert (index.paths, index.splits.tolist()) == (
        ("JPEGImages/a.jpg", "JPEGImages/b.jpg", "JPEGImages/c.jpg"),
        ["train", "train", "val"],
    )
    assert index.excluded == (Excluded("JPEGImages/d.jpg", "is in no list of ImageSets/Main"),)


def test_an_image_in_two_of_vocs_lists(tmp_path: Path) -> None:
    files = {"ImageSets/Main/train.txt": "a\nb\nb\n", "ImageSets/Main/val.txt": "c\na\n"}
    for name, label in (("a", "dog"), ("b", "cat"), ("c", "dog")):
        files |= {f"JPEGImages/{name}.jpg": "", f"Annotations/{name}.xml": voc((label, 1, 1, 5, 5))}
    index = load_data(write(tmp_path, files), classes=("cat", "dog"))
    assert dict(zip(index.paths, index.splits.tolist(), strict=True)) == {
        "JPEGImages/b.jpg": "train",
        "JPEGImages/c.jpg": "val",
    }
    assert index.excluded == (
        Excluded("JPEGImages/a.jpg", "is in several lists of ImageSets/Main: train, val"),
    )


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("text", ["a", "", "nan", "1e999"])
def test_a_corner_that_is_no_number(tmp_path: Path, place: int, text: str) -> None:
    corners: list[Any] = [1, 2, 10, 20]
    corners[place] = text
    (tmp_path / "a.xml").write_text(voc(("dog", *corners)))
    with pytest.raises(
        DataError, match=r'^holds the object "dog" with the corners \[.*nan.*, which is no labelled'
    ):
        read_voc(tmp_path / "a.xml")
    side = ("xmin", "ymin", "xmax", "ymax")[place]
    (tmp_path / "a.xml").write_text(voc(("dog", *corners)).replace(f"<{side}>{text}</{side}>", "", 1))
    with pytest.raises(DataError, match=r"nan.*which is no labelled box$"):
        read_voc(tmp_path / "a.xml")


def test_an_image_whose_xml_is_bad_is_left_out_once(tmp_path: Path) -> None:
    files = {
        "images/1.jpg": "", "annotations/1.xml": voc(("dog", 1, 1, 10, 10)),
        "images/2.jpg": "", "annotations/2.xml": "<annotation>",
        "images/3.jpg": "", "annotations/3.xml": voc(("dog", 9, 1, 8, 2)),
    }  # fmt: skip
    index = load_data(write(tmp_path, files))
    assert [(item.path, item.reason.partition(" (")[0]) for item in index.excluded] == [
        ("images/2.jpg", "annotations/2.xml cannot be read as XML"),
        (
            "images/3.jpg",
            'annotations/3.xml holds the object "dog" with the corners [9.0, 1.0, 8.0, 2.0], which is no labelled box',
        ),
    ]


def test_splits_with_the_xml_beside_the_images(tmp_path: Path) -> None:
    files = {}
    for split in ("train", "test"):
        for name, label in (("a", "dog"), ("b", "cat")):
            files |= {f"{split}/{name}.jpg": "", f"{split}/{name}.xml": voc((label, 1, 1, 5, 5))}
    index = load_data(write(tmp_path, files))
    assert dict(zip(index.paths, index.splits.tolist(), strict=True)) == {
        f"{split}/{name}.jpg": split for split in ("train", "test") for name in "ab"
    }


def test_xml_in_class_folders(tmp_path: Path) -> None:
    files = {"cat/1.jpg": "", "cat/1.xml": voc(("cat", 1, 1, 5, 5)), "dog/1.jpg": "", "dog/alone.xml": voc()}
    index = load_data(write(tmp_path, {**files, "dog/other.xml": "<svg/>"}))
    assert index.classes == ("cat", "dog")
    assert dict(index.boxes) == {"cat/1.jpg": (Box("cat", 0, 0, 5, 5),)}
    assert index.excluded == (
        Excluded("dog/alone.xml", "there is no image beside it"),
        Excluded("dog/other.xml", "is not VOC's XML: its outermost element is <svg>, not <annotation>"),
    )


def test_a_single_class_with_boxes_loads_and_is_refused_for_training(tmp_path: Path) -> None:
    index = load_data(write(tmp_path, {"1.jpg": "", "1.xml": voc(("dog", 1, 1, 5, 5))}))
    assert index.classes == ("dog",)
    with pytest.raises(DataError, match=r'only one class \("dog"\)\. Classification needs at least two\.$'):
        require_images(index)


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE lolz [<!ENTITY a "ha">]><annotation><filename>&a;</filename></annotation>',
        '<!DOCTYPE x SYSTEM "file:///etc/passwd"><annotation/>',
        '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]><annotation><filename>&f;</filename></annotation>',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused_before_any_entity_is_read(
    tmp_path: Path, text: str, encoding: str
) -> None:
    (tmp_path / "a.xml").write_bytes(text.encode(encoding))
    with pytest.raises(DataError, match=r"^declares a document type, which VOC's files do not$"):
        read_voc(tmp_path / "a.xml")


def test_a_huge_xml_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "a.xml").open("wb") as stream:
        stream.truncate(11 * 2**20)
    with pytest.raises(DataError, match=r"^is larger than 10 MiB$"):
        read_voc(tmp_path / "a.xml")


@pytest.mark.parametrize(
    "header",
    [
        "filename,label,left,top,right,bottom",
        "filename,class,xmin,ymin,xmax,ymax",
        "image,Class,x_min,y_min,x_max,y_max",
    ],
)
def test_a_table_of_boxes(tmp_path: Path, header: str) -> None:
    rows = (
        "1.jpg,dog,0,1,10,20",
        "2.jpg,cat,1,1,2,2",
        "1.jpg,dog,5,5,6,6",
        "2.jpg,cat,3,3,3,9",
        "3.jpg,cat,1,1,2,2",
    )
    write(tmp_path, {"1.jpg": "", "2.jpg": "", "table.csv": "\n".join((header, *rows))})
    index = load_data(tmp_path / "table.csv")
    assert (index.paths, index.targets.tolist(), index.classes) == (
        ("1.jpg", "2.jpg"),
        [1, 0],
        ("cat", "dog"),
    )
    assert index.boxes["1.jpg"] == (Box("dog", 0, 1, 10, 20), Box("dog", 5, 5, 6, 6))
    assert index.excluded == (
        Excluded("2.jpg", "row 5: cat, 3, 3, 3, 9 is no labelled box"),
        Excluded("3.jpg", "there is no such file"),
    )
    assert index.origin == tmp_path / "table.csv"


def test_a_table_of_boxes_that_names_no_file_that_is_there(tmp_path: Path) -> None:
    file = write(tmp_path, {"t.csv": "filename,label,left,top,right,bottom\n1.jpg,dog,0,1,10,20\n"}) / "t.csv"
    assert refusal(file).replace(str(tmp_path), "ROOT") == (
        "ROOT: no image with a box that can be used; the first: 1.jpg: there is no such file."
    )


SPLIT_BOXES = "filename,label,left,top,right,bottom,split\n"


def test_splits_in_a_table_of_boxes(tmp_path: Path) -> None:
    rows = (
        "1.jpg,dog,0,1,10,20,training", "1.jpg,dog,0,1,10,20,Train", "1.jpg,cat,0,1,2,2,train",
        "2.jpg,cat,1,1,2,2,test", "3.jpg,cat,1,1,2,2,test", "./3.jpg,dog,1,1,4,4,train", "1.jpg,cat,3,3,4,4,",
        "4.jpg,cat,3,3,4,4,",
    )  # fmt: skip
    files = {f"{number}.jpg": "" for number in range(1, 5)}
    file = write(tmp_path, {**files, "t.csv": SPLIT_BOXES + "\n".join(rows)}) / "t.csv"
    index = load_data(file)
    assert (index.paths, index.splits.tolist()) == (("1.jpg", "2.jpg"), ["train", "test"])
    assert index.boxes[
        "1.jpg"
    ] == (  # the same one once, and that of the row that leaves the split to the others
        Box("dog", 0, 1, 10, 20),
        Box("cat", 0, 1, 2, 2),
        Box("cat", 3, 3, 4, 4),
    )
    assert index.excluded == (
        Excluded("3.jpg", "its rows disagree on split"),
        Excluded("4.jpg", "row 9: no split"),
    )
    assert index.notes[-1] == "split: split"


def test_a_table_of_boxes_refuses_an_unknown_split_and_says_that_one_is_not_used(tmp_path: Path) -> None:
    rows = "1.jpg,dog,0,1,10,20,train\n2.jpg,cat,1,1,2,2,tset\n"
    file = write(tmp_path, {"1.jpg": "", "2.jpg": "", "t.csv": SPLIT_BOXES + rows}) / "t.csv"
    assert 'ROOT: row 3 has "tset" in the column split, which is no split. Did you mean "test"?' in refusal(
        file
    )
    file.write_text(SPLIT_BOXES + rows.replace("train", "a"))
    assert load_data(file).notes[-1] == "not used: split, which has no split words (train, val, test)"


def test_images_without_a_box_are_of_the_class_that_their_row_names(tmp_path: Path) -> None:
    rows = ("1.jpg,nodule,0,1,10,20", "2.jpg,no finding,,,,", "3.jpg,no finding,,,,", "3.jpg,other,,,,", "4.jpg,,,,,",
            "1.jpg,no finding,,,,", "5.jpg,no finding,1,,,")  # fmt: skip
    header = "filename,label,left,top,right,bottom"
    files = {f"{number}.jpg": "" for number in range(1, 6)} | {"t.csv": "\n".join((header, *rows))}
    index = load_data(write(tmp_path, files) / "t.csv")
    assert dict(zip(index.paths, index.targets.tolist(), strict=True)) == {"1.jpg": 1, "2.jpg": 0}
    assert (index.classes, set(index.boxes)) == (("no finding", "nodule"), {"1.jpg"})
    assert index.excluded == (
        Excluded("4.jpg", "row 6: , , , ,  is no labelled box"),
        Excluded("5.jpg", "row 8: no finding, 1, , ,  is no labelled box"),
        Excluded("3.jpg", "its rows disagree on label"),
    )
    assert "boxes: 1 image without, of which the label alone is taken" in index.notes


PATIENTS = "filename,label,left,top,right,bottom,patient,age,kind\n"
ROWS = (
    "1.jpg,dog,0,0,10,20,p1,7,x", "1.jpg,cat,0,0,2,2,p1,7,y", "2.jpg,cat,1,1,2,2,,8,x", "2.jpg,cat,1,1,4,4,p1,,y",
    "3.jpg,dog,1,1,2,2,p2,9,x", "3.jpg,dog,1,1,3,3,p3,9,y", "4.jpg,cat,1,1,2,2,p4,5,x", "4.jpg,cat,1,1,2,3,p4,6,y",
    "5.jpg,dog,2,2,1,1,p5,5,x", "6.jpg,dog,1,1,2,2,,3,x", "6.jpg,dog,1,1,2,3,,3,y", "7.jpg,dog,1,1,2,2,p7,3,x",
)  # fmt: skip


def patients(root: Path) -> Path:
    files = {f"{number}.jpg": "" for number in range(1, 7)}
    return write(root, {**files, "t.csv": PATIENTS + "\n".join(ROWS)}) / "t.csv"


def test_a_table_of_boxes_with_groups_and_covariates(tmp_path: Path) -> None:
    index = load_data(patients(tmp_path), group="patient", covariates="age")
    assert index.paths == ("1.jpg", "2.jpg", "6.jpg")
    assert [index.classes[target] for target in index.targets] == ["dog", "cat", "dog"]
    assert index.groups == ("p1", "p1", "6.jpg")
    assert index.covariates.tolist() == [[7], [8], [3]]
    assert {path: len(found) for path, found in index.boxes.items()} == {"1.jpg": 2, "2.jpg": 2, "6.jpg": 2}
    assert index.excluded == (
        Excluded("5.jpg", "row 10: dog, 2, 2, 1, 1 is no labelled box"),
        Excluded("7.jpg", "there is no such file"),
        Excluded("3.jpg", "its rows disagree on patient"),  # the names stay off what is written
        Excluded("4.jpg", "its rows disagree on age"),
    )
    assert index.source == Source(path=index.origin, group="patient", covariates=("age",))
    assert "boxes: 6 in 3 images, labelled cat, dog" in index.notes


@pytest.mark.parametrize(
    "options",
    [
        {"image": "filename"},
        {"target": "label"},
        {"target": "LABEL", "image": "filename"},
        {"task": "classification"},
        {"classes": ("cat", "dog", "owl")},
    ],
)
def test_options_that_change_nothing_keep_the_boxes(tmp_path: Path, options: dict[str, Any]) -> None:
    file = patients(tmp_path)
    plain, index = load_data(file), load_data(file, **options)
    assert (index.paths, index.targets.tolist()) == (plain.paths, plain.targets.tolist())
    assert (index.boxes, index.excluded) == (plain.boxes, plain.excluded)
    assert len(index) == len(set(index.paths)) == 5


@pytest.mark.parametrize("options", [{"target": "kind"}, {"target": "age,left"}, {"covariates": "left"}])
def test_a_table_of_boxes_that_is_to_be_something_else_is_read_by_rows_and_says_so(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    index = load_data(patients(tmp_path), **options)
    assert not index.boxes and len(index) > len(set(index.paths))
    assert "not used: the boxes, since other columns were asked for" in index.notes
    assert "images in more than one row; each row counts as an image" in index.notes[-1]


def test_labels_that_are_numbers(tmp_path: Path) -> None:
    text = SPLIT_BOXES + "1.jpg,3,0,1,10,20,train\n1.jpg,5,0,1,2,2,train\n2.jpg,5,1,1,2,2,train\n"
    file = write(tmp_path, {"1.jpg": "", "2.jpg": "", "t.csv": text}) / "t.csv"
    assert load_data(file).classes == ("3", "5")
    numeric = load_data(file, task="regression")
    assert numeric.targets[:, 0].tolist() == [3.0, 5.0] and len(numeric.boxes) == 2


def test_a_frame_of_boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas")
    file = patients(tmp_path)
    monkeypatch.chdir(tmp_path)
    index = load_data(pandas.read_csv(file), group="patient")
    assert index.paths == ("1.jpg", "2.jpg", "4.jpg", "6.jpg")
    assert index.boxes["1.jpg"] == (Box("dog", 0, 0, 10, 20), Box("cat", 0, 0, 2, 2))


def test_an_unlabeled_table_of_boxes_lists_every_image_once(tmp_path: Path) -> None:
    table = read_table(patients(tmp_path))
    index = load_table(table, Wanted(unlabeled=True, covariates=("age",)), tmp_path, None)
    assert index.paths == ("1.jpg", "2.jpg", "3.jpg", "5.jpg", "6.jpg")
    assert index.covariates.ravel().tolist() == [7, 8, 9, 5, 3]
    assert index.excluded == (
        Excluded("7.jpg", "there is no such file"),
        Excluded("4.jpg", "its rows disagree on age"),
    )


def test_an_image_in_several_rows_of_a_plain_table_is_said(tmp_path: Path) -> None:
    rows = "path,kind\n1.jpg,a\n2.jpg,b\n./1.jpg,b\n"
    index = load_data(write(tmp_path, {"1.jpg": "", "2.jpg": "", "t.csv": rows}) / "t.csv")
    assert index.paths == ("1.jpg", "2.jpg", "1.jpg")
    assert index.notes[-1] == "image: 1 image in more than one row; each row counts as an image"


def test_the_boxes_of_the_shapes(tmp_path: Path) -> None:
    write_shapes(tmp_path / "shapes", count=40, size=32)
    index = load_data(tmp_path / "shapes")
    assert set(index.boxes) == set(index.paths)
    for path, (box,) in index.boxes.items():
        assert box.label == path.split("/")[1]
        assert 0 <= box.left < box.right <= 32 and 0 <= box.top < box.bottom <= 32
    (tmp_path / "shapes" / "boxes.csv").write_text("PK\x03\x04")
    assert [item.path for item in load_data(tmp_path / "shapes").excluded] == ["boxes.csv"]


def test_raccoons_in_place(shared_data: Path) -> None:
    index = load_data(shared_data / "raccoon")
    assert (len(index), index.classes, index.excluded) == (100, ("raccoon",), ())
    assert sum(map(len, index.boxes.values())) == sum(
        file.read_text().count("<object>") for file in (shared_data / "raccoon" / "annotations").glob("*.xml")
    )
    assert index.boxes["images/raccoon-102.jpg"] == (Box("raccoon", 0, 0, 118, 152),)
    for path, boxes in index.boxes.items():
        with Image.open(index.root / path) as image:
            assert all(box.right <= image.width and box.bottom <= image.height for box in boxes)


@settings(max_examples=100)
@given(
    data=st.binary(max_size=100)
    | st.text(max_size=40).map(lambda t: f"<annotation>{t}</annotation>".encode())
)
@example(b"<annotation><object/></annotation>")
@example(b"<annotation><object><name>x</name><bndbox><xmin>1e999</xmin></bndbox></object></annotation>")
def test_no_xml_ends_in_anything_but_boxes_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzz.xml"
    file.write_bytes(data)
    try:
        assert read_voc(file).boxes == ()
    except DataError as error:
        assert str(error)


# --- what is no data --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((None,), "`data` must be a path or a data frame. Got None."),
        ((b"x",), "`data` must be a path or a data frame. Got a value of the type bytes."),
        (("x", "target", 3), "`target` must be text, or several texts. Got a value of the type int."),
        (("x", "target", (1, 2)), "`target` must be text, or several texts. Got a value of the type tuple."),
        (("x", "covariates", 3), "`covariates` must be text, or several texts. Got a value of the type int."),
        (("x", "classes", 3), "`classes` must be text, or several texts. Got a value of the type int."),
        (("x", "image", ["a"]), "`image` must be text. Got a value of the type list."),
        (("x", "group", 3), "`group` must be text. Got a value of the type int."),
        (
            ("x", "split", 7),
            "`split` must be a column's name or a table's path. Got a value of the type int.",
        ),
    ],
)
def test_arguments_of_another_kind(arguments: tuple[Any, ...], said: str) -> None:
    data, *named = arguments
    with pytest.raises(InvalidArgument) as caught:
        load_data(data, **dict([named] if named else []))
    assert str(caught.value) == said


def test_a_series_is_no_frame() -> None:
    pandas = pytest.importorskip("pandas")
    for arguments in ({"root": pandas.Series([1, 2])}, {"root": "x", "split": pandas.DataFrame({"a": [1]})}):
        with pytest.raises(InvalidArgument, match=r"Got a value of the type (Series|DataFrame)\.$"):
            load_data(**arguments)


def test_tables_beside_folders_that_are_no_classes(tmp_path: Path) -> None:
    rows = "path,kind\n1.jpg,a\n2.jpg,b\n"
    write(tmp_path, {"train/1.jpg": "", "train/2.jpg": "", "train.csv": rows})
    assert refusal(tmp_path).endswith(
        " There is a table in it, too (train.csv): if one lists the images, name it: mirada train ROOT/train.csv"
    )
    assert len(load_data(tmp_path / "train.csv")) == 2
    write(tmp_path, {"test.csv": rows})
    assert "no class folders found. " in refusal(tmp_path)
    assert "There are tables in it, too (test.csv, train.csv): " in refusal(tmp_path)
    assert refusal(tmp_path).endswith("mirada train ROOT/train.csv")
    write(tmp_path, {"flat/images/1.jpg": "", "flat/b.csv": rows, "flat/a.tsv": rows})
    assert 'only one class ("images")' in refusal(tmp_path / "flat")
    assert refusal(tmp_path / "flat").endswith("name it: mirada train ROOT/a.tsv")


def test_a_workbook_and_arrays_without_images(tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").write_bytes(b"PK\x03\x04")
    assert refusal(tmp_path / "t.xlsx") == "ROOT: is an Excel workbook. Save the sheet as CSV."
    assert refusal(tmp_path / "t.xlsx", target="age") == "ROOT: is an Excel workbook. Save the sheet as CSV."
    np.savez(tmp_path / "none.npz", x=np.zeros((0, 8, 8), np.uint8), y=np.zeros(0, np.int64))
    assert refusal(tmp_path / "none.npz") == "ROOT: there are no images in it."
    assert refusal(tmp_path / "none.npz", classes=("a", "b")) == "ROOT: there are no images in it."


@pytest.mark.parametrize("name", ["s.csv", "s.tsv", "s.TXT", "s.tab"])
def test_a_file_of_splits_of_any_ending(tmp_path: Path, name: str) -> None:
    files = {f"{kind}/{number}.jpg": "" for kind in ("cat", "dog") for number in range(2)}
    rows = "path\tsplit\n" + "".join(f"{path}\t{('train', 'val')['1' in path]}\n" for path in files)
    write(tmp_path, files)
    (tmp_path / name).write_text(rows, encoding="utf-16")
    index = load_data(tmp_path, split=tmp_path / name)
    assert dict(zip(index.paths, index.splits.tolist(), strict=True)) == {
        path: ("train", "val")["1" in path] for path in files
    }
    assert index.source is not None and index.source.split == str(tmp_path / name)
