"""Text for people: numbers and their units, names of strangers as they are, tables whose columns stand straight.

Sources: Unicode Standard Annex 11, East Asian Width; Annex 9 for the characters that turn the direction of writing.
"""

import re
import unicodedata
from collections.abc import Sequence
from html import escape
from math import floor, isfinite, log10

NBSP = "\u00a0"  # keeps a number and its unit on one line
NOTHING = "–"  # where there is no number
NAME_SHOWN = 60  # letters of a name in a message

# What a terminal obeys or leaves out instead of showing: control characters and escape sequences, line breaks of all
# kinds, marks of direction and other invisible ones (but for the joiners of emoji and of scripts that need them),
# halves of surrogate pairs, which stand for bytes of a file name that are not UTF-8.
# Compiled when it is first used, for that takes a millisecond, which `mirada --help` goes without.
HIDDEN = (
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# What a spreadsheet calculates, though it stands in quotes: a sign at the start, white space before it or not.
FORMULA = re.compile(r"'*[\s\x00-\x20]*[=+\-@]")
WIDE = ("W", "F")  # two cells of a terminal
UNSEEN = ("Mn", "Me", "Cf")  # drawn over the letter before, or not at all


def visible(text: object) -> str:
    r"""A text in one line whose every character is seen: what a terminal would obey is written out.

    >>> print(visible("cat\x1b[2J\ndog"))
    cat\x1b[2J\ndog
    """
    return re.sub(HIDDEN, lambda found: _written_out(found[0]), str(text))


def _written_out(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return SHORT.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def csv_cell(text: str) -> str:
    """A text as the cell of a table that a spreadsheet may open: an apostrophe before what it would calculate.

    >>> csv_cell("cat"), csv_cell("=1+1"), csv_value(csv_cell("=1+1"))
    ('cat', "'=1+1", '=1+1')
    """
    return f"'{text}" if FORMULA.match(text) else text


def csv_value(cell: str) -> str:
    """The text of a cell that ``csv_cell`` made."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell, 1) else cell


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


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = "") -> str:
    """A table as a notebook shows it, in one line; names of strangers are escaped.

    >>> html_table(["file"], [["<b>.png"]])
    '<table><thead><tr><th>file</th></tr></thead><tbody><tr><td>&lt;b&gt;.png</td></tr></tbody></table>'
    """

    def row(cells: Sequence[str], kind: str) -> str:
        return f"<tr>{''.join(f'<{kind}>{escape(visible(cell))}</{kind}>' for cell in cells)}</tr>"

    above = f"<caption>{escape(visible(caption))}</caption>" if caption else ""
    body = "".join(row(cells, "td") for cells in rows)
    return f"<table>{above}<thead>{row(header, 'th')}</thead><tbody>{body}</tbody></table>"


def visible_json(text: str) -> str:
    r"""JSON that says the same with what a terminal would obey as escapes, but for its own line breaks.

    >>> print(visible_json('{"name": "K\u00e4se\u202e"}'))
    {"name": "Käse\u202e"}
    """
    import json  # `mirada --help` goes without

    return re.sub(HIDDEN, lambda found: found[0] if found[0] == "\n" else json.dumps(found[0])[1:-1], text)


def known(value: float | None) -> bool:
    """Whether there is a number to print."""
    return value is not None and isfinite(value)


def listed(names: Sequence[str], most: int, *, count: int | None = None) -> str:
    """The first few names, and how many more there are; ``count`` is how many there are where not all are given.

    >>> listed(["a", "b", "c"], 3), listed(["a", "b", "c"], 2)
    ('a, b, c', 'a, b and 1 more')
    """
    more = (len(names) if count is None else count) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def shorten(name: str, most: int = 18, *, head: int = 10) -> str:
    """A name of at most so many characters; a longer one loses its middle, since names often differ at their end.

    >>> shorten("layer4.1.downsample.0.weight"), shorten("features", 6, head=2)
    ('layer4.1.d….weight', 'fe…res')
    """
    return name if len(name) <= most else f"{name[:head]}…{name[len(name) - (most - 1 - head) :]}"


def shortened(name: str) -> str:
    """A name from a file, as long as a message can bear."""
    return name if len(name) <= NAME_SHOWN else f"{name[:NAME_SHOWN]}…"


def integer(value: float) -> str:
    """A count with separators, ``11,177,538``."""
    return f"{value:,.0f}"


def places(value: float, digits: int = 3) -> int:
    """Decimals that show ``digits`` significant digits of a value, 6 at most."""
    if value == 0 or not isfinite(value):
        return 0
    return min(6, max(0, digits - 1 - floor(log10(abs(value)))))


def number(value: float | None, decimals: int | None = None) -> str:
    """A number with three significant digits, or with the decimals asked for; ``–`` for none or NaN."""
    if value is None or not isfinite(value):
        return NOTHING
    if value != 0 and not 1e-4 <= abs(value) < 1e9:
        return f"{value:.3g}".replace("-", "−")
    text = f"{value:,.{places(value) if decimals is None else decimals}f}"
    return text.replace("-", "−") if any(digit in text for digit in "123456789") else text.lstrip("-")


def percent(value: float | None, decimals: int = 1) -> str:
    """A share as a percentage, ``73.2 %``."""
    return NOTHING if not known(value) or value is None else f"{number(100 * value, decimals)}{NBSP}%"


def with_unit(text: str, unit: str) -> str:
    """A printed number and its unit on one line."""
    return f"{text}{NBSP}{unit}" if unit and text != NOTHING else text


def compact(value: float | None) -> str:
    """A large count in thousands, millions or billions: ``11.2 M``."""
    if value is None or not isfinite(value):
        return NOTHING
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{number(value / size)}{NBSP}{letter}"
    return number(value, 0)


def times(sizes: Sequence[int]) -> str:
    """Sizes as text.

    >>> times((64, 112, 112))
    '64×112×112'
    """
    return "×".join(str(size) for size in sizes)


def mebibytes(size: int) -> str:
    """A size on disk, ``44.7 MiB``."""
    return f"{size / 2**20:,.1f} MiB"


def duration(seconds: float) -> str:
    """A time span: ``48 s``, ``12 min 3 s``, ``2 h 5 min``."""
    if seconds < 10:
        return f"{number(seconds, 1)}{NBSP}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest}{NBSP}s"
    if minutes < 60:
        return f"{minutes}{NBSP}min {rest}{NBSP}s"
    return f"{minutes // 60:,}{NBSP}h {minutes % 60}{NBSP}min"


def interval(low: float | None, high: float | None, decimals: int | None, unit: str) -> str:
    """Both ends and their unit, ``36.2–41.9 months``; empty where there is none."""
    if low is None or high is None or not (known(low) and known(high)):
        return ""
    to = " to " if low < 0 else "–"
    return with_unit(f"{number(low, decimals)}{to}{number(high, decimals)}", unit)
