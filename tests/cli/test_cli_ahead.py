"""Decoding by another process while this one loads torch: the same cache, or a part of it."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mirada.cli import ahead
from mirada.cli.ahead import decoding_ahead
from mirada.data.cache import decode_until, open_cache
from mirada.data.index import Index
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.samples import Classes

SMALL = Preprocessing(size=(6, 8))
COUNT = 12
needs_copies = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux is a process copied")

# A process without torch that decodes ahead on two threads, at so many seconds an image, until there is
# such a file, at most so many seconds.
AHEAD = """
import os, sys, time
from pathlib import Path
import numpy as np
from mirada.cli import _end_as_by_ctrl_c
from mirada.cli.ahead import decoding_ahead
from mirada.data import cache, parallel
from mirada.data.index import Index
from mirada.data.pixels.preprocessing import Preprocessing
root, home, each, awaited = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
paths = tuple(sorted(path.name for path in root.iterdir()))
index = Index(root=root, paths=paths, targets=np.arange(len(paths)), splits=np.full(len(paths), "train"))
decode, checksum = cache.decode_image, cache.crc32
def slow(data, preprocessing):
    (home / f"decoder-{os.getpid()}").touch()
    time.sleep(each)
    (home / f"decoded-{os.getpid()}").touch()
    return decode(data, preprocessing)
def of_a_row(data):
    (home / ("second" if (home / "first").exists() else "first")).touch()
    return checksum(data)
cache.decode_image, cache.crc32, cache.FILES_AT_ONCE = slow, of_a_row, 1
parallel.os.cpu_count = lambda: 2
assert "torch" not in sys.modules
_end_as_by_ctrl_c()
with decoding_ahead(index, Preprocessing(size=(6, 8))):
    end = time.monotonic() + float(sys.argv[5])
    while time.monotonic() < end and not list(home.glob(awaited)):
        time.sleep(0.01)
print("done")
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A dozen images."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(COUNT):
        pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.bmp")
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where caches are kept."""
    folder = tmp_path / "caches"
    folder.mkdir()
    monkeypatch.setenv("MIRADA_CACHE", str(folder))
    return folder


def index_of(root: Path) -> Index:
    """All images to train on."""
    paths = tuple(sorted(path.name for path in root.iterdir()))
    splits = np.full(len(paths), "train")
    return Index(root=root, paths=paths, targets=np.arange(len(paths)), splits=splits, target=Classes(paths))


def started(
    root: Path, home: Path, *, each: float, awaited: str, at_most: float = 60
) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", AHEAD, str(root), str(home), str(each), awaited, str(at_most)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_what_is_decoded_before_it_is_enough_is_kept(root: Path, home: Path) -> None:
    index, answers = index_of(root), iter([False, False, True])
    decode_until(index, SMALL, lambda: next(answers))
    cache = open_cache(index, SMALL)
    assert cache.decoded == COUNT - 3
    plain = open_cache(index, SMALL, directory=home / "another")
    assert plain.decoded == COUNT
    np.testing.assert_array_equal(cache.read(np.arange(COUNT)), plain.read(np.arange(COUNT)))
    assert cache.digests == plain.digests


def test_of_a_cache_that_lacks_one_image_the_others_stay(root: Path, home: Path) -> None:
    index = index_of(root)
    before = open_cache(index, SMALL).read(np.arange(COUNT))
    (root / "03.bmp").write_bytes((root / "04.bmp").read_bytes())
    decode_until(index, SMALL, lambda: True)
    after = open_cache(index, SMALL)
    assert after.decoded == 0
    rows = [number for number in range(COUNT) if number != 3]
    np.testing.assert_array_equal(after.read(np.array(rows)), before[rows])
    np.testing.assert_array_equal(after.read(np.array([3])), before[[4]])


def test_it_is_enough_also_where_no_further_file_is_an_image(root: Path, home: Path) -> None:
    for number in range(1, COUNT):
        (root / f"{number:02}.bmp").write_bytes(b"BM, but no picture")
    answers = iter([False, True])
    decode_until(index_of(root), SMALL, lambda: next(answers))
    assert open_cache(index_of(root), SMALL).decoded == 0
    assert next(answers, None) is None  # it was asked of the second file, and then no more


@needs_copies
def test_a_cache_that_is_there_is_left_as_it_is(root: Path, home: Path) -> None:
    """To add to it, all of it is written anew: once, by who opens it and tells of progress."""
    open_cache(index_of(root), SMALL, directory=home)
    before = sorted(file.name for file in home.glob("*/*"))
    (root / "03.bmp").write_bytes((root / "04.bmp").read_bytes()[:-3] + b"abc")
    said, _ = started(root, home, each=0, awaited="never", at_most=1).communicate(timeout=120)
    assert said == "done\n"
    assert sorted(file.name for file in home.glob("*/*")) == before and not list(home.glob("decoder-*"))
    assert open_cache(index_of(root), SMALL).decoded == 1


@needs_copies
def test_before_there_is_an_image_nobody_waits_for_one(root: Path, home: Path) -> None:
    said, _ = started(root, home, each=3, awaited="decoder-*").communicate(timeout=120)
    assert said == "done\n"
    assert list(home.glob("decoder-*")) and not list(home.glob("decoded-*"))
    assert open_cache(index_of(root), SMALL).decoded == COUNT
    assert not list(home.rglob("building-*")) and not list(home.rglob("lock"))


@needs_copies
def test_where_nobody_waits_for_processes_the_end_is_the_same(root: Path, home: Path) -> None:
    """Whoever has started this one may ignore the end of processes, and so does what it starts."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        process = started(root, home, each=0, awaited="*/files.json")
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert process.communicate(timeout=120)[0] == "done\n"
    assert open_cache(index_of(root), SMALL).decoded == 0


