"""One look at one image: all that ``check`` wants to know of a file, from decoding it once."""

import base64
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mirada.data.checks.near import dhash, thumbnail_values
from mirada.data.pixels.arrays import Array, digest, read_image, show_image
from mirada.data.pixels.decode import DecodeError, open_with_level, read_header
from mirada.errors import DataError

TAIL = 0.001  # the share of the pixels that may be darker than ``dark`` and lighter than ``light``
SIDE = 160  # pixels on the longer side of a thumbnail
# Pillow's modes of grey, by the type of an array
MODES = {"b1": "1", "u1": "L", "u2": "I;16", "f2": "F", "f4": "F", "f8": "F"}


class Inspection(NamedTuple):
    """What one image is, or the ``reason`` why it cannot be read.

    ``size`` is the upright (height, width); ``turned`` says that the file is stored otherwise and its EXIF
    orientation makes it upright. ``dark`` and ``light`` are grey values that all but a thousandth of the pixels lie
    between, ``brightness`` is the mean, ``flat`` says that all pixels are the same, ``coloured`` that some are not
    grey. ``level`` is the stored value that became white, NaN where that is not a matter of the image's own values.
    ``digest`` is a hash of the content, ``hash`` and ``thumb`` are those of ``data.checks.near``, (32 · 32) bytes.
    """

    path: str
    reason: str = ""
    size: tuple[int, int] = (0, 0)
    mode: str = ""
    format: str = ""
    bits: int = 8
    turned: bool = False
    flat: bool = False
    coloured: bool = False
    dark: int = 0
    light: int = 255
    brightness: float = 0.0
    level: float = float("nan")
    digest: str = ""
    hash: int = 0
    thumb: bytes = b""


class _Stored(NamedTuple):
    """How a file keeps its image; empty where the header says more than it can hold."""

    mode: str = ""
    format: str = ""
    bits: int = 8
    turned: bool = False


def inspect(root: Path, path: str) -> Inspection:
    """Reads and decodes an image once; never raises for a bad file."""
    try:
        content = read_image(root / path)
        upright, level = open_with_level(content)  # all of it: a truncated file only shows at its end
    except DataError as error:
        return Inspection(path, reason=str(error))
    stored = _of_array(content) if isinstance(content, np.ndarray) else _Stored()
    if isinstance(content, bytes):
        stored = _of_file(content)
    grey = upright.convert("L")
    counts = np.array(grey.histogram(), dtype=np.float64)
    shares = np.cumsum(counts) / counts.sum()
    return Inspection(
        path=path,
        size=(upright.height, upright.width),
        mode=stored.mode or upright.mode,
        format=stored.format,
        bits=stored.bits,
        turned=stored.turned,
        flat=not np.diff(upright.getextrema()).any(),  # (lowest, highest) of red, green and blue
        coloured=_is_coloured(upright),
        dark=int(np.searchsorted(shares, TAIL, side="right")),
        light=int(np.searchsorted(shares, 1 - TAIL)),
        brightness=float(counts @ np.arange(256) / counts.sum()),
        level=level,
        digest=digest(content),
        hash=dhash(grey),
        thumb=thumbnail_values(grey).tobytes(),
    )


def _of_file(content: bytes) -> _Stored:
    try:
        header = read_header(content)
    except DecodeError:  # the first image was decoded; what comes behind it may be damaged
        return _Stored()
    return _Stored(header.mode, header.format, header.bits, header.orientation != 1)


def _of_array(values: Array) -> _Stored:
    """Grey (H, W), or colour (H, W, 3), in the modes of files."""
    return _Stored(
        MODES.get(values.dtype.str[1:], "") if values.ndim == 2 else "", bits=8 * values.dtype.itemsize
    )


def _is_coloured(upright: Image.Image) -> bool:
    """Whether a picture is more than grey, at an eighth of its size: noise of a single pixel is no colour."""
    small = upright.resize((16, 16), Image.Resampling.BOX, reducing_gap=1.0)
    values = np.asarray(small, dtype=np.int16)
    return bool((values.max(axis=2) - values.min(axis=2)).max() > 8)


def preview(root: Path, path: str) -> str:
    """A JPEG of at most 160 pixels a side as a ``data:`` address, or nothing if the file cannot be read."""
    try:
        picture = show_image(read_image(root / path))
    except DataError:
        return ""
    picture.thumbnail((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=3.0)
    if max(picture.size) <= SIDE // 4:  # enlarged by whole numbers, so that its pixels can be seen
        times = SIDE // (2 * max(picture.size))
        picture = picture.resize((times * picture.width, times * picture.height), Image.Resampling.NEAREST)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
