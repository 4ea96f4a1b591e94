"""Files that appear whole or not at all: every file that Mirada writes for somebody else goes through here.

And a lock, for what only one process may do at a time.
"""

import json
import math
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

STANDARD_STREAMS = (1, 2)  # the descriptors of output and errors
POLL = 0.1  # seconds between two tries for a lock


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file in hexadecimal digits, read a piece at a time. Raises ``OSError`` if it cannot be read."""
    from hashlib import file_digest  # loads OpenSSL, which few commands need

    with file.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


@contextmanager
def replacing(target: Path, *, synced: bool = True) -> Iterator[Path]:
    """A draft beside the target, to be written: it takes the target's place once it is whole, and safely on disk.

    If anything fails before, the target stays as it was, and nothing is left beside it. Of a symbolic link the file
    that it points to is replaced, which keeps its permissions. What is no file, such as ``/dev/stdout`` or a pipe, is
    written straight away.

    Args:
        target: The file to make or to replace; its folder exists.
        synced: Whether to wait for the disk. What can be drawn again need not: a power cut may then leave it empty.

    Yields:
        The path to write to, with the target's suffix, which some writers go by.

    Raises:
        OSError: The target or its folder takes no files; ``filename`` is the target.
    """
    before = _status(target)
    if before and _is_a_stream(before):
        try:
            yield target
        except OSError as error:
            error.filename = error.filename or str(target)
            raise
        return
    if before and not os.access(target, os.W_OK):
        raise PermissionError(13, "Permission denied", str(target))
    place = Path(os.path.realpath(target))
    draft = place.with_name(f".{os.urandom(8).hex()}{place.suffix}")  # unique among processes and threads
    try:
        yield draft
        if before:
            draft.chmod(stat.S_IMODE(before.st_mode))
        if synced:
            with draft.open("rb") as stream:
                os.fsync(stream.fileno())
        draft.replace(place)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(draft)):
            raise
        raise OSError(error.errno, error.strerror, str(target)) from error  # nobody knows the draft's name
    finally:
        draft.unlink(missing_ok=True)


def free_name(target: Path) -> Path:
    """Takes a name that no file has, by making an empty file that is then to be replaced.

    Args:
        target: The name that is wanted.

    Returns:
        It, or the first of ``name-2.ext``, ``name-3.ext`` … that is free; no other process is given the same.

    Raises:
        OSError: The folder takes no files.
    """
    taken, number = target, 1
    while True:
        try:
            taken.touch(exist_ok=False)
        except FileExistsError:
            number += 1
            taken = target.with_stem(f"{target.stem}-{number}")
        else:
            return taken


def write_bytes(target: Path, data: bytes, *, synced: bool = True) -> None:
    """Writes a file, whole or not at all; ``synced`` as for ``replacing``. Raises ``OSError`` that names it."""
    with replacing(target, synced=synced) as draft:
        draft.write_bytes(data)


def write_text(target: Path, text: str, *, synced: bool = True) -> None:
    """Writes UTF-8, whole or not at all; bytes of file names that are no UTF-8 come out as they went in.

    Raises ``OSError`` that names the file; ``synced`` is as for ``replacing``.
    """
    write_bytes(target, text.encode(errors="surrogateescape"), synced=synced)


def write_json(target: Path, content: object, *, synced: bool = True) -> None:
    """Writes a value as ``json_text`` puts it, whole or not at all; ``synced`` as for ``replacing``.

    Raises ``OSError`` that names the file.
    """
    write_text(target, json_text(content, indent=1) + "\n", synced=synced)


def append_text(target: Path, text: str) -> None:
    """Adds to the end of a UTF-8 file, all of it or nothing; a file that is not there is made.

    Raises:
        OSError: The disk does not take it; the file is then as it was.
    """
    with target.open("ab", buffering=0) as stream:
        before = stream.seek(0, os.SEEK_END)
        data = memoryview(text.encode(errors="surrogateescape"))
        try:
            while data:
                data = data[stream.write(data) :]
        except OSError:
            stream.truncate(before)
            raise


def json_text(content: object, *, indent: int | None = None) -> str:
    r"""A value as JSON that every reader takes: null for NaN and infinities, which JSON does not have.

    Bytes of file names that are no UTF-8 are written as the escapes that ``json.loads`` gives back.

    >>> json_text({"r2": float("nan"), "files": ("犬.png", "caf\udce9.png")})
    '{"r2": null, "files": ["犬.png", "caf\\udce9.png"]}'

    Args:
        content: Dictionaries, sequences, texts, numbers, truth values and None.
        indent: Spaces for each depth; None for one line.

    Returns:
        The text, without a line break at its end.
    """
    text = json.dumps(_finite(content), allow_nan=False, ensure_ascii=False, indent=indent)
    return text.encode(errors="backslashreplace").decode()


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _status(target: Path) -> os.stat_result | None:
    """That of the file, or of the one that a link points to; None if there is none yet."""
    try:
        return target.stat()
    except FileNotFoundError:
        return None


def _is_a_stream(status: os.stat_result) -> bool:
    """Whether a file is to be written in place: it is none, or it is what this process prints into."""
    if not stat.S_ISREG(status.st_mode):
        return not stat.S_ISDIR(status.st_mode)
    for number in STANDARD_STREAMS:
        with suppress(OSError):  # closed
            if os.path.samestat(status, os.fstat(number)):
                return True
    return False


@contextmanager
def locked(file: Path, on_wait: Callable[[], None]) -> Iterator[bool]:
    """Holds a lock for as long as the context lasts; the system frees that of a process that is killed.

    Args:
        file: What stands for the lock. It is made, and removed at the end.
        on_wait: Called about ten times a second while another process, or thread, holds it; what it raises ends the
            waiting.

    Yields:
        Whether there is a lock: some file systems, and Windows, know none, and then nobody waits.

    Raises:
        OSError: The file cannot be made.
    """
    stream = file.open("ab")
    try:
        held = _acquire(stream, on_wait)
        while held and not _is_still(file, stream):  # whoever held it before has removed it
            stream.close()
            stream = file.open("ab")
            held = _acquire(stream, on_wait)
        try:
            yield held
        finally:
            file.unlink(missing_ok=True)
    finally:
        stream.close()


def is_locked(file: Path) -> bool:
    """Whether some process, or thread, holds a lock by ``locked`` at this moment."""
    try:
        with file.open("rb") as stream:
            if fcntl:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no such file, or a file system without locks
        return False
    return False


def _acquire(stream: IO[bytes], on_wait: Callable[[], None]) -> bool:
    while fcntl:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            time.sleep(POLL)
        except OSError:  # a file system without locks
            return False
        else:
            return True
    return False


def _is_still(file: Path, stream: IO[bytes]) -> bool:
    try:
        return os.path.samestat(file.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False
