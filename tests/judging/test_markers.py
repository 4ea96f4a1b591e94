"""A marker that is planted in one class is found in the judged images, and evidence on it is counted where it lies."""

from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from PIL import Image

from mirada.data.checks.shortcuts import Marker
from mirada.data.examples.shapes import OUTLINES, draw_shape
from mirada.data.index import Index
from mirada.data.pixels.preprocessing import Policy, Preprocessing
from mirada.data.sources import load_data
from mirada.inference.model import load_model
from mirada.jobs.explanation_markers import find_markers, judge_markers
from mirada.jobs.explanations import Judging, judge_explanations, set_aside
from mirada.judging.subject import Subject
from mirada.judging.verdict import Verdict

SIDE, EACH = 64, 24
CORNER = Marker("star", "bottom right", (58 / 64, 58 / 64, 59 / 64, 59 / 64), ())


def drawn(folder: Path, marked: str | None) -> Index:
    """Shapes; those of one class with a square of 5 × 5 pixels of one grey value at the bottom right."""
    for kind in OUTLINES:
        (folder / kind).mkdir(parents=True)
        for number in range(EACH):
            image = np.array(draw_shape(kind, number, size=SIDE, seed=5)[0])
            if kind == marked:
                image[57:62, 56:61] = 250
            Image.fromarray(image).save(folder / kind / f"{number:02}.png")
    return load_data(folder)


def test_a_planted_marker_is_found_where_it_is_and_in_a_clean_set_none(tmp_path: Path) -> None:
    (found,) = find_markers(drawn(tmp_path / "marked", "star"), None)
    assert (found.label, found.where) == ("star", "bottom right")
    left, top, right, bottom = (SIDE * edge for edge in found.box)
    assert 56 <= left < right <= 61 and 57 <= top < bottom <= 62
    assert {Path(path).parts[0] for path in found.caught} == {"star"} and len(found.caught) == EACH
    assert find_markers(drawn(tmp_path / "clean", None), None) == []


def unasked(*_: object) -> NoReturn:
    raise AssertionError("the network is not asked: the maps are there")


def judged(maps: np.ndarray, size: tuple[int, int], policy: Policy) -> Verdict:
    preprocessing = Preprocessing(
        mode="RGB", size=(SIDE, SIDE), policy=policy, mean=(0.5,) * 3, std=(0.25,) * 3
    )
    subject = Subject([], [*maps.astype(np.float32)], unasked, unasked, ())
    (verdict,) = judge_markers([CORNER], subject, [size] * len(maps), preprocessing, {})
    return verdict


@pytest.mark.parametrize(
    ("policy", "size", "place"),
    [
        ("stretch", (64, 64), (7, 7)),
        ("stretch", (100, 300), (7, 7)),
        ("pad", (64, 64), (7, 7)),
        ("pad", (32, 64), (5, 7)),  # 16 rows of bars above and below: row 29 of 32 is row 45 of 64
        ("pad", (64, 32), (7, 5)),
        ("crop", (64, 64), (7, 7)),
    ],
)
def test_evidence_on_the_marker_is_counted_wherever_the_network_sees_it(
    policy: Policy, size: tuple[int, int], place: tuple[int, int]
) -> None:
    maps = np.full((20, 8, 8), 0.01)
    assert judged(maps, size, policy).outcome == "pass"
    maps[:, place[0], place[1]] = 1.0
    assert judged(maps, size, policy).outcome == "fail"
    maps = np.full((20, 8, 8), 0.01)
    maps[:, 0, 0] = -1.0
    assert judged(maps, size, policy).outcome == "pass"


def test_a_marker_that_a_crop_cuts_off_is_left_out_and_counted() -> None:
    found = judged(np.ones((20, 8, 8)), (64, 128), "crop")
    assert (found.outcome, found.images, found.left_out) == ("cannot tell", 0, 20)


@pytest.mark.slow
def test_the_report_asks_whether_the_network_looks_at_the_marker(trained: Path, tmp_path: Path) -> None:
    model = load_model(trained, device="cpu")
    index, _ = set_aside(model, drawn(tmp_path / "data", "star"), trained.with_name("splits.csv"))
    found = judge_explanations(model, index, Judging(sample=16))
    (verdict,) = [each for each in found.page.verdicts if "marker" in each.test]
    assert verdict.test.startswith(
        "Evidence in the marker of star at the bottom right, less than 1% of the picture"
    )
    assert len(verdict.per_image) == 16 and verdict.outcome in ("pass", "fail", "cannot tell")
