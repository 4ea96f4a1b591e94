"""The header of a model file, looked at before anything else is done with the file."""

import json
import os
from pathlib import Path

from mirada.errors import CheckpointError

HEADER_LIMIT = 100 * 2**20  # safetensors' own limit
PICKLES = (b"\x80", b"PK")  # the first bytes of a pickle, and of the zip file that torch.save puts it in
LIVE_VALUES = 64  # of a pixel at least, that a network keeps at once: the maps of its first layers


def metadata_of(path: Path, data: bytes, size: int) -> dict[str, str]:
    """The metadata in the header of safetensors bytes: 8 bytes of length, then JSON.

    Args:
        path: The file, for messages.
        data: Its bytes; of one that does not begin like safetensors, the first nine.
        size: How many bytes it has.

    Returns:
        Texts by their names.

    Raises:
        CheckpointError: It is no safetensors file, or not a whole one.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    if data[8:9] != b"{" or end > HEADER_LIMIT:
        raise CheckpointError(f"{path}: {_what_it_is(data, size)}")
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


def _what_it_is(data: bytes, size: int) -> str:
    """What a file of so many bytes is that does not begin like safetensors."""
    if not data:
        return "no model file (it is empty)."
    if data.startswith(PICKLES):
        return (
            "a pickle or zip file, as torch.save writes it, which could run code when opened. A model file of "
            "Mirada's is a .safetensors file."
        )
    return f"no model file (its {size:,} bytes do not begin like a .safetensors file)."


def require_memory(size: tuple[int, int], path: Path) -> None:
    """Raises ``CheckpointError`` if this machine's memory cannot hold what one image becomes in a network."""
    height, width = size
    needed = height * width * 4 * LIVE_VALUES
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > there:
        raise CheckpointError(
            f"{path}: takes images of {height:,} × {width:,} pixels, which need more than {needed / 2**30:,.0f} GiB of "
            f"memory each; this machine has {there / 2**30:,.0f} GiB."
        )
