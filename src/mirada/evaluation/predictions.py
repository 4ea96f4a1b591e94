"""The table of a network's outputs with file names, which every metric, plot and report reads."""

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mirada.data.index import Excluded, Task
from mirada.errors import DataError, InvalidArgument

CLASSIFICATION = ("path", "split", "target", "predicted", "probability", "correct")  # then p:<class>, problem
REGRESSION = ("path", "split", "target", "predicted", "error", "problem")
UNKNOWN_CLASS = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """What a network says about each file, next to what is true.

    ``outputs`` (N, K): class probabilities, K = number of classes ≥ 2 also for networks with one sigmoid
    unit; for regression the predicted values (N, 1) in ``unit``. ``targets`` (N,): class numbers or values; a
    negative class number or NaN marks a row without target, None a table without any. ``splits`` says
    ``train``, ``val``, ``test`` or nothing per row. ``failed`` are the files that could not be read; they
    have no row. Outputs are kept as float64, targets as int64 or float64.

    Raises ``DataError`` for columns that do not fit each other, class names that are empty or occur twice,
    outputs that are not finite or no probabilities, and targets that are no class number or infinite.
    """

    task: Task
    paths: tuple[str, ...]
    splits: tuple[str, ...]
    outputs: NDArray[np.float64]
    targets: NDArray[np.int64] | NDArray[np.float64] | None = None
    classes: tuple[str, ...] = ()
    unit: str = ""
    failed: tuple[Excluded, ...] = ()

    def __post_init__(self) -> None:
        _check_columns(self)
        object.__setattr__(self, "outputs", self.outputs.astype(np.float64))
        _check_outputs(self)
        if self.targets is not None:
            _check_targets(self, self.targets)
            kind = np.int64 if self.task == "classification" else np.float64
            object.__setattr__(self, "targets", self.targets.astype(kind))

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether the target of a row is known. (N,)"""
        if self.targets is None:
            return np.zeros(len(self), dtype=np.bool_)
        return self.targets >= 0 if self.task == "classification" else ~np.isnan(self.targets)

    @property
    def predicted(self) -> NDArray[np.int64] | NDArray[np.float64]:
        """The most probable class number (the lowest of equals), or the value. (N,)"""
        return self.outputs.argmax(axis=1) if self.task == "classification" else self.outputs[:, 0]

    @property
    def probability(self) -> NDArray[np.float64]:
        """The probability of the predicted class (N,). Raises ``InvalidArgument`` for regression."""
        self._only("classification", "probability")
        return np.asarray(self.outputs.max(axis=1))

    @property
    def error(self) -> NDArray[np.float64]:
        """Predicted − target, NaN without a target (N,). Raises ``InvalidArgument`` for classification."""
        self._only("regression", "error")
        missing = np.full(len(self), np.nan)
        return self.outputs[:, 0] - (missing if self.targets is None else self.targets)

    def top(self, k: int) -> NDArray[np.int64]:
        """The k most probable class numbers, best first, equals by number: (N, min(k, K)).

        Raises ``InvalidArgument`` for regression or k < 1.
        """
        self._only("classification", "top")
        _check_count("k", "top", k, least=1)
        return np.argsort(-self.outputs, axis=1, kind="stable")[:, :k]

    def most_wrong(self, n: int) -> NDArray[np.int64]:
        """Row numbers of the n worst mistakes, worst first, equals in order of the rows.

        Classification: misclassified rows only, by the probability given to the true class, lowest first.
        Regression: by |error|, largest first. Rows without a target are left out.
        Raises ``InvalidArgument`` for n < 0.
        """
        _check_count("n", "most_wrong", n, least=0)
        if self.targets is None:
            return np.empty(0, dtype=np.int64)
        if self.task == "regression":
            rows = np.flatnonzero(self.known)
            order = -np.abs(self.error[rows])
        else:
            rows = np.flatnonzero(self.known & (self.predicted != self.targets))
            order = self.outputs[rows, self.targets[rows].astype(np.int64)]
        return rows[np.argsort(order, kind="stable")][:n]

    def most_uncertain(self, n: int) -> NDArray[np.int64]:
        """Row numbers of the n smallest margins between the two best probabilities, equals in row order.

        Raises ``InvalidArgument`` for regression or n < 0.
        """
        self._only("classification", "most_uncertain")
        _check_count("n", "most_uncertain", n, least=0)
        best = np.partition(self.outputs, -2, axis=1)
        return np.argsort(best[:, -1] - best[:, -2], kind="stable")[:n]

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Self:
        """The same table with these rows only, and all of ``failed``."""
        chosen = np.asarray(rows, dtype=np.int64)
        return replace(
            self,
            paths=tuple(self.paths[row] for row in chosen),
            splits=tuple(self.splits[row] for row in chosen),
            outputs=self.outputs[chosen],
            targets=None if self.targets is None else self.targets[chosen],
        )

    def of_split(self, split: str) -> Self:
        """The rows of one split. ``failed`` stays whole: files that could not be read carry no split."""
        return self.take([row for row, own in enumerate(self.splits) if own == split])

    @property
    def columns(self) -> tuple[str, ...]:
        """The header of ``to_csv`` and the keys of ``to_json``."""
        if self.task == "regression":
            return REGRESSION
        return (*CLASSIFICATION, *(f"p:{name}" for name in self.classes), "problem")

    def to_json(self) -> list[dict[str, Any]]:
        """One dict per file, keyed by ``columns``: names for classes, None for what is unknown.

        Files that could not be read come last, with ``path`` and ``problem`` only. Elsewhere ``problem`` is
        None.
        """
        columns = self.columns
        return [dict(zip(columns, record, strict=True)) for record in self._records()]

    def to_csv(self, path: str | Path) -> None:
        """Write the table of ``to_json`` as CSV (UTF-8, RFC 4180), whole or not at all.

        Numbers are written so that they read back to the same bits; ``correct`` is 1 or 0; what is unknown is
        empty.
        """
        target = Path(path)
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            # File names that are not valid Unicode must survive too.
            with partial.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(self.columns)
                writer.writerows(map(_csv_cells, self._records()))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def from_csv(cls, path: str | Path, *, unit: str = "") -> Self:
        """Read what ``to_csv`` wrote. The file has no unit: pass it for regression.

        Raises ``DataError`` for a file that is missing or was not written by ``to_csv``.
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
        return cls(**_parsed(str(path), header, records), unit=unit)

    def _records(self) -> Iterator[list[Any]]:
        """The cells of each file, in the order of ``columns``."""
        rows = zip(self.paths, self.splits, self._named_targets(), self.outputs, strict=True)
        for path, split, target, output in rows:
            start, values = [path, split or None, target], output.tolist()
            if self.task == "regression":
                error = None if target is None else values[0] - target
                yield [*start, values[0], error, None]
            else:
                best = int(output.argmax())
                called = self.classes[best]
                correct = None if target is None else called == target
                yield [*start, called, values[best], correct, *values, None]
        for item in self.failed:
            yield [item.path, *[None] * (len(self.columns) - 2), item.reason]

    def _named_targets(self) -> list[Any]:
        """Class names or values, None where unknown."""
        if self.targets is None:
            return [None] * len(self)
        name = self.classes.__getitem__ if self.task == "classification" else float
        pairs = zip(self.known, self.targets.tolist(), strict=True)
        return [name(target) if known else None for known, target in pairs]

    def _only(self, task: Task, name: str) -> None:
        if self.task != task:
            raise InvalidArgument(f"`{name}` of Predictions exists for {task} only. This is {self.task}.")


