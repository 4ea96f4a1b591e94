"""``mirada explain``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirada.cli.console import ProgressBar
from mirada.cli.files import image_files, new_file, new_folder, samples
from mirada.cli.image_options import image_arguments, image_options
from mirada.events import Progress
from mirada.files import replacing

if TYPE_CHECKING:
    from mirada.inference.explained import Explained


@click.command()
@image_arguments
@click.option(
    "--output",
    default="maps",
    show_default=True,
    type=click.Path(file_okay=False),
    callback=new_folder,
    help="Folder for the pictures.",
)
@click.option(
    "--class",
    "target",
    help="The class, or of several numbers the one, to explain. [default: the predicted class; the first number]",
)
@click.option(
    "--method",
    metavar="NAME",
    help="exact, grad_cam, hires_cam, grad_cam_pp or layer_cam; in many passes score_cam or recipro_cam; of the image "
    "itself saliency or guided_backprop, and in many passes smooth_grad, integrated_gradients, occlusion or rise. "
    "[default: exact if the network's head allows it, else grad_cam]",
)
@click.option(
    "--layer",
    metavar="NAME",
    help="The part whose maps are weighed, such as stage2. [default: the last whose maps are larger than 1 x 1]",
)
@image_options
def command(
    model: str,
    images: tuple[str, ...],
    output: str,
    target: str | None,
    method: str | None,
    layer: str | None,
    image: str | None,
    encoding: str | None,
    known: dict[str, str],
    device: str,
) -> int:
    """Show where a model looks in images: files, folders, or a table (CSV, TSV).

    Writes each photo with a map over it: red speaks for the class, blue against it. Small photos are enlarged. Existing
    files are not overwritten. Covariates are read from the table, or given by --known.
    """
    files = image_files(images)
    from mirada.data.index import Index
    from mirada.data.pixels.decode import DecodeError
    from mirada.inference.matching import unlabeled
    from mirada.inference.model import load_model

    loaded = load_model(model, device=device)
    shown = samples(files, loaded.card, known, image, encoding)
    index = shown if isinstance(shown, Index) else unlabeled(shown, loaded.card)
    explained = partial(loaded.explain, target=target, method=method, layer=layer, known=known)
    failed = len(index.excluded)
    remark = ""
    with ProgressBar() as progress:
        for item in index.excluded:
            progress.line(f"left out: {item.path}: {item.reason}")
        for row in range(len(index)):
            told = partial(_tell_passes, progress, row, len(index))
            try:
                (seen,) = explained(index.take([row]), on_event=told)
                if seen.remark != remark:  # once, not for every image
                    remark = seen.remark
                    progress.line(f"Note: {remark}.")
                progress.line(_save(seen, Path(output)))
            except DecodeError as error:
                failed += 1
                progress.line(f"left out: {error}")
            progress.on_event(Progress("explaining", row + 1, len(index)))
    return 1 if failed else 0


def _tell_passes(progress: ProgressBar, row: int, rows: int, event: Progress) -> None:
    """Shows how far the passes for one of the rows are, of those for all; says beforehand how many there are."""
    if row == event.done == 0:
        progress.line(f"Note: this method takes {event.total:,} passes through the network for each image.")
    progress.on_event(Progress("passes", row * event.total + event.done, rows * event.total))


def _save(seen: Explained, folder: Path) -> str:
    """Writes the picture; returns what is said about it."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    from mirada.data.pixels.arrays import container

    signature = PngInfo()
    signature.add_text("Software", "Mirada")  # by which it is never taken for an image of the data
    folder.mkdir(parents=True, exist_ok=True)
    file = container(seen.path)
    within = seen.path.name.removeprefix(file.name).replace("#", "-")  # of an address the frame, or the row
    with new_file(folder / f"{file.stem}{within}-map.png") as picture, replacing(picture) as draft:
        Image.fromarray(seen.picture()).save(draft, pnginfo=signature)
    error = seen.completeness_error
    sum_ = "" if error is None else f", adds up to {seen.method.adds_up_to} within {max(error, 1e-9):.0e}"
    note = f"; {seen.note}" if seen.note else ""
    return f"{picture}: {seen.answer}; {seen.subject}, {seen.title}{sum_}{note}"
