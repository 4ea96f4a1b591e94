"""The page as a whole: complete, self-contained, well formed, safe against strangers' names."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mirada.codec import to_json
from mirada.errors import DataError
from mirada.events import LayersFrozen, LoadReport
from mirada.pages import write_report
from mirada.pages.page import cell, flat, without_home
from mirada.pages.report import ABSENT
from mirada.runs.folder import NAMES

NB = "\u00a0"
VOID = {"meta", "link", "img", "br", "hr", "input", "wbr"}
SECTIONS = ["data", "seen", "curves", "results", "images", "network", "recipe", "environment", "command"]
EVIL = '<script>alert("x")</script>'


class Page(HTMLParser):
    """Checks that tags are balanced, and collects attributes and visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.pieces: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"twice the same attribute: {tag} {names}"
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.pieces.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.pieces).replace(NB, " ").split())

    def values(self, attribute: str) -> list[str]:
        return [value for _, name, value in self.attributes if name == attribute]


def page_of(run: Path) -> Page:
    html = write_report(run).read_text(encoding="utf-8")
    assert_self_contained(html)
    return Page(html)


def assert_self_contained(html: str) -> None:
    page = Page(html)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", html)
    assert all(value.startswith("data:image/") for value in page.values("src"))
    assert all(value.startswith(("#", "data:")) for value in page.values("href"))
    assert not {"script", "iframe", "object", "embed"} & page.tags.keys()
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {value[1:] for value in page.values("href") if value.startswith("#")} <= set(ids)
    for _, name, value in page.attributes:
        if name in {"d", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "width", "height", "style"}:
            assert not re.search(r"\bnan\b|\binf", value, re.IGNORECASE), (name, value)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_every_section_is_there(task: str, request: pytest.FixtureRequest) -> None:
    run: Path = request.getfixturevalue(task)
    page = page_of(run)
    assert [value for value in page.values("id") if value in SECTIONS] == SECTIONS
    assert page.tags["h1"] == page.tags["main"] == page.tags["header"] == 1
    cells = 4 if task == "classification" else 0  # of the confusion matrix, a picture each
    assert page.tags["img"] == 19 + cells  # samples, then nine times photo and overlay
    assert all(page.values("alt"))
    assert page.tags["figure"] == page.tags["figcaption"]
    assert "mirada train" in page.text
    assert "stem.conv" in page.text


def test_classification(classification: Path) -> None:
    page = page_of(classification)
    assert page.text.startswith("resnet18 on cats-dogs: 81.7 % accuracy on 600 test images (95 % interval")
    assert "always answering “cats” would be right for 50.0 % of these images" in page.text
    assert "training_set/cats/cat.77.jpg cannot be decoded: truncated after 12,288 bytes" in page.text
    assert "The validation split is a fifth of training_set" in page.text
    assert "true ↓ predicted → cats dogs cats 242 81 % 58 19 % dogs" in page.text
    assert "True class cats , predicted cats (probability 61.5 %)" in page.text
    assert "no positive evidence for this class anywhere" in page.text
    assert "augment. flip true" in page.text  # where it may break
    assert "best: epoch 16" in page.text
    assert "Training ended after 24 of 40 epochs: the disk of the machine was full" in page.text


def test_regression(regression: Path) -> None:
    page = page_of(regression)
    assert "mean absolute error 9.41 months on 400 test images" in page.text
    assert "Predicted over true values" in page.values("aria-label")
    assert "Half of the images are off by at most" in page.text
    assert "True value 150 months , predicted 147 months Map:" in page.text
    assert "No file was excluded." in page.text
    assert "Confusion" not in page.text


@pytest.mark.parametrize("n", [2, 10, 60])
def test_many_classes(many_classes: Callable[[int], Path], n: int) -> None:
    page = page_of(many_classes(n))
    assert "species 01" in page.text
    assert ("The pairs of classes that are confused most often" in page.text) == (n == 60)
    assert (f"Images of all {n} classes" in page.text) == (n == 60)


def test_too_many_classes_for_a_matrix(many_classes: Callable[[int], Path]) -> None:
    assert (
        "The matrix of 101 classes is too large to be read and is not drawn."
        in page_of(many_classes(101)).text
    )


