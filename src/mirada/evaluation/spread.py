"""How far networks that answer together are apart, and whether a large spread goes with a large error."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mirada.evaluation.estimate import Estimate, Sampling, resampled, share
from mirada.evaluation.intervals import Weights
from mirada.evaluation.metrics import Floats, mean
from mirada.evaluation.predictions import Predictions
from mirada.samples import Classes, Numbers

_Sample = tuple[str, str, bytes]

PARTS = 3  # of the images, by their spread
FEWEST = 30  # images with a spread: of fewer, nothing is said


@dataclass(frozen=True, kw_only=True)
class SpreadPart:
    """The error of ``n`` images whose spread lies between two ends: a mean absolute error, or a share of mistakes.

    ``low`` to ``high`` is its 95 % interval; None where there is none, ``method`` then says why.
    """

    least: float
    most: float
    n: int
    error: float | None
    low: float | None
    high: float | None
    method: str
    level: float | None = None


@dataclass(frozen=True, kw_only=True)
class SpreadCheck:
    """Whether a large spread among networks goes with a large error.

    Args:
        target: The column that it is about, where there are several.
        n: Images with a spread.
        correlation: Spearman's rank correlation of the spread with the absolute error, or of classes with being
            wrong: 1 where the order is the same, 0 where one tells nothing of the other. None where undefined.
        low: Lower end of its 95 % interval; None where there is none, ``method`` then says why.
        high: Upper end.
        method: How the interval was found.
        level: What the interval promises.
        parts: The error of each third of the images, the smallest spreads first.
    """

    target: str
    n: int
    correlation: float | None
    low: float | None
    high: float | None
    method: str
    level: float | None = None
    parts: tuple[SpreadPart, ...] = ()


def check_spread(table: Predictions, sampling: Sampling) -> tuple[SpreadCheck, ...]:
    """How the spread of predictions with known targets goes with their errors, for each number.

    Args:
        table: The predictions; rows without a spread are passed over.
        sampling: The groups of its rows, and a seed.

    Returns:
        One for classes, or for each number; none for fewer than 30 images with a spread.
    """
    summed_up = _share_of_mistakes if isinstance(table.target, Classes) else _mean_error
    found = []
    for name, spread, error in _columns(table):
        rows = ~np.isnan(spread) & ~np.isnan(error)
        if rows.sum() >= FEWEST:
            found.append(_checked(name, spread[rows], error[rows], sampling.take(rows), summed_up))
    return tuple(found)


def _share_of_mistakes(error: Floats, sampling: Sampling) -> Estimate:
    return share(error > 0, sampling)


def _mean_error(error: Floats, sampling: Sampling) -> Estimate:
    return resampled(partial(mean, error), len(error), sampling)


def _columns(table: Predictions) -> Iterator[tuple[str, Floats, Floats]]:
    """The name, the spreads (n,) and the sizes of the errors (n,) of classes, or of each number."""
    match table.target:
        case Classes():
            yield "", table.spreads[:, 0], (table.outputs.argmax(axis=1) != table.targets).astype(np.float64)
        case Numbers(names):
            sizes = np.abs(table.outputs - table.values)
            for place, name in enumerate(names):
                yield name, table.spreads[:, place], sizes[:, place]


def _checked(
    name: str,
    spread: Floats,
    error: Floats,
    sampling: Sampling,
    summed_up: Callable[[Floats, Sampling], Estimate],
) -> SpreadCheck:
    found = resampled(partial(rank_correlation, spread, error), len(spread), sampling)
    parts = []
    for rows in np.array_split(np.argsort(spread, kind="stable"), PARTS):
        chosen = np.zeros(len(spread), dtype=np.bool_)
        chosen[rows] = True
        estimate = summed_up(error[chosen], sampling.take(chosen))
        ends = {"least": float(spread[chosen].min()), "most": float(spread[chosen].max())}
        value, low, high, method, level = estimate
        parts.append(
            SpreadPart(**ends, n=len(rows), error=value, low=low, high=high, method=method, level=level)
        )
    return SpreadCheck(
        target=name,
        n=len(spread),
        correlation=found.value,
        low=found.low,
        high=found.high,
        method=found.method,
        level=found.level,
        parts=tuple(parts),
    )


def rank_correlation(first: Floats, second: Floats, weights: Weights | None = None) -> Floats:
    """Spearman's rank correlation, equal values sharing the mean of their ranks.

    Args:
        first: Values (n,).
        second: Values (n,).
        weights: How often each row was drawn, (chunk, n); None for the rows as they are.

    Returns:
        One number per resample, (chunk,) or (); NaN where all values of one are equal.

    Source: Spearman 1904, The American Journal of Psychology 15:72.
    """
    drawn = np.ones((1, len(first))) if weights is None else weights
    ranks = [_ranks(values, drawn) for values in (first, second)]
    sums = drawn.sum(axis=1, keepdims=True)
    centred = [each - (drawn * each).sum(axis=1, keepdims=True) / sums for each in ranks]
    squares = [(drawn * each**2).sum(axis=1) for each in centred]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (drawn * centred[0] * centred[1]).sum(axis=1) / np.sqrt(squares[0] * squares[1])
    return np.asarray(found[0] if weights is None else found)


def _ranks(values: Floats, drawn: Floats) -> Floats:
    """The mean rank of each value among those that were drawn (chunk, n)."""
    distinct, place = np.unique(values, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(distinct)))
    equal = np.add.reduceat(drawn[:, order], starts, axis=1)  # of each distinct value how many
    return np.asarray((np.cumsum(equal, axis=1) - equal / 2)[:, place])


def with_spreads(tables: Sequence[Predictions]) -> Predictions:
    """The test images of several networks, with the spread among all networks that were not trained on each.

    An image that tested one network of a cross-validation taught the others, unless it was one of their validation
    images. A network answers what it has learnt by heart, so those that were trained on an image say nothing of how
    sure the answer is.

    Args:
        tables: What each network says of its test images and of its validation images.

    Returns:
        The test images, one table after the other; the spread is NaN where fewer than two networks may be asked.
    """
    answers: dict[_Sample, list[NDArray[np.float64]]] = {}
    for table in tables:
        own = dict(zip(_samples(table), table.outputs, strict=True))
        for sample, output in own.items():
            answers.setdefault(sample, []).append(output)
    joined = Predictions.joined([table.of_split("test") for table in tables])
    spreads = np.full_like(joined.spreads, np.nan)
    for row, (sample, output) in enumerate(zip(_samples(joined), joined.outputs, strict=True)):
        if len(answers[sample]) > 1:
            spread = np.std(answers[sample], axis=0, ddof=1)
            spreads[row] = spread if isinstance(joined.target, Numbers) else spread[output.argmax()]
    return replace(joined, spreads=spreads)


def _samples(table: Predictions) -> list[_Sample]:
    """What tells rows apart, of which several may have one image: it, the group, and what is read beside it.

    Rows that have all of it in common are in the same split of every network, and get the same answer.
    """
    groups = table.groups or ("",) * len(table)
    return list(zip(table.paths, groups, map(np.ndarray.tobytes, table.covariates), strict=True))
