"""What tells the label without the picture: the file's format, its size, its brightness …, found by a permutation test.

Of each feature of the files, its distribution among the images of a class is compared with that among all others: words
by the total variation distance, ½ Σ |p − q|, numbers by that of Kolmogorov and Smirnov, max |P − Q|. By so much a rule
that knows the feature alone, a set of words or a threshold, is right more often about the class than about the others
(Youden's J of the best rule). Labels dealt out anew at random show what chance makes of it. A finding needs a distance
that is far beyond chance, over all features and classes at once (Westfall & Young 1993, max-T), and large as well.
Numeric targets are judged by their lowest and their highest quarter.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mirada.data.checks.inspection import Inspection
from mirada.data.checks.kinds import Finding, Kind
from mirada.data.checks.near import THUMB
from mirada.data.index import Index
from mirada.samples import Classes, Numbers

PERMUTATIONS = 199
CHANCE = 0.01  # of any finding in a data set without a shortcut
LARGE, VERY_LARGE = 0.5, 0.75  # distance beyond what chance makes, of what is possible
ENOUGH = 8  # images of a class
MOST = 20_000  # images that are looked at: more change nothing but the time
BINS = 64  # of a number
EDGE = 2  # rows and columns of a thumbnail at its border
EVEN = 4.0  # greatest standard deviation of a border of one shade, in grey values
SHOWN = 3  # images of either side
QUARTERS = ("the lowest quarter", "", "", "the highest quarter")

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class _Feature:
    """What may tell the label.

    Args:
        name: What it is called.
        value: Its value for an image.
        said: How a number is said.
        implies: Names of features that follow from this one, and are not said beside it.
        least: The distance beyond chance, as a share of what is possible, from which on it is worth a word. More is
            asked of what belongs to the picture itself: a thin digit is darker, and no less a 1.
    """

    name: str
    value: Callable[[Inspection], float | str]
    said: Callable[[float], str] = "{:,.4g}".format
    implies: tuple[str, ...] = ()
    least: float = LARGE


def _frame(look: Inspection) -> str:
    """Which sides of the picture are of one shade, and whether that is dark, grey or light."""
    thumb = np.frombuffer(look.thumb, dtype=np.uint8).reshape(THUMB, THUMB)
    sides = {"top": thumb[:EDGE], "right": thumb[:, -EDGE:], "bottom": thumb[-EDGE:], "left": thumb[:, :EDGE]}
    even = {name: float(side.mean()) for name, side in sides.items() if side.std() < EVEN}
    if not even:
        return "no even border"
    shade = ("dark", "grey", "light")[min(int(sum(even.values()) / len(even) / 86), 2)]
    return f"an even {shade} border" + ("" if len(even) == len(sides) else f" at the {' and '.join(even)}")


FEATURES = (
    _Feature("file format", lambda look: look.format),
    _Feature("colour mode", lambda look: look.mode, implies=("depth", "colour")),
    _Feature("depth", lambda look: f"{look.bits} bits"),
    _Feature("colour", lambda look: "coloured" if look.coloured else "grey", least=VERY_LARGE),
    _Feature(
        "size",
        lambda look: f"{look.size[1]} × {look.size[0]} pixels",
        implies=("number of pixels", "width by height"),
    ),
    _Feature("number of pixels", lambda look: float(look.size[0] * look.size[1]), "{:,.0f}".format),
    _Feature("width by height", lambda look: look.size[1] / look.size[0], "{:.2f}".format),
    _Feature("brightness", lambda look: look.brightness, "{:.0f} of 255".format, least=VERY_LARGE),
    _Feature("border", _frame, least=VERY_LARGE),
)
LEVEL = _Feature("level", lambda look: look.level)


class _Coded(NamedTuple):
    """A feature's values as numbers 0 …, (N,); ``ordered`` says that their order means something."""

    codes: Codes
    ordered: bool


class _Told(NamedTuple):
    """A feature that tells a label from the others."""

    label: str
    feature: _Feature
    of_it: NDArray[np.bool_]


