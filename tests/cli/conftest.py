"""Tiny data and really trained tiny models for the verbs, and the two ways to call them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from mirada.cli import run
from mirada.data.examples.shapes import write_shapes

TINY = ["--epochs", "2", "--image-size", "32", "--batch-size", "16", "--device", "cpu"]


class Answer(NamedTuple):
    """What a command line did."""

    code: int
    out: str
    err: str


Cli = Callable[..., Answer]


@pytest.fixture(scope="session", autouse=True)
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Models that many tests share are trained before ``private_cache`` is there."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("session-cache")
        patch.setenv("MIRADA_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 + 8 + 12 images of 32 pixels in four classes, once split into train and validation."""
    root = tmp_path_factory.mktemp("data") / "shapes"
    write_shapes(root, count=60, size=32)
    return root


@pytest.fixture(scope="session")
def trained(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The model file of a tiny run on the shapes."""
    folder = tmp_path_factory.mktemp("trained")

    def train(model: str) -> Path:
        if not (folder / model).exists():
            command = ["train", str(shapes), "--model", model, *TINY, "--output", str(folder / model)]
            assert run(command) == 0
        return folder / model / "model.safetensors"

    return train


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Calls the command line in this process, in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "mirada.cli.console.SECONDS_BETWEEN_LINES", float("inf")
    )  # however slow the machine is

    def call(*arguments: object) -> Answer:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Answer(code, out, err)

    return call


@pytest.fixture
def shell(tmp_path: Path) -> Cli:
    """Runs ``python -m mirada`` to its end, as a process of its own."""

    def call(
        *arguments: object, prefix: tuple[str, ...] = ("-m", "mirada"), stdout: int = subprocess.PIPE
    ) -> Answer:
        done = subprocess.run(
            [sys.executable, *prefix, *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
        return Answer(done.returncode, done.stdout or "", done.stderr)

    return call


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder, with its time and its bytes."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def unchanged(shapes: Path) -> Iterator[None]:
    """The images are after the test what they were before it."""
    before = snapshot(shapes)
    yield
    assert snapshot(shapes) == before
