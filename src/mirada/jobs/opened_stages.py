"""Which of a network's numbers a page holds: channels, places, and how much of them a file has room for."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, from_numpy
from torch.nn.functional import adaptive_avg_pool2d

from mirada.explain.passes import PassStep
from mirada.jobs.formulas import KEEPS_CHANNELS, OTHER, Channels, HeldStep, formula_of, kind_of, offsets_of
from mirada.pages.opened import OpenedStage

Values = NDArray[np.float32]
Shades = NDArray[np.uint8]
LIMIT = 3_200_000  # bytes of numbers before they become text, which makes a third more of them
SHADES = 40  # places along a side of a map for the eye
ABOUT_A_STAGE = 700  # bytes of what is said of a stage beside its numbers


@dataclass(frozen=True)
class Detail:
    """How much of every step a page holds: channels of maps, numbers without a place, places along a side."""

    channels: int
    features: int
    side: int


# From all there is to what fits even of a network of a thousand steps.
ALL = 10**9
DETAILS = (
    Detail(ALL, ALL, ALL), Detail(64, 512, 64), Detail(32, 256, 48), Detail(24, 192, 40), Detail(16, 128, 40),
    Detail(12, 96, 32), Detail(8, 64, 32), Detail(8, 64, 24), Detail(6, 48, 20), Detail(4, 32, 16), Detail(3, 24, 12),
    Detail(2, 16, 9), Detail(1, 8, 5),
)  # fmt: skip


def stages_of(steps: Sequence[PassStep], answer: int, limit: int = LIMIT) -> list[OpenedStage]:
    """The steps with as much of each as a page has room for: strongest channels, and places around the strongest one.

    Args:
        steps: All of a network.
        answer: The number of the output that the gradients are of, which is always shown.
        limit: Bytes for all numbers together.

    Returns:
        The stages, all in the same detail.
    """
    kinds = [kind_of(step, steps) for step in steps]
    scores = [_scores(step) for step in steps]
    middle = _strongest_place(steps)
    for detail in DETAILS:
        kept = _kept(steps, kinds, scores, detail, middle, answer)
        if _size(steps, kinds, kept) <= limit:
            break
    return [_stage(number, steps, kept) for number in range(len(steps))]


def shape_of(step: PassStep) -> tuple[int, int, int]:
    """(C, h, w) of what a step puts out; (F, 1, 1) of numbers without a place."""
    values = step.values
    if values.ndim == 4:
        return int(values.shape[1]), int(values.shape[2]), int(values.shape[3])
    return values.numel(), 1, 1


def maps_of(values: Tensor, shape: tuple[int, int, int]) -> Values:
    """The numbers of one image as (C, h, w) float32."""
    return np.asarray(values.float().cpu().numpy()).reshape(shape)


def _scores(step: PassStep) -> Values:
    """How much each channel matters, (C, 2): |Σ value · gradient|, and where that says nothing the largest |value|."""
    values, gradient = maps_of(step.values, shape_of(step)), maps_of(step.gradient, shape_of(step))
    matter = np.abs((values * gradient).sum(axis=(1, 2)))
    return np.stack([matter, np.abs(values).max(axis=(1, 2))], axis=1)


def _strongest_place(steps: Sequence[PassStep]) -> tuple[float, float]:
    """Where the last maps that have places matter most, as shares of height and width."""
    for step in reversed(steps):
        _, height, width = shape_of(step)
        if min(height, width) > 1:
            matter = maps_of(step.values * step.gradient, shape_of(step)).sum(axis=0)
            row, column = np.unravel_index(int(np.abs(matter).argmax()), matter.shape)
            return (float(row) + 0.5) / height, (float(column) + 0.5) / width
    return 0.5, 0.5


def _kept(
    steps: Sequence[PassStep],
    kinds: Sequence[str],
    scores: Sequence[Values],
    detail: Detail,
    middle: tuple[float, float],
    answer: int,
) -> list[HeldStep]:
    """What is held of every step; steps that keep channels apart show the same ones."""
    groups = _groups(steps, kinds)
    chosen: dict[int, Channels] = {}
    kept: list[HeldStep] = []
    for number, step in enumerate(steps):
        shape = shape_of(step)
        corner, size = _window(shape, detail.side, middle)
        group = groups[number]
        if group not in chosen:
            members = [each for each in range(len(steps)) if groups[each] == group]
            total = np.sum([scores[each] for each in members], axis=0)
            most = detail.features if shape[1:] == (1, 1) else detail.channels
            chosen[group] = _strongest(total, _candidates(step, steps, kinds[number], kept), most)
        if number == len(steps) - 1:
            chosen[group] = _answers(step, answer, detail.features)
        kept.append(HeldStep(chosen[group], corner, size))
    return kept


def _groups(steps: Sequence[PassStep], kinds: Sequence[str]) -> list[int]:
    """The group of each step: what keeps the channels of its inputs apart belongs to theirs."""
    parent = list(range(len(steps)))

    def root(number: int) -> int:
        while parent[number] != number:
            number = parent[number]
        return number

    for number, (step, kind) in enumerate(zip(steps, kinds, strict=True)):
        maps = (
            step.inputs[:1] if kind == "moved" else step.inputs
        )  # its other input are the numbers of the motion
        alike = all(shape_of(steps[each])[0] == shape_of(step)[0] for each in maps)
        if maps and (kind in KEEPS_CHANNELS or (kind == OTHER and alike)):
            for each in maps:
                first, second = sorted((root(each), root(number)))
                parent[second] = first
    return [root(number) for number in range(len(steps))]


def _candidates(step: PassStep, steps: Sequence[PassStep], kind: str, kept: Sequence[HeldStep]) -> Channels:
    """The channels to choose from: of a step that hands its inputs on, those that are shown of them."""
    count = shape_of(step)[0]
    if kind == "concatenation":
        parts = zip(step.inputs, offsets_of(step, steps), strict=True)
        return np.concatenate([kept[number].channels + offset for number, offset in parts])
    if kind == "flattening":
        before = kept[step.inputs[0]]
        grid = np.arange(count).reshape(shape_of(steps[step.inputs[0]]))
        return grid[(before.channels, *before.places)].ravel()
    return np.arange(count)


def _strongest(scores: Values, candidates: Channels, most: int) -> Channels:
    """The channels that matter most, in the order of their numbers."""
    if len(candidates) <= most:
        return np.sort(candidates)
    order = np.lexsort((-scores[candidates, 1], -scores[candidates, 0]))
    return np.sort(candidates[order[:most]])


def _answers(step: PassStep, answer: int, most: int) -> Channels:
    """The outputs that are shown: the answer's, and the largest."""
    values = maps_of(step.values, shape_of(step)).ravel()
    largest = [each for each in np.argsort(-values).tolist() if each != answer]
    return np.sort(np.array([answer, *largest[: most - 1]], dtype=np.int64))


