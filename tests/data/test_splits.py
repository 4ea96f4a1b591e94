"""Parts set aside: stratified, disjoint, complete, no group divided, and the same for the same seed."""

import csv
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mirada.data.index import Index
from mirada.data.sources import read_splits
from mirada.data.splits import (
    complete_splits,
    divided_groups,
    group_code,
    k_fold,
    save_splits,
    set_aside,
    splits_digest,
)
from mirada.errors import DataError, InvalidArgument
from mirada.samples import Classes, Covariate, Numbers, Source


def classes_of(*sizes: int) -> Index:
    """An index with so many training images in each class."""
    targets = np.repeat(np.arange(len(sizes)), sizes)
    return Index(
        root=Path("data"),
        paths=tuple(f"{target}/{row}.png" for row, target in enumerate(targets)),
        targets=targets,
        splits=np.full(len(targets), "train", dtype="<U5"),
        target=Classes(tuple(f"c{number}" for number in range(len(sizes)))),
    )


def values_of(values: object, names: tuple[str, ...] = ("",)) -> Index:
    targets = np.asarray(values, dtype=np.float64)
    return Index(
        root=Path("data"),
        paths=tuple(f"{row}.png" for row in range(len(targets))),
        targets=targets,
        splits=np.full(len(targets), "train", dtype="<U5"),
        target=Numbers(names, "months"),
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


@settings(max_examples=60)
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
    column, file = (
        complete_splits(
            replace(index, source=Source(path=Path(), split=split)),
            val_fraction=0.2,
            test_fraction=0.2,
            seed=0,
        )
        for split in ("fold", "runs/seed-1/splits.csv")
    )
    assert column[1] == note and file[1] == "The splits are those of runs/seed-1/splits.csv."


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
    index = replace(index, target=Classes(('a "quoted", name', "ñu")))
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
    assert [float(row[2]) for row in read(tmp_path / "splits.csv")[1:]] == index.targets[:, 0].tolist()
    index = classes_of(1, 1)
    index.targets[1] = -1
    save_splits(index, tmp_path / "splits.csv")
    assert [row[2] for row in read(tmp_path / "splits.csv")[1:]] == ["c0", ""]


def test_whatever_there_is_to_know_is_saved(tmp_path: Path) -> None:
    index = replace(
        values_of([[1.5, 2.0], [float("nan"), 4.0]], ("width", "height")),
        groups=("Ann", ""),
        covariates=np.array([[1.0, 70.5], [0.0, 80.0]]),
        covariate_specs=(Covariate("male"), Covariate("weight")),
    )
    save_splits(index, tmp_path / "splits.csv")
    code = f"hash-{blake2b(b'Ann', digest_size=6).hexdigest()}"
    assert read(tmp_path / "splits.csv") == [
        ["path", "split", "width", "height", "group", "male", "weight"],
        ["0.png", "train", "1.5", "2.0", code, "1.0", "70.5"],
        ["1.png", "train", "", "4.0", "", "0.0", "80.0"],
    ]


# --- groups -----------------------------------------------------------------------------------


def grouped(seed: int, groups: int, largest: int, *, numeric: bool = False) -> Index:
    """Up to ``largest`` images of each of so many groups; a class or an age of each, mostly the group's own."""
    rng = np.random.default_rng(seed)
    of_row = np.repeat(np.arange(groups), rng.integers(1, largest + 1, groups))
    if numeric:
        index = values_of(rng.uniform(0, 200, groups)[of_row] + rng.normal(size=len(of_row)))
    else:
        targets = np.where(rng.random(len(of_row)) < 0.9, rng.integers(0, 3, groups)[of_row], 0)
        paths = tuple(f"{row}.png" for row in range(len(of_row)))
        splits = np.full(len(of_row), "train", dtype="<U5")
        index = Index(
            root=Path("data"), paths=paths, targets=targets, splits=splits, target=Classes(("a", "b", "c"))
        )
    return replace(index, groups=tuple(f"patient {number}" for number in of_row))


def shuffled(index: Index, seed: int) -> Index:
    return index.take(np.random.default_rng(seed).permutation(len(index)))


def by_path(index: Index) -> dict[str, str]:
    return dict(zip(index.paths, index.splits.tolist(), strict=True))


Data = st.builds(grouped, st.integers(0, 10**6), st.integers(4, 60), st.integers(1, 8), numeric=st.booleans())


@settings(max_examples=80)
@given(Data, st.floats(0.05, 0.6), st.integers(0, 99))
def test_no_group_is_divided_and_the_order_does_not_matter(index: Index, fraction: float, seed: int) -> None:
    fractions = {"val_fraction": fraction, "test_fraction": fraction / 2, "seed": seed}
    complete, note = complete_splits(index, **fractions)
    assert divided_groups(complete) == {}
    assert note.startswith(f"Set aside, stratified, no group divided, with seed {seed}: ")
    assert complete.paths == index.paths
    assert set(complete.splits.tolist()) <= {"train", "val", "test"}
    assert "train" in complete.splits
    assert by_path(complete_splits(shuffled(index, seed), **fractions)[0]) == by_path(complete)


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([0.15, 0.2, 0.4]))
@example(712478, True, 0.4)  # the last slice has only small groups
def test_the_share_is_as_near_as_groups_allow(seed: int, numeric: bool, fraction: float) -> None:
    """Within half a group for each class, or for all numbers."""
    index = grouped(seed, 120, 6, numeric=numeric)
    chosen = len(set_aside(index, split="val", fraction=fraction, seed=seed).rows("val"))
    assert abs(chosen - fraction * len(index)) <= (1 if numeric else 3) * (6 / 2 + 0.5)


