"""What may tell a label without the picture: properties of the file, of the picture as a whole, columns of a table.

Each is a ``Cue``: a value per image, and the best simple rule on it. Of words the rule is a set of them, of numbers an
interval or all outside it. How well the rule parts the images of a label from the others is Youden's J, sensitivity +
specificity − 1: of words the total variation distance ½ Σ |p − q|, of numbers the statistic of Kuiper (1960),
max (P − Q) − min (P − Q), which is the best J of any interval.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mirada.data.checks.inspection import NO_JPEG, Inspection
from mirada.data.checks.kinds import Severity
from mirada.data.checks.near import THUMB
from mirada.data.index import Index

# J beyond chance, of what is possible, that is worth a word
PLAIN = 0.25  # of files and tables
CONTENT = 0.75  # of what belongs to the picture itself
# of a tail of it: of the ones of MNIST 0.39 are darker than 99 % of the other digits, of photos it is 0.1
TAIL = 0.45
STRAY = 0.01  # of the others may lie in a tail
FEWEST_BINS, BINS = 8, 32  # of a number
EDGE = 2  # rows and columns of a thumbnail at its border
HUES = ("red against green", "blue against yellow")
EVEN = 4.0  # greatest standard deviation of a border of one shade, in grey values

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Parting(NamedTuple):
    """What is to be told.

    Args:
        parts: The part that each image belongs to, 0 … P − 1 (N,).
        unions: 1 where a label holds a part (P, L). Classes are parts and labels at once; of numbers the parts are
            quarters, and a label is one of them, or two.
        names: Of the labels.
    """

    parts: Codes
    unions: Floats
    names: tuple[str, ...]

    def shares(self, table: NDArray[np.floating]) -> tuple[Floats, Floats]:
        """Which shares of a label's images, and of the others, have a property (…, L), from counts by part (…, P)."""
        sizes = np.bincount(self.parts, minlength=len(self.unions))
        inside = sizes @ self.unions
        own = table @ self.unions
        others = table.sum(axis=-1, keepdims=True) - own
        return own / np.maximum(inside, 1), others / np.maximum(sizes.sum() - inside, 1)

    def of(self, label: int) -> Flags:
        """Which images have a label (N,)."""
        return np.asarray(self.unions[self.parts, label] > 0)

    @classmethod
    def one(cls, own: Flags) -> "Parting":
        """One label and the others."""
        return cls(own.astype(np.int64), np.array([[0.0], [1.0]]), ("",))


class Cue(Protocol):
    """Something that may tell a label."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def least(self) -> float:
        """The J beyond chance, as a share of what is possible, from which on it is worth a word."""

    @property
    def severity(self) -> Severity:
        """How serious it is if it tells a label."""

    @property
    def implies(self) -> tuple[str, ...]:
        """Names of cues that follow from this one, and are not said beside it."""

    @property
    def varies(self) -> bool:
        """Whether there is anything to tell by."""

    def strength(self, labels: Parting) -> Floats:
        """How far the images of each label are from all others by it (L,)."""

    def rule(self, rows: Codes, own: Flags) -> Flags:
        """Which images the rule gives a label that parts best, among ``rows`` alone, those that have it (N,)."""

    def said(self, own: Flags) -> str:
        """What is seen in the images of a label, and in the others."""


@dataclass(frozen=True, eq=False)
class ValueCue:
    """A word or a number of each image.

    Args:
        name: What it is called.
        values: Of each image, words or real numbers (N,).
        spoken: How a number is said.
        implies: Names of cues that follow from this one.
        least: More is asked of what belongs to the picture itself: a thin digit is darker, and no less a 1.
        severity: A column that nobody asked about may be the label in other words, and is worth a note.
    """

    name: str
    values: NDArray[Any]
    spoken: Callable[[float], str] = "{:,.4g}".format
    implies: tuple[str, ...] = ()
    least: float = PLAIN
    severity: Severity = "warning"

    @property
    def ordered(self) -> bool:
        """Whether the values are numbers."""
        return self.values.dtype.kind == "f"

    @cached_property
    def codes(self) -> Codes:
        """Numbers by their quantiles, in order; words by themselves, those that are there only once together (N,)."""
        if self.ordered:
            bins = min(max(len(self.values) // 16, FEWEST_BINS), BINS)
            edges = np.unique(np.quantile(self.values, np.arange(1, bins) / bins, method="lower"))
            codes = np.searchsorted(edges, self.values, side="left")
        else:
            _, places, counts = np.unique(self.values, return_inverse=True, return_counts=True)
            codes = np.where(counts >= 2, np.arange(1, len(counts) + 1), 0)[places]
        return np.asarray(np.unique(codes, return_inverse=True)[1], dtype=np.int64)

    @property
    def varies(self) -> bool:
        """Whether there are two values."""
        return len(self.codes) > 0 and int(self.codes.max()) > 0

    def strength(self, labels: Parting) -> Floats:
        """Youden's J of the best rule for each label (L,)."""
        gaps = self._gaps(self.codes, labels)
        if not self.ordered:
            return np.asarray(np.abs(gaps).sum(axis=0) / 2)
        sums = np.cumsum(gaps, axis=0)
        return np.asarray(np.maximum(sums.max(axis=0), 0) - np.minimum(sums.min(axis=0), 0))

    def rule(self, rows: Codes, own: Flags) -> Flags:
        """Whether the best set of words, or interval, holds the image (N,)."""
        gaps = self._gaps(self.codes[rows], Parting.one(own[rows]))[:, 0]
        if not self.ordered:
            return np.asarray((gaps > 0)[self.codes])
        sums = np.append(0, np.cumsum(gaps))
        low, high = sorted((int(sums.argmin()), int(sums.argmax())))
        inside = (self.codes >= low) & (self.codes < high)
        return inside if sums[high] > sums[low] else ~inside

    def _gaps(self, codes: Codes, labels: Parting) -> Floats:
        """Of each code, its share in a label less that in the others (codes, L)."""
        parts, width = len(labels.unions), int(self.codes.max()) + 1
        table = np.bincount(codes * parts + labels.parts, minlength=width * parts).reshape(width, parts)
        own, others = labels.shares(table.astype(np.float64))
        return own - others

    def said(self, own: Flags) -> str:
        """``JPEG: 16 of its 16 images, 0 of the 20 others``, or the middle halves of two ranges of numbers."""
        mine, others = self.values[own], self.values[~own]
        if self.ordered:
            halves = [
                " to ".join(dict.fromkeys(self.spoken(float(end)) for end in np.quantile(part, (0.25, 0.75))))
                for part in (mine, others)
            ]
            return f"half of its images: {halves[0]}; of the others: {halves[1]}"
        words: list[str] = np.unique(self.values).tolist()
        best = max(words, key=lambda word: float((mine == word).mean() - (others == word).mean()))
        return (
            f"{best or 'none'}: {int((mine == best).sum()):,} of its {len(mine):,} images, "
            f"{int((others == best).sum()):,} of the {len(others):,} others"
        )


