"""``mirada explain``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirada.cli.console import Progress
from mirada.cli.files import image_files, unused
from mirada.cli.known import known_option

if TYPE_CHECKING:
    from mirada.model import Explained


@click.command()
@click.argument("model", type=click.Path(exists=True, dir_okay=False))
@click.argument("images", nargs=-1, required=True, type=click.Path(exists=True))
@click.option(
    "--output",
    default="maps",
    show_default=True,
    type=click.Path(file_okay=False),
    help="Folder for the pictures.",
)
@click.option(
    "--class",
    "target",
    help="Show the evidence for this class, or number. [default: the predicted, or first, one]",
)
@known_option
@click.option("--device", default="auto", show_default=True)
def command(
    model: str, images: tuple[str, ...], output: str, target: str | None, known: dict[str, str], device: str
) -> int:
    """Show where a model looks in images (files or folders).

    Writes each photo at its own size with a map over it: red speaks for the class, blue against it. Existing
    files are not overwritten.
    """
    files = image_files(images)
    if not files:
        raise click.UsageError(f"No image files in {', '.join(images)}.")
    from mirada.data.decoding.decode import DecodeError
    from mirada.model import load_model

    loaded = load_model(model, device=device)
    failed = 0
    with Progress() as progress:
        for number, file in enumerate(files, start=1):
            try:
                (seen,) = loaded.explain([file], target=target, known=known)
                progress.line(_save(seen, Path(output)))
            except DecodeError as error:
                failed += 1
                progress.line(f"left out: {error}")
            progress.watch({"event": "progress", "what": "explaining", "done": number, "total": len(files)})
    return 1 if failed else 0


def _save(seen: Explained, folder: Path) -> str:
    """Writes the picture; returns what is said about it."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    picture = unused(folder / f"{seen.path.stem}-map.png")
    Image.fromarray(seen.picture()).save(picture)
    receipt = "" if seen.receipt is None else f", adds up to the output within {max(seen.receipt, 1e-9):.0e}"
    note = f"; {seen.note}" if seen.note else ""
    return f"{picture}: {seen.answer}; {seen.subject}, {seen.method}{receipt}{note}"
