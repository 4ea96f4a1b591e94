"""The model file: one ``.safetensors`` with the weights and, as JSON, all that is needed to use them.

It holds the architecture by name and arguments, the classes in order, the preprocessing, the scaling of a numeric
target, the recipe, where it came from, and a digest of every byte of the file. Loading it can run no code.
Files are written beside their target and renamed, so a model file is the old one or the new one, never a part.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from math import inf
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from mirada.codec import BadRecord, from_json
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import CheckpointError, InvalidArgument, MiradaError, reason_of
from mirada.evaluation.conformal import Conformal
from mirada.evaluation.threshold import Threshold
from mirada.files import write_bytes
from mirada.layers.covariates import join_covariates
from mirada.layers.network import Network
from mirada.layers.own import filled
from mirada.models import create_model
from mirada.models.catalogue import MODULE
from mirada.models.digest import BLANK_DIGEST, DIGEST_KEY, KEY, is_intact, with_digest
from mirada.models.earlier_cards import from_flat
from mirada.models.header import metadata_of, require_memory
from mirada.models.joining import join_files, prefix
from mirada.models.weight_files import apart
from mirada.samples import Classes, Covariate, Numbers, Scaling, Target
from mirada.text import shortened

FORMAT = 3  # 2 was flat; 1 knew of one target, and of nothing beside the image
ENSEMBLE_FORMAT = 4  # several networks in one file, each with a card of format 3
TARGETS: dict[str, type[Classes] | type[Numbers]] = {Classes().task: Classes, Numbers().task: Numbers}
DESCRIPTION_LIMIT = 32 * 2**20  # characters: the digests of two million images
SHOWN, MESSAGE = 200, 800  # characters of a reason, of a message that is passed on
WIDEST = 1_000_000  # outputs, or covariates
NOTHING_BESIDE = Scaling((), ())  # of a network that reads images alone
NOT_UNDERSTOOD = (MiradaError, TypeError, KeyError, ValueError, AttributeError, OverflowError, RecursionError)
Record = TypeVar("Record")
BEGINNING = 9  # bytes: the length of the header, and its first character
UNFIT = "{}: the weights do not fit the network {} that the file names. Use another copy."


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Which network it is: all that is needed to build it, without its weights.

    Args:
        model: Its name in the catalogue; ``layers`` for a stack, whose text is an option, and ``module`` for a module
            of one's own, which only its class builds.
        options: Those of the network's family.
        outputs: Numbers that it puts out per image.
        in_channels: Channels of its images.
        image_size: (height, width) in pixels.
        covariates: How many numbers it reads beside each image.
    """

    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    outputs: int
    in_channels: int
    image_size: tuple[int, int]
    covariates: int = 0

    def __post_init__(self) -> None:
        ranges = {"outputs": (1, WIDEST), "in_channels": (1, 64), "covariates": (0, WIDEST)}
        for name, (least, most) in ranges.items():
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise InvalidArgument(
                    f"`{name}` of Architecture must be a whole number from {least} to {most:,}. Got {value!r}."
                )

    @property
    def title(self) -> str:
        """What people call it: its name, or that of the class of a module of one's own."""
        return str(self.options.get("class_name") or self.model)

    def build(self) -> Network:
        """The network, with weights not yet set. Raises ``InvalidArgument`` for a module of one's own."""
        network = create_model(
            self.model,
            num_classes=self.outputs,
            in_channels=self.in_channels,
            image_size=self.image_size,
            **self.options,
        )
        return join_covariates(network, self.covariates) if self.covariates else network


