"""Parts set aside: stratified, disjoint, complete, and the same for the same seed."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirada.data.index import Index
from mirada.data.splits import complete_splits, save_splits, set_aside


def classes_of(*sizes: int) -> Index:
    """An index with so many training images in each class."""
    targets = np.repeat(np.arange(len(sizes)), sizes)
    return Index(
        root=Path("data"),
        paths=tuple(f"{target}/{row}.png" for row, target in enumerate(targets)),
        targets=targets,
        splits=np.full(len(targets), "train", dtype="<U5"),
        classes=tuple(f"c{number}" for number in range(len(sizes))),
    )


def values_of(values: object) -> Index:
    targets = np.asarray(values, dtype=np.float64)
    return Index(
        root=Path("data"),
        paths=tuple(f"{row}.png" for row in range(len(targets))),
        targets=targets,
        splits=np.full(len(targets), "train", dtype="<U5"),
        task="regression",
        unit="months",
    )


def sizes(index: Index, split: str) -> list[int]:
    counts = Counter(index.targets[index.rows(split)].tolist())
    return [counts[number] for number in range(len(index.classes))]


def test_every_class_gives_its_share() -> None:
    index = set_aside(classes_of(100, 40, 10, 4, 2, 1), split="val", fraction=0.2, seed=0)
    assert sizes(index, "val") == [20, 8, 2, 1, 1, 0]
    assert sizes(index, "train") == [80, 32, 8, 3, 1, 1]


def test_keep_is_kept() -> None:
    index = set_aside(classes_of(5, 3, 2, 1), split="test", fraction=0.9, seed=0, keep=2)
    assert sizes(index, "train") == [2, 2, 2, 1]


def test_a_share_of_zero_is_nothing_and_an_index_may_be_empty() -> None:
    for index in (classes_of(5, 5), values_of(range(9))):
        assert len(set_aside(index, split="val", fraction=0.0, seed=0).rows("val")) == 0
        assert len(set_aside(index.take([]), split="val", fraction=0.5, seed=0)) == 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=6),
    st.floats(0.01, 0.9),
    st.floats(0.01, 0.9),
    st.integers(0, 9),
)
def test_both_parts_are_disjoint_complete_and_have_every_class(
    counts: list[int], val: float, test: float, seed: int
) -> None:
    index, _ = complete_splits(classes_of(*counts), val_fraction=val, test_fraction=test, seed=seed)
    parts = [row for split in ("train", "val", "test") for row in index.rows(split).tolist()]
    assert sorted(parts) == list(range(sum(counts)))
    for number, count in enumerate(counts):
        in_parts = [sizes(index, split)[number] for split in ("train", "val", "test")]
        assert in_parts[0] >= 1
        assert count < 2 or in_parts[1] >= 1
        assert count < 3 or in_parts[2] >= 1


def test_the_seed_decides_and_the_two_parts_are_drawn_apart() -> None:
    index = classes_of(60, 60)
    first = set_aside(index, split="val", fraction=0.25, seed=1)
    again = set_aside(index, split="val", fraction=0.25, seed=1)
    np.testing.assert_array_equal(first.splits, again.splits)
    for other in (("val", 2), ("test", 1)):
        rows = set_aside(index, split=other[0], fraction=0.25, seed=other[1]).rows(other[0])
        assert set(rows) != set(first.rows("val"))


def test_a_class_is_drawn_evenly() -> None:
    drawn = np.zeros(20)
    for seed in range(400):
        drawn[set_aside(classes_of(20), split="val", fraction=0.25, seed=seed).rows("val")] += 1
    assert abs(drawn - 100).max() < 40  # standard deviation 8.7


@pytest.mark.parametrize("count", [2, 3, 12, 25, 40, 103, 480])
@pytest.mark.parametrize("fraction", [0.15, 0.2, 0.5])
def test_a_number_is_set_aside_over_its_whole_range(count: int, fraction: float) -> None:
    values = np.random.default_rng(0).lognormal(size=count)
    index = set_aside(values_of(values), split="val", fraction=fraction, seed=3)
    chosen = index.rows("val")
    assert len(chosen) == max(1, round(fraction * count))
    ranks = np.sort(np.argsort(np.argsort(values))[chosen])
    edges = np.linspace(0, count, len(chosen) + 1).astype(int)
    assert ((edges[:-1] <= ranks) & (ranks < edges[1:])).all()  # one of each equal slice


def test_equal_numbers_are_drawn_from_evenly() -> None:
    drawn = np.zeros(20)
    for seed in range(400):
        drawn[set_aside(values_of(np.ones(20)), split="val", fraction=0.25, seed=seed).rows("val")] += 1
    assert abs(drawn - 100).max() < 40


def test_splits_of_the_data_set_stay_as_they_are() -> None:
    index = classes_of(10, 10)
    index.splits[:2], index.splits[10:12], index.splits[2:4] = "val", "val", "test"
    same, note = complete_splits(index, val_fraction=0.2, test_fraction=0.2, seed=0)
    assert same is index
    assert note == "The splits are the data set's own."


@pytest.mark.parametrize(
    ("present", "made", "note"),
    [
        (
            (),
            {"train": 64, "val": 16, "test": 20},
            "20% of the images for the test and 20% of the training images",
        ),
        (("test",), {"train": 72, "val": 18, "test": 10}, "20% of the training images for validation"),
        (("val",), {"train": 90, "val": 10}, None),
    ],
)
def test_missing_parts_are_made_and_said(
    present: tuple[str, ...], made: dict[str, int], note: str | None
) -> None:
    index = classes_of(50, 50)
    for split in present:
        index.splits[:5] = index.splits[50:55] = split
    complete, said = complete_splits(index, val_fraction=0.2, test_fraction=0.2, seed=7)
    assert {split: len(complete.rows(split)) for split in made} == made
    if note:
        assert said.startswith(f"Set aside, stratified, with seed 7: {note}")
        assert said.endswith("splits.csv names them.")


def test_no_test_part_is_made_when_none_is_wanted() -> None:
    index, note = complete_splits(classes_of(10, 10), val_fraction=0.2, test_fraction=0.0, seed=0)
    assert len(index.rows("test")) == 0
    assert "test" not in note


def read(file: Path) -> list[list[str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def test_splits_are_saved_and_can_be_read_again(tmp_path: Path) -> None:
    index, _ = complete_splits(classes_of(8, 8), val_fraction=0.25, test_fraction=0.25, seed=0)
    index = Index(**{**vars(index), "classes": ('a "quoted", name', "ñu")})
    save_splits(index, tmp_path / "splits.csv")
    header, *rows = read(tmp_path / "splits.csv")
    assert header == ["path", "split", "target"]
    paths, splits, names = zip(*rows, strict=True)
    assert paths == index.paths
    assert splits == tuple(index.splits)
    assert [index.classes.index(name) for name in names] == index.targets.tolist()


def test_numbers_are_saved_to_the_last_digit_and_no_target_is_empty(tmp_path: Path) -> None:
    index = values_of([1.5, 1 / 3, 1e-9])
    save_splits(index, tmp_path / "splits.csv")
    assert [float(row[2]) for row in read(tmp_path / "splits.csv")[1:]] == index.targets.tolist()
    index = classes_of(1, 1)
    index.targets[1] = -1
    save_splits(index, tmp_path / "splits.csv")
    assert [row[2] for row in read(tmp_path / "splits.csv")[1:]] == ["c0", ""]
