"""Taking up what was stopped, a single run or one of several, from nothing but its folder."""

from dataclasses import replace
from filecmp import cmp
from pathlib import Path

from torch import nn

from mirada.data.index import Index
from mirada.data.sources import load_data
from mirada.errors import DataError
from mirada.events import OnEvent
from mirada.jobs.again import finished_run, go_on_with, is_complete, job_of, recipe_of
from mirada.jobs.degradation import Degradation, train_pairs
from mirada.jobs.folds import Folds, train_folds
from mirada.jobs.seeds import Seeds, train_all_seeds
from mirada.jobs.surgery import go_on_with_surgery
from mirada.jobs.train import Run
from mirada.runs.folder import CUT, RunFolder
from mirada.runs.records import JobRecord
from mirada.samples import Source
from mirada.training.recipe import Recipe


def resume(
    folder: str | Path,
    *,
    data: Index | None = None,
    model: nn.Module | None = None,
    on_event: OnEvent | None = None,
) -> Run | Folds | Seeds | Degradation:
    """Takes a run up where it was stopped: it ends with the bits of one that was never stopped.

    That holds on the same machine with the same versions, threads and precision; where one of these is another, the
    event ``Resumed`` says so. From the last checkpoint that is whole, or from the beginning, training goes on; of a run
    that was killed after training only what follows is done again. A run that is finished stays as it is, and of
    several so do those that are.

    Args:
        folder: That of the run, of folds, of seeds or of the degradation experiment, wherever it lies now.
        data: The data, for a run of an ``Index`` that was made by hand; else they are loaded as they were.
        model: For a run of a module of your own, one that its class has built as it was built then.
        on_event: As for ``train``.

    Returns:
        What the job would have returned that was stopped; of a surgery its run.

    Raises:
        DataError: If the folder is no run's, its data are not what they were, or another process is at work in it.
        MiradaError: What else ``train`` raises.
    """
    path = Path(folder)
    job = job_of(path)
    recipe = recipe_of(job, path)
    hear = on_event or (lambda event: None)
    given = _source(path, job, recipe) if data is None else data
    if (path / CUT).exists():
        return go_on_with_surgery(path, given, recipe, hear).run
    index = load_data(given) if isinstance(given, Source) else given
    if job.folds:
        return train_folds(index, job.folds, recipe, RunFolder.reopened(path), hear, model)
    if job.seeds:
        return train_all_seeds(index, job.seeds, recipe, RunFolder.reopened(path), hear, model)
    if job.depths:
        return train_pairs(index, job.depths, recipe, RunFolder.reopened(path), hear)
    if is_complete(path):
        return finished_run(path, index, model)
    return go_on_with(path, index, recipe, hear, model)


def _source(folder: Path, job: JobRecord, recipe: Recipe) -> Source:
    """Where the data of a run are, and what was said of them. Raises ``DataError`` where only the caller knows.

    The file of splits is seen from where the run began; what a recipe names, the recipe itself does not say from where.
    """
    if job.source is None:
        raise DataError(
            f"{folder}: was trained on data made in Python, which its folder cannot load again. Give them: "
            f"mirada.resume(folder, data=index)."
        )
    there = Path(job.place)
    for name in filter(None, (recipe.weights, recipe.first_layer)):
        if (there / name).exists() and not _alike(there / name, Path(name)):
            raise DataError(
                f"{folder}: its recipe names {name}, seen from {job.place}. Resume it in that working folder."
            )
    splits = there / job.source.split
    return replace(job.source, split=str(splits)) if splits.is_file() else job.source


def _alike(one: Path, other: Path) -> bool:
    """Whether two paths lead to the same place, or to files of the same content; ``one`` is there."""
    return other.exists() and (one.samefile(other) or cmp(one, other, shallow=False))
