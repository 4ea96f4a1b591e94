"""``mirada predict``."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirada.cli.console import ProgressBar, say, say_json
from mirada.cli.files import (
    holds_neighbours,
    holds_predictions,
    holds_records,
    image_files,
    new_file,
    new_name,
    samples,
    told_of,
)
from mirada.cli.image_options import image_arguments, image_options
from mirada.cli.threshold_option import threshold_of, threshold_options
from mirada.errors import InvalidArgument
from mirada.text import table

if TYPE_CHECKING:
    from mirada.evaluation.conformal import Conformal
    from mirada.evaluation.predictions import Predictions
    from mirada.evaluation.threshold import Threshold
    from mirada.modelfile import Card


@click.command()
@image_arguments
@click.option(
    "--top",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Classes to show. Tables have all; of more than 50 only five, or all if --top is as many.",
)
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(dir_okay=False),
    callback=new_name,
    help="Write a table of the predictions.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, allow_dash=True),
    callback=new_name,
    help="Write the predictions as JSON; - prints them.",
)
@click.option(
    "--similar",
    type=click.Path(dir_okay=False),
    callback=new_name,
    help="Write a table (CSV) with the five training images that the model finds most similar to each; they are in "
    "--csv and --json, too.",
)
@threshold_options(
    "Say as well which images a threshold of the probability of one class calls: that of the model file (file), or a "
    "number. The answer stays the most probable class."
)
@image_options
def command(
    model: str,
    images: tuple[str, ...],
    top: int,
    csv_file: str | None,
    json_file: str | None,
    threshold: str | None,
    positive: str | None,
    image: str | None,
    encoding: str | None,
    known: dict[str, str],
    similar: str | None,
    device: str,
) -> int:
    """Say what a model sees in images: files, folders, or a table (CSV, TSV).

    A model with covariates reads them from the table, or from --known for all images alike. scan.dcm#2 is a frame,
    and mnist.npz#x_test-7 an image, of a file that holds many. A file that cannot be read gets a row that says so,
    and the exit code is then 1. Where somebody else's file is already, the next
    free name is taken, such as name-2.csv.
    """
    files = image_files(images)
    import numpy as np

    from mirada.data.index import Index
    from mirada.evaluation.predictions import called_at
    from mirada.inference.model import load_model
    from mirada.inference.similar import features_of, predict_with_similar

    loaded = load_model(model, device=device)
    chosen = _threshold(loaded.card, model, threshold, positive)
    shown = samples(files, loaded.card, known, image, encoding)
    training = features_of(model) if similar else None
    with ProgressBar() as progress:
        if training:
            predictions = predict_with_similar(
                loaded, shown, training, known=known, on_event=progress.on_event
            )
        else:
            predictions = loaded.predict(shown, known=known, on_event=progress.on_event)
    if isinstance(shown, Index):
        failed = (*shown.excluded, *predictions.failed)
        predictions = replace(predictions, failed=failed)
    if chosen:
        predictions = called_at(predictions, chosen)
    all_classes = top >= len(predictions.classes)
    _write(predictions, similar, csv_file, json_file, all_classes)
    if json_file == "-":
        say_json(predictions.to_json(all_classes=all_classes))
    else:
        say(*_table(predictions, top, loaded.card.conformal))
    if chosen:
        say(f"called by the {chosen}", err=json_file == "-")
    if len(predictions) > 1 and not np.ptp(predictions.outputs, axis=0).any():
        say(f"Note: the answer is the same for all {len(predictions):,} images, to the last digit.", err=True)
    return 1 if predictions.failed else 0


def _threshold(card: Card, model: str, asked: str | None, positive: str | None) -> Threshold | None:
    """The threshold that is asked for, if any; there are no images here to choose one on."""
    if not (asked or positive):
        return None
    found = threshold_of(card, asked or "file", positive, model)
    if isinstance(found, str):
        raise InvalidArgument(
            f"{model}: has no threshold by the rule {found}, and here are no validation images to choose one on. Let "
            f"mirada evaluate find one (--threshold {found}), or take that of the file (--threshold file)."
        )
    return found


def _write(
    predictions: Predictions,
    similar: str | None,
    csv_file: str | None,
    json_file: str | None,
    all_classes: bool,
) -> None:
    """The tables that were asked for."""
    if similar:
        from mirada.inference.similar import write_neighbours

        with new_file(Path(similar), is_own=holds_neighbours) as file:
            write_neighbours(file, predictions)
        told_of(similar, file)
    if csv_file:
        with new_file(Path(csv_file), is_own=partial(holds_predictions, labelled=False)) as file:
            predictions.to_csv(file, all_classes=all_classes)
        told_of(csv_file, file)
    if json_file and json_file != "-":
        with new_file(Path(json_file), is_own=holds_records) as file:
            predictions.write_json(file, all_classes=all_classes)
        told_of(json_file, file)


def _table(predictions: Predictions, top: int, conformal: Conformal | None) -> list[str]:
    from mirada.evaluation.predictions import spread_columns

    beside = spread_columns(predictions)
    spreads = _spreads(predictions) if beside else [[]] * len(predictions)
    problems = [[file.path, f"cannot be read: {file.reason}"] for file in predictions.failed]
    if not predictions.classes:
        header, values = _values(predictions, conformal)
        rows = [
            [path, *cells, *spread]
            for path, cells, spread in zip(predictions.paths, values, spreads, strict=True)
        ]
        header = [*header, *beside]
        return table(
            ["file", *header],
            rows + [[*p, *[""] * (len(header) - 1)] for p in problems],
            left=1 + len(header),
        )
    rows = [
        [
            path,
            "  ".join(f"{predictions.classes[number]} {outputs[number]:.1%}" for number in numbers),
            *spread,
            *called,
        ]
        for path, outputs, numbers, spread, called in zip(
            predictions.paths,
            predictions.outputs,
            predictions.top(top),
            spreads,
            [[word] for word in predictions.called] or [[]] * len(predictions),
            strict=True,
        )
    ]
    beside = (*beside, *(["called"] if predictions.called else []))
    problems = [[*problem, *[""] * len(beside)] for problem in problems]
    return table(["file", "classes, most probable first", *beside], rows + problems, left=2)


def _spreads(predictions: Predictions) -> list[list[str]]:
    """The standard deviations among the networks of an ensemble, for each file."""
    if predictions.classes:
        return [[f"{spread:.1%}"] for (spread,) in predictions.spreads.tolist()]
    return [
        [f"{spread:.3g} {predictions.unit}".rstrip() for spread in row]
        for row in predictions.spreads.tolist()
    ]


def _values(predictions: Predictions, conformal: Conformal | None) -> tuple[list[str], list[list[str]]]:
    """A column per target, with the half width of its interval where the model has one."""
    widths = (
        [f" ± {width:.4g}" for width in conformal.half_widths]
        if conformal
        else [""] * predictions.outputs.shape[1]
    )
    level = f" (± for {conformal.level:.0%})" if conformal else ""
    header = [f"{name}{level}" for name in predictions.target_names or ("predicted",)]
    rows = [
        [
            f"{value:.4g}{width} {predictions.unit}".rstrip()
            for value, width in zip(outputs, widths, strict=True)
        ]
        for outputs in predictions.outputs.tolist()
    ]
    return header, rows
