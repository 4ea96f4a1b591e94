"""Figures and tables for a paper: files that stand alone, whole numbers, lists that leave open what nobody knows."""

import csv
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from markupsafe import Markup

from mirada.pages import charts, write_report
from mirada.pages.charts import Series
from mirada.pages.checklists import ANSWERS, checklists, guidelines
from mirada.pages.pdf import lost_letters, pdf_of, text_length
from mirada.pages.report import render
from mirada.pages.run_paper import figures_of, tables_of
from mirada.pages.standalone import SHEET, standalone
from mirada.runs.reader import read_run
from mirada.svg import PATH, RECT, SVG, TEXT

SVG_NAMES = {"svg", "g", "rect", "circle", "line", "path", "text", "title"}


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def elements(svg: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter())


def drawn_in(pdf: bytes) -> str:
    """The operators of a page, its table of objects checked on the way."""
    assert pdf.startswith(b"%PDF-1.4\n") and pdf.endswith(b"%%EOF\n")
    start = int(re.findall(rb"startxref\n(\d+)", pdf)[0])
    assert pdf[start:].startswith(b"xref\n")
    places = [int(place) for place in re.findall(rb"(\d{10}) 00000 n ", pdf[start:])]
    for number, place in enumerate(places, start=1):
        assert pdf[place:].startswith(b"%d 0 obj\n" % number)
    length, packed = re.findall(
        rb"/Length (\d+) /Filter /FlateDecode >>\nstream\n(.*)\nendstream", pdf, re.DOTALL
    )[0]
    assert len(packed) == int(length)
    return zlib.decompress(packed).decode("cp1252")


def curve() -> Markup:
    lines = [Series("training", "train", [3.0, 2.0, 1.0]), Series("a < b & \x01", "val", [3.0, 2.5, 2.2])]
    return charts.learning_curve([1, 2, 3], lines, best=2)


def test_a_figure_stands_alone() -> None:
    text = standalone(str(curve()))
    found = elements(text)
    assert {each.tag.rpartition("}")[2] for each in found} <= SVG_NAMES
    assert not any({"class", "href", "style"} & each.attrib.keys() for each in found)
    assert "var(" not in text and "currentColor" not in text
    ground = next(each for each in found if each.tag.endswith("rect"))
    assert ground.get("fill") == "#ffffff"
    assert [ground.get(name) for name in ("x", "y", "width", "height")] == found[0].get("viewBox", "").split()
    dashed = next(each for each in found if each.tag.endswith("path") and each.get("stroke-dasharray"))
    assert (dashed.get("stroke"), dashed.get("fill"), dashed.get("stroke-dasharray")) == (
        "#bd5206",
        "none",
        "6 4.5",
    )
    assert "a < b & \ufffd" in [each.text for each in found]
    assert sum(each.tag.endswith("circle") for each in found) == 6  # of few epochs dots are seen


def test_the_colours_are_those_of_the_light_page() -> None:
    sheet = SHEET.read_text(encoding="utf-8")
    first = re.findall(r"--val: (#\w+);", sheet)
    assert len(first) == 2  # light, dark
    text = standalone(str(SVG.format(10, 10, "x", PATH.format("val", "M1 1L2 2"))))
    assert f'stroke="{first[0]}"' in text and first[1] not in text


def test_what_only_the_pointer_shows_is_gone() -> None:
    lines = [Series("training", "train", [1.0] * 40)]
    text = standalone(str(charts.learning_curve(list(range(1, 41)), lines, best=None)))
    assert "circle" not in text and "transparent" not in text
    assert text.count("<title>") == 1


def test_a_pdf_is_the_same_drawing() -> None:
    svg = standalone(str(curve()))
    pdf = pdf_of(svg)
    drawn = drawn_in(pdf)
    found = [each.tag.rpartition("}")[2] for each in elements(svg)]
    assert len(re.findall(r" l S$| l S\n|\nS\n", drawn)) == sum(map(found.count, ("circle", "line", "path")))
    assert drawn.count(" Tj") >= found.count("text")
    assert "(epoch) Tj" in drawn and "[6 4.5] 0 d" in drawn
    assert pdf == pdf_of(svg)
    width, height = (float(side) for side in elements(svg)[0].get("viewBox", "").split()[2:])
    assert f"/MediaBox [0 0 {width * 0.75:g} {height * 0.75:g}]".encode() in pdf


def test_text_of_a_pdf_stands_where_it_does_in_the_svg() -> None:
    texts = (TEXT.format("tick end", 100, 40, "12"), TEXT.format("tick middle", 100, 60, "12"))
    drawn = drawn_in(pdf_of(standalone(str(SVG.format(200, 100, "x", Markup("").join(texts))))))
    width = text_length("12", 12)
    assert width == pytest.approx(2 * 0.556 * 12)
    assert f"1 0 0 -1 {100 - width:.4f}".rstrip("0") in drawn
    assert f"1 0 0 -1 {100 - width / 2:.4f}".rstrip("0") in drawn


