"""Which runs there are, and how each ended, read from the few small files that say so."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mirada.errors import DataError
from mirada.events import EpochDone, Evaluated, Stopped
from mirada.runs.folder import EVENTS
from mirada.runs.reader import last_begun, read_events, read_record, unfinished
from mirada.runs.records import DataRecord, NetworkRecord

State = Literal["finished", "stopped early", "interrupted", "failed", "unfinished", "damaged"]
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
        state: How it ended. ``unfinished`` is still running, or was killed.
        network: What was trained.
        data: What it was trained on, by its name.
        epochs: How many are finished.
        unit: Of a target that is a number.
        judged: How well it does on the test images, or else on those for validation; None before it was judged.
        by_seed: Of several seeds, the first metric of each run: how far apart luck alone puts them.
        problem: Why its files cannot be read.
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


def list_runs(folder: Path) -> list[RunState]:
    """The runs that lie in a folder, by name.

    Args:
        folder: Where they are, such as ``runs``.

    Raises:
        DataError: if there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder. Give the folder that holds runs.")
    found = sorted(file.parent for file in folder.glob("*/recipe.toml"))
    return [state_of(path) for path in found]


def state_of(path: Path) -> RunState:
    """One run, by its folder; ``damaged`` if its files cannot be read."""
    try:
        network: NetworkRecord = read_record(path / "model.json", NetworkRecord)
        data: DataRecord = read_record(path / "data.json", DataRecord)
        events, _ = read_events(path / EVENTS)
    except DataError as error:
        return RunState(path=path, state="damaged", problem=str(error))
    judged = {event.split: event for event in events if isinstance(event, Evaluated)}
    stops = [STATES[event.reason] for event in events if isinstance(event, Stopped)]
    result = judged.get("test") or judged.get("val")
    begun = last_begun(events)
    whole = bool(data.folds or data.seeds) and not unfinished(begun, data)
    last: State = stops[-1] if stops else "finished" if whole else "unfinished"
    return RunState(
        path=path,
        state=last,
        network=network.name,
        data=data.name,
        epochs=sum(isinstance(event, EpochDone) for event in events),
        unit=data.unit,
        judged=result,
        by_seed=_by_seed(data, result),
    )


def _by_seed(data: DataRecord, result: Evaluated | None) -> tuple[float, ...]:
    """The first metric of each of several seeds, where it is defined."""
    first = next(iter(result.metrics), "") if result else ""
    measured = (each for member in data.seeds for each in member.metrics if each.key == first)
    return tuple(each.value for each in measured if each.value is not None)
