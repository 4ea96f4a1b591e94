"""Whether a model does better on some parts of the data than on others, beyond chance: a permutation of the words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mirada.evaluation.calls import Calls
from mirada.evaluation.chances import between, holm
from mirada.evaluation.estimate import Sampling
from mirada.evaluation.predictions import Predictions
from mirada.samples import OUTSIDE, Classes, Numbers

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DRAWS = 1999
STRATA = 5  # ranges of a number within which words change places
FEWEST = 5  # images, or groups of them, of each word that is compared
ALPHA = 0.05


@dataclass(frozen=True)
class PartTest:
    """Whether the parts that a column makes differ by more than chance.

    Args:
        column: Whose words make the parts.
        name: The key of the metric: ``accuracy`` of classes, at a threshold ``sensitivity`` and ``specificity`` as
            well; ``mae`` of numbers.
        target: Which number, where there are several.
        words: The parts that were compared, the one with the lowest value first.
        values: The metric of each.
        p_value: That a difference as large arises where the words mean nothing, by Holm's rule for all columns
            together; None where fewer than two parts are large enough.
        left_out: Images of parts that are too small, of which nothing is said, or that lie outside of all ranges.
        unit: Of the values.
    """

    column: str
    name: str
    target: str
    words: tuple[str, ...]
    values: tuple[float, ...]
    p_value: float | None
    left_out: int
    unit: str = ""

    @property
    def beyond_chance(self) -> bool:
        """Whether the parts differ."""
        return self.p_value is not None and self.p_value < ALPHA


def part_tests(table: Predictions, sampling: Sampling, calls: Calls | None = None) -> tuple[PartTest, ...]:
    """One test for each column of words, and of several numbers for each of them; at a threshold two more.

    The words change places among images of the same class, or among those whose number lies in the same fifth, so that
    a part with harder cases is not called treated unfairly; all images of a group keep one word where they have one.
    What is compared is the sum over parts of n · (mean − mean of all)².

    Args:
        table: What a network says of images with known targets, with columns of words.
        sampling: The groups, and the seed of the permutations.
        calls: What a threshold makes of the images, where there is one.

    Source:
        Good 2005, Permutation, Parametric and Bootstrap Tests of Hypotheses, §3 (strata); Holm 1979, Scand. J. Stat.
        6:65.
    """
    found = []
    if len(table):
        for column, words in zip(table.by_names, zip(*table.by, strict=True), strict=True):
            found += [
                _test(column, words, scores, strata, sampling) for scores, strata in _scores(table, calls)
            ]
    defined = {place: each.p_value for place, each in enumerate(found) if each.p_value is not None}
    corrected = holm(defined)
    return tuple(replace(each, p_value=corrected.get(place)) for place, each in enumerate(found))


@dataclass(frozen=True)
class _Scores:
    """What is compared: a value for each image."""

    name: str
    target: str
    unit: str
    values: Floats


def _scores(table: Predictions, calls: Calls | None) -> Iterator[tuple[_Scores, Integers]]:
    """The hits of classes, or the absolute errors of each number, NaN for images that do not count; and strata."""
    match table.target:
        case Classes():
            hits = (table.predicted == table.class_numbers).astype(np.float64)
            yield _Scores("accuracy", "", "", hits), table.class_numbers
            if calls:
                found = np.where(calls.own, calls.called, np.nan)
                yield _Scores("sensitivity", "", "", found), table.class_numbers
                passed = np.where(calls.own, np.nan, ~calls.called)
                yield _Scores("specificity", "", "", passed), table.class_numbers
        case Numbers(unit=unit) as numbers:
            for column, name in enumerate(numbers.several or ("",)):
                truth = table.values[:, column]
                known = truth[np.isfinite(truth)]
                edges = np.quantile(known, np.arange(1, STRATA) / STRATA) if len(known) else known
                errors = np.abs(table.outputs[:, column] - truth)
                yield _Scores("mae", name, unit, errors), np.digitize(truth, edges).astype(np.int64)


def _test(
    column: str, words: Sequence[str], scores: _Scores, strata: Integers, sampling: Sampling
) -> PartTest:
    own = np.arange(len(words)) if sampling.groups is None else sampling.groups
    said = np.array(words, dtype=object)
    counted = np.isfinite(scores.values)
    usable = counted & np.array([bool(word) and word != OUTSIDE for word in words])
    large = [
        word for word in sorted(set(said[usable])) if len(np.unique(own[usable & (said == word)])) >= FEWEST
    ]
    rows = usable & np.isin(said, large)
    left_out = int(counted.sum() - rows.sum())
    empty = PartTest(column, scores.name, scores.target, (), (), None, left_out, scores.unit)
    if len(large) < 2:
        return empty
    codes = np.array([large.index(word) for word in said[rows]])
    values = scores.values[rows]
    means = np.bincount(codes, weights=values) / np.bincount(codes)
    order = np.argsort(means, kind="stable")
    return replace(
        empty,
        words=tuple(large[place] for place in order),
        values=tuple(float(means[place]) for place in order),
        p_value=_p_value(codes, values, strata[rows], own[rows], sampling.seed),
    )


def _p_value(codes: Integers, values: Floats, strata: Integers, groups: Integers, seed: int) -> float:
    """The share of permutations whose parts differ as much, the observed one among them."""
    _, first, member = np.unique(groups, return_index=True, return_inverse=True)
    if (
        codes != codes[first][member]
    ).any():  # a group has several words: its images change places one by one
        first, member = np.arange(len(codes)), np.arange(len(codes))
    units, places = codes[first], _by_stratum(strata[first])
    random = np.random.default_rng(seed)
    observed = between(codes, values)
    as_large = 1
    for _ in range(DRAWS):
        drawn = units.copy()
        for place in places:
            drawn[place] = units[random.permutation(place)]
        as_large += between(drawn[member], values) >= observed * (1 - 1e-9)
    return as_large / (DRAWS + 1)


def _by_stratum(strata: Integers) -> list[Integers]:
    return [np.flatnonzero(strata == each) for each in np.unique(strata)]
