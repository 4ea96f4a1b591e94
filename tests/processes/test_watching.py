"""A process that is dead or stuck is found, by its own clock alone; one that is slow, or waits, is not."""

import threading
from collections.abc import Callable

import pytest

from mirada.processes import watching
from mirada.processes.watching import ACTIVE, BEAT, DEAD, STUCK, Watch, Watched

PLACE = "17 on node-3"


def test_dead() -> None:
    watched = Watched(1, now=0.0)
    assert watched.hear(f"1 0.5 0 {PLACE}", 1.0) == ""
    assert watched.hear(f"1 0.5 0 {PLACE}", DEAD) == ""
    assert watched.hear(f"1 0.5 0 {PLACE}", DEAD + 1.0) == "has given no sign of life for 20 seconds"
    assert watched.place == PLACE
    assert DEAD + 3 * BEAT < 60 and STUCK + 3 * BEAT < 60


def test_one_that_never_spoke_is_dead() -> None:
    watched = Watched(1, now=0.0)
    assert watched.hear("", DEAD - 1) == "" and watched.hear("", DEAD) != ""


def test_stuck_slow_and_waiting() -> None:
    def after(seconds: int, computes: float, waits: int) -> str:
        watched, why = Watched(1, now=0.0), ""
        for number in range(0, seconds, 2):
            why = why or watched.hear(f"{number} {number * computes:.2f} {waits} {PLACE}", float(number))
        return why

    assert after(600, computes=1.0, waits=0) == ""  # slow: a step may take minutes
    assert after(600, computes=0.0, waits=1) == ""
    assert after(600, computes=ACTIVE / STUCK / 2, waits=0).startswith("has computed nothing for")
    assert after(int(STUCK) - 2, computes=0.0, waits=0) == ""


def test_one_that_is_done_is_not_missed() -> None:
    watched = Watched(1, now=0.0)
    assert watched.hear("done", 10_000.0) == ""


class Slips(dict[str, bytes]):
    """Stands for torchrun's store."""

    def set(self, key: str, value: str) -> None:
        self[key] = value.encode()

    def get(self, key: str) -> bytes:  # type: ignore[override]
        return self[key]

    def check(self, keys: list[str]) -> bool:
        return all(key in self for key in keys)


class Gone(Slips):
    """The store of a process that has died."""

    def check(self, keys: list[str]) -> bool:
        raise RuntimeError("Connection reset by peer")


class Silent(Slips):
    """The store of a process that is stopped, or whose machine is lost: it never answers."""

    def check(self, keys: list[str]) -> bool:
        threading.Event().wait(3)
        return False


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "BEAT", 0.01)
    monkeypatch.setattr(watching, "DEAD", 0.2)


def heard(use: Callable[[Callable[[str], None]], Watch]) -> str:
    found: list[str] = []
    told = threading.Event()

    def on_lost(sentence: str) -> None:
        found.append(sentence)
        told.set()

    watch = use(on_lost)
    with watch.running():
        assert told.wait(30)
    assert watch.who_is_lost() == found[0]
    return found[0]


def test_everybody_hears_who_is_lost(hasty: None) -> None:
    """The one before it finds it, and leaves word for all the others."""
    notes = Slips()
    notes.set("mirada/watch/1", f"1 0.0 0 {PLACE}")
    first = heard(lambda on_lost: Watch(notes, 0, 3, on_lost))
    assert first.startswith(f"Process 1 of 3 ({PLACE}) has given no sign of life for")
    assert first.endswith("mirada train --resume goes on with it.")
    assert heard(lambda on_lost: Watch(notes, 2, 3, on_lost)) == first


def test_a_store_that_is_gone_was_the_first_processs(hasty: None) -> None:
    assert heard(lambda on_lost: Watch(Gone(), 1, 2, on_lost)).startswith(
        "The first process, or its torchrun"
    )


def test_a_store_that_does_not_answer_is_lost(hasty: None) -> None:
    found: list[str] = []
    told = threading.Event()
    watch = Watch(Silent(), 1, 2, lambda said: (found.append(said), told.set())[0])
    with watch.running():
        assert told.wait(2)
    assert found[0].startswith("The first process, or its torchrun, is lost.")


def test_two_that_are_well_find_nothing(hasty: None) -> None:
    notes, found = Slips(), []
    with Watch(notes, 0, 2, found.append).running(), Watch(notes, 1, 2, found.append).running() as _:
        threading.Event().wait(0.5)
    assert not found and notes["mirada/watch/0"] == notes["mirada/watch/1"] == b"done"
