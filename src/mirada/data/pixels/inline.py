"""Pictures as ``data:`` addresses, for pages that need no other file."""

import base64
import io

from PIL import Image


def jpeg_uri(picture: Image.Image, quality: int) -> str:
    """The picture as a JPEG of this quality."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return _uri("jpeg", stream)


def png_uri(picture: Image.Image) -> str:
    """The picture as it is, transparency included."""
    stream = io.BytesIO()
    picture.save(stream, "PNG", optimize=True)
    return _uri("png", stream)


def _uri(kind: str, stream: io.BytesIO) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
