"""The other columns of a table, which nobody named: for ``check``, which asks whether one of them tells the label."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from mirada.data.index import Index
from mirada.data.sources import load_data
from mirada.data.sources.names import is_table
from mirada.data.sources.roles import split_words
from mirada.data.sources.tables import Table, read_table
from mirada.data.sources.values import is_missing
from mirada.samples import MOST_PARTS, SPLIT_NAMES


def with_other_columns(index: Index) -> Index:
    """An index with all columns of its table that say 2 to 20 different things, as those that it is judged by.

    Args:
        index: One of a table of images; any other, and one of boxes, stays as it is.

    Returns:
        The same rows; ``by`` holds what was asked for first, then the others.
    """
    source = index.source
    if source is None or index.boxes or not is_table(source.path):
        return index
    table = read_table(source.path, source.encoding or None)
    others = tuple(_others(index, table))
    if not others:
        return index
    read = load_data(replace(source, by=(*source.by, *others)))
    return replace(index, by=read.by, by_names=read.by_names) if read.paths == index.paths else index


def _others(index: Index, table: Table) -> Iterator[str]:
    """The columns that have no part yet, and few different words."""
    taken = {name for names in index.columns.values() for name in names} | {*index.by_names}
    taken |= {spec.column for spec in index.covariate_specs}
    counts = Counter(table.columns)
    for name, cells in zip(table.columns, table.cells, strict=True):
        words = {cell for cell in cells if not is_missing(cell)}
        splits = set(split_words(name, cells)) <= {*SPLIT_NAMES, ""}
        free = name not in taken and not any(name.startswith(f"{each} (") for each in taken)
        if free and counts[name] == 1 and not splits and 2 <= len(words) < MOST_PARTS:
            yield name