def test_names_of_strangers_are_only_text(many_classes: Callable[[int], Path]) -> None:
    run = many_classes(2)
    for file in [*run.glob("*.json"), run / "predictions.csv", run / "recipe.toml", run / "events.jsonl"]:
        text = file.read_text(encoding="utf-8")
        evil = json.dumps(EVIL)[1:-1] if file.suffix != ".csv" else EVIL.replace('"', "'")
        text = text.replace("species 01", evil).replace("cat.77.jpg", evil).replace("the disk", evil)
        file.write_text(text.replace("sgd", evil), encoding="utf-8")
    html = write_report(run).read_text(encoding="utf-8")
    assert_self_contained(html)
    assert "<script" not in html
    assert html.count("&lt;script&gt;") > 10


def test_svg_is_escaped_for_many_strange_classes(many_classes: Callable[[int], Path]) -> None:
    run = many_classes(21)
    for name in ("data.json", "evaluation.json"):
        file = run / name
        file.write_text(file.read_text().replace("species 07", "<b>&'x"))
    html = write_report(run).read_text(encoding="utf-8")
    assert_self_contained(html)
    assert "<b>&" not in html
    assert "&lt;b&gt;&amp;&#39;x →" in html


def test_names_that_html_cannot_hold(classification: Path) -> None:
    file = classification / "data.json"
    data = json.loads(file.read_text())
    data["excluded"] = [{"path": "a\x00\x1b\ud800.jpg", "reason": "odd\x7f"}]
    file.write_text(json.dumps(data))
    assert "a\ufffd\ufffd\\ud800.jpg odd\ufffd" in page_of(classification).text


@pytest.mark.parametrize("count", [1, 11])
def test_excluded_files_fold_when_there_are_many(classification: Path, count: int) -> None:
    file = classification / "data.json"
    data = json.loads(file.read_text())
    data["excluded"] = [{"path": f"{k}.jpg", "reason": "empty"} for k in range(count)]
    file.write_text(json.dumps(data))
    text = page_of(classification).text
    assert ("1 file was left out of training and evaluation." in text) == (count == 1)
    assert ("11 files were left out; open to see" in text) == (count == 11)


@pytest.mark.parametrize("name", [*ABSENT, "*"])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_what_is_absent_is_told(task: str, name: str, request: pytest.FixtureRequest) -> None:
    run: Path = request.getfixturevalue(task)
    gone = list(ABSENT) if name == "*" else [name]
    for file in gone:
        (run / file).unlink()
    page = page_of(run)
    for file in gone:
        if file == "predictions.csv" and "evaluation.json" in gone:
            continue  # where there are no results at all, one sentence is enough
        assert ABSENT[file] in page.text
    assert [value for value in page.values("id") if value in SECTIONS] == SECTIONS


def test_a_run_that_has_no_model_yet(classification: Path) -> None:
    """It is not to be evaluated: nothing was kept before the first epoch was finished."""
    for name in (*ABSENT, "model.safetensors"):
        (classification / name).unlink()
    (classification / "events.jsonl").write_text("")
    text = page_of(classification).text
    assert "resnet18 on cats-dogs: no epoch finished, not evaluated" in text
    assert "no model to judge: it is kept when the first epoch is finished." in text
    assert "mirada evaluate" not in text
    assert "The run was killed after 0 of 40 epochs, or is still running" in text


