"""The mean absolute error in parts of the data: by range of the target, and by covariate."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import floor, inf, log10

import numpy as np
from numpy.typing import NDArray

from mirada.evaluation import metrics as m
from mirada.evaluation.estimate import Sampling, resampled
from mirada.samples import Covariate

RANGES = 5  # at most so many; each should hold MEMBERS images or so
MEMBERS = 10
VALUES = 5  # a covariate with so many values or fewer gets a part for each

Members = NDArray[np.bool_]


@dataclass(frozen=True)
class Subgroup:
    """The mean absolute error of ``n`` images: those in the range ``name`` of the target or of ``covariate``.

    ``covariate`` is empty for a range of the target itself, ``target`` for the only one. ``low``, ``high`` are the
    95 % interval; None where there is none, ``method`` then says why.
    """

    target: str
    covariate: str
    name: str
    n: int
    mae: float | None
    low: float | None
    high: float | None
    method: str
    level: float | None = None


def target_subgroups(
    targets: m.Floats, predicted: m.Floats, *, target: str, sampling: Sampling
) -> tuple[Subgroup, ...]:
    """The error by range of the target (n,); nothing for fewer than 20 images."""
    found = _ranges(targets)
    return tuple(_part(target, "", name, (targets, predicted, members), sampling) for name, members in found)


def covariate_subgroups(
    values: m.Floats, errors: tuple[m.Floats, m.Floats], *, names: tuple[str, Covariate], sampling: Sampling
) -> tuple[Subgroup, ...]:
    """The error by value, or range, of a covariate (n,); ``errors`` are targets and predictions (n,).

    ``names`` are those of the target and the covariate. A covariate that is the same for all has no parts.
    """
    target, covariate = names
    distinct = np.unique(values[np.isfinite(values)])
    if len(distinct) < 2:
        return ()
    if len(distinct) <= VALUES:
        found = [(_named(covariate, value), values == value) for value in distinct.tolist()]
    else:
        found = list(_ranges(values))
    return tuple(
        _part(target, covariate.label, name, (*errors, members), sampling) for name, members in found
    )


def _named(covariate: Covariate, value: float) -> str:
    """``male = 1``; of a covariate of words the word: ``sex=M`` and ``sex=F``, ``site=A`` and ``site≠A``."""
    column, one, other = covariate.column, covariate.one, covariate.other
    if not one or value not in (0, 1):
        return f"{covariate.label} = {value:g}"
    if value:
        return f"{column}={one}"
    return f"{column}={other}" if other else f"{column}≠{one}"


def round_edges(values: m.Floats, parts: int) -> list[float]:
    """Where to cut values (n,) into about equal shares, at round numbers: 1, 2 or 5 times a power of ten apart.

    The quantiles, each moved to the nearest round number; edges that coincide, or enclose nothing, count once.

    >>> round_edges(np.arange(4.0, 229.0), 5)
    [50.0, 90.0, 140.0, 180.0]
    """
    quantiles = np.quantile(values, np.arange(1, parts) / parts)
    width = float(quantiles[-1] - quantiles[0]) or float(np.ptp(values))
    if width == 0:
        return []
    power = 10.0 ** floor(log10(width / 10))
    step = max(size * power for size in (1, 2, 5) if size * power <= width / 10 * (1 + 1e-9))
    edges = sorted({float(f"{round(quantile / step) * step:.12g}") for quantile in quantiles.tolist()})
    edges = [edge for edge in edges if values.min() < edge <= values.max()]
    filled = np.unique(np.digitize(values, edges)) if edges else np.empty(0, dtype=np.int64)
    return [edges[number - 1] for number in filled.tolist() if number]  # those that have values above them


def _ranges(values: m.Floats) -> Iterator[tuple[str, Members]]:
    """Names of ranges that cover the values, and which rows lie in each."""
    known = values[np.isfinite(values)]
    parts = min(RANGES, len(known) // MEMBERS)
    edges = round_edges(known, parts) if parts > 1 else []
    if not edges:
        return
    for low, high in pairwise((-inf, *edges, inf)):
        name = (
            f"under {high:g}"
            if low == -inf
            else f"{low:g} and over"
            if high == inf
            else f"{low:g} to {high:g}"
        )
        yield name, (values >= low) & (values < high)


def _part(
    target: str,
    covariate: str,
    name: str,
    columns: tuple[m.Floats, m.Floats, Members],
    sampling: Sampling,
) -> Subgroup:
    targets, predicted, members = columns
    own = partial(m.mae, targets[members], predicted[members])
    n = int(members.sum())
    return Subgroup(target, covariate, name, n, *resampled(own, n, sampling.take(members)))
