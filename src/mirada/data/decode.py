"""The one way from the bytes of an image file to pixels; every verb goes through it.

Orientation is applied (EXIF), alpha is laid on white, palettes, CMYK and 16-bit grey become 8-bit RGB or grey,
and the size policy of the ``Preprocessing`` makes the network's input. A file that cannot be decoded raises
``DecodeError`` with a reason in plain words; nothing is ever put in its place.
"""

import ctypes
import io
import logging
import stat
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError, _imaging
from PIL.Image import Transpose

from mirada.data.preprocessing import Preprocessing
from mirada.errors import DataError

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
EXTENSIONS = frozenset((
    ".apng", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm",
    ".tif", ".tiff", ".webp",
))  # fmt: skip
MAX_PIXELS = 100_000_000  # after the JPEG decoder's own reduction; 300 MB as RGB
MAX_BYTES = 512 * 2**20
DRAFT_MARGIN = 2  # the JPEG decoder may reduce down to twice the size that is needed, not further
UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM, 5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90,
}  # fmt: skip  # EXIF orientation → what undoes it
SIDEWAYS = frozenset(UPRIGHT[orientation] for orientation in (5, 6, 7, 8))


class _Opened(NamedTuple):
    """A decoded image, upright.

    The JPEG decoder may have reduced it: ``size`` (width, height) is what it would be otherwise, and ``box`` (left,
    top, right, bottom) how far it reaches, for its last column and row may stand for less than a pixel.
    """

    image: Image.Image
    size: tuple[int, int]
    box: tuple[float, float, float, float]


class DecodeError(DataError):
    """An image file cannot be decoded; the message is the reason alone, without the file's name."""


def read_file(path: Path) -> bytes:
    """The bytes of an image file. Raises ``DecodeError`` if it cannot be read or is not a plain file."""
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise DecodeError("not a plain file")
        if info.st_size > MAX_BYTES:
            raise DecodeError(f"{info.st_size / 2**20:,.0f} MiB is more than the limit of 512 MiB")
        return path.read_bytes()
    except OSError as error:
        raise DecodeError(f"cannot be read ({(error.strerror or 'unknown reason').lower()})") from error


def decode(data: bytes, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Decodes to the network's input size: (H, W, C) uint8. Raises ``DecodeError``."""
    side = DRAFT_MARGIN * max(preprocessing.size)
    opened = _open(data, draft=(preprocessing.mode, side))
    opened = opened._replace(image=_convert(opened.image, preprocessing.mode))
    pixels = np.asarray(_fit(opened, preprocessing))
    return pixels.reshape(*preprocessing.size, preprocessing.channels)


def open_upright(data: bytes) -> Image.Image:
    """Decodes at the image's own size, upright, as RGB. Raises ``DecodeError``."""
    return _convert(_open(data, draft=None).image, "RGB")


def _open(data: bytes, draft: tuple[str, int] | None) -> _Opened:
    """Opens, loads and turns the image; ``draft`` = (mode, least side in pixels) lets JPEG decode reduced."""
    if not data:
        raise DecodeError("the file is empty")
    _silence_pillow()
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
        whole = image.size
        reduced = image.draft(draft[0], (draft[1], draft[1])) if draft else None
    except UnidentifiedImageError as error:
        raise DecodeError(f"not an image in a format that is read ({', '.join(FORMATS)})") from error
    except Exception as error:  # Pillow raises at least six unrelated classes on damaged files
        raise DecodeError(_reason(error, "damaged (its header makes no sense)")) from error
    if image.width * image.height > MAX_PIXELS:
        raise DecodeError(f"{image.width:,} × {image.height:,} pixels are more than the limit of 100 million")
    try:
        image.load()
        box = reduced[1] if reduced else (0, 0, *image.size)
        return _upright(_Opened(image, whole if reduced else image.size, box))
    except Exception as error:
        unreadable = "damaged, or of an unusual kind (its pixel data cannot be decoded)"
        raise DecodeError(_reason(error, unreadable)) from error


@cache
def _silence_pillow() -> None:
    """Keeps off the terminal what Pillow raises as an exception as well; for the process, from the first image on.

    libtiff writes its errors to stderr from C, and Python's logging does so where nobody has set it up.
    """
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    with suppress(AttributeError, OSError):  # a Pillow without libtiff, or with one that cannot be reached
        ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)


