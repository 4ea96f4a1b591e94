"""Public weights: reads the checkpoints of torchvision, timm and others into a network, and says what it did.

A family file states how others call its layers: pairs of a regular expression and its replacement, which are
applied in order to every key of a checkpoint. Reading a checkpoint runs none of its code.
"""

import re
import tarfile
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import file_digest
from pathlib import Path
from pickle import UnpicklingError
from pickletools import genops
from types import ModuleType

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from mirada.errors import CheckpointError, reason_of

Keys = Sequence[tuple[str, str | Callable[[re.Match[str]], str]]]

CONVENTIONS = {"torchvision": "PUBLIC_KEYS", "timm": "TIMM_KEYS", "CIFAR": "CIFAR_KEYS"}
OWN = "Mirada's own"
WRAPPERS = ("state_dict", "model")  # where training scripts put the weights among other things
PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile
COUNTER = "num_batches_tracked"  # batch norm's, which plays no part with a fixed momentum
AUXILIARY = re.compile(r"aux(iliary|\d|_?logits)?\.", re.IGNORECASE)
HEADS = ("head.", "auxiliary.")
SHOWN = 4  # names in a message
LEGACY_MAGIC = (
    b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"  # in the first of the pickles that began a file before PyTorch 1.6
)
LEGACY_PICKLES = (
    5  # this number, the version, the machine, the contents without weights, the order of the weights
)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What ``load_public`` did: every tensor of the file is counted or named here.

    ``file`` is the file's name and ``sha256`` its digest; ``convention`` is whose names it uses and ``loaded`` how
    many tensors were copied. ``renamed`` are pairs (name in the file, name in the network). ``adapted`` were copied
    after their kernels were summed over red, green and blue, for grey images. ``dropped`` were left out: auxiliary
    heads that the network lacks, and batch norm's counters. ``initialised`` were not in the file and ``replaced``
    had another size there; both keep the values that the network was built with. ``head_of`` are the classes that a
    head which was loaded was trained for, where they are known to be others.
    """

    file: str
    sha256: str
    convention: str
    loaded: int
    renamed: tuple[tuple[str, str], ...]
    adapted: tuple[str, ...]
    dropped: tuple[str, ...]
    initialised: tuple[str, ...]
    replaced: tuple[str, ...]
    head_of: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether every tensor of the file is in the network as it was, and every one of the network's from it."""
        return not (self.adapted or self.dropped or self.initialised or self.replaced)

    def __str__(self) -> str:
        """A line for what was loaded, and one for each kind of exception."""
        exceptions = {
            "summed over red, green and blue, for grey images": self.adapted,
            "left out": self.dropped,
            "not in the file, newly drawn": self.initialised,
            "of another size in the file, newly drawn": self.replaced,
            "the head was loaded, though it was trained for": self.head_of,
        }
        first = f"{self.file}: {self.loaded} tensors loaded by {self.convention} names, {len(self.renamed)} renamed."
        return "\n".join(
            [first, *(f"  {what}: {_some(names)}" for what, names in exceptions.items() if names)]
        )


def conventions(family: ModuleType, name: str) -> dict[str, Keys]:
    """The key tables in a family's file, by whose names they translate, for one network of it; perhaps none.

    A table holds for the whole family, or it is a dictionary of tables by network.
    """
    found = {}
    for who, attribute in CONVENTIONS.items():
        table = getattr(family, attribute, None)
        if isinstance(table, Mapping):
            table = table.get(name)
        if table is not None:
            found[who] = table
    return found


def convert(state_dict: Mapping[str, Tensor], network: nn.Module, keys: Keys) -> dict[str, Tensor]:
    """Tensors of any shape under others' names → the same under the network's.

    A convolution that covers the whole map, where the network has the dense layer with the same weights (or the
    reverse), is reshaped: (out, C, h, w) ↔ (out, C·h·w). Raises ``CheckpointError`` if two get the same name.
    """
    own = network.state_dict()
    converted: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    for theirs, value in state_dict.items():
        ours = _rename(theirs, keys)
        if ours in converted:
            raise CheckpointError(f"{origin[ours]} and {theirs} are both {ours} in the network.")
        converted[ours] = _like(own[ours], value) if ours in own else value
        origin[ours] = theirs
    return converted


