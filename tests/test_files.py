"""Files that appear whole or not at all."""

import errno
import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mirada.files import json_text, replacing, write_bytes, write_json, write_text


def test_the_draft_takes_the_place_of_the_target(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    target.write_text("old")
    with replacing(target) as draft:
        draft.write_text("new")
        assert target.read_text() == "old"
        assert (draft.parent, draft.suffix) == (tmp_path, ".csv")
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_new_file_has_the_modes_the_user_wants_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    plain, new, old = (tmp_path / name for name in ("plain", "new", "old"))
    plain.touch()
    write_text(new, "x")
    assert new.stat().st_mode == plain.stat().st_mode
    old.touch(0o600)
    write_text(old, "x")
    assert stat.S_IMODE(old.stat().st_mode) == 0o600


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_fails_leaves_the_target_and_nothing_beside_it(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(type(error)), replacing(target) as draft:
        draft.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_a_full_disk_is_told_of_the_target(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("old")
    code = (
        "import resource, sys; from pathlib import Path; from mirada.files import write_json\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_json(Path(sys.argv[1]), ['x' * 9999])\n"
        "except OSError as error: print(error.filename, error.strerror, sep='|')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.json"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{tmp_path / 'a.json'}|{os.strerror(errno.EFBIG)}\n"
    assert (tmp_path / "a.json").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_is_missing_is_told_of_the_target(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        write_text(tmp_path / "no" / "a.txt", "x")
    assert caught.value.filename == str(tmp_path / "no" / "a.txt")


def test_a_folder_is_not_written_over(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="irectory") as caught:
        write_text(tmp_path, "x")
    assert str(tmp_path) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", [True, False])
def test_a_symbolic_link_is_kept(tmp_path: Path, there: bool) -> None:
    (tmp_path / "far").mkdir()
    file, link, second = tmp_path / "far" / "file.txt", tmp_path / "link.txt", tmp_path / "second.txt"
    if there:
        file.write_text("old")
    link.symlink_to(Path("far") / "file.txt")
    second.symlink_to(link)
    write_text(second, "new")
    assert link.is_symlink() and second.is_symlink()
    assert file.read_text() == "new"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["far", "file.txt", "link.txt", "second.txt"]


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(link)
    with pytest.raises(OSError, match="symbolic links"):
        write_text(link, "x")
    assert link.is_symlink()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX")
def test_what_is_no_file_is_written_and_stays(tmp_path: Path) -> None:
    null = Path(os.devnull).stat().st_rdev
    write_text(Path(os.devnull), "x")
    assert Path(os.devnull).stat().st_rdev == null
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        heard = pool.submit(pipe.read_text)
        write_text(pipe, "through")
        assert heard.result(timeout=30) == "through"
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="a name for standard output")
def test_standard_output_under_its_name_is_not_replaced(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from mirada.files import write_text\n"
        "write_text(Path('/dev/stdout'), 'a')"
    )
    with (tmp_path / "out").open("a") as stream:
        subprocess.run([sys.executable, "-c", code], stdout=stream, check=True)
        stream.write("b")  # by the same descriptor, which a replaced file would have lost
    assert (tmp_path / "out").read_text() == "ab"


def test_threads_that_write_one_target_do_not_meet(tmp_path: Path) -> None:
    target = tmp_path / "one"
    wanted = [bytes([number]) * 1000 for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda data: write_bytes(target, data), wanted))
    assert target.read_bytes() in wanted
    assert list(tmp_path.iterdir()) == [target]


def test_a_long_name_leaves_room_for_its_draft(tmp_path: Path) -> None:
    target = tmp_path / ("x" * 251 + ".csv")
    write_text(target, "x")
    assert target.read_text() == "x"


def test_json_has_no_nan(tmp_path: Path) -> None:
    write_json(
        tmp_path / "a.json", {"a": [1.5, float("nan")], "b": (float("inf"), {"c": -float("inf")}), "d": True}
    )

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    read = json.loads((tmp_path / "a.json").read_text(), parse_constant=refuse)
    assert read == {"a": [1.5, None], "b": [None, {"c": None}], "d": True}


@pytest.mark.parametrize("name", ["plain", "犬", "🐕", "caf\udce9", '"\\\n', "\ud83d"])
def test_any_file_name_goes_through_json(tmp_path: Path, name: str) -> None:
    write_json(tmp_path / "a.json", [name])
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == [name]
    assert json.loads(json_text([name])) == [name]


def test_bytes_of_names_go_through_text(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", os.fsdecode(b"caf\xe9"))
    assert (tmp_path / "a.txt").read_bytes() == b"caf\xe9"