def _reason(error: Exception, otherwise: str) -> str:
    """What an exception of Pillow's means, in plain words."""
    text = str(error)
    if isinstance(error, MemoryError):
        raise error  # says nothing about the file
    if isinstance(error, Image.DecompressionBombError):
        return "more than 178 million pixels (a decompression bomb?)"
    if "MAX_TEXT" in text:
        return "its text notes unpack to more than a megabyte (a decompression bomb?)"
    if "truncated" in text.lower():
        return "truncated (the file ends before the image does)"
    if text.startswith("Unsupported "):
        return f"of a kind that is not read: {text.removeprefix('Unsupported ')}"
    return otherwise


def _upright(opened: _Opened) -> _Opened:
    """Turned as the EXIF orientation says.

    Not by Pillow's ``exif_transpose``: it writes the EXIF anew, which fails on many odd tags.
    """
    method = UPRIGHT.get(opened.image.getexif().get(ExifTags.Base.Orientation, 1))
    if method is None:
        return opened
    image = opened.image
    if opened.box[2:] != image.size:  # its margin would lie on another side
        image = image.resize(image.size, Image.Resampling.BICUBIC, box=opened.box)
    image = image.transpose(method)
    size = opened.size[::-1] if method in SIDEWAYS else opened.size
    return _Opened(image, size, (0, 0, *image.size))


def _convert(image: Image.Image, mode: str) -> Image.Image:
    """To 8-bit RGB or grey; alpha on white, 16-bit grey by its upper byte."""
    if image.mode.startswith("I"):
        image = Image.fromarray(_upper_byte(np.asarray(image)))
    elif image.mode == "F":
        raise DecodeError("floating-point pixels have no declared range")
    elif image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    try:
        return image if image.mode == mode else image.convert(mode)
    except ValueError as error:
        raise DecodeError(f"colour mode {image.mode} cannot be converted to {mode}") from error


def _upper_byte(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """16-bit grey to 8-bit; Pillow's own conversion would clip every value above 255 to white."""
    wide = values.astype(np.int64)
    if wide.min() < 0 or wide.max() > 0xFFFF:
        raise DecodeError(f"integer pixels from {wide.min():,} to {wide.max():,} are outside of 16 bits")
    return (wide >> 8).astype(np.uint8)


def _fit(opened: _Opened, preprocessing: Preprocessing) -> Image.Image:
    """Applies the size policy with an antialiased bilinear filter."""
    image, (wide, high), box = opened
    height, width = preprocessing.size
    if preprocessing.policy == "stretch":
        return image.resize((width, height), Image.Resampling.BILINEAR, box=box)
    ratios = (width / wide, height / high)
    scale = min(ratios) if preprocessing.policy == "pad" else max(ratios)
    scaled = (max(1, round(wide * scale)), max(1, round(high * scale)))
    if preprocessing.policy == "crop":
        left, right = _seen(box[2], scaled[0], width)
        top, bottom = _seen(box[3], scaled[1], height)
        return image.resize((width, height), Image.Resampling.BILINEAR, box=(left, top, right, bottom))
    frame = Image.new(image.mode, (width, height))
    corner = ((width - scaled[0]) // 2, (height - scaled[1]) // 2)
    frame.paste(image.resize(scaled, Image.Resampling.BILINEAR, box=box), corner)
    return frame


def _seen(side: float, scaled: int, kept: int) -> tuple[float, float]:
    """From where to where ``crop`` sees one axis, in pixels of the image.

    Scaling this part alone spares the memory of what is cut off: of a 1 × 10,000 image, nearly everything.
    """
    start = (scaled - kept) // 2
    return start * side / scaled, (start + kept) * side / scaled
