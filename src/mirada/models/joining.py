"""Several model files as one, copied piece by piece: no network is ever in memory.

Of the tensors of the first file the new one has ``member1.stem…``, of the second ``member2.stem…``.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import prod
from pathlib import Path

from mirada.files import replacing
from mirada.models.digest import BLANK_DIGEST, DIGEST_KEY, KEY

PIECE = 2**24  # bytes that are copied at a time
ALIGNED = 8  # bytes: where the tensors begin, and the widest of their numbers


@dataclass(frozen=True)
class _Kept:
    """A tensor of a file: its new name, what the header says of it, and where its bytes are."""

    name: str
    dtype: str
    shape: list[int]
    source: Path
    start: int
    size: int

    @property
    def width(self) -> int:
        """The bytes of one of its numbers; of none, as few as may be."""
        count = prod(self.shape)
        return self.size // count if count else 1


def prefix(number: int) -> str:
    """Before the names of the tensors of a member, counted from 0."""
    return f"member{number + 1}."


def join_files(file: Path, sources: Sequence[Path], description: str) -> None:
    """Writes the tensors of several safetensors files as one model file, whole or not at all.

    Args:
        file: To make or to replace.
        sources: Model files that are whole.
        description: What the new one says of itself.

    Raises:
        OSError: A file cannot be read, or the disk does not take the new one.
    """
    found = [each for number, source in enumerate(sources) for each in _tensors(number, source)]
    ordered = sorted(found, key=lambda each: -each.width)  # so that each begins at a multiple of its width
    header = _header(ordered, description)
    before = f'"{DIGEST_KEY}":"'.encode()
    place = header.index(before + BLANK_DIGEST.encode()) + len(before)
    with replacing(file) as draft, draft.open("wb") as stream:
        digest = sha256()
        for piece in (header, *_pieces(ordered)):
            digest.update(piece)
            stream.write(piece)
        stream.seek(place)
        stream.write(digest.hexdigest().encode())


def _tensors(number: int, source: Path) -> Iterator[_Kept]:
    with source.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
    header.pop("__metadata__", None)
    for name, told in header.items():
        start, end = told["data_offsets"]
        yield _Kept(
            prefix(number) + name, told["dtype"], told["shape"], source, 8 + length + start, end - start
        )


def _header(tensors: Sequence[_Kept], description: str) -> bytes:
    """Its length in 8 bytes, then JSON, filled up with spaces."""
    told: dict[str, object] = {"__metadata__": {KEY: description, DIGEST_KEY: BLANK_DIGEST}}
    start = 0
    for each in tensors:
        told[each.name] = {
            "dtype": each.dtype,
            "shape": each.shape,
            "data_offsets": [start, start + each.size],
        }
        start += each.size
    text = json.dumps(told, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNED)
    return len(text).to_bytes(8, "little") + text


def _pieces(tensors: Sequence[_Kept]) -> Iterator[bytes]:
    """The bytes of all tensors, one after the other."""
    for each in tensors:
        with each.source.open("rb") as stream:
            stream.seek(each.start)
            left = each.size
            while left:
                piece = stream.read(min(left, PIECE))
                if not piece:
                    raise OSError(5, "shorter than its header says", str(each.source))
                left -= len(piece)
                yield piece
