"""A sample with boxes: drawn shapes, of which nothing but the outline tells the class."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mirada.data.examples.staging import all_or_nothing, require_at_least, save, tell
from mirada.events import OnProgress

Floats = NDArray[np.float64]
Rectangle = tuple[int, int, int, int]  # x_min, y_min, x_max, y_max

SHAPES_README = """\
Drawn shapes, {size} x {size} pixels, {classes} classes: {names}.

Made by Mirada with seed {seed}: nothing here is photographed or copied, use it as you like (CC0).
Place, area, rotation, colours and ground are drawn alike for all classes, so that only the outline tells
them apart. Every fifth image of a class is in test/. boxes.csv holds the box around each shape in pixels,
half-open: x_max and y_max are the first column and row behind it.
"""

OVERSAMPLING = 4  # masks are drawn this many times larger, then averaged down
SMALLEST = 32  # pixels; below it a star and a triangle can no longer be told apart


def write_shapes(
    folder: str | Path, *, count: int = 600, size: int = 64, seed: int = 0, on_event: OnProgress | None = None
) -> int:
    """Writes drawn shapes as ``{train,test}/<class>/<number>.png`` and their boxes as ``boxes.csv``.

    ``size`` is the side in pixels. Every fifth image of a class is in the test split. An image depends on
    ``seed``, ``size`` and its number alone. The columns of ``boxes.csv`` are filename, class, x_min, y_min,
    x_max, y_max, half-open. Raises ``InvalidArgument`` for fewer than five images per class, a size below 32
    or a negative seed, ``DataError`` if the folder is not empty or cannot be written.
    """
    names = tuple(OUTLINES)
    require_at_least(
        {"count": (count, 5 * len(names)), "size": (size, SMALLEST), "seed": (seed, 0)}, owner="write_shapes"
    )
    with all_or_nothing(folder) as staging:
        table: list[tuple[str | int, ...]] = [("filename", "class", "x_min", "y_min", "x_max", "y_max")]
        for number in range(count):
            turn, kind = divmod(number, len(names))
            image, box = draw_shape(names[kind], number, size=size, seed=seed)
            name = f"{'test' if turn % 5 == 4 else 'train'}/{names[kind]}/{number:04}.png"
            save(image, staging / name)
            table.append((name, names[kind], *box))
            tell(on_event, number + 1, count)
        with (staging / "boxes.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(table)
        readme = SHAPES_README.format(size=size, seed=seed, classes=len(names), names=", ".join(names))
        (staging / "README.txt").write_text(readme, encoding="utf-8")
    return count


def draw_shape(kind: str, number: int, *, size: int, seed: int) -> tuple[Image.Image, Rectangle]:
    """One shape on its ground, and the half-open box of the pixels that it covers by half or more.

    All random draws are the same whatever ``kind`` is, and every kind has the same area: nothing but the
    outline tells the classes apart.
    """
    draw = np.random.default_rng([seed, number])
    reach = size * draw.uniform(0.20, 0.40)  # how far the widest kind reaches from its centre
    centre = draw.uniform(reach, size - reach, size=2)
    coverage = _coverage(_placed(OUTLINES[kind], reach / WIDEST, draw.uniform(0, 2 * np.pi), centre), size)
    ground, ink = _colours(draw)
    backdrop = _blend(*ground, _smooth_noise(draw, size))
    shape = _blend(*ink, _smooth_noise(draw, size))
    grain = draw.normal(0, 0.012, size=(size, size, 1))
    pixels = _blend(backdrop, shape, coverage) + grain  # (size, size, 3) in 0…1
    image = Image.fromarray(np.rint(pixels.clip(0, 1) * 255).astype(np.uint8))
    return image, _box(coverage >= 0.5)


def _polygon(radii: tuple[float, ...]) -> Floats:
    """Corners (n, 2) at these distances from the origin, evenly turned, scaled to an area of one."""
    angles = np.arange(len(radii)) * (2 * np.pi / len(radii))
    x, y = np.array(radii) * np.cos(angles), np.array(radii) * np.sin(angles)
    area = 0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)  # the shoelace formula
    corners: Floats = np.stack([x, y], axis=1) / np.sqrt(area)
    return corners


OUTLINES = {
    "circle": _polygon((1.0,) * 90),
    "square": _polygon((1.0,) * 4),
    "star": _polygon((1.0, 0.42) * 5),
    "triangle": _polygon((1.0,) * 3),
}
WIDEST = max(float(np.linalg.norm(outline, axis=1).max()) for outline in OUTLINES.values())


def _placed(outline: Floats, scale: float, angle: float, centre: Floats) -> Floats:
    """The outline turned by ``angle`` in radians, scaled and moved to ``centre`` (x, y) in pixels."""
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners: Floats = outline @ turn * scale + centre
    return corners


def _coverage(corners: Floats, size: int) -> Floats:
    """The share (size, size, 1) of each pixel inside the polygon, in 0…1."""
    mask = Image.new("L", (size * OVERSAMPLING, size * OVERSAMPLING))
    ImageDraw.Draw(mask).polygon([(x, y) for x, y in corners * OVERSAMPLING], fill=255)
    return np.asarray(mask.reduce(OVERSAMPLING), dtype=np.float64)[..., None] / 255


def _box(inside: NDArray[np.bool_]) -> Rectangle:
    """The smallest half-open box (x_min, y_min, x_max, y_max) around the true pixels of (H, W, 1)."""
    rows, columns, _ = np.nonzero(inside)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def _smooth_noise(draw: np.random.Generator, size: int) -> Floats:
    """Cloudy noise (size, size, 1) in 0…1: random grids of 3, 6 and 12 points, enlarged and added."""
    total = np.zeros((size, size))
    for points in (3, 6, 12):
        grid = Image.fromarray(draw.uniform(-1, 1, size=(points, points)).astype(np.float32))
        total += np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC)) / points
    clouds: Floats = (total - total.min()) / np.ptp(total)
    return clouds[..., None]


def _colours(draw: np.random.Generator) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Two colours for the ground and two for the shape: hues at random, one pair dark and the other light."""
    dark, light = draw.uniform(0.28, 0.38), draw.uniform(0.78, 0.88)
    below, above = (dark, light) if draw.random() < 0.5 else (light, dark)
    hue = draw.uniform(0, 2 * np.pi)
    away = hue + draw.uniform(0.5, 1.5) * np.pi
    ground = _oklch(below - 0.05, 0.05, hue), _oklch(below + 0.05, 0.10, hue + draw.uniform(-1.2, 1.2))
    ink = _oklch(above - 0.03, 0.15, away), _oklch(above + 0.03, 0.15, away + draw.uniform(-0.5, 0.5))
    return ground, ink


def _oklch(lightness: float, chroma: float, hue: float) -> Floats:
    """A colour of even perceived lightness as sRGB in 0…1.  Source: B. Ottosson 2020, "OKLab"."""
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    cones = np.array(
        [
            lightness + 0.3963377774 * a + 0.2158037573 * b,
            lightness - 0.1055613458 * a - 0.0638541728 * b,
            lightness - 0.0894841775 * a - 1.2914855480 * b,
        ]
    )
    to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear: Floats = (to_rgb @ cones**3).clip(0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _blend(first: Floats, second: Floats, share: Floats) -> Floats:
    """``first`` where ``share`` is 0, ``second`` where it is 1."""
    return first * (1 - share) + second * share
