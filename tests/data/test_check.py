"""What the check finds in files, classes and splits, in words; and that it changes nothing."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mirada.data.check import FORMAT_EXTENSIONS, CheckReport, Finding, Sizes, check
from mirada.data.decode import EXTENSIONS, FORMATS
from mirada.data.index import Excluded, Index
from mirada.data.sources import load_data


def save(path: Path, size: tuple[int, int] = (20, 10), mode: str = "RGB", **options: object) -> None:
    """A small image; ``size`` is (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, "white").save(path, **options)


def index_of(root: Path, *rows: tuple[str, str, int], **changes: object) -> Index:
    """An index of (path, split, class number) rows with the classes cat and dog."""
    paths, splits, targets = zip(*rows, strict=True) if rows else ((), (), ())
    values = {
        "root": root,
        "paths": tuple(paths),
        "splits": np.array(splits, dtype="<U5"),
        "targets": np.array(targets, dtype=np.int64),
        "classes": ("cat", "dog"),
    }
    return Index(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """A sound folder: two images per class, in train and in test."""
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            for number in range(2):
                save(tmp_path / split / name / f"{number}.png")
    return tmp_path


def told(report: CheckReport) -> list[tuple[str, str, str]]:
    return [(finding.kind, finding.severity, str(finding)) for finding in report.findings]


def test_a_sound_folder_has_no_findings(pets: Path) -> None:
    report = check(load_data(pets))
    assert report.ok
    assert report == CheckReport(
        findings=(),
        counts={"train": {"cat": 2, "dog": 2}, "test": {"cat": 2, "dog": 2}},
        sizes=Sizes(min=(10, 20), median=(10, 20), max=(10, 20), distinct=1),
        modes={"RGB": 8},
    )


def test_nothing_is_changed(pets: Path) -> None:
    (pets / "train" / "cat" / "bad.png").write_bytes(b"no image")
    files = [path for path in pets.rglob("*") if path.is_file()]
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}
    check(load_data(pets))
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in pets.rglob("*.*")} == before


