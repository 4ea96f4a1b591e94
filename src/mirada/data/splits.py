"""Parts set aside for validation and test: stratified, no group divided, seeded, saved as a CSV.

What is chosen is a *group*: all images of a patient, or where the index has no groups an image with its copies. Its
random key is a hash of the seed, the split and its name, so a split does not depend on the order of the files, and
files that come later move few others; with a numeric target, whose slices they shift, about one in seven. Folds are
dealt anew.
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mirada.data.index import Index
from mirada.errors import DataError, InvalidArgument, counted
from mirada.files import replacing
from mirada.samples import Classes, Numbers
from mirada.text import csv_cell

Rows = NDArray[np.int64]
CODE = re.compile(r"hash-[0-9a-f]{12}")
NONE = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class _Groups:
    """What is never divided, (G,) each: its number of rows, its random key, its class or number."""

    of_row: Rows  # (N,) the group of each row
    sizes: Rows
    keys: NDArray[np.uint64]
    targets: NDArray[np.float64]
    numeric: bool

    def strata(self) -> list[Rows]:
        """The groups of each class; those of a number are all in one."""
        if self.numeric:
            return [np.arange(len(self.sizes))]
        return [np.flatnonzero(self.targets == target) for target in np.unique(self.targets)]


def set_aside(index: Index, *, split: str, fraction: float, seed: int, keep: int = 1) -> Index:
    """Moves a stratified share of the training rows to ``split``; the same rows for the same seed.

    Every class gives ``fraction`` of its images, rounded: at least one, so that a small class is not lost, as
    long as ``keep`` remain. For a numeric target the rows, sorted by it, are cut into as many equal slices as
    there are to set aside, and each slice gives one: all of the range is covered. Of several targets the first
    decides.

    Where the index has ``groups``, whole groups are drawn, each standing for its most frequent class or its mean
    target, and the share of images is as near to ``fraction`` as they allow. A row without a group is one with its
    copies.
    """
    rows = index.rows("train")
    groups = _groups_of(index, rows, f"{seed} {split}")
    drawn = [_choose(groups, stratum, fraction, keep) for stratum in groups.strata()]
    return _moved(index, rows[np.isin(groups.of_row, np.concatenate([NONE, *drawn]))], split)


def k_fold(index: Index, *, k: int, fold: int, seed: int, split: str = "test") -> Index:
    """Moves fold ``fold`` of the training rows to ``split``: over the folds 0 … k − 1 each row is in it once.

    Folds are stratified by class, or by slices of a numeric target, and differ by no more images than the largest
    group has, of every class and in all: by one image where there are no groups. As ``test``, the default, a fold
    judges a network that had no part in it, and ``complete_splits`` sets a validation part aside from the rest;
    ``val`` keeps a test split that the data set has.

    Raises ``InvalidArgument`` for a fold that is not there, ``DataError`` if the index has such a split already or
    fewer images, or groups, than folds.
    """
    if k < 2 or not 0 <= fold < k:
        raise InvalidArgument(
            f"k_fold: expected k of at least 2 and a fold from 0 to k − 1. Got {k} and {fold}."
        )
    if own := len(index.rows(split)):
        raise DataError(
            f"{index.root}: has a {split} split of {own:,} images. Make the folds another split, or let these "
            f"images be train."
        )
    rows = index.rows("train")
    groups = _groups_of(index, rows, f"{seed} fold")
    if len(groups.sizes) < k:
        kind = "group" if index.groups else "different image" if len(groups.sizes) < len(rows) else "image"
        few = "is" if len(groups.sizes) == 1 else "are"
        raise DataError(
            f"{index.origin}: {counted(len(groups.sizes), kind)} {few} too few for {k} folds; one would be empty."
        )
    # Shares of single numbers are even, and so they are drawn as they always were: such folds have been reported.
    single = groups.numeric and groups.sizes.max() == 1
    folds = _shares(groups, k) if single else _dealt(groups, k)
    return _moved(index, rows[folds[groups.of_row] == fold], split)


def _shares(groups: _Groups, k: int) -> Rows:
    """The fold of each group: every fold is drawn as ``set_aside`` draws, from what the folds before it left."""
    folds = np.zeros(len(groups.sizes), dtype=np.int64)
    rest = np.arange(len(folds))
    for fold in range(k):
        left = k - fold
        drawn = _choose(groups, rest, 1 / left, left - 1)
        folds[drawn] = fold
        rest = np.setdiff1d(rest, drawn)
    return folds


def _dealt(groups: _Groups, k: int) -> Rows:
    """The fold of each group: every class is dealt into ``k`` parts, of which the largest joins the smallest fold.

    The groups of a class are dealt by size, then by random key, each to the part that is smallest so far. So neither
    the parts of a class nor the folds can ever differ by more than the largest group, and no fold is empty if ``k``
    groups are there. Of numbers, ``k`` groups that are next to each other are dealt like a class: one to each fold.
    """
    folds = np.zeros(len(groups.sizes), dtype=np.int64)
    totals = np.zeros(k, dtype=np.int64)
    for stratum in _slices(groups, k) if groups.numeric else groups.strata():
        parts = np.zeros(k, dtype=np.int64)
        part_of = np.empty(len(stratum), dtype=np.int64)
        dealt = stratum[np.lexsort((groups.keys[stratum], -groups.sizes[stratum]))]
        for place, size in enumerate(groups.sizes[dealt].tolist()):
            part_of[place] = smallest = int(parts.argmin())
            parts[smallest] += size
        fold_of = np.empty(k, dtype=np.int64)
        fold_of[np.argsort(-parts, kind="stable")] = np.argsort(totals, kind="stable")
        folds[dealt] = fold_of[part_of]
        totals[fold_of] += parts
    return folds


def _slices(groups: _Groups, count: int) -> list[Rows]:
    """The groups by their numbers, so many in a slice."""
    ordered = np.lexsort((groups.keys, groups.targets))
    return [ordered[start : start + count] for start in range(0, len(ordered), count)]


def _moved(index: Index, rows: Rows, split: str) -> Index:
    splits = index.splits.copy()
    splits[rows] = split
    return replace(index, splits=splits)


def _groups_of(index: Index, rows: Rows, purpose: str) -> _Groups:
    """The groups of these rows, with their random keys for a purpose: ``0 val``.

    Where groups are known, copies do not join them: a black slice that all patients have would make them one.
    """
    from mirada.data.copies import find_copies  # which brings Pillow, of no use to evaluation

    copies = find_copies(index)
    numbers: dict[str, int] = {}  # a file that is named twice is one group, too
    paths = (index.paths[row] for row in rows)
    names = [copies.get(path, path) for path in paths]
    if index.groups:
        names = [index.groups[row] or name for row, name in zip(rows.tolist(), names, strict=True)]
    of_row = np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)
    sizes = np.bincount(of_row, minlength=len(numbers))
    numeric = isinstance(index.target, Numbers)
    targets = (index.targets[:, 0] if numeric else index.targets)[rows].astype(np.float64)
    if (sizes > 1).any():
        members = np.split(targets[np.argsort(of_row, kind="stable")], np.cumsum(sizes)[:-1])
        targets = np.array([_mean(part) if numeric else _most_frequent(part) for part in members])
    keys = np.array([_random_key(f"{purpose} {name}") for name in numbers], dtype=np.uint64)
    return _Groups(of_row, sizes, keys, targets, numeric)


def _random_key(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest(), "little")


def _mean(values: NDArray[np.float64]) -> float:
    known = np.sort(values[np.isfinite(values)])  # sorted: the sum must not depend on the order of the rows
    return float(known.mean()) if len(known) else float("nan")


def _most_frequent(classes: NDArray[np.float64]) -> float:
    counts: Counter[float] = Counter(classes.tolist())
    return min(counts, key=lambda number: (-counts[number], number))


def _choose(groups: _Groups, stratum: Rows, fraction: float, keep: int) -> Rows:
    """A share of the groups of a stratum; ``keep`` groups remain, and one is taken if that leaves enough."""
    images, room = int(groups.sizes[stratum].sum()), len(stratum) - keep
    if fraction <= 0 or room <= 0:
        return NONE
    goal = min(max(1, round(fraction * images)), images - keep)
    slices = min(max(1, round(fraction * len(stratum))), room) if groups.numeric else 1
    ordered = stratum[np.lexsort((groups.keys[stratum], groups.targets[stratum]))]
    edges = np.linspace(0, len(stratum), slices + 1).astype(np.int64)
    drawn: list[int] = []
    missing = 0.0  # images
    for number in range(slices):
        part = ordered[edges[number] : edges[number + 1]]
        of_part, missing = _choose_images(groups, part, missing + goal / slices, room - len(drawn))
        drawn += of_part
    rest = np.setdiff1d(ordered, np.array(drawn, dtype=np.int64))  # where a slice had too few
    drawn += _choose_images(groups, rest, missing, room - len(drawn))[0]
    smallest = stratum[np.lexsort((groups.keys[stratum], groups.sizes[stratum]))[:1]]
    return np.array(drawn, dtype=np.int64) if drawn else smallest


def _choose_images(groups: _Groups, part: Rows, wanted: float, room: int) -> tuple[list[int], float]:
    """Up to ``room`` groups by random key, each of which brings the number of images nearer; what is then missing."""
    drawn: list[int] = []
    for group in part[np.argsort(groups.keys[part], kind="stable")].tolist():
        if wanted <= 0.5 or len(drawn) == room:
            break
        if groups.sizes[group] < 2 * wanted:
            drawn.append(group)
            wanted -= int(groups.sizes[group])
    return drawn, wanted


def complete_splits(
    index: Index, *, val_fraction: float, test_fraction: float, seed: int
) -> tuple[Index, str]:
    """The index with a validation split, and a sentence on where the splits come from.

    Splits that are there stay as they are, and the sentence says if they divide a group. In a data set without
    any, a test part is set aside first.

    Raises ``DataError`` if all images to train on, or those of each class, belong to one group: it cannot be divided.
    """
    has_val, has_test = (len(index.rows(split)) > 0 for split in ("val", "test"))
    if index.groups and not has_val and val_fraction > 0:
        _require_groups(index)
    made: list[str] = []
    if not has_val and not has_test and test_fraction > 0:
        index = set_aside(index, split="test", fraction=test_fraction, seed=seed, keep=2)
        made.append(f"{test_fraction:.0%} of the images for the test")
    if not has_val:
        index = set_aside(index, split="val", fraction=val_fraction, seed=seed)
        made.append(f"{val_fraction:.0%} of the training images for validation")
    if not made:
        stated = index.source.split if index.source else ""
        whose = f"those of {stated}" if Path(stated).suffix else "the data set's own"  # a column is its own
        return index, f"The splits are {whose}.{_division(index)}{said_of_copies(index)}"
    how = "stratified, no group divided" if index.groups else "stratified"
    said = f"Set aside, {how}, with seed {seed}: {' and '.join(made)}. splits.csv names them."
    return index, said + _division(index) + said_of_copies(index)


def _require_groups(index: Index) -> None:
    """Raises ``DataError`` if groups leave nothing to set aside: there is but one, or one for each class."""
    rows = index.rows("train")
    groups = _groups_of(index, rows, "")
    if len(groups.sizes) == len(rows) or any(len(stratum) > 1 for stratum in groups.strata()):
        return
    whose = f"all {len(rows):,} images to train on belong to one group ({group_code(index.groups[rows[0]])})"
    if len(groups.sizes) > 1:
        whose = "the images to train on of each class belong to one group"
    raise DataError(
        f"{index.origin}: {whose}, so no part can be set aside for validation without dividing it. Name another "
        f"`group`, none for no groups at all, or give the splits."
    )


def _division(index: Index) -> str:
    """What is said of groups that the data set's own splits divide."""
    count = len(divided_groups(index))
    if not count:
        return ""
    subject = f"{count:,} groups have" if count > 1 else "One group has"
    return (
        f' {subject} images in several of its own splits, so results are too good; "mirada check" names them.'
    )


