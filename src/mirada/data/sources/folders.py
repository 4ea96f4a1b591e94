"""Folders → ``Index``: ``root/<class>/*`` or ``root/<split>/<class>/*``. Nothing is decoded here.

A split may also be a flat folder whose classes are in a list (``lists``), as ImageNet's validation images are, or in
the names of its images, as Kaggle's ``cat.12.jpg``. Boxes beside the images, in ``boxes.csv`` or VOC's XML, are kept.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import numpy as np

from mirada.data.index import Index
from mirada.data.sources.columns import Kind
from mirada.data.sources.labels import require_no_mark
from mirada.data.sources.listing import (
    FolderListing,
    printable,
    quoted,
    relative,
    said_of_unknown,
    split_named,
    unusable,
)
from mirada.data.sources.lists import Labels, labels_by_name, labels_of, pixels_folder
from mirada.data.sources.names import made_equal
from mirada.data.sources.voc import boxes_beside
from mirada.errors import DataError, counted
from mirada.samples import SPLITS, Classes, Excluded

NO_UTF8 = "its name is not valid UTF-8"  # and can stand in no table
PARTS = frozenset("""
    archive batch batches camera case cases center centre chunk dataset dir disc disk exam fold folder folds group img
    imgs image images jpg jpgs jpeg part parts partition patient patients pat photo photos pic pics picture pictures
    person png scan scans sequence session set sets shard site study subject subjects subset sub video visit vol volume
    ordner teil fall
""".split())  # fmt: skip  # noqa: SIM905
NUMBERED = re.compile(r"(?P<stem>.*?(?P<word>[^\W\d_]+)?)[\s_.-]*\(?(?P<number>\d+|(?<=[\s_.-])[A-Za-z])\)?")
FILES = frozenset("""
    annotation annotations anno bmp bboxes csv gt ground_truth groundtruth image images img imgs jpeg jpegimages jpg
    json labels mask masks photos pictures png raw scans seg segmentation segmentations tif tiff xml
