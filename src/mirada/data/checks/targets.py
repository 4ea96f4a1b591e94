"""What is worth knowing about numeric targets: the same everywhere, a number for "unknown", far ones, rounded ones.

Far are numbers beyond the outer fences (Tukey 1977, "Exploratory Data Analysis", chapter 2) that also lie apart from
all others, so that long tails are let be; of skewed positive numbers, sizes and prices, the logarithm is judged.
"""

from collections.abc import Iterator
from enum import Enum
from math import log

import numpy as np
from numpy.typing import NDArray

from mirada.data.checks.findings import ENOUGH
from mirada.data.checks.kinds import Finding, Kind
from mirada.data.index import Index
from mirada.samples import Numbers

SENTINELS = (0, -1, -9, -99, -999, -9999, -99999, 99, 999, 9999, 99999)  # what tables write for "unknown"
REPEATED = 3  # times that a number is there, from which on it is a habit
SEVERAL = 5  # different numbers: with fewer, nothing is a rule
FENCE = 3.0  # interquartile ranges beyond the quartiles
TAIL = 2.0  # so many times what the others reach beyond their quartile is a gap; in long tails, gaps are wide
FEW = 0.02  # of the targets; more different ones far from the others are how the targets are, not mistakes
UNITS = (1, 0.1, 0.01, 0.001)  # the digits that targets are written with
STEPS = (
    0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5,
    1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 24, 25, 30, 50, 60, 100, 200, 250, 500, 1000, 5000, 10000,
)  # fmt: skip  # what people round to, in order
ALL = 0.98  # share of multiples that is rounding whatever is expected
NEARLY_ALL = 0.9  # share of multiples from which on a step goes before larger ones
MOST = 0.55  # share of multiples that is rounding where a fifth is expected at most
RARE = 0.02  # share of real numbers that are within the tolerance of a multiple, at most
LUCK = 0.003  # the chance of so many multiples without any rounding
SINGLE = 1e-7  # relative error of a number that was float32 once

Column = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Oddity(Enum):
    """In what way a number is unlike the others."""

    UNKNOWN = 'may stand for "unknown"'
    NEGATIVE = "is negative, unlike the others"
    FAR = "is far from the others"


def target_findings(rest: Index) -> Iterator[Finding]:
    """What is odd about numeric targets, one column after the other; ``rest`` has no unreadable files."""
    if not isinstance(rest.target, Numbers) or not len(rest):
        return
    columns = rest.targets.astype(np.float64)
    names = rest.target_names or ("",)
    for name, values in zip(names, columns.T, strict=True):
        finite = np.isfinite(values)
        yield from _constant(rest, name, values[finite & (rest.splits == "train")])
        if finite.sum() < ENOUGH:
            continue
        odd = _unknown(values[finite])
        odd |= _unlike(values[finite & ~np.isin(values, list(odd))])
        plain = values[finite & ~np.isin(values, list(odd))]
        low, high = np.quantile(plain, (0.25, 0.75))
        usual = f"(half of the others: {low:,.4g} to {high:,.4g})"
        for value, oddity in odd.items():
            said = f"{_said(rest, value)}, {oddity.value} {usual}"
            yield _odd_finding(rest, name, np.flatnonzero(values == value), said, oddity)
        yield from _rounded(rest, name, plain, "other " if odd else "")


def _constant(rest: Index, name: str, trained: Column) -> Iterator[Finding]:
    if len(trained) > 1 and (trained == trained[0]).all():
        fact = f"all {len(trained):,} training targets are {_said(rest, trained[0])}"
        yield Finding(Kind.CONSTANT_TARGET, "error", name, fact, advice="there is nothing to learn")


def _odd_finding(rest: Index, name: str, rows: NDArray[np.int64], said: str, oddity: Oddity) -> Finding:
    """One finding on one number, whose rows these are; a single one is named by its file."""
    paths = tuple(dict.fromkeys(rest.paths[row] for row in rows))
    unknown = oddity is Oddity.UNKNOWN
    if len(rows) == 1:
        advice = "empty the cell if so" if unknown else "check it"
        fact = f"its target, {name + ' ' if name else ''}{said}"
        return Finding(Kind.FAR_TARGET, "warning", paths[0], fact, paths, advice)
    advice = "empty the cells if so" if unknown else "check them"
    return Finding(
        Kind.FAR_TARGET, "warning", name, f"the target of {len(rows):,} rows, {said}", paths, advice
    )


def _said(rest: Index, value: float) -> str:
    return f"{value:,.10g} {rest.unit}".rstrip()


def _unknown(values: Column) -> dict[float, Oddity]:
    """Numbers that stand for "unknown", by what is said of them: not among the others, and with a reason to doubt.

    That is a negative one where the others are not, one repeated beside a gap, or one far from all others.
    """
    plain = values[~np.isin(values, SENTINELS)]
    if len(plain) < ENOUGH or len(np.unique(plain)) < SEVERAL:
        return {}
    found: dict[float, Oddity] = {}
    for number in SENTINELS:
        count = int((values == number).sum())
        if not 0 < count <= len(values) / 2 or plain.min() <= number <= plain.max():
            continue
        negative = number < 0 <= plain.min()
        if negative or (count >= REPEATED and _beside_a_gap(number, plain)) or _far_off(number, plain):
            found[float(number)] = Oddity.UNKNOWN
    return found


