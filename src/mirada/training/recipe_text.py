"""Recipes as files: TOML there and back for any text, and what became of the flat recipes of earlier versions."""

import json
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard

from mirada.errors import RecipeError, reason_of
from mirada.models.options import options_now
from mirada.settings import LARGEST, shown

LIMIT = 2**20  # bytes; the longest recipe there is has two thousand
DEPTH = 8  # of lists within lists
BYTES = "bytes"  # the only key of a table that stands for a text with bytes that are no Unicode: {bytes = "2f746d70ff"}
Plain = bool | int | float | str | list["Plain"] | tuple["Plain", ...] | dict[str, "Plain"]


def plain_value(value: object, depth: int = DEPTH) -> TypeGuard[Plain | None]:
    """Whether a value, None aside, can stand in a TOML file; lists and tables are not too deep."""
    if isinstance(value, list | tuple | dict):
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        return depth > 0 and all(each is not None and plain_value(each, depth - 1) for each in inner)
    if isinstance(value, int | float):
        return math.isfinite(value) and abs(value) < LARGEST
    return value is None or isinstance(value, str)


def toml_text(values: Mapping[str, object]) -> str:
    """Plain values as TOML: those that are no tables first, then a section for every dict."""
    tables = {name: value for name, value in values.items() if isinstance(value, dict)}
    lines = [f"{_key(name)} = {_value(value)}" for name, value in values.items() if name not in tables]
    for name, table in tables.items():
        lines += ["", f"[{_key(name)}]", *(f"{_key(key)} = {_value(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def read_settings(file: str | Path) -> dict[str, object]:
    """The settings in a TOML file, not yet checked.

    Raises:
        RecipeError: For a file that cannot be read or is no TOML, naming the file and the line.
    """
    try:
        with Path(file).open("rb") as stream:  # which need not have an end
            data = stream.read(LIMIT + 1)
    except (OSError, ValueError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        raise RecipeError(f"{file}: cannot be read ({reason}).") from error
    if len(data) > LIMIT:
        raise RecipeError(f"{file}: is no recipe (it has more than {LIMIT:,} bytes).")
    try:
        return parse_settings(data.decode("utf-8-sig"), str(file))
    except UnicodeDecodeError as error:
        raise RecipeError(f"{file}: no valid TOML ({error}).") from error


def parse_settings(text: str, origin: str) -> dict[str, object]:
    """The settings in TOML, not yet checked. Raises ``RecipeError``, which names where they come from."""
    try:
        return {name: _with_bytes(value) for name, value in parse(text).items()}
    except ValueError as error:
        raise RecipeError(f"{origin}: no valid TOML ({error}).") from error


def parse(text: str) -> dict[str, object]:
    """TOML as plain values. Raises ``ValueError`` for all that is none, however deep or long."""
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("lists or tables too deep") from error
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:  # Python's limit on the digits of a number
        raise ValueError("a number with too many digits") from error


def modern(settings: Mapping[str, object], origin: str) -> tuple[dict[str, object], tuple[str, ...]]:
    """The settings of a recipe as it is now, and what became of those of the flat recipes of earlier versions.

    Those listed ``momentum`` and ``decay`` whether or not the optimizer and the schedule took them.
    """
    known = dict(settings)
    optimizer, schedule = known.get("optimizer"), known.get("schedule")
    if not (
        isinstance(optimizer, str) and isinstance(schedule, str) and {"momentum", "decay"} <= known.keys()
    ):
        return known, ()
    notes = [
        f"{origin}: the flat recipe of an earlier version; lr, momentum and weight_decay are now in [optimizer], decay "
        f"and warmup in [schedule], image_size, mode, policy, depth, window, clahe and normalize in [pixels], "
        f"val_fraction and test_fraction in [splits]."
    ]
    model, options = known.get("model"), known.get("options")
    if isinstance(model, str) and isinstance(options, dict):
        known["options"] = options_now(model, options)
        if known["options"] != options:
            notes.append(
                f"{origin}: options.head = {shown(options['head'])} of {model} is now called average_dense."
            )
    left_out = {"momentum": (optimizer, optimizer == "adam"), "decay": (schedule, schedule != "time")}
    for name, (kind, unused) in left_out.items():
        if unused:
            notes.append(f"{origin}: {name} = {shown(known.pop(name))} is left out: {kind} does not take it.")
    return known, tuple(notes)


def _key(name: str) -> str:
    bare = name and name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if bare else _text(name)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value) if _is_unicode(value) else _raw(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items()) + "}"
    return repr(value)


def _text(text: str) -> str:
    """A basic string of TOML: JSON's, but that what is Unicode stays itself, and DEL does not."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _raw(text: str) -> str:
    """A file name whose bytes are no Unicode, as Python holds it."""
    return "{" + f'{BYTES} = "{text.encode("utf-8", "surrogatepass").hex()}"' + "}"


def _with_bytes(value: object) -> object:
    """The value with texts in the place of the tables that stand for their bytes."""
    if isinstance(value, dict):
        if value.keys() == {BYTES}:
            return bytes.fromhex(str(value[BYTES])).decode("utf-8", "surrogatepass")
        return {key: _with_bytes(each) for key, each in value.items()}
    return [_with_bytes(each) for each in value] if isinstance(value, list) else value
