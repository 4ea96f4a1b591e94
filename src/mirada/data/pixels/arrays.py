"""Files that hold many images at once, IDX and NPZ, and the one way from a path to what is in it.

A row of such a file has an address for a path: ``train-images-idx3-ubyte.gz#17``, ``medical.npz#train_images-17``.
``read_image`` gives the bytes of an image file, or the array of one such row. What is not compressed is read row by
row; not through a memory map, for where a mapped file is cut short meanwhile, the system ends the process. What is
compressed is held in memory, within limits that its header is asked for first.

Sources: the IDX format, http://yann.lecun.com/exdb/mnist/ (LeCun, Cortes & Burges 1998); NPZ, numpy.lib.format.
"""

import gzip
import lzma
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mirada.data.pixels.decode import (
    EXTENSIONS,
    DecodeError,
    Encoded,
    EncodedFrame,
    content_hash,
    decode,
    decode_array,
    open_upright,
    read_file,
)
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import DataError, reason_of

Array = NDArray[Any]

ADDRESS = re.compile(r"(?P<file>.+)#((?P<array>[^#]+)-)?(?P<row>\d+)")
IDX_NAME = re.compile(r"(^|[-_.])idx[1-4]($|[-_.])", re.IGNORECASE)
IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
COLOURS = (1, 3, 4)  # channels that an image may have
KEPT = 4  # arrays held open
READ_BY_ROW = (
    "b1",
    "u1",
    "u2",
    "f2",
    "f4",
    "f8",
)  # of other types, all values must be seen to know what they mean
GZIP = b"\x1f\x8b"
CHUNK = 2**20
MAX_ARRAY = 400 * 10**6  # bytes held in memory, or as many as the file on disk may well hold
MOST = 2 * 10**9
DENSEST = 20  # times that images become smaller; a bomb becomes a thousand times so
MAX_DIRECTORY = 4 * 2**20  # bytes of a ZIP's list of members
ZIP_ERRORS = (
    OSError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    ValueError,
    RuntimeError,
    OverflowError,
)
HEADERS: dict[tuple[int, int], Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}

_lock = Lock()
_held: dict[tuple[Path, str], tuple[tuple[int, ...], "Array | StoredImages"]] = {}


@dataclass(frozen=True)
class StoredArray:
    """Where an array lies in a file as it is: from a byte on, row by row."""

    file: Path
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """In bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self, row: int, rows: int = 1) -> Array:
        """Rows from one on, (rows, …). Raises ``DecodeError`` if the file has become shorter."""
        shape = (rows, *self.shape[1:])
        size = math.prod(shape) * self.dtype.itemsize
        try:
            with self.file.open("rb") as stream:
                stream.seek(self.start + row * (size // rows))
                content = stream.read(size)
        except OSError as error:
            raise DecodeError(f"cannot be read ({reason_of(error)})") from error
        if len(content) < size:
            raise DecodeError(f"{self.file.name} has become shorter since it was opened")
        values = np.frombuffer(content, self.dtype).reshape(shape)
        return values.astype(self.dtype.newbyteorder("="), copy=False)


class StoredImages:
    """Images that are read from their file one at a time, and seen as ``as_images`` makes them."""

    def __init__(self, stored: StoredArray, where: str) -> None:
        self._stored, self._where = stored, where
        one = as_images(np.zeros((1, *stored.shape[1:]), stored.dtype.newbyteorder("=")), where)
        self.shape: tuple[int, ...] = (stored.shape[0], *one.shape[1:])
        self.dtype = one.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, row: int) -> Array:
        image: Array = as_images(self._stored.read(row), self._where)[0]
        return image


def is_idx(file: Path) -> bool:
    """Whether a file's name says IDX: ``train-images-idx3-ubyte.gz``, ``train-images.idx3-ubyte``."""
    return IDX_NAME.search(file.name) is not None


def is_npz(file: Path) -> bool:
    """Whether a file's name says NPZ."""
    return file.suffix.lower() == ".npz"


def container(file: Path) -> Path:
    """The file on disk that holds an image: of an address the part before ``#``, else the file itself.

    >>> container(Path("mnist/t10k-images-idx3-ubyte.gz#3")).name, container(Path("photo#3.png")).name
    ('t10k-images-idx3-ubyte.gz', 'photo#3.png')
    """
    found = ADDRESS.fullmatch(file.name)
    if not found:
        return file
    whole = file.with_name(found["file"])
    has_frames = whole.suffix.lower() in EXTENSIONS
    return whole if has_frames or _holds_arrays(whole.name) else file


def read_image(file: Path) -> Encoded | Array:
    """The bytes of an image file, or the (H, W) or (H, W, C) array of a row of a file of arrays.

    Raises ``DecodeError`` if there is no such file or row, ``DataError`` for a damaged file of arrays.
    """
    found = ADDRESS.fullmatch(file.name)
    if not found or not _holds_arrays(found["file"]):
        return read_file(file)
    images = images_of(file.with_name(found["file"]), found["array"] or "")
    if int(found["row"]) >= len(images):
        raise DecodeError(f"{found['file']} has {len(images):,} images, numbered from 0")
    return np.asarray(images[int(found["row"])])