def test_the_page_tells_no_home_folder(
    classification: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It may be given to others: of what lies in the home folder it says the name alone."""
    home = tmp_path / "home" / "dr-jane-doe"
    monkeypatch.setattr(Path, "home", lambda: home)
    data = json.loads((classification / "data.json").read_text())
    data |= {"root": str(home / "photos"), "name": "photos"}
    data["notes"] = [f"splits: {home}/photos/splits.csv", f"{home}-not/x.csv <b>"]
    data["excluded"] = [{"path": "a.png", "reason": f"a link to {home}/b.png"}]
    (classification / "data.json").write_text(json.dumps(data))
    environment = json.loads((classification / "environment.json").read_text())
    environment["command"] = f"mirada train {home}/photos --recipe {home}/runs/a/recipe.toml"
    (classification / "environment.json").write_text(json.dumps(environment))
    recipe = classification / "recipe.toml"
    recipe.write_text(f'weights = "{home}/weights/resnet18.pth"\n' + recipe.read_text())
    html = write_report(classification).read_text(encoding="utf-8")
    assert "dr-jane-doe" not in html.replace(
        "dr-jane-doe-not/x.csv &lt;b&gt;", ""
    )  # another folder is none of it
    text = Page(html).text
    assert (
        text.startswith("resnet18 on photos: ")
        and "Folder: photos" in text
        and "weights resnet18.pth" in text
    )
    assert "mirada train ~/photos --recipe ~/runs/a/recipe.toml" in text


def test_numbers_of_images_are_short(regression: Path) -> None:
    file = regression / "predictions.csv"
    file.write_text(file.read_text() + "hands/odd.png,test,106,633.0912793951732,527.0912793951732\n")
    text = page_of(regression).text
    assert "hands/odd.png 106 months 633 months 527 months" in text
    assert "633.09" not in text


def test_no_test_split(classification: Path) -> None:
    file = classification / "evaluation.json"
    evaluation = json.loads(file.read_text())
    del evaluation["test"]
    file.write_text(json.dumps(evaluation))
    text = page_of(classification).text
    assert "% accuracy on 300 validation images" in text
    assert "There is no test split. The validation images helped to choose the epoch" in text


def test_a_class_that_is_never_predicted(classification: Path) -> None:
    file = classification / "evaluation.json"
    evaluation = json.loads(file.read_text())
    evaluation["test"]["per_class"][1].update(precision=None, recall=0.0, f1=0.0)
    evaluation["test"]["confusion"] = [[300, 0], [300, 0]]
    file.write_text(json.dumps(evaluation))
    text = page_of(classification).text
    assert "dogs 300 – 0.0 % 0.0 %" in text
    assert "“–” marks what is not defined: precision where the network never predicted the class" in text


@pytest.mark.parametrize("rows", [0, 1])
def test_few_epochs(classification: Path, rows: int) -> None:
    file = classification / "results.csv"
    file.write_text("\n".join(file.read_text().splitlines()[: rows + 1]) + "\n")
    text = page_of(classification).text
    assert (ABSENT["results.csv"] in text) == (rows == 0)
    assert ("No best epoch is recorded" in text) == (rows == 1)


def test_a_loss_that_is_no_number(classification: Path) -> None:
    file = classification / "results.csv"
    lines = file.read_text().splitlines()
    lines[5] = "5,9.1,,0.05,nan,inf,"
    file.write_text("\n".join(lines) + "\n")
    page_of(classification)


def test_missing_or_foreign_picture(classification: Path) -> None:
    picture = classification / "maps" / "000-photo.jpg"
    picture.write_text("<svg onload=alert(1)>")
    with pytest.raises(
        DataError, match=r"000-photo\.jpg: the file is damaged: it is neither a JPEG nor a PNG"
    ):
        write_report(classification)
    picture.unlink()
    with pytest.raises(DataError, match=r"000-photo\.jpg: the picture cannot be read \(no such file"):
        write_report(classification)


def test_empty_maps(classification: Path) -> None:
    (classification / "maps.json").write_text("[]")
    assert "No image was chosen to be explained" in page_of(classification).text


def test_what_was_inferred_and_what_it_began_with(classification: Path) -> None:
    data = json.loads((classification / "data.json").read_text())
    data["notes"] = ["target: age <years>, 40 numbers"]
    (classification / "data.json").write_text(json.dumps(data))
    with (classification / "events.jsonl").open("a") as stream:
        file, digest = "a.pth", "0" * 64
        told: list[LoadReport | LayersFrozen] = [
            LoadReport(
                file=file, sha256=digest, convention="timm", loaded=5, renamed=(("a", "b"),), adapted=(), dropped=(),
                initialised=("head",), replaced=(), head_of=(),
            ),
            LayersFrozen(names=("stem",), parameters=9, text="stem stays"),
        ]  # fmt: skip
        for event in told:
            stream.write(json.dumps({"event": NAMES[type(event)], **to_json(event)}) + "\n")
    text = page_of(classification).text
    for line in (
        "target: age <years>, 40 numbers",
        "a.pth: 5 tensors loaded by timm names, 1 renamed.",
        "newly drawn: head",
        "stem stays",
    ):
        assert line in text


def test_unknown_macs_target_and_environment(classification: Path) -> None:
    for name, keys in {
        "model.json": {"macs": None},
        "environment.json": {"mirada": None, "started": None, "seconds": ...},
    }.items():
        file = classification / name
        content = {**json.loads(file.read_text()), **keys}
        file.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))
    maps = json.loads((classification / "maps.json").read_text())
    maps[0]["target"] = None
    (classification / "maps.json").write_text(json.dumps(maps))
    text = page_of(classification).text
    assert "Training time" not in text
    assert "multiply-accumulates" not in text
    assert "True class unknown" in text
    assert "Written by Mirada. This page" in text and "None" not in text


def test_why_the_maps_are_of_another_layer_is_said_once(classification: Path) -> None:
    """Older runs do not say it at all."""
    file = classification / "maps.json"
    maps = json.loads(file.read_text())
    assert len(maps) > 1 and "remark" not in maps[0] and "no places" not in page_of(classification).text
    file.write_text(json.dumps([item | {"remark": "stage2 keeps no places"} for item in maps]))
    assert page_of(classification).text.count("stage2 keeps no places.") == 1


def test_the_page_is_written_whole_or_not_at_all(
    classification: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write_report(classification)
    assert first == classification / "report.html"
    before = first.read_bytes()

    def refuse(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="no space left"):
        write_report(classification)
    assert first.read_bytes() == before
    assert not list(classification.glob(".report*"))


def test_the_page_is_the_same_every_time(classification: Path) -> None:
    assert write_report(classification).read_bytes() == write_report(classification).read_bytes()


def test_a_damaged_run_leaves_no_page(classification: Path) -> None:
    (classification / "model.json").write_text("{")
    with pytest.raises(DataError, match=r"model\.json: the file is damaged"):
        write_report(classification)
    assert not list(classification.glob("*report*"))


def test_the_room_imports_nothing_heavy() -> None:
    code = "import sys, mirada.pages; print(*{'torch', 'scipy', 'pandas', 'PIL'} & sys.modules.keys())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert found.stdout.split() == []


def test_flat_and_cell() -> None:
    table = {"a": 1, "b": {"c": [64, 64], "d": {"e": True}}, "f": "", "g": 0.1, "h": None, "i": []}
    assert {key: cell(value) for key, value in flat(table)} == {
        "a": "1",
        "b.c": "64, 64",
        "b.d.e": "true",
        "f": "(none)",
        "g": "0.1",
        "h": "(none)",
        "i": "(none)",
    }


def test_settings_break_at_their_dots_and_answers_are_rounded(regression: Path) -> None:
    html = write_report(regression).read_text()
    assert '<th scope="row">augment.<wbr>flip</th>' in html
    assert re.search(
        r"hands/\d+\.png</code></td><td>\d+\.?\d*\u00a0months</td><td>\d+\.?\d*\u00a0months</td>", html
    )
    assert 'href="#top"' in html and 'id="top"' in html


def test_on_a_phone_the_method_stands_below_its_metric_and_a_wide_matrix_says_that_it_moves(
    many_classes: Callable[[int], Path],
) -> None:
    html = write_report(many_classes(12)).read_text()
    assert "move it sideways" in html and ".metrics tr { display: grid;" in html
    assert "move it sideways" not in write_report(many_classes(3)).read_text()


def test_a_command_without_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    command = f"mirada train {Path.home()}/photos"
    assert without_home(command) == "mirada train ~/photos"

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    assert without_home(command) == command


def test_what_the_network_saw_has_its_class_below_and_the_picture_once(classification: Path) -> None:
    sheet = {
        "columns": 4,
        "width": 7,
        "height": 16,
        "gap": 1,
        "labels": ["cats", "dogs", "<b>", "cats", "dogs"],
    }
    (classification / "samples.json").write_text(json.dumps(sheet))
    html = write_report(classification).read_text()
    assert html.count('<use href="#sheet"/>') == 5 and html.count('<image id="sheet"') == 1
    assert '<image id="sheet" width="31" height="33"' in html
    assert re.findall(r'<figure><svg viewBox="([^"]+)"', html) == [
        "0 0 7 16", "8 0 7 16", "16 0 7 16", "24 0 7 16", "0 17 7 16",
    ]  # fmt: skip
    assert "&lt;b&gt;</figcaption>" in html
    (classification / "samples.json").write_text('{"columns": "four"}')
    with pytest.raises(DataError, match=r"samples\.json: the file is damaged"):
        write_report(classification)
