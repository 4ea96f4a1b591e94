"""Maps of many images together: means per class, sex, site or error, and what of the evidence lies where it should not.

A network that has learnt a shortcut looks at it in image after image: at a clip in a corner, a letter at the border, a
frame. One map may hide that; many do not. Everything here takes maps as they are, (N, H, W) on one grid and signed, and
counts absolute evidence, for a marker may speak for a class or against it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mirada.errors import InvalidArgument, counted
from mirada.evaluation.chances import between, holm
from mirada.evaluation.paired import Paired, paired
from mirada.judging.verdict import (
    ALPHA,
    LEAST,
    Floats,
    Outcome,
    Quantity,
    Verdict,
    independent,
    mean_of_images,
    numbers_of,
)
from mirada.text import listed

BORDER = 1 / 8  # of a side
CORNER = 1 / 4  # of a side
LIMIT = 1.5  # times its share of the picture: the least evidence in a place that is worth a word
WORST = 12  # images that are named
ROWS = 12  # of a table of many places and parts
ALL = "all images"
DEALS = 999  # permutations of the labels

RULE = (
    "Of each map the share of absolute evidence in the place is compared with the place's own share of the picture, "
    "for all images together and for those of each class or other part. Fail: for any of them the mean share is at "
    "least 1.5 times the place's own, and above it with p < 0.05 by sign flips, corrected for their number (Holm). "
    "Pass: for each of them the 95 % interval ends below 1.5 times. Cannot tell: otherwise, or with fewer than 10 "
    "images. Parts of fewer than 10 images are left out."
)


@dataclass(frozen=True, eq=False)
class Region:
    """A part of the picture.

    Args:
        name: What it is called.
        cover: How much of each cell of the grid lies in it, 0 to 1 (H, W).
    """

    name: str
    cover: Floats

    @property
    def area(self) -> float:
        """Its share of the picture."""
        return float(self.cover.mean())

    @property
    def size_in_words(self) -> str:
        """Its share of the picture as a percentage."""
        return f"{self.area:.0%}" if self.area >= 0.01 else "less than 1%"


@dataclass(frozen=True, eq=False)
class MeanMap:
    """The mean map of the images of a part.

    Args:
        part: The class, the word of a column, "right" or "wrong".
        images: How many.
        signed: The mean, in the maps' own unit (H, W).
        absolute: The mean of the absolute values (H, W).
    """

    part: str
    images: int
    signed: Floats
    absolute: Floats


@dataclass(frozen=True, eq=False)
class PlaceView:
    """What of the evidence lies in a place.

    Args:
        place: The place.
        shares: Of each image, NaN where its map is 0 everywhere (N,).
        verdict: Whether it is more than the place deserves.
        differences: For each column, the chance of shares that differ so much between its words, by permutation; None
            where there is but one of ten images or more.
        worst: The images with the largest shares, as rows.
    """

    place: Region
    shares: Floats
    verdict: Verdict
    differences: Mapping[str, float | None]
    worst: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Cohort:
    """The maps of many images together: mean maps by column, and a view of each place."""

    means: Mapping[str, tuple[MeanMap, ...]]
    places: tuple[PlaceView, ...]


def box_place(name: str, box: tuple[float, float, float, float], size: tuple[int, int]) -> Region:
    """A rectangle of the picture, such as a marker, on a grid.

    Args:
        name: What it is called.
        box: left, top, right, bottom, as shares of the width and the height.
        size: (H, W) of the grid; a cell may lie in it in part.

    Raises:
        InvalidArgument: For a box that is empty, or not in the picture.
    """
    left, top, right, bottom = box
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise InvalidArgument(
            f"`box` of box_place must be left < right and top < bottom, shares from 0 to 1. Got {box}."
        )
    return Region(name, np.outer(_covered(top, bottom, size[0]), _covered(left, right, size[1])))


def border_and_corners(size: tuple[int, int]) -> tuple[Region, ...]:
    """The outermost eighth of the picture, and its four corners of a quarter of its sides, on a grid (H, W)."""
    inner = box_place("", (BORDER, BORDER, 1 - BORDER, 1 - BORDER), size).cover
    ends = {"top": (0.0, CORNER), "bottom": (1 - CORNER, 1.0)}
    sides = {"left": (0.0, CORNER), "right": (1 - CORNER, 1.0)}
    return (
        Region("the border", 1 - inner),
        *(
            box_place(f"the {row} {column} corner", (left, top, right, bottom), size)
            for row, (top, bottom) in ends.items()
            for column, (left, right) in sides.items()
        ),
    )


def _covered(start: float, end: float, cells: int) -> Floats:
    """How much of each of the cells along a side lies between two of its shares (cells,)."""
    edges = np.arange(cells + 1) / cells
    return np.asarray(np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], start), 0, None) * cells)


def evidence_in(maps: NDArray[np.floating], place: Region) -> Floats:
    """The share of each map's absolute values that lies in a place.

    Args:
        maps: (N, H, W), signed.
        place: On the same grid.

    Returns:
        (N,), NaN for a map that is 0 everywhere.
    """
    amounts = np.abs(maps.astype(np.float64))
    totals = amounts.sum(axis=(1, 2))
    within = (amounts * place.cover).sum(axis=(1, 2))
    return np.where(totals > 0, within / np.where(totals > 0, totals, 1), np.nan)


def mean_maps(maps: NDArray[np.floating], words: Sequence[str]) -> tuple[MeanMap, ...]:
    """The mean map of each part.

    Args:
        maps: (N, H, W), signed.
        words: The part that each image belongs to (N,).

    Returns:
        The parts in the order of their names.
    """
    values, named = maps.astype(np.float64), np.array(words)
    return tuple(
        MeanMap(part, int(rows.sum()), values[rows].mean(axis=0), np.abs(values[rows]).mean(axis=0))
        for part in sorted(set(words))
        for rows in [named == part]
    )


def view_cohort(
    maps: NDArray[np.floating],
    columns: Mapping[str, Sequence[str]],
    *,
    places: Sequence[Region] = (),
    groups: NDArray[Any] | None = None,
    seed: int = 0,
) -> Cohort:
    """Means by column, and a verdict on the border, on each corner, and on other places.

    Args:
        maps: (N, H, W), signed, on one grid.
        columns: What is known of the images: for each column, such as the class, the sex, the site, or whether the
            answer is right, a word per image (N,).
        places: Others, such as those of markers that ``check`` has found.
        groups: A group per image (N,), such as the patient; None where images are independent.
        seed: Draws resamples, flips and permutations.

    Raises:
        InvalidArgument: For maps that are not (N, H, W), or a column or place that does not fit them.
    """
    _require_fit(maps, columns, places)
    views = []
    for place in (*border_and_corners(maps.shape[1:]), *places):
        shares = evidence_in(maps, place)
        there = np.flatnonzero(~np.isnan(shares))
        views.append(
            PlaceView(
                place=place,
                shares=shares,
                verdict=judge_place(shares, place, columns, groups=groups, seed=seed),
                differences={
                    name: _difference(shares, words, groups, seed) for name, words in columns.items()
                },
                worst=there[np.argsort(-shares[there], kind="stable")][:WORST],
            )
        )
    return Cohort({name: mean_maps(maps, words) for name, words in columns.items()}, tuple(views))


def judge_place(
    shares: Floats,
    place: Region,
    columns: Mapping[str, Sequence[str]],
    *,
    groups: NDArray[Any] | None = None,
    seed: int = 0,
) -> Verdict:
    """Whether more of the evidence lies in a place than it deserves.

    Fail: for all images, or for those of any part, the mean share is at least 1.5 times the place's share of the
    picture, and above that share with p < 0.05 by sign flips, corrected for the number of parts (Holm). Pass: for each
    of them the 95 % interval ends below 1.5 times. Cannot tell: otherwise, or with fewer than 10 images.

    Args:
        shares: Of each image's evidence (N,); images without any, NaN, are left out and counted.
        place: The place.
        columns: As in ``view_cohort``.
        groups: As in ``view_cohort``.
        seed: Draws resamples and flips.
    """
    found = _compared(shares, place, columns, groups, seed)
    chances = holm({name: each.p_value for name, each in found.items()})
    outcome, reason = _outcome(found, chances)
    every = mean_of_images("", shares, groups=groups, seed=seed)
    return Verdict(
        test=f"Evidence in {place.name}, {place.size_in_words} of the picture",
        outcome=outcome,
        rule=RULE,
        reason=reason,
        statistic="mean share of absolute evidence",
        value=every.value,
        low=every.low,
        high=every.high,
        p_value=min(chances.values(), default=None),
        images=int((~np.isnan(shares)).sum()),
        left_out=int(np.isnan(shares).sum()),
        quantities=tuple(_row(name, each, chances[name]) for name, each in found.items()),
        measure="share there",
        per_image=numbers_of(shares),
    )


def judge_border_and_corners(
    maps: NDArray[np.floating],
    columns: Mapping[str, Sequence[str]],
    *,
    groups: NDArray[Any] | None = None,
    seed: int = 0,
) -> Verdict:
    """Whether more of the evidence lies in the border, or in a corner, than it deserves; one verdict on all of them.

    The rule is that of ``judge_place``, with Holm's correction over places and parts.

    Args:
        maps: (N, H, W), signed, on one grid.
        columns: As in ``view_cohort``.
        groups: As in ``view_cohort``.
        seed: Draws resamples and flips.
    """
    _require_fit(maps, columns, ())
    places = border_and_corners(maps.shape[1:])
    shares = [evidence_in(maps, place) for place in places]
    found = {
        f"{place.name}, {name}": each
        for place, own in zip(places, shares, strict=True)
        for name, each in _compared(own, place, columns, groups, seed).items()
    }
    chances = holm({name: each.p_value for name, each in found.items()})
    outcome, reason = _outcome(found, chances)
    times = np.max([own / place.area for own, place in zip(shares, places, strict=True)], axis=0)
    order = sorted(found, key=lambda name: -found[name].mean / found[name].area)
    top = found[order[0]] if order else None
    return Verdict(
        test="Borders and corners",
        outcome=outcome,
        rule=RULE,
        reason=reason,
        statistic="the place and part that stand out most: mean share of evidence, in multiples of the place's own",
        value=top.times(top.mean) if top else None,
        low=top.times(top.low) if top else None,
        high=top.times(top.high) if top else None,
        p_value=chances[order[0]] if order else None,
        images=int((~np.isnan(times)).sum()),
        left_out=int(np.isnan(times).sum()),
        quantities=tuple(_row(name, found[name], chances[name]) for name in order[:ROWS]),
        measure="edge, × its share",
        per_image=numbers_of(times),
    )


class _Share(NamedTuple):
    """The mean share of evidence of a part's images beside the area of a place: interval, chance of so much more."""

    area: float
    mean: float
    low: float | None
    high: float | None
    p_value: float

    @classmethod
    def of(cls, area: float, found: Paired) -> "_Share":
        """From the comparison of shares with the area."""
        low, high = (None if end is None else area + end for end in (found.low, found.high))
        return cls(area, area + found.mean, low, high, found.p_value)

    def times(self, value: float | None) -> float | None:
        """A share in multiples of the area."""
        return None if value is None else value / self.area


