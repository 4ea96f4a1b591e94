"""The thread pool: order, errors, progress, and nothing left changed."""

import threading
import time
import warnings

import pytest

from mirada.data import parallel
from mirada.data.parallel import parallel_map
from mirada.events import Progress


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel.os, "cpu_count", lambda: 2)


def test_results_come_in_the_order_of_the_items() -> None:
    def late(item: int) -> int:
        time.sleep(0.002 * (item % 3))
        return item * item

    assert list(parallel_map(late, range(50), what="")) == [n * n for n in range(50)]
    assert list(parallel_map(late, [], what="")) == []


def test_an_error_reaches_the_consumer_in_its_turn() -> None:
    def fail(item: int) -> int:
        if item == 3:
            raise KeyError("three")
        return item

    got: list[int] = []
    with pytest.raises(KeyError, match="three"):
        got.extend(parallel_map(fail, range(1000), what=""))
    assert got == [0, 1, 2]


def test_after_an_error_what_waits_is_not_begun(two_cores: None) -> None:
    begun: list[int] = []

    def fail(item: int) -> None:
        begun.append(item)
        if item == 0:
            raise KeyError("zero")
        time.sleep(0.2)

    with pytest.raises(KeyError, match="zero"):
        list(parallel_map(fail, range(1000), what=""))
    assert len(begun) <= 4  # 0, one beside it, and what either thread took before the others were cancelled


def test_a_consumer_that_stops_stops_the_work(two_cores: None) -> None:
    begun: list[int] = []
    threads = threading.active_count()
    with pytest.raises(RuntimeError, match="enough"):
        for result in parallel_map(lambda item: begun.append(item) or item, range(1000), what=""):
            if result == 5:
                raise RuntimeError("enough")
    assert len(begun) <= 6 + parallel.AHEAD * 2
    assert threading.active_count() == threads


def test_only_so_many_results_wait(two_cores: None) -> None:
    done: list[int] = []
    results = parallel_map(lambda item: done.append(item) or item, range(100), what="")
    next(results)
    time.sleep(0.05)
    assert len(done) <= 1 + parallel.AHEAD * 2
    results.close()


@pytest.mark.parametrize("tick", [0.0, 3600.0])
def test_progress_ends_at_the_total(monkeypatch: pytest.MonkeyPatch, tick: float) -> None:
    monkeypatch.setattr(parallel, "TICK", tick)
    heard: list[Progress] = []
    assert len(list(parallel_map(str, range(7), what="reading", on_event=heard.append))) == 7
    assert heard[-1] == Progress("reading", 7, 7)
    done = [event.done for event in heard]
    assert done == sorted(set(done))
    assert done == list(range(1, 8)) or tick


def test_warnings_are_silent_meanwhile_and_as_before_afterwards() -> None:
    before = list(warnings.filters)

    def warn(item: int) -> int:
        warnings.warn("odd file", stacklevel=1)
        return item

    assert list(parallel_map(warn, range(5), what="")) == list(range(5))
    assert warnings.filters == before
    with pytest.raises(ZeroDivisionError):
        list(parallel_map(lambda item: 1 // item, [0], what=""))
    assert warnings.filters == before
    stopped = parallel_map(warn, range(5), what="")
    next(stopped)
    stopped.close()
    assert warnings.filters == before
