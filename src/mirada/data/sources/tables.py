"""Delimited text → ``Table``: whatever a spreadsheet, R or pandas wrote. ``columns`` decides what it means."""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from mirada.data.pixels.decode import EXTENSIONS
from mirada.errors import DataError, reason_of

TABLES = frozenset((".csv", ".tab", ".tsv", ".txt"))
DELIMITERS = "\t;|,"  # in this order where two divide a table equally well
LOOKED_AT = 200  # records that decide on the delimiter
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # a zip archive, as .xlsx and .ods are; .xls
BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))

Record = list[str]


class Row(NamedTuple):
    """One row: ``number`` is that of a spreadsheet, whose header is row 1; ``cells`` has one text per column."""

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table of stripped texts. ``name`` is for messages.

    ``decimal_comma`` says that 1,001 is rather 1.001, where nothing else tells. ``undivided`` is the first line of a
    text that no delimiter divides, which has a single column.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    decimal_comma: bool = False
    notes: tuple[str, ...] = ()
    undivided: str = ""

    def cells(self, column: int) -> list[str]:
        """One column from top to bottom."""
        return [row.cells[column] for row in self.rows]


def read_table(file: Path) -> Table:
    """Reads a table of any delimiter (tab ``;`` ``|`` ``,``), in UTF-8, UTF-16 or Windows' Latin-1.

    Fields may be quoted and padded, lines may be empty, a first line ``sep=;`` is obeyed. A first row that names
    an image is no header: the columns are then called ``column 1``, ``column 2`` … A list of images without
    delimiters is a table of one column.

    Raises ``DataError`` for a file that is no such table, two columns of one name, a row with more fields than the
    header, or a table without rows.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({reason_of(error)}).") from error
    if data.startswith(WORKBOOKS):
        raise DataError(f"{file}: is an Excel workbook or another packed file. Save the sheet as CSV.")
    text = _decoded(data)
    delimiter = ""
    first, _, rest = text.partition("\n")
    if first.strip('"\r').lower() in {f"sep={each}" for each in DELIMITERS}:
        delimiter, text = first.strip('"')[4], rest
    try:
        delimiter = delimiter or _delimiter(text)
        if not delimiter:
            return _undivided(str(file), text)
        return _table(str(file), _records(text, delimiter), decimal_comma=delimiter != ",")
    except csv.Error as error:
        raise DataError(f"{file}: is no table that can be read ({error}).") from error


def is_frame(value: Any) -> bool:
    """Whether this is a data frame, such as pandas'."""
    return hasattr(value, "columns") and hasattr(value, "itertuples")


def table_of_frame(frame: Any) -> Table:
    """A pandas ``DataFrame`` as a table; a row's number is its position. Raises ``DataError`` as ``read_table``."""
    header = [str(name) for name in frame.columns]
    records = (list(map(_cell_text, cells)) for cells in frame.itertuples(index=False, name=None))
    rows = tuple(Row(number, tuple(cells)) for number, cells in enumerate(records))
    return _checked("the data frame", header, rows)


def _cell_text(value: Any) -> str:
    text = str(value)
    if value is None or text in ("nan", "<NA>", "NaT"):
        return ""
    whole = getattr(value, "is_integer", None)  # to pandas whole numbers with gaps are floats
    return str(int(value)) if whole and whole() else text.strip()


def _decoded(data: bytes) -> str:
    """The text, by its byte order mark, or else as UTF-8, or else as what Windows and Excel write."""
    for mark, encoding in BOMS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    for start, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        half = data[start:LOOKED_AT:2]  # NUL in text of Latin letters; in UTF-8 a NUL is a slip
        if half and 3 * half.count(0) >= len(half):
            return data.decode(encoding, "replace")
    for encoding in ("utf-8", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


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
        width = len(records[0]) if records else 0
        fitting = sum(len(record) == width for record in records) / max(1, len(records))
        if width > 1 and fitting * width > most:
            best, most = delimiter, fitting * width
    return best


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
        raise DataError(f"{name}: is empty.")
    header = numbered[0][1]
    notes: tuple[str, ...] = ()
    if any(Path(cell).suffix.lower() in EXTENSIONS for cell in header):
        header = [""] * len(header)
        notes = ("the first row names an image: the table has no header",)
    else:
        del numbered[0]
    while header and not header[-1] and not any(len(r) >= len(header) and r[-1] for _, r in numbered):
        header = header[:-1]  # what a delimiter at the end of the lines makes
    rows = tuple(Row(number, _fitted(name, number, record, len(header))) for number, record in numbered)
    return _checked(name, header, rows, decimal_comma=decimal_comma, notes=notes)


def _fitted(name: str, number: int, record: Record, width: int) -> tuple[str, ...]:
    """The record with as many cells as there are columns. Raises ``DataError`` if it has more that say something."""
    if any(record[width:]):
        raise DataError(
            f"{name}: row {number} has {len(record)} fields and the header {width}. Put quotes around a field that "
            f"holds the delimiter."
        )
    return tuple((record + [""] * width)[:width])


def _checked(
    name: str,
    header: Sequence[str],
    rows: tuple[Row, ...],
    *,
    decimal_comma: bool = False,
    notes: tuple[str, ...] = (),
) -> Table:
    columns = tuple(text.strip() or f"column {number}" for number, text in enumerate(header, start=1))
    twice = [column for column, count in Counter(columns).items() if count > 1]
    if twice:
        raise DataError(f'{name}: has more than one column called "{twice[0]}". Rename all but one.')
    if not rows:
        raise DataError(f"{name}: has a header ({', '.join(columns)}) and no rows.")
    return Table(name, columns, rows, decimal_comma, notes)
