"""Reads a run folder and checks every file of it before a page is drawn."""

import csv
import io
import json
import tomllib
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar

from mirada.errors import DataError, reason_of
from mirada.evaluation.evaluate import Evaluation
from mirada.runs.codec import BadRecord, from_json

T = TypeVar("T")

NUMBER = (int, float)
MAYBE = (int, float, NoneType)

# A schema is a type or a tuple of types, [schema of every item], or {key: schema}, where "*" stands for any key
# and a key that ends in "?" may be absent.
ENVIRONMENT = {"*": (str, int, float, NoneType), "command": str, "seconds?": NUMBER}
DATA = {
    "root": str,
    "task": str,
    "classes": [str],
    "unit": str,
    "counts": {"*": {"*": int}},
    "excluded": [{"path": str, "reason": str}],
    "split_note": str,
    "notes?": [str],
    "folds?": [{"folder": str, "n": int, "epoch": int, "metrics": [{"name": str}]}],
}
MODEL = {
    "name": str,
    "parameters": int,
    "macs": MAYBE,
    "image": [int],
    "preprocessing": str,
    "summary": str,
}
EVENT = {"event": str}
MAPS = [
    {
        "section": str,
        "path": str,
        "split": str,
        "target": (str, int, float, NoneType),
        "predicted": (str, int, float),
        "probability": MAYBE,
        "explained": str,
        "method": str,
        "limit": NUMBER,
        "unit": str,
        "image": str,
        "overlay": str,
        "note": str,
    }
]
KINDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    NoneType: "null",
    list: "a list",
    dict: "a table",
}
RESULTS = ("epoch", "seconds", "images_per_second", "lr", "train_loss", "val_loss")
PREDICTIONS = ("path", "split", "target", "predicted")
TASKS = ("classification", "regression")
BEGINNINGS = ("weights", "first_layer", "frozen")  # events that tell what the network started with
SECTIONS = ("typical", "uncertain", "wrong")
SIGNATURES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}


@dataclass(frozen=True)
class Prediction:
    """One row of ``predictions.csv``. ``wrong`` is how far off it is: the probability given to a wrong class (0 if
    right) for classification, predicted − target in the target's unit for regression. Of several targets each has
    one, named by ``column``."""

    path: str
    split: str
    target: str
    predicted: str
    wrong: float
    column: str = ""


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """The contents of a run folder, checked. ``None`` marks an optional file that is not there."""

    recipe: dict[str, Any]
    environment: dict[str, Any]
    data: dict[str, Any]
    model: dict[str, Any]
    epochs: list[dict[str, float]]
    events: list[dict[str, Any]]
    evaluation: dict[str, Evaluation] | None
    predictions: list[Prediction] | None
    maps: list[dict[str, Any]] | None
    samples: str | None
    notices: tuple[str, ...]

    @property
    def regression(self) -> bool:
        """Whether the target is a number."""
        return bool(self.data["task"] == "regression")

    @property
    def unit(self) -> str:
        """The target's unit, empty for classification."""
        return str(self.data["unit"])

    @property
    def best(self) -> int | None:
        """The epoch whose weights were kept."""
        named = [event.get("epoch") for event in self.events if event["event"] == "best"]
        return next((int(row["epoch"]) for row in self.epochs if row["epoch"] in named[-1:]), None)

    @property
    def beginnings(self) -> list[str]:
        """What the network started with besides random weights, and what of it was kept, a line each."""
        told = (event.get("text", "") for event in self.events if event["event"] in BEGINNINGS)
        return [line.strip() for text in told for line in str(text).splitlines()]

    @property
    def stopped(self) -> str:
        """A sentence on why the run ended before its last planned epoch; empty if it did not."""
        stops = [event for event in self.events if event["event"] == "stopped"]
        reasons = [
            str(event.get("text" if event.get("reason") == "failed" else "reason", "")).rstrip(".")
            for event in stops
        ]
        if not reasons:
            unknown = "The end of this run is not recorded; it may have been killed, or may still be running."
            return unknown if self.evaluation is None else ""
        planned, patience = self.recipe.get("epochs"), self.recipe.get("patience")
        after = (
            f"after {len(self.epochs)} of {planned} epochs" if planned else f"after {len(self.epochs)} epochs"
        )
        known_reasons = {
            "": "",
            "finished": "",
            "early": f"Training stopped early, {after}: the validation result had not improved for {patience} epochs.",
            "interrupted": f"Training was interrupted {after}.",
        }
        return known_reasons.get(reasons[-1], f"Training ended {after}: {reasons[-1]}.")


