"""How long a job may run, as people and as schedulers write it."""

import re

from mirada.errors import InvalidArgument

DAY, HOUR, MINUTE = 86_400, 3_600, 60
LEAST = 10 * MINUTE  # in less, little would be trained between the start and the time to save
CLOCK = re.compile(r"(?:(?P<days>\d+)-)?(?P<hours>\d+):(?P<minutes>[0-5]?\d):(?P<seconds>[0-5]?\d)", re.ASCII)
WORDS = re.compile(r"(?:(?P<days>\d+)d)?(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)(?:min|m))?", re.ASCII)


def seconds_of(text: str) -> int:
    """The seconds that a walltime says.

    Args:
        text: ``4h``, ``1d12h``, ``90min``, or as schedulers write it, ``04:00:00`` or ``1-12:00:00``. Two numbers with
            a colon between them are minutes to one scheduler and hours to another, and are refused.

    Returns:
        At least ten minutes.

    Raises:
        InvalidArgument: It is none of these, or less than ten minutes.

    >>> seconds_of("1d12h"), seconds_of("36:00:00"), seconds_of("1-12:00:00")
    (129600, 129600, 129600)
    """
    plain = text.strip().lower().replace(" ", "")
    found = CLOCK.fullmatch(plain) or (WORDS.fullmatch(plain) if plain else None)
    if not found:
        raise InvalidArgument(f'A walltime is written 4h, 1d12h, 90min or 04:00:00. Got "{text}".')
    sizes = {"days": DAY, "hours": HOUR, "minutes": MINUTE, "seconds": 1}
    total = sum(int(count) * sizes[unit] for unit, count in found.groupdict().items() if count)
    if total < LEAST:
        raise InvalidArgument(
            f'A walltime is at least {LEAST // MINUTE} minutes, of which the last three are for saving. Got "{text}".'
        )
    return total


def clock(seconds: int) -> str:
    """A time as every scheduler takes it.

    >>> clock(129_600)
    '36:00:00'
    """
    hours, rest = divmod(seconds, HOUR)
    return f"{hours:02}:{rest // MINUTE:02}:{rest % MINUTE:02}"
