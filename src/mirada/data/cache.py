"""Decode once: a memory map of every image of a data set, keyed by content and decode options.

``cache_files`` describes the folder of a cache. Its list is replaced last and in one step, so a build that is killed,
or meets a full disk, leaves the previous cache or none; what it leaves besides, the next one removes. One that is
interrupted keeps what is decoded. An image whose file is the same one, of unchanged size and times, is trusted;
otherwise it is read, and decoded only if its content differs. Of several processes one builds, and the others wait.
"""

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from itertools import accumulate, chain, groupby
from mmap import mmap
from pathlib import Path
from typing import IO, Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from mirada.data.cache_files import (
    FILES,
    LOCK,
    BadList,
    CachedImage,
    CacheList,
    default_directory,
    make_private,
    read_listing,
    remove_rest,
    spare_directory,
)
from mirada.data.index import Index
from mirada.data.parallel import parallel_map
from mirada.data.pixels.arrays import decode_image, digest, read_image
from mirada.data.pixels.decode import DecodeError
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.data.stamps import GRAIN_NS, UNKNOWN, Stamps, before_mark, is_settled
from mirada.errors import DataError, counted, reason_of
from mirada.events import OnProgress, Progress
from mirada.files import locked, replacing
from mirada.samples import Excluded

Pixels = NDArray[Any]  # uint8 or uint16

ROWS = 256  # of an array, that a thread takes at once
FILES_AT_ONCE = 4  # handing over each one costs as much as a twentieth of decoding a photo
FULL = (errno.ENOSPC, errno.EDQUOT)


def never() -> bool:
    """For what goes on to its end."""
    return False


class _NoPlace(DataError):
    """The folder of caches takes no files."""


class Fresh(NamedTuple):
    """A file just looked at; ``pixels`` is None if its content is known already or cannot be decoded."""

    entry: CachedImage
    pixels: Pixels | None


@dataclass(frozen=True)
class Cache:
    """Decoded pixels of an index: sample i of ``index`` is ``pixels[rows[i]]``.

    ``pixels`` is a read-only memory map, (images, H, W, C), of ``preprocessing.dtype``. ``index`` lacks the images that
    cannot be decoded; they are in its ``excluded``. ``decoded`` counts the images decoded by this call, ``digests`` are
    those of the images' contents, one per sample. ``directory`` is where this cache and others live.
    """

    index: Index
    pixels: Pixels
    rows: NDArray[np.int64]
    preprocessing: Preprocessing
    decoded: int
    digests: tuple[str, ...] = ()
    directory: Path | None = None

    def read(self, samples: NDArray[np.int64]) -> Pixels:
        """Copies images out of the map.

        Args:
            samples: (n,) rows of ``index``.

        Returns:
            (n, H, W, C), of ``preprocessing.dtype``.

        Raises:
            DataError: The file was cut while it was mapped. Reading on would end the process by a signal.
        """
        mapped = self.pixels.base
        if isinstance(mapped, mmap) and mapped.size() < self.pixels.nbytes:
            raise DataError(
                f"{self.index.origin}: the cache of its decoded images was cut while it was read. Start again: it is "
                f"then built anew."
            )
        return self.pixels[self.rows[samples]]


