"""Several runs of one recipe in one folder, such as those of a cross-validation, or of several seeds."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from mirada.data.index import Index
from mirada.evaluation.evaluate import Measured
from mirada.events import Event, FoldStarted, HowToRead, OnEvent, Reason, SeedStarted, Started, Stopped
from mirada.jobs.again import is_complete, one_of_several
from mirada.jobs.describe import command_line
from mirada.jobs.train import Run
from mirada.pages import write_report
from mirada.runs.folder import JOB, RunFolder
from mirada.runs.reader import read_record
from mirada.runs.records import DataRecord, EnvironmentRecord, JobRecord, MemberRecord
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

    Its page is written whenever a run begins, so that one is there at whatever moment all of it ends.

    Args:
        folder: New, or one in which some runs may be finished.
        index: The data of all.
        job: What it takes to begin all of it again.
        describe: What ``data.json`` says of all, from what it says of the first run, and from those that are finished.
        on_event: Called with each event of each run, and with those that tell them apart.
        model: As for ``train``, for a module of one's own, which no recipe can name.
    """

    def __init__(
        self,
        folder: RunFolder,
        index: Index,
        job: JobRecord,
        describe: Callable[[DataRecord, tuple[MemberRecord, ...]], DataRecord],
        on_event: OnEvent,
        model: nn.Module | None = None,
    ) -> None:
        self.folder = folder
        self.index = index
        self.job = job
        self.describe = describe
        self.on_event = on_event
        self.model = model
        self.first = Path()
        self.told: set[str] = set()  # how the figures are to be read

    def train(self, planned: Sequence[Planned]) -> tuple[Run, ...]:
        """Makes the runs, one after the other, each in a folder of its own; none after one that is interrupted.

        Returns:
            Those that have ended; the last of them may have been interrupted.

        Raises:
            KeyboardInterrupt: If the first run had not begun.
            MiradaError: What else ``train`` raises; the page says what there is.
        """
        runs: list[Run] = []
        self.first = self.folder.path / planned[0].name
        if self.folder.is_new:
            self.folder.write(JOB, self.job)
        else:
            self.folder.forget(Stopped)
        try:
            for each in planned:
                runs.append(self._train(each))
                if len(finished(runs)) < len(runs):
                    break
                self._keep(runs)
        except KeyboardInterrupt:  # between two runs, or pressed twice
            if not self.begun:
                self.folder.discard()
                raise
        except BaseException as error:
            if not self.begun:
                self.folder.discard()
            else:
                self.stop("failed", str(error))
            raise
        return tuple(runs)

    def _train(self, planned: Planned) -> Run:
        """Makes one run, goes on with one that was stopped, or reads one that is finished."""
        own = self.folder.path / planned.name
        source = planned.index.source or Source(path=planned.index.root)
        saved = replace(planned.index, source=replace(source, split=str(own / "splits.csv")))
        if not is_complete(own):
            self.record(planned.event)
        return one_of_several(own, saved, planned.recipe, self.record, self.model)

    def record(self, event: Event) -> None:
        """Passes an event on; the folder keeps those that are not one run's alone."""
        if isinstance(event, FoldStarted | SeedStarted):
            self.folder.event(event)
        if isinstance(event, HowToRead) and event.text not in self.told:  # of one run, and so of all together
            self.told.add(event.text)
            self.folder.event(event)
        if isinstance(event, Started):
            if not self.begun:
                self._begin()
            write_report(self.folder.path)
        self.on_event(event)

    @property
    def begun(self) -> bool:
        """Whether the first run has started."""
        return (self.folder.path / "data.json").exists()

    def _begin(self) -> None:
        """Writes what is known when the first run starts."""
        first = self.first
        for name in ("recipe.toml", "model.json", "samples.jpg", "samples.json"):
            shutil.copyfile(first / name, self.folder.file(name))
        options = {"--folds": self.job.folds, "--seeds": self.job.seeds}
        said = (word for option, count in options.items() if count for word in (option, str(count)))
        command = command_line(self.index, self.folder.path, *said)
        found: EnvironmentRecord = read_record(first / "environment.json", EnvironmentRecord)
        self.folder.write("environment.json", replace(found, command=command))
        self._keep(())

    def _keep(self, runs: Sequence[Run]) -> None:
        """Writes what is known of the data, and of the runs that are finished."""
        data: DataRecord = read_record(self.first / "data.json", DataRecord)
        self.folder.write("data.json", self.describe(data, tuple(map(_member, runs))))

    def stop(self, reason: Reason, text: str = "") -> None:
        """Records that all of it has ended before all runs were finished and judged, and writes the page."""
        self.folder.event(Stopped(reason, text=text))
        self.finish()

    def finish(self) -> None:
        """Writes how long it took, and the page of what there is."""
        folder = self.folder
        environment: EnvironmentRecord = read_record(folder.path / "environment.json", EnvironmentRecord)
        folder.write("environment.json", replace(environment, seconds=round(folder.seconds, 2)))
        write_report(folder.path)


def finished(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Those that have not been interrupted, and so have been judged."""
    return tuple(run for run in runs if run.outcome.reason != "interrupted")


def missing(planned: Sequence[Planned], runs: Sequence[Run]) -> tuple[str, ...]:
    """The names of the runs that are not finished."""
    return tuple(each.name for each in planned[len(finished(runs)) :])


def judged_on(run: Run) -> str:
    """The split that a run is judged by: its test images, or else those for validation."""
    return "test" if "test" in run.evaluations else "val"


def measured(run: Run) -> tuple[Measured, ...]:
    """How well a run does."""
    return run.evaluations[judged_on(run)].metrics


def _member(run: Run) -> MemberRecord:
    """What ``data.json`` says of one run."""
    judged = run.evaluations[judged_on(run)]
    return MemberRecord(run.folder.name, judged.n, run.outcome.best_epoch, judged.metrics, judged.trained_on)
