"""One look at one image: all that ``check`` wants to know of a file, from decoding it once."""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mirada.data.checks.near import dhash, thumbnail_values
from mirada.data.pixels.arrays import Array, digest, read_image, show_image
from mirada.data.pixels.decode import DecodeError, open_with_level, read_header
from mirada.data.pixels.inline import jpeg_uri
from mirada.errors import DataError

NO_JPEG = 101.0  # in place of the quality of what is not a JPEG
STANDARD_TABLE = 3688  # the sum of the luminance steps of quality 50 (ITU-T T.81, Table K.1)
DETAIL_SIDE = 256  # pixels, of the middle of a picture, in which sharpness is measured
COLOURED = 8  # grey values between the channels of a coloured place
RIM_SIDE, RIM = 64, 8  # the rim: of a picture of 64 × 64 cells the outermost 8
TAIL = 0.001  # the share of the pixels that may be darker than ``dark`` and lighter than ``light``
SIDE = 160  # pixels on the longer side of a thumbnail
_CELLS = np.ones((RIM_SIDE, RIM_SIDE), dtype=np.bool_)
_CELLS[RIM:-RIM, RIM:-RIM] = False
RIM_CELLS = np.flatnonzero(_CELLS)  # the places of its values
# Pillow's modes of grey, by the type of an array
MODES = {"b1": "1", "u1": "L", "u2": "I;16", "f2": "F", "f4": "F", "f8": "F"}


class Inspection(NamedTuple):
    """What one image is, or the ``reason`` why it cannot be read.

    ``size`` is the upright (height, width); ``turned`` says that the file is stored otherwise and its EXIF
    orientation makes it upright. ``dark`` and ``light`` are grey values that all but a thousandth of the pixels lie
    between, ``brightness`` is the mean, ``flat`` says that all pixels are the same, ``coloured`` that some are not
    grey. ``level`` is the stored value that became white, NaN where that is not a matter of the image's own values.
    ``length`` is that of the file in bytes, ``quality`` libjpeg's of a JPEG. ``contrast`` is the standard deviation of
    the grey values, ``rgb`` the mean colour. ``sharpness`` says how much finer detail there is than coarser, ``grain``
    how uneven the even parts are. ``digest`` is a hash of the content, ``hash`` and ``thumb`` are those of
    ``data.checks.near``, (32 · 32) bytes. ``rim`` is the outermost eighth at 64 × 64 cells, the cells of ``RIM_CELLS``,
    and ``inside`` the median of as broad a band just inside it.
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
    contrast: float = 0.0
    rgb: tuple[float, float, float] = (0.0, 0.0, 0.0)
    sharpness: float = 0.0
    grain: float = 0.0
    length: int = 0
    quality: float = NO_JPEG
    level: float = float("nan")
    digest: str = ""
    hash: int = 0
    thumb: bytes = b""
    rim: bytes = b""
    inside: int = 0


class _Stored(NamedTuple):
    """How a file keeps its image; empty where the header says more than it can hold."""

    mode: str = ""
    format: str = ""
    bits: int = 8
    turned: bool = False
    quality: float = NO_JPEG


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
    brightness = float(counts @ np.arange(256) / counts.sum())
    colours = _colours(upright)
    sharpness, grain = _detail(grey)
    rim, inside = _rim(grey)
    return Inspection(
        path=path,
        size=(upright.height, upright.width),
        mode=stored.mode or upright.mode,
        format=stored.format,
        bits=stored.bits,
        turned=stored.turned,
        flat=not np.diff(upright.getextrema()).any(),  # (lowest, highest) of red, green and blue
        coloured=bool(np.ptp(colours, axis=2).max() > COLOURED),
        dark=int(np.searchsorted(shares, TAIL, side="right")),
        light=int(np.searchsorted(shares, 1 - TAIL)),
        brightness=brightness,
        contrast=float(np.sqrt(counts @ (np.arange(256) - brightness) ** 2 / counts.sum())),
        rgb=tuple(colours.mean(axis=(0, 1)).tolist()),
        sharpness=sharpness,
        grain=grain,
        length=content.nbytes if isinstance(content, np.ndarray) else len(content),
        quality=stored.quality,
        level=level,
        digest=digest(content),
        hash=dhash(grey),
        thumb=thumbnail_values(grey).tobytes(),
        rim=rim,
        inside=inside,
    )


def _of_file(content: bytes) -> _Stored:
    try:
        header = read_header(content)
    except DecodeError:  # the first image was decoded; what comes behind it may be damaged
        return _Stored()
    quality = _quality(content) if header.format == "JPEG" else NO_JPEG
    return _Stored(header.mode, header.format, header.bits, header.orientation != 1, quality)


def _quality(content: bytes) -> float:
    """libjpeg's quality, 1 to 100, as far as the sum of the steps of the first table tells it."""
    with Image.open(io.BytesIO(content)) as image:
        tables = getattr(image, "quantization", {})
    if not tables:
        return NO_JPEG
    scale = 100 * float(sum(tables[min(tables)])) / STANDARD_TABLE
    return float(round(100 - scale / 2 if scale <= 100 else 5000 / scale))