def open_cache(
    index: Index,
    preprocessing: Preprocessing,
    *,
    directory: Path | None = None,
    on_event: OnProgress | None = None,
) -> Cache:
    """Opens the cache of ``index``, decoding what is not in it yet, by all cores.

    Args:
        index: The images.
        preprocessing: How they are decoded; ``mean`` and ``std`` make no difference.
        directory: Where caches live. By default ``default_directory()``, or ``spare_directory()`` if that cannot be
            written.
        on_event: Hears of progress, also while another process decodes and this one waits.

    Returns:
        The cache. The notes of its index say if what was there could not be used, or if another place was.

    Raises:
        DataError: The disk is too small or fills up, ``directory`` cannot be written, or no image can be decoded.
    """
    places = [directory] if directory else list(dict.fromkeys((default_directory(), spare_directory())))
    notes = []
    if places == [spare_directory()] and not os.environ.get("MIRADA_CACHE"):
        notes.append(f"Decoded images are kept in {places[0]}: there is no home folder, and no MIRADA_CACHE.")
    while True:
        place = places.pop(0)
        store = _Store(index.root, preprocessing, place)
        try:
            entries, decoded = store.refresh(index, on_event)
            break
        except _NoPlace as error:
            if not places:
                raise
            notes.append(f"Decoded images are kept in {places[0]} this time. {error}")
    reasons = {path: entries[path].reason for path in index.paths if entries[path].row < 0}
    index = index.without([Excluded(path, reason) for path, reason in reasons.items()])
    if not len(index):
        raise DataError(
            f"{index.origin}: none of the {len(reasons)} files can be decoded; the first: {_first(reasons)}."
        )
    rows = np.array([entries[path].row for path in index.paths], dtype=np.int64)
    index = replace(index, notes=(*index.notes, *notes, *store.notes))
    digests = tuple(entries[path].digest for path in index.paths)
    return Cache(index, store.pixels, rows, preprocessing, decoded, digests, place)


def decode_until(index: Index, preprocessing: Preprocessing, enough: Callable[[], bool]) -> None:
    """Decodes images that are not in the cache yet; ``open_cache`` finds them there, and decodes the rest.

    Args:
        index: The images.
        preprocessing: How they are decoded.
        enough: Asked after each file, from the first image on; once it says so, what is decoded is put into the cache,
            and the rest is left.

    Raises:
        DataError: As ``open_cache`` does, for the folder and the disk.
    """
    _Store(index.root, preprocessing, default_directory()).refresh(index, None, enough)


def has_cache(index: Index, preprocessing: Preprocessing) -> bool:
    """Whether there is a cache of images of this folder, decoded in this way; maybe of others than the index has."""
    try:
        return (_Store(index.root, preprocessing, default_directory()).folder / FILES).exists()
    except OSError:  # it cannot be looked at
        return False


def cached_digests(
    index: Index, preprocessing: Preprocessing, *, directory: Path | None = None
) -> dict[str, str]:
    """The digests of those images that a cache has read and that have not changed since; no image is read.

    Args:
        index: The images.
        preprocessing: How they were decoded.
        directory: Where caches live, by default ``default_directory()``.

    Returns:
        By path; without the images that the cache does not know, and empty where there is none.
    """
    try:
        listing = read_listing(_Store(index.root, preprocessing, directory or default_directory()).folder)
    except (BadList, OSError):
        return {}
    stamps = Stamps(index.root)
    known = {path: listing.files[path] for path in index.paths if path in listing.files} if listing else {}
    return {
        path: entry.digest
        for path, entry in known.items()
        if entry.digest and entry.stamp != UNKNOWN and entry.stamp == stamps.of(path)
    }


