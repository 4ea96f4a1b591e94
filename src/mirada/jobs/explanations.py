"""Whether a model's maps can be trusted on its own test images: every test of them, as a page and as numbers."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from mirada.data.batches import chunks
from mirada.data.index import Index
from mirada.data.pixels.arrays import decode_image, read_image, show_image
from mirada.data.pixels.decode import DecodeError
from mirada.errors import DataError, InvalidArgument, counted
from mirada.evaluation.estimate import group_numbers
from mirada.events import OnProgress, Progress
from mirada.files import write_json
from mirada.inference.explained import Explained, Seen, number_of
from mirada.inference.matching import Known, as_known_to, covariates_of
from mirada.inference.model import Model
from mirada.inference.similar import TrainingFeatures
from mirada.inference.trained_on import remembered, with_training_splits
from mirada.jobs.explanation_cards import cards, rows_shown, similar_images
from mirada.jobs.explanation_cohort import columns_of, mean_columns
from mirada.jobs.explanation_markers import find_markers, judge_markers
from mirada.jobs.explanations_beside import judge_beside, require_alike
from mirada.judging.asking import MAPS_AT_ONCE, Asking
from mirada.judging.boxes import OwnBoxes, boxes_of_index, labels_that_are_classes, mask_of, place
from mirada.judging.cohort import judge_border_and_corners
from mirada.judging.faithfulness import ROAD_RIVALS, ROAD_SHARES, STEPS, faithfulness, road
from mirada.judging.localisation import RULE, STATISTIC, Corners, Located, boxes_of_mask, localisation
from mirada.judging.sanity import maps_after, parameter_randomisation
from mirada.judging.stability import QUALITIES, SHIFTS, jpeg, shifts
from mirada.judging.subject import Subject
from mirada.judging.verdict import Verdict
from mirada.pages.explanations import ExplanationsPage, write_explanations_page
from mirada.samples import Classes, Excluded

PHOTO_SIDE = 360  # pixels of a photo in the page, on which boxes are compared as well
SAMPLE = 100  # images that are judged unless another number is asked for
RIVALS = 5  # orders in which an image is taken apart: the map's, and four others
PAGE = "explanations.html"


@dataclass(frozen=True, kw_only=True)
class Judging:
    """How maps are to be judged.

    Args:
        target: The class that is explained in every image, or of several numbers the one; None for the class that the
            network answers, or the first number.
        method: As for ``Model.explain``.
        layer: As for ``Model.explain``.
        known: As for ``Model.predict``.
        sample: How many of the test images are judged at most; they are drawn, those with boxes first.
        seed: Draws the images, and all that is random in the tests.
    """

    target: str | None = None
    method: str | None = None
    layer: str | None = None
    known: Known | None = None
    sample: int = SAMPLE
    seed: int = 0


@dataclass(frozen=True, eq=False)
class JudgedExplanations:
    """What the tests say.

    Args:
        paths: The images that were judged.
        page: All that the page shows, with a verdict for each test.
        excluded: Images that could not be read.
    """

    paths: tuple[str, ...]
    page: ExplanationsPage
    excluded: tuple[Excluded, ...]

    def write(self, file: Path) -> Path:
        """Writes the page, and beside it all numbers as JSON, and returns the page.

        Args:
            file: The page; its folder is there.

        Raises:
            OSError: The folder takes no files.
        """
        page = self.page
        content = {
            "data": page.data,
            "method": page.method,
            "layer": page.layer,
            "unit": page.unit,
            "seed": page.seed,
            "test_images": page.available,
            "notes": list(page.notes),
            "paths": list(self.paths),
            "excluded": [asdict(each) for each in self.excluded],
            "verdicts": [asdict(each) for each in page.verdicts],
        }
        write_json(file.with_suffix(".json"), content)
        return write_explanations_page(page, file)


def set_aside(model: Model, index: Index, saved: Path) -> tuple[Index, str]:
    """The test images of labelled data: those that were set aside, or all where the network has seen none of them.

    Args:
        model: It knows by content which images it was trained on.
        index: The data.
        saved: The ``splits.csv`` beside the model, which models before format 3 need.

    Returns:
        The images, and a sentence on what is different now than in training, or "".

    Raises:
        InvalidArgument: There are no test images.
    """
    found, note = with_training_splits(model.card, index, saved)
    if len(rows := found.rows("test")):
        return found.take(rows), note
    if len(index) and found is index and remembered(model.card):  # new to the network, one and all
        return index, note
    raise InvalidArgument(
        f"{index.origin}: there are no test images, and on others a map would be judged where the network has learnt "
        f"the answer by heart. Give images that were set aside, or new ones."
    )


def judge_explanations(
    model: Model,
    index: Index,
    judging: Judging,
    boxes: OwnBoxes | None = None,
    training: TrainingFeatures | None = None,
    beside: Sequence[Model] = (),
    on_event: OnProgress | None = None,
) -> JudgedExplanations:
    """Judges the maps of a model on test images: where they lie, whether the answer hangs on them, and on what they do.

    Args:
        model: The network, or those of an ensemble.
        index: The test images, with their classes or numbers; see ``set_aside``.
        judging: Of what, how, and how many.
        boxes: Where the objects are, by ``boxes_at``; None for the boxes that came with the data.
        training: What the network makes of its training images, to show similar ones; None if that is not known.
        beside: Networks like it, trained on the same images with other seeds, or one with permuted labels.
        on_event: Hears of progress.

    Returns:
        A verdict for each test.

    Raises:
        DataError: No image can be read.
        InvalidArgument: Class, method and layer do not go together, or a network beside it is not like it.
    """
    available = as_known_to(model.card, index)
    boxes = boxes or boxes_of_index(available)
    seen, sizes, index, excluded = _read(model, _drawn(available, judging, boxes))
    require_alike(model, beside, index)
    asking, answers, quick = _asking(model, index, seen, judging)
    looked, slow = _look(asking, on_event)
    subject = asking.subject(looked, groups=_groups(index), seed=judging.seed)
    places, note = _where(asking, index, answers, boxes, sizes, judging.seed)
    maps, columns = np.stack(subject.maps), columns_of(index, answers)
    verdicts = [
        *([places] if places else []),
        *_judge_all(asking, subject, beside, max(1, round(slow / quick)), on_event),
        judge_border_and_corners(maps, columns, groups=subject.groups, seed=judging.seed),
        *judge_markers(find_markers(available, on_event), subject, sizes, model.card.preprocessing, columns),
    ]
    near = training and similar_images(model, index.take(rows_shown(index, answers)), training, judging.known)
    page = ExplanationsPage(
        data=index.origin.name,
        method=looked[0].title,
        layer=looked[0].layer,
        unit=looked[0].unit,
        seed=judging.seed,
        available=len(available),
        judged=len(index),
        excluded=len(excluded),
        notes=[each for each in dict.fromkeys((*(each.remark for each in looked), note)) if each],
        verdicts=verdicts,
        means=mean_columns(maps, columns, model.card.preprocessing.size),
        cards=cards(asking, index, answers, verdicts, near or []),
        grid=(maps.shape[1], maps.shape[2]),
        input_size=model.card.preprocessing.size,
    )
    return JudgedExplanations(index.paths, page, tuple(excluded))


# ---- what is asked -----------------------------------------------------------------------------------------------


def _groups(index: Index) -> NDArray[np.int64] | None:
    """A number per image for what belongs together, such as a patient; None where images are independent."""
    return group_numbers(index.groups) if index.groups else None


def _drawn(index: Index, judging: Judging, boxes: OwnBoxes) -> Index:
    """The images that are judged, of those that may be: at random, but those with boxes first, which are often few."""
    rows = np.random.default_rng(judging.seed).permutation(len(index))
    files = [index.path(row).resolve() for row in rows.tolist()]
    without = [file not in boxes.by_file and file not in boxes.masks for file in files]
    return index.take(np.sort(rows[np.argsort(without, kind="stable")][: judging.sample]))


def _read(model: Model, index: Index) -> tuple[list[Seen], list[tuple[int, int]], Index, list[Excluded]]:
    """The images that can be decoded, the (height, width) of their files, the index of them, and the others."""
    seen, sizes, kept, excluded = [], [], [], []
    for row, path in enumerate(index.paths):
        try:
            image = read_image(index.path(row))
            photo = show_image(image)
            pixels = decode_image(image, model.card.preprocessing)
        except DecodeError as error:
            excluded.append(Excluded(path, str(error)))
            continue
        sizes.append((photo.height, photo.width))
        photo.thumbnail((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.BILINEAR)
        seen.append(Seen(path, pixels, np.asarray(photo)))
        kept.append(row)
    if not seen:
        raise DataError(f"{index.origin}: none of the {counted(len(index), 'test image')} can be decoded.")
    return seen, sizes, index.take(kept), excluded


def _asking(
    model: Model, index: Index, seen: Sequence[Seen], judging: Judging
) -> tuple[Asking, NDArray[np.float64], float]:
    """The model with the images and what is explained in each; the answers, and how many seconds they took."""
    chosen = number_of(model.card.target, judging.target)
    asking = Asking(
        model.members,
        model.compute,
        seen,
        covariates_of(model.card, index, judging.known),
        np.full(len(seen), chosen or 0, dtype=np.int64),
        judging.method,
        judging.layer,
    )
    began = time.perf_counter()
    answers = asking.answers(asking.images, np.arange(len(seen)))
    seconds = max(time.perf_counter() - began, 1e-9)
    if chosen is None and isinstance(model.card.target, Classes):
        asking = replace(asking, numbers=answers.argmax(axis=1))
    return asking, answers, seconds


def _where(
    asking: Asking,
    index: Index,
    answers: NDArray[np.float64],
    boxes: OwnBoxes,
    sizes: Sequence[tuple[int, int]],
    seed: int,
) -> tuple[Verdict | None, str]:
    """Localisation by the maps of the true classes, and what is to be said of the boxes; nothing of numbers."""
    if not isinstance(index.target, Classes):
        return None, ""
    known = np.flatnonzero(index.known)
    rows: list[int] = known.tolist()
    true = np.where(index.known, index.targets, 0).astype(np.int64)
    names, note = labels_that_are_classes(boxes, index.classes)
    files = [index.path(row).resolve() for row in rows]
    shown = [(asking.seen[row].photo.shape[0], asking.seen[row].photo.shape[1]) for row in rows]
    masks = [
        mask_of(boxes.masks[file], sizes[row], size) if file in boxes.masks else None
        for file, row, size in zip(files, rows, shown, strict=True)
    ]
    corners = [
        place(boxes.by_file.get(file, ()), index.classes[true[row]], names, sizes[row], size)
        if mask is None
        else boxes_of_mask(mask)
        for file, row, size, mask in zip(files, rows, shown, masks, strict=True)
    ]
    if not any(corners):
        reason = (
            "none of the images has a box of its class"
            if boxes.by_file or boxes.masks
            else "the data have no boxes"
        )
        return Verdict(
            test="Localisation", outcome="cannot tell", rule=RULE, reason=reason,
            statistic=STATISTIC, left_out=len(index),
        ), note  # fmt: skip
    maps = replace(asking, numbers=true).look([asking.seen[row] for row in rows], known)
    right = answers.argmax(axis=1)[known] == true[known]
    images = [
        Located(each.heat, found, bool(is_right), mask)
        for each, found, is_right, mask in zip(maps, corners, right, masks, strict=True)
    ]
    note = ". ".join(filter(None, [note, _too_small(maps, corners)]))
    verdict = localisation(images, groups=_groups(index.take(rows)), seed=seed)
    spread: list[float | None] = [None] * len(index)
    for row, value in zip(rows, verdict.per_image, strict=False):
        spread[row] = value
    unlabelled = len(index) - len(rows)
    return replace(verdict, per_image=tuple(spread), left_out=verdict.left_out + unlabelled), note


def _too_small(maps: Sequence[Explained], corners: Sequence[Sequence[Corners]]) -> str:
    """What is to be said of objects that are smaller than a place of the map, which cannot point at them; else ""."""
    found = [
        bottom - top < each.cell[0] and right - left < each.cell[1]
        for each, boxes in zip(maps, corners, strict=True)
        for left, top, right, bottom in boxes
    ]
    if not any(found):
        return ""
    height, width = maps[0].map.shape
    return (
        f"{sum(found):,} of {counted(len(found), 'object')}: smaller than one of the {height} × {width} places of the "
        f"map, which cannot point at anything so small; an earlier layer, a larger input or mirada surgery has more"
    )


def _judge_all(
    asking: Asking, subject: Subject, beside: Sequence[Model], once: int, on_event: OnProgress | None
) -> list[Verdict]:
    """Every test but that of places, as one piece of work; a map takes as long as ``once`` answers."""
    count, rows = len(subject.images), np.arange(len(subject.images))
    parts = sum(
        1 for _, part in asking.members[0].network.named_children() if any(True for _ in part.parameters())
    )
    taken_apart, filled = RIVALS * 2 * (STEPS - 1) + 4, (len(ROAD_RIVALS) + 1) * 2 * len(ROAD_SHARES) + 2
    steps = 2 * parts + len(SHIFTS) + len(QUALITIES) + len(beside)
    tell = _Work(on_event, count * (taken_apart + filled + steps * once))
    whole = replace(asking, members=asking.members[:1])  # of an ensemble the first network is drawn again
    trained = subject.maps if len(asking.members) == 1 else whole.maps(whole.images, rows)

    def fresh(network: nn.Module) -> list[NDArray[np.float32]]:
        found = asking.maps_of(network)
        tell(count * once)
        return found

    return [
        faithfulness(subject, partial(tell, taken_apart)),
        road(subject, partial(tell, filled)),
        parameter_randomisation(
            trained,
            list(maps_after(asking.members[0].network, fresh, subject.seed)),
            groups=subject.groups,
            seed=subject.seed,
        ),
        shifts(subject, partial(tell, count * once)),
        jpeg(subject, partial(tell, count * once)),
        *judge_beside(beside, asking, subject, partial(tell, count * once)),
    ]


def _look(asking: Asking, on_event: OnProgress | None) -> tuple[list[Explained], float]:
    """The maps of all images, and how many seconds they took."""
    began, looked = time.perf_counter(), list[Explained]()
    for rows in chunks(np.arange(len(asking.seen)), MAPS_AT_ONCE):
        looked += asking.look([asking.seen[row] for row in rows.tolist()], rows)
        if on_event:
            on_event(Progress("explaining", len(looked), len(asking.seen)))
    return looked, time.perf_counter() - began


class _Work:
    """Tells of work that is done, in answers of the network."""

    def __init__(self, on_event: OnProgress | None, total: int) -> None:
        self.on_event, self.total, self.done = on_event, total, 0

    def __call__(self, more: int) -> None:
        self.done = min(self.total, self.done + more)
        if self.on_event:
            self.on_event(Progress("judging the maps, answers", self.done, self.total))
