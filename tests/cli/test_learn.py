"""``mirada learn``: the list, a page, the set."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirada.lessons import TOPICS
from mirada.pages.lessons.wording import LANGUAGES

Cli = Callable[..., Any]


def test_the_verb_lists_the_lessons(cli: Cli) -> None:
    for language in LANGUAGES:
        code, out, _ = cli("learn", "--language", language)
        assert code == 0
        assert [line.split()[0] for line in out.splitlines()[1:]] == list(TOPICS)


def test_the_verb_writes_a_page_and_overwrites_none(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    answer = cli("learn", "gradients", "--output", file, "--language", "es")
    assert answer.code == 0 and answer.out.endswith(f"{file}\n") and "∂W11" in answer.out
    written = file.read_text(encoding="utf-8")
    assert "convolución" in written
    assert cli("learn", "gradients", "--output", file).code == 0
    assert file.read_text(encoding="utf-8") == written and (tmp_path / "page-2.html").is_file()


@pytest.mark.slow
def test_the_verb_writes_the_set(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    answer = cli("learn", "--all", folder)
    assert answer == (0, f"{folder / 'index.html'}\n", "")
    index = (folder / "index.html").read_text(encoding="utf-8")
    links = re.findall(r'href="(\w[^"]*\.html)"', index)
    assert links == [f"{name}.html" for name in TOPICS]
    for link in links:
        assert 'href="index.html"' in (folder / link).read_text(encoding="utf-8")


def test_a_file_that_is_no_photo_is_named(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "notes.jpg"
    file.write_text("not a photo")
    answer = cli("learn", "convolution", "--image", file, "--output", tmp_path / "page.html")
    assert (
        answer.code == 1
        and answer.err.startswith(f"Error: {file}: not an image ")
        and answer.err.endswith(").\n")
    )
    assert not (tmp_path / "page.html").exists()


def test_what_is_neither_a_lesson_nor_a_file(cli: Cli) -> None:
    answer = cli("learn", "runs/nowhere.safetensors", "photo.jpg")
    assert answer.code == 2 and "File 'runs/nowhere.safetensors' does not exist" in answer.err
    answer = cli("learn", "convolution", "photo.jpg")
    assert (
        answer.code == 2 and "is a lesson, and a photo of your own goes with --image photo.jpg;" in answer.err
    )
    assert "gradients is a lesson, and takes no photo;" in cli("learn", "gradients", "photo.jpg").err
    answer = cli("learn", "gradient")
    assert answer.code == 2
    assert answer.err.startswith(
        'Error: There is no lesson "gradient", and no file of that name. Did you mean "gradients"?'
    )


@pytest.mark.parametrize(
    "arguments",
    [["--output", "x.html"], ["gradients", "--all", "x"], ["gradient"], ["gradients", "--language", "fr"]],
)
def test_wrong_use_is_said(arguments: list[str], cli: Cli, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    answer = cli("learn", *arguments)
    assert answer.code == 2 and answer.err.startswith("Error: ") and answer.err.count("\n") == 1
    assert not list(tmp_path.iterdir())
