"""What of a page goes into a paper: every figure as an SVG and a PDF file, every table as a CSV file."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mirada.files import replacing, write_bytes, write_text
from mirada.pages.charts import Figure
from mirada.pages.page import without_home
from mirada.pages.pdf import lost_letters, pdf_of
from mirada.pages.standalone import standalone
from mirada.text import csv_cell

FIGURES, TABLES = "figures", "tables"
Row = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class PaperFiles:
    """What was written: the files of figures and of tables, and letters that no PDF file has."""

    figures: tuple[Path, ...]
    tables: tuple[Path, ...]
    lost: str = ""


def write_paper(
    folder: Path, figures: Mapping[str, Figure], tables: Mapping[str, Sequence[Row]]
) -> PaperFiles:
    """Writes ``figures`` and ``tables`` into a folder; files of the same name are written anew.

    Nobody waits for the disk: what a power cut empties can be written again.

    Args:
        folder: That of the page; it is there.
        figures: By the name of their files.
        tables: Likewise, each as rows; its columns are all that a row has. What has no rows is left out.

    Returns:
        What was written, each file whole or not at all.

    Raises:
        OSError: The disk does not take it.
    """
    drawn = {name: standalone(str(figure.svg), figure.note) for name, figure in figures.items()}
    filled = {name: rows for name, rows in tables.items() if rows}
    for part in [name for name, found in ((FIGURES, drawn), (TABLES, filled)) if found]:
        (folder / part).mkdir(exist_ok=True)
    written = []
    for name, svg in drawn.items():
        written += [folder / FIGURES / f"{name}.svg", folder / FIGURES / f"{name}.pdf"]
        write_text(written[-2], svg, synced=False)
        write_bytes(written[-1], pdf_of(svg), synced=False)
    return PaperFiles(
        figures=tuple(written),
        tables=tuple(_write(folder / TABLES / f"{name}.csv", rows) for name, rows in filled.items()),
        lost="".join(dict.fromkeys("".join(map(lost_letters, drawn.values())))),
    )


def named(figures: Sequence[Figure]) -> dict[str, Figure]:
    """Figures by the names of their files, which are their titles."""
    found: dict[str, Figure] = {}
    for figure in figures:
        found[free_name(slug(figure.title), found)] = figure
    return found


def slug(title: str) -> str:
    """A title as the name of a file: ASCII letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower().replace("²", "2")).strip("-") or "figure"


def free_name(name: str, taken: Mapping[str, object]) -> str:
    """The name, numbered where it is taken."""
    number = 1
    while (free := name if number == 1 else f"{name}-{number}") in taken:
        number += 1
    return free


def _write(file: Path, rows: Sequence[Row]) -> Path:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with (
        replacing(file, synced=False) as draft,
        draft.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow(map(csv_cell, columns))
        writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    return file


def _cell(value: object) -> object:
    if isinstance(value, str):
        return csv_cell(str(without_home(value)))
    return int(value) if isinstance(value, bool) else value
