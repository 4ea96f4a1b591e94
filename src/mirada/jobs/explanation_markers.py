"""Markers that tell a class from the others, as ``check`` finds them, and whether the maps lie on them."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mirada.data.checks.inspection import inspect
from mirada.data.checks.shortcuts import MOST, Marker, told_markers
from mirada.data.index import Index
from mirada.data.parallel import parallel_map
from mirada.data.pixels.fit import to_input
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.events import OnProgress
from mirada.judging.cohort import Region, box_place, evidence_in, judge_place
from mirada.judging.subject import Subject
from mirada.judging.verdict import Verdict


def find_markers(index: Index, on_event: OnProgress | None) -> list[Marker]:
    """The markers of images with labels, of a sample if they are many; a file that cannot be decoded is left out."""
    index = index.take(np.sort(np.random.default_rng(0).permutation(len(index))[:MOST]))
    paths = tuple(dict.fromkeys(index.paths))
    seen = list(parallel_map(partial(inspect, index.root), paths, what="checking", on_event=on_event))
    return told_markers(index, [one for one in seen if not one.reason])


def judge_markers(
    markers: Sequence[Marker],
    subject: Subject,
    sizes: Sequence[tuple[int, int]],
    preprocessing: Preprocessing,
    columns: Mapping[str, Sequence[str]],
) -> list[Verdict]:
    """Whether more of the evidence lies on each marker than its share of the picture, by the rule of ``judge_place``.

    Args:
        markers: Where to look.
        subject: The maps, all on one grid, and what belongs together in groups.
        sizes: (height, width) of each upright image.
        preprocessing: How images become the network's input. Where they are padded, the marker is smaller there; where
            a crop cuts it off, the image is left out.
        columns: As in ``view_cohort``.
    """
    maps = np.stack(subject.maps)
    return [
        judge_place(
            *_shares_on(marker, maps, sizes, preprocessing), columns, groups=subject.groups, seed=subject.seed
        )
        for marker in markers
    ]


def _shares_on(
    marker: Marker, maps: NDArray[np.float32], sizes: Sequence[tuple[int, int]], preprocessing: Preprocessing
) -> tuple[NDArray[np.float64], Region]:
    """Of each image the share of the evidence that lies on a marker, and the marker's mean place on the maps' grid.

    The shares are in multiples of the marker's own area in the image, on the scale of its mean area.
    """
    places = [_on_input(marker, size, preprocessing, maps.shape[1:]) for size in sizes]
    cover = np.mean([place.cover for place in places if place] or [np.zeros(maps.shape[1:])], axis=0)
    mean = Region(f"the marker of {marker.label} at the {marker.where}", cover)
    shares = [
        float(evidence_in(one[None], place)[0]) / place.area * mean.area if place else np.nan
        for one, place in zip(maps, places, strict=True)
    ]
    return np.array(shares), mean


def _on_input(
    marker: Marker, size: tuple[int, int], preprocessing: Preprocessing, grid: tuple[int, ...]
) -> Region | None:
    """The marker of one image on the grid of its map; None where it was cut off."""
    left, top, right, bottom = marker.box
    height, width = size
    corners = [
        to_input((down * height, across * width), original=size, preprocessing=preprocessing)
        for down, across in ((top, left), (bottom, right))
    ]
    (first, last), (rows, columns) = corners, preprocessing.size
    if first is None or last is None:
        return None
    box = first[1] / columns, first[0] / rows, last[1] / columns, last[0] / rows
    return box_place("", box, (grid[0], grid[1]))
