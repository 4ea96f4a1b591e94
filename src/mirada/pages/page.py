"""What every page is made with: templates that know how numbers are said, settings, pictures, a file that is whole."""

import os
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from mirada.errors import DataError, reason_of
from mirada.files import replacing
from mirada.pages.compiled import CompiledTemplates
from mirada.pages.overview import file_name
from mirada.runs.reader import RunContents, damaged
from mirada.text import integer, number, percent, shorten, with_unit

TEMPLATES = Path(__file__).parent / "templates"

SIGNATURES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}
FORBIDDEN = [bytes([code]) for code in (*range(32), 127) if code not in b"\t\n\r"]
REPLACEMENT = "\ufffd".encode()
FILES = ("weights", "first_layer")  # settings that are paths


def publish(html: str, target: Path) -> Path:
    """Write a page and return its path; it appears whole or not at all."""
    with replacing(target) as draft:
        draft.write_bytes(clean(html))
    return target


def recipe_rows(run: RunContents) -> list[tuple[str, Any]]:
    """All settings; of a file its name alone, for a page may be given to others."""
    return [
        (key, file_name(str(value)) if key in FILES and value else value) for key, value in flat(run.recipe)
    ]


def without_home(value: object) -> object:
    """A text with ``~`` for the home folder, whose name is often that of a person; pictures stay as they are."""
    if not isinstance(value, str) or value.startswith("data:"):
        return value
    if os.sep not in value:
        return value
    try:
        home = str(Path.home())
    except RuntimeError:  # nobody of this number is known to the system
        return value
    if home not in value or home == "/":
        return value
    found = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", value)
    return type(value)(found)  # what is markup stays markup


def data_uri(file: Path) -> str:
    """A JPEG or PNG file as a data URI. Raises ``DataError`` for one that is missing, or none of them."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: the picture cannot be read ({reason_of(error)}).") from error
    for signature, kind in SIGNATURES.items():
        if content.startswith(signature):
            return f"data:{kind};base64,{b64encode(content).decode()}"
    raise damaged(file, "it is neither a JPEG nor a PNG.")


def template(name: str) -> Template:
    """A page of the templates' folder, with the filters that they use."""
    return _environment().get_template(name)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        bytecode_cache=CompiledTemplates(TEMPLATES),
        autoescape=True,  # file names and class names come from strangers
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=without_home,  # all that a page says
    )
    environment.filters.update(
        cell=cell,
        integer=integer,
        number=number,
        percent=percent,
        shorten=shorten,
        with_unit=with_unit,
    )
    return environment


def flat(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """The settings of nested tables, ``("augment.flip", True)``."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def cell(value: object) -> str:
    """A setting as it stands in a TOML file, text without its quotes."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.8g}"
    if isinstance(value, list):
        return ", ".join(map(cell, value)) or "(none)"
    return "(none)" if value is None or value == "" else str(value)


def clean(html: str) -> bytes:
    """UTF-8 without what HTML forbids: control characters and halves of surrogate pairs in file names."""
    page = html.encode("utf-8", "backslashreplace")
    for (
        code
    ) in FORBIDDEN:  # thirty searches of bytes take a twentieth of the time of one look at every character
        page = page.replace(code, REPLACEMENT)
    return page
