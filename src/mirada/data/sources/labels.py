"""Texts that are no class names: several labels in one cell, and letters read in the wrong encoding."""

import re
from collections import Counter
from collections.abc import Collection, Sequence

from mirada.errors import DataError

LIST = re.compile(r"[\[({].*[\])}]")
# What stands between several labels in one cell: hardly ever within a label, rarely, or often.
SURELY_BETWEEN = re.compile(r"\|+|;+|；|\n")
RARELY_WITHIN = re.compile(r",\s|，|、|\s\+\s|\s&\s|＋")
SPACE = re.compile(r"\s")
WORD_BETWEEN = re.compile(r"\sand\s|\sund\s|\set\s|\sy\s")
OFTEN_WITHIN = (*map(re.compile, (",", "/|／", r"\\|:", r"\+|&", "_", "-|–", r"[~^#*]")), WORD_BETWEEN, SPACE)
# Letters of other encodings, read as Windows-1252.
RUBBISH = re.compile(
    "[\u0080-\u009f\u0160\u0161\u017d\u017e\u0178\u0192\u02c6\u02dcþðÞÐ]"  # rare in the West, usual in rubbish
    "|[^\\W\\d_][¡-©«¬®-´¶¸¹»-¿‚„†-‰‹›€…–—•™×÷][^\\W\\d_]|[a-zß-ÿ][À-ÞŒ]|[À-ÿ]{3}|[À-ÿ][¨©«¬®-´¶¸¹»-¿]"
    "|[^\\W\\d_][¢¤¥¦¨¬¯¶¸¹¼-¾]|[¤¦¨¯¸¹¼-¾][^\\W\\d_]"
)
AMOUNT = r"[<>≤≥~≈±+\-−]{0,2}\s?\d(?:[\d.,'’\s]*\d)?"
# 2 cm, 12 %, >5, 3–6, 1'000, 10:30, 2020-01-31, 4.5 or so: what is measured, not a name.
QUANTITY = re.compile(
    rf"{AMOUNT}(?:\s?[-–/:x×T.]\s?{AMOUNT})*\s?(?P<unit>[^\W\d_]{{0,8}}|[%‰°€$£µ][^\W\d_]{{0,3}})\.?"
)
UNITS = 3  # different ones in a column of quantities, of which one may be none
CODE = re.compile(r"0\d+")  # 007: what is measured does not begin with a zero
FEW = 10  # different quantities that may be meant as classes
RANGE = re.compile(r"\D*(\d+(?:\.\d+)?)\s?[-–]\s?(\d+(?:\.\d+)?)\D*")  # 20-29 years
UNKNOWN = (-1, -100, 255, 65535)  # what stands for "unknown" among classes that are numbered


def require_single_labels(where: str, name: str, cells: Sequence[str]) -> None:
    """Raises ``DataError`` for cells that hold several labels, such as ``Mass|Nodule`` beside ``Mass``."""
    labels = {cell for cell in cells if cell}
    joint = [
        label for label in labels if LIST.fullmatch(label) and re.search(r"[^\s,;|][,;|\s]+[^\s,;|]", label)
    ]
    for between in (SURELY_BETWEEN, RARELY_WITHIN, *OFTEN_WITHIN):
        joint = joint or _joint(labels, between)
    if joint:
        raise DataError(
            f'{where}: the column {name} has several labels in a cell, such as "{min(joint)}", and an image can have '
            f"one class only. Name another `target`, or say task=classification to take each combination as a class."
        )


def require_names(where: str, name: str, cells: Sequence[str]) -> None:
    """Raises ``DataError`` for cells that are rather quantities: 2 cm, 12 %, dates, numbers beside a word or two.

    A few of them that come again and again, such as 0-9 and 10-19, may be classes.
    """
    said = [cell for cell in cells if cell]
    labels = set(said)
    found = [(label, match["unit"]) for label in labels if (match := QUANTITY.fullmatch(label))]
    many = (len(labels) > FEW and not _are_ranges(labels)) or (
        len(labels) > 2 and 2 * len(labels) > len(said)
    )
    if not many or 2 * len(found) <= len(labels) or len({unit for _, unit in found}) > UNITS:
        return
    if any(CODE.fullmatch(label) for label, _ in found):
        return
    words = sorted(labels - {label for label, _ in found})
    odd = words[0] if words else next((label for label in said if not label.isdecimal()), said[0])
    raise DataError(
        f"{where}: the column {name} has {len(labels):,} different values in {len(said):,} rows, most of which begin "
        f'with a number, but "{odd}" is no number. Write numbers alone, their unit in the header, such as length '
        f"(cm), or say task=regression to leave out the rows without a number, task=classification if each is a class."
    )


