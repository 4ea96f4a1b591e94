"""Confidence intervals: Wilson's for a share, the percentile bootstrap for anything else.

Both treat rows as independent draws: several images of one patient make them too narrow. The bootstrap then
draws whole groups instead.
"""

from collections.abc import Callable, Iterator
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirada.errors import InvalidArgument

LEVEL = 0.95
Z = NormalDist().inv_cdf((1 + LEVEL) / 2)  # standard errors on either side
RESAMPLES = 2000
CHUNK = 2**17  # rows weighted at a time: 1 MiB, which stays in the processor's cache

Interval = tuple[float, float]
Weights = NDArray[np.float64]  # how often each row was drawn (chunk, n), whole numbers
Statistic = Callable[[Weights], Any]  # weights (chunk, n) → one number per resample (chunk,)


def wilson(successes: float, n: float, level: float = LEVEL) -> Interval | None:
    """Wilson's score interval for a share.

    (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n), p = successes / n, z = Φ⁻¹((1 + level) / 2).

    Args:
        successes: How many of the ``n`` are hits; a fraction for an effective number of draws.
        n: Draws.
        level: Share of such intervals that hold the truth.

    Returns:
        The ends (low, high); None for n = 0.

    Raises:
        InvalidArgument: Unless 0 ≤ successes ≤ n and 0 < level < 1.

    Source: Wilson 1927, JASA 22:209.

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
    statistic: Statistic,
    n: int,
    *,
    seed: int,
    groups: NDArray[Any] | None = None,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Interval | None:
    """Percentile bootstrap interval of a statistic of n rows, drawn with replacement.

    A resample is told by how often each row was drawn, so that nothing is copied: a mean is one product of matrices.
    Works in chunks; memory stays below 64 MB up to n = 100,000.

    Args:
        statistic: Takes weights (chunk, n), whole numbers ≥ 0, and returns one number per resample (chunk,).
        n: Rows.
        seed: Equal seeds draw equal rows.
        groups: A group per row (n,): whole groups are then drawn (cluster bootstrap), as many as there are, since
            rows of one group resemble each other and would make the interval too narrow if drawn one by one.
        resamples: How many times.
        level: Share of resamples between the ends.

    Returns:
        The ends (low, high); None where there is no honest interval: fewer than two rows or groups, or a statistic
        that is not finite in some resample.

    Raises:
        InvalidArgument: For groups of another length, resamples < 1, or a level outside (0, 1).

    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, §13.3; groups: Field & Welsh 2007,
    JRSS B 69:369.

    >>> values = np.arange(100.0)
    >>> low, high = bootstrap(lambda weights: weights @ values / weights.sum(axis=-1), 100, seed=0)
    >>> low < 49.5 < high
    True
    """
    _check_level(level, "bootstrap")
    if groups is not None and len(groups) != n:
        raise InvalidArgument(f"`groups` of bootstrap must name one for each of {n} rows. Got {len(groups)}.")
    if resamples < 1:
        raise InvalidArgument(f"`resamples` of bootstrap must be an integer ≥ 1. Got {resamples}.")
    if (n if groups is None else len(np.unique(groups))) < 2:
        return None
    drawn = _weights(n, groups, resamples, np.random.default_rng(seed))
    estimates = np.concatenate([np.atleast_1d(statistic(weights)) for weights in drawn])
    if not np.isfinite(estimates).all():
        return None
    low, high = np.quantile(estimates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _weights(
    n: int, groups: NDArray[Any] | None, resamples: int, random: np.random.Generator
) -> Iterator[Weights]:
    """How often each row is drawn, (chunk, n), until there are ``resamples`` of them."""
    distinct, member = np.arange(n), np.arange(n)
    if groups is not None:
        distinct, member = np.unique(groups, return_inverse=True)
    units = len(distinct)
    chunk = max(1, CHUNK // n)
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        drawn = random.integers(units, size=(size, units)) + units * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * units).reshape(size, units).astype(np.float64)
        yield counts if groups is None else np.take(counts, member, axis=1)  # in rows; indexing makes columns


def _check_level(level: float, owner: str) -> None:
    if not 0 < level < 1:
        raise InvalidArgument(f"`level` of {owner} must lie between 0 and 1, exclusive. Got {level}.")
