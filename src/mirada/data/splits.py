"""Parts set aside for validation and test: stratified, seeded, saved as a CSV."""

import csv
from dataclasses import replace
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mirada.data.index import Index

Rows = NDArray[np.int64]
Lots = NDArray[np.uint64]


def set_aside(index: Index, *, split: str, fraction: float, seed: int, keep: int = 1) -> Index:
    """Moves a stratified share of the training rows to ``split``; the same rows for the same seed.

    Every class gives ``fraction`` of its images, rounded: at least one, so that a small class is not lost, as
    long as ``keep`` remain. For a numeric target the rows, sorted by it, are cut into as many equal slices as
    there are to set aside, and each slice gives one: all of the range is covered.

    A file's lot is a hash of the seed, the split and its path, so files that come later move few others.
    """
    rows = index.rows("train")
    lots = np.array([_lot(seed, split, index.paths[row]) for row in rows], dtype=np.uint64)
    choose = _of_each_class if index.task == "classification" else _of_each_quantile
    splits = index.splits.copy()
    splits[rows[choose(lots, index.targets[rows], fraction, keep)]] = split
    return replace(index, splits=splits)


def _lot(seed: int, split: str, path: str) -> int:
    text = f"{seed} {split} {path}".encode(errors="surrogateescape")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")


def _of_each_class(lots: Lots, targets: NDArray[np.generic], fraction: float, keep: int) -> Rows:
    chosen = []
    for target in np.unique(targets):
        members = np.flatnonzero(targets == target)
        drawn = members[np.argsort(lots[members], kind="stable")]
        chosen.append(drawn[: _share(len(members), fraction, keep)])
    return np.concatenate([np.empty(0, dtype=np.int64), *chosen])


def _of_each_quantile(lots: Lots, targets: NDArray[np.generic], fraction: float, keep: int) -> Rows:
    ordered = np.argsort(targets, kind="stable")
    edges = np.linspace(0, len(lots), _share(len(lots), fraction, keep) + 1).astype(np.int64)
    slices = [ordered[start:end] for start, end in pairwise(edges)]
    return np.array([part[np.argmin(lots[part])] for part in slices], dtype=np.int64)


def _share(count: int, fraction: float, keep: int) -> int:
    """``fraction`` of ``count``, rounded; at least 1 unless it is 0, and ``keep`` remain."""
    wanted = max(1 if fraction > 0 else 0, round(fraction * count))
    return max(0, min(wanted, count - keep))


def complete_splits(
    index: Index, *, val_fraction: float, test_fraction: float, seed: int
) -> tuple[Index, str]:
    """The index with a validation split, and a sentence on where the splits come from.

    Splits that are there stay as they are. In a data set without any, a test part is set aside first.
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
        return index, "The splits are the data set's own."
    return index, f"Set aside, stratified, with seed {seed}: {' and '.join(made)}. splits.csv names them."


def save_splits(index: Index, file: Path) -> None:
    """Writes ``path, split, target`` for every sample; the target is empty where there is none."""
    with file.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "split", "target"))
        for path, split, target in zip(index.paths, index.splits, index.targets, strict=True):
            if index.task == "classification":
                target = index.classes[target] if target >= 0 else ""
            writer.writerow((path, split, target))