def said_of_copies(index: Index) -> str:
    """Sentences on images that are copies of others: how many there are, and how many lie in several splits."""
    from mirada.data.copies import find_copies

    copies = find_copies(index)
    splits_of: dict[str, set[str]] = {}
    for path, split in zip(index.paths, index.splits.tolist(), strict=True):
        if path in copies:
            splits_of.setdefault(copies[path], set()).add(split)
    divided = sum(len(splits_of[first]) > 1 for first in copies.values())
    if divided:
        return (
            f" {divided:,} images have copies of the same content in another split, so results are too good; "
            f'"mirada check" names them.'
        )
    extra = len(copies) - len(splits_of)
    if not extra:
        return ""
    copy = "is a copy of another" if extra == 1 else "are copies of others"
    return f" {counted(extra, 'image')} {copy}, in the same split."


def divided_groups(index: Index) -> dict[str, Rows]:
    """The groups that are in more than one split, sorted, with their rows."""
    seen: dict[str, set[str]] = {}
    for group, split in zip(index.groups, index.splits.tolist(), strict=False):  # there may be no groups
        seen.setdefault(group, set()).add(split)
    divided = sorted(group for group, splits in seen.items() if group and len(splits) > 1)
    rows: dict[str, list[int]] = {group: [] for group in divided}
    for row, group in enumerate(index.groups if divided else ()):
        if group in rows:
            rows[group].append(row)
    return {group: np.array(found, dtype=np.int64) for group, found in rows.items()}


