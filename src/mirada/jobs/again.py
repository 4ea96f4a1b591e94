"""A run that is there already: taken up where it was stopped, or read as it ended."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from torch import nn

from mirada.data.cache import open_cache
from mirada.data.index import Index
from mirada.data.sources import read_splits
from mirada.data.splits import group_code
from mirada.errors import DataError
from mirada.evaluation.columns import MANY
from mirada.evaluation.predictions import Predictions, called_at
from mirada.events import BestEpoch, OnEvent, Stopped
from mirada.inference.model import load_model
from mirada.jobs.sameness import SPLITS
from mirada.jobs.train import Run, judged_splits, train_in
from mirada.modelfile import load_card
from mirada.runs.folder import DIGESTS, EVENTS, JOB, MODEL, RunFolder
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
        return finished_run(folder, index, module)
    if folder.exists():  # maybe without any file, or with a draft alone: it may be killed at any moment
        return go_on_with(folder, index, recipe, on_event, module)
    return train_in(lambda: RunFolder.create(folder), index, recipe, on_event, module)


def finished_run(folder: Path, index: Index, module: nn.Module | None = None) -> Run:
    """A run as it ended.

    Args:
        folder: Of a run that is complete.
        index: Its data, which know what predictions do not.
        module: As for ``load_model``, for the run of a module of one's own.

    Raises:
        DataError: A file of it is missing or damaged.
    """
    data: DataRecord = read_record(folder / "data.json", DataRecord)
    events, _ = read_events(folder / EVENTS)
    stop = next(event for event in reversed(events) if isinstance(event, Stopped))
    best = next(event.epoch for event in reversed(events) if isinstance(event, BestEpoch))
    if len(data.classes) > MANY:
        table = _said_again(folder, index, module)
    else:
        table = _with_words(Predictions.from_csv(folder / "predictions.csv", unit=data.unit), index)
    return Run(
        folder,
        Outcome(stop.reason, stop.epochs, best),
        read_evaluation(folder / "evaluation.json", data),
        table,
    )


def _said_again(folder: Path, index: Index, module: nn.Module | None) -> Predictions:
    """What a finished run says of its validation and test images; its table has the most probable classes alone."""
    card = load_card(folder / MODEL)
    model = load_model(folder / MODEL, device=card.recipe["device"], network=module)
    cache = open_cache(read_splits(folder / SPLITS, index), card.preprocessing)
    table = model.predict_cached(cache, judged_splits(cache))
    return called_at(table, card.threshold) if card.threshold else table


def _with_words(table: Predictions, index: Index) -> Predictions:
    """A table as it was read, with the words of ``by``; of rows of one image, each has those of its own."""
    if not index.by:
        return table
    words = defaultdict[tuple[str, str], list[tuple[str, ...]]](list)
    groups = index.groups or ("",) * len(index)
    for path, group, own in zip(index.paths, groups, index.by, strict=True):
        words[path, group_code(group)].append(own)
    rows = zip(table.paths, table.groups or ("",) * len(table), strict=True)
    return replace(table, by=tuple(words[row].pop(0) for row in rows), by_names=index.by_names)
