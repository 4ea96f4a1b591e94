"""``mirada explain --report``: the page, its numbers, and what is refused in one sentence."""

import csv
import json
import re
from base64 import b64decode, b64encode
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mirada.cli import run
from mirada.data.examples.hands import write_ages
from mirada.data.sources import load_data
from mirada.errors import DataError, InvalidArgument
from mirada.inference.model import load_model
from mirada.jobs.explanations import Judging, judge_explanations, set_aside
from mirada.judging.boxes import OwnBoxes, boxes_at, labels_that_are_classes, mask_of, place
from mirada.samples import Box

pytestmark = pytest.mark.slow  # of trained models, all of it: half a minute

TESTS = [
    "Localisation",
    "Insertion and deletion",
    "Remove and impute (ROAD)",
    "Parameter randomisation",
    "Small shifts",
    "JPEG",
    "Borders and corners",
]


@pytest.fixture(scope="module")
def report(trained: Path, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    assert (
        run(["explain", str(trained), str(shapes), "--report", "--output", str(folder), "--device", "cpu"])
        == 0
    )
    return folder


def test_all_numbers_are_in_the_json_file(report: Path, shapes: Path) -> None:
    told = json.loads((report / "explanations.json").read_text())
    assert [each["test"] for each in told["verdicts"]] == TESTS
    assert told["test_images"] == 12 == len(told["paths"])
    assert all(path.startswith("test/") for path in told["paths"])
    for each in told["verdicts"]:
        assert each["outcome"] in ("pass", "fail", "cannot tell") and "Pass:" in each["rule"]
        assert each["images"] + each["left_out"] == 12
        if each["value"] is not None:
            assert each["low"] <= each["value"] <= each["high"] and 0 < each["p_value"] <= 1
            assert len(each["per_image"]) == 12


def test_the_localisation_is_that_of_the_boxes_in_the_table(
    report: Path, trained: Path, shapes: Path
) -> None:
    """IoU per image, computed here from the maps of the true class and boxes.csv."""
    told = json.loads((report / "explanations.json").read_text())
    model = load_model(trained, device="cpu")
    with (shapes / "boxes.csv").open() as file:
        rows = {row["filename"]: row for row in csv.DictReader(file)}
    first = told["verdicts"][0]
    (share,) = re.findall(
        r"IoU, box above (\d+) % of the maximum$", "\n".join(q["name"] for q in first["quantities"]), re.M
    )
    for path, value in zip(told["paths"], first["per_image"], strict=True):
        (seen,) = model.explain([shapes / path], target=path.split("/")[1])
        left, top, right, bottom = (int(rows[path][key]) for key in ("x_min", "y_min", "x_max", "y_max"))
        truth = np.zeros((32, 32), bool)
        truth[top:bottom, left:right] = True
        if seen.heat.max() <= 0:
            assert value == 0
            continue
        above = seen.heat >= np.float32(int(share) / 100) * seen.heat.max() if share != "0" else seen.heat > 0
        own = np.zeros((32, 32), bool)
        y, x = np.nonzero(largest(above))
        own[y.min() : y.max() + 1, x.min() : x.max() + 1] = True
        assert value == pytest.approx((own & truth).sum() / (own | truth).sum())


def largest(mask: np.ndarray) -> np.ndarray:
    """The largest part connected by sides, by flooding."""
    left, best = {(int(y), int(x)) for y, x in np.argwhere(mask)}, set()
    while left:
        edge, part = [left.pop()], set()
        while edge:
            y, x = edge.pop()
            part.add((y, x))
            for near in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if near in left:
                    left.remove(near)
                    edge.append(near)
        best = max(best, part, key=len)
    found = np.zeros_like(mask)
    found[tuple(np.array(sorted(best)).T)] = True
    return found


def test_the_page_is_one_file_whose_only_script_is_its_own(report: Path) -> None:
    html = (report / "explanations.html").read_text()
    assert not re.search(r"(src|href)=\"(?!data:|#)", html) and not re.search(r"https?://", html)
    (script,) = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html
    assert 'type="range"' in html and html.count("<select") == html.count('<li class="image">') == 12
    for name in TESTS:
        assert f'{name}</a> <span class="outcome' in html
    assert html.count("Pass: ") == len(TESTS)


def test_similar_training_images_stand_below_with_their_pictures(report: Path) -> None:
    """Five of each; all of them training images."""
    html = (report / "explanations.html").read_text()
    near = re.findall(r'<figure><img src="data:image/jpeg[^"]*" alt="([^"]+)"', html)
    assert len(near) == 12 * 5 and all(path.startswith("train/") for path in near)


def test_maps_lie_over_their_photos(report: Path) -> None:
    """Every map has its photo's size, and a palette that is clear where the map is 0."""
    html = (report / "explanations.html").read_text()
    photos = re.findall(r'class="photo" src="data:image/jpeg;base64,([^"]+)"', html)
    maps = re.findall(r'class="map"[^>]* src="data:image/png;base64,([^"]+)"', html)
    assert len(photos) == 12 and len(maps) == 12 * 4
    assert {Image.open(BytesIO(b64decode(each))).size for each in photos + maps} == {(32, 32)}
    assert html.count(" hidden>") >= 12 * 3


def test_the_same_seed_says_the_same_and_the_network_stays_as_it_is(trained: Path, shapes: Path) -> None:
    model = load_model(trained, device="cpu")
    before = {key: value.clone() for key, value in model.network.state_dict().items()}
    index = set_aside(model, load_data(shapes), trained / "splits.csv")[0]
    judging = Judging(sample=4, seed=3)
    once, again = (judge_explanations(model, index, judging) for _ in range(2))
    assert once.page.verdicts == again.page.verdicts and once.paths == again.paths and len(once.paths) == 4
    assert all(torch.equal(value, before[key]) for key, value in model.network.state_dict().items())
    assert all(
        each.outcome == "cannot tell" for each in once.page.verdicts
    )  # of four images nothing can be said
    assert once.page.available == 12


def test_a_number_is_judged_in_its_unit_and_has_no_localisation(tmp_path: Path) -> None:
    write_ages(tmp_path / "ages", count=40, size=48)
    options = [
        "--model",
        "resnet20",
        "--epochs",
        "1",
        "--batch-size",
        "8",
        "--image-size",
        "32",
        "--device",
        "cpu",
    ]
    assert run(["train", str(tmp_path / "ages"), *options, "--output", str(tmp_path / "run")]) == 0
    folder = tmp_path / "report"
    assert (
        run(["explain", str(tmp_path / "run"), str(tmp_path / "ages"), "--report", "--output", str(folder)])
        == 0
    )
    told = json.loads((folder / "explanations.json").read_text())
    assert [each["test"] for each in told["verdicts"]] == TESTS[1:]
    assert told["unit"] == "months"
    areas = [each for each in told["verdicts"][0]["quantities"] if each["name"].endswith("area")]
    assert {each["unit"] for each in areas} == {"months"} and len(areas) == 2
    assert "average drop" not in str(told["verdicts"][0]["quantities"])
    with pytest.raises(InvalidArgument, match="boxes say where a class is"):
        boxes_at(tmp_path / "ages", load_data(tmp_path / "ages"))


# ---- refusals ----------------------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert run(["explain", *words]) == 2
    told = capsys.readouterr().err
    assert "Traceback" not in told
    return told


def test_wrong_inputs_are_refused_in_a_sentence(
    trained: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_, data = str(trained), str(shapes)
    others = tmp_path / "others"
    others.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (32, 32), (9, 90, 30)).save(others / name)
    rows = "filename,class,x_min,y_min,x_max,y_max\na.png,star,1,1,9,9\nb.png,circle,2,2,9,9\n"
    (others / "boxes.csv").write_text(rows)
    told = refused(capsys, run_, data, "--report", "--boxes", str(others / "boxes.csv"))
    assert "boxes of 2 images, and none of them is one of the 12 test images" in told
    told = refused(capsys, run_, str(shapes / "train"), "--report")
    assert "there are no test images" in told
    told = refused(capsys, run_, data, "--report", "--method", "exactly")
    assert 'no method "exactly"' in told
    assert "goes with --report" in refused(capsys, run_, data, "--boxes", str(others / "boxes.csv"))
    assert "one folder or one table" in refused(capsys, run_, data, data, "--report")


def test_a_method_that_the_head_does_not_allow_is_refused(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--model", "lenet5", "--epochs", "1", "--batch-size", "16", "--device", "cpu"]
    assert run(["train", str(shapes), *options, "--output", str(tmp_path / "lenet")]) == 0
    told = refused(capsys, str(tmp_path / "lenet"), str(shapes), "--report", "--method", "exact")
    assert "Exact class maps need" in told and not (tmp_path / "maps").exists()


def test_data_without_boxes_say_so(trained: Path, shapes: Path, tmp_path: Path) -> None:
    for file in (shapes / "test").rglob("*.png"):
        (tmp_path / "new" / file.parent.name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "new" / file.parent.name / file.name).write_bytes(file.read_bytes())
    model = load_model(trained, device="cpu")
    index, _ = set_aside(model, load_data(tmp_path / "new"), tmp_path / "none.csv")
    judged = judge_explanations(model, index, Judging(sample=3))
    assert all(each.measure for each in judged.page.verdicts if each.per_image)
    first = judged.page.verdicts[0]
    assert (first.test, first.outcome, first.reason) == (
        "Localisation",
        "cannot tell",
        "the data have no boxes",
    )


def test_boxes_in_a_table_of_their_own_are_those_of_the_data(trained: Path, shapes: Path) -> None:
    index, _ = set_aside(load_model(trained, device="cpu"), load_data(shapes), trained / "splits.csv")
    own = boxes_at(shapes / "boxes.csv", index)
    first = (shapes / index.paths[0]).resolve()
    assert own.by_file[first] == index.boxes[index.paths[0]]


def test_images_with_boxes_are_judged_first(trained: Path, shapes: Path, tmp_path: Path) -> None:
    """Boxes of one class alone: without that a small sample would hardly hold one."""
    header, *rows = (shapes / "boxes.csv").read_text().splitlines()
    few = tmp_path / "boxes.csv"
    few.write_text("\n".join([header, *(f"{shapes}/{row}" for row in rows if row.startswith("test/star/"))]))
    model = load_model(trained, device="cpu")
    index, _ = set_aside(model, load_data(shapes), trained / "splits.csv")
    boxes = boxes_at(few, index)
    assert 1 < len(boxes.by_file) < 6
    found = judge_explanations(model, index, Judging(sample=6), boxes)
    assert sum(path.startswith("test/star/") for path in found.paths) == len(boxes.by_file)
    assert len(found.paths) == 6 and found.page.verdicts[0].images == len(boxes.by_file)


def test_labels_and_places_of_boxes() -> None:
    cat, dog = Box("cat", 0, 10, 50, 100), Box("dog", 10, 10, 20, 20)
    assert place([cat, dog], "cat", ["cat", "dog"], (200, 100), (100, 50)) == ((0, 5, 25, 50),)
    assert len(place([cat, dog], "cow", [], (200, 100), (100, 50))) == 2
    own = OwnBoxes({Path("a"): (Box("lesion", 0, 0, 1, 1),)})
    names, note = labels_that_are_classes(own, ["benign", "malignant"])
    assert names == () and "labelled lesion, which is no class" in note
    assert labels_that_are_classes(OwnBoxes({Path("a"): (cat, dog)}), ["cat", "cow"]) == (("cat",), "")


def test_training_images_are_no_test_and_new_ones_are(trained: Path, shapes: Path, tmp_path: Path) -> None:
    model, index = load_model(trained, device="cpu"), load_data(shapes)
    assert set(set_aside(model, index, trained / "splits.csv")[0].splits.tolist()) == {"test"}
    with pytest.raises(InvalidArgument, match="no test images"):
        set_aside(model, index.take(index.rows("train")), trained / "splits.csv")
    for number in range(6):
        name = tmp_path / ("circle", "star")[number % 2] / f"{number}.png"
        name.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((32, 32, 3), 40 * number, np.uint8)).save(name)
    assert len(set_aside(model, load_data(tmp_path), trained / "splits.csv")[0]) == 6


def test_masks_are_read_as_the_boxes_are(trained: Path, shapes: Path, tmp_path: Path) -> None:
    """A filled box as a mask is that box; a mask of another size is refused, an empty one is left out."""
    model = load_model(trained, device="cpu")
    index, _ = set_aside(model, load_data(shapes), trained / "splits.csv")
    for path in index.paths:
        (box,) = index.boxes[path]
        mask = np.zeros((32, 32), np.uint8)
        mask[int(box.top) : int(box.bottom), int(box.left) : int(box.right)] = 255
        file = tmp_path / "masks" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(file)
    by_box = judge_explanations(model, index, Judging())
    by_mask = judge_explanations(model, index, Judging(), boxes_at(tmp_path / "masks", index))
    assert by_box.page.verdicts[0] == by_mask.page.verdicts[0]
    Image.new("L", (32, 32)).save(tmp_path / "masks" / index.paths[0])
    emptied = judge_explanations(model, index, Judging(), boxes_at(tmp_path / "masks", index)).page.verdicts[
        0
    ]
    assert (emptied.images, emptied.left_out, emptied.per_image[0]) == (11, 1, None)
    Image.new("L", (9, 32), 255).save(tmp_path / "masks" / index.paths[0])
    with pytest.raises(InvalidArgument, match=r"must have the size of its image, 32 × 32\. Got 9 × 32"):
        judge_explanations(model, index, Judging(), boxes_at(tmp_path / "masks", index))


def test_a_photo_is_no_mask_and_the_folder_of_the_data_has_their_boxes(
    trained: Path, shapes: Path, tmp_path: Path
) -> None:
    draw = np.random.default_rng(0).integers(0, 255, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(draw).save(tmp_path / "photo.png")
    with pytest.raises(InvalidArgument, match="is in colours"):
        mask_of(tmp_path / "photo.png", (8, 8), (8, 8))
    index, _ = set_aside(load_model(trained, device="cpu"), load_data(shapes), trained / "splits.csv")
    assert boxes_at(shapes, index) == boxes_at(shapes / "boxes.csv", index)
    with pytest.raises(InvalidArgument, match="has no masks of the 12 test images"):
        boxes_at(tmp_path, index)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "I;16"])