@dataclass(frozen=True, kw_only=True)
class WeightsOrigin:
    """The weights that a training began with, as a model file's provenance remembers them.

    Args:
        file: The file's name.
        sha256: Its digest.
        names: Whose names its tensors had.
        name: The set of public weights that it was; empty for others, as are ``data`` and ``licence``.
        data: What that set was trained on.
        licence: As its publisher states it, or implies.
        expects: What pixels have to be for it, in words: values, range, order of colours, size and crop.
    """

    file: str
    sha256: str
    names: str
    name: str = ""
    data: str = ""
    licence: str = ""
    expects: str = ""

    def __str__(self) -> str:
        """In one line, for people."""
        known = (
            f"{self.name}, trained on {self.data}; licence {self.licence}; "
            if self.name
            else f"{self.file}; "
        )
        expects = f"; expects {self.expects}" if self.expects else ""
        return f"training began with {known}SHA-256 {self.sha256}{expects}"


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a model file says about its weights.

    Args:
        architecture: Which network they are of.
        preprocessing: What was done to the images.
        target: What it predicts.
        target_scaling: Of numbers: value = output · std + mean, in their unit. None for classes.
        covariates: What the network reads beside each image, in order.
        covariate_scaling: It reads (value − mean) / std.
        temperature: Divides the outputs for classes before they become probabilities.
        conformal: Intervals for numbers. Both were learnt from the validation images.
        flip_average: Whether its outputs are the mean of those for an image and for its mirror image.
        recipe: How the network was trained.
        provenance: Where it came from: versions, data, splits.

    Raises ``InvalidArgument`` for parts that do not go with each other.
    """

    architecture: Architecture
    preprocessing: Preprocessing
    target: Target
    target_scaling: Scaling | None = None
    covariates: tuple[Covariate, ...] = ()
    covariate_scaling: Scaling = NOTHING_BESIDE
    temperature: float = 1.0
    conformal: Conformal | None = None
    flip_average: bool = False
    threshold: Threshold | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        outputs = self.architecture.outputs
        match self.target:
            case Classes(names):
                fitting = len(names) == max(2, outputs) and self.target_scaling is None and not self.conformal
            case Numbers(names):
                scaling = self.target_scaling
                fitting = outputs == len(names) and scaling is not None and len(scaling.mean) == outputs
        if not fitting:
            raise InvalidArgument(
                f"A Card for {self.target.task} cannot have {outputs} outputs, {len(self.target.names)} names and "
                f"{self.target_scaling}."
            )
        expected = len(self.covariates)
        if not self.architecture.covariates == len(self.covariate_scaling.mean) == expected:
            raise InvalidArgument(
                f"A Card for a network that reads {self.architecture.covariates} covariates cannot have {expected}, "
                f"and {self.covariate_scaling}."
            )
        if self.threshold and self.threshold.positive not in self.classes:
            raise InvalidArgument(
                f'A Card without the class "{self.threshold.positive}" cannot have its threshold.'
            )
        if not 0 < self.temperature < inf:
            raise InvalidArgument(
                f"`temperature` of Card must be a number above 0. Got {self.temperature!r}."
            )

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names, in order; none for a model of numbers."""
        return self.target.names if isinstance(self.target, Classes) else ()

    @property
    def began_with(self) -> WeightsOrigin | None:
        """The weights that its training began with; None if they were random, or nobody wrote it down."""
        try:
            return from_json(WeightsOrigin, self.provenance.get("weights"))
        except BadRecord:
            return None

    @property
    def covariate_names(self) -> tuple[str, ...]:
        """The labels of the covariates."""
        return tuple(covariate.label for covariate in self.covariates)

    def read_outputs(self, raw: Tensor) -> Tensor:
        """Network outputs (N, outputs) → class probabilities (N, K ≥ 2), or values in their unit (N, T)."""
        raw = raw.double()
        if self.target_scaling is not None:
            return torch.from_numpy(self.target_scaling.inverse(raw.cpu().numpy())).to(raw.device)
        raw = raw / self.temperature
        if self.architecture.outputs == 1:
            second = raw.sigmoid()
            return torch.cat((1 - second, second), dim=1)
        return raw.softmax(dim=1)

    def scale_covariates(self, values: NDArray[np.float64]) -> Tensor | None:
        """Covariates (N, K) as the network reads them, float32; None for a network that reads images alone."""
        if not self.covariates:
            return None
        return torch.from_numpy(self.covariate_scaling.forward(values).astype(np.float32))

    def to_json(self) -> str:
        """As one line of JSON; what few files need is left out where it is the default, for older readers."""
        values = asdict(self)
        if not self.flip_average:
            del values["flip_average"]
        if not self.threshold:
            del values["threshold"]
        if not self.preprocessing.resize:
            del values["preprocessing"]["resize"]
        return json.dumps({"format": FORMAT, "task": self.target.task, **values})

    @classmethod
    def from_json(cls, text: str) -> "Card":
        """The inverse of ``to_json``. Raises ``CheckpointError`` for text that it did not write."""
        try:
            if len(text) > DESCRIPTION_LIMIT:
                raise BadRecord(f"it has {len(text):,} characters, more than {DESCRIPTION_LIMIT:,}")
            values = json.loads(text)
            stated = values.pop("format")
            if type(stated) is not int or stated < 1:
                raise BadRecord(f"format must be a whole number from 1. Got {stated!r}")
            if stated <= FORMAT:
                return _card(values if stated == FORMAT else from_flat(values, stated))
        except NOT_UNDERSTOOD as error:
            reason = f"there is no {error}" if isinstance(error, KeyError) else str(error).rstrip(".")[:SHOWN]
            raise CheckpointError(f"its description cannot be understood ({reason}).") from error
        raise CheckpointError(
            f"written by a newer Mirada (format {stated!s:.20}; this one reads {ENSEMBLE_FORMAT}). Update Mirada to "
            f"read it."
        )


