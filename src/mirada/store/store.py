"""The folder of public weights: a safetensors file for each set, and beside it a record of what came in, and whence.

A set is whole if its file has the size and the SHA-256 of its record. The record is written last, so a file without one
is not there. The folder may be other people's and read-only; only who brings something in, or takes it away, writes.
"""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from stat import S_IMODE

from mirada.codec import BadRecord, from_json, to_json
from mirada.errors import reason_of
from mirada.files import locked, replacing, sha256_of, write_json
from mirada.store import StoreError
from mirada.store.catalogue import PublicWeights, named_weights, public_weights
from mirada.text import mebibytes

VARIABLE = "MIRADA_WEIGHTS"
SUFFIX, RECORD = ".safetensors", ".json"
DIGITS = 12  # of a digest in a message
SPACE = (errno.ENOSPC, errno.EDQUOT)


class DamagedWeights(StoreError):
    """A file, or the record of one, that cannot be read."""


@dataclass(frozen=True, kw_only=True)
class StoredWeights:
    """What is known of a set that came in.

    ``sha256`` and ``bytes`` are those of the file as it is kept, ``original_sha256`` is that of the file ``original``
    as it came from ``origin``, an address or a path.
    """

    name: str
    sha256: str
    bytes: int
    original: str
    original_sha256: str
    origin: str
    added: str
    mirada: str


def store_folder() -> Path:
    """``$MIRADA_WEIGHTS``, else ``weights`` in the folder where decoded images are kept by default.

    Raises:
        StoreError: The user has no home folder, and no folder is named.
    """
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen)
    if above := os.environ.get("XDG_CACHE_HOME"):
        return Path(above) / "mirada" / "weights"
    try:
        return Path.home() / ".cache" / "mirada" / "weights"
    except RuntimeError as error:
        raise StoreError(
            f"There is no home folder to keep weights in. Name a folder in {VARIABLE}."
        ) from error


def digest_of(file: Path) -> str:
    """The SHA-256 of a file. Raises ``DamagedWeights`` if it cannot be read, or only once, as a pipe."""
    if file.exists() and not (file.is_file() or file.is_dir()):
        raise DamagedWeights(f"{file}: a pipe or a device, and it is read more than once. Save it as a file.")
    try:
        return sha256_of(file)
    except OSError as error:
        raise DamagedWeights(f"{file}: cannot be read ({reason_of(error)}).") from error


