"""The table of a network's outputs with file names, which every metric, plot and report reads; as CSV and JSON, too."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from math import isnan
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mirada.codec import Json
from mirada.data.index import Index
from mirada.data.splits import group_code
from mirada.errors import DataError, InvalidArgument
from mirada.evaluation.columns import (
    CLASS,
    CLASSIFICATION,
    MANY,
    RANKED,
    SPREAD,
    TOP,
    Neighbour,
    columns_beside,
    number_columns,
    read_csv,
    similar_columns,
)
from mirada.evaluation.threshold import Threshold
from mirada.files import json_text, replacing
from mirada.samples import Classes, Excluded, Numbers, Samples, Target
from mirada.text import NOTHING, csv_cell, html_table, number, percent

SHOWN = 10  # rows in a notebook


def _notebook_table(predictions: "Predictions") -> str:
    """What a notebook shows: the first rows."""
    shown = predictions.take(np.arange(min(len(predictions), SHOWN)))
    if isinstance(predictions.target, Classes):
        header = ["file", "is", "predicted", "probability"]
        names = [*predictions.target.names, NOTHING]  # -1 is unknown
        answers = zip(shown.class_numbers, shown.predicted, shown.probability, strict=True)
        cells = [[names[max(true, -1)], names[said], percent(share)] for true, said, share in answers]
    else:
        header = [
            "file",
            *(f"{name} {kind}".strip() for kind in ("is", "predicted") for name in predictions.target.names),
        ]
        pairs = zip(shown.values, shown.outputs, strict=True)
        cells = [[number(value) for value in (*true, *said)] for true, said in pairs]
    rows = [[path, *row] for path, row in zip(shown.paths, cells, strict=True)]
    caption = f"{len(shown):,} of {len(predictions):,} predictions" if len(predictions) > SHOWN else ""
    return html_table(header, rows, caption=caption)


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions(Samples):
    """What a network says about each file, next to what is true: ``Samples`` with outputs.

    Args:
        outputs: Class probabilities (N, K), K ≥ 2 also for networks with one sigmoid unit; for numbers the predicted
            values (N, T) in their unit. Kept as float64.
        half_widths: Those of the intervals value ± half width (N, T), NaN where there is none.
        spreads: Of an ensemble the standard deviation among its networks, (N, 1) of the answer's probability or (N, T).
        trained_on: Whether the network was trained on the image (N,), as far as its model file knows.
        called: What a threshold makes of each row, its class or what the rest is called: none, or one per row.
        similar: The training images that it finds most similar, the nearest first: none, or some per row.
        failed: The files that could not be read; they have no row.

    The others are those of ``Samples``; a group is "" for a row of its own.

    Raises:
        DataError: Columns do not fit, names are empty or occur twice, or an output or a target cannot be one.
    """

    PER_ROW = (*Samples.PER_ROW, "outputs", "half_widths", "spreads", "trained_on", "called", "similar")
    _repr_html_ = _notebook_table
    outputs: NDArray[np.float64]
    half_widths: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    spreads: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    trained_on: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, dtype=np.bool_))
    called: tuple[str, ...] = ()
    similar: tuple[tuple[Neighbour, ...], ...] = ()
    failed: tuple[Excluded, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        _fill(self)
        _check_columns(self)
        _check_outputs(self)
        _check_targets(self)

    @classmethod
    def of(
        cls,
        index: Index,
        outputs: NDArray[np.float64],
        *,
        half_widths: Sequence[float] = (),
        spreads: NDArray[np.float64] | None = None,
        trained_on: NDArray[np.bool_] | None = None,
        failed: Sequence[Excluded] = (),
    ) -> Self:
        """What a network says about every sample of an index, with all that the index says of it.

        Args:
            index: The samples. Groups, whose names may tell who a patient is, become the codes of ``splits.csv``.
            outputs: Class probabilities (N, K), or values (N, T) in their unit.
            half_widths: Those of the intervals, one per target, the same for all samples; none without intervals.
            spreads: Those among the networks of an ensemble, (N, 1) or (N, T); none for one network.
            trained_on: Whether the network was trained on each image (N,); by default on none.
            failed: The files that could not be read; they have no row.

        Returns:
            A row per sample of the index.
        """
        return cls(
            paths=index.paths,
            splits=index.splits,
            target=index.target,
            targets=index.targets,
            groups=tuple(map(group_code, index.groups)),
            covariate_specs=index.covariate_specs,
            covariates=index.covariates,
            by=index.by,
            by_names=index.by_names,
            outputs=outputs,
            half_widths=np.tile(half_widths, (len(index), 1)),
            spreads=np.empty((0, 0)) if spreads is None else spreads,
            trained_on=np.empty(0, dtype=np.bool_) if trained_on is None else trained_on,
            failed=tuple(failed),
        )

    @property
    def values(self) -> NDArray[np.float64]:
        """The targets as (N, T), NaN where unknown. Raises ``InvalidArgument`` for classification."""
        _require_task(self, Numbers, "values")
        return self.targets.astype(np.float64)

    @property
    def class_numbers(self) -> NDArray[np.int64]:
        """The targets (N,), negative where unknown. Raises ``InvalidArgument`` for regression."""
        _require_task(self, Classes, "class_numbers")
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
        _require_task(self, Classes, "probability")
        return np.asarray(self.outputs.max(axis=1))

    @property
    def error(self) -> NDArray[np.float64]:
        """Predicted − target: (N,), or (N, T); NaN where unknown. Raises ``InvalidArgument`` for classification."""
        _require_task(self, Numbers, "error")
        errors = self.outputs - self.values
        return errors if len(self.target_names) > 1 else errors[:, 0]

    def top(self, k: int) -> NDArray[np.int64]:
        """The most probable classes of each image.

        Args:
            k: How many.

        Returns:
            Class numbers (N, min(k, K)), best first, equals by number.

        Raises:
            InvalidArgument: For regression, or k < 1.
        """
        _require_task(self, Classes, "top")
        _check_count("k", "top", k, least=1)
        return np.argsort(-self.outputs, axis=1, kind="stable")[:, :k]

    def most_wrong(self, n: int) -> NDArray[np.int64]:
        """The worst mistakes; rows without a target are left out.

        Classification: misclassified rows only, by the probability given to the true class, lowest first.
        Regression: by |error|, largest first; of several targets, each |error| counts in shares of its mean.

        Args:
            n: How many at most.

        Returns:
            Row numbers, worst first, equals in order of the rows.

        Raises:
            InvalidArgument: For n < 0.
        """
        _check_count("n", "most_wrong", n, least=0)
        return _mistakes(self)[:n]

    def most_uncertain(self, n: int) -> NDArray[np.int64]:
        """The images with the smallest margins between the two best probabilities.

        Args:
            n: How many at most.

        Returns:
            Row numbers, equals in order of the rows.

        Raises:
            InvalidArgument: For regression, or n < 0.
        """
        _require_task(self, Classes, "most_uncertain")
        _check_count("n", "most_uncertain", n, least=0)
        best = np.partition(self.outputs, -2, axis=1)
        return np.argsort(best[:, -1] - best[:, -2], kind="stable")[:n]

    @classmethod
    def joined(cls, tables: Sequence[Self]) -> Self:
        """The rows of several tables of the same columns, one table after the other.

        Args:
            tables: At least one.

        Returns:
            One table; a file that failed in several of them is in ``failed`` once.
        """
        failed = dict.fromkeys(chain.from_iterable(table.failed for table in tables))
        return replace(super().joined(tables), failed=tuple(failed))

    def of_split(self, split: str) -> Self:
        """The rows of one split, in their order; ``failed`` stays whole: files that were not read carry no split.

        Args:
            split: ``train``, ``val`` or ``test``.

        Returns:
            Predictions of those rows alone.
        """
        return self.take(self.rows(split))

    @property
    def columns(self) -> tuple[str, ...]:
        """The header of ``to_csv`` and the keys of ``to_json``."""
        return _columns_of(self, all_classes=False)

    def to_json(self, *, all_classes: bool = False) -> list[dict[str, Json]]:
        """The table as plain values that JSON can hold.

        Args:
            all_classes: Of more than 50 classes, the probability of each, and not of the five most probable only.

        Returns:
            One dict per file: names for classes, None for what is unknown. Files that could not be read come last, with
            ``path`` and ``problem`` only; elsewhere ``problem`` is None.
        """
        return list(_records(self, all_classes))

    def write_json(self, path: str | Path, *, all_classes: bool = False) -> None:
        """Write ``to_json`` as a file, whole or not at all, a record at a time: all may not fit into memory.

        Args:
            path: The file.
            all_classes: As for ``to_json``.

        Raises:
            OSError: The file cannot be written.
        """
        with replacing(Path(path)) as draft, draft.open("w", encoding="utf-8") as file:
            file.writelines(_json_parts(_records(self, all_classes)))

    def to_csv(self, path: str | Path, *, all_classes: bool = False) -> None:
        """Write the table of ``to_json`` as CSV (UTF-8, RFC 4180), whole or not at all.

        Numbers read back to the same bits; ``correct`` is 1 or 0; what is unknown is empty. ``half_width`` is that of
        the interval around a number; ``spread`` there is of an ensemble; ``similar_1``, ``cosine_1`` … where similar
        images were looked for. Several targets have columns of their own, ``target:<name>`` …; covariates are in
        ``c:<name>``. Texts that a spreadsheet would take for a formula have an apostrophe before them.

        Args:
            path: The file.
            all_classes: As for ``to_json``; ``from_csv`` needs it.

        Raises:
            OSError: The file cannot be written.
        """
        header, rows = _columns_of(self, all_classes), _cells_of(self, all_classes)
        with replacing(Path(path)) as draft:
            _write_csv(draft, chain([map(csv_cell, header)], map(_csv_cells, rows)))

    @classmethod
    def from_csv(cls, path: str | Path, *, unit: str = "") -> Self:
        """Read what ``to_csv`` wrote.

        Args:
            path: The file.
            unit: That of numbers, which the file does not have.

        Returns:
            The table, to the same bits, but for ``trained_on`` and ``by``, which the file does not have.

        Raises:
            DataError: The file is missing, was not written by ``to_csv``, or has the most probable classes only.
        """
        table = cls(**read_csv(str(path)))
        target = table.target
        return replace(table, target=replace(target, unit=unit)) if isinstance(target, Numbers) else table


def called_at(table: Predictions, threshold: Threshold) -> Predictions:
    """A table with what a threshold makes of each row; the answers stay what they were, the most probable class.

    Args:
        table: Of classes.
        threshold: Of one of them.

    Returns:
        The table with the column ``called``.

    Raises:
        InvalidArgument: For regression, or a class that is not there.
    """
    _require_task(table, Classes, "called_at")
    other = threshold.other(table.classes)
    calls = threshold.calls(table.classes, table.outputs).tolist()
    return replace(table, called=tuple(threshold.positive if call else other for call in calls))


def spread_columns(table: Predictions) -> tuple[str, ...]:
    """``spread``, or one for each of several numbers; none where a single network answered."""
    if np.isnan(table.spreads).all():
        return ()
    return tuple(f"{SPREAD}:{name}" for name in table.target_names) or (SPREAD,)


def _fill(table: Predictions) -> None:
    """Columns of which nothing is known; outputs become float64."""
    object.__setattr__(table, "outputs", table.outputs.astype(np.float64))
    n, numbers = len(table.paths), _count_of_numbers(table)
    unknown: dict[str, NDArray[Any]] = {
        "half_widths": np.full((n, numbers), np.nan),
        "spreads": np.full((n, max(1, numbers)), np.nan),
        "trained_on": np.zeros(n, dtype=np.bool_),
    }
    for name, values in unknown.items():
        if not getattr(table, name).size:
            object.__setattr__(table, name, values)


def _records(table: Predictions, all_classes: bool) -> Iterator[dict[str, Any]]:
    columns = _columns_of(table, all_classes)
    return (dict(zip(columns, cells, strict=True)) for cells in _cells_of(table, all_classes))


def _json_parts(records: Iterator[dict[str, Any]]) -> Iterator[str]:
    """The text of a file of records, in the form of ``files.write_json``."""
    before = "[\n "
    for record in records:
        yield before + json_text(record, indent=1).replace("\n", "\n ")
        before = ",\n "
    yield "[]\n" if before.startswith("[") else "\n]\n"


def _mistakes(table: Predictions) -> NDArray[np.int64]:
    """Row numbers of the mistakes, the worst first, as ``most_wrong`` says."""
    if isinstance(table.target, Numbers):
        rows = np.flatnonzero(table.known)
        sizes = np.abs(table.outputs[rows] - table.values[rows])
        usual = sizes.mean(axis=0) if sizes.shape[1] > 1 and len(rows) else np.ones(sizes.shape[1])
        order = -(sizes / np.where(usual > 0, usual, 1)).sum(axis=1)
    else:
        rows = np.flatnonzero(table.known & (table.predicted != table.targets))
        order = table.outputs[rows, table.targets[rows].astype(np.int64)]
    return rows[np.argsort(order, kind="stable")]


def _write_csv(draft: Path, rows: Iterable[Iterable[object]]) -> None:
    # File names that are not valid Unicode must survive too.
    with draft.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        csv.writer(file).writerows(rows)


def _count_of_numbers(table: Predictions) -> int:
    """How many numbers are predicted; 0 for classes."""
    return len(table.target.names) if isinstance(table.target, Numbers) else 0


def _require_task(table: Predictions, kind: type[Target], name: str) -> None:
    if not isinstance(table.target, kind):
        raise InvalidArgument(f"`{name}` of Predictions exists for {kind().task} only. This is {table.task}.")


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
    expected, widths = (n, table.target.width), (n, _count_of_numbers(table))
    if table.outputs.shape != expected or table.half_widths.shape != widths:
        raise DataError(
            f"Predictions for {n} paths need outputs {expected} and half widths {widths}. "
            f"Got outputs {table.outputs.shape} and half widths {table.half_widths.shape}."
        )
    for name, column in (("similar images", table.similar), ("calls", table.called)):
        if len(column) not in (0, n):
            raise DataError(f"Predictions for {n} paths cannot have {name} of {len(column)}.")
    if table.spreads.shape != (n, max(1, _count_of_numbers(table))):
        raise DataError(f"Predictions for {n} paths cannot have spreads {table.spreads.shape}.")


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


def _columns_of(table: Predictions, all_classes: bool) -> tuple[str, ...]:
    """The header of the table: what is known of each file, then ``problem``."""
    beside = columns_beside(
        spread_columns(table),
        bool(table.called),
        similar_columns(table.similar),
        bool(table.groups),
        table.covariate_names,
    )
    match table.target:
        case Classes(names) if len(names) <= MANY or all_classes:
            return (*CLASSIFICATION, *(f"{CLASS}{name}" for name in names), *beside)
        case Classes():
            next_ones = (f"{column}:{rank}" for rank in range(2, TOP + 1) for column in RANKED)
            return (*CLASSIFICATION, *next_ones, *beside)
        case Numbers():
            return (*number_columns(table.target_names), *beside)


def _cells_of(table: Predictions, all_classes: bool) -> Iterator[list[Any]]:
    """The cells of each file, in the order of the columns; None for what is unknown, and last those that failed."""
    match table.target:
        case Classes(names):
            whole = len(names) <= MANY or all_classes
            cells: Iterable[list[Any]] = (_class_cells(table, row, whole) for row in range(len(table)))
        case Numbers():
            cells = map(_value_cells, *(x.tolist() for x in (table.values, table.outputs, table.half_widths)))
    several = bool(spread_columns(table))  # networks
    width = len(similar_columns(table.similar))
    for row, (path, own) in enumerate(zip(table.paths, cells, strict=True)):
        spread = map(_number, table.spreads[row].tolist() if several else [])
        called = [table.called[row]] if table.called else []
        group = [table.groups[row]] if table.groups else []
        covariates = map(_number, table.covariates[row].tolist())
        similar = _similar_cells(table.similar[row], width) if width else []
        yield [
            path,
            str(table.splits[row]) or None,
            *own,
            *spread,
            *called,
            *similar,
            *group,
            *covariates,
            None,
        ]
    empty = [None] * (len(_columns_of(table, all_classes)) - 2)
    for item in table.failed:
        yield [item.path, *empty, item.reason]


def _class_cells(table: Predictions, row: int, whole: bool) -> list[Any]:
    own, names = table.outputs[row], table.classes
    best = int(own.argmax())
    number = int(table.targets[row])
    target = names[number] if number >= 0 else None
    cells = [target, names[best], float(own[best]), None if target is None else number == best]
    if whole:
        return [*cells, *own.tolist()]
    following = np.argsort(-own, kind="stable")[1:TOP].tolist()
    return [*cells, *chain.from_iterable((names[place], float(own[place])) for place in following)]


def _value_cells(
    targets: Sequence[float], outputs: Sequence[float], half_widths: Sequence[float]
) -> list[Any]:
    cells: list[Any] = []
    for target, output, half_width in zip(targets, outputs, half_widths, strict=True):
        known = _number(target)
        cells += [known, output, None if known is None else output - known, _number(half_width)]
    return cells


def _similar_cells(neighbours: Sequence[Neighbour], width: int) -> list[Any]:
    cells = [cell for each in neighbours for cell in (each.path, each.cosine)]
    return cells + [None] * (width - len(cells))


def _number(value: float) -> float | None:
    return None if isnan(value) else value


def _csv_cells(record: list[Any]) -> list[Any]:
    """Truth as 1 or 0, texts that no spreadsheet calculates; None is empty, floats keep every bit."""
    return [
        csv_cell(cell) if isinstance(cell, str) else int(cell) if isinstance(cell, bool) else cell
        for cell in record
    ]
