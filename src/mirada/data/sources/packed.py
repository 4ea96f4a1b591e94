"""IDX and NPZ files → ``Index``: one row per image of their arrays, addressed as ``arrays`` reads them."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mirada.data.index import Index
from mirada.data.pixels.arrays import (
    Array,
    images_of,
    is_idx,
    npz_names,
    read_idx,
    read_npz,
    require_whole,
)
from mirada.data.sources.columns import Kind
from mirada.data.sources.labels import require_no_mark
from mirada.data.sources.listing import said_of_unknown
from mirada.data.sources.names import MISSING, SURELY_MISSING, made_equal
from mirada.errors import DataError, counted
from mirada.samples import SPLIT_NAMES, SPLITS, Classes, Excluded, Numbers

IMAGES = frozenset(("data", "image", "images", "imgs", "x"))
LABELS = frozenset(("label", "labels", "target", "targets", "y"))
MANY = 20  # different whole numbers, above which mostly different ones need not be classes
MARKED = 2000  # different labels, up to which one may stand for "unknown"
MAY_BE_KEPT = ", which says nothing (task=classification keeps it)"
SEPARATORS = re.compile(r"[-_.]+")
WORDS = re.compile(r"[^a-z0-9]+|(?<=[a-z])(?=\d)")


@dataclass(frozen=True)
class _Packed:
    """The images of one split: the addresses' common part, how many, of which shape, and their labels."""

    prefix: str
    split: str
    shape: tuple[int, ...]
    labels: Array

    @property
    def name(self) -> str:
        """The file, with the array in it."""
        return self.prefix.rstrip("#-")


def idx_files(folder: Path) -> list[Path]:
    """The IDX files of images directly in a folder, sorted; where one is there packed and unpacked, the latter."""
    files = [
        file for file in folder.iterdir() if is_idx(file) and _labels_file(file) != file and file.is_file()
    ]
    chosen: dict[str, Path] = {}
    for file in sorted(files, key=lambda file: (file.suffix.lower() == ".gz", file.name)):
        chosen.setdefault(_unpacked(file), file)
    return sorted(chosen.values())


def load_idx(files: Sequence[Path], kind: Kind | None, known: Sequence[str] | None) -> Index:
    """MNIST's four files and their like: images and labels are matched by name, splits told by it.

    Args:
        files: ``train-images-idx3-ubyte.gz`` goes with ``train-labels-idx1-ubyte.gz``; ``t10k`` is the test. A file
            alone is all ``train``.
        kind: What to make of the labels; by default classes of whole numbers, numbers of others.
        known: The classes of a model, in its order.

    Raises:
        DataError: For a file without its labels, one that is damaged, and several sets of images in one folder,
            whose labels may mean different things.
    """
    parts: list[_Packed] = []
    names: dict[str, Path] = {}
    for file in files:
        labels = _labels_beside(file)
        split = _split(WORDS.split(file.name.lower().replace("t10k", "test"))) if len(files) > 1 else "train"
        if other := names.get(split):
            raise DataError(
                f"{file.parent}: holds several sets of images ({other.name} and {file.name} are both {split}), and "
                f"their labels may mean different things. Give one file of images, or a folder with one set."
            )
        names[split] = file
        parts.append(_Packed(f"{file.name}#", split, images_of(file).shape, read_idx(labels)))
    return _index(files[0] if len(files) == 1 else files[0].parent, parts, kind, known)


def _labels_beside(images: Path) -> Path:
    """The file of an IDX file's labels, packed or not. Raises ``DataError`` if there is none."""
    labels = _labels_file(images)
    if labels == images:
        raise DataError(
            f"{images}: is a file of labels by its name (idx1). Give the file of their images, or the folder of both."
        )
    other = (
        labels.with_suffix("") if labels.suffix.lower() == ".gz" else labels.with_name(f"{labels.name}.gz")
    )
    found = next((file for file in (labels, other) if file.is_file()), None)
    if found is None:
        raise DataError(
            f"{images}: expected a file of images with {labels.name} beside it, which is not there."
        )
    return found