class Member(NamedTuple):
    """A network of a model file, in eval mode, and what the file says of it."""

    network: Network
    card: Card


class Together(NamedTuple):
    """What was learnt for the answers of an ensemble: intervals for its numbers, or the threshold of a class."""

    conformal: Conformal | None = None
    threshold: Threshold | None = None


NO_MORE = Together()


class Loaded(NamedTuple):
    """What a model file holds: one network, or those of an ensemble, and what was learnt for all together."""

    members: tuple[Member, ...]
    together: Together = NO_MORE


class _Contents(NamedTuple):
    """What a model file says, as ``Loaded`` has it."""

    cards: tuple[Card, ...]
    together: Together = NO_MORE


def _by(sizes: tuple[int, ...]) -> str:
    """Channels, height and width, as a message says them."""
    return " × ".join(f"{size:,}" for size in sizes)


def _card(values: dict[str, Any]) -> Card:
    """The card of JSON values, nested as ``Card`` is. Raises ``BadRecord`` or ``InvalidArgument`` for others."""
    rest = dict(values)
    kind = TARGETS.get(str(rest.pop("task", None)))
    if kind is None:
        raise BadRecord(f"task must be {' or '.join(TARGETS)}. Got {values.get('task')!r}.")
    target = _read(kind, rest.pop("target"), "target")
    preprocessing = _read(Preprocessing, rest.pop("preprocessing"), "preprocessing")
    plain = _read(_PlainCard, rest, "")
    card = Card(
        target=target,
        preprocessing=preprocessing,
        **{each.name: getattr(plain, each.name) for each in fields(plain)},
    )
    _require_fitting_images(card)
    _require_whole(card, values)
    return card


def _require_fitting_images(card: Card) -> None:
    """Raises ``BadRecord`` unless images become what the network takes, and intervals are of its outputs."""
    taken = (card.architecture.in_channels, *card.architecture.image_size)
    made = (card.preprocessing.channels, *card.preprocessing.size)
    if made != taken:
        raise BadRecord(f"its images become {_by(made)} values, and its network takes {_by(taken)}")
    widths = card.conformal.half_widths if card.conformal else ()
    if widths and len(widths) != card.architecture.outputs:
        raise BadRecord(f"it has {len(widths)} intervals for {card.architecture.outputs} outputs")


def _require_whole(card: Card, values: Mapping[str, Any]) -> None:
    """Raises ``BadRecord`` if the card would be written otherwise: a key that is missing has become a default."""
    plain = json.loads(
        replace(card, recipe={}, provenance={}).to_json()
    )  # those two are passed on as they are
    for key in plain.keys() - {"format", "recipe", "provenance"}:
        if key not in values or plain[key] != values[key]:
            raise BadRecord(f"{key} lacks a key, or has one that nobody knows")


@dataclass(frozen=True, kw_only=True)
class _PlainCard:
    """The parts of a card of which the type is all that need be known to read them."""

    architecture: Architecture
    target_scaling: Scaling | None
    covariates: tuple[Covariate, ...]
    covariate_scaling: Scaling
    temperature: float
    conformal: Conformal | None
    recipe: dict[str, Any]
    provenance: dict[str, Any]
    flip_average: bool = False
    threshold: Threshold | None = None


def _read(kind: type[Record], values: object, key: str) -> Record:
    """The record of JSON values. Raises ``BadRecord`` for a key that it does not have, or a value of another type."""
    if isinstance(values, dict):
        unknown = values.keys() - {each.name for each in fields(kind)}  # type: ignore[arg-type]
        if unknown:
            raise BadRecord(f'there is no key "{min(unknown)}" in {key or "a model file"}')
    return from_json(kind, values, (key,) if key else ())


def save_model(file: Path, network: Network, card: Card) -> None:
    """Writes a model file, atomically. Raises ``CheckpointError`` if the disk does not take it."""
    save_weights(file, network.state_dict(), card)


def save_weights(file: Path, tensors: Mapping[str, Tensor], card: Card) -> None:
    """Writes the model file of a network's tensors by name. Raises as ``save_model``."""
    data = with_digest(save_tensors(apart(tensors), {KEY: card.to_json(), DIGEST_KEY: BLANK_DIGEST}))
    if data is None:
        raise CheckpointError(f"{file}: safetensors wrote a header in which the digest has no place.")
    try:
        write_bytes(file, data)
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be written ({reason_of(error)}).") from error