def test_classes_and_ranges_keep_their_shares_when_groups_are_drawn() -> None:
    index = grouped(0, 900, 3)
    val = set_aside(index, split="val", fraction=0.2, seed=0)
    for number in range(3):
        of_class = index.targets == number
        assert (val.splits[of_class] == "val").mean() == pytest.approx(0.2, abs=0.04)
    index = grouped(0, 900, 3, numeric=True)
    drawn = set_aside(index, split="val", fraction=0.2, seed=0).splits == "val"
    for low in range(0, 200, 25):
        here = (index.targets[:, 0] >= low) & (index.targets[:, 0] < low + 25)
        assert drawn[here].mean() == pytest.approx(0.2, abs=0.05)


def test_a_class_with_few_groups_gives_one_and_keeps_one() -> None:
    index = replace(
        classes_of(30, 8, 5), groups=tuple(["a", "b", "c"] * 10 + ["d"] * 6 + ["e"] * 2 + ["f"] * 5)
    )
    val = set_aside(index, split="val", fraction=0.2, seed=0)
    held = {group for group, split in zip(index.groups, val.splits, strict=True) if split == "val"}
    assert len(held & {"a", "b", "c"}) == 1  # each is a third, nearer to a fifth than none
    assert held - {"a", "b", "c"} == {"e"}  # the smaller one; and "f" is the only one of its class


def test_an_empty_group_and_a_file_named_twice() -> None:
    index = replace(classes_of(40), groups=("",) * 40)
    alone = set_aside(replace(index, groups=()), split="val", fraction=0.25, seed=0)
    np.testing.assert_array_equal(set_aside(index, split="val", fraction=0.25, seed=0).splits, alone.splits)
    twice = replace(index, groups=(), paths=tuple(f"{row // 2}.png" for row in range(40)))
    for seed in range(20):
        drawn = set_aside(twice, split="val", fraction=0.25, seed=seed)
        assert len(drawn.rows("val")) == 10
        assert (drawn.splits[::2] == drawn.splits[1::2]).all()


