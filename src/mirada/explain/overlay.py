"""From a map on a photo's pixels to a picture: in colour, over the photo, with a colour bar.

NumPy and Pillow only. Every picture is uint8, (H, W, 3). Colours are signed and on one scale: blue lowers the
output, red raises it, and where the map is 0 the photo shows through untouched by either.
"""

import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mirada.errors import InvalidArgument

Picture = NDArray[np.uint8]
Grid = NDArray[np.float32]


# ---- colour ----------------------------------------------------------------------------------

# The colour of each sign at three strengths of evidence. CIE lightness falls 75, 61, 48 in both arms, so
# neither sign looks stronger than the other, and both grow more saturated. At strength 0 they are not seen.
STRENGTH = (0.0, 0.5, 1.0)
RAISES = ((252, 161, 138), (252, 95, 62), (227, 18, 26))
LOWERS = ((123, 191, 251), (45, 151, 248), (27, 108, 233))
OPACITY = 0.78  # at full strength: the photo can still be read under it
SATURATION = 0.25  # of the photo, so that only the evidence is in full colour
BRIGHTNESS = 0.88
UNSEEN = 0.3  # brightness of what the network did not see, beside what it saw

_STEPS = 255  # levels per sign


def limit_of(maps: Grid) -> float:
    """The end of a colour scale that holds all of ``maps``: the largest |value|, or 1 if all are 0 or NaN."""
    finite = np.abs(maps[np.isfinite(maps)].astype(np.float32))  # of 8 bits, |−128| is −128
    return float(finite.max(initial=0.0)) or 1.0


def overlay(photo: Picture, heat: Grid, limit: float) -> Picture:
    """The photo with a signed map over it: −limit blue, 0 clear, +limit red; NaN is darkened photo.

    ``photo`` is (H, W, 3) uint8 and ``heat`` (H, W), as ``resize_to_photo`` makes it. Opacity grows in proportion to
    |value| / limit; values beyond the limit look like the limit. The photo loses some colour and brightness,
    the same everywhere, so that the evidence stands out.

    Raises ``InvalidArgument`` if the shapes do not match or the limit is not a positive number.
    """
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8 or photo.shape[:2] != heat.shape:
        raise InvalidArgument(
            "`photo` must be (H, W, 3) uint8 and `heat` (H, W) of the same size. "
            f"Got {photo.shape} {photo.dtype} and {heat.shape}."
        )
    _check_limit(limit)
    colours, opacities = _table()
    level = np.clip(heat / np.float32(limit), -1, 1) * _STEPS + _STEPS
    index = np.where(np.isnan(level), 2 * _STEPS + 1, np.rint(level)).astype(np.int16)
    keep, added = (1 - opacities)[index], colours * opacities[:, None]
    grey = photo @ np.array([0.299, 0.587, 0.114], dtype=np.float32)  # luma, ITU-R BT.601
    picture = np.empty_like(photo)
    for channel in range(3):  # one at a time: a large photo in float32 is large
        quiet = BRIGHTNESS * (grey + SATURATION * (photo[..., channel] - grey))
        picture[..., channel] = np.rint(quiet * keep + added[:, channel][index])
    return picture


def tinted(heat: Grid, limit: float) -> Image.Image:
    """The map alone, to be laid over its photo by whoever shows it: the colours of ``overlay``, with their opacity.

    Args:
        heat: (H, W), as ``resize_to_photo`` makes it; NaN is a dark veil.
        limit: The end of the colour scale.

    Returns:
        An image with a palette, and in ``info`` the opacity of its colours, as PNG takes them.

    Raises:
        InvalidArgument: The limit is not a positive number.
    """
    _check_limit(limit)
    colours, opacities = _table()
    # Every fifth level is enough to the eye, and the middle one, at which nothing is drawn, is one of them.
    every = np.append(np.arange(0, 2 * _STEPS + 1, 5), 2 * _STEPS + 1)
    level = np.rint((np.clip(heat / np.float32(limit), -1, 1) + 1) * _STEPS / 5)
    image = Image.fromarray(np.where(np.isnan(level), len(every) - 1, level).astype(np.uint8), "P")
    image.putpalette(np.rint(colours[every]).astype(np.uint8).tobytes())
    image.info["transparency"] = np.rint(255 * opacities[every]).astype(np.uint8).tobytes()
    return image


def _check_limit(limit: float) -> None:
    if not np.isfinite(limit) or limit <= 0:
        raise InvalidArgument(f"`limit` of a colour scale must be a number above 0. Got {limit!r}.")