def read_run(run: Path) -> RunFolder:
    """Read all files of a run folder.

    Raises ``DataError``, naming the file, if a required file is missing or any file is damaged.
    """
    if not run.is_dir():
        raise DataError(f"{run}: there is no such run folder. Give the folder that `mirada train` wrote.")
    data = read_json(run / "data.json", DATA)
    if data["task"] not in TASKS:
        raise damaged(run / "data.json", f'"task" must be {" or ".join(TASKS)}. Got {data["task"]!r}.')
    regression = data["task"] == "regression"
    epochs, cut_results = optional(run / "results.csv", read_results) or ([], False)
    events, cut_events = read_events(run / "events.jsonl")
    return RunFolder(
        recipe=read_text(run / "recipe.toml", tomllib.loads),
        environment=read_json(run / "environment.json", ENVIRONMENT),
        data=data,
        model=read_json(run / "model.json", MODEL),
        epochs=epochs,
        events=events,
        evaluation=optional(run / "evaluation.json", lambda file: read_evaluation(file, data)),
        predictions=optional(run / "predictions.csv", lambda file: read_predictions(file, regression)),
        maps=optional(run / "maps.json", read_maps),
        samples=optional(run / "samples.jpg", data_uri),
        notices=tuple(
            f"The last line of {name} was cut while it was being written, and is left out."
            for name, cut in (("results.csv", cut_results), ("events.jsonl", cut_events))
            if cut
        ),
    )


def damaged(file: Path, finding: str) -> DataError:
    """The error for a file that cannot be used."""
    return DataError(f"{file}: the file is damaged: {finding} Restore it from a copy, or train again.")


def optional(file: Path, read: Callable[[Path], T]) -> T | None:
    """What is in a file that may be absent."""
    return read(file) if file.exists() else None


