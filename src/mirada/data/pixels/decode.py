"""The one way from the bytes of an image file to pixels; every verb goes through it.

Orientation is applied (EXIF), alpha is laid on white, palettes and CMYK become RGB or grey. What has more than 8
bits, DICOM and real numbers keep them until the ``Preprocessing``'s window has said what is black and white; its size
policy then makes the network's input. A file that cannot be decoded raises ``DecodeError`` with a reason in plain
words; nothing is ever put in its place.

Of colours deeper than 8 bits in PNG, PPM and TIFF, Pillow gives the upper 8.
"""

import ctypes
import io
import logging
import math
import stat
from contextlib import suppress
from functools import cache, lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError, _imaging
from PIL.Image import Transpose
from PIL.ImageFile import ImageFile

from mirada.data.pixels.bounds import (
    images_in,
    require_few_passes,
    require_few_pieces,
    require_few_scans,
    require_few_tags,
)
from mirada.data.pixels.dicom import dicom_facts, is_dicom, read_dicom
from mirada.data.pixels.fit import Box, Opened, Pixels, Size, fit, to_depth
from mirada.data.pixels.kinds import EXTENSIONS as EXTENSIONS
from mirada.data.pixels.kinds import OPTIONAL, damaged_kind, unread_jpeg, unread_kind
from mirada.data.pixels.levels import (
    Levels,
    deep_values,
    keep_depth,
    levels_of,
    raw_of,
    require_small_tiles,
    shown,
    unread_tiff,
)
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.data.pixels.raw import DEEP_COST, Raw, opacity, require_size
from mirada.data.pixels.raw import DecodeError as DecodeError  # raised here, and by what this module calls
from mirada.data.pixels.window import own_white, shades
from mirada.errors import reason_of

FORMATS = (
    "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP", *dict.fromkeys(name for name, _ in OPTIONAL.values())
)  # fmt: skip  # Pillow's; DICOM is read without it
MAX_BYTES = 512 * 2**20
STRIP = 1024  # rows
COSTS = {"AVIF": 24, "JPEG2000": 30, "WEBP": 18}  # bytes per pixel
APART = ("TIFF", "MPO")  # formats whose images can be decoded without those before them
DRAFT_MARGIN = 2  # the JPEG decoder may reduce down to twice the size that is needed, not further
UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM, 5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90,
}  # fmt: skip  # EXIF orientation → what undoes it
SIDEWAYS = frozenset(UPRIGHT[orientation] for orientation in (5, 6, 7, 8))
PNG_EXIF = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
HELD = 128 * 2**20  # bytes up to which the last file of frames is kept: its next frame need not read it again


class EncodedFrame(NamedTuple):
    """One image of a file that holds several: the file's bytes and their hash, and the image's number from 0."""

    content: bytes
    digest: str
    number: int


Encoded = bytes | EncodedFrame  # an image as a file has it


class Header(NamedTuple):
    """What a file says of its image before anything is decoded.

    ``format`` is Pillow's name or ``DICOM``; ``mode`` Pillow's colour mode or DICOM's photometric interpretation;
    ``size`` (height, width) as stored; ``bits`` per channel as they are read; ``orientation`` EXIF's, 1 for upright.
    """

    format: str
    mode: str
    size: tuple[int, int]
    bits: int
    frames: int
    orientation: int


def read_file(path: Path) -> Encoded:
    """The bytes of an image file. Raises ``DecodeError`` if it cannot be read or is not a plain file.

    ``scan.dcm#12`` is frame 12 of ``scan.dcm``, counted from 0.
    """
    name, mark, number = path.name.rpartition("#")
    if mark and number.isdecimal() and not path.exists():
        return EncodedFrame(*_file_of_frames(path.with_name(name)), int(number))
    return _content(path)


def _file_of_frames(path: Path) -> tuple[bytes, str]:
    """Its bytes and their hash."""
    with suppress(OSError):
        info = path.stat()
        if info.st_size <= HELD:
            return _held(path, (info.st_size, info.st_mtime_ns))
    return _hashed(path)


@lru_cache(maxsize=1)
def _held(path: Path, stamp: tuple[int, int]) -> tuple[bytes, str]:
    return _hashed(path)


def _hashed(path: Path) -> tuple[bytes, str]:
    content = _content(path)
    return content, content_hash(content)


def content_hash(content: bytes) -> str:
    """32 hexadecimal digits."""
    return blake2b(content, digest_size=16).hexdigest()


def _content(path: Path) -> bytes:
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise DecodeError("not a plain file")
        if info.st_size > MAX_BYTES:
            raise DecodeError(f"{info.st_size / 2**20:,.0f} MiB is more than the limit of 512 MiB")
        return path.read_bytes()
    except OSError as error:
        raise DecodeError(f"cannot be read ({reason_of(error)})") from error


