"""The folder of one run: what happened, as it happens. An existing run is never overwritten."""

import csv
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mirada import events
from mirada.errors import DataError, reason_of
from mirada.events import EpochDone, Event, Progress
from mirada.files import json_text, write_json
from mirada.runs.codec import to_json

RESULTS = "results.csv"
EVENTS = "events.jsonl"
MODEL = "model.safetensors"
LAST = "checkpoints/last.safetensors"
KINDS: dict[str, type[Event]] = {
    "best": events.BestEpoch, "epoch": events.EpochDone, "evaluation": events.Evaluated,
    "excluded": events.FileExcluded, "first_layer": events.FirstLayerLoaded, "fold": events.FoldStarted,
    "frozen": events.LayersFrozen, "start": events.Started, "stopped": events.Stopped,
    "weights": events.WeightsLoaded,
}  # fmt: skip  # what the lines of events.jsonl call them
NAMES = {kind: name for name, kind in KINDS.items()}


class RunFolder:
    """Writes a run's files. ``path`` is made; raises ``DataError`` if it exists already."""

    def __init__(self, path: Path) -> None:
        require_free(path)
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise DataError(f"{path}: cannot be made ({reason_of(error)}).") from error
        self.path = path
        self.started = time.monotonic()
        (path / LAST).parent.mkdir()

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self.started

    def event(self, event: Event) -> None:
        """Appends one line to ``events.jsonl``; progress is not kept."""
        if isinstance(event, Progress):
            return
        line = json_text({"time": round(self.seconds, 3), "event": NAMES[type(event)], **to_json(event)})
        with (self.path / EVENTS).open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")

    def result(self, done: EpochDone) -> None:
        """Appends one epoch to ``results.csv``; the first row also writes the header."""
        measured = {f"val_{name}": value for name, value in done.metrics.items()}
        plain = {name: value for name, value in asdict(done).items() if name not in ("metrics", "best")}
        row = plain | measured
        file = self.path / RESULTS
        new = not file.exists()
        with file.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, row.keys())
            if new:
                writer.writeheader()
            writer.writerow(row)

    def json(self, name: str, content: Any) -> None:
        """Writes one JSON file of the folder."""
        write_json(self.path / name, content)


def require_free(path: Path) -> None:
    """Raises ``DataError`` if there is such a folder, or file, already."""
    if path.exists():
        raise DataError(f"{path}: exists already; a run is never overwritten. Choose another --output.")


def free_name(root: Path, name: str) -> Path:
    """``root/name``, or ``root/name-2``, ``-3`` … if that exists."""
    candidate, number = root / name, 1
    while candidate.exists():
        number += 1
        candidate = root / f"{name}-{number}"
    return candidate
