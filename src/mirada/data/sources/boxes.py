"""Tables with a row for each labelled box → a row for each image, whose label is that of its largest box.

Corners count from 0, the right and lower ones lie behind the box.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from mirada.data.sources.columns import BoxColumns, Columns
from mirada.data.sources.files import Lookup
from mirada.data.sources.names import MISSING
from mirada.data.sources.tables import Table
from mirada.data.sources.values import plain_numbers
from mirada.errors import DataError, counted
from mirada.samples import SPLIT_NAMES, Box, Excluded

SHOWN = 6  # labels in a note

Boxes = Mapping[str, tuple[Box, ...]]


class ByImage(NamedTuple):
    """A table of boxes with a row for each image: its path, its boxes; and what was left out."""

    table: Table
    paths: list[str]
    boxes: Boxes
    excluded: list[Excluded]
    notes: list[str]


def boxes_of_rows(table: Table, columns: BoxColumns) -> list[Box | str]:
    """The box of each row, or the cells of a row that holds none."""
    labels, sides = table.cells[columns.label], [table.cells[side] for side in columns.sides]
    corners = plain_numbers([cell for side in sides for cell in side], decimal_comma=table.decimal_comma)
    count, found = len(labels), []
    for row, label in enumerate(labels):
        box = Box(label, *corners[row::count])
        valid = box.label and box.left < box.right and box.top < box.bottom
        found.append(box if valid else ", ".join((label, *(side[row] for side in sides))))
    return found


def by_image(table: Table, columns: Columns, files: Sequence[Lookup], *, unlabeled: bool) -> ByImage:
    """A row for each image that is there and has a box or, without one, a label; if ``unlabeled``, that is there.

    Its group, split and covariates are what its rows say, some of which may say nothing. What is no box, is not there
    or disagrees with itself is left out. Raises ``DataError`` if no image has a box.
    """
    if columns.boxes is None:
        raise ValueError("the table has no columns of boxes")
    boxes: dict[str, list[Box]] = {}
    rows: dict[str, list[int]] = {}
    plain: dict[str, set[str]] = {}
    excluded, gone = [], {}
    names, labels = table.cells[columns.image.column], table.cells[columns.boxes.label]
    blank = _rows_without_corners(table, columns.boxes)
    for row, (box, file) in enumerate(zip(boxes_of_rows(table, columns.boxes), files, strict=True)):
        labelled = row in blank and labels[row].lower() not in MISSING  # such as "no finding", and no corners
        if isinstance(box, str) and not labelled and not unlabeled:
            excluded.append(Excluded(names[row], f"row {table.numbers[row]}: {box} is no labelled box"))
        elif not file.path:
            gone[names[row]] = Excluded(names[row], file.reason)
        if file.path:
            rows.setdefault(file.path, []).append(row)
            if isinstance(box, Box):
                boxes.setdefault(file.path, []).append(box)
            elif labelled:
                plain.setdefault(file.path, set()).add(labels[row])
    if not unlabeled:
        torn = [path for path, found in plain.items() if len(found) > 1 and path not in boxes]
        excluded += [
            Excluded(path, f"its rows disagree on {table.columns[columns.boxes.label]}") for path in torn
        ]
        rows = {
            path: own for path, own in rows.items() if path in boxes or (path in plain and path not in torn)
        }
    excluded += gone.values()
    said, disagreeing = _said_of_images(table, columns, rows)
    excluded += disagreeing
    if not said or not (boxes or unlabeled):
        raise no_boxes(table.name, excluded)
    once = {path: tuple(dict.fromkeys(boxes[path])) for path in said if path in boxes}
    for path, found in once.items():
        said[path][columns.boxes.label] = largest(found).label
    cells = tuple(
        tuple(said[path].get(column, texts[rows[path][0]]) for path in said)
        for column, texts in enumerate(table.cells)
    )
    merged = replace(table, cells=cells, numbers=tuple(table.numbers[rows[path][0]] for path in said))
    without = sum(path not in boxes for path in said)
    more = [f"boxes: {counted(without, 'image')} without, of which the label alone is taken"] if plain else []
    return ByImage(merged, list(said), once, excluded, [*box_notes(once), *more])


def _rows_without_corners(table: Table, columns: BoxColumns) -> set[int]:
    """The rows that say nothing of any side of a box."""
    sides = zip(*(table.cells[side] for side in columns.sides), strict=True)
    return {row for row, corners in enumerate(sides) if all(corner.lower() in MISSING for corner in corners)}


def _said_of_images(
    table: Table, columns: Columns, rows: Mapping[str, Sequence[int]]
) -> tuple[dict[str, dict[int, str]], list[Excluded]]:
    """What the rows of each image say of group, split and covariates; the images whose rows disagree."""
    places = [
        place.column for place in (columns.group, columns.split, *columns.covariates, *columns.by) if place
    ]
    split = columns.split.column if columns.split else -1
    images: dict[str, dict[int, str]] = {}
    excluded = []
    for path, own in rows.items():
        cells: dict[int, str] = {}
        for column in places:
            texts = [table.cells[column][row] for row in own]
            words = [SPLIT_NAMES.get(text.lower(), text) for text in texts] if column == split else texts
            different = dict.fromkeys(word for word in words if word.lower() not in MISSING)
            if len(different) > 1:  # they go unnamed: a group may be a patient's name
                excluded.append(Excluded(path, f"its rows disagree on {table.columns[column]}"))
                break
            cells[column] = next(iter(different), "")
        else:
            images[path] = cells
    return images, excluded


def no_boxes(name: str, excluded: Sequence[Excluded]) -> DataError:
    """What to raise for data of which no image has a box."""
    first = f"; the first: {excluded[0].path}: {excluded[0].reason}" if excluded else ""
    return DataError(f"{name}: no image with a box that can be used{first}.")


def largest(boxes: Iterable[Box]) -> Box:
    """The box of the largest area, the first of several."""
    return max(boxes, key=lambda box: (box.right - box.left) * (box.bottom - box.top))


def box_notes(boxes: Boxes) -> list[str]:
    """How many boxes there are, and whether they leave open what an image's class is."""
    labels = sorted({box.label for found in boxes.values() for box in found})
    several = sum(len({box.label for box in found}) > 1 for found in boxes.values())
    total, images = sum(map(len, boxes.values())), counted(len(boxes), "image")
    notes = [f"boxes: {total:,} in {images}, labelled {', '.join(labels[:SHOWN])}"] if boxes else []
    if several:
        notes.append(
            f"class: {counted(several, 'image')} with boxes of several labels; the largest box's was taken"
        )
    return notes
