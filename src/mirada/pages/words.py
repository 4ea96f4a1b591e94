"""How a page says a metric."""

from dataclasses import dataclass

from mirada.errors import counted
from mirada.evaluation.evaluate import Measured
from mirada.evaluation.part_tests import PartTest
from mirada.text import NBSP, interval, number, percent, places, with_unit

SPLITS = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class Shown:
    """A metric ready to print; ``interval`` and ``level`` ("95 % interval") are empty where there is none.

    ``value`` is the ``number`` with its ``unit``, which is "%" for a share.
    """

    label: str
    number: str
    unit: str
    interval: str
    level: str
    method: str
    share: bool

    @property
    def value(self) -> str:
        """The number with its unit."""
        return with_unit(self.number, self.unit)


def shown(measured: Measured) -> Shown:
    """A metric's value ready to print: shares as percentages, the rest in their unit."""
    metric = measured.metric
    share = metric.kind == "share"
    unit = "%" if share else measured.unit
    value, low, high = (
        100 * bound if share and bound is not None else bound
        for bound in (measured.value, measured.low, measured.high)
    )
    decimals = 1 if share else places(value) if value is not None else None
    span = interval(low, high, decimals, unit)
    level = "interval" if measured.level is None else f"{percent(measured.level, 0)} interval"
    return Shown(
        label=metric.title + (f" of {measured.target}" if measured.target else ""),
        number=number(value, decimals),
        unit=unit,
        interval=span,
        level=level if span else "",
        method=measured.method.replace(" %", f"{NBSP}%"),
        share=share,
    )


def mark_of(seen: int, n: int) -> str:
    """What stands beside every figure of n test images of which the network, or its weights, had learnt some; else "".

    >>> mark_of(3, 40), mark_of(0, 40)
    ('no honest test: 3 of these 40 images were used in training', '')
    """
    return f"no honest test: {seen:,} of these {counted(n, 'image')} were used in training" if seen else ""


def nothing_learnt(constant: int, networks: int = 1) -> str:
    """What is said where networks give the same answer whatever the image; "" where none does.

    >>> nothing_learnt(1)
    'always the same answer: it has learnt nothing'
    >>> nothing_learnt(2, 5)
    '2 of 5 networks always give the same answer: they have learnt nothing'
    """
    if not constant:
        return ""
    if networks == 1:
        return "always the same answer: it has learnt nothing"
    verb, have = ("gives", "it has") if constant == 1 else ("give", "they have")
    return f"{constant} of {networks} networks always {verb} the same answer: {have} learnt nothing"


def said_of_parts(test: PartTest) -> str:
    """Whether the parts of a column differ beyond chance, in a sentence."""
    if test.p_value is None:
        return f"{test.column}: too few images of two of its words, or of groups of them, to tell parts from chance."
    ends = [
        shown(Measured(test.name, value, None, None, "", test.unit, test.target))
        for value in (test.values[0], test.values[-1])
    ]
    p_value = "p < 0.001" if test.p_value < 0.001 else f"p = {number(test.p_value, 3)}"
    span = f"{ends[0].label} from {ends[0].value} ({test.words[0]}) to {ends[1].value} ({test.words[-1]})"
    how = f"{p_value}, words permuted among images of the same class, or of a similar number"
    if test.beyond_chance:
        return f"The parts by {test.column} differ by more than chance: {span}; {how}."
    return f"No difference by {test.column} beyond chance: {span}; {how}."