def test_where_there_is_no_room_for_another_process_there_is_none(
    root: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(ahead, "_pays", lambda: True)
    monkeypatch.setattr(ahead.os, "fork", full, raising=False)
    with decoding_ahead(index_of(root), SMALL):
        entered = True
    assert entered and not list(home.iterdir())


@needs_copies
def test_another_process_decodes_all_that_it_has_time_for(root: Path, home: Path) -> None:
    said, _ = started(root, home, each=0, awaited="*/files.json").communicate(timeout=120)
    assert said == "done\n"
    assert open_cache(index_of(root), SMALL).decoded == 0


@needs_copies
def test_it_ends_with_the_context_and_keeps_what_it_has(root: Path, home: Path) -> None:
    process = started(root, home, each=0.2, awaited="second")  # all of them take at least 1.2 s
    said, _ = process.communicate(timeout=120)
    assert (said, process.returncode) == ("done\n", 0)
    left = open_cache(index_of(root), SMALL).decoded
    assert 0 < left <= COUNT - 2
    assert not list(home.rglob("building-*")) and not list(home.rglob("lock"))


@needs_copies
def test_it_ends_with_the_process_that_is_killed(root: Path, home: Path) -> None:
    process = started(root, home, each=0.3, awaited="never")
    wait_until((home / "second").exists)
    (child,) = {int(mark.name.partition("-")[2]) for mark in home.glob("decoder-*")} - {process.pid}
    process.send_signal(signal.SIGKILL)
    assert process.communicate(timeout=60) == ("", None)  # nobody holds the output any more
    wait_until(lambda: not is_alive(child))
    assert open_cache(index_of(root), SMALL).decoded <= COUNT - 2


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(1200):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come true")


def is_alive(process: int) -> bool:
    """Whether a process is there and not only waiting to be asked how it ended."""
    try:
        return ") Z" not in Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False


@needs_copies
def test_faults_are_left_to_who_opens_the_cache(
    root: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "05.bmp").write_bytes(b"BM, but no picture")
    (home / "a file").touch()
    with monkeypatch.context() as patch:
        patch.setenv("MIRADA_CACHE", str(home / "a file"))
        process = started(root, home, each=0, awaited="never", at_most=1)
    said, _ = process.communicate(timeout=120)
    assert (said, process.returncode) == ("done\n", 0)
    cache = open_cache(index_of(root), SMALL)
    assert [each.path for each in cache.index.excluded] == ["05.bmp"] and cache.decoded == COUNT - 1


@pytest.mark.parametrize("reason", ["torch is there", "one of several", "one core", "another system"])
def test_there_is_no_copy_where_it_would_not_pay(
    root: Path, home: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    monkeypatch.setattr(ahead.os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
    monkeypatch.setattr(ahead.sys, "platform", "linux")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert ahead._pays()
    match reason:
        case "torch is there":
            monkeypatch.setitem(sys.modules, "torch", sys)
        case "one of several":
            monkeypatch.setenv("RANK", "0")
        case "one core":
            monkeypatch.setattr(ahead.os, "sched_getaffinity", lambda process: {0}, raising=False)
        case _:
            monkeypatch.setattr(ahead.sys, "platform", "win32")
    with decoding_ahead(index_of(root), SMALL):
        time.sleep(0.2)
    assert not list(home.iterdir())
