"""Names that may mean the same: of classes, and of groups such as patients; and classes that a mirror exchanges."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from unicodedata import category, normalize

from mirada.data.checks.kinds import Finding, Kind
from mirada.data.index import Index
from mirada.data.mirrored import what_a_mirror_changes
from mirada.data.splits import group_code
from mirada.errors import counted
from mirada.samples import Classes

# Letters of other alphabets that look like Latin ones, in lower case.
FOREIGN = str.maketrans("аеорсухіјѕԁһкмнтвαορνυικτ", "aeopcyxijsdhkmhtbaopvuikt")
NUMBER = re.compile(r"(?<![\d.])0*(?=\d)(\d+)(\.0+)?(?![\d.])")  # 01 and 1.0, but nothing of 1.05
COPIES = "(copy|kopie|copie|copia)"
COPY = re.compile(
    rf"\s*(\(\d+\)|-\s*{COPIES}(\s*\(?\d+\)?)?)$|^{COPIES} (of|von|de)\s+"
)  # as systems call them
SEPARATORS = re.compile(r"(?<=\w)[\s_\-–—]+(?=\w)")  # not the sign of −1
LETTERS = 10  # classes of a single letter, from which on A and a are two of them


def _without_marks(name: str) -> str:
    """Without what has no width, such as joiners and marks of direction."""
    return "".join(letter for letter in name if category(letter) not in ("Cf", "Cc"))


def _as_number(name: str) -> str:
    """1 for 1.0 and 01; the numbers within longer names as well: P1 for P01."""
    return NUMBER.sub(lambda found: found[1], name)


# What is made equal, one after the other, and what two names then differ in.
STEPS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("in letters that are put together otherwise", lambda name: normalize("NFC", name)),
    ("in signs that cannot be seen", _without_marks),
    ("in spaces", lambda name: " ".join(name.split())),
    ("in the width or form of letters", lambda name: normalize("NFKC", name)),
    ("in capitals", str.casefold),
    ("in letters of another alphabet that look the same", lambda name: name.translate(FOREIGN)),
    ("in how numbers are written", _as_number),
    ("in what a system adds to a copy", lambda name: COPY.sub("", name) or name),
    ("in what stands between words", lambda name: SEPARATORS.sub(" ", name).strip()),
)


def look_alikes(names: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Pairs of names that may mean the same, and what they differ in; each with the first one like it.

    >>> list(look_alikes(["Cat", "dog", "cat"]))
    [('Cat', 'cat', 'in capitals')]
    """
    first: dict[str, str] = {}
    distinct = list(dict.fromkeys(names))
    if sum(len(name) == 1 for name in distinct) >= LETTERS:
        distinct = [name for name in distinct if len(name) > 1]
    for name in distinct:
        other = first.setdefault(_equal_forms(name)[-1], name)
        if other != name:
            forms = zip(STEPS, _equal_forms(other), _equal_forms(name), strict=True)
            yield other, name, next(said for (said, _), a, b in forms if a == b)


def _equal_forms(name: str) -> list[str]:
    """The name after each step."""
    return list(accumulate((step for _, step in STEPS), lambda text, step: step(text), initial=name))[1:]


def name_findings(rest: Index) -> Iterator[Finding]:
    """Classes and groups whose names are nearly the same, and what a mirror changes by its name.

    ``rest`` has no unreadable files.
    """
    if changes := what_a_mirror_changes(rest):
        advice = (
            "training does not mirror its images by itself, so leave augment.horizontal_flip as it is, and have nobody "
            "else flip them"
        )
        yield Finding(Kind.MIRRORED, "info", "", changes, advice=advice)
    if isinstance(rest.target, Classes):
        yield from _class_findings(rest, rest.target.names)
    for group, other, difference in look_alikes(rest.groups):
        paths = tuple(rest.paths[rest.groups.index(each)] for each in (group, other))
        fact = f"its name differs from that of group {group_code(group)} only {difference}"
        advice = "if both are the same patient, or whatever a group is, spell it alike; else it may be in two splits"
        yield Finding(Kind.LOOK_ALIKE_GROUP, "warning", f"group {group_code(other)}", fact, paths, advice)


def _class_findings(rest: Index, names: Sequence[str]) -> Iterator[Finding]:
    images = Counter(names[number] for number in rest.targets.tolist() if number >= 0)
    for name, other, difference in look_alikes(names):
        counts = " and ".join(counted(images[each], "image") for each in (other, name))
        advice = "if both mean the same, give them one name; else they are learnt as two classes"
        fact = f'differs from "{name}" only {difference} ({counts})'
        yield Finding(Kind.LOOK_ALIKE, "warning", other, fact, advice=advice)
