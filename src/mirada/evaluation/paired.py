"""Two sets of answers for the same images: how far apart they are, and whether that is more than luck.

Luck has two sources. Other images would give another difference: its interval is a bootstrap over images, or over their
groups, and its p-value an exact test. Another seed would give other weights: what that changes is known only where a
recipe was trained with several seeds. Both have to be smaller than a difference before it is called one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mirada.errors import DataError
from mirada.evaluation.estimate import group_numbers
from mirada.evaluation.intervals import LEVEL, bootstrap
from mirada.evaluation.metric_table import Metric, metric_named
from mirada.evaluation.predictions import Predictions
from mirada.samples import Classes, Numbers, Target
from mirada.text import integer, listed

Floats = NDArray[np.float64]
Sides = Literal["greater", "two-sided"]
ALPHA = 1 - LEVEL
FEW = 4  # class names in a message
BATCH = 2**20  # signs at a time: 8 MiB
FLIPS = 9999  # sign flips drawn; with few images all of them are taken


class Paired(NamedTuple):
    """The mean of a difference over images, its 95 % interval, and the p-value that it is 0 or less, or 0."""

    mean: float
    low: float | None
    high: float | None
    p_value: float


def paired(
    differences: Floats, *, groups: NDArray[Any] | None = None, seed: int = 0, sides: Sides = "greater"
) -> Paired:
    """The mean of differences between pairs, its bootstrap interval, and a sign-flip permutation test.

    Under the hypothesis that nothing is better, each difference is as likely to have the other sign. All signs of a
    group are flipped together, and whole groups are resampled.

    Args:
        differences: One per image (N,), N ≥ 1.
        groups: A group per image (N,); None where images are independent.
        seed: Draws resamples and flips.
        sides: Whether the test is for a mean above 0, or for one that is not 0.

    Returns:
        The interval is None where there is no honest one.

    Source: Fisher 1935, The Design of Experiments, §21 (the test); Efron & Tibshirani 1993, §13.3 (the interval).
    """
    low, high = mean_interval(differences, groups, seed) or (None, None)
    sums = differences if groups is None else _sums(differences, groups)
    if len(sums) < 2:  # of one draw nothing is known
        return Paired(float(differences.mean()), low, high, 1.0)
    test = stats.permutation_test(
        (sums,),
        lambda values, axis: values.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=FLIPS,
        batch=max(1, BATCH // len(sums)),
        alternative=sides,
        random_state=np.random.default_rng(seed),
    )
    return Paired(float(differences.mean()), low, high, float(test.pvalue))


def mean_interval(values: Floats, groups: NDArray[Any] | None, seed: int) -> tuple[float, float] | None:
    """The bootstrap interval of a mean over images (N,), or over whole groups of them."""
    return bootstrap(
        lambda weights: weights @ values / weights.sum(axis=-1), len(values), seed=seed, groups=groups
    )


def _sums(values: Floats, groups: NDArray[Any]) -> Floats:
    _, member = np.unique(groups, return_inverse=True)
    return np.bincount(member, weights=values).astype(np.float64)


# ---- two recipes -----------------------------------------------------------------------------

Called = Literal["better", "worse", "no difference shown", "cannot tell"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How the second of two recipes does beside the first, on the same images.

    Args:
        name: The key of the metric: ``accuracy`` of classes, ``mae`` of numbers.
        target: Which number, where there are several.
        unit: Of the values.
        n: Images that both were asked of.
        first: The first one's value on these, the mean over its seeds.
        second: The second one's.
        difference: second − first.
        low: The lower end of its 95 % interval over images; None where there is none.
        high: The upper end.
        p_value: That the difference is 0, over images.
        test: Which test gave it.
        only_first: Images on which the first alone is right, or nearer to the truth.
        only_second: Likewise of the second.
        luck: How large a difference has to be before it is more than that of seeds and images together; None where
            neither recipe was trained with several seeds.
        called: What may be said of the second one.
        reason: Why, in a sentence.
    """

    name: str
    target: str = ""
    unit: str = ""
    n: int
    first: float
    second: float
    difference: float
    low: float | None
    high: float | None
    p_value: float
    test: str
    only_first: int
    only_second: int
    luck: float | None
    called: Called
    reason: str

    @property
    def metric(self) -> Metric:
        """What is measured: its title, its kind, which way is better."""
        return metric_named(self.name)


