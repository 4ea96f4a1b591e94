"""What frozen layers make of images, kept on disk: rows of numbers by view and by the image's content.

A folder beside those of decoded pixels, and of the same kind: ``features-*.bin``, files of rows, and ``features.json``,
which says which view of which image each row is, with a checksum. A file once written stays as it is; what is new comes
in another one, and the list is replaced last and in one step.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from mmap import mmap
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from mirada.data.cache_files import (
    FEATURES,
    FEATURES_FORMAT,
    LOCK,
    BadList,
    make_private,
    read_sealed,
    remove_rest,
    sealed,
)
from mirada.errors import DataError
from mirada.files import locked, replacing, write_text

FILE = re.compile(r"features-[0-9a-f]{12}\.bin")  # a plain name: nothing of a list leads out of its folder
StoredRows = NDArray[Any]
Place = tuple[str, str]  # a view's name and the digest of an image


class FeaturePart(NamedTuple):
    """A file of rows, all of one view: the digest of the image and the checksum of each."""

    file: str
    view: str
    digests: list[str]
    sums: list[int]


class FeatureStore:
    """The rows of one data set that one sequence of frozen layers has made.

    Args:
        root: The folder of the images.
        key: Sixteen hexadecimal digits that stand for the layers and all else that decides a row.
        shape: Of a row.
        dtype: Of its numbers.
        directory: Where caches live; nothing is made there before the first row.
    """

    def __init__(
        self, root: Path, key: str, shape: tuple[int, ...], dtype: np.dtype[Any], directory: Path
    ) -> None:
        self.root = os.path.realpath(root)
        place = blake2b(os.fsencode(self.root), digest_size=8).hexdigest()
        self.folder = directory / f"{place}-{key}"
        self.shape = shape
        self.dtype = dtype
        self.row_bytes = int(np.prod(shape)) * dtype.itemsize
        self.parts: list[FeaturePart] = []
        self.maps: list[StoredRows] = []
        self.rows: dict[Place, tuple[int, int]] = {}  # the number of the file, and the row in it
        self.load()

    def load(self) -> None:
        """Takes up what is on disk and as it was written; what is not, is as if it were not there."""
        try:
            parts = read_sealed(self.folder / FEATURES, _parts, FEATURES_FORMAT) or []
        except (BadList, OSError):
            parts = []
        if parts == self.parts:
            return
        self.parts, self.maps, self.rows = [], [], {}
        for part in parts:
            self._take(part)

    def _take(self, part: FeaturePart) -> None:
        """Maps a file of rows; those that differ from their checksums are left out."""
        file, count = self.folder / part.file, len(part.sums)
        if not file.is_file() or file.stat().st_size != count * self.row_bytes or not count:
            return
        mapped = np.memmap(file, dtype=self.dtype, mode="r", shape=(count, *self.shape))
        with file.open("rb") as stream:  # read and not mapped: a file that is cut meanwhile gives fewer bytes
            sound = [crc32(stream.read(self.row_bytes)) == wanted for wanted in part.sums]
        for row, digest in enumerate(part.digests):
            if sound[row]:
                self.rows[part.view, digest] = len(self.parts), row
        self.parts.append(part)
        self.maps.append(mapped)

    def free(self) -> int:
        """Bytes that are free where the rows are kept. Raises ``OSError`` where nobody knows."""
        there = next(place for place in (self.folder, *self.folder.parents) if place.exists())
        return shutil.disk_usage(there).free

    def missing(self, view: str, digests: Iterable[str]) -> list[str]:
        """The images, each once, of which there is no row of this view."""
        return [digest for digest in dict.fromkeys(digests) if (view, digest) not in self.rows]

    def read(self, view: str, digests: Sequence[str]) -> StoredRows:
        """Copies rows, none of which may be missing: (n, *shape).

        Raises:
            DataError: A file was cut while it was mapped. Reading on would end the process by a signal.
        """
        places = [self.rows[view, digest] for digest in digests]
        for part in {part for part, _ in places}:
            mapped = self.maps[part].base
            if isinstance(mapped, mmap) and mapped.size() < self.maps[part].nbytes:
                raise DataError(
                    f"{self.folder}: the features kept of {self.root} were cut while they were read. Start again: "
                    f"they are then computed anew."
                )
        rows = np.empty((len(digests), *self.shape), dtype=self.dtype)
        for number, (part, row) in enumerate(places):
            rows[number] = self.maps[part][row]
        return rows

    @contextmanager
    def alone(self, on_wait: Callable[[], None]) -> Iterator[None]:
        """Keeps other processes from adding rows; afterwards takes up what they have added.

        Args:
            on_wait: Called about ten times a second while another process holds the lock.

        Raises:
            OSError: The folder cannot be made.
        """
        make_private(self.folder.parent)
        self.folder.mkdir(exist_ok=True)
        with locked(self.folder / LOCK, on_wait) as held:
            self.load()
            if held:
                remove_rest(self.folder, *(part.file for part in self.parts))
            yield

    def add(self, view: str, digests: Sequence[str], blocks: Iterable[StoredRows]) -> None:
        """Writes rows of a view; only for who is ``alone``.

        Args:
            view: Its name.
            digests: Whose rows come.
            blocks: The rows, in this order, (n, *shape) each; if they end early, those that came are kept.

        Raises:
            OSError: They cannot be written; then there is nothing new.
        """
        name, sums = f"features-{os.urandom(6).hex()}.bin", []
        with replacing(self.folder / name) as draft, draft.open("xb") as stream:
            for block in blocks:
                for row in block:
                    data = row.tobytes()
                    sums.append(crc32(data))
                    stream.write(data)
        if not sums:
            (self.folder / name).unlink()
            return
        part = FeaturePart(name, view, list(digests[: len(sums)]), sums)
        values = [each._asdict() for each in (*self.parts, part)]
        write_text(
            self.folder / FEATURES, sealed({"format": FEATURES_FORMAT, "root": self.root, "parts": values})
        )
        self._take(part)


def _parts(saved: dict[str, Any]) -> list[FeaturePart]:
    """The files of a list, if every value in it is of its type."""
    parts = [FeaturePart(**part) for part in saved["parts"]]
    for part in parts:
        sound = type(part.view) is str and FILE.fullmatch(part.file) is not None
        sound &= len(part.digests) == len(part.sums) and all(type(each) is str for each in part.digests)
        if not sound or not all(type(each) is int for each in part.sums):
            raise BadList("its list is damaged")
    return parts
