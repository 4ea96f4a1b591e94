"""What the tests of the cache share: an index of a folder of bitmaps, and waiting for what another process makes."""

import time
from pathlib import Path

import numpy as np

from mirada.data.index import Index
from mirada.samples import Classes


def index_of(root: Path) -> Index:
    """Every bitmap in and below a folder to train on, each a class of its own."""
    paths = tuple(sorted(path.relative_to(root).as_posix() for path in root.rglob("*.bmp")))
    return Index(
        root=root,
        paths=paths,
        targets=np.arange(len(paths)),
        splits=np.full(len(paths), "train", dtype="<U5"),
        target=Classes(paths),
    )


def wait_for(file: Path) -> None:
    """Until a process has made the file."""
    for _ in range(1200):
        if file.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{file} did not come")