@pytest.mark.parametrize("make", [lambda n: classes_of(n, n // 4), lambda n: grouped(0, n // 3, 4)])
def test_files_that_come_later_move_few_others(make: Callable[[int], Index]) -> None:
    index = make(1000)
    fewer = index.take(np.random.default_rng(0).permutation(len(index))[: round(0.98 * len(index))])
    after, before = (
        by_path(complete_splits(part, val_fraction=0.2, test_fraction=0.15, seed=0)[0])
        for part in (index, fewer)
    )
    assert sum(after[path] != split for path, split in before.items()) < 0.02 * len(index)


def test_groups_that_the_data_itself_divides_are_left_and_said() -> None:
    index = replace(classes_of(4, 4), groups=("Ann", "Ann", "Bob", "Bob", "Cy", "Cy", "", ""))
    index.splits[[0, 4, 6]], index.splits[5] = "test", "val"
    complete, note = complete_splits(index, val_fraction=0.2, test_fraction=0.2, seed=0)
    assert complete is index
    assert {group: rows.tolist() for group, rows in divided_groups(index).items()} == {
        "Ann": [0, 1],
        "Cy": [4, 5],
    }
    assert note == (
        "The splits are the data set's own. 2 groups have images in several of its own splits, so results are too "
        'good; "mirada check" names them.'
    )
    index.splits[5] = "train"
    index.splits[4] = "train"
    assert "One group has images" in complete_splits(index, val_fraction=0.2, test_fraction=0.2, seed=0)[1]


def test_the_code_of_a_group() -> None:
    assert group_code("") == ""
    assert group_code("Ann") == f"hash-{blake2b(b'Ann', digest_size=6).hexdigest()}" != group_code("ann")


def test_the_code_of_a_code_is_itself_and_a_name_that_looks_like_one_is_not_let_out() -> None:
    assert group_code(group_code("Ann")) == group_code("Ann")
    for name in ("0123456789ab", "hash-0123456789AB", "hash-0123456789abc", "hash-0123456789ab "):
        assert name not in group_code(name) and group_code(group_code(name)) == group_code(name)


def test_all_images_of_one_group_cannot_be_divided() -> None:
    index = replace(classes_of(5, 4), groups=("Ann",) * 9)
    said = (
        rf"^data: all 9 images to train on belong to one group \({group_code('Ann')}\), so no part can be set aside "
        r"for validation without dividing it\. Name another `group`, none for no groups at all, or give the splits\.$"
    )
    with pytest.raises(DataError, match=said):
        complete_splits(index, val_fraction=0.2, test_fraction=0.2, seed=0)
    assert "val" not in complete_splits(index, val_fraction=0, test_fraction=0, seed=0)[0].splits
    index.splits[3] = "val"
    assert complete_splits(index, val_fraction=0.2, test_fraction=0.2, seed=0)[0] is index
    own = replace(classes_of(5, 4), groups=("Ann",) * 5 + ("Bob",) * 4)
    with pytest.raises(
        DataError, match=r"^data: the images to train on of each class belong to one group, so"
    ):
        complete_splits(own, val_fraction=0.2, test_fraction=0.2, seed=0)
    numbers = replace(values_of(range(9)), groups=own.groups)
    assert "val" in complete_splits(numbers, val_fraction=0.2, test_fraction=0.2, seed=0)[0].splits
    nameless = replace(classes_of(5, 4), groups=("",) * 9)
    assert "val" in complete_splits(nameless, val_fraction=0.2, test_fraction=0.2, seed=0)[0].splits


# --- folds ------------------------------------------------------------------------------------


def units_of(index: Index) -> dict[str, tuple[int, float]]:
    """How many images each group has, and its most frequent class, the smaller one of two."""
    found: dict[str, Counter[float]] = {}
    for group, target in zip(index.groups or index.paths, index.targets.ravel().tolist(), strict=True):
        found.setdefault(group, Counter())[target] += 1
    return {group: (each.total(), min(each, key=lambda t: (-each[t], t))) for group, each in found.items()}


def spread(counts: Counter[int], k: int) -> int:
    return max(counts[fold] for fold in range(k)) - min(counts[fold] for fold in range(k))


@settings(max_examples=150)
@given(Data, st.integers(2, 12), st.integers(0, 99))
def test_every_group_is_in_one_fold_and_folds_are_even(index: Index, k: int, seed: int) -> None:
    """Of every class, and in all, folds differ by no more images than the largest group has."""
    units = units_of(index)
    if len(units) < k:
        with pytest.raises(
            DataError, match=rf"data: {len(units)} groups are too few for {k} folds; one would be"
        ):
            k_fold(index, k=k, fold=0, seed=seed)
        return
    folds = [k_fold(index, k=k, fold=fold, seed=seed) for fold in range(k)]
    held = np.array([part.splits == "test" for part in folds])
    assert (held.sum(axis=0) == 1).all() and held.any(axis=1).all()
    assert all(divided_groups(part) == {} for part in folds)
    fold_of = dict(zip(index.groups, held.argmax(axis=0).tolist(), strict=True))
    in_all: Counter[int] = Counter()
    by_class: dict[float, Counter[int]] = {}
    for group, (size, target) in units.items():
        in_all[fold_of[group]] += size
        by_class.setdefault(target, Counter())[fold_of[group]] += size
    assert spread(in_all, k) <= max(size for size, _ in units.values())
    if isinstance(index.target, Classes):
        for target, counts in by_class.items():
            assert spread(counts, k) <= max(size for size, own in units.values() if own == target)
    again = k_fold(shuffled(index, seed), k=k, fold=k - 1, seed=seed)
    assert by_path(again) == by_path(folds[-1])


@settings(max_examples=60)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(2, 12), st.integers(0, 99))
def test_folds_of_single_images_differ_by_one(counts: list[int], k: int, seed: int) -> None:
    """Of every class and in all."""
    index = classes_of(*counts)
    if sum(counts) < k:
        are = "image is" if sum(counts) == 1 else "images are"
        with pytest.raises(DataError, match=f"{sum(counts)} {are} too few for {k} folds"):
            k_fold(index, k=k, fold=0, seed=seed)
        return
    table = np.array([sizes(k_fold(index, k=k, fold=fold, seed=seed), "test") for fold in range(k)])
    assert np.ptp(table, axis=0).max() <= 1 and np.ptp(table.sum(axis=1)) <= 1
    assert table.sum(axis=0).tolist() == counts


@pytest.mark.parametrize("seed", range(5))
def test_what_small_classes_leave_over_goes_to_different_folds(seed: int) -> None:
    index = replace(classes_of(8, 6, 6), groups=tuple(f"patient {row // 2}" for row in range(20)))
    for k in range(2, 11):
        rows = [len(k_fold(index, k=k, fold=fold, seed=seed).rows("test")) for fold in range(k)]
        assert sum(rows) == 20 and max(rows) - min(rows) == (0 if 10 % k == 0 else 2)


def test_numbers_of_groups_cover_their_range_in_every_fold() -> None:
    """Of five groups that are next to each other, each is in another fold; the largest group is as large as four."""
    values = np.random.default_rng(0).permutation(40)
    index = values_of(np.append(values, [values[0]] * 3))
    index = replace(index, groups=tuple(f"patient {value:.0f}" for value in index.targets[:, 0]))
    folds = [k_fold(index, k=5, fold=fold, seed=0) for fold in range(5)]
    for part in folds:
        slices = np.unique(index.targets[part.rows("test")]).astype(int) // 5
        assert slices.tolist() == list(range(8))
    assert sorted(len(part.rows("test")) for part in folds) == [8, 8, 8, 8, 11]


def test_a_class_is_dealt_by_lot() -> None:
    drawn = np.zeros(20)
    for seed in range(400):
        drawn[k_fold(classes_of(20), k=4, fold=0, seed=seed).rows("test")] += 1
    assert abs(drawn - 100).max() < 40  # standard deviation 8.7


def test_folds_of_single_numbers_that_have_been_reported() -> None:
    """Drawn by the first version of k_fold; docs/guide/bone-age.md has a run whose folds are made so."""
    index = values_of(np.arange(23) ** 2)
    rows = [k_fold(index, k=5, fold=fold, seed=0).rows("test").tolist() for fold in range(5)]
    assert rows == [
        [1, 7, 9, 14, 22],
        [4, 5, 12, 19],
        [2, 3, 13, 15, 20],
        [6, 8, 11, 17],
        [0, 10, 16, 18, 21],
    ]


@pytest.mark.parametrize("k", range(2, 13))
def test_folds_of_single_numbers_differ_by_one(k: int) -> None:
    for count in range(k, 40):
        index = values_of(np.arange(count))
        rows = [k_fold(index, k=k, fold=fold, seed=count).rows("test") for fold in range(k)]
        assert np.sort(np.concatenate(rows)).tolist() == list(range(count))
        assert {len(each) for each in rows} <= {count // k, count // k + 1}


def test_folds_of_a_number_each_cover_its_range() -> None:
    index = values_of(np.random.default_rng(0).lognormal(size=103))
    ranks = np.argsort(np.argsort(index.targets[:, 0]))
    for fold in range(5):
        rows = k_fold(index, k=5, fold=fold, seed=0).rows("test")
        assert len(rows) in (20, 21)
        assert np.histogram(ranks[rows], bins=4, range=(0, 103))[0].min() >= 3
    other = k_fold(index, k=5, fold=0, seed=1).rows("test")
    assert set(other) != set(k_fold(index, k=5, fold=0, seed=0).rows("test"))


def test_a_fold_leaves_the_rest_to_training_and_validation() -> None:
    fold = k_fold(classes_of(50, 50), k=5, fold=2, seed=0)
    complete, note = complete_splits(fold, val_fraction=0.25, test_fraction=0.5, seed=0)
    assert sizes(complete, "test") == [10, 10] and sizes(complete, "val") == [10, 10]
    assert "for the test" not in note
    own = classes_of(50, 50)
    own.splits[:5] = "test"
    fold = k_fold(own, k=5, fold=0, seed=0, split="val")
    assert sizes(fold, "test") == [5, 0] and sizes(fold, "val") == [9, 10]
    with pytest.raises(DataError, match="data: has a test split of 5 images"):
        k_fold(own, k=5, fold=0, seed=0)


@pytest.mark.parametrize(("k", "fold"), [(1, 0), (5, 5), (5, -1), (0, 0)])
def test_folds_that_are_not_there(k: int, fold: int) -> None:
    with pytest.raises(InvalidArgument, match=f"Got {k} and {fold}"):
        k_fold(classes_of(9, 9), k=k, fold=fold, seed=0)


# --- splits read again ------------------------------------------------------------------------


def test_saved_splits_are_applied_again(tmp_path: Path) -> None:
    index, _ = complete_splits(grouped(0, 40, 4), val_fraction=0.25, test_fraction=0.25, seed=3)
    save_splits(index, tmp_path / "splits.csv")
    fresh = shuffled(grouped(0, 40, 4), 1)
    assert by_path(read_splits(tmp_path / "splits.csv", fresh)) == by_path(index)
    fewer = index.take(range(2, len(index)))
    save_splits(fewer, tmp_path / "splits.csv")
    read = read_splits(tmp_path / "splits.csv", index)
    assert by_path(read) == by_path(fewer)
    assert [(item.path, item.reason) for item in read.excluded] == [
        (path, "splits.csv does not name it") for path in ("0.png", "1.png")
    ]
    assert by_path(read_splits(tmp_path / "splits.csv", read)) == by_path(fewer)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,split\n0/0.png,train\nx.png,val\ny.png,val\n", "2 of the files that it names are not in data, x.png"),
        ("path,target\n0/0.png,cat\n", "expected a table with the columns path and split; it has path, target."),
        ("path,split\n0/0.png,holdout\n", ': row 2: a split is train, val or test. Got "holdout".'),
        ("path,split\n0/0.png\n", ': row 2: a split is train, val or test. Got "".'),
        ("path,split\n0/0.png,val\n0/0.png,test\n", ": row 3: 0/0.png is in val and in test."),
    ],
)  # fmt: skip
def test_tables_that_do_not_fit(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "splits.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        read_splits(tmp_path / "splits.csv", classes_of(3))
    assert str(caught.value).startswith(str(tmp_path / "splits.csv")) and said in str(caught.value)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " , "])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_tables_by_others(delimiter: str, encoding: str, tmp_path: Path) -> None:
    rows = ((" Path", "split "), ("0/0.png", "Training"), ("0/1.png", "valid"), ("0/2.png", " TEST"))
    text = "".join(delimiter.join(row) + "\n" for row in rows)
    (tmp_path / "splits.txt").write_text(text, encoding=encoding)
    read = read_splits(tmp_path / "splits.txt", classes_of(3))
    assert read.splits.tolist() == ["train", "val", "test"]