def load_npz(file: Path, kind: Kind | None, known: Sequence[str] | None) -> Index:
    """Arrays of images and labels, paired by name: ``train_images`` and ``train_labels``, ``x_test`` and ``y_test``.

    Raises ``DataError`` if there is no such pair, or an array is of another kind.
    """
    words = {name: set(WORDS.split(name.lower())) for name in npz_names(file)}
    pairs = [
        (images, labels)
        for images in words
        for labels in words
        if words[images] & IMAGES
        and words[labels] & LABELS
        and words[images] - IMAGES == words[labels] - LABELS
    ]
    if not pairs:
        raise DataError(
            f"{file}: expected arrays such as train_images and train_labels, or x and y; found "
            f"{', '.join(words) or 'none'}."
        )
    twice = [name for pair in pairs for name in pair if sum(name in other for other in pairs) > 1]
    if twice:
        names = ", ".join(f"{images} with {labels}" for images, labels in pairs)
        raise DataError(
            f'{file}: "{twice[0]}" belongs to several pairs of images and labels ({names}). Keep one pair a split.'
        )
    require_whole(file, sorted({name for pair in pairs for name in pair}))
    parts = [
        _Packed(
            f"{file.name}#{images}-",
            _split(words[images]),
            images_of(file, images).shape,
            read_npz(file, labels),
        )
        for images, labels in pairs
    ]
    return _index(file, parts, kind, known)


def _labels_file(images: Path) -> Path:
    """``train-images-idx3-ubyte.gz`` → ``train-labels-idx1-ubyte.gz``."""
    name = re.sub(r"idx\d", "idx1", images.name, flags=re.IGNORECASE)
    return images.with_name(re.sub("images?", "labels", name, flags=re.IGNORECASE))


def _unpacked(file: Path) -> str:
    """What a file is called by whoever packs it or not: ``train-images.idx3-ubyte.gz``, ``train-images-idx3-ubyte``."""
    return SEPARATORS.sub("-", file.name.lower().removesuffix(".gz"))


def _split(words: Iterable[str]) -> str:
    return next((SPLIT_NAMES[word] for word in sorted(words) if word in SPLIT_NAMES), "train")


def _index(source: Path, parts: Sequence[_Packed], kind: Kind | None, known: Sequence[str] | None) -> Index:
    """The rows of all parts; ``source``, for messages, is their file, or the folder of several."""
    root = source if source.is_dir() else source.parent
    parts = sorted(parts, key=lambda part: SPLITS.index(part.split))
    for part in parts:
        if len(part.labels) != part.shape[0]:
            raise DataError(
                f"{root / part.name}: has {counted(part.shape[0], 'image')} and {counted(len(part.labels), 'label')}."
            )
    widths = {part.labels.shape[1:] for part in parts}
    if len(widths) > 1:
        raise DataError(
            f"{source}: the labels of {', '.join(part.name for part in parts)} have different shapes."
        )
    labels = np.concatenate([part.labels for part in parts])
    if not len(labels):
        raise DataError(f"{source}: there are no images in it.")
    if labels.shape[1:] == (1,):
        labels = labels[:, 0]
    index = Index(
        root=root,
        paths=tuple(f"{part.prefix}{row}" for part in parts for row in range(len(part.labels))),
        target=Numbers(),
        targets=Numbers().unknown(len(labels)),  # until the labels are read, below
        splits=np.repeat(
            np.array([part.split for part in parts], dtype="<U5"), [len(p.labels) for p in parts]
        ),
        notes=tuple(
            f"{part.split}: {part.name}, {counted(part.shape[0], 'image')} of {_size(part.shape)}"
            for part in parts
        ),
    )
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "backslashreplace")
    if labels.dtype.kind == "U":
        labels = np.array(made_equal(labels.ravel().tolist())).reshape(labels.shape)
    if known is None and kind is None:
        _require_clear(labels, source)
    if known is None and labels.dtype.kind == "f" and _are_numbers(labels, kind):
        return _with_numbers(index, labels)
    return _with_classes(index, labels, kind, known, source)


