"""The public weights there are: one record a set, readable without torch. The data are in ``catalogue.toml``."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from math import log
from pathlib import Path
from typing import Any

from mirada.codec import from_json
from mirada.errors import InvalidArgument
from mirada.models import CATALOGUE, facts, find
from mirada.store.scale import ValueScale
from mirada.text import shortened

FILE = Path(__file__).with_suffix(".toml")
SHORT = 8  # digits of a digest that stand in a file's name
FULL = 64
LISTED = 4  # names in a message
SUFFIXES = {".pth", ".pt", ".th", ".safetensors"}  # of files of weights


@dataclass(frozen=True, kw_only=True)
class PublicFile:
    """A file that holds the weights.

    Args:
        name: As its publisher calls it, or as it is called here where that would be ``model.safetensors``.
        sha256: Its digest; the first eight digits where no more are published, empty where none are.
        bytes: Its size; 0 where only ``about`` is known.
        about: The size, rounded.
        address: Where it is; empty where nobody knows.
    """

    name: str
    sha256: str = ""
    bytes: int = 0
    about: int = 0
    address: str = ""

    def has(self, digest: str) -> bool:
        """Whether this is the digest that was published, as far as it was."""
        return bool(self.sha256) and digest.startswith(self.sha256)


@dataclass(frozen=True, kw_only=True)
class PublicWeights:
    """A set of weights that somebody has published for a network.

    Args:
        name: ``<network>.<who>_<data>``; timm's own names are kept as they are.
        network: A name of ``list_models``.
        source: Who publishes it, a table of ``catalogue.toml``.
        files: The one to fetch, then others that hold the same weights.
        options: Those of the network with which it fits.
        data: What it was trained on.
        classes: How many that data set has.
        top1: Accuracy on it in percent, where known, as ``top5``; ``measured`` says by whom.
        input: Side in pixels of the images that it was trained or judged on, cut from the middle of an image whose
            shorter side has ``resize`` pixels.
        scale: The pixel values that it expects.
        licence: As its publisher states it, or implies; ``licence_source`` says which.
    """

    name: str
    network: str
    source: str
    files: tuple[PublicFile, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    data: str
    classes: int
    top1: float | None = None
    top5: float | None = None
    measured: str = ""
    input: int
    resize: int
    scale: ValueScale
    licence: str
    licence_source: str

    @property
    def expected(self) -> str:
        """What an image should be for it, in a few words: pixel values, then size and crop."""
        whole = f"{self.input} × {self.input} pixels"
        cut = f"{whole} from the middle of a shorter side of {self.resize}"
        return f"{self.scale}; {cut if self.resize != self.input else whole}"

    @property
    def unjudged(self) -> bool:
        """Whether nobody has published a digest of the file to fetch, nor a part of one."""
        return not (self.files and self.files[0].sha256)

    @property
    def size(self) -> int:
        """Bytes of the file to fetch, rounded where no more is known; 0 where nothing is."""
        return self.files[0].bytes or self.files[0].about if self.files else 0


@cache
def public_weights() -> tuple[PublicWeights, ...]:
    """All sets of weights, in the order of the catalogue; the first of a network is its default.

    >>> public_weights()[0].name
    'alexnet_owt.tv_in1k'
    """
    table = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return tuple(_entry({**table["sources"][row["source"]], **row}) for row in table["weights"])


def _entry(row: dict[str, Any]) -> PublicWeights:
    usual = row.pop("address", "")
    files = [
        PublicFile(**{
            **each,
            "address": each.get("address", usual).format(file=each["name"], name=row["name"]),
        })
        for each in row.pop("files")
    ]  # fmt: skip
    scale = from_json(ValueScale, row.pop("scale"))
    return PublicWeights(files=tuple(files), scale=scale, **row)


def weights_of(network: str) -> tuple[PublicWeights, ...]:
    """The sets of one network, its default first; of a cut one those of the whole network."""
    whole = facts(network).uncut
    return tuple(each for each in public_weights() if each.network == whole)


def named_weights(name: str, *, network: str = "") -> PublicWeights:
    """The set that a name means.

    Args:
        name: Its name, that of one of its files, or a network's, which means its default. The ending of a file's name
            may be left out where its digest is in it: ``inceptionv3`` alone is not RadImageNet's.
        network: Whose weights are wanted, for the message.

    Raises:
        InvalidArgument: No set is called so, or the network has none; with the nearest that there is.
    """
    lower = name.lower()
    if lower in CATALOGUE:
        if own := weights_of(lower):
            return own[0]
        raise InvalidArgument(f"{_without(lower)} mirada weights list shows them all.")
    for each in public_weights():
        if lower == each.name or any(_is_called(file, lower) for file in each.files):
            return each
    raise InvalidArgument(f'There are no public weights "{shortened(name)}". {_hint(lower, network)}')


def _is_called(file: PublicFile, lower: str) -> bool:
    name = file.name.lower()
    return lower == name or (bool(file.sha256) and lower == name.rpartition(".")[0])


def is_named(text: str) -> bool:
    """Whether the catalogue knows a set, a file or a network of this name.

    >>> is_named("resnet18"), is_named("alexnet"), is_named("photos")
    (True, False, False)
    """
    try:
        named_weights(text)
    except InvalidArgument:
        return False
    return True


def is_path(text: str) -> bool:
    """Whether a text is meant as a path, and not as a name of the catalogue, which a folder does not hide.

    >>> is_path("resnet18.tv_in1k"), is_path("resnet18-f37072fd.pth"), is_path("own.pth"), is_path("weights/own")
    (False, False, True, True)
    """
    path = Path(text)
    try:
        if len(path.parts) > 1 or path.is_file():
            return True
        return not is_named(text) and (path.is_dir() or path.suffix.lower() in SUFFIXES)
    except OSError:  # longer than a name can be
        return False


def _without(network: str) -> str:
    """That a network has no public weights, and the nearest one that has."""
    near = nearest_with_weights(network)
    return f"{network} has no public weights; the nearest network that has is {near} ({weights_of(near)[0].name})."


def nearest_with_weights(network: str) -> str:
    """The network with public weights that is most like another: of its family, of about as many parameters."""
    entry = find(network)

    def distance(other: str) -> tuple[bool, float]:
        known = CATALOGUE[other]
        return known.family != entry.family, abs(log(known.parameters / entry.parameters))

    return min(dict.fromkeys(each.network for each in public_weights()), key=distance)


def _hint(name: str, network: str) -> str:
    """The nearest set, or else network; where none is near, the sets of the network that is to be trained."""
    sets = [each.name for each in public_weights()]
    networks = sorted({each.network for each in public_weights()})
    for known in (sets, networks):
        if close := get_close_matches(name, known, n=1, cutoff=0.6):
            return f'Did you mean "{close[0]}"?'
    if not network:
        return "mirada weights list shows them all."
    own = [each.name for each in weights_of(network)]
    if not own:
        return _without(network)
    return f"For {network} there are {', '.join(own[:LISTED])}; mirada weights list {network} tells more."


def recognised(digest: str) -> tuple[PublicWeights, PublicFile] | None:
    """Whose file has this SHA-256, as far as it was published; a full digest counts before eight digits."""
    found = [(each, file) for each in public_weights() for file in each.files if file.has(digest)]
    return max(found, key=lambda pair: len(pair[1].sha256), default=None)


def files_named(name: str) -> Sequence[PublicFile]:
    """The known files of this name: what somebody believes that a file is."""
    return [file for each in public_weights() for file in each.files if file.name == name]