def shortcut_findings(rest: Index, looks: Sequence[Inspection]) -> Iterator[Finding]:
    """One finding for each class, or end of the targets, that something besides the picture tells.

    ``looks`` are those of the files of ``rest``. Copies, pictures without anything on them, and further images of a
    group count for nothing.
    """
    rows, seen = _independent(rest, looks)
    for labels, names in _labels(rest, rows):
        told = list(_told(seen, FEATURES, labels, names))
        for name in dict.fromkeys(each.label for each in told):
            yield _shortcut(seen, [each for each in told if each.label == name])
        if all(np.isfinite(look.level) for look in seen):
            yield from (_level(seen, each) for each in _told(seen, (LEVEL,), labels, names))


def _independent(rest: Index, looks: Sequence[Inspection]) -> tuple[Codes, list[Inspection]]:
    """The rows that count, with what was seen of them: one of each content, and of each group."""
    by_path = {look.path: look for look in looks if not look.flat}
    rows, seen, met = [], [], set()
    for row, path in enumerate(rest.paths):
        look = by_path.get(path)
        unit = rest.groups[row] if rest.groups else (look.digest if look else "")
        if look and unit not in met:
            met.add(unit)
            rows.append(row)
            seen.append(look)
    if len(rows) > MOST:
        chosen = np.sort(np.random.default_rng(0).choice(len(rows), MOST, replace=False)).tolist()
        rows, seen = [rows[place] for place in chosen], [seen[place] for place in chosen]
    return np.array(rows, dtype=np.int64), seen


def _labels(rest: Index, rows: Codes) -> Iterator[tuple[Codes, tuple[str, ...]]]:
    """The labels (N,) with their names: the classes; or for each number the quarters of its values."""
    match rest.target:
        case Classes(names):
            yield rest.targets[rows].astype(np.int64), names
        case Numbers(names):
            for name, values in zip(names, rest.targets[rows].T, strict=True):
                if np.isfinite(values).sum() >= len(QUARTERS) * ENOUGH:
                    edges = np.nanquantile(values, (0.25, 0.5, 0.75))
                    quarters = np.where(np.isfinite(values), np.searchsorted(edges, values), -1)
                    yield (
                        quarters,
                        tuple(f"{end} of {name or 'the targets'}" if end else "" for end in QUARTERS),
                    )


def _told(
    seen: Sequence[Inspection], features: Sequence[_Feature], labels: Codes, names: Sequence[str]
) -> Iterator[_Told]:
    """What tells a label from the others, the strongest first; of two labels only the first is said."""
    tested = [
        number
        for number, name in enumerate(names)
        if name and ENOUGH <= int((labels == number).sum()) <= len(labels) - ENOUGH
    ]
    if not tested:
        return
    coded = [_coded([feature.value(look) for look in seen]) for feature in features]
    told = [place for place, each in enumerate(coded) if len(each.codes) and each.codes.max() > 0]
    if not told:
        return
    count = len(names)
    observed = _distances([coded[place] for place in told], labels, count)[:, tested]
    generator = np.random.default_rng(0)
    dealt = np.stack(
        [
            _distances([coded[place] for place in told], generator.permutation(labels), count)[:, tested]
            for _ in range(PERMUTATIONS)
        ]
    )
    mean, spread = dealt.mean(axis=0), np.maximum(dealt.std(axis=0), 1e-3)
    largest = ((dealt - mean) / spread).max(axis=(1, 2))
    scores = (observed - mean) / spread
    chances = (1 + (largest[:, None, None] >= scores).sum(axis=0)) / (PERMUTATIONS + 1)
    least = np.array([features[place].least for place in told])[:, None]
    sure = (chances <= CHANCE) & (observed - mean >= least * (1 - mean))
    if len(names) == 2:
        sure[:, 1:] = False  # what tells one of two classes tells the other
    implied: set[tuple[int, str]] = set()
    for place, column in np.argwhere(sure).tolist():
        feature, label = features[told[place]], tested[column]
        if (label, feature.name) not in implied:
            implied |= {(label, name) for name in feature.implies}
            yield _Told(names[label], feature, labels == label)


