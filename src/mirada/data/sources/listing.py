"""What lies in a folder: the folders and files that are the data's, and which of the files may be images.

Passed over, and counted, are hidden files, what systems put beside or into folders (bins, thumbnails, indexes), and
what Mirada itself has written there: runs, maps. Train, evaluate, predict and explain all ask here.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from mirada import text
from mirada.data.pixels.arrays import is_idx
from mirada.data.pixels.kinds import EXTENSIONS, why_unread
from mirada.errors import DataError, counted, nearest, reason_of
from mirada.samples import SPLIT_NAMES, Excluded

JUNK_FILES = frozenset(("boxes.csv", "desktop.ini", "icon\r", "readme", "readme.md", "readme.txt"))
JUNK_FOLDERS = frozenset((
    "$recycle.bin", "@eadir", "@recently-snapshot", "@recycle", "@sharebin", "@tmp", "#recycle", "#snapshot",
    "__macosx", "__pycache__", "_vti_cnf", "found.000", "lost+found", "lost.dir", "recycled", "recycler",
    "system volume information",
))  # fmt: skip  # of Windows, macOS, Linux, Android, Synology and QNAP, in lower case
THUMBNAILS = re.compile(r"(eh)?thumbs(_\w+)?\.db(:.*)?")  # of Windows, in lower case
RUN_FILES = ("recipe.toml", "model.safetensors")  # what a folder of a run holds, the first from its start
MAP = re.compile(r".+-map(-\d+)?\.png")  # what ``mirada explain`` calls its pictures
MADE_BY = b"tEXtSoftware\0Mirada"  # and what is in them
LOOKED_AT = 256  # bytes of a picture, in which that stands
OWN_TABLES = re.compile(  # how Mirada's tables of predictions, and of similar images, begin
    rb"path,split,\"?target[:,].*predicted[:,]|path,rank,similar,cosine\r?$"
)
LEVELS = 2  # of folders in which a table's images are looked for by their names
LINE = 2**16  # bytes of a table's first line

DECORATION = (
    r"(cropped|data|dataset|dir|files?|folder|images?|imgs?|jpe?gs?|photos?|pics?|pictures?|pngs?|samples?|seg|sets?"
    r"|split)"
)
PART = re.compile(rf"{DECORATION}*(?P<split>{'|'.join(SPLIT_NAMES)}){DECORATION}*(20\d\d|\d)?")


def split_named(folder: str) -> str:
    """The split that a folder's name speaks of, "" for none.

    >>> [split_named(name) for name in ("Test_Set", "seg_train", "valid images", "val2017", "test1", "trainer")]
    ['test', 'train', 'val', 'val', 'test', '']
    """
    found = PART.fullmatch(re.sub(r"[\s_.-]", "", folder.lower()))
    return SPLIT_NAMES[found["split"]] if found else ""


class FolderListing:
    """Lists folders without what is passed over, and keeps count of the images among that."""

    def __init__(self) -> None:
        self._hidden: dict[str, int] = {}  # path → images, for each file or folder passed over
        self._junk: dict[str, int] = {}
        self._own: dict[str, int] = {}

    def folders(self, folder: Path) -> dict[str, Path]:
        """The folders, and links to folders, directly below, by name in order."""
        return {entry.name: Path(entry.path) for entry in self._kept(folder) if _is_folder(entry)}

    def files(self, folder: Path) -> Iterator[Path]:
        """All files below, sorted; links to folders are not followed."""
        for entry in self._kept(folder):
            if entry.is_dir(follow_symlinks=False):
                yield from self.files(Path(entry.path))
            else:
                yield Path(entry.path)

    def images(self, folder: Path) -> list[Path]:
        """The files directly in a folder that are called like images."""
        return [
            Path(entry.path)
            for entry in self._kept(folder)
            if _is_named_image(entry) and not _is_folder(entry)
        ]

    def notes(self) -> tuple[str, ...]:
        """One sentence on the images passed over, if there are any."""
        kinds = (
            (self._junk, "{names}"),
            (self._own, "{names} (Mirada's own output)"),
            (self._hidden, "hidden files"),
        )
        said = [
            f"{counted(sum(found.values()), 'image')} in {names.format(names=_some(found))}"
            for found, names in kinds
            if sum(found.values())
        ]
        return (f"passed over: {'; '.join(said)}",) if said else ()

    def _kept(self, folder: Path) -> Iterator["os.DirEntry[str]"]:
        for entry in _entries(folder):
            passed = self._passed_by(entry)
            if passed is None:
                yield entry
            elif entry.path not in passed:
                passed[entry.path] = _count_images(entry)

    def _passed_by(self, entry: "os.DirEntry[str]") -> dict[str, int] | None:
        """Where an entry that is passed over is counted; None if it is the data's."""
        name = entry.name.lower()
        if name.startswith("."):
            return self._hidden
        if not _is_folder(entry):
            if name in JUNK_FILES or THUMBNAILS.fullmatch(name):
                return self._junk
            return self._own if MAP.fullmatch(entry.name) and _made_here(Path(entry.path)) else None
        if name in JUNK_FOLDERS:
            return self._junk
        return self._own if is_own_output(Path(entry.path)) else None