def decode(data: Encoded, preprocessing: Preprocessing) -> Pixels:
    """Decodes to the network's input: (H, W, C) of ``preprocessing.dtype``. Raises ``DecodeError``."""
    enlarged = preprocessing.resize / min(preprocessing.size) if preprocessing.resize else 1.0
    side = DRAFT_MARGIN * round(max(preprocessing.size) * enlarged)
    return fit(_open(data, preprocessing.mode, draft=side), preprocessing)


def decode_array(values: NDArray[Any], preprocessing: Preprocessing) -> Pixels:
    """Makes an array the network's input: (H, W), (H, W, 1), (H, W, 3) or, with alpha, (H, W, 4).

    Of bool, uint8, uint16 or real numbers, whose full range is 0 … 1. Raises ``DecodeError`` for others.
    """
    return fit(_whole(_of_array(values, preprocessing.mode)), preprocessing)


def open_upright(data: Encoded, *, window: str = "auto", least: int | None = None) -> Image.Image:
    """Decodes upright, as 8-bit RGB.

    Args:
        data: The file, or a frame of it.
        window: What is black and what is white in an image of more than 8 bits.
        least: The JPEG decoder may reduce the image down to this side in pixels; None for its own size.

    Raises:
        DecodeError: It cannot be decoded.
    """
    opened = _open(data, "RGB", draft=least)
    image = opened.image
    if window not in ("auto", "full") and isinstance(image, Image.Image):
        image = raw_of(image, opened.levels)
    if isinstance(image, Raw):
        image = Image.fromarray(to_depth(shades(image, window), np.dtype(np.uint8)))
    return image if image.mode == "RGB" else image.convert("RGB")


def open_with_level(data: Encoded | NDArray[Any]) -> tuple[Image.Image, float]:
    """Decodes a file or an array as ``open_upright`` does; and the value that is white there by its own window.

    It is NaN where the image does not set its own window (``window.own_white``). Raises ``DecodeError``.
    """
    image = _of_array(data, "RGB") if isinstance(data, np.ndarray) else _open(data, "RGB", draft=None).image
    level = own_white(image) if isinstance(image, Raw) else math.nan
    if isinstance(image, Raw):
        image = Image.fromarray(to_depth(shades(image, "auto"), np.dtype(np.uint8)))
    return image.convert("RGB"), level


def read_header(data: Encoded) -> Header:
    """Format, mode, size, depth, frames and orientation; nothing is decoded. Raises ``DecodeError``."""
    content, frame = _content_and_frame(data)
    if is_dicom(content):
        facts = dicom_facts(content, frame)
        return Header("DICOM", facts.photometric, facts.size, facts.bits, facts.frames, 1)
    image = _image(content)
    try:
        levels = levels_of(image)  # first, for a PNG's EXIF may make Pillow load it
        frames = _frames(image, content)
        orientation = _orientation(image) if _may_be_turned(image, content) else 1
    except Exception as error:  # see _image
        raise DecodeError(_reason(error, "damaged (its header makes no sense)")) from error
    mode = "LA" if levels.with_alpha else image.mode
    return Header(image.format or "", mode, (image.height, image.width), levels.bits, frames, orientation)


def _open(data: Encoded, mode: str, draft: int | None) -> Opened:
    """Opens, loads and turns an image; what has 8 bits gets the colour mode.

    ``draft`` is the least side in pixels to which the JPEG decoder may reduce it.
    """
    content, frame = _content_and_frame(data)
    if is_dicom(content):
        raw = read_dicom(content, frame)
        return _whole(_convert(Image.fromarray(raw.values), mode) if _is_plain(raw) else raw)
    image = _image(content)
    try:
        if frame:
            _seek(image, frame)
        levels = levels_of(image)
        whole, reduced = image.size, image.draft(mode, (draft, draft)) if draft else None
        require_size(image.height, image.width, _cost(image, levels))
        require_small_tiles(image)
        require_few_scans(content, whole[0] * whole[1])
        keep_depth(image, levels)
        image.load()
        box: Box = reduced[1] if reduced else (0, 0, *image.size)
        upright, size, box = _turned(image, whole if reduced else image.size, box)
    except DecodeError:
        raise
    except Exception as error:  # see _image
        damaged = "damaged, or of an unusual kind (its pixel data cannot be decoded)"
        unreadable = unread_jpeg(content) or damaged
        raise DecodeError(_reason(error, unreadable)) from error
    if levels.deep(upright):
        return Opened(deep_values(upright, levels), size, box)
    return Opened(_convert(shown(upright, levels), mode), size, box, levels)


def _content_and_frame(data: Encoded) -> tuple[bytes, int | None]:
    """The file's own bytes, and which frame of it is meant, if one was named."""
    return (data.content, data.number) if isinstance(data, EncodedFrame) else (data, None)


def _image(data: bytes) -> ImageFile:
    """Pillow's image of the file, not yet decoded."""
    if not data:
        raise DecodeError("the file is empty")
    require_few_pieces(data)
    _silence_pillow()
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        formats = ", ".join(sorted((*FORMATS, "DICOM")))
        unknown = f"not an image in a format that is read ({formats})"
        told = unread_tiff(data) or unread_jpeg(data) or unread_kind(data) or damaged_kind(data)
        raise DecodeError(told or unknown) from error
    except Exception as error:  # Pillow raises at least six unrelated classes on damaged files
        raise DecodeError(_reason(error, "damaged (its header makes no sense)")) from error


