"""Which runs there are, and how each ended, read from the few small files that say so."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mirada.errors import DataError
from mirada.events import EpochDone, Evaluated, Event, Stopped
from mirada.files import is_locked
from mirada.runs.folder import CUT, DIGESTS, EVENTS, JOB, LOCK
from mirada.runs.reader import last_begun, read_events, read_record, unfinished
from mirada.runs.records import DataRecord, NetworkRecord

State = Literal[
    "finished", "stopped early", "interrupted", "failed", "running", "killed", "unfinished", "damaged"
]
STATES: dict[str, State] = {
    "finished": "finished",
    "early": "stopped early",
    "interrupted": "interrupted",
    "failed": "failed",
}


@dataclass(frozen=True, kw_only=True)
class RunState:
    """One run of a folder of runs.

    Args:
        path: Its folder.
        state: How it ended. Of a run of an earlier version, ``unfinished`` is still running, or was killed.
        network: What was trained.
        data: What it was trained on, by its name.
        epochs: How many are finished.
        unit: Of a target that is a number.
        judged: How well it does on the test images, or else on those for validation; None before it was judged.
        by_seed: Of several seeds, the first metric of each run: how far apart luck alone puts them.
        problem: Why its files cannot be read.
        resumable: Whether ``mirada train --resume`` takes it up where it was stopped.
    """

    path: Path
    state: State
    network: str = ""
    data: str = ""
    epochs: int = 0
    unit: str = ""
    judged: Evaluated | None = None
    by_seed: tuple[float, ...] = ()
    problem: str = ""
    resumable: bool = False


def list_runs(folder: Path) -> list[RunState]:
    """The runs that lie in a folder, by name.

    Args:
        folder: Where they are, such as ``runs``.

    Raises:
        DataError: if there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder. Give the folder that holds runs.")
    found = {file.parent for name in ("recipe.toml", JOB) for file in folder.glob(f"*/{name}")}
    return [state_of(path) for path in sorted(found)]


def state_of(path: Path) -> RunState:
    """One run, by its folder; ``damaged`` if its files cannot be read."""
    beginning = (path / JOB).exists() and not (path / "model.json").exists()
    try:
        return _of_no_network(path) if beginning else _of_one_network(path)
    except DataError as error:
        return RunState(path=path, state="damaged", problem=str(error))


def _of_one_network(path: Path) -> RunState:
    """A run, or several of one network. Raises ``DataError`` if its files cannot be read."""
    network: NetworkRecord = read_record(path / "model.json", NetworkRecord)
    data: DataRecord = read_record(path / "data.json", DataRecord)
    events, _ = read_events(path / EVENTS)
    judged = {event.split: event for event in events if isinstance(event, Evaluated)}
    stops = _stops(events)
    result = judged.get("test") or judged.get("val")
    begun = last_begun(events)
    whole = bool(data.folds or data.seeds) and not unfinished(begun, data)
    last: State = stops[-1] if stops else "finished" if whole else _now(path)
    complete = (path / DIGESTS).exists() and not (path / CUT).exists()
    begun_here = (path / JOB).exists()
    if begun_here and not complete and last in ("finished", "stopped early"):  # its end was still to come
        last = _now(path)
    return RunState(
        path=path,
        state=last,
        network=network.name,
        data=data.name,
        epochs=sum(isinstance(event, EpochDone) for event in events),
        unit=data.unit,
        judged=result,
        by_seed=_by_seed(data, result),
        resumable=begun_here and not complete and last != "running",
    )


def _of_no_network(path: Path) -> RunState:
    """A run that is only just beginning, or the folder of runs of several networks. Raises as ``_of_one_network``."""
    if (path / DIGESTS).exists():
        return RunState(path=path, state="finished")
    stops = _stops(read_events(path / EVENTS)[0]) if (path / EVENTS).exists() else []
    state = stops[-1] if stops else _now(path)
    return RunState(path=path, state=state, resumable=state != "running")


def _stops(events: Sequence[Event]) -> list[State]:
    """How often it has ended, and how."""
    return [STATES[event.reason] for event in events if isinstance(event, Stopped)]


def _now(path: Path) -> State:
    """What a run is that has not come to an end: its lock says whether somebody is at work in it."""
    if not (path / JOB).exists():
        return "unfinished"
    return "running" if is_locked(path / LOCK) else "killed"


def _by_seed(data: DataRecord, result: Evaluated | None) -> tuple[float, ...]:
    """The first metric of each of several seeds, where it is defined."""
    first = next(iter(result.metrics), "") if result else ""
    measured = (each for member in data.seeds for each in member.metrics if each.key == first)
    return tuple(each.value for each in measured if each.value is not None)