def test_a_mask_of_any_mode_is_the_same(mode: str, tmp_path: Path) -> None:
    inside = np.zeros((8, 6), bool)
    inside[2:5, 1:4] = True
    level = {
        "1": inside,
        "L": inside * np.uint8(255),
        "P": inside * np.uint8(1),
        "I;16": inside * np.uint16(900),
    }
    image = Image.fromarray(level.get(mode, inside[..., None] * np.full(3, 255, np.uint8)))
    if mode == "P":
        image.putpalette([0, 0, 0, 128, 0, 0])
    image.save(tmp_path / "mask.png")
    assert (mask_of(tmp_path / "mask.png", (8, 6), (8, 6)) == inside).all()
    assert mask_of(tmp_path / "mask.png", (8, 6), (16, 12)).sum() == 4 * inside.sum()


def test_a_folder_of_annotations_alone_names_its_images(tmp_path: Path, shapes: Path) -> None:
    """As they lie beside class folders: VOC's XML without the images, known by file name, once each."""
    index = load_data(shapes)
    own = boxes_at(shapes / "boxes.csv", index)
    chosen = [path for path in own.by_file if [each.name for each in own.by_file].count(path.name) == 1][:2]
    assert len(chosen) == 2
    for path, name in zip(chosen, ("given.xml", f"{chosen[1].stem}.xml"), strict=True):
        box = own.by_file[path][0]
        corners = {"xmin": box.left + 1, "ymin": box.top + 1, "xmax": box.right, "ymax": box.bottom}
        inner = "".join(f"<{side}>{value:g}</{side}>" for side, value in corners.items())
        filename = path.name if name == "given.xml" else ""
        (tmp_path / name).write_text(
            f"<annotation><filename>{filename}</filename><object><name>{box.label}</name>"
            f"<bndbox>{inner}</bndbox></object></annotation>"
        )
    assert boxes_at(tmp_path, index).by_file == {path: own.by_file[path][:1] for path in chosen}
    (tmp_path / "given.xml").write_text("<annotation><filename>other.png</filename></annotation>")
    (tmp_path / f"{chosen[1].stem}.xml").unlink()
    with pytest.raises(InvalidArgument, match=r"has 1 XML file, and none of them names one of the"):
        boxes_at(tmp_path, index)
    (tmp_path / "given.xml").write_text("<annotation>")
    with pytest.raises(DataError, match=r"given\.xml: cannot be read as XML"):
        boxes_at(tmp_path, index)
