"""``mirada weights``: what public weights there are, and which of them are here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirada.cli.console import ProgressBar, say, say_json
from mirada.errors import CheckpointError, InvalidArgument, counted
from mirada.store import StoreError
from mirada.text import mebibytes, table

if TYPE_CHECKING:
    from mirada.store.catalogue import PublicWeights
    from mirada.store.store import WeightStore


@click.group(
    epilog="They are in the folder that the environment variable MIRADA_WEIGHTS names, which may be shared and "
    "read-only, or else in mirada/weights in the user's cache folder. mirada train DATA --weights NAME starts from "
    "them. Only get opens a connection."
)
def command() -> None:
    """List, fetch, bring in or verify public weights."""


@command.command("list")
@click.argument("network", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(network: str | None, as_json: bool) -> int:
    """List the weights there are, and which of them are here.

    NETWORK is one of `mirada models`, a part of a name or a shell pattern such as 'vgg*'. The first set of a network
    is the one that its bare name means.
    """
    from mirada.codec import to_json
    from mirada.models import facts, list_models
    from mirada.store.catalogue import named_weights, public_weights
    from mirada.store.store import WeightStore

    models = {facts(name).uncut for name in list_models(network)} if network else set()
    chosen = [each for each in public_weights() if not network or each.network in models]
    if not chosen:
        chosen = [named_weights(network or "")]  # a name of a set; of another, the sentence that says so
    store = WeightStore()
    if as_json:
        say_json([{**to_json(each), "here": store.has(each)} for each in chosen])
        return 0
    rows = [_row(each, here=store.has(each)) for each in chosen]
    say(*table(["name", "trained on", "licence", "here", "top-1", "pixels", "size"], rows, left=4))
    return 0


def _row(public: PublicWeights, *, here: bool) -> list[str]:
    return [
        public.name,
        public.data.partition(",")[0],
        public.licence,
        "yes" if here else "",
        f"{public.top1:.1f} %" if public.top1 else "–",
        str(public.input),
        mebibytes(public.size) if public.size else "?",
    ]


@command.command()
@click.argument("name")
@click.option(
    "--mirror",
    envvar="MIRADA_WEIGHTS_MIRROR",
    default="",
    metavar="ADDRESS|FOLDER",
    help="Where the file is instead: a base address, or a folder. [env: MIRADA_WEIGHTS_MIRROR]",
)
@click.option("--json", "as_json", is_flag=True, help="Print what is known of it as JSON.")
def get(name: str, mirror: str, as_json: bool) -> int:
    """Fetch weights: the only command of Mirada that opens a connection.

    NAME is a set of `mirada weights list`, one of its files, or a network, which means its first set. What is
    fetched, from where, how large it is and its licence are said first. Proxies are those of the environment. A
    download that was interrupted goes on where it ended.
    """
    from mirada.codec import to_json
    from mirada.store.adding import take_in
    from mirada.store.catalogue import named_weights
    from mirada.store.fetch import announced, fetch, source_of
    from mirada.store.store import WeightStore

    public, store = named_weights(name), WeightStore()
    record, new = store.whole(public.name), False
    lying = None if record else _as_published(store, public)
    if lying:
        record, new = take_in(store, public, *lying, _say_waiting)
    if record is None:
        source = source_of(public, mirror)
        say(*announced(public, source), err=as_json)
        with ProgressBar() as progress:
            record, new = fetch(store, public, source, on_event=progress.on_event)
    if as_json:
        say_json(to_json(record))
    else:
        say(store.path(public.name) if new else f"{store.path(public.name)} (was there)")
    return 0


def _as_published(store: WeightStore, public: PublicWeights) -> tuple[Path, str] | None:
    """The file that somebody has put into the store under its own name, and its digest; a damaged one is named."""
    try:
        return store.published(public)
    except StoreError as fault:
        say(f"{fault} It is fetched.", err=True)
        return None


@command.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--as", "stated", default="", metavar="NAME", help="What a file is that has no published digest."
)
def add(path: Path, stated: str) -> int:
    """Bring weights in from a FILE, or from all files of a FOLDER.

    PATH may be on a stick, in the cache of torch.hub or of Hugging Face, or a colleague's store. Files are known by
    their digest, whatever they are called. Exits with 1 if none of a folder is known.
    """
    from mirada.store.adding import add_file, add_folder
    from mirada.store.store import WeightStore

    store = WeightStore()
    if not path.is_dir():
        try:
            record, new = add_file(store, path, _say_waiting, stated=stated)
        except CheckpointError as error:  # the wrong file was named
            raise StoreError(str(error)) from error
        say(_added(record.name, path, new=new))
        return 0
    if stated:
        raise click.UsageError("--as is for one file. Name it.")
    known, others = 0, 0
    for each in add_folder(store, path, _say_waiting):
        known, others = known + bool(each.name), others + (not each.name)
        say(_added(each.name, each.file, new=each.new) if each.name else f"left out: {each.reason}")
    say(f"{counted(known, 'set')} of weights, {counted(others, 'file')} left out", err=not known)
    return 0 if known else 1


def _added(name: str, file: Path, *, new: bool) -> str:
    return f"{name}: {file.name}" + ("" if new else " (was there)")


def _say_waiting() -> None:
    """Waiting for another process takes as long as its copy; nothing is to be said every tenth of a second."""


@command.command()
@click.argument("names", nargs=-1, metavar="[NAME]…")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(names: tuple[str, ...], as_json: bool) -> int:
    """Read weights that are here, all of them unless some are named, and compare their digests.

    Exits with 1 if any is not as it was when it came in.
    """
    from mirada.store.store import WeightStore

    store = WeightStore()
    faults = {
        name: store.fault(name) for name in _here(names, {*store.names(), *store.as_published().values()})
    }
    strangers = [] if names else store.strangers()
    if as_json:
        say_json({"folder": str(store.folder), "faults": faults, "others": strangers})
    else:
        lines = [fault or f"{name}: as it was" for name, fault in faults.items()]
        lines += [
            f"{store.folder / each}: nobody brought it in; mirada weights add does" for each in strangers
        ]
        say(*lines or [f"{store.folder}: no weights are here."])
    return 1 if any(faults.values()) else 0


@command.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
def remove(names: tuple[str, ...]) -> int:
    """Take weights away."""
    from mirada.store.store import WeightStore

    store = WeightStore()
    for name in _here(names, set(store.names())):
        with store.alone(name, _say_waiting):
            store.remove(name)
        say(f"removed: {name}")
    return 0


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def where(as_json: bool) -> int:
    """Say in which folder weights are kept, and how many are there."""
    from mirada.store.store import VARIABLE, WeightStore

    store = WeightStore()
    here = store.names()
    size = sum(store.path(name).stat().st_size for name in here if store.path(name).is_file())
    facts: dict[str, Any] = {"folder": str(store.folder), "sets": len(here), "bytes": size}
    if as_json:
        say_json(facts)
    else:
        how = "as {} says" if os.environ.get(VARIABLE) else "unless {} names another folder"
        say(store.folder, f"{counted(len(here), 'set')}, {mebibytes(size)}; {how.format(VARIABLE)}")
    return 0


def _here(names: tuple[str, ...], here: set[str]) -> list[str]:
    """The sets that are meant, of those that are here, damaged ones too; all of them if none is named.

    Raises ``StoreError`` for one that is not here; a path is none, which might lead out of the store.
    """
    from mirada.store.catalogue import named_weights
    from mirada.store.store import WeightStore

    store = WeightStore()
    chosen = []
    for name in names:
        try:
            known = name if name in here else named_weights(name).name
        except InvalidArgument:
            known = name
        if known not in here and (Path(known).name != known or not store.has_part(known)):
            raise StoreError(f"{name} is not in {store.folder}. mirada weights list shows what is.")
        chosen.append(known)
    return chosen or sorted(here)
