"""``mirada train``."""

from collections.abc import Callable
from typing import Any

import click

from mirada.cli.console import Progress, counts_table, figure
from mirada.cli.data_options import Columns, data_options

TRIVIAL = 5  # classes, up to which the top-5 accuracy is 100 % whatever the network does


@click.command()
@data_options()
@click.argument("data", type=click.Path(exists=True))
@click.option("--model", help="A network of `mirada models`. [default: resnet18]")
@click.option(
    "--weights",
    type=click.Path(exists=True, dir_okay=False),
    help="Public weights, or a model, to start from.",
)
@click.option("--epochs", type=int, help="Passes over the training images.")
@click.option("--batch-size", type=int, help="Images per step.")
@click.option("--lr", type=float, help="Learning rate.")
@click.option("--image-size", type=int, help="Side of the network's input in pixels.")
@click.option("--device", help="cpu, cuda, cuda:1, mps. [default: the best there is]")
@click.option("--precision", help="auto, bfloat16 or float32. [default: auto]")
@click.option("--seed", type=int, help="Same seed, same machine: same weights. [default: 0]")
@click.option("--recipe", type=click.Path(exists=True, dir_okay=False), help="A TOML file of settings.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any other setting of a recipe.")
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    help="Train so many networks, each tested on another part of the images.",
)
@click.option("--output", type=click.Path(), help="The run folder. [default: runs/<data>-<model>]")
def command(
    columns: Columns,
    data: str,
    recipe: str | None,
    settings: tuple[str, ...],
    folds: int | None,
    output: str | None,
    **flags: Any,
) -> int:
    """Train a network on images, for their classes or for numbers.

    DATA holds a folder per class, or train, val and test folders with a folder per class in each; or it is a table
    (CSV, TSV) with a row per image, or a file of arrays (IDX, NPZ). What is missing of validation and test is set
    aside, no group divided, and the test images are used once, at the end. Leaves a run folder with the model,
    predictions and report.html.

    --weights takes what torchvision and timm publish for the network, or a model that was trained before. A head
    of another size is drawn anew, which is said, and pixels are normalized as the weights expect.

    --folds is for few images: every image is tested once, by a network that has not seen it, and the report judges
    them all together (cross-validation).
    """
    chosen = _recipe(recipe, {key: value for key, value in flags.items() if value is not None}, settings)
    index = columns.load(data)  # said before torch is loaded
    from mirada.compute import flush_denormals, keep_freed_memory
    from mirada.jobs.folds import cross_validate
    from mirada.jobs.train import train

    flush_denormals()
    with Progress() as progress:
        lines = _Lines(progress)

        def hear(event: dict[str, Any]) -> None:
            if event["event"] == "start":  # what decoding has freed goes back
                keep_freed_memory()
            lines.hear(event)

        if folds:
            done = cross_validate(index, recipe=chosen, folds=folds, output=output, watch=hear)
            run, report, complete = done.runs[-1], done.report_path, done.evaluation is not None
        else:
            run = train(index, recipe=chosen, output=output, watch=hear)
            report, complete = run.report_path, run.outcome.reason != "interrupted"
    if not complete:
        click.echo(f"Interrupted. What there is: {run.folder}", err=True)
        report = run.report_path
    click.echo(report)
    return 0 if complete else 130


def _recipe(file: str | None, flags: dict[str, Any], settings: tuple[str, ...]) -> Any:
    """The model's recipe, then the file's settings, then --set, then the flags."""
    from mirada.models import find
    from mirada.training.recipe import Recipe, read_settings, recipe_for

    stated = read_settings(file) if file else {}
    pairs = dict(_pair(text) for text in settings)
    model = flags.get("model") or pairs.get("model") or stated.get("model") or Recipe.model
    find(str(model))
    recipe = recipe_for(str(model))
    if file:
        recipe = recipe.with_settings(stated, origin=file)
    return recipe.with_settings(pairs, origin="--set").with_settings(flags)