def _beside_a_gap(number: float, others: Column) -> bool:
    """Whether the gap to the nearest of the others is wider than what the nearest twentieth of them spans.

    Three of them at least, and ten at most. It must be wider, too, than two of the steps in which they are written
    and than a tenth of their interquartile range.
    """
    different = np.unique(others)
    if len(different) < SEVERAL:
        return False
    distances = np.sort(np.abs(others - number))
    nearest = distances[: min(10, max(3, len(others) // 20))]
    low, high = np.quantile(others, (0.25, 0.75))
    return bool(
        nearest[0] > max(nearest[-1] - nearest[0], 2 * np.median(np.diff(different)), (high - low) / 10)
    )


def _far_off(number: float, others: Column) -> bool:
    """Whether the gap to the others is wider than their interquartile range, and than twice their tail beyond it."""
    low, high = np.quantile(others, (0.25, 0.75))
    gap, tail = max((number - others.max(), others.max() - high), (others.min() - number, low - others.min()))
    return bool(gap > max(high - low, TAIL * tail))


def _unlike(values: Column) -> dict[float, Oddity]:
    """Numbers that are hardly the others' kind, by what is said of them: a few negative ones, a few far ones."""
    few = max(2, FEW * len(values))
    found: dict[float, Oddity] = {}
    negative = values < 0
    if 0 < negative.sum() <= few and _beside_a_gap(values[negative].max(), values[~negative]):
        found = dict.fromkeys(values[negative].tolist(), Oddity.NEGATIVE)
        values = values[~negative]
    far = np.unique(values[_far(values)]).tolist()
    return found | dict.fromkeys(far if len(far) <= few else (), Oddity.FAR)


def _far(values: Column) -> Mask:
    """Which numbers lie beyond the outer fences and apart from the others, on the scale that suits them."""
    positive = values[values > 0]
    if values.min() >= 0 and len(positive) and abs(_skew(np.log(positive))) < abs(_skew(positive)):
        low, high = np.quantile(positive, (0.25, 0.75))
        fence = np.log([low, high])
        scale = np.log(np.where(values > 0, values, low))  # zeros have no logarithm and are let be
    else:
        fence = np.quantile(values, (0.25, 0.75))
        scale = values
    spread = fence[1] - fence[0]
    return _above(scale, fence[1], spread) | _above(-scale, -fence[0], spread)


def _skew(values: Column) -> float:
    """How much longer the upper tail is than the lower, −1 … 1: Bowley's measure, of the outer tenths."""
    low, middle, high = np.quantile(values, (0.1, 0.5, 0.9))
    return float((high + low - 2 * middle) / (high - low)) if high > low else 0.0


def _above(values: Column, quartile: float, spread: float) -> Mask:
    """Which values lie beyond the fence and behind a gap wider than ``spread``, and than twice the tail before it.

    Where half of the values are the same, ``spread`` is 0 and any other one would be far: then none is.
    """
    ordered = np.sort(values)
    wide = np.diff(ordered) > np.maximum(spread, TAIL * (ordered[:-1] - quartile))
    cuts = np.flatnonzero(wide & (ordered[1:] > quartile + FENCE * spread))
    if spread == 0 or not len(cuts):
        return np.zeros(len(values), dtype=np.bool_)
    return np.asarray(values > ordered[cuts[0]])


def _rounded(rest: Index, name: str, values: Column, others: str) -> Iterator[Finding]:
    step = _rounding(values)
    if step is None:
        return
    count = int(_multiples(values, step).sum())
    share = 1.0 if count == len(values) else min(count / len(values), 0.99)
    fact = f"{count:,} of {len(values):,} {others}targets ({share:.0%}) are multiples of {_said(rest, step)}"
    advice = f"they look rounded, so an error of up to {_said(rest, step / 2)} may be the target's own"
    yield Finding(Kind.ROUNDED_TARGET, "warning", name, fact, advice=advice)


def _rounding(values: Column) -> float | None:
    """The largest step of nearly all targets, or else of most, though their digits and smaller steps allow finer ones.

    Zeros do not count: nothing at all is no rounding.
    """
    numbers = values[values != 0]
    unit = next((unit for unit in UNITS if _multiples(numbers, unit).all()), None)
    shares = {unit: 1.0} if unit else {}
    found: list[tuple[bool, float]] = []
    for step in STEPS:
        if unit and not _divides(unit, step):
            continue
        multiple = _multiples(numbers, step)
        if len(np.unique(np.round(numbers[multiple] / step))) < SEVERAL:
            continue
        by_digits = unit / step if unit else RARE
        # Of multiples of 12, half are multiples of 24 by chance: a step must be there more often than that.
        by_others = [share * other / step for other, share in shares.items() if _divides(other, step)]
        share = shares[step] = float(multiple.mean())
        enough = MOST if by_digits <= 0.2 else ALL
        if share >= enough and len(numbers) * _surprise(share, max([by_digits, *by_others])) > -log(LUCK):
            found.append((share >= NEARLY_ALL, step))
    return max(found)[1] if found else None


def _divides(divisor: float, step: float) -> bool:
    """Whether a step is a true multiple of another one."""
    times = step / divisor
    return times > 1.5 and abs(times - round(times)) < 1e-9


def _multiples(values: Column, step: float) -> Mask:
    """Which values are multiples of a step, within what float32 or a hundredth of the step leaves."""
    left = np.fmod(np.abs(values), step)
    return np.asarray(np.minimum(left, step - left) <= np.minimum(SINGLE * np.abs(values), step / 100))


def _surprise(share: float, expected: float) -> float:
    """Relative entropy in nats: n times it is −log of a bound on the chance of such a share (Hoeffding 1963, thm 1)."""
    if share <= expected:
        return 0.0
    others = (1 - share) * log((1 - share) / (1 - expected)) if share < 1 else 0.0
    return share * log(share / expected) + others