def read_text(file: Path, parse: Callable[[str], T]) -> T:
    """A text file, parsed. Bytes that are no UTF-8 are kept: file names may have some."""
    try:
        return parse(file.read_bytes().decode("utf-8-sig", "surrogateescape"))
    except FileNotFoundError as error:
        raise DataError(
            f"{file}: the file is missing, and a report cannot be written without it. "
            "Is this the folder that `mirada train` wrote?"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(file, f"{error}.") from error


def read_json(file: Path, schema: object) -> Any:
    """A JSON file that has the keys and types of a schema."""
    value = read_text(file, json.loads)
    check(value, schema, file)
    return value


def check(value: object, schema: Any, file: Path, trail: tuple[str | int, ...] = ()) -> None:
    """Compare a JSON value with a schema; ``trail`` are the keys that lead to the value."""
    place = " → ".join(str(step) for step in trail) or "its content"
    kinds: Any = type(schema) if isinstance(schema, list | dict) else schema
    if not isinstance(value, kinds) or isinstance(value, bool):
        expected = " or ".join(KINDS[kind] for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
        raise damaged(file, f"{place} must be {expected}. Got {str(value)[:60]!r}.")
    if isinstance(value, list):
        for position, item in enumerate(value):
            check(item, schema[0], file, (*trail, position))
    elif isinstance(value, dict):
        for key, inner in schema.items():
            name = key.removesuffix("?")
            for chosen in value if key == "*" else {name} & value.keys():
                check(value[chosen], inner, file, (*trail, chosen))
            if key == name != "*" and name not in value:
                raise damaged(file, f'the key "{name}" is missing in {place}.')


def read_table(file: Path, columns: Sequence[str]) -> tuple[list[dict[str, str]], bool]:
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
        return read_text(file, parse)
    except csv.Error as error:
        raise damaged(file, f"{error}.") from error


def to_float(text: str, file: Path, row: int) -> float:
    """The number in a cell, NaN for an empty one."""
    try:
        return float(text or "nan")
    except ValueError as error:
        raise damaged(file, f"row {row} should have a number where it has {text[:60]!r}.") from error


def read_results(file: Path) -> tuple[list[dict[str, float]], bool]:
    """One row of numbers per epoch, and whether the last line was cut."""
    rows, cut = read_table(file, RESULTS)
    numbers = [
        {name: to_float(text, file, position) for name, text in row.items()}
        for position, row in enumerate(rows, start=1)
    ]
    for position, values in enumerate(numbers, start=1):
        if not values["epoch"].is_integer():
            raise damaged(file, f"row {position} has no epoch number.")
    return numbers, cut


def read_events(file: Path) -> tuple[list[dict[str, Any]], bool]:
    """The events of the run in order, and whether the last line was cut."""

    def parse(text: str) -> tuple[list[dict[str, Any]], bool]:
        whole = text[: text.rfind("\n") + 1]
        return [json.loads(line) for line in whole.split("\n") if line.strip()], whole != text

    events, cut = read_text(file, parse)
    for position, event in enumerate(events, start=1):
        check(event, EVENT, file, (f"line {position}",))
    return events, cut


def read_evaluation(file: Path, data: dict[str, Any]) -> dict[str, Evaluation]:
    """The evaluation per split; the confusion matrix has one row and one column per class."""
    found = read_text(file, json.loads)
    try:
        evaluation = from_json(dict[str, Evaluation], found)
    except BadRecord as error:
        raise damaged(file, str(error)) from error
    classes = len(data["classes"])
    for split in evaluation.keys() & {"val", "test"}:
        if not evaluation[split].metrics:
            raise damaged(file, f"{split} has no metric.")
        confusion = evaluation[split].confusion
        if confusion and {len(confusion), *map(len, confusion)} != {classes}:
            raise damaged(file, f"the confusion matrix of {split} must be {classes} × {classes}.")
    return evaluation


def read_predictions(file: Path, regression: bool) -> list[Prediction]:
    """The predictions; rows without a target cannot be right or wrong and are left out."""
    columns = target_columns(file) if regression else [""]
    needed = [f"{name}:{column}" if column else name for column in columns for name in PREDICTIONS[2:]]
    rows, cut = read_table(
        file, [*PREDICTIONS[:2], *needed, *([] if regression else ("probability", "correct"))]
    )
    if cut:
        raise damaged(file, "its last line is not complete.")
    found = []
    for position, row in enumerate(rows, start=1):
        for column in columns:
            target, predicted = (row[f"{name}:{column}" if column else name] for name in PREDICTIONS[2:])
            if not target:
                continue
            if regression:
                wrong = to_float(predicted, file, position) - to_float(target, file, position)
            else:
                probability = to_float(row["probability"], file, position)
                wrong = 0.0 if to_float(row["correct"], file, position) == 1 else probability
            found.append(Prediction(row["path"], row["split"], target, predicted, wrong, column))
    return found


def target_columns(file: Path) -> list[str]:
    """The names behind ``target:`` in the first line of predictions of several numbers; else one that is empty."""
    header = next(csv.reader(io.StringIO(read_text(file, str), newline="")), [])
    return [name.removeprefix("target:") for name in header if name.startswith("target:")] or [""]


def read_maps(file: Path) -> list[dict[str, Any]]:
    """The explained images, the pictures as data URIs in ``image`` and ``overlay``."""
    maps: list[dict[str, Any]] = read_json(file, MAPS)
    folder = file.parent.resolve()
    for item in maps:
        if item["section"] not in SECTIONS:
            raise damaged(file, f'a "section" is called {", ".join(SECTIONS)}. Got {item["section"]!r}.')
        for key in ("image", "overlay"):
            picture = (folder / item[key]).resolve()
            if not picture.is_relative_to(folder):
                raise damaged(file, f"{item[key]!r} lies outside the run folder.")
            item[key] = data_uri(picture)
    return maps


def data_uri(file: Path) -> str:
    """A JPEG or PNG file as a data URI."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: the picture cannot be read ({reason_of(error)}).") from error
    for signature, kind in SIGNATURES.items():
        if content.startswith(signature):
            return f"data:{kind};base64,{b64encode(content).decode()}"
    raise damaged(file, "it is neither a JPEG nor a PNG.")
