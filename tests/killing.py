"""What a kill leaves: copies of a run's folder at the moments at which it could have been killed."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirada.jobs import ending
from mirada.jobs import train as job
from mirada.processes.ranks import here
from mirada.training import checkpoints, loop
from mirada.training.saving import Saver

SETTINGS: dict[str, Any] = {
    "image_size": 16, "epochs": 3, "batch_size": 8, "seed": 3, "augment": "photos", "augment.mixup": 0.2,
    "model": "lenet5",
}  # fmt: skip
SGD = {"optimizer": "sgd", "lr": 0.01, "schedule": "cosine", "average": "ema", "sampling": "balanced"}
ADAM = {"optimizer": "adam", "schedule": "plateau", "wait": 1, "patience": 2, "flip_average": True}


class Copies:
    """Copies of a run's folder at the moments at which it could have been killed, and after every how many-th step.

    Of several processes the first one makes them, which alone writes into the folder.
    """

    def __init__(self, run: Path, place: Path, patch: pytest.MonkeyPatch) -> None:
        self.run, self.place, self.patch = run, place, patch
        self.names: list[str] = []

    def before(self, name: str, module: Any, function: str, calls: tuple[int, ...] = (1,)) -> None:
        original, count = getattr(module, function), itertools.count(1)

        def copying(*arguments: Any, **named: Any) -> Any:
            if (number := next(count)) in calls and here().first:
                self.names.append(f"{name}-{number}")
                shutil.copytree(self.run, self.place / self.names[-1])
            return original(*arguments, **named)

        self.patch.setattr(module, function, copying)


def every_second_step(saver: Saver, state: Any) -> bool:
    return state.step % 2 == 1


def at_once(take: Callable[..., None]) -> Callable[..., None]:
    """Saving that has ended before training goes on, so that copies are the same every time."""

    def waiting(saver: Saver, *arguments: Any) -> None:
        take(saver, *arguments)
        saver.wait()

    return waiting


def everywhere(run: Path, place: Path, patch: pytest.MonkeyPatch) -> Copies:
    """Copies of a run that saves after every second step, at all moments of which there are kinds."""
    patch.setattr(Saver, "due", every_second_step)
    patch.setattr(Saver, "take", at_once(Saver.take))
    copies = Copies(run, place, patch)
    copies.before("decoding", job, "open_cache")
    copies.before("preparing", job, "save_samples")
    copies.before("step", loop, "fitting_step", (1, 2, 4, 6, 11))
    copies.before("validation", loop, "validate", (1, 3))
    copies.before("saving", checkpoints, "_sync_folder", (2, 5))
    copies.before("written", checkpoints, "write_pieces", (4,))
    copies.before("evaluation", job, "evaluate", (1, 2))
    copies.before("maps", job, "draw_maps")
    copies.before("report", ending, "write_report")
    copies.before("end", job, "digests")
    return copies
