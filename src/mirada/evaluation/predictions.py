"""The table of a network's outputs with file names, which every metric, plot and report reads."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mirada.data.index import Excluded, Index, Task
from mirada.data.splits import group_code
from mirada.errors import DataError, InvalidArgument
from mirada.evaluation.predictions_csv import columns_of, read_csv, records_of, write_csv


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """What a network says about each file, next to what is true.

    ``outputs`` (N, K): class probabilities, K = number of classes ≥ 2 also for networks with one sigmoid
    unit; for regression the predicted values (N, T) in ``unit``, T = 1 but for several numbers at once.
    ``targets``: class numbers or values (N,), or (N, T) for the T ``target_names``; a negative class number or NaN
    marks a row without target, None a table without any. ``splits`` says ``train``, ``val``, ``test`` or nothing
    per row. ``groups`` (none, or one per row, empty for a row of its own) marks rows that belong together, such as
    images of one patient. ``covariates`` (N, K) are the numbers of K ``covariate_names`` known beside
    the image. ``half_widths`` (N, T) are those of the intervals value ± half width, NaN where there is none.
    ``failed`` are the files that could not be read; they have no row. Outputs are kept as float64, targets as int64
    or float64.

    Raises ``DataError`` for columns that do not fit each other, names that are empty or occur twice,
    outputs that are not finite or no probabilities, and targets that are no class number or infinite.
    """

    task: Task
    paths: tuple[str, ...]
    splits: tuple[str, ...]
    outputs: NDArray[np.float64]
    targets: NDArray[np.int64] | NDArray[np.float64] | None = None
    classes: tuple[str, ...] = ()
    unit: str = ""
    target_names: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    covariates: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    covariate_names: tuple[str, ...] = ()
    half_widths: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    failed: tuple[Excluded, ...] = ()

    def __post_init__(self) -> None:
        if not self.covariate_names:
            object.__setattr__(self, "covariates", np.empty((len(self.paths), 0)))
        if not self.half_widths.size:
            object.__setattr__(self, "half_widths", np.full((len(self.paths), self._targets), np.nan))
        _check_columns(self)
        object.__setattr__(self, "outputs", self.outputs.astype(np.float64))
        _check_outputs(self)
        if self.targets is not None:
            _check_targets(self, self.targets)
            kind = np.int64 if self.task == "classification" else np.float64
            object.__setattr__(self, "targets", self.targets.astype(kind))

    @classmethod
    def of(
        cls,
        index: Index,
        outputs: NDArray[np.float64],
        *,
        half_widths: Sequence[float] = (),
        failed: Sequence[Excluded] = (),
    ) -> Self:
        """What a network says (N, K) about every sample of an index, with all that the index knows beside.

        ``half_widths``, one per target, are the same for all samples. Groups, whose names may tell who a patient is,
        are kept as the codes that stand in ``splits.csv``.
        """
        return cls(
            task=index.task,
            paths=index.paths,
            splits=tuple(index.splits.tolist()),
            outputs=outputs,
            targets=index.targets,
            classes=index.classes,
            unit=index.unit,
            target_names=index.target_names,
            groups=tuple(map(group_code, index.groups)),
            covariates=index.covariates,
            covariate_names=index.covariate_names,
            half_widths=np.tile(half_widths, (len(index), 1)),
            failed=tuple(failed),
        )

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def _targets(self) -> int:
        """The number of numbers that are predicted; 0 for classes."""
        return max(1, len(self.target_names)) if self.task == "regression" else 0

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether the target of a row is known, and all of them where there are several. (N,)"""
        if self.targets is None:
            return np.zeros(len(self), dtype=np.bool_)
        if self.task == "classification":
            return np.asarray(self.targets >= 0)
        return np.asarray(~np.isnan(self.values).any(axis=1))

    @property
    def values(self) -> NDArray[np.float64]:
        """The targets as (N, T), NaN where unknown. Raises ``InvalidArgument`` for classification."""
        self._only("regression", "values")
        missing = np.full(self.outputs.shape, np.nan)
        return (
            missing if self.targets is None else self.targets.reshape(self.outputs.shape).astype(np.float64)
        )

    @property
    def class_numbers(self) -> NDArray[np.int64]:
        """The targets (N,), negative where unknown. Raises ``InvalidArgument`` for regression."""
        self._only("classification", "class_numbers")
        missing = np.full(len(self), -1)
        return missing if self.targets is None else self.targets.astype(np.int64)

    @property
    def predicted(self) -> NDArray[np.int64] | NDArray[np.float64]:
        """The most probable class number (the lowest of equals), or the value: (N,), of several targets (N, T)."""
        if self.task == "classification":
            return np.asarray(self.outputs.argmax(axis=1))
        return self.outputs if len(self.target_names) > 1 else self.outputs[:, 0]

    @property
    def probability(self) -> NDArray[np.float64]:
        """The probability of the predicted class (N,). Raises ``InvalidArgument`` for regression."""
        self._only("classification", "probability")
        return np.asarray(self.outputs.max(axis=1))

    @property
    def error(self) -> NDArray[np.float64]:
        """Predicted − target, NaN without a target: (N,), of several targets (N, T).

        Raises ``InvalidArgument`` for classification.
        """
        self._only("regression", "error")
        errors = self.outputs - self.values
        return errors if len(self.target_names) > 1 else errors[:, 0]

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
        Regression: by |error|, largest first; of several targets, each |error| counts in shares of its mean.
        Rows without a target are left out.
        Raises ``InvalidArgument`` for n < 0.
        """
        _check_count("n", "most_wrong", n, least=0)
        if self.targets is None:
            return np.empty(0, dtype=np.int64)
        if self.task == "regression":
            rows = np.flatnonzero(self.known)
            sizes = np.abs(self.outputs[rows] - self.values[rows])
            usual = sizes.mean(axis=0) if sizes.shape[1] > 1 and len(rows) else np.ones(sizes.shape[1])
            order = -(sizes / np.where(usual > 0, usual, 1)).sum(axis=1)
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
            groups=tuple(self.groups[row] for row in chosen) if self.groups else (),
            covariates=self.covariates[chosen],
            half_widths=self.half_widths[chosen],
        )

    @classmethod
    def joined(cls, tables: Sequence[Self]) -> Self:
        """The rows of several tables of the same columns, one table after the other."""
        first = tables[0]
        known: list[NDArray[Any]] = [table.targets for table in tables if table.targets is not None]
        return replace(
            first,
            paths=tuple(chain.from_iterable(table.paths for table in tables)),
            splits=tuple(chain.from_iterable(table.splits for table in tables)),
            outputs=np.concatenate([table.outputs for table in tables]),
            targets=np.concatenate(known) if known else None,
            groups=tuple(chain.from_iterable(table.groups for table in tables)),
            covariates=np.concatenate([table.covariates for table in tables]),
            half_widths=np.concatenate([table.half_widths for table in tables]),
            failed=tuple(dict.fromkeys(chain.from_iterable(table.failed for table in tables))),
        )

    def of_split(self, split: str) -> Self:
        """The rows of one split. ``failed`` stays whole: files that could not be read carry no split."""
        return self.take([row for row, own in enumerate(self.splits) if own == split])

    @property
    def columns(self) -> tuple[str, ...]:
        """The header of ``to_csv`` and the keys of ``to_json``."""
        return columns_of(self)

    def to_json(self) -> list[dict[str, Any]]:
        """One dict per file, keyed by ``columns``: names for classes, None for what is unknown.

        Files that could not be read come last, with ``path`` and ``problem`` only. Elsewhere ``problem`` is
        None.
        """
        columns = self.columns
        return [dict(zip(columns, record, strict=True)) for record in records_of(self)]

    def to_csv(self, path: str | Path) -> None:
        """Write the table of ``to_json`` as CSV (UTF-8, RFC 4180), whole or not at all.

        Numbers are written so that they read back to the same bits; ``correct`` is 1 or 0; what is unknown is
        empty. ``half_width`` is that of the interval around a number. Several targets have columns of their own,
        ``target:<name>`` and so on; covariates are in ``c:<name>``, groups in ``group``.
        """
        write_csv(Path(path), self)

    @classmethod
    def from_csv(cls, path: str | Path, *, unit: str = "") -> Self:
        """Read what ``to_csv`` wrote. The file has no unit: pass it for regression.

        Raises ``DataError`` for a file that is missing or was not written by ``to_csv``.
        """
        return cls(**read_csv(str(path)), unit=unit)

    def _only(self, task: Task, name: str) -> None:
        if self.task != task:
            raise InvalidArgument(f"`{name}` of Predictions exists for {task} only. This is {self.task}.")


def _check_count(argument: str, owner: str, value: int, *, least: int) -> None:
    if value < least:
        raise InvalidArgument(f"`{argument}` of {owner} must be an integer ≥ {least}. Got {value}.")


def _check_columns(table: Predictions) -> None:
    """Raise ``DataError`` unless the columns fit each other and the classes have names of their own."""
    n = len(table.paths)
    if table.task == "classification" and len(table.classes) < 2:
        raise DataError(f"Predictions of classes need two class names or more. Got {list(table.classes)}.")
    _check_names("class", table.classes)
    _check_names("target", table.target_names)
    _check_names("covariate", table.covariate_names)
    width = len(table.classes) or table._targets
    expected = (n, width) if table.task == "regression" and width > 1 else (n,)
    targets = expected if table.targets is None else table.targets.shape
    if len(table.splits) != n or targets != expected or table.outputs.shape != (n, width):
        raise DataError(
            f"Predictions for {n} paths need {n} splits, targets {expected} and outputs ({n}, {width}). "
            f"Got {len(table.splits)} splits, targets {targets} and outputs {table.outputs.shape}."
        )
    beside, widths = (n, len(table.covariate_names)), (n, table._targets)
    if (
        len(table.groups) not in (0, n)
        or table.covariates.shape != beside
        or table.half_widths.shape != widths
    ):
        raise DataError(
            f"Predictions for {n} paths need no groups or {n}, covariates {beside} and half widths {widths}. "
            f"Got {len(table.groups)} groups, covariates {table.covariates.shape} and half widths "
            f"{table.half_widths.shape}."
        )


def _check_names(what: str, names: Sequence[str]) -> None:
    if len(set(names)) < len(names) or "" in names:
        raise DataError(f"Every {what} needs a name of its own. Got {list(names)}.")


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
        bad, rule = np.isinf(table.values).any(axis=1), "a finite number"
    elif targets.dtype.kind not in "iu":
        raise DataError(f"The targets of a classifier must be class numbers (int64). Got {targets.dtype}.")
    else:
        bad, rule = targets >= len(table.classes), f"a class number below {len(table.classes)}"
    if bad.any():
        row = int(bad.argmax())
        raise DataError(f"{table.paths[row]}: the target must be {rule}. Got {targets[row]}.")
