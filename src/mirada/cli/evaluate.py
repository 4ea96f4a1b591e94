"""``mirada evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirada.cli.console import Progress, figure, metric_lines, table
from mirada.cli.files import in_a_folder, unused
from mirada.errors import DataError

if TYPE_CHECKING:
    from mirada.checkpoint import Card
    from mirada.data.index import Index
    from mirada.evaluation.evaluate import Evaluation

MATRIX_LIMIT = 12  # classes; a wider confusion matrix does not fit a terminal


@click.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False))
@click.argument("data", type=click.Path(exists=True))
@click.option(
    "--split",
    type=click.Choice(["train", "val", "test", "all"]),
    help="[default: test, else val, else all]",
)
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(dir_okay=False),
    callback=in_a_folder,
    help="[default: predictions.csv, numbered if it exists]",
)
@click.option("--device", default="auto", show_default=True)
def command(model: str, data: str, split: str | None, csv_file: str | None, device: str) -> int:
    """Measure a model on labelled images: metrics with 95 % intervals, per class, confusion matrix.

    Classes are matched by name. In the data set that the model was trained on, the test images are those that
    were set aside then.
    """
    from mirada.data.sources import load_data
    from mirada.evaluation.evaluate import evaluate
    from mirada.model import load_model

    loaded = load_model(model, device=device)
    index, note = _with_training_splits(load_data(data, classes=loaded.card.classes or None), loaded.card)
    if note:
        click.echo(note, err=True)
    held_out = (name for name in ("test", "val") if len(index.rows(name)))
    chosen = split or next(held_out, "all")
    if chosen != "all":
        index = index.take(index.rows(chosen))
    if not len(index):
        raise DataError(f"{data}: there are no images in the split {chosen}.")
    with Progress() as progress:
        predictions = loaded.predict(index, watch=progress.watch)
    result = evaluate(predictions)
    for file in predictions.failed:
        click.echo(f"left out: {file.path}: {file.reason}")
    missing = [score.name for score in result.per_class if score.n == 0]
    if missing:
        click.echo(f"without images here: {', '.join(missing)}")
    click.echo(f"{result.n:,} images ({'all splits' if chosen == 'all' else chosen})\n")
    click.echo("\n".join(metric_lines(result.metrics)))
    _classes(result)
    target = Path(csv_file) if csv_file else unused(Path("predictions.csv"))
    predictions.to_csv(target)
    click.echo(f"\nevery prediction: {target}")
    return 1 if predictions.failed else 0


def _with_training_splits(index: Index, card: Card) -> tuple[Index, str]:
    """Sets aside what training set aside, if this is the folder that it saw; and a note if that has changed."""
    from mirada.data.splits import complete_splits

    if card.provenance.get("data") != str(index.root.resolve()) or not len(index.rows("train")):
        return index, ""
    settings = {name: card.recipe[name] for name in ("val_fraction", "test_fraction", "seed")}
    before = sum(sum(counts.values()) for counts in card.provenance["counts"].values())
    before += card.provenance["excluded"]
    now = len(index) + len(index.excluded)
    completed, _ = complete_splits(index, **settings)
    if now == before or completed is index:
        return completed, ""
    return (
        completed,
        f"Note: training saw {before:,} files here, now there are {now:,}; other ones may be set aside.",
    )


def _classes(result: Evaluation) -> None:
    if not result.per_class:
        return
    rows = [
        [
            score.name,
            f"{score.n:,}",
            *(figure(key, getattr(score, key)) for key in ("precision", "recall", "f1")),
        ]
        for score in result.per_class
    ]
    click.echo("\n" + table(["class", "images", "precision", "recall", "F1"], rows))
    if len(rows) > MATRIX_LIMIT:
        return
    names = [score.name for score in result.per_class]
    matrix = [[name, *map(str, counts)] for name, counts in zip(names, result.confusion, strict=True)]
    click.echo("\nrows: true class, columns: predicted\n" + table(["", *names], matrix))
