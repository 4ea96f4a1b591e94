"""Cross-validation: one network per fold, each tested on images that it has not seen, every image once."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from mirada.data.index import Index
from mirada.data.sources import load_data
from mirada.data.splits import complete_splits, k_fold, said_of_copies
from mirada.errors import DataError, InvalidArgument, RecipeError
from mirada.evaluation.conformal import Conformal, fit_conformal
from mirada.evaluation.evaluate import Evaluation, evaluate
from mirada.evaluation.predictions import Predictions
from mirada.evaluation.spread import with_spreads
from mirada.evaluation.suspects import SuspectLabels
from mirada.evaluation.threshold import Threshold, choose_threshold, positive_class
from mirada.events import Evaluated, FoldStarted, OnEvent
from mirada.files import sha256_of
from mirada.inference.similar import joined_features, load_training_features
from mirada.inference.trained_on import contamination, contents
from mirada.jobs.cells import cells_of_all_folds
from mirada.jobs.describe import job_record
from mirada.jobs.durations import in_whole_epochs
from mirada.jobs.family import Planned, RunFamily, finished, missing
from mirada.jobs.gallery import of_all_folds
from mirada.jobs.suspects import write_suspects
from mirada.jobs.train import Run, chosen_recipe, module_of, new_folder, refused
from mirada.modelfile import Together, save_ensemble
from mirada.runs.folder import DIGESTS, ENSEMBLE, INTERVALS, SIMILAR, RunFolder
from mirada.runs.records import DataRecord, DigestsRecord
from mirada.samples import Numbers
from mirada.training.demands import require_splits, require_threshold
from mirada.training.known_weights import find_weights
from mirada.training.recipe import Recipe


@dataclass(frozen=True)
class Folds:
    """A finished, or interrupted, cross-validation.

    Args:
        folder: The folder of all runs.
        runs: Those that have ended, in order; the last one may have been interrupted.
        evaluation: Of all images together, or, if it was interrupted, of those of the finished folds; None without one.
        suspects: Their labels, those first that are probably wrong; None if it was interrupted.
        missing: The names of the folds that are not finished, such as ``fold-3``.
    """

    folder: Path
    runs: tuple[Run, ...]
    evaluation: Evaluation | None
    suspects: SuspectLabels | None = None
    missing: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all folds are finished, and judged together."""
        return self.suspects is not None

    @property
    def ensemble_path(self) -> Path:
        """The networks of all folds as one model file, which ``load_model`` takes like any other."""
        return self.folder / ENSEMBLE

    @property
    def report_path(self) -> Path:
        """The report of all folds, one HTML file; each fold has its own in its folder."""
        return self.folder / "report.html"


def cross_validate(
    data: Index | str | Path,
    *,
    folds: int = 5,
    model: str | nn.Module | None = None,
    recipe: Recipe | None = None,
    output: str | Path | None = None,
    on_event: OnEvent | None = None,
    **settings: Any,
) -> Folds:
    """Trains ``folds`` networks, each tested on its own part of the images, and reports on all of them together.

    The parts are stratified, no group divided, and drawn by the recipe's seed. Each run trains as ``train`` does, with
    a validation part of its own, also where the data set has one, and leaves its folder, ``fold-1`` and so on, in
    ``output``; beside them are the predictions of every image by the one network that had not seen it, their metrics,
    the labels ranked by how probably they are wrong, all networks as one model file, ``ensemble.safetensors``, and a
    report. The intervals hold images to be independent, which the networks of the folds are not quite: they share
    training images. If it is interrupted, the folds that are finished are judged together, and the report names those
    that are missing; there is no ensemble, and labels are not suspected.

    Args:
        data: As for ``train``; without test images of its own.
        folds: How many networks, 2 or more.
        model: As for ``train``.
        recipe: As for ``train``.
        output: The folder of all runs, which must be new; by default ``runs/<data>-<model>-folds``, numbered.
        on_event: Called with each event of each run, and with ``FoldStarted`` before them.
        **settings: As for ``train``.

    Returns:
        The runs, and how well they do on all images together.

    Raises:
        InvalidArgument: For fewer than 2 folds.
        DataError: If the data set has a test split of its own, if a fold would be empty or leave too little to train
            on, or if ``output`` exists.
        RecipeError: If the weights to start from were trained on images of any fold, unless that is to be marked.
        MiradaError: What else ``train`` raises.
    """
    chosen = chosen_recipe(model, recipe, settings)
    index = data if isinstance(data, Index) else load_data(data)
    first, *others = _parts(index, folds, chosen)  # fails before there is a folder
    _require_unseen([first, *others], chosen)
    chosen, index = in_whole_epochs(chosen, index, first, module_of(model))
    folder = new_folder(index, f"{chosen.model}-folds", output)
    return train_folds(index, folds, chosen, folder, on_event or (lambda event: None), module_of(model))


