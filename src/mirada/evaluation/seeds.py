"""How much of a figure is luck: the same training with several seeds, judged on the same images."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev

from mirada.evaluation.evaluate import Measured
from mirada.evaluation.metric_table import Metric, metric_named

# 97.5 % quantiles of Student's t for 1 … 30 degrees of freedom (Student 1908, Biometrika 6:1); beyond: the normal one.
STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
NORMAL = 1.96


@dataclass(frozen=True, kw_only=True)
class SeedSpread:
    """A metric of runs that differ in their seed alone.

    Args:
        name: The key of the metric.
        target: The column that it is about, where there are several.
        unit: Of the value.
        seeds: How many runs.
        mean: Over the runs.
        deviation: Their standard deviation.
        least: The lowest value.
        most: The highest value.
        luck: How far two such runs are apart in 19 of 20 cases: t · √2 · deviation. Less is no improvement.
        interval: That over the images, on average over the runs; None where there is none.
    """

    name: str
    target: str = ""
    unit: str = ""
    seeds: int
    mean: float
    deviation: float
    least: float
    most: float
    luck: float
    interval: tuple[float, float] | None

    @property
    def metric(self) -> Metric:
        """What is measured: its title, its kind, which way is better."""
        return metric_named(self.name)


def seed_spreads(runs: Sequence[Sequence[Measured]]) -> tuple[SeedSpread, ...]:
    """The spread of every metric that is defined in all runs.

    Args:
        runs: The metrics of two runs or more, which differ in their seed alone, on the same images.
    """
    found = []
    for same in zip(*runs, strict=True):
        values = [each.value for each in same if each.value is not None]
        if len(values) < max(2, len(same)):
            continue
        lows = [each.low for each in same if each.low is not None]
        highs = [each.high for each in same if each.high is not None]
        whole = len(lows) == len(highs) == len(same)
        deviation, freedom = stdev(values), len(values) - 1
        quantile = STUDENT[freedom - 1] if freedom <= len(STUDENT) else NORMAL
        found.append(
            SeedSpread(
                name=same[0].name,
                target=same[0].target,
                unit=same[0].unit,
                seeds=len(values),
                mean=fmean(values),
                deviation=deviation,
                least=min(values),
                most=max(values),
                luck=quantile * sqrt(2) * deviation,
                interval=(fmean(lows), fmean(highs)) if whole else None,
            )
        )
    return tuple(found)