def test_a_path_that_begins_with_a_space(tmp_path: Path) -> None:
    index = set_aside(classes_of(6, 4), split="val", fraction=0.3, seed=0)
    index = replace(index, paths=tuple(f" {path}" for path in index.paths))
    save_splits(index, tmp_path / "splits.csv")
    assert by_path(read_splits(tmp_path / "splits.csv", index)) == by_path(index)


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"splits\.csv: cannot be read \(no such file or directory\)\.$"):
        read_splits(tmp_path / "splits.csv", classes_of(3))
    (tmp_path / "splits.csv").touch()
    with pytest.raises(DataError, match=r"splits\.csv: "):
        read_splits(tmp_path / "splits.csv", classes_of(3))


def test_the_digest_of_splits_knows_rows_but_not_their_order() -> None:
    index = set_aside(classes_of(6, 4), split="val", fraction=0.3, seed=0)
    digest = splits_digest(index)
    text = "\n".join(
        sorted(f"{path}\t{split}" for path, split in zip(index.paths, index.splits, strict=True))
    )
    assert digest == blake2b(text.encode(), digest_size=8).hexdigest()
    assert splits_digest(index.take(np.arange(len(index))[::-1])) == digest
    moved = index.splits.copy()
    moved[index.rows("val")[0]] = "test"
    assert splits_digest(replace(index, splits=moved)) != digest
    assert splits_digest(index.take(range(9))) != digest


