"""Files of weights, read without running their code: torchvision's, timm's, training scripts', Mirada's own.

What a file declares is looked at before it is obeyed: sizes, types, checksums. Sources: the zip files and the older
pickles of ``torch.save``; the safetensors format.
"""

import re
import tarfile
import zipfile
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from pickletools import genops

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_bytes
from safetensors.torch import load_file
from torch import Tensor

from mirada.errors import CheckpointError, reason_of
from mirada.models.digest import DIGEST_KEY, KEY, is_intact
from mirada.text import shortened

# Where training scripts put the weights among other things, the likeliest first; an average of weights (``model_ema``)
# stands beside them.
WRAPPERS = ("state_dict", "model", "model_state_dict", "net", "network", "weights", "params")
PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile
LEGACY_MAGIC = (
    b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"  # in the first of the pickles that began a file before PyTorch 1.6
)
LEGACY_PICKLES = (
    5  # this number, the version, the machine, the contents without weights, the order of the weights
)
INFLATION = 8  # times its packed size that a zip file may unpack to; torch.save packs nothing
PICKLE_LIMIT = 100 * 2**20  # bytes of the description in a zip file; a million tensors take as much


@dataclass(frozen=True)
class WeightFile:
    """The tensors of a file by name, as the network that was saved calls them.

    ``entry`` is the part of the file that they are from, if it has parts, and ``others`` are its other parts that are
    weights as well. ``prefix`` stood before every name.
    """

    tensors: dict[str, Tensor]
    entry: str = ""
    others: tuple[str, ...] = ()
    prefix: str = ""


def read_public(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a ``.pth``, ``.th`` or ``.safetensors`` file by name, as ``read_weights`` finds them."""
    return read_weights(path).tensors


def read_weights(path: str | Path) -> WeightFile:
    """Reads a file of weights, without the wrappers of training scripts.

    Args:
        path: A ``.pth``, ``.th`` or ``.safetensors`` file. Its first bytes say what it is, not its suffix.

    Raises:
        CheckpointError: It cannot be read, is truncated or damaged, unpacks to far more than it holds, or holds
            anything but tensors under names, or several sets of them none of which is the likeliest.
    """
    file = Path(path)
    found, entry, others = _weights_in(file, _contents(file))
    if not isinstance(found, Mapping) or not found:
        raise CheckpointError(f"{file}: holds {_kind(found)}, and no tensors by name.")
    for key, value in found.items():
        if not (isinstance(key, str) and key.isprintable() and isinstance(value, Tensor)):
            raise CheckpointError(
                f"{file}: its entry {shortened(repr(key))} is {_kind(value)}, not a tensor by name. Save the "
                f"state_dict alone."
            )
        _require_plain(file, key, value)
    tensors, taken = dict(found), ""
    for prefix in PREFIXES * 2:  # one may stand before the other, either way round
        if all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
            taken += prefix
    return WeightFile(tensors, entry, others, taken)


def begins_like_weights(file: Path) -> bool:
    """Whether a file begins as one of weights does, whatever it is called; one that cannot be read does not.

    Of a zip file its first name counts, which is that of the description in those of ``torch.save``.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            start = stream.read(512)
    except OSError:
        return False
    if start[8:9] == b"{":
        return int.from_bytes(start[:8], "little") < size
    return (start.startswith(b"PK") and b"/data.pkl" in start) or LEGACY_MAGIC in start


def _weights_in(file: Path, found: object) -> tuple[object, str, tuple[str, ...]]:
    """The part of a file's contents that is the weights, what it is called there, and the others that might be."""
    entry, others = "", tuple[str, ...]()
    for _ in WRAPPERS:  # a dictionary may hold itself
        if not isinstance(found, Mapping) or _are_weights(found):
            break
        parts = [key for key, value in found.items() if isinstance(key, str) and _are_weights(value)]
        wrapped = [key for key in WRAPPERS if isinstance(found.get(key), Mapping)]
        if not wrapped and len(parts) > 1:
            names = ", ".join(map(shortened, parts[:4]))
            raise CheckpointError(
                f"{file}: holds {len(parts)} sets of weights ({names}). Save the one that is meant alone."
            )
        if not wrapped and not parts:
            break
        entry = (wrapped or parts)[0]
        others = tuple(shortened(key) for key in parts if key != entry)
        found = found[entry]
    return found, entry, others


def _are_weights(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(each, Tensor) for each in value.values())
    )


def _require_plain(file: Path, key: str, value: Tensor) -> None:
    """Raises ``CheckpointError`` unless a tensor has a number in memory for each of its places."""
    if value.layout != torch.strided or value.is_quantized or value.is_complex() or value.is_meta:
        raise CheckpointError(
            f"{file}: its tensor {shortened(key)} is not a plain one ({value.dtype}, {value.layout})."
        )
    held = value.untyped_storage().nbytes()
    if value.numel() * value.element_size() > held:  # expanded: to copy it would take what it pretends to be
        raise CheckpointError(
            f"{file}: its tensor {shortened(key)} says it is {tuple(value.shape)}, and the file holds {held:,} bytes "
            f"for it. Use another copy."
        )


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
    """The tensors; those of a model file of Mirada's if its digest is right, as when it is opened as a model."""
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
        if not {KEY, DIGEST_KEY} & metadata.keys():
            return load_file(file)
        data = file.read_bytes()
        if not is_intact(data):
            raise CheckpointError(
                f"{file}: a model file of Mirada's, altered or damaged since it was written (its digest does not "
                f"match). Use another copy."
            )
        return load_bytes(data)
    except SafetensorError as error:
        raise CheckpointError(f"{file}: {_broken(size)}") from error


def _check_zip(file: Path, size: int) -> None:
    """Verifies the checksums, which PyTorch does not; a zip file's directory stands at its end."""
    if not zipfile.is_zipfile(file):
        raise CheckpointError(f"{file}: {_cut_short(size)}")
    try:
        with zipfile.ZipFile(file) as archive:
            _require_declared(file, size, archive)
            damaged = archive.testzip()
    except CheckpointError:
        raise
    except Exception as error:  # a damaged file can lead its reader into any
        raise CheckpointError(f"{file}: {_broken(size)}") from error
    if damaged:
        raise CheckpointError(
            f"{file}: damaged (the checksum of {damaged} in it is wrong). Use another copy."
        )


def _require_declared(file: Path, size: int, archive: zipfile.ZipFile) -> None:
    """Raises ``CheckpointError`` if a zip file says that it would unpack to far more than weights that were saved."""
    members = archive.infolist()
    unpacked = sum(member.file_size for member in members)
    pickled = max((member.file_size for member in members if member.filename.endswith(".pkl")), default=0)
    if (
        unpacked > INFLATION * size
        or pickled > PICKLE_LIMIT
        or sum(each.compress_size for each in members) > size
    ):
        raise CheckpointError(
            f"{file}: its {size:,} bytes would unpack to {unpacked:,}, which weights do not. Use another copy."
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


def apart(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a state on the CPU, none of which shares its memory, as tied weights do and files cannot hold.

    Args:
        state: Tensors by name, of any shapes (n, …).

    Returns:
        The same shapes, in the same order.
    """
    alone: dict[str, Tensor] = {}
    taken = set[int]()
    for name, value in state.items():
        plain = value.detach().cpu().contiguous()
        place = plain.untyped_storage().data_ptr()
        alone[name] = plain.clone() if place in taken else plain
        taken.add(place)
    return alone
