"""What a cache is trusted with, who builds it, where it lives, and how it goes."""

import errno
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cache_helpers import index_of, wait_for
from PIL import Image

from mirada.data import cache as module
from mirada.data import cache_files, stamps
from mirada.data.batches import channel_statistics, read
from mirada.data.cache import Cache, open_cache
from mirada.data.cache_files import (
    BadList,
    clear_cache,
    default_directory,
    kept_caches,
    read_listing,
    spare_directory,
)
from mirada.data.pixels.decode import decode
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import DataError
from mirada.events import Progress
from mirada.files import locked

SMALL = Preprocessing(size=(6, 8))
COUNT = 5


def picture(seed: int) -> bytes:
    """A BMP: all have the same number of bytes."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "BMP")
    return stream.getvalue()


def folder_of(root: Path, seed: int = 0) -> Path:
    root.mkdir()
    for number in range(COUNT):
        (root / f"{number}.bmp").write_bytes(picture(seed + number))
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "images")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "caches"


def opened(root: Path, home: Path | None) -> Cache:
    """A cache that was checked against decoding every file alone."""
    cache = open_cache(index_of(root), SMALL, directory=home)
    for row, path in enumerate(cache.index.paths):
        want = decode((root / path).read_bytes(), SMALL)
        np.testing.assert_array_equal(cache.read(np.array([row]))[0], want)
    return cache


def names(home: Path) -> list[str]:
    return sorted(path.name.partition("-")[0] for path in home.rglob("*") if path.is_file())


WHOLE = ["files.json", "pixels"]


# --- a list that is not as it was written -------------------------------------------------------------------


def rewrite(home: Path, change: Callable[[Any], None], *, sealed: bool) -> None:
    """Changes the list; ``sealed`` with the digest that goes with the change."""
    file = next(home.rglob("files.json"))
    saved = json.loads(file.read_text())
    change(saved)
    if sealed:
        del saved["digest"]
        text = json.dumps(saved)
        saved["digest"] = cache_files._digest(text)
    file.write_text(json.dumps(saved))


def row(value: Any) -> Callable[[Any], None]:
    return lambda saved: saved["files"]["1.bmp"].__setitem__(6, value)


def field(place: int, value: Any) -> Callable[[Any], None]:
    return lambda saved: saved["files"]["1.bmp"].__setitem__(place, value)


def swapped(saved: Any) -> None:
    files = saved["files"]
    files["1.bmp"][6], files["2.bmp"][6] = files["2.bmp"][6], files["1.bmp"][6]


HARMS: dict[str, Callable[[Any], None]] = {
    "another's row": row(3), "a float": row(1.0), "null": row(None), "text": row("1"), "beyond the end": row(5),
    "below": row(-2), "true": row(True), "a list": row([1]), "nan": row(float("nan")), "huge": row(10**40),
    "time is text": field(1, "0"), "digest is a number": field(5, 7), "reason is null": field(7, None),
    "too few": lambda saved: saved["files"]["1.bmp"].pop(), "files is a list": lambda saved: saved.update(files=[]),
    "sums are texts": lambda saved: saved.update(sums=["0"] * COUNT), "few sums": lambda saved: saved["sums"].pop(),
    "no sums": lambda saved: saved.pop("sums"), "no root": lambda saved: saved.update(root=None),
    "pixels is a number": lambda saved: saved.update(pixels=1),
}  # fmt: skip


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("harm", HARMS)
def test_a_list_that_makes_no_sense_is_not_used(root: Path, home: Path, harm: str, sealed: bool) -> None:
    opened(root, home)
    rewrite(home, HARMS[harm], sealed=sealed)
    cache = opened(root, home)
    assert cache.decoded == COUNT
    (note,) = cache.index.notes
    folder = next(home.iterdir())
    assert note.startswith(f"The cache of decoded images in {folder} was not used (its ")
    assert opened(root, home).index.notes == ()
    assert names(home) == WHOLE


def test_rows_exchanged_in_the_list_are_noticed(root: Path, home: Path) -> None:
    opened(root, home)
    rewrite(home, swapped, sealed=False)
    assert opened(root, home).decoded == COUNT


@pytest.mark.parametrize("text", ["", "[" * 100_000, "null", '{"files": {}}', "\x00", '{"digest": "x"}'])
def test_a_list_of_anything_is_not_used(root: Path, home: Path, text: str) -> None:
    opened(root, home)
    next(home.rglob("files.json")).write_text(text)
    assert opened(root, home).decoded == COUNT


def test_a_list_that_is_no_text_or_no_file_is_not_used(root: Path, home: Path) -> None:
    opened(root, home)
    listing = next(home.rglob("files.json"))
    listing.write_bytes(b"\xff\xfe{")
    assert opened(root, home).decoded == COUNT
    listing.unlink()
    os.mkfifo(listing)  # reading it would never end
    with pytest.raises(BadList, match="no file"):
        read_listing(listing.parent)


@pytest.mark.parametrize(
    "name",
    ["../../victim.bin", "/{tmp}/victim.bin", "files.json", "pixels-../x", "", "pixels-0123456789ab.u8\n"],
)
def test_no_name_in_a_list_leads_to_another_file(root: Path, home: Path, tmp_path: Path, name: str) -> None:
    opened(root, home)
    pixels = next(home.rglob("pixels-*"))
    victim = tmp_path / "victim.bin"
    shutil.copy(pixels, victim)  # of the right size
    rewrite(home, lambda saved: saved.update(pixels=name.format(tmp=tmp_path)), sealed=True)
    os.utime(root / "0.bmp", (1, 1))
    (root / "5.bmp").write_bytes(picture(5))
    assert opened(root, home).decoded == COUNT + 1
    assert victim.exists()


def test_a_cache_of_another_version_is_built_anew(root: Path, home: Path) -> None:
    opened(root, home)
    file = next(home.rglob("files.json"))
    saved = json.loads(file.read_text())
    old = {path: [*values[:3], *values[5:]] for path, values in saved["files"].items()}
    file.write_text(json.dumps({"pixels": saved["pixels"], "count": COUNT, "files": old}))  # as it once was
    cache = opened(root, home)
    assert cache.decoded == COUNT
    assert "another version's" in cache.index.notes[0]


# --- pixels that are not as they were written ----------------------------------------------------------------


def test_a_flipped_byte_is_decoded_anew_and_said(root: Path, home: Path) -> None:
    opened(root, home)
    pixels = next(home.rglob("pixels-*"))
    before = pixels.stat()
    data = bytearray(pixels.read_bytes())
    data[6 * 8 * 3 * 2 + 5] ^= 1
    pixels.write_bytes(data)
    os.utime(pixels, ns=(before.st_atime_ns, before.st_mtime_ns))
    cache = opened(root, home)
    assert cache.decoded == 1
    folder = next(home.iterdir())
    assert cache.index.notes == (
        f"The cache of decoded images in {folder} was damaged; 1 image decoded anew.",
    )
    again = opened(root, home)
    assert (again.decoded, again.index.notes) == (0, ())


def test_damage_of_images_that_are_not_asked_for_is_found_when_they_are(root: Path, home: Path) -> None:
    opened(root, home)
    pixels = next(home.rglob("pixels-*"))
    data = bytearray(pixels.read_bytes())
    data[-1] ^= 1  # of 4.bmp
    pixels.write_bytes(data)
    index = index_of(root)
    (root / "0.bmp").write_bytes(picture(50))
    assert open_cache(index.take([0, 1]), SMALL, directory=home).decoded == 1  # all other rows are copied
    assert opened(root, home).decoded == 1


def test_pixels_that_are_cut_while_they_are_mapped_end_in_a_sentence(root: Path, home: Path) -> None:
    cache = opened(root, home)
    os.truncate(next(home.rglob("pixels-*")), 10)
    for reading in (lambda: read(cache, np.arange(2)), lambda: channel_statistics(cache, np.arange(2))):
        with pytest.raises(DataError, match="was cut while it was read"):
            reading()
    assert opened(root, home).decoded == COUNT


# --- files that are not the ones they were --------------------------------------------------------------------


def test_folders_of_files_alike_in_size_and_time_that_change_places(home: Path, tmp_path: Path) -> None:
    one, other = folder_of(tmp_path / "one"), folder_of(tmp_path / "other", seed=50)
    for file in (*one.iterdir(), *other.iterdir()):
        os.utime(file, (10**9, 10**9))
    opened(one, home)
    for way in (("one", "away"), ("other", "one"), ("away", "other")):
        (tmp_path / way[0]).rename(tmp_path / way[1])
    assert opened(one, home).decoded == COUNT
    assert opened(one, home).decoded == 0


def test_files_that_change_places(root: Path, home: Path) -> None:
    opened(root, home)
    for old, new in (("1.bmp", "x"), ("2.bmp", "1.bmp"), ("x", "2.bmp")):
        (root / old).rename(root / new)
    assert opened(root, home).decoded == 0  # both contents are known


@pytest.mark.parametrize(("nanoseconds", "read_again"), [(0, COUNT), (stamps.GRAIN_NS, 0)])
def test_a_file_that_changed_at_the_moment_of_the_look_is_not_trusted(
    root: Path, home: Path, monkeypatch: pytest.MonkeyPatch, nanoseconds: int, read_again: int
) -> None:
    """A second change within one tick of the clock would have the same time."""
    (device, inode) = (1, 2)
    change = 1_700_000_000_000_000_001
    monkeypatch.setattr(stamps, "stamp", lambda file: stamps.Stamp(9, change, change, device, inode))
    monkeypatch.setattr(stamps.time, "time_ns", lambda: change + nanoseconds)
    opened(root, home)
    looked = []
    reading = module.read_image
    monkeypatch.setattr(module, "read_image", lambda file: looked.append(file) or reading(file))
    assert opened(root, home).decoded == 0
    assert len(looked) == read_again


# --- several processes -----------------------------------------------------------------------------------------

BUILD = """
import sys, time
from pathlib import Path
import numpy as np
from mirada.data import cache
from mirada.data.index import Index
from mirada.data.pixels.preprocessing import Preprocessing
root, home = map(Path, sys.argv[1:3])
pause = float(sys.argv[3])
paths = tuple(sorted(path.name for path in root.iterdir()))
index = Index(root=root, paths=paths, targets=np.arange(len(paths)), splits=np.full(len(paths), "train"))
decode = cache.decode_image
def slow(data, preprocessing):
    (home / "decoding").touch()
    time.sleep(pause)
    return decode(data, preprocessing)