def group_code(group: str) -> str:
    """What stands for a group in all that is written: ``hash-`` and 12 hexadecimal digits; nothing for an empty one.

    It keeps names off reports and tables. It is no secret: whoever has a list of the names can hash them, too. The
    code of a code is the code itself, so that the tables of a run that was told its groups by those of another join.
    """
    if not group or CODE.fullmatch(group):
        return group
    return f"hash-{blake2b(group.encode(errors='surrogateescape'), digest_size=6).hexdigest()}"


def save_splits(index: Index, file: Path) -> None:
    """Writes ``path, split``, the target, the group's code if there are groups, and the covariates of every sample.

    One target is called ``target``, several have their own names; it is empty where there is none.
    """
    several = index.target_names
    grouped = ("group",) if index.groups else ()
    with (
        replacing(file, synced=False) as draft,  # as the other records of a run
        draft.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow(("path", "split", *(several or ("target",)), *grouped, *index.covariate_names))
        for row, (path, split) in enumerate(zip(index.paths, index.splits.tolist(), strict=True)):
            code = (group_code(index.groups[row]),) if grouped else ()
            cells = (path, split, *_targets(index, row), *code, *index.covariates[row].tolist())
            writer.writerow([csv_cell(cell) if isinstance(cell, str) else cell for cell in cells])


def _targets(index: Index, row: int) -> Sequence[str | float]:
    """The targets of a row as they stand in a table."""
    match index.target:
        case Classes(names):
            number = int(index.targets[row])
            return [names[number] if number >= 0 else ""]
        case Numbers():
            return ["" if np.isnan(value) else value for value in index.targets[row].tolist()]


def splits_digest(index: Index) -> str:
    """Which image is in which split, as 16 hexadecimal digits; the order of the rows does not matter."""
    lines = sorted(f"{path}\t{split}" for path, split in zip(index.paths, index.splits.tolist(), strict=True))
    return blake2b("\n".join(lines).encode(errors="surrogateescape"), digest_size=8).hexdigest()
