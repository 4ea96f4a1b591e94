"""What a setting is: a field of a frozen record, with its type, its range and one line of meaning.

A record of settings checks itself by the very rules from which ``mirada settings`` and docs/settings.md are printed.
"""

import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from mirada.errors import nearest

RULE = "rule"  # its place in a field's metadata
SHOWN = 60  # characters of a value in a message
LARGEST = 2**63  # whole numbers lie below it: NumPy's, safetensors' and a database's are no larger


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a value may be, besides its type.

    Args:
        meaning: One line for people.
        above: What a number is above.
        least: The smallest number there may be.
        below: What a number is below.
        most: The largest number there may be.
        file: Whether it is the name of a file, so that a ``Path`` will do.
    """

    meaning: str
    above: float | None = None
    least: float | None = None
    below: float | None = None
    most: float | None = None
    file: bool = False

    @property
    def range(self) -> str:
        """In words that follow those of the type, "" for none.

        >>> Rule(meaning="", least=0, most=1).range, Rule(meaning="", above=0).range
        ('from 0 to 1', 'above 0')
        """
        low = f"above {self.above:g}" if self.above is not None else ""
        if self.least is not None and self.most is not None:
            return f"from {self.least:g} to {self.most:g}"
        if self.least is not None and self.below is not None:
            return f"from {self.least:g} to below {self.below:g}"
        if self.least is not None:
            return f"of at least {self.least:g}"
        if self.below is not None:
            return f"{low} and below {self.below:g}"
        return f"{low} and at most {self.most:g}" if self.most is not None else low

    def holds(self, number: float) -> bool:
        """Whether a number lies in the range."""
        return (
            (self.above is None or number > self.above)
            and (self.least is None or number >= self.least)
            and (self.below is None or number < self.below)
            and (self.most is None or number <= self.most)
        )


def setting(
    default: Any, meaning: str, *, above: float | None = None, least: float | None = None,
    below: float | None = None, most: float | None = None, file: bool = False,
) -> Any:  # fmt: skip
    """A field of a record of settings; the arguments are those of ``Rule``."""
    rule = Rule(meaning=meaning, above=above, least=least, below=below, most=most, file=file)
    return field(default=default, metadata={RULE: rule})


@dataclass(frozen=True)
class Described:
    """A field of a record of settings, as it was declared."""

    name: str
    hint: Any
    rule: Rule
    default: Any

    @property
    def values(self) -> str:
        """For people: the words that may be chosen, or the type and the range."""
        return wanted(self.hint, self.rule)


def described(record: type[Any]) -> tuple[Described, ...]:
    """The settings that a record of settings declares, in order; fields that hold records are none."""
    hints = get_type_hints(record)
    return tuple(
        Described(each.name, hints[each.name], each.metadata[RULE], each.default)
        for each in fields(record)
        if RULE in each.metadata
    )


def check(record: object, error: type[Exception], of: str = "") -> None:
    """Puts every setting of a frozen record into its form. Raises ``error`` for one that cannot be used."""
    for each in described(type(record)):
        value, wrong = formed(each.hint, each.rule, getattr(record, each.name))
        if wrong:
            raise error(f"`{each.name}`{of} {wrong}")
        object.__setattr__(record, each.name, value)


def formed(hint: Any, rule: Rule, value: Any) -> tuple[Any, str]:
    """A value in the form of its type, and "" or what is wrong with it."""
    if hint == tuple[int, int]:
        return _size(value)
    if hint == tuple[str, ...]:
        return _names(value)
    if hint == tuple[float, ...]:
        return _numbers(rule, value)
    kinds = _choices(hint)
    if kinds and any(value == known and type(value) is type(known) for known in kinds):
        return value, ""
    types = [kind for kind in _members(hint) if get_origin(kind) is not Literal]
    if kinds and not types:
        return value, f'cannot be "{shown_text(value)}". {nearest(shown_text(value), map(str, kinds))}'
    given = value
    if float in types and type(value) is int and abs(value) < LARGEST:
        value = float(value)
    if rule.file and isinstance(value, Path):
        value = str(value)
    if type(value) not in types:
        return value, f"must be {wanted(hint, rule)}. Got {shown(given)}."
    if isinstance(value, str) and "\0" in value:
        return value, f"must not hold the character NUL. Got {shown(given)}."
    if isinstance(value, bool | str):
        return value, ""
    if isinstance(value, int) and value >= LARGEST:
        return value, f"must be below 2⁶³. Got {shown(given)}."
    if not math.isfinite(value) or not rule.holds(value):
        return value, f"must be {wanted(hint, rule)}. Got {shown(given)}."
    return value, ""


def _size(value: Any) -> tuple[Any, str]:
    """A side in pixels, or height and width."""
    size = (value, value) if isinstance(value, int) else value
    if not (isinstance(size, list | tuple) and len(size) == 2 and all(type(side) is int for side in size)):
        return value, f"must be {type_words(tuple[int, int])}. Got {shown(value)}."
    if min(size) < 1:
        return value, f"must be at least 1 pixel. Got {shown(tuple(size))}."
    return tuple(size), ""


def _names(value: Any) -> tuple[Any, str]:
    """A list of words, or one text of words with commas between."""
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        return value, f'must be a list of names, such as ["stem"]. Got {shown(value)}.'
    return tuple(word.strip() for word in words if word.strip()), ""


def _numbers(rule: Rule, value: Any) -> tuple[Any, str]:
    """A list of numbers, or one, or one text of numbers with commas between."""
    listed = value.split(",") if isinstance(value, str) else value
    listed = [listed] if isinstance(listed, int | float) else listed
    wrong = f"must be {wanted(tuple[float, ...], rule)}, such as 30,60. Got {shown(value)}."
    if not isinstance(listed, list | tuple):
        return value, wrong
    found = []
    for each in listed:
        try:
            number = float(each) if isinstance(each, str) else each
        except ValueError:
            return value, wrong
        number, problem = formed(float, rule, number)
        if problem:
            return value, wrong
        found.append(number)
    return tuple(found), ""


def wanted(hint: Any, rule: Rule) -> str:
    """What a value has to be, in words.

    >>> wanted(float, Rule(meaning="", least=0, most=1)), wanted(bool, Rule(meaning=""))
    ('a number from 0 to 1', 'true, false')
    """
    return f"{type_words(hint)} {rule.range}".rstrip()


def type_words(hint: Any) -> str:
    """A type in words.

    >>> type_words(float), type_words(Literal["a", "b"]), type_words(tuple[str, ...])
    ('a number', 'a, b', 'names')
    """
    if hint == tuple[int, int]:
        return "a side in pixels or [height, width]"
    if hint == tuple[str, ...]:
        return "names"
    if hint == tuple[float, ...]:
        return "numbers"
    known = {int: "a whole number", float: "a number", bool: "true, false", str: "a text"}
    words = [known[kind] for kind in _members(hint) if kind in known]
    return ", ".join([*map(str, _choices(hint)), *words])


def _members(hint: Any) -> tuple[Any, ...]:
    """The types of a union; of any other type, itself."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _choices(hint: Any) -> tuple[Any, ...]:
    """What a literal type, or one in a union, allows."""
    return tuple(
        choice for kind in _members(hint) if get_origin(kind) is Literal for choice in get_args(kind)
    )


def shown(value: object) -> str:
    """A value as Python writes it, cut to a length that a sentence can bear."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of more digits than Python prints, a list without an end
        return f"a {type(value).__name__} that is too long to show"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def shown_text(value: object) -> str:
    """A value as a word, cut likewise."""
    return value[:SHOWN] if isinstance(value, str) else shown(value)
