"""Reads a run folder, finished or not, and checks every file of it. Pictures stay what they are: files beside."""

import csv
import io
import json
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any, TypeVar

from mirada.codec import BadRecord, from_json
from mirada.errors import DataError, reason_of
from mirada.evaluation.conformal import Conformal
from mirada.evaluation.evaluate import Evaluation
from mirada.events import Beginning, BestEpoch, Event, FoldStarted, SeedStarted, Stopped
from mirada.runs.folder import EVENTS, GRADIENTS, INTERVALS, KINDS, MODEL, RESULTS
from mirada.runs.records import (
    CellRecord,
    DataRecord,
    EnvironmentRecord,
    MapRecord,
    NetworkRecord,
    SheetRecord,
)
from mirada.text import csv_value

T = TypeVar("T")

COLUMNS = ("epoch", "seconds", "images_per_second", "lr", "train_loss", "val_loss")  # of results.csv
PREDICTIONS = ("path", "split", "target", "predicted")  # of predictions.csv
SPLITS = ("val", "test")  # of evaluation.json


@dataclass(frozen=True)
class Prediction:
    """One row of ``predictions.csv``. ``wrong`` is how far off it is: the probability given to a wrong class (0 if
    right) for classification, predicted − target in the target's unit for regression. Of several targets each has
    one, named by ``column``. ``spread`` is that among several networks, NaN where there is none."""

    path: str
    split: str
    target: str
    predicted: str
    wrong: float
    column: str = ""
    spread: float = nan


@dataclass(frozen=True, kw_only=True)
class RunContents:
    """What is in a run folder, checked. ``None`` marks an optional file that is not there.

    Args:
        folder: The run folder.
        recipe: All settings, as TOML has them.
        environment: Where the run was made, and by which command.
        data: What was trained on.
        network: What was trained.
        epochs: The rows of ``results.csv``, the finished epochs.
        gradients: Of every epoch that was watched the norm of each layer's gradient, from the input to the output.
        events: What happened, in order.
        evaluation: How well it does, by split.
        predictions: The rows whose target is known.
        maps: The explained images.
        cells: Of the confusion matrix, those with pictures; runs of older versions have none.
        has_samples: Whether there is a picture of training images.
        sheet: What it shows.
        has_model: Whether a model was kept.
        intervals: Of a cross-validation of numbers, those for the mean of its networks.
        notices: Sentences on lines that were cut while they were being written.
    """

    folder: Path
    recipe: dict[str, Any]
    environment: EnvironmentRecord
    data: DataRecord
    network: NetworkRecord
    epochs: list[dict[str, float]]
    gradients: dict[int, dict[str, float]]
    events: list[Event]
    evaluation: dict[str, Evaluation] | None
    predictions: list[Prediction] | None
    maps: tuple[MapRecord, ...] | None
    cells: tuple[CellRecord, ...]
    has_samples: bool
    sheet: SheetRecord | None
    has_model: bool
    intervals: Conformal | None
    notices: tuple[str, ...]

    @property
    def best(self) -> int | None:
        """The epoch whose weights were kept."""
        named = [event.epoch for event in self.events if isinstance(event, BestEpoch)]
        return next((int(row["epoch"]) for row in self.epochs if row["epoch"] in named[-1:]), None)

    @property
    def beginnings(self) -> list[str]:
        """What the network started with besides random weights, and what of it was kept, a line each."""
        told = (event.text for event in self.events if isinstance(event, Beginning))
        return [line.strip() for text in told for line in text.splitlines()]

    @property
    def begun(self) -> FoldStarted | SeedStarted | None:
        """The fold, or the run of several seeds, that began last; None for a single run."""
        return last_begun(self.events)

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of the folds, or of the runs of several seeds, that are not finished; none for a single run."""
        return unfinished(self.begun, self.data)

    @property
    def ending(self) -> Stopped | None:
        """How training ended; None if that is not recorded: it was killed, or still runs."""
        return next((event for event in reversed(self.events) if isinstance(event, Stopped)), None)


def last_begun(events: Sequence[Event]) -> FoldStarted | SeedStarted | None:
    """The fold, or the run of several seeds, that began last; None for a single run."""
    return next((each for each in reversed(events) if isinstance(each, FoldStarted | SeedStarted)), None)


def unfinished(begun: FoldStarted | SeedStarted | None, data: DataRecord) -> tuple[str, ...]:
    """The names of the folds, or of the runs of several seeds, that are not finished, from the one begun last."""
    match begun:
        case FoldStarted():
            planned = [f"fold-{number}" for number in range(1, begun.folds + 1)]
        case SeedStarted():
            first = begun.seed - begun.number + 1
            planned = [f"seed-{seed}" for seed in range(first, first + begun.seeds)]
        case None:
            planned = []
    done = {member.folder for member in (*data.folds, *data.seeds)}
    return tuple(name for name in planned if name not in done)


def missing_members(folder: Path, data: DataRecord) -> tuple[str, ...]:
    """The names of the folds, or of the runs of several seeds, that are not finished; none for a single run.

    Raises:
        DataError: ``events.jsonl`` is missing or damaged.
    """
    events, _ = read_events(folder / EVENTS)
    return unfinished(last_begun(events), data)


def read_run(folder: Path) -> RunContents:
    """Reads all files of a run folder.

    Raises:
        DataError: if a file that is written at the start is missing, or any file is damaged; it names the file.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such run folder. Give the folder that `mirada train` wrote.")
    data = read_record(folder / "data.json", DataRecord)
    epochs, cut_results = _optional(folder / RESULTS, read_results) or ([], False)
    events, cut_events = read_events(folder / EVENTS)
    return RunContents(
        folder=folder,
        recipe=_read_text(folder / "recipe.toml", tomllib.loads),
        environment=read_record(folder / "environment.json", EnvironmentRecord),
        data=data,
        network=read_record(folder / "model.json", NetworkRecord),
        epochs=epochs,
        gradients=_optional(folder / GRADIENTS, read_gradients) or {},
        events=events,
        evaluation=_optional(folder / "evaluation.json", lambda file: read_evaluation(file, data)),
        predictions=_optional(
            folder / "predictions.csv", lambda file: read_predictions(file, numeric=data.numeric)
        ),
        maps=_optional(folder / "maps.json", read_maps),
        cells=_optional(folder / "cells.json", read_cells) or (),
        has_samples=(folder / "samples.jpg").exists(),
        sheet=_optional(folder / "samples.json", lambda file: read_record(file, SheetRecord)),
        has_model=(folder / MODEL).exists(),
        intervals=_optional(folder / INTERVALS, lambda file: read_record(file, Conformal)),
        notices=tuple(
            f"The last line of {name} was cut while it was being written, and is left out."
            for name, cut in ((RESULTS, cut_results), (EVENTS, cut_events))
            if cut
        ),
    )


