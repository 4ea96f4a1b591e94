"""Near duplicates: which images show the same picture, told from a 64-bit hash and confirmed on a thumbnail.

The hash is dHash (Krawetz 2013, "Kind of Like That"): the image as 9 × 8 grey values, one bit for each value that is
brighter than its left neighbour. Copies that were compressed, resized or brightened anew differ in few bits.

Pairs are looked for by bands: two hashes that differ in at most 7 bits agree in one of their 8 bytes at least, so
only images that share a byte are compared. Hashes alone confuse similar scenes (two hands on black film), so every
pair is confirmed on 32 × 32 grey values. There, r is the correlation of one thumbnail with the other after the best
small shift and scaling of either axis, found by the linear least squares of Lucas & Kanade (1981, §4):

    B ≈ g·A + (s_x + t_x·x)·∂A/∂x + (s_y + t_y·y)·∂A/∂y + c

so that brightness, contrast and a slightly narrower crop do not matter. Memory grows with the number of images, not
of pairs: only which images belong together is kept.
"""

import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mirada.data.parallel import TICK
from mirada.events import OnProgress, Progress

THUMB = 32  # pixels on a side
HASH = (9, 8)  # (width, height)
RADIUS = 10  # bits; up to 7 every pair is compared, up to 10 those that share a byte, which most do
PLAIN_RADIUS = 4  # the same for plain thumbnails, of which many have nearly the same hash
ALIKE = 0.96  # least r of a pair. Measured: X-rays of different hands reach 0.95, photos of cats and dogs 0.4
WORTH_ALIGNING = 0.8  # least correlation as they lie: below it, hardly any small shift makes 0.96
PLAIN = 0.7  # share of flat neighbours above which a thumbnail is too plain for this: digits, drawings
EQUAL = 0.995  # least correlation of two plain thumbnails; different digits of MNIST reach 0.989
FLAT = 2  # grey values
DETAIL = 1.0  # least standard deviation in grey values; below it there is no picture to compare

DOTS = 2**21  # products of hashes held at once: 8 MiB
PAIRS = 2048  # thumbnails compared at once

Rows = NDArray[np.int64]
Floats = NDArray[np.float32]


def dhash(grey: Image.Image) -> int:
    """The 64-bit difference hash of a grey image, row by row, its first bit the highest.

    >>> hex(dhash(Image.linear_gradient("L").rotate(90)))
    '0xffffffffffffffff'
    """
    values = np.asarray(grey.resize(HASH, Image.Resampling.BOX))
    return int.from_bytes(np.packbits(values[:, 1:] > values[:, :-1]).tobytes(), "big")


def thumbnail_values(grey: Image.Image) -> NDArray[np.uint8]:
    """(32, 32) means of a grey image, whatever its shape."""
    return np.array(grey.resize((THUMB, THUMB), Image.Resampling.BOX, reducing_gap=3.0))


def near_groups(
    hashes: NDArray[np.uint64], thumbs: NDArray[np.uint8], on_event: OnProgress | None = None
) -> list[list[int]]:
    """The images that show the same picture: lists of two rows or more, in order.

    A group is what is connected by pairs, so its first and its last image may be less alike. Images without detail
    are in none.

    Args:
        hashes: Those of ``dhash``, (N,).
        thumbs: Those of ``thumbnail_values``, (N, 32, 32).
        on_event: Hears of progress, about ten times a second.
    """
    thumbnails = _Thumbnails.of(thumbs)
    drawn = np.flatnonzero(thumbnails.spread >= DETAIL)
    roots = np.arange(len(hashes))
    radius = np.where(thumbnails.plain, PLAIN_RADIUS, RADIUS)
    told = time.monotonic()
    for first, second, done, total in _pairs(hashes[drawn], radius[drawn]):
        if on_event and time.monotonic() - told >= TICK:
            told = time.monotonic()
            on_event(Progress("comparing", done, total))
        for start in range(0, len(first), PAIRS):
            a, b = drawn[first[start : start + PAIRS]], drawn[second[start : start + PAIRS]]
            apart = roots[a] != roots[b]
            a, b = a[apart], b[apart]
            alike = thumbnails.alike(a, b)
            _join(roots, a[alike], b[alike])
    order = np.argsort(roots, kind="stable")
    _, starts = np.unique(roots[order], return_index=True)
    return [group.tolist() for group in np.split(order, starts[1:]) if len(group) > 1]


def _pairs(hashes: NDArray[np.uint64], radius: Rows) -> Iterator[tuple[Rows, Rows, int, int]]:
    """Pairs at most ``radius`` bits apart, that of the first of both, that share a byte; each once, in blocks.

    With each block goes how many hashes, of how many, have been looked up in all bands.
    """
    keys = hashes.astype(">u8").view(np.uint8).reshape(-1, 8)
    signs = np.unpackbits(keys, axis=1).astype(np.float32) * 2 - 1
    least = (64 - 2 * radius).astype(np.float32)  # the product of two rows of ±1 is 64 − 2·distance
    sizes = [np.bincount(band, minlength=256) for band in keys.T]
    if sum(int((size.astype(np.int64) ** 2).sum()) for size in sizes) >= len(keys) ** 2:
        keys = np.zeros((len(keys), 1), dtype=np.uint8)  # bytes so common that comparing all with all is less
    done, total = 0, keys.size
    for band in range(keys.shape[1]):
        order = np.argsort(keys[:, band], kind="stable")
        edges = np.cumsum(np.bincount(keys[:, band], minlength=256))
        for bucket in np.split(order, edges[:-1]):
            for start, first, second in _close(signs, least, bucket):
                new = (keys[first, :band] != keys[second, :band]).all(axis=1)
                yield first[new], second[new], done + start, total
            done += len(bucket)


