"""Checkpoints of a training that goes on: what is promised, what they hold, and how one is read again.

1. A checkpoint is all that a step changes. The rest (order, augmentation, mixing, dropout) is a function of the seed,
   the epoch and the step, so a run that goes on from one ends with the bits of the run that was never stopped.
2. A checkpoint is there whole or not at all, and counts only if the digests over its every byte, over the best model
   beside it and over what the run had told by then are right. One that is damaged, or another run's, is named, and the
   one before it is used; without any, the run begins again, which leads to the same bits.
3. A checkpoint belongs to a moment: the best model of that moment stands beside it, and what the run has written since
   is taken back, so that nothing is told twice and nothing is missing.
4. Saving may fail: a full disk costs a warning and time, never the checkpoint before, nor the run.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor

from mirada.codec import BadRecord, from_json
from mirada.errors import CheckpointError, MiradaError, reason_of
from mirada.modelfile import load_card
from mirada.models.digest import is_intact, stated_digest
from mirada.models.pieces import TensorEntry, write_pieces
from mirada.runs.folder import BEST, CHECKPOINTS, MODEL, Marks, RunFolder
from mirada.training.best import Held, keep

FORMAT = 2
KEPT = 2  # checkpoints: the last one, and the one before it
KEY = "checkpoint"  # of the description, in the metadata
STATE, BESIDE = "state", "best"  # what the names of their files begin with
KINDS = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8",
    torch.bool: "BOOL",
}  # fmt: skip  # safetensors' words


@dataclass(frozen=True, kw_only=True)
class SavedAt:
    """When a checkpoint was taken.

    Args:
        step: Steps of the run that are done.
        epoch: Epochs that are done.
        best: The best epoch so far, 0 for none: its model stands beside the checkpoint.
        marks: How far the run's files were.
        told: The digest of what these files held so far: no other run has the same.
        model: The digest that the model beside it has of itself; "" for none.
        format: Of the file.
    """

    step: int
    epoch: int
    best: int
    marks: Marks
    told: str = ""
    model: str = ""
    format: int = FORMAT

    @property
    def name(self) -> str:
        """That of its files, in the order in which they are taken."""
        return f"{self.step:010}-{self.epoch:06}.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """One that has been read: when it was taken, and the tensors of ``TrainState``."""

    moment: SavedAt
    tensors: Mapping[str, Tensor]


def write_tensors(file: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Writes tensors with a digest of every byte, whole or not at all, a tensor at a time.

    Args:
        file: To make or to replace.
        tensors: By name, on the processor.
        metadata: Texts by their names.

    Raises:
        OSError: The disk does not take it.
    """
    ordered = sorted(tensors.items(), key=lambda each: -each[1].element_size())
    entries = [
        TensorEntry(name, KINDS[value.dtype], tuple(value.shape), value.numel() * value.element_size())
        for name, value in ordered
    ]
    write_pieces(file, entries, metadata, (bytes_of(value) for _, value in ordered))


