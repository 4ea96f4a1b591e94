"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A file beside the target, to be written: it takes the target's place once it is safely on disk.

    If anything fails before, the target stays as it was, and nothing is left beside it.
    """
    draft = target.with_name(f".{target.name}-{os.getpid()}")
    try:
        yield draft
        with draft.open("rb+") as stream:
            os.fsync(stream.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
