"""Folders → ``Index``: ``root/<class>/*`` or ``root/<split>/<class>/*``. Nothing is decoded here.

A split may also be a flat folder whose classes are in a list (``lists``), as ImageNet's validation images are. Boxes
beside the images, in ``boxes.csv`` or VOC's XML, are kept.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mirada.data.index import SPLIT_NAMES, SPLITS, Excluded, Index
from mirada.data.pixels.decode import EXTENSIONS
from mirada.data.sources.boxes import boxes_beside
from mirada.data.sources.lists import Labels, labels_of, pixels_folder
from mirada.errors import DataError, counted, nearest, reason_of

JUNK = frozenset(("thumbs.db", "desktop.ini", "__macosx", "readme", "readme.txt", "readme.md", "boxes.csv"))


def load_folder(folder: Path, known: Sequence[str] | None = None) -> Index:
    """Lists a folder of images; ``known`` are the classes of a model, in its order.

    Raises ``DataError`` for a folder without images, a single class, or a split with a class that the training
    split, or the model, does not have.
    """
    splits = _split_folders(pixels_folder(folder), need_train=known is None)
    folders = {split: _class_folders(path) for split, path in splits.items()}
    names = tuple(known) if known is not None else _class_names(folder, folders)
    labels = {split: labels_of(folder, splits[split], split, names) for split in splits if split != "train"}
    by_folder = {split: found for split, found in folders.items() if not labels.get(split)}
    _require_known(splits, by_folder, names, "the training split" if known is None else "the model")
    rows = _Rows(folder, names)
    rows.leave_out_strays(folder, *(splits[split] for split in by_folder))
    for split in (split for split in SPLITS if split in folders):
        if found := labels.get(split):
            rows.add_listed(found, split)
        else:
            rows.add_folders(folders[split], split)
    return rows.index()


class _Rows:
    """The rows of an index, as they are found."""

    def __init__(self, root: Path, names: tuple[str, ...]) -> None:
        self.root = root
        self.names = names
        self.numbers = {name: number for number, name in enumerate(names)}
        self.paths: list[str] = []
        self.targets: list[int] = []
        self.splits: list[str] = []
        self.excluded: list[Excluded] = []
        self.xml: list[str] = []
        self.notes: list[str] = []

    def leave_out_strays(self, *folders: Path) -> None:
        """Images that lie directly in the root or in a split folder, where they have no class."""
        for file in _stray_images(*folders):
            self._leave_out(_relative(file, self.root), "lies beside the class folders, not in one of them")

    def add_folders(self, folders: dict[str, Path], split: str) -> None:
        """All images of the class folders of a split."""
        for name, folder in folders.items():
            for path in (_relative(file, self.root) for file in _files(folder)):
                if path.lower().endswith(".xml"):
                    self.xml.append(path)
                elif reason := _unusable(path):
                    self._leave_out(path, reason)
                else:
                    self._add(path, name, split)

    def add_listed(self, labels: Labels, split: str) -> None:
        """The images of a flat folder that a list names."""
        count, found = len(self.paths), set()
        for file in _stray_images(labels.folder):
            path = _relative(file, self.root)
            found.add(file.stem)
            if file.stem in labels.classes:
                self._add(path, labels.classes[file.stem], split)
            else:
                self._leave_out(path, f"is not in {labels.list_name}")
        for stem in sorted(labels.classes.keys() - found):
            path = _relative(labels.folder / stem, self.root)
            self._leave_out(path, f"{labels.list_name} names it, and there is no such image")
        images = counted(len(self.paths) - count, "image")
        self.notes.append(f"{split}: {images}, classes by {labels.list_name}")

    def index(self) -> Index:
        """All rows, with the boxes that lie beside the images. Raises ``DataError`` if there is none."""
        if not self.paths:
            raise DataError(f"{self.root}: no images found in its class folders ({listed(self.names)}).")
        boxes, bad = boxes_beside(self.root, self.paths, self.xml)
        return Index(
            root=self.root,
            paths=tuple(self.paths),
            targets=np.array(self.targets, dtype=np.int64),
            splits=np.array(self.splits, dtype="<U5"),
            classes=self.names,
            boxes=boxes,
            excluded=(*self.excluded, *bad),
            notes=(*self.notes, *([f"boxes: in {counted(len(boxes), 'image')}"] if boxes else [])),
        )

    def _add(self, path: str, name: str, split: str) -> None:
        self.paths.append(path)
        self.targets.append(self.numbers[name])
        self.splits.append(split)

    def _leave_out(self, path: str, reason: str) -> None:
        self.excluded.append(Excluded(_printable(path), reason))


def _split_folders(folder: Path, *, need_train: bool) -> dict[str, Path]:
    """The folder of each split; a folder without splits is all ``train``."""
    children = _visible_folders(folder)
    known = {name: path for name, path in children.items() if name.lower() in SPLIT_NAMES}
    others = sorted(name for name in children.keys() - known.keys() if "devkit" not in name.lower())
    if not known or (others and not any(_visible_folders(path) for path in known.values())):
        return {"train": folder}  # among other classes, one may be called "train"
    if others:
        raise DataError(
            f"{folder}: holds split folders ({listed(sorted(known))}) beside others ({listed(others)}). "
            f"Keep either <split>/<class>/ folders or <class>/ folders, not both."
        )
    splits: dict[str, Path] = {}
    for name, path in known.items():
        split = SPLIT_NAMES[name.lower()]
        if split in splits:
            raise DataError(
                f"{folder}: {splits[split].name} and {name} both name the {split} split. Keep one."
            )
        splits[split] = path
    if "train" not in splits and need_train:
        raise DataError(
            f"{folder}: has {listed(sorted(known))} but no training split. "
            f"Expected a folder called train, training or training_set."
        )
    return splits


def _class_folders(folder: Path) -> dict[str, Path]:
    """The class folders of one split, sorted by name."""
    return dict(sorted(_visible_folders(folder).items()))


def _class_names(root: Path, listed: dict[str, dict[str, Path]]) -> tuple[str, ...]:
    """The classes of the training split, which every other split must keep to."""
    classes = tuple(listed["train"])
    if not classes:
        raise DataError(
            f"{root}: no class folders found. Expected one folder per class with images in it: "
            f"{root.name}/<class>/*.jpg, or {root.name}/train/<class>/*.jpg."
        )
    if len(classes) < 2:
        raise DataError(f'{root}: only one class ("{classes[0]}"). Classification needs at least two.')
    return classes


def _require_known(
    splits: dict[str, Path], by_split: dict[str, dict[str, Path]], classes: tuple[str, ...], owner: str
) -> None:
    """Raises ``DataError``, listing both sides, if a split has a class that is not among ``classes``."""
    for split, folders in by_split.items():
        unknown = sorted(set(folders) - set(classes))
        if unknown:
            raise DataError(
                f"{splits[split]}: has the class {listed(unknown)}, which {owner} does not have. "
                f"{nearest(unknown[0], classes)}"
            )


def _stray_images(*folders: Path) -> Iterator[Path]:
    """Images that lie directly in the root or in a split folder, where they have no class."""
    for folder in dict.fromkeys(folders):
        for entry in _entries(folder):
            path = Path(entry.path)
            if path.suffix.lower() in EXTENSIONS and not _hidden(entry.name) and not _is_folder(entry):
                yield path


def _unusable(path: str) -> str:
    """Why a file in a class folder is left out unopened, or nothing. A file without extension may be an image."""
    extension = Path(path).suffix
    if extension and extension.lower() not in EXTENSIONS:
        return f"not an image by its extension ({_printable(extension)})"
    return "" if path == _printable(path) else "its name is not valid UTF-8"


def _printable(path: str) -> str:
    """The path with bytes that are no UTF-8 written out, so that every table and page can name it."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def _visible_folders(folder: Path) -> dict[str, Path]:
    """The folders, and links to folders, directly below."""
    return {
        entry.name: Path(entry.path)
        for entry in _entries(folder)
        if not _hidden(entry.name) and _is_folder(entry)
    }


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{folder}: cannot be listed ({reason_of(error)}).") from error


def _files(folder: Path) -> Iterator[Path]:
    """All files below a class folder, sorted, without hidden ones; links to folders are not followed."""
    for entry in _entries(folder):
        if _hidden(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        else:
            yield Path(entry.path)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in JUNK


def _relative(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix()


def listed(names: Sequence[str]) -> str:
    """Names in quotes, the first eight of them."""
    shown = ", ".join(f'"{name}"' for name in names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