@cache
def _table() -> tuple[Grid, Grid]:
    """Colour (n, 3) and opacity (n,) of each level, −limit to +limit, and last those of NaN: a dark veil."""
    level = np.linspace(-1, 1, 2 * _STEPS + 1)
    arms = [
        np.stack([np.interp(np.abs(level), STRENGTH, channel) for channel in zip(*arm, strict=True)], axis=1)
        for arm in (LOWERS, RAISES)
    ]
    colours = np.where(level[:, None] < 0, *arms)
    opacities = OPACITY * np.abs(level)
    return (
        np.vstack([colours, np.zeros(3)]).astype(np.float32),
        np.append(opacities, 1 - UNSEEN).astype(np.float32),
    )


# ---- colour bar ------------------------------------------------------------------------------

ENOUGH, MOST = (
    224,
    396,
)  # pixels: less wide pictures are enlarged; from MOST on the letters grow with the width
MIN_WIDTH = 64  # pixels: three digits and a sign at the smallest legible size
_PAPER, _INK = (255, 255, 255), (30, 30, 30)
_GROUND = 225  # the grey "photo" under the bar
_MINUS = "−"  # drawn as a line as long as a plus, since Pillow's own font has a hyphen alone
# Pillow's own font draws ASCII and these; other signs get a stand-in, or lose their accent, or become "?".
_GLYPHS = {chr(code) for code in range(32, 127)} | set("©«°±·»‘’“”‹›⁄") | {_MINUS}
_STAND_INS = str.maketrans({"–": "-", "—": "-", "×": "x", "→": "->", "µ": "u", "μ": "u", "ß": "ss"})


def colour_bar(limit: float, unit: str = "", *, width: int) -> Picture:
    """The scale of ``overlay`` from −limit over 0 to +limit, labelled, ``width`` pixels wide on white.

    The colours lie over light grey. The height follows from the text, which grows with the width. Where both
    numbers with the unit do not fit side by side, the unit goes below; where the numbers alone do not, one
    "±limit" stands for both.

    Raises ``InvalidArgument`` if the limit is not a positive number or the width is below 64.
    """
    if width < MIN_WIDTH:
        raise InvalidArgument(f"`width` of a colour bar must be at least {MIN_WIDTH} pixels. Got {width}.")
    type_ = _Type.for_width(width)
    line, margin, inner = type_.line, type_.margin, width - 2 * type_.margin
    ends, below = _labels(limit, _drawable(unit), type_, inner)
    ramp = np.tile(np.linspace(-limit, limit, inner, dtype=np.float32), (line, 1))
    strip = overlay(np.full((line, inner, 3), _GROUND, dtype=np.uint8), ramp, limit)

    top = margin + line + line // 4  # of the text
    canvas = Image.new("RGB", (width, top + line * (bool(ends) + len(below)) + margin), _PAPER)
    canvas.paste(Image.fromarray(strip), (margin, margin))
    draw = ImageDraw.Draw(canvas)
    for x, share, text in zip((margin, width / 2, width - margin), (0, 0.5, 1), ends, strict=False):
        type_.write(draw, (x - share * type_.length(text), top), text)
    for row, text in enumerate(below, start=bool(ends)):
        type_.write(draw, (width / 2 - type_.length(text) / 2, top + row * line), text)
    return np.asarray(canvas)


