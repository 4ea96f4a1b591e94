"""Which images are copies of one another, byte for byte: ``img.png`` and ``img (1).png``.

An image whose copy was trained on tests nothing, so copies must not be divided between splits. Only files of one size
whose beginning, middle and end are alike are read as a whole: in most data sets none.
"""

import os
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from pathlib import Path
from types import MappingProxyType

from mirada.data.index import Index
from mirada.data.parallel import parallel_map
from mirada.data.pixels.arrays import container, digest, is_idx, is_npz, read_image
from mirada.data.pixels.decode import content_hash
from mirada.data.stamps import UNKNOWN, Stamp, Stamps, before_mark
from mirada.errors import MiradaError

GLANCE = 4096  # bytes
AT_ONCE = 64  # images that a thread takes at once

Key = object | None  # None: nothing is known of it, and it is nobody's copy
Sets = list[list[str]]


def find_copies(index: Index) -> MappingProxyType[str, str]:
    """For each path whose content other paths have, too, the first of these paths in alphabetical order.

    A file that cannot be read has no copies. The answer is kept until a file changes: folds ask for it many times.
    """
    paths = tuple(sorted(set(index.paths)))
    stamps = Stamps(index.root)
    return _copies(index.root, paths, tuple(map(stamps.of, paths)))


@lru_cache(maxsize=1)
def _copies(root: Path, paths: tuple[str, ...], stamps: tuple[Stamp, ...]) -> MappingProxyType[str, str]:
    sizes = {path: _size(path, stamp) for path, stamp in zip(paths, stamps, strict=True) if stamp != UNKNOWN}
    rows = [path for path in sizes if "#" in path and _is_row(before_mark(path))]  # equally large, and short
    files = sorted(sizes.keys() - set(rows))
    alike = _divided([files], [sizes[path] for path in files])
    alike = _divided(alike, _seen(partial(_glance, root), alike))
    alike = _divided(alike, _seen(partial(_content, root), alike))
    alike += _divided([rows], map(partial(_content, root), rows))  # threads would wait for each other
    return MappingProxyType({path: same[0] for same in alike for path in same})


def _divided(sets: Sets, keys: Iterable[Key]) -> Sets:
    """The sets by the keys of their members, in order; without what is alone."""
    remaining = iter(keys)
    parts: dict[tuple[int, object], list[str]] = {}
    for number, same in enumerate(sets):
        for path in same:
            if (key := next(remaining)) is not None:
                parts.setdefault((number, key), []).append(path)
    return [part for part in parts.values() if len(part) > 1]


def _seen(look: Callable[[str], Key], sets: Sets) -> list[Key]:
    """What a look says of every path in the sets, by all cores."""
    paths = [path for same in sets for path in same]
    chunks = [paths[start : start + AT_ONCE] for start in range(0, len(paths), AT_ONCE)]
    looks = parallel_map(lambda chunk: [look(path) for path in chunk], chunks, what="looking for copies")
    return [key for chunk in looks for key in chunk]


@lru_cache(maxsize=16)
def _is_row(whole: str) -> bool:
    """Whether what stands before the mark of an address names a file of arrays."""
    return is_idx(Path(whole)) or is_npz(Path(whole))


def _size(path: str, stamp: Stamp) -> Key:
    """The size of a file; of a frame its number as well."""
    return stamp.size, path.removeprefix(before_mark(path)) if "#" in path else ""


def _glance(root: Path, path: str) -> Key:
    """The beginning, middle and end of a file."""
    try:
        with container(root / path).open("rb", buffering=0) as stream:
            size = os.fstat(stream.fileno()).st_size
            parts = []
            for start in (0, size // 2, max(0, size - GLANCE)):
                stream.seek(start)
                parts.append(stream.read(GLANCE))
            return content_hash(b"".join(parts))
    except OSError:
        return None


def _content(root: Path, path: str) -> Key:
    try:
        return digest(read_image(root / path))
    except (MiradaError, OSError):
        return None
