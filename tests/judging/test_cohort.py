"""Maps of many images together: shares counted by hand, maps made up, and networks that learnt a marker or did not."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from mirada.data.examples.shapes import OUTLINES, draw_shape
from mirada.errors import InvalidArgument
from mirada.judging.cohort import (
    Cohort,
    border_and_corners,
    box_place,
    evidence_in,
    judge_border_and_corners,
    mean_maps,
    view_cohort,
)

KINDS = tuple(OUTLINES)
CORNERS = {"top left": (0, 0), "top right": (0, 1), "bottom left": (1, 0), "bottom right": (1, 1)}


def outcomes(cohort: Cohort) -> dict[str, str]:
    return {view.place.name: view.verdict.outcome for view in cohort.places}


def noisy(count: int, seed: int, size: tuple[int, int] = (8, 8)) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(count, *size))


def test_shares_of_the_border_and_of_a_corner_counted_by_hand() -> None:
    border, *corners = border_and_corners((8, 8))
    assert border.area == pytest.approx(28 / 64)  # of 8 × 8 cells, 28 are at the border
    assert [corner.area for corner in corners] == [pytest.approx(4 / 64)] * 4
    maps = np.zeros((3, 8, 8))
    maps[0, 0, 0], maps[0, 4, 4] = -3, 1  # evidence against counts as well
    maps[1, 4, 4] = 2
    assert evidence_in(maps, border) == pytest.approx([3 / 4, 0, np.nan], nan_ok=True)
    assert evidence_in(maps, corners[0]) == pytest.approx([3 / 4, 0, np.nan], nan_ok=True)
    assert evidence_in(maps, corners[3]) == pytest.approx([0, 0, np.nan], nan_ok=True)


def test_cells_that_lie_in_a_place_in_part_count_in_part() -> None:
    """On a grid of 7 × 7 an eighth of a side is 7/8 of a cell: areas are those of the picture, whatever the grid."""
    for size in ((7, 7), (5, 9), (1, 1), (224, 224)):
        assert [place.area for place in border_and_corners(size)] == pytest.approx(
            [1 - 0.75**2] + [1 / 16] * 4
        )
    assert box_place("a clip", (0.5, 0, 0.75, 1), (1, 2)).cover.tolist() == [[0, 0.5]]


def test_mean_maps_keep_sign_and_unit() -> None:
    maps = np.array([[[1.0, -1.0]], [[3.0, 1.0]], [[10.0, 0.0]]])
    right, wrong = mean_maps(maps, ["right", "right", "wrong"])
    assert (right.part, right.images, wrong.part, wrong.images) == ("right", 2, "wrong", 1)
    assert (right.signed.tolist(), right.absolute.tolist()) == ([[2, 0]], [[2, 1]])
    assert wrong.signed.tolist() == [[10, 0]]


def test_a_corner_that_speaks_in_one_class_alone_is_found_and_its_images_named() -> None:
    maps, words = noisy(80, 1), np.array(KINDS)[np.arange(80) % 4]
    marked = np.flatnonzero(words == "star")
    maps[marked, :2, 6:] *= 12
    cohort = view_cohort(maps, {"class": words.tolist()})
    assert outcomes(cohort) | {"the border": ""} == {
        "the border": "",
        "the top left corner": "pass",
        "the top right corner": "fail",
        "the bottom left corner": "pass",
        "the bottom right corner": "pass",
    }
    view = next(view for view in cohort.places if view.place.name == "the top right corner")
    assert "class: star" in view.verdict.reason
    assert {*view.worst.tolist()} <= {*marked.tolist()}
    assert view.differences["class"] == 1 / 1000
    assert view.verdict.images == 80


def test_one_verdict_on_the_border_and_all_corners() -> None:
    maps, words = noisy(80, 1), np.array(KINDS)[np.arange(80) % 4].tolist()
    assert judge_border_and_corners(maps, {"class": words}).outcome == "pass"
    marked = np.flatnonzero(np.array(words) == "star")
    maps[marked, :2, 6:] *= 12
    verdict = judge_border_and_corners(maps, {"class": words})
    assert verdict.outcome == "fail"
    assert verdict.quantities[0].name == "the top right corner, class: star"
    share = evidence_in(maps, border_and_corners((8, 8))[2])[marked]
    assert verdict.value == pytest.approx(share.mean() * 16)  # the corner is a sixteenth of the picture
    assert verdict.quantities[0].value == pytest.approx(share.mean())
    assert [verdict.per_image[row] for row in marked[:3]] == pytest.approx((share[:3] * 16).tolist())
    assert (verdict.images, verdict.left_out) == (80, 0)


@pytest.mark.slow
def test_chance_is_told_apart_seldom() -> None:
    """No verdict "fail" in 40 cohorts of noise, and the chances of differences are spread evenly."""
    chances = []
    for seed in range(40):
        cohort = view_cohort(noisy(40, seed), {"sex": ["F", "M"] * 20}, seed=seed)
        assert "fail" not in outcomes(cohort).values()
        chances.append(cohort.places[1].differences["sex"])
    assert sum(chance is not None and chance <= 0.05 for chance in chances) <= 6  # more in 1.4 % of cases


def test_images_of_a_group_count_once() -> None:
    maps = np.repeat(noisy(5, 0), 8, axis=0)
    maps[:, :2, :2] *= 20
    words, patients = ["cat"] * 40, np.repeat(np.arange(5), 8)
    assert outcomes(view_cohort(maps, {"class": words}))["the top left corner"] == "fail"
    grouped = view_cohort(maps, {"class": words}, groups=patients)
    assert outcomes(grouped)["the top left corner"] == "cannot tell"
    assert "fewer than 10 images" in grouped.places[1].verdict.reason


def test_maps_without_evidence_are_counted_and_left_out() -> None:
    maps = noisy(20, 0)
    maps[:5] = 0
    verdict = view_cohort(maps, {}).places[0].verdict
    assert (verdict.images, verdict.left_out) == (15, 5)


def test_wrong_inputs_are_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"must be \(N, H, W\)"):
        view_cohort(np.zeros((8, 8)), {})
    with pytest.raises(InvalidArgument, match='column "sex" has 2 words for 3 maps'):
        view_cohort(noisy(3, 0), {"sex": ["F", "M"]})
    with pytest.raises(InvalidArgument, match="on a grid of"):
        view_cohort(noisy(3, 0), {}, places=[box_place("a clip", (0, 0, 1, 1), (7, 7))])
    with pytest.raises(InvalidArgument, match="left < right"):
        box_place("a clip", (0.5, 0, 0.5, 1), (7, 7))


def learnt_maps(seed: int, corner: tuple[int, int] | None) -> tuple[NDArray[np.float32], list[str], str]:
    """Exact class maps (Zhou 2016) of 80 new images of a small network, trained on 240 drawn shapes of 32 × 32.

    With a corner, all images of one class bear a white square of 5 × 5 pixels in it.
    """
    kinds, marked = np.arange(320) % 4, seed % 4
    images = np.stack([draw_shape(KINDS[k], i, size=32, seed=seed)[0] for i, k in enumerate(kinds)])
    if corner:
        rows, columns = (slice(26, 31) if far else slice(1, 6) for far in corner)
        images[kinds == marked, rows, columns] = 255
    torch.manual_seed(seed)
    x, y = torch.tensor(images).permute(0, 3, 1, 2) / 63.75 - 2, torch.tensor(kinds)
    body = nn.Sequential(
        *(nn.Conv2d(3, 12, 5, padding=2), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(12, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(24, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()),
    )
    head = nn.Linear(32, 4)
    optimizer = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=0.004)
    order = torch.Generator().manual_seed(seed)
    for _ in range(15):
        for batch in torch.randperm(240, generator=order).split(32):
            loss = nn.functional.cross_entropy(head(body(x[batch]).mean((2, 3))), y[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    body.eval()
    with torch.no_grad():
        maps = torch.einsum("nchw,nc->nhw", body(x[240:]), head.weight[y[240:]])
    return maps.numpy(), [KINDS[kind] for kind in kinds[240:]], KINDS[marked]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_networks_that_learnt_a_marker_are_told_from_those_that_had_none(seed: int) -> None:
    maps, words, _ = learnt_maps(seed, None)
    assert "fail" not in outcomes(view_cohort(maps, {"class": words})).values()
    name, corner = list(CORNERS.items())[seed % 4]
    maps, words, marked = learnt_maps(seed, corner)
    views = {view.place.name: view for view in view_cohort(maps, {"class": words}).places}
    assert views[f"the {name} corner"].verdict.outcome == "fail"
    assert f"class: {marked}" in views[f"the {name} corner"].verdict.reason
    assert [words[row] for row in views[f"the {name} corner"].worst[:5]] == [marked] * 5