class _Store:
    """The folder of one cache: one data set's root and one way of decoding. ``pixels`` is (rows, H, W, C)."""

    def __init__(self, root: Path, preprocessing: Preprocessing, directory: Path) -> None:
        whole = os.path.realpath(root)
        key = blake2b(os.fsencode(whole), digest_size=8).hexdigest()
        self.root = root
        self.preprocessing = preprocessing
        self.folder = directory / f"{key}-{preprocessing.decode_key}"
        self.shape = (*preprocessing.size, preprocessing.channels)
        self.dtype = preprocessing.dtype
        self.row_bytes = int(np.prod(self.shape)) * self.dtype.itemsize
        self.listing = CacheList(whole, "", [], {})
        self.pixels: Pixels = np.empty((0, *self.shape), dtype=self.dtype)
        self.notes: list[str] = []
        self.waited = False

    def refresh(
        self, index: Index, on_event: OnProgress | None, enough: Callable[[], bool] = never
    ) -> tuple[dict[str, CachedImage], int]:
        """Entries for every file of the index that was reached, and how many images were decoded for it."""
        wanted = dict.fromkeys(index.paths)  # a table may name a file twice
        known = self._load(wanted)
        stale = self._stale(wanted, known)
        if not stale:
            return known, 0
        try:
            with self._alone(on_event, len(wanted)) as held:
                return self._renewed(wanted, held, on_event, enough)
        except _NoPlace:
            looked = self._nothing_new(known, stale)
            if looked is None:
                raise
            return looked, 0

    def _renewed(
        self, wanted: dict[str, None], held: bool, on_event: OnProgress | None, enough: Callable[[], bool]
    ) -> tuple[dict[str, CachedImage], int]:
        """What ``refresh`` returns, by whoever may build; ``held`` says whether nobody else can at the same time."""
        known = self._load(wanted)  # another process may have built it by now
        stale = self._stale(wanted, known)
        if not stale:
            self.notes += ["Another process decoded the images; this one waited for it."] * self.waited
            return known, 0
        if held:
            remove_rest(self.folder, self.listing.pixels)
        return self._build(wanted, known, stale, on_event, enough)

    def _nothing_new(
        self, known: dict[str, CachedImage], stale: dict[str, None]
    ) -> dict[str, CachedImage] | None:
        """The entries of a cache that cannot be written, if it has the content of all stale files; else None.

        The data were copied since, for example, or some files cannot be read.
        """
        look = self._look_at(known)
        looked = dict(known)
        for path in stale if known else ():
            looked[path], pixels = look(path)
            if pixels is not None:
                return None
        return looked if known else None

    def _look_at(self, known: dict[str, CachedImage]) -> Callable[[str], Fresh]:
        """Looks at a file, which is decoded if its content is not known."""
        by_digest = {entry.digest: entry for entry in known.values()}
        stamps = Stamps(self.root)
        return partial(_look, stamps=stamps, preprocessing=self.preprocessing, known=by_digest)

    def _load(self, wanted: Iterable[str]) -> dict[str, CachedImage]:
        """The entries of the cache on disk that can be used, whose pixels are mapped; none if there is no whole one."""
        self.notes, self.listing = [], CacheList(self.listing.root, "", [], {})
        self.pixels = np.empty((0, *self.shape), dtype=self.dtype)
        try:
            listing = read_listing(self.folder)
            if listing is None:
                return {}
            self.pixels = self._map(self.folder / listing.pixels, len(listing.sums))
            self.listing = listing
            return self._undamaged(wanted, listing)
        except (BadList, OSError) as error:
            reason = reason_of(error) if isinstance(error, OSError) else str(error)
            self.notes = [
                f"The cache of decoded images in {self.folder} was not used ({reason}); they were decoded anew."
            ]
            return {}

    def _map(self, file: Path, count: int) -> Pixels:
        if not file.is_file() or not count or file.stat().st_size != count * self.row_bytes:
            raise BadList("its pixels are missing or cut")
        return np.memmap(file, dtype=self.dtype, mode="r", shape=(count, *self.shape))

    def _undamaged(self, wanted: Iterable[str], listing: CacheList) -> dict[str, CachedImage]:
        """The entries without those whose pixels are wanted and differ from their checksum."""
        rows = sorted({listing.files[path].row for path in wanted if path in listing.files} - {-1})
        damaged = {
            row for row, data in zip(rows, self._rows(rows), strict=True) if crc32(data) != listing.sums[row]
        }
        if not damaged:
            return listing.files
        images = counted(len(damaged), "image")
        self.notes = [f"The cache of decoded images in {self.folder} was damaged; {images} decoded anew."]
        return {path: entry for path, entry in listing.files.items() if entry.row not in damaged}

    def _rows(self, rows: list[int]) -> Iterator[bytes]:
        """The pixels of these rows, read and not mapped: a file that is cut meanwhile gives fewer bytes, no signal."""
        if not rows:  # there may be no file
            return
        with (self.folder / self.listing.pixels).open("rb", buffering=0) as stream:
            for row in rows:
                stream.seek(row * self.row_bytes)
                yield stream.read(self.row_bytes)

    def _stale(self, wanted: Iterable[str], known: dict[str, CachedImage]) -> dict[str, None]:
        """The files that have to be looked at: new ones, and those that are not as they were."""
        stamps = Stamps(self.root)
        return {path: None for path in wanted if path not in known or stamps.of(path) != known[path].stamp}

    @contextmanager
    def _alone(self, on_event: OnProgress | None, total: int) -> Iterator[bool]:
        """Keeps other processes from building this cache; waits, and says so, while one of them does."""

        def wait() -> None:
            self.waited = True
            if on_event:
                on_event(Progress("waiting for another process, which decodes these images", 0, total))

        with ExitStack() as stack:
            try:
                make_private(self.folder.parent)
                self.folder.mkdir(exist_ok=True)
                held = stack.enter_context(locked(self.folder / LOCK, wait))
            except OSError as error:
                if error.filename is None:  # the listener's
                    raise
                kind = DataError if error.errno in FULL else _NoPlace
                raise kind(_unwritable(self.folder, error)) from error
            yield held

    def _build(
        self,
        wanted: dict[str, None],
        known: dict[str, CachedImage],
        stale: dict[str, None],
        on_event: OnProgress | None,
        enough: Callable[[], bool],
    ) -> tuple[dict[str, CachedImage], int]:
        """Looks at the stale files, decodes those of new content, and replaces the cache: its entries, how many."""
        stamps = Stamps(self.root)
        kept = {
            path: entry
            for path, entry in known.items()
            if path not in stale and (path in wanted or stamps.of(path) != UNKNOWN)
        }
        if not all(is_settled(stamps.of(path)) for path in stale):
            time.sleep(GRAIN_NS / 1e9)  # so that the files just written can be trusted the next time
        looks = _in_chunks(self._look_at(known), list(stale), on_event)
        self._require_space(new=len(stale.keys() - known.keys()))
        added: dict[str, CachedImage] = {}
        sums: list[int] = []
        with _temporary(self.folder) as stream:
            try:
                for path, (entry, pixels) in zip(stale, looks, strict=True):
                    if pixels is None:
                        kept[path] = entry
                    else:
                        data = pixels.tobytes()
                        with _explained(self.folder):
                            stream.write(data)
                        sums.append(crc32(data))
                        added[path] = entry._replace(row=len(added))
                    if added and enough():
                        break
            except KeyboardInterrupt:
                with suppress(OSError):
                    self._keep(stream, kept, added, sums)
                raise
            with _explained(self.folder):
                return self._commit(stream, kept, added, sums), len(added)

    def _require_space(self, *, new: int) -> None:
        """Raises ``DataError`` unless there is space for the present rows and ``new`` ones."""
        with _explained(self.folder):
            free = shutil.disk_usage(self.folder).free
        needed = (len(self.pixels) + new) * self.row_bytes if new else 0
        if needed > free:
            raise DataError(
                f"The cache of decoded images needs {needed / 2**20:,.0f} MiB in {self.folder}, where "
                f"{free / 2**20:,.0f} MiB are free. Free some space, name another folder in the environment "
                f"variable MIRADA_CACHE, or choose a smaller image size."
            )

    def _commit(
        self, stream: IO[bytes], kept: dict[str, CachedImage], added: dict[str, CachedImage], sums: list[int]
    ) -> dict[str, CachedImage]:
        """Makes the cache of the new rows, in ``stream``, and of the old ones that ``kept`` needs; all entries."""
        old = sorted({entry.row for entry in kept.values()} - {-1})
        if not added:  # the pixels stay; only what is known of the files is new
            if old:
                self._list(replace(self.listing, files=kept))
            return kept
        self._append(stream, old)
        moved = {row: number for number, row in enumerate(old, start=len(added))}
        entries = {path: entry._replace(row=moved.get(entry.row, -1)) for path, entry in kept.items()} | added
        superseded = self.listing.pixels
        sums = sums + [self.listing.sums[row] for row in old]
        name = f"pixels-{os.urandom(6).hex()}.u{8 * self.dtype.itemsize}"
        self._list(CacheList(self.listing.root, name, sums, entries), building=Path(stream.name))
        if superseded:
            with suppress(
                OSError
            ):  # in use, where that keeps a file from being removed: the next build does it
                (self.folder / superseded).unlink()
        self.pixels = self._map(self.folder / name, len(sums))
        return entries

    def _keep(
        self, stream: IO[bytes], kept: dict[str, CachedImage], added: dict[str, CachedImage], sums: list[int]
    ) -> None:
        """Makes the cache of the images that were added before an interruption, which may have come amidst the next."""
        if added:
            stream.truncate(stream.seek(len(added) * self.row_bytes))
            self._commit(stream, kept, added, sums[: len(added)])

    def _append(self, stream: IO[bytes], rows: list[int]) -> None:
        """Ends a pixel file with these rows of the present one, and closes it."""
        for data in self._rows(rows):
            stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
        stream.close()

    def _list(self, listing: CacheList, *, building: Path | None = None) -> None:
        """Puts a pixel file that is complete in its place, and replaces ``files.json``: from here on this is it."""
        with replacing(self.folder / FILES, synced=False) as draft:  # an empty list is known, and made anew
            draft.write_text(listing.to_text(), encoding="utf-8")
            if building:
                building.replace(self.folder / listing.pixels)
        self.listing = listing


