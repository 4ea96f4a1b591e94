"""Delimited text → ``Table``: whatever a spreadsheet, R, pandas or polars wrote. ``roles`` decides what it means."""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from mirada.data.sources.names import EXTENSIONS, TABLES, made_equal
from mirada.errors import DataError, InvalidArgument, counted, nearest, reason_of

__all__ = ["TABLES", "Table", "is_frame", "not_divided", "read_table", "table_of_frame", "written_table"]

DELIMITERS = "\t;|,"  # in this order where two divide a table equally well
LOOKED_AT = 200  # records that decide on the delimiter, files that decide on the encoding
PACKED = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # a zip archive, as .xlsx and .ods are; .xls
BOMS = (  # that of UTF-32 begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
OLD_ENCODINGS = {  # that a table may be in; the files that it names decide
    "cp1252": "Windows-1252", "cp1250": "Windows-1250", "cp1251": "Windows-1251", "cp1253": "Windows-1253",
    "cp1254": "Windows-1254", "gb18030": "GB18030", "cp932": "Shift-JIS", "big5": "Big5", "cp949": "CP949",
    "koi8_r": "KOI8-R", "mac_roman": "Mac Roman",
}  # fmt: skip

Record = list[str]


@dataclass(frozen=True)
class Table:
    """A table of texts, made equal (``names.made_equal``) by ``read_table``.

    Args:
        name: For messages.
        columns: The headers.
        cells: The texts of each column, from top to bottom.
        numbers: Those of the rows, as in a spreadsheet, whose header is row 1.
        decimal_comma: Whether 1,001 is rather 1.001, where nothing else tells.
        guessed: The encoding, if it is a guess.
        undivided: The first line of a text that no delimiter divides, which has a single column.
        notes: What was inferred.
    """

    name: str
    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...]
    decimal_comma: bool = False
    guessed: str = ""
    undivided: str = ""
    notes: tuple[str, ...] = ()


def read_table(file: Path, encoding: str | None = None) -> Table:
    """A table with its texts made equal, which ``written_table`` reads. Raises ``DataError`` as that."""
    return _made_equal(written_table(file, encoding))


def written_table(file: Path, encoding: str | None = None) -> Table:
    """Reads a table of any delimiter (tab ``;`` ``|`` ``,``), in UTF-8, UTF-16 or an older encoding.

    Fields may be quoted and padded, lines may be empty, a first line ``sep=;`` is obeyed, comments and a title above
    the header are passed over. A first row that names an image is no header: the columns are then called
    ``column 1``, ``column 2`` … A list of images without delimiters is a table of one column.

    Args:
        file: The table.
        encoding: That of its text, as Python calls it; by default found, by a mark, its bytes or the files that it
            names.

    Raises:
        DataError: For a file that is no such table or not in this encoding, a row with more fields than the header, or
            a table without rows.
        InvalidArgument: For an encoding that there is not.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({reason_of(error)}).") from error
    if data.startswith(PACKED):
        raise DataError(f"{file}: is an Excel workbook or another packed file. Save the sheet as CSV.")
    text, guessed, note = _decoded(data, file.parent) if encoding is None else _stated(data, file, encoding)
    if not text.strip("\ufeff\0 \t\r\n"):
        raise DataError(f"{file}: is empty. Expected a header and a row for each image.")
    delimiter = ""
    first, _, rest = text.partition("\n")
    if first.strip('"\r').lower() in {f"sep={each}" for each in DELIMITERS}:
        delimiter, text = first.strip('"')[4], rest
    try:
        delimiter = delimiter or _delimiter(text)
        if delimiter:
            table = _table(str(file), _records(text, delimiter), decimal_comma=delimiter != ",")
        else:
            table = _undivided(str(file), text)
    except csv.Error as error:
        raise DataError(f"{file}: is no table that can be read ({error}).") from error
    return replace(table, guessed=guessed, notes=(*note, *table.notes))


def is_frame(value: Any) -> bool:
    """Whether this is a data frame of pandas or polars, or one like theirs."""
    return hasattr(value, "columns") and (hasattr(value, "itertuples") or hasattr(value, "iter_rows"))


def table_of_frame(frame: Any) -> Table:
    """A data frame as a table; a row's number is its position. Raises ``DataError`` as ``read_table``."""
    header = [str(name) for name in frame.columns]
    pandas = hasattr(frame, "itertuples")
    rows = frame.itertuples(index=False, name=None) if pandas else frame.iter_rows()
    records = [list(map(_cell_text, cells)) for cells in rows]
    return _made_equal(_checked("the data frame", header, records, range(len(records))))


