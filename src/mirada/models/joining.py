"""Several model files as one, copied piece by piece: no network is ever in memory.

Of the tensors of the first file the new one has ``member1.stem…``, of the second ``member2.stem…``.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mirada.models.digest import KEY
from mirada.models.pieces import TensorEntry, write_pieces

PIECE = 2**24  # bytes that are copied at a time


@dataclass(frozen=True)
class _Kept:
    """A tensor of a file, under its new name, and where its bytes are."""

    entry: TensorEntry
    source: Path
    start: int


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
    ordered = sorted(found, key=lambda each: -each.entry.width)
    write_pieces(file, [each.entry for each in ordered], {KEY: description}, _pieces(ordered))


def _tensors(number: int, source: Path) -> Iterator[_Kept]:
    with source.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
    header.pop("__metadata__", None)
    for name, told in header.items():
        start, end = told["data_offsets"]
        entry = TensorEntry(prefix(number) + name, told["dtype"], told["shape"], end - start)
        yield _Kept(entry, source, 8 + length + start)


def _pieces(tensors: Sequence[_Kept]) -> Iterator[bytes]:
    """The bytes of all tensors, one after the other."""
    for each in tensors:
        with each.source.open("rb") as stream:
            stream.seek(each.start)
            left = each.entry.size
            while left:
                piece = stream.read(min(left, PIECE))
                if not piece:
                    raise OSError(5, "shorter than its header says", str(each.source))
                left -= len(piece)
                yield piece
