"""The images behind each cell of the confusion matrix, as small pictures in the folder of a run."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mirada.data.index import Index
from mirada.evaluation.predictions import Predictions
from mirada.jobs.gallery import draw_small, in_turn
from mirada.runs.reader import read_cells
from mirada.runs.records import CellImage, CellRecord
from mirada.samples import Classes

SIDE = 96  # pixels of a picture
OF_A_CELL = 12  # pictures
IN_ALL = 160  # pictures; of 3 kB each


def draw_cells(index: Index, predictions: Predictions, folder: Path, gone: set[str]) -> list[CellRecord]:
    """Small pictures of some images of each cell; what the report shows when a cell is chosen.

    Args:
        index: The images of the run.
        predictions: Those of one split. Of numbers there is no matrix, and nothing is drawn.
        folder: That of the run.
        gone: Takes the names of those that cannot be read any more, and so are not shown.

    Returns:
        The cells that have pictures. Within a cell the surest answers come first. If there are more images than can
        be shown, each cell gets one in turn, mistakes before right answers.
    """
    if not isinstance(predictions.target, Classes):
        return []
    chosen = _chosen(predictions)
    place = {path: row for row, path in enumerate(index.paths)}
    names = predictions.target.names
    cells: dict[tuple[int, int], list[CellImage]] = defaultdict(list)
    if chosen:
        (folder / "cells").mkdir(exist_ok=True)
    files = {place[predictions.paths[row]]: f"cells/{number:03}.jpg" for number, row in enumerate(chosen)}
    drawn = draw_small(index, {row: folder / file for row, file in files.items()}, SIDE, gone)
    for row in chosen:
        path = predictions.paths[row]
        if place[path] in drawn:
            shown = CellImage(path, round(float(predictions.probability[row]), 4), files[place[path]])
            cells[int(predictions.targets[row]), int(predictions.predicted[row])].append(shown)
    return [CellRecord(names[true], names[given], tuple(images)) for (true, given), images in cells.items()]


def _chosen(predictions: Predictions) -> list[int]:
    """The rows that are shown, cell by cell in turn; mistakes first, and of both the surest."""
    right = predictions.predicted == predictions.targets
    order = np.lexsort((-predictions.probability, right))
    order = order[predictions.targets[order] >= 0]
    pairs = zip(predictions.targets[order].tolist(), predictions.predicted[order].tolist(), strict=True)
    turns = in_turn(order.tolist(), list(pairs))
    counts: dict[tuple[int, int], int] = defaultdict(int)
    rows = []
    for row in turns:
        cell = int(predictions.targets[row]), int(predictions.predicted[row])
        counts[cell] += 1
        if counts[cell] <= OF_A_CELL:
            rows.append(row)
    return rows[:IN_ALL]


def cells_of_all_folds(folders: Sequence[Path]) -> list[CellRecord]:
    """The pictures of several runs as those of the folder above them: of each cell as many as of one, in turn."""
    found: dict[tuple[str, str], list[tuple[CellImage, str]]] = defaultdict(list)
    for folder in folders:
        for cell in read_cells(folder / "cells.json"):
            moved = (replace(each, image=f"{folder.name}/{each.image}") for each in cell.images)
            found[cell.true, cell.predicted] += [(each, folder.name) for each in moved]
    most = min(OF_A_CELL, max(1, IN_ALL // max(1, len(found))))
    return [
        CellRecord(
            true, given, tuple(in_turn([each for each, _ in images], [name for _, name in images])[:most])
        )
        for (true, given), images in found.items()
    ]
