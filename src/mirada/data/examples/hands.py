"""A sample for regression: drawn hands whose fingers, measured against the palm, tell an age.

A hand is a set of capsules: segments with a radius, soft ones under bright bones, like an X-ray. Lengths are in units
of the palm; x points to the little finger of a right hand, y to the finger tips, the origin is the wrist.
"""

import csv
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mirada.data.examples.staging import all_or_nothing, require_at_least, save, tell
from mirada.events import OnProgress

Floats = NDArray[np.float64]
Capsules = list[tuple[float, float, float, float, float]]

README = """\
Drawn hands, {size} x {size} pixels, with an age in months.

Made by Mirada with seed {seed}: nothing here is photographed or copied, use it as you like (CC0).
What tells the age is the length of the fingers against the palm; the same length means {lag} months more in a boy
than in a girl, so that knowing the sex helps. Size, place, rotation and brightness of the hand, the spread of its
fingers and the waves of the ground say nothing.
Individuals differ by {spread} months (standard deviation), which no network can learn. Every third patient has two
images, the right and the left hand: keep them in one split (--group patient).
"""

YOUNGEST, OLDEST = 12, 216  # months
LAG = 24  # months by which a boy's fingers are behind a girl's
SPREAD = 4  # months, the standard deviation between individuals
SHORTEST, LONGEST = 0.45, 1.0  # the fingers of the youngest and of the oldest, as a share of FINGERS' lengths
SMALLEST = 48  # pixels; below it the bones cannot be told apart

#            knuckle (x, y)   angle°  length
FINGERS = (((-0.40, 0.42),     -42,    0.66),
           ((-0.33, 1.00),     -10,    0.94),
           ((-0.10, 1.06),      -2,    1.06),
           (( 0.12, 1.02),       6,    0.98),
           (( 0.33, 0.92),      15,    0.78))  # fmt: skip
PHALANGES = (0.00, 0.48, 0.80, 1.00)  # joints, along a finger
JOINT = 0.15  # from the last point of a bone's axis to the first of the next
MIDDLE = 0.95  # of the picture, above the wrist
FLESH, BONE = 0.26, 0.52  # brightness that each adds to what is below


class Hand(NamedTuple):
    """What a picture shows: age in months, sex, whether the left hand, and the individual's own lead in months."""

    age: int
    male: bool
    left: bool
    lead: float


def write_ages(
    folder: str | Path,
    *,
    count: int = 400,
    size: int = 128,
    seed: int = 0,
    on_event: OnProgress | None = None,
) -> int:
    """Writes drawn hands as ``images/<number>.png``, 8-bit grey, and their ages as ``ages.csv``.

    The columns are filename, age (months), male, patient. ``size`` is the side in pixels. An image depends on
    ``seed``, ``size`` and its number alone. Raises ``InvalidArgument`` for fewer than 20 images, a size below 48 or a
    negative seed, ``DataError`` if the folder is not empty or cannot be written.
    """
    require_at_least({"count": (count, 20), "size": (size, SMALLEST), "seed": (seed, 0)}, owner="write_ages")
    with all_or_nothing(folder) as staging:
        rows: list[tuple[str | int | bool, ...]] = [("filename", "age (months)", "male", "patient")]
        for number, (patient, hand) in zip(range(count), _hands(seed), strict=False):
            name = f"images/{number:04}.png"
            save(draw_hand(hand, np.random.default_rng([seed, 1, number]), size=size), staging / name)
            rows.append((name, hand.age, hand.male, f"P{patient:04}"))
            tell(on_event, number + 1, count)
        with (staging / "ages.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
        readme = README.format(size=size, seed=seed, lag=LAG, spread=SPREAD)
        (staging / "README.txt").write_text(readme, encoding="utf-8")
    return count


def _hands(seed: int) -> Iterator[tuple[int, Hand]]:
    """Patients without end, with one hand or, every third, two."""
    patient = 0
    while True:
        draw = np.random.default_rng([seed, 0, patient])
        age, male = int(draw.integers(YOUNGEST, OLDEST + 1)), bool(draw.random() < 0.5)
        hand = Hand(age, male, left=False, lead=float(draw.normal(0, SPREAD)))
        yield patient, hand
        if patient % 3 == 0:
            yield patient, hand._replace(left=True)
        patient += 1


def finger_share(hand: Hand) -> float:
    """How long the fingers are, as a share of ``FINGERS``' lengths: linear in the age that they show."""
    shown = hand.age + hand.lead + (-LAG if hand.male else LAG) / 2
    return SHORTEST + (LONGEST - SHORTEST) * (shown - YOUNGEST) / (OLDEST - YOUNGEST)


def draw_hand(hand: Hand, draw: np.random.Generator, *, size: int) -> Image.Image:
    """A hand on a dark ground, 8-bit grey; ``draw`` decides all that does not tell the age."""
    scale = size * draw.uniform(0.22, 0.31)  # pixels per unit
    angle, spread = np.deg2rad(draw.uniform(-20, 20)), draw.uniform(0.6, 1.5)
    middle = size / 2 + size * draw.uniform(-0.05, 0.05, size=2)
    y, x = np.mgrid[:size, :size] + 0.5
    x, y = (x - middle[0]) / scale, (middle[1] - y) / scale
    x, y = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle) + MIDDLE
    flesh, bones = _capsules(finger_share(hand), spread)
    pixels = draw.uniform(0.06, 0.12) + 0.02 * np.sum([_waves(draw, x, y) for _ in range(4)], axis=0)
    for capsules, brightness in ((flesh, FLESH), (bones, BONE)):
        pixels += brightness * _coverage(-x if hand.left else x, y, capsules, scale)
    pixels = pixels * draw.uniform(0.75, 1.2) + draw.normal(0, 0.015, size=pixels.shape)
    return Image.fromarray(np.rint(pixels.clip(0, 1) * 255).astype(np.uint8))