def _require_clear(labels: Array, source: Path) -> None:
    """Raises ``DataError`` for labels of which neither classes nor numbers are the likelier reading."""
    different = np.unique(labels) if labels.ndim == 1 and labels.dtype.kind in "iuf" else np.empty(0)
    if len(different) < MARKED:
        require_no_mark(str(source), "the labels", different.tolist())
    known = different[np.isfinite(different)]
    numbered = labels.dtype.kind == "f" and 3 <= len(known) <= min(MANY, len(labels) / 2)
    if numbered and np.array_equal(known - known[0], np.arange(len(known))) and known[0] in (0, 1):
        raise DataError(
            f"{source}: the labels are the real numbers {known[0]:g}, {known[1]:g} … {known[-1]:g}, which may number "
            f"classes. Say task=classification if they do, task=regression if they are amounts."
        )
    count = len(different) if labels.dtype.kind in "iu" else 0
    if count > max(MANY, len(labels) / 2):
        raise DataError(
            f"{source}: the labels are {count:,} different whole numbers for {len(labels):,} images. Say "
            f"task=regression if they are amounts, task=classification if each is a class."
        )
    shares = (
        labels.dtype.kind == "f"
        and labels.ndim == 2
        and labels.shape[1] > 1
        and not np.isin(labels, (0, 1)).all()
    )
    if shares and (labels >= 0).all() and np.allclose(labels.sum(axis=1), 1, atol=1e-3):
        raise DataError(
            f"{source}: the labels of an image are shares of {labels.shape[1]} classes, and an image can have one "
            f"class only. Save the number of its class, or say task=regression to learn the shares."
        )


def _are_numbers(labels: Array, kind: Kind | None) -> bool:
    """Whether real numbers are what is to be learnt; one-hot rows, and 0 and 1, are classes made floats of."""
    if kind is not None:
        return kind is Numbers
    if labels.ndim > 1:
        return not np.isin(labels, (0, 1)).all()
    return not np.array_equal(np.unique(labels[np.isfinite(labels)]), (0, 1))


def _size(shape: tuple[int, ...]) -> str:
    """``28 × 28, grey``: height and width of (N, H, W) or (N, H, W, C)."""
    return f"{shape[1]} × {shape[2]}, {'grey' if len(shape) == 3 else f'{shape[3]} channels'}"


def _with_numbers(index: Index, labels: Array) -> Index:
    values = labels.astype(np.float64).reshape(len(labels), -1)
    names = (
        tuple(f"target {number + 1}" for number in range(values.shape[1])) if values.shape[1] > 1 else ("",)
    )
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1)).tolist()
    index = replace(
        index,
        target=Numbers(names),
        targets=values,
        notes=(*index.notes, "target: numbers → regression (task=classification makes classes of them)"),
    )
    return index.without([Excluded(index.paths[row], "its target is no number") for row in bad])


def _unsaid(labels: Array, keep: Collection[str] | None) -> dict[int, str]:
    """The rows whose label says nothing, and why: no number, or no word that may not be meant as a class.

    ``keep`` are the classes that there are for sure; if it is None, all words are but those that never are.
    """
    if labels.dtype.kind == "f":
        return dict.fromkeys(np.flatnonzero(~np.isfinite(labels)).tolist(), "its label is no number")
    words = enumerate(labels.tolist() if labels.dtype.kind == "U" else ())
    missing = SURELY_MISSING if keep is None else MISSING
    return {
        row: f'its label is "{word}"' + ("" if word.lower() in SURELY_MISSING else MAY_BE_KEPT)
        for row, word in words
        if word.lower() in missing and word not in (keep or ())
    }


def _with_classes(
    index: Index, labels: Array, kind: Kind | None, known: Sequence[str] | None, source: Path
) -> Index:
    keep = None if kind is not None and known is None else tuple(known or ())
    if labels.ndim > 1:
        if labels.ndim != 2 or not np.isin(labels, (0, 1)).all() or not (labels.sum(axis=1) == 1).all():
            raise DataError(
                f"{source}: the labels are an array of {labels.shape}. Expected one class for each image, or "
                f"one-hot rows: of several classes for an image, nothing can be learned here."
            )
        labels = labels.argmax(axis=1)
    bad = _unsaid(labels, keep)
    index = index.without([Excluded(index.paths[row], reason) for row, reason in bad.items()])
    labels = np.delete(labels, list(bad))
    values, numbers = np.unique(labels, return_inverse=True)
    found = [
        str(int(value)) if labels.dtype.kind == "f" and value == int(value) else str(value)
        for value in values
    ]
    names = tuple(found) if known is None else tuple(known)
    unknown = [name for name in found if name not in names]
    if unknown:
        raise DataError(f"{source}: {said_of_unknown(unknown, names)}")
    return replace(
        index,
        targets=np.array([names.index(name) for name in found], dtype=np.int64)[numbers],
        target=Classes(names),
    )