def test_names_that_are_gone_may_be_passed_over(tmp_path: Path) -> None:
    index = set_aside(classes_of(6, 4), split="val", fraction=0.3, seed=0)
    save_splits(index, tmp_path / "splits.csv")
    plain = classes_of(6, 4).take(range(1, 10))
    with pytest.raises(DataError, match=r"1 of the files that it names are not in data, 0/0\.png first"):
        read_splits(tmp_path / "splits.csv", plain)
    found = read_splits(tmp_path / "splits.csv", plain, missing_ok=True)
    assert found.splits.tolist() == index.splits.tolist()[1:] and found.excluded == ()


def test_the_groups_of_a_saved_table(tmp_path: Path) -> None:
    """They come back by their codes, where the index has none of its own."""
    index = replace(classes_of(4, 4), groups=tuple("aabbccdd"))
    save_splits(set_aside(index, split="test", fraction=0.3, seed=0), tmp_path / "splits.csv")
    plain = read_splits(tmp_path / "splits.csv", classes_of(4, 4))
    assert plain.groups == tuple(map(group_code, "aabbccdd"))
    assert read_splits(tmp_path / "splits.csv", index).groups == index.groups
    save_splits(plain, tmp_path / "again.csv")  # by the same code, so that the tables of both join
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "splits.csv").read_bytes()
    old = (tmp_path / "splits.csv").read_text().replace("hash-", "")  # before codes could be told from names
    (tmp_path / "old.csv").write_text(old)
    bare = read_splits(tmp_path / "old.csv", classes_of(4, 4))
    assert [f"hash-{group}" for group in bare.groups] == list(plain.groups)
    assert not set(map(group_code, bare.groups)) & set(plain.groups)
    save_splits(classes_of(2, 2), tmp_path / "none.csv")
    assert read_splits(tmp_path / "none.csv", classes_of(2, 2)).groups == ()


def test_names_that_a_spreadsheet_would_calculate_are_saved_harmless_and_read_again(tmp_path: Path) -> None:
    index, _ = complete_splits(grouped(0, 40, 4), val_fraction=0.25, test_fraction=0.25, seed=3)
    index = replace(index, paths=("=1+1.png", "\t=1.png", "@a.png", "-d.png", "'=q.png", *index.paths[5:]))
    save_splits(index, tmp_path / "splits.csv")
    with (tmp_path / "splits.csv").open(newline="") as file:
        assert not [row["path"] for row in csv.DictReader(file) if row["path"].lstrip()[:1] in set("=+-@")]
    assert by_path(read_splits(tmp_path / "splits.csv", index)) == by_path(index)
