"""What the headers of image files say that a person ought to know before anything is learnt; nothing is decoded."""

from mmap import ACCESS_READ, mmap
from pathlib import Path

from mirada.data.index import Index
from mirada.data.parallel import parallel_map
from mirada.data.pixels.arrays import read_image
from mirada.data.pixels.bounds import images_in
from mirada.data.pixels.decode import DecodeError, read_header
from mirada.errors import DataError

SEVERAL = frozenset((".apng", ".gif", ".tif", ".tiff", ".webp"))  # of whose images the first is used
LOOKED_AT = 5  # files, evenly spread, whose depth is asked for
DEEP = 8  # bits, beyond which an image's own values decide what is black and white


def header_notes(index: Index) -> tuple[str, ...]:
    """Notes on files of several images of which the first is used, and on images that are deeper than 8 bits."""
    return (*_page_note(index), *_depth_note(index))


def _page_note(index: Index) -> tuple[str, ...]:
    files = [path for path in dict.fromkeys(index.paths) if Path(path).suffix.lower() in SEVERAL]
    counts = parallel_map(lambda path: _images_in(index.root / path), files, what="counting pages")
    several = {path: count for path, count in zip(files, counts, strict=True) if count > 1}
    if not several:
        return ()
    first, count = next(iter(several.items()))
    files_have = "1 file has" if len(several) == 1 else f"{len(several):,} files have"
    return (
        f"pages: {files_have} several images or frames; of {first}, the first of {count:,} is used ({first}#1 names "
        f"the second)",
    )


def _images_in(file: Path) -> int:
    try:
        with file.open("rb") as stream, mmap(stream.fileno(), 0, access=ACCESS_READ) as content:
            return images_in(content)
    except (OSError, ValueError):  # decoding says so of the file; an empty one cannot be mapped
        return 1


def _depth_note(index: Index) -> tuple[str, ...]:
    paths = list(dict.fromkeys(index.paths))
    for path in paths[:: max(1, len(paths) // LOOKED_AT)]:
        bits = _own_window_bits(index.root / path)
        if bits > DEEP:
            kind = "real numbers" if bits == 32 else f"{bits} bits"
            return (
                f"window: images of {kind} such as {path} are each stretched between their own darkest and brightest "
                f"values (0.5%..99.5%), so that a brighter image looks like a darker one; where the level itself "
                f'matters, set `window` to two values such as "0..4095", or to "full"',
            )
    return ()


def _own_window_bits(file: Path) -> int:
    """How deep an image is whose own values make its window; 0 for any other."""
    try:
        image = read_image(file)
        if not isinstance(image, bytes):
            return 0
        header = read_header(image)
    except (DataError, DecodeError):  # said when it is decoded
        return 0
    return 0 if header.format == "DICOM" else header.bits
