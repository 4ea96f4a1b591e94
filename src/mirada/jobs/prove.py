"""The proof that a run which is killed comes to the same end: it is made three times, and killed for good."""

import os
import random
import signal
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path

from mirada.compute import flush_denormals
from mirada.data.index import Index
from mirada.errors import InvalidArgument, TrainingError
from mirada.events import Event, OnProgress, Progress
from mirada.jobs.describe import job_record
from mirada.jobs.resume import resume
from mirada.jobs.train import new_folder
from mirada.runs.folder import DIGESTS, JOB, RunFolder
from mirada.runs.reader import read_record
from mirada.runs.records import DigestsRecord
from mirada.training.pace import AUTO
from mirada.training.recipe import Recipe

OFTEN = "0.2s"  # between checkpoints, where the recipe leaves it open: short runs are to go on from one, too
PLAN = {"whole": 0, "killed": 1, "killed-twice": 2}  # by folder, how often each run is killed
CHILD = "import sys; from mirada.jobs.prove import go_on_until; go_on_until(sys.argv[1], int(sys.argv[2]))"


@dataclass(frozen=True)
class Proof:
    """What three runs of one recipe have come to.

    Args:
        folder: That of the three runs.
        kills: By the run, after which steps it was killed.
        digests: By the run, of all that it has come to.
        steps: That each run takes.
    """

    folder: Path
    kills: dict[str, tuple[int, ...]]
    digests: dict[str, DigestsRecord]
    steps: int

    @property
    def different(self) -> tuple[str, ...]:
        """What is not the same in all three."""
        first = self.digests["whole"]
        return tuple(
            each.name
            for each in fields(DigestsRecord)
            if any(getattr(one, each.name) != getattr(first, each.name) for one in self.digests.values())
        )


def prove_resume(index: Index, recipe: Recipe, output: str | Path | None, on_event: OnProgress) -> Proof:
    """Makes a run three times in processes of their own: as it is, killed once, and killed twice, at random steps.

    Args:
        index: The data; they have to be such as can be loaded again.
        recipe: Of the run; where it does not say how often to save, it is often.
        output: As for ``train``: the folder of the three runs.
        on_event: Hears which run is under way.

    Returns:
        The digests of all three.

    Raises:
        InvalidArgument: For data made by hand.
        TrainingError: If a run fails by itself.
    """
    if index.source is None:
        raise InvalidArgument(
            "prove_resume: needs data that can be loaded again; this index was made by hand."
        )
    often = recipe.with_settings({"save": OFTEN}) if recipe.save == AUTO else recipe
    place = new_folder(index, f"{recipe.model}-proof", output)
    kills: dict[str, tuple[int, ...]] = {}
    found: dict[str, DigestsRecord] = {}
    steps = 0
    for number, (name, count) in enumerate(PLAN.items()):
        on_event(Progress("proving", number, len(PLAN)))
        own = RunFolder.create(place.path / name)
        own.write(JOB, job_record(index.source, often))
        shares = sorted(random.uniform(0.05, 0.95) for _ in range(count))  # noqa: S311 # no secret
        # Of the steps that the first run took, which may have stopped early.
        kills[name] = tuple(_child(own.path, max(1, round(share * steps))) for share in shares)
        steps = max(steps, _child(own.path, 0))
        found[name] = read_record(own.path / DIGESTS, DigestsRecord)
    on_event(Progress("proving", len(PLAN), len(PLAN)))
    return Proof(place.path, kills, found, steps)


def _child(folder: Path, until: int) -> int:
    """Goes on with a run in a process of its own, which is killed once a step is done, 0 for the end: the last step.

    Raises ``TrainingError`` if it ends otherwise.
    """
    # -P: what lies in the working folder is no module
    command = [sys.executable, "-P", "-c", CHILD, str(folder), str(until)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 # itself
    if done.returncode != (-signal.SIGKILL if until else 0) or not done.stdout.strip():
        last = done.stderr.strip().rpartition("\n")[2]
        raise TrainingError(f"{folder}: the run failed, so nothing is proved. {last}")
    return int(done.stdout.split()[-1])


def go_on_until(folder: str, until: int) -> None:
    """Goes on with a run; once so many of its steps are done, this process kills itself. 0: to the end."""
    flush_denormals()
    last = 0

    def hear(event: Event) -> None:
        nonlocal last
        if isinstance(event, Progress) and event.epoch:
            last = event.done
            if until and event.done >= until:
                _say(last)
                os.kill(os.getpid(), signal.SIGKILL)

    resume(folder, on_event=hear)
    _say(last)


def _say(step: int) -> None:
    """Tells the process that waits for this one."""
    os.write(1, f"{step}\n".encode())
