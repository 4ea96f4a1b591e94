"""CLAHE against a slow implementation that follows the article's steps pixel by pixel, and by its properties."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mirada.data.pixels.clahe import BINS, clahe

Grid = list[list[NDArray[np.float64]]]


def crowded(height: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    """An image whose shades crowd together, as an X-ray's do."""
    rows, columns = np.mgrid[:height, :width]
    waves = np.sin(rows / 9) * np.cos(columns / 13) * 0.04 + rows / height * 0.1
    noise = np.random.default_rng(seed).normal(0, 0.01, (height, width))
    return np.clip(0.3 + waves + noise, 0, 1).astype(np.float32)


# --- by the article ------------------------------------------------------------------------------------------


def clipped(histogram: NDArray[np.float64], ceiling: float) -> NDArray[np.float64]:
    """Zuiderveld's loop: what is cut off is given to the bins below the ceiling, until nothing is left."""
    histogram = np.minimum(histogram, ceiling) + 0.0
    excess = 1 - histogram.sum()
    while excess > 1e-12:
        below = histogram < ceiling - 1e-15
        histogram[below] += excess / below.sum()
        histogram = np.minimum(histogram, ceiling)
        excess = 1 - histogram.sum()
    return histogram


def slowly(image: NDArray[np.float32], limit: float, down: int, across: int) -> NDArray[np.float64]:
    height, width = image.shape
    edges = [
        np.round(np.arange(n + 1) * side / n + 0.49).astype(int)
        for n, side in ((down, height), (across, width))
    ]
    maps: Grid = []
    for top, bottom in zip(edges[0], edges[0][1:], strict=False):
        row = []
        for left, right in zip(edges[1], edges[1][1:], strict=False):
            counts, _ = np.histogram(image[top:bottom, left:right], bins=BINS, range=(0, 1))
            shares = clipped(counts / counts.sum(), limit / BINS)
            row.append(np.concatenate([[0], np.cumsum(shares)]))
        maps.append(row)
    centres = [(side[1:] + side[:-1]) / 2 for side in edges]
    result = np.zeros(image.shape)
    for y in range(height):
        for x in range(width):
            result[y, x] = at(maps, centres, y + 0.5, x + 0.5, float(image[y, x]))
    return result


def at(maps: Grid, centres: list[NDArray[np.float64]], y: float, x: float, shade: float) -> float:
    def around(centres: NDArray[np.float64], place: float) -> tuple[int, int, float]:
        after = int(np.searchsorted(centres, place))
        if after in (0, len(centres)):
            only = min(after, len(centres) - 1)
            return only, only, 0.0
        before = after - 1
        return before, after, (place - centres[before]) / (centres[after] - centres[before])

    up, down, v = around(centres[0], y)
    left, right, h = around(centres[1], x)
    steps = np.linspace(0, 1, BINS + 1)
    a, b, c, d = (np.interp(shade, steps, maps[i][j]) for i in (up, down) for j in (left, right))
    return float((1 - v) * ((1 - h) * a + h * b) + v * ((1 - h) * c + h * d))


@pytest.mark.parametrize("limit", [1.5, 3.0, 40.0])
@pytest.mark.parametrize(("size", "tiles"), [((64, 48), (4, 3)), ((70, 33), (4, 2)), ((20, 15), (1, 1))])
def test_it_is_what_the_article_describes(
    limit: float, size: tuple[int, int], tiles: tuple[int, int]
) -> None:
    image = crowded(*size)
    np.testing.assert_allclose(clahe(image, limit), slowly(image, limit, *tiles), atol=2e-5)


# --- properties ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(200, 300), (1, 1), (7, 90), (129, 128)])
def test_a_limit_of_one_changes_nothing(size: tuple[int, int]) -> None:
    image = crowded(*size)
    np.testing.assert_allclose(clahe(image, 1.0), image, atol=1e-6)


def test_contrast_rises_with_the_limit_and_stays_within_range() -> None:
    image = crowded(200, 240)
    spreads = [clahe(image, limit).std() for limit in (1.0, 2.0, 4.0, 8.0)]
    assert spreads == sorted(spreads) and spreads[-1] > 2 * spreads[0]
    strong = clahe(image, 100.0)
    assert strong.dtype == np.float32 and strong.min() >= 0 and strong.max() <= 1 + 1e-6


def test_one_tile_without_a_limit_is_histogram_equalization() -> None:
    image = crowded(20, 20)
    got = clahe(image, float(BINS))
    ranks = np.argsort(np.argsort(image, axis=None), axis=None).reshape(image.shape) / image.size
    assert np.abs(got - ranks).max() < 0.12  # as fine as the bins are filled
    order = np.argsort(image, axis=None)
    assert (np.diff(got.ravel()[order]) >= 0).all()


def test_no_slope_is_steeper_than_the_limit() -> None:
    ramp = np.linspace(0.4, 0.45, 16 * 16, dtype=np.float32).reshape(16, 16)  # one tile, all in 14 bins
    got = clahe(ramp, 3.0).ravel()
    slopes = np.diff(got) / np.diff(ramp.ravel())
    assert slopes.max() < 3.01 and np.median(slopes) > 2.9


def test_an_image_of_one_shade_keeps_one_shade() -> None:
    for shade in (0.0, 0.5, 1.0):
        got = clahe(np.full((100, 100), shade, dtype=np.float32), 2.0)
        assert np.ptp(got) < 1e-6 and got.min() >= 0 and got.max() <= 1 + 1e-6
