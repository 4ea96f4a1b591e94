"""The streams of the process: usable whatever they were started as, and quiet once nobody reads them."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import TextIO


def open_streams() -> None:
    """Makes the streams usable whatever they were started as: closed ones lead nowhere, and any name can be printed.

    A number that is free would go to the next file that is opened, and what is printed would end up in it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 # as long as the process
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # the terminal's letters need not be Unicode's


@contextmanager
def heard_or_not(stream: TextIO) -> Iterator[None]:
    """Passes over an output that is full, or that nobody reads any more; what follows goes nowhere."""
    try:
        yield
    except OSError:
        silence(stream)


def silence(stream: TextIO) -> None:
    """Lets all that is still to be written to an output go nowhere, what waits in its buffer included."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
