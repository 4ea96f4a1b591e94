"""Text for people: names of strangers shown as they are, tables whose columns stand straight.

Sources: Unicode Standard Annex 11, East Asian Width; Annex 9 for the characters that turn the direction of writing.
"""

import json
import re
import unicodedata
from collections.abc import Sequence

# What a terminal obeys or leaves out instead of showing: control characters and escape sequences, line breaks of all
# kinds, marks of direction and other invisible ones (but for the joiners of emoji and of scripts that need them),
# halves of surrogate pairs, which stand for bytes of a file name that are not UTF-8.
HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
WIDE = ("W", "F")  # two cells of a terminal
UNSEEN = ("Mn", "Me", "Cf")  # drawn over the letter before, or not at all


def visible(text: object) -> str:
    r"""A text in one line whose every character is seen: what a terminal would obey is written out.

    >>> print(visible("cat\x1b[2J\ndog"))
    cat\x1b[2J\ndog
    """
    return HIDDEN.sub(lambda found: _written_out(found[0]), str(text))


def _written_out(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return SHORT.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def width(text: str) -> int:
    """The cells that a text takes on a terminal: two for a Chinese or Japanese character, none for an accent alone."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.category(character) in UNSEEN
        else 2
        if unicodedata.east_asian_width(character) in WIDE
        else 1
        for character in text
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> list[str]:
    """The lines of a table with straight columns.

    Args:
        header: a title for each column.
        rows: a cell for each column; what a terminal would obey in it is written out.
        left: so many columns stand to the left, the others, numbers, to the right.

    Returns:
        A line for the header and one for each row.
    """
    lines = [[visible(cell) for cell in line] for line in (header, *rows)]
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell + pad if column < left else pad + cell
            for column, (cell, room) in enumerate(zip(line, widths, strict=True))
            for pad in [" " * (room - width(cell))]
        ).rstrip()
        for line in lines
    ]


def visible_json(text: str) -> str:
    r"""JSON that says the same with what a terminal would obey as escapes, but for its own line breaks.

    >>> print(visible_json('{"name": "K\u00e4se\u202e"}'))
    {"name": "Käse\u202e"}
    """
    return HIDDEN.sub(lambda found: found[0] if found[0] == "\n" else json.dumps(found[0])[1:-1], text)