def test_text_that_is_turned() -> None:
    svg = standalone(str(charts.confusion_figure([[3, 1], [0, 5]], ["cat", "dog"])))
    drawn = drawn_in(pdf_of(svg))
    assert len(re.findall(r"0 -1 -1 0 [\d.]+ [\d.]+ Tm", drawn)) == 2
    assert drawn.count("(cat) Tj") == 2
    for count in ("(3)", "(1)", "(0)", "(5)"):
        assert f"{count} Tj" in drawn


def test_letters_that_a_font_lacks() -> None:
    svg = standalone(str(SVG.format(200, 100, "x", TEXT.format("axis", 6, 20, "1 − p (µ) → 猫\\"))))
    drawn = drawn_in(pdf_of(svg))
    assert "(1 ) Tj" in drawn and "<2D> Tj" in drawn and "<AE> Tj" in drawn
    assert r"( p \(µ\) ) Tj" in drawn and r"( ?\\) Tj" in drawn
    assert lost_letters(svg) == "猫"


def test_powers_of_ten() -> None:
    svg = standalone(str(SVG.format(200, 100, "x", TEXT.format("tick end", 100, 20, "10⁻⁴"))))
    drawn = drawn_in(pdf_of(svg))
    assert "/F 12 Tf (10) Tj 4.2 Ts /S 7.8 Tf <2D> Tj /F 7.8 Tf (4) Tj 0 Ts" in drawn
    assert lost_letters(svg) == ""
    assert text_length("10⁻⁴", 12) == pytest.approx(2 * 0.556 * 12 + 2 * 0.556 * 7.8)


