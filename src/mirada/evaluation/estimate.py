"""A number measured on images, its 95 % interval, and where that interval comes from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, isfinite, log, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mirada.evaluation.intervals import LEVEL, RESAMPLES, Interval, Weights, Z, bootstrap, wilson
from mirada.evaluation.metrics import mean

PERCENT = f"{100 * LEVEL:g} %"
WILSON = f"Wilson {PERCENT}"
BOOTSTRAP = f"bootstrap {PERCENT}, {RESAMPLES:,} resamples"
NO_IMAGES = "no interval: no images"

Groups = NDArray[np.int64] | None  # a group's number per row; None where rows are independent


class Estimate(NamedTuple):
    """A number and its interval; None where undefined, ``method`` then says why."""

    value: float | None
    low: float | None
    high: float | None
    method: str
    level: float | None = None

    @classmethod
    def of(cls, value: float, interval: Interval | None, method: str) -> "Estimate":
        """Nothing for a value that is no number; ``method`` says why there is no interval where there is none."""
        low, high = interval or (None, None)
        return cls(defined(value), low, high, method, LEVEL if interval else None)


@dataclass(frozen=True, eq=False)
class Sampling:
    """How rows came to be: ``groups`` of rows that belong together, and the seed that draws the resamples."""

    seed: int = 0
    groups: Groups = None

    def take(self, rows: NDArray[np.bool_]) -> "Sampling":
        """That of some rows only."""
        return Sampling(self.seed, None if self.groups is None else self.groups[rows])

    def count(self, n: int) -> int:
        """Independent draws among n rows."""
        return n if self.groups is None else len(np.unique(self.groups))

    def described(self, n: int) -> str:
        """What is added to the name of a method: `` of 12 groups``, or nothing where rows are independent."""
        return "" if self.groups is None else f" of {self.count(n):,} groups"


def group_numbers(groups: Sequence[str]) -> Groups:
    """One number per row, equal for rows of a group; a row without a name is a group of its own.

    None where no group has more than one row.
    """
    names = [name or f"\n{row}" for row, name in enumerate(groups)]  # a line break is in no code of a group
    distinct, numbers = np.unique(np.asarray(names, dtype=np.str_), return_inverse=True)
    return numbers.astype(np.int64) if len(distinct) < len(names) else None


def resampled(
    statistic: Callable[[Weights | None], np.float64 | NDArray[np.float64]], n: int, sampling: Sampling
) -> Estimate:
    """A statistic of n rows with its bootstrap interval, of whole groups where there are some.

    ``statistic`` takes weights (chunk, n), or None for the rows as they are. Where each resample gives the same
    number there is no interval: what cannot vary has not been measured.
    """
    interval = bootstrap(statistic, n, seed=sampling.seed, groups=sampling.groups)
    constant = interval is not None and _alike(*interval)
    if interval and not constant:
        method = f"{BOOTSTRAP}{sampling.described(n)}"
    else:
        few = f"fewer than two {'images' if sampling.groups is None else 'groups'}"
        reason = (
            few
            if sampling.count(n) < 2
            else "the same in all resamples"
            if constant
            else "undefined in some resamples"
        )
        method = f"no interval: {reason}"
    return Estimate.of(float(statistic(None)), None if constant else interval, method)


def share(hits: NDArray[np.bool_], sampling: Sampling) -> Estimate:
    """The share of hits (n,) with Wilson's interval, or the bootstrap's of whole groups where there are some.

    Where every row is a hit, or none is, each resample is like the other; Wilson's interval for as many draws as
    there are groups is given then.
    """
    n, found = len(hits), int(hits.sum())
    if sampling.groups is not None and 0 < found < n:
        return resampled(lambda weights: mean(hits, weights), n, sampling)
    return quick_share(hits, sampling)


def quick_share(hits: NDArray[np.bool_], sampling: Sampling) -> Estimate:
    """The share of hits (n,) with Wilson's interval, without resampling: for the many shares of many classes.

    With groups, n is replaced by the number of independent draws that would scatter as much as the groups do (the
    effective sample size n / design effect, at least the number of groups if all rows are alike).
    Source: Kish 1965, Survey Sampling, §8.2; Korn & Graubard 1998, Survey Methodology 24:193.
    """
    n, found = len(hits), int(hits.sum())
    if not n:
        return Estimate(None, None, None, NO_IMAGES)
    value, size = found / n, float(n)
    if sampling.groups is not None:
        size = _effective_size(hits, sampling.groups)
    interval = wilson(value * size, size)
    return Estimate.of(value, interval, f"{WILSON}{sampling.described(n)}")


def linearised(
    value: float,
    influence: NDArray[np.float64],
    strata: NDArray[np.int64],
    sampling: Sampling,
    *,
    method: str,
) -> Estimate:
    """A share that is a smooth function of the rows, with a normal interval on the scale of its logit.

    Args:
        value: The share, between 0 and 1.
        influence: How much each row's weight changes it, ∂ value / ∂ weight (n,).
        strata: The class of each row (n,): the rows of each are taken to be a sample of their own.
        sampling: With groups, their influences are summed: rows of a group may be of several classes.
        method: What to call the interval.

    Returns:
        The value with its interval. For the area under a ROC curve this is DeLong's variance, with groups
        Obuchowski's.

    Source: DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44:837; Obuchowski 1997, Biometrics 53:567.
    """
    if not isfinite(value):
        return Estimate(None, None, None, "no interval: undefined")
    single = _classes_of_one(strata, sampling)
    if single:
        return Estimate.of(value, None, f"no interval: {single}")
    if sampling.groups is None:
        sizes = np.bincount(strata)[strata]
        centred = (
            influence - (np.bincount(strata, weights=influence) / np.maximum(np.bincount(strata), 1))[strata]
        )
        variance = float((centred**2 * sizes / (sizes - 1)).sum())
    else:
        sums = np.bincount(np.unique(sampling.groups, return_inverse=True)[1], weights=influence)
        variance = float((sums**2).sum() * len(sums) / (len(sums) - 1))
    if not 0 < value < 1 or variance <= 1e-24:
        reason = "it cannot vary" if 0 < value < 1 else "it is at the end of its scale"
        return Estimate.of(value, None, f"no interval: {reason}")
    half = Z * sqrt(variance) / (value * (1 - value))
    centre = log(value / (1 - value))
    low, high = (1 / (1 + exp(-end)) for end in (centre - half, centre + half))
    return Estimate.of(value, (low, high), f"{method} {PERCENT}{sampling.described(len(influence))}")


def defined(value: float) -> float | None:
    """The number, or None where it is none: JSON has no NaN."""
    return float(value) if isfinite(value) else None


def _alike(low: float, high: float) -> bool:
    """Whether two numbers differ by rounding only."""
    return high - low <= 1e-12 * max(abs(low), abs(high))


def _effective_size(hits: NDArray[np.bool_], groups: NDArray[np.int64]) -> float:
    n, value = len(hits), float(hits.mean())
    _, member = np.unique(groups, return_inverse=True)
    count = int(member.max()) + 1
    if value in (0, 1) or count < 2:
        return float(count)
    residuals = np.bincount(member, weights=hits - value)
    variance = float((residuals**2).sum()) * count / (count - 1) / n**2
    return min(float(n), value * (1 - value) / variance) if variance > 0 else float(n)


def _classes_of_one(strata: NDArray[np.int64], sampling: Sampling) -> str:
    """Why nothing can be said of the scatter, if a class has one image, or images of one group, only."""
    if sampling.groups is None:
        sizes = np.unique(strata, return_counts=True)[1]
        return "a class has a single image" if sizes.min() < 2 else ""
    pairs = np.unique(np.stack([strata, sampling.groups]), axis=1)[0]
    return "a class has a single group" if np.unique(pairs, return_counts=True)[1].min() < 2 else ""