def save_ensemble(file: Path, sources: Sequence[Path], together: Together = NO_MORE) -> None:
    """Writes the networks of several model files as one, atomically; they are copied, one piece after the other.

    Args:
        file: Of the tensors of the first network it has ``member1.stem…``, of the second ``member2.stem…``.
        sources: Two model files or more, of one network each, which keeps its own mean and deviation of pixels,
            scalings, temperature and provenance.
        together: What was learnt for the answers that they give together.

    Raises:
        InvalidArgument: There are fewer, or they do not read and answer alike.
        CheckpointError: One is no whole model file, or the disk does not take the new one.
    """
    cards = [load_card(source) for source in sources]
    if problem := _unlike(cards) or _unfit(cards, together):
        raise InvalidArgument(f"An ensemble cannot be made: {problem}.")
    texts = ", ".join(card.to_json() for card in cards)
    learnt = "".join(
        f', "{name}": {json.dumps(asdict(each))}' for name, each in together._asdict().items() if each
    )
    try:
        join_files(file, sources, f'{{"format": {ENSEMBLE_FORMAT}, "members": [{texts}]{learnt}}}')
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be written ({reason_of(error)}).") from error


def _unfit(cards: Sequence[Card], together: Together) -> str:
    """Why what was learnt for networks together is not theirs; "" if it is, or there is nothing."""
    outputs = cards[0].architecture.outputs
    widths = together.conformal.half_widths if together.conformal else ()
    if widths and (cards[0].target_scaling is None or len(widths) != outputs):
        return f"it has {len(widths)} intervals for {outputs} outputs"
    if together.threshold and together.threshold.positive not in cards[0].classes:
        return f"it has a threshold of {together.threshold.positive!r}, which is none of its classes"
    return ""


def _unlike(cards: Sequence[Card]) -> str:
    """Why networks are no ensemble; "" if they are: all but their weights and scales must be the same."""
    if len(cards) < 2:
        return f"it takes two networks or more. Got {len(cards)}"
    alike = ("architecture", "target", "covariates", "flip_average")
    first = cards[0].preprocessing
    plain = [replace(card.preprocessing, mean=first.mean, std=first.std) for card in cards]
    different = [
        name for name in alike if any(getattr(card, name) != getattr(cards[0], name) for card in cards)
    ]
    different += [] if all(each == first for each in plain) else ["preprocessing"]
    return f"its networks differ in their {' and '.join(different)}" if different else ""


def load_card(file: str | Path) -> Card:
    """Reads a model file's description, after verifying the whole file. Raises as ``load_network``."""
    cards = load_cards(file)
    _require_one(cards, file)
    return cards[0]


def load_cards(file: str | Path) -> tuple[Card, ...]:
    """The card of a model file, or those of an ensemble's networks. Raises as ``load_members``."""
    described, _ = _verified(Path(file))
    return described.cards


def load_network(file: str | Path, network: nn.Module | None = None) -> Member:
    """Reads a model file of one network; of a module of one's own, into a copy of ``network``.

    Raises ``CheckpointError`` if the file is missing, truncated, altered, a pickle, or from a newer Mirada, and
    ``InvalidArgument`` if it holds several.
    """
    members = load_members(file, network)
    _require_one(members, file)
    return members[0]


def load_members(file: str | Path, network: nn.Module | None = None) -> tuple[Member, ...]:
    """The networks of ``load_file``."""
    return load_file(file, network).members


def load_file(file: str | Path, network: nn.Module | None = None) -> Loaded:
    """Reads a model file: its network, or those of an ensemble.

    Args:
        file: The model file.
        network: For a module of one's own, one that its class has built; copies of it get the weights.

    Raises:
        CheckpointError: The file is missing, truncated, altered, a pickle, from a newer Mirada, or unlike ``network``.
        InvalidArgument: It holds a module of one's own and ``network`` is not given, or the reverse.
    """
    path = Path(file)
    (cards, together), data = _verified(path)
    require_memory(cards[0].preprocessing.size, path)
    _require_module(path, cards[0].architecture, network)
    try:
        tensors = load_tensors(data)
    except SafetensorError as error:
        raise CheckpointError(UNFIT.format(path, cards[0].architecture.model)) from error
    if len(cards) == 1:
        return Loaded((_member(path, cards[0], tensors, network),))
    prefixes = tuple(map(prefix, range(len(cards))))
    if strangers := [name for name in tensors if not name.startswith(prefixes)]:
        raise CheckpointError(
            f"{path}: the tensor {shortened(repr(min(strangers)))} belongs to none of its {len(cards)} networks. Use "
            f"another copy."
        )
    members = tuple(
        _member(
            path,
            card,
            {name.removeprefix(own): value for name, value in tensors.items() if name.startswith(own)},
            network,
        )
        for card, own in zip(cards, prefixes, strict=True)
    )
    return Loaded(members, together)