def decode_image(image: Encoded | Array, preprocessing: Preprocessing) -> Array:
    """What ``read_image`` has read as the network's input: (H, W, C). Raises ``DecodeError``."""
    return (
        decode_array(image, preprocessing) if isinstance(image, np.ndarray) else decode(image, preprocessing)
    )


def show_image(image: Encoded | Array, *, least: int | None = None) -> Image.Image:
    """What ``read_image`` has read, upright, as 8-bit RGB.

    Args:
        image: Bytes or an array.
        least: As for ``open_upright``: the side in pixels to which an image may be reduced; None for its own size.

    Raises:
        DecodeError: It cannot be decoded.
    """
    if not isinstance(image, np.ndarray):
        return open_upright(image, least=least)
    height, width = image.shape[:2]
    return Image.fromarray(decode_array(image, Preprocessing(mode="RGB", size=(height, width))))


def digest(image: Encoded | Array) -> str:
    """A hash of an image's content; for an array, of its values, shape and type."""
    if isinstance(image, bytes):
        return content_hash(image)
    if isinstance(image, EncodedFrame):
        return content_hash(f"{image.digest} frame {image.number}".encode())
    kind = f"{image.dtype.str} {image.shape} ".encode()
    return content_hash(kind + image.tobytes())


def images_of(file: Path, array: str = "") -> Array | StoredImages:
    """All images of an IDX file, or of one array of an NPZ file: (N, H, W) or (N, H, W, 3), uint8, uint16 or float32.

    Raises ``DataError`` if the file is damaged or these are no images, ``DecodeError`` if there is no such file.
    """
    try:
        info = file.stat()
    except OSError as error:
        raise DecodeError(f"cannot be read ({reason_of(error)})") from error
    # A file that was replaced, or cut while it is mapped, may keep its time; reading what is gone ends the process.
    stamp = (info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_dev, info.st_ino)
    with _lock:
        held = _held.pop((file, array), None)
        if held is None or held[0] != stamp:
            held = stamp, _images(file, array)
        _held[file, array] = held
        while len(_held) > KEPT:
            del _held[next(iter(_held))]
    return held[1]


def _images(file: Path, array: str) -> Array | StoredImages:
    where = f"{file} {array}".strip()
    stored = _idx_header(file)[0] if is_idx(file) else _npz_stored(file, array)
    if stored and stored.dtype.str.lstrip("<>|=") in READ_BY_ROW and len(stored.shape) > 1 and stored.size:
        return StoredImages(stored, where)
    return as_images(read_idx(file) if is_idx(file) else read_npz(file, array), where)


def as_images(array: Array, where: str) -> Array:
    """An array of images in the order (N, H, W) or (N, H, W, C), and in a type that is read.

    Raises ``DataError`` if it is neither in shape nor in values.
    """
    if array.ndim == 4 and array.shape[-1] not in COLOURS and array.shape[1] in COLOURS:
        array = np.moveaxis(array, 1, -1)
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[-1] not in COLOURS):
        raise DataError(
            f"{where}: expected images, (N, H, W) or (N, H, W, 3); found an array of {array.shape}."
        )
    if array.dtype in (np.bool_, np.uint8, np.uint16):
        return array
    if array.dtype.kind == "f":
        return array.astype(np.float32, copy=False)
    low, high = (int(array.min()), int(array.max())) if array.size and array.dtype.kind in "iu" else (-1, 0)
    if low < 0 or high > 0xFFFF:
        raise DataError(
            f"{where}: images are whole numbers from 0 to 65,535 or floats; found {array.dtype} from {low:,} to "
            f"{high:,}."
        )
    return array.astype(np.uint8 if high <= 0xFF else np.uint16)


def read_idx(file: Path) -> Array:
    """The array of an IDX file, gzipped or not. Raises ``DataError`` if it is damaged or none.

    Two zero bytes, a type, the number of dimensions, their sizes as big-endian 32-bit numbers, then the values.
    """
    stored, packed = _idx_header(file)
    _require_memory(packed.size, file, str(file))
    try:
        with gzip.open(file) if stored is None else file.open("rb") as stream:
            content = stream.read(packed.start + packed.size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file}: is damaged or cannot be read ({error}).") from error
    _require_length(packed, len(content), more="or more" if stored is None else "")
    values = np.frombuffer(content, packed.dtype, offset=packed.start).reshape(packed.shape)
    return values.astype(packed.dtype.newbyteorder("="), copy=False)


def _idx_header(file: Path) -> tuple[StoredArray | None, StoredArray]:
    """What the header of an IDX file says; the first is None if the file is gzipped."""
    try:
        with file.open("rb") as plain:
            compressed = plain.read(2) == GZIP
            length = plain.seek(0, 2)
        with gzip.open(file) if compressed else file.open("rb") as stream:
            head = stream.read(20)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file}: is damaged or cannot be read ({error}).") from error
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in IDX_TYPES or not 1 <= head[3] <= 4:
        raise DataError(f"{file}: is no IDX file: it begins with {head[:4].hex(' ')}.")
    start = 4 + 4 * head[3]
    if len(head) < start:
        raise DataError(f"{file}: is cut off within its header.")
    shape = struct.unpack(f">{head[3]}I", head[4:start])
    found = StoredArray(file, start, shape, np.dtype(IDX_TYPES[head[2]]))
    if compressed:
        return None, found
    _require_length(found, length)
    return found, found