def read_record(file: Path) -> StoredWeights | None:
    """The record in a file, None if there is no such file. Raises ``DamagedWeights`` if it is none."""
    try:
        return from_json(StoredWeights, json.loads(file.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DamagedWeights(f"{file}: cannot be read ({reason_of(error)}).") from error
    except (BadRecord, ValueError, RecursionError) as error:
        raise DamagedWeights(
            f"{file}: cannot be used (it is no record of weights). Take the weights away, mirada weights remove "
            f"{file.stem}, and bring them in again."
        ) from error


class WeightStore:
    """A folder of public weights.

    Args:
        folder: Where; it need not be there yet.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or store_folder()

    def path(self, name: str) -> Path:
        """Where the file of a set is, or would be."""
        return self.folder / f"{name}{SUFFIX}"

    def part(self, name: str) -> Path:
        """What an interrupted download has left of a set, if it has."""
        return self.folder / f".{name}.part"

    def record(self, name: str) -> StoredWeights | None:
        """What is known of a set; None if it is not here. Raises ``DamagedWeights`` for a record that is damaged."""
        return read_record(self.folder / f"{name}{RECORD}")

    def whole(self, name: str) -> StoredWeights | None:
        """What is known of a set every byte of which is as it was when it came in; else None.

        Raises ``DamagedWeights`` as ``record`` does.
        """
        there = self.record(name)
        return there if there and not self.fault(name) else None

    def names(self) -> list[str]:
        """The sets that have a record, damaged ones too, sorted; somebody's JSON beside them is none."""
        known = {public.name for public in public_weights()}
        stems = (file.stem for file in self.folder.glob(f"*{RECORD}") if not file.name.startswith("."))
        return sorted(stem for stem in stems if stem in known or self.path(stem).is_file())

    def as_published(self) -> dict[str, str]:
        """The files without a record that have the name of a published one: the set of each by the name of the file."""
        return {
            file.name: public.name
            for public in public_weights()
            if not (self.folder / f"{public.name}{RECORD}").is_file()
            for file in public.files
            if file.sha256 and (self.folder / file.name).is_file()
        }

    def has(self, public: PublicWeights) -> bool:
        """Whether a set is here, as it was brought in or as it was published; nothing is verified."""
        published = any(file.sha256 and (self.folder / file.name).is_file() for file in public.files)
        return published or (self.folder / f"{public.name}{RECORD}").is_file()

    def has_part(self, name: str) -> bool:
        """Whether there is a part of a set: a file without a record, or what an interrupted download has left."""
        return self.path(name).exists() or self.part(name).exists()

    def strangers(self) -> list[str]:
        """What else lies in the folder, sorted: files that no record speaks of."""
        known = {f"{name}{suffix}" for name in self.names() for suffix in (SUFFIX, RECORD)}
        known |= self.as_published().keys()
        there = self.folder.iterdir() if self.folder.is_dir() else ()
        return sorted(each.name for each in there if each.name not in known and not each.name.startswith("."))

    def verified(self, public: PublicWeights) -> tuple[Path, str]:
        """The file of a set, every byte of which is as it was when it came in, and its digest.

        A file as it was published, which somebody has put into the folder under its own name, serves as well.

        Raises:
            StoreError: The set is not here, or is not what it was.
        """
        record = self.record(public.name)
        if record is None:
            return self.published(public) or self._missing(public)
        if fault := self.fault(public.name):
            raise StoreError(
                f"{fault} Bring the weights in again: mirada weights get {public.name}, or add FILE."
            )
        return self.path(public.name), record.sha256

    def published(self, public: PublicWeights) -> tuple[Path, str] | None:
        """A file as it was published, which lies in the folder without a record, and its digest; None if there is none.

        Raises ``StoreError`` for one that has the name and is not what was published.
        """
        for known in public.files:
            file = self.folder / known.name
            if known.sha256 and file.is_file():
                if not known.has(digest := digest_of(file)):
                    raise StoreError(
                        f"{file}: its digest is {digest[:DIGITS]}…, and that of {public.name} begins with "
                        f"{known.sha256[:DIGITS]}. Use another copy."
                    )
                return file, digest
        return None

    def _missing(self, public: PublicWeights) -> tuple[Path, str]:
        size = f" ({mebibytes(public.size)})" if public.size else ""
        raise StoreError(
            f"{public.name} is not in {self.folder}: mirada weights get {public.name} fetches it{size}, and mirada "
            f"weights add FILE brings in a copy."
        )

    def fault(self, name: str) -> str:
        """What is wrong with a set, in a sentence; empty if every byte is as it was when it came in."""
        file = self.path(name)
        try:
            record = self.record(name)
            if record is None and name in self.as_published().values():
                self.verified(named_weights(name))
                return ""
            if record is None or not file.is_file():
                return f"{file}: is missing, or was never completed."
            if record.name != name:
                return f"{file}: renamed; its record says {record.name}."
            size = file.stat().st_size
            if size < record.bytes:
                return f"{file}: truncated; it has {size:,} of {record.bytes:,} bytes."
            digest = digest_of(file)
        except StoreError as error:
            return str(error)
        if digest == record.sha256:
            return ""
        if whose := self.other_with(digest, name):
            return f"{file}: is the file of {whose}, under another name."
        return (
            f"{file}: altered since it came in; its digest is {digest[:DIGITS]}…, and {record.sha256[:DIGITS]}… was "
            f"recorded."
        )

    def other_with(self, digest: str, name: str) -> str:
        """Another set than this one whose file here, or the one that it came from, has a digest; empty if none has."""
        for other in self.names():
            try:
                record = self.record(other)
            except StoreError:
                continue
            if other != name and record and digest in (record.sha256, record.original_sha256):
                return other
        return ""

    @contextmanager
    def alone(self, name: str, on_wait: Callable[[], None]) -> Iterator[None]:
        """Keeps other processes from bringing in, or taking away, the same set; the folder is made if need be.

        Raises:
            StoreError: The folder takes no files.
        """
        with ExitStack() as stack:
            with explained(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(self.folder / f".{name}.lock", on_wait))
            yield

    def bring(
        self, public: PublicWeights, file: Path, digest: str, *, original: str, origin: str
    ) -> StoredWeights:
        """Takes a copy of a file in, as safetensors whatever it was; only for who is ``alone``.

        Args:
            public: Whose weights they are.
            file: The file. None of its code is run.
            digest: Its SHA-256.
            original: What it was called where it came from.
            origin: The address, or the path, that it came from.

        Raises:
            StoreError: The folder takes no files, the disk is full, or the file is not what it was.
            CheckpointError: The file holds anything but tensors.
        """
        with explained(self.folder):
            self.require_space(file.stat().st_size)
            with replacing(self.path(public.name)) as draft:
                copied = _rewrite(file, draft, public)
                stored, size = digest_of(draft), draft.stat().st_size
                if digest != (stored if copied else digest_of(file)):
                    raise StoreError(f"{file}: was altered while it was read. Start again.")
            record = StoredWeights(
                name=public.name,
                sha256=stored,
                bytes=size,
                original=original,
                original_sha256=digest,
                origin=origin,
                added=datetime.now(UTC).isoformat(timespec="seconds"),
                mirada=version("mirada"),
            )
            write_json(self.folder / f"{public.name}{RECORD}", to_json(record))
            self.part(public.name).unlink(missing_ok=True)  # nobody sees it, and nothing goes on from there
        return record

    def require_space(self, needed: int) -> None:
        """Raises ``StoreError`` unless so many bytes are free."""
        with explained(self.folder):
            free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise StoreError(
                f"{self.folder}: {mebibytes(needed)} are needed, and {mebibytes(free)} are free. Free some space, or "
                f"name another folder in {VARIABLE}."
            )

    def remove(self, name: str) -> None:
        """Takes a set away, and what an interrupted download has left of it. Raises ``StoreError``."""
        with explained(self.folder):
            for file in (self.folder / f"{name}{RECORD}", self.path(name), self.part(name)):
                file.unlink(missing_ok=True)


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turns what the system refuses into a sentence with the way out."""
    try:
        yield
    except OSError as error:
        where, what = error.filename or folder, reason_of(error)
        remedy = "Free some space, or name" if error.errno in SPACE else "Name"
        raise StoreError(f"{where}: {what}. {remedy} another folder in {VARIABLE}.") from error


def _rewrite(file: Path, draft: Path, public: PublicWeights) -> bool:
    """Copies a safetensors file byte for byte, then true; of any other, the tensors, with what is known of them."""
    with file.open("rb") as stream:
        if stream.read(9)[8:] == b"{":
            shutil.copyfile(file, draft)
            return True
    from safetensors.torch import save_file

    from mirada.models.weight_files import apart, read_weights

    tensors = apart(read_weights(file).tensors)
    about = {"name": public.name, "network": public.network, "data": public.data, "licence": public.licence}
    draft.touch()
    mode = draft.stat().st_mode  # as the user wants files to be; the library makes them nobody else's to read
    save_file(tensors, draft, {**about, **public.scale.metadata()})
    draft.chmod(S_IMODE(mode))
    return False
