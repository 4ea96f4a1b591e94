"""Whether maps stay where they are when nothing that matters changes: small shifts, JPEG, another seed."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirada.judging.perturb import compressed, moved
from mirada.judging.similarity import correlations
from mirada.judging.subject import Grid, Subject, on_input
from mirada.judging.verdict import Floats, LimitTest, Verdict, mean_of_images

STABLE = 0.7  # rank correlation from which a map has stayed: half of the variance of the ranks
SHIFTS = (0.01, 0.02, 0.04, 0.08)  # of the shorter side
QUALITIES = (90, 75, 50, 25)
JUDGED_SHIFT, JUDGED_QUALITY = 0.02, 75
LARGEST = 28  # cells along a side on which moved maps are compared


def _test(test: str, what: str, measure: str) -> LimitTest:
    rule = (
        f"{what}, and the maps are compared by Spearman's rank correlation. Pass: its mean over images lies above 0.7 "
        "with its whole 95 % interval, and p < 0.05. Fail: the interval ends at or below 0.7. Cannot tell: otherwise, "
        "with fewer than 10 images, or if the maps are constant."
    )
    return LimitTest(
        test=test, rule=rule, statistic="mean rank correlation", measure=measure, limit=STABLE, above=True
    )


MOVED = _test(
    "Small shifts",
    "Images are moved by 2 % of the shorter side, at least one pixel, and their maps are moved back",
    "ρ, moved",
)
COMPRESSED = _test("JPEG", "Images go through JPEG at quality 75", "ρ, JPEG")
TRAINED = _test("Seeds", "Networks that differ by their seed alone explain the same images", "ρ, seeds")

Tick = Callable[[], None]


def shifts(subject: Subject, tick: Tick = lambda: None) -> Verdict:
    """Whether maps move with the image.

    Pass: with images moved by 2 % of the shorter side, and maps moved back, the mean rank correlation lies above 0.7
    with its whole 95 % interval, and p < 0.05. Fail: the interval ends at or below 0.7. Cannot tell: otherwise, with
    fewer than 10 images, or if maps are constant.

    Args:
        subject: What is judged.
        tick: Called after each shift.
    """
    rows = np.arange(len(subject.images))
    sides = [min(image.shape[:2]) for image in subject.images]
    found: dict[float, Floats] = {}
    by_steps: dict[tuple[int, ...], Floats] = {}  # of small images several shares are the same pixel
    for share in SHIFTS:
        steps = tuple(max(1, round(share * side)) for side in sides)
        if steps not in by_steps:
            images = [moved(image, step, step) for image, step in zip(subject.images, steps, strict=True)]
            maps = subject.explain(images, rows)
            pairs = [_overlap(*pair) for pair in zip(subject.maps, maps, images, steps, strict=True)]
            by_steps[steps] = correlations([one for one, _ in pairs], [other for _, other in pairs])
        found[share] = by_steps[steps]
        tick()
    named = {f"moved by {100 * share:g} %": values for share, values in found.items()}
    return _judged(MOVED, found[JUDGED_SHIFT], named, subject)


def jpeg(subject: Subject, tick: Tick = lambda: None) -> Verdict:
    """Whether maps bear compression.

    Pass: at quality 75 the mean rank correlation lies above 0.7 with its whole 95 % interval, and p < 0.05. Fail: the
    interval ends at or below 0.7. Cannot tell: otherwise, with fewer than 10 images, or if maps are constant.

    Args:
        subject: What is judged.
        tick: Called after each quality.
    """
    rows = np.arange(len(subject.images))
    found: dict[int, Floats] = {}
    for quality in QUALITIES:
        maps = subject.explain([compressed(image, quality) for image in subject.images], rows)
        found[quality] = correlations(subject.maps, maps)
        tick()
    named = {f"quality {quality}": values for quality, values in found.items()}
    return _judged(COMPRESSED, found[JUDGED_QUALITY], named, subject)


def seeds(maps: Sequence[Sequence[Grid]], subject: Subject) -> Verdict:
    """Whether networks that differ by their seed alone look at the same places.

    Pass: the mean rank correlation over all pairs of networks lies above 0.7 with its whole 95 % interval over images,
    and p < 0.05. Fail: the interval ends at or below 0.7. Cannot tell: otherwise, with fewer than 10 images, or if
    maps are constant.

    Args:
        maps: For each network, the maps of the same N images and classes.
        subject: The images, for their groups and the seed.
    """
    pairs = [correlations(one, other) for one, other in combinations(maps, 2)]
    values = np.mean(pairs, axis=0)  # an image whose map is constant for one network is left out
    return _judged(TRAINED, values, {f"{len(maps)} networks": values}, subject)


def _overlap(before: Grid, after: Grid, image: NDArray[Any], step: int) -> tuple[Grid, Grid]:
    """What both maps say of the pixels that are in both images, on a grid of at most 28 × 28."""
    size = (image.shape[0], image.shape[1])
    one = on_input(before, size)[: size[0] - step, : size[1] - step]
    other = on_input(after, size)[step:, step:]
    stride = max(1, -(-max(one.shape) // LARGEST))
    return one[stride // 2 :: stride, stride // 2 :: stride], other[
        stride // 2 :: stride, stride // 2 :: stride
    ]


def _judged(test: LimitTest, values: Floats, named: dict[str, Floats], subject: Subject) -> Verdict:
    quantities = [
        mean_of_images(name, each, groups=subject.groups, seed=subject.seed) for name, each in named.items()
    ]
    return test.judge(values, quantities, groups=subject.groups, seed=subject.seed)