def train_folds(
    index: Index, folds: int, recipe: Recipe, folder: RunFolder, on_event: OnEvent, module: nn.Module | None
) -> Folds:
    """The networks of all folds, into a folder in which some may be finished; raises as ``cross_validate``."""
    family = RunFamily(
        folder,
        index,
        job_record(index.source, recipe, folds=folds),
        lambda first, members: replace(_of_all_folds(first, folds, index), folds=members),
        on_event,
        module,
    )
    planned = [
        Planned(f"fold-{number}", part, recipe, FoldStarted(number, folds))
        for number, part in enumerate(_parts(index, folds, recipe), start=1)
    ]
    with folder.alone():
        runs = family.train(planned)
        return _concluded(family, recipe, runs, missing(planned, runs))


def _parts(index: Index, folds: int, recipe: Recipe) -> list[Index]:
    """The index of every fold, its test part drawn, after a look at whether each can be trained."""
    if folds < 2:
        raise InvalidArgument(f"`folds` must be at least 2. Got {folds}.")
    if own := len(index.rows("test")):
        raise DataError(
            f"{index.origin}: has {own:,} test images of its own, while folds take turns as the test. Give the images "
            f"to train on alone, or data without splits."
        )
    whole = replace(
        index, splits=np.full(len(index), "train", dtype=index.splits.dtype)
    )  # val is drawn per fold
    parts = [k_fold(whole, k=folds, fold=fold, seed=recipe.seed) for fold in range(folds)]
    for number, part in enumerate(parts, start=1):
        try:
            complete, _ = complete_splits(
                part, val_fraction=recipe.splits.val_fraction, test_fraction=0, seed=recipe.seed
            )
            require_splits(complete)
        except DataError as error:
            raise DataError(f"Fold {number} of {folds} leaves too little to train on. {error}") from error
        try:
            require_threshold(recipe, complete)
        except InvalidArgument as error:
            raise InvalidArgument(f"Fold {number} of {folds}: {error}") from error
    return parts


def _require_unseen(parts: Sequence[Index], recipe: Recipe) -> None:
    """Raises ``RecipeError`` now, and not after hours, if weights to start from have seen the test of any fold."""
    start = find_weights(recipe) if recipe.contamination == "refuse" else None
    if not start or not start.card:
        return
    digests = contents(parts[0], recipe.pixels.decoding())
    for number, part in enumerate(parts, start=1):
        seen, said = contamination(start.card, digests[part.rows("test")], recipe.weights)
        if seen:
            raise RecipeError(f"Fold {number} of {len(parts)}: {refused(said)}")


def _of_all_folds(first: DataRecord, folds: int, index: Index) -> DataRecord:
    """What the folder of all folds says of the data, from what the first fold's says."""
    tested = Counter[str]()
    for split in first.counts.values():
        tested.update(split)
    kind = "stratified, no group divided" if first.groups else "stratified"
    note = (
        f"Cross-validation with {folds} folds, {kind}: every image is tested once, by the network of "
        f"its fold.{said_of_copies(index)}"
    )
    return replace(first, counts={"test": dict(tested)}, split_note=note)


