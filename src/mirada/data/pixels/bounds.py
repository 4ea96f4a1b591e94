"""What a file asks of whoever decodes it, told from its bytes before anything is: the files that would hang or burst.

A small file may unpack to gigabytes, or be made of so many pieces that walking through them takes minutes. Pixels are
bounded in memory by ``raw.require_size``; here, pieces and passes are. Each limit lies far beyond what any device or
program writes. Every function raises ``DecodeError`` or does nothing.
"""

import struct
from collections.abc import Iterator
from itertools import islice
from mmap import mmap

from mirada.data.pixels.raw import DecodeError

MAX_CHUNKS = 100_000  # of a PNG
MAX_SCANS = 100  # of a progressive JPEG; usual are ten, and a thumbnail's are counted as well
USUAL_SCANS = 25
MAX_PASSES = 10**9  # pixels times the scans, or frames, that must be decoded for one image
MAX_PAGES = 10_000
MAX_TAGS = 64 * 2**20  # bytes of all tags of a TIFF or of EXIF; tags may share them, and are copied
MAX_PLAIN = 10 * 2**20  # bytes of a PPM written as decimal digits, which take a microsecond each

PNG, JPEG, GIF = b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"GIF8"
START_OF_SCAN = b"\xff\xda"
J2K = b"\xff\x4f\xff\x51"  # the first two markers of JPEG 2000, of which the second says the size
RLE_HEADER, RLE_SLACK = 64, 2**16  # bytes; some devices fill the last rows up
TIFF = {b"II*\0": ("<", False), b"MM\0*": (">", False), b"II+\0": ("<", True), b"MM\0+": (">", True)}
TAG_BYTES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)  # by a tag's type
EXTENSION, IMAGE = 0x21, 0x2C  # what a part of a GIF begins with


def require_few_pieces(content: bytes) -> None:
    """Chunks of a PNG, scans of a JPEG, pages and tags of a TIFF, images of a GIF, the digits of a plain PPM."""
    if content.startswith(PNG):
        _require_few_chunks(content)
    elif content.startswith(JPEG):
        scans = content.count(START_OF_SCAN)
        if scans > MAX_SCANS:
            raise DecodeError(
                f"{scans:,} scans are more than the limit of {MAX_SCANS} (a decompression bomb?)"
            )
    elif content[:4] in TIFF:
        require_few_tags(content)
    elif content[:2] in (b"P1", b"P2", b"P3") and len(content) > MAX_PLAIN:
        raise DecodeError(
            f"{len(content) / 2**20:,.0f} MiB of digits are more than the limit of 10 MiB; save it in binary form"
        )


def require_few_scans(content: bytes, pixels: int) -> None:
    """Scans of a JPEG times its pixels; a file of a few bytes may have many scans, and each is a pass over all."""
    if pixels * MAX_SCANS <= MAX_PASSES:  # most photos; their scans are bounded by `require_few_pieces`
        return
    scans = content.count(START_OF_SCAN) if content.startswith(JPEG) else 0
    if scans > USUAL_SCANS and scans * pixels > MAX_PASSES:
        raise DecodeError(
            f"{scans} scans of {pixels / 10**6:,.0f} million pixels take too long (a decompression bomb?)"
        )


def require_few_passes(frame: int, pixels: int) -> None:
    """Pixels of all frames that are decoded on the way to one; ``frame`` counts from 0."""
    if (frame + 1) * pixels > MAX_PASSES:
        raise DecodeError(
            f"frame {frame:,} of an animation comes after {frame * pixels / 10**6:,.0f} million pixels, more than the "
            f"limit of {MAX_PASSES // 10**6:,} million"
        )


def require_few_tags(content: bytes) -> None:
    """Pages and tags of a TIFF, or of EXIF, which is made like one."""
    size = 0
    for number, page in enumerate(_pages(content)):
        size += page
        if number >= MAX_PAGES:
            raise DecodeError(f"more than the limit of {MAX_PAGES:,} images in a file")
        if size > MAX_TAGS:
            raise DecodeError(f"tags of more than {MAX_TAGS / 2**20:.0f} MiB (a decompression bomb?)")


def require_as_large(coded: bytes, height: int, width: int) -> None:
    """A JPEG, JPEG-LS or JPEG 2000 stream within a file that says how large it is: of no more pixels than that."""
    found = _coded_size(coded)
    if found and found[0] * found[1] > height * width:
        raise DecodeError(
            f"it holds {found[1]:,} × {found[0]:,} compressed pixels, and says that they are {width:,} × {height:,} "
            f"(a decompression bomb?)"
        )


