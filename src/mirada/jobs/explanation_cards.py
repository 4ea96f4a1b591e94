"""The pictures of a page of explanations: photos, and the maps of several classes to be laid over them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mirada.data.checks.findings import label
from mirada.data.checks.inspection import preview
from mirada.data.index import Index
from mirada.data.pixels.arrays import container
from mirada.data.pixels.inline import jpeg_uri, png_uri
from mirada.inference.explained import Explained
from mirada.inference.matching import Known
from mirada.inference.model import Model
from mirada.inference.similar import TrainingFeatures, predict_with_similar
from mirada.judging.asking import Asking
from mirada.judging.verdict import Verdict
from mirada.pages.explanations import ImageCard, MapChoice, SimilarImage
from mirada.samples import Classes, Numbers
from mirada.text import percent

SHOWN = 24  # images with pictures
CHOICES = 4  # classes whose map is shown of each image


def rows_shown(index: Index, answers: NDArray[np.float64]) -> list[int]:
    """The images with pictures: at most a third wrong answers, the others as they come; ``answers`` are (N, K)."""
    wrong: list[int] = []
    if isinstance(index.target, Classes):
        wrong = np.flatnonzero(index.known & (answers.argmax(axis=1) != index.targets)).tolist()[: SHOWN // 3]
    return (wrong + [row for row in range(len(index)) if row not in wrong])[:SHOWN]


def similar_images(
    model: Model, index: Index, training: TrainingFeatures, known: Known | None
) -> list[list[SimilarImage]]:
    """The training images that the network finds most similar to each of an index, with pictures where they still lie.

    Args:
        model: The network.
        index: Images.
        training: What it makes of its training images.
        known: As for ``Model.predict``.
    """
    origin = Path(str(model.card.provenance.get("data", "")))
    roots = [index.root, origin.parent if origin.is_file() else origin]
    pictures: dict[str, str] = {}

    def picture(path: str) -> str:
        if path not in pictures:
            root = next((root for root in roots if container(root / path).is_file()), None)
            pictures[path] = preview(root, path) if root else ""
        return pictures[path]

    found = predict_with_similar(model, index, training, known=known).similar
    return [
        [SimilarImage(path=each.path, cosine=each.cosine, picture=picture(each.path)) for each in near]
        for near in found
    ]


def cards(
    asking: Asking,
    index: Index,
    answers: NDArray[np.float64],
    verdicts: Sequence[Verdict],
    similar: Sequence[Sequence[SimilarImage]],
) -> list[ImageCard]:
    """What is shown of each image of ``rows_shown``.

    Args:
        asking: The model and the images of the sample.
        index: The same images, with what is known of them.
        answers: The model's, (N, K).
        verdicts: Of all tests, for what they measured in each image.
        similar: The similar training images of each image that is shown; empty where they are not known.
    """
    rows = rows_shown(index, answers)
    choices = [_choices(index, answers, asking.numbers, row) for row in rows]
    looked: list[list[Explained]] = [[] for _ in rows]
    for turn in range(max(map(len, choices))):
        places = [place for place, numbers in enumerate(choices) if len(numbers) > turn]
        numbers = asking.numbers.copy()
        for each in places:
            numbers[rows[each]] = choices[each][turn]
        own = np.array([rows[each] for each in places])
        found = replace(asking, numbers=numbers).look([asking.seen[row] for row in own], own)
        for each, explained in zip(places, found, strict=True):
            looked[each].append(explained)
    made = [
        _card(index, answers, row, numbers, maps, verdicts)
        for row, numbers, maps in zip(rows, choices, looked, strict=True)
    ]
    return (
        [replace(card, similar=near) for card, near in zip(made, similar, strict=True)] if similar else made
    )


def _choices(index: Index, answers: NDArray[np.float64], numbers: NDArray[np.int64], row: int) -> list[int]:
    """The classes whose map is shown: the one that is explained, the true one, then the most probable ones."""
    if not isinstance(index.target, Classes):
        return [int(numbers[row])]
    true = [int(index.targets[row])] if index.known[row] else []
    return list(
        dict.fromkeys([int(numbers[row]), *true, *np.argsort(-answers[row], kind="stable").tolist()])
    )[:CHOICES]


def _card(
    index: Index,
    answers: NDArray[np.float64],
    row: int,
    numbers: Sequence[int],
    maps: Sequence[Explained],
    verdicts: Sequence[Verdict],
) -> ImageCard:
    limit = max(each.limit for each in maps)
    measured = [
        (each.measure, each.per_image[row])
        for each in verdicts
        if each.per_image and each.per_image[row] is not None
    ]
    return ImageCard(
        path=index.paths[row],
        photo=jpeg_uri(Image.fromarray(maps[0].photo), quality=85),
        true=label(index, row) if index.known[row].all() else "",
        answer=maps[0].answer,
        limit=limit,
        unit=maps[0].unit,
        choices=[
            MapChoice(
                name=_choice_name(index, answers, row, number_),
                picture=png_uri(each.tinted(limit)),
                note=each.note,
            )
            for number_, each in zip(numbers, maps, strict=True)
        ],
        numbers=[(name, value) for name, value in measured if value is not None],
    )


def _choice_name(index: Index, answers: NDArray[np.float64], row: int, number_: int) -> str:
    match index.target:
        case Classes(names):
            return f"{names[number_]} ({percent(answers[row, number_])})"
        case Numbers(_, unit) as numbers:
            return numbers.several[number_] if numbers.several else unit or "value"
