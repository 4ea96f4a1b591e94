"""``mirada sample``."""

import click

from mirada.cli.console import ProgressBar, say
from mirada.cli.files import new_folder
from mirada.errors import nearest

KINDS = {
    "ages": "drawn hands whose fingers tell an age in months, with sex and patient in ages.csv",
    "digits": "1,797 real handwritten digits, 8 × 8 pixels, 10 classes",
    "shapes": "drawn shapes on textured ground, with their true boxes in boxes.csv",
}


@click.command(epilog="  ".join(f"{kind}: {text}." for kind, text in KINDS.items()))
@click.argument("kind", metavar="ages|digits|shapes")
@click.argument("folder", type=click.Path(file_okay=False), callback=new_folder)
def command(kind: str, folder: str) -> int:
    """Write a small data set into FOLDER, which must be new or empty."""
    if kind not in KINDS:
        raise click.UsageError(f'There is no sample "{kind}". {nearest(kind, KINDS)}')
    from mirada.data.examples.writers import SAMPLES

    with ProgressBar() as progress:
        count = SAMPLES[kind](folder, on_event=progress.on_event)
    say(f"{count:,} images written to {folder}")
    return 0
