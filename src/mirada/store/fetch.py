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
from urllib.parse import quote, urlsplit

from mirada.errors import CheckpointError, reason_of
from mirada.events import OnProgress, Progress
from mirada.store import StoreError
from mirada.store.adding import UnknownWeights, as_stated, identified, known_as, require_network, take_in
from mirada.store.catalogue import PublicFile, PublicWeights
from mirada.store.store import DIGITS, StoredWeights, WeightStore, digest_of, explained
from mirada.text import mebibytes, visible

STALL = 30.0  # seconds without a byte after which a connection is given up
TRIES = 3  # connections in a row that bring nothing
CHUNK = 2**18
PART = 206  # the status of an answer that is a range
BEYOND = 416  # … of one to a range that begins behind the end
WEB = ("http", "https")
IN_ADDRESSES = "%/:=&?~#+!$,;'@()*[]"  # what stands for itself in an address
RANGE = re.compile(
    r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)"
)  # of a part: where it begins, and how long the file is
LENGTH = re.compile(r"\d{1,18}")
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
            if fp:
                fp.close()
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
        mirror: A base address before the file's name, or a folder that has the file, also as ``file://``; empty for
            its own address.

    Raises:
        StoreError: Nobody knows an address of it, the mirror is none, or the folder does not have it.
    """
    if mirror and (folder := _folder_of(mirror)):
        return _in_folder(public, folder)
    for file in public.files:
        if mirror:
            return WeightSource(file, f"{quote(mirror, safe=IN_ADDRESSES).rstrip('/')}/{file.name}")
        if file.address:
            return WeightSource(file, file.address)
    raise StoreError(
        f"No address of {public.name} is known. Bring in a copy: mirada weights add FILE --as {public.name}."
    )


def _folder_of(mirror: str) -> Path | None:
    """The folder that a mirror is; None for an address of the web."""
    try:
        parts = urlsplit(mirror)
    except ValueError as error:
        raise StoreError(
            f"{mirror}: no address ({error}). Name a base address, or a folder, as the mirror."
        ) from error
    if parts.scheme in WEB:
        return None
    return Path(urllib.request.url2pathname(parts.path)) if parts.scheme == "file" else Path(mirror)


def _in_folder(public: PublicWeights, folder: Path) -> WeightSource:
    for file in public.files:
        if (path := folder / file.name).is_file():
            return WeightSource(file, str(path), path)
    kept = folder / f"{public.name}.safetensors"
    if kept.is_file():
        return WeightSource(PublicFile(name=kept.name), str(kept), kept)
    names = " or ".join(dict.fromkeys([*(file.name for file in public.files), kept.name]))
    raise StoreError(
        f"{folder}: has no {names}. Name another folder, or a base address (http or https), as the mirror."
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
        if there := store.whole(public.name):
            return there, False
        part = store.part(public.name)
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
        if not public.unjudged:
            raise
        found = as_stated(store, file, digest, public)
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
        self.public = public
        self.name = public.name
        self.in_parts = True
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
        if begun and not digest.startswith(self.wanted):  # its beginning may have been another file's
            self.part.unlink()
            digest = self._whole()
        known = known_as(self.store, digest, self.public)
        if known == self.name or (not known and digest.startswith(self.wanted)):
            return digest
        size = self._size()
        self.part.unlink()
        what = f"is {known}" if known else f"({size:,} bytes) has the digest {digest[:DIGITS]}…"
        wanted = f"{self.name} begins with {self.wanted[:DIGITS]}" if self.wanted else f"not {self.name}"
        raise StoreError(
            f"{self.address}: what came {what}, and {wanted}. Nothing was kept; use a mirror, or mirada weights add "
            f"FILE."
        )

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _whole(self) -> str:
        """Connects until all bytes are there, as long as each connection brings some."""
        if not self.file.sha256:  # nothing would tell whether the beginning is this file's
            self.part.unlink(missing_ok=True)
        idle, most = 0, self._size()
        while True:
            try:
                self._receive(self._size() if self.in_parts else 0)
                return digest_of(self.part)
            except _BrokenOffError as error:
                idle = (
                    0 if self._size() > most else idle + 1
                )  # without ranges, what came again is nothing new
                most = max(most, self._size())
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
                f"{self.address}: the server answers {error.code} ({_in_one_line(error.reason)}). Name a mirror, "
                f"--mirror ADDRESS or FOLDER, or bring in a copy: mirada weights add FILE."
            ) from error
        except StoreError:  # of a redirect that is not followed
            raise
        except (OSError, HTTPException, ValueError) as error:
            raise _BrokenOffError(_why(error)) from error
        with answer:
            begin, total = _extent(answer)
            if begin not in (0, have):
                self.in_parts = False
                raise _BrokenOffError("the server answers with another part than was asked for")
            self._write(answer, begin, total)

    def _write(self, answer: Any, have: int, total: int) -> None:
        if total and self.file.bytes and total != self.file.bytes:
            raise StoreError(
                f"{self.address}: the server has {total:,} bytes under this name, and {self.file.name} has "
                f"{self.file.bytes:,}. Use a mirror, or mirada weights add FILE."
            )
        expected = total or self.file.bytes
        room = 2 * (expected or self.file.about)  # once as it came, once as it is kept
        self.store.require_space(max(room - have, 0))
        folder, mode = self.store.folder, "ab" if have else "wb"
        with explained(folder), self._unless_too_large(), self.part.open(mode) as stream:
            self._copy(answer, stream, have, expected)
        if expected and self._size() < expected:
            raise _BrokenOffError(f"cut off before {expected:,}")

    @contextmanager
    def _unless_too_large(self) -> Iterator[None]:
        """What cannot be written whole, or is longer than all of it, does not stay to fill the disk."""
        try:
            yield
        except (OSError, StoreError):
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
            if done > (expected or 2 * self.file.about or done):
                raise StoreError(
                    f"{self.address}: the server sends more than the {expected or self.file.about:,} bytes of "
                    f"{self.file.name}. Nothing was kept; use a mirror, or mirada weights add FILE."
                )
            self.on_event(Progress(what, done >> 20, max(done, expected, 1) >> 20))


def _extent(answer: Any) -> tuple[int, int]:
    """Where in the file an answer begins, -1 where a part does not say; and how long all of it is, 0 if unknown."""
    if answer.status == PART:
        part = RANGE.fullmatch(str(answer.headers.get("Content-Range", "")))
        return (int(part[1]), 0 if part[2] == "*" else int(part[2])) if part else (-1, 0)
    length = str(answer.headers.get("Content-Length", ""))
    return 0, int(length) if LENGTH.fullmatch(length) else 0


def _why(error: Exception) -> str:
    """What ended a connection, in a few words."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, OSError) and reason.strerror:
        return reason_of(reason)
    return _in_one_line(reason) or type(error).__name__


def _in_one_line(said: object) -> str:
    """What a server, or the library, says, which may have line breaks and worse."""
    return visible(" ".join(str(said).split()))


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
