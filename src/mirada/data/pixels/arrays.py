"""Files that hold many images at once, IDX and NPZ, and the one way from a path to what is in it.

A row of such a file has an address for a path: ``train-images-idx3-ubyte.gz#17``, ``medical.npz#train_images-17``.
``read_image`` gives the bytes of an image file, or the array of one such row; a file of arrays is opened once per
process, as a memory map where it is not compressed.

Sources: the IDX format, http://yann.lecun.com/exdb/mnist/ (LeCun, Cortes & Burges 1998); NPZ, numpy.lib.format.
"""

import gzip
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
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
    Frame,
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
GZIP = b"\x1f\x8b"
CHUNK = 2**20
NPZ_ERRORS = (OSError, EOFError, zipfile.BadZipFile, zlib.error, ValueError, RuntimeError)
HEADERS: dict[tuple[int, int], Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}

_lock = Lock()
_held: dict[tuple[Path, str], tuple[tuple[int, ...], Array]] = {}


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


def show_image(image: Encoded | Array) -> Image.Image:
    """The same at its own size, upright, as 8-bit RGB. Raises ``DecodeError``."""
    if not isinstance(image, np.ndarray):
        return open_upright(image)
    height, width = image.shape[:2]
    return Image.fromarray(decode_array(image, Preprocessing(mode="RGB", size=(height, width))))


def digest(image: Encoded | Array) -> str:
    """A hash of an image's content; for an array, of its values, shape and type."""
    if isinstance(image, bytes):
        return content_hash(image)
    if isinstance(image, Frame):
        return content_hash(f"{image.digest} frame {image.number}".encode())
    kind = f"{image.dtype.str} {image.shape} ".encode()
    return content_hash(kind + image.tobytes())


def images_of(file: Path, array: str = "") -> Array:
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
            found = read_idx(file) if is_idx(file) else read_npz(file, array)
            held = stamp, as_images(found, f"{file} {array}".strip())
        _held[file, array] = held
        while len(_held) > KEPT:
            del _held[next(iter(_held))]
    return held[1]


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
    try:
        with file.open("rb") as stream:
            compressed = stream.read(2) == GZIP
        data: Any = gzip.decompress(file.read_bytes()) if compressed else np.memmap(file, np.uint8, "r")
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise DataError(f"{file}: is damaged or cannot be read ({error}).") from error
    head = bytes(data[:4])
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in IDX_TYPES or not 1 <= head[3] <= 4:
        raise DataError(f"{file}: is no IDX file: it begins with {head.hex(' ')}.")
    start = 4 + 4 * head[3]
    if len(data) < start:
        raise DataError(f"{file}: is cut off within its header.")
    shape = struct.unpack(f">{head[3]}I", bytes(data[4:start]))
    kind = np.dtype(IDX_TYPES[head[2]])
    expected = start + kind.itemsize * int(np.prod(shape, dtype=np.int64))
    if len(data) != expected:
        raise DataError(f"{file}: its header says {shape}, {expected:,} bytes, and there are {len(data):,}.")
    values = np.frombuffer(data, kind, offset=start).reshape(shape)
    return values.astype(kind.newbyteorder("="), copy=False)


def npz_names(file: Path) -> list[str]:
    """The arrays in an NPZ file. Raises ``DataError`` if it is none."""
    try:
        with zipfile.ZipFile(file) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{file}: is no NPZ file that can be read ({error}).") from error


def read_npz(file: Path, name: str) -> Array:
    """One array of an NPZ file, as a memory map if it is not compressed. Raises ``DataError``."""
    if name not in npz_names(file):
        raise DataError(f'{file}: has no array "{name}". It has {", ".join(npz_names(file))}.')
    try:
        with zipfile.ZipFile(file) as archive, archive.open(f"{name}.npy") as member:
            mapped = _mapped(file, archive.getinfo(f"{name}.npy"), member)
            if mapped is not None:
                return mapped
            return np.lib.format.read_array(member, allow_pickle=False)
    except NPZ_ERRORS as error:
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
            except NPZ_ERRORS as error:
                raise DataError(f'{file}: the array "{name}" cannot be read ({error}).') from error


def _mapped(file: Path, entry: zipfile.ZipInfo, member: IO[bytes]) -> Array | None:
    """A memory map of an array that is stored as it is; None if it is compressed, or of an unusual kind."""
    version = np.lib.format.read_magic(member)
    if entry.compress_type != zipfile.ZIP_STORED or version not in HEADERS:
        member.seek(0)
        return None
    shape, columns_first, kind = HEADERS[version](member)
    if kind.hasobject or not np.prod(shape):
        member.seek(0)
        return None
    with file.open("rb") as stream:
        stream.seek(entry.header_offset + 26)  # a member's own header: the lengths of its name and extra
        name, extra = struct.unpack("<HH", stream.read(4))
    start = entry.header_offset + 30 + name + extra + member.tell()
    return np.memmap(file, kind, "r", start, shape, order="F" if columns_first else "C")


def _holds_arrays(name: str) -> bool:
    return name.lower().endswith(".npz") or IDX_NAME.search(name) is not None