def _concluded(family: RunFamily, recipe: Recipe, runs: tuple[Run, ...], absent: tuple[str, ...]) -> Folds:
    """Judges what is finished, and writes the report; of all folds also the ensemble and the suspected labels."""
    folder, done = family.folder, finished(runs)
    evaluation: Evaluation | None = None
    try:
        if done:
            table, evaluation = _judge(family, done)
        if absent:
            family.stop("interrupted")
            return Folds(folder.path, runs, evaluation, missing=absent)
        suspects = write_suspects(folder.path, table)
        intervals = _intervals(table)
        if intervals:
            folder.write(INTERVALS, intervals)
        together = Together(intervals, _threshold(table, recipe))
        save_ensemble(folder.file(ENSEMBLE), [run.model_path for run in runs], together)
        _join_features(folder, runs)
    except KeyboardInterrupt:
        family.stop("interrupted", "while all folds were judged together")
        return Folds(folder.path, runs, evaluation, missing=absent)
    except BaseException:
        family.finish()  # a full disk must not cost the report as well
        raise
    family.finish()
    folder.write(DIGESTS, DigestsRecord(predictions=sha256_of(folder.path / "predictions.csv")))
    return Folds(folder.path, runs, evaluation, suspects)


def _judge(family: RunFamily, runs: Sequence[Run]) -> tuple[Predictions, Evaluation]:
    """Judges the images of these runs together, and writes what the report reads."""
    folder = family.folder
    said = [run.predictions for run in runs if run.predictions]
    tested = [each.of_split("test") for each in said]
    table = with_spreads(said)
    table.to_csv(folder.path / "predictions.csv")
    result = evaluate(table, temperature=_temperatures(runs, tested), threshold=_thresholds(runs, tested))
    seen = sum(run.evaluations["test"].trained_on for run in runs)
    result = replace(result, trained_on=seen)
    folder.write("maps.json", of_all_folds([run.folder for run in runs]))
    folder.write("cells.json", cells_of_all_folds([run.folder for run in runs]))
    metrics = {metric.key: metric.value for metric in result.metrics}
    constant = sum(bool(run.evaluations["test"].constant) for run in runs)
    done = Evaluated("test", result.n, metrics, seen, constant, len(runs))
    folder.event(done)
    family.on_event(done)
    folder.write("evaluation.json", {"test": result.to_dict()})
    return table, result


def _join_features(folder: RunFolder, runs: Sequence[Run]) -> None:
    """What finds similar images for the ensemble, where each of its networks has left it."""
    files = [run.folder / SIMILAR for run in runs]
    if all(file.exists() for file in files):
        parts = [load_training_features(file, run.model_path) for file, run in zip(files, runs, strict=True)]
        joined_features(parts, folder.path / ENSEMBLE).save(folder.file(SIMILAR))


def _intervals(table: Predictions) -> Conformal | None:
    """Intervals for the mean of all networks, by how far the one that had not seen an image was off.

    A new image is as new to each network as those were that tested it. The mean of all errs less, so that the
    intervals are rather too wide; there is no guarantee as CV+ has, which keeps every residual (Barber, Candès, Ramdas
    & Tibshirani 2021, arXiv:1905.02928, §3).
    """
    if not isinstance(table.target, Numbers):
        return None
    known = table.take(np.flatnonzero(table.known))
    return fit_conformal(known.values, known.outputs)


def _threshold(table: Predictions, recipe: Recipe) -> Threshold | None:
    """One for the mean of all networks, chosen on the answers of those that had not seen an image."""
    if not recipe.threshold:
        return None
    known = table.take(np.flatnonzero(table.known))
    positive = positive_class(table.target, recipe.positive)
    return choose_threshold(table.target, known.class_numbers, known.outputs, recipe.threshold, positive)


def _thresholds(runs: Sequence[Run], tested: Sequence[Predictions]) -> list[Threshold]:
    """The threshold of the network that answered, for every row; none where there are none."""
    found = [run.evaluations["test"].operating for run in runs]
    return [
        point.thresholds[0]
        for point, rows in zip(found, tested, strict=True)
        if point
        for _ in range(len(rows))
    ]


def _temperatures(runs: Sequence[Run], tested: Sequence[Predictions]) -> list[float]:
    """The temperature of the network that answered, for every row; 1 where answers are numbers."""
    found = (run.evaluations["test"].calibration for run in runs)
    each = (calibration.temperature if calibration else 1.0 for calibration in found)
    return [temperature for temperature, rows in zip(each, tested, strict=True) for _ in range(len(rows))]