def with_colour_bar(picture: Picture, limit: float, unit: str = "", *, caption: str = "") -> Picture:
    """The picture with its colour bar below and, below that, the caption, broken into lines that fit.

    A picture narrower than 64 pixels gets white at both sides, so that the numbers can be read.

    Raises ``InvalidArgument`` if the limit is not a positive number.
    """
    missing = max(0, MIN_WIDTH - picture.shape[1])
    sides = (missing // 2, missing - missing // 2)
    width = picture.shape[1] + missing
    parts = [
        np.pad(picture, ((0, 0), sides, (0, 0)), constant_values=255),
        colour_bar(limit, unit, width=width),
    ]
    if caption:
        parts.append(caption_of(caption, width=width))
    return np.concatenate(parts)


def caption_of(text: str, *, width: int) -> Picture:
    """A text on white, broken into lines that fit: ``width`` pixels wide, as high as it takes."""
    type_ = _Type.for_width(width)
    rows = _wrap(_drawable(text), type_, width - 2 * type_.margin)
    canvas = Image.new("RGB", (width, type_.line * len(rows) + type_.margin), _PAPER)
    draw = ImageDraw.Draw(canvas)
    for row, line in enumerate(rows):
        type_.write(draw, (type_.margin, row * type_.line), line)
    return np.asarray(canvas)


def enlarged(picture: Picture, *texts: str) -> Picture:
    """The picture, each pixel repeated where it is too small for what stands under it.

    Args:
        picture: (H, W, 3) uint8.
        texts: What stands under it: no word of theirs is to be broken.

    Returns:
        (f·H, f·W, 3) with a whole factor f ≥ 1.
    """
    type_ = _Type.for_width(0)  # the smallest
    words = [word for text in texts for word in _drawable(text).split()]
    longest = max(map(type_.length, words), default=0) + 2 * type_.margin + 1
    factor = -(-int(min(max(longest, ENOUGH), MOST)) // picture.shape[1])
    return picture.repeat(max(1, factor), axis=0).repeat(max(1, factor), axis=1)


def _labels(limit: float, unit: str, type_: "_Type", width: int) -> tuple[tuple[str, ...], list[str]]:
    """What stands at the left end, middle and right end of the bar, and in the lines below it."""
    number = _number(limit)
    with_unit = f"{number} {unit}".strip()
    gap = type_.length("000")
    if type_.length(f"+{with_unit}") < width / 2 - gap:
        return (f"{_MINUS}{with_unit}", "0", f"+{with_unit}"), []
    if type_.length(f"+{number}") < width / 2 - gap:
        return (f"{_MINUS}{number}", "0", f"+{number}"), _wrap(unit, type_, width)
    return (), _wrap(f"±{with_unit}", type_, width)


@dataclass(frozen=True, eq=False)
class _Type:
    """Pillow's own font at one size, with the minus sign that it lacks and spaces that one can see.

    ``line`` is the height of a line and ``margin`` what stays free beside it, in pixels.
    """

    font: ImageFont.FreeTypeFont
    line: int
    margin: int

    @staticmethod
    def for_width(width: int) -> "_Type":
        """A size that stays legible where a picture of this width is shown smaller."""
        return _type_of(max(11, round(width / 36)))

    @lru_cache(maxsize=4096)  # noqa: B019, the sizes are few and kept; of a thousand pictures the words are the same
    def length(self, text: str) -> float:
        """Pixels from end to end."""
        return self.font.getlength(self._spaced(text).replace(_MINUS, "+"))

    def write(self, draw: ImageDraw.ImageDraw, corner: tuple[float, float], text: str) -> None:
        """Draws one line from its upper left corner on."""
        x, y = corner
        left, top, right, bottom = self.font.getbbox("+")
        thickness = max(1, self.line // 14)
        for number, piece in enumerate(self._spaced(text).split(_MINUS)):
            if number:
                middle = round(y + (top + bottom - thickness) / 2)
                draw.rectangle((x + left + 1, middle, x + right - 2, middle + thickness - 1), fill=_INK)
                x += self.font.getlength("+")
            draw.text((x, y), piece, _INK, self.font, anchor="la")
            x += self.font.getlength(piece)

    def _spaced(self, text: str) -> str:
        return text.replace(" ", "  ")  # the font's space is a sixth of its size


@cache
def _type_of(size: int) -> _Type:
    """Of letters so many pixels high."""
    line = round(1.3 * size)
    return _Type(cast(ImageFont.FreeTypeFont, ImageFont.load_default(size)), line, line // 2)


def _number(value: float) -> str:
    """Three significant digits and no digit before the point lost; powers of ten for extremes."""
    if not 1e-3 <= value < 1e6:
        return f"{value:.2e}".replace("-", _MINUS)
    return f"{value:.{max(0, 2 - int(np.floor(np.log10(value))))}f}"


def _drawable(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.translate(_STAND_INS))
    bare = (sign for sign in plain if not unicodedata.combining(sign))
    return "".join(sign if sign in _GLYPHS else "?" for sign in bare)


def _wrap(text: str, type_: _Type, width: int) -> list[str]:
    """Lines of whole words no wider than ``width``; a word that is wider alone is cut."""
    lines: list[str] = []
    for word in text.split():
        if lines and type_.length(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
            continue
        lines.append(word)
        while (cut := _fitting(lines[-1], type_, width)) < len(lines[-1]):
            lines[-1:] = [lines[-1][:cut], lines[-1][cut:]]
    return lines


def _fitting(word: str, type_: _Type, width: int) -> int:
    """How many letters of a word are no wider than ``width``; at least one."""
    if type_.length(word) <= width:
        return len(word)
    return max(1, next(n for n in range(1, len(word)) if type_.length(word[: n + 1]) > width))
