"""The digest that a model file of Mirada's holds of its own bytes, computed with zeros in its place."""

import re
from hashlib import sha256
from pathlib import Path

KEY = "mirada"  # of the description, in the metadata of a safetensors file
DIGEST_KEY = "digest"
BLANK_DIGEST = "0" * 64  # stands in the place of the digest while the digest is computed
DIGEST = re.compile(rb'"digest":"([0-9a-f]{64})"')  # in the description these quotes would have backslashes


def with_digest(data: bytes) -> bytes | None:
    """A model file's bytes with their digest where the blank one is; None if it is nowhere."""
    blank = DIGEST.search(data)
    if blank is None:
        return None
    start, end = blank.span(1)
    return data[:start] + _digest(data, start, end).encode() + data[end:]


def stated_digest(file: Path) -> str:
    """The digest that a file says is that of its bytes, from its first lines; "" if it says none.

    Raises ``OSError`` if it cannot be read.
    """
    with file.open("rb") as stream:
        found = DIGEST.search(stream.read(int.from_bytes(stream.read(8), "little")))
    return found[1].decode() if found else ""


def is_intact(data: bytes) -> bool:
    """Whether a model file's bytes are those that were written."""
    stated = DIGEST.search(data)
    return stated is not None and _digest(data, *stated.span(1)) == stated[1].decode()


def _digest(data: bytes, start: int, end: int) -> str:
    digest = sha256(data[:start] + BLANK_DIGEST.encode())
    digest.update(memoryview(data)[end:])
    return digest.hexdigest()
