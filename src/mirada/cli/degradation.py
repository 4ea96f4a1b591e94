"""``mirada degradation``."""

from __future__ import annotations

import click

from mirada.cli.again import ended
from mirada.cli.console import ProgressBar
from mirada.cli.data_options import DataOptions, data_options
from mirada.cli.files import data_path, new_folder
from mirada.cli.loading import loading
from mirada.cli.pairs import require_once, setting
from mirada.cli.together import require_one_process
from mirada.cli.training_lines import TrainingLines


@click.command(epilog="mirada settings [KEY|MODEL] lists what --set takes: type, range, default, meaning.")
@data_options()
@click.argument("data", callback=data_path)
@click.option(
    "--depths", type=int, nargs=2, default=(20, 56), show_default=True,
    help="Layers of the shallow and of the deep network: two of 20, 32, 44, 56, 110.",
)  # fmt: skip
@click.option("--epochs", type=click.IntRange(min=1), default=30, show_default=True, help="Of each network.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE",
    help="Any setting, for all four; `mirada settings` lists them.",
)  # fmt: skip
@click.option(
    "--output", type=click.Path(), callback=new_folder,
    help="The folder of the four runs. [default: runs/<data>-degradation]",
)  # fmt: skip
def command(
    columns: DataOptions,
    data: str,
    depths: tuple[int, int],
    epochs: int,
    settings: tuple[str, ...],
    output: str | None,
) -> int:
    """Train plain and residual networks of two depths: does depth alone make a network learn worse?

    Four runs by one recipe (arXiv:1512.03385, section 4.2), which watch the gradient of every layer, and one page:
    the curves over each other, the gradients by layer, and each deep network beside the shallow one of its kind on the
    test images. Whatever ends it before its time, mirada train --resume FOLDER takes it up.
    """
    require_one_process("degradation")
    said = [setting(text) for text in settings]
    require_once(said)
    index = columns.load(data)
    with loading():
        from mirada.jobs.degradation import degradation
        from mirada.pages.degradation import training_sentence
    with ProgressBar() as progress:
        lines = TrainingLines(progress)
        done = degradation(
            index, depths=depths, epochs=epochs, output=output, on_event=lines.show, settings=dict(said)
        )
    progress.line(*map(training_sentence, done.pairs))
    return ended(progress, done.folder, done.report_path, complete=done.complete, missing=done.missing)
