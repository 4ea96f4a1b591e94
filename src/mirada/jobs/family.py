"""Several runs of one recipe in one folder, such as those of a cross-validation, or of several seeds."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mirada.data.index import Index
from mirada.evaluation.evaluate import Measured
from mirada.events import Event, FoldStarted, HowToRead, OnEvent, SeedStarted, Started
from mirada.jobs.describe import command_line
from mirada.jobs.train import Run, train
from mirada.runs.folder import RunFolder
from mirada.runs.reader import read_record
from mirada.runs.records import DataRecord, EnvironmentRecord, MemberRecord
from mirada.samples import Source
from mirada.training.recipe import Recipe


@dataclass(frozen=True)
class Planned:
    """A run to make: its folder's name, its data with their splits, its recipe, and what is told before it starts."""

    name: str
    index: Index
    recipe: Recipe
    event: FoldStarted | SeedStarted


class RunFamily:
    """The folder of all runs: what is known is there as soon as the first of them knows it.

    Args:
        folder: New.
        index: The data of all.
        options: What is said on the command line beside data and recipe, such as ``--folds 5``.
        describe: What ``data.json`` says of all, from what it says of the first run.
        on_event: Called with each event of each run, and with those that tell them apart.
    """

    def __init__(
        self,
        folder: RunFolder,
        index: Index,
        options: Sequence[str],
        describe: Callable[[DataRecord], DataRecord],
        on_event: OnEvent,
    ) -> None:
        self.folder = folder
        self.index = index
        self.options = options
        self.describe = describe
        self.on_event = on_event
        self.told: set[str] = set()  # how the figures are to be read

    def train(self, planned: Sequence[Planned]) -> tuple[Run, ...]:
        """Makes the runs, one after the other, each in a folder of its own; none after one that is interrupted."""
        runs: list[Run] = []
        try:
            for each in planned:
                self.record(each.event)
                own = self.folder.path / each.name
                source = each.index.source or Source(path=each.index.root)
                saved = replace(each.index, source=replace(source, split=str(own / "splits.csv")))
                runs.append(train(saved, recipe=each.recipe, output=own, on_event=self.record))
                if runs[-1].outcome.reason == "interrupted":
                    break
        except BaseException:
            if not self.begun:
                self.folder.discard()
            raise
        return tuple(runs)

    def record(self, event: Event) -> None:
        """Passes an event on; the folder keeps those that are not one run's alone."""
        if isinstance(event, FoldStarted | SeedStarted):
            self.folder.event(event)
        if isinstance(event, HowToRead) and event.text not in self.told:  # of one run, and so of all together
            self.told.add(event.text)
            self.folder.event(event)
        if isinstance(event, Started) and not self.begun:
            self._begin(Path(event.folder))
        self.on_event(event)

    @property
    def begun(self) -> bool:
        """Whether the first run has started."""
        return (self.folder.path / "data.json").exists()

    def _begin(self, first: Path) -> None:
        """Writes what is known when the first run starts."""
        for name in ("recipe.toml", "model.json"):
            shutil.copyfile(first / name, self.folder.file(name))
        command = command_line(self.index, self.folder.path, *self.options)
        found: EnvironmentRecord = read_record(first / "environment.json", EnvironmentRecord)
        self.folder.write("environment.json", replace(found, command=command))
        data: DataRecord = read_record(first / "data.json", DataRecord)
        self.folder.write("data.json", self.describe(data))

    def finish(self, runs: Sequence[Run], change: Callable[[DataRecord], DataRecord]) -> None:
        """Writes what is known when all runs have ended: what the first was shown, the data, how long it took."""
        folder = self.folder
        for name in ("samples.jpg", "samples.json"):
            shutil.copyfile(runs[0].folder / name, folder.path / name)
        data: DataRecord = read_record(folder.path / "data.json", DataRecord)
        folder.write("data.json", change(data))
        environment: EnvironmentRecord = read_record(folder.path / "environment.json", EnvironmentRecord)
        folder.write("environment.json", replace(environment, seconds=round(folder.seconds, 2)))


def interrupted(runs: Sequence[Run]) -> bool:
    """Whether the last run was interrupted, so that others may be missing."""
    return runs[-1].outcome.reason == "interrupted"


def judged_on(run: Run) -> str:
    """The split that a run is judged by: its test images, or else those for validation."""
    return "test" if "test" in run.evaluations else "val"


def measured(run: Run) -> tuple[Measured, ...]:
    """How well a run does."""
    return run.evaluations[judged_on(run)].metrics


def member(run: Run) -> MemberRecord:
    """What ``data.json`` says of one run."""
    return MemberRecord(
        run.folder.name, run.evaluations[judged_on(run)].n, run.outcome.best_epoch, measured(run)
    )