def image_files(folder: Path) -> tuple[list[Path], list[Excluded], tuple[str, ...]]:
    """The files of a folder that may be images, by their names or, without an extension, by what is in them.

    Returns:
        The files, sorted; those that are left out, relative to the folder, with the reason; and notes on what was
        passed over.

    Raises:
        DataError: If a folder cannot be listed.
    """
    listing = FolderListing()
    found, left_out = [], []
    for file in listing.files(folder):
        if reason := unusable(file):
            left_out.append(Excluded(printable(relative(file, folder)), reason))
        else:
            found.append(file)
    return found, left_out, listing.notes()


def images_near(folder: Path) -> list[str]:
    """The paths of the images in a folder and two below, sorted; a folder below that cannot be listed has none."""
    listing = FolderListing()
    found, folders = listing.images(folder), listing.folders(folder)
    for _ in range(LEVELS):
        deeper: dict[str, Path] = {}
        for below in folders.values():
            with suppress(DataError):
                found += listing.images(below)
                deeper |= {str(path): path for path in listing.folders(below).values()}
        folders = deeper
    return sorted(relative(file, folder) for file in found)


def unusable(file: Path) -> str:
    """Why a file is left out undecoded, or nothing."""
    return why_unread(file) or ("a file of many images, to be named by itself" if is_idx(file) else "")


def is_own_output(folder: Path) -> bool:
    """Whether Mirada has written a folder: that of a run, one that holds nothing but such, or one of maps."""
    if any((folder / name).is_file() for name in RUN_FILES):
        return True
    entries = [entry for entry in _entries(folder) if not entry.name.startswith(".")]
    within = [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    if not within:
        return bool(entries) and all(MAP.fullmatch(entry.name) for entry in entries)
    beside = any(_is_named_image(entry) for entry in entries if not _is_folder(entry))
    return not beside and all(map(is_own_output, within))


def _made_here(file: Path) -> bool:
    """Whether a picture says that ``mirada explain`` has written it."""
    try:
        with file.open("rb") as opened:
            return MADE_BY in opened.read(LOOKED_AT)
    except OSError:
        return False


def is_own_table(table: Path) -> bool:
    """Whether a table is one that ``mirada predict`` or ``evaluate`` has written."""
    try:
        with table.open("rb") as opened:
            return OWN_TABLES.match(opened.readline(LINE).rstrip(b"\n")) is not None
    except OSError:
        return False


def relative(file: Path, root: Path) -> str:
    """The path as an index has it: relative to its root, with ``/``."""
    return file.relative_to(root).as_posix()


def printable(path: str) -> str:
    """The path with bytes that are no UTF-8 written out, so that every table and page can name it."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def quoted(names: Sequence[str]) -> str:
    """Names in quotes, the first eight of them."""
    return text.listed([f'"{name}"' for name in names], 8)


def said_of_unknown(unknown: Sequence[str], known: Sequence[str], owner: str = "the model") -> str:
    """That classes are not among those of a model, or of a split; and what may be meant.

    >>> said_of_unknown(["Cat"], ["cat", "dog"])
    'has the class "Cat", which the model does not have. Its "cat" differs in capitals alone: write it so.'
    """
    noun = "the class" if len(unknown) == 1 else "the classes"
    alike = {name.casefold(): name for name in known}
    meant = [alike[name.casefold()] for name in unknown if name.casefold() in alike]
    if len(meant) == len(unknown):
        differs = "differs" if len(meant) == 1 else "differ"
        hint = f"Its {quoted(meant)} {differs} in capitals alone: write {'it' if len(meant) == 1 else 'them'} so."
    else:
        hint = nearest(next(name for name in unknown if name.casefold() not in alike), known)
    return f"has {noun} {quoted(unknown)}, which {owner} does not have. {hint}"


def by_extension(files: Sequence[Excluded]) -> str:
    """How many files have which extension: ``.heic 3, .txt 1``."""
    counts = Counter(Path(file.path).suffix.lower() for file in files)
    return ", ".join(f"{extension or 'without'} {count:,}" for extension, count in counts.most_common())


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({reason_of(error)}).") from error


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_named_image(entry: "os.DirEntry[str]") -> bool:
    return Path(entry.name).suffix.lower() in EXTENSIONS


def _count_images(entry: "os.DirEntry[str]") -> int:
    """Images at or below an entry that is passed over; what cannot be listed counts as none."""
    if not _is_folder(entry):
        return int(_is_named_image(entry))
    below = (name for _, _, names in os.walk(entry.path) for name in names)
    return sum(Path(name).suffix.lower() in EXTENSIONS for name in below)


def _some(found: dict[str, int]) -> str:
    """The names of what was passed over, each once, the first three."""
    return text.listed(list(dict.fromkeys(Path(path).name for path, count in found.items() if count)), 3)