def _check_count(argument: str, owner: str, value: int, *, least: int) -> None:
    if value < least:
        raise InvalidArgument(f"`{argument}` of {owner} must be an integer ≥ {least}. Got {value}.")


def _check_columns(table: Predictions) -> None:
    """Raise ``DataError`` unless the columns fit each other and the classes have names of their own."""
    names, n = list(table.classes), len(table.paths)
    width = 1 if table.task == "regression" else len(names)
    if table.task == "classification" and width < 2:
        raise DataError(f"Predictions of classes need two class names or more. Got {names}.")
    if len(set(names)) < len(names) or "" in names:
        raise DataError(f"Every class needs a name of its own. Got {names}.")
    targets = (n,) if table.targets is None else table.targets.shape
    if len(table.splits) != n or targets != (n,) or table.outputs.shape != (n, width):
        raise DataError(
            f"Predictions for {n} paths need {n} splits, targets ({n},) and outputs ({n}, {width}). "
            f"Got {len(table.splits)} splits, targets {targets} and outputs {table.outputs.shape}."
        )


def _check_outputs(table: Predictions) -> None:
    """Raise ``DataError`` at the first file whose output cannot be one."""
    bad = ~np.isfinite(table.outputs).all(axis=1)
    rule = "finite numbers"
    if table.task == "classification" and not bad.any():
        # Loose enough for a softmax computed in bfloat16, tight enough to catch logits.
        bad = (table.outputs < 0).any(axis=1) | (np.abs(table.outputs.sum(axis=1) - 1) > 0.01)
        rule = "probabilities that sum to 1"
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"{table.paths[row]}: the network's output must be {rule}. Got {table.outputs[row].tolist()[:5]}."
        )


