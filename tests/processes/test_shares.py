"""Who does what: the same order for any number of processes, every image once, and what travels between 64 of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirada.data.batches import batch_rows, shuffled, steps_per_epoch
from mirada.processes.shares import ends, rows_of_chunks, share, traffic


@given(st.integers(0, 500), st.integers(1, 80), st.integers(1, 4))
def test_shares_in_a_row_are_the_whole(count: int, size: int, least: int) -> None:
    parts = [range(count)[share(count, rank, size, least=least)] for rank in range(size)]
    assert [each for part in parts for each in part] == list(range(count))
    lengths = [len(part) for part in parts if part]
    assert not lengths or max(lengths) - min(lengths) <= 1
    assert all(length >= min(least, count) for length in lengths)


@given(st.integers(0, 3000), st.integers(1, 70), st.integers(1, 70))
def test_chunks_are_whole(count: int, chunk: int, size: int) -> None:
    counts = rows_of_chunks(count, chunk, size)
    assert len(counts) == size and sum(counts) == count
    assert all(sum(counts[: rank + 1]) % chunk == 0 or sum(counts[rank + 1 :]) == 0 for rank in range(size))
    assert ends(0, 3) == [0, 0, 0, 0]


def visited(
    seed: int, epoch: int, rows: np.ndarray, batch_size: int, size: int, start: int = 0
) -> list[list[int]]:
    """The images of each step of an epoch from ``start`` on, as ``size`` processes see them, one after the other."""
    order = shuffled(rows, seed=seed, epoch=epoch)
    steps = steps_per_epoch(len(rows), batch_size)
    found = []
    for step in range(start, steps):
        batch = batch_rows(order, batch_size=batch_size, step=step)
        found.append(
            [int(row) for rank in range(size) for row in batch[share(len(batch), rank, size, least=2)]]
        )
    return found


@pytest.mark.parametrize("batch_size", [16, 37, 256])
@pytest.mark.parametrize("size", [2, 3, 4, 64])
def test_the_order_is_that_of_one_process(size: int, batch_size: int) -> None:
    rows = np.arange(100, 1033)
    for epoch in (1, 2, 7):
        assert visited(3, epoch, rows, batch_size, size) == visited(3, epoch, rows, batch_size, 1)


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (4, 64), (64, 3)])
def test_every_image_once_when_the_number_of_processes_changes(before: int, after: int) -> None:
    """Stopped after seven steps, and resumed on another number of processes: none twice, none missed, same order."""
    rows = np.arange(933)
    first, rest = visited(0, 5, rows, 32, before)[:7], visited(0, 5, rows, 32, after, start=7)
    seen = [row for step in first + rest for row in step]
    assert sorted(seen) == rows.tolist() and first + rest == visited(0, 5, rows, 32, 1)


def ring(values: list[np.ndarray]) -> tuple[list[np.ndarray], int]:
    """Adds arrays up in a ring, as all_reduce does: what each process then has, and the numbers that it has sent."""
    size = len(values)
    parts = [np.array_split(value.copy(), size) for value in values]
    sent = 0
    for way in ("add", "copy"):
        for turn in range(size - 1):
            moves = [(rank, (rank - turn + (way == "copy")) % size) for rank in range(size)]
            messages = [(rank, part, parts[rank][part].copy()) for rank, part in moves]
            sent += len(messages[0][2])
            for rank, part, message in messages:
                there = parts[(rank + 1) % size]
                there[part] = there[part] + message if way == "add" else message
    return [np.concatenate(each) for each in parts], sent


@pytest.mark.parametrize("size", [2, 5, 64])
def test_traffic_is_that_of_a_ring(size: int) -> None:
    count = 64 * 5 * 6
    values = [np.random.default_rng(rank).integers(0, 99, count) for rank in range(size)]
    sums, sent = ring(values)
    assert all((each == sum(values)).all() for each in sums)
    assert 4 * sent == traffic(size, 4 * count)


def test_traffic_hardly_grows() -> None:
    """resnet50: 25.6 million parameters in float32, 102 MB; a process of 2, 64 and 1,024 sends at most twice that."""
    gradients = 4 * 25_557_032
    assert traffic(2, gradients) == gradients
    assert traffic(64, gradients) < traffic(1024, gradients) < 2 * gradients
