"""What is found out about a run whose loss is no longer a number, and kept so that it can be looked into."""

from collections.abc import Callable
from dataclasses import replace
from math import inf
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from mirada.errors import MiradaError, TrainingError, reason_of
from mirada.events import Event, OnEvent, Progress
from mirada.processes.ranks import here
from mirada.runs.folder import FAILED_STEP, RunFolder
from mirada.text import listed
from mirada.training.begin import class_weights_of, go_on
from mirada.training.checkpoints import read_latest
from mirada.training.failed_step import FailedStep, look_into, save_failed_step
from mirada.training.loop import LossNotFinite, Training, fit
from mirada.training.pace import Pace
from mirada.training.search import Search, StepFound

NAMED = 3  # files in a message
WHAT = "looking for the step"


def explained(
    error: LossNotFinite, training: Training, anew: Callable[[RunFolder], Training]
) -> TrainingError:
    """The error with the step that it came from, which is kept as a file in the run's folder.

    Args:
        error: What training ended with.
        training: That training.
        anew: Makes the very same one before its first step, whose files go to another folder.

    Returns:
        What to raise; the error itself if the step is not found, as where the processor gives other bits every time,
        and for processes that train together, which do not look for it.
    """
    if here().size > 1:  # to look for the step means to take all of them once more, which takes all processes
        return error
    training.saver.wait()
    with TemporaryDirectory() as place:
        again = anew(RunFolder.create(Path(place) / "again"))
        if checkpoint := read_latest(training.folder)[0]:
            go_on(again, checkpoint)
        again.saver.pace, again.search = Pace(seconds=inf), Search()
        again.on_event = _as_search(training.on_event)
        try:
            fit(again)
        except StepFound as found:
            step = look_into(again, found, again.recipe.to_toml())
            weights = class_weights_of(again.recipe, again.feed)
            return TrainingError(_sentence(step, _kept(training.folder, step, found, weights)))
        except (MiradaError, OSError, MemoryError, torch.OutOfMemoryError):
            pass  # not found, or there is no room to look for it, on the disk or beside the training that failed
    return error


def _kept(folder: RunFolder, step: FailedStep, found: StepFound, weights: Tensor | None) -> str:
    """Keeps the step as a file: how it is repeated, or why it cannot be."""
    try:
        save_failed_step(folder.file(FAILED_STEP), step, found, weights)
    except OSError as error:
        return f"the step itself could not be kept there ({reason_of(error)})"
    return f"mirada train --replay {quote(str(folder.path))} repeats the step"


def _as_search(on_event: OnEvent) -> OnEvent:
    """Hears a training that is made again: how far it is, as progress of the search."""
    return lambda event: on_event(replace(event, what=WHAT)) if isinstance(event, Progress) else None


def silent(event: Event) -> None:
    """Hears of an event that has been told before."""


def _sentence(step: FailedStep, again: str) -> str:
    return (
        f"The loss is no longer a number (epoch {step.epoch}, learning rate {step.rate:g}): in step {step.step:,} the "
        f"first number that is not finite was in {step.place or 'none of its parts when it was repeated'}; its images "
        f"were {listed(step.files, NAMED)}. Try a lower --lr; the best model so far, if any, and the last good "
        f"checkpoint are kept in the run folder, and {again}."
    )