def load_public(
    network: nn.Module,
    path: str | Path,
    keys_by_convention: Mapping[str, Keys],
    *,
    replace_head: bool = False,
) -> Report:
    """Copies a checkpoint into a network by the convention that fits most of its keys, or by the network's own names.

    With ``replace_head`` those layers of the heads that the file lacks, or has in another size, keep the values
    that the network was built with. Batch norm's counters may be missing. If the network takes grey images and the
    file is for colour, the first kernels are summed over their three channels, which makes of a grey image what they
    made of it in three equal channels.

    Raises ``CheckpointError`` if the file cannot be read, or if any other tensor is unknown, missing or of
    another shape; the network is then unchanged.
    """
    file = Path(path)
    public = read_public(file)
    candidates = {OWN: (), **keys_by_convention}  # of two that fit as well, the first
    own = network.state_dict()
    convention = max(candidates, key=lambda who: _fitting(public, own, candidates[who]))
    names = {theirs: _rename(theirs, candidates[convention]) for theirs in public}
    dropped = [theirs for theirs, ours in names.items() if ours not in own and _surplus(theirs, ours)]
    try:
        _refuse_unknown({t: o for t, o in names.items() if o not in own and t not in dropped}, own)
        kept = {theirs: value for theirs, value in public.items() if theirs not in dropped}
        weights = convert(kept, network, candidates[convention])
        grey = _for_grey(weights, network)
        weights |= grey
        initialised = _missing(weights, own, replace_head=replace_head)
        replaced = _of_another_size(weights, own, replace_head=replace_head)
    except CheckpointError as error:
        raise CheckpointError(f"{file}: {error}") from error
    chosen = {name: value for name, value in weights.items() if name not in replaced}
    network.load_state_dict(chosen, strict=False)
    with file.open("rb") as stream:
        digest = file_digest(stream, "sha256").hexdigest()
    return Report(
        file=file.name,
        sha256=digest,
        convention=convention,
        loaded=len(chosen),
        renamed=tuple((t, o) for t, o in names.items() if o in chosen and t != o),
        adapted=tuple(grey),
        dropped=tuple(dropped),
        initialised=tuple(initialised),
        replaced=tuple(replaced),
    )


def _rename(key: str, keys: Keys) -> str:
    for pattern, replacement in keys:
        key = re.sub(pattern, replacement, key)
    return key


def _like(own: Tensor, value: Tensor) -> Tensor:
    """The value, as a dense layer's weight or as a convolution's, whichever the network's own is."""
    dense_and_convolution = sorted((own.dim(), value.dim())) == [2, 4]
    if dense_and_convolution and own.flatten(1).shape == value.flatten(1).shape:
        return value.reshape(own.shape)
    return value


def _for_grey(weights: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """The first convolution's weight (out, 3, h, w) as (out, 1, h, w), if that is what the network has."""
    first = next((name for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)), "")
    name = f"{first}.weight"
    if not first or name not in weights:
        return {}
    colour, grey = weights[name].shape, network.get_parameter(name).shape
    fits = len(colour) == 4 and colour[1] == 3 and grey == (colour[0], 1, *colour[2:])
    return {name: weights[name].sum(dim=1, keepdim=True)} if fits else {}


def _fitting(public: Mapping[str, Tensor], own: Mapping[str, Tensor], keys: Keys) -> int:
    """How many tensors of a file would find their place under a convention."""
    names = {_rename(theirs, keys): value for theirs, value in public.items()}
    return sum(name in own and value.numel() == own[name].numel() for name, value in names.items())


def _surplus(theirs: str, ours: str) -> bool:
    """Whether a tensor that the network lacks is one that it can do without."""
    return ours.endswith(COUNTER) or bool(AUXILIARY.match(ours) or AUXILIARY.match(theirs))


def _refuse_unknown(unknown: Mapping[str, str], own: Iterable[str]) -> None:
    if unknown:
        known = sorted(own)
        hints = [
            f"{theirs} (nearest: {''.join(get_close_matches(ours, known, n=1, cutoff=0))})"
            for theirs, ours in list(unknown.items())[:SHOWN]
        ]
        raise CheckpointError(
            f"the network lacks {len(unknown)} of its tensors: {_some(hints, len(unknown))}. "
            "Are they another network's?"
        )


def _missing(weights: Mapping[str, Tensor], own: Iterable[str], *, replace_head: bool) -> list[str]:
    """The network's tensors that are not in the file and need not be, batch norm's counters aside."""
    absent = [name for name in own if name not in weights and not name.endswith(COUNTER)]
    optional = HEADS if replace_head else ("auxiliary.",)
    required = [name for name in absent if not name.startswith(optional)]
    if required:
        remedy = "Are they another network's?"
        if all(name.startswith(HEADS) for name in required):
            remedy = "To train a new head, ask for it with replace_head=True."
        raise CheckpointError(f"lacks {len(required)} of the network's tensors: {_some(required)}. {remedy}")
    return absent


def _of_another_size(
    weights: Mapping[str, Tensor], own: Mapping[str, Tensor], *, replace_head: bool
) -> list[str]:
    """The tensors of the heads' layers in which one has another shape in the file, if they may be replaced."""
    present = [name for name in own if name in weights]  # in the network's order
    misfits = [name for name in present if weights[name].shape != own[name].shape]
    in_heads = [name for name in misfits if name.startswith(HEADS)]
    fatal = [name for name in misfits if name not in in_heads] or ([] if replace_head else in_heads)
    if fatal:
        name = fatal[0]
        remedy = (
            "To train a new head instead, ask for it with replace_head=True."
            if name in in_heads
            else "Build the network as the file has it."
        )
        others = f", and {len(fatal) - 1} more do not fit" if len(fatal) > 1 else ""
        raise CheckpointError(
            f"{name} is {tuple(weights[name].shape)} in the file and {tuple(own[name].shape)} in the "
            f"network{others}. {remedy}"
        )
    layers = {name.rpartition(".")[0] for name in in_heads}
    return [name for name in present if name.rpartition(".")[0] in layers]


