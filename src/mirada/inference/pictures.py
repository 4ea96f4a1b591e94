"""Images as a caller has them: files, the bytes of files, arrays, Pillow images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from mirada.data.pixels.arrays import read_image
from mirada.data.pixels.decode import DecodeError, Encoded
from mirada.errors import InvalidArgument

# Arrays are (H, W), (H, W, 1), (H, W, 3) or, with alpha, (H, W, 4), of bool, uint8, uint16 or real numbers 0 … 1.
Picture = str | Path | bytes | NDArray[np.generic] | Image.Image

AS_THEY_ARE = ("L", "RGB", "RGBA", "I;16")  # Pillow's modes whose arrays say all there is


def named(pictures: Sequence[Picture]) -> list[str]:
    """What to call each image: the path of a file; ``image 0``, ``image 1``, … by its place for what has no name.

    Raises ``InvalidArgument`` for a single image in place of a list, and for what is no image.
    """
    if isinstance(pictures, str | Path | bytes | Image.Image):
        shown = f'the name of one, "{pictures}"' if isinstance(pictures, str | Path) else "a single one"
        raise InvalidArgument(f"Expected a list of images. Got {shown}; put it in [ ].")
    return [_name(picture, number) for number, picture in enumerate(pictures)]


def read_picture(picture: Picture) -> Encoded | NDArray[np.generic]:
    """The bytes of a file, or an array of pixels. Raises ``DecodeError`` for what cannot be read."""
    if isinstance(picture, str | Path):
        return read_image(Path(picture))
    if isinstance(picture, Image.Image):
        return _pixels(picture)
    return picture


def _name(picture: Picture, number: int) -> str:
    if isinstance(picture, str | Path):
        return str(picture)
    if isinstance(picture, bytes | np.ndarray | Image.Image):
        return f"image {number}"
    kind = f"{type(picture).__module__}.{type(picture).__name__}"
    raise InvalidArgument(
        f"Image {number} is neither a path, bytes, a NumPy array (H, W, C) nor a Pillow image. Got {kind}."
    )


def _pixels(picture: Image.Image) -> NDArray[np.generic]:
    """The array of a Pillow image, upright."""
    try:
        upright = ImageOps.exif_transpose(picture)
        if upright.mode not in AS_THEY_ARE:
            upright = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
        return np.asarray(upright)
    except (OSError, ValueError, SyntaxError) as error:
        raise DecodeError(f"cannot be decoded ({error})") from error
