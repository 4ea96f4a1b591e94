"""Decode once: a memory map of every image of a data set, keyed by content and decode options.

A cache is a folder with two files: ``pixels-*.u8`` (``.u16`` for a depth of 16 bits), rows of (H, W, C), and
``files.json``, which says for each image its file's size and times, its content hash and row (or the reason why it
cannot be decoded). ``files.json`` is replaced last and in one step, so a build that is killed, or meets a full disk,
leaves the previous cache or none. What a killed build leaves besides, the next one removes. An image whose file's size
and times are unchanged is trusted; otherwise it is read, and decoded only if its content differs.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from itertools import accumulate, chain, groupby
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mirada.data.index import Excluded, Index
from mirada.data.parallel import each
from mirada.data.pixels.arrays import container, decode_image, digest, read_image
from mirada.data.pixels.decode import DecodeError
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import DataError, reason_of
from mirada.events import OnProgress, Progress

try:
    import fcntl
except ImportError:  # Windows, where a file in use cannot be removed anyway
    fcntl = None  # type: ignore[assignment]

Pixels = NDArray[Any]  # uint8 or uint16

FILES = "files.json"
ROWS = 256  # of an array, that a thread takes at once
CHUNK = 16 * 2**20  # bytes copied at a time
UNKNOWN = (0, 0, 0)  # size and times of a file that is not to be trusted next time


class Entry(NamedTuple):
    """What the cache knows of one image; of a row of an array, with its file's size and times.

    ``row`` is −1 for what cannot be decoded for ``reason``."""

    size: int
    modified_ns: int
    changed_ns: int
    digest: str
    row: int
    reason: str


class Fresh(NamedTuple):
    """A file just looked at; ``pixels`` is None if its content is known already or cannot be decoded."""

    entry: Entry
    pixels: Pixels | None


@dataclass(frozen=True)
class Cache:
    """Decoded pixels of an index: sample i of ``index`` is ``pixels[rows[i]]``.

    ``pixels`` is a read-only memory map, (images, H, W, C), of ``preprocessing.dtype``. ``index`` lacks the images that
    cannot be decoded; they are in its ``excluded``. ``decoded`` counts the images decoded by this call.
    """

    index: Index
    pixels: Pixels
    rows: NDArray[np.int64]
    preprocessing: Preprocessing
    decoded: int


def open_cache(
    index: Index,
    preprocessing: Preprocessing,
    *,
    directory: Path | None = None,
    on_event: OnProgress | None = None,
) -> Cache:
    """Opens the cache of ``index``, decoding what is not in it yet, by all cores.

    ``directory`` is where caches live: by default the environment variable ``MIRADA_CACHE``, else the user's
    cache folder. Raises ``DataError`` if the disk is too small or fills up, or if no image can be decoded.
    """
    store = _Store(index.root, preprocessing, directory or default_directory())
    entries, decoded = store.refresh(index, on_event)
    reasons = {path: entries[path].reason for path in index.paths if entries[path].row < 0}
    index = index.without([Excluded(path, reason) for path, reason in reasons.items()])
    if not len(index):
        raise DataError(
            f"{index.origin}: none of the {len(reasons)} files can be decoded; the first: {_first(reasons)}."
        )
    rows = np.array([entries[path].row for path in index.paths], dtype=np.int64)
    return Cache(index, store.pixels, rows, preprocessing, decoded)


def default_directory() -> Path:
    """``$MIRADA_CACHE``, else ``mirada`` in the user's cache folder."""
    chosen = os.environ.get("MIRADA_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mirada"


class _Store:
    """The folder of one cache: one data set's root and one way of decoding. ``pixels`` is (rows, H, W, C)."""

    def __init__(self, root: Path, preprocessing: Preprocessing, directory: Path) -> None:
        key = blake2b(str(root.resolve()).encode(), digest_size=8).hexdigest()
        self.root = root
        self.preprocessing = preprocessing
        self.folder = directory / f"{key}-{preprocessing.decode_key}"
        self.shape = (*preprocessing.size, preprocessing.channels)
        self.dtype = preprocessing.dtype
        self.row_bytes = int(np.prod(self.shape)) * self.dtype.itemsize
        self.pixel_file = ""
        self.pixels: Pixels = np.empty((0, *self.shape), dtype=self.dtype)

    def refresh(self, index: Index, on_event: OnProgress | None) -> tuple[dict[str, Entry], int]:
        """Entries for every file of the index, and how many images were decoded for it."""
        known = self._load()
        wanted = dict.fromkeys(index.paths)  # a table may name a file twice
        stamps = _Stamps(self.root)
        stale = {path: None for path in wanted if path not in known or stamps.of(path) != known[path][:3]}
        if not stale:
            return known, 0
        kept = {
            path: entry
            for path, entry in known.items()
            if path not in stale and (path in wanted or stamps.of(path) != UNKNOWN)
        }
        added: dict[str, Entry] = {}
        by_digest = {entry.digest: entry for entry in known.values()}
        look = partial(_look, stamps=_Stamps(self.root), preprocessing=self.preprocessing, known=by_digest)
        looks = _in_chunks(look, list(stale), on_event)
        self._prepare(new=len(stale.keys() - known.keys()))
        with _temporary(self.folder) as stream:
            for path, (entry, pixels) in zip(stale, looks, strict=True):
                if pixels is None:
                    kept[path] = entry
                    continue
                added[path] = entry._replace(row=len(added))
                with _explained(self.folder):
                    stream.write(pixels.tobytes())
            with _explained(self.folder):
                return self._commit(stream, kept, added), len(added)

    def _load(self) -> dict[str, Entry]:
        """The entries of the cache on disk, whose pixels are mapped; none if there is no whole one."""
        try:
            saved = json.loads((self.folder / FILES).read_text(encoding="utf-8"))
            entries = {path: Entry(*values) for path, values in saved["files"].items()}
            file, count = self.folder / saved["pixels"], saved["count"]
            if file.stat().st_size != count * self.row_bytes:
                return {}
            self.pixels = self._map(file, count)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}
        self.pixel_file = saved["pixels"]
        return entries

    def _map(self, file: Path, count: int) -> Pixels:
        return np.memmap(file, dtype=self.dtype, mode="r", shape=(count, *self.shape))

    def _prepare(self, *, new: int) -> None:
        """Makes the folder, clears what killed builds have left, and makes sure of the space for ``new`` rows."""
        with _explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            for file in (*self.folder.glob("building-*"), *self.folder.glob("pixels-*")):
                if file.name != self.pixel_file:
                    _remove_abandoned(file)
            free = shutil.disk_usage(self.folder).free
        needed = (len(self.pixels) + new) * self.row_bytes if new else 0
        if needed > free:
            raise DataError(
                f"The cache of decoded images needs {needed / 2**20:,.0f} MiB in {self.folder}, where "
                f"{free / 2**20:,.0f} MiB are free. Free some space, name another folder in the environment "
                f"variable MIRADA_CACHE, or choose a smaller image size."
            )

    def _commit(self, stream: IO[bytes], kept: dict[str, Entry], added: dict[str, Entry]) -> dict[str, Entry]:
        """Makes the cache of the new rows, in ``stream``, and of the old ones that ``kept`` needs; all entries."""
        old = sorted({entry.row for entry in kept.values() if entry.row >= 0})
        if not added:  # the pixels stay; only what is known of the files is new
            if old:
                self._list(self.pixel_file, len(self.pixels), kept)
            return kept
        self._append(stream, old)
        moved = {row: number for number, row in enumerate(old, start=len(added))}
        entries = {path: entry._replace(row=moved.get(entry.row, -1)) for path, entry in kept.items()} | added
        name, count = f"pixels-{os.urandom(6).hex()}.u{8 * self.dtype.itemsize}", len(added) + len(old)
        file, superseded = self.folder / name, self.folder / self.pixel_file
        self._list(name, count, entries, building=Path(stream.name))
        if self.pixel_file:
            superseded.unlink(missing_ok=True)
        self.pixel_file, self.pixels = name, self._map(file, count)
        return entries

    def _append(self, stream: IO[bytes], rows: list[int]) -> None:
        """Ends a pixel file with these rows of the present one, and closes it."""
        step = max(1, CHUNK // self.row_bytes)
        for start in range(0, len(rows), step):
            stream.write(self.pixels[rows[start : start + step]].tobytes())
        stream.flush()
        os.fsync(stream.fileno())
        stream.close()

    def _list(
        self, pixel_file: str, count: int, entries: dict[str, Entry], *, building: Path | None = None
    ) -> None:
        """Puts a pixel file that is complete in its place, and replaces ``files.json``: from here on this is it."""
        text = json.dumps({"pixels": pixel_file, "count": count, "files": entries})
        with _temporary(self.folder) as stream:
            stream.write(text.encode())
            stream.close()
            if building:
                building.replace(self.folder / pixel_file)
            Path(stream.name).replace(self.folder / FILES)


@contextmanager
def _temporary(folder: Path) -> Iterator[IO[bytes]]:
    """A file to build in, locked, and gone at the end unless it was renamed."""
    with _explained(folder):
        stream = tempfile.NamedTemporaryFile(dir=folder, prefix="building-", delete=False)  # noqa: SIM115
    try:
        with suppress(OSError):  # a file system without locks
            _lock(stream)
        yield stream
    finally:
        with suppress(OSError):  # closing writes the rest, once more to a full disk
            stream.close()
        Path(stream.name).unlink(missing_ok=True)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turns an ``OSError`` of writing into a ``DataError`` that says what to do."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{folder}: the cache of decoded images cannot be written ({reason_of(error)}). Free some space, or "
            f"name another folder in the environment variable MIRADA_CACHE."
        ) from error


