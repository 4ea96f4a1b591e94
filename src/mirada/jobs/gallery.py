"""The pictures of a run: what the network is shown, augmented, and where it looks in its best and worst images."""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import isnan
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from mirada.data.batches import to_pictures
from mirada.data.cache import Cache
from mirada.data.checks.findings import label
from mirada.data.checks.inspection import small_picture
from mirada.data.index import Index
from mirada.data.mixing import Mixing
from mirada.data.parallel import parallel_map
from mirada.data.pixels.arrays import Array, read_image, show_image
from mirada.data.pixels.decode import DecodeError, Encoded
from mirada.evaluation.columns import Neighbour
from mirada.evaluation.predictions import Predictions
from mirada.files import replacing
from mirada.inference.explained import Explained
from mirada.inference.model import Model
from mirada.inference.similar import TrainingFeatures, head_inputs
from mirada.runs.reader import read_maps
from mirada.runs.records import MapRecord, Section, SheetRecord, SimilarRecord
from mirada.samples import Classes, Numbers
from mirada.training.feed import Feed

T = TypeVar("T")

SAMPLES = (4, 8)  # rows and columns of the picture of augmented images
SHOWN: dict[Section, int] = {"wrong": 6, "uncertain": 6, "typical": 6}  # images with maps in the report
PHOTO_SIDE = 480  # pixels of a photo in the report
SIMILAR_SIDE = 112  # pixels of a similar training image there


def draw_maps(
    model: Model,
    cache: Cache,
    predictions: Predictions,
    folder: Path,
    training: TrainingFeatures | None,
    gone: set[str],
) -> list[MapRecord]:
    """Photos with maps of the most wrong, most uncertain and most typical images; what the report shows.

    Args:
        model: The network.
        cache: All images of the run.
        predictions: Those of the images to choose from.
        folder: That of the run.
        training: The features of its training images, of which the similar ones are shown as well.
        gone: Takes the names of those that cannot be read any more, and so are not shown.
    """
    (folder / "maps").mkdir(exist_ok=True)
    index = cache.index
    place = {path: row for row, path in enumerate(index.paths)}
    chosen = [
        (section, row)
        for section, row in _sections(predictions)
        if read_again(index, place[predictions.paths[row]], gone) is not None
    ]
    shown = [place[predictions.paths[row]] for _, row in chosen]
    photos = model.explain(index.take(shown), max_side=PHOTO_SIDE)
    near = _neighbours(model, cache, shown, training)
    small = _small_pictures(near, index, place, folder, gone)
    files = [(f"maps/{number:03}-photo.jpg", f"maps/{number:03}-map.jpg") for number in range(len(chosen))]
    pictures = list(zip(photos, files, strict=True))
    for _ in parallel_map(partial(_draw, folder=folder), pictures, what="drawing"):
        pass
    return [
        MapRecord(
            section=section,
            **_answer(predictions, row),
            explained=seen.subject,
            method=seen.title,
            limit=seen.limit,
            unit=seen.unit,
            note=seen.note,
            remark=seen.remark,
            image=photo,
            overlay=overlay,
            similar=tuple(
                SimilarRecord(
                    each.path, label(index, place[each.path]), round(each.cosine, 4), small[each.path]
                )
                for each in similar
            ),
        )
        for (section, row), (seen, (photo, overlay)), similar in zip(chosen, pictures, near, strict=True)
    ]


def _draw(picture: tuple[Explained, tuple[str, str]], *, folder: Path) -> None:
    """A photo, and the map over it, into these files of the folder."""
    seen, (photo, overlay) = picture
    save_picture(Image.fromarray(seen.photo), folder / photo, quality=88)
    save_picture(Image.fromarray(seen.picture(colour_bar=False)), folder / overlay, quality=90)


def read_again(index: Index, row: int, gone: set[str]) -> Encoded | Array | None:
    """An image that was decoded when the run began; None, and its name among the ``gone``, where it cannot be read."""
    try:
        return read_image(index.path(row))
    except DecodeError:
        gone.add(index.paths[row])
        return None


def _neighbours(
    model: Model, cache: Cache, rows: Sequence[int], training: TrainingFeatures | None
) -> list[tuple[Neighbour, ...]]:
    """The most similar training images of each of these rows of the cache."""
    if training is None or not rows:
        return [()] * len(rows)
    return training.nearest(head_inputs(model, cache, np.array(rows), model.compute))


def _small_pictures(
    near: Sequence[Sequence[Neighbour]], index: Index, place: Mapping[str, int], folder: Path, gone: set[str]
) -> dict[str, str]:
    """The pictures of similar images, drawn once each, by the paths of the images; "" for what cannot be read."""
    rows = sorted({place[each.path] for neighbours in near for each in neighbours})
    files = {row: f"maps/training-{row:06}.jpg" for row in rows}
    drawn = draw_small(index, {row: folder / file for row, file in files.items()}, SIMILAR_SIDE, gone)
    return {index.paths[row]: file if row in drawn else "" for row, file in files.items()}


def draw_small(index: Index, files: Mapping[int, Path], side: int, gone: set[str]) -> set[int]:
    """Writes small pictures of images, by all cores.

    Args:
        index: The images.
        files: Where to, by the row of the index.
        side: Of a picture, in pixels.
        gone: Takes the names of those that cannot be read any more.

    Returns:
        The rows of those that are drawn.
    """

    def draw(row: int) -> bool:
        image = read_again(index, row, gone)
        if image is not None:
            save_picture(small_picture(show_image(image, least=side), side), files[row], quality=75)
        return image is not None

    drawn = parallel_map(draw, list(files), what="drawing")
    return {row for row, done in zip(files, drawn, strict=True) if done}