def _close(signs: Floats, least: Floats, bucket: Rows) -> Iterator[tuple[int, Rows, Rows]]:
    """Pairs of a bucket whose product reaches what the first of both asks for; and where in it their block starts."""
    start = 0
    while start < len(bucket) - 1:
        rest = bucket[start:]
        block = rest[: max(1, DOTS // len(rest))]
        near = signs[block] @ signs[rest].T >= least[block][:, None]
        row, column = np.nonzero(near)
        later = column > row
        yield start, block[row[later]], rest[column[later]]
        start += len(block)


def _join(roots: Rows, first: Rows, second: Rows) -> None:
    """Puts the groups of each pair together, in place: every image points at the first one of its group."""
    if not len(first):
        return
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        low, high = sorted((_root(roots, a), _root(roots, b)))
        roots[high] = low
    while (roots[roots] != roots).any():
        roots[:] = roots[roots]


def _root(roots: Rows, row: int) -> int:
    while roots[row] != row:
        row = int(roots[row])
    return row


class _Thumbnails(NamedTuple):
    """All thumbnails, and what is known of each beforehand: (N, 32, 32), (N,), (N,), (N, 64)."""

    values: NDArray[np.uint8]
    spread: Floats  # standard deviation
    plain: NDArray[np.bool_]
    coarse: Floats  # 8 × 8 block means, scaled so that their distance is at most that of the thumbnails

    @classmethod
    def of(cls, values: NDArray[np.uint8]) -> "_Thumbnails":
        flat = np.empty(len(values), dtype=np.float32)
        coarse = np.empty((len(values), 64), dtype=np.float32)
        spread = np.empty(len(values), dtype=np.float32)
        for start in range(0, len(values), PAIRS):
            part = slice(start, start + PAIRS)
            block = values[part].astype(np.float32)
            flat[part] = (np.abs(np.diff(block, axis=2)) < FLAT).mean(axis=(1, 2))
            spread[part] = block.std(axis=(1, 2))
            means = _normal(block).reshape(-1, 8, THUMB // 8, 8, THUMB // 8).mean(axis=(2, 4))
            coarse[part] = means.reshape(-1, 64) * (THUMB // 8)
        return cls(values, spread, flat > PLAIN, coarse)

    def alike(self, first: Rows, second: Rows) -> NDArray[np.bool_]:
        """Whether the pairs show the same picture."""
        plain = self.plain[first] | self.plain[second]
        least = np.where(plain, EQUAL, WORTH_ALIGNING)
        # |a − b|² = 2 − 2r for normal a and b, and block means can only come closer: nothing is lost here.
        gaps = ((self.coarse[first] - self.coarse[second]) ** 2).sum(axis=1)
        answer = np.zeros(len(first), dtype=np.bool_)
        possible = np.flatnonzero(gaps <= 2 - 2 * least + 1e-4)
        if not len(possible):
            return answer
        a = _normal(self.values[first[possible]].astype(np.float32))
        b = _normal(self.values[second[possible]].astype(np.float32))
        fit = np.einsum("nij,nij->n", a, b)
        unsure = np.flatnonzero(~plain[possible] & (fit >= WORTH_ALIGNING) & (fit < ALIKE))
        fit[unsure] = _aligned(a[unsure], b[unsure])
        answer[possible] = fit >= np.where(plain[possible], EQUAL, ALIKE)
        return answer


def _normal(values: Floats) -> Floats:
    """Thumbnails with mean 0 and norm 1, (N, 32, 32); those without detail stay 0."""
    centered = values - values.mean(axis=(1, 2), keepdims=True)
    norms = np.sqrt(np.einsum("nij,nij->n", centered, centered))
    return np.asarray(centered / np.maximum(norms, 1e-3)[:, None, None], dtype=np.float32)


def _aligned(a: Floats, b: Floats) -> Floats:
    """The r of normal thumbnails (N, 32, 32) after the best small shift and scaling of ``a``."""
    along = np.linspace(-1, 1, THUMB, dtype=np.float32)
    down, across = np.gradient(a, axis=(1, 2))
    moves = np.stack([a, across, across * along, down, down * along[:, None]], axis=1)
    moves = moves.reshape(len(a), 5, THUMB * THUMB)
    moves -= moves.mean(axis=2, keepdims=True)
    gram = moves @ moves.transpose(0, 2, 1)
    gram += 1e-6 * np.eye(5, dtype=np.float32)  # an image of stripes does not tell of a shift along them
    weights = np.linalg.solve(gram, moves @ b.reshape(len(b), THUMB * THUMB, 1))
    fitted = (weights * moves).sum(axis=1)
    explained = np.einsum("ni,ni->n", fitted, b.reshape(len(b), THUMB * THUMB))
    return np.asarray(np.sqrt(np.clip(explained, 0, 1)) * np.sign(weights[:, 0, 0]), dtype=np.float32)
