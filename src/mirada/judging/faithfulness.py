"""Whether a network's answer hangs on what a map points at: parts are removed, and the answer is watched.

The rivals are maps that have not seen the network, on the same grid: random ones, a bump in the middle, the strength
of the edges and the blurred input itself. A map that is no better than they are says nothing about the network.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.integrate import trapezoid

from mirada.evaluation.paired import Paired, paired
from mirada.judging.perturb import Pixels, blended, blurred, filled, imputed
from mirada.judging.subject import Grid, Subject, on_input
from mirada.judging.verdict import Floats, Quantity, Verdict, decide, independent, mean_of_images, numbers_of

STEPS = 8  # parts in which an image is removed, or put back
ROAD_SHARES = (0.3, 0.6)  # of the pixels
STILL = 1e-9  # a smaller change is rounding
WORTH = 0.05  # of the score's change from the photo to one without content
OWN = "map"
ROAD_RIVALS = ("random", "centre")
LUMA = {1: (1.0,), 3: (0.299, 0.587, 0.114)}

RULE = (
    "{how}; as a share of what the answer changes by when the whole image is removed. "
    "Compared, image by image, with {rivals} on the same grid. Pass: the 95 % interval of the mean difference (map − "
    "rival) lies above 5 % for every rival, and every p < 0.05; the rival shown is the strongest. Fail: the interval "
    "of one ends at or below 5 %. Cannot tell: otherwise, with fewer than 10 images, or if the answer does not change "
    "when the image is removed."
)
HOW_CURVES = (
    "Pixels are put back into the blurred image (insertion), and replaced by the mean colour (deletion), the highest "
    "values of the map first: the area under the answer's curve of insertion less that of deletion"
)
HOW_ROAD = (
    "30 and 60 % of the pixels are removed and filled in from their surroundings with noise, so that the outline of "
    "what is removed tells nothing (ROAD): the answer without the lowest values of the map less that without the "
    "highest"
)

Tick = Callable[[], None]


class Curves(NamedTuple):
    """What an answer does while an image is put back and removed, in order of a map.

    ``insertion`` and ``deletion`` are scores (STEPS + 1,), from nothing to everything put back, or removed.
    """

    insertion: Floats
    deletion: Floats

    @property
    def gap(self) -> float:
        """The area under the one less that under the other, of a width of 1."""
        return area(self.insertion) - area(self.deletion)


def area(curve: Floats) -> float:
    """The area under a curve of equal steps and a width of 1, by trapezoids."""
    return float(trapezoid(curve, dx=1 / (len(curve) - 1)))


def ranks(heat: Grid, random: np.random.Generator) -> Floats:
    """The place of each pixel (H, W) in the order of a map, from 0 for the highest to below 1 for the lowest.

    The order of equal values is drawn: that of rows would favour the image's upper part.
    """
    order = np.lexsort((random.random(heat.size), -heat.ravel()))
    places = np.empty(heat.size)
    places[order] = np.arange(heat.size) / heat.size
    return places.reshape(heat.shape)


def rivals_of(image: Pixels, shape: tuple[int, int], random: np.random.Generator) -> dict[str, Grid]:
    """Maps that know the image at most, and nothing of the network, on a grid of ``shape``.

    Args:
        image: (H, W, C).
        shape: (h, w), that of the map that is judged.
        random: Draws the random one.
    """
    light = image @ np.array(LUMA.get(image.shape[2], (1 / image.shape[2],) * image.shape[2]))
    sigma = max(image.shape[:2]) / 20
    soft = ndimage.gaussian_filter(light, sigma, mode="nearest")
    edges = np.hypot(ndimage.sobel(light, axis=0), ndimage.sobel(light, axis=1))
    y, x = (np.linspace(-1, 1, side) if side > 1 else np.zeros(1) for side in shape)
    return {
        "random": random.random(shape).astype(np.float32),
        "centre": np.exp(-2 * (y[:, np.newaxis] ** 2 + x**2)).astype(np.float32),
        "edges": _pooled(edges, shape),
        "blurred input": _pooled(np.abs(soft - soft.mean()), shape),
    }


def curves(subject: Subject, row: int, orders: Sequence[Floats]) -> list[Curves]:
    """Insertion and deletion for several orders of the pixels of one image.

    Args:
        subject: What is judged.
        row: The image.
        orders: As ``ranks`` makes them, each (H, W).

    Source: Petsiuk, Das & Saenko 2018, "RISE", arXiv:1806.07421, §4.1.
    """
    image = subject.images[row]
    soft, plain = blurred(image), filled(image, subject.level)
    inner = np.arange(1, STEPS) / STEPS
    shown = [image, soft, plain]
    for order in orders:
        shown += [blended(image, soft, (order < share).astype(np.float64)) for share in inner]
        shown += [blended(plain, image, (order < share).astype(np.float64)) for share in inner]
    scores = subject.score(shown, np.full(len(shown), row))
    whole, unclear, gone = scores[:3]
    parts = scores[3:].reshape(len(orders), 2, STEPS - 1)
    return [
        Curves(np.array([unclear, *inserted, whole]), np.array([whole, *deleted, gone]))
        for inserted, deleted in parts
    ]


def faithfulness(subject: Subject, tick: Tick = lambda: None) -> Verdict:
    """Whether insertion and deletion in the map's order change the answer more than in a rival's order.

    Pass: for every rival the 95 % interval of the mean difference of (insertion area − deletion area), as a share of
    what the answer changes by when the whole image is removed, lies above 5 %, and every p < 0.05 by sign flips. Fail:
    the interval for one rival ends at or below 5 %. Cannot tell: otherwise, with fewer than 10 images whose map is not
    constant, or if the answer does not change when the image is removed.

    A map of a number is signed, and so is what is watched: putting back what raises the value raises it.

    Args:
        subject: What is judged.
        tick: Called after each image.

    Source: Petsiuk, Das & Saenko 2018, arXiv:1806.07421, §4.1; average drop and increase: Chattopadhay et al. 2018,
    "Grad-CAM++", arXiv:1710.11063, §4.1.
    """
    gaps: list[dict[str, float]] = []
    spans, own, plain_scores = [], list[Curves](), list[tuple[float, float]]()
    for row, named in _orders(subject):
        found = curves(subject, row, list(named.values()))
        gaps.append({name: each.gap for name, each in zip(named, found, strict=True)})
        own.append(found[0])
        first = found[0]
        spans.append(
            (abs(first.deletion[0] - first.deletion[-1]) + abs(first.insertion[-1] - first.insertion[0])) / 2
        )
        plain_scores.append((float(first.deletion[0]), _masked_score(subject, row)))
        tick()
    verdict = _verdict("Insertion and deletion", "insertion − deletion", HOW_CURVES, subject, gaps, spans)
    more = _of_curves(subject, own) + _drop_and_increase(subject, plain_scores)
    return replace(verdict, quantities=(*verdict.quantities, *more))


def road(subject: Subject, tick: Tick = lambda: None) -> Verdict:
    """Whether removing what the map ranks high hurts more than what it ranks low, when what is removed is filled in.

    Pass: for each rival (random, centre) the 95 % interval of the mean difference of (score without the lowest − score
    without the highest values), as a share of what the answer changes by when the whole image is removed, lies above
    5 %, and every p < 0.05. Fail: the interval for one rival ends at or below 5 %. Cannot tell: otherwise, with fewer
    than 10 images whose map is not constant, or if the answer does not change when the image is removed.

    Args:
        subject: What is judged.
        tick: Called after each image.

    Source: Rong et al. 2022, arXiv:2202.00449.
    """
    gaps: list[dict[str, float]] = []
    spans = []
    for row, named in _orders(subject):
        image = subject.images[row]
        random = np.random.default_rng([subject.seed, row, 1])
        shown = [image, filled(image, subject.level)]
        kept = {name: order for name, order in named.items() if name in (OWN, *ROAD_RIVALS)}
        for order in kept.values():
            for share in ROAD_SHARES:
                shown += [imputed(image, order >= 1 - share, random), imputed(image, order < share, random)]
        scores = subject.score(shown, np.full(len(shown), row))
        each = scores[2:].reshape(len(kept), len(ROAD_SHARES), 2)  # without the lowest, without the highest
        gaps.append(dict(zip(kept, (each[..., 0] - each[..., 1]).mean(axis=1).tolist(), strict=True)))
        spans.append(abs(scores[0] - scores[1]))
        tick()
    return _verdict("Remove and impute (ROAD)", "ROAD", HOW_ROAD, subject, gaps, spans)


def _orders(subject: Subject) -> Iterator[tuple[int, dict[str, Floats]]]:
    """Each image whose map is not constant, with the order of its pixels by its map and by the rivals."""
    for row in subject.uneven.tolist():
        image, grid = subject.images[row], subject.maps[row]
        random = np.random.default_rng([subject.seed, row])
        enlarge = partial(on_input, size=(image.shape[0], image.shape[1]))
        named = {OWN: grid, **rivals_of(image, (grid.shape[0], grid.shape[1]), random)}
        yield row, {name: ranks(enlarge(each), random) for name, each in named.items()}


def _verdict(
    test: str,
    measure: str,
    how: str,
    subject: Subject,
    gaps: Sequence[dict[str, float]],
    spans: Sequence[float],
) -> Verdict:
    """The comparison with each rival, in shares of the mean change."""
    rows = subject.uneven
    names = [name for name in gaps[0] if name != OWN] if gaps else []
    untold = Verdict(
        test=test,
        outcome="cannot tell",
        rule=RULE.format(how=how, rivals=_listed(names) if names else "maps that have not seen the network"),
        reason="every map has the same value everywhere",
        statistic="mean difference, map − strongest rival",
        left_out=len(subject.images) - len(rows),
        measure=measure,
    )
    if not gaps:
        return untold
    span, groups = float(np.mean(spans)), subject.groups_of(rows)
    if span < STILL:
        return replace(untold, reason="the answer does not change when the image is removed")
    shares = {name: np.array([each[name] for each in gaps]) / span for name in (OWN, *names)}
    found = {name: paired(shares[OWN] - shares[name], groups=groups, seed=subject.seed) for name in names}
    outcome, reason = decide(list(found.values()), independent(len(rows), groups), worth=WORTH)
    strongest = min(found, key=lambda name: found[name].mean)
    reached = np.full(len(subject.images), np.nan)
    reached[rows] = shares[OWN]
    return replace(
        untold,
        outcome=outcome,
        reason=f"{reason}; the strongest rival is: {strongest}",
        statistic=f"mean difference, map − {strongest}, share of the change",
        value=found[strongest].mean,
        low=found[strongest].low,
        high=found[strongest].high,
        p_value=max(each.p_value for each in found.values()),
        images=len(rows),
        quantities=(*_means(shares, subject), *_differences(found)),
        per_image=numbers_of(reached),
    )


def _means(shares: Mapping[str, Floats], subject: Subject) -> list[Quantity]:
    """What the map and each rival reach."""
    groups = subject.groups_of(subject.uneven)
    return [
        mean_of_images(name, each, groups=groups, seed=subject.seed, unit="%")
        for name, each in shares.items()
    ]


def _differences(found: Mapping[str, Paired]) -> list[Quantity]:
    """The map less each rival."""
    return [
        Quantity(
            name=f"{OWN} − {name}",
            value=each.mean,
            low=each.low,
            high=each.high,
            unit="%",
            p_value=each.p_value,
        )
        for name, each in found.items()
    ]


def _of_curves(subject: Subject, own: Sequence[Curves]) -> list[Quantity]:
    """The areas themselves, in the unit of the score."""
    groups = subject.groups_of(subject.uneven)
    return [
        mean_of_images(
            f"{name} area", np.array([area(getattr(each, name)) for each in own]), groups=groups, seed=subject.seed,
            unit=subject.unit,
        )
        for name in ("insertion", "deletion")
    ]  # fmt: skip


def _masked_score(subject: Subject, row: int) -> float:
    """The score of the image times the positive part of its map over its maximum, the rest the mean colour."""
    image = subject.images[row]
    heat = np.maximum(on_input(subject.maps[row], (image.shape[0], image.shape[1])), 0)
    share = heat / heat.max() if heat.max() > 0 else heat
    return float(subject.score([blended(image, filled(image, subject.level), share)], np.array([row]))[0])


def _drop_and_increase(subject: Subject, scores: Sequence[tuple[float, float]]) -> list[Quantity]:
    """Of probabilities: the mean drop as a share of the score, and the share of images whose score rose."""
    if not subject.probability or not scores:
        return []
    whole, masked = np.array(scores).T
    groups, seed = subject.groups_of(subject.uneven), subject.seed
    drop = np.maximum(0, whole - masked) / np.maximum(whole, 1e-12)
    return [
        mean_of_images("average drop", drop, groups=groups, seed=seed, unit="%"),
        mean_of_images(
            "average increase", (masked > whole).astype(np.float64), groups=groups, seed=seed, unit="%"
        ),
    ]


def _pooled(values: Floats, shape: tuple[int, int]) -> Grid:
    """The means (h, w) of the cells into which an image (H, W) is divided; cells of less than a pixel share one."""
    cells = values
    for axis, side in enumerate(shape):
        ends = np.linspace(0, values.shape[axis], side + 1)
        parts = [
            cells.take(np.arange(int(low), max(int(low) + 1, int(high))), axis=axis).mean(axis=axis)
            for low, high in pairwise(ends)
        ]
        cells = np.stack(parts, axis=axis)
    return cells.astype(np.float32)


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]} maps"
