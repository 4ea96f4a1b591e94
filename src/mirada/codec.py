"""Records as JSON and back: a dataclass's type hints are its schema, and an error names the key."""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from math import isfinite
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Trail = tuple[str | int, ...]

WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    NoneType: "null",
    Path: "text",
}


class BadRecord(ValueError):
    """JSON that is not the record that was asked for; the message is a sentence that names the key."""


def to_json(value: object) -> Any:
    """A record as plain JSON values; what JSON has no number for, NaN and infinity, is null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: to_json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(inner) for inner in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def from_json(kind: type[T], value: object, trail: Trail = ()) -> T:
    """The record of a type that JSON values say.

    Args:
        kind: a dataclass, or what its fields may be: text, numbers, null, literals, tuples, dictionaries with text
            as keys, unions of these.
        value: what ``json.loads`` gave. Keys that the record does not have are passed over.
        trail: the keys that led here, for the message.

    Raises:
        BadRecord: if a key without a default is missing, or a value has another type.
    """
    read: Any = _read(kind, value, trail)
    return read  # type: ignore[no-any-return]


def _read(kind: Any, value: Any, trail: Trail) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, UnionType):
        return _read_union(kind, value, trail)
    if origin is Literal and value in inner:
        return value
    if is_dataclass(kind) and isinstance(value, dict):
        return _read_dataclass(kind, value, trail)
    if origin is tuple and isinstance(value, list):
        kinds = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        if len(kinds) == len(value):
            pairs = enumerate(zip(kinds, value, strict=True))
            return tuple(_read(each, item, (*trail, place)) for place, (each, item) in pairs)
    if origin in (dict, Mapping) and isinstance(value, dict):
        return {key: _read(inner[1], item, (*trail, key)) for key, item in value.items()}
    if kind is float and type(value) in (int, float):
        return float(value)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if type(value) is kind:
        return value
    raise BadRecord(f"{place_of(trail)} must be {_words(kind)}. Got {str(value)[:60]!r}.")


def _read_dataclass(kind: Any, value: Mapping[str, Any], trail: Trail) -> Any:
    """A key that is missing is the field's default, or null where that may be."""
    hints, found = _hints(kind), {}
    for each in (field for field in fields(kind) if field.init):
        if each.name in value:
            found[each.name] = _read(hints[each.name], value[each.name], (*trail, each.name))
        elif each.default is not MISSING or each.default_factory is not MISSING:
            continue
        elif NoneType in get_args(hints[each.name]):
            found[each.name] = None
        else:
            raise BadRecord(f'the key "{each.name}" is missing in {place_of(trail)}.')
    return kind(**found)


def _read_union(kind: Any, value: Any, trail: Trail) -> Any:
    """The first of the kinds that fits; where one record is the only choice left, its own complaint."""
    kinds = get_args(kind)
    if value is None and NoneType in kinds:
        return None
    others = [each for each in kinds if each is not NoneType]
    if len(others) == 1 and isinstance(value, dict | list):
        return _read(others[0], value, trail)
    for each in others:
        try:
            return _read(each, value, trail)
        except BadRecord:
            continue
    raise BadRecord(f"{place_of(trail)} must be {_words(kind)}. Got {str(value)[:60]!r}.")


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def place_of(trail: Trail) -> str:
    """The keys that lead to a value, as a message names them."""
    return " → ".join(map(str, trail)) or "its content"


def _words(kind: Any) -> str:
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(map(_words, get_args(kind))))
    if origin is Literal:
        return " or ".join(map(str, get_args(kind)))
    if origin is tuple:
        return "a list"
    return WORDS.get(kind, "a table")
