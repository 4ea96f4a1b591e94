"""What the cells of a column mean: numbers, classes, 0 and 1. Pure functions of texts."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mirada.data.covariates import BAR, TRUTH, indicated, two_words
from mirada.data.index import Task
from mirada.errors import DataError, nearest

MISSING = frozenset(
    ("", "#n/a", "<na>", "n/a", "na", "nan", "null")
)  # in small letters; "none" may be a class
NUMERIC = 0.9  # the share of a column's values from which on the rest are taken for slips
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
CODE = re.compile(r"[+-]?0\d+", re.ASCII)  # 007: what counts does not begin with a zero
UNIT = re.compile(r"(?P<name>.+?)\s*[(\[](?P<unit>[^()\[\]]+)[)\]]|(?P<stem>.+?)[_ ](?P<word>[a-z]+)")
UNIT_WORDS = frozenset(("years", "months", "weeks", "days", "hours", "minutes", "seconds", "cm", "mm", "kg"))
FEW = 10  # different whole numbers that may be meant as classes
SHOWN = 6


@dataclass(frozen=True)
class Column:
    """The values of a column, one per row; ``bad`` says of the rows that have none why."""

    values: NDArray[np.float64]
    bad: Mapping[int, str] = field(default_factory=dict)


def is_missing(text: str) -> bool:
    """Whether a cell says nothing."""
    return text.lower() in MISSING


def number(text: str, *, decimal_comma: bool = False) -> float:
    """The number that a cell holds; NaN if it holds none.

    >>> number("12.5"), number("1,5", decimal_comma=True), number("1e3"), number("1_000"), number("inf")
    (12.5, 1.5, 1000.0, nan, nan)
    """
    plain = text.replace(",", ".", 1) if decimal_comma else text
    value = float(plain) if NUMBER.fullmatch(plain) else math.nan
    return value if math.isfinite(value) else math.nan  # 1e999


def numbers(name: str, cells: Sequence[str], *, decimal_comma: bool) -> Column:
    """A column of numbers."""
    values = np.array([number(cell, decimal_comma=decimal_comma) for cell in cells])
    bad = {
        row: f"no {name}" if is_missing(cells[row]) else f'{name} is "{cells[row]}", which is no number'
        for row in np.flatnonzero(np.isnan(values)).tolist()
    }
    return Column(values, bad)


def classes(
    where: str, cells: Sequence[str], known: Sequence[str] | None
) -> tuple[NDArray[np.int64], list[int], tuple[str, ...]]:
    """Class numbers, the rows without a class (−1), and the class names: ``known``, or else those found, sorted.

    Raises ``DataError`` for a class that is not among ``known``.
    """
    found = {cell for cell in cells if not is_missing(cell)}
    names = tuple(in_order(found)) if known is None else tuple(known)
    unknown = sorted(found - set(names))
    if unknown:
        raise DataError(
            f'{where} has the class "{unknown[0]}", which the model does not have. {nearest(unknown[0], names)}'
        )
    numbered = {name: value for value, name in enumerate(names)}
    values = np.array([numbered.get(cell, -1) for cell in cells], dtype=np.int64)
    return values, np.flatnonzero(values < 0).tolist(), names


def in_order(names: set[str]) -> list[str]:
    """Class names sorted: by value if all are numbers, else by letters."""
    numeric = all(NUMBER.fullmatch(name) for name in names)
    return sorted(names, key=lambda name: (float(name) if numeric else 0.0, name))


def is_numeric(cells: Sequence[str], *, decimal_comma: bool) -> bool:
    """Whether nine in ten of the cells that say something are numbers."""
    found = [cell for cell in cells if not is_missing(cell)]
    bad = sum(math.isnan(number(cell, decimal_comma=decimal_comma)) for cell in found)
    return bad <= (1 - NUMERIC) * len(found)


def task_of(cells: Sequence[str], *, decimal_comma: bool) -> Task:
    """Numbers make a regression; texts, codes such as 007, and two whole numbers such as 0 and 1 make classes."""
    found = [cell for cell in cells if not is_missing(cell)]
    if not is_numeric(found, decimal_comma=decimal_comma) or any(CODE.fullmatch(cell) for cell in found):
        return "classification"
    values = np.array([number(cell, decimal_comma=decimal_comma) for cell in found])
    return "classification" if len(few_whole(values)) == 2 and len(found) > 2 else "regression"


def few_whole(values: NDArray[np.float64]) -> list[int]:
    """The different values, if they are whole and no more than ten; else none."""
    different = np.unique(values[~np.isnan(values)])
    if len(different) > FEW or np.any(different != np.rint(different)):
        return []
    return [int(value) for value in different]


def covariate(name: str, cells: Sequence[str], *, decimal_comma: bool) -> tuple[Column, str, str]:
    """A column of numbers, or of two words as 0 and 1; what the covariate is to be called, and what its values mean.

    ``False`` and ``no`` are 0, ``True`` and ``yes`` 1. Of two other words, ``F`` and ``M`` in the column ``sex``, the
    later in the alphabet is 1, and the covariate is called ``sex=M|F``, by which name it is found again in data that
    has only one of the two.

    Raises ``DataError`` for a column of other texts.
    """
    found = sorted({cell for cell in cells if not is_missing(cell)})
    if found and all(cell.lower() in TRUTH for cell in found):
        meaning = ", ".join(f"{cell} is {TRUTH[cell.lower()]:.0f}" for cell in found)
        return _binary(name, cells, [TRUTH.get(cell.lower(), 0.0) for cell in cells]), name, meaning
    if is_numeric(cells, decimal_comma=decimal_comma):
        return numbers(name, cells, decimal_comma=decimal_comma), name, "numbers"
    if len(found) == 2 and BAR not in "".join(found):
        return indicator(name, cells, BAR.join(reversed(found)))
    shown = ", ".join(f'"{value}"' for value in found[:SHOWN])
    raise DataError(
        f"{name}: a covariate is a column of numbers or of two different words; found {len(found)} "
        f"({shown}{' …' if len(found) > SHOWN else ''}). Name a value to tell from the rest: {name}={found[0]}."
    )


def indicator(name: str, cells: Sequence[str], value: str) -> tuple[Column, str, str]:
    """The same for a value that is named: ``A``, or two words, ``M|F``, beside which there is no other."""
    one, other = two_words(value)
    meaning = f"{one} is 1, {f'{other} is' if other else 'all else'} 0"
    column = _binary(name, cells, [indicated(cell, value) for cell in cells])
    odd = {
        row: f'{name} is "{cells[row]}", neither {one} nor {other}'
        for row in np.flatnonzero(np.isnan(column.values)).tolist()
        if row not in column.bad
    }
    return Column(column.values, {**column.bad, **odd}), f"{name}={value}", meaning


def _binary(name: str, cells: Sequence[str], values: Sequence[float]) -> Column:
    missing = [row for row, cell in enumerate(cells) if is_missing(cell)]
    column = np.array(values)
    column[missing] = np.nan
    return Column(column, dict.fromkeys(missing, f"no {name}"))


def name_and_unit(header: str) -> tuple[str, str]:
    """A column's name without its unit, and the unit; empty if it has none.

    >>> name_and_unit("age (months)"), name_and_unit("length_mm"), name_and_unit("boneage")
    (('age', 'months'), ('length', 'mm'), ('boneage', ''))
    """
    found = UNIT.fullmatch(header)
    if found and found["unit"]:
        return found["name"], found["unit"].strip()
    if found and found["word"] in UNIT_WORDS:
        return found["stem"], found["word"]
    return header, ""
