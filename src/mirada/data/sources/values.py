"""What the cells of a column mean: numbers, classes, 0 and 1. Pure functions of texts."""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mirada.errors import DataError, nearest
from mirada.samples import TRUTH, WORD_BAR, Covariate, Task

MISSING = frozenset(("", "#n/a", ".", "<na>", "?", "n/a", "na", "nan", "null"))  # in small letters
UNSAID = frozenset(("-", "None"))  # missing among numbers; among words perhaps a class, as beside "+"
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?", re.ASCII)  # 1,001 and 1,001.5
SWAPPED = str.maketrans(".,", ",.")
CODE = re.compile(r"[+-]?0\d+", re.ASCII)  # 007: what counts does not begin with a zero
UNIT = re.compile(r"(?P<name>.+?)\s*[(\[](?P<unit>[^()\[\]]+)[)\]]|(?P<stem>.+?)[_ ](?P<word>[a-z]+)")
UNIT_WORDS = frozenset(("years", "months", "weeks", "days", "hours", "minutes", "seconds", "cm", "mm", "kg"))
FEW = 10  # different whole numbers that may be meant as classes
SHOWN = 6


@dataclass(frozen=True)
class Column:
    """The values of a column, one per row; ``bad`` says of the rows that have none why.

    ``note`` says what a comma was taken for; it is empty where no number has one.
    """

    values: NDArray[np.float64]
    bad: Mapping[int, str] = field(default_factory=dict)
    note: str = ""


class Reading(NamedTuple):
    """Cells as numbers with one decimal ``sign``, point or comma: (n,) ``values``, NaN where they are none.

    ``rival`` (n,) is what they would be with the other; ``note`` says what a comma was taken for.
    """

    values: NDArray[np.float64]
    rival: NDArray[np.float64]
    sign: str = "point"
    note: str = ""

    @property
    def odd(self) -> NDArray[np.bool_]:
        """(n,) Which cells are numbers only with the other sign."""
        return np.isnan(self.values) & ~np.isnan(self.rival)


def is_missing(text: str) -> bool:
    """Whether a cell says nothing."""
    return text.lower() in MISSING


def blanked(cells: Sequence[str], keep: Collection[str] = ()) -> list[str]:
    """The cells, with nothing in those that say nothing; among numbers that is also ``-`` and Python's ``None``.

    ``keep`` are classes of that name.
    """
    said = ["" if is_missing(cell) else cell for cell in cells]
    sure = ["" if cell in UNSAID and cell not in keep else cell for cell in said]
    return sure if sure != said and is_numeric(sure, decimal_comma=False) else said


def number(text: str, *, decimal_comma: bool = False) -> float:
    """The number that a cell holds; NaN if it holds none.

    >>> number("12.5"), number("1,5", decimal_comma=True), number("1e3"), number("1_000"), number("inf")
    (12.5, 1.5, 1000.0, nan, nan)
    """
    plain = text.replace(",", ".", 1) if decimal_comma else text
    value = float(plain) if NUMBER.fullmatch(plain) else math.nan
    return value if math.isfinite(value) else math.nan  # 1e999


def read_numbers(cells: Sequence[str], *, decimal_comma: bool) -> Reading:
    """The cells as numbers, all written as the most can be: with a decimal point, 1,001.5, or a comma, 1.001,5.

    Where both are possible, as of 1,001 alone, the comma is decimal if ``decimal_comma``, and ``note`` has an example.
    """
    point = np.array([_written(cell) for cell in cells])
    commas = np.array(["," in cell for cell in cells], dtype=bool)
    if not commas.any():
        return Reading(point, point)
    comma = np.array([_written(cell.translate(SWAPPED)) for cell in cells])
    commas &= ~(np.isnan(point) & np.isnan(comma))  # those between words say nothing
    if not commas.any():
        return Reading(point, point)
    lead = np.count_nonzero(np.isnan(point)) - np.count_nonzero(np.isnan(comma))
    if lead > 0 or (lead == 0 and decimal_comma):
        return Reading(
            comma, point, "comma", _note(cells, comma, ("decimal", "thousands"), doubtful=lead == 0)
        )
    return Reading(point, comma, "point", _note(cells, point, ("thousands", ""), doubtful=lead == 0))


def _note(
    cells: Sequence[str], values: NDArray[np.float64], meant: tuple[str, str], *, doubtful: bool
) -> str:
    """What the commas in numbers were taken for, and then the points, if there are any; where doubtful, an example."""
    read = [
        (cell, value) for cell, value in zip(cells, values.tolist(), strict=True) if not math.isnan(value)
    ]
    example = next(((cell, value) for cell, value in read if "," in cell), None)
    if not example:
        return ""
    points = meant[1] and any("." in cell for cell, _ in read)
    note = f"comma: {meant[0]}" + (f", point: {meant[1]}" if points else "")
    return note + (f', assumed: "{example[0]}" is {example[1]:g}' if doubtful else "")


def _written(text: str) -> float:
    """The number that is written with a decimal point, and perhaps with commas between thousands."""
    return number(text.replace(",", "") if GROUPED.fullmatch(text) else text)


