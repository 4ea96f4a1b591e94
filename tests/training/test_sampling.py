"""Balanced epochs: every class equally often, nobody forgotten, a function of seed and epoch."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirada.data.sampling import balanced, visits


@settings(max_examples=60)
@given(st.lists(st.integers(min_value=1, max_value=40), min_size=2, max_size=5), st.integers(0, 9))
def test_every_class_comes_equally_often(sizes: list[int], epoch: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    rows = np.arange(len(labels)) + 100
    order = balanced(rows, labels, seed=3, epoch=epoch)
    share = -(-len(labels) // len(sizes))
    assert len(order) == visits(labels) == share * len(sizes)
    assert Counter(labels[order - 100].tolist()) == dict.fromkeys(range(len(sizes)), share)
    for label, size in enumerate(sizes):
        times = [np.count_nonzero(order == row) for row in rows[labels == label]]
        assert max(times) - min(times) <= 1
        if size <= share:
            assert min(times) >= 1


def test_equal_classes_are_a_plain_shuffle() -> None:
    rows = np.arange(12)
    assert sorted(balanced(rows, rows % 3, seed=0, epoch=1)) == rows.tolist()


def test_it_is_a_function_of_seed_and_epoch() -> None:
    rows, labels = np.arange(30), (np.arange(30) > 24).astype(np.int64)
    first = balanced(rows, labels, seed=0, epoch=1)
    np.random.rand(4)  # draws elsewhere do not matter
    assert np.array_equal(balanced(rows, labels, seed=0, epoch=1), first)
    for other in (balanced(rows, labels, seed=0, epoch=2), balanced(rows, labels, seed=1, epoch=1)):
        assert set(first) != set(other)  # another part of the large class


def test_the_large_class_is_seen_in_time() -> None:
    """14 of its 25 each epoch: after twelve, hardly one can have been left out."""
    rows, labels = np.arange(27), (np.arange(27) > 24).astype(np.int64)
    seen = np.concatenate([balanced(rows, labels, seed=0, epoch=epoch) for epoch in range(1, 13)])
    assert set(seen.tolist()) == set(range(27))


@pytest.mark.parametrize("size", [1, 7])
def test_a_single_class(size: int) -> None:
    assert sorted(balanced(np.arange(size), np.zeros(size, np.int64), seed=0, epoch=1)) == list(range(size))
