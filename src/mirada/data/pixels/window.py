"""Which values become black and white: a window laid on an image before its depth is reduced.

A window is written as text, so that recipes, model files and the command line hold the same thing:

``auto``       what the file declares (DICOM), else ``full`` for 8 bits and colour, else ``0.5%..99.5%``
``full``       the range of the stored type: 0 … 255, 0 … 65,535 (whole numbers of 32 bits as well), −32,768 … 32,767
               with a sign, 0 … 1 for real numbers, DICOM's bits stored, a PGM's maxval
``file``       what the file declares (DICOM's VOI LUT or window), else its lowest and highest value
``1%..99%``    two percentiles of each image's own values
``-200..400``  two values in the file's own unit: stored levels, or Hounsfield units of a CT; levels of 1, 2 or 4 bits
               are widened to 0 … 255

A 12-bit X-ray in a 16-bit file uses a sixteenth of the type's range: by ``full`` it is all but black, and cut off at
8 bits it is all white. ``auto`` shows it.
"""

import math
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mirada.data.pixels.raw import DecodeError, Raw, Shades, Values, as_real
from mirada.errors import InvalidArgument

NUMBER = r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
NAMED: tuple[Literal["auto", "full", "file"], ...] = ("auto", "full", "file")
HIGHEST, NARROWEST = 1e30, 1e-30
RANGE = re.compile(rf"\s*({NUMBER})(%?)\s*\.\.\s*({NUMBER})(%?)\s*")


@dataclass(frozen=True)
class WindowRule:
    """A window as read from its text; ``low`` and ``high`` are percentiles or values."""

    rule: Literal["auto", "full", "file", "percentiles", "values"]
    low: float = 0.0
    high: float = 0.0


AUTO_PERCENTILES = WindowRule("percentiles", 0.5, 99.5)  # a label of lead and a few dead pixels fall outside


def parse(text: str) -> WindowRule:
    """Reads the text of a window. Raises ``InvalidArgument`` if it is none.

    >>> parse("1%..99%")
    WindowRule(rule='percentiles', low=1.0, high=99.0)
    """
    rule = next((rule for rule in NAMED if rule == text), None)
    if rule:
        return WindowRule(rule)
    if match := RANGE.fullmatch(text):
        low, high = float(match[1]), float(match[3])
        if not match[2] and not match[4] and low < high:
            _require_finite(text, low, high)
            return WindowRule("values", low, high)
        if match[2] and match[4] and 0 <= low < high <= 100:
            return WindowRule("percentiles", low, high)
    raise InvalidArgument(
        f'`window` must be "auto", "full", "file", two percentiles such as "1%..99%" or two values such as '
        f'"-200..400", the lower first. Got "{text}".'
    )


def _require_finite(text: str, low: float, high: float) -> None:
    """Beyond these bounds, a ramp of float32 would be infinite or have no slope."""
    if max(-low, high) > HIGHEST or high - low < NARROWEST:
        raise InvalidArgument(
            f"`window` must lie within ±{HIGHEST:g} and be at least {NARROWEST:g} wide, or no image shows anything. "
            f'Got "{text}".'
        )


def shades(raw: Raw, window: str) -> Shades:
    """An image's shades from 0 (black) to 1 (white), in the shape of ``raw.values``.

    (value − low) / (high − low), clipped to 0 … 1, and 1 minus that if the file stores white as its lowest value;
    then laid on white by its alpha.
    Infinite values are clipped as well; NaN, which stands for pixels without data, is black. An image of a single
    value is black by a window that it sets itself. Raises ``DecodeError`` if no pixel is a number, or by ``full`` if
    values lie outside of the type's range.
    """
    by = _resolved(raw, parse(window))
    own = raw.voi if by.rule == "file" else None
    result = own(raw.values) if own else _ramp(raw.values, *_range(raw, by))
    if raw.inverted:
        np.subtract(1, result, out=result)
    if raw.values.dtype.kind == "f":
        result[np.isnan(raw.values)] = 0
    return result if raw.alpha is None else _on_white(result, raw.alpha)


def own_white(raw: Raw) -> float:
    """The value that ``auto`` makes white where an image's own values say which it is; NaN elsewhere."""
    by = _resolved(raw, WindowRule("auto"))
    return _range(raw, by)[1] if by.rule == "percentiles" else math.nan


def _resolved(raw: Raw, window: WindowRule) -> WindowRule:
    """What ``auto`` means for this image; any other window itself."""
    if window.rule != "auto":
        return window
    if raw.voi:
        return WindowRule("file")
    colour_in_range = raw.values.ndim == 3 and _inside(raw)
    return WindowRule("full") if raw.bits <= 8 or colour_in_range else AUTO_PERCENTILES


def _range(raw: Raw, window: WindowRule) -> tuple[float, float]:
    """The values that become black and white."""
    if window.rule == "values":
        return window.low, window.high
    if window.rule == "full":
        _require_inside(raw)
        return raw.full
    ordered = np.sort(_numbers(raw), axis=None)
    if window.rule == "percentiles":
        low, high = (_percentile(ordered, percent) for percent in (window.low, window.high))
        if low < high:
            return low, high
    return float(ordered[0]), float(ordered[-1])  # also for what is small and bright on an empty ground


def _percentile(ordered: NDArray[np.generic], percent: float) -> float:
    """The smallest value that at least ``percent`` of all are not above."""
    rank = int(np.ceil(percent / 100 * len(ordered)))
    return float(ordered[max(rank - 1, 0)])


def _numbers(raw: Raw) -> Values:
    """The values that can be seen and are finite; in any shape."""
    values = raw.values
    if raw.alpha is not None and raw.alpha.any():
        values = values[raw.alpha > 0]
    if values.dtype.kind != "f":
        return values
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise DecodeError("none of its pixels is a number (all are NaN or infinite)")
    return finite


def _inside(raw: Raw) -> bool:
    values = _numbers(raw)
    return bool(values.min() >= raw.full[0] and values.max() <= raw.full[1])


def _require_inside(raw: Raw) -> None:
    if not _inside(raw):
        values = _numbers(raw)
        raise DecodeError(
            f"values from {values.min():,} to {values.max():,} are outside of the full range {raw.full[0]:,.12g} … "
            f"{raw.full[1]:,.12g}; another window, such as 0.5%..99.5%, can show them"
        )


def _on_white(shade: Shades, alpha: Shades) -> Shades:
    """1 − alpha · (1 − shade)."""
    if shade.ndim == 3:
        alpha = alpha[..., None]
    np.subtract(1, shade, out=shade)
    shade *= alpha
    return np.subtract(1, shade, out=shade)


def _ramp(values: Values, low: float, high: float) -> Shades:
    """(value − low) / (high − low) within 0 … 1; 0 throughout if both are the same."""
    result = as_real(values)
    result -= low
    result *= 1 / (high - low) if high > low else 0
    return np.clip(result, 0, 1, out=result).astype(np.float32, copy=False)
