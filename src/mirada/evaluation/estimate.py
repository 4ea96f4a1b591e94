"""A number measured on images, its 95 % interval, and where that interval comes from."""

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mirada.evaluation.intervals import LEVEL, RESAMPLES, Interval, bootstrap, wilson

WILSON = f"Wilson {100 * LEVEL:g} %"
BOOTSTRAP = f"bootstrap {100 * LEVEL:g} %, {RESAMPLES:,} resamples"

Groups = NDArray[np.int64] | None  # a group's number per row; None where rows are independent


class Estimate(NamedTuple):
    """A number and its interval; None where undefined, ``method`` then says why."""

    value: float | None
    low: float | None
    high: float | None
    method: str


def group_numbers(groups: Sequence[str]) -> Groups:
    """One number per row, equal for rows of a group; a row without a name is a group of its own.

    None where no group has more than one row.
    """
    names = [name or f"\n{row}" for row, name in enumerate(groups)]  # a line break is in no code of a group
    distinct, numbers = np.unique(np.asarray(names, dtype=np.str_), return_inverse=True)
    return numbers.astype(np.int64) if len(distinct) < len(names) else None


def resampled(
    statistic: Callable[..., Any], columns: Sequence[NDArray[Any]], *, seed: int, groups: Groups = None
) -> Estimate:
    """``statistic(*columns)`` with its bootstrap interval, of whole groups where there are some."""
    interval = bootstrap(statistic, columns, seed=seed, groups=groups)
    return _estimate(
        float(statistic(*columns)), interval, _bootstrap_method(len(columns[0]), groups, interval)
    )


def share(hits: NDArray[np.bool_], *, seed: int, groups: Groups = None) -> Estimate:
    """The share of hits (n,) with Wilson's interval, or the bootstrap's of whole groups where there are some.

    Where every row is a hit, or none is, each resample is like the other; Wilson's interval for as many draws as
    there are groups is given then.
    """
    n, found = len(hits), int(hits.sum())
    value = found / n if n else np.nan
    if groups is None:
        interval = wilson(found, n)
        return _estimate(value, interval, WILSON if interval else "no interval: no images")
    if 0 < found < n:
        return resampled(lambda rows: rows.mean(axis=-1), (hits,), seed=seed, groups=groups)
    count = len(np.unique(groups))
    return _estimate(value, wilson(count if found else 0, count), f"{WILSON} of {count:,} groups")


def defined(value: float) -> float | None:
    """The number, or None where it is none: JSON has no NaN."""
    return float(value) if isfinite(value) else None


def _bootstrap_method(n: int, groups: Groups, interval: Interval | None) -> str:
    count = n if groups is None else len(np.unique(groups))
    if interval:
        return BOOTSTRAP if groups is None else f"{BOOTSTRAP} of {count:,} groups"
    few = f"fewer than two {'images' if groups is None else 'groups'}"
    return f"no interval: {few if count < 2 else 'undefined in some resamples'}"


def _estimate(value: float, interval: Interval | None, method: str) -> Estimate:
    low, high = interval or (None, None)
    return Estimate(defined(value), low, high, method)