def same_images(tables: Sequence[Predictions]) -> tuple[list[Predictions], int]:
    """The rows of the images that all tables have, in one order, and how many images are not in all of them.

    Raises:
        DataError: An image has one target in one table and another one in another, or what is predicted differs.
    """
    first = tables[0]
    for table in tables[1:]:
        if table.target != first.target:
            raise DataError(
                f"What is predicted must be the same. Got {_words(first.target)}, and {_words(table.target)}."
            )
    places = [{path: row for row, path in enumerate(table.paths)} for table in tables]
    everyone = {path for table in places for path in table}
    common = [path for path in first.paths if all(path in table for table in places)]
    taken = [
        table.take([place[path] for path in common]) for table, place in zip(tables, places, strict=True)
    ]
    for table in taken[1:]:
        odd = np.flatnonzero(~_same_rows(table.targets, taken[0].targets))
        if odd.size:
            more = f", and so have {integer(odd.size - 1)} more" if odd.size > 1 else ""
            raise DataError(
                f"{common[odd[0]]} has another target in one run than in another{more}: they were not judged by the "
                f"same data."
            )
    return taken, len(everyone) - len(common)


def _words(target: Target) -> str:
    match target:
        case Classes(names):
            return f"the classes {listed(names, most=FEW)}"
        case Numbers(unit=unit) as numbers:
            return f"{listed(numbers.several, most=FEW) or 'a number'}{f' in {unit}' if unit else ''}"


