"""How a page says a metric."""

from dataclasses import dataclass

from mirada.evaluation.evaluate import Measured
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
