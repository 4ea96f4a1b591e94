"""The model file: one ``.safetensors`` with the weights and, as JSON, all that is needed to use them.

It holds the architecture by name and arguments, the classes in order, the preprocessing, the scaling of a numeric
target, the recipe, where it came from, and a digest of every byte of the file. Loading it can run no code.
Files are written beside their target and renamed, so a model file is the old one or the new one, never a part.
"""

import json
import os
import re
import tempfile
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from mirada.data.index import Task
from mirada.data.preprocessing import Preprocessing
from mirada.errors import CheckpointError, InvalidArgument, MiradaError
from mirada.layers.network import Network
from mirada.models import create_model

FORMAT = 1
KEY = "mirada"
BLANK_DIGEST = "0" * 64  # stands in the place of the digest while the digest is computed
DIGEST = re.compile(rb'"digest":"([0-9a-f]{64})"')  # in the description these quotes would have backslashes
HEADER_LIMIT = 100 * 2**20  # safetensors' own limit
PICKLES = (b"\x80", b"PK")  # the first bytes of a pickle, and of the zip file that torch.save puts it in


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a model file says about its weights.

    ``target_mean`` and ``target_std`` (in ``unit``) turn a regression output into the target's unit:
    value = output · target_std + target_mean. ``options`` are those of the network's family. ``provenance`` and
    ``recipe`` are for people to read.

    Raises ``InvalidArgument`` for an unknown task, or classes that do not go with the task and the outputs.
    """

    model: str
    num_classes: int
    in_channels: int
    image_size: tuple[int, int]
    options: dict[str, Any] = field(default_factory=dict)
    task: Task
    classes: tuple[str, ...] = ()
    unit: str = ""
    target_mean: float = 0.0
    target_std: float = 1.0
    preprocessing: Preprocessing
    recipe: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.task not in get_args(Task):
            raise InvalidArgument(f"`task` of Card must be {' or '.join(get_args(Task))}. Got {self.task!r}.")
        fitting = (1, 0) if self.task == "regression" else (self.num_classes, max(2, self.num_classes))
        if (self.num_classes, len(self.classes)) != fitting:
            raise InvalidArgument(
                f"A Card for {self.task} cannot have {self.num_classes} outputs and {len(self.classes)} classes."
            )

    def read_outputs(self, raw: Tensor) -> Tensor:
        """Network outputs (N, num_classes) → class probabilities (N, K ≥ 2), or values in the unit (N, 1)."""
        raw = raw.double()
        if self.task == "regression":
            return raw * self.target_std + self.target_mean
        if self.num_classes == 1:
            second = raw.sigmoid()
            return torch.cat((1 - second, second), dim=1)
        return raw.softmax(dim=1)

    def build(self) -> Network:
        """The network, with weights not yet set."""
        return create_model(
            self.model,
            num_classes=self.num_classes,
            in_channels=self.in_channels,
            image_size=self.image_size,
            **self.options,
        )

    def to_json(self) -> str:
        """As one line of JSON."""
        return json.dumps({"format": FORMAT, **asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> "Card":
        """The inverse of ``to_json``. Raises ``CheckpointError`` for text that it did not write."""
        try:
            values = json.loads(text)
            stated = values.pop("format")
            if stated <= FORMAT:
                return cls._from_dict(values)
        except (MiradaError, TypeError, KeyError, ValueError, AttributeError, RecursionError) as error:
            reason = f"there is no {error}" if isinstance(error, KeyError) else str(error).rstrip(".")
            raise CheckpointError(f"its description cannot be understood ({reason}).") from error
        raise CheckpointError(
            f"written by a newer Mirada (format {stated}; this one reads {FORMAT}). Update Mirada to read it."
        )

    @classmethod
    def _from_dict(cls, values: dict[str, Any]) -> "Card":
        values["preprocessing"] = Preprocessing.from_dict(values["preprocessing"])
        values["classes"] = tuple(values["classes"])
        values["image_size"] = tuple(values["image_size"])
        return cls(**values)


def save_model(file: Path, network: Network, card: Card) -> None:
    """Writes a model file, atomically. Raises ``CheckpointError`` if the disk does not take it."""
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    data = save_tensors(weights, {KEY: card.to_json(), "digest": BLANK_DIGEST})
    blank = DIGEST.search(data)
    if not blank:
        raise CheckpointError(f"{file}: safetensors wrote a header in which the digest has no place.")
    start, end = blank.span(1)
    write_atomically(file, data[:start] + _digest(data, (start, end)).encode() + data[end:])


def load_card(file: str | Path) -> Card:
    """Reads a model file's description, after verifying the whole file."""
    return _verified(Path(file))[0]


