"""Whether maps lie where the objects are: boxes from maps beside a person's own boxes, and beside a centred box.

Everything is measured on the photo's own pixels. Boxes are half-open: the right and lower ends lie behind the box.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mirada.errors import InvalidArgument, counted
from mirada.evaluation.paired import paired
from mirada.judging.verdict import Floats, Quantity, Verdict, decide, independent, mean_of_images, numbers_of

Heat = NDArray[np.float32]  # (H, W) on the photo's pixels, NaN where the network saw nothing
Means = Callable[..., Quantity]
Mask = NDArray[np.bool_]  # (H, W), true on the object
Corners = tuple[float, float, float, float]  # left, top, right, bottom
BOX_SHARE = 0.2  # of the maximum: the threshold of the CAM paper
RIGHT = 0.5  # intersection over union from which a box is right
STRICTNESS = (0.3, 0.5, 0.7)  # those that MaxBoxAcc V2 averages over
THRESHOLDS = np.arange(100) / 100  # of the maximum
SCALES = np.arange(1, 101) / 100  # of a centred box, as a share of the photo's sides
TOLERANCE = 0.03  # of the longer side: 15 pixels of 500, as in the pointing game's paper

STATISTIC = "mean difference of IoU, map − centred box"
WORTH = 0.05  # of IoU
RULE = (
    "The box around the largest connected part of the map above a share of its maximum is compared with the boxes of "
    "the data by intersection over union (IoU), and so is a box in the middle, of the photo's shape. Both have one "
    "number to choose, which is the best for all images together: the share, and the size. Pass: the 95 % interval of "
    "the mean difference (map − centred box) lies above 0.05, and p < 0.05. Fail: the interval ends at or below 0.05. "
    "Cannot tell: otherwise, or with fewer than 10 images."
)


@dataclass(frozen=True, eq=False)
class Located:
    """One image: what a map says of where the class is, and where it is.

    Args:
        heat: (H, W), the map of the true class on the photo's pixels; only values above 0 are evidence.
        boxes: Those of the true class, in pixels of the photo.
        right: Whether the network's answer is the true class.
        mask: (H, W), true on the object; None for the boxes filled.
    """

    heat: Heat
    boxes: tuple[Corners, ...]
    right: bool
    mask: Mask | None = None


class _Sweep(NamedTuple):
    """IoUs (N, thresholds or sizes) of the box of the largest part, and of the best box of any part."""

    largest: Floats
    best: Floats


def evidence_of(heat: Heat) -> Heat:
    """The positive part of a map (H, W); 0 where the network saw nothing."""
    return np.nan_to_num(np.maximum(heat, 0), nan=0.0)


def box_of(heat: Heat, share: float = BOX_SHARE) -> Corners | None:
    """The box around the largest connected part of a map above a share of its maximum; None for an empty map.

    Args:
        heat: (H, W).
        share: 0.2, as in the paper.

    Source: Zhou et al. 2016, arXiv:1512.04150, §3.2. Parts are connected by their sides.
    """
    found = _components(evidence_of(heat), share)
    return found[0] if found else None


def boxes_of_mask(mask: Mask) -> tuple[Corners, ...]:
    """The boxes around the connected parts of a mask (H, W), the largest part first."""
    return tuple(_components(mask.astype(np.float32), 1.0))


def iou(one: Corners, other: Corners) -> float:
    """Intersection over union of two boxes, 0 for boxes that do not meet.

    >>> iou((0, 0, 4, 4), (2, 0, 6, 4))
    0.3333333333333333
    """
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (_area(one) + _area(other) - shared)


def best_iou(box: Corners | None, truth: Sequence[Corners]) -> float:
    """The largest IoU with any of the boxes; 0 where there is none."""
    return max((iou(box, each) for each in truth), default=0.0) if box else 0.0


def centred(shape: tuple[int, int], scale: float) -> Corners:
    """The box in the middle of a photo (height, width) whose sides are this share of the photo's."""
    height, width = shape
    x, y = width * (1 - scale) / 2, height * (1 - scale) / 2
    return x, y, width - x, height - y


def pointing(heat: Heat, mask: Mask, tolerance: float) -> float:
    """Whether the map's maximum lies on the object or within ``tolerance`` pixels of it: 1 or 0.

    Where several pixels share the maximum, the share of them that hit; an empty map is a miss.

    Args:
        heat: (H, W).
        mask: (H, W), not empty.
        tolerance: Pixels, from centre to centre.

    Source: Zhang, Lin, Brandt, Shen & Sclaroff 2016, "Top-down Neural Attention by Excitation Backprop",
    arXiv:1608.00507, §4.1.
    """
    evidence = evidence_of(heat)
    if evidence.max() <= 0:
        return 0.0
    near = ndimage.distance_transform_edt(~mask) <= tolerance
    return float(near[evidence == evidence.max()].mean())


def energy_inside(heat: Heat, mask: Mask) -> float:
    """The share of the positive evidence that lies on the object; 0 for an empty map.

    Source: Wang et al. 2020, "Score-CAM", arXiv:1910.01279, §4.3 (the energy-based pointing game).
    """
    evidence = evidence_of(heat)
    total = evidence.sum(dtype=np.float64)
    return float(evidence[mask].sum(dtype=np.float64) / total) if total > 0 else 0.0


