"""Faithfulness against a planted truth: a network that reads one quadrant and nothing else."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import ndimage

from mirada.judging.faithfulness import STEPS, Curves, area, curves, faithfulness, ranks, rivals_of, road
from mirada.judging.perturb import compressed, imputed, moved
from mirada.judging.subject import Grid, Subject
from mirada.judging.verdict import Quantity

SIDE = 32
COUNT = 24


def images(count: int = COUNT) -> list[np.ndarray]:
    """Noise on clouds, brighter at a place that differs by image."""
    draw = np.random.default_rng(0)
    made = []
    for _ in range(count):
        clouds = ndimage.gaussian_filter(draw.normal(0, 1, (SIDE, SIDE, 3)), (3, 3, 0))
        made.append(np.rint(np.clip(128 + 250 * clouds, 0, 255)).astype(np.uint8))
    return made


def texture(image: np.ndarray) -> float:
    """What the planted network reads: the contrast of the upper left quadrant, as a number from 0 to 1."""
    part = image[: SIDE // 2, : SIDE // 2].astype(float)
    return float(np.tanh(part.std() / 40))


def quadrant() -> Grid:
    grid = np.full((8, 8), 0.01, dtype=np.float32)
    grid[:4, :4] = np.random.default_rng(1).uniform(0.9, 1, (4, 4))
    return grid


def score(shown: Sequence[np.ndarray], _: np.ndarray) -> np.ndarray:
    return np.array([texture(image) for image in shown])


def subject(maps: Sequence[Grid], scored=score, **more: object) -> Subject:
    return Subject(
        images=images(len(maps)),
        maps=maps,
        score=scored,
        explain=lambda shown, rows: [],
        level=(0.5,) * 3,
        **more,
    )


def named(quantities: Sequence[Quantity]) -> dict[str, float | None]:
    return {each.name: each.value for each in quantities}


def test_the_map_of_what_is_read_passes() -> None:
    judged = faithfulness(subject([quadrant()] * COUNT))
    assert judged.outcome == "pass", judged
    assert judged.images == COUNT and judged.p_value is not None and judged.p_value < 0.01
    found = named(judged.quantities)
    assert {"map", "random", "centre", "edges", "blurred input", "map − random"} <= found.keys()
    assert all(found["map"] > found[rival] + 0.2 for rival in ("random", "centre", "edges", "blurred input"))
    assert found["average drop"] < 0.1  # what is read is kept
    assert road(subject([quadrant()] * COUNT)).outcome == "pass"


@pytest.mark.slow
@pytest.mark.parametrize("test", [faithfulness, road])
def test_random_maps_and_maps_of_another_quadrant_fail(test) -> None:
    draw = np.random.default_rng(5)
    random = [draw.random((8, 8)).astype(np.float32) for _ in range(60)]  # of 24 images one cannot tell
    assert test(subject(random)).outcome == "fail"
    assert test(subject([quadrant()[::-1, ::-1]] * COUNT)).outcome == "fail"


@pytest.mark.parametrize("test", [faithfulness, road])
def test_constant_maps_and_networks_that_do_not_look_tell_nothing(test) -> None:
    constant = test(subject([np.ones((8, 8), np.float32)] * COUNT))
    assert (constant.outcome, constant.left_out) == ("cannot tell", COUNT)
    blind = test(subject([quadrant()] * COUNT, lambda shown, rows: np.full(len(shown), 0.7)))
    assert blind.outcome == "cannot tell" and "does not change" in blind.reason
    assert test(subject([quadrant()] * 9)).outcome == "cannot tell"


def test_a_signed_map_of_a_number_is_judged_in_its_direction() -> None:
    """The value falls with the contrast of the quadrant, so the map is negative there; the opposite map fails."""

    def months(shown: Sequence[np.ndarray], rows: np.ndarray) -> np.ndarray:
        return 120 - 50 * score(shown, rows)

    signed = subject([-quadrant()] * COUNT, months, probability=False, unit="months")
    judged = faithfulness(signed)
    assert judged.outcome == "pass"
    assert "average drop" not in named(judged.quantities)  # a share of a number of months says nothing
    assert faithfulness(subject([quadrant()] * COUNT, months, probability=False)).outcome == "fail"


def test_the_area_under_a_curve_by_hand() -> None:
    assert area(np.array([0.0, 1.0, 1.0])) == 0.75
    assert Curves(np.array([0.0, 1.0, 1.0]), np.array([1.0, 0.0, 0.0])).gap == 0.5


def test_the_order_of_pixels() -> None:
    heat = np.array([[0.1, 0.9], [0.6, 0.5]], dtype=np.float32)
    assert ranks(heat, np.random.default_rng(0)).tolist() == [[0.75, 0], [0.25, 0.5]]
    equal = np.mean(
        [ranks(np.ones((2, 2), np.float32), np.random.default_rng(s)) for s in range(400)], axis=0
    )
    assert np.abs(equal - 0.375).max() < 0.05  # a place among equals is drawn


def test_curves_begin_and_end_where_they_must() -> None:
    """Against a network that adds up its pixels: each eighth that is removed takes its own sum away."""
    heat = np.arange(SIDE * SIDE, dtype=np.float32).reshape(SIDE, SIDE)

    def total(shown: Sequence[np.ndarray], _: np.ndarray) -> np.ndarray:
        return np.array([image.mean() for image in shown])

    who = subject([quadrant()], total)
    (found,) = curves(who, 0, [ranks(heat, np.random.default_rng(0))])
    image = who.images[0].reshape(-1, 3)
    assert found.deletion[0] == image.mean() and found.insertion[-1] == image.mean()
    assert found.deletion[-1] == 128  # the mean colour, 0.5 of white, rounded to even
    for step in range(1, STEPS):
        gone = image.copy()
        gone[len(gone) - len(gone) * step // STEPS :] = 128  # the highest values are the last pixels
        assert found.deletion[step] == pytest.approx(gone.mean())


def test_the_rivals_know_the_image_and_the_grid_only() -> None:
    flat = np.full((SIDE, SIDE, 3), 100, np.uint8)
    flat[:, SIDE // 2 :] = 200
    found = rivals_of(flat, (4, 4), np.random.default_rng(0))
    assert {each.shape for each in found.values()} == {(4, 4)}
    edges = found["edges"]
    assert edges[:, 1:3].min() > 10 * edges[:, [0, 3]].max()
    assert found["centre"][1, 1] == found["centre"].max() and found["centre"][0, 0] == found["centre"].min()
    assert rivals_of(flat[..., :1], (4, 4), np.random.default_rng(0))["edges"] == pytest.approx(edges)


def test_imputation_solves_its_equations() -> None:
    """A plane is kept as it is, inside; every filled pixel is the weighted mean of its neighbours."""
    y, x = np.mgrid[:12, :12]
    plane = (10 * x + 5 * y)[..., np.newaxis].astype(np.uint8)
    removed = np.zeros((12, 12), bool)
    removed[3:8, 4:9] = True
    quiet = np.random.Generator(np.random.PCG64(0))
    found = imputed(plane, removed, quiet).astype(float)
    assert np.abs(found - plane).max() <= 4 * 0.01 * 255  # noise alone
    assert (found[~removed] == plane[~removed]).all()
    # Against Gauss-Seidel on a picture that is no plane, with holes at the edge.
    draw = np.random.default_rng(1)
    deep = draw.integers(0, 65536, (9, 10, 1)).astype(np.uint16)
    holes = draw.random((9, 10)) < 0.4
    values = deep[..., 0].astype(float)
    weights = {(0, 1): 1 / 6, (1, 0): 1 / 6, (1, 1): 1 / 12}
    for _ in range(400):
        for row, column in np.argwhere(holes):
            total = seen = 0.0
            for down in (-1, 0, 1):
                for right in (-1, 0, 1):
                    inside = 0 <= row + down < 9 and 0 <= column + right < 10
                    if (down or right) and inside:
                        weight = weights[abs(down), abs(right)]
                        total, seen = total + weight * values[row + down, column + right], seen + weight
            values[row, column] = total / seen
    mine = imputed(deep, holes, np.random.default_rng(2))[..., 0].astype(float)
    noise = (mine - values)[holes]
    assert np.abs(noise).max() < 5 * 0.01 * 65535 and abs(noise.mean()) < 0.01 * 65535


def test_images_are_moved_and_compressed_at_their_depth() -> None:
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert (moved(image, 1, 0)[:, 1:] == image[:, :-1]).all() and (
        moved(image, 1, 0)[:, 0] == image[:, 0]
    ).all()
    assert (moved(image, 0, -1)[:-1] == image[1:]).all()
    smooth = np.tile(np.linspace(0, 65535, 16), (16, 1))[..., np.newaxis].astype(np.uint16)
    again = compressed(smooth, 95)
    assert again.dtype == np.uint16 and np.abs(again.astype(int) - smooth).max() < 2000
