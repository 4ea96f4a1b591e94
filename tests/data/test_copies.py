"""Copies of a file are found by their content, and no split or fold divides them."""

import os
import shutil
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mirada.data import copies as module
from mirada.data.copies import find_copies
from mirada.data.index import Index
from mirada.data.splits import complete_splits, k_fold
from mirada.samples import Classes, Numbers


def index_of(root: Path, classes: int = 2) -> Index:
    paths = tuple(sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()))
    targets = np.arange(len(paths)) % classes
    return Index(
        root=root,
        paths=paths,
        targets=targets,
        splits=np.full(len(paths), "train", dtype="<U5"),
        target=Classes(tuple("abc"[:classes])),
    )


def numeric(index: Index) -> Index:
    return replace(index, target=Numbers(unit="x"), targets=index.targets.astype(np.float64))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """20 files of equal size with four copies each, ``img 3 (2).png``, and 20 that are alone."""
    folder = tmp_path / "data"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(40):
        content = random.bytes(200)
        (folder / f"img {number}.png").write_bytes(content)
        for copy in range(1, 5 if number < 20 else 1):
            (folder / f"img {number} ({copy}).png").write_bytes(content)
    return folder


def original(path: str) -> str:
    return path.partition(" (")[0].removesuffix(".png")


def splits_of(index: Index) -> dict[str, set[str]]:
    found = defaultdict(set)
    for path, split in zip(index.paths, index.splits.tolist(), strict=True):
        found[original(path)].add(split)
    return found


def test_copies_are_found(root: Path) -> None:
    found = find_copies(index_of(root))
    assert {original(path) for path in found} == {f"img {number}" for number in range(20)}
    assert len(found) == 100
    assert all(original(first) == original(path) and first <= path for path, first in found.items())


def test_files_that_differ_in_one_byte_anywhere_are_none(tmp_path: Path) -> None:
    base = bytes(100_000)
    for place in (0, 30_000, 50_000, 99_999):
        (tmp_path / f"{place}.png").write_bytes(base[:place] + b"x" + base[place + 1 :])
    (tmp_path / "shorter.png").write_bytes(base[:-1])
    assert find_copies(index_of(tmp_path)) == {}


def test_of_files_that_differ_at_a_glance_none_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        (tmp_path / f"{number}.dcm").write_bytes(bytes([number]) + bytes(99_999))
    monkeypatch.setattr(module, "read_image", None)
    assert find_copies(index_of(tmp_path)) == {}


def test_links_are_copies_and_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"one")
    (tmp_path / "b.png").symlink_to("a.png")
    os.link(tmp_path / "a.png", tmp_path / "c.png")
    index = index_of(tmp_path)
    gone = replace(index.take([0, 0]), paths=("gone.png", "gone, too.png"))
    assert set(find_copies(index)) == {"a.png", "b.png", "c.png"}
    assert find_copies(gone) == {}


def test_a_file_that_changes_is_looked_at_again(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"one")
    index = index_of(tmp_path)
    assert len(find_copies(index)) == 2
    (tmp_path / "b.png").write_bytes(b"two")
    assert find_copies(index) == {}


def test_rows_of_arrays(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (6, 4, 4), dtype=np.uint8)
    pictures[4] = pictures[1]
    np.savez(tmp_path / "a.npz", x=pictures)
    paths = tuple(f"a.npz#x-{row}" for row in range(6))
    index = replace(index_of(tmp_path).take([0] * 6), paths=paths)
    assert find_copies(index) == {"a.npz#x-1": "a.npz#x-1", "a.npz#x-4": "a.npz#x-1"}


@pytest.mark.parametrize("regression", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_no_split_divides_copies(root: Path, seed: int, regression: bool) -> None:
    index = numeric(index_of(root)) if regression else index_of(root)
    complete, note = complete_splits(index, val_fraction=0.2, test_fraction=0.2, seed=seed)
    assert set(map(len, splits_of(complete).values())) == {1}
    assert len(complete.rows("val")) > 10 < len(complete.rows("test"))
    assert note.endswith(" 80 images are copies of others, in the same split.")


@pytest.mark.parametrize("regression", [False, True])
def test_no_fold_divides_copies(root: Path, regression: bool) -> None:
    index = numeric(index_of(root)) if regression else index_of(root)
    tested: dict[str, set[int]] = defaultdict(set)
    for fold in range(4):
        part = k_fold(index, k=4, fold=fold, seed=0)
        for row in part.rows("test"):
            tested[original(part.paths[row])].add(fold)
        assert 20 <= len(part.rows("test")) <= 40
    assert len(tested) == 40 and set(map(len, tested.values())) == {1}


def test_without_copies_splits_are_what_they_were(root: Path, tmp_path: Path) -> None:
    """Files that exist and differ are split as names alone are."""
    alone = tmp_path / "alone"
    alone.mkdir()
    for file in sorted(root.iterdir()):
        (alone / file.name).write_bytes(file.name.encode())
    index = index_of(alone)
    nameless = replace(index, root=Path("nowhere"))
    fractions = {"val_fraction": 0.2, "test_fraction": 0.2, "seed": 3}
    (real, note), (absent, other) = (complete_splits(each, **fractions) for each in (index, nameless))
    np.testing.assert_array_equal(real.splits, absent.splits)
    assert note == other and "cop" not in note


def test_one_copy_is_told_in_the_singular(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"img {number}.png").write_bytes(bytes([number]))
    shutil.copy(tmp_path / "img 3.png", tmp_path / "img 3 (1).png")
    _, note = complete_splits(index_of(tmp_path), val_fraction=0.2, test_fraction=0.2, seed=0)
    assert note.endswith(" 1 image is a copy of another, in the same split.")


def test_copies_that_splits_of_their_own_divide_are_told(root: Path) -> None:
    index = index_of(root)
    own = replace(index, splits=np.where(np.arange(len(index)) % 2, "train", "test").astype("<U5"))
    same, note = complete_splits(own, val_fraction=0.0, test_fraction=0.2, seed=0)
    np.testing.assert_array_equal(same.splits, own.splits)
    assert "100 images have copies of the same content in another split" in note
    everything = replace(own, splits=np.where(np.arange(len(index)) % 2, "val", "test").astype("<U5"))
    assert "in another split" in complete_splits(everything, val_fraction=0.1, test_fraction=0.1, seed=0)[1]


def test_patients_that_share_a_picture_stay_two(root: Path) -> None:
    """A black slice that all patients have must not make them one; that it is divided is told."""
    index = index_of(root)
    grouped = replace(index, groups=tuple(f"patient {row % 10}" for row in range(len(index))))
    complete, note = complete_splits(grouped, val_fraction=0.2, test_fraction=0.2, seed=0)
    alone = replace(grouped, root=Path("nowhere"))
    np.testing.assert_array_equal(
        complete.splits, complete_splits(alone, val_fraction=0.2, test_fraction=0.2, seed=0)[0].splits
    )
    assert "images have copies of the same content in another split" in note


def test_a_copy_without_a_group_stays_with_its_like(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"img {number}.png").write_bytes(bytes([number // 3]))
    index = replace(index_of(tmp_path, 1), groups=("",) * 11 + ("p",))
    for seed in range(5):
        complete, _ = complete_splits(index, val_fraction=0.3, test_fraction=0.0, seed=seed)
        found: dict[str, set[str]] = defaultdict(set)
        for path, split, group in zip(complete.paths, complete.splits.tolist(), index.groups, strict=True):
            if not group:
                found[find_copies(index)[path]].add(split)
        assert set(map(len, found.values())) == {1}