def numbers(name: str, cells: Sequence[str], *, decimal_comma: bool) -> Column:
    """A column of numbers. Raises ``DataError`` if more than one in ten of them is not written as the rest."""
    values, rival, sign, note = reading = read_numbers(cells, decimal_comma=decimal_comma)
    read = ~np.isnan(values)
    if not _nearly_all(read, read | reading.odd):
        one, other = int(np.argmax(read & np.isnan(rival))), int(np.argmax(reading.odd))
        raise DataError(
            f'{name}: "{cells[one]}" needs a decimal {sign}, "{cells[other]}" a decimal '
            f"{'point' if sign == 'comma' else 'comma'}. Write all numbers of the column alike."
        )
    bad = {}
    for row in np.flatnonzero(~read).tolist():
        what = f"number with a decimal {sign}" if reading.odd[row] else "number"
        bad[row] = f"no {name}" if is_missing(cells[row]) else f'{name} is "{cells[row]}", which is no {what}'
    return Column(values, bad, note)


def _nearly_all(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> bool:
    """Nine in ten, from which on the rest are taken for slips."""
    return bool(10 * np.count_nonzero(part) >= 9 * np.count_nonzero(whole))


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
    """Whether nine in ten of the cells that say something are numbers, however written."""
    reading = read_numbers(cells, decimal_comma=decimal_comma)
    said = np.array([not is_missing(cell) for cell in cells], dtype=bool)
    return _nearly_all(~np.isnan(reading.values) | reading.odd, said)


def task_of(cells: Sequence[str], *, decimal_comma: bool) -> Task:
    """Numbers make a regression; texts, codes such as 007, and two whole numbers such as 0 and 1 make classes."""
    found = [cell for cell in cells if not is_missing(cell)]
    if not is_numeric(found, decimal_comma=decimal_comma) or any(CODE.fullmatch(cell) for cell in found):
        return "classification"
    values = read_numbers(found, decimal_comma=decimal_comma).values
    return "classification" if len(few_whole(values)) == 2 and len(found) > 2 else "regression"


def few_whole(values: NDArray[np.float64]) -> list[int]:
    """The different values, if they are whole and no more than ten; else none."""
    different = np.unique(values[~np.isnan(values)])
    if len(different) > FEW or np.any(different != np.rint(different)):
        return []
    return [int(value) for value in different]


def covariate_of(name: str, cells: Sequence[str], *, decimal_comma: bool) -> tuple[Column, Covariate, str]:
    """A column of numbers, or of two words as 0 and 1; the covariate that it is, and what its values mean in words.

    ``False`` and ``no`` are 0, ``True`` and ``yes`` 1. Of two other words, ``F`` and ``M`` in the column ``sex``, the
    later in the alphabet is 1, and the covariate is called ``sex=M|F``, by which name it is found again in data that
    has only one of the two.

    Raises ``DataError`` for a column of other texts.
    """
    found = sorted({cell for cell in cells if not is_missing(cell)})
    if found and all(cell.lower() in TRUTH for cell in found):
        meaning = ", ".join(f"{cell} is {TRUTH[cell.lower()]:.0f}" for cell in found)
        column = _binary(name, cells, [TRUTH.get(cell.lower(), 0.0) for cell in cells])
        return column, Covariate(name, binary=True), meaning
    if is_numeric(cells, decimal_comma=decimal_comma):
        column = numbers(name, cells, decimal_comma=decimal_comma)
        binary = bool(np.isin(column.values[~np.isnan(column.values)], (0, 1)).all())
        return column, Covariate(name, binary=binary), ", ".join(filter(None, ("numbers", column.note)))
    if len(found) == 2 and WORD_BAR not in "".join(found):
        other, one = found
        return indicator(Covariate(name, one, other), cells)
    plain = [value for value in found if WORD_BAR not in value]
    words = "two different words" if plain == found else f'two different words without "{WORD_BAR}"'
    advice = (
        f"Name a value to tell from the rest: {name}={plain[0]}."
        if plain
        else f'Write them without "{WORD_BAR}".'
    )
    raise DataError(
        f"{name}: a covariate is a column of numbers or of {words}; found {len(found)} ({_listed(found)}). {advice}"
    )


def indicator(covariate: Covariate, cells: Sequence[str]) -> tuple[Column, Covariate, str]:
    """A column of words for a covariate that names one, or two, beside which there is then no other.

    Raises ``DataError`` for a value that is there with other capitals alone.
    """
    name, one, other = covariate.column, covariate.one, covariate.other
    meaning = f"{one} is 1, {f'{other} is' if other else 'all else'} 0"
    found = sorted({cell for cell in cells if not is_missing(cell)})
    if found and not other and one not in found:
        # A model that names sex=M may be used on women, so that no row has M can be right, and likeness tells nothing:
        # male is like female, site1 like site2. Only other capitals are a slip for sure; the rest is said.
        if meant := [word for word in found if word.casefold() == one.casefold()]:
            raise DataError(
                f'the column {name} has no "{one}". Did you mean "{meant[0]}"? Known: {", ".join(found)}.'
            )
        meaning += f'; no row has "{one}", only {_listed(found)}'
    column = _binary(name, cells, [covariate.indicated(cell) for cell in cells])
    odd = {
        row: f'{name} is "{cells[row]}", neither {one} nor {other}'
        for row in np.flatnonzero(np.isnan(column.values)).tolist()
        if row not in column.bad
    }
    return Column(column.values, {**column.bad, **odd}), covariate, meaning


def _listed(words: Sequence[str]) -> str:
    shown = ", ".join(f'"{word}"' for word in words[:SHOWN])
    return shown + (" …" if len(words) > SHOWN else "")


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
