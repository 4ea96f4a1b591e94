"""How a page says what several seeds have in common, and how much is luck."""

from collections.abc import Sequence
from dataclasses import dataclass

from mirada.evaluation.evaluate import Measured
from mirada.evaluation.seeds import SeedSpread, seed_spreads
from mirada.pages.words import Shown, shown
from mirada.runs.reader import RunContents

LEADING = ("accuracy", "mae")  # the metric that answers the question, where there is a choice


@dataclass(frozen=True, kw_only=True)
class SpreadRow:
    """A metric over all seeds, ready to print."""

    label: str
    mean: str
    deviation: str
    range: str
    interval: str
    luck: str


@dataclass(frozen=True, kw_only=True)
class SeedRow:
    """One run: its folder, how many images judged it, the epoch kept, how well it does."""

    folder: str
    n: int
    epoch: int
    metric: Shown


@dataclass(frozen=True, kw_only=True)
class SeedTable:
    """All that the page says of several seeds.

    Args:
        sentence: How much of the first metric is luck.
        metrics: Each over all seeds.
        runs: Each by the first metric.
        answer: The first metric with its deviation, ``accuracy 74.3 % ± 0.5``.
        split: Which images judged them.
    """

    sentence: str
    metrics: Sequence[SpreadRow]
    runs: Sequence[SeedRow]
    answer: str
    split: str


def seed_table(run: RunContents) -> SeedTable:
    """What the folder of several seeds says, once two or more are finished."""
    members = run.data.seeds
    spreads = seed_spreads([member.metrics for member in members])
    first = next((each for name in LEADING for each in spreads if each.name == name), spreads[0])
    row = _spread_row(first)
    split = "test" if run.data.counts.get("test") else "val"
    return SeedTable(
        sentence=(
            f"{len(members)} runs on the same split, which differ in their seed alone: their {row.label} is {row.mean} "
            f"on average, with a standard deviation of {row.deviation}, from {row.range}. Two such runs may be "
            f"{row.luck} apart by luck alone: a smaller difference, to another recipe as well, is no improvement."
        ),
        metrics=[_spread_row(each) for each in spreads],
        runs=[
            SeedRow(
                folder=member.folder,
                n=member.n,
                epoch=member.epoch,
                metric=shown(
                    next(
                        each
                        for each in member.metrics
                        if (each.name, each.target) == (first.name, first.target)
                    )
                ),
            )
            for member in members
        ],
        answer=f"{row.label} {row.mean} ± {row.deviation} over {len(members)} seeds",
        split=split,
    )


def _spread_row(spread: SeedSpread) -> SpreadRow:
    def said(value: float, low: float | None = None, high: float | None = None) -> Shown:
        return shown(Measured(spread.name, value, low, high, "", spread.unit, spread.target))

    mean = said(spread.mean, *(spread.interval or (None, None)))
    return SpreadRow(
        label=mean.label,
        mean=mean.value,
        deviation=said(spread.deviation).value,
        range=said(spread.mean, spread.least, spread.most).interval,
        interval=mean.interval,
        luck=said(spread.luck).value,
    )
