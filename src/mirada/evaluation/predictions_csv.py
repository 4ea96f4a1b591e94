"""Predictions as a table of cells: its columns, its records, and the CSV file that it is written to and read from."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mirada.errors import DataError
from mirada.files import replacing
from mirada.samples import Classes, Covariate, Excluded, Numbers, Target

if TYPE_CHECKING:
    from mirada.evaluation.predictions import Predictions

CLASSIFICATION = ("path", "split", "target", "predicted", "probability", "correct")  # then p:<class> …
REGRESSION = ("path", "split", "target", "predicted", "error", "half_width")
PREDICTED = CLASSIFICATION.index("predicted")  # empty for a file that could not be read
CLASS, TARGET, COVARIATE, GROUP = "p:", "target:", "c:", "group"
UNKNOWN_CLASS = -1
HALF_WIDTH = REGRESSION[-1]  # the newest column: tables without it are read, too


def columns_of(table: Predictions) -> tuple[str, ...]:
    """The header of the table: what is known of each file, then ``problem``."""
    return _columns(table.classes, table.target_names, bool(table.groups), table.covariate_names)


def records_of(table: Predictions) -> Iterator[list[Any]]:
    """The cells of each file, in the order of the columns; None for what is unknown, and last those that failed."""
    if isinstance(table.target, Classes):
        cells: Iterable[list[Any]] = (_class_cells(table, row) for row in range(len(table)))
    else:
        cells = map(_value_cells, *(x.tolist() for x in (table.values, table.outputs, table.half_widths)))
    for row, (path, own) in enumerate(zip(table.paths, cells, strict=True)):
        group = [table.groups[row]] if table.groups else []
        covariates = map(_number, table.covariates[row].tolist())
        yield [path, str(table.splits[row]) or None, *own, *group, *covariates, None]
    empty = [None] * (len(columns_of(table)) - 2)
    for item in table.failed:
        yield [item.path, *empty, item.reason]


def write_csv(target: Path, table: Predictions) -> None:
    """Write the table as CSV (UTF-8, RFC 4180), whole or not at all."""
    with (
        replacing(target) as draft,
        # File names that are not valid Unicode must survive too.
        draft.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(columns_of(table))
        writer.writerows(map(_csv_cells, records_of(table)))


def read_csv(path: str) -> dict[str, Any]:
    """The fields of Predictions, without the unit, from a file of ``write_csv``.

    Raises ``DataError`` for a file that is missing or was not written by ``write_csv``.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file)
            header = tuple(next(reader, ()))
            records = [(reader.line_num, record) for record in reader]
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file. Expected predictions written by Mirada.") from error
    except csv.Error as error:
        raise DataError(f"{path}: not a CSV file ({error}).") from error
    return _parsed(path, header, records)


def _columns(
    classes: Sequence[str], target_names: Sequence[str], grouped: bool, covariates: Sequence[str]
) -> tuple[str, ...]:
    beside = (*([GROUP] if grouped else []), *(f"{COVARIATE}{name}" for name in covariates), "problem")
    if classes:
        return (*CLASSIFICATION, *(f"{CLASS}{name}" for name in classes), *beside)
    if len(target_names) < 2:
        return (*REGRESSION, *beside)
    start, each = REGRESSION[:2], REGRESSION[2:]
    return (*start, *(f"{column}:{name}" for name in target_names for column in each), *beside)


def _class_cells(table: Predictions, row: int) -> list[Any]:
    values = table.outputs[row].tolist()
    best = int(table.outputs[row].argmax())
    target = None
    if table.targets[row] >= 0:
        target = table.classes[int(table.targets[row])]
    called = table.classes[best]
    return [target, called, values[best], None if target is None else called == target, *values]


def _value_cells(
    targets: Sequence[float], outputs: Sequence[float], half_widths: Sequence[float]
) -> list[Any]:
    cells: list[Any] = []
    for target, output, half_width in zip(targets, outputs, half_widths, strict=True):
        known = _number(target)
        cells += [known, output, None if known is None else output - known, _number(half_width)]
    return cells


def _number(value: float) -> float | None:
    return None if isnan(value) else value