def max_box_accuracy(images: Sequence[Located]) -> tuple[float, float]:
    """MaxBoxAcc, versions 1 and 2: the share of right boxes at the best threshold for all images together.

    Version 1 takes the box of the largest part and asks for an IoU of 0.5. Version 2 takes the best box of any part,
    and is the mean over IoUs of 0.3, 0.5 and 0.7 of the share at the best threshold for each.

    Differs from the paper's code: maps are divided by their maximum and not stretched between minimum and maximum
    first, since 0 means no evidence here; boxes are half-open; the thresholds are hundredths.

    Source: Choe, Oh, Lee, Chun, Akata & Shim 2020, arXiv:2001.07437 (V1), arXiv:2007.04178 (V2).
    """
    return _accuracies(_ious_by_threshold(images))


def centred_box_accuracy(images: Sequence[Located]) -> tuple[float, float]:
    """MaxBoxAcc, versions 1 and 2, of a centred box, at the best size for all images in place of a threshold."""
    found = _centred_ious(images)
    return _accuracies(_Sweep(found, found))


def localisation(
    images: Sequence[Located],
    *,
    groups: NDArray[Any] | None = None,
    seed: int = 0,
    tolerance: float = TOLERANCE,
) -> Verdict:
    """Whether boxes from maps lie on the objects better than a centred box does.

    Pass: the 95 % interval of the mean difference of IoU between the box of the map (of its largest connected part, at
    the share of the maximum that is best for all images together) and the centred box of the size that is best for all
    images together lies above 0.05, and p < 0.05 by sign flips. Fail: the interval ends at or below 0.05.
    Cannot tell: otherwise, or with fewer than 10 images. What the box at 20 % of the maximum reaches stands beside it.

    An empty map is a miss everywhere. An image whose mask is empty, or without a box, is left out and counted, and so
    is one whose map is the same everywhere, which names no place.

    Args:
        images: The sample.
        groups: A group per image, such as the patient; None where images are independent.
        seed: Draws the resamples.
        tolerance: Of the pointing game, as a share of the photo's longer side.

    Raises:
        InvalidArgument: There is no image with a box or a mask.
    """
    there = [row for row, image in enumerate(images) if image.boxes and _mask(image).any()]
    if not there:
        raise InvalidArgument("None of the images has a box of its class, so there is nothing to compare.")
    used = [row for row in there if not _flat(images[row].heat)]
    flat, boxless = len(there) - len(used), len(images) - len(there)
    if not used:
        return _untold("every map has the same value everywhere", len(images))
    kept = [images[row] for row in used]
    verdict = _judged(kept, None if groups is None else np.asarray(groups)[used], seed, tolerance)
    spread: list[float | None] = [None] * len(images)
    for row, value in zip(used, verdict.per_image, strict=True):
        spread[row] = value
    left_out = f"; left out: {counted(boxless, 'image')} without a box, {counted(flat, 'flat map')}"
    return replace(
        verdict,
        reason=verdict.reason + (left_out if flat or boxless else ""),
        left_out=flat + boxless,
        per_image=tuple(spread),
    )


def _judged(images: Sequence[Located], groups: NDArray[Any] | None, seed: int, tolerance: float) -> Verdict:
    """Of images all of which have a box and a map with places."""
    sweep, sizes = _ious_by_threshold(images), _centred_ious(images)
    share, size = int(sweep.largest.mean(axis=0).argmax()), int(sizes.mean(axis=0).argmax())
    reached = sweep.largest[:, share]
    difference = paired(reached - sizes[:, size], groups=groups, seed=seed)
    outcome, reason = decide([difference], independent(len(images), groups), worth=WORTH)
    means = partial(mean_of_images, groups=groups, seed=seed)
    return Verdict(
        test="Localisation",
        outcome=outcome,
        rule=RULE,
        reason=reason,
        statistic=STATISTIC,
        value=difference.mean,
        low=difference.low,
        high=difference.high,
        p_value=difference.p_value,
        images=len(images),
        quantities=(
            means(f"IoU, box above {100 * THRESHOLDS[share]:.0f} % of the maximum", reached),
            means(f"IoU, centred box of {100 * SCALES[size]:.0f} % of the sides", sizes[:, size]),
            *_of_maps(images, tolerance, means),
            *_of_centred_box(images, float(SCALES[size]), tolerance, means),
            *_accuracy_rows(_accuracies(sweep), ""),
            *_accuracy_rows(_accuracies(_Sweep(sizes, sizes)), ", centred box"),
        ),
        measure="IoU",
        per_image=numbers_of(reached),
    )


def _of_maps(images: Sequence[Located], tolerance: float, means: Means) -> list[Quantity]:
    """The measures that need no threshold, or the paper's."""
    overlaps = np.array([best_iou(box_of(each.heat), each.boxes) for each in images])
    hits = [pointing(each.heat, _mask(each), tolerance * max(each.heat.shape)) for each in images]
    return [
        means(f"IoU, box above {100 * BOX_SHARE:.0f} % of the maximum (the paper's)", overlaps),
        means("ILSVRC localisation error, top 1, with it", _ilsvrc_error(images, overlaps), unit="%"),
        means("pointing game", np.array(hits), unit="%"),
        means(
            "energy inside", np.array([energy_inside(each.heat, _mask(each)) for each in images]), unit="%"
        ),
    ]