cache.decode_image = slow
heard = set()
done = cache.open_cache(index, Preprocessing(size=(6, 8)), directory=home, on_event=lambda e: heard.add(e.what))
print(done.decoded, any("waiting" in what for what in heard), " ".join(done.index.notes), sep="|")
"""


def build(root: Path, home: Path, pause: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", BUILD, root, home, str(pause)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE)


def test_of_several_processes_one_decodes_and_the_others_wait(root: Path, home: Path) -> None:
    first = build(root, home, 2.0)
    wait_for(home / "decoding")
    later = [build(root, home, 0.0) for _ in range(2)]
    answers = [process.communicate(timeout=120)[0].strip() for process in (first, *later)]
    assert answers[0] == f"{COUNT}|False|"
    for answer in answers[1:]:
        assert answer in (
            "0|True|Another process decoded the images; this one waited for it.",
            "0|False|",  # it began when all was done
        )
    (home / "decoding").unlink()
    assert names(home) == WHOLE


def test_who_waits_goes_on_when_the_builder_is_killed(root: Path, home: Path) -> None:
    builder = build(root, home, 600.0)
    wait_for(home / "decoding")
    heard: list[Progress] = []

    def hear(event: Progress) -> None:
        heard.append(event)
        if builder.poll() is None:
            builder.kill()
            builder.communicate()

    cache = open_cache(index_of(root), SMALL, directory=home, on_event=hear)
    assert heard[0] == Progress("waiting for another process, which decodes these images", 0, COUNT)
    assert heard[-1] == Progress("decoding", COUNT, COUNT)
    assert (cache.decoded, cache.index.notes) == (COUNT, ())
    (home / "decoding").unlink()
    assert names(home) == WHOLE


def test_a_listener_can_end_the_waiting(root: Path, home: Path) -> None:
    opened(root, home)
    folder = next(home.iterdir())
    (root / "0.bmp").write_bytes(picture(9))

    def tired(event: Progress) -> None:
        raise BrokenPipeError

    with locked(folder / "lock", lambda: None), pytest.raises(BrokenPipeError):
        open_cache(index_of(root), SMALL, directory=home, on_event=tired)
    assert opened(root, home).decoded == 1


def test_a_whole_cache_is_read_while_another_process_adds_to_it(root: Path, home: Path) -> None:
    opened(root, home)
    with locked(next(home.iterdir()) / "lock", lambda: None):
        assert opened(root, home).decoded == 0


def test_a_file_system_without_locks_keeps_what_others_may_be_building(
    root: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(root, home)
    others = next(home.iterdir()) / "building-another"
    others.touch()
    (root / "5.bmp").write_bytes(picture(5))

    def none(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("mirada.files.fcntl.flock", none)
    assert opened(root, home).decoded == 1
    assert others.exists()
    monkeypatch.undo()
    (root / "6.bmp").write_bytes(picture(6))
    assert opened(root, home).decoded == 1
    assert names(home) == WHOLE


# --- places ------------------------------------------------------------------------------------------------------


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_place_that_takes_no_files_is_a_note_and_another_place(
    root: Path, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MIRADA_CACHE", str(tmp_path / "file" / "caches"))
    cache = opened(root, None)
    (note,) = cache.index.notes
    assert note.startswith(f"Decoded images are kept in {spare_directory()} this time. {tmp_path / 'file'}")
    assert "cannot be written (not a directory)" in note
    assert spare_directory().parent == temporary
    assert opened(root, None).decoded == 0
    assert spare_directory().stat().st_mode & 0o077 == 0  # nobody else's business


@pytest.mark.skipif(not Path("/proc").exists(), reason="a folder that takes no files from anybody")
def test_proc_is_no_place(root: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIRADA_CACHE", "/proc")
    assert "/proc" in opened(root, None).index.notes[0]


def test_a_full_disk_does_not_fill_another_one(
    root: Path, temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRADA_CACHE", str(tmp_path / "caches"))

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "here")

    monkeypatch.setattr(module, "make_private", full)
    with pytest.raises(DataError, match="no space left on device"):
        opened(root, None)
    assert not any(temporary.iterdir())


def test_without_a_home(root: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("MIRADA_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nobody)
    assert default_directory() == spare_directory()
    cache = opened(root, None)
    assert cache.decoded == COUNT
    assert cache.index.notes == (
        f"Decoded images are kept in {spare_directory()}: there is no home folder, and no MIRADA_CACHE.",
    )


def test_a_spare_place_that_is_a_link_is_refused(
    root: Path, temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others can put one there."""
    (tmp_path / "theirs").mkdir()
    spare_directory().symlink_to(tmp_path / "theirs")
    monkeypatch.setenv("MIRADA_CACHE", str(spare_directory()))
    with pytest.raises(DataError, match="cannot be written"):
        opened(root, None)
    assert not any((tmp_path / "theirs").iterdir())


