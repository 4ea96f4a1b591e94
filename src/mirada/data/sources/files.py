"""The image files that a table's cells name: where they say, or found by their name in and below its folder.

Where capitals alone differ a file is found, as on Windows and macOS. Folders of another computer that all cells begin
with are left off, if files then lie where the rest says.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from mirada.data.sources.listing import images_near
from mirada.data.sources.names import EXTENSIONS, container, made_equal
from mirada.samples import SPLIT_NAMES

LOOKED_AT = 20  # cells that tell whether files lie where a column says
WORDS = re.compile(r"[^\W_]+")
IMAGES = frozenset("image images img imgs jpegimages jpgs photos pictures pics png pngs scans".split())  # noqa: SIM905
MASKS = frozenset("""
    annotation annotations gt groundtruth heatmap heatmaps label labels map maps mask masks overlay overlays seg
    segmentation segmentations thumb thumbnail thumbnails thumbs
""".split())  # fmt: skip  # noqa: SIM905


@dataclass(frozen=True)
class Lookup:
    """The file of a cell: its path, or "" and the reason why there is none.

    ``exact`` says that it lies where the cell says, ``several`` that files bear that name and nothing tells which,
    ``named`` that the cell is a file's name by itself.
    """

    path: str = ""
    exact: bool = False
    several: bool = False
    named: bool = False
    reason: str = ""


class ImageFiles:
    """Finds images by the cells of a table.

    Args:
        folder: That of the table, which paths are relative to.
        table: The table's name, such as ``train``; a folder of that name, if there is one, is the only one searched.
        paths: All images there are, if they are known; else those in the folder and up to two below.
    """

    def __init__(self, folder: Path, table: str = "", paths: Sequence[str] | None = None) -> None:
        self.folder = folder
        self.left_off = ""  # the folders of another computer, in the cells that were looked up last
        self._root = str(folder)
        self._table = table
        self._paths = paths
        self._whole = ""
        self._names: dict[str, list[str]] = {}
        self._folded: dict[str, list[str]] = {}
        self._looked: dict[str, Lookup] = {}

    def look_up(self, cells: Sequence[str], splits: Sequence[str] = ()) -> list[Lookup]:
        """The files of cells: where they say; else by name, with or without extension, if only one bears it.

        ``splits``, if they are known, say which split a cell is of: a file in the folder of another is not its.
        """
        cells = self._rooted(cells)
        found = [self._look_up(cell) for cell in cells]
        if not splits:
            return found
        return [
            file if file.exact else self._by_name(cell, split)
            for cell, file, split in zip(cells, found, splits, strict=True)
        ]

    def look_up_columns(self, columns: Sequence[Sequence[str]]) -> list[list[Lookup]]:
        """The files of the cells of columns; by name only where not just one column is of files by what it says."""
        columns = [self._rooted(cells) for cells in columns]
        exact = [[Lookup(self._exactly(cell), exact=True) for cell in cells] for cells in columns]
        named = [
            2 * sum(_is_named(cell, file.path) for cell, file in zip(cells, files, strict=True))
            >= len(cells)
            > 0
            for cells, files in zip(columns, exact, strict=True)
        ]
        if sum(named) == 1:
            return [
                [replace(file, named=_is_named(cell, file.path)) for cell, file in zip(*both, strict=True)]
                for both in zip(columns, exact, strict=True)
            ]
        return [self.look_up(cells) for cells in columns]

    def _begin(self, cells: Sequence[str]) -> str:
        """The folders that all cells begin with and that are not here, such as those of another computer.

        Only if files lie where the rest says, and nothing here is called like the first of them.
        """
        said = [cell.replace("\\", "/") for cell in cells if cell]
        begin = os.path.commonprefix(said).rpartition("/")[0]  # noqa: RUF071  # then cut at the last /
        parts = begin.split("/") if begin else []
        first = next((part for part in parts if part not in ("", ".")), "..")
        looked_at = said[:LOOKED_AT]
        here = first != ".." and (self.folder / first).exists()
        if here or "://" in begin or any(map(self._exactly, looked_at)):
            return ""
        starts = ["/".join(parts[:count]) + "/" for count in range(1, len(parts) + 1)]
        return next(
            (start for start in starts if any(self._exactly(cell[len(start) :]) for cell in looked_at)), ""
        )

    def _rooted(self, cells: Sequence[str]) -> Sequence[str]:
        """The cells without the folders that are not here."""
        begin = self.left_off = self._begin(cells)
        return [cell[len(begin) :].replace("\\", "/") for cell in cells] if begin else cells

    def _look_up(self, cell: str) -> Lookup:
        if cell not in self._looked:
            path = self._exactly(cell)
            found = Lookup(path, exact=True) if path else self._by_name(cell)
            self._looked[cell] = replace(found, named=_is_named(cell, path))
        return self._looked[cell]

    def _exactly(self, cell: str) -> str:
        r"""The path, if the file is where the cell says; the \ of Windows is read as / where that helps."""
        for text in dict.fromkeys((cell, cell.replace("\\", "/"))):
            file = str(container(Path(text))) if "#" in text else text
            if text and os.path.isfile(os.path.join(self._root, file)):  # noqa: PTH113, PTH118  # a million rows
                return self._inside(PurePosixPath(text)).as_posix() if "/" in text else text
        return ""

    def _inside(self, path: PurePosixPath) -> PurePosixPath:
        """Relative to the folder, if it lies there, so that the folder may be moved."""
        self._whole = self._whole or self.folder.resolve().as_posix()
        return path.relative_to(self._whole) if path.is_relative_to(self._whole) else path

    def _by_name(self, cell: str, split: str = "") -> Lookup:
        name = PurePosixPath(cell.replace("\\", "/")).as_posix() if cell else ""
        paths = self._known().get(name) or self._folded.get(name.casefold(), [])
        if split:
            paths = [path for path in paths if _split_of(path.rpartition("/")[0]) in ("", split)]
            paths = [path for path in paths if _split_of(path.rpartition("/")[0])] or paths
        if len(paths) > 1:
            paths = _preferred(paths)
        if len(paths) > 1:
            shown = ", ".join(paths[:3])
            reason = f"there are several of this name ({shown}): write the folder in the table"
            return Lookup(several=True, reason=reason)
        return (
            Lookup(paths[0]) if paths else Lookup(reason=f"there is no such file{self._other_ending(name)}")
        )

    def _other_ending(self, name: str) -> str:
        """What to add of a file that is called so but for its extension."""
        stem, dot, ending = name.rpartition("/")[2].rpartition(".")
        found = self._known().get(stem, []) if dot and f".{ending.lower()}" in EXTENSIONS else []
        other = [path for path in found if not path.endswith(f".{ending}")]
        return f", but {other[0]}" if other else ""

    def _known(self) -> dict[str, list[str]]:
        """Paths by themselves and by their names with and without extension, all as ``made_equal`` makes texts."""
        if not self._names:
            paths = (
                self._like_the_table(images_near(self.folder)) if self._paths is None else list(self._paths)
            )
            for path, equal in zip(paths, made_equal(paths), strict=True):
                last = equal.rpartition("/")[2]
                for name in {equal, last, last.rpartition(".")[0] or last}:
                    self._names.setdefault(name, []).append(path)
                for name in {equal, last}:
                    self._folded.setdefault(name.casefold(), []).append(path)
        return self._names

    def _like_the_table(self, paths: Sequence[str]) -> list[str]:
        """Of ``train.csv`` those in a folder ``train``, or ``train_images``, if there is one; else all."""
        split = _split_of(self._table)
        folders = {path.rpartition("/")[0] for path in paths}
        like = {
            name for name in folders if name and (name == self._table or (split and _split_of(name) == split))
        }
        return [path for path in paths if path.rpartition("/")[0] in like] if like else list(paths)


def _is_named(cell: str, path: str) -> bool:
    return bool(path) or (Path(cell).suffix.lower() in EXTENSIONS and "://" not in cell)


def _preferred(paths: Sequence[str]) -> list[str]:
    """Those in no folder of masks; and of these, those in a folder of images, if that leaves one."""
    plain = [path for path in paths if not _folder_words(path) & MASKS] or list(paths)
    images = [path for path in plain if _folder_words(path) & IMAGES]
    return images if len(plain) > 1 and len(images) == 1 else plain


def _folder_words(path: str) -> set[str]:
    return set(WORDS.findall(path.rpartition("/")[0].lower()))


def _split_of(name: str) -> str:
    """The split that a name speaks of; "" for none, or several."""
    found = {SPLIT_NAMES[word] for word in WORDS.findall(name.lower()) if word in SPLIT_NAMES}
    return found.pop() if len(found) == 1 else ""