def _coded(values: Sequence[float | str]) -> _Coded:
    """Real numbers by 64 quantiles at most, in order; words by themselves, those that are there only once together."""
    distinct, codes, counts = np.unique(np.array(values), return_inverse=True, return_counts=True)
    if distinct.dtype.kind == "f":
        edges = np.unique(np.quantile(np.array(values), np.arange(1, BINS) / BINS, method="lower"))
        codes = np.searchsorted(edges, np.array(values), side="left")
        return _Coded(np.unique(codes, return_inverse=True)[1], ordered=True)
    numbers = np.where(counts >= 2, np.arange(1, len(counts) + 1), 0)
    return _Coded(np.unique(numbers[codes], return_inverse=True)[1], ordered=False)


def _distances(features: Sequence[_Coded], labels: Codes, count: int) -> NDArray[np.float64]:
    """How far the images of each label are from all others by each feature (F, count); unknown labels are others."""
    found = np.zeros((len(features), count))
    known = np.where(labels < 0, count, labels)
    for place, (codes, ordered) in enumerate(features):
        width = int(codes.max()) + 1
        table = np.bincount(codes * (count + 1) + known, minlength=width * (count + 1)).reshape(width, -1)
        of_it, total = table[:, :count], table.sum(axis=1, keepdims=True)
        others = total - of_it
        shares = of_it / np.maximum(of_it.sum(axis=0), 1) - others / np.maximum(others.sum(axis=0), 1)
        found[place] = (
            np.abs(np.cumsum(shares, axis=0)).max(axis=0) if ordered else np.abs(shares).sum(axis=0) / 2
        )
    return found


def _shortcut(seen: Sequence[Inspection], told: Sequence[_Told]) -> Finding:
    label, of_it = told[0].label, told[0].of_it
    said = "; ".join(_said(seen, each) for each in told)
    advice = "if that comes from how the images were made, it is learnt in place of the picture"
    return Finding(
        Kind.SHORTCUT, "warning", label, f"told from the others by {said}", _both(seen, of_it), advice
    )


def _level(seen: Sequence[Inspection], told: _Told) -> Finding:
    fact = f"its images differ in level, which each one's own window takes away: {_said(seen, told)}"
    advice = (
        "if the level says something, train with one window for all, such as --set window=full or two values "
        "(LOW..HIGH)"
    )
    return Finding(Kind.LEVEL, "warning", told.label, fact, _both(seen, told.of_it), advice)


def _both(seen: Sequence[Inspection], of_it: NDArray[np.bool_]) -> tuple[str, ...]:
    """The first images of a label, and the first of the others."""
    sides = (
        [look.path for look, is_it in zip(seen, of_it, strict=True) if is_it == side]
        for side in (True, False)
    )
    return tuple(path for paths in sides for path in paths[:SHOWN])


def _said(seen: Sequence[Inspection], told: _Told) -> str:
    """``file format (PNG: 16 of 16 images, 0 of the 20 others)``, or the middle halves of two ranges of numbers."""
    values = np.array([told.feature.value(look) for look in seen])
    own, others = values[told.of_it], values[~told.of_it]
    if values.dtype.kind == "f":
        halves = [
            " to ".join(
                dict.fromkeys(told.feature.said(float(end)) for end in np.quantile(part, (0.25, 0.75)))
            )
            for part in (own, others)
        ]
        return f"{told.feature.name} (half of its images: {halves[0]}; of the others: {halves[1]})"
    words = np.unique(values).tolist()
    best = max(words, key=lambda word: float((own == word).mean() - (others == word).mean()))
    return (
        f"{told.feature.name} ({best or 'none'}: {int((own == best).sum()):,} of its {len(own):,} images, "
        f"{int((others == best).sum()):,} of the {len(others):,} others)"
    )
