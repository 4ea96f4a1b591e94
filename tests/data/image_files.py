"""PNG files made by hand, for tests: of depths and colours that Pillow does not write."""

import struct
import zlib
from typing import Any

from numpy.typing import NDArray


def png(rows: NDArray[Any], depth: int, colour: int) -> bytes:
    """A PNG; ``rows`` (H, W) or (H, W, samples) holds each line's bytes, ``colour`` is the format's number for it."""
    height, width = rows.shape[:2]
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG, with its length and its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
