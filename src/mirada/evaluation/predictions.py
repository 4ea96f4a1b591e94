"""The table of a network's outputs with file names, which every metric, plot and report reads."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mirada.data.index import Index
from mirada.data.splits import group_code
from mirada.errors import DataError, InvalidArgument
from mirada.evaluation.predictions_csv import columns_of, read_csv, records_of, write_csv
from mirada.samples import Classes, Excluded, Numbers, Samples, Target


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions(Samples):
    """What a network says about each file, next to what is true: ``Samples`` with outputs.

    Args:
        outputs: Class probabilities (N, K), K ≥ 2 also for networks with one sigmoid unit; for numbers the predicted
            values (N, T) in their unit. Kept as float64.
        half_widths: Those of the intervals value ± half width (N, T), NaN where there is none.
        trained_on: Whether the network was trained on the image (N,), as far as its model file knows.
        failed: The files that could not be read; they have no row.

    The others are those of ``Samples``; a group is "" for a row of its own. Raises ``DataError`` for columns that do
    not fit each other, names that are empty or occur twice, outputs that are not finite or no probabilities, and
    targets that are no class number or infinite.
    """

    PER_ROW = (*Samples.PER_ROW, "outputs", "half_widths", "trained_on")

    outputs: NDArray[np.float64]
    half_widths: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    trained_on: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, dtype=np.bool_))
    failed: tuple[Excluded, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.half_widths.size:
            object.__setattr__(self, "half_widths", np.full((len(self.paths), self._numbers), np.nan))
        if not self.trained_on.size:
            object.__setattr__(self, "trained_on", np.zeros(len(self.paths), dtype=np.bool_))
        _check_columns(self)
        object.__setattr__(self, "outputs", self.outputs.astype(np.float64))
        _check_outputs(self)
        _check_targets(self)

    @classmethod
    def of(
        cls,
        index: Index,
        outputs: NDArray[np.float64],
        *,
        half_widths: Sequence[float] = (),
        trained_on: NDArray[np.bool_] | None = None,
        failed: Sequence[Excluded] = (),
    ) -> Self:
        """What a network says (N, K) about every sample of an index, with all that the index knows beside.

        ``half_widths``, one per target, are the same for all samples. Groups, whose names may tell who a patient is,
        are kept as the codes that stand in ``splits.csv``.
        """
        return cls(
            paths=index.paths,
            splits=index.splits,
            target=index.target,
            targets=index.targets,
            groups=tuple(map(group_code, index.groups)),
            covariate_specs=index.covariate_specs,
            covariates=index.covariates,
            outputs=outputs,
            half_widths=np.tile(half_widths, (len(index), 1)),
            trained_on=np.zeros(len(index), dtype=np.bool_) if trained_on is None else trained_on,
            failed=tuple(failed),
        )

    @property
    def _numbers(self) -> int:
        """How many numbers are predicted; 0 for classes."""
        return len(self.target.names) if isinstance(self.target, Numbers) else 0

    @property
    def values(self) -> NDArray[np.float64]:
        """The targets as (N, T), NaN where unknown. Raises ``InvalidArgument`` for classification."""
        self._only(Numbers, "values")
        return self.targets.astype(np.float64)

    @property
    def class_numbers(self) -> NDArray[np.int64]:
        """The targets (N,), negative where unknown. Raises ``InvalidArgument`` for regression."""
        self._only(Classes, "class_numbers")
        return self.targets.astype(np.int64)

    @property
    def predicted(self) -> NDArray[np.int64] | NDArray[np.float64]:
        """The most probable class number (the lowest of equals), or the value: (N,), of several targets (N, T)."""
        if isinstance(self.target, Classes):
            return np.asarray(self.outputs.argmax(axis=1))
        return self.outputs if len(self.target_names) > 1 else self.outputs[:, 0]

    @property
    def probability(self) -> NDArray[np.float64]:
        """The probability of the predicted class (N,). Raises ``InvalidArgument`` for regression."""
        self._only(Classes, "probability")
        return np.asarray(self.outputs.max(axis=1))

    @property
    def error(self) -> NDArray[np.float64]:
        """Predicted − target, NaN without a target: (N,), of several targets (N, T).

        Raises ``InvalidArgument`` for classification.
        """
        self._only(Numbers, "error")
        errors = self.outputs - self.values
        return errors if len(self.target_names) > 1 else errors[:, 0]

    def top(self, k: int) -> NDArray[np.int64]:
        """The k most probable class numbers, best first, equals by number: (N, min(k, K)).

        Raises ``InvalidArgument`` for regression or k < 1.
        """
        self._only(Classes, "top")
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
        if isinstance(self.target, Numbers):
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
        self._only(Classes, "most_uncertain")
        _check_count("n", "most_uncertain", n, least=0)
        best = np.partition(self.outputs, -2, axis=1)
        return np.argsort(best[:, -1] - best[:, -2], kind="stable")[:n]

    @classmethod
    def joined(cls, tables: Sequence[Self]) -> Self:
        """The rows of several tables of the same columns, one table after the other; a file failed once."""
        failed = dict.fromkeys(chain.from_iterable(table.failed for table in tables))
        return replace(super().joined(tables), failed=tuple(failed))

    def of_split(self, split: str) -> Self:
        """The rows of one split. ``failed`` stays whole: files that could not be read carry no split."""
        return self.take(self.rows(split))

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
        table = cls(**read_csv(str(path)))
        match table.target:
            case Numbers() as numbers:
                return replace(table, target=replace(numbers, unit=unit))
            case _:
                return table

    def _only(self, kind: type[Target], name: str) -> None:
        if not isinstance(self.target, kind):
            raise InvalidArgument(
                f"`{name}` of Predictions exists for {kind().task} only. This is {self.task}."
            )


def _check_count(argument: str, owner: str, value: int, *, least: int) -> None:
    if value < least:
        raise InvalidArgument(f"`{argument}` of {owner} must be an integer ≥ {least}. Got {value}.")


def _check_columns(table: Predictions) -> None:
    """Raise ``DataError`` unless the columns fit each other and the classes have names of their own."""
    n = len(table.paths)
    if isinstance(table.target, Classes) and len(table.classes) < 2:
        raise DataError(f"Predictions of classes need two class names or more. Got {list(table.classes)}.")
    _check_names("class", table.classes)
    _check_names("target", table.target_names)
    _check_names("covariate", table.covariate_names)
    expected, widths = (n, table.target.width), (n, table._numbers)
    if table.outputs.shape != expected or table.half_widths.shape != widths:
        raise DataError(
            f"Predictions for {n} paths need outputs {expected} and half widths {widths}. "
            f"Got outputs {table.outputs.shape} and half widths {table.half_widths.shape}."
        )


def _check_names(what: str, names: Sequence[str]) -> None:
    if len(set(names)) < len(names) or "" in names:
        raise DataError(f"Every {what} needs a name of its own. Got {list(names)}.")


def _check_outputs(table: Predictions) -> None:
    """Raise ``DataError`` at the first file whose output cannot be one."""
    bad = ~np.isfinite(table.outputs).all(axis=1)
    rule = "finite numbers"
    if isinstance(table.target, Classes) and not bad.any():
        # Loose enough for a softmax computed in bfloat16, tight enough to catch logits.
        bad = (table.outputs < 0).any(axis=1) | (np.abs(table.outputs.sum(axis=1) - 1) > 0.01)
        rule = "probabilities that sum to 1"
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"{table.paths[row]}: the network's output must be {rule}. Got {table.outputs[row].tolist()[:5]}."
        )


def _check_targets(table: Predictions) -> None:
    """Raise ``DataError`` at the first file whose target cannot be one."""
    targets = table.targets
    match table.target:
        case Classes(names):
            bad, rule = targets >= len(names), f"a class number below {len(names)}"
        case Numbers():
            bad, rule = np.asarray(np.isinf(targets).any(axis=1)), "a finite number"
    if bad.any():
        row = int(bad.argmax())
        raise DataError(f"{table.paths[row]}: the target must be {rule}. Got {np.squeeze(targets[row])}.")
