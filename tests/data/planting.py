"""Samples with a shortcut planted into them, and samples without: each has a seed, which draws all of it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mirada.data.checks.inspection import inspect
from mirada.data.checks.kinds import Finding
from mirada.data.checks.shortcuts import shortcut_findings
from mirada.data.examples.hands import write_ages
from mirada.data.examples.shapes import OUTLINES, write_shapes
from mirada.data.index import Index
from mirada.data.sources import load_data
from mirada.samples import Source

COUNT = 200
SIZE = 64
SETS = 40
GREYS = (0, 60, 128, 200, 255)

Draw = np.random.Generator
Change = Callable[[Image.Image], Image.Image]


def rectangle(image: Image.Image, box: tuple[int, int, int, int], grey: int, width: int = 0) -> Image.Image:
    """A copy with a filled rectangle, or with its outline; ends not included."""
    left, top, right, bottom = box
    marked, colour = image.copy(), grey if image.mode == "L" else (grey,) * 3
    draw = ImageDraw.Draw(marked)
    draw.rectangle(
        (left, top, right - 1, bottom - 1), fill=None if width else colour, outline=colour, width=width or 1
    )
    return marked


def corner_marker(draw: Draw) -> Change:
    side, gap = int(draw.integers(3, 10)), draw.integers(0, 4, 2)
    x, y = (
        int(end - side - space if far else space)
        for far, space, end in zip(draw.integers(2, size=2), gap, (SIZE, SIZE), strict=True)
    )
    return partial(rectangle, box=(x, y, x + side, y + side), grey=int(draw.choice(GREYS)))


def side_marker(draw: Draw) -> Change:
    side, along = int(draw.integers(3, 8)), int(draw.integers(SIZE // 4, 3 * SIZE // 4 - 8))
    across = int(draw.choice([0, SIZE - side]))
    x, y = (along, across) if draw.random() < 0.5 else (across, along)
    return partial(rectangle, box=(x, y, x + side, y + side), grey=int(draw.choice(GREYS)))


def frame(draw: Draw) -> Change:
    width, grey = int(draw.integers(2, 6)), int(draw.choice([0, 128, 255]))
    return partial(rectangle, box=(0, 0, SIZE, SIZE), grey=grey, width=width)


def blur(draw: Draw) -> Change:
    filter_ = ImageFilter.GaussianBlur(float(draw.choice([0.8, 1.2])))
    return lambda image: image.filter(filter_)


def brighter(draw: Draw) -> Change:
    lift = int(draw.choice([60, 90]))
    return lambda image: image.point([int(lift + 0.55 * grey) for grey in range(256)] * len(image.getbands()))


def shape(draw: Draw) -> Change:
    height = int(SIZE * draw.choice([0.85, 1.15, 1.3]))
    return lambda image: image.resize((SIZE, height))


PLANTS: dict[str, tuple[Callable[[Draw], Change], tuple[float, ...]]] = {
    "corner marker": (corner_marker, (0.4, 0.6, 1.0)),
    "side marker": (side_marker, (0.4, 0.6, 1.0)),
    "frame": (frame, (0.4, 0.7, 1.0)),
    "aspect": (shape, (0.5, 1.0)),
    "brightness": (brighter, (0.7, 1.0)),
    "blur": (blur, (0.7, 1.0)),
}
KINDS = (
    "corner marker", "side marker", "corner marker", "frame", "corner marker",
    "side marker", "jpeg", "aspect", "brightness", "blur",
)  # fmt: skip


def written(folder: Path, sample: str, seed: int) -> Index:
    """A sample of this seed; of the ages with its groups."""
    if sample == "shapes":
        write_shapes(folder, count=COUNT, size=SIZE, seed=seed)
        (folder / "boxes.csv").unlink()
        return load_data(folder)
    write_ages(folder, count=COUNT, size=SIZE, seed=seed)
    return load_data(Source(path=folder / "ages.csv", targets=("age (months)",), group="patient"))


def bearing(index: Index, draw: Draw, share: float) -> list[bool]:
    """Which images get it: so many of one class, or of the upper or the lower half of the ages."""
    values = index.targets.reshape(len(index), -1)[:, 0]
    if index.classes:
        chosen = values == draw.integers(len(OUTLINES))
    else:
        chosen = (values > np.median(values)) == bool(draw.integers(2))
    return (chosen & (draw.random(len(index)) < share)).tolist()


def planted(folder: Path, sample: str, seed: int) -> tuple[str, Index]:
    """A sample with what this seed plants, and what that is."""
    draw, kind = np.random.default_rng([1, seed]), KINDS[seed % len(KINDS)]
    index = written(folder, sample, seed)
    if kind == "jpeg":
        share, quality = float(draw.choice([0.5, 1.0])), int(draw.choice([30, 60, 80]))
        for row, bears in enumerate(bearing(index, draw, share)):
            image = Image.open(index.path(row))
            image.load()
            image.save(index.path(row), "JPEG", quality=quality if bears else 92)
        return f"jpeg {quality}, {share}", index
    plant, shares = PLANTS[kind]
    share, change = float(draw.choice(shares)), plant(draw)
    for row, bears in enumerate(bearing(index, draw, share)):
        if bears:
            with Image.open(index.path(row)) as image:
                changed = change(image)
            changed.save(index.path(row))
    return f"{kind}, {share}", index


def found(index: Index) -> list[Finding]:
    return list(shortcut_findings(index, [inspect(index.root, path) for path in index.paths]))
