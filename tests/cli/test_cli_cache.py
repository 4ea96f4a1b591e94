"""``mirada cache``: what is kept is shown, and goes when it is told to."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirada.data.cache import open_cache
from mirada.data.cache_files import spare_directory
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.data.sources import load_data
from mirada.files import locked

Cli = Callable[..., Any]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIRADA_CACHE", str(tmp_path / "caches"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / "caches"


def keep(data: Path, side: int = 16) -> None:
    open_cache(load_data(data), Preprocessing(size=(side, side)))


def test_what_is_kept_is_shown(home: Path, shapes: Path, cli: Cli) -> None:
    assert cli("cache", "list") == (0, f"{home}: nothing is kept.\n", "")
    keep(shapes)
    keep(shapes, 8)
    code, out, _ = cli("cache", "list")
    folders = [each.name for each in home.iterdir()]
    lines = out.splitlines()
    assert code == 0 and lines[0].startswith(f"{home}: 0.")
    assert lines[1].split() == ["data", "images", "size", "folder"]
    assert [line.split()[:2] for line in lines[2:]] == [[os.path.realpath(shapes), "60"]] * 2
    assert {line.split()[-1] for line in lines[2:]} == set(folders)


def test_caches_of_the_spare_place_and_of_data_that_are_gone(
    home: Path, shapes: Path, cli: Cli, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(shapes, copy)
    open_cache(load_data(copy), Preprocessing(size=(8, 8)), directory=spare_directory())
    shutil.rmtree(copy)
    out = cli("cache", "list").out
    assert f"{spare_directory()}: " in out and f"{copy} (not there any more)" in out
    assert cli("cache", "clear", copy).code == 0
    assert not any(spare_directory().iterdir())


def test_clearing_one_data_set_and_all(home: Path, shapes: Path, cli: Cli, tmp_path: Path) -> None:
    keep(shapes)
    keep(shapes, 8)
    answer = cli("cache", "clear", tmp_path / "other")
    assert answer.code == 2 and answer.err == (
        f"Error: {tmp_path / 'other'}: nothing is kept of it. mirada cache list shows what there is.\n"
    )
    assert len(list(home.iterdir())) == 2
    answer = cli("cache", "clear", shapes / "boxes.csv")  # a table in that folder
    assert answer.code == 0 and answer.out.endswith(" in 2 folders\n")
    assert list(home.iterdir()) == []
    keep(shapes)
    assert cli("cache", "clear").code == 0
    assert list(home.iterdir()) == []
    assert cli("cache", "clear").out == "removed: 0.0 MiB in 0 folders\n"
    assert any(shapes.rglob("*.png"))


def test_what_is_being_built_stays(home: Path, shapes: Path, cli: Cli) -> None:
    keep(shapes)
    folder = next(home.iterdir())
    with locked(folder / "lock", lambda: None):
        code, out, err = cli("cache", "clear")
    assert (code, out) == (1, "removed: 0.0 MiB in 0 folders\n")
    assert err == f"{folder}: another process is adding to it now; it stays.\n"
    assert (folder / "files.json").exists()


def test_help_says_where(cli: Cli) -> None:
    assert "MIRADA_CACHE" in cli("--help").out
    assert "MIRADA_CACHE" in cli("cache", "--help").out
    assert cli("cache", "list", "--help").code == cli("cache", "clear", "--help").code == 0