def _seek(image: ImageFile, frame: int) -> None:
    """Goes to a frame; of an animation, that may mean decoding those before it."""
    require_size(image.height, image.width, _cost(image, levels_of(image)))
    if image.format not in APART:
        require_few_passes(frame, image.height * image.width)
    try:
        image.seek(frame)
    except EOFError as error:
        raise DecodeError(f"there is no frame {frame}, counted from 0") from error


def _frames(image: ImageFile, content: bytes) -> int:
    """How many images the file holds. Pillow would take minutes to count many of a TIFF or GIF."""
    if image.format in ("TIFF", "GIF"):
        return images_in(content)
    return int(getattr(image, "n_frames", 1))


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


def _cost(image: ImageFile, levels: Levels) -> float:
    """Bytes of memory that decoding takes for each pixel, as measured."""
    if levels.with_alpha:
        return 20
    if levels.deep(image):
        return 16 if levels.bits > 16 and image.mode == "I" else DEEP_COST
    if image.format in COSTS:
        return COSTS[image.format]
    return 9 if image.mode == "CMYK" or image.has_transparency_data else 5


def _may_be_turned(image: Image.Image, content: bytes) -> bool:
    """False for a PNG without any such chunk: as one may lie behind the pixels, Pillow would decode them to look."""
    return image.format != "PNG" or any(chunk in content for chunk in PNG_EXIF)


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation; 1, upright, where it says none that exists."""
    require_few_tags(image.info.get("exif", b"").removeprefix(b"Exif\0\0"))
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    return int(orientation) if orientation in UPRIGHT else 1


def _turned(image: Image.Image, size: Size, box: Box) -> tuple[Image.Image, Size, Box]:
    """The image, its size and its box, turned as the EXIF orientation says.

    Not by Pillow's ``exif_transpose``: it writes the EXIF anew, which fails on many odd tags.
    """
    method = UPRIGHT.get(_orientation(image))
    if method is None:
        return image, size, box
    if box[2:] != image.size:  # its margin would lie on another side
        image = image.resize(image.size, Image.Resampling.BICUBIC, box=box)
    image = image.transpose(method)
    return image, size[::-1] if method in SIDEWAYS else size, (0, 0, *image.size)


def _convert(image: Image.Image, mode: str) -> Image.Image:
    """8 bits to RGB or grey; alpha on white."""
    if image.has_transparency_data:
        image = _flattened(image)
    try:
        return image if image.mode == mode else image.convert(mode)
    except ValueError as error:
        raise DecodeError(f"colour mode {image.mode} cannot be converted to {mode}") from error


def _flattened(image: Image.Image) -> Image.Image:
    """Alpha laid on white; strip by strip, for it takes three images of the size of what it is done to."""
    flat = Image.new("RGB", image.size)
    for top in range(0, image.height, STRIP):
        strip = image.crop((0, top, image.width, min(top + STRIP, image.height))).convert("RGBA")
        strip = Image.alpha_composite(Image.new("RGBA", strip.size, "white"), strip)
        flat.paste(strip.convert("RGB"), (0, top))
    return flat


def _of_array(values: NDArray[Any], mode: str) -> Image.Image | Raw:
    """8 bits in the colour mode, or as they are."""
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if not values.size or values.ndim not in (2, 3) or values.shape[2:] not in ((), (3,), (4,)):
        shape = " × ".join(map(str, values.shape))
        raise DecodeError(
            f"an array of {shape} is no image: expected (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)"
        )
    if values.dtype == np.bool_:
        values = values * np.uint8(255)
    if values.dtype == np.uint8:
        return _convert(Image.fromarray(np.ascontiguousarray(values)), mode)
    if values.dtype == np.uint16:
        raw = Raw(values, bits=16, full=(0, 0xFFFF))
    elif values.dtype.kind == "f":
        raw = Raw(values.astype(np.float32) if values.dtype.itemsize < 4 else values, bits=32, full=(0, 1))
    else:
        raise DecodeError(
            f"an array of {values.dtype} is not read: expected bool, uint8, uint16 or real numbers"
        )
    if values.shape[2:] == (4,):
        raw = raw._replace(values=raw.values[..., :3], alpha=opacity(raw.values[..., 3], raw.full[1]))
    return raw


def _is_plain(raw: Raw) -> bool:
    """Whether the levels are shades of 8 bits already."""
    return raw.values.dtype == np.uint8 and raw.full == (0, 255) and not raw.voi and not raw.inverted


def _whole(image: Image.Image | Raw) -> Opened:
    """An image that is upright and not reduced."""
    width, height = image.size if isinstance(image, Image.Image) else image.values.shape[1::-1]
    return Opened(image, (width, height), (0, 0, width, height))
