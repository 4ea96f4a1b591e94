"""What a test of explanations ends in: pass, fail or cannot tell, by a rule that is stated."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mirada.errors import counted
from mirada.evaluation.paired import Paired, mean_interval, paired

Floats = NDArray[np.float64]
Outcome = Literal["pass", "fail", "cannot tell"]

LEAST = 10  # images, or groups of them: fewer say nothing
ALPHA = 0.05


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """One number of a test, as a row of its table.

    Args:
        name: What was measured, in words.
        value: The mean over images; None where there is none.
        low: The lower end of its 95 % interval; None where there is none.
        high: The upper end.
        unit: "" for a plain number, ``%`` for a share from 0 to 1.
        p_value: Of the comparison that this row is; None for a row that is none.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    p_value: float | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a test says of a method of explanation.

    Args:
        test: Its name.
        outcome: Pass, fail, or cannot tell.
        rule: When it passes, when it fails, and when nothing can be said.
        reason: What decided, in a sentence.
        statistic: What ``value`` is, in words.
        value: The number that was tested; None if there is none.
        low: The lower end of its 95 % interval over images.
        high: The upper end.
        p_value: Of the one-sided test by sign flips.
        images: How many were used.
        left_out: How many could not be.
        quantities: The other numbers of the test.
        measure: What ``per_image`` is, in a few words.
        per_image: What the map of each image of the sample reached; None for one that was left out.
    """

    test: str
    outcome: Outcome
    rule: str
    reason: str
    statistic: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    images: int = 0
    left_out: int = 0
    quantities: tuple[Quantity, ...] = ()
    measure: str = ""
    per_image: tuple[float | None, ...] = ()


@dataclass(frozen=True, kw_only=True)
class LimitTest:
    """A test of whether the mean of one number per image lies on the right side of a limit.

    Pass: the whole 95 % interval lies on that side, and p < 0.05. Fail: it ends at the limit, or lies on the other
    side. Cannot tell: otherwise, with fewer than 10 images, or if no image has a number.

    Args:
        test: Its name.
        rule: That in words.
        statistic: What the mean is of.
        measure: That of one image, in a few words.
        limit: The number.
        above: Whether above it is right.
    """

    test: str
    rule: str
    statistic: str
    measure: str
    limit: float
    above: bool

    def judge(
        self,
        values: Floats,
        quantities: Sequence[Quantity],
        *,
        groups: NDArray[Any] | None = None,
        seed: int = 0,
    ) -> Verdict:
        """The verdict on N images.

        Args:
            values: (N,); NaN for an image whose map is constant, which is left out and counted.
            quantities: What stands in the table.
            groups: A group per image (N,), such as the patient; None where images are independent.
            seed: Draws the resamples.
        """
        there = ~np.isnan(values)
        left_out = int((~there).sum())
        verdict = Verdict(
            test=self.test,
            outcome="cannot tell",
            rule=self.rule,
            reason="the maps are constant",
            statistic=self.statistic,
            left_out=left_out,
            quantities=tuple(quantities),
            measure=self.measure,
            per_image=numbers_of(values),
        )
        if not there.any():
            return verdict
        sign = 1 if self.above else -1
        parties = None if groups is None else groups[there]
        found = paired(sign * (values[there] - self.limit), groups=parties, seed=seed)
        outcome, reason = decide([found], independent(int(there.sum()), parties))
        if found.low is not None and outcome != "cannot tell":
            side = "above" if self.above == (outcome == "pass") else "below"
            reason = f"the whole interval lies {side} {self.limit:g}"
        ends = [None if end is None else self.limit + sign * end for end in (found.low, found.high)]
        low, high = ends[::sign]
        return replace(
            verdict,
            outcome=outcome,
            reason=reason,
            value=self.limit + sign * found.mean,
            low=low,
            high=high,
            p_value=found.p_value,
            images=int(there.sum()),
        )


def mean_of_images(
    name: str, values: Floats, *, groups: NDArray[Any] | None, seed: int, unit: str = ""
) -> Quantity:
    """The mean of one number per image, with its 95 % bootstrap interval; images without one (NaN) are passed over.

    Args:
        name: What it is.
        values: (N,).
        groups: A group per image (N,), such as the patient; None where images are independent.
        seed: Draws the resamples.
        unit: As in ``Quantity``.
    """
    there = ~np.isnan(values)
    if not there.any():
        return Quantity(name=name, value=None, unit=unit)
    low, high = mean_interval(values[there], None if groups is None else groups[there], seed) or (None, None)
    return Quantity(name=name, value=float(values[there].mean()), low=low, high=high, unit=unit)


def decide(
    comparisons: Sequence[Paired], count: int, *, worth: float = 0.0, least: int = LEAST
) -> tuple[Outcome, str]:
    """The rule of all tests here: better than every rival, no better than one, or not to be told.

    Pass: the 95 % interval of every mean difference lies above ``worth``, and every p is below 0.05. All have to hold
    at once, so the largest p is that of the whole claim and needs no correction. Fail: the interval of some mean
    difference ends at or below ``worth``, the smallest advantage that is one. Cannot tell: anything else, or fewer
    than 10 images, or groups of them.

    Args:
        comparisons: With each rival.
        count: Images, or groups of images where they have some.
        worth: The smallest difference that counts as an advantage.
        least: Fewer images say nothing.

    Returns:
        The outcome, and what decided.
    """
    if count < least:
        return (
            "cannot tell",
            f"of {counted(count, 'image')}, or group of them, nothing can be said; {least} are needed",
        )
    if not comparisons or any(
        each.low is None or each.high is None or isnan(each.mean) for each in comparisons
    ):
        return "cannot tell", "there is no interval"
    lows = [each.low for each in comparisons if each.low is not None]
    highs = [each.high for each in comparisons if each.high is not None]
    if min(highs) <= worth:
        return "fail", "no better than a rival, by the interval of the difference"
    if min(lows) > worth and max(each.p_value for each in comparisons) < ALPHA:
        return "pass", "better than every rival, by the interval of the difference"
    return "cannot tell", "the interval reaches both sides of the limit"


def independent(count: int, groups: NDArray[Any] | None) -> int:
    """How many independent draws there are among images: themselves, or their groups."""
    return count if groups is None else len(np.unique(groups))


def numbers_of(values: Floats) -> tuple[float | None, ...]:
    """One number per image (N,), None in place of NaN."""
    return tuple(None if isnan(value) else value for value in values.tolist())
