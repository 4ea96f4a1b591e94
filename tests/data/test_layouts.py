"""ImageNet's layout: folders of synsets to train on, a flat folder and a list for validation."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from refusals import refusal
from scipy.io import savemat

from mirada.data.index import Index
from mirada.data.sources import load_data
from mirada.samples import Excluded

FISH, SHARK, OSTRICH = "n01440764", "n01484850", "n01518878"
GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
WORDS = f"{FISH} tench, Tinca tinca\n{SHARK} great white shark\n{OSTRICH} ostrich\n"
NAMES = [f"ILSVRC2012_val_{number:08}" for number in range(1, 5)]
TRUE = [OSTRICH, FISH, SHARK, FISH]


def imagenet(root: Path, below: str = "", val: str = "val") -> Path:
    for synset in (SHARK, OSTRICH, FISH):
        for number in range(2):
            file = root / below / "train" / synset / f"{synset}_{number}.JPEG"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    (root / below / val).mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (root / below / val / f"{name}.JPEG").touch()
    return root


def validation(index: Index) -> dict[str, str]:
    return {Path(index.paths[row]).stem: index.classes[index.targets[row]] for row in index.rows("val")}


def lines(labels: Sequence[object], *, ending: str = ".JPEG", between: str = " ") -> str:
    return "".join(f"{name}{ending}{between}{label}\n" for name, label in zip(NAMES, labels, strict=True))


@pytest.mark.parametrize(
    ("files", "note"),
    [
        ({"val.txt": lines(TRUE)}, "val.txt"),
        ({"val/val.txt": lines([2, 0, 1, 0])}, "val.txt"),  # places in the alphabet
        ({"val.txt": lines([3, 1, 2, 1])}, "val.txt"),  # counted from one
        ({"val.txt": lines([0, 2, 1, 2]), "synset_words.txt": "".join(reversed(WORDS.splitlines(True)))}, "val.txt"),
        ({f"devkit/data/{GROUND_TRUTH}": "\n".join(TRUE)}, GROUND_TRUTH),
        ({"val/val_annotations.txt": lines(TRUE, between="\t")}, "val_annotations.txt"),
    ],
)  # fmt: skip
def test_every_kind_of_list(tmp_path: Path, files: dict[str, str], note: str) -> None:
    root = imagenet(tmp_path)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    index = load_data(root)
    assert index.classes == (FISH, SHARK, OSTRICH)
    assert validation(index) == dict(zip(NAMES, TRUE, strict=True))
    assert index.counts()["train"] == dict.fromkeys(index.classes, 2)
    assert index.notes == (f"val: 4 images, classes by {note}",)
    assert index.excluded == ()


def test_kaggles_layout(tmp_path: Path) -> None:
    root = imagenet(tmp_path, "ILSVRC/Data/CLS-LOC")
    (root / "LOC_synset_mapping.txt").write_text(WORDS)
    solution = "ImageId,PredictionString\n" + lines(
        [f"{name} 1 2 30 40" for name in TRUE], ending="", between=","
    )
    (root / "LOC_val_solution.csv").write_text(solution)
    index = load_data(root)
    assert validation(index) == dict(zip(NAMES, TRUE, strict=True))
    assert index.paths[0] == f"ILSVRC/Data/CLS-LOC/train/{FISH}/{FISH}_0.JPEG"


def test_the_development_kits_numbers_are_not_the_alphabets(tmp_path: Path) -> None:
    root = imagenet(tmp_path)
    kit = root / "ILSVRC2012_devkit_t12" / "data"
    kit.mkdir(parents=True)
    (kit / "ILSVRC2012_validation_ground_truth.txt").write_text("1\n3\n2\n3\n")
    (root / "synset_words.txt").write_text(WORDS)
    text = refusal(root)
    assert (
        "validation_ground_truth.txt: its numbers are those of the development kit's meta.mat, which is not"
        in text
    )
    synsets = np.array(
        [(1, OSTRICH, 0), (2, SHARK, 0), (3, FISH, 0), (4, "n00000001", 3)],
        dtype=[("ILSVRC2012_ID", "i4"), ("WNID", "O"), ("num_children", "i4")],
    )
    savemat(kit / "meta.mat", {"synsets": synsets})
    assert validation(load_data(root)) == dict(zip(NAMES, TRUE, strict=True))
    (kit / "meta.mat").write_bytes(b"no MATLAB file")
    assert "meta.mat: is not the meta.mat of the development kit (" in refusal(root)


def test_tiny_imagenets_folder_of_images(tmp_path: Path) -> None:
    root = imagenet(tmp_path, val="val/images")
    (root / "val" / "val_annotations.txt").write_text(lines(TRUE, between="\t"))
    assert validation(load_data(root)) == dict(zip(NAMES, TRUE, strict=True))


def test_images_that_the_list_does_not_name_are_left_out(tmp_path: Path) -> None:
    root = imagenet(tmp_path)
    (root / "val.txt").write_text(lines(TRUE))
    (root / "val" / "stray.JPEG").touch()
    assert load_data(root).excluded == (Excluded("val/stray.JPEG", "is not in val.txt"),)


def test_names_of_a_list_without_an_image_are_said(tmp_path: Path) -> None:
    root = imagenet(tmp_path)
    (root / "val.txt").write_text(lines(TRUE))
    (root / "val" / f"{NAMES[1]}.JPEG").unlink()
    index = load_data(root)
    assert index.excluded == (Excluded(f"val/{NAMES[1]}", "val.txt names it, and there is no such image"),)
    assert len(validation(index)) == 3


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("val.txt", lines([0, 1, 2, 7]), "ROOT/val.txt: has the label 7, and there are 3 classes."),
        (
            "val.txt",
            lines([FISH, SHARK, "n01440765", FISH]),
            f'ROOT/val.txt: names the class "n01440765", of which there is no folder. Did you mean "{FISH}"? '
            f"Known: {FISH}, {SHARK}, {OSTRICH}.",
        ),
        (
            "ILSVRC2012_validation_ground_truth.txt",
            "\n".join(TRUE[:3]),
            "ROOT/ILSVRC2012_validation_ground_truth.txt: has 3 labels for the 4 images in ROOT/val.",
        ),
    ],
)
def test_lists_that_do_not_fit(tmp_path: Path, name: str, text: str, message: str) -> None:
    (imagenet(tmp_path) / name).write_text(text)
    assert refusal(tmp_path) == message


def test_without_a_list_the_flat_images_are_named(tmp_path: Path) -> None:
    index = load_data(imagenet(tmp_path))
    assert index.counts() == {"train": dict.fromkeys((FISH, SHARK, OSTRICH), 2)}
    assert {item.reason for item in index.excluded} == {"lies beside the class folders, not in one of them"}
    assert len(index.excluded) == 4


def test_a_models_classes(tmp_path: Path) -> None:
    root = imagenet(tmp_path)
    (root / "val.txt").write_text(lines(TRUE))
    index = load_data(root, classes=(OSTRICH, SHARK, FISH))
    assert validation(index) == dict(zip(NAMES, TRUE, strict=True))
    assert index.targets[index.rows("val")].tolist() == [0, 2, 1, 2]