def damaged(file: Path, finding: str) -> DataError:
    """The error for a file that cannot be used."""
    return DataError(f"{file}: the file is damaged: {finding} Restore it from a copy, or train again.")


def read_record(file: Path, kind: Any) -> Any:
    """A JSON file of a record's type, or of another that the codec knows."""
    value = _read_text(file, json.loads)
    try:
        return from_json(kind, value)
    except BadRecord as error:
        raise damaged(file, str(error)) from error


def _optional(file: Path, read: Callable[[Path], T]) -> T | None:
    """What is in a file that may be absent."""
    return read(file) if file.exists() else None


def _read_text(file: Path, parse: Callable[[str], T]) -> T:
    """A text file, parsed. Bytes that are no UTF-8 are kept: file names may have some."""
    try:
        return parse(file.read_bytes().decode("utf-8-sig", "surrogateescape"))
    except FileNotFoundError as error:
        raise DataError(
            f"{file}: the file is missing, which a run writes before it begins to train. "
            "Is this the folder that `mirada train` wrote?"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        said = reason_of(error) if isinstance(error, OSError) else error
        raise damaged(file, f"{said}.") from error


def _read_table(file: Path, columns: Sequence[str]) -> tuple[list[dict[str, str]], bool]:
    """The rows of a CSV file with at least these columns, and whether its last line was cut and left out."""

    def parse(text: str) -> tuple[list[dict[str, str]], bool]:
        whole = text[: text.rfind("\n") + 1]
        reader = csv.DictReader(io.StringIO(whole, newline=""), strict=True)
        absent = [name for name in columns if name not in (reader.fieldnames or ())]
        if absent:
            raise ValueError(f"the column {', '.join(absent)} is missing")
        rows = []
        for row in reader:
            if None in row or None in row.values():
                raise ValueError(f"line {reader.line_num} does not have as many cells as the first line")
            rows.append(row)
        return rows, whole != text

    try:
        return _read_text(file, parse)
    except csv.Error as error:
        raise damaged(file, f"{error}.") from error


def _number(text: str, file: Path, row: int) -> float:
    """The number in a cell, NaN for an empty one."""
    try:
        return float(text or "nan")
    except ValueError as error:
        raise damaged(file, f"row {row} should have a number where it has {text[:60]!r}.") from error


def read_results(file: Path) -> tuple[list[dict[str, float]], bool]:
    """One row of numbers per epoch, and whether the last line was cut."""
    rows, cut = _read_table(file, COLUMNS)
    numbers = [
        {name: _number(text, file, position) for name, text in row.items()}
        for position, row in enumerate(rows, start=1)
    ]
    for position, values in enumerate(numbers, start=1):
        if not values["epoch"].is_integer():
            raise damaged(file, f"row {position} has no epoch number.")
    return numbers, cut


def read_gradients(file: Path) -> dict[int, dict[str, float]]:
    """The norm of every layer's gradient by epoch."""
    found: dict[int, dict[str, float]] = {}
    for position, row in enumerate(_read_table(file, ("epoch", "layer", "norm"))[0], start=1):
        epoch = _number(row["epoch"], file, position)
        if not epoch.is_integer():
            raise damaged(file, f"row {position} has no epoch number.")
        found.setdefault(int(epoch), {})[row["layer"]] = _number(row["norm"], file, position)
    return found


def read_events(file: Path) -> tuple[list[Event], bool]:
    """The events of the run in order, and whether the last line was cut. Kinds that are not known are left out."""

    def parse(text: str) -> tuple[list[tuple[int, Any]], bool]:
        whole = text[: text.rfind("\n") + 1]
        lines = enumerate(whole.split("\n"), start=1)
        return [(number, json.loads(line)) for number, line in lines if line.strip()], whole != text

    lines, cut = _read_text(file, parse)
    events: list[Event] = []
    for number, value in lines:
        name = value.get("event") if isinstance(value, dict) else None
        if not isinstance(name, str):
            raise damaged(file, f'the key "event" is missing in line {number}.')
        try:
            events += [from_json(KINDS[name], value, (f"line {number}",))] if name in KINDS else []
        except BadRecord as error:
            raise damaged(file, str(error)) from error
    return events, cut


def read_evaluation(file: Path, data: DataRecord) -> dict[str, Evaluation]:
    """The metrics by split; the confusion matrix has one row and one column per class."""
    evaluation: dict[str, Evaluation] = read_record(file, dict[str, Evaluation])
    classes = len(data.classes)
    for split in [name for name in SPLITS if name in evaluation]:
        found = evaluation[split]
        if not found.metrics:
            raise damaged(file, f"{split} has no metric.")
        if found.confusion and {len(found.confusion), *map(len, found.confusion)} != {classes}:
            raise damaged(file, f"the confusion matrix of {split} must be {classes} × {classes}.")
        if any(not 0 <= number < classes for cell in found.confusion_cells for number in cell[:2]):
            raise damaged(file, f"the confusion matrix of {split} has a class that is not there.")
    return evaluation


def read_predictions(file: Path, *, numeric: bool) -> list[Prediction]:
    """The predictions; rows without a target cannot be right or wrong and are left out."""
    columns = _target_columns(file) if numeric else [""]
    needed = [f"{name}:{column}" if column else name for column in columns for name in PREDICTIONS[2:]]
    rows, cut = _read_table(
        file, [*PREDICTIONS[:2], *needed, *([] if numeric else ("probability", "correct"))]
    )
    if cut:
        raise damaged(file, "its last line is not complete.")
    found = []
    for position, cells in enumerate(rows, start=1):
        row = {name: csv_value(cell) for name, cell in cells.items()}
        for column in columns:
            target, predicted = (row[f"{name}:{column}" if column else name] for name in PREDICTIONS[2:])
            if not target:
                continue
            if numeric:
                wrong = _number(predicted, file, position) - _number(target, file, position)
            else:
                probability = _number(row["probability"], file, position)
                wrong = 0.0 if _number(row["correct"], file, position) == 1 else probability
            spread = _number(row.get(f"spread:{column}" if column else "spread", ""), file, position)
            found.append(Prediction(row["path"], row["split"], target, predicted, wrong, column, spread))
    return found


def _target_columns(file: Path) -> list[str]:
    """The names behind ``target:`` in the first line of predictions of several numbers; else one that is empty."""
    header = next(csv.reader(io.StringIO(_read_text(file, str), newline="")), [])
    return [name.removeprefix("target:") for name in header if name.startswith("target:")] or [""]


def read_maps(file: Path) -> tuple[MapRecord, ...]:
    """The explained images; their pictures lie in the run folder."""
    maps: tuple[MapRecord, ...] = read_record(file, tuple[MapRecord, ...])
    _require_within(file, (name for item in maps for name in item.files))
    return maps


def read_cells(file: Path) -> tuple[CellRecord, ...]:
    """The cells of the confusion matrix that have pictures, which lie in the run folder."""
    cells: tuple[CellRecord, ...] = read_record(file, tuple[CellRecord, ...])
    _require_within(file, (each.image for cell in cells for each in cell.images))
    return cells


def _require_within(file: Path, names: Iterable[str]) -> None:
    """Raises ``DataError`` for a picture that is not in the run folder."""
    folder = file.parent.resolve()
    for name in names:
        if not (folder / name).resolve().is_relative_to(folder):
            raise damaged(file, f"{name!r} lies outside the run folder.")
