"""Folders → ``Index``: ``root/<class>/*`` or ``root/<split>/<class>/*``. Nothing is decoded here."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mirada.data.decode import EXTENSIONS
from mirada.data.index import SPLITS, Excluded, Index
from mirada.errors import DataError, nearest

SPLIT_NAMES = {
    "train": "train", "training": "train", "training_set": "train",
    "val": "val", "valid": "val", "validation": "val", "validation_set": "val",
    "test": "test", "testing": "test", "test_set": "test",
}  # fmt: skip
JUNK = frozenset(("thumbs.db", "desktop.ini", "__macosx", "readme", "readme.txt", "readme.md", "boxes.csv"))


def load_data(root: str | Path, *, classes: Sequence[str] | None = None) -> Index:
    """Lists a folder of images, one sub-folder per class, with or without split folders above them.

    Classes are the folder names, sorted; or ``classes``, those of a model, in its order, which the folders must
    then be among. In a folder without splits every row is ``train``; training sets a validation and a test
    part aside. Hidden files are passed over; files that are no images by their extension, and images outside of
    the class folders, are named in ``excluded``.

    Raises ``DataError`` for a missing or empty folder, a single class, a class folder without an image, a
    split with a class that the training split does not have.
    """
    folder = Path(root)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise DataError(f"{folder}: expected a folder of images, found {found} there.")
    splits = _split_folders(folder, need_train=classes is None)
    listed = {split: _class_folders(path) for split, path in splits.items()}
    names = _class_names(folder, listed) if classes is None else tuple(classes)
    _require_known(splits, listed, names, "the training split" if classes is None else "the model")
    rows: list[tuple[str, int, str]] = []
    excluded = [
        Excluded(_printable(_relative(file, folder)), "lies beside the class folders, not in one of them")
        for file in _stray_images(folder, *splits.values())
    ]
    for split in (split for split in SPLITS if split in listed):
        for name, class_folder in listed[split].items():
            for path in (_relative(file, folder) for file in _files(class_folder)):
                if reason := _unusable(path):
                    excluded.append(Excluded(_printable(path), reason))
                else:
                    rows.append((path, names.index(name), split))
    if not rows:
        raise DataError(f"{folder}: no images found in its class folders ({_listed(list(names))}).")
    paths, targets, row_splits = zip(*rows, strict=True)
    index = Index(
        root=folder,
        paths=paths,
        targets=np.array(targets, dtype=np.int64),
        splits=np.array(row_splits, dtype="<U5"),
        classes=names,
        excluded=tuple(excluded),
    )
    if classes is None:
        require_images(index)
    return index


def require_images(index: Index) -> None:
    """Raises ``DataError`` if a class has no image left to train on."""
    train = index.rows("train")
    if index.task == "regression":
        if len(train) < 2:
            raise DataError(f"{index.root}: at least 2 training images are needed; {len(train)} can be used.")
        return
    counts = np.bincount(index.targets[train].astype(np.int64), minlength=len(index.classes))
    empty = [name for name, count in zip(index.classes, counts, strict=True) if count == 0]
    if empty:
        raise DataError(
            f"{index.root}: no readable image to train on in the class {_listed(empty)}. Add images or remove "
            f'the folder; "mirada check" names every file that cannot be read.'
        )


def _split_folders(folder: Path, *, need_train: bool) -> dict[str, Path]:
    """The folder of each split; a folder without splits is all ``train``."""
    children = _visible_folders(folder)
    known = {name: path for name, path in children.items() if name.lower() in SPLIT_NAMES}
    others = sorted(children.keys() - known.keys())
    if not known or (others and not any(_visible_folders(path) for path in known.values())):
        return {"train": folder}  # among other classes, one may be called "train"
    if others:
        raise DataError(
            f"{folder}: holds split folders ({_listed(sorted(known))}) beside others ({_listed(others)}). "
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
            f"{folder}: has {_listed(sorted(known))} but no training split. "
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
    splits: dict[str, Path], listed: dict[str, dict[str, Path]], classes: tuple[str, ...], owner: str
) -> None:
    """Raises ``DataError``, listing both sides, if a split has a class that is not among ``classes``."""
    for split, folders in listed.items():
        unknown = sorted(set(folders) - set(classes))
        if unknown:
            raise DataError(
                f"{splits[split]}: has the class {_listed(unknown)}, which {owner} does not have. "
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
        raise DataError(
            f"{folder}: cannot be listed ({(error.strerror or 'unknown reason').lower()})."
        ) from error


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


def _listed(names: list[str]) -> str:
    shown = ", ".join(f'"{name}"' for name in names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"
