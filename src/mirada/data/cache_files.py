"""What lies in the folder of a cache: the list of its images, checked when it is read, and their pixels.

A cache's folder holds ``pixels-*.u8`` (``.u16`` for a depth of 16 bits), rows of (H, W, C), and ``files.json``, which
says for each image its file's identity and times, its content hash and row (or the reason why it cannot be decoded),
for each row a checksum, and at its end a digest of itself. Both are other people's as soon as they are written: a list
that is not as it was written is not used, nor is a row that differs from its checksum. A folder of what frozen layers
make of the images (``features``) is of the same kind; its list is ``features.json``.
"""

import json
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from mirada.data.stamps import Stamp
from mirada.files import locked

FILES = "files.json"
FEATURES = "features.json"
LOCK = "lock"
PIXELS = re.compile(
    r"pixels-[0-9a-f]{12}\.u(8|16)"
)  # a plain name: nothing of a list leads out of its folder
FOLDER = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}")  # the data's root and the way of decoding
REST = re.compile(  # what a build makes on its way
    r"building-.*|(pixels|features)-.*|\.[0-9a-f]{16}\.(json|bin)"
)
DIGEST_KEY = ', "digest": "'
FORMAT = 2  # 1 had no checksums
FEATURES_FORMAT = 1

T = TypeVar("T")


class BadList(ValueError):
    """A list that cannot be used; the message says why, to stand in brackets."""


class CachedImage(NamedTuple):
    """What the cache knows of one image; of a row of an array, with its file's stamp.

    ``row`` is −1 for what cannot be decoded for ``reason``."""

    size: int
    modified_ns: int
    changed_ns: int
    device: int
    inode: int
    digest: str
    row: int
    reason: str

    @property
    def stamp(self) -> Stamp:
        """The file as it was when the image was read."""
        return Stamp(*self[:5])


@dataclass(frozen=True)
class CacheList:
    """The content of ``files.json``: whose images these are, the name of their pixel file, and a checksum per row."""

    root: str
    pixels: str
    sums: list[int]
    files: dict[str, CachedImage]

    def to_text(self) -> str:
        """As JSON that ends with a digest of all before it."""
        values = {
            "format": FORMAT, "root": self.root, "pixels": self.pixels, "count": len(self.sums), "sums": self.sums,
            "files": self.files,
        }  # fmt: skip
        return sealed(values)


def read_listing(folder: Path) -> CacheList | None:
    """The list of a cache, if there is one.

    Raises:
        BadList: It is not as ``CacheList.to_text`` wrote it, or another version did.
        OSError: It cannot be read.
    """
    return read_sealed(folder / FILES, _checked, FORMAT)


def sealed(values: Mapping[str, object]) -> str:
    """A list as JSON that ends with a digest of all before it; ``read_sealed`` reads it."""
    text = json.dumps(values)
    return f'{text[:-1]}{DIGEST_KEY}{_digest(text)}"}}'


def read_sealed(file: Path, checked: Callable[[Any], T], version: int) -> T | None:
    """A list that ``sealed`` made, as ``checked`` makes it of its values; None if there is no file.

    Raises:
        BadList: It is not as it was written, its format is not ``version``, or ``checked`` refuses it.
        OSError: It cannot be read.
    """
    if not file.exists():
        return None
    if not file.is_file():  # a pipe would keep its reader waiting
        raise BadList("its list is no file")
    try:
        text = file.read_text(encoding="utf-8")
        before, _, after = text.rpartition(DIGEST_KEY)
        if _digest(before + "}") != after[:-2]:
            old = isinstance(saved := json.loads(text), dict) and saved.get("format") != version
            raise BadList("it is another version's" if old else "its list is damaged")
        return checked(json.loads(text))
    except BadList:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadList("its list is damaged") from error