def _cell_text(value: Any) -> str:
    text = str(value)
    if value is None or text in ("nan", "<NA>", "NaT"):
        return ""
    whole = getattr(value, "is_integer", None)  # to pandas whole numbers with gaps are floats
    return str(int(value)) if whole and whole() else text.strip()


def _decoded(data: bytes, folder: Path) -> tuple[str, str, tuple[str, ...]]:
    """The text, by its byte order mark, or else as UTF-8, or else as an older encoding; that, if guessed; a note."""
    for mark, encoding in BOMS:
        if data.startswith(mark):
            return data.decode(encoding, "replace"), "", ()
    for start, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        half = data[start:LOOKED_AT:2]  # NUL in text of Latin letters; in UTF-8 a NUL is a slip
        if half and 3 * half.count(0) >= len(half):
            return data.decode(encoding, "replace"), "", ()
    if (text := _strictly(data, "utf-8")) is not None:
        return text, "", ()
    if known := _by_files(data, folder):
        return known[0], "", (f"encoding: {known[1]}, in which the files that it names are there",)
    text = _strictly(data, "cp1252")
    said = "Windows-1252" if text is not None else "Latin-1"
    note = (
        f"encoding: not UTF-8, read as {said}, which is a guess; name the `encoding`, or save the table as UTF-8, if "
        f"letters are wrong"
    )
    return data.decode("latin-1") if text is None else text, said, (note,)


def _stated(data: bytes, file: Path, encoding: str) -> tuple[str, str, tuple[str, ...]]:
    """The text in an encoding that was stated; no guess, and nothing to note."""
    try:
        return data.decode(encoding).removeprefix("\ufeff"), "", ()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: is not in {encoding}: its byte {error.start + 1:,} cannot be read ({error.reason}). Name another "
            f"`encoding`, or save the table as UTF-8."
        ) from error
    except (LookupError, ValueError) as error:  # no encoding of texts, or none at all
        known = nearest(encoding, ("utf-8", "utf-16", *OLD_ENCODINGS))
        raise InvalidArgument(f'There is no encoding of texts called "{encoding}". {known}') from error


def _strictly(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _by_files(data: bytes, folder: Path) -> tuple[str, str] | None:
    """The text in the one old encoding in which it names the most files that are there, and what that is called."""
    files = (
        file.stem for pattern in ("*", "*/*") for file in folder.glob(pattern) if not file.stem.isascii()
    )
    stems = made_equal(islice(files, LOOKED_AT))
    texts = {said: _strictly(data, encoding) for encoding, said in OLD_ENCODINGS.items()} if stems else {}
    hits = {said: sum(stem in text for stem in stems) for said, text in texts.items() if text}
    best = [said for said, count in hits.items() if count and count == max(hits.values())]
    return (str(texts[best[0]]), best[0]) if len({texts[said] for said in best}) == 1 else None


def _records(text: str, delimiter: str) -> Iterator[Record]:
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=delimiter != "\t"
    )
    return ([cell.strip() for cell in record] for record in reader)


def _delimiter(text: str) -> str:
    """What divides the text into the most columns that the most rows have; nothing if nothing does."""
    best, most = "", 0.0
    for delimiter in DELIMITERS:
        records = [record for record in islice(_records(text, delimiter), LOOKED_AT) if any(record)]
        records = records[_above(records) :]
        width = len(records[0]) if records else 0
        fitting = sum(len(record) == width for record in records) / max(1, len(records))
        if width > 1 and fitting * width > most:
            best, most = delimiter, fitting * width
    return best


