"""``mirada evaluate``."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirada.cli.console import ProgressBar, figure, interval, metric_lines, quantity, say, share
from mirada.cli.data_options import DataOptions, data_options
from mirada.cli.files import data_path, holds_predictions, model_path, new_file, new_name
from mirada.cli.image_options import device_option
from mirada.cli.threshold_option import threshold_of, threshold_options
from mirada.errors import ContaminationWarning, DataError, InvalidArgument, counted
from mirada.text import table

if TYPE_CHECKING:
    from mirada.data.index import Index
    from mirada.evaluation.evaluate import Evaluation, Measured, OneAnswer
    from mirada.evaluation.threshold import Threshold
    from mirada.inference.model import Model
    from mirada.samples import Excluded

LISTED = 10  # files that are left out; all of them are in the CSV file
MATRIX_LIMIT = 12  # classes; a wider confusion matrix does not fit a terminal


@click.command()
@click.argument("model", callback=model_path)
@click.argument("data", callback=data_path)
@data_options(split="--split-column")
@click.option(
    "--split",
    "part",
    type=click.Choice(["train", "val", "test", "all"]),
    help="The split to judge. [default: test, else val, else all]",
)
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(dir_okay=False),
    callback=new_name,
    help="Where to write the predictions. A name that is taken is numbered. [default: predictions.csv]",
)
@click.option(
    "--all-classes",
    is_flag=True,
    help="Write the probability of every class; of more than 50 else the five most probable.",
)
@threshold_options(
    "Sensitivity, specificity and predictive values at a threshold of the probability of one class: that of the model "
    "file (file, which is the default where it has one), a number, or a rule by which it is chosen on the validation "
    "images: youden, sensitivity=0.95, specificity=0.9, cost=FN:FP."
)
@device_option
def command(
    columns: DataOptions,
    model: str,
    data: str,
    part: str | None,
    csv_file: str | None,
    all_classes: bool,
    threshold: str | None,
    positive: str | None,
    device: str,
) -> int:
    """Measure a model on labelled images: metrics with 95 % intervals, and where it errs.

    Of classes: per class, the confusion matrix, and whether the probabilities can be trusted. Of numbers: limits of
    agreement, and the error by range of the target and by each covariate. --by sex,site judges the images of each word
    of such columns apart.

    Classes are matched by name. The model file knows by content which images it was trained on, wherever they lie: of
    those only the ones set aside for the test are judged, together with new ones. The exit code is 1 if an image had
    to be left out.
    """
    from mirada.evaluation.evaluate import evaluate
    from mirada.evaluation.predictions import called_at
    from mirada.inference.matching import load_for
    from mirada.inference.model import load_model
    from mirada.inference.trained_on import with_training_splits
    from mirada.samples import Classes

    loaded = load_model(model, device=device)
    card = loaded.card
    index = load_for(card, columns.source(data))
    if not columns.split:
        index, note = with_training_splits(card, index, Path(model).resolve().with_name("splits.csv"))
        if note:
            say(note, err=True)
    wanted = card.threshold
    if threshold or positive:
        wanted = _threshold(loaded, index, threshold_of(card, threshold or "file", positive, model), positive)
    index, chosen = _chosen(index, part)
    with ProgressBar() as progress:
        predictions = loaded.predict(index, on_event=progress.on_event)
    predictions = replace(predictions, failed=(*index.excluded, *predictions.failed))
    if wanted:
        predictions = called_at(predictions, wanted)
    # Learnt on the validation images, to hold on others; of an ensemble on all that it was trained with.
    fresh = chosen == "test" or (loaded.ensemble and not predictions.trained_on.any())
    learnt = card.conformal if fresh else None
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ContaminationWarning)
        result = evaluate(predictions, temperature=card.temperature, conformal=learnt, threshold=wanted)
    _warn([str(warning.message) for warning in told], ensemble=bool(loaded.ensemble))
    # First: whoever reads what is printed may not want all of it.
    is_own = partial(holds_predictions, labelled=True) if csv_file else None
    with new_file(Path(csv_file or "predictions.csv"), is_own=is_own) as target:
        predictions.to_csv(target, all_classes=all_classes)
    _left_out(predictions.failed, target)
    unit = "" if isinstance(card.target, Classes) else card.target.unit
    _result(result, chosen, unit, "out-of-fold" if loaded.ensemble else "validation")
    say("", f"every prediction: {target}")
    return 1 if predictions.failed else 0


def _chosen(index: Index, part: str | None) -> tuple[Index, str]:
    """The images of the split that was named, or else of the test, of validation, or all; and what it is called."""
    held_out = (name for name in ("test", "val") if len(index.rows(name)))
    chosen = part or next(held_out, "all")
    rows = index if chosen == "all" else index.take(index.rows(chosen))
    if not len(rows):
        raise DataError(f"{index.origin}: there are no images in the split {chosen}.")
    return rows, chosen


def _threshold(model: Model, index: Index, asked: Threshold | str, positive: str | None) -> Threshold | None:
    """The threshold that is asked for; one by a rule is chosen on the validation images of the data."""
    if not isinstance(asked, str):
        return asked
    rows = index.rows("val")
    if not len(rows):
        raise InvalidArgument(
            f"{index.origin}: there are no validation images to choose a threshold on by {asked}. Name a column that "
            f"says which they are (--split-column), or give a number."
        )
    with ProgressBar() as progress:
        predictions = model.predict(index.take(rows), on_event=progress.on_event)
    return model.with_threshold(predictions, asked, positive or "").card.threshold


def _warn(told: Sequence[str], *, ensemble: bool) -> None:
    """Says that the images are no honest test, and of an ensemble where that is to be found."""
    for message in told:
        say(f"Warning: {message}", err=True)
    if told and ensemble:
        say(
            "Each image of a cross-validation taught all networks of its ensemble but one. The honest figure is that "
            "of predictions.csv and report.html beside it, where each image is judged by that one.",
            err=True,
        )


def _result(result: Evaluation, split: str, unit: str, kind: str) -> None:
    """All numbers; ``split`` is that of the images, or ``all``; ``kind`` as for ``_parts``."""
    from mirada.pages.words import mark_of

    missing = [score.name for score in result.per_class if score.n == 0]
    if missing:
        say(f"without images here: {', '.join(missing)}")
    say(f"{counted(result.n, 'image')} ({'all splits' if split == 'all' else split})", "")
    if mark := mark_of(result.trained_on, result.n):
        say(mark, "")
    for constant in result.constant:
        say(_always(constant, unit), "")
    _metrics(result)
    _operating(result, split)
    _by(result)
    _parts(result, unit, kind)
    _spread(result, unit)
    _calibration(result)
    _classes(result)


def _left_out(files: Sequence[Excluded], table: Path) -> None:
    for file in files[:LISTED]:
        say(f"left out: {file.path}: {file.reason}")
    if len(files) > LISTED:
        say(f"left out: {len(files) - LISTED:,} more, all named in {table}")


def _always(constant: OneAnswer, unit: str) -> str:
    """What is said of a network that gives one answer whatever the image."""
    answer = f'"{constant.answer}"' if isinstance(constant.answer, str) else quantity(constant.answer, unit)
    of = f" of {constant.target}" if constant.target else ""
    return f"always answers {answer}{of}; it has learnt nothing"


def _metrics(result: Evaluation) -> None:
    """A block for each target, where there are several."""
    for number, target in enumerate(dict.fromkeys(metric.target for metric in result.metrics)):
        if target:
            say(*[""] * bool(number), f"target: {target}")
        say(*metric_lines([each for each in result.metrics if each.target == target]))


def _operating(result: Evaluation, split: str) -> None:
    """What holds at the threshold, and how many images it calls rightly and wrongly, of a split or of ``all``."""
    point = result.operating
    if not point:
        return
    say("", *(f"at the {each}" for each in point.thresholds), *metric_lines(point.measures))
    rows = [
        [point.positive, f"{point.found:,}", f"{point.missed:,}"],
        [point.other, f"{point.alarms:,}", f"{point.passed:,}"],
    ]
    say("", *table(["true ↓ called →", point.positive, point.other], rows))
    if split in ("val", "all") and point.thresholds[0].n:
        say("the threshold was chosen on validation images, so these figures flatter it")


def _by(result: Evaluation) -> None:
    """How well the model does on the images of each word of a column, and whether that is more than chance."""
    from mirada.pages.words import said_of_parts

    for column in dict.fromkeys(part.column for part in result.by):
        parts = [part for part in result.by if part.column == column]
        rows = [
            [
                part.word or "(says nothing)",
                f"{part.n:,}",
                *chain.from_iterable(map(_with_interval, part.metrics)),
            ]
            for part in parts
        ]
        header = [column, "images"]
        for metric in parts[0].metrics:
            header += [metric.key, "interval"]
        say("", *table(header, rows))
        say(*(said_of_parts(test) for test in result.by_tests if test.column == column))


def _with_interval(metric: Measured) -> list[str]:
    ends = (figure(metric.name, each) for each in (metric.low, metric.high))
    return [figure(metric.name, metric.value, metric.unit), interval(*ends)]


def _parts(result: Evaluation, unit: str, kind: str) -> None:
    """The error by range of the target and by each covariate, and how often the intervals held.

    ``kind`` is that of the images which those were learnt from.
    """
    for target, covariate in dict.fromkeys((part.target, part.covariate) for part in result.parts):
        rows = [
            [
                part.name,
                f"{part.n:,}",
                quantity(part.mae, unit),
                interval(quantity(part.low), quantity(part.high)),
            ]
            for part in result.parts
            if (part.target, part.covariate) == (target, covariate)
        ]
        title = f"error by {covariate.partition('=')[0] or 'range of the true value'}"
        header = [f"{target}: {title}" if target else title, "images", "mean absolute error", "interval"]
        say("", *table(header, rows))
    for held in result.coverage:
        who = f"{held.target} " if held.target else "value "
        span = "" if held.low is None else f" ({interval(share(held.low), share(held.high))})"
        say(
            "",
            f"{who}± {quantity(held.half_width, unit)}: to hold for {held.level:.0%}, by "
            f"{counted(held.learnt_from, f'{kind} image')}; holds here for {share(held.covered)}{span}",
        )


def _spread(result: Evaluation, unit: str) -> None:
    """Whether the spread among the networks of an ensemble tells the error."""
    for check in result.spread:
        of = f" of {check.target}" if check.target else ""
        span = "" if check.low is None else f" ({interval(quantity(check.low), quantity(check.high))})"
        say(
            "",
            f"spread among the networks: rank correlation with the error{of} {quantity(check.correlation)}{span}",
        )
        said = share if result.per_class else partial(quantity, unit=unit)
        rows = [
            [
                f"{said(part.least)} to {said(part.most)}",
                f"{part.n:,}",
                said(part.error),
                interval(said(part.low), said(part.high)),
            ]
            for part in check.parts
        ]
        error = "mistakes" if result.per_class else "mean absolute error"
        say(*table(["spread", "images", error, "interval"], rows))


def _calibration(result: Evaluation) -> None:
    """The numbers of the probabilities, before and after scaling where there was any."""
    found = result.calibration
    if found is None or found.before is None:
        return
    names = {"log_loss": "log loss", "brier": "Brier score", "ece": "calibration error"}
    rows = [
        [name, figure(key, getattr(found.before, key)), figure(key, getattr(found.after, key))]
        for key, name in names.items()
    ]
    say("", f"probabilities scaled by the temperature {found.temperature:.3g}, fitted on validation images")
    say(*table(["", "before", "after"], rows))


def _with_span(value: float | None, span: tuple[float, float] | None) -> str:
    """A share and its interval in brackets."""
    return f"{share(value)} ({span[0]:.0%}–{span[1]:.0%})" if span and value is not None else share(value)


def _classes(result: Evaluation) -> None:
    if not result.per_class:
        return
    rows = [
        [
            score.name,
            f"{score.n:,}",
            _with_span(score.precision, score.precision_interval),
            _with_span(score.recall, score.recall_interval),
            _with_span(score.specificity, score.specificity_interval),
            _with_span(score.f1, score.f1_interval),
            quantity(score.roc_auc),
        ]
        for score in result.per_class
    ]
    header = ["class", "images", "precision", "recall", "specificity", "F1", "ROC AUC"]
    say("", *table(header, rows))
    if len(rows) > MATRIX_LIMIT:
        return
    names = [score.name for score in result.per_class]
    matrix = [[name, *map(str, counts)] for name, counts in zip(names, result.confusion, strict=True)]
    say("", "rows: true class, columns: predicted", *table(["", *names], matrix))