def test_a_whole_cache_that_cannot_be_written_is_read(
    root: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(root, home)

    def read_only(*arguments: object, **options: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "here")

    monkeypatch.setattr(module, "make_private", read_only)
    monkeypatch.setattr(module, "locked", read_only)
    cache = opened(root, home)
    assert (cache.decoded, cache.index.notes) == (0, ())


def test_of_a_cache_that_cannot_be_written_all_that_is_known_is_used(
    root: Path, home: Path, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data that were copied into a container together with their cache have other times and inodes."""
    (root / "9.bmp").write_bytes(b"")
    monkeypatch.setenv("MIRADA_CACHE", str(home))
    opened(root, None)
    shutil.copytree(root, tmp_path / "copy")
    shutil.rmtree(root)
    (tmp_path / "copy").rename(root)

    def read_only(*arguments: object, **options: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "here")

    with monkeypatch.context() as patch:
        patch.setattr(module, "locked", read_only)
        cache = opened(root, None)
        assert (cache.decoded, cache.index.notes, len(cache.index.excluded)) == (0, (), 1)
    (root / "3.bmp").write_bytes(picture(33))
    calls = iter((read_only, locked))  # here, and in the spare place
    monkeypatch.setattr(module, "locked", lambda *arguments: next(calls)(*arguments))
    cache = opened(root, None)
    assert cache.decoded == COUNT
    assert "cannot be written (read-only file system)" in cache.index.notes[0]


def test_a_list_that_may_not_be_read(root: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(root, home)

    def refuse(folder: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "files.json")

    monkeypatch.setattr(module, "read_listing", refuse)
    cache = opened(root, home)
    assert cache.decoded == COUNT
    assert "was not used (permission denied)" in cache.index.notes[0]


def test_a_root_that_is_no_unicode(tmp_path: Path, home: Path) -> None:
    root = folder_of(tmp_path / os.fsdecode(b"caf\xe9"))
    assert opened(root, home).decoded == COUNT
    assert opened(root, home).decoded == 0
    (kept,) = kept_caches(home)
    assert kept.root == os.path.realpath(root)


# --- what is kept, and how it goes ---------------------------------------------------------------------------------


def test_caches_are_listed_the_largest_first(root: Path, home: Path, tmp_path: Path) -> None:
    assert kept_caches(home) == []
    opened(root, home)
    open_cache(index_of(root), Preprocessing(size=(60, 80)), directory=home)
    (home / "something").mkdir()
    (home / "0123456789abcdef-0123456789abcdef").symlink_to(tmp_path)
    large, small = kept_caches(home)
    assert {kept.root for kept in (large, small)} == {str(root)}
    assert (large.images, small.images) == (COUNT, COUNT)
    assert large.bytes - small.bytes > COUNT * (60 * 80 - 6 * 8) * 3 - 1000
    small_files = [file.stat().st_size for file in small.folder.iterdir()]
    assert small.bytes == sum(small_files)
    next(small.folder.glob("files.json")).write_text("?")
    assert [(kept.root, kept.images) for kept in kept_caches(home)] == [(str(root), COUNT), ("", 0)]


def test_clearing_removes_what_is_the_caches_own(root: Path, home: Path) -> None:
    cache = opened(root, home)
    folder = next(home.iterdir())
    (folder / "building-1").touch()
    assert clear_cache(folder)
    assert not folder.exists()
    assert cache.read(np.arange(COUNT)).shape == (COUNT, 6, 8, 3)  # a map that is in use stays
    opened(root, home)
    (folder / "notes.txt").touch()
    assert clear_cache(folder)
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]


def test_a_cache_is_not_cleared_while_it_is_built(root: Path, home: Path) -> None:
    opened(root, home)
    folder = next(home.iterdir())
    with locked(folder / "lock", lambda: None):
        assert not clear_cache(folder)
    assert names(home) == WHOLE
