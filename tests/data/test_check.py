"""What the check finds in files, classes and splits, in words; and that it changes nothing."""

import io
import json
import re
import shutil
from base64 import b64decode
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mirada.data.checks.findings import FORMAT_EXTENSIONS
from mirada.data.checks.kinds import Finding, Kind
from mirada.data.index import Index
from mirada.data.pixels.decode import EXTENSIONS, FORMATS
from mirada.data.sources import load_data
from mirada.errors import InvalidArgument
from mirada.events import Progress
from mirada.jobs.check import CheckReport, Sizes, check
from mirada.samples import Box, Classes, Excluded, Numbers


def noise(name: str, size: tuple[int, int]) -> Image.Image:
    """An image that no other name has; ``size`` is (width, height)."""
    rng = np.random.default_rng(list(name.encode()))
    return Image.fromarray(rng.integers(0, 256, size=(size[1], size[0], 3), dtype=np.uint8))


def save(path: Path, size: tuple[int, int] = (20, 10), mode: str = "RGB", **options: object) -> None:
    """A small image, another one for every path; ``size`` is (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise(str(path), size).convert(mode).save(path, **options)


def index_of(root: Path, *rows: tuple[str, str, int], **changes: object) -> Index:
    """An index of (path, split, class number) rows with the classes cat and dog."""
    paths, splits, targets = zip(*rows, strict=True) if rows else ((), (), ())
    values = {
        "root": root,
        "paths": tuple(paths),
        "splits": np.array(splits, dtype="<U5"),
        "targets": np.array(targets, dtype=np.int64),
        "target": Classes(("cat", "dog")),
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


def found_in(report: CheckReport) -> list[Finding]:
    """The findings but for that on few images, of which nearly every test here has few."""
    return [finding for finding in report.findings if finding.kind is not Kind.FEW_IMAGES]


def told(report: CheckReport) -> list[tuple[str, str, str]]:
    return [(finding.kind, finding.severity, str(finding)) for finding in found_in(report)]


def test_a_sound_folder_has_no_findings(pets: Path) -> None:
    report = check(load_data(pets))
    assert found_in(report) == []
    assert report.counts == {"train": {"cat": 2, "dog": 2}, "test": {"cat": 2, "dog": 2}}
    assert report.sizes == Sizes(min=(10, 20), median=(10, 20), max=(10, 20), distinct=1)
    assert report.modes == {"RGB": 8}


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
        ("unreadable", "error", f"train/cat/cut.jpg: {found_in(report)[1].message}"),
        ("unreadable", "error", "train/cat/empty.png: the file is empty"),
        (
            "unreadable",
            "error",
            f"train/cat/text.png: not an image in a format that is read ({', '.join(sorted(FORMAT_EXTENSIONS))})",
        ),
    ]
    assert "truncated" in found_in(report)[1].message
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
    assert found_in(check(load_data(pets))) == []


def test_the_extensions_are_those_that_are_listed_and_mean_what_pillow_says() -> None:
    Image.init()
    known = Image.registered_extensions()
    assert FORMAT_EXTENSIONS.keys() == {*FORMATS, "DICOM"}
    assert {ending for endings in FORMAT_EXTENSIONS.values() for ending in endings} == EXTENSIONS
    for kind in FORMATS:
        assert {known[ending] for ending in FORMAT_EXTENSIONS[kind]} - {"MPO"} == {kind}


def test_tiny_images_are_named(pets: Path) -> None:
    save(pets / "train" / "dog" / "dot.png", (8, 7))
    save(pets / "train" / "dog" / "fine.png", (8, 8))
    message = "train/dog/dot.png: is 8 × 7 pixels (width × height): 8 on a side is little already"
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
    assert told(report) == [
        ("single-image", "warning", "dog: a single image: none is left to test on"),
        (
            "two-labels",
            "warning",
            "a.png: is listed 3 times, but the labels are cat and dog: correct them and keep one",
        ),
        ("tiny", "warning", "a.png: is 4 × 4 pixels (width × height): 8 on a side is little already"),
    ]
    assert report.counts == {"train": {"cat": 2, "dog": 1}}
    assert report.modes == {"RGB": 1}


def test_what_the_folder_source_left_out_is_said_but_not_its_hidden_files(pets: Path) -> None:
    cat = pets / "train" / "cat"
    for name in (".DS_Store", "Thumbs.db", "README.txt", "notes.docx"):
        (cat / name).write_text("no image")
    message = "train/cat/notes.docx: left out: not an image by its extension (.docx)"
    assert told(check(load_data(pets))) == [("excluded", "warning", message)]


def test_classes_that_lack_images(tmp_path: Path) -> None:
    for name in "abcd":
        save(tmp_path / f"{name}.png")
    (tmp_path / "bad.png").write_bytes(b"")
    rows = [("a.png", "train", 0), ("b.png", "train", 0), ("c.png", "test", 1), ("d.png", "train", 2)]
    index = index_of(tmp_path, *rows, ("bad.png", "train", 1), target=Classes(("cat", "dog", "eel", "fox")))
    assert told(check(index)) == [
        ("unreadable", "error", "bad.png: the file is empty"),
        ("no-class", "error", "train/dog: no image to train on"),
        ("no-class", "error", "train/fox: no image to train on"),
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
    save(tmp_path / "b.png")
    rows = [(name, "train", 0 if classes else -1) for name in ("a.png", "b.png")]
    assert told(check(index_of(tmp_path, *rows, target=Classes(classes)))) == [("few-classes", "error", text)]


def test_splits_that_lack_images(tmp_path: Path) -> None:
    for number in range(4):
        save(tmp_path / f"{number}.png")
    (tmp_path / "bad.png").write_bytes(b"")
    good = [(f"{number}.png", "train", number % 2) for number in range(4)]

    report = check(index_of(tmp_path, *good, ("bad.png", "test", 0)))
    assert ("no-split", "error", "test: none of its 1 image can be read") in told(report)

    report = check(index_of(tmp_path, *[(name, "val", target) for name, _, target in good]))
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
    report = check(index_of(tmp_path, *rows, target=Numbers(unit="months")))
    assert found_in(report) == []
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
                "kind": "few-images",
                "severity": "warning",
                "where": "",
                "message": "9 images in all: with fewer than 20, what is learnt and how it is judged are mostly chance",
                "paths": [],
            },
            {
                "kind": "tiny",
                "severity": "warning",
                "where": "train/cat/tiny.png",
                "message": "is 4 × 5 pixels (width × height): 8 on a side is little already",
                "paths": ["train/cat/tiny.png"],
            },
        ],
        "counts": {"train": {"cat": 3, "dog": 2}, "test": {"cat": 2, "dog": 2}},
        "sizes": {"min": [5, 4], "median": [10, 20], "max": [10, 20], "distinct": 2},
        "modes": {"RGB": 8, "L": 1},
    }


def test_few_images_are_said(pets: Path) -> None:
    finding = check(load_data(pets)).findings[0]
    assert str(finding) == (
        "8 images in all: with fewer than 20, what is learnt and how it is judged are mostly chance"
    )
    for number in range(12):
        save(pets / "train" / ("cat", "dog")[number % 2] / f"more {number}.png")
    assert check(load_data(pets)).findings == ()


def test_grey_arrays_are_counted_as_grey(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, (24, 9, 9)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", x=values, y=np.arange(24) % 2)
    assert check(tmp_path / "a.npz").modes == {"L": 24}
    np.savez(tmp_path / "b.npz", x=values.astype(np.uint16) * 257, y=np.arange(24) % 2)
    assert check(tmp_path / "b.npz").modes == {"I;16": 24}


def test_the_library_writes_the_page(pets: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    report = check(pets)
    page = report.write(tmp_path_factory.mktemp("out") / "page.html")
    html = page.read_text(encoding="utf-8")
    assert f"{pets.name}: 1 warning in 8 images" in html
    assert html.count("data:image/jpeg;base64,") == 8  # some of each class
    with pytest.raises(InvalidArgument, match="lies in the data folder, in which nothing is changed"):
        report.write(pets / "page.html")


def test_the_page_is_a_gallery_of_images_as_they_are(tmp_path: Path) -> None:
    """Some of each class, neither stretched nor changed: a tiny one is shown larger, pixel by pixel."""
    sizes = [(300, 100), (40, 120), (10, 10), (160, 160)]
    for number, size in enumerate(sizes):
        save(tmp_path / "images" / f"{number}.png", size)
    rows = [(f"{number}.png", "train", number % 2) for number in range(4)]
    page = check(index_of(tmp_path / "images", *rows)).write(tmp_path / "page.html")
    pictures = re.findall(r'data:image/jpeg;base64,([^"]+)"', page.read_text(encoding="utf-8"))
    shown = {Image.open(io.BytesIO(b64decode(picture))).size for picture in pictures}
    assert shown == {(160, 53), (40, 120), (80, 80), (160, 160)}


def test_the_page_shows_the_target_by_covariate(tmp_path: Path) -> None:
    rows = ["image,age,sex"]
    for number in range(24):
        save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{number * 3.7},{'MF'[number % 2]}")
    (tmp_path / "table.csv").write_text("\n".join(rows))
    index = load_data(tmp_path / "table.csv", target="age", covariates="sex=M|F")
    html = check(index).write(tmp_path / "page.html").read_text(encoding="utf-8")
    titles = re.findall(r"<h3>(Targets[^<]*)</h3>", html)
    assert titles == ["Targets: age", "Targets: sex = M", "Targets: sex = F"]
    assert html.count("data:image/jpeg;base64,") == 18  # from the lowest to the highest


def test_a_finding_without_a_place_is_its_message() -> None:
    assert str(Finding(Kind.FEW_CLASSES, "error", "", "no classes")) == "no classes"


def test_progress_is_told_to_the_end(pets: Path) -> None:
    events: list[Progress] = []
    check(load_data(pets), on_event=events.append)
    assert events[-1] == Progress("checking", 8, 8)


def test_every_odd_image_is_measured_or_named(shared_data: Path) -> None:
    root = shared_data / "odd-images"
    paths = sorted(path.name for path in root.iterdir() if path.is_file())
    report = check(index_of(root, *((path, "train", row % 2) for row, path in enumerate(paths))))
    unreadable = [finding for finding in report.findings if finding.kind == "unreadable"]
    assert len(unreadable) > 20
    assert sum(report.modes.values()) + len(unreadable) == len(paths)
    assert sum(report.counts["train"].values()) == sum(report.modes.values())
    assert {finding.where for finding in report.findings} <= {*paths, ""}
    assert {path for finding in report.findings for path in finding.paths} <= set(paths)
    assert "truncated" in next(f.message for f in unreadable if f.where == "truncated_image.png")
    for finding in report.findings:
        assert finding.message
        assert not re.search(r"(Error|Exception|Warning)\b|Traceback|<|\b0x|\n", finding.message), finding


# --- pictures ---------------------------------------------------------------------------------


def test_copies_are_told_by_what_is_wrong_with_them(pets: Path) -> None:
    """The same bytes: in one split, in two, and under two labels. One finding per picture, the worst of it."""
    copies = {
        "train/cat/0.png": ["train/cat/again.png"],
        "train/cat/1.png": ["test/cat/again.png"],
        "train/dog/0.png": ["train/cat/wrong.png", "test/cat/wrong.png"],
    }
    for source, targets in copies.items():
        for target in targets:
            shutil.copy(pets / source, pets / target)
    report = check(load_data(pets))
    assert told(report) == [
        (
            "two-labels",
            "warning",
            "train/cat/wrong.png: has the same content as train/dog/0.png and test/cat/wrong.png, but the labels are "
            "cat and dog: correct them and keep one; they are divided between train and test, too",
        ),
        (
            "leak",
            "warning",
            "train/cat/1.png: has the same content as test/cat/again.png, divided between train and test: the result "
            "will be too good; keep them in one split",
        ),
        (
            "duplicate",
            "warning",
            "train/cat/0.png: has the same content as train/cat/again.png: it counts more than once; keep one, or see "
            "that no split divides them",
        ),
    ]
    assert found_in(report)[0].paths == ("train/cat/wrong.png", "train/dog/0.png", "test/cat/wrong.png")


def test_the_same_picture_in_another_file_is_found(pets: Path) -> None:
    picture = noise("scene", (12, 9)).resize((150, 110), Image.Resampling.BICUBIC)
    picture.save(pets / "train" / "cat" / "scene.png")
    picture.resize((90, 66)).save(pets / "train" / "dog" / "scene.jpg", quality=50)
    (finding,) = found_in(check(load_data(pets)))
    assert (finding.kind, finding.paths) == ("two-labels", ("train/cat/scene.png", "train/dog/scene.jpg"))
    assert "looks the same as train/dog/scene.jpg, but the labels are cat and dog" in finding.message


def test_a_picture_with_two_numbers(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    shutil.copy(tmp_path / "a.png", tmp_path / "b.png")
    rows = [("a.png", "train", 120), ("b.png", "train", 132)]
    changes = {"target": Numbers(unit="months")}
    (finding,) = found_in(check(index_of(tmp_path, *rows, **changes)))
    assert "the labels are 120 months and 132 months" in finding.message
    rows = [("a.png", "train", 120), ("b.png", "train", 120)]
    kinds = [finding.kind for finding in found_in(check(index_of(tmp_path, *rows, **changes)))]
    assert kinds == ["constant-target", "duplicate"]


def test_images_without_a_picture(pets: Path) -> None:
    folder = pets / "train" / "cat"
    Image.new("RGB", (40, 30), (10, 200, 30)).save(folder / "green.png")
    values = np.random.default_rng(0).integers(0, 16, (50, 50), dtype=np.uint8)
    Image.fromarray(values).save(folder / "black.png")
    Image.fromarray(255 - values).save(folder / "white.png")
    values[:2, :2] = 255  # 4 of 2,500 pixels are more than a thousandth
    Image.fromarray(values).save(folder / "star.png")
    Image.fromarray(np.where(np.arange(64).reshape(8, 8) > 60, 40, 0).astype(np.uint8)).save(
        folder / "thin.png"
    )
    advice = "there is no picture to learn from; remove it, or find out how it came about"
    assert told(check(load_data(pets))) == [
        (
            "flat",
            "warning",
            f"train/cat/black.png: is nearly black (999 of 1,000 pixels are below 16 of 255): {advice}",
        ),
        ("flat", "warning", f"train/cat/green.png: all its pixels are the same: {advice}"),
        (
            "flat",
            "warning",
            f"train/cat/white.png: is nearly white (999 of 1,000 pixels are above 239 of 255): {advice}",
        ),
    ]


def test_turned_files_are_one_note_and_no_reason_to_fail(pets: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    save(pets / "train" / "cat" / "phone.jpg", exif=turned)
    report = check(load_data(pets))
    (finding,) = found_in(report)
    assert finding.severity == "info"  # which alone is no reason to fail
    assert (finding.kind, finding.severity, finding.paths) == ("rotated", "info", ("train/cat/phone.jpg",))
    turned[0x0112] = 1
    save(pets / "train" / "cat" / "phone.jpg", exif=turned)
    assert found_in(check(load_data(pets))) == []


def test_sizes_and_shapes_far_from_the_others(tmp_path: Path) -> None:
    names = {"huge.png": (400, 300), "strip.png": (120, 10), "fine.png": (60, 30)}
    for number in range(9):
        names[f"{number}.png"] = (40, 30)
    for name, size in names.items():
        save(tmp_path / name, size)
    rows = [(name, "train", number % 2) for number, name in enumerate(names)]
    found = found_in(check(index_of(tmp_path, *rows)))
    assert [(finding.kind, finding.where) for finding in found] == [
        ("extreme-size", "huge.png"),
        ("extreme-shape", "strip.png"),
    ]
    assert (
        "is 400 × 300 pixels (width × height), while the longer side of most is about 40" in found[0].message
    )
    few = [row for row in rows if row[0] in ("huge.png", "strip.png", "0.png", "1.png")]
    assert found_in(check(index_of(tmp_path, *few))) == []  # among so few there is no rule


# --- splits, classes, boxes -------------------------------------------------------------------


def test_a_group_in_two_splits_is_named_by_its_code(tmp_path: Path) -> None:
    for number in range(6):
        save(tmp_path / f"{number}.png")
    splits = ("train", "train", "train", "val", "test", "test")
    rows = [(f"{number}.png", split, number % 2) for number, split in enumerate(splits)]
    groups = ("Ann", "Ann", "Bob", "Cy", "Ann", "")
    (finding,) = [
        f for f in found_in(check(index_of(tmp_path, *rows, groups=groups))) if f.kind != "no-class"
    ]
    code = blake2b(b"Ann", digest_size=6).hexdigest()
    assert str(finding) == (
        f"group hash-{code}: has images in several splits (2 in train and 1 in test): what is learnt of it leaks; "
        f"keep it in one split"
    )
    assert finding.paths == ("0.png", "1.png", "4.png")
    assert "Ann" not in json.dumps(check(index_of(tmp_path, *rows, groups=groups)).to_dict())


def test_unequal_classes(tmp_path: Path) -> None:
    for number in range(22):
        save(tmp_path / f"{number}.png")
    rows = [(f"{number}.png", "train", int(number < 2)) for number in range(22)]
    (finding,) = found_in(check(index_of(tmp_path, *rows)))
    assert str(finding) == (
        "dog: 2 training images, 10 times fewer than the 20 of cat: weight the classes, and judge by the balanced "
        "accuracy"
    )
    assert found_in(check(index_of(tmp_path, *rows[:-1]))) == []


def test_boxes_that_are_not_within_their_image_are_named(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # 40 × 20 on disk, 20 × 40 upright
    boxes = {
        "all.png": [Box("cat", 0, 0, 32, 24)],
        "pixel.png": [Box("cat", -1, -1, 33, 25)],  # counted from 1, or with its last pixel: not worth a word
        "outside.png": [Box("cat", 100, 100, 3000, 4000)],
        "next.png": [Box("cat", 32, 0, 33, 24)],  # less than a pixel too far, but nothing of it is seen
        "right.png": [Box("cat", 1, 1, 9, 9), Box("dog", 5, 5, 33.5, 9), Box("dog", 5, -2, 9, 9)],
        "upright.jpg": [Box("dog", 0, 0, 20, 40)],
        "stored.jpg": [Box("dog", 0, 0, 40, 20)],
        "neither.jpg": [Box("dog", 0, 0, 40, 40)],
    }
    for name in boxes:
        if name.endswith(".jpg"):
            save(tmp_path / name, (40, 20), exif=turned)
        else:
            save(tmp_path / name, (32, 24))
    rows = [(name, "train", number % 2) for number, name in enumerate(boxes)]
    index = index_of(tmp_path, *rows, boxes={name: tuple(found) for name, found in boxes.items()})
    found = [finding for finding in check(index).findings if finding.kind == "outside-box"]
    advice = "correct it, or find out what its numbers mean"
    assert [str(finding) for finding in found] == [
        "outside.png: its box is not within the image of 32 × 24 pixels (width × height), "
        f'"cat" with left 100, top 100, right 3,000, bottom 4,000: {advice}',
        "next.png: its box is not within the image of 32 × 24 pixels (width × height), "
        f'"cat" with left 32, top 0, right 33, bottom 24: {advice}',
        "right.png: 2 of its 3 boxes are not within the image of 32 × 24 pixels (width × height), the first of them "
        f'"dog" with left 5, top 5, right 33.5, bottom 9: {advice}',
        "neither.jpg: its box is not within the image of 20 × 40 pixels (width × height), "
        f'"dog" with left 0, top 0, right 40, bottom 40: {advice}',
    ]
    assert found[0].paths == ("outside.png",)


def test_the_boxes_of_a_file_that_cannot_be_read_are_let_be(tmp_path: Path) -> None:
    (tmp_path / "bad.png").touch()
    save(tmp_path / "good.png")
    index = index_of(
        tmp_path,
        ("bad.png", "train", 0),
        ("good.png", "train", 1),
        boxes={"bad.png": (Box("cat", 0, 0, 9, 9),)},
    )
    assert "outside-box" not in [finding.kind for finding in check(index).findings]


@pytest.mark.slow
def test_the_bone_ages_are_rounded_to_years_and_no_hand_is_there_twice(shared_data: Path) -> None:
    report = check(load_data(shared_data / "boneage" / "boneage.csv", target="boneage", image="filename"))
    assert [finding.kind for finding in report.findings] == ["rounded-target"]
    assert report.findings[0].message.startswith("281 of 480 targets (59%) are multiples of 12")


def test_every_kind_of_finding_has_a_heading_and_the_worst_comes_first(pets: Path) -> None:
    shutil.copy(pets / "train/cat/0.png", pets / "test/dog/copy.png")
    (pets / "train" / "cat" / "bad.png").touch()
    save(pets / "train" / "cat" / "wrong.jpg", format="PNG")
    kinds = [finding.kind for finding in found_in(check(load_data(pets)))]
    assert kinds == ["unreadable", "two-labels", "wrong-extension"]
    assert kinds == sorted(kinds, key=list(Kind).index)