def _are_ranges(labels: Collection[str]) -> bool:
    """Whether most are from one number to a larger one, as 20-29: somebody has made classes of what was measured."""
    found = [match for label in labels if (match := RANGE.fullmatch(label))]
    return 2 * sum(float(match[1]) < float(match[2]) for match in found) > len(labels)


def require_no_mark(where: str, what: str, labels: Collection[str]) -> None:
    """Raises ``DataError`` where numbered classes have another beside them that stands for "unknown", as -1 does.

    >>> require_no_mark("data.csv", "label", ["-1", "1"])
    >>> require_no_mark("data.csv", "label", ["-1", "0", "1", "2"])
    Traceback (most recent call last):
        ...
    mirada.errors.DataError: data.csv: label: -1 beside 0 … 2 usually marks images whose class is not known. Leave \
those images out, or say task=classification if it is a class, task=regression if all are amounts.
    """
    try:
        numbers = {float(label) for label in labels}
    except ValueError:
        return
    for mark in numbers.intersection(UNKNOWN):
        rest = sorted(numbers - {mark})
        low, high = (int(rest[0]), int(rest[-1])) if len(rest) > 1 else (0, 0)
        if low in (0, 1) and rest == [*range(low, high + 1)] and high > low and not high <= mark <= high + 1:
            raise DataError(
                f"{where}: {what}: {mark:g} beside {low} … {high} usually marks images whose class is not known. Leave "
                f"those images out, or say task=classification if it is a class, task=regression if all are amounts."
            )


def _joint(labels: Collection[str], between: re.Pattern[str]) -> list[str]:
    """The labels that are several with this between them: those of which all parts are labels by themselves, too.

    Of what hardly ever stands within a label it is enough that a part is met twice; of what rarely does, and between
    parts such as ``frog_eye``, that all are, and one of them by itself. Numbers are never the words of one name.
    """
    folded = {label.casefold() for label in labels}
    parts = {label: [part.strip().casefold() for part in between.split(label)] for label in labels}
    told = {label: found for label, found in parts.items() if len(found) > 1 and all(found)}
    uses = Counter([part for found in parts.values() for part in set(found)])
    rare = between is RARELY_WITHIN or any("_" in part for found in told.values() for part in found)
    return [
        label
        for label, found in told.items()
        if folded.issuperset(found)
        or (between is SURELY_BETWEEN and any(uses[part] > 1 for part in found))
        or (rare and all(uses[part] > 1 for part in found) and not folded.isdisjoint(found))
        or (between is SPACE and all(part.isdecimal() for part in found))
    ]


def require_words(where: str, name: str, labels: Sequence[str], encoding: str) -> None:
    """Raises ``DataError`` for labels that are no words in an encoding that was guessed."""
    if rubbish := [label for label in labels if _is_rubbish(label)]:
        raise DataError(
            f'{where}: is not UTF-8, and as {encoding} the column {name} holds "{rubbish[0]}", which is no word. Save '
            f'the table as UTF-8 (in Excel: "CSV UTF-8"), or name its `encoding`, such as cp1251 or gb18030.'
        )


def _is_rubbish(text: str) -> bool:
    """Whether a text that was read as Windows-1252 must have been written in another encoding."""
    if text.isascii():
        return False
    words = re.findall(r"[^\W\d_]{2,}", text)
    foreign = [3 * sum(not letter.isascii() for letter in word) > 2 * len(word) for word in words]
    return bool(RUBBISH.search(text)) or not words or any(foreign)
