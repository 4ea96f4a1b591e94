"""``mirada units``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirada.cli.console import ProgressBar
from mirada.cli.files import image_files, model_path, new_folder, save_drawing, there
from mirada.cli.image_options import device_option
from mirada.errors import counted

if TYPE_CHECKING:
    from mirada.inference.model import Model


def _point(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """``120,80`` → across, down."""
    if text is None:
        return None
    parts = text.split(",")
    try:
        across, down = map(int, parts)
    except ValueError as error:
        raise click.BadParameter(f'expected X,Y in pixels, such as 120,80. Got "{text}".') from error
    return across, down


def _unit(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, int] | None:
    """``stage3:17`` → the layer and the number of its map."""
    if text is None:
        return None
    layer, colon, number = text.partition(":")
    if not colon or not layer or not number.isdecimal():
        raise click.BadParameter(f'expected LAYER:NUMBER, such as stage3:17. Got "{text}".')
    return layer, int(number)


@click.command()
@click.argument("model", callback=model_path)
@click.argument("images", nargs=-1, callback=there)
@click.option("--filters", is_flag=True, help="Draw the filters of the first layer; no image is needed.")
@click.option(
    "--maps", metavar="LAYER", help="Draw all maps that this layer, such as stage1, makes of each image."
)
@click.option(
    "--at", metavar="X,Y", callback=_point,
    help="The fibre at this pixel of the photo, as one sees it: all channels of the place that sees it.",
)  # fmt: skip
@click.option("--layer", metavar="NAME", help="With --at: whose fibre. [default: the part before the head]")
@click.option(
    "--unit", metavar="LAYER:NUMBER", callback=_unit,
    help="The images that excite this unit most, such as stage3:17.",
)  # fmt: skip
@click.option(
    "--output", default="units", show_default=True, type=click.Path(file_okay=False), callback=new_folder,
    help="Folder for the pictures.",
)  # fmt: skip
@device_option
def command(
    model: str,
    images: tuple[str, ...],
    filters: bool,
    maps: str | None,
    at: tuple[int, int] | None,
    layer: str | None,
    unit: tuple[str, int] | None,
    output: str,
    device: str,
) -> int:
    """Show what a model has learnt besides its maps: filters, activation maps, single pixels, single units.

    Writes a picture for each of --filters, --maps, --at and --unit. A receptive field is drawn as a box on the photo:
    what the place sees, as far as it lies in the image. Existing files are not overwritten.
    """
    asked = [option for option, given in (("--maps", maps), ("--at", at), ("--unit", unit)) if given]
    if not filters and not asked:
        raise click.UsageError("Name one of --filters, --maps, --at and --unit.")
    if asked and not images:
        raise click.UsageError(f"{asked[0]} needs images.")
    if layer and not at:
        raise click.UsageError("--layer goes with --at.")
    files = image_files(images) if images else []
    from mirada.inference.model import load_model
    from mirada.jobs import units

    loaded = load_model(model, device=device)
    save = _saver(Path(output))
    failed = 0
    with ProgressBar() as progress:
        if filters:
            weights = units.first_filters(loaded)
            picture = save("filters", units.draw_filters(weights))
            progress.line(
                f"{picture}: {counted(len(weights), 'filter')} of {weights.shape[2]} x {weights.shape[3]}"
            )
        for file in files if maps else ():
            found = units.activation_maps(loaded, file, maps or "")
            picture = save(f"{Path(file).stem}-{maps}", units.draw_maps(found, f"{Path(file).name}, {maps}"))
            progress.line(f"{picture}: {counted(len(found), 'map')} of {found.shape[1]} x {found.shape[2]}")
        for file in files if at else ():
            progress.line(_fibre(loaded, file, at or (0, 0), layer, save))
        if unit:
            failed = _exciting(loaded, files, unit, save, progress)
    return 1 if failed else 0


def _fibre(
    model: Model, file: str, at: tuple[int, int], layer: str | None, save: Callable[[str, Any], Path]
) -> str:
    """Draws the fibre at a pixel; returns what is said of it."""
    from mirada.jobs.units import fibre_at

    found = fibre_at(model, file, *at, layer)
    picture = save(f"{Path(file).stem}-at-{at[0]}-{at[1]}", found.picture())
    top, left, bottom, right = found.field
    return (
        f"{picture}: {found.layer}, place {found.place}, which sees x {left:.0f} to {right:.0f}, y {top:.0f} to "
        f"{bottom:.0f} of the photo; strongest of {len(found.values):,} channels: {found.strongest}"
    )


def _exciting(
    model: Model,
    files: list[str],
    unit: tuple[str, int],
    save: Callable[[str, Any], Path],
    progress: ProgressBar,
) -> int:
    """Draws the images that excite a unit most; returns how many could not be decoded."""
    from mirada.inference.matching import unlabeled
    from mirada.jobs.units import exciting_picture, most_exciting

    layer, number = unit
    found, failed = most_exciting(
        model, unlabeled(files, model.card), layer, number, on_event=progress.on_event
    )
    for item in failed:
        progress.line(f"left out: {item.path}: {item.reason}")
    for each in found:
        progress.line(f"{each.path}: {each.value:.4g} at place {each.place}")
    if found:
        progress.line(save(f"{layer}-unit-{number}", exciting_picture(found, layer, number)))
    return len(failed)


def _saver(folder: Path) -> Callable[[str, Any], Path]:
    """What writes a picture under a name of its own; returns its file."""

    def save(name: str, picture: Any) -> Path:
        return save_drawing(picture, folder / f"{name}.png")

    return save
