"""How often a training run saves, as the setting ``save`` says it."""

import re
from dataclasses import dataclass
from math import inf

from mirada.errors import RecipeError

AUTO = "auto"
FORM = re.compile(r"(\d+(?:\.\d+)?) ?(s|min|h|epochs?)", re.ASCII)
SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Pace:
    """How often a run saves: after so many seconds, or epochs; where both are 0, as often as is cheap."""

    seconds: float = 0.0
    epochs: int = 0


def pace_of(text: str) -> Pace:
    """The pace that the setting ``save`` says.

    Raises:
        RecipeError: For a text that says none.

    >>> pace_of("10min"), pace_of("1epoch"), pace_of("auto")
    (Pace(seconds=600.0, epochs=0), Pace(seconds=0.0, epochs=1), Pace(seconds=0.0, epochs=0))
    """
    if text == AUTO:
        return Pace()
    found = FORM.fullmatch(text)
    number = float(found[1]) if found else 0.0
    if found and found[2] in SECONDS and 0 < number < inf:
        return Pace(seconds=number * SECONDS[found[2]])
    if found and found[2] not in SECONDS and number >= 1 and number.is_integer():
        return Pace(epochs=int(number))
    raise RecipeError(
        f"`save` must be auto, or a time or a number of epochs above 0, such as 10min, 2s, 1.5h or 1epoch. "
        f'Got "{text[:60]}".'
    )