def _csv_cells(record: list[Any]) -> list[Any]:
    """Truth as 1 or 0; the csv module does the rest: None is empty, floats keep every bit."""
    return [int(cell) if isinstance(cell, bool) else cell for cell in record]


def _parsed(path: str, header: tuple[str, ...], records: list[tuple[int, list[str]]]) -> dict[str, Any]:
    """The fields of Predictions, without the unit, from the header and the (line, cells) of a CSV file."""
    classes, names = _named(header, CLASS), _named(header, TARGET)
    grouped, covariates = GROUP in header, _named(header, COVARIATE)
    _check_header(path, header, _columns(classes, names, grouped, covariates))
    good: list[list[str]] = []
    failed, targets, outputs, half_widths = [], [], [], []
    numbers = {name: number for number, name in enumerate(classes)}
    own, given, widths = (
        _places(header, name) for name in ("target", "p" if classes else "predicted", HALF_WIDTH)
    )
    for line, record in records:
        if len(record) != len(header):
            raise DataError(f"{path}, line {line}: expected {len(header)} cells. Got {len(record)}.")
        if record[PREDICTED] == "":
            failed.append(Excluded(record[0], record[-1]))
            continue
        try:
            targets.append([_target(record[place], numbers) for place in own])
            outputs.append([float(record[place]) for place in given])
            half_widths.append([float(record[place] or "nan") for place in widths])
        except ValueError as error:
            raise DataError(f"{path}, line {line}: {error}.") from error
        good.append(record)
    width = max(1, len(names))
    known = np.asarray(targets, dtype=np.int64 if classes else np.float64).reshape(len(good), width)
    target: Target = Classes(classes) if classes else Numbers(names or ("",))
    return {
        "paths": tuple(record[0] for record in good),
        "splits": np.array([record[1] for record in good], dtype="<U5"),
        "outputs": np.asarray(outputs, dtype=np.float64).reshape(len(good), len(classes) or width),
        "half_widths": np.asarray(half_widths, dtype=np.float64).reshape(len(good), len(widths)),
        "target": target,
        "targets": known[:, 0] if classes else known,
        "groups": tuple(record[header.index(GROUP)] for record in good) if grouped else (),
        "covariate_specs": tuple(map(Covariate.parse, covariates)),
        "covariates": _covariates(path, good, len(covariates)),
        "failed": tuple(failed),
    }


def _places(header: tuple[str, ...], column: str) -> list[int]:
    """Where a column stands, or those of its name for each target or class: ``column:<name>``."""
    return [place for place, own in enumerate(header) if own == column or own.startswith(f"{column}:")]


def _covariates(path: str, records: list[list[str]], count: int) -> np.ndarray:
    """The numbers before the last column, NaN for empty cells. (N, count)"""
    try:
        cells = [
            [float(cell or "nan") for cell in record[len(record) - 1 - count : -1]] for record in records
        ]
    except ValueError as error:
        raise DataError(f"{path}: a covariate must be a number ({error}).") from error
    return np.asarray(cells, dtype=np.float64).reshape(len(records), count)


def _named(header: tuple[str, ...], prefix: str) -> tuple[str, ...]:
    """The names behind a prefix, in order."""
    return tuple(name.removeprefix(prefix) for name in header if name.startswith(prefix))


def _check_header(path: str, header: tuple[str, ...], expected: tuple[str, ...]) -> None:
    before = tuple(column for column in expected if column.partition(":")[0] != HALF_WIDTH)
    if header not in (expected, before):
        raise DataError(
            f"{path}: not a table of predictions. Expected the columns {', '.join(CLASSIFICATION)}, "
            f"p:<class> …, problem, or {', '.join(REGRESSION)}, problem. "
            f"Got {', '.join(header) or 'an empty file'}."
        )


def _target(cell: str, numbers: dict[str, int]) -> float:
    """A class number or a value; −1 or NaN where the cell is empty."""
    if cell == "":
        return UNKNOWN_CLASS if numbers else np.nan
    if numbers and cell not in numbers:
        raise ValueError(f"unknown class {cell!r}, expected one of {', '.join(sorted(numbers))}")
    return numbers[cell] if numbers else float(cell)
