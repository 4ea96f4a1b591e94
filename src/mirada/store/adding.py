"""Weights from a file or a folder: a stick, another program's cache, a colleague's store; known by their digests."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from mirada.errors import CheckpointError, InvalidArgument, reason_of
from mirada.store import StoreError
from mirada.store.catalogue import (
    SUFFIXES,
    PublicWeights,
    files_named,
    named_weights,
    public_weights,
    recognised,
)
from mirada.store.store import (
    DIGITS,
    RECORD,
    DamagedWeights,
    StoredWeights,
    WeightStore,
    digest_of,
    read_record,
)

HUB = "models--timm--"  # how the hub's cache calls the folder of a set of timm's


@dataclass(frozen=True)
class Added:
    """What became of a file: the set that it is, and whether it came in or was there before; or why it did not."""

    file: Path
    name: str = ""
    new: bool = False
    reason: str = ""


def add_file(
    store: WeightStore, file: Path, on_wait: Callable[[], None], *, stated: str = ""
) -> tuple[StoredWeights, bool]:
    """Brings a file in that is known by its digest.

    Args:
        store: Where to.
        file: The file.
        on_wait: Called while another process brings in the same.
        stated: The set that it is said to be, where nobody has published a digest.

    Returns:
        What is known of it, and whether it is new here.

    Raises:
        StoreError: It is no known file, or the store takes none.
        CheckpointError: It holds anything but tensors, or another network's.
        InvalidArgument: ``stated`` is no set.
    """
    digest = digest_of(file)
    public = as_stated(store, file, digest, named_weights(stated)) if stated else identified(file, digest)
    return take_in(store, public, file, digest, on_wait)


def take_in(
    store: WeightStore, public: PublicWeights, file: Path, digest: str, on_wait: Callable[[], None]
) -> tuple[StoredWeights, bool]:
    """Brings in a file whose weights and digest are known, unless they are there; else as ``add_file``."""
    if there := _there(store, public, digest):  # also in a folder that takes no files
        return there, False
    with store.alone(public.name, on_wait):
        if there := _there(store, public, digest):
            return there, False
        origin = str(file.resolve())
        return store.bring(public, file, digest, original=file.name, origin=origin), True


def _there(store: WeightStore, public: PublicWeights, digest: str) -> StoredWeights | None:
    there = store.record(public.name)
    if there and digest in (there.sha256, there.original_sha256):
        return store.whole(public.name)
    return None


def add_folder(store: WeightStore, folder: Path, on_wait: Callable[[], None]) -> Iterator[Added]:
    """Brings in all known files of a folder, one after the other, and says of every file what became of it.

    Those are looked at that are called like weights, and those that begin like weights, whatever they are called.
    """
    unread: list[OSError] = []
    for file in _weights_below(folder, unread.append):
        try:
            record, new = add_file(store, file, on_wait)
            yield Added(file, record.name, new)
        except (CheckpointError, UnknownWeights, DamagedWeights) as error:
            yield Added(file, reason=str(error))
    for fault in unread:
        yield Added(Path(fault.filename), reason=f"{fault.filename}: cannot be read ({reason_of(fault)}).")


def _weights_below(folder: Path, on_error: Callable[[OSError], None]) -> list[Path]:
    """The files of weights in a folder and below, also behind links; each once, by its better name."""
    from mirada.models.weight_files import begins_like_weights

    found, seen = dict[Path, Path](), set[str]()
    for place, below, names in os.walk(folder, onerror=on_error, followlinks=True):
        if (real := os.path.realpath(place)) in seen:
            below.clear()  # a link that leads back
            continue
        seen.add(real)
        for file in (Path(place) / name for name in names):
            called = file.suffix.lower() in SUFFIXES
            if file.is_file() and (called or begins_like_weights(file)):
                whole = file.resolve()
                found[whole] = file if called else found.get(whole, file)
    return sorted(found.values())


class UnknownWeights(StoreError):
    """A file is none of those that Mirada knows, or not as it was published."""


def identified(file: Path, digest: str) -> PublicWeights:
    """Whose weights a file holds, by its digest.

    Raises:
        UnknownWeights: It is no known file, or its name promises another one.
    """
    if public := known_file(file, digest):
        return public
    raise UnknownWeights(
        f"{file}: no public weights that Mirada knows have its digest ({digest[:DIGITS]}…). It can be used where it "
        f"is: mirada train DATA --weights {quote(str(file))}."
    )


def known_file(file: Path, digest: str) -> PublicWeights | None:
    """Whose weights a file holds, by its digest; None if nobody knows it.

    The digest is that of a catalogue, of the record beside the file in another store, or the name that the hub's cache
    gives to a file of timm's, for which no digest is published.

    Raises:
        UnknownWeights: The file has the name of a known one, and is not that.
    """
    if found := recognised(digest):
        return found[0]
    names = {each.name: each for each in public_weights()}
    try:
        record = read_record(file.with_suffix(RECORD))
    except StoreError:
        record = None
    if record and record.sha256 == digest and (stored := names.get(record.name)):
        whose = recognised(record.original_sha256)
        if (
            stored.unjudged if whose is None else whose[0] == stored
        ):  # else nobody has published what it came from
            return stored
    public = names.get(_in_the_hubs_cache(file, digest))
    if public and public.unjudged:
        return public
    known = next(iter(files_named(file.name)), None)
    if known and known.sha256:
        size = file.stat().st_size
        short = (
            f"truncated: {size:,} of {known.bytes:,} bytes"
            if size < known.bytes
            else "altered, or another file"
        )
        raise UnknownWeights(
            f"{file}: {short}; its digest is {digest[:DIGITS]}…, and that of {known.name} begins with "
            f"{known.sha256[:DIGITS]}. Use another copy."
        )
    return None


def _in_the_hubs_cache(file: Path, digest: str) -> str:
    """The name of the set that the hub's cache says a file is, whose content it calls by its digest."""
    inside = next((part for part in file.absolute().parts if part.startswith(HUB)), "")
    return inside.removeprefix(HUB) if file.resolve().name == digest else ""


def known_as(store: WeightStore, digest: str, public: PublicWeights) -> str:
    """The set whose file has this digest, as the catalogue says or else the records of a store; empty if none has.

    Args:
        store: Its records count where no digest of ``public`` is published.
        digest: A whole SHA-256.
        public: The set that it is to be.
    """
    if found := recognised(digest):
        return found[0].name
    return store.other_with(digest, public.name) if public.unjudged else ""


def as_stated(store: WeightStore, file: Path, digest: str, public: PublicWeights) -> PublicWeights:
    """The set that a file is said to be; it must be one without a published digest, and the tensors its network's.

    Raises:
        InvalidArgument: A digest is published, and it is another; or the file is another known one.
        CheckpointError: The tensors are another network's.
    """
    known = known_file(file, digest)
    whose = known.name if known else known_as(store, digest, public)
    if whose == public.name:
        return public
    if whose:
        raise StoreError(
            f"{file}: is the file of {whose}, not of {public.name}. Leave --as out, or use another copy."
        )
    if not public.unjudged:
        raise InvalidArgument(
            f"{file}: is not {public.name}, whose digest is published; that of this file begins with "
            f"{digest[:DIGITS]}. Leave --as out, or use another copy."
        )
    require_network(file, public)
    return public


def require_network(file: Path, public: PublicWeights) -> None:
    """Raises ``CheckpointError`` unless a file holds the tensors of a set's network, its head aside."""
    from mirada.models import create_model, load_weights

    load_weights(create_model(public.network, **public.options), public.network, file, replace_head=True)
