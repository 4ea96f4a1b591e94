"""What all images of a page of explanations have in common: mean maps by class, column and error, and their parts."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mirada.data.index import Index
from mirada.data.pixels.inline import png_uri
from mirada.explain.overlay import limit_of, tinted
from mirada.judging.cohort import MeanMap, mean_maps
from mirada.judging.subject import on_input
from mirada.judging.verdict import LEAST
from mirada.pages.explanations import MeanColumn, MeanPicture
from mirada.samples import Classes

SIDE = 128  # pixels of a mean map
PARTS = 12  # of a column, the largest
UNKNOWN = "(unknown)"


def columns_of(index: Index, answers: NDArray[np.float64]) -> dict[str, list[str]]:
    """A word per image for everything that is known of them and parts them: class, error, site, sex.

    Args:
        index: The images.
        answers: The model's, (N, K).
    """
    columns = {}
    if isinstance(index.target, Classes):
        names, known = index.target.names, index.known.tolist()
        true = [
            names[number] if is_known else UNKNOWN
            for number, is_known in zip(index.targets.tolist(), known, strict=True)
        ]
        right = (answers.argmax(axis=1) == index.targets).tolist()
        columns["class"] = true
        columns["answer"] = [
            ("right" if is_right else "wrong") if is_known else UNKNOWN
            for is_right, is_known in zip(right, known, strict=True)
        ]
    for place, name in enumerate(index.by_names):
        columns[name] = [words[place] or UNKNOWN for words in index.by]
    for spec, values in zip(index.covariate_specs, index.covariates.T, strict=True):
        if spec.one or spec.binary:
            one, other = (spec.one, spec.other or "others") if spec.one else ("1", "0")
            columns[spec.column] = [one if value == 1 else other for value in values.tolist()]
    return {name: words for name, words in columns.items() if len(set(words)) > 1}


def mean_columns(
    maps: NDArray[np.float32], columns: Mapping[str, Sequence[str]], size: tuple[int, int]
) -> list[MeanColumn]:
    """The mean maps of all images, and of the parts of each column that have ten images or more, as pictures.

    Args:
        maps: (N, h, w), signed.
        columns: A word per image.
        size: (H, W) of the network's input, whose shape the pictures have.
    """
    found = [
        MeanColumn(name, *_pictures(sorted(mean_maps(maps, words), key=lambda each: -each.images), size))
        for name, words in {"": ["all images"] * len(maps), **columns}.items()
    ]
    return [column for column in found if len(column.pictures) > (1 if column.name else 0)]


def _pictures(means: Sequence[MeanMap], size: tuple[int, int]) -> tuple[float, list[MeanPicture]]:
    """One scale for all parts, and their pictures."""
    shown = [each for each in means if each.images >= LEAST][:PARTS]
    if not shown:
        return 0.0, []
    limit = limit_of(np.stack([each.signed for each in shown]).astype(np.float32))
    scale = SIDE / max(size)
    side = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    drawn = [tinted(on_input(each.signed.astype(np.float32), side), limit) for each in shown]
    return limit, [
        MeanPicture(each.part, each.images, png_uri(picture))
        for each, picture in zip(shown, drawn, strict=True)
    ]
