"""The columns of a table of predictions, and how such a file is read."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from mirada.errors import DataError
from mirada.samples import UNKNOWN_CLASS, Classes, Covariate, Excluded, Numbers, Target, Values
from mirada.text import csv_value

CLASSIFICATION = ("path", "split", "target", "predicted", "probability", "correct")  # then p:<class> …
REGRESSION = ("path", "split", "target", "predicted", "error", "half_width")
PREDICTED = CLASSIFICATION.index("predicted")  # empty for a file that could not be read
CLASS, TARGET, COVARIATE, GROUP, SPREAD = "p:", "target:", "c:", "group", "spread"
CALLED = "called"  # what a threshold makes of a class
RANKED = CLASSIFICATION[3:5]  # also of the second, third, … class: predicted:2, probability:2
HALF_WIDTH = REGRESSION[-1]  # the newest column: tables without it are read, too
MANY = 50  # classes; of more, a table has the most probable ones only
TOP = 5  # of them

NEAREST = 5  # similar images of each
SIMILAR, COSINE = "similar_", "cosine_"  # then the rank, from 1


@dataclass(frozen=True)
class Neighbour:
    """A training image and the cosine between its features and those of the image in question, −1 to 1."""

    path: str
    cosine: float


class TableFields(TypedDict):
    """The fields of ``Predictions`` that a file of them has."""

    paths: tuple[str, ...]
    splits: NDArray[np.str_]
    outputs: NDArray[np.float64]
    half_widths: NDArray[np.float64]
    spreads: NDArray[np.float64]
    called: tuple[str, ...]
    similar: tuple[tuple[Neighbour, ...], ...]
    target: Target
    targets: Values
    groups: tuple[str, ...]
    covariate_specs: tuple[Covariate, ...]
    covariates: NDArray[np.float64]
    failed: tuple[Excluded, ...]


def columns_beside(
    spreads: Sequence[str], called: bool, similar: Sequence[str], grouped: bool, covariates: Sequence[str]
) -> tuple[str, ...]:
    """What comes behind the answers."""
    return (
        *spreads,
        *([CALLED] if called else []),
        *similar,
        *([GROUP] if grouped else []),
        *(f"{COVARIATE}{name}" for name in covariates),
        "problem",
    )


def similar_columns(similar: Sequence[Sequence[Neighbour]]) -> tuple[str, ...]:
    """``similar_1``, ``cosine_1`` and so on, as many as any row has; none where nothing is known."""
    most = max(map(len, similar), default=0)
    return tuple(f"{name}{rank}" for rank in range(1, most + 1) for name in (SIMILAR, COSINE))


def number_columns(names: Sequence[str]) -> tuple[str, ...]:
    """What a table of numbers begins with; of several each has columns of its own."""
    if len(names) < 2:
        return REGRESSION
    start, each = REGRESSION[:2], REGRESSION[2:]
    return (*start, *(f"{column}:{name}" for name in names for column in each))


def read_csv(path: str) -> TableFields:
    """The fields of Predictions, without the unit, from a file of ``to_csv``.

    Raises ``DataError`` for a file that is missing or was not written by ``to_csv``.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file)
            header = tuple(map(csv_value, next(reader, ())))
            records = [(reader.line_num, list(map(csv_value, record))) for record in reader]
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file. Expected predictions written by Mirada.") from error
    except csv.Error as error:
        raise DataError(f"{path}: not a CSV file ({error}).") from error
    return _parsed(path, header, records)


def _parsed(path: str, header: tuple[str, ...], records: list[tuple[int, list[str]]]) -> TableFields:
    """The fields of Predictions, without the unit, from the header and the (line, cells) of a CSV file."""
    classes, names = _named(header, CLASS), _named(header, TARGET)
    grouped, covariates = GROUP in header, _named(header, COVARIATE)
    start = (*CLASSIFICATION, *(f"{CLASS}{name}" for name in classes)) if classes else number_columns(names)
    spread = _places(header, SPREAD)
    similar = [place for place, name in enumerate(header) if name.startswith((SIMILAR, COSINE))]
    spread_names, similar_names = ([header[place] for place in places] for places in (spread, similar))
    behind = columns_beside(spread_names, CALLED in header, similar_names, grouped, covariates)
    _check_header(path, header, (*start, *behind))
    good: list[list[str]] = []
    failed, targets, outputs, half_widths, spreads, neighbours = [], [], [], [], [], []
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
            spreads.append([float(record[place] or "nan") for place in spread])
            neighbours.append(_neighbours([record[place] for place in similar]))
        except ValueError as error:
            raise DataError(f"{path}, line {line}: {error}.") from error
        good.append(record)
    width = max(1, len(names))
    known = np.asarray(targets, dtype=np.float64).reshape(len(good), width)
    target: Target = Classes(classes) if classes else Numbers(names or ("",))
    return {
        "paths": tuple(record[0] for record in good),
        "splits": np.array([record[1] for record in good], dtype="<U5"),
        "outputs": np.asarray(outputs, dtype=np.float64).reshape(len(good), len(classes) or width),
        "half_widths": np.asarray(half_widths, dtype=np.float64).reshape(len(good), len(widths)),
        "spreads": np.asarray(spreads, dtype=np.float64).reshape(len(good), len(spread)),
        "called": tuple(record[header.index(CALLED)] for record in good) if CALLED in header else (),
        "similar": tuple(neighbours) if similar else (),
        "target": target,
        "targets": known[:, 0].astype(np.int64) if classes else known,
        "groups": tuple(record[header.index(GROUP)] for record in good) if grouped else (),
        "covariate_specs": tuple(map(Covariate.parse, covariates)),
        "covariates": _covariates(path, good, len(covariates)),
        "failed": tuple(failed),
    }


def _neighbours(cells: Sequence[str]) -> tuple[Neighbour, ...]:
    """Those of a row, whose cells are a path and a cosine in turn; behind the last one they are empty."""
    pairs = zip(cells[::2], cells[1::2], strict=True)
    return tuple(Neighbour(path, float(cosine)) for path, cosine in pairs if path)


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
    if f"{RANKED[0]}:2" in header and f"{TARGET}2" not in header:
        raise DataError(
            f"{path}: has the {TOP} most probable classes of each file, and not all probabilities. Write it again "
            f"with all classes (to_csv(…, all_classes=True), or --all-classes)."
        )
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