def _some(names: Sequence[str], count: int | None = None) -> str:
    """The first few names, and how many more there are."""
    count = len(names) if count is None else count
    more = f" and {count - SHOWN} more" if count > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


# Reading --------------------------------------------------------------------------------------------------


def read_public(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a ``.pth``, ``.th`` or ``.safetensors`` file by name, without the wrappers of training scripts.

    The file's first bytes say what it is, not its suffix. Raises ``CheckpointError`` if it cannot be read, is
    truncated or damaged, or holds anything but tensors under names.
    """
    file = Path(path)
    found = _contents(file)
    for wrapper in WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(wrapper), Mapping):
            found = found[wrapper]
    if not isinstance(found, Mapping) or not found:
        raise CheckpointError(f"{file}: holds {_kind(found)}, and no tensors by name.")
    for key, value in found.items():
        if not (isinstance(key, str) and key.isprintable() and isinstance(value, Tensor)):
            raise CheckpointError(
                f"{file}: its entry {key!r} is {_kind(value)}, not a tensor by name. Save the state_dict alone."
            )
        if value.layout != torch.strided or value.is_quantized or value.is_complex() or value.is_meta:
            raise CheckpointError(
                f"{file}: its tensor {key} is not a plain one ({value.dtype}, {value.layout})."
            )
    tensors = dict(found)
    for prefix in PREFIXES * 2:  # one may stand before the other, either way round
        if all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    return tensors


def _kind(value: object) -> str:
    return "an empty dictionary" if value == {} else f"a value of type {type(value).__name__}"


def _contents(file: Path) -> object:
    """What a checkpoint holds, whatever its format."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            start = stream.read(512)
    except OSError as error:
        reason = reason_of(error)
        raise CheckpointError(f"{file}: the checkpoint cannot be read ({reason}).") from error
    if start[8:9] == b"{":
        return _safetensors(file, size)
    if start.startswith(b"PK"):
        _check_zip(file, size)
        return _torch(file, size)
    if LEGACY_MAGIC in start:
        _check_pickles(file, size)
        return _torch(file, size)
    if start[257:262] == b"ustar":
        raise CheckpointError(f"{file}: {_tar_fault(file, size)}")
    raise CheckpointError(
        f"{file}: no checkpoint (its {size:,} bytes begin like neither PyTorch's nor safetensors' files)."
    )


def _cut_short(size: int) -> str:
    return f"truncated after {size:,} bytes. Use another copy."


def _broken(size: int) -> str:
    return f"truncated or damaged ({size:,} bytes). Use another copy."


def _safetensors(file: Path, size: int) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except SafetensorError as error:
        raise CheckpointError(f"{file}: {_broken(size)}") from error


def _check_zip(file: Path, size: int) -> None:
    """Verifies the checksums, which PyTorch does not; a zip file's directory stands at its end."""
    if not zipfile.is_zipfile(file):
        raise CheckpointError(f"{file}: {_cut_short(size)}")
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
    except Exception as error:  # a damaged file can lead its reader into any
        raise CheckpointError(f"{file}: {_broken(size)}") from error
    if damaged:
        raise CheckpointError(
            f"{file}: damaged (the checksum of {damaged} in it is wrong). Use another copy."
        )


def _check_pickles(file: Path, size: int) -> None:
    """Reads the pickles before the weights to their ends, without obeying them."""
    try:
        with file.open("rb") as stream:
            for _ in range(LEGACY_PICKLES):
                deque(genops(stream), maxlen=0)
    except Exception as error:  # a damaged file can lead its reader into any
        raise CheckpointError(f"{file}: {_broken(size)}") from error


def _tar_fault(file: Path, size: int) -> str:
    """What is wrong with a file of PyTorch 0.1, which weights_only refuses even if it is whole."""
    try:
        with tarfile.open(file) as archive:
            archive.getmembers()
    except (tarfile.TarError, EOFError):
        return _cut_short(size)
    return "a tar file as PyTorch 0.1 wrote it, which cannot be read without running code. Use a newer one."


def _torch(file: Path, size: int) -> object:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can lead its reader into any
        forbidden = re.search(r"GLOBAL ([\w.]+)", str(error))
        if isinstance(error, UnpicklingError) and forbidden:
            raise CheckpointError(
                f"{file}: holds Python objects ({forbidden[1]}), which could run code when opened; only tensors are "
                "read. Save the state_dict alone."
            ) from error
        if isinstance(error, EOFError) or "unexpected EOF" in str(error):
            raise CheckpointError(f"{file}: {_broken(size)}") from error
        raise CheckpointError(
            f"{file}: damaged, or not a checkpoint of tensors alone ({size:,} bytes). Use another copy, or save the "
            "state_dict alone."
        ) from error
