"""``Columns`` → values: classes and numbers, splits, groups and covariates, and why a row has none."""

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mirada.data.sources.columns import Columns, Kind, Place, Wanted
from mirada.data.sources.labels import require_names, require_no_mark, require_single_labels, require_words
from mirada.data.sources.listing import quoted, said_of_unknown
from mirada.data.sources.names import MARKS, MISSING, SURELY_MISSING, UNSAID
from mirada.data.sources.roles import split_words
from mirada.data.sources.tables import Table
from mirada.errors import DataError, counted, nearest
from mirada.samples import SPLIT_NAMES, TRUTH, WORD_BAR, Classes, Covariate, Numbers, Target, Values
from mirada.text import listed

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(?:(,\d{3})+|([ '’]\d{3})+)(\.\d*)?", re.ASCII)  # 1,001 and 1 001.5
GROUPS = str.maketrans("", "", ",' ’")
THREE = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}", re.ASCII)  # 1.001, which may be a thousand and one
SWAPPED = str.maketrans(".,", ",.")
CODE = re.compile(r"[+-]?0\d+", re.ASCII)  # 007: what counts does not begin with a zero
FEW = 10  # different whole numbers that may be meant as classes
MANY = 20  # classes, above which a column of mostly different values cannot be meant
SHOWN = 6  # names in a note

Bad = Mapping[int, str]


@dataclass(frozen=True)
class NumberColumn:
    """The numbers of a column, one per row; ``bad`` says of the rows that have none why.

    ``note`` says what a comma was taken for; it is empty where no number has one.
    """

    values: NDArray[np.float64]
    bad: Bad = field(default_factory=dict)
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


class Learnt(NamedTuple):
    """What is learnt: its kind, its value in each row, why a row has none, and what is said of it."""

    target: Target
    values: Values
    bad: Bad
    notes: tuple[str, ...]


class ColumnWords(NamedTuple):
    """A column of words, such as splits or groups; empty if there is none."""

    values: tuple[str, ...]
    bad: Bad
    notes: tuple[str, ...]


class Read(NamedTuple):
    """All that the rows of a table say; ``bad`` are the rows that cannot be used, and why."""

    target: Target
    targets: Values
    splits: tuple[str, ...]
    groups: tuple[str, ...]
    covariates: tuple[Covariate, ...]
    covariate_values: NDArray[np.float64]
    bad: Bad
    notes: tuple[str, ...]


def read_values(
    table: Table, columns: Columns, wanted: Wanted, known: Sequence[str] | None, paths: Sequence[str]
) -> Read:
    """Reads the columns; ``known`` are the classes of a model, ``paths`` name a row that says no group.

    Raises ``DataError`` for a column that cannot be what it is to be, or an unknown split or class.
    """
    learnt = _learnt(table, columns, wanted, known)
    splits, groups = _splits(table, columns.split), _groups(table, columns, paths)
    covariates, meanings = _covariates(table, columns.covariates, wanted.read)
    bad = {**covariates.bad, **splits.bad, **learnt.bad}
    usable = [row for row in range(len(paths)) if row not in bad]
    said = _covariate_notes(meanings, covariates.values[usable])
    notes = (*learnt.notes, *splits.notes, *columns.notes, *groups.notes, *said)
    kinds = tuple(meanings)
    return Read(
        learnt.target, learnt.values, splits.values, groups.values, kinds, covariates.values, bad, notes
    )


# --- the target ---------------------------------------------------------------------------------------------


def _learnt(table: Table, columns: Columns, wanted: Wanted, known: Sequence[str] | None) -> Learnt:
    places = columns.targets
    if not places:
        none = Numbers()
        return Learnt(none, none.unknown(len(table.numbers)), {}, ("no target is read",))
    if columns.marked and (found := _marked(table, places, wanted, known)):
        return found
    if len(places) > 1:
        return _several_numbers(table, places, wanted.kind)
    stated = wanted.kind or (Classes if known is not None or columns.boxes else None)
    place, cells = places[0], table.cells[places[0].column]
    asked = (
        [cell for cell in cells if cell.lower() not in SURELY_MISSING] if wanted.kind is Classes else known
    )
    read = blanked(cells, frozenset(asked or ()))
    if (stated or kind_of(read, decimal_comma=table.decimal_comma)) is Numbers:
        return _numbers(table, place, read, inferred=stated is None)
    if stated is None:
        _require_classes(table, place, read, named=bool(wanted.target))
    if stated is None:
        require_names(table.name, place.name, read)
    if wanted.kind is None and known is None:
        require_single_labels(table.name, place.name, read)
    if stated is None:
        _require_clear_blanks(table.name, place.name, cells, read)
    found = _classes(table, place, _truths_alike(read, known), known, inferred=stated is None)
    return found._replace(notes=(*found.notes, *_missing_notes(place.name, cells, read)))


def _truths_alike(cells: Sequence[str], known: Sequence[str] | None) -> Sequence[str]:
    """The cells; where all say true or false, each in one spelling, that of the ``known`` classes if there are any."""
    words = {cell for cell in cells if cell}
    if not all(word.lower() in TRUTH for word in words):
        return cells
    spelt = {word.lower(): word for word in sorted(words, reverse=True)}
    spelt |= {name.lower(): name for name in known or ()}
    return [cell if not cell or cell in (known or ()) else spelt[cell.lower()] for cell in cells]


def _require_clear_blanks(where: str, name: str, cells: Sequence[str], read: Sequence[str]) -> None:
    """Raises ``DataError`` where one class would be left, and a word that may mean another was taken for missing."""
    classes, words = set(filter(None, read)), sorted({cell for cell in cells if cell} - set(read))
    if len(classes) == 1 and words:
        raise DataError(
            f'{where}: the column {name} has only one class ("{min(classes)}") beside "{words[0]}", which is taken for '
            f"missing. Say task=classification to keep it as a class."
        )


def _missing_notes(name: str, cells: Sequence[str], read: Sequence[str]) -> Iterator[str]:
    """Which words, that might as well name a class, were taken for missing, and which were not."""
    doubtful = [pair for pair in zip(cells, read, strict=True) if is_missing(pair[0])]
    for word, count in Counter([cell for cell, kept in doubtful if not kept]).items():
        if word.lower() not in SURELY_MISSING:
            rows = counted(count, "row")
            yield f'missing: "{word}" in {rows} of {name} (task=classification keeps it as a class)'
    for word in dict.fromkeys(kept for _, kept in doubtful if kept):
        yield f'class: "{word}" is one of {name}, not a missing value, since classes were asked for'


def _numbers(table: Table, place: Place, cells: Sequence[str], *, inferred: bool) -> Learnt:
    column = numbers(place.name, cells, decimal_comma=table.decimal_comma)
    values = column.values[~np.isnan(column.values)]
    if not len(values):
        raise DataError(
            f"{table.name}: the column {place.name} holds no number. Name another column as the target."
        )
    reach = f"from {values.min():,g} to {values.max():,g} {place.unit}".rstrip()
    taken = f" ({column.note})" if column.note else ""
    hint = ""
    if inferred and len(different := np.unique(values)) <= FEW + 1:
        require_no_mark(table.name, f"the column {place.name}", different.tolist())
    if inferred and len(values) < len(cells) and set(values) == {1.0}:
        raise DataError(
            f"{table.name}: the column {place.name} says 1 or nothing, which may mean 0, or not known. Write 0, or "
            f"the class, where there is nothing."
        )
    if len(values) > 1 and np.ptp(values) == 0:
        hint = f" (all are {values[0]:,g}: there is nothing to learn)"
    elif inferred and (whole := few_whole(values)):
        hint = f" (only {len(whole)} different ones; task=classification makes classes of them)"
    note = f"target: {place.name}, {counted(len(values), 'number')} {reach}{taken} → regression{hint}"
    return Learnt(Numbers((place.name,), place.unit), column.values[:, np.newaxis], column.bad, (note,))


def _several_numbers(table: Table, places: tuple[Place, ...], kind: Kind | None) -> Learnt:
    """(N, T) numbers; the unit is said if all have the same."""
    if kind is Classes:
        named = ", ".join(place.name for place in places)
        raise DataError(
            f"{table.name}: {named} are several targets, and there can be only one for classification."
        )
    columns = [
        numbers(p.name, blanked(table.cells[p.column]), decimal_comma=table.decimal_comma) for p in places
    ]
    units = {place.unit for place in places}
    same = units.pop() if len(units) == 1 else ""
    names = tuple(
        place.name if same or not place.unit else f"{place.name} ({place.unit})" for place in places
    )
    said = [
        f"{name} ({column.note})" if column.note else name
        for name, column in zip(names, columns, strict=True)
    ]
    return Learnt(
        target=Numbers(names, same),
        values=np.column_stack([column.values for column in columns]),
        bad={row: reason for column in columns for row, reason in column.bad.items()},
        notes=(f"targets: {', '.join(said)} → regression of {len(names)} numbers",),
    )


def _marked(
    table: Table, places: Sequence[Place], wanted: Wanted, known: Sequence[str] | None
) -> Learnt | None:
    """Classes from a column of yes and no for each; None if named targets are rather numbers.

    Raises ``DataError`` if the columns were not named and a row says yes to several, or to none.
    """
    cells = [table.cells[place.column] for place in places]
    yes = np.array([[MARKS.get(cell.lower(), 0.0) for cell in column] for column in cells]) == 1
    counts = yes.sum(axis=0)
    if (counts != 1).any():
        if wanted.target:
            return None
        several, none = np.count_nonzero(counts > 1), np.count_nonzero(counts == 0)
        raise DataError(
            f"{table.name}: the columns {listed([place.name for place in places], SHOWN)} are 0 or 1; of "
            f"{counted(len(counts), 'row')} {several:,} say 1 in several columns and {none:,} in none, and an image "
            f"can have one class only. Name one column as the `target`."
        )
    labels = [places[number].name for number in yes.argmax(axis=0)]
    own = tuple(place.name for place, column in zip(places, yes, strict=True) if column.any())
    idle = [f"not used: {place.name}, of which no row says 1" for place in places if place.name not in own]
    names, values = classes_of(f"{table.name}: the columns", labels, own if known is None else known)
    note = (
        f"target: a column of 0 and 1 for each of {len(own)} classes ({listed(own, SHOWN)}) → classification"
    )
    return Learnt(Classes(names), values, {}, (note, *idle))


def _require_classes(table: Table, place: Place, cells: Sequence[str], *, named: bool) -> None:
    """Raises ``DataError`` for so many different values that nobody can mean classes."""
    different = len({cell for cell in cells if cell})
    if different <= max(MANY, len(cells) / 2):
        return
    advice = (
        "Name another column as the target, or say task=classification if they are."
        if named
        else f"Name the target: {', '.join(table.columns)}."
    )
    raise DataError(
        f"{table.name}: the column {place.name} has {different:,} different values in {len(cells):,} rows, which "
        f"cannot be classes. {advice}"
    )


def _classes(
    table: Table, place: Place, cells: Sequence[str], known: Sequence[str] | None, *, inferred: bool
) -> Learnt:
    names, values = classes_of(f"{table.name}: the column {place.name}", cells, known)
    if table.guessed:
        require_words(table.name, place.name, names, table.guessed)
    count = f"{len(names):,} class{'' if len(names) == 1 else 'es'}"
    note = f"target: {place.name}, {count} ({listed(names, SHOWN)}) → classification"
    numeric = sum(NUMBER.fullmatch(name) is not None for name in names)
    if inferred and numeric == len(names):
        note += " (task=regression takes them as numbers)"
    elif inferred and 2 * numeric > len(names):
        note += f" ({numeric} of them are numbers; task=regression leaves out the rest)"
    reasons = dict.fromkeys(np.flatnonzero(values < 0).tolist(), f"no {place.name}")
    return Learnt(Classes(names), values, reasons, (note,))


def classes_of(
    where: str, cells: Sequence[str], known: Sequence[str] | None
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The class names, ``known`` or else those found, sorted; and the class number of each cell, −1 of an empty one.

    Raises ``DataError`` for a class that is not among ``known``.
    """
    found = {cell for cell in cells if cell}
    names = tuple(in_order(found)) if known is None else tuple(known)
    unknown = sorted(found - set(names))
    if unknown:
        raise DataError(f"{where} {said_of_unknown(unknown, names)}")
    numbered = {name: value for value, name in enumerate(names)}
    return names, np.array([numbered.get(cell, -1) for cell in cells], dtype=np.int64)


def in_order(names: set[str]) -> list[str]:
    """Class names sorted: by value if all are numbers, else by letters."""
    numeric = all(NUMBER.fullmatch(name) for name in names)
    return sorted(names, key=lambda name: (float(name) if numeric else 0.0, name))


def kind_of(cells: Sequence[str], *, decimal_comma: bool) -> Kind:
    """Numbers are learnt as such; texts, codes such as 007, and two whole numbers such as 0 and 1 are classes."""
    found = [cell for cell in cells if not is_missing(cell)]
    if not is_numeric(found, decimal_comma=decimal_comma) or any(CODE.fullmatch(cell) for cell in found):
        return Classes
    values = read_numbers(found, decimal_comma=decimal_comma).values
    return Classes if len(few_whole(values)) == 2 and len(found) > 2 else Numbers


def few_whole(values: NDArray[np.float64]) -> list[int]:
    """The different values, if they are whole and no more than ten; else none."""
    different = np.unique(values[~np.isnan(values)])
    if len(different) > FEW or np.any(different != np.rint(different)):
        return []
    return [int(value) for value in different]


# --- numbers ------------------------------------------------------------------------------------------------


def is_missing(text: str) -> bool:
    """Whether a cell says nothing."""
    return text.lower() in MISSING


def blanked(cells: Sequence[str], keep: Collection[str] = ()) -> list[str]:
    """The cells, with nothing in those that say nothing; among numbers that is also ``-`` and Python's ``None``.

    ``keep`` are classes of that name.
    """
    said = ["" if is_missing(cell) and cell not in keep else cell for cell in cells]
    sure = ["" if cell in UNSAID and cell not in keep else cell for cell in said]
    return sure if sure != said and is_numeric(sure, decimal_comma=False) else said


def number(text: str, *, decimal_comma: bool = False) -> float:
    """The number that a cell holds; NaN if it holds none.

    >>> number("12.5"), number("1,5", decimal_comma=True), number("1e3"), number("1_000"), number("inf")
    (12.5, 1.5, 1000.0, nan, nan)
    """
    plain = text.replace("−", "-")
    plain = plain.replace(",", ".", 1) if decimal_comma else plain
    value = float(plain) if NUMBER.fullmatch(plain) else math.nan
    return value if math.isfinite(value) else math.nan  # 1e999


def plain_numbers(cells: Sequence[str], *, decimal_comma: bool) -> list[float]:
    """Each cell as ``number`` reads it."""
    return [number(cell, decimal_comma=decimal_comma) for cell in cells]


def read_numbers(cells: Sequence[str], *, decimal_comma: bool) -> Reading:
    """The cells as numbers, all written as the most can be: with a decimal point, 1,001.5, or a comma, 1.001,5.

    Where both are possible, as of 1,001 alone, the comma is decimal if ``decimal_comma``, and ``note`` has an example.
    """
    point = np.array([_written(cell) for cell in cells])
    commas = np.array(["," in cell for cell in cells], dtype=bool)
    if not commas.any():
        return Reading(point, point, note=_point_note(cells) if decimal_comma else "")
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


def _point_note(cells: Sequence[str]) -> str:
    """What a point was taken for where a comma is rather decimal, and all might stand between thousands."""
    points = [cell for cell in cells if "." in cell]
    if not points or not all(map(THREE.fullmatch, points)):
        return ""
    return f'point: decimal, assumed: "{points[0]}" is {number(points[0]):g}'


def _written(text: str) -> float:
    """The number that is written with a decimal point, and perhaps with commas or spaces between thousands."""
    return number(text.translate(GROUPS) if GROUPED.fullmatch(text) else text)


def numbers(name: str, cells: Sequence[str], *, decimal_comma: bool) -> NumberColumn:
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
    return NumberColumn(values, bad, note)


def _nearly_all(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> bool:
    """Nine in ten, from which on the rest are taken for slips."""
    return bool(10 * np.count_nonzero(part) >= 9 * np.count_nonzero(whole))


def is_numeric(cells: Sequence[str], *, decimal_comma: bool) -> bool:
    """Whether nine in ten of the cells that say something are numbers, however written."""
    reading = read_numbers(cells, decimal_comma=decimal_comma)
    said = np.array([not is_missing(cell) for cell in cells], dtype=bool)
    return _nearly_all(~np.isnan(reading.values) | reading.odd, said)


# --- splits, groups and covariates ---------------------------------------------------------------------------


def _splits(table: Table, place: Place | None) -> ColumnWords:
    """``train``, ``val`` or ``test`` per row; all ``train`` without a column.

    Raises ``DataError`` for a word that is no split.
    """
    if place is None:
        return ColumnWords(("train",) * len(table.numbers), {}, ())
    cells = split_words(table.columns[place.column], table.cells[place.column])
    bad = {row: f"no {place.name}" for row, cell in enumerate(cells) if is_missing(cell)}
    for row, cell in enumerate(cells):
        if cell not in SPLIT_NAMES and row not in bad:
            raise DataError(
                f'{table.name}: row {table.numbers[row]} has "{cell}" in the column {place.name}, which is no '
                f"split. {nearest(cell, SPLIT_NAMES)}"
            )
    said = {word.lower() for word in table.cells[place.column]} - MISSING
    meant = "" if said <= SPLIT_NAMES.keys() else f" ({_meanings(table.cells[place.column], cells)})"
    return ColumnWords(
        tuple(SPLIT_NAMES.get(cell, "train") for cell in cells), bad, (f"split: {place.name}{meant}",)
    )


def _meanings(cells: Sequence[str], words: Sequence[str]) -> str:
    pairs = dict(zip(cells, words, strict=True))
    return ", ".join(f"{cell} is {word}" for cell, word in sorted(pairs.items()) if not is_missing(cell))


def _groups(table: Table, columns: Columns, paths: Sequence[str]) -> ColumnWords:
    """The group of every row; a row that names none is a group of its own."""
    if columns.group is None:
        return ColumnWords((), {}, ())
    cells = table.cells[columns.group.column]
    lonely = sum(map(is_missing, cells))
    groups = tuple(path if is_missing(cell) else cell for path, cell in zip(paths, cells, strict=True))
    note = f"group: {columns.group.name}, {counted(len(set(groups)), 'group')}"
    return ColumnWords(
        groups, {}, (note + (f", of which {counted(lonely, 'row')} without a name" if lonely else ""),)
    )


def _covariates(
    table: Table, places: tuple[Place, ...], read: Sequence[Covariate]
) -> tuple[NumberColumn, dict[Covariate, str]]:
    """(N, K) numbers, and the K covariates with what the values mean, in words; ``read`` are those of a model."""
    columns, meanings = [], {}
    known = {covariate.column: covariate for covariate in read if not covariate.one}
    for place in places:
        cells = blanked(table.cells[place.column])
        if place.value:
            column, found, meaning = indicator(Covariate.parse(f"{place.name}={place.value}"), cells)
        elif place.name in known:
            column, found, meaning = _number_of(known[place.name], cells, decimal_comma=table.decimal_comma)
        else:
            column, found, meaning = covariate_of(place.name, cells, decimal_comma=table.decimal_comma)
        columns.append(column)
        meanings[found] = meaning
    if len(meanings) < len(columns):
        labels = ", ".join(covariate.label for covariate in meanings)
        raise DataError(f"{table.name}: a column is named twice among the covariates {labels}.")
    values = np.column_stack([np.empty((len(table.numbers), 0)), *(column.values for column in columns)])
    return NumberColumn(values, {row: why for column in columns for row, why in column.bad.items()}), meanings


def _covariate_notes(meanings: Mapping[Covariate, str], values: NDArray[np.float64]) -> Iterator[str]:
    """What each covariate means, and that it is the same in every row, if so; ``values`` are (n, K)."""
    for (covariate, meaning), column in zip(meanings.items(), values.T, strict=True):
        same = f"; {column[0]:g} in every row" if len(column) > 1 and np.ptp(column) == 0 else ""
        yield f"covariate: {covariate.label} ({meaning}{same})"


def covariate_of(
    name: str, cells: Sequence[str], *, decimal_comma: bool
) -> tuple[NumberColumn, Covariate, str]:
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
        f"{name}: a covariate is a column of numbers or of {words}; found {len(found)} ({quoted(found)}). {advice}"
    )


def _number_of(
    covariate: Covariate, cells: Sequence[str], *, decimal_comma: bool
) -> tuple[NumberColumn, Covariate, str]:
    """A column of the numbers, or of yes and no, that a model reads; a row with anything else is bad."""
    said = TRUTH if covariate.binary else {}
    written = [f"{said[cell.lower()]:.0f}" if cell.lower() in said else cell for cell in cells]
    column = numbers(covariate.column, written, decimal_comma=decimal_comma)
    return column, covariate, ", ".join(filter(None, ("numbers", column.note)))


def indicator(covariate: Covariate, cells: Sequence[str]) -> tuple[NumberColumn, Covariate, str]:
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
        meaning += f'; no row has "{one}", only {quoted(found)}'
    column = _binary(name, cells, [covariate.indicated(cell) for cell in cells])
    odd = {
        row: f'{name} is "{cells[row]}", neither {one} nor {other}'
        for row in np.flatnonzero(np.isnan(column.values)).tolist()
        if row not in column.bad
    }
    return NumberColumn(column.values, {**column.bad, **odd}), covariate, meaning


def _binary(name: str, cells: Sequence[str], values: Sequence[float]) -> NumberColumn:
    missing = [row for row, cell in enumerate(cells) if is_missing(cell)]
    column = np.array(values)
    column[missing] = np.nan
    return NumberColumn(column, dict.fromkeys(missing, f"no {name}"))
