"""Fetches public weights: the only module of Mirada that opens a connection, and ``mirada weights get`` its only user.

Proxies are those of the environment. A download goes on where an earlier one ended, if the server serves ranges and a
digest is known by which the whole can be judged; what came is used only if its size and digest are those published.
"""

import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from mirada.errors import CheckpointError, reason_of
from mirada.events import OnProgress, Progress
from mirada.store import StoreError
from mirada.store.adding import UnknownWeights, as_stated, identified, require_network, take_in
from mirada.store.catalogue import PublicFile, PublicWeights, recognised
from mirada.store.store import DIGITS, StoredWeights, WeightStore, digest_of, explained
from mirada.text import mebibytes

STALL = 30.0  # seconds without a byte after which a connection is given up
TRIES = 3  # connections in a row that bring nothing
CHUNK = 2**18
PART = 206  # the status of an answer that is a range
BEYOND = 416  # … of one to a range that begins behind the end
WEB = ("http", "https")
DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class WeightSource:
    """Where a file is fetched from: an address, or a file in a folder that is a mirror."""

    file: PublicFile
    address: str
    path: Path | None = None


class _BrokenOffError(Exception):
    """A connection ended, or went silent, before all was there."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows addresses of the web alone, and none from a protected connection to an open one.

    ``stated`` is the SHA-256 that Hugging Face's hub says a file has, when it says where the file is.
    """

    def __init__(self) -> None:
        self.stated = ""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        scheme = urlsplit(newurl).scheme
        if scheme not in WEB or (req.type == "https" and scheme != "https"):
            raise StoreError(
                f"{req.full_url}: leads to {newurl}, which is not a protected address. Use a mirror."
            )
        stated = str(headers.get("X-Linked-Etag", "")).strip('"')
        self.stated = stated if DIGEST.fullmatch(stated) else self.stated
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def source_of(public: PublicWeights, mirror: str = "") -> WeightSource:
    """Where the weights are fetched from.

    Args:
        public: Which.
        mirror: A base address before the file's name, or a folder that has the file; empty for its own address.

    Raises:
        StoreError: Nobody knows an address of it, or the folder does not have it.
    """
    if mirror and urlsplit(mirror).scheme not in WEB:
        for file in public.files:
            if (path := Path(mirror) / file.name).is_file():
                return WeightSource(file, str(path), path)
        kept = Path(mirror) / f"{public.name}.safetensors"
        if kept.is_file():
            return WeightSource(PublicFile(name=kept.name), str(kept), kept)
        names = " or ".join(dict.fromkeys([*(file.name for file in public.files), kept.name]))
        raise StoreError(f"{mirror}: has no {names}. Name another folder, or a base address, as the mirror.")
    for file in public.files:
        if mirror:
            return WeightSource(file, f"{mirror.rstrip('/')}/{file.name}")
        if file.address:
            return WeightSource(file, file.address)
    raise StoreError(
        f"No address of {public.name} is known. Bring in a copy: mirada weights add FILE --as {public.name}."
    )


def fetch(
    store: WeightStore,
    public: PublicWeights,
    source: WeightSource,
    *,
    on_event: OnProgress,
    stall: float = STALL,
) -> tuple[StoredWeights, bool]:
    """Brings a set of weights into the store; of several processes at once one fetches, and the others wait.

    Args:
        store: Where to.
        public: Which.
        source: As ``source_of`` says.
        on_event: Called with each ``Progress``, in MiB.
        stall: Seconds without a byte after which a connection is given up.

    Returns:
        What is known of the set, and whether it is new here.

    Raises:
        StoreError: There is no connection, what came is not the file, or the store takes none.
        CheckpointError: The file holds anything but tensors.
    """
    wait = _waiting(public, on_event)
    if source.path:
        return _from_folder(store, public, source.path, wait)
    with store.alone(public.name, wait):
        there = store.record(public.name)
        if there and not store.fault(public.name):
            return there, False
        part = store.folder / f".{public.name}.part"
        digest = _Download(store, public, source, part, on_event, stall).complete()
        try:
            if not source.file.sha256:
                require_network(part, public)
            record = store.bring(public, part, digest, original=source.file.name, origin=source.address)
        except CheckpointError as error:
            reason = str(error).removeprefix(f"{part}: ")
            raise StoreError(f"{source.address}: what came cannot be used: {reason}") from error
        finally:
            part.unlink(missing_ok=True)
        return record, True


def _from_folder(
    store: WeightStore, public: PublicWeights, file: Path, wait: Callable[[], None]
) -> tuple[StoredWeights, bool]:
    digest = digest_of(file)
    try:
        found = identified(file, digest)
    except UnknownWeights:
        if any(each.sha256 for each in public.files):
            raise
        found = as_stated(file, digest, public)
    if found != public:
        raise StoreError(f"{file}: is the file of {found.name}, not of {public.name}. Use another copy.")
    return take_in(store, public, file, digest, wait)


def _waiting(public: PublicWeights, on_event: OnProgress) -> Callable[[], None]:
    def wait() -> None:
        on_event(Progress(f"waiting for another process, which fetches {public.name}", 0, 1))

    return wait