def _window(
    shape: tuple[int, int, int], side: int, middle: tuple[float, float]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """The corner and the size of the places that are exact: all of a small map."""
    found = []
    for length, share in zip(shape[1:], middle, strict=True):
        if length <= side * 1.25:
            found.append((0, length))
        else:
            found.append((min(max(0, int(share * length) - side // 2), length - side), side))
    (top, height), (left, width) = found
    return (top, left), (height, width)


def _size(steps: Sequence[PassStep], kinds: Sequence[str], kept: Sequence[HeldStep]) -> int:
    """About how many bytes the numbers take."""
    total = ABOUT_A_STAGE * len(steps)
    for step, kind, held in zip(steps, kinds, kept, strict=True):
        shown, (_, height, width) = len(held.channels), shape_of(step)
        total += 8 * shown * prod(held.size) + 12 * shown
        if held.size != (height, width):
            total += 2 * shown * min(SHADES, height) * min(SHADES, width)
        if kind in ("convolution", "dense", "distance"):
            layer: Any = step.module
            window = prod(layer.weight.shape[2:]) if kind == "convolution" else 1
            total += 4 * shown * len(kept[step.inputs[0]].channels) * window
        if kind == "response":
            total += 4 * shown * prod(held.size)
    return total


def _stage(number: int, steps: Sequence[PassStep], kept: Sequence[HeldStep]) -> OpenedStage:
    step, held = steps[number], kept[number]
    shape = shape_of(step)
    values, gradients = maps_of(step.values, shape), maps_of(step.gradient, shape)
    places = (held.channels, *held.places)
    whole = held.size == shape[1:]
    shades, limits = (None, (0.0, 0.0)) if whole else _shades(values[held.channels], gradients[held.channels])
    return OpenedStage(
        name=step.name,
        formula=formula_of(step, steps, held, [kept[each] for each in step.inputs]),
        shape=shape,
        inputs=step.inputs,
        channels=tuple(held.channels.tolist()),
        corner=held.corner,
        values=values[places],
        gradients=gradients[places],
        shades=shades,
        limits=limits,
        extremes=(float(np.abs(values).max()), float(np.abs(gradients).max())),
    )


def _shades(values: Values, gradients: Values) -> tuple[Shades, tuple[float, float]]:
    """Whole maps for the eye, and what their ends stand for: 0 is −limit, 128 is 0, 255 is +limit."""
    small, limits = [], []
    for maps in (values, gradients):
        size = min(SHADES, maps.shape[1]), min(SHADES, maps.shape[2])
        shrunk = np.asarray(adaptive_avg_pool2d(from_numpy(maps)[None], size)[0].numpy())
        limit = float(np.abs(shrunk).max()) or 1.0
        small.append(np.clip(np.round(128 + 127 * shrunk / limit), 0, 255).astype(np.uint8))
        limits.append(limit)
    return np.stack(small), (limits[0], limits[1])
