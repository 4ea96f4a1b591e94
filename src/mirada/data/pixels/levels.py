"""What Pillow's pixels are in their file: how many bits, from which level to which, with or without a sign.

To show an image, Pillow scales, inverts and cuts off what is stored until it fits one of its few colour modes. A
window is laid on the stored levels, so they are asked of Pillow where it can give them, and worked out where it
cannot. Levels of 1, 2 or 4 bits stay as Pillow widens them, 0 … 255.
"""

import io
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    PHOTOMETRIC_INTERPRETATION,
    SAMPLEFORMAT,
    SAMPLESPERPIXEL,
    ImageFileDirectory_v2,
    TiffImageFile,
)

from mirada.data.pixels.raw import DecodeError, Raw, Values, opacity, require_size

GREY_ALPHA = "LA;16B"  # Pillow's name of a PNG's 16-bit grey with alpha
DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")  # Pillow's of grey that is deeper than 8 bits
TILE_WIDTH, TILE_HEIGHT = 322, 323  # tags of a TIFF
GREY_MODES = ("1", "L", *DEEP_MODES)
PLANES = tuple("RGBACMYKL")  # Pillow's names of what has one colour
SCALING = ("ppm", "ppm_plain")  # Pillow's decoders that stretch a PPM's levels to 8 or 16 bits
# What Pillow 13 calls big-endian although libtiff has put it in the machine's order, and what it should be called.
SWAPPED = {"I;16BS": "I;16NS", "I;32BS": "I;32NS", "F;32BF": "F;32NF"}
TIFF_MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
TIFF_KINDS = {1: "whole numbers", 2: "signed whole numbers", 3: "real numbers", 5: "complex numbers",
              6: "complex numbers"}  # fmt: skip
ODD_TIFF = "a TIFF that is damaged, or of an unusual kind (its tags make no sense or are not known)"


class Levels(NamedTuple):
    """How a file stores its pixels; ``bits`` per channel, as far as they are read.

    ``full`` is the lowest and the highest level, and ``inverted`` says that the lowest is white. ``with_alpha``: each
    pixel is 16 bits of grey and 16 of alpha, which Pillow hands over as four bytes.
    """

    bits: int = 8
    full: tuple[float, float] = (0, 255)
    inverted: bool = False
    signed: bool = False
    with_alpha: bool = False

    def deep(self, image: Image.Image) -> bool:
        """Whether the image is more than 8-bit shades to Pillow as well."""
        return self.with_alpha or image.mode in DEEP_MODES


EIGHT = Levels()
SIXTEEN = Levels(16, (0, 0xFFFF))
UPPER_EIGHT = Levels(8, (0, 0xFFFF))  # all that Pillow gives of deeper colours


def levels_of(image: ImageFile) -> Levels:
    """The levels of an image that is not yet loaded."""
    if isinstance(image, TiffImageFile):
        return _of_tiff(image)
    if image.mode == "F":
        return Levels(32, (0, 1))
    if image.mode == "1":
        return Levels(bits=1)
    codec, how = _decoder(image)
    if codec in SCALING:
        return Levels(16 if image.mode == "I" else 8, (0, how[-1]))
    if image.mode in DEEP_MODES:
        return SIXTEEN
    if image.format == "PNG" and str(how).endswith(";16B"):
        # the frames of an animation are laid on one another by Pillow
        whole = how == GREY_ALPHA and not getattr(image, "is_animated", False)
        return SIXTEEN._replace(with_alpha=True) if whole else UPPER_EIGHT
    return EIGHT


def keep_depth(image: ImageFile, levels: Levels) -> None:
    """Before it is loaded: has Pillow hand over what it would otherwise cut off, scale or take in the wrong order."""
    codec, how = _decoder(image)
    if codec == "raw" and isinstance(image, TiffImageFile) and how[0] in PLANES:
        image.tile = [tile._replace(args=_plane(image, tile.args)) for tile in image.tile]
        return
    if levels.with_alpha:
        how = "RGBA"
    elif codec == "ppm" and image.mode == "I":
        codec, how = "raw", ("I;16B", 0, 1)
    elif codec == "ppm_plain" and image.mode == "I":  # written as decimal digits
        how = ("I", 0xFFFF)
    elif codec == "libtiff" and how[0] in SWAPPED:
        how = (SWAPPED[how[0]], *how[1:])
    else:
        return
    image.tile = [image.tile[0]._replace(codec_name=codec, args=how)]


