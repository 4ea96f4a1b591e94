"""How processes that train together notice that one of them is dead or stuck, within a minute, and which one it is.

Each process has a thread that says every two seconds, in the store of torchrun, that it is there: how much it has
computed so far, and whether it waits for others. It looks after the next process alone, so that a thousand of them do
not ask a million times; what it finds it leaves in the store, where all look.

1. A process that has said nothing for ``DEAD`` seconds is dead, or its machine is.
2. A process that neither waits for others nor has used ``ACTIVE`` seconds of processor time within ``STUCK`` seconds is
   stuck: in a lock, at a disk that does not answer, or stopped. One that is slow, but computes, is waited for.
3. A store that has not answered for ``DEAD`` seconds lies in a first process, or a torchrun, that is stopped, or on a
   machine that is lost: whoever asks it waits for good, so that a second thread has to notice.
"""

import os
import platform
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

BEAT = 2.0  # seconds between two signs of life
DEAD, STUCK = 20.0, 28.0
ACTIVE = 0.2  # seconds: what the thread itself takes is a tenth of it
LOST, FAILED, DONE = "lost", "failed", "done"
NO_STORE = "The first process, or its torchrun, is lost."
GOES_ON = "The training ends; mirada train --resume goes on with it."
OnLost = Callable[[str], None]


class Notes(Protocol):
    """What is needed of torchrun's store, which all processes read and write."""

    def set(self, key: str, value: str) -> None:
        """Writes a value."""

    def get(self, key: str) -> bytes:
        """Reads a value; waits until there is one."""

    def check(self, keys: list[str]) -> bool:
        """Whether all of these are there."""


def end_by_signal(sentence: str) -> None:
    """Warns, and ends this process by TERM, also while it waits for one that is lost."""
    warnings.warn(sentence, RuntimeWarning, stacklevel=2)
    os.kill(os.getpid(), signal.SIGTERM)


_when_lost: OnLost = end_by_signal


def when_lost(do: OnLost) -> None:
    """Says what a process does once another one is lost, with the sentence that names it, in a thread of its own."""
    global _when_lost
    _when_lost = do


class Watched:
    """What is known of the process that one looks after.

    Args:
        rank: Its.
        now: When that begins, in seconds of any clock.
    """

    def __init__(self, rank: int, now: float) -> None:
        self.rank = rank
        self.said = ""
        self.place = "a process that never spoke"
        self.heard = self.active = now
        self.computed = 0.0

    def hear(self, said: str, now: float) -> str:
        """Takes up what it says now: why it is lost, or "" if it is not.

        Args:
            said: ``number computed waiting place``, where ``number`` is another one each time; "" for nothing yet.
            now: The time.
        """
        if said.startswith(DONE):
            self.heard = self.active = now
            return ""
        if said and said != self.said:
            self.said, self.heard = said, now
            _, computed, waits, self.place = said.split(" ", 3)
            if waits == "1" or float(computed) - self.computed >= ACTIVE:
                self.computed, self.active = float(computed), now
        if now - self.heard >= DEAD:
            return f"has given no sign of life for {now - self.heard:.0f} seconds"
        if now - self.active >= STUCK:
            return f"has computed nothing for {now - self.active:.0f} seconds"
        return ""


class Watch:
    """The thread of one process that says it is there, and looks after another.

    Args:
        store: Torchrun's.
        rank: Of this process.
        size: Processes.
        on_lost: Called once, in the thread, with a sentence that names the process that is lost; by default what
            ``when_lost`` was told.
    """

    def __init__(self, store: Notes, rank: int, size: int, on_lost: OnLost | None = None) -> None:
        self.store = store
        self.rank = rank
        self.size = size
        self.on_lost = on_lost or _when_lost
        self.waits = False
        self.lost = ""
        self.over = threading.Event()
        self.looks = 0
        self.neighbour = Watched((rank + 1) % size, time.monotonic())

    @contextmanager
    def running(self) -> Iterator[None]:
        """Watches for the time of the context."""
        threads = [threading.Thread(target=each, daemon=True) for each in (self._watch, self._mind_the_store)]
        for thread in threads:
            thread.start()
        try:
            yield
        except BaseException:
            self._note(FAILED, f"{self._name(self.rank, _place())} has ended with an error.")
            raise
        finally:
            self.over.set()
            for thread in threads:
                thread.join(DEAD)
            self._note(str(self.rank), DONE)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """For the time of the context this process waits for others, and nobody wonders that it computes nothing."""
        self.waits = True
        try:
            yield
        finally:
            self.waits = False

    def who_is_lost(self) -> str:
        """The sentence that names the process that is lost, once a connection has broken; waits for it to be found."""
        until = time.monotonic() + DEAD + 2 * BEAT
        while not self.lost and time.monotonic() < until:
            with suppress(RuntimeError):
                if self.store.check([self._key(FAILED)]):
                    return f"{self.store.get(self._key(FAILED)).decode()} {GOES_ON}"
            time.sleep(0.1)
        return (
            self.lost
            or "One of the processes that train together is lost; nobody knows which. Resume the run."
        )

    def _watch(self) -> None:
        while not self.over.is_set():
            self.looks += 1
            self._note(str(self.rank), f"{self.looks} {time.process_time():.2f} {int(self.waits)} {_place()}")
            try:
                self._look()
            except (
                RuntimeError
            ):  # torch's, when the store is gone, which is with the first process or its torchrun
                self._found(NO_STORE)
            if self.lost:
                return
            self.over.wait(BEAT)

    def _mind_the_store(self) -> None:
        """Counts the beats that one look at the store takes; the time would count a pause of this process, too."""
        look = beats = 0
        while not self.over.wait(BEAT) and not self.lost:
            look, beats = self.looks, beats + 1 if self.looks == look else 0
            if beats * BEAT >= DEAD:
                self._found(NO_STORE)

    def _look(self) -> None:
        """Hears the neighbour, and what others have found."""
        key = self._key(str(self.neighbour.rank))
        said = self.store.get(key).decode() if self.store.check([key]) else ""
        if why := self.neighbour.hear(said, time.monotonic()):
            self.store.set(self._key(LOST), f"{self._name(self.neighbour.rank, self.neighbour.place)} {why}.")
        if self.store.check([self._key(LOST)]):
            self._found(self.store.get(self._key(LOST)).decode())

    def _found(self, what: str) -> None:
        said = f"{what} {GOES_ON}"
        self.on_lost(said)  # which mostly ends the process, before another thread can say it, too
        self.lost = said

    def _note(self, name: str, text: str) -> None:
        with suppress(RuntimeError):  # the store is gone: the next look says so
            self.store.set(self._key(name), text)

    def _name(self, rank: int, place: str) -> str:
        return f"Process {rank} of {self.size} ({place})"

    @staticmethod
    def _key(name: str) -> str:
        return f"mirada/watch/{name}"


def _place() -> str:
    """Where this process is, for whoever has to look for it."""
    return f"{os.getpid()} on {platform.node()}"
