"""Images with parts taken out, moved or compressed, as plain arrays (H, W, C) of 8 or 16 bits."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, sparse
from scipy.sparse.linalg import splu

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
Mask = NDArray[np.bool_]

BLUR = 0.05  # of the longer side: the standard deviation of the blur that insertion begins with
NOISE = 0.01  # of the range of values: added to what is imputed
NEIGHBOURS = ((0, 1, 1 / 6), (1, 0, 1 / 6), (1, 1, 1 / 12), (1, -1, 1 / 12))  # and the same the other way


def like(values: NDArray[np.floating], image: Pixels) -> Pixels:
    """Real numbers, rounded and cut off to what the type of ``image`` holds."""
    highest = np.iinfo(image.dtype).max
    rounded: Pixels = np.rint(np.clip(values, 0, highest)).astype(image.dtype)
    return rounded


def blended(image: Pixels, other: Pixels, share: NDArray[np.floating]) -> Pixels:
    """``image`` where ``share`` (H, W) is 1, ``other`` where it is 0."""
    weight = share[..., np.newaxis]
    return like(image * weight + other * (1 - weight), image)


def blurred(image: Pixels) -> Pixels:
    """The image without its detail: a Gaussian of 5 % of the longer side."""
    sigma = BLUR * max(image.shape[:2])
    return like(ndimage.gaussian_filter(image.astype(np.float64), (sigma, sigma, 0), mode="nearest"), image)


def filled(image: Pixels, level: tuple[float, ...]) -> Pixels:
    """An image of one colour, given per channel as a share of white."""
    highest = np.iinfo(image.dtype).max
    return like(np.broadcast_to(np.array(level) * highest, image.shape), image)


def imputed(image: Pixels, removed: Mask, random: np.random.Generator) -> Pixels:
    """What is removed is filled from its surroundings, with a little noise: no outline of the mask is left to be seen.

    Each removed pixel is the weighted mean of its eight neighbours, 1/6 for those beside it and 1/12 for those across
    a corner, whether they are removed or not: one sparse linear system. At the image's edge the weights that are there
    count for all.

    Args:
        image: (H, W, C).
        removed: (H, W).
        random: Draws the noise.

    Source: Rong, Leemann, Borisov, Kasneci & Kasneci 2022, "A Consistent and Efficient Evaluation Strategy for
    Attribution Methods", arXiv:2202.00449, §4.2.
    """
    if not removed.any() or removed.all():
        return image if not removed.any() else filled(image, (0.5,) * image.shape[2])
    height, width = removed.shape
    number = np.full(removed.shape, -1)
    number[removed] = np.arange(removed.sum())
    flat = image.reshape(-1, image.shape[2]).astype(np.float64)
    rows, columns, values = [], [], []
    total, known = np.zeros(removed.sum()), np.zeros((removed.sum(), image.shape[2]))
    y, x = np.nonzero(removed)
    for down, right, weight in (*NEIGHBOURS, *((-a, -b, w) for a, b, w in NEIGHBOURS)):
        there = (y + down >= 0) & (y + down < height) & (x + right >= 0) & (x + right < width)
        own = np.flatnonzero(there)
        other = (y[there] + down, x[there] + right)
        total[own] += weight
        unknown = removed[other]
        rows.append(own[unknown])
        columns.append(number[other][unknown])
        values.append(np.full(int(unknown.sum()), -weight))
        place = np.ravel_multi_index(other, removed.shape)[~unknown]
        known[own[~unknown]] += weight * flat[place]
    rows.append(np.arange(len(y)))
    columns.append(np.arange(len(y)))
    values.append(total)
    cells = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    solution = splu(sparse.csc_array(cells, shape=(len(y), len(y)))).solve(known)
    noise = random.normal(0, NOISE * np.iinfo(image.dtype).max, size=solution.shape)
    flat[removed.ravel()] = solution + noise
    return like(flat.reshape(image.shape), image)


def moved(image: Pixels, right: int, down: int) -> Pixels:
    """The image moved by whole pixels; what comes in repeats the edge."""
    height, width = image.shape[:2]
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    return image[rows][:, columns]


def compressed(image: Pixels, quality: int) -> Pixels:
    """The image once through JPEG, at a quality from 1 to 95; one of 16 bits by way of 8."""
    deep = image.dtype == np.uint16
    eight = like(image / 257.0, np.empty(0, np.uint8)) if deep else image
    held = BytesIO()
    Image.fromarray(eight.squeeze(axis=2) if eight.shape[2] == 1 else eight).save(
        held, "JPEG", quality=quality
    )
    found = np.asarray(Image.open(held)).reshape(image.shape)
    return (found.astype(np.uint16) * 257) if deep else found