@dataclass(frozen=True, eq=False)
class TailCue:
    """A number that only images of one label have so low, or so high: a third of a class that is blurred.

    The rule is a threshold beyond which lies a hundredth of the others at most.

    Args:
        whole: The cue whose numbers these are.
    """

    whole: ValueCue

    least = TAIL
    severity: ClassVar[Severity] = "warning"
    implies: ClassVar[tuple[str, ...]] = ()

    @property
    def name(self) -> str:
        """What it is called."""
        return f"extreme {self.whole.name}"

    @property
    def varies(self) -> bool:
        """Whether there are two values."""
        return self.whole.varies

    @cached_property
    def order(self) -> Codes:
        """The images by their values, the lowest first (N,)."""
        return np.argsort(self.whole.values, kind="stable")

    def strength(self, labels: Parting) -> Floats:
        """The share of each label's images beyond the better threshold (L,)."""
        ends = (self._beyond(self.order, labels), self._beyond(self.order[::-1], labels))
        return np.maximum(*(shares for shares, _ in ends))

    def rule(self, rows: Codes, own: Flags) -> Flags:
        """Whether an image lies beyond the better threshold (N,)."""
        low, edge = self._end(rows, own)
        return np.asarray(self.whole.values <= edge if low else self.whole.values >= edge)

    def said(self, own: Flags) -> str:
        """``at most -0.52: 31 of its 60 images, 1 of the 180 others``."""
        rows = np.arange(len(own))
        low, edge = self._end(rows, own)
        beyond = self.rule(rows, own)
        return (
            f"{'at most' if low else 'at least'} {self.whole.spoken(edge)}: {int((beyond & own).sum()):,} of its "
            f"{int(own.sum()):,} images, {int((beyond & ~own).sum()):,} of the {int((~own).sum()):,} others"
        )

    def _end(self, rows: Codes, own: Flags) -> tuple[bool, float]:
        """Whether the better end is the lower one, and the last value beyond the threshold; infinite for none."""
        order = rows[np.argsort(self.whole.values[rows], kind="stable")]
        labels = Parting.one(own)
        found = [self._beyond(each, labels) for each in (order, order[::-1])]
        low = bool(found[0][0][0] >= found[1][0][0])
        share, place = (each[0] for each in found[0 if low else 1])
        if not share:
            return low, -np.inf if low else np.inf
        return low, float(self.whole.values[(order if low else order[::-1])[place]])

    def _beyond(self, order: Codes, labels: Parting) -> tuple[Floats, Codes]:
        """From one end inwards, the largest share of each label with few others, and the last place of it (L,)."""
        parts = labels.parts[order]
        inside = np.bincount(parts, minlength=len(labels.unions)) @ labels.unions
        stray = np.floor(STRAY * (len(order) - inside))
        length = min(int((inside + stray).max()), len(order))
        values = self.whole.values[order]
        last = np.append(values[1:] != values[:-1], True)[:length]  # images of one value go together
        own = np.cumsum(labels.unions[parts[:length]], axis=0)
        others = np.arange(1, length + 1)[:, None] - own
        allowed = np.where(last[:, None] & (others <= stray), own, 0)
        place = allowed.argmax(axis=0)
        return allowed[place, np.arange(len(inside))] / np.maximum(inside, 1), place