def _compared(
    shares: Floats,
    place: Region,
    columns: Mapping[str, Sequence[str]],
    groups: NDArray[Any] | None,
    seed: int,
) -> dict[str, _Share]:
    """Each part of ten images or more beside the area of a place, all images first."""
    there = ~np.isnan(shares)
    parts = {ALL: there} | {
        f"{name}: {word}": there & (np.array(words) == word)
        for name, words in columns.items()
        for word in sorted(set(words))
    }
    return {
        name: _Share.of(place.area, paired(shares[rows] - place.area, groups=_of(groups, rows), seed=seed))
        for name, rows in parts.items()
        if independent(int(rows.sum()), _of(groups, rows)) >= LEAST
    }


def _row(name: str, found: _Share, chance: float) -> Quantity:
    return Quantity(name=name, value=found.mean, low=found.low, high=found.high, unit="%", p_value=chance)


def _outcome(found: Mapping[str, _Share], chances: Mapping[str, float]) -> tuple[Outcome, str]:
    if not found:
        return "cannot tell", f"there are fewer than {counted(LEAST, 'image')}, or groups of them"
    over = [name for name, each in found.items() if each.mean >= LIMIT * each.area and chances[name] < ALPHA]
    if over:
        return "fail", f"1.5 times its share or more: {listed(over, 5)}"
    if all(each.high is not None and each.high < LIMIT * each.area for each in found.values()):
        return "pass", "the interval of every part ends below 1.5 times its share"
    return "cannot tell", "an interval reaches both sides of 1.5 times its share"


