"""Safetensors files with a digest of all their bytes, written a piece at a time: no file is ever whole in memory."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import prod
from pathlib import Path

from mirada.files import replacing
from mirada.models.digest import BLANK_DIGEST, DIGEST_KEY

ALIGNED = 8  # bytes: where the tensors begin, and the widest of their numbers


@dataclass(frozen=True)
class TensorEntry:
    """A tensor in the header of a file: its name, the format's word for its numbers, its shape and its bytes."""

    name: str
    dtype: str
    shape: Sequence[int]
    size: int

    @property
    def width(self) -> int:
        """The bytes of one of its numbers; of none, as few as may be."""
        count = prod(self.shape)
        return self.size // count if count else 1


def write_pieces(
    file: Path,
    entries: Sequence[TensorEntry],
    metadata: Mapping[str, str],
    pieces: Iterable[memoryview | bytes],
) -> None:
    """Writes a safetensors file, whole or not at all, with its digest in its metadata.

    Args:
        file: To make or to replace.
        entries: Its tensors, the widest numbers first, so that each begins at a multiple of its width.
        metadata: Texts by their names.
        pieces: The bytes of all tensors, in that order.

    Raises:
        OSError: The disk does not take it.
    """
    header = _header(entries, {**metadata, DIGEST_KEY: BLANK_DIGEST})
    before = f'"{DIGEST_KEY}":"'.encode()
    place = header.index(before + BLANK_DIGEST.encode()) + len(before)
    with replacing(file) as draft, draft.open("wb") as stream:
        digest = sha256(header)
        stream.write(header)
        for piece in pieces:
            digest.update(piece)
            stream.write(piece)
        stream.seek(place)
        stream.write(digest.hexdigest().encode())


def _header(entries: Sequence[TensorEntry], metadata: Mapping[str, str]) -> bytes:
    """Its length in 8 bytes, then JSON, filled up with spaces."""
    told: dict[str, object] = {"__metadata__": metadata}
    start = 0
    for each in entries:
        told[each.name] = {
            "dtype": each.dtype,
            "shape": list(each.shape),
            "data_offsets": [start, start + each.size],
        }
        start += each.size
    text = json.dumps(told, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNED)
    return len(text).to_bytes(8, "little") + text