def _require_one(found: Sequence[object], file: str | Path) -> None:
    if len(found) > 1:
        raise InvalidArgument(
            f"{file}: holds an ensemble of {len(found)} networks, and here one is needed. Name the file of one of "
            f"them, such as fold-1/model.safetensors beside it."
        )


def _require_module(path: Path, architecture: Architecture, module: nn.Module | None) -> None:
    """Raises ``InvalidArgument`` unless a module is given where the file cannot build its network, and only there."""
    if architecture.model != MODULE:
        if module is not None:
            raise InvalidArgument(
                f"{path}: holds the network {architecture.model}, which the file itself builds. Leave `network` out."
            )
    elif module is None:
        raise InvalidArgument(
            f"{path}: holds the weights of a module of one's own, {architecture.title}, which only its class builds. "
            f"Load it in Python: mirada.load_model(file, network={architecture.title}(…))."
        )


def _member(path: Path, card: Card, tensors: Mapping[str, Tensor], module: nn.Module | None) -> Member:
    """The network of a card with these weights; of a module of one's own, a copy of the one that is given."""
    if module is not None:
        of = card.architecture
        try:
            copied = filled(module, tensors, of.outputs, of.in_channels, of.image_size, of.covariates)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error
        return Member(copied.eval(), card)
    try:
        with torch.device("meta"):  # no weights are drawn: those of the file take their place
            network = card.architecture.build()
    except (MiradaError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{path}: its network cannot be built here. {str(error)[:MESSAGE]}") from error
    own = network.state_dict()
    if any(name not in own or value.dtype != own[name].dtype for name, value in tensors.items()):
        raise CheckpointError(UNFIT.format(path, card.architecture.model))
    if unusable := [name for name, value in tensors.items() if not value.isfinite().all()]:
        raise CheckpointError(
            f"{path}: its tensor {unusable[0]} holds numbers that are not finite. Train again."
        )
    try:
        network.load_state_dict(dict(tensors), assign=True)
    except RuntimeError as error:
        raise CheckpointError(UNFIT.format(path, card.architecture.model)) from error
    return Member(network.eval(), card)


def _verified(path: Path) -> tuple[_Contents, bytes]:
    """What a model file says, and its bytes, whose digest is right."""
    try:
        with path.open("rb") as stream:
            data = stream.read(BEGINNING)
            size = os.fstat(stream.fileno()).st_size
            if data[8:] == b"{":  # anything else may have no end
                data += stream.read()
    except OSError as error:
        raise CheckpointError(f"{path}: the model file cannot be read ({reason_of(error)}).") from error
    except MemoryError as error:
        raise CheckpointError(f"{path}: its {size:,} bytes are more than there is memory for.") from error
    metadata = metadata_of(path, data, size)
    if KEY not in metadata or DIGEST_KEY not in metadata:
        raise CheckpointError(
            f"{path}: safetensors, but no model file of Mirada's (it does not say how to use its weights)."
        )
    if not is_intact(data):
        raise CheckpointError(
            f"{path}: altered or damaged since it was written (its digest does not match). Use another copy."
        )
    try:
        return _cards(metadata[KEY]), data
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _cards(text: str) -> _Contents:
    """The card of a description, or those of an ensemble's. Raises ``CheckpointError`` for text that is neither."""
    try:
        values = json.loads(text) if len(text) <= DESCRIPTION_LIMIT else None
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict) or values.get("format") != ENSEMBLE_FORMAT:
        return _Contents((Card.from_json(text),))
    members = values.get("members")
    if not isinstance(members, list) or values.keys() - {"format", "members", *Together._fields}:
        raise CheckpointError(
            "its description cannot be understood (that of an ensemble is its format and members, a list)."
        )
    cards = tuple(Card.from_json(json.dumps(each)) for each in members)
    try:
        together = Together(
            _read(Conformal, values["conformal"], "conformal") if "conformal" in values else None,
            _read(Threshold, values["threshold"], "threshold") if "threshold" in values else None,
        )
    except (BadRecord, InvalidArgument) as error:
        raise CheckpointError(f"its description cannot be understood ({error}).") from error
    if problem := _unlike(cards) or _unfit(cards, together):
        raise CheckpointError(f"its description cannot be understood ({problem}).")
    return _Contents(cards, together)
