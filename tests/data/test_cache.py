"""Decode once: what is decoded again and what is not, and that no build, however it ends, leaves half a cache."""

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cache_helpers import index_of, wait_for
from PIL import Image

from mirada.data import cache as module
from mirada.data.cache import Cache, cached_digests, default_directory, open_cache
from mirada.data.index import Index
from mirada.data.pixels.decode import decode
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import DataError
from mirada.events import Progress
from mirada.samples import Numbers

SMALL = Preprocessing(size=(6, 8))


def picture(seed: int, size: tuple[int, int] = (8, 6)) -> bytes:
    """A BMP: files of one size always have the same number of bytes."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "BMP")
    return stream.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Five images."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.bmp").write_bytes(picture(number))
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where caches are kept; it does not exist yet."""
    return tmp_path / "caches" / "here"


def opened(root: Path, home: Path, preprocessing: Preprocessing = SMALL, **options: Any) -> Cache:
    """A cache that was checked against decoding every file alone."""
    cache = open_cache(index_of(root), preprocessing, directory=home, **options)
    for row, path in enumerate(cache.index.paths):
        want = decode((root / path).read_bytes(), preprocessing)
        np.testing.assert_array_equal(cache.pixels[cache.rows[row]], want)
    return cache


def files(home: Path) -> list[str]:
    """What is in the folders of all caches, with the random part of a name left out."""
    return sorted(path.name[:7].rstrip("-") for path in home.rglob("*") if path.is_file())


WHOLE = ["files.j", "pixels"]


# --- what is decoded ----------------------------------------------------------------------------------------


def test_images_are_decoded_once_into_a_read_only_byte_map(root: Path, home: Path) -> None:
    cache = opened(root, home)
    assert cache.decoded == 5
    assert isinstance(cache.pixels, np.memmap)
    assert (cache.pixels.shape, cache.pixels.dtype, cache.pixels.flags.writeable) == (
        (5, 6, 8, 3),
        "uint8",
        False,
    )
    assert opened(root, home).decoded == 0
    assert files(home) == WHOLE