def _require_length(stored: StoredArray, length: int, more: str = "") -> None:
    expected = stored.start + stored.size
    if length != expected:
        found = f"{length:,} {more if length > expected else ''}".strip()
        raise DataError(
            f"{stored.file}: its header says {stored.shape}, {expected:,} bytes, and there are {found}."
        )


def _require_memory(size: int, file: Path, where: str, packed: int = 0) -> None:
    """Raises ``DataError`` for an array that is too large to be held, or for what the file on disk can hold."""
    packed = packed or file.stat().st_size
    if size > max(MAX_ARRAY, DENSEST * packed) or size > MOST:
        bomb = " (a decompression bomb?)" if size > DENSEST * packed else ""
        raise DataError(
            f"{where}: unpacks to {size / 10**9:,.1f} GB, more than can be held in memory{bomb}. Save it without "
            f"compression, by numpy.savez, and it is read row by row."
        )


def npz_names(file: Path) -> list[str]:
    """The arrays in an NPZ file. Raises ``DataError`` if it is none."""
    try:
        _require_short_directory(file)
        with zipfile.ZipFile(file) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    except ZIP_ERRORS as error:
        raise DataError(f"{file}: is no NPZ file that can be read ({error}).") from error


def _require_short_directory(file: Path) -> None:
    """Raises ``BadZipFile`` for millions of members, which would take gigabytes to list."""
    with file.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, 2) - 2**16 - 22))
        end = stream.read()
    found = end.rfind(b"PK\5\6")
    if found >= 0 and int.from_bytes(end[found + 12 : found + 16], "little") > MAX_DIRECTORY:
        raise zipfile.BadZipFile("its list of members is longer than 4 MiB")


def read_npz(file: Path, name: str) -> Array:
    """One array of an NPZ file. Raises ``DataError``."""
    if name not in npz_names(file):
        raise DataError(f'{file}: has no array "{name}". It has {", ".join(npz_names(file))}.')
    try:
        with zipfile.ZipFile(file) as archive, archive.open(f"{name}.npy") as member:
            header = _npy_header(member)
            entry = archive.getinfo(f"{name}.npy")
            size = max(entry.file_size, math.prod(header[0]) * header[2].itemsize if header else 0)
            _require_memory(size, file, f'{file}: the array "{name}"', entry.compress_size)
            member.seek(0)
            return np.lib.format.read_array(member, allow_pickle=False)
    except ZIP_ERRORS as error:
        raise DataError(f'{file}: the array "{name}" cannot be read ({error}).') from error


def require_whole(file: Path, names: Sequence[str]) -> None:
    """Raises ``DataError`` if an array that is not compressed differs from its checksum.

    Such an array is mapped, not read, so that nobody else would notice; this reads it once.
    """
    with zipfile.ZipFile(file) as archive:
        for name in names:
            if archive.getinfo(f"{name}.npy").compress_type != zipfile.ZIP_STORED:
                continue
            try:
                with archive.open(f"{name}.npy") as member:
                    while member.read(CHUNK):  # at the end zipfile compares the sums
                        pass
            except ZIP_ERRORS as error:
                raise DataError(f'{file}: the array "{name}" cannot be read ({error}).') from error


def _npz_stored(file: Path, name: str) -> StoredArray | None:
    """Where an array lies that is stored as it is; None if it is compressed, or of an unusual kind."""
    if name not in npz_names(file):
        return None
    try:
        with zipfile.ZipFile(file) as archive, archive.open(f"{name}.npy") as member:
            entry = archive.getinfo(f"{name}.npy")
            header = _npy_header(member)
            if entry.compress_type != zipfile.ZIP_STORED or not header:
                return None
            shape, columns_first, kind = header
            within = member.tell()
        if kind.hasobject or columns_first or not math.prod(shape):
            return None
        with file.open("rb") as stream:
            stream.seek(entry.header_offset + 26)  # a member's own header: the lengths of its name and extra
            lengths = struct.unpack("<HH", stream.read(4))
    except (*ZIP_ERRORS, struct.error) as error:
        raise DataError(f'{file}: the array "{name}" cannot be read ({error}).') from error
    stored = StoredArray(file, entry.header_offset + 30 + sum(lengths) + within, shape, kind)
    return (
        stored if within + stored.size == entry.file_size else None
    )  # what is short is refused when it is read


def _npy_header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]] | None:
    """Shape, whether columns come first, and type; None for a version of the format that is not known."""
    version = np.lib.format.read_magic(member)
    return HEADERS[version](member) if version in HEADERS else None


def _holds_arrays(name: str) -> bool:
    return name.lower().endswith(".npz") or IDX_NAME.search(name) is not None
