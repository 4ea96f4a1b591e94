"""One option of a network: what it may be, what it is unless said otherwise, and what it means. Without torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isfinite

from mirada.errors import InvalidArgument, nearest

LONGEST = 64  # of a list: no network here has as many blocks of a kind
Value = bool | int | float | str | tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Option:
    """An argument that a network takes besides its outputs, channels and size.

    The type of ``default`` is the option's type. ``choices``, if there are any, are all that it may be; ``least`` and
    ``most`` bound a number, or each number of a list. ``meaning`` is one line for people.
    """

    default: Value
    meaning: str
    choices: tuple[Value, ...] = ()
    least: float = -inf
    most: float = inf

    @property
    def kind(self) -> str:
        """The type in words, with the choices or the range."""
        if self.choices:
            return " or ".join(map(str, self.choices))
        match self.default:
            case bool():
                return "true or false"
            case int():
                return f"a whole number from {self.least:g} to {self.most:g}"
            case float():
                return f"a number from {self.least:g} to {self.most:g}"
            case tuple():
                return f"a list of whole numbers from {self.least:g} to {self.most:g}"
        return "text"

    def checked(self, name: str, network: str, value: object) -> Value:
        """The value as the option's type: a whole number for a real one, a list for a tuple.

        Raises:
            InvalidArgument: The value is of another type, out of range or none of the choices.
        """
        right = self._typed(value)
        if self.choices:
            if right in self.choices:
                return self.choices[self.choices.index(right)]
            words = [str(choice) for choice in self.choices]
            hint = f" {nearest(str(value), words)}" if len(words) > 3 else ""
            allowed = "one of those known" if hint else " or ".join(map(repr, self.choices))
            raise InvalidArgument(f"`{name}` of {network} must be {allowed}. Got {value!r}.{hint}")
        numbers = right if isinstance(right, tuple) else (right,)
        if not 0 < len(numbers) <= LONGEST or not all(self._allows(number) for number in numbers):
            raise InvalidArgument(f"`{name}` of {network} must be {self.kind}. Got {value!r}.")
        return right  # type: ignore[return-value]

    def _allows(self, item: bool | int | float | str | None) -> bool:
        return isinstance(item, str) or (item is not None and self.least <= item <= self.most)

    def _typed(self, value: object) -> Value | None:
        """The value as the default's type, None if it is of another."""
        match self.default:
            case bool() if isinstance(value, bool):
                return value
            case str() if isinstance(value, str):
                return value
            case int() if type(value) is int and type(self.default) is int:
                return value
            case float() if isinstance(value, int | float) and type(value) is not bool and isfinite(value):
                return float(value)
            case tuple() if isinstance(value, list | tuple) and all(type(item) is int for item in value):
                return tuple(value)
        return None


def options_now(model: str, options: Mapping[str, object]) -> dict[str, object]:
    """The options of a network as they are now called.

    Args:
        model: Its name.
        options: As a model file of format 1 or 2, or a flat recipe, has them: BoNet's head of averages before a hidden
            layer was then ``average``, which is now the one without such a layer.

    Returns:
        Options that build the same network.
    """
    renamed = model.startswith("bonet") and options.get("head") == "average"
    return {**options, "head": "average_dense"} if renamed else dict(options)