def load_network(file: str | Path) -> tuple[Network, Card]:
    """Reads a model file: the network in eval mode, and its card.

    Raises ``CheckpointError`` if the file is missing, truncated, altered, a pickle, or from a newer Mirada.
    """
    path = Path(file)
    card, data = _verified(path)
    try:
        with torch.device("meta"):  # no weights are drawn: those of the file take their place
            network = card.build()
    except (MiradaError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{path}: its network cannot be built here. {error}") from error
    try:
        network.load_state_dict(load_tensors(data), assign=True)
    except (RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: the weights do not fit the network {card.model} that the file names. Use another copy."
        ) from error
    return network.eval(), card


def _verified(path: Path) -> tuple[Card, bytes]:
    """The card and the bytes of a model file whose digest is right."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"{path}: the model file cannot be read ({(error.strerror or 'unknown reason').lower()})."
        ) from error
    metadata = _metadata(path, data)
    if KEY not in metadata or "digest" not in metadata:
        raise CheckpointError(
            f"{path}: safetensors, but no model file of Mirada's (it does not say how to use its weights)."
        )
    stated = DIGEST.search(data)
    if stated is None or _digest(data, stated.span(1)) != stated[1].decode():
        raise CheckpointError(
            f"{path}: altered or damaged since it was written (its digest does not match). Use another copy."
        )
    try:
        return Card.from_json(metadata[KEY]), data
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _digest(data: bytes, place: tuple[int, int]) -> str:
    """The digest of a model file, computed with zeros in its own place."""
    start, end = place
    digest = sha256(data[:start] + BLANK_DIGEST.encode())
    digest.update(memoryview(data)[end:])
    return digest.hexdigest()


def _metadata(path: Path, data: bytes) -> dict[str, str]:
    """The metadata in the header of safetensors bytes: 8 bytes of length, then JSON."""
    end = 8 + int.from_bytes(data[:8], "little")
    if data[8:9] != b"{" or end > HEADER_LIMIT:
        raise CheckpointError(f"{path}: {_what_it_is(data)}")
    if end > len(data):
        raise CheckpointError(f"{path}: truncated or damaged ({len(data):,} bytes). Use another copy.")
    try:
        header = json.loads(data[8:end])
        metadata = dict(header.pop("__metadata__", {}))
        end += max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
        sound = all(isinstance(value, str) for value in metadata.values()) and end >= 0
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        sound = False
    if not sound:
        raise CheckpointError(f"{path}: damaged (its header makes no sense). Use another copy.")
    if end > len(data):
        raise CheckpointError(f"{path}: truncated after {len(data):,} of {end:,} bytes. Use another copy.")
    return metadata


def _what_it_is(data: bytes) -> str:
    """What a file is that does not begin like safetensors."""
    if not data:
        return "no model file (it is empty)."
    if data.startswith(PICKLES):
        return (
            "a pickle or zip file, as torch.save writes it, which could run code when opened. A model file of "
            "Mirada's is a .safetensors file."
        )
    return f"no model file (its {len(data):,} bytes do not begin like a .safetensors file)."


def write_atomically(file: Path, data: bytes) -> None:
    """Writes beside the target, forces it to disk, renames. Raises ``CheckpointError`` if that fails."""
    try:
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(file)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except OSError as error:
        raise CheckpointError(
            f"{file}: cannot be written ({(error.strerror or 'unknown').lower()})."
        ) from error
