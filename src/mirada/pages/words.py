"""How the report writes numbers: percentages, units, intervals, durations; ``–`` where there is no number."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import floor, isfinite, log10
from typing import Any

NBSP = "\u00a0"  # keeps a number and its unit on one line
NOTHING = "–"

SPLITS = {"train": "training", "val": "validation", "test": "test"}

LABELS = {
    "accuracy": "accuracy",
    "top5": "top-5 accuracy",
    "top5_accuracy": "top-5 accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "macro_f1": "macro F1",
    "mae": "mean absolute error",
    "rmse": "root mean square error",
    "r2": "R²",
    "bias": "mean error (bias)",
    "median_ae": "median absolute error",
    "loa_low": "lower limit of agreement",
    "loa_high": "upper limit of agreement",
    "brier": "Brier score",
    "ece": "expected calibration error",
}
SHARES = re.compile(r"accuracy|top.?\d|precision|recall|f1|sensitivity|specificity|^ece$", re.IGNORECASE)
LEVEL = re.compile(r"(\d+(?:\.\d+)?)\s*%")  # "Wilson 95 %" → 95


@dataclass(frozen=True)
class Shown:
    """A metric ready to print; ``interval`` and ``level`` ("95 % interval") are empty where there is none."""

    label: str
    value: str
    interval: str
    level: str
    method: str
    share: bool


def known(value: float | None) -> bool:
    """Whether there is a number to print."""
    return value is not None and isfinite(value)


def shorten(name: str) -> str:
    """A name of at most 18 characters; a longer one loses its middle, since names often differ at their end."""
    return name if len(name) <= 18 else f"{name[:10]}…{name[-7:]}"


def integer(value: float) -> str:
    """A count with separators, ``11,177,538``."""
    return f"{value:,.0f}"


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


def label(name: str) -> str:
    """What a metric is called in a sentence."""
    return LABELS.get(re.sub(r"[\s-]+", "_", name.lower()), name.replace("_", " "))


def shown(metric: Mapping[str, Any]) -> Shown:
    """A metric of ``evaluation.json`` ready to print: shares as percentages, the rest in their unit."""
    share = bool(SHARES.search(metric["name"])) and not metric["unit"]
    unit = "%" if share else metric["unit"]
    value, low, high = (
        100 * bound if share and bound is not None else bound
        for bound in (metric["value"], metric["low"], metric["high"])
    )
    decimals = 1 if share else places(value) if known(value) else None
    interval = ""
    if known(low) and known(high):
        to = " to " if low < 0 else "–"
        interval = with_unit(f"{number(low, decimals)}{to}{number(high, decimals)}", unit)
    found = LEVEL.search(metric["method"])
    level = f"{found[1]}{NBSP}% interval" if found else "interval"
    return Shown(
        label=label(metric["name"]) + (f" of {metric['target']}" if metric.get("target") else ""),
        value=with_unit(number(value, decimals), unit),
        interval=interval,
        level=level if interval else "",
        method=metric["method"].replace(" %", f"{NBSP}%"),
        share=share,
    )
