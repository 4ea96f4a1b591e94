"""How a covariate of words becomes 0 and 1, and its name: ``sex=M|F``, or ``site=A`` with all else 0."""

import math

from mirada.errors import InvalidArgument

BAR = "|"  # between the two words of a covariate: sex=M|F
TRUTH = {"false": 0.0, "no": 0.0, "n": 0.0, "true": 1.0, "yes": 1.0, "y": 1.0}


def two_words(value: str) -> tuple[str, str]:
    """The word that is 1 and the word that is 0; of one word alone, beside which all is 0, the other is empty.

    >>> two_words("M|F"), two_words("A")
    (('M', 'F'), ('A', ''))
    """
    one, _, other = value.partition(BAR)
    return one, other


def indicated(word: str, value: str) -> float:
    """1 for the first of two words and 0 for the second, NaN for any other; of a value alone, 0 for all else.

    >>> indicated("F", "M|F"), indicated("X", "M|F"), indicated("B", "A")
    (0.0, nan, 0.0)
    """
    one, other = two_words(value)
    return math.nan if other and word not in (one, other) else float(word == one)


def stated_word(column: str, word: str, value: str) -> float:
    """What the covariate ``column=value`` is where ``word`` is said of all images.

    Raises ``InvalidArgument`` for a word that is neither of the two, if there are two.
    """
    number = indicated(word, value)
    if math.isnan(number):
        one, other = two_words(value)
        raise InvalidArgument(f'The covariate "{column}" is {one} or {other}. Got "{word}".')
    return number


def stated_number(name: str, value: float | str, *, binary: bool) -> float:
    """The same for a covariate of numbers; if it is 0 or 1, ``yes`` and ``no``, ``True`` and ``False`` are, too.

    Raises ``InvalidArgument`` for what is no number.
    """
    truth = TRUTH.get(str(value).lower()) if binary else None
    try:
        return float(value) if truth is None else truth
    except ValueError as error:
        raise InvalidArgument(f'The covariate "{name}" is a number. Got "{value}".') from error