def file_cues(looks: Sequence[Inspection]) -> Iterator[ValueCue]:
    """Properties of the files, and of each picture as a whole."""

    def words(value: Callable[[Inspection], str]) -> NDArray[np.str_]:
        return np.array([value(look) for look in looks])

    def numbers(value: Callable[[Inspection], float]) -> NDArray[np.float64]:
        return np.array([value(look) for look in looks], dtype=np.float64)

    yield ValueCue("file format", words(lambda look: look.format), implies=("compression",))
    yield ValueCue("colour mode", words(lambda look: look.mode), implies=("depth", "colour", *HUES))
    yield ValueCue("depth", words(lambda look: f"{look.bits} bits"))
    yield ValueCue(
        "colour", words(lambda look: "coloured" if look.coloured else "grey"), implies=HUES, least=CONTENT
    )
    size = words(lambda look: f"{look.size[1]} × {look.size[0]} pixels")
    yield ValueCue("size", size, implies=("number of pixels", "width by height"))
    yield ValueCue("number of pixels", numbers(lambda look: look.size[0] * look.size[1]), "{:,.0f}".format)
    yield ValueCue("width by height", numbers(lambda look: look.size[1] / look.size[0]), "{:.2f}".format)
    yield ValueCue("compression", numbers(lambda look: look.quality), _quality)
    yield ValueCue("sharpness", numbers(lambda look: look.sharpness), "{:.2f}".format, least=CONTENT)
    yield ValueCue("grain", numbers(lambda look: look.grain), "{:.2f}".format, least=CONTENT)
    yield ValueCue("brightness", numbers(lambda look: look.brightness), "{:.0f} of 255".format, least=CONTENT)
    yield ValueCue("contrast", numbers(lambda look: look.contrast), "{:.0f} of 255".format, least=CONTENT)
    red, green, blue = np.array([look.rgb for look in looks], dtype=np.float64).reshape(-1, 3).T
    yield ValueCue("red against green", red - green, "{:+.0f}".format, least=CONTENT)
    yield ValueCue("blue against yellow", blue - (red + green) / 2, "{:+.0f}".format, least=CONTENT)
    yield ValueCue("border", words(_frame), implies=("a marker",), least=CONTENT)
    yield ValueCue(
        "bytes per pixel", numbers(lambda look: look.length / (look.size[0] * look.size[1])), least=CONTENT
    )


def _quality(value: float) -> str:
    return "none as JPEG" if value == NO_JPEG else f"JPEG quality {value:.0f}"


def _frame(look: Inspection) -> str:
    """Which sides of the picture are of one shade, and whether that is dark, grey or light."""
    thumb = np.frombuffer(look.thumb, dtype=np.uint8).reshape(THUMB, THUMB)
    sides = {"top": thumb[:EDGE], "right": thumb[:, -EDGE:], "bottom": thumb[-EDGE:], "left": thumb[:, :EDGE]}
    even = {name: float(side.mean()) for name, side in sides.items() if side.std() < EVEN}
    if not even:
        return "no even border"
    shade = ("dark", "grey", "light")[min(int(sum(even.values()) / len(even) / 86), 2)]
    return f"an even {shade} border" + ("" if len(even) == len(sides) else f" at the {' and '.join(even)}")


def table_cues(rest: Index, rows: Codes) -> Iterator[ValueCue]:
    """The columns that are known beside each image: those that parts are judged by, covariates."""
    asked = rest.source.by if rest.source else rest.by_names
    for place, name in enumerate(rest.by_names):
        words = np.array([rest.by[row][place] for row in rows.tolist()])
        named = any(name == each.partition("=")[0] for each in asked)
        yield ValueCue(name, words, severity="warning" if named else "info")
    for spec, column in zip(rest.covariate_specs, rest.covariates[rows].T, strict=True):
        if np.isfinite(column).all() and spec.column not in rest.by_names:
            two = len(np.unique(column)) <= 2
            values = np.array([f"{value:g}" for value in column]) if two else column
            yield ValueCue(spec.label, values, least=CONTENT)  # the network is given it on purpose
