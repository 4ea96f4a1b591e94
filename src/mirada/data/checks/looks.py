"""One look at one image: all that ``check`` wants to know of a file, from decoding it once."""

import base64
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from mirada.data.checks.near import dhash, thumbnail_values
from mirada.data.pixels.arrays import digest, read_image, show_image
from mirada.data.pixels.decode import DecodeError, read_header
from mirada.errors import DataError

TAIL = 0.001  # the share of the pixels that may be darker than ``dark`` and lighter than ``light``
PREVIEW = 160  # pixels on the longer side


class Look(NamedTuple):
    """What one image is, or the ``reason`` why it cannot be read.

    ``size`` is the upright (height, width); ``turned`` says that the file is stored otherwise and its EXIF
    orientation makes it upright. ``dark`` and ``light`` are grey values that all but a thousandth of the pixels lie
    between, ``flat`` says that all pixels are the same. ``digest`` is a hash of the content, ``hash`` and
    ``thumb`` are those of ``data.checks.near``, (32 · 32) bytes.
    """

    path: str
    reason: str = ""
    size: tuple[int, int] = (0, 0)
    mode: str = ""
    format: str = ""
    turned: bool = False
    flat: bool = False
    dark: int = 0
    light: int = 255
    digest: str = ""
    hash: int = 0
    thumb: bytes = b""


def look(root: Path, path: str) -> Look:
    """Reads and decodes an image once; never raises for a bad file."""
    try:
        content = read_image(root / path)
        upright = show_image(content)  # all of it: a truncated file only shows at its end
    except DataError as error:
        return Look(path, reason=str(error))
    mode, form, turned = _stored(content) if isinstance(content, bytes) else ("", "", False)
    grey = upright.convert("L")
    shares = np.cumsum(grey.histogram()) / (grey.width * grey.height)
    return Look(
        path=path,
        size=(upright.height, upright.width),
        mode=mode or upright.mode,
        format=form,
        turned=turned,
        flat=not np.diff(upright.getextrema()).any(),  # (lowest, highest) of red, green and blue
        dark=int(np.searchsorted(shares, TAIL, side="right")),
        light=int(np.searchsorted(shares, 1 - TAIL)),
        digest=digest(content),
        hash=dhash(grey),
        thumb=thumbnail_values(grey).tobytes(),
    )


def _stored(content: bytes) -> tuple[str, str, bool]:
    """Colour mode, format and whether it is turned by EXIF; empty where the header says more than it can hold."""
    try:
        header = read_header(content)
    except DecodeError:  # the first image was decoded; what comes behind it may be damaged
        return "", "", False
    return header.mode, header.format, header.orientation != 1


def preview(root: Path, path: str) -> str:
    """A JPEG of at most 160 pixels a side as a ``data:`` address, or nothing if the file cannot be read."""
    try:
        picture = show_image(read_image(root / path))
    except DataError:
        return ""
    picture.thumbnail((PREVIEW, PREVIEW), Image.Resampling.BOX, reducing_gap=3.0)
    if max(picture.size) <= PREVIEW // 4:  # enlarged by whole numbers, so that its pixels can be seen
        times = PREVIEW // (2 * max(picture.size))
        picture = picture.resize((times * picture.width, times * picture.height), Image.Resampling.NEAREST)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
