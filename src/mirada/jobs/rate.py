"""The learning rate that a training can bear, tried before it."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from mirada.compute import deterministic
from mirada.data.cache import open_cache
from mirada.data.index import Index
from mirada.data.sources import load_data
from mirada.events import Event, OnProgress, Progress
from mirada.jobs.train import TrainJob, chosen_recipe, module_of
from mirada.runs.folder import RunFolder
from mirada.training.begin import begin
from mirada.training.demands import require_splits
from mirada.training.rate_test import RateTest, rate_test
from mirada.training.recipe import Recipe


def find_rate(
    data: Index | str | Path,
    *,
    model: str | nn.Module | None = None,
    recipe: Recipe | None = None,
    on_event: OnProgress | None = None,
    **settings: Any,
) -> RateTest:
    """Trains a few steps with a rate that rises until the loss does, and leaves nothing behind.

    Args:
        data: An index, or what ``load_data`` takes.
        model: As for ``train``.
        recipe: All settings; by default the model's own.
        on_event: Hears of progress.
        **settings: Fields of ``Recipe`` on top of it.

    Returns:
        The losses over the rates, and a rate to begin with.

    Raises:
        DataError: If the data cannot be trained on.
        RecipeError: For a setting that is unknown or does not fit.
        InvalidArgument: For an unknown network, or images too small for it.
        TrainingError: If the loss is no number from the start.

    Source: Smith 2015, arXiv:1506.01186, §3.3.
    """
    chosen = chosen_recipe(model, recipe, settings)
    index = data if isinstance(data, Index) else load_data(data)

    def tell(event: Event) -> None:
        if on_event and isinstance(event, Progress):
            on_event(event)

    with torch.random.fork_rng(), deterministic(), TemporaryDirectory() as folder:
        job = TrainJob(chosen, index, tell, module_of(model))
        cache = open_cache(job.index, job.recipe.pixels.decoding(), on_event=tell)
        require_splits(cache.index)
        feed = job.feed(cache, job.card(cache))
        run = RunFolder.create(Path(folder) / "run")
        return rate_test(begin(job.network, job.phases, feed, job.recipe, run, tell))