def test_a_second_run_opens_no_image(root: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(root, home)
    monkeypatch.setattr(module, "read_image", None)
    monkeypatch.setattr(module, "decode_image", None)
    assert open_cache(index_of(root), SMALL, directory=home).decoded == 0


def test_digests_of_what_has_not_changed_are_known_without_reading(root: Path, home: Path) -> None:
    index = index_of(root)
    assert cached_digests(index, SMALL, directory=home) == {}
    cache = opened(root, home)
    told = dict(zip(index.paths, cache.digests, strict=True))
    assert cached_digests(index, SMALL, directory=home) == told
    assert cached_digests(index, Preprocessing(size=(8, 8)), directory=home) == {}
    (root / "1.bmp").write_bytes(picture(9))
    (root / "2.bmp").unlink()
    del told["1.bmp"], told["2.bmp"]
    assert cached_digests(index, SMALL, directory=home) == told
    next(home.rglob("files.json")).write_text("{}")
    assert cached_digests(index, SMALL, directory=home) == {}


def test_a_touched_file_is_read_but_not_decoded_again(root: Path, home: Path) -> None:
    opened(root, home)
    pixels = next(home.rglob("pixels-*"))
    os.utime(root / "1.bmp", (1, 1))
    assert opened(root, home).decoded == 0
    assert next(home.rglob("pixels-*")) == pixels  # nothing was copied either
    listed = json.loads(next(home.rglob("files.json")).read_text())
    assert listed["files"]["1.bmp"][1] == 10**9  # and next time it is trusted


def test_a_changed_file_of_the_same_size_and_time_is_decoded_again(root: Path, home: Path) -> None:
    opened(root, home)
    before = (root / "3.bmp").stat()
    (root / "3.bmp").write_bytes(picture(33))
    os.utime(root / "3.bmp", ns=(before.st_atime_ns, before.st_mtime_ns))
    after = (root / "3.bmp").stat()
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    cache = opened(root, home)
    assert cache.decoded == 1
    assert len(cache.pixels) == 5  # the superseded pixels are gone
    assert opened(root, home).decoded == 0
    assert files(home) == WHOLE


def test_a_file_that_changes_while_it_is_read_is_looked_at_again(
    root: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = module.read_image

    def meddled(path: Path) -> bytes:
        data = read(path)
        if path.name == "2.bmp":
            path.write_bytes(picture(22, (9, 9)))
        return data

    monkeypatch.setattr(module, "read_image", meddled)
    open_cache(index_of(root), SMALL, directory=home)
    monkeypatch.undo()
    assert opened(root, home).decoded == 1


def test_files_that_come_go_and_are_renamed(root: Path, home: Path) -> None:
    opened(root, home)
    (root / "1.bmp").rename(root / "9.bmp")
    (root / "0.bmp").unlink()
    assert opened(root, home).decoded == 0
    (root / "5.bmp").write_bytes(picture(5))
    cache = opened(root, home)
    assert cache.decoded == 1
    assert len(cache.pixels) == 5  # 2, 3, 4, 5, 9; that of 0 is gone


def test_a_part_of_the_index_decodes_its_part_and_forgets_nothing(root: Path, home: Path) -> None:
    index = index_of(root)
    assert open_cache(index.take([0, 1]), SMALL, directory=home).decoded == 2
    assert open_cache(index.take([2, 3]), SMALL, directory=home).decoded == 2
    assert opened(root, home).decoded == 1


def test_a_table_may_name_a_file_twice(root: Path, home: Path) -> None:
    index = index_of(root).take([0, 2, 0, 1])
    cache = open_cache(index, SMALL, directory=home)
    assert cache.decoded == 3
    np.testing.assert_array_equal(cache.pixels[cache.rows[0]], cache.pixels[cache.rows[2]])
    np.testing.assert_array_equal(cache.pixels[cache.rows[3]], decode(picture(1), SMALL))


def test_each_way_of_decoding_and_each_root_has_its_own_cache(root: Path, home: Path, tmp_path: Path) -> None:
    ways = [SMALL, Preprocessing(size=(4, 4)), Preprocessing(size=(6, 8), mode="L", mean=(0.0,), std=(1.0,))]
    assert [opened(root, home, way).decoded for way in ways] == [5, 5, 5]
    assert [opened(root, home, way).decoded for way in ways] == [0, 0, 0]
    normalized = Preprocessing(size=(6, 8), mean=(0.5, 0.5, 0.5), std=(2.0, 2.0, 2.0))
    assert opened(root, home, normalized).decoded == 0  # it does not decide a byte
    shutil.copytree(root, tmp_path / "copy")
    assert opened(tmp_path / "copy", home).decoded == 5


def test_progress_is_told(root: Path, home: Path) -> None:
    heard: list[Progress] = []
    opened(root, home, on_event=heard.append)
    assert heard[-1] == Progress("decoding", 5, 5)
    heard.clear()
    opened(root, home, on_event=heard.append)
    assert heard == []


def test_sixteen_bits_are_kept(tmp_path: Path, home: Path) -> None:
    values = np.arange(48, dtype=np.uint16).reshape(6, 8) * 1000
    (tmp_path / "deep").mkdir()
    Image.fromarray(values).save(tmp_path / "deep" / "1.png")
    index = Index(
        root=tmp_path / "deep",
        paths=("1.png",),
        targets=np.zeros(1),
        splits=np.array(["train"]),
        target=Numbers(),
    )
    deep = Preprocessing(mode="L", size=(6, 8), mean=(0.0,), std=(1.0,), depth=16, window="full")
    for decoded in (1, 0):
        cache = open_cache(index, deep, directory=home)
        assert (cache.decoded, cache.pixels.dtype) == (decoded, np.uint16)
        np.testing.assert_array_equal(cache.pixels[0, ..., 0], values)
    (file,) = home.rglob("pixels-*")
    assert (file.suffix, file.stat().st_size) == (".u16", values.nbytes)


# --- files that cannot be decoded ---------------------------------------------------------------------------


def test_bad_files_are_named_counted_and_left_out(root: Path, home: Path) -> None:
    (root / "1.bmp").write_bytes(b"")
    (root / "4.bmp").write_bytes(picture(4)[:-50])
    index = index_of(root)
    (root / "3.bmp").unlink()
    for decoded in (2, 0):
        cache = open_cache(index, SMALL, directory=home)
        assert cache.decoded == decoded
        assert cache.index.paths == ("0.bmp", "2.bmp")
        assert cache.index.targets.tolist() == [0, 2]
        assert {(item.path, item.reason) for item in cache.index.excluded} == {
            ("1.bmp", "the file is empty"),
            ("3.bmp", "cannot be read (no such file or directory)"),
            ("4.bmp", "truncated (the file ends before the image does)"),
        }
    for number in (1, 3, 4):
        (root / f"{number}.bmp").write_bytes(picture(number))
    assert opened(root, home).decoded == 3


def test_a_failure_to_read_is_not_remembered(root: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_bytes

    def failing(path: Path) -> bytes:
        if path.name == "1.bmp":
            raise OSError(errno.EIO, "Input/output error")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", failing)
    cache = open_cache(index_of(root), SMALL, directory=home)
    assert [item.reason for item in cache.index.excluded] == ["cannot be read (input/output error)"]
    monkeypatch.undo()
    assert opened(root, home).decoded == 1


def test_without_a_single_image_there_is_an_error(root: Path, home: Path) -> None:
    for file in root.iterdir():
        file.write_bytes(b"")
    for _ in range(2):
        with pytest.raises(DataError) as caught:
            open_cache(index_of(root), SMALL, directory=home)
        message = f"{root}: none of the 5 files can be decoded; the first: 0.bmp: the file is empty."
        assert str(caught.value) == message
    assert files(home) == []


# --- builds that do not end well ----------------------------------------------------------------------------


def fail_at(number: int, error: BaseException) -> Any:
    """A ``decode`` that raises at the ``number``-th image."""
    calls = iter(range(1000))

    def failing(data: bytes, preprocessing: Preprocessing) -> Any:
        if next(calls) == number:
            raise error
        return decode(data, preprocessing)

    return failing


@pytest.mark.parametrize("error", [RuntimeError("a bug"), MemoryError()])
def test_an_exception_leaves_nothing(
    root: Path, home: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(module, "decode_image", fail_at(3, error))
    with pytest.raises(type(error)):
        open_cache(index_of(root), SMALL, directory=home)
    assert files(home) == []
    monkeypatch.undo()
    assert opened(root, home).decoded == 5


@pytest.mark.parametrize(("function", "kept"), [("decode_image", 3), ("crc32", 3), ("digest", 3)])
def test_an_interruption_keeps_what_is_decoded(
    root: Path, home: Path, monkeypatch: pytest.MonkeyPatch, function: str, kept: int
) -> None:
    """Between two images, and when the next one is written already and its sum is not."""
    opened(root, home, Preprocessing(size=(4, 4)))  # another cache, which stays as it is
    original, calls = getattr(module, function), iter(range(1000))

    def interrupted(*arguments: Any) -> Any:
        if next(calls) == kept:
            raise KeyboardInterrupt
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, "FILES_AT_ONCE", 1)
        patch.setattr("os.cpu_count", lambda: 1)
        patch.setattr(module, function, interrupted)
        with pytest.raises(KeyboardInterrupt):
            open_cache(index_of(root), SMALL, directory=home)
    assert files(home) == sorted(2 * WHOLE)
    assert opened(root, home).decoded == 5 - kept


def test_an_interruption_before_the_first_image_leaves_the_previous_cache(
    root: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(root, home)
    (root / "7.bmp").write_bytes(picture(107))
    with monkeypatch.context() as patch:
        patch.setattr(module, "decode_image", fail_at(0, KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            open_cache(index_of(root), SMALL, directory=home)
    assert files(home) == WHOLE
    assert opened(root, home).decoded == 1


def test_an_exception_leaves_the_previous_cache(
    root: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(root, home)
    for number in (1, 3, 7):
        (root / f"{number}.bmp").write_bytes(picture(100 + number))
    monkeypatch.setattr(module, "decode_image", fail_at(1, RuntimeError()))
    with pytest.raises(RuntimeError):
        open_cache(index_of(root), SMALL, directory=home)
    assert files(home) == WHOLE
    monkeypatch.undo()
    assert opened(root, home).decoded == 3


@pytest.mark.parametrize("name", ["write", "fsync", "replace"])
def test_a_disk_that_fills_up_is_said_and_leaves_the_previous_cache(
    root: Path, home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fail(*args: object, **options: object) -> None:
        raise full

    opened(root, home)
    (root / "6.bmp").write_bytes(picture(6))
    if name == "write":
        monkeypatch.setattr(module._Store, "_append", fail)
    elif name == "fsync":
        monkeypatch.setattr(module.os, "fsync", fail)
    else:
        monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(DataError) as caught:
        open_cache(index_of(root), SMALL, directory=home)
    folder = next(home.iterdir())
    assert str(caught.value) == (
        f"{folder}: the cache of decoded images cannot be written (no space left on device). Free some space, or "
        f"name another folder in the environment variable MIRADA_CACHE."
    )
    assert files(home) == WHOLE
    monkeypatch.undo()
    assert opened(root, home).decoded == 1


BUILD = """
import sys
from pathlib import Path
import numpy as np
from mirada.data import cache
from mirada.data.index import Index
from mirada.data.pixels.preprocessing import Preprocessing
root, home = map(Path, sys.argv[1:])
paths = tuple(sorted(path.name for path in root.iterdir()))
index = Index(root=root, paths=paths, targets=np.arange(len(paths)), splits=np.full(len(paths), "train"))
{before}
cache.open_cache(index, Preprocessing(size=({size})), directory=home)
"""


def build(root: Path, home: Path, before: str = "", size: str = "6, 8") -> "subprocess.Popen[str]":
    """A build in a process of its own."""
    code = BUILD.format(before=before, size=size)
    return subprocess.Popen([sys.executable, "-c", code, root, home], text=True, stderr=subprocess.PIPE)


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
@pytest.mark.parametrize(
    ("side", "most"), [(80, 40_000), (6, 300)]
)  # beyond the file's buffer, and within it
def test_a_real_limit_on_writing_leaves_nothing(root: Path, home: Path, side: int, most: int) -> None:
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))"
    process = build(root, home, limit, f"{side}, {side}")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "mirada.errors.DataError: " in said.splitlines()[-1]
    assert "the cache of decoded images cannot be written (file too large)" in said
    assert files(home) == []


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_a_killed_build_leaves_no_cache_and_the_next_one_clears_up(root: Path, home: Path) -> None:
    endless = """
import time
decode = cache.decode_image
def slow(data, preprocessing):
    if data == (root / "4.bmp").read_bytes():
        (home / "half").touch()
        time.sleep(60)
    return decode(data, preprocessing)
cache.decode_image = slow
"""
    process = build(root, home, endless, "80, 80")
    wait_for(home / "half")
    (home / "half").unlink()
    assert files(home) == ["buildin", "lock"]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    other = Preprocessing(size=(80, 80))
    assert opened(root, home, other).decoded == 5
    assert files(home) == WHOLE
    assert opened(root, home, other).decoded == 0


def test_pixels_that_a_killed_build_did_not_list_are_removed(root: Path, home: Path) -> None:
    opened(root, home)
    orphan = next(home.iterdir()) / "pixels-000.u8"
    orphan.write_bytes(b"half")
    (root / "5.bmp").write_bytes(picture(5))
    opened(root, home)
    assert not orphan.exists()
    assert files(home) == WHOLE


@pytest.mark.parametrize(
    "harm", ["no pixels", "short pixels", "no list", "half a list", "another list", "number"]
)
def test_a_damaged_cache_is_built_anew(root: Path, home: Path, harm: str) -> None:
    opened(root, home)
    pixels, listing = next(home.rglob("pixels-*")), next(home.rglob("files.json"))
    match harm:
        case "no pixels":
            pixels.unlink()
        case "short pixels":
            pixels.write_bytes(pixels.read_bytes()[:-1])
        case "no list":
            listing.unlink()
        case "half a list":
            listing.write_text(listing.read_text()[:200])
        case "another list":
            listing.write_text('{"pixels": "x", "count": 1, "files": []}')
        case "number":
            listing.write_text("3")
    assert opened(root, home).decoded == 5
    assert opened(root, home).decoded == 0
    assert files(home) == WHOLE


# --- space and place ----------------------------------------------------------------------------------------


def test_a_cache_larger_than_the_free_disk_is_refused(
    root: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: usage(0, 0, 3 * 2**20))
    large = Preprocessing(size=(1024, 1024))
    with pytest.raises(DataError) as caught:
        open_cache(index_of(root), large, directory=home)
    folder = next(home.iterdir())
    assert str(caught.value) == (
        f"The cache of decoded images needs 15 MiB in {folder}, where 3 MiB are free. Free some space, name another "
        "folder in the environment variable MIRADA_CACHE, or choose a smaller image size."
    )
    assert files(home) == []
    assert opened(root, home).decoded == 5
    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: usage(0, 0, 0))
    os.utime(root / "0.bmp", (1, 1))
    assert opened(root, home).decoded == 0  # a file that was only touched needs no space


def test_a_place_that_cannot_be_written_is_said(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        DataError, match=r"cannot be written \(not a directory\)\. Free some space, or name another"
    ):
        open_cache(index_of(root), SMALL, directory=tmp_path / "file" / "caches")


def test_an_error_of_the_listener_is_not_taken_for_a_full_disk(root: Path, home: Path) -> None:
    def broken(event: dict[str, Any]) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        open_cache(index_of(root), SMALL, directory=home, on_event=broken)
    assert files(home) == []


def test_where_caches_live(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIRADA_CACHE", str(tmp_path / "mine"))
    assert default_directory() == tmp_path / "mine"
    monkeypatch.setenv("MIRADA_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_directory() == tmp_path / "xdg" / "mirada"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_directory() == tmp_path / ".cache" / "mirada"