def _plane(image: TiffImageFile, how: Any) -> tuple[Any, ...]:
    """What Pillow's decoder is told of a TIFF's plane of one colour: of 16 bits, it would take each byte for a pixel.

    Raises ``DecodeError`` for CIELAB, of whose a and b Pillow forgets the sign.
    """
    if image.mode == "LAB":
        raise DecodeError("a TIFF of CIELAB colours plane by plane is not read; save it as 8-bit RGB")
    order = "B" if image.tag_v2.prefix == b"MM" else "L"
    deep = image.tag_v2.get(BITSPERSAMPLE, (1,))[0] == 16
    return (f"{how[0]};16{order}" if deep else how[0], *how[1:])


def deep_values(image: Image.Image, levels: Levels) -> Raw:
    """What is deeper than 8 bits, as it is stored."""
    values: Values = np.asarray(image)
    if levels.with_alpha:
        grey, alpha = np.moveaxis(values.view(">u2"), -1, 0).astype(np.uint16)
        return Raw(grey, levels.bits, levels.full, alpha=opacity(alpha, 0xFFFF))
    if image.mode == "I":  # 32 bits with a sign, whatever the file has
        kind = np.dtype(f"{'i' if levels.signed else 'u'}{4 if levels.bits > 16 else 2}")
        values = values.view(kind) if kind.itemsize == 4 else values.astype(kind)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    return Raw(values, levels.bits, levels.full, inverted=levels.inverted)


def shown(image: Image.Image, levels: Levels) -> Image.Image:
    """Shades of 8 bits; of levels with a sign, which Pillow takes for others, the lowest becomes black."""
    return image.point([level ^ 0x80 for level in range(256)]) if levels.signed else image


def raw_of(image: Image.Image, levels: Levels = EIGHT) -> Raw:
    """An image of 8-bit shades in the levels of its file, for a window to be laid on."""
    shades = np.asarray(image)
    if levels.full == EIGHT.full and not levels.inverted:
        return Raw(shades, EIGHT.bits, EIGHT.full)
    table = np.rint(np.linspace(*levels.full, 256)).astype(np.int16 if levels.signed else np.uint16)
    if levels.inverted:
        table = table[::-1]
    return Raw(table[shades], EIGHT.bits, levels.full, inverted=levels.inverted)


def require_small_tiles(image: ImageFile) -> None:
    """Raises ``DecodeError`` for a TIFF of tiles that take too much memory, each of which is unpacked as a whole."""
    tags = getattr(image, "tag_v2", {})
    if TILE_WIDTH in tags and TILE_HEIGHT in tags:
        require_size(int(tags[TILE_HEIGHT]), int(tags[TILE_WIDTH]))


def unread_tiff(data: bytes) -> str | None:
    """What a TIFF is that Pillow does not open, and as what to save it; nothing if it is none."""
    if not data.startswith(TIFF_MARKS):
        return None
    try:
        tags = ImageFileDirectory_v2(data[:16] if b"+" in data[:4] else data[:8])
        stream = io.BytesIO(data)
        stream.seek(tags.next)
        tags.load(stream)
        bits, samples = int(tags[BITSPERSAMPLE][0]), int(tags.get(SAMPLESPERPIXEL, 1))
        kind = TIFF_KINDS[tags.get(SAMPLEFORMAT, (1,))[0]]
    except Exception:  # a damaged one may raise nearly anything
        return ODD_TIFF
    if bits <= 8:
        return ODD_TIFF
    stored = f"{'big-endian ' if data[:1] == b'M' else ''}{f'{samples} × ' if samples > 1 else ''}{bits}-bit {kind}"
    wanted = "32-bit real numbers" if samples == 1 else "8-bit RGB"
    return f"a TIFF of {stored} is not read; save it as {wanted}"


def _decoder(image: ImageFile) -> tuple[str, Any]:
    """Pillow's decoder of the pixels and what it is told; nothing where the format has none that can be told."""
    return (image.tile[0].codec_name, image.tile[0].args) if image.tile else ("", None)


def _of_tiff(image: TiffImageFile) -> Levels:
    """By its tags; of what has up to 8 bits, Pillow inverts that whose 0 is white, or that does not say."""
    tags = image.tag_v2
    bits, signed = tags.get(BITSPERSAMPLE, (1,))[0], tags.get(SAMPLEFORMAT, (1,))[0] == 2
    photometric = tags.get(PHOTOMETRIC_INTERPRETATION, 1 if image.mode in DEEP_MODES else 0)
    inverted = image.mode in GREY_MODES and photometric == 0
    if image.mode == "F":
        return Levels(32, (0, 1), inverted)
    if image.mode not in DEEP_MODES:
        if bits > 8:
            return UPPER_EIGHT
        return Levels(1 if image.mode == "1" else 8, (-128, 127) if signed else (0, 255), inverted, signed)
    if bits > 16:
        return Levels(bits, (0, 0xFFFF), inverted, signed)
    lowest = -(2 ** (bits - 1)) if signed else 0
    return Levels(bits, (lowest, lowest + 2**bits - 1), inverted, signed)