def _lock(stream: IO[bytes]) -> None:
    """Marks a file as in use until it is closed. Raises ``OSError`` if it is in use already."""
    if fcntl:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove_abandoned(file: Path) -> None:
    """Removes a file that no running build holds."""
    with suppress(OSError), file.open("rb") as stream:
        _lock(stream)
        file.unlink()


def _in_chunks(
    look: Callable[[str], Fresh], paths: list[str], on_event: OnProgress | None
) -> Iterator[Fresh]:
    """What ``look`` says of every path, by all cores; the rows of an array many at a time, for each takes no time."""
    alike = (list(part) for _, part in groupby(paths, key=_before_mark))
    chunks = [part[start : start + ROWS] for part in alike for start in range(0, len(part), ROWS)]
    done = list(accumulate(map(len, chunks), initial=0))

    def look_at(chunk: list[str]) -> list[Fresh]:
        return [look(path) for path in chunk]

    def tell(event: Progress) -> None:
        if on_event:
            on_event(replace(event, done=done[event.done], total=len(paths)))

    return chain.from_iterable(each(look_at, chunks, what="decoding", on_event=tell))


def _before_mark(path: str) -> str:
    """What the addresses of one file of arrays have in common; of any other path, all of it."""
    return path.rpartition("#")[0] or path