def _pair(text: str) -> tuple[str, Any]:
    """``key=value``, the value as TOML has it, or else as a plain word."""
    import tomllib

    key, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f'--set needs KEY=VALUE. Got "{text}".')
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def _loss(value: float) -> str:
    """Four decimals, so that the numbers stand in a column; fewer digits for a loss that has run away."""
    return f"{value:.4f}" if value < 1000 else f"{value:.1e}"


class _Lines:
    """Turns the events of a run into lines and a progress bar."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.last: dict[str, Any] = {}
        self.excluded = 0
        self.classes = 0
        self.tellers: dict[str, Callable[[dict[str, Any]], None]] = {
            "best": self._best, "epoch": self._epoch, "evaluation": self._evaluation, "excluded": self._excluded,
            "first_layer": self._text, "fold": self._fold, "frozen": self._text, "progress": self._progress,
            "start": self._start, "stopped": self._stopped, "weights": self._text,
        }  # fmt: skip

    def hear(self, event: dict[str, Any]) -> None:
        if tell := self.tellers.get(event["event"]):
            tell(event)

    def _progress(self, event: dict[str, Any]) -> None:
        if event["what"] == "training":
            rate = self.last.get("images_per_second")
            speed = f", {rate:,.0f} images/s" if rate else ""
            event = {**event, "note": f"epoch {event['epoch']}{speed}"}
        self.progress.watch(event)

    def _fold(self, event: dict[str, Any]) -> None:
        self.progress.line(f"fold {event['fold']} of {event['folds']}")

    def _start(self, event: dict[str, Any]) -> None:
        self.classes = max(len(names) for names in event["counts"].values())
        for note in event["notes"]:
            self.progress.line(note)
        self.progress.line(counts_table(event["counts"]))
        self.progress.line(f"{event['split_note']}")
        decoded = f"{event['decoded']:,} images decoded" if event["decoded"] else "all images in the cache"
        self.progress.line(f"{event['parameters']:,} parameters, {decoded}, training on {event['compute']}.")

    def _text(self, event: dict[str, Any]) -> None:
        self.progress.line(event["text"])

    def _excluded(self, event: dict[str, Any]) -> None:
        self.excluded += 1
        if self.excluded <= 10:
            self.progress.line(f"left out: {event['path']}: {event['reason']}")
        elif self.excluded == 11:
            self.progress.line("left out: more, all named in events.jsonl and in the report")

    def _epoch(self, event: dict[str, Any]) -> None:
        self.last = event
        told = {key.removeprefix("val_"): value for key, value in event.items() if key.startswith("val_")}
        if self.classes <= TRIVIAL:
            told.pop("top5", None)
        shown = [f"{key} {figure(key, value)}" for key, value in told.items() if key != "loss"]
        self.progress.line(
            f"epoch {event['epoch']:3}  {event['seconds']:6.2f} s  loss {_loss(event['train_loss'])}  "
            f"validation loss {_loss(event['val_loss'])}  {'  '.join(shown)}{'  best' if event['best'] else ''}"
        )

    def _stopped(self, event: dict[str, Any]) -> None:
        if event["reason"] == "early":
            self.progress.line(
                f"Stopped after epoch {event['epochs']}: no improvement for `patience` epochs."
            )

    def _best(self, event: dict[str, Any]) -> None:
        self.progress.line(f"best epoch: {event['epoch']}")

    def _evaluation(self, event: dict[str, Any]) -> None:
        names = {"val": "validation", "test": "test"}
        skip = ("event", "split", "n")
        told = {key: value for key, value in event.items() if key not in skip}
        if any(":" in key for key in told):  # of several targets, the two that say most
            told = {key: value for key, value in told.items() if key.startswith(("mae:", "r2:"))}
        shown = [f"{key} {figure(key, value)}" for key, value in told.items()]
        self.progress.line(f"{names[event['split']]}, {event['n']:,} images: {', '.join(shown)}")
