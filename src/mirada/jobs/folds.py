"""Cross-validation: one network per fold, each tested on images that it has not seen, every image once."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mirada.data.index import Index
from mirada.data.sources import load_data
from mirada.data.splits import complete_splits, k_fold, said_of_copies
from mirada.errors import DataError, InvalidArgument
from mirada.evaluation.evaluate import Evaluation, evaluate
from mirada.evaluation.predictions import Predictions
from mirada.events import Evaluated, FoldStarted, OnEvent
from mirada.files import json_text, write_json, write_text
from mirada.jobs.train import Run, chosen_recipe, command_line, run_path, train
from mirada.pages import write_report
from mirada.runs.codec import to_json
from mirada.runs.folder import NAMES, require_free
from mirada.samples import Source
from mirada.training.demands import require_splits
from mirada.training.recipe import Recipe

COPIED = ("recipe.toml", "model.json", "samples.jpg")  # what all folds share; the picture is the first one's


@dataclass(frozen=True)
class Folds:
    """A finished, or interrupted, cross-validation; ``evaluation`` is of all images, None if it was interrupted."""

    folder: Path
    runs: tuple[Run, ...]
    evaluation: Evaluation | None

    @property
    def report_path(self) -> Path:
        """The report of all folds, one HTML file; each fold has its own in its folder."""
        return self.folder / "report.html"


def cross_validate(
    data: Index | str | Path,
    *,
    folds: int = 5,
    model: str | None = None,
    recipe: Recipe | None = None,
    output: str | Path | None = None,
    on_event: OnEvent | None = None,
    **settings: Any,
) -> Folds:
    """Trains ``folds`` networks, each tested on its own part of the images, and reports on all of them together.

    The parts are stratified, no group divided, and drawn by the recipe's seed. Each run trains as ``train`` does, with
    a validation part of its own, also where the data set has one, and leaves its folder, ``fold-1`` and so on, in
    ``output``; beside them are the predictions of every image by the one network that had not seen it, their metrics,
    and a report. The intervals hold images to be independent, which the networks of the folds are not quite: they
    share training images. The other arguments are those of ``train``. ``on_event`` hears each run's events, and
    ``FoldStarted`` before them.

    Raises ``InvalidArgument`` for fewer than 2 folds, ``DataError`` if the data set has a test split of its own, if a
    fold would be empty or leave too little to train on, or if ``output`` exists; and what ``train`` raises.
    """
    chosen = chosen_recipe(model, recipe, settings)
    index = data if isinstance(data, Index) else load_data(data)
    tell = on_event or (lambda event: None)
    parts = _parts(index, folds, chosen)
    folder = run_path(index, chosen, output, ending="-folds")
    require_free(folder)
    runs: list[Run] = []
    for number, part in enumerate(parts, start=1):
        tell(FoldStarted(number, folds))
        own = folder / f"fold-{number}"
        source = part.source or Source(path=part.root)
        saved = replace(part, source=replace(source, split=str(own / "splits.csv")))
        runs.append(train(saved, recipe=chosen, output=own, on_event=tell))
        if runs[-1].outcome.reason == "interrupted":
            return Folds(folder, tuple(runs), None)
    return Folds(folder, tuple(runs), _conclude(folder, runs, index, tell))


def _parts(index: Index, folds: int, recipe: Recipe) -> list[Index]:
    """The index of every fold, its test part drawn, after a look at whether each can be trained."""
    if folds < 2:
        raise InvalidArgument(f"`folds` must be at least 2. Got {folds}.")
    if own := len(index.rows("test")):
        raise DataError(
            f"{index.origin}: has {own:,} test images of its own, while folds take turns as the test. Give the images "
            f"to train on alone, or data without splits."
        )
    whole = replace(
        index, splits=np.full(len(index), "train", dtype=index.splits.dtype)
    )  # val is drawn per fold
    parts = [k_fold(whole, k=folds, fold=fold, seed=recipe.seed) for fold in range(folds)]
    for number, part in enumerate(parts, start=1):
        try:
            complete, _ = complete_splits(
                part, val_fraction=recipe.val_fraction, test_fraction=0, seed=recipe.seed
            )
            require_splits(complete)
        except DataError as error:
            raise DataError(f"Fold {number} of {folds} leaves too little to train on. {error}") from error
    return parts


def _conclude(folder: Path, runs: Sequence[Run], index: Index, tell: OnEvent) -> Evaluation:
    """Judges all images together, and writes what the report reads."""
    tables = [Predictions.from_csv(run.folder / "predictions.csv", unit=index.unit) for run in runs]
    table = Predictions.joined([each.of_split("test") for each in tables])
    table.to_csv(folder / "predictions.csv")
    result = evaluate(table)
    for name in COPIED:
        shutil.copyfile(runs[0].folder / name, folder / name)
    values = {metric.key: metric.value for metric in result.metrics}
    told = Evaluated("test", result.n, values)
    tell(told)
    line = {"event": NAMES[Evaluated], **to_json(told)}
    write_text(folder / "events.jsonl", json_text(line) + "\n")
    write_json(folder / "evaluation.json", {"test": result.to_dict()})
    write_json(folder / "data.json", _data(runs, index))
    write_json(folder / "environment.json", _environment(folder, runs, index))
    write_report(folder)
    return result


def _data(runs: Sequence[Run], index: Index) -> dict[str, Any]:
    """The first run's, but for the splits: here every image is a test image."""
    data = [json.loads((run.folder / "data.json").read_text(encoding="utf-8")) for run in runs]
    tested: dict[str, int] = {}
    for each in data:
        for name, count in each["counts"].get("test", {}).items():
            tested[name] = tested.get(name, 0) + count
    kind = "stratified, no group divided" if data[0]["groups"] else "stratified"
    note = f"Cross-validation with {len(runs)} folds, {kind}: every image was tested once, by the network of its fold."
    note += said_of_copies(index)
    folds = [_fold(run) for run in runs if "test" in run.evaluations]
    return {**data[0], "counts": {"test": tested}, "split_note": note, "folds": folds}


def _fold(run: Run) -> dict[str, Any]:
    evaluation = run.evaluations["test"]
    return {
        "folder": run.folder.name,
        "n": evaluation.n,
        "epoch": run.outcome.best_epoch,
        "metrics": evaluation.to_dict()["metrics"],
    }


def _environment(folder: Path, runs: Sequence[Run], index: Index) -> dict[str, Any]:
    """The first run's, with the time of all and the command that makes all."""
    each = [json.loads((run.folder / "environment.json").read_text(encoding="utf-8")) for run in runs]
    command = command_line(index, folder, "--folds", str(len(runs)))
    seconds = sum(one["seconds"] for one in each)
    return {**each[0], "command": command, "seconds": round(seconds, 2)}
