"""The page of a data check: complete, self-contained, safe against strangers' names, bounded in length."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from test_page import EVIL, Page, assert_self_contained

from mirada.pages.charts import histogram
from mirada.pages.findings import (
    Check,
    Item,
    Kind,
    Picture,
    render_findings,
    title,
    without_extremes,
    write_findings,
)

JPEG = "data:image/jpeg;base64,/9j/4AAQ"
PAIR = Item(
    where="train/cat/1.jpg",
    message="looks the same as test/dog/7.jpg, but the labels are cat and dog",
    pictures=[
        Picture(path="train/cat/1.jpg", note="train, cat", source=JPEG),
        Picture(path="test/dog/7.jpg", note="test, dog", source=JPEG),
    ],
    more=3,
)
CHECK = Check(
    name="pets",
    root="data/pets",
    counts={"train": {"cat": 1200, "dog": 300}, "test": {"cat": 50, "dog": 0}},
    sizes={(300, 400): 1500, (480, 640): 50},
    modes={"RGB": 1540, "L": 10},
    kinds=[
        Kind(
            name="error-unreadable",
            heading="Files that cannot be read",
            severity="error",
            findings=[Item(where="train/cat/bad.png", message="the file is empty")],
        ),
        Kind(
            name="warning-two-labels",
            heading="One image with two labels",
            severity="warning",
            findings=[PAIR],
            more=1233,
        ),
        Kind(
            name="info-rotated",
            heading="Turned",
            severity="info",
            findings=[Item(where="", message="12 are")],
        ),
    ],
    made="2026-01-02 03:04",
)


def page_of(check: Check) -> Page:
    html = render_findings(check)
    assert_self_contained(html)
    return Page(html)


def test_the_page_says_all_that_was_found() -> None:
    page = page_of(CHECK)
    assert page.text.count("pets: 1 error and 1,234 warnings in 1,550 images") == 2  # title and heading
    for said in (
        "Data check · 2026-01-02 03:04",
        "Checked: data/pets . Nothing in it was changed.",
        "Class Training Test cat 1,200 50 dog 300 0",
        "The images have 2 different sizes. Colour modes: RGB (1,540), L (10).",
        "Files that cannot be read (1)",
        "One image with two labels (1,234)",
        "train/cat/bad.png the file is empty",
        "train, cat train/cat/1.jpg test, dog test/dog/7.jpg",
        "train/cat/1.jpg looks the same as test/dog/7.jpg, but the labels are cat and dog. 3 more not shown.",
        "1,233 more of this kind are not shown here; mirada check --json names all.",
        "Turned note 12 are",
    ):
        assert said in page.text, said
    assert page.values("src") == [JPEG, JPEG]
    assert page.tags["svg"] == 2
    assert list(page.values("id")) == [
        "data", "error-unreadable", "warning-two-labels", "info-rotated"
    ]  # fmt: skip


def test_a_name_that_stands_under_its_picture_is_not_said_twice() -> None:
    one = replace(PAIR, pictures=PAIR.pictures[:1], message="is 4 × 5 pixels", more=0)
    check = replace(CHECK, kinds=[replace(CHECK.kinds[1], findings=[one], more=0)])
    assert "train, cat train/cat/1.jpg is 4 × 5 pixels." in page_of(check).text


def test_a_sound_data_set_and_an_empty_one() -> None:
    page = page_of(replace(CHECK, kinds=[], sizes={(28, 30): 1550}, modes={"L": 1550}))
    assert "pets: nothing to mend in 1,550 images" in page.text
    assert "All images are 30 × 28 pixels (width × height)." in page.text
    assert page.tags["svg"] == 0
    page = page_of(replace(CHECK, counts={}, sizes={}, modes={}))
    assert "No image can be read." in page.text and "1,234 warnings in 0 images" in page.text


def test_numbers_instead_of_classes() -> None:
    page = page_of(replace(CHECK, unit="months", counts={"train": {"months": 400}, "test": {"months": 80}}))
    assert "Target a number months" in page.text
    assert "Training Test Images 400 80" in page.text


def test_many_classes_are_folded() -> None:
    counts = {"train": {f"class {number}": number for number in range(1, 30)}}
    assert "Images of all 29 classes" in page_of(replace(CHECK, counts=counts)).text


def test_names_of_strangers_do_no_harm() -> None:
    picture = Picture(path=EVIL, note=EVIL, source=JPEG)
    item = Item(where=EVIL, message=EVIL, pictures=[picture, picture])
    kinds = [
        replace(CHECK.kinds[1], findings=[item]),
        replace(CHECK.kinds[0], findings=[replace(item, pictures=[])]),
    ]
    page = page_of(
        replace(CHECK, name=EVIL, root=EVIL, counts={"train": {EVIL: 3}}, modes={EVIL: 3}, kinds=kinds)
    )
    assert page.tags["script"] == 0
    assert page.text.count(EVIL) >= 9


def test_the_file_appears_whole(tmp_path: Path) -> None:
    odd = replace(CHECK, name="half \udcff of a pair, and a \x07 bell")
    file = write_findings(odd, tmp_path / "check.html")
    assert [path.name for path in tmp_path.iterdir()] == ["check.html"]
    assert "half \\udcff of a pair, and a \ufffd bell" in file.read_text(encoding="utf-8")
    write_findings(CHECK, file)
    assert title(CHECK) in file.read_text(encoding="utf-8")
    with pytest.raises(OSError, match="No such file"):
        write_findings(CHECK, tmp_path / "absent" / "check.html")


def test_bars_add_up_to_the_images() -> None:
    values = [(100.0, 3), (150.0, 5), (900.0, 2)]
    told = re.findall(r"<title>(\S+) to (\S+)\n(\d+) image", histogram(values, across="pixels", title=""))
    bars = {
        (float(low.replace(",", "")), float(high.replace(",", ""))): int(count) for low, high, count in told
    }
    assert sum(bars.values()) == 10
    for value, count in values:
        assert any(low <= value <= high and count == found for (low, high), found in bars.items())


def test_a_few_extremes_do_not_hide_the_rest() -> None:
    usual = [(float(size), 10) for size in range(100, 120)]
    assert without_extremes([*usual, (5000.0, 2)]) == (usual, 2)
    assert without_extremes([*usual, (130.0, 1)]) == ([*usual, (130.0, 1)], 0)
    assert without_extremes([(1.0, 1), (2.0, 1)]) == ([(1.0, 1), (2.0, 1)], 0)
    assert without_extremes([(7.0, 400), (900.0, 1)]) == ([(7.0, 400), (900.0, 1)], 0)  # one bar says nothing