def _of_array(values: Array) -> _Stored:
    """Grey (H, W), or colour (H, W, 3), in the modes of files."""
    return _Stored(
        MODES.get(values.dtype.str[1:], "") if values.ndim == 2 else "", bits=8 * values.dtype.itemsize
    )


def _colours(upright: Image.Image) -> NDArray[np.int16]:
    """(16, 16, 3) means: noise of a single pixel is no colour."""
    small = upright.resize((16, 16), Image.Resampling.BOX, reducing_gap=1.0)
    return np.asarray(small, dtype=np.int16)


def _detail(grey: Image.Image) -> tuple[float, float]:
    """Sharpness and grain, as logarithms, from the Laplacian of the middle of a picture.

    Sharpness is its root mean square at full size by that at half size: more outlines raise both alike, so that a
    picture of many is no sharper, and blur lowers the first alone. Grain is the median of its amount: that of the even
    parts, which compression and smoothing take away.
    """
    width, height = grey.size
    left, top = max(width - DETAIL_SIDE, 0) // 2, max(height - DETAIL_SIDE, 0) // 2
    middle = grey.crop((left, top, min(width, left + DETAIL_SIDE), min(height, top + DETAIL_SIDE)))
    fine = np.asarray(middle, dtype=np.float32)
    height, width = (side // 2 * 2 for side in fine.shape)
    if min(height, width) < 6:
        return 0.0, 0.0
    coarse = fine[:height, :width].reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
    first, second = _laplacian(fine), _laplacian(coarse)
    sharpness = np.log((np.sqrt(np.mean(first**2)) + 0.1) / (np.sqrt(np.mean(second**2)) + 0.1))
    return float(sharpness), float(np.log(np.median(first) + 0.25))


def _laplacian(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """|4 v − left − right − above − below| of all inner pixels."""
    around = values[:-2, 1:-1] + values[2:, 1:-1] + values[1:-1, :-2] + values[1:-1, 2:]
    return np.abs(4 * values[1:-1, 1:-1] - around)


def _rim(grey: Image.Image) -> tuple[bytes, int]:
    """The rim's values in order, and the median of the band inside it."""
    values = np.asarray(grey.resize((RIM_SIDE, RIM_SIDE), Image.Resampling.BOX, reducing_gap=3.0))
    inner = values[RIM:-RIM, RIM:-RIM]
    band = np.ones(inner.shape, dtype=np.bool_)
    band[RIM:-RIM, RIM:-RIM] = False
    return values.ravel()[RIM_CELLS].tobytes(), int(np.median(inner[band]))


def preview(root: Path, path: str) -> str:
    """A JPEG of at most 160 pixels a side as a ``data:`` address, or nothing if the file cannot be read."""
    try:
        picture = show_image(read_image(root / path))
    except DataError:
        return ""
    return jpeg_uri(small_picture(picture, SIDE), quality=80)


def small_picture(picture: Image.Image, side: int) -> Image.Image:
    """A picture of at most ``side`` pixels on its longer side; a tiny one is enlarged, to see its pixels."""
    picture.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=3.0)
    if max(picture.size) > side // 4:
        return picture
    times = side // (2 * max(picture.size))
    return picture.resize((times * picture.width, times * picture.height), Image.Resampling.NEAREST)
