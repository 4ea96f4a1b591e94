"""``mirada surgery``."""

from __future__ import annotations

import click

from mirada.cli.again import ended
from mirada.cli.console import ProgressBar
from mirada.cli.data_options import DataOptions, data_options
from mirada.cli.files import data_path, model_path, new_folder
from mirada.cli.loading import loading
from mirada.cli.pairs import require_once, setting
from mirada.cli.together import require_one_process
from mirada.cli.training_lines import TrainingLines
from mirada.events import Event, Started


@click.command(epilog="mirada settings [KEY|MODEL] lists what --set takes: type, range, default, meaning.")
@click.argument("model", callback=model_path)
@click.argument("data", callback=data_path)
@data_options()
@click.option(
    "--after",
    metavar="STAGE",
    help="The stage behind which to cut, such as stage3. [default: the last one with places]",
)
@click.option(
    "--width",
    type=click.IntRange(min=1),
    help="Maps of the new convolution. [default: four times those of the stage, at most 1024]",
)
@click.option(
    "--epochs", type=int, help="Passes over the training images. [default: as the model was trained]"
)
@click.option("--device", help="cpu, cuda, cuda:1, mps. [default: the best there is]")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any setting; `mirada settings` lists them."
)
@click.option(
    "--output", type=click.Path(), callback=new_folder, help="The run folder. [default: runs/<data>-<model>]"
)
def command(
    columns: DataOptions,
    model: str,
    data: str,
    after: str | None,
    width: int | None,
    epochs: int | None,
    device: str | None,
    settings: tuple[str, ...],
    output: str | None,
) -> int:
    """Give a trained model a head whose class maps are exact, on a finer grid, and train it on.

    What follows the stage is taken away, and so is the pooling that ends it; then come a 3 x 3 convolution, the average
    of each map and one linear layer (arXiv:1512.04150). The stages before keep their weights; at first the new layers
    alone learn, then the others at smaller rates: --set thaw=…, thaw_rate=…, lr=… change that. Says what it has cost on
    the same test images, with a 95 % interval, and how fine the maps are now. The result is a run like any other;
    mirada train --resume takes it up if it was stopped.
    """
    require_one_process("surgery")
    said = [setting(text) for text in settings]
    require_once(said)
    flags = {"epochs": epochs, "device": device}
    given = {key: value for key, value in flags.items() if value is not None}
    with loading():
        from mirada.compute import flush_denormals, keep_freed_memory
        from mirada.inference.matching import load_for
        from mirada.jobs.surgery import to_cam
        from mirada.modelfile import load_card

    flush_denormals()
    index = load_for(load_card(model), columns.source(data))
    with ProgressBar() as progress:
        lines = TrainingLines(progress)

        def on_event(event: Event) -> None:
            if isinstance(event, Started):
                keep_freed_memory()
            lines.show(event)

        done = to_cam(
            model,
            index,
            after=after,
            width=width,
            output=output,
            on_event=on_event,
            settings={**dict(said), **given},
        )
    progress.line("", *done.record.sentences)
    return ended(progress, done.run.folder, done.run.report_path, complete=done.run.complete)