class _Stamps:
    """Size and times of the files that hold images; a file of many is asked once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.shared: dict[str, tuple[int, int, int]] = {}

    def of(self, path: str) -> tuple[int, int, int]:
        """Zeros if there is no such file."""
        common = _before_mark(path)
        if common not in self.shared:
            file = self.root / path
            if (whole := container(file)) == file:
                return _stamp(file)
            self.shared[common] = _stamp(whole)
        return self.shared[common]


def _stamp(file: Path) -> tuple[int, int, int]:
    try:
        info = file.stat()
    except OSError:
        return UNKNOWN
    return info.st_size, info.st_mtime_ns, info.st_ctime_ns


def _look(path: str, *, stamps: _Stamps, preprocessing: Preprocessing, known: dict[str, Entry]) -> Fresh:
    """Reads an image and, if its content is new, decodes it."""
    stamp = stamps.of(path)  # before reading: a change in between then shows next time
    content = ""
    try:
        image = read_image(stamps.root / path)
        content = digest(image)
        if same := known.get(content):
            return Fresh(Entry(*stamp, content, same.row, same.reason), None)
        return Fresh(Entry(*stamp, content, -1, ""), decode_image(image, preprocessing))
    except DecodeError as error:
        if not content:
            stamp = UNKNOWN  # it was not read, perhaps only this time
        return Fresh(Entry(*stamp, content, -1, str(error)), None)


def _first(reasons: dict[str, str]) -> str:
    return next((f"{path}: {reason}" for path, reason in reasons.items()), "")
