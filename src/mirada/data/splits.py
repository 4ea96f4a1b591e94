"""Parts set aside for validation and test: stratified, no group divided, seeded, saved as a CSV.

What is drawn is a *unit*: all images of one group (a patient), or a single image where there are no groups. A unit's
lot is a hash of the seed, the split and its name, so a split does not depend on the order of the files, and files that
come later move few others; with a numeric target, whose slices they shift, about one in seven.
"""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mirada.data.index import SPLIT_NAMES, Excluded, Index
from mirada.errors import DataError, InvalidArgument

Rows = NDArray[np.int64]
NONE = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class _Units:
    """What is never divided, (U,) each: its number of rows, its lot, its class or number."""

    of_row: Rows  # (N,) the unit of each row
    sizes: Rows
    lots: NDArray[np.uint64]
    targets: NDArray[np.float64]
    numeric: bool

    def strata(self) -> list[Rows]:
        """The units of each class; those of a number are all in one."""
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
    target, and the share of images is as near to ``fraction`` as they allow. An empty group is a row of its own.
    """
    rows = index.rows("train")
    units = _units(index, rows, f"{seed} {split}")
    drawn = [_draw(units, stratum, fraction, keep) for stratum in units.strata()]
    return _moved(index, rows[np.isin(units.of_row, np.concatenate([NONE, *drawn]))], split)


def k_fold(index: Index, *, k: int, fold: int, seed: int, split: str = "test") -> Index:
    """Moves fold ``fold`` of the training rows to ``split``: over the folds 0 … k − 1 each row is in it once.

    Every fold is drawn like ``set_aside``'s share, from what the folds before it left. As ``test``, the default,
    it judges a network that had no part in it, and ``complete_splits`` sets a validation part aside from the rest;
    ``val`` keeps a test split that the data set has.

    Raises ``InvalidArgument`` for a fold that is not there, ``DataError`` if the index has such a split already or too
    few images, or groups, for every fold to have one.
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
    units = _units(index, rows, f"{seed} fold")
    folds = np.zeros(len(units.sizes), dtype=np.int64)
    for number, rest in enumerate(units.strata()):
        for left in range(k, 0, -1):
            drawn = _draw(units, rest, 1 / left, left - 1)
            folds[drawn] = (k - left + number) % k  # another fold for each class that does not go into k
            rest = np.setdiff1d(rest, drawn)
    if len(np.unique(folds)) < k:
        kind = "groups" if index.groups else "images"
        raise DataError(
            f"{index.origin}: {len(units.sizes):,} {kind} are too few for {k} folds; one would be empty."
        )
    return _moved(index, rows[folds[units.of_row] == fold], split)


def _moved(index: Index, rows: Rows, split: str) -> Index:
    splits = index.splits.copy()
    splits[rows] = split
    return replace(index, splits=splits)


def _units(index: Index, rows: Rows, draw: str) -> _Units:
    """The units of these rows, with their lots for a draw: ``0 val``."""
    numbers: dict[str, int] = {}  # a file that is named twice is one unit, too
    names = ((index.groups[row] if index.groups else "") or index.paths[row] for row in rows)
    of_row = np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)
    sizes = np.bincount(of_row, minlength=len(numbers))
    numeric = index.task == "regression"
    targets = (index.targets[:, 0] if index.targets.ndim > 1 else index.targets)[rows].astype(np.float64)
    if (sizes > 1).any():
        members = np.split(targets[np.argsort(of_row, kind="stable")], np.cumsum(sizes)[:-1])
        targets = np.array([_mean(part) if numeric else _most_frequent(part) for part in members])
    lots = np.array([_lot(f"{draw} {name}") for name in numbers], dtype=np.uint64)
    return _Units(of_row, sizes, lots, targets, numeric)


def _lot(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest(), "little")


def _mean(values: NDArray[np.float64]) -> float:
    known = np.sort(values[np.isfinite(values)])  # sorted: the sum must not depend on the order of the rows
    return float(known.mean()) if len(known) else float("nan")


def _most_frequent(classes: NDArray[np.float64]) -> float:
    counts: Counter[float] = Counter(classes.tolist())
    return min(counts, key=lambda number: (-counts[number], number))


def _draw(units: _Units, stratum: Rows, fraction: float, keep: int) -> Rows:
    """A share of the units of a stratum; ``keep`` units remain, and one is drawn if that leaves enough."""
    images, room = int(units.sizes[stratum].sum()), len(stratum) - keep
    if fraction <= 0 or room <= 0:
        return NONE
    goal = min(max(1, round(fraction * images)), images - keep)
    slices = min(max(1, round(fraction * len(stratum))), room) if units.numeric else 1
    ordered = stratum[np.lexsort((units.lots[stratum], units.targets[stratum]))]
    edges = np.linspace(0, len(stratum), slices + 1).astype(np.int64)
    drawn: list[int] = []
    missing = 0.0  # images
    for number in range(slices):
        part = ordered[edges[number] : edges[number + 1]]
        of_part, missing = _draw_images(units, part, missing + goal / slices, room - len(drawn))
        drawn += of_part
    rest = np.setdiff1d(ordered, np.array(drawn, dtype=np.int64))  # where a slice had too few
    drawn += _draw_images(units, rest, missing, room - len(drawn))[0]
    smallest = stratum[np.lexsort((units.lots[stratum], units.sizes[stratum]))[:1]]
    return np.array(drawn, dtype=np.int64) if drawn else smallest


