"""Contrast-limited adaptive histogram equalization (Zuiderveld 1994), for X-rays whose shades crowd together."""

import numpy as np
from numpy.typing import NDArray

from mirada.data.pixels.raw import Shades

TILES = 8  # per side, as in Zuiderveld's example
SMALLEST_TILE = 16  # pixels on a side; a smaller one holds too few for a histogram
BINS = 256

Numbers = NDArray[np.float64]


def clahe(image: Shades, limit: float) -> Shades:
    """Equalizes the histogram of each region, with a limit to how much contrast may rise; (H, W), 0 … 1.

    The image is cut into 8 × 8 tiles (fewer where they would be smaller than 16 pixels). In each, the shares h of 256
    equal bins are clipped at c = ``limit`` / 256, and what was cut off is given in equal parts to the bins that
    have room for it: h′ = min(h + d, c), with d such that Σ h′ = 1. A shade is mapped by the cumulated h′, linear
    within a bin, so that 16-bit shades stay apart; between the centres of four tiles, by their four mappings,
    bilinearly. The slope of a mapping is at most ``limit``: 1 leaves an image as it is.

    Source: K. Zuiderveld, "Contrast Limited Adaptive Histogram Equalization", Graphics Gems IV, 1994, p. 474–485.
    """
    height, width = image.shape
    down, across = (max(1, min(TILES, side // SMALLEST_TILE)) for side in image.shape)
    scaled = np.clip(image, 0, 1) * BINS
    bins = np.minimum(scaled.astype(np.intp), BINS - 1)
    within = (scaled - bins).astype(np.float32)
    row_tile, column_tile = _tile_of(height, down), _tile_of(width, across)
    tile = row_tile[:, None] * across + column_tile
    counts = np.bincount((tile * BINS + bins).ravel(), minlength=down * across * BINS)
    maps = _mappings(counts.reshape(-1, BINS), limit)
    return _between(maps, (row_tile, column_tile), bins, within)


def _tile_of(side: int, tiles: int) -> NDArray[np.intp]:
    """For each pixel along a side, the tile that it lies in; tiles differ by a pixel at most."""
    return np.arange(side) * tiles // side


def _mappings(counts: NDArray[np.intp], limit: float) -> NDArray[np.float32]:
    """The shade at the edges of the bins, (tiles, BINS + 1), for the histograms (tiles, BINS)."""
    shares = counts / counts.sum(axis=1, keepdims=True)
    clipped = np.stack([_clipped(share, limit / BINS) for share in shares])
    edges = np.cumsum(clipped, axis=1) / clipped.sum(axis=1, keepdims=True)
    return np.concatenate([np.zeros((len(edges), 1)), edges], axis=1).astype(np.float32)


def _clipped(shares: Numbers, ceiling: float) -> Numbers:
    """min(share + d, ceiling) with the same sum as before.

    Raising all bins by d fills, of each, at most its room: a sum that grows in straight lines between the sorted
    rooms, so d is read off it.
    """
    room = np.append(0, np.sort(np.maximum(ceiling - shares, 0)))
    bins_with_more = np.arange(len(room) - 1, -1, -1)
    filled = np.cumsum(room) + room * bins_with_more
    excess = np.maximum(shares - ceiling, 0).sum()
    raised: Numbers = shares + np.interp(excess, filled, room)
    return np.minimum(raised, ceiling)


def _between(
    maps: NDArray[np.float32],
    tiles: tuple[NDArray[np.intp], NDArray[np.intp]],
    bins: NDArray[np.intp],
    within: NDArray[np.float32],
) -> Shades:
    """Each pixel by the mappings of the four tiles around it, weighted by how near their centres are.

    First a mapping per row of pixels and column of tiles, which is small, then the pixels.
    """
    (upper, lower), (above, below) = _neighbours(tiles[0])
    grid = maps.reshape(tiles[0][-1] + 1, -1)
    by_row = (grid[upper] * above[:, None] + grid[lower] * below[:, None]).ravel()
    rise = np.append(np.diff(by_row), np.float32(0))  # from one edge of a bin to the next
    start = np.arange(len(bins))[:, None] * grid.shape[1] + bins
    result = np.zeros(bins.shape, dtype=np.float32)
    for column, weight in zip(*_neighbours(tiles[1]), strict=True):
        place = start + column * maps.shape[1]
        shade = rise.take(place)
        shade *= within
        shade += by_row.take(place)
        shade *= weight
        result += shade
    return result


def _neighbours(tile: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """The tiles before and after each pixel of a side, (2, side), and their weights; at the ends, one tile."""
    ends = np.searchsorted(tile, np.arange(tile[-1] + 2))
    centres = (ends[:-1] + ends[1:]) / 2
    place = np.interp(np.arange(len(tile)) + 0.5, centres, np.arange(len(centres)))
    before = place.astype(np.intp)
    weight = (place - before).astype(np.float32)
    return np.stack([before, np.minimum(before + 1, tile[-1])]), np.stack([1 - weight, weight])
