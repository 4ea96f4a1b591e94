"""The check of an option that has a few legal values."""

from collections.abc import Sequence

from mirada.errors import InvalidArgument


def require_choice(option: str, value: object, allowed: Sequence[object]) -> None:
    """Raises ``InvalidArgument`` for a value that is none of those allowed.

    >>> require_choice("head", "average", ("average", "flatten"))
    """
    if value not in allowed:
        raise InvalidArgument(f"`{option}` must be {' or '.join(map(repr, allowed))}. Got {value!r}.")