def _checked(saved: dict[str, Any]) -> CacheList:
    """The list, if every value in it is of its type and in its range, and a row is of one content only."""
    files = {path: CachedImage(*values) for path, values in saved["files"].items()}
    listing = CacheList(saved["root"], saved["pixels"], saved["sums"], files)
    content_of: dict[int, str] = {-1: ""}
    sound = PIXELS.fullmatch(listing.pixels) is not None and isinstance(listing.root, str)
    sound &= type(listing.sums) is list and all(type(each) is int for each in listing.sums)
    for entry in files.values():
        sound &= all(type(number) is int for number in (*entry.stamp, entry.row))
        sound &= type(entry.digest) is str and type(entry.reason) is str
        sound = sound and -1 <= entry.row < len(listing.sums)
        sound = sound and (entry.row < 0 or content_of.setdefault(entry.row, entry.digest) == entry.digest)
    if not sound:
        raise BadList("its list is damaged")
    return listing


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


# Where caches are, and how they go ------------------------------------------------------------------------


def default_directory() -> Path:
    """``$MIRADA_CACHE``, else ``mirada`` in the user's cache folder, or in that of temporary files without a home."""
    if chosen := os.environ.get("MIRADA_CACHE"):
        return Path(chosen)
    if above := os.environ.get("XDG_CACHE_HOME"):
        return Path(above) / "mirada"
    try:
        return Path.home() / ".cache" / "mirada"
    except RuntimeError:  # nobody of this number is known to the system
        return spare_directory()


def spare_directory() -> Path:
    """Where caches go if the place meant for them cannot be written: a folder of this user's, for temporary files."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    return Path(tempfile.gettempdir()) / f"mirada-{user}"


def make_private(directory: Path) -> None:
    """Makes the folder of all caches, which others may not look into; one that is there stays as it is.

    Raises ``OSError``, also if what is there belongs to somebody else and lies where anybody may put it.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory == spare_directory() and hasattr(os, "getuid"):
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise PermissionError(13, "another user's folder", str(directory))


@dataclass(frozen=True)
class KeptCache:
    """The cache of one data set, decoded, or seen by frozen layers, in one way: images, their folder, size on disk.

    ``root`` is empty and ``images`` 0 where its list cannot be read.
    """

    folder: Path
    root: str
    images: int
    bytes: int


def kept_caches(directory: Path) -> list[KeptCache]:
    """All caches in a folder of caches, the largest first. Raises ``OSError`` if it cannot be read."""
    if not directory.is_dir():
        return []
    folders = [each for each in directory.iterdir() if FOLDER.fullmatch(each.name) and not each.is_symlink()]
    return sorted(
        (_kept(folder) for folder in folders if folder.is_dir()), key=lambda kept: (-kept.bytes, kept.folder)
    )


def _kept(folder: Path) -> KeptCache:
    size = sum(file.lstat().st_size for file in _own(folder))
    try:
        if listing := read_listing(folder):
            return KeptCache(folder, listing.root, len(listing.sums), size)
        root, images = read_sealed(folder / FEATURES, _features_of, FEATURES_FORMAT) or ("", 0)
    except (OSError, BadList):
        root, images = "", 0
    return KeptCache(folder, root, images, size)


def _features_of(saved: dict[str, Any]) -> tuple[str, int]:
    """The data's root, and of how many images there is something."""
    return saved["root"], len({digest for part in saved["parts"] for digest in part["digests"]})


def _own(folder: Path) -> Iterator[Path]:
    """The files in a cache's folder that a build has made."""
    for file in folder.iterdir():
        if file.name in (FILES, FEATURES, LOCK) or REST.fullmatch(file.name):
            yield file


def clear_cache(folder: Path) -> bool:
    """Removes a cache's files and its folder; what others have put there stays, and who reads its pixels keeps them.

    Returns:
        Whether it was removed: not while a process builds it.

    Raises:
        OSError: It cannot be removed.
    """

    def give_up() -> None:
        raise BlockingIOError

    try:
        with locked(folder / LOCK, give_up):
            for file in _own(folder):
                file.unlink(missing_ok=True)
            if not any(folder.iterdir()):
                folder.rmdir()
    except BlockingIOError:
        return False
    return True


def remove_rest(folder: Path, *but: str) -> None:
    """Removes what builds that were killed have left, and files of rows that no list names any more: all ``but`` these.

    Only for who holds the lock. A system that cannot remove a file in use keeps it until the next time.
    """
    for file in _own(folder):
        if file.name not in (FILES, FEATURES, LOCK, *but):
            try:
                file.unlink(missing_ok=True)
            except OSError:
                continue
