"""The folder of one run: what happened, as it happens. An existing run is never overwritten."""

import csv
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Self

from mirada import events
from mirada.codec import to_json
from mirada.errors import CheckpointError, DataError, counted, reason_of
from mirada.events import EpochDone, Event, Progress
from mirada.files import json_text, write_json, write_text

RESULTS = "results.csv"
EVENTS = "events.jsonl"
GRADIENTS = "gradients.csv"  # the norm of every layer's gradient, a row for each layer and epoch
MODEL = "model.safetensors"
ENSEMBLE = "ensemble.safetensors"  # of a cross-validation: the networks of all folds
INTERVALS = "intervals.json"  # of a cross-validation: for the mean of its networks
SIMILAR = "features.npz"  # of the training images, to find those that are similar to another
SUSPECTS = "suspects.html"  # of a cross-validation, as is the table of all labels
SUSPECTS_TABLE = "suspects.csv"
LAST = "checkpoints/last.safetensors"
KINDS: dict[str, type[Event]] = {
    "best": events.BestEpoch, "epoch": events.EpochDone, "evaluation": events.Evaluated,
    "excluded": events.FileExcluded, "features": events.FeaturesPlanned,
    "first_layer": events.FirstLayerLoaded, "fold": events.FoldStarted, "seed": events.SeedStarted,
    "frozen": events.LayersFrozen, "start": events.Started, "stopped": events.Stopped,
    "thawed": events.LayersThawed, "threshold": events.ThresholdChosen,
    "reading": events.HowToRead, "weights": events.LoadReport,
}  # fmt: skip  # what the lines of events.jsonl call them
NAMES = {kind: name for name, kind in KINDS.items()}


def model_file(path: str | Path) -> Path:
    """The model file that is meant by a path.

    Args:
        path: The folder of a run, whose model is meant, or of folds, whose ensemble; anything else stays as it is.

    Returns:
        The file, or the path.

    Raises:
        CheckpointError: For the folder of several runs, or of one that has no model yet.
    """
    folder = Path(path)
    if not folder.is_dir():
        return folder
    for name in (MODEL, ENSEMBLE):
        if (folder / name).is_file():
            return folder / name
    below = sorted(folder.glob(f"*/{MODEL}"))
    if below:
        raise CheckpointError(
            f"{folder}: holds the models of {counted(len(below), 'run')}. Name one of them, such as {below[0]}."
        )
    if (folder / "recipe.toml").is_file():
        raise CheckpointError(f"{folder}: is a run that ended before there was a model. Train again.")
    return folder


class RunFolder:
    """The files of a run, as they are written. ``create`` and ``numbered`` make a new one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.started = time.monotonic()
        self.made = [EVENTS, RESULTS]

    @classmethod
    def create(cls, path: Path) -> Self:
        """A new folder at a path. Raises ``DataError`` if there is something already, or it cannot be made."""
        try:
            path.mkdir(parents=True)  # at once: of two runs only one has it
        except FileExistsError as error:
            raise DataError(
                f"{path}: exists already; a run is never overwritten. Choose another --output."
            ) from error
        except OSError as error:
            raise DataError(f"{path}: cannot be made ({reason_of(error)}).") from error
        return cls(path)

    @classmethod
    def numbered(cls, parent: Path, name: str) -> Self:
        """A new folder ``parent/name``, or ``name-2``, ``name-3`` …: the first that no other run has taken."""
        path, number = parent / name, 1
        while True:
            try:
                return cls.create(path)
            except DataError:
                if not path.exists():  # nobody has taken the name; there is another reason
                    raise
            number += 1
            path = parent / f"{name}-{number}"

    def discard(self) -> None:
        """Takes the folder away again, as far as the run has made what is in it; for a run that cannot begin."""
        for name in self.made:
            (self.path / name).unlink(missing_ok=True)
        folders = {(self.path / name).parent for name in self.made} | {self.path}
        for folder in sorted(folders, key=lambda path: -len(path.parts)):
            with suppress(OSError):  # there is something that this run has not made
                folder.rmdir()

    def file(self, name: str) -> Path:
        """The path of a file that the run writes itself."""
        self.made.append(name)
        file = self.path / name
        if file.parent != self.path:
            file.parent.mkdir(exist_ok=True)
        return file

    def write(self, name: str, record: object) -> None:
        """Writes a record, or several, as a JSON file, whole or not at all; whoever kills the run finds it there.

        Nobody waits for the disk, which takes 6 ms a file: a power cut may leave the last seconds' records empty.
        """
        write_json(self.file(name), to_json(record), synced=False)

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

    def watched(self, epoch: int, norms: Mapping[str, float]) -> None:
        """Appends the norm of every layer's gradient in an epoch to ``gradients.csv``, in place of what is there of it.

        Args:
            epoch: Counted from 1.
            norms: By the layer's name, from the input to the output.
        """
        file = self.file(GRADIENTS)
        before = file.read_text(encoding="utf-8").splitlines() if file.exists() else ["epoch,layer,norm"]
        earlier = [line for line in before if line.partition(",")[0] in ("epoch", *map(str, range(1, epoch)))]
        lines = [f"{epoch},{layer},{norm:.6g}" for layer, norm in norms.items()]
        write_text(file, "\n".join([*earlier, *lines, ""]), synced=False)
