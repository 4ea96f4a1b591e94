"""Whether an ``Index`` can be learnt from, and classes whose names are numbers as those numbers."""

from dataclasses import replace

import numpy as np

from mirada.data.index import Index
from mirada.data.sources.listing import quoted
from mirada.data.sources.values import NUMBER
from mirada.errors import DataError
from mirada.samples import Classes, Numbers


def require_images(index: Index) -> None:
    """Raises ``DataError`` if a class has no image left to train on."""
    train = index.rows("train")
    if not isinstance(index.target, Classes):
        if len(train) < 2:
            raise DataError(
                f"{index.origin}: at least 2 training images are needed; {len(train)} can be used."
            )
        return
    names = index.target.names
    if len(names) == 1:
        raise DataError(f'{index.origin}: only one class ("{names[0]}"). Classification needs at least two.')
    counts = np.bincount(index.targets[train].astype(np.int64), minlength=len(names))
    empty = [name for name, count in zip(names, counts, strict=True) if count == 0]
    if empty:
        first = [f"The first that was left out: {item.path}: {item.reason}." for item in index.excluded[:1]]
        advice = first or ["Add images, or remove the class."]
        raise DataError(
            f"{index.origin}: no readable image to train on in the class {quoted(empty)}. {advice[0]}"
        )


def with_numbers(index: Index) -> Index:
    """Classes as the numbers that they are called. Raises ``DataError`` if one is not a number."""
    if not isinstance(index.target, Classes):
        return index
    odd = [name for name in index.target.names if not NUMBER.fullmatch(name)]
    if odd:
        raise DataError(
            f'{index.origin}: for regression every class must be a number, and one is "{odd[0]}".'
        )
    values = np.array([float(name) for name in index.target.names])
    return replace(index, target=Numbers(), targets=values[index.targets.astype(np.int64), np.newaxis])
