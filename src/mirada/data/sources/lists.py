"""Lists of classes for a flat folder of images, as ImageNet's validation images have.

Understood beside the images or in the data set's folder: lines of ``file label`` (``val.txt``, Kaggle's
``LOC_val_solution.csv``, ``val_annotations.txt``), or one label per line for the files in alphabetical order
(``ILSVRC2012_validation_ground_truth.txt``). A label is a class folder's name, or a number: the place in
``synset_words.txt`` or a file like it, else among the sorted class folders, counted from 0; in the ground truth of the
development kit the number in its ``meta.mat``, whose order is not the alphabet's.

Source: Russakovsky et al. 2015, arXiv:1409.0575; the readme of the ILSVRC2012 development kit.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mirada.data.sources.listing import FolderListing
from mirada.errors import DataError, nearest

GROUND_TRUTH = "ILSVRC2012_{split}_ground_truth.txt"
LISTS = ("LOC_{split}_solution.csv", "{split}_annotations.txt", "{split}.txt", GROUND_TRUTH)
SYNSETS = ("synset_words.txt", "LOC_synset_mapping.txt", "synsets.txt")
META = "meta.mat"
KITS = ("", "data", "ILSVRC2012_devkit_t12/data", "devkit/data")
KAGGLE = ("ILSVRC", "Data", "CLS-LOC")
NAMED_BY_CLASS = re.compile(r"(?P<label>[^\W\d_][^.\d]*)\.\d+")  # the stem of cat.12.jpg
LONG_NAMES = {"val": ("val", "validation"), "test": ("test",)}


class Labels(NamedTuple):
    """The classes of a flat folder: by which list, where the images are, and the class by a file's stem."""

    list_name: str
    folder: Path
    classes: Mapping[str, str]


def pixels_folder(root: Path) -> Path:
    """Where the splits are: in Kaggle's ImageNet below ``ILSVRC/Data/CLS-LOC``, else in the root."""
    below = root.joinpath(*KAGGLE)
    return below if below.is_dir() else root


def labels_of(root: Path, folder: Path, split: str, names: Sequence[str]) -> Labels | None:
    """The classes of the images that lie flat in a split's folder, or in ``images`` there; None without a list.

    Raises ``DataError`` for a list that does not fit the images or names a class that is not in ``names``.
    """
    lister = FolderListing()
    below = list(lister.folders(folder))
    flat = folder / "images" if below == ["images"] else folder
    places = [place / kit for place in (folder, root) for kit in KITS]
    listing = _first(
        places, [name.format(split=word) for name in LISTS for word in LONG_NAMES.get(split, ())]
    )
    if listing is None or (below and flat == folder):
        return None
    stems = sorted(file.stem for file in lister.images(flat))
    lines = [re.split(r"[,\s]+", line.strip()) for line in _text(listing).splitlines() if line.strip()]
    lines = [line for line in lines if line[0] != "ImageId"]  # Kaggle's header
    if all(len(line) == 1 for line in lines):
        if len(lines) != len(stems):
            raise DataError(f"{listing}: has {len(lines):,} labels for the {len(stems):,} images in {flat}.")
        labels = dict(zip(stems, (line[0] for line in lines), strict=True))
    else:
        labels = {Path(line[0]).stem: line[1] for line in lines if len(line) > 1}
    return Labels(listing.name, flat, _named(labels, listing, places, names))


def labels_by_name(images: Sequence[Path]) -> Labels | None:
    """The classes that the names of a flat folder's images begin with, as Kaggle's ``cat.12.jpg``.

    None unless every name is of that kind, and there are several classes with several images each.
    """
    found = {file.stem: NAMED_BY_CLASS.fullmatch(file.stem) for file in images}
    labels = {stem: match["label"] for stem, match in found.items() if match}
    counts = Counter(labels.values())
    if len(labels) < len(found) or len(counts) < 2 or min(counts.values()) < 2:
        return None
    first = images[0]
    return Labels(f"file name ({first.name}: {labels[first.stem]})", first.parent, labels)


def _named(
    labels: Mapping[str, str], listing: Path, places: Sequence[Path], names: Sequence[str]
) -> dict[str, str]:
    """Class names in place of the list's numbers."""
    found, known = set(labels.values()), set(names)
    numbers = {} if found <= known else {label: label for label in found}
    if numbers and all(label.isdecimal() for label in found):
        numbers = _numbered(listing, places, names, {int(label) for label in found})
    named = {stem: numbers.get(label, label) for stem, label in labels.items()}
    unknown = sorted(set(named.values()) - known)
    if unknown:
        raise DataError(
            f'{listing}: names the class "{unknown[0]}", of which there is no folder. {nearest(unknown[0], names)}'
        )
    return named


def _numbered(listing: Path, places: Sequence[Path], names: Sequence[str], used: set[int]) -> dict[str, str]:
    """The class that each number of a list stands for."""
    if listing.name in [GROUND_TRUTH.format(split=word) for words in LONG_NAMES.values() for word in words]:
        meta = _first(places, [META])
        if meta is None:
            raise DataError(
                f"{listing}: its numbers are those of the development kit's meta.mat, which is not there. Put it "
                f"beside this file, or use LOC_val_solution.csv or a val.txt with a file and a class on each line."
            )
        return _numbers_of_kit(meta)
    synsets = _first(places, SYNSETS)
    order = (
        [line.split()[0] for line in _text(synsets).splitlines() if line.strip()]
        if synsets
        else sorted(names)
    )
    first = 1 if max(used) == len(order) and 0 not in used else 0
    if max(used) >= len(order) + first:
        raise DataError(f"{listing}: has the label {max(used)}, and there are {len(order):,} classes.")
    return {str(number): name for number, name in enumerate(order, start=first)}


def _numbers_of_kit(meta: Path) -> dict[str, str]:
    """``ILSVRC2012_ID`` → ``WNID``."""
    from scipy.io.matlab import MatReadError, loadmat  # scikit-learn brings it

    try:
        synsets = loadmat(meta, squeeze_me=True)["synsets"]
        return {str(int(row["ILSVRC2012_ID"])): str(row["WNID"]) for row in synsets}
    except (OSError, KeyError, ValueError, TypeError, MatReadError) as error:
        raise DataError(f"{meta}: is not the meta.mat of the development kit ({error}).") from error


def _first(places: Sequence[Path], names: Sequence[str]) -> Path | None:
    return next((place / name for name in names for place in places if (place / name).is_file()), None)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")
