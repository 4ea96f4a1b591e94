"""``mirada models``."""

import click

from mirada.cli.console import say
from mirada.models import CATALOGUE, list_models
from mirada.text import table


@click.command()
@click.argument("pattern", default="*")
def command(pattern: str) -> int:
    """List the networks there are.

    PATTERN is a shell pattern such as 'res*'.
    """
    names = list_models(pattern)
    rows = []
    for name in names:
        entry = CATALOGUE[name]
        image = " × ".join(str(side) for side in entry.image)
        macs = f"{entry.macs / 1e6:,.1f} M"
        rows.append([name, image, str(entry.num_classes), f"{entry.parameters:,}", macs, f"  {entry.source}"])
    if not names:
        say(f'No network matches "{pattern}". mirada models lists them all.', err=True)
        return 1
    header = ["network", "input", "outputs", "parameters", "MACs", "  source"]
    for line in _with_source_left(header, rows):
        say(line)
    return 0


def _with_source_left(header: list[str], rows: list[list[str]]) -> list[str]:
    numbers = table(header[:-1], [row[:-1] for row in rows])
    return [
        f"{line}{source}" for line, source in zip(numbers, [header[-1], *(r[-1] for r in rows)], strict=True)
    ]
