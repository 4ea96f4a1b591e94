"""What a command loads is not searched for garbage."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Imports of torch, and of what needs it.

    They make two hundred thousand objects that stay. Python would search them for garbage some four hundred times
    while it loads them, and as a whole whenever it searches everything: a twentieth of a short training. Afterwards
    garbage is collected as ever. The command line calls it, a library must not.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