def _same_rows(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    equal: NDArray[np.bool_] = (one == other) | (
        (one != one) & (other != other)
    )  # NaN is a target that is unknown
    return equal if equal.ndim == 1 else np.asarray(equal.all(axis=1))


def differences(
    first: Sequence[Predictions], second: Sequence[Predictions], *, seed: int = 0
) -> list[Difference]:
    """How far two recipes are apart: the accuracy of classes, or the mean absolute error of each number.

    Args:
        first: What its networks answer, a table for each seed, of the same images in the same order.
        second: Likewise.
        seed: Draws the resamples.

    Returns:
        One for classes, one for each of several numbers; none where no image has a known target.

    Source:
        McNemar 1947, Psychometrika 12:153, the exact test, for the hits of two networks on independent images;
        ``paired`` for all else.
    """
    target = first[0].target
    found = []
    match target:
        case Classes():
            known = first[0].known
            scores = [[_hits(table)[known] for table in side] for side in (first, second)]
            found.append(_difference("accuracy", "", "", scores, _groups(first[0], known), seed))
        case Numbers(unit=unit) as numbers:
            for column, name in enumerate(numbers.several or ("",)):
                known = ~np.isnan(first[0].values[:, column])
                errors = [[_errors(table, column)[known] for table in side] for side in (first, second)]
                found.append(_difference("mae", name, unit, errors, _groups(first[0], known), seed))
    return [each for each in found if each is not None]


def scores(tables: Sequence[Predictions]) -> Floats:
    """How well each table does on each image, (S, N), more being better: hits, or minus the mean of the errors."""
    match tables[0].target:
        case Classes():
            return np.stack([_hits(table) for table in tables])
        case Numbers():
            errors = [np.abs(table.outputs - table.values) for table in tables]
            return np.asarray(-np.nanmean(np.stack(errors), axis=2))


def _hits(table: Predictions) -> Floats:
    return np.asarray(table.predicted == table.class_numbers, dtype=np.float64)


def _errors(table: Predictions, column: int) -> Floats:
    return np.asarray(np.abs(table.outputs[:, column] - table.values[:, column]), dtype=np.float64)


def _groups(table: Predictions, known: NDArray[np.bool_]) -> NDArray[Any] | None:
    numbers = group_numbers(table.groups)
    return None if numbers is None else numbers[known]


def _difference(
    name: str,
    target: str,
    unit: str,
    scores: Sequence[Sequence[Floats]],
    groups: NDArray[Any] | None,
    seed: int,
) -> Difference | None:
    """One metric; ``scores`` are those of each image, for each seed of the first and of the second recipe."""
    n = len(scores[0][0])
    if not n:
        return None
    one, other = (np.mean(side, axis=0) for side in scores)
    each = other - one
    found = paired(each, groups=groups, seed=seed, sides="two-sided")
    constant = not np.ptp(each)
    if constant:  # all resamples are alike
        found = found._replace(low=None, high=None)
    higher = metric_named(name).better == "high"
    ahead = each if higher else -each
    only_first, only_second = int((ahead < 0).sum()), int((ahead > 0).sum())
    p_value, test = (
        found.p_value,
        "sign flips of the differences, by group" if groups is not None else "sign flips",
    )
    if name == "accuracy" and groups is None and len(scores[0]) == len(scores[1]) == 1:
        p_value, test = mcnemar(only_first, only_second), "McNemar, exact"
    luck = _luck([[float(table.mean()) for table in side] for side in scores], found)
    called, reason = _called(found, p_value, luck, higher=higher, constant=constant)
    return Difference(
        name=name, target=target, unit=unit, n=n, first=float(one.mean()), second=float(other.mean()),
        difference=found.mean, low=found.low, high=found.high, p_value=p_value, test=test, only_first=only_first,
        only_second=only_second, luck=luck, called=called, reason=reason,
    )  # fmt: skip


def mcnemar(only_first: int, only_second: int) -> float:
    """The p-value that each of two networks is as likely as the other to be the one that is right.

    Args:
        only_first: Images on which the first alone is right.
        only_second: Images on which the second alone is right.

    Returns:
        Two-sided and exact: that of a fair coin.

    Source: McNemar 1947, Psychometrika 12:153.

    >>> round(mcnemar(2, 10), 4)
    0.0386
    """
    discordant = only_first + only_second
    return float(stats.binomtest(only_first, discordant).pvalue) if discordant else 1.0


def _luck(values: Sequence[Sequence[float]], found: Paired) -> float | None:
    """The half-width of an interval that holds what other seeds and other images would change together.

    The deviation over seeds is pooled from the recipes that have several. None where none has, or without an interval.
    """
    several = [side for side in values if len(side) > 1]
    if not several or found.low is None or found.high is None:
        return None
    freedom = sum(len(side) - 1 for side in several)
    variance = sum(float(np.var(side, ddof=1)) * (len(side) - 1) for side in several) / freedom
    over_seeds = stats.t.ppf(1 - ALPHA / 2, freedom) * sqrt(variance * sum(1 / len(side) for side in values))
    return sqrt(over_seeds**2 + ((found.high - found.low) / 2) ** 2)


def _called(
    found: Paired, p_value: float, luck: float | None, *, higher: bool, constant: bool
) -> tuple[Called, str]:
    """What may be said of the second recipe, and why."""
    if constant and not found.mean:
        return "no difference shown", "Both do equally well on every image."
    if constant:
        return "cannot tell", "The difference is the same on every image, so there is no interval."
    if found.low is None or found.high is None:
        return "cannot tell", "There are too few images for an interval."
    if found.low <= 0 <= found.high or p_value >= ALPHA:
        return "no difference shown", "Other images might turn the difference round."
    if luck is None:
        return "cannot tell", (
            "These two networks differ by more than the images explain; whether their settings do is not known, since "
            "each was trained with one seed. Train with --seeds 3."
        )
    if abs(found.mean) <= luck:
        return (
            "no difference shown",
            "Other seeds and other images together explain a difference of this size.",
        )
    ahead = (found.mean > 0) == higher
    return (
        "better" if ahead else "worse"
    ), "The difference is larger than what seeds and images explain together."