@contextmanager
def _temporary(folder: Path) -> Iterator[IO[bytes]]:
    """A file to build in, gone at the end unless it was renamed."""
    with _explained(folder):
        stream = (folder / f"building-{os.urandom(6).hex()}").open("xb")
    try:
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
        raise DataError(_unwritable(folder, error)) from error


def _unwritable(folder: Path, error: OSError) -> str:
    return (
        f"{folder}: the cache of decoded images cannot be written ({reason_of(error)}). Free some space, or "
        f"name another folder in the environment variable MIRADA_CACHE."
    )


def _in_chunks(
    look: Callable[[str], Fresh], paths: list[str], on_event: OnProgress | None
) -> Iterator[Fresh]:
    """What ``look`` says of every path, by all cores; the rows of an array many at a time, for each takes no time."""
    alike = (list(part) for _, part in groupby(paths, key=_container))
    chunks = list(chain.from_iterable(map(_cut, alike)))
    done = list(accumulate(map(len, chunks), initial=0))

    def look_at(chunk: list[str]) -> list[Fresh]:
        return [look(path) for path in chunk]

    def tell(event: Progress) -> None:
        if on_event:
            on_event(replace(event, done=done[event.done], total=len(paths)))

    return chain.from_iterable(parallel_map(look_at, chunks, what="decoding", on_event=tell))


