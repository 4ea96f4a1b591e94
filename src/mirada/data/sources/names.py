"""What a name or a text says by itself: the endings of tables, what says nothing, texts that look alike made equal."""

import re
from collections.abc import Iterable
from pathlib import Path
from unicodedata import normalize

from mirada.data.pixels.arrays import (
    container as container,
)  # the file of an address such as mnist.npz#images-3
from mirada.data.pixels.arrays import is_idx as is_idx
from mirada.data.pixels.arrays import is_npz as is_npz
from mirada.data.pixels.decode import EXTENSIONS as EXTENSIONS
from mirada.samples import TRUTH

TABLES = frozenset((".csv", ".tab", ".tsv", ".txt"))
WORKBOOKS = frozenset((".ods", ".xls", ".xlsm", ".xlsx"))
BOX_TABLE = "boxes.csv"  # beside the folders of classes
UNGROUPED = "none"  # as the group: no grouping, not even by the patients of DICOM files

MISSING = frozenset(("", "#n/a", ".", "<na>", "?", "n/a", "na", "nan", "null"))  # in lower case
SURELY_MISSING = frozenset(("", "#n/a", "<na>"))  # the others may be the name of a class
UNSAID = frozenset(("-", "None"))  # missing among numbers; among words perhaps a class, as beside "+"

YES_AND_NO = {**TRUTH, "1": 1.0, "1.0": 1.0, "0": 0.0, "0.0": 0.0}
YES = frozenset("t x ✓ + pos positive present ja oui si sí sim да 是 有 はい".split())  # noqa: SIM905
NO = frozenset("f - -1 -1.0 neg negative absent nein non não nao нет 否 无 無 いいえ".split())  # noqa: SIM905
MARKS = {
    **YES_AND_NO,
    **dict.fromkeys(YES, 1.0),
    **dict.fromkeys(NO, 0.0),
}  # in a column for a class, as is nothing

ODD_SPACES = re.compile(r"[^\S\n\r]+")
# Joiners have a meaning in the scripts of India and Persia, and none behind a Latin letter.
NO_WIDTH = re.compile("[\u00ad\u180e\u200b\u2060\ufeff]|(?<=[\u0000-\u024f])[\u200c\u200d]")


def made_equal(texts: Iterable[str]) -> list[str]:
    """Texts without what nobody sees: composed letters (NFC), every space a plain one, none of no width.

    >>> made_equal(["old\\u00a0 cat", "Cafe\\u0301", "c\\u200bat"])
    ['old cat', 'Café', 'cat']
    """
    return [
        text
        if text.isascii() and "  " not in text and "\t" not in text and text == text.strip()
        else _equal(text)
        for text in texts
    ]


def _equal(text: str) -> str:
    return ODD_SPACES.sub(" ", NO_WIDTH.sub("", normalize("NFC", text))).strip()


def is_table(file: Path) -> bool:
    """Whether a file's name says that it is a table of images."""
    return file.suffix.lower() in TABLES