def require_short_runs(coded: bytes, pixels: int) -> None:
    """DICOM's run lengths, in segments of a byte of each pixel (PS3.5 G): of no more bytes than there are pixels."""
    count = int.from_bytes(coded[:4], "little")
    starts = struct.unpack_from("<15I", coded, 4) if len(coded) >= RLE_HEADER else ()
    ends = (*starts[1:count], len(coded))
    for start, end in zip(starts[: min(count, len(starts))], ends, strict=False):
        place, size = start, 0
        while place < min(end, len(coded)):
            run = coded[place]
            if run > 128:  # the next byte, so many times
                size, place = size + 257 - run, place + 2
            elif run < 128:  # so many bytes as they are
                size, place = size + run + 1, place + run + 2
            else:
                place += 1
            if size > pixels + RLE_SLACK:
                raise DecodeError("its run lengths are of more pixels than it says (a decompression bomb?)")


def _coded_size(coded: bytes) -> tuple[int, int] | None:
    """Height and width by the header of a JPEG, JPEG-LS or JPEG 2000 stream; None if it has none."""
    place = coded.find(J2K)
    if coded[:2] != JPEG:
        if place < 0 or place + 24 > len(coded):
            return None
        right, lower, left, upper = struct.unpack_from(">4I", coded, place + 8)
        return max(0, lower - upper), max(0, right - left)
    place = 2
    while place + 9 <= len(coded) and coded[place] == 0xFF:
        marker = coded[place + 1]
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            height, width = struct.unpack_from(">HH", coded, place + 5)
            return height, width
        place += 1 if marker == 0xFF else 2 + int.from_bytes(coded[place + 2 : place + 4], "big")
    return None


def images_in(content: bytes | mmap) -> int:
    """How many images a TIFF, GIF, animated PNG or WebP holds, at least; of other files, and damaged ones, 1.

    Of more than the limit, one more than that. Of a WebP, that there are several is all that is asked.
    """
    if content[:4] in TIFF:
        return max(1, sum(1 for _ in islice(_pages(content), MAX_PAGES + 1)))
    if content[:4] == GIF:
        return max(1, _gif_frames(content))
    if content[:8] == PNG and content[37:41] == b"acTL":
        return int.from_bytes(content[41:45], "big")
    animated = content[:4] == b"RIFF" and content[8:16] == b"WEBPVP8X" and content[20] & 2
    return 2 if animated else 1


def _gif_frames(content: bytes | mmap) -> int:
    place, frames = 13 + _colours(content, 10), 0
    while frames <= MAX_PAGES and content[place : place + 1] in (b"\x21", b"\x2c"):
        if content[place] == IMAGE:
            frames += 1
            place += 11 + _colours(content, place + 9)
        else:
            place += 2
        while place < len(content) and content[place]:  # blocks, each with its length, up to an empty one
            place += 1 + content[place]
        place += 1
    return frames


def _colours(content: bytes | mmap, place: int) -> int:
    """The bytes of a table of colours, by the flags that announce it."""
    flags = content[place] if place < len(content) else 0
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _require_few_chunks(content: bytes) -> None:
    place = len(PNG)
    for _ in range(MAX_CHUNKS):
        if place + 8 > len(content):
            return
        place += 12 + int.from_bytes(content[place : place + 4], "big")
    raise DecodeError(f"more than the limit of {MAX_CHUNKS:,} chunks (a decompression bomb?)")


def _pages(content: bytes | mmap) -> Iterator[int]:
    """The bytes of all tags in each directory of a TIFF, one after the other, as far as they lie within the file."""
    order, big = TIFF.get(content[:4], ("", False))
    if not order:
        return
    count, entry, offset = (f"{order}Q", 20, f"{order}Q") if big else (f"{order}H", 12, f"{order}I")
    tag = f"{order}2xHQQ" if big else f"{order}2xHII"
    place, seen = 8 if big else 4, set()
    while place + struct.calcsize(offset) <= len(content):
        (start,) = struct.unpack_from(offset, content, place)
        if not start or start in seen or start + struct.calcsize(count) > len(content):
            return
        seen.add(start)  # they may lie in a circle
        (tags,) = struct.unpack_from(count, content, start)
        first = start + struct.calcsize(count)
        place = first + tags * entry
        if place > len(content):
            return
        sizes = [
            (TAG_BYTES[kind] * number, where)
            for kind, number, where in struct.iter_unpack(tag, content[first:place])
            if kind < len(TAG_BYTES)
        ]
        yield sum(size for size, where in sizes if where + size <= len(content))  # of others, nothing is read