""".split())  # fmt: skip  # noqa: SIM905
CALLED_SO = frozenset(("camera", "group", "groups", "person"))  # classes as likely as parts of the data
LETTERED = CALLED_SO | {"batch", "case"}  # and these, if A and B are told apart
SAME = 1.5  # so many folders below for each different name among them: they are not the names of patients


@dataclass(frozen=True)
class _SplitFolder:
    """A split: its folder, and those of its classes by name; one class may have several, spelt alike but for spaces."""

    folder: Path
    classes: Mapping[str, Sequence[Path]]

    @property
    def class_folders(self) -> list[Path]:
        """Those of all classes."""
        return [folder for folders in self.classes.values() for folder in folders]


def load_folder(folder: Path, known: Sequence[str] | None = None, kind: Kind | None = None) -> Index:
    """Lists a folder of images.

    Args:
        folder: It holds a folder for each class, or for each split with such folders in it.
        known: The classes of a model, in its order.
        kind: What the folders are to be, if it was stated; folders that are called like parts of the data, or -1,
            are then no doubt classes.

    Raises:
        DataError: For a folder without images, a single class, a split with a class that the training split, or the
            model, does not have, and folders of which two levels may be the classes.
    """
    listing = FolderListing()
    base = pixels_folder(folder)
    parts = _parts(base, listing, need_train=known is None)
    for part in parts.values():
        _require_one_reading(part, known or (), kind, listing)
    train = parts.get("train")
    by_name = labels_by_name(listing.images(train.folder)) if train and not train.classes else None
    names = tuple(known) if known is not None else _class_names(base, parts, by_name, listing)
    labels = {split: _labels(folder, part, split, names, listing) for split, part in parts.items()}
    by_folder = {split: part for split, part in parts.items() if not labels[split]}
    _require_known(by_folder, names, "the training split" if known is None else "the model")
    if known is None and kind is None:
        require_no_mark(str(folder), "folders", names)
    rows = _Rows(folder, names, listing)
    if known is None and kind is None and _called_so(names):
        rows.notes.append(
            f"classes: {quoted(names)}; if these are groups of images, and something else is to be learnt, list the "
            f"images in a table with the columns image, label and group"
        )
    listed_flat = {found.folder for found in labels.values() if found}
    strays = (base, *(part.folder for part in by_folder.values()))
    rows.leave_out_strays(*(place for place in strays if place not in listed_flat))
    for split in (split for split in SPLITS if split in parts):
        if found := labels[split]:
            rows.add_listed(found, split)
        else:
            rows.add_folders(parts[split].classes, split)
    return rows.index()


class _Rows:
    """The rows of an index, as they are found."""

    def __init__(self, root: Path, names: tuple[str, ...], listing: FolderListing) -> None:
        self.root = root
        self.listing = listing
        self.names = names
        self.numbers = {name: number for number, name in enumerate(made_equal(names))}
        self.paths: list[str] = []
        self.targets: list[int] = []
        self.splits: list[str] = []
        self.excluded: list[Excluded] = []
        self.xml: list[str] = []
        self.notes: list[str] = []

    def leave_out_strays(self, *folders: Path) -> None:
        """Images that lie directly in the root or in a split folder, where they have no class."""
        for file in (file for folder in dict.fromkeys(folders) for file in self.listing.images(folder)):
            self._leave_out(relative(file, self.root), "lies beside the class folders, not in one of them")

    def add_folders(self, classes: Mapping[str, Sequence[Path]], split: str) -> None:
        """All images of the class folders of a split."""
        for name, folders in classes.items():
            if len(folders) > 1:
                self.notes.append(f"{split}: {len(folders)} folders are the class {name}")
            for file in (file for folder in folders for file in self.listing.files(folder)):
                path = relative(file, self.root)
                if path.lower().endswith(".xml"):
                    self.xml.append(path)
                elif reason := unusable(file) or ("" if path == printable(path) else NO_UTF8):
                    self._leave_out(path, reason)
                else:
                    self._add(path, name, split)

    def add_listed(self, labels: Labels, split: str) -> None:
        """The images of a flat folder that a list names."""
        count, found = len(self.paths), set()
        for file in self.listing.images(labels.folder):
            path = relative(file, self.root)
            found.add(file.stem)
            if file.stem in labels.classes:
                self._add(path, labels.classes[file.stem], split)
            else:
                self._leave_out(path, f"is not in {labels.list_name}")
        for stem in sorted(labels.classes.keys() - found):
            path = relative(labels.folder / stem, self.root)
            self._leave_out(path, f"{labels.list_name} names it, and there is no such image")
        images = counted(len(self.paths) - count, "image")
        self.notes.append(f"{split}: {images}, classes by {labels.list_name}")

    def index(self) -> Index:
        """All rows, with the boxes that lie beside the images. Raises ``DataError`` if there is none."""
        if not self.paths:
            raise DataError(f"{self.root}: no images found in its class folders ({quoted(self.names)}).")
        boxes, bad = boxes_beside(self.root, self.paths, self.xml)
        return Index(
            root=self.root,
            paths=tuple(self.paths),
            targets=np.array(self.targets, dtype=np.int64),
            splits=np.array(self.splits, dtype="<U5"),
            target=Classes(self.names),
            boxes=boxes,
            excluded=(*self.excluded, *bad),
            notes=(
                *self.notes,
                *([f"boxes: in {counted(len(boxes), 'image')}"] if boxes else []),
                *self.listing.notes(),
            ),
        )

    def _add(self, path: str, name: str, split: str) -> None:
        self.paths.append(path)
        self.targets.append(self.numbers[made_equal([name])[0]])
        self.splits.append(split)

    def _leave_out(self, path: str, reason: str) -> None:
        self.excluded.append(Excluded(printable(path), reason))


def _parts(folder: Path, listing: FolderListing, *, need_train: bool) -> dict[str, _SplitFolder]:
    """The folder of each split with its class folders; a folder without splits is all ``train``."""
    folder = _inner(folder, listing)
    children = listing.folders(folder)
    known = {name: path for name, path in children.items() if split_named(name)}
    others = sorted(name for name in children.keys() - known.keys() if "devkit" not in name.lower())
    if not known or (others and not any(listing.folders(path) for path in known.values())):
        # among other classes, one may be called "train"
        return _parts_of_classes(folder, listing) or {
            "train": _SplitFolder(folder, _by_class(children.items()))
        }
    if others:
        raise DataError(
            f"{folder}: holds split folders ({quoted(sorted(known))}) beside others ({quoted(others)}). "
            f"Keep either <split>/<class>/ folders or <class>/ folders, not both."
        )
    parts: dict[str, _SplitFolder] = {}
    for name, path in known.items():
        split, inner = split_named(name), _inner(path, listing)
        if split in parts:
            raise DataError(
                f"{folder}: {parts[split].folder.relative_to(folder).parts[0]} and {name} both name the {split} "
                f"split. Keep one."
            )
        parts[split] = _SplitFolder(inner, _by_class(listing.folders(inner).items()))
    if "train" not in parts and need_train:
        alone = [str(part.folder) for part in parts.values() if len(part.classes) > 1]
        meant = (
            f" To divide its images anew, name it: mirada train {quote(alone[0])}" if len(alone) == 1 else ""
        )
        raise DataError(
            f"{folder}: has {quoted(sorted(known))} but no training split. "
            f"Expected a folder called train, training or training_set.{meant}"
        )
    return parts


def _inner(folder: Path, listing: FolderListing) -> Path:
    """The folder, or where it holds nothing but one that repeats its name or has the splits in it, that one."""
    children = listing.folders(folder)
    if len(children) != 1 or listing.images(folder):
        return folder
    name, child = next(iter(children.items()))
    below = listing.folders(child)
    repeats = name.lower() == folder.name.lower() or split_named(name) == split_named(folder.name) != ""
    parts = "train" in map(split_named, below) and all(map(split_named, below)) and not split_named(name)
    flat = repeats and not below and bool(listing.images(child))
    return _inner(child, listing) if flat or (below and (repeats or parts)) else folder


def _parts_of_classes(folder: Path, listing: FolderListing) -> dict[str, _SplitFolder]:
    """Of ``<class>/<split>/`` folders the splits; nothing if there are others in any class."""
    splits: dict[str, list[tuple[str, Path]]] = {}
    for name, path in listing.folders(folder).items():
        below = listing.folders(path)
        if not below or listing.images(path):
            return {}
        for inner, place in below.items():
            if not (split := split_named(inner)) or name in dict(splits.get(split, [])):
                return {}
            splits.setdefault(split, []).append((name, place))
    if "train" not in splits:
        return {}
    return {split: _SplitFolder(folder, _by_class(found)) for split, found in splits.items()}


def _by_class(folders: Iterable[tuple[str, Path]]) -> dict[str, list[Path]]:
    """Folders by the class that their names mean, sorted."""
    found: dict[str, list[Path]] = {}
    for name, path in folders:
        found.setdefault(made_equal([name])[0], []).append(path)
    return dict(sorted(found.items()))


def _require_one_reading(
    part: _SplitFolder, known: Sequence[str], kind: Kind | None, listing: FolderListing
) -> None:
    """Raises ``DataError`` if the class folders may rather be patients or parts of the data.

    They may if all hold the same folders, or are called so; unless they are classes that a model knows, or their
    ``kind`` was stated.
    """
    if len(part.classes) < 2 or (known and set(part.classes) <= set(made_equal(known))):
        return
    table = (
        "list the images in a table with the columns image, label and, for patients, group, and name that: "
        "mirada train table.csv"
    )
    names = quoted(list(part.classes))
    if same := _same_below(part, listing):
        raise DataError(
            f"{part.folder}: its folders ({names}) hold the same folders ({quoted(same)}), and either may be the "
            f"classes. Call parts of the data train, val and test; for patients, folds or anything else, {table}"
        )
    if kind is None and _are_parts(list(part.classes)):
        raise DataError(
            f"{part.folder}: its folders ({names}) are called like parts of the data, not like classes. If they are "
            f"classes, say task=classification; else put the images into a folder for each class, or {table}"
        )


def _same_below(part: _SplitFolder, listing: FolderListing) -> list[str]:
    """The folders that all class folders hold, or nearly all; none where there are images beside them."""
    below = [[inner.lower() for inner in listing.folders(path)] for path in part.class_folders]
    if not all(below) or any(map(listing.images, part.class_folders)):
        return []
    names = list(dict.fromkeys(name for inner in below for name in inner))
    return names if len(names) > 1 and sum(map(len, below)) >= SAME * len(names) else []


def _are_parts(names: Sequence[str]) -> bool:
    """Whether all folders are numbered patients, or the like, or tell splits or kinds of files: images and masks.

    >>> _are_parts(["patient01", "patient02"]), _are_parts(["images", "masks"]), _are_parts(["digit_0", "digit_1"])
    (True, True, False)
    >>> _are_parts(["part_A", "part_B"]), _are_parts(["batch_A", "batch_B"]), _are_parts(["masks", "train", "val"])
    (True, False, True)
    """
    plain = [name.lower() for name in names]
    splits = {split_named(name) for name in plain} - {""}
    if FILES.issuperset(re.sub(r"[\s-]", "_", name) for name in plain) or (
        "train" in splits and len(splits) > 1
    ):
        return True
    word, lettered = _numbered(plain)
    return word in PARTS and word not in (LETTERED if lettered else CALLED_SO)


def _called_so(names: Sequence[str]) -> bool:
    """Whether the classes are called group 1 and group 2, or the like, which they might be or not."""
    return _numbered([name.lower() for name in names])[0] in LETTERED


def _numbered(names: Sequence[str]) -> tuple[str, bool]:
    """The word of names such as batch_1 and batch_2, "" for others; and whether letters number them."""
    found = [match for name in names if (match := NUMBERED.fullmatch(name))]
    alike = len(found) == len(names) and len({match["stem"] for match in found}) == 1
    return (found[0]["word"] or "" if alike else ""), all(match["number"].isalpha() for match in found)


def _class_names(
    root: Path, parts: Mapping[str, _SplitFolder], by_name: Labels | None, listing: FolderListing
) -> tuple[str, ...]:
    """The classes of the training split, which every other split must keep to."""
    train = parts["train"]
    classes = tuple(sorted(set(by_name.classes.values()))) if by_name else tuple(train.classes)
    if not classes:
        images = listing.images(train.folder)
        loose = (
            f" {counted(len(images), 'image')} there, such as {printable(images[0].name)}, "
            f"{'lies' if len(images) == 1 else 'lie'} in no such folder; a table with the columns image and label can "
            f"name the classes as well: mirada train table.csv"
            if images
            else ""
        )
        raise DataError(
            f"{root}: no class folders found. Expected one folder per class with images in it: "
            f"{root.name}/<class>/*.jpg, or {root.name}/train/<class>/*.jpg.{loose}"
        )
    if len(classes) < 2:
        only = train.class_folders[0] if train.classes else train.folder
        below = quoted(list(listing.folders(only)))
        advice = f" If those in it ({below}) are the classes, name it: mirada train {quote(str(only))}"
        raise DataError(
            f'{root}: only one class ("{classes[0]}"). Classification needs at least two.{advice if below else ""}'
        )
    return classes


def _labels(
    root: Path, part: _SplitFolder, split: str, names: Sequence[str], listing: FolderListing
) -> Labels | None:
    """The classes of a split's images that lie in no class folders: by a list, else by their names."""
    if split != "train" and (found := labels_of(root, part.folder, split, names)):
        return found
    found = None if part.classes else labels_by_name(listing.images(part.folder))
    return found if found and set(found.classes.values()) <= set(names) else None


def _require_known(parts: Mapping[str, _SplitFolder], classes: tuple[str, ...], owner: str) -> None:
    """Raises ``DataError``, listing both sides, if a split has a class that is not among ``classes``."""
    for part in parts.values():
        unknown = sorted(set(part.classes) - set(made_equal(classes)))
        if unknown:
            raise DataError(f"{part.folder}: {said_of_unknown(unknown, classes, owner)}")
