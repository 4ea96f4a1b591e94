"""Which file it is, and when it last changed: what tells, without reading it, that its content is the same."""

import os
import time
from pathlib import Path
from typing import NamedTuple

from mirada.data.pixels.arrays import container

GRAIN_NS = 20_000_000  # the clock of a file system may stand still as long, and two changes have one time
COARSE_GRAIN_NS = 2_000_000_000  # where it counts whole seconds, or, as FAT does, every other one


class Stamp(NamedTuple):
    """A file's identity and times. Size and times alone are kept when two files change places."""

    size: int
    modified_ns: int
    changed_ns: int
    device: int
    inode: int


UNKNOWN = Stamp(0, 0, 0, 0, 0)  # of a file that is not there, or not to be trusted next time


class Stamps:
    """Those of the files that hold images; a file of many is asked once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.shared: dict[str, Stamp] = {}

    def of(self, path: str) -> Stamp:
        """``UNKNOWN`` if there is no such file."""
        if "#" not in path:  # nearly all; a `Path` for each would take longer than the question itself
            return stamp(os.path.join(self.root, path))  # noqa: PTH118
        common = before_mark(path)
        if common not in self.shared:
            file = self.root / path
            if (whole := container(file)) == file:
                return stamp(file)
            self.shared[common] = stamp(whole)
        return self.shared[common]


def before_mark(path: str) -> str:
    """What the addresses of one file of arrays have in common; of any other path, all of it."""
    return path.rpartition("#")[0] or path


def stamp(file: str | Path) -> Stamp:
    """A file's stamp; ``UNKNOWN`` if it is not there."""
    try:
        info = os.stat(file)  # noqa: PTH116 # of a text
    except (OSError, ValueError):  # a name with a zero byte
        return UNKNOWN
    return Stamp(info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_dev, info.st_ino)


def is_settled(found: Stamp) -> bool:
    """Whether a change from now on would show: the file's clock has moved on since its last one."""
    grain = GRAIN_NS if found.changed_ns % 1_000_000_000 else COARSE_GRAIN_NS
    return time.time_ns() - found.changed_ns >= grain