def test_files_that_cannot_be_read_are_named_with_the_reason(pets: Path) -> None:
    cat = pets / "train" / "cat"
    noise = np.random.default_rng(0).integers(0, 256, size=(64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(cat / "cut.jpg")
    (cat / "cut.jpg").write_bytes((cat / "cut.jpg").read_bytes()[:2000])  # the header is whole
    (cat / "empty.png").touch()
    (cat / "text.png").write_text("no image")
    index = load_data(pets)
    (cat / "0.png").unlink()
    report = check(index)
    assert told(report) == [
        ("unreadable", "error", "train/cat/0.png: cannot be read (no such file or directory)"),
        ("unreadable", "error", f"train/cat/cut.jpg: {report.findings[1].message}"),
        ("unreadable", "error", "train/cat/empty.png: the file is empty"),
        (
            "unreadable",
            "error",
            "train/cat/text.png: not an image in a format that is read (" + ", ".join(FORMATS) + ")",
        ),
    ]
    assert "truncated" in report.findings[1].message
    assert not report.ok
    assert report.counts["train"] == {"cat": 1, "dog": 2}
    assert report.modes == {"RGB": 7}


def test_a_name_that_does_not_fit_the_content_is_said_and_the_image_counted(pets: Path) -> None:
    save(pets / "train" / "cat" / "photo.png", format="WEBP")
    save(pets / "train" / "cat" / "noname", format="PNG")
    report = check(load_data(pets))
    message = "train/cat/photo.png: is a WEBP image in spite of .png in its name; it is read as WEBP"
    assert told(report) == [("wrong-extension", "warning", message)]
    assert report.counts["train"]["cat"] == 4


def test_a_phone_photo_with_a_second_image_behind_it_is_a_jpeg(pets: Path) -> None:
    second = Image.new("RGB", (20, 10))
    save(pets / "train" / "cat" / "phone.jpg", format="MPO", save_all=True, append_images=[second])
    with Image.open(pets / "train" / "cat" / "phone.jpg") as image:
        assert image.format == "MPO"
    assert check(load_data(pets)).ok


def test_the_extensions_are_those_that_are_listed_and_mean_what_pillow_says() -> None:
    Image.init()
    known = Image.registered_extensions()
    assert tuple(FORMAT_EXTENSIONS) == FORMATS
    assert {ending for endings in FORMAT_EXTENSIONS.values() for ending in endings} == EXTENSIONS
    for kind, endings in FORMAT_EXTENSIONS.items():
        assert {known[ending] for ending in endings} - {"MPO"} == {kind}


def test_tiny_images_are_named(pets: Path) -> None:
    save(pets / "train" / "dog" / "dot.png", (8, 7))
    save(pets / "train" / "dog" / "fine.png", (8, 8))
    message = "train/dog/dot.png: is 8 × 7 pixels (width × height); 8 on a side is little already"
    assert told(check(load_data(pets))) == [("tiny", "warning", message)]


def test_sizes_are_those_of_the_upright_images(tmp_path: Path) -> None:
    save(tmp_path / "a.png", (30, 10))
    save(tmp_path / "b.png", (30, 10), mode="L")
    save(tmp_path / "c.png", (50, 20), mode="L")
    turned = Image.Exif()
    turned[0x0112] = 6  # a quarter turn: 100 × 40 on disk, 40 × 100 upright
    save(tmp_path / "d.jpg", (100, 40), exif=turned)
    rows = [(name, "train", number % 2) for number, name in enumerate(("a.png", "b.png", "c.png", "d.jpg"))]
    report = check(index_of(tmp_path, *rows))
    assert report.sizes == Sizes(min=(10, 30), median=(10, 30), max=(100, 50), distinct=3)
    assert report.modes == {"RGB": 2, "L": 2}


def test_a_file_named_twice_is_looked_at_once_and_counted_twice(tmp_path: Path) -> None:
    save(tmp_path / "a.png", (4, 4))
    report = check(index_of(tmp_path, ("a.png", "train", 0), ("a.png", "train", 1), ("a.png", "train", 0)))
    assert [finding.kind for finding in report.findings] == ["single-image", "tiny"]
    assert report.counts == {"train": {"cat": 2, "dog": 1}}
    assert report.modes == {"RGB": 1}


def test_what_the_folder_source_left_out_is_said_but_not_its_hidden_files(pets: Path) -> None:
    cat = pets / "train" / "cat"
    for name in (".DS_Store", "Thumbs.db", "README.txt", "notes.docx"):
        (cat / name).write_text("no image")
    message = "train/cat/notes.docx: left out: not an image by its extension (.docx)"
    assert told(check(load_data(pets))) == [("excluded", "warning", message)]


def test_classes_that_lack_images(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    (tmp_path / "bad.png").write_bytes(b"")
    classes = ("cat", "dog", "eel", "fox")
    rows = [("a.png", "train", 0)] * 2 + [
        ("a.png", "test", 1),
        ("bad.png", "train", 1),
        ("a.png", "train", 2),
    ]
    assert told(check(index_of(tmp_path, *rows, classes=classes))) == [
        ("no-class", "error", "train/dog: no image to train on"),
        ("no-class", "error", "train/fox: no image to train on"),
        ("unreadable", "error", "bad.png: the file is empty"),
        ("no-class", "warning", "test/cat: no image of this class in this split"),
        ("single-image", "warning", "eel: a single image: none is left to test on"),
    ]


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        (("cat",), 'classification needs at least two classes; found only "cat"'),
        ((), "classification needs at least two classes; found none"),
    ],
)
def test_fewer_than_two_classes(tmp_path: Path, classes: tuple[str, ...], text: str) -> None:
    save(tmp_path / "a.png")
    rows = [("a.png", "train", 0 if classes else -1)] * 2
    assert told(check(index_of(tmp_path, *rows, classes=classes))) == [("few-classes", "error", text)]


def test_splits_that_lack_images(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    (tmp_path / "bad.png").write_bytes(b"")
    good = [("a.png", "train", number % 2) for number in range(4)]

    report = check(index_of(tmp_path, *good, ("bad.png", "test", 0)))
    assert ("no-split", "error", "test: none of its 1 images can be read") in told(report)

    report = check(index_of(tmp_path, *[("a.png", "val", number % 2) for number in range(4)]))
    assert told(report) == [
        ("no-split", "error", "train: there are no images to train on"),
        ("no-split", "warning", "test: there are no images to test on beside those of val"),
    ]


def test_an_index_without_any_file(tmp_path: Path) -> None:
    report = check(index_of(tmp_path, excluded=(Excluded("x.pdf", "no image"),)))
    assert told(report) == [
        ("no-split", "error", "train: there are no images to train on"),
        ("excluded", "warning", "x.pdf: left out: no image"),
    ]
    assert (report.sizes, report.counts, report.modes) == (None, {}, {})
    assert report.to_dict()["sizes"] is None


def test_a_regression_has_no_class_findings(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    rows = [("a.png", "train", 7)]
    report = check(index_of(tmp_path, *rows, task="regression", unit="months", classes=()))
    assert report.ok
    assert report.counts == {"train": {"months": 1}}


def test_the_report_goes_through_json(pets: Path) -> None:
    save(pets / "train" / "cat" / "tiny.png", (4, 5), mode="L")
    report = check(load_data(pets))
    values = report.to_dict()
    assert json.loads(json.dumps(values)) == values
    assert values == {
        "ok": False,
        "findings": [
            {
                "kind": "tiny",
                "severity": "warning",
                "where": "train/cat/tiny.png",
                "message": "is 4 × 5 pixels (width × height); 8 on a side is little already",
            }
        ],
        "counts": {"train": {"cat": 3, "dog": 2}, "test": {"cat": 2, "dog": 2}},
        "sizes": {"min": [5, 4], "median": [10, 20], "max": [10, 20], "distinct": 2},
        "modes": {"RGB": 8, "L": 1},
    }


def test_a_finding_without_a_place_is_its_message() -> None:
    assert str(Finding("few-classes", "error", "", "no classes")) == "no classes"


def test_progress_is_told_to_the_end(pets: Path) -> None:
    events: list[dict[str, object]] = []
    check(load_data(pets), watch=events.append)
    assert events[-1] == {"event": "progress", "what": "checking", "done": 8, "total": 8}


def test_every_odd_image_is_measured_or_named(shared_data: Path) -> None:
    root = shared_data / "odd-images"
    paths = sorted(path.name for path in root.iterdir() if path.is_file())
    report = check(index_of(root, *((path, "train", row % 2) for row, path in enumerate(paths))))
    unreadable = [finding for finding in report.findings if finding.kind == "unreadable"]
    assert len(unreadable) > 20
    assert sum(report.modes.values()) + len(unreadable) == len(paths)
    assert sum(report.counts["train"].values()) == sum(report.modes.values())
    assert {finding.where for finding in report.findings} <= set(paths)
    assert "truncated" in next(f.message for f in unreadable if f.where == "truncated_image.png")
    for finding in report.findings:
        assert finding.message
        assert not re.search(r"(Error|Exception|Warning)\b|Traceback|<|0x|\n", finding.message), finding
