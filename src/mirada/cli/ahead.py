"""Decoding by another process while this one loads torch, which takes a core for more than a second."""

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from mirada.data.cache import decode_until
from mirada.data.index import Index
from mirada.data.pixels.preprocessing import Preprocessing

PR_SET_PDEATHSIG = 1  # Linux's prctl.h
ENDING = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def decoding_ahead(index: Index, preprocessing: Preprocessing) -> Iterator[None]:
    """Fills the cache of decoded images from another process for as long as the context lasts.

    Threads would not do: they share the interpreter's lock with the imports, and both take longer. What is decoded when
    the context ends is in the cache, and whoever opens it decodes the rest, or all of it where something was wrong: so
    it is ``open_cache`` that tells of progress and of faults.

    Args:
        index: The images.
        preprocessing: How they are decoded.
    """
    if not _pays():
        yield
        return
    child = os.fork()  # only this thread is there: torch and its threads come later
    if not child:
        _decode(index, preprocessing)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)


def _pays() -> bool:
    """Whether torch is still to be loaded, a core is idle meanwhile, and this process is the only one of its job."""
    alone = "RANK" not in os.environ
    return (
        sys.platform == "linux" and "torch" not in sys.modules and alone and len(os.sched_getaffinity(0)) > 1
    )


def _decode(index: Index, preprocessing: Preprocessing) -> NoReturn:
    """What the copy of this process does. It says nothing, and ends when it is told to, or with the first one."""
    asked: list[int] = []

    def enough() -> bool:
        for number in ENDING:  # from the first image on there is something to keep
            signal.signal(number, lambda number, frame: asked.append(number))
        return bool(asked)

    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):  # who reads our output waits until nobody holds it
            os.dup2(nothing, standard)
        decode_until(index, preprocessing, enough)
    finally:
        os._exit(0)