def _answer(predictions: Predictions, row: int) -> dict[str, Any]:
    """One row of the predictions with names in place of numbers."""
    record = predictions.take([row]).to_json()[0]
    if predictions.target_names:  # the map is of the first
        first = predictions.target_names[0]
        record |= {key: record[f"{key}:{first}"] for key in ("target", "predicted")}
    return {key: record.get(key) for key in ("path", "split", "target", "predicted", "probability")}


def _sections(predictions: Predictions) -> list[tuple[Section, int]]:
    """Rows for each section of the report; a row appears once."""
    rows: dict[Section, Sequence[int]] = {"wrong": predictions.most_wrong(SHOWN["wrong"]).tolist()}
    if isinstance(predictions.target, Classes):
        rows["uncertain"] = predictions.most_uncertain(SHOWN["uncertain"] + SHOWN["wrong"]).tolist()
        right = np.flatnonzero(predictions.predicted == predictions.targets)
        surest = right[np.argsort(-predictions.probability[right], kind="stable")]
        rows["typical"] = in_turn(surest.tolist(), predictions.class_numbers[surest].tolist())
    else:
        rows["typical"] = predictions.most_wrong(len(predictions))[::-1].tolist()
    chosen: list[tuple[Section, int]] = []
    taken: set[int] = set()
    for section, candidates in rows.items():
        fresh = [row for row in candidates if row not in taken][: SHOWN[section]]
        taken.update(fresh)
        chosen += [(section, row) for row in fresh]
    return chosen


def in_turn(items: Sequence[T], kinds: Sequence[Hashable]) -> list[T]:
    """One item of each kind, then the second of each, and so on; those of a kind in their order.

    >>> in_turn([1, 2, 3, 4], "aaba")
    [1, 3, 2, 4]
    """
    seen = Counter[Hashable]()
    turns = []
    for kind in kinds:
        turns.append(seen[kind])
        seen[kind] += 1
    return [item for _, item in sorted(zip(turns, items, strict=True), key=lambda pair: pair[0])]


def of_all_folds(folders: Sequence[Path]) -> list[MapRecord]:
    """The maps of several runs as those of the folder above them: of each section as many as of one, in turn."""
    found = [
        (_moved(item, folder.name), folder.name)
        for folder in folders
        for item in read_maps(folder / "maps.json")
    ]
    chosen = []
    for section, count in SHOWN.items():
        own = [(item, name) for item, name in found if item.section == section]
        chosen += in_turn([item for item, _ in own], [name for _, name in own])[:count]
    return chosen


def _moved(item: MapRecord, folder: str) -> MapRecord:
    """Seen from the folder above that of its run."""
    return replace(
        item,
        image=f"{folder}/{item.image}",
        overlay=f"{folder}/{item.overlay}",
        similar=tuple(
            replace(each, image=f"{folder}/{each.image}" if each.image else "") for each in item.similar
        ),
    )


def save_samples(feed: Feed, file: Path) -> SheetRecord:
    """A picture of what the network sees in the first epoch, augmented, in a grid; returns what is in it."""
    rows, columns = SAMPLES
    seen = feed.order(1)[: rows * columns]
    pre = feed.card.preprocessing
    tiles = to_pictures(feed.images(seen, 1, 0), pre)
    height, width = pre.size
    gap = max(2, width // 32)
    sheet = np.full(
        (rows * (height + gap) - gap, columns * (width + gap) - gap, pre.channels), 255, dtype=np.uint8
    )
    for number, tile in enumerate(tiles):
        top, left = number // columns * (height + gap), number % columns * (width + gap)
        sheet[top : top + height, left : left + width] = tile
    used = -(-len(tiles) // columns) * (height + gap) - gap
    picture = Image.fromarray(sheet[:used].squeeze())
    factor = max(1, 1024 // picture.width)
    picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    picture.thumbnail((1600, 1600))
    save_picture(picture, file, quality=88)
    labels = _mixed_labels(list(_labels(feed.cache.index.take(seen))), feed.mixing(len(seen), 1, 0))
    return SheetRecord(columns=columns, width=width, height=height, gap=gap, labels=labels)


def _labels(index: Index) -> Iterator[str]:
    """What is to be learnt of each sample, as it is said."""
    match index.target:
        case Classes(names):
            yield from (names[number] for number in index.targets.tolist())
        case Numbers(unit=unit):
            for values in index.targets.tolist():
                told = ", ".join("?" if isnan(value) else f"{value:.4g}" for value in values)
                yield f"{told} {unit}".strip()


def _mixed_labels(labels: Sequence[str], mixing: Mixing | None) -> tuple[str, ...]:
    """What is to be learnt of images that are mixed: ``70 % cat, 30 % dog``."""
    if mixing is None:
        return tuple(labels)
    share = f"{mixing.share:.0%}", f"{1 - mixing.share:.0%}"
    return tuple(
        f"{share[0]} {own}, {share[1]} {labels[other]}"
        for own, other in zip(labels, mixing.partners, strict=True)
    )


def save_picture(picture: Image.Image, file: Path, *, quality: int) -> None:
    """Writes a JPEG; it appears whole or not at all."""
    with replacing(file, synced=False) as draft:  # of dozens, each wait takes 6 ms
        picture.save(draft, quality=quality)
