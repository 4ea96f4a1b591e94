"""Ctrl-C in the middle of training, and the signals that the command line hands on as such."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mirada.processes.ranks import here


class Pressed(KeyboardInterrupt):
    """The first press, where nothing is lost if work ends at once."""


class Presses:
    """Whether Ctrl-C has been pressed: a question that is asked between two steps.

    Processes that train together ask at the same steps, and hear of a press in any of them.
    """

    def __init__(self) -> None:
        self.heard = False
        self.prompt = False

    def __call__(self) -> bool:
        return here().any(self.heard)

    @contextmanager
    def promptly(self) -> Iterator[None]:
        """For the time of the context, the first press is raised as ``Pressed`` and waits for no question.

        A process that others wait for does wait for the question.
        """
        self.prompt = here().size == 1
        try:
            yield
        finally:
            self.prompt = False


@contextmanager
def interruptible() -> Iterator[Presses]:
    """Yields a question: has Ctrl-C been pressed? A second press interrupts at once."""
    presses = Presses()
    if threading.current_thread() is not threading.main_thread():
        yield presses
        return
    before = signal.getsignal(signal.SIGINT)

    def on_press(number: int, frame: object) -> None:
        presses.heard = True
        signal.signal(signal.SIGINT, before)
        if presses.prompt:
            raise Pressed

    signal.signal(signal.SIGINT, on_press)
    try:
        yield presses
    finally:
        signal.signal(signal.SIGINT, before)
