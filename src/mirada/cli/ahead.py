"""Decoding by another process while this one loads torch, which takes a core for more than a second."""

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from mirada.data.cache import decode_until, has_cache
from mirada.data.index import Index
from mirada.data.pixels.preprocessing import Preprocessing

PR_SET_PDEATHSIG = 1  # Linux's prctl.h


@contextmanager
def decoding_ahead(index: Index, preprocessing: Preprocessing) -> Iterator[None]:
    """Fills the cache of decoded images from another process for as long as the context lasts.

    Threads would not do: they share the interpreter's lock with the imports, and both take longer. What is decoded when
    the context ends is in the cache, and whoever opens it decodes the rest, or all of it where something was wrong: so
    it is ``open_cache`` that tells of progress and of faults. Where there is a cache of these images, it is left as it
    is: to add to it is to write all of it anew, which nobody should do twice, nor wait for without a word.

    Args:
        index: The images.
        preprocessing: How they are decoded.
    """
    parent = os.getpid()
    child = _copied() if _pays() and not has_cache(index, preprocessing) else None
    if child is None:
        yield
        return
    if not child:
        _decode(index, preprocessing, parent)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)
        with suppress(ChildProcessError):  # where SIGCHLD is ignored, the system itself takes note of its end
            os.waitpid(child, 0)


def _pays() -> bool:
    """Whether torch is still to be loaded, a core is idle meanwhile, and this process is the only one of its job."""
    alone = "RANK" not in os.environ
    return (
        sys.platform == "linux" and "torch" not in sys.modules and alone and len(os.sched_getaffinity(0)) > 1
    )


def _copied() -> int | None:
    """The number of a copy of this process, which has this thread alone: torch and its threads come later.

    0 in the copy; None where the system has no room for another process.
    """
    try:
        return os.fork()
    except OSError:
        return None


def _decode(index: Index, preprocessing: Preprocessing, parent: int) -> NoReturn:
    """What the copy of this process does. It says nothing, and ends when it is told to, or with the ``parent``."""
    asked: list[int] = []
    ending = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def enough() -> bool:
        for number in ending:  # from the first image on there is something to keep
            signal.signal(number, lambda number, frame: asked.append(number))
        return bool(asked)

    try:
        for number in ending:  # before, it ends at once, and waits for no image that a thread is looking at
            signal.signal(number, signal.SIG_DFL)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() == parent:  # else it has ended before that was said
            nothing = os.open(os.devnull, os.O_RDWR)
            for standard in range(3):  # who reads our output waits until nobody holds it
                os.dup2(nothing, standard)
            decode_until(index, preprocessing, enough)
    finally:
        os._exit(0)