@pytest.mark.parametrize(
    ("svg", "said"),
    [
        (SVG.format(9, 9, "x", Markup("<ellipse/>")), "no <ellipse>"),
        (SVG.format(9, 9, "x", PATH.format("val", "M1 1C1 1 1 1 1 1")), "no path"),
        (SVG.format(9, 9, "x", Markup('<text transform="scale(2)">a</text>')), "no transformation"),
        (SVG.format(9, 9, "x", Markup('<rect fill="red"/>')), "invalid literal"),
    ],
)
def test_what_no_figure_has_is_not_passed_over(svg: Markup, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        pdf_of(standalone(str(svg)))


def test_every_figure_of_the_page_is_a_file(classification: Path, regression: Path) -> None:
    for folder in (classification, regression):
        run = read_run(folder)
        page = render(run)
        figures = figures_of(run)
        assert all(str(figure.svg) in page for name, figure in figures.items() if "confusion" not in name)
        assert sum("confusion" not in name for name in figures) == page.count('<svg class="chart"')
        assert len({name.lower() for name in figures}) == len(figures)


def test_paper_files(classification: Path) -> None:
    write_report(classification)
    figures = {file.name for file in (classification / "figures").iterdir()}
    assert {name.removesuffix(".svg") for name in figures if name.endswith(".svg")} == {
        name.removesuffix(".pdf") for name in figures if name.endswith(".pdf")
    }
    assert {"loss.svg", "loss.pdf", "test-confusion-matrix.svg"} <= figures
    for file in (classification / "figures").glob("*.pdf"):
        drawn_in(file.read_bytes())
    run = read_run(classification)
    assert run.evaluation
    tables = classification / "tables"
    metrics = [row for row in rows_of(tables / "metrics.csv") if row["split"] == "test"]
    for row, measured in zip(metrics, run.evaluation["test"].metrics, strict=True):
        assert (row["name"], float(row["value"]), float(row["low"])) == (
            measured.name,
            measured.value,
            measured.low,
        )
    scores = [row for row in rows_of(tables / "per_class.csv") if row["split"] == "test"]
    assert [row["name"] for row in scores] == list(run.data.classes)
    assert {"precision_low", "precision_high", "recall_low", "f1", "f1_low", "f1_high"} <= scores[0].keys()
    counts = [row for row in rows_of(tables / "confusion.csv") if row["split"] == "test"]
    assert [[int(row[f"called {name}"]) for name in run.data.classes] for row in counts] == run.evaluation[
        "test"
    ].counts.tolist()
    assert sum(int(row["images"]) for row in rows_of(tables / "images.csv")) == sum(
        sum(found.values()) for found in run.data.counts.values()
    )
    before = {file: file.read_bytes() for file in tables.iterdir()}
    write_report(classification)
    assert {file: file.read_bytes() for file in tables.iterdir()} == before


def test_names_of_strangers_in_files(many_classes: Callable[[int], Path]) -> None:
    folder = many_classes(30)
    write_report(folder)
    written = [*(folder / "figures").iterdir(), *(folder / "tables").iterdir()]
    assert len(written) > 10 and all(re.fullmatch(r"[a-z0-9_.-]+", file.name) for file in written)


def test_letters_that_the_pdf_files_lack_are_named_on_the_page(classification: Path) -> None:
    assert "The fonts of the PDF files" not in write_report(classification).read_text(encoding="utf-8")
    data = json.loads((classification / "data.json").read_text(encoding="utf-8"))
    text = json.dumps(data).replace(json.dumps(data["classes"][0])[1:-1], "\\u732b")
    (classification / "data.json").write_text(text, encoding="utf-8")
    page = write_report(classification).read_text(encoding="utf-8")
    assert "The fonts of the PDF files lack 猫, and have ? in its place" in page


def test_what_is_no_honest_test_says_so_in_every_file(classification: Path) -> None:
    """Of one split: in each of its drawings and in each row of its tables; the other's are as they were."""
    file = classification / "evaluation.json"
    found = json.loads(file.read_text(encoding="utf-8"))
    found["test"]["trained_on"] = 3
    file.write_text(json.dumps(found), encoding="utf-8")
    write_report(classification)
    said = f"no honest test: 3 of these {found['test']['n']} images were used in training"
    drawings = list((classification / "figures").glob("*.svg"))
    for drawing in drawings:
        words = " ".join(
            " ".join(ElementTree.fromstring(drawing.read_text(encoding="utf-8")).itertext()).split()
        )
        assert (said in words) == drawing.name.startswith("test-"), drawing.name
    for name in ("metrics", "per_class", "confusion", "calibration"):
        rows = rows_of(classification / "tables" / f"{name}.csv")
        assert {(row["split"], row["remark"]) for row in rows} == {("test", said), ("val", "")}, name


def test_a_confusion_matrix_of_many_classes_is_a_list_of_pairs(many_classes: Callable[[int], Path]) -> None:
    run = read_run(many_classes(120))
    assert run.evaluation
    rows = [row for row in tables_of(run)["confusion"] if row["split"] == "test"]
    counts = run.evaluation["test"].counts
    assert len(rows) == (counts > 0).sum() and rows[0].keys() == {"split", "true", "called", "images"}
    for row in rows:
        place = run.data.classes.index(str(row["true"])), run.data.classes.index(str(row["called"]))
        assert counts[place] == row["images"]


def test_the_items_of_the_checklists_are_whole() -> None:
    """27 items of TRIPOD+AI, with 52 parts; 44 of CLAIM: each once, in order."""
    tripod, claim = guidelines()
    assert list(dict.fromkeys(int(re.findall(r"\d+", item.number)[0]) for item in tripod.items)) == list(
        range(1, 28)
    )
    assert len({item.number for item in tripod.items}) == len(tripod.items) == 52
    assert [item.number for item in claim.items] == [str(number) for number in range(1, 45)]
    parts = Counter(re.findall(r"\d+", item.number)[0] for item in tripod.items)
    assert {item: count for item, count in parts.items() if count > 1} == {
        "3": 3, "5": 2, "6": 3, "8": 3, "9": 3, "12": 7, "18": 6, "20": 3, "23": 2, "27": 3,
    }  # fmt: skip  # Collins et al. 2024, table 1
    sections = Counter(item.section for item in claim.items)
    assert list(sections.values()) == [
        1,
        1,
        2,
        2,
        7,
        5,
        2,
        1,
        3,
        3,
        7,
        2,
        3,
        2,
        3,
    ]  # Tejani et al. 2024, table
    assert (tripod.version, claim.version) == ("2024", "2024 update")
    keys = {key for each in (tripod, claim) for item in each.items for key in item.known}
    assert keys == ANSWERS.keys()


def test_what_a_run_cannot_know_is_left_open(classification: Path) -> None:
    tripod, claim = checklists(read_run(classification))
    said = {each.item.number: each.answer for each in tripod.items}
    assert not any(said[number] for number in ("1", "5b", "6b", "8b", "10", "17", "18a", "18d", "25", "27c"))
    assert "resnet18" in said["12c"] and "accuracy" in said["12e"] and "%" in said["23a"]
    of_claim = {each.item.number: each.answer for each in claim.items}
    assert not any(of_claim[number] for number in ("5", "8", "13", "16", "18", "33", "34", "44"))
    assert "resnet18" in of_claim["22"] and of_claim["20"].startswith("The single image")
    page = render(read_run(classification))
    assert page.count("<em>open</em>") == sum(not each.answer for each in (*tripod.items, *claim.items))
    assert f"this run says something to {claim.answered} of its 44 points" in page


def test_checklist_files(regression: Path) -> None:
    write_report(regression)
    for name, count in (("tripod-ai.csv", 52), ("claim.csv", 44)):
        rows = rows_of(regression / "tables" / name)
        assert len(rows) == count and len({row["guideline"] for row in rows}) == 1
        assert all(bool(row["the run says"]) != (row["open"] == "yes") for row in rows)


def test_a_rectangle_without_colour_draws_nothing() -> None:
    svg = standalone(str(SVG.format(9, 9, "x", RECT.format("strip", 0, 0, 9, 9, ""))))
    assert svg.count("<rect") == 1  # the ground