def _container(path: str) -> str:
    """What the addresses of one file of arrays have in common; "" for all plain files."""
    return before_mark(path) if "#" in path else ""


def _cut(paths: list[str]) -> list[list[str]]:
    size = ROWS if "#" in paths[0] else FILES_AT_ONCE
    return [paths[start : start + size] for start in range(0, len(paths), size)]


def _look(path: str, *, stamps: Stamps, preprocessing: Preprocessing, known: dict[str, CachedImage]) -> Fresh:
    """Reads an image and, if its content is new, decodes it."""
    stamp = stamps.of(path)  # before reading: a change in between then shows next time
    if not is_settled(stamp):
        stamp = UNKNOWN
    content = ""
    try:
        image = read_image(stamps.root / path)
        content = digest(image)
        if same := known.get(content):
            return Fresh(CachedImage(*stamp, content, same.row, same.reason), None)
        return Fresh(CachedImage(*stamp, content, -1, ""), decode_image(image, preprocessing))
    except DecodeError as error:
        if not content:
            stamp = UNKNOWN  # it was not read, perhaps only this time
        return Fresh(CachedImage(*stamp, content, -1, str(error)), None)


def _first(reasons: dict[str, str]) -> str:
    return next((f"{path}: {reason}" for path, reason in reasons.items()), "")
