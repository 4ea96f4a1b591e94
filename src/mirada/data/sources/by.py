"""The columns by which a model is judged apart, such as sex, scanner or site → a word per row."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import inf, isfinite

import numpy as np

from mirada.data.sources.columns import Place
from mirada.data.sources.tables import Table
from mirada.data.sources.values import is_missing, numbers
from mirada.errors import DataError, InvalidArgument
from mirada.samples import MOST_PARTS, OUTSIDE, part_order


def words_by(table: Table, places: Sequence[Place]) -> tuple[tuple[str, ...], ...]:
    """What each of these columns says in each row, "" where nothing; of one with ranges, in which its number lies.

    Raises:
        DataError: For a column of more different words than there can be parts, or with ranges and no numbers.
        InvalidArgument: For ranges that are none.
    """
    columns = [_ranges(table, place) if place.value else _words(table, place) for place in places]
    for place, words in zip(places, columns, strict=True):
        count = len(set(words))
        if count > MOST_PARTS:
            raise DataError(
                f"{table.name}: the column {place.name} says {count:,} different things, and a model is judged by "
                f"{MOST_PARTS} at the most. Name a column of fewer words, such as the site, or ranges of its numbers, "
                f"such as {place.name}=0..5..10."
            )
    return tuple(zip(*columns, strict=True)) if columns else ()


def edges_of(name: str, text: str) -> tuple[float, ...]:
    """The edges of ranges, the first −∞ and the last ∞ where they are left out.

    Args:
        name: The column.
        text: ``0..5..10..18``, or ``..5..10..`` for open ends.

    Raises:
        InvalidArgument: For anything else.

    >>> edges_of("age", "..5..10"), edges_of("size", "-1.5..0..2")
    ((-inf, 5.0, 10.0), (-1.5, 0.0, 2.0))
    """
    parts = [part.strip() for part in text.split("..")]
    ends = {0: -inf, len(parts) - 1: inf}
    try:
        edges = tuple(float(part) if part else ends[place] for place, part in enumerate(parts))
    except (KeyError, ValueError):
        edges = ()
    if (
        len(edges) < 2
        or not any(map(isfinite, edges))
        or not all(low < high for low, high in pairwise(edges))
    ):
        raise InvalidArgument(
            f"`by`: {name}={text[:60]} names no ranges. Expected rising numbers with two points between them, such as "
            f"{name}=0..5..10, or {name}=..5..10.. with open ends."
        )
    return edges


def _words(table: Table, place: Place) -> list[str]:
    return ["" if is_missing(cell) else cell for cell in table.cells[place.column]]


def _ranges(table: Table, place: Place) -> list[str]:
    """The range of each number: its lower end belongs to it, of the last one the upper end, too."""
    edges = edges_of(place.name, place.value)
    cells = table.cells[place.column]
    values = numbers(place.name, cells, decimal_comma=table.decimal_comma).values
    if np.isnan(values).all():
        raise DataError(
            f"{table.name}: the column {place.name} holds no number that could lie in the ranges {place.value}. Name "
            f"it without them."
        )
    ends = [f"{edge:.12g}" if isfinite(edge) else "" for edge in edges]
    names = ["..".join(pair) for pair in pairwise(ends)]
    found = np.digitize(values, edges) - 1
    found[values == edges[-1]] = len(names) - 1
    inside = (values >= edges[0]) & (values <= edges[-1])
    return [
        names[number] if within else "" if unknown else OUTSIDE
        for number, within, unknown in zip(
            found.tolist(), inside.tolist(), np.isnan(values).tolist(), strict=True
        )
    ]


def notes_by(places: Sequence[Place], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """How many of these rows each column puts into which part."""
    for place, words in zip(places, zip(*rows, strict=True), strict=True):
        counts = sorted(Counter(words).items(), key=lambda each: part_order(each[0]))
        special = {"": "{:,} of which it says nothing", OUTSIDE: "{:,} outside of its ranges"}
        said = (
            special[word].format(count) if word in special else f"{word} {count:,}" for word, count in counts
        )
        yield f"judged by {place.name}: {', '.join(said)}"