class _Download:
    """One file on its way: what is there of it is in ``part``, which stays if the connection ends."""

    def __init__(
        self,
        store: WeightStore,
        public: PublicWeights,
        source: WeightSource,
        part: Path,
        on_event: OnProgress,
        stall: float,
    ) -> None:
        self.store = store
        self.name = public.name
        self.file = source.file
        self.address = source.address
        self.host = urlsplit(source.address).netloc
        self.part = part
        self.on_event = on_event
        self.stall = stall
        self.redirects = _Redirects()
        self.opener = urllib.request.build_opener(self.redirects)

    @property
    def wanted(self) -> str:
        """What the digest begins with, as its publisher or else the hub says; empty where nobody does."""
        return self.file.sha256 or self.redirects.stated

    def complete(self) -> str:
        """Fetches what is missing, and returns the digest of the whole. Raises ``StoreError``."""
        begun = self._size() > 0
        digest = self._whole()
        if begun and not self._is_right(digest):  # its beginning may have been another file's
            self.part.unlink()
            digest = self._whole()
        if self._is_right(digest):
            return digest
        size = self._size()
        self.part.unlink()
        known = recognised(digest)
        what = f"is {known[0].name}" if known else f"({size:,} bytes) has the digest {digest[:DIGITS]}…"
        raise StoreError(
            f"{self.address}: what came {what}, and {self.name} begins with {self.wanted[:DIGITS]}. Nothing was "
            f"kept; use a mirror, or mirada weights add FILE."
        )

    def _is_right(self, digest: str) -> bool:
        return digest.startswith(self.wanted)

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _whole(self) -> str:
        """Connects until all bytes are there, as long as each connection brings some."""
        if not self.file.sha256:  # nothing would tell whether the beginning is this file's
            self.part.unlink(missing_ok=True)
        idle = 0
        while True:
            before = self._size()
            try:
                self._receive(before)
                return digest_of(self.part)
            except _BrokenOffError as error:
                idle = 0 if self._size() > before else idle + 1
                if idle >= TRIES or (not self.wanted and self._size()):
                    raise StoreError(self._given_up(str(error))) from error

    def _given_up(self, reason: str) -> str:
        if not self._size():
            return (
                f"No connection to {self.host} ({reason}). Name a mirror, --mirror ADDRESS or FOLDER, or bring in a "
                f"copy that was fetched elsewhere: mirada weights add FILE."
            )
        again = "The same command goes on from there" if self.file.sha256 else "Try again"
        return (
            f"The connection to {self.host} ended after {self._size():,} bytes ({reason}). {again}; mirada weights add "
            f"FILE brings in a copy that was fetched elsewhere."
        )

    def _receive(self, have: int) -> None:
        """One connection: appends to what is there, or begins anew where the server does not serve ranges."""
        request = urllib.request.Request(self.address, headers={"User-Agent": "mirada"})  # noqa: S310
        if have:
            request.add_header("Range", f"bytes={have}-")
        try:
            answer = self.opener.open(request, timeout=self.stall)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == BEYOND and have:  # all of it is there, or it is not what it was
                if self.file.bytes in (0, have):
                    return
                self.part.unlink()
                raise _BrokenOffError("what was there is longer than the file") from error
            raise StoreError(
                f"{self.address}: the server answers {error.code} ({error.reason}). Name a mirror, --mirror ADDRESS "
                f"or FOLDER, or bring in a copy: mirada weights add FILE."
            ) from error
        except (OSError, HTTPException, ValueError) as error:
            raise _BrokenOffError(_why(error)) from error
        with answer:
            self._write(answer, have if answer.status == PART and _begins_at(answer, have) else 0)

    def _write(self, answer: Any, have: int) -> None:
        length = answer.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() else 0
        if total and self.file.bytes and total != self.file.bytes:
            raise StoreError(
                f"{self.address}: the server has {total:,} bytes under this name, and {self.file.name} has "
                f"{self.file.bytes:,}. Nothing was kept; use a mirror, or mirada weights add FILE."
            )
        expected = total or self.file.bytes
        self.store.require_space(2 * max(expected - have, 0))  # once as it came, once as it is kept
        folder, mode = self.store.folder, "ab" if have else "wb"
        with explained(folder), self._unless_full(), self.part.open(mode) as stream:
            self._copy(answer, stream, have, expected)
        if expected and self._size() < expected:
            raise _BrokenOffError(f"cut off before {expected:,}")

    @contextmanager
    def _unless_full(self) -> Iterator[None]:
        """What cannot be written whole does not stay to fill the disk."""
        try:
            yield
        except OSError:
            self.part.unlink(missing_ok=True)
            raise

    def _copy(self, answer: Any, stream: IO[bytes], done: int, expected: int) -> None:
        what = f"fetching {self.name}, MiB"
        while True:
            try:
                chunk = answer.read1(CHUNK)
            except (OSError, HTTPException) as error:
                raise _BrokenOffError(_why(error)) from error
            if not chunk:
                return
            stream.write(chunk)
            stream.flush()  # what is killed goes on from here
            done += len(chunk)
            self.on_event(Progress(what, done >> 20, max(done, expected, 1) >> 20))


def _begins_at(answer: Any, have: int) -> bool:
    """Whether a range is the one that was asked for."""
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {have}-")


def _why(error: Exception) -> str:
    """What ended a connection, in a few words."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, OSError) and reason.strerror:
        return reason_of(reason)
    return str(reason) or type(error).__name__


def announced(public: PublicWeights, source: WeightSource) -> list[str]:
    """What is going to be fetched, line by line: what, from where, how large, under which licence."""
    exact = f"{source.file.bytes:,} bytes" if source.file.bytes else ""
    about = f"about {mebibytes(source.file.about)}" if source.file.about else "of unknown size"
    digest = source.file.sha256
    judged = {0: "none is published", 64: digest}.get(len(digest), f"{digest}…, all that is published of it")
    return [
        f"{public.name}: weights of {public.network}, trained on {public.data}",
        f"  from {source.address}",
        f"  size {exact or about}",
        f"  licence {public.licence} ({public.licence_source})",
        f"  SHA-256 {judged}",
    ]