def _difference(shares: Floats, words: Sequence[str], groups: NDArray[Any] | None, seed: int) -> float | None:
    """The chance that parts differ so much in their mean share, if the words are dealt out anew.

    The images of a group that share a word are one unit.
    """
    there = np.flatnonzero(~np.isnan(shares))
    _, parts = np.unique(np.array(words)[there], return_inverse=True)
    if groups is None:
        units = np.arange(len(there))
    else:
        _, members = np.unique(groups[there], return_inverse=True)
        _, units = np.unique(members * (parts.max(initial=0) + 1) + parts, return_inverse=True)
    _, first = np.unique(units, return_index=True)
    parts = parts[first]
    values = np.bincount(units, weights=shares[there]) / np.bincount(units)
    large = np.flatnonzero(np.bincount(parts) >= LEAST)
    if len(large) < 2:
        return None
    kept = np.isin(parts, large)
    values, parts = values[kept], np.searchsorted(large, parts[kept])
    generator = np.random.default_rng(seed)
    observed = between(parts, values)
    dealt = [between(generator.permutation(parts), values) for _ in range(DEALS)]
    return (1 + int(np.sum(np.array(dealt) >= observed - 1e-12))) / (DEALS + 1)


def _of(groups: NDArray[Any] | None, rows: NDArray[np.bool_]) -> NDArray[Any] | None:
    return None if groups is None else groups[rows]


def _require_fit(
    maps: NDArray[np.floating], columns: Mapping[str, Sequence[str]], places: Sequence[Region]
) -> None:
    if maps.ndim != 3 or not len(maps):
        raise InvalidArgument(
            f"`maps` of view_cohort must be (N, H, W), of one image or more. Got {maps.shape}."
        )
    for name, words in columns.items():
        if len(words) != len(maps):
            raise InvalidArgument(f'The column "{name}" has {len(words)} words for {len(maps)} maps.')
    for place in places:
        if place.cover.shape != maps.shape[1:]:
            raise InvalidArgument(
                f'The place "{place.name}" is on a grid of {place.cover.shape}, the maps are {maps.shape[1:]}.'
            )