def _above(records: Sequence[Record]) -> int:
    """How many records stand above the header: comments, and a title, in its first cell alone."""
    widths = Counter(map(len, records[:LOOKED_AT]))
    usual = max(widths, key=lambda width: (widths[width], width), default=0)
    for place, record in enumerate(records[:-1]):
        filled = sum(map(bool, record))
        comment = record[0].startswith("#") and len(record) != usual
        title = len(record) < usual and filled == 1 and sum(map(bool, records[place + 1])) > 1
        lonely = usual == 1 and record[0].startswith("# ")
        if not (comment or title or lonely):
            return place
    return 0


def not_divided(name: str, line: str) -> DataError:
    """What to raise for a text whose lines, such as this, no delimiter divides."""
    return DataError(
        f"{name}: expected columns divided by comma, semicolon, tab or |, with a header of at least two names; "
        f"found {line!r}."
    )


def _undivided(name: str, text: str) -> Table:
    line = text.partition("\n")[0].strip()[:60]
    try:
        table = _table(name, _records(text, "\t"), decimal_comma=False)
    except DataError as error:  # not even one column
        raise not_divided(name, line) from error
    return replace(table, undivided=line or table.columns[0])


def _table(name: str, records: Iterable[Record], *, decimal_comma: bool) -> Table:
    numbered = [(number, record) for number, record in enumerate(records, start=1) if any(record)]
    if not numbered:
        raise DataError(f"{name}: is empty. Expected a header and a row for each image.")
    above = _above([record for _, record in numbered])
    notes = [f"passed over: {counted(above, 'line')} above the header"] if above else []
    header = [numbered[above][1][0].removeprefix("# "), *numbered[above][1][1:]]
    if any(Path(cell).suffix.lower() in EXTENSIONS for cell in header):
        header = [""] * len(header)
        notes.append("the first row names an image: the table has no header")
    else:
        above += 1
    numbered = numbered[above:]
    while header and not header[-1] and not any(len(r) >= len(header) and r[-1] for _, r in numbered):
        header = header[:-1]  # what a delimiter at the end of the lines makes
    rows = [_fitted(name, number, record, len(header)) for number, record in numbered]
    table = _checked(name, header, rows, [number for number, _ in numbered])
    return replace(table, decimal_comma=decimal_comma, notes=tuple(notes))


def _fitted(name: str, number: int, record: Record, width: int) -> Record:
    """The record with as many cells as there are columns. Raises ``DataError`` if it has more that say something."""
    if any(record[width:]):
        raise DataError(
            f"{name}: row {number} has {len(record)} fields and the header {width}. Put quotes around a field that "
            f"holds the delimiter."
        )
    return (record + [""] * width)[:width]


def _checked(name: str, header: Sequence[str], rows: Sequence[Record], numbers: Iterable[int]) -> Table:
    """The table. Raises ``DataError`` if it has no rows."""
    columns = tuple(text or f"column {number}" for number, text in enumerate(header, start=1))
    if not rows:
        raise DataError(f"{name}: has a header ({', '.join(columns)}) and no rows.")
    return Table(name, columns, tuple(zip(*rows, strict=True)), tuple(numbers))


def _made_equal(table: Table) -> Table:
    """The table with its texts made equal. Raises ``DataError`` for two columns of one name."""
    texts = made_equal(chain(table.columns, *table.cells))
    width, count = len(table.columns), len(table.numbers)
    columns = tuple(texts[:width])
    twice = [column for column, times in Counter(columns).items() if times > 1]
    if twice:
        raise DataError(f'{table.name}: has more than one column called "{twice[0]}". Rename all but one.')
    cells = tuple(tuple(texts[start : start + count]) for start in range(width, len(texts), count))
    return replace(table, columns=columns, cells=cells)