def _draw_images(units: _Units, part: Rows, wanted: float, room: int) -> tuple[list[int], float]:
    """Up to ``room`` units by lot, each of which brings the number of images nearer; how many are then missing."""
    drawn: list[int] = []
    for unit in part[np.argsort(units.lots[part], kind="stable")].tolist():
        if wanted <= 0.5 or len(drawn) == room:
            break
        if units.sizes[unit] < 2 * wanted:
            drawn.append(unit)
            wanted -= int(units.sizes[unit])
    return drawn, wanted


def complete_splits(
    index: Index, *, val_fraction: float, test_fraction: float, seed: int
) -> tuple[Index, str]:
    """The index with a validation split, and a sentence on where the splits come from.

    Splits that are there stay as they are, and the sentence says if they divide a group. In a data set without
    any, a test part is set aside first.
    """
    has_val, has_test = (len(index.rows(split)) > 0 for split in ("val", "test"))
    made = []
    if not has_val and not has_test and test_fraction > 0:
        index = set_aside(index, split="test", fraction=test_fraction, seed=seed, keep=2)
        made.append(f"{test_fraction:.0%} of the images for the test")
    if not has_val:
        index = set_aside(index, split="val", fraction=val_fraction, seed=seed)
        made.append(f"{val_fraction:.0%} of the training images for validation")
    if not made:
        return index, f"The splits are the data set's own.{_division(index)}"
    how = "stratified, no group divided" if index.groups else "stratified"
    said = f"Set aside, {how}, with seed {seed}: {' and '.join(made)}. splits.csv names them."
    return index, said + _division(index)


def _division(index: Index) -> str:
    """What is said of groups that the data set's own splits divide."""
    count = len(divided_groups(index))
    if not count:
        return ""
    subject = f"{count:,} groups have" if count > 1 else "One group has"
    return (
        f' {subject} images in several of its own splits, so results are too good; "mirada check" names them.'
    )


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
    """What stands for a group in all that is written: 12 hexadecimal digits; nothing for an empty one.

    It keeps names off reports and tables. It is no secret: whoever has a list of the names can hash them, too.
    """
    return blake2b(group.encode(errors="surrogateescape"), digest_size=6).hexdigest() if group else ""


def save_splits(index: Index, file: Path) -> None:
    """Writes ``path, split``, the target, the group's code if there are groups, and the covariates of every sample.

    One target is called ``target``, several have their own names; it is empty where there is none.
    """
    several = index.target_names if index.targets.ndim > 1 else ()
    grouped = ("group",) if index.groups else ()
    with file.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "split", *(several or ("target",)), *grouped, *index.covariate_names))
        for row, (path, split) in enumerate(zip(index.paths, index.splits.tolist(), strict=True)):
            code = (group_code(index.groups[row]),) if grouped else ()
            writer.writerow((path, split, *_targets(index, row), *code, *index.covariates[row].tolist()))


def _targets(index: Index, row: int) -> Sequence[str | float]:
    """The targets of a row as they stand in a table."""
    target = index.targets[row]
    if index.task == "classification":
        return [index.classes[int(target)] if target >= 0 else ""]
    return ["" if np.isnan(value) else value for value in np.atleast_1d(target).tolist()]


def splits_digest(index: Index) -> str:
    """Which image is in which split, as 16 hexadecimal digits; the order of the rows does not matter."""
    lines = sorted(f"{path}\t{split}" for path, split in zip(index.paths, index.splits.tolist(), strict=True))
    return blake2b("\n".join(lines).encode(errors="surrogateescape"), digest_size=8).hexdigest()


def read_splits(file: Path, index: Index, *, missing_ok: bool = False) -> Index:
    """The index with the splits of a table by ``save_splits``, or of any CSV with the columns path and split.

    Images of the index that the table does not name join ``excluded``. The table's groups, if it has any, become those
    of an index without.

    Raises ``DataError`` for a file that is no such table, and, unless ``missing_ok``, for paths in it that the index
    does not have.
    """
    named = _read(file)
    unknown = sorted(named.keys() - set(index.paths) - {item.path for item in index.excluded})
    if unknown and not missing_ok:
        raise DataError(
            f"{file}: {len(unknown):,} of the files that it names are not in {index.origin}, {unknown[0]} first. "
            f"Use the table with the data that it was made from."
        )
    unnamed = [Excluded(path, f"{file.name} does not name it") for path in index.paths if path not in named]
    index = index.without(unnamed)
    saved = [named[path] for path in index.paths]
    groups = tuple(group for _, group in saved)
    return replace(
        index,
        splits=np.array([split for split, _ in saved], dtype="<U5"),
        groups=index.groups or (groups if any(groups) else ()),
    )


def _read(file: Path) -> dict[str, tuple[str, str]]:
    """Path → split and group, which is empty where there is none."""
    named: dict[str, tuple[str, str]] = {}
    try:
        with file.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as stream:
            first = stream.readline()
            stream.seek(0)
            table = csv.DictReader(stream, delimiter=max(",;\t", key=first.count))
            if not {"path", "split"} <= set(table.fieldnames or ()):
                found = ", ".join(table.fieldnames or ()) or "nothing"
                raise DataError(
                    f"{file}: expected a CSV with the columns path and split; its first line has {found}."
                )
            for row in table:
                path, split = row["path"] or "", SPLIT_NAMES.get((row["split"] or "").strip().lower())
                if split is None:
                    raise DataError(
                        f'{file}, line {table.line_num}: a split is train, val or test. Got "{row["split"]}".'
                    )
                known, _ = named.setdefault(path, (split, row.get("group") or ""))
                if known != split:
                    raise DataError(f"{file}, line {table.line_num}: {path} is in {known} and in {split}.")
    except (OSError, csv.Error) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise DataError(f"{file}: cannot be read as a CSV ({reason}).") from error
    return named
