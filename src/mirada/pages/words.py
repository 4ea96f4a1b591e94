"""How the report writes numbers: percentages, units, intervals, durations; ``–`` where there is no number."""

from dataclasses import dataclass
from math import floor, isfinite, log10

from mirada.evaluation.evaluate import Measured

NBSP = "\u00a0"  # keeps a number and its unit on one line
NOTHING = "–"

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


def known(value: float | None) -> bool:
    """Whether there is a number to print."""
    return value is not None and isfinite(value)


def shorten(name: str) -> str:
    """A name of at most 18 characters; a longer one loses its middle, since names often differ at their end."""
    return name if len(name) <= 18 else f"{name[:10]}…{name[-7:]}"


def integer(value: float) -> str:
    """A count with separators, ``11,177,538``."""
    return f"{value:,.0f}"


def images(count: float) -> str:
    """A number of images: ``1 image``, ``2,000 images``."""
    return f"{integer(count)} image{'' if count == 1 else 's'}"


def places(value: float, digits: int = 3) -> int:
    """Decimals that show ``digits`` significant digits of a value, 6 at most."""
    if value == 0 or not isfinite(value):
        return 0
    return min(6, max(0, digits - 1 - floor(log10(abs(value)))))


def number(value: float | None, decimals: int | None = None) -> str:
    """A number with three significant digits, or with the decimals asked for; ``–`` for none or NaN."""
    if value is None or not isfinite(value):
        return NOTHING
    if value != 0 and not 1e-4 <= abs(value) < 1e9:
        return f"{value:.3g}".replace("-", "−")
    text = f"{value:,.{places(value) if decimals is None else decimals}f}"
    return text.replace("-", "−") if any(digit in text for digit in "123456789") else text.lstrip("-")


def percent(value: float | None, decimals: int = 1) -> str:
    """A share as a percentage, ``73.2 %``."""
    return NOTHING if not known(value) or value is None else f"{number(100 * value, decimals)}{NBSP}%"


def with_unit(text: str, unit: str) -> str:
    """A printed number and its unit on one line."""
    return f"{text}{NBSP}{unit}" if unit and text != NOTHING else text


def compact(value: float | None) -> str:
    """A large count in thousands, millions or billions: ``11.2 M``."""
    if value is None or not isfinite(value):
        return NOTHING
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{number(value / size)}{NBSP}{letter}"
    return number(value, 0)


def duration(seconds: float) -> str:
    """A time span: ``48 s``, ``12 min 3 s``, ``2 h 5 min``."""
    if seconds < 10:
        return f"{number(seconds, 1)}{NBSP}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest}{NBSP}s"
    if minutes < 60:
        return f"{minutes}{NBSP}min {rest}{NBSP}s"
    return f"{minutes // 60:,}{NBSP}h {minutes % 60}{NBSP}min"


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


def interval(low: float | None, high: float | None, decimals: int | None, unit: str) -> str:
    """Both ends and their unit, ``36.2–41.9 months``; empty where there is none."""
    if low is None or high is None or not (known(low) and known(high)):
        return ""
    to = " to " if low < 0 else "–"
    return with_unit(f"{number(low, decimals)}{to}{number(high, decimals)}", unit)
