"""What a diagram is drawn with: boxes, lines and texts, and pictures made of them that can be moved."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mirada.summary.rules import Shape

# Widths of letters in parts of their size, those of the widest common font (DejaVu Sans).
LETTERS = (("ijlI.,:;'|! ·/", 0.34), ("ftr()[]-_", 0.5), ("0123456789", 0.64), ("mMW…", 1.0), ("w×+−÷", 0.84))
SKIP = "flow skip"  # the kind of a line that runs past boxes
SMALL_LETTER, CAPITAL, OTHER = 0.64, 0.79, 1.0
BOLD = 1.12


@dataclass(frozen=True)
class Rect:
    """A box with centered lines of text, the one at ``strong`` large, and what shows under the pointer."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...] = ()
    strong: int = 0
    tip: str = ""

    def shifted(self, x: float, y: float) -> "Rect":
        """It, elsewhere."""
        return replace(self, x=self.x + x, y=self.y + y)


@dataclass(frozen=True)
class Path:
    """A line through points, its corners rounded, with a head at its end if it is an arrow."""

    kind: str
    points: tuple[tuple[float, float], ...]
    arrow: bool = False

    def shifted(self, x: float, y: float) -> "Path":
        """It, elsewhere."""
        return replace(self, points=tuple((across + x, down + y) for across, down in self.points))


@dataclass(frozen=True)
class Text:
    """A text whose baseline begins at (x, y), or ends there where its kind says so."""

    kind: str
    x: float
    y: float
    text: str

    def shifted(self, x: float, y: float) -> "Text":
        """It, elsewhere."""
        return replace(self, x=self.x + x, y=self.y + y)


Mark = Rect | Path | Text


@dataclass(frozen=True)
class Exit:
    """Where a line leaves a picture at its bottom, and the shape of what it carries, or none to be written."""

    x: float = 0.0
    shape: Shape = ()


@dataclass(frozen=True)
class Picture:
    """Marks around a vertical axis, x = 0, from y = 0 down to ``height``; ``left`` and ``right`` are widths.

    The line that leads to a picture ends at (0, 0), with a head if a box stands there (``arrow``).
    """

    left: float
    right: float
    height: float
    marks: tuple[Mark, ...]
    exits: tuple[Exit, ...] = (Exit(),)
    arrow: bool = True

    def at(self, x: float, y: float) -> tuple[Mark, ...]:
        """The marks, moved."""
        return tuple(mark.shifted(x, y) for mark in self.marks)


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """An upper bound for the width of a text in pixels in any common sans-serif font."""
    return size * (BOLD if bold else 1) * sum(map(_letter, text))


def widest(texts: Iterable[str], size: float, *, bold: bool = False) -> float:
    """The width of the widest of some texts, 0 without any."""
    return max((text_width(text, size, bold=bold) for text in texts), default=0.0)


def _letter(letter: str) -> float:
    known = next((width for letters, width in LETTERS if letter in letters), 0.0)
    return known or (OTHER if not letter.isascii() else CAPITAL if letter.isupper() else SMALL_LETTER)
