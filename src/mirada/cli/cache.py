"""``mirada cache``: what is kept of whose images, and how it goes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirada.cli.console import say
from mirada.text import mebibytes, table

if TYPE_CHECKING:
    from mirada.data.cache_files import KeptCache


@click.group(
    epilog="They are in the folder that the environment variable MIRADA_CACHE names, or else in "
    "$XDG_CACHE_HOME/mirada or ~/.cache/mirada; where that cannot be written, in mirada-NUMBER among the temporary "
    "files. Nothing is lost by clearing them: the next training decodes the images, or computes the features, again."
)
def command() -> None:
    """Show or remove the decoded images, and features of frozen layers, that training keeps."""


@command.command("list")
def show() -> int:
    """Show what is kept of which data, and its size."""
    places = [place for place in _places() if place.is_dir()]
    for place in places:
        kept = _kept(place)
        rows = [
            [_data(each), f"{each.images:,}", mebibytes(each.bytes), f"  {each.folder.name}"] for each in kept
        ]
        say(f"{place}: {mebibytes(sum(each.bytes for each in kept))}")
        if rows:
            say(*table(["data", "images", "size", "  folder"], rows))
    if not places:
        say(f"{_places()[0]}: nothing is kept.")
    return 0


@command.command()
@click.argument("data", nargs=-1, type=click.Path())
def clear(data: Sequence[str]) -> int:
    """Remove what is kept of DATA (folders, or tables in them), or all of it.

    The images themselves are not touched. What a training that runs now reads stays until it ends.
    """
    from mirada.data.cache_files import clear_cache

    kept = [each for place in _places() for each in _kept(place)]
    chosen = [each for each in kept if not data or each.root in {_root(name) for name in data}]
    for name in data:
        if not any(each.root == _root(name) for each in kept):
            raise click.UsageError(f"{name}: nothing is kept of it. mirada cache list shows what there is.")
    busy = [each for each in chosen if not clear_cache(each.folder)]
    for each in busy:
        say(f"{each.folder}: another process is adding to it now; it stays.", err=True)
    removed = [each for each in chosen if each not in busy]
    say(f"removed: {mebibytes(sum(each.bytes for each in removed))} in {len(removed):,} folders")
    return 1 if busy else 0


def _places() -> list[Path]:
    """Where caches may be, the usual place first."""
    from mirada.data.cache_files import default_directory, spare_directory

    return list(dict.fromkeys((default_directory(), spare_directory())))


def _kept(place: Path) -> list[KeptCache]:
    from mirada.data.cache_files import kept_caches

    return kept_caches(place)


def _root(name: str) -> str:
    """The folder that a cache of this data goes by."""
    path = Path(os.path.realpath(name))
    return str(path.parent if path.is_file() else path)


def _data(kept: KeptCache) -> str:
    if not kept.root:
        return "? (damaged, or another version's)"
    return kept.root if Path(kept.root).exists() else f"{kept.root} (not there any more)"
