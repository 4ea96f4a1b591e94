"""Confidence intervals: Wilson's for a share, the percentile bootstrap for anything else.

Both treat rows as independent draws: several images of one patient make them too narrow. The bootstrap then
draws whole groups instead.
"""

from collections.abc import Callable, Iterator, Sequence
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirada.errors import InvalidArgument

LEVEL = 0.95
RESAMPLES = 2000
CHUNK = 2**17  # rows drawn at a time: at 1 MiB per column all stays in the processor's cache

Interval = tuple[float, float]
Rows = NDArray[np.int64]


def wilson(successes: int, n: int, level: float = LEVEL) -> Interval | None:
    """Wilson's score interval (low, high) for a share of ``successes`` in ``n``; None for n = 0.

    (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n), p = successes / n, z = Φ⁻¹((1 + level) / 2).
    Raises ``InvalidArgument`` unless 0 ≤ successes ≤ n and 0 < level < 1. Source: Wilson 1927, JASA 22:209.

    >>> [round(end, 3) for end in wilson(9, 10)]
    [0.596, 0.982]
    """
    _check_level(level, "wilson")
    if not 0 <= successes <= n:
        raise InvalidArgument(f"`successes` of wilson must lie between 0 and n = {n}. Got {successes}.")
    if n == 0:
        return None
    share = successes / n
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre = share + z * z / (2 * n)
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # Exactly 0 and 1 at the ends: the formula says so, rounding does not.
    low = 0.0 if successes == 0 else (centre - half) / scale
    high = 1.0 if successes == n else (centre + half) / scale
    return low, high


def bootstrap(
    statistic: Callable[..., Any],
    columns: Sequence[NDArray[Any]],
    *,
    seed: int,
    groups: NDArray[Any] | None = None,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Interval | None:
    """Percentile bootstrap interval (low, high) of ``statistic(*columns)``: rows drawn with replacement.

    ``columns`` are arrays (n,) that belong together row by row. ``statistic`` gets them with leading axes, as
    (chunk, n), and reduces the last axis → (chunk,). Equal seeds draw equal rows. Works in chunks, so memory
    stays below 64 MB up to n = 100,000.

    With ``groups`` (n,), whole groups are drawn (cluster bootstrap), as many as there are: rows of one group
    resemble each other, and drawn one by one they would make the interval too narrow. ``statistic`` then gets
    plain columns.

    None where there is no honest interval: fewer than two rows or groups, or a statistic that is not finite in
    some resample. Raises ``InvalidArgument`` for columns that differ in length, resamples < 1, or a level
    outside (0, 1). Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, §13.3; groups: Field &
    Welsh 2007, JRSS B 69:369.

    >>> low, high = bootstrap(lambda x: x.mean(axis=-1), [np.arange(100.0)], seed=0)
    >>> low < 49.5 < high
    True
    """
    _check_level(level, "bootstrap")
    lengths = [len(column) for column in (*columns, *(() if groups is None else (groups,)))]
    if len(set(lengths)) != 1:
        raise InvalidArgument(f"`columns` of bootstrap must be one or more of equal length. Got {lengths}.")
    if resamples < 1:
        raise InvalidArgument(f"`resamples` of bootstrap must be an integer ≥ 1. Got {resamples}.")
    if len(np.unique(np.arange(lengths[0]) if groups is None else groups)) < 2:
        return None
    random = np.random.default_rng(seed)
    draws = (
        _rows(lengths[0], resamples, random) if groups is None else _whole_groups(groups, resamples, random)
    )
    estimates = np.concatenate(
        [np.atleast_1d(statistic(*(column[rows] for column in columns))) for rows in draws]
    )
    if not np.isfinite(estimates).all():
        return None
    low, high = np.quantile(estimates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _rows(n: int, resamples: int, random: np.random.Generator) -> Iterator[Rows]:
    """Row numbers (chunk, n), until there are ``resamples`` of them."""
    chunk = max(1, CHUNK // n)
    for start in range(0, resamples, chunk):
        yield random.integers(n, size=(min(chunk, resamples - start), n))


def _whole_groups(groups: NDArray[Any], resamples: int, random: np.random.Generator) -> Iterator[Rows]:
    """The row numbers of groups drawn with replacement; how many rows depends on the groups that are drawn."""
    _, numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    sorted_rows = np.argsort(numbers, kind="stable")
    starts = np.cumsum(sizes) - sizes
    for _ in range(resamples):
        drawn = random.integers(len(sizes), size=len(sizes))
        own = sizes[drawn]
        within = np.arange(own.sum()) - np.repeat(np.cumsum(own) - own, own)  # 0, 1, … in each group
        yield sorted_rows[np.repeat(starts[drawn], own) + within]


def _check_level(level: float, owner: str) -> None:
    if not 0 < level < 1:
        raise InvalidArgument(f"`level` of {owner} must lie between 0 and 1, exclusive. Got {level}.")
