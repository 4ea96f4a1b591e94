"""Compiled templates are kept where Python keeps compiled modules, and trusted no further than these."""

import sys
from pathlib import Path

import pytest
from jinja2 import DictLoader, Environment

from mirada.pages.compiled import CompiledTemplates

TEMPLATES = {"page": "{{ name }} has {{ count }} images"}


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "kept"))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    return tmp_path / "kept"


def environment(templates: dict[str, str] = TEMPLATES) -> Environment:
    return Environment(
        loader=DictLoader(templates), bytecode_cache=CompiledTemplates(Path("templates")), autoescape=True
    )


def said(by: Environment) -> str:
    return by.get_template("page").render(name="a", count=3)


def kept(prefix: Path) -> list[Path]:
    return [path for path in prefix.rglob("*") if path.is_file()]


def test_compiled_once(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(environment()) == "a has 3 images"
    (file,) = kept(prefix)
    assert file.name.endswith(f".{sys.implementation.cache_tag}.pyc")
    again = environment()
    monkeypatch.setattr(again, "compile", None)
    assert said(again) == "a has 3 images"


@pytest.mark.parametrize("content", [b"", b"j2", b"damaged " * 99])
def test_what_is_damaged_is_compiled_anew(content: bytes, prefix: Path) -> None:
    said(environment())
    kept(prefix)[0].write_bytes(content)
    assert said(environment()) == "a has 3 images"
    assert kept(prefix)[0].read_bytes() != content


def test_a_template_that_has_changed_is_compiled_anew(prefix: Path) -> None:
    said(environment())
    assert said(environment({"page": "{{ count }}"})) == "3"


def test_nothing_is_written_where_python_writes_nothing(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert said(environment()) == "a has 3 images" and not prefix.exists()


def test_a_place_that_cannot_be_written_changes_nothing(prefix: Path) -> None:
    prefix.write_text("a file, no folder")
    assert said(environment()) == "a has 3 images"
