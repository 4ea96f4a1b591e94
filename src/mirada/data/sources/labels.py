"""Texts that are no class names: several labels in one cell, and letters read in the wrong encoding."""

import re
from collections import Counter
from collections.abc import Collection, Sequence

from mirada.errors import DataError

LIST = re.compile(r"[\[({].*[\])}]")
# What stands between several labels in one cell: hardly ever within a label, rarely, or often.
SURELY_BETWEEN = re.compile(r"\||;|；|\n")
RARELY_WITHIN = re.compile(r",\s|，|、|\s\+\s|\s&\s|＋")
SPACE = re.compile(r"\s")
WORD_BETWEEN = re.compile(r"\sand\s|\sund\s|\set\s|\sy\s")
OFTEN_WITHIN = (*map(re.compile, (",", "/|／", r"\\|:", r"\+|&", "_", "-|–")), WORD_BETWEEN, SPACE)
# Letters of other encodings, read as Windows-1252.
RUBBISH = re.compile(
    "[\u0080-\u009f\u0160\u0161\u017d\u017e\u0178\u0192\u02c6\u02dcþðÞÐ]"  # rare in the West, usual in rubbish
    "|[^\\W\\d_][¡-©«¬®-´¶¸¹»-¿‚„†-‰‹›€…–—•™×÷][^\\W\\d_]|[a-zß-ÿ][À-ÞŒ]|[À-ÿ]{3}|[À-ÿ][¨©«¬®-´¶¸¹»-¿]"
)


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
            f'the table as UTF-8 (in Excel: "CSV UTF-8").'
        )


def _is_rubbish(text: str) -> bool:
    """Whether a text that was read as Windows-1252 must have been written in another encoding."""
    if text.isascii():
        return False
    words = re.findall(r"[^\W\d_]{2,}", text)
    foreign = [3 * sum(not letter.isascii() for letter in word) > 2 * len(word) for word in words]
    return bool(RUBBISH.search(text)) or not words or any(foreign)
