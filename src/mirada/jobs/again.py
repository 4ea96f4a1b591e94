"""A run that is there already: taken up where it was stopped, or read as it ended."""

from dataclasses import replace
from pathlib import Path

from torch import nn

from mirada.data.index import Index
from mirada.errors import DataError
from mirada.evaluation.predictions import Predictions
from mirada.events import BestEpoch, OnEvent, Stopped
from mirada.jobs.train import Run, train_in
from mirada.runs.folder import DIGESTS, EVENTS, JOB, RunFolder
from mirada.runs.reader import read_evaluation, read_events, read_record
from mirada.runs.records import DataRecord, JobRecord
from mirada.training.loop import Outcome
from mirada.training.recipe import Recipe, recipe_for
from mirada.training.recipe_text import parse_settings


def is_complete(folder: Path) -> bool:
    """Whether a run, or a family of them, has come to its end, the report included."""
    return (folder / DIGESTS).is_file()


def job_of(folder: Path) -> JobRecord:
    """What it takes to begin a run again. Raises ``DataError`` if the folder does not say it."""
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such run folder. Give the folder that `mirada train` wrote.")
    if not (folder / JOB).is_file():
        raise DataError(
            f"{folder}: cannot go on, since it has no {JOB}: it is no run, or one of an earlier version, which kept no "
            f"checkpoints. Train again."
        )
    job: JobRecord = read_record(folder / JOB, JobRecord)
    return job


def recipe_of(job: JobRecord, folder: Path) -> Recipe:
    """The recipe that a run was asked for. Raises ``RecipeError`` if it cannot be read."""
    settings = parse_settings(job.recipe, str(folder / JOB))
    return recipe_for(str(settings["model"])).with_settings(settings, origin=str(folder / JOB))


def go_on_with(
    folder: Path, index: Index, recipe: Recipe, on_event: OnEvent, module: nn.Module | None = None
) -> Run:
    """Takes one run up where it was stopped; raises as ``train``, and ``DataError`` if the data are not the same."""
    return train_in(lambda: RunFolder.reopened(folder), index, recipe, on_event, module)


def one_of_several(
    folder: Path, index: Index, recipe: Recipe, on_event: OnEvent, module: nn.Module | None = None
) -> Run:
    """One run of several: made, gone on with if it was stopped, or read if it is finished; raises as ``train``."""
    if is_complete(folder):
        return finished_run(folder, index)
    if folder.exists():  # maybe without any file, or with a draft alone: it may be killed at any moment
        return go_on_with(folder, index, recipe, on_event, module)
    return train_in(lambda: RunFolder.create(folder), index, recipe, on_event, module)


def finished_run(folder: Path, index: Index) -> Run:
    """A run as it ended.

    Args:
        folder: Of a run that is complete.
        index: Its data, which know what predictions do not.

    Raises:
        DataError: A file of it is missing or damaged.
    """
    data: DataRecord = read_record(folder / "data.json", DataRecord)
    events, _ = read_events(folder / EVENTS)
    stop = next(event for event in reversed(events) if isinstance(event, Stopped))
    best = next(event.epoch for event in reversed(events) if isinstance(event, BestEpoch))
    table = Predictions.from_csv(folder / "predictions.csv", unit=data.unit)
    if index.by:
        words = dict(zip(index.paths, index.by, strict=True))
        table = replace(table, by=tuple(words[path] for path in table.paths), by_names=index.by_names)
    return Run(
        folder,
        Outcome(stop.reason, stop.epochs, best),
        read_evaluation(folder / "evaluation.json", data),
        table,
    )
