"""Boxes beside images: VOC's XML, and tables; nothing in an XML file can do harm."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from mirada.data.index import Box, Excluded
from mirada.data.samples import write_shapes
from mirada.data.sources import load_data, require_images
from mirada.data.sources.boxes import read_voc
from mirada.errors import DataError


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


def refusal(root: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        load_data(root, **options)
    return str(caught.value).replace(str(root), "ROOT")


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
    assert index.source == tmp_path / "table.csv"


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
    assert index.boxes["1.jpg"] == (Box("dog", 0, 1, 10, 20), Box("cat", 0, 1, 2, 2))  # the same one once
    assert index.excluded == (
        Excluded("1.jpg", "row 8: no split"),
        Excluded("4.jpg", "row 9: no split"),
        Excluded("3.jpg", "its rows put it into train and test"),
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
