"""The page of a data check: complete, self-contained, safe against strangers' names, bounded in length."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from test_page import EVIL, Page, assert_self_contained

from mirada.pages.charts import histogram
from mirada.pages.findings import (
    CheckPage,
    Group,
    Remark,
    Section,
    Strip,
    TargetColumn,
    Thumbnail,
    grouped,
    render_findings,
    title,
    without_extremes,
    write_findings,
)

JPEG = "data:image/jpeg;base64,/9j/4AAQ"
PAIR = Remark(
    where="train/cat/1.jpg",
    message="looks the same as test/dog/7.jpg, but the labels are cat and dog",
    pictures=[
        Thumbnail(path="train/cat/1.jpg", note="train, cat", source=JPEG),
        Thumbnail(path="test/dog/7.jpg", note="test, dog", source=JPEG),
    ],
    more=3,
)
CHECK = CheckPage(
    name="pets",
    root="data/pets",
    counts={"train": {"cat": 1200, "dog": 300}, "test": {"cat": 50, "dog": 0}},
    sizes={(300, 400): 1500, (480, 640): 50},
    modes={"RGB": 1540, "L": 10},
    sections=[
        Section(
            name="error-unreadable",
            heading="Files that cannot be read",
            severity="error",
            groups=[Group("", [Remark(where="train/cat/bad.png", message="the file is empty")])],
        ),
        Section(
            name="warning-two-labels",
            heading="One image with two labels",
            severity="warning",
            groups=[Group("", [PAIR])],
            more=1233,
        ),
        Section(
            name="info-rotated",
            heading="Turned",
            severity="info",
            groups=[Group("", [Remark(where="", message="12 are")])],
        ),
    ],
    made="2026-01-02 03:04",
)


def page_of(check: CheckPage) -> Page:
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
        "1,233 more are not shown here; mirada check --json names all.",
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
    check = replace(CHECK, sections=[replace(CHECK.sections[1], groups=[Group("", [one])], more=0)])
    assert "train, cat train/cat/1.jpg is 4 × 5 pixels." in page_of(check).text


def test_a_sound_data_set_and_an_empty_one() -> None:
    page = page_of(replace(CHECK, sections=[], sizes={(28, 30): 1550}, modes={"L": 1550}))
    assert "pets: nothing to mend in 1,550 images" in page.text
    assert "All images are 30 × 28 pixels (width × height)." in page.text
    assert page.tags["svg"] == 0
    page = page_of(replace(CHECK, counts={}, sizes={}, modes={}))
    assert "No image can be read." in page.text and "1,234 warnings in 0 images" in page.text


def test_numbers_instead_of_classes() -> None:
    counts, ages = {"train": {"months": 400}, "test": {"months": 80}}, [12.0, 24.0, 24.0]
    page = page_of(replace(CHECK, targets=[TargetColumn("", "months", ages)], counts=counts))
    assert "Target a number months" in page.text
    assert "Training Test Images 400 80" in page.text
    assert page.tags["svg"] == 3 and "Distribution of the images by months" in " ".join(
        page.values("aria-label")
    )
    two = [TargetColumn("height", "cm", ages), TargetColumn("weight", "kg", ages)]
    page = page_of(replace(CHECK, targets=two, counts=counts))
    assert "Target 2 numbers cm, kg" in page.text and "Targets: weight" in page.text


def test_pictures_of_each_class() -> None:
    strips = [Strip("cat", PAIR.pictures), Strip("dog", ())]
    page = page_of(replace(CHECK, samples=strips, sections=[]))
    assert "Some of each class, evenly spaced in the order of their names. cat" in page.text
    assert page.values("src") == [JPEG, JPEG]
    many = {"train": {f"class {number}": 5 for number in range(23)}}
    page = page_of(replace(CHECK, counts=many, samples=strips, sections=[]))
    assert "in the order of their names; 21 more classes are not shown." in page.text


def test_what_many_findings_say_is_said_once() -> None:
    files = [replace(PAIR, where=f"{number}.png", message="is nearly black") for number in range(5)]
    (group,) = grouped([(file, "remove it") for file in files])
    assert group.sentence == "Is nearly black: remove it."
    assert [remark.message for remark in group.remarks] == [""] * 5
    sizes = [replace(file, message=f"is {number} wide") for number, file in enumerate(files)]
    (group,) = grouped([(file, "does it belong here?") for file in sizes])
    assert group.sentence == "Does it belong here?"
    assert [remark.message for remark in group.remarks][:2] == ["is 0 wide", "is 1 wide"]
    (alone,) = grouped([(files[0], "remove it")])
    assert (alone.sentence, alone.remarks[0].message) == ("", "is nearly black: remove it")
    assert [group.sentence for group in grouped([(files[0], "a"), (files[1], "a"), (files[2], "b")])] == [
        "Is nearly black: a.",
        "",
    ]
    section = replace(CHECK.sections[1], groups=grouped([(file, "remove it") for file in files]), more=0)
    assert page_of(replace(CHECK, sections=[section])).text.count("nearly black") == 1


def test_sentences_without_a_place_have_no_empty_column() -> None:
    page = page_of(replace(CHECK, sections=CHECK.sections[2:]))
    assert page.tags["td"] - page_of(replace(CHECK, sections=[])).tags["td"] == 1


def test_many_classes_are_folded() -> None:
    counts = {"train": {f"class {number}": number for number in range(1, 30)}}
    assert "Images of all 29 classes" in page_of(replace(CHECK, counts=counts)).text


def test_names_of_strangers_do_no_harm() -> None:
    picture = Thumbnail(path=EVIL, note=EVIL, source=JPEG)
    remark = Remark(where=EVIL, message=EVIL, pictures=[picture, picture])
    sections = [
        replace(CHECK.sections[1], groups=[Group(EVIL, [remark])]),
        replace(CHECK.sections[0], groups=[Group("", [replace(remark, pictures=[])])]),
    ]
    page = page_of(
        replace(CHECK, name=EVIL, root=EVIL, counts={"train": {EVIL: 3}}, modes={EVIL: 3}, sections=sections)
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
