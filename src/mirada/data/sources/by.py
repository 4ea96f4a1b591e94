"""The columns by which a model is judged apart, such as sex, scanner or site → a word per row."""

from collections import Counter
from collections.abc import Iterator, Sequence

from mirada.data.sources.columns import Place
from mirada.data.sources.tables import Table
from mirada.data.sources.values import is_missing
from mirada.errors import DataError
from mirada.samples import MOST_PARTS


def words_by(table: Table, places: Sequence[Place]) -> tuple[tuple[str, ...], ...]:
    """What each of these columns says in each row, "" where nothing.

    Raises:
        DataError: For a column of more different words than there can be parts.
    """
    columns = [["" if is_missing(cell) else cell for cell in table.cells[place.column]] for place in places]
    for place, words in zip(places, columns, strict=True):
        count = len(set(words))
        if count > MOST_PARTS:
            raise DataError(
                f"{table.name}: the column {place.name} says {count:,} different things, and a model is judged by "
                f"{MOST_PARTS} at the most. Name a column of fewer words, such as the site, or of ranges of a number."
            )
    return tuple(zip(*columns, strict=True)) if columns else ()


def notes_by(places: Sequence[Place], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """How many of these rows each column puts into which part."""
    for place, words in zip(places, zip(*rows, strict=True), strict=True):
        counts = sorted(Counter(words).items(), key=lambda each: (not each[0], each[0]))
        said = (
            f"{word} {count:,}" if word else f"{count:,} of which it says nothing" for word, count in counts
        )
        yield f"judged by {place.name}: {', '.join(said)}"
