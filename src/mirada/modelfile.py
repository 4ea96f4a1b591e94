"""The model file: one ``.safetensors`` with the weights and, as JSON, all that is needed to use them.

It holds the architecture by name and arguments, the classes in order, the preprocessing, the scaling of a numeric
target, the recipe, where it came from, and a digest of every byte of the file. Loading it can run no code.
Files are written beside their target and renamed, so a model file is the old one or the new one, never a part.
"""

import json
import re
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from mirada.data.index import Task
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import CheckpointError, InvalidArgument, MiradaError, reason_of
from mirada.files import replacing
from mirada.layers.covariates import join_covariates
from mirada.layers.network import Network
from mirada.models import create_model

FORMAT = 2  # 1 knew of one target, and of nothing beside the image
KEY = "mirada"
BLANK_DIGEST = "0" * 64  # stands in the place of the digest while the digest is computed
DIGEST = re.compile(rb'"digest":"([0-9a-f]{64})"')  # in the description these quotes would have backslashes
HEADER_LIMIT = 100 * 2**20  # safetensors' own limit
PICKLES = (b"\x80", b"PK")  # the first bytes of a pickle, and of the zip file that torch.save puts it in


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a model file says about its weights.

    ``target_mean`` and ``target_std`` (in ``unit``), one per target, turn regression outputs into the target's unit:
    value = output · target_std + target_mean; ``target_names`` names the targets where there are several.
    ``covariate_names`` are the numbers that the network reads beside the image, as (value − mean) / std.

    ``temperature`` divides the outputs for classes before they become probabilities. ``conformal`` holds the fields
    of ``evaluation.conformal.Conformal``, intervals for numbers; both were learnt from the validation images.
    ``options`` are those of the network's family. ``provenance`` and ``recipe`` are for people to read.

    Raises ``InvalidArgument`` for an unknown task, or names and numbers that do not go with the task and each other.
    """

    model: str
    num_classes: int
    in_channels: int
    image_size: tuple[int, int]
    options: dict[str, Any] = field(default_factory=dict)
    task: Task
    classes: tuple[str, ...] = ()
    unit: str = ""
    target_names: tuple[str, ...] = ()
    target_mean: tuple[float, ...] = (0.0,)
    target_std: tuple[float, ...] = (1.0,)
    covariate_names: tuple[str, ...] = ()
    covariate_mean: tuple[float, ...] = ()
    covariate_std: tuple[float, ...] = ()
    temperature: float = 1.0
    conformal: dict[str, Any] = field(default_factory=dict)
    preprocessing: Preprocessing
    recipe: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.task not in get_args(Task):
            raise InvalidArgument(f"`task` of Card must be {' or '.join(get_args(Task))}. Got {self.task!r}.")
        numeric = self.task == "regression"
        outputs = max(1, len(self.target_names)) if numeric else self.num_classes
        fitting = (outputs, 0 if numeric else max(2, outputs))
        if (self.num_classes, len(self.classes)) != fitting:
            raise InvalidArgument(
                f"A Card for {self.task} cannot have {self.num_classes} outputs and {len(self.classes)} classes."
            )
        self._require_scales("target", outputs if numeric else 1)
        self._require_scales("covariate", len(self.covariate_names))
        if not self.temperature > 0:
            raise InvalidArgument(f"`temperature` of Card must be above 0. Got {self.temperature!r}.")

    def _require_scales(self, what: str, count: int) -> None:
        means, stds = getattr(self, f"{what}_mean"), getattr(self, f"{what}_std")
        if not len(means) == len(stds) == count or not all(std > 0 for std in stds):
            raise InvalidArgument(
                f"`{what}_mean` and `{what}_std` of Card need {count} values each, std above 0. "
                f"Got {means!r} and {stds!r}."
            )

    def read_outputs(self, raw: Tensor) -> Tensor:
        """Network outputs (N, num_classes) → class probabilities (N, K ≥ 2), or values in the unit (N, T)."""
        raw = raw.double()
        if self.task == "regression":
            mean, std = (
                torch.tensor(numbers, dtype=raw.dtype, device=raw.device)
                for numbers in (self.target_mean, self.target_std)
            )
            return raw * std + mean
        raw = raw / self.temperature
        if self.num_classes == 1:
            second = raw.sigmoid()
            return torch.cat((1 - second, second), dim=1)
        return raw.softmax(dim=1)

    def scale_covariates(self, covariates: NDArray[np.float64]) -> Tensor | None:
        """Covariates (N, K) as the network reads them, float32; None for a network that reads images alone."""
        if not self.covariate_names:
            return None
        scaled = (covariates - np.array(self.covariate_mean)) / np.array(self.covariate_std)
        return torch.from_numpy(scaled.astype(np.float32))

    def build(self) -> Network:
        """The network, with weights not yet set."""
        network = create_model(
            self.model,
            num_classes=self.num_classes,
            in_channels=self.in_channels,
            image_size=self.image_size,
            **self.options,
        )
        return join_covariates(network, len(self.covariate_names)) if self.covariate_names else network

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
        known: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        for key in ("target_mean", "target_std"):
            if isinstance(known.get(key), float):  # as format 1 has them
                known[key] = (known[key],)
        known["image_size"] = tuple(values["image_size"])
        known["classes"] = tuple(values["classes"])
        known["preprocessing"] = Preprocessing.from_dict(values["preprocessing"])
        return cls(**known)


def save_model(file: Path, network: Network, card: Card) -> None:
    """Writes a model file, atomically. Raises ``CheckpointError`` if the disk does not take it."""
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    data = save_tensors(weights, {KEY: card.to_json(), "digest": BLANK_DIGEST})
    blank = DIGEST.search(data)
    if not blank:
        raise CheckpointError(f"{file}: safetensors wrote a header in which the digest has no place.")
    start, end = blank.span(1)
    try:
        with replacing(file) as draft:
            draft.write_bytes(data[:start] + _digest(data, (start, end)).encode() + data[end:])
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be written ({reason_of(error)}).") from error


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
        raise CheckpointError(f"{path}: the model file cannot be read ({reason_of(error)}).") from error
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