def _of_centred_box(
    images: Sequence[Located], scale: float, tolerance: float, means: Means
) -> list[Quantity]:
    """What a map would reach that is 1 in the centred box, and whose maximum is the photo's middle."""
    boxes = [centred(each.heat.shape, scale) for each in images]
    overlaps = np.array([best_iou(box, each.boxes) for box, each in zip(boxes, images, strict=True)])
    hits = [
        pointing(_middle(each.heat.shape), _mask(each), tolerance * max(each.heat.shape)) for each in images
    ]
    inside = [
        energy_inside(_filled(each.heat.shape, [box]).astype(np.float32), _mask(each))
        for box, each in zip(boxes, images, strict=True)
    ]
    return [
        means("ILSVRC localisation error, top 1, centred box", _ilsvrc_error(images, overlaps), unit="%"),
        means("pointing game, the middle", np.array(hits), unit="%"),
        means("energy inside, centred box", np.array(inside), unit="%"),
    ]


def _ilsvrc_error(images: Sequence[Located], overlaps: Floats) -> Floats:
    """1 for each image whose class is wrong, or whose box has no IoU of 0.5 with any box of the class."""
    right = np.array([image.right for image in images])
    return np.asarray(1.0 - (right & (overlaps >= RIGHT)))


def _accuracy_rows(accuracies: tuple[float, float], of: str) -> list[Quantity]:
    return [
        Quantity(name=f"MaxBoxAcc V{version}{of}", value=value, unit="%")
        for version, value in enumerate(accuracies, start=1)
    ]


def _ious_by_threshold(images: Sequence[Located]) -> "_Sweep":
    """IoU at each of ``THRESHOLDS``; an empty map has no box."""
    largest = np.zeros((len(images), len(THRESHOLDS)))
    best = np.zeros_like(largest)
    for row, image in enumerate(images):
        evidence = evidence_of(image.heat)
        for column, share in enumerate(THRESHOLDS):
            parts = [best_iou(part, image.boxes) for part in _components(evidence, share)]
            if parts:
                largest[row, column], best[row, column] = parts[0], max(parts)
    return _Sweep(largest, best)


def _components(evidence: Heat, share: float) -> list[Corners]:
    """The boxes of the connected parts above a share of the maximum, that of the largest part first."""
    highest = evidence.max()
    if highest <= 0:
        return []
    above = evidence > 0 if share == 0 else evidence >= np.float32(share) * highest
    labels, _ = ndimage.label(above)
    sizes = np.bincount(labels.ravel())[1:]
    places = ndimage.find_objects(labels)
    order = np.argsort(-sizes, kind="stable")
    return [_corners(*places[part]) for part in order]


def _corners(rows: slice, columns: slice) -> Corners:
    return float(columns.start), float(rows.start), float(columns.stop), float(rows.stop)


def _accuracies(sweep: "_Sweep") -> tuple[float, float]:
    """MaxBoxAcc, versions 1 and 2."""
    first = (sweep.largest >= RIGHT).mean(axis=0).max()
    second = np.mean([(sweep.best >= strictness).mean(axis=0).max() for strictness in STRICTNESS])
    return float(first), float(second)


def _centred_ious(images: Sequence[Located]) -> Floats:
    """IoU (N, sizes) of centred boxes."""
    return np.array(
        [[best_iou(centred(image.heat.shape, scale), image.boxes) for scale in SCALES] for image in images]
    )


def _mask(image: Located) -> Mask:
    return _filled(image.heat.shape, image.boxes) if image.mask is None else image.mask


def _filled(shape: tuple[int, int], boxes: Sequence[Corners]) -> Mask:
    """The pixels whose centres lie in one of the boxes."""
    rows, columns = np.arange(shape[0])[:, np.newaxis] + 0.5, np.arange(shape[1]) + 0.5
    inside = np.zeros(shape, dtype=np.bool_)
    for left, top, right, bottom in boxes:
        inside |= (columns >= left) & (columns < right) & (rows >= top) & (rows < bottom)
    return inside


def _middle(shape: tuple[int, int]) -> Heat:
    heat = np.zeros(shape, dtype=np.float32)
    heat[shape[0] // 2, shape[1] // 2] = 1
    return heat


def _flat(heat: Heat) -> bool:
    """Whether a map has one positive value wherever the network saw something; an empty one is a miss instead."""
    seen = heat[~np.isnan(heat)]
    return bool(len(seen) and seen.max() > 0 and np.ptp(seen) <= 1e-6 * np.abs(seen).max())


def _area(box: Corners) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _untold(reason: str, left_out: int) -> Verdict:
    return Verdict(
        test="Localisation",
        outcome="cannot tell",
        rule=RULE,
        reason=reason,
        statistic=STATISTIC,
        left_out=left_out,
    )
