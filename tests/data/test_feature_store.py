"""Rows are kept as they were written, or they are as if they were not there."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mirada.data.cache_files import clear_cache, kept_caches
from mirada.data.feature_store import FeatureStore
from mirada.errors import DataError

SHAPE, KEY = (2, 3, 4), "0123456789abcdef"
IMAGES = ["aa", "bb", "cc", "dd"]


def rows_of(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((count, *SHAPE), dtype=np.float32)


@pytest.fixture
def caches(tmp_path: Path) -> Path:
    return tmp_path / "caches"


def opened(caches: Path) -> FeatureStore:
    return FeatureStore(caches.parent / "images", KEY, SHAPE, np.dtype(np.float32), caches)


def filled(caches: Path) -> FeatureStore:
    store = opened(caches)
    with store.alone(lambda: None):
        store.add("one", IMAGES[:3], [rows_of(2), rows_of(1, 1)])
        store.add("two", IMAGES[:1], [rows_of(1, 2)])
    return store


def test_rows_come_back(caches: Path) -> None:
    filled(caches)
    store = opened(caches)
    assert store.missing("one", [*IMAGES, "aa"]) == ["dd"] and store.missing("two", IMAGES) == IMAGES[1:]
    both = np.concatenate((rows_of(2), rows_of(1, 1)))
    np.testing.assert_array_equal(store.read("one", ["cc", "aa", "cc"]), both[[2, 0, 2]])
    np.testing.assert_array_equal(store.read("two", ["aa"]), rows_of(1, 2))
    with store.alone(lambda: None):
        store.add("one", ["dd"], [rows_of(1, 3)])
    np.testing.assert_array_equal(store.read("one", ["dd", "bb"])[0], rows_of(1, 3)[0])


def test_opening_writes_nothing(caches: Path) -> None:
    store = opened(caches)
    assert store.missing("one", IMAGES) == IMAGES and store.free() > 0 and not caches.exists()


def test_rows_that_came_before_an_end_are_kept(caches: Path) -> None:
    store = opened(caches)
    with store.alone(lambda: None):
        store.add("one", IMAGES, [rows_of(2)])
        store.add("two", IMAGES, [])
    again = opened(caches)
    assert again.missing("one", IMAGES) == ["cc", "dd"] and again.missing("two", IMAGES) == IMAGES
    assert len(list(again.folder.iterdir())) == 2


def test_rows_that_cannot_be_computed_leave_nothing(caches: Path) -> None:
    def failing() -> Iterator[NDArray[np.float32]]:
        yield rows_of(1)
        raise KeyboardInterrupt

    store = filled(caches)
    before = sorted(store.folder.iterdir())
    with pytest.raises(KeyboardInterrupt), store.alone(lambda: None):
        store.add("three", IMAGES, failing())
    assert sorted(store.folder.iterdir()) == before


def test_a_changed_row_is_missing(caches: Path) -> None:
    folder = filled(caches).folder
    file = max(folder.glob("features-*.bin"), key=lambda each: each.stat().st_size)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert opened(caches).missing("one", IMAGES) == ["bb", "dd"]


@pytest.mark.parametrize("change", ["cut", "gone", "list", "list gone", "outside", "version"])
def test_what_is_damaged_is_not_there(caches: Path, change: str) -> None:
    folder = filled(caches).folder
    files, listing = list(folder.glob("features-*.bin")), folder / "features.json"
    match change:
        case "cut":
            for file in files:
                file.write_bytes(file.read_bytes()[:-1])
        case "gone":
            for file in files:
                file.unlink()
        case "list":
            listing.write_text(listing.read_text().replace("aa", "ab"))
        case "list gone":
            listing.unlink()
        case "outside":
            listing.write_text(json.dumps({"format": 1, "root": "", "parts": []}))
        case "version":
            listing.write_text('{"format": 0, "digest": "00"}')
    store = opened(caches)
    assert store.missing("one", IMAGES) == IMAGES
    with store.alone(lambda: None):
        store.add("one", IMAGES, [rows_of(4)])
    assert opened(caches).missing("one", IMAGES) == []


def test_leftovers_go(caches: Path) -> None:
    folder = filled(caches).folder
    for name in (".0123456789abcdef.bin", "features-000000000000.bin"):
        (folder / name).write_bytes(b"rest")
    (folder / "of somebody else").touch()
    with opened(caches).alone(lambda: None):
        pass
    assert len(list(folder.iterdir())) == 4


def test_a_file_that_is_cut_while_it_is_read(caches: Path) -> None:
    store = filled(caches)
    for file in store.folder.glob("features-*.bin"):
        file.write_bytes(b"")
    with pytest.raises(DataError, match="were cut while they were read"):
        store.read("one", ["aa"])


def test_it_is_counted_and_cleared_with_the_pixels(caches: Path) -> None:
    store = filled(caches)
    (kept,) = kept_caches(caches)
    assert (kept.root, kept.images) == (store.root, 3)
    assert kept.bytes == sum(file.stat().st_size for file in store.folder.iterdir())
    assert clear_cache(kept.folder) and not kept.folder.exists()
    np.testing.assert_array_equal(store.read("two", ["aa"]), rows_of(1, 2))  # who reads it keeps it


def test_who_waits_finds_what_the_other_has_added(caches: Path) -> None:
    first, second = opened(caches), opened(caches)
    waited, found = threading.Event(), []

    def wait_and_look() -> None:
        with second.alone(waited.set):
            found.append(second.missing("one", IMAGES))

    with first.alone(lambda: None):
        thread = threading.Thread(target=wait_and_look)
        thread.start()
        assert waited.wait(20)
        first.add("one", IMAGES[:3], [rows_of(3)])
    thread.join(20)
    assert found == [["dd"]]
