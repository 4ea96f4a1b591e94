"""Convolutions that are dense layers, and maps that move: against PyTorch, and in the page's script."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from lesson_pages import values_of
from torch.nn import functional as F

from mirada.jobs.lessons import teach
from mirada.lessons import Material
from mirada.lessons.equivalences import (
    POOLS,
    SHIFTS,
    EquivalencesLesson,
    _digits,
    change,
    dense_equal,
    lesson,
)


@pytest.fixture(scope="module")
def taught() -> EquivalencesLesson:
    return lesson(Material())


def test_a_kernel_as_large_as_the_image_is_a_dense_layer() -> None:
    image = np.random.default_rng(1).normal(size=(8, 8))
    found = dense_equal(image)
    weight = torch.tensor(found.weight)
    expected = F.linear(torch.tensor(image).flatten(), weight.flatten(1), torch.tensor(found.bias)).numpy()
    np.testing.assert_allclose(found.by_dense, expected, atol=1e-12)
    np.testing.assert_allclose(found.by_convolution, expected, atol=1e-12)


def test_a_map_moves_with_its_image_and_with_stride_only_by_whole_places(taught: EquivalencesLesson) -> None:
    assert taught.errors == (0.0,) * len(SHIFTS)
    assert taught.strided == tuple(0.0 if shift % 2 == 0 else None for shift in SHIFTS)


@pytest.mark.parametrize(
    ("pooling", "window", "shift"), [("maximum", 4, 1), ("average", 2, 3), ("maximum", 1, 4)]
)
def test_changes_are_those_that_pytorch_measures(
    taught: EquivalencesLesson, pooling: str, window: int, shift: int
) -> None:
    images, kernel = torch.tensor(_digits()), torch.tensor(taught.kernel)[None, None]
    pool = F.max_pool2d if pooling == "maximum" else F.avg_pool2d
    before, after = (
        pool(F.conv2d(each, kernel, padding=1).relu(), window).flatten(1)
        for each in (images, images.roll(shift, dims=3))
    )
    expected = ((after - before).norm(dim=1) / before.norm(dim=1)).mean().item()
    found = next(each for each in taught.moved if (each.pooling, each.window) == (pooling, window))
    assert found.changes[SHIFTS.index(shift)] == pytest.approx(expected, rel=1e-9)


def test_larger_windows_see_less_of_a_move(taught: EquivalencesLesson) -> None:
    by_pixel = [each.changes[1] for each in taught.moved if each.pooling == "maximum"]
    assert len(by_pixel) == len(POOLS) and by_pixel == sorted(by_pixel, reverse=True)
    assert all(each.changes[0] == 0 for each in taught.moved)


def test_the_script_measures_the_same(browsed: Callable[..., str], taught: EquivalencesLesson) -> None:
    page = teach("equivalences", Material(), "es").html
    image = taught.image[None, None] / 16
    moved = "one('#shift').value = 3; one('#window').value = 2; one('#pooling').value = 'average'; redraw();"
    for then, shift, pooling, window in (("", 1, "maximum", 4), (moved, 3, "average", 2)):
        values = values_of(browsed(page, then))
        assert values["followed"] == [0]
        expected = 100 * change(image, taught.kernel, shift, pooling, window)
        assert values["pooled"] == [pytest.approx(expected, abs=0.051)]
        assert values["in_place"] == [
            pytest.approx(100 * change(image, taught.kernel, shift, "maximum", 1), abs=0.051)
        ]
