"""The folder of one run: what happened, as it happens. An existing run is never overwritten."""

import csv
import errno
import io
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from mirada import events
from mirada.codec import to_json
from mirada.errors import CheckpointError, DataError, counted, reason_of
from mirada.events import EpochDone, Event, Progress
from mirada.files import append_text, json_text, locked, write_bytes, write_json, write_text

RESULTS = "results.csv"
EVENTS = "events.jsonl"
GRADIENTS = "gradients.csv"  # the norm of every layer's gradient, a row for each layer and epoch
MODEL = "model.safetensors"
ENSEMBLE = "ensemble.safetensors"  # of a cross-validation: the networks of all folds
INTERVALS = "intervals.json"  # of a cross-validation: for the mean of its networks
SIMILAR = "features.npz"  # of the training images, to find those that are similar to another
SUSPECTS = "suspects.html"  # of a cross-validation, as is the table of all labels
SUSPECTS_TABLE = "suspects.csv"
CHECKPOINTS = "checkpoints"
LAST = f"{CHECKPOINTS}/last.safetensors"
BEST = f"{CHECKPOINTS}/best.safetensors"  # as it was before it was calibrated
JOB = "job.json"  # the first file of a run
CUT = (
    "cut.json"  # how the network of a run was cut, as long as the run has not been set beside the one before
)
FOUR_NETWORKS = "degradation.html"  # in place of a report, of the degradation experiment
DIGESTS = "digests.json"  # the last file of a run
FAILED_STEP = "failed-step.safetensors"  # the step that gave no number
LOCK = "lock"  # held as long as a process works in the folder
DRAFT = re.compile(r"\.[0-9a-f]{16}(\.\w+)?")  # what a process that is killed leaves of a file it was writing
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # what the system says where a disk, or a quota, is full
TEXTS = (".json", ".jsonl", ".csv", ".toml")  # what a run knows of itself
PATIENCE = 2.0  # seconds: whoever lists runs looks at a lock for a moment
KINDS: dict[str, type[Event]] = {
    "best": events.BestEpoch, "epoch": events.EpochDone, "evaluation": events.Evaluated,
    "excluded": events.FileExcluded, "features": events.FeaturesPlanned,
    "first_layer": events.FirstLayerLoaded, "fold": events.FoldStarted, "seed": events.SeedStarted,
    "frozen": events.LayersFrozen, "start": events.Started, "stopped": events.Stopped,
    "thawed": events.LayersThawed, "threshold": events.ThresholdChosen,
    "resumed": events.Resumed, "unsaved": events.NotSaved,
    "reading": events.HowToRead, "slices": events.SlicesHalved, "weights": events.LoadReport,
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


class DiskFull(OSError):
    """The disk does not take any more."""


@dataclass(frozen=True)
class Marks:
    """How long the files are that a run appends to, in bytes, and how long it has taken, in seconds."""

    results: int
    events: int
    seconds: float


NOTHING = Marks(0, 0, 0.0)


class RunFolder:
    """The files of a run, as they are written. ``create`` and ``numbered`` make a new one, ``reopened`` finds one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.started = time.monotonic()
        self.made = [EVENTS, RESULTS, LOCK]
        self.is_new = True
        self.waiting: dict[str, str] = {}  # lines that the disk has not taken, by file
        self.norms: list[str] = []  # those of gradients, likewise

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

    @classmethod
    def reopened(cls, path: Path) -> Self:
        """The folder of a run that goes on."""
        folder = cls(path)
        folder.is_new = False
        return folder

    @contextmanager
    def alone(self) -> Iterator[None]:
        """For the time of the context, no other process works in the folder. Raises ``DataError`` if one does.

        The drafts that the run was killed over are taken away: now they cannot be those of another one that writes.
        """
        began = time.monotonic()

        def wait() -> None:
            if time.monotonic() - began > PATIENCE:
                raise DataError(f"{self.path}: another process is at work in this run. Wait for its end.")

        with locked(self.path / LOCK, wait):
            for draft in (*self.path.glob(".*"), *(self.path / CHECKPOINTS).glob(".*")):
                if DRAFT.fullmatch(draft.name):
                    draft.unlink(missing_ok=True)
            yield

    def discard(self) -> None:
        """Takes the folder away again, as far as the run has made what is in it; for a run that cannot begin.

        That of a run which goes on stays.
        """
        if not self.is_new:
            return
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
        self._append(EVENTS, line + "\n")

    def result(self, done: EpochDone) -> None:
        """Appends one epoch to ``results.csv``; the first row also writes the header."""
        measured = {f"val_{name}": value for name, value in done.metrics.items()}
        plain = {name: value for name, value in asdict(done).items() if name not in ("metrics", "best")}
        row = plain | measured
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, row.keys())
        if not self._length(RESULTS) and RESULTS not in self.waiting:
            writer.writeheader()
        writer.writerow(row)
        self._append(RESULTS, text.getvalue())

    def watched(self, epoch: int, norms: Mapping[str, float]) -> None:
        """Appends the norm of every layer's gradient in an epoch to ``gradients.csv``, in place of what is there of it.

        Args:
            epoch: Counted from 1.
            norms: By the layer's name, from the input to the output.
        """
        file = self.file(GRADIENTS)
        before = file.read_text(encoding="utf-8").splitlines() if file.exists() else ["epoch,layer,norm"]
        earlier = [line for line in before if line.partition(",")[0] in ("epoch", *map(str, range(1, epoch)))]
        self.norms += [f"{epoch},{layer},{norm:.6g}" for layer, norm in norms.items()]
        try:
            write_text(file, "\n".join([*earlier, *self.norms, ""]), synced=False)
        except OSError as error:  # of a full disk, the next epoch tries again
            if error.errno not in FULL:
                raise
        else:
            self.norms = []

    def _append(self, name: str, text: str) -> None:
        """Adds lines to a file; those that a full disk does not take wait for the next ones."""
        self.waiting[name] = self.waiting.get(name, "") + text
        with suppress(DiskFull):
            self.settle()

    def settle(self) -> None:
        """Writes the lines that have waited for the disk. Raises ``DiskFull`` if they still have to."""
        for name in list(self.waiting):
            try:
                append_text(self.path / name, self.waiting[name])
            except OSError as error:
                if error.errno not in FULL:
                    raise
                raise DiskFull(error.errno, error.strerror, str(self.path / name)) from error
            del self.waiting[name]

    def marks(self) -> Marks:
        """How far the files are that a run appends to, for ``rewind``."""
        waiting = {name: len(text.encode(errors="surrogateescape")) for name, text in self.waiting.items()}
        results, told = (self._length(name) + waiting.get(name, 0) for name in (RESULTS, EVENTS))
        return Marks(results, told, self.seconds)

    def holds(self, marks: Marks) -> bool:
        """Whether the files are as long as they were."""
        return self._length(RESULTS) >= marks.results and self._length(EVENTS) >= marks.events

    def digest(self, marks: Marks) -> str:
        """The SHA-256 of what these files hold up to some marks; they are at least as long."""
        from hashlib import sha256  # loads OpenSSL, which who lists runs goes without

        found = sha256()
        for name, length in ((RESULTS, marks.results), (EVENTS, marks.events)):
            if length:
                with (self.path / name).open("rb") as stream:
                    found.update(stream.read(length))
        return found.hexdigest()

    def rewind(self, marks: Marks) -> None:
        """Takes away what was appended after some marks; the time goes on from there."""
        for name, length in ((RESULTS, marks.results), (EVENTS, marks.events)):
            if (self.path / name).exists():
                os.truncate(self.path / name, length)
        if not marks.results:
            (self.path / RESULTS).unlink(missing_ok=True)
        self.started = time.monotonic() - marks.seconds

    def touch(self) -> None:
        """Makes the list of events, which is empty as long as nothing has happened."""
        append_text(self.path / EVENTS, "")

    def forget(self, kind: type[Event]) -> None:
        """Takes the events of a kind out of the list, and lines that are none, as one that was cut."""
        file, name = self.path / EVENTS, NAMES[kind]
        lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
        kept = [line for line in lines if line.endswith(b"\n") and _kind_of(line) not in (name, "")]
        if kept != lines:
            write_bytes(file, b"".join(kept))

    def sync(self) -> None:
        """Waits until what was appended, and all that the run needs to go on, is on disk."""
        for file in self.path.iterdir():
            if file.suffix in TEXTS and file.is_file():
                with file.open("rb") as stream:
                    os.fsync(stream.fileno())

    def _length(self, name: str) -> int:
        file = self.path / name
        return file.stat().st_size if file.exists() else 0


def _kind_of(line: bytes) -> str:
    """What event a line of ``events.jsonl`` tells of; "" for what is none."""
    try:
        told = json.loads(line)
    except ValueError:
        return ""
    return str(told.get("event", "")) if isinstance(told, dict) else ""
