"""``mirada summary``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirada.models import CATALOGUE

if TYPE_CHECKING:
    from mirada.summary import Summary


@click.command()
@click.argument("network", metavar="NAME|MODEL")
@click.option("--image-size", type=click.IntRange(1), help="Side of the input in pixels.")
@click.option("--classes", type=click.IntRange(1), help="Number of outputs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(network: str, image_size: int | None, classes: int | None, as_json: bool) -> int:
    """Print a network layer by layer: output shape, parameters, MACs.

    NAME is one of `mirada models`, MODEL a model file.
    """
    if network not in CATALOGUE and Path(network).exists():
        if image_size or classes:
            raise click.UsageError("--image-size and --classes are for names; a model file says both itself.")
        summary = _of_file(network)
    else:
        summary = _of_name(network, image_size, classes)
    click.echo(json.dumps(summary.to_dict(), indent=1) if as_json else str(summary))
    return 0


def _of_name(name: str, image_size: int | None, classes: int | None) -> Summary:
    from mirada.models import find

    find(name)  # an unknown name is said before torch is loaded
    import torch

    from mirada.models import create_model
    from mirada.summary import summarize

    with torch.device("meta"):
        network = create_model(name, image_size=image_size, num_classes=classes)
    return summarize(network)


def _of_file(file: str) -> Summary:
    from mirada.checkpoint import load_network
    from mirada.summary import summarize

    return summarize(load_network(file)[0])
