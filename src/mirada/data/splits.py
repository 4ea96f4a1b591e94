"""Parts set aside for validation and test: stratified, seeded, saved as a CSV."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mirada.data.index import SPLITS, Index

Rows = NDArray[np.int64]


def set_aside(index: Index, *, split: str, fraction: float, seed: int, keep: int = 1) -> Index:
    """Moves a stratified share of the training rows to ``split``; the same rows for the same seed.

    Every class gives ``fraction`` of its images, rounded: at least one, so that a small class is not lost, as
    long as ``keep`` remain. For a numeric target the rows, sorted by it, are cut into as many equal slices as
    there are to set aside, and each slice gives one: all of the range is covered.
    """
    rows = index.rows("train")
    random = np.random.default_rng((seed, SPLITS.index(split)))
    choose = _of_each_class if index.task == "classification" else _of_each_quantile
    splits = index.splits.copy()
    splits[choose(rows, index.targets[rows], fraction, keep, random)] = split
    return replace(index, splits=splits)


def _of_each_class(
    rows: Rows, targets: NDArray[np.generic], fraction: float, keep: int, random: np.random.Generator
) -> Rows:
    groups = [random.permutation(rows[targets == target]) for target in np.unique(targets)]
    return np.concatenate([rows[:0], *(group[: _share(len(group), fraction, keep)] for group in groups)])


def _of_each_quantile(
    rows: Rows, targets: NDArray[np.generic], fraction: float, keep: int, random: np.random.Generator
) -> Rows:
    ordered = rows[np.argsort(targets, kind="stable")]
    edges = np.linspace(0, len(rows), _share(len(rows), fraction, keep) + 1).astype(np.int64)
    return ordered[random.integers(edges[:-1], edges[1:])]


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
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "split", "target"))
        for path, split, target in zip(index.paths, index.splits, index.targets, strict=True):
            if index.task == "classification":
                target = index.classes[target] if target >= 0 else ""
            writer.writerow((path, split, target))