def read_tensors(file: Path, key: str) -> tuple[dict[str, Tensor], dict[str, object]]:
    """What ``write_tensors`` wrote, and the JSON under one name of its metadata.

    Raises:
        CheckpointError: It cannot be read, or is not what was written.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read ({reason_of(error)}).") from error
    if not is_intact(data):
        raise CheckpointError(f"{file}: damaged since it was written (its digest does not match).")
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        description = json.loads(header["__metadata__"][key])
        return load_tensors(data), description
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(f"{file}: is no file of this kind ({error}).") from error


def bytes_of(value: Tensor) -> memoryview:
    """The bytes of a tensor on the processor, in the order of its indices."""
    return value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """The SHA-256 of tensors by name: of their names, types, shapes and bytes."""
    digest = sha256()
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {KINDS[value.dtype]} {tuple(value.shape)};".encode())
        digest.update(bytes_of(value.cpu()))
    return digest.hexdigest()


def write_checkpoint(run: RunFolder, checkpoint: Checkpoint, best: Held) -> None:
    """Writes a checkpoint and then takes all others away but the one before it.

    Those of a later moment, too: the run has gone on from before them, and they are no longer its own.

    Args:
        run: The run's folder, which holds all that its marks count.
        checkpoint: With copies of the tensors, on the processor.
        best: The best model of that moment.

    Raises:
        OSError: The disk does not take it; those that were there stay.
        CheckpointError: Likewise.
    """
    folder, moment = run.path / CHECKPOINTS, checkpoint.moment
    beside = folder / f"{BESIDE}-{moment.name}"
    if moment.best:
        best.write(beside)
    model = stated_digest(beside) if moment.best else ""
    text = json.dumps(asdict(replace(moment, told=run.digest(moment.marks), model=model)))
    write_tensors(folder / f"{STATE}-{moment.name}", checkpoint.tensors, {KEY: text})
    _sync_folder(folder)
    there = [name_of(file) for file in states(folder) if file.is_file()]
    kept = [name for name in there if name <= moment.name][:KEPT]
    _remove(file for file in _numbered(folder) if name_of(file) not in kept)


def read_latest(folder: RunFolder) -> tuple[Checkpoint | None, list[str]]:
    """The last checkpoint of a run that can be used, and a sentence on each one that cannot.

    Args:
        folder: Of the run.

    Returns:
        The checkpoint, None where the run has to begin again, and the sentences.
    """
    problems: list[str] = []
    for file in states(folder.path / CHECKPOINTS):
        try:
            return _read(folder, file), problems
        except MiradaError as error:
            problems.append(str(error))
    return None, problems


def _read(folder: RunFolder, file: Path) -> Checkpoint:
    """Raises ``CheckpointError`` if anything of it, or of the model beside it, is not as it was written."""
    tensors, values = read_tensors(file, KEY)
    if (written := values.get("format")) != FORMAT:
        raise CheckpointError(f"{file}: written by another version (format {written}).")
    try:
        moment = from_json(SavedAt, values)
    except BadRecord as error:
        raise CheckpointError(f"{file}: its description cannot be understood ({error}).") from error
    if not folder.holds(moment.marks):
        raise CheckpointError(f"{file}: the run's results.csv or events.jsonl has become shorter since.")
    if folder.digest(moment.marks) != moment.told:
        raise CheckpointError(
            f"{file}: is another run's, or this run's results.csv or events.jsonl has been changed since."
        )
    beside = file.with_name(f"{BESIDE}-{moment.name}")
    if moment.best:
        load_card(beside)
        if stated_digest(beside) != moment.model:
            raise CheckpointError(f"{beside}: is not the model that was saved with the checkpoint beside it.")
    return Checkpoint(moment, tensors)


def put_back(folder: RunFolder, moment: SavedAt) -> None:
    """Takes the files of a run to where they were when a checkpoint was taken: its model, its epochs, its events."""
    if moment.best:
        keep(folder.path / CHECKPOINTS / f"{BESIDE}-{moment.name}", folder.path / MODEL)
    folder.rewind(moment.marks)


def states(folder: Path) -> list[Path]:
    """The files of the checkpoints, the last one first."""
    return sorted(folder.glob(f"{STATE}-*.safetensors"), reverse=True)


def remove_checkpoints(folder: Path) -> None:
    """Takes all checkpoints of a run away, which has come to its end."""
    _remove((*_numbered(folder), folder / Path(BEST).name))


def _numbered(folder: Path) -> list[Path]:
    """The files of all checkpoints: states, and the models beside them."""
    return [file for kind in (STATE, BESIDE) for file in folder.glob(f"{kind}-*.safetensors")]


def _remove(files: Iterable[Path]) -> None:
    """Takes files away that may be there; what is no file, nobody has written here, and it stays."""
    for file in files:
        if not file.is_dir():
            file.unlink(missing_ok=True)


def name_of(file: Path) -> str:
    """What the files of one checkpoint have in common."""
    return file.name.partition("-")[2]


def _sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on disk, where a folder can be opened."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
