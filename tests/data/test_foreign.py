"""Data in formats that are not read are called by their names, with what to do, and classes beside them are read."""

from pathlib import Path

import pytest
from refusals import refusal
from test_sources import touch

from mirada.data.sources import load_data

COCO = '{"info": {}, "images": [{"id": 1, "file_name": "0.jpg"}], "annotations": [], "categories": []}'
YOLO = "0 0.5 0.5 0.25 1e-1\n17 0.1 0.2 0.3 0.4\n"
TABLE = "Write a table with the columns image and label"


@pytest.mark.parametrize(
    ("images", "list_", "text", "name"),
    [
        (("train2017/1.jpg", "val2017/2.jpg"), "annotations/instances_train2017.json", COCO, "COCO"),
        (("train/1.jpg", "valid/2.jpg"), "train/_annotations.coco.json", COCO, "COCO"),
        (("data/1.jpg",), "labels.json", COCO, "COCO"),
        (("1.jpg",), "annotations.json", COCO, "COCO"),
        (("images/train/1.jpg", "images/val/2.jpg"), "labels/train/1.txt", YOLO, "YOLO"),
        (("train/images/1.jpg", "valid/images/2.jpg"), "train/labels/1.txt", YOLO, "YOLO"),
        (("obj_train_data/1.jpg",), "obj_train_data/1.txt", YOLO.strip(), "YOLO"),
        (("1.jpg",), "1.txt", YOLO.replace("\n", "\r\n"), "YOLO"),
    ],
)
def test_boxes_of_other_tools(
    tmp_path: Path, images: tuple[str, ...], list_: str, text: str, name: str
) -> None:
    touch(tmp_path, *images, list_)
    (tmp_path / list_).write_text(text, encoding="utf-8")
    assert refusal(tmp_path).startswith(f"ROOT: {list_} is in {name}'s format (")
    assert TABLE in refusal(tmp_path)


@pytest.mark.parametrize(
    ("file", "name", "remedy"),
    [
        ("data_batch_1", "CIFAR-10's Python format", "NPZ"),
        ("data_batch_1.bin", "CIFAR-10's binary format", "NPZ"),
        ("train_32x32.mat", "a format of arrays other than NPZ and IDX", "NPZ"),
        ("x.npy", "a format of arrays other than NPZ and IDX", "NPZ"),
        ("data.tar", "the format of an archive", "Unpack it first"),
        ("a.parquet", "the format of Parquet or Arrow", "a folder for each class"),
        ("train.tfrecord", "a format of records", "a folder for each class"),
        ("list.json", "a format of lists other than CSV", "as CSV"),
    ],
)
def test_files_of_other_tools(tmp_path: Path, file: str, name: str, remedy: str) -> None:
    touch(tmp_path, file)
    message = refusal(tmp_path)
    assert message.startswith(f"ROOT: {file} is in {name}, which is not read.") and remedy in message
    if "batch" not in file:
        assert refusal(tmp_path / file).startswith(f"ROOT: is in {name}, which is not read.")


def test_the_list_of_hugging_face(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.jpg", "train/metadata.jsonl")
    assert "train/metadata.jsonl is in Hugging Face's format (JSON Lines)" in refusal(tmp_path)


def test_classes_beside_such_files_are_read(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.jpg", "dog/1.jpg", "data.zip", "cat/1.txt")
    (tmp_path / "labels.json").write_text(COCO, encoding="utf-8")
    (tmp_path / "cat" / "1.txt").write_text(YOLO, encoding="utf-8")
    assert load_data(tmp_path).classes == ("cat", "dog")


def test_what_is_wrong_with_images_is_said_rather_than_that_an_archive_lies_beside_them(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "1.jpg", "data.zip", "notes.json")
    assert "no class folders found" in refusal(tmp_path)