def _check_targets(table: Predictions, targets: NDArray[Any]) -> None:
    """Raise ``DataError`` at the first file whose target cannot be one."""
    if table.task == "regression":
        bad, rule = np.isinf(targets), "a finite number"
    elif targets.dtype.kind not in "iu":
        raise DataError(f"The targets of a classifier must be class numbers (int64). Got {targets.dtype}.")
    else:
        bad, rule = targets >= len(table.classes), f"a class number below {len(table.classes)}"
    if bad.any():
        row = int(bad.argmax())
        raise DataError(f"{table.paths[row]}: the target must be {rule}. Got {targets[row]}.")


def _csv_cells(record: list[Any]) -> list[Any]:
    """Truth as 1 or 0; the csv module does the rest: None is empty, floats keep every bit."""
    return [int(cell) if isinstance(cell, bool) else cell for cell in record]


def _parsed(path: str, header: tuple[str, ...], records: list[tuple[int, list[str]]]) -> dict[str, Any]:
    """The fields of Predictions, without the unit, from the header and the (line, cells) of a CSV file."""
    classes = _header_classes(path, header)
    numbers = {name: number for number, name in enumerate(classes)}
    good: list[list[str]] = []
    failed, targets, outputs = [], [], []
    for line, record in records:
        if len(record) != len(header):
            raise DataError(f"{path}, line {line}: expected {len(header)} cells. Got {len(record)}.")
        if record[3] == "":  # nothing was predicted
            failed.append(Excluded(record[0], record[-1]))
            continue
        try:
            targets.append(_target(record[2], numbers))
            outputs.append([float(cell) for cell in (record[6:-1] if classes else record[3:4])])
        except ValueError as error:
            raise DataError(f"{path}, line {line}: {error}.") from error
        good.append(record)
    kind = np.int64 if classes else np.float64
    missing = good and all(record[2] == "" for record in good)
    return {
        "task": "classification" if classes else "regression",
        "paths": tuple(record[0] for record in good),
        "splits": tuple(record[1] for record in good),
        "outputs": np.asarray(outputs, dtype=np.float64).reshape(len(good), len(classes) or 1),
        "targets": None if missing else np.asarray(targets, dtype=kind),
        "classes": classes,
        "failed": tuple(failed),
    }


def _header_classes(path: str, header: tuple[str, ...]) -> tuple[str, ...]:
    """The class names in order; none for regression."""
    if header == REGRESSION:
        return ()
    names = header[len(CLASSIFICATION) : -1]
    whole = (*CLASSIFICATION, *names, "problem")
    if header != whole or not names or not all(name.startswith("p:") for name in names):
        raise DataError(
            f"{path}: not a table of predictions. Expected the columns {', '.join(CLASSIFICATION)}, "
            f"p:<class> …, problem, or {', '.join(REGRESSION)}. Got {', '.join(header) or 'an empty file'}."
        )
    return tuple(name.removeprefix("p:") for name in names)


def _target(cell: str, numbers: dict[str, int]) -> float:
    """A class number or a value; −1 or NaN where the cell is empty."""
    if cell == "":
        return UNKNOWN_CLASS if numbers else np.nan
    if numbers and cell not in numbers:
        raise ValueError(f"unknown class {cell!r}, expected one of {', '.join(sorted(numbers))}")
    return numbers[cell] if numbers else float(cell)
