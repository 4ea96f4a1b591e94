"""Runs beside each other: what differs in their settings, and how each does beside the first on the same images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from mirada.codec import to_json
from mirada.data.checks.inspection import preview
from mirada.data.parallel import parallel_map
from mirada.errors import DataError, InvalidArgument
from mirada.evaluation.paired import Difference, differences, same_images, scores
from mirada.evaluation.predictions import Predictions
from mirada.events import OnProgress
from mirada.pages.compare import Beside, ComparedRun, ComparisonPage, Disagreement
from mirada.pages.overview import mark, nothing
from mirada.runs.folder import RESULTS
from mirada.runs.listing import state_of
from mirada.runs.reader import read_results, read_run

MOST = 6  # runs on a page: more lines over each other cannot be told apart
SHOWN = 5  # images on which the one alone is right, and as many on which the other is


@dataclass(frozen=True, kw_only=True)
class _Side:
    """A run, and what its networks answer for its test images: a table for each seed, none before it was judged."""

    run: ComparedRun
    tables: list[Predictions]


def compare_runs(folders: Sequence[Path], *, on_event: OnProgress | None = None) -> ComparisonPage:
    """Reads runs and compares each with the first, on the images that both were judged by.

    A folder of several seeds is one recipe, whose answers are those of all its networks; one of folds has an answer
    for every image, of the network that had not seen it.

    Args:
        folders: Those of two to six runs, each named once.
        on_event: Hears of progress while pictures are drawn.

    Returns:
        All that the page says; ``pages.compare.write_comparison`` writes it.

    Raises:
        InvalidArgument: There are too few or too many runs, one is named twice, or is one of another's seeds or folds.
        DataError: A folder is no run's, or its files are damaged.
    """
    if not 2 <= len(folders) <= MOST:
        raise InvalidArgument(f"Runs to compare must be 2 to {MOST}. Got {len(folders)}.")
    places = [folder.resolve() for folder in folders]
    if twice := [folder for row, folder in enumerate(folders) if places[row] in places[:row]]:
        raise InvalidArgument(f"{twice[0]} is named twice. Name each run once.")
    sides = [_side(folder) for folder in folders]
    if inside := [folder for folder, place in zip(folders, places, strict=True) if place.parent in places]:
        family = folders[places.index(inside[0].resolve().parent)]
        raise InvalidArgument(f"{inside[0]} is one of the runs of {family}. Name runs that share none.")
    pairs = [_beside(sides[0], side, on_event) for side in sides[1:]]
    return ComparisonPage(runs=tuple(side.run for side in sides), pairs=tuple(pairs))


def _side(folder: Path) -> _Side:
    run = read_run(folder)
    members = [folder / member.folder for member in run.data.seeds] or [folder]
    epochs = [read_results(member / RESULTS)[0] for member in members if (member / RESULTS).is_file()]
    files = [member / "predictions.csv" for member in members]
    return _Side(
        run=ComparedRun(
            contents=run,
            state=state_of(folder).state,
            epochs=_mean_epochs(epochs),
            minutes=sum(row["seconds"] for rows in epochs for row in rows) / 60,
        ),
        tables=[Predictions.from_csv(file, unit=run.data.unit) for file in files if file.is_file()],
    )


def _mean_epochs(seeds: Sequence[list[dict[str, float]]]) -> list[dict[str, float]]:
    """The rows of ``results.csv``, of several seeds their means, as far as all of them came."""
    return [
        {name: fmean(row[name] for row in rows) for name in rows[0] if all(name in row for row in rows)}
        for rows in zip(*seeds, strict=False)
    ]


def _judged_by(tables: Sequence[Predictions]) -> str:
    """The split that all of them have: the test, or else validation."""
    splits = [{str(name) for name in np.unique(table.splits)} for table in tables]
    return next((name for name in ("test", "val") if all(name in found for found in splits)), "")


def _beside(first: _Side, second: _Side, on_event: OnProgress | None) -> Beside:
    if not first.tables or not second.tables:
        which = [side.run.contents.folder.name for side in (first, second) if not side.tables]
        return Beside(problem=f"Not judged yet: {' and '.join(which)}.")
    tables = [*first.tables, *second.tables]
    split = _judged_by(tables)
    if not split:
        return Beside(problem="The one has test images and the other has none.")
    try:
        same, apart = same_images([table.of_split(split) for table in tables])
    except DataError as error:
        return Beside(problem=str(error))
    if not len(same[0]):
        return Beside(problem="They have no test image in common, so nothing can be compared image by image.")
    one, other = same[: len(first.tables)], same[len(first.tables) :]
    return Beside(
        split=split,
        images=len(same[0]),
        apart=apart,
        differences=tuple(_honest(each, first, second) for each in differences(one, other)),
        disagreements=_disagreements(one, other, Path(first.run.contents.data.root), on_event),
    )


def _honest(difference: Difference, first: _Side, second: _Side) -> Difference:
    """A difference as it is; where a side was not tested honestly, nothing is said of it."""
    if not any(mark(side.run.contents) for side in (first, second)):
        return difference
    return replace(
        difference,
        called="cannot tell",
        reason="Test images were used in training, so this is no honest test.",
    )


def _disagreements(
    one: Sequence[Predictions], other: Sequence[Predictions], root: Path, on_event: OnProgress | None
) -> tuple[Disagreement, ...]:
    """The images on which one side is right, or nearer, by the widest margin, for the first and then for the second."""
    ahead = scores(other).mean(axis=0) - scores(one).mean(axis=0)
    rows = [*_widest(-ahead), *_widest(ahead)]
    paths = [one[0].paths[row] for row in rows]
    pictures = parallel_map(partial(preview, root), paths, what="drawing", on_event=on_event)
    said = [[table.take([row]).to_json()[0] for table in (one[0], other[0])] for row in rows]
    return tuple(
        Disagreement(
            path=path,
            picture=picture,
            target=answers[0].get("target"),
            first=answers[0].get("predicted"),
            second=answers[1].get("predicted"),
            first_ahead=bool(ahead[row] < 0),
        )
        for path, picture, answers, row in zip(paths, pictures, said, rows, strict=True)
    )


def _widest(margin: NDArray[np.float64]) -> list[int]:
    """The rows of the largest margins above 0."""
    order = np.argsort(-np.nan_to_num(margin, nan=0.0), kind="stable")[:SHOWN]
    return [int(row) for row in order if margin[row] > 0]


def as_json(page: ComparisonPage) -> dict[str, object]:
    """The comparison as plain values: the runs, and each pair's differences."""
    return {
        "runs": [str(run.contents.folder) for run in page.runs],
        "marks": [mark(run.contents) for run in page.runs],  # why one was not tested honestly
        "nothing_learnt": [nothing(run.contents) for run in page.runs],
        "pairs": [
            {
                "first": str(page.runs[0].contents.folder),
                "second": str(run.contents.folder),
                "split": pair.split,
                "images": pair.images,
                "images_not_in_both": pair.apart,
                "problem": pair.problem,
                "differences": to_json(pair.differences),
            }
            for run, pair in zip(page.runs[1:], page.pairs, strict=True)
        ],
    }