def _waves(draw: np.random.Generator, x: Floats, y: Floats) -> Floats:
    """A wave across the ground, −1 … 1, of any direction, one to four units long."""
    turn, length = draw.uniform(0, 2 * np.pi), draw.uniform(1, 4)
    across = x * np.cos(turn) + y * np.sin(turn)
    waves: Floats = np.cos(2 * np.pi * (across / length + draw.random()))
    return waves


def _capsules(share: float, spread: float) -> tuple[Capsules, Capsules]:
    """Flesh and bones: both ends (x, y) and the radius of each capsule; ``spread`` turns the fingers apart."""
    flesh = [(-0.14, 0.0, -0.16, -3.0, 0.24), (0.14, 0.0, 0.16, -3.0, 0.24), (0.0, 0.1, 0.0, 0.8, 0.42)]
    bones = [(-0.15, -0.2, -0.17, -3.0, 0.11), (0.17, -0.2, 0.17, -3.0, 0.08)]
    bones += [(x, 0.02, x, 0.02, 0.075) for x in (-0.21, 0.0, 0.2)]  # of the wrist
    for (x, y), degrees, length in FINGERS:
        turn, reach = np.deg2rad(degrees * spread), length * share
        across, along = float(np.sin(turn)), float(np.cos(turn))
        flesh += [(0.55 * x, 0.2, x, y, 0.17), (x, y, x + reach * across, y + reach * along, 0.125)]
        bones.append((0.55 * x, 0.2, x - JOINT * across, y - JOINT * along, 0.055))
        for joint, next_joint in pairwise(PHALANGES):
            start, end = joint * reach + JOINT / 2, next_joint * reach - JOINT / 2
            bones.append((x + start * across, y + start * along, x + end * across, y + end * along, 0.05))
    return flesh, bones


def _coverage(x: Floats, y: Floats, capsules: Capsules, scale: float) -> Floats:
    """The share (H, W) of each pixel inside any capsule, with edges one pixel soft."""
    outside = np.full(x.shape, np.inf)  # the distance to the nearest capsule, in units
    for x0, y0, x1, y1, radius in capsules:
        dx, dy = x1 - x0, y1 - y0
        part = (((x - x0) * dx + (y - y0) * dy) / max(1e-9, dx * dx + dy * dy)).clip(0, 1)
        distance = np.sqrt((x - x0 - part * dx) ** 2 + (y - y0 - part * dy) ** 2)
        outside = np.minimum(outside, distance - radius)
    covered: Floats = (0.5 - outside * scale).clip(0, 1)
    return covered
