"""What tells the label without the picture: the file's format, its size, a marker in a corner, the site …

Before anything is trained, each cue (``checks.cues``, ``checks.spots``) is asked how well a simple rule on it alone
tells each label from all others. Labels dealt out anew at random show what chance makes of the same search, over all
cues, labels and places of a marker at once: chances are those of the largest standardized statistic (Westfall & Young
1993, max-T), which holds the error of all findings together as Holm's correction of the single chances does, and uses
that cues go together. A finding needs a chance of 1 % at most, and is worth a word only if the rule, fitted to four
fifths of the images and tried on the last, tells the label well enough: with thousands of images, trifles are beyond
chance. Numeric targets are judged by their lowest and highest quarter and by their halves.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import hypot

import numpy as np

from mirada.data.checks.cues import (
    CONTENT,
    Codes,
    Cue,
    Flags,
    Floats,
    Parting,
    TailCue,
    ValueCue,
    file_cues,
    table_cues,
)
from mirada.data.checks.inspection import Inspection
from mirada.data.checks.kinds import Finding, Kind
from mirada.data.checks.spots import SpotCue
from mirada.data.index import Index
from mirada.samples import Classes, Numbers

PERMUTATIONS = 199
CHANCE = 0.01  # of any finding in a data set without a shortcut
LEAST_SPREAD = 0.2  # of a statistic, as a share of √(1/n + 1/m)
FOLDS = 5
AGAIN = 20  # permutations that say what a cross-validated rule reaches by chance
ENOUGH = 8  # images of a class
MOST = 4_000  # images that are looked at: more change nothing but the time
SHOWN = 3  # images of either side
QUARTERS = 4
ENDS = ("the lowest quarter", "the highest quarter", "the lower half", "the upper half")
ENDS_OF_QUARTERS = np.array([[1, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 1, 0, 1]], dtype=np.float64)
LEVEL = 0.95


@dataclass(frozen=True)
class _Score:
    """How well a rule on one cue alone tells a label: balanced accuracy, its interval, what chance makes of it."""

    value: float
    low: float
    high: float
    chance: float

    @property
    def gain(self) -> float:
        """Beyond chance, as a share of what is possible."""
        return (self.value - self.chance) / (1 - self.chance)

    def __str__(self) -> str:
        return (
            f"balanced accuracy {self.value:.0%}, {self.low:.0%} to {self.high:.0%}, where chance gives "
            f"{self.chance:.0%}"
        )


@dataclass(frozen=True)
class _Told:
    """A cue that tells a label from the others."""

    label: str
    cue: Cue
    score: _Score
    own: Flags
    caught: Flags


@dataclass(frozen=True)
class Marker:
    """A spot in the rim of the picture that tells a label from the others.

    Args:
        label: The class, or the end of the numbers.
        where: The place in words, such as ``bottom right``.
        box: Left, top, right, bottom, as shares of the upright picture's width and height.
        caught: The images that bear it, by their paths.
    """

    label: str
    where: str
    box: tuple[float, float, float, float]
    caught: tuple[str, ...]


def told_markers(rest: Index, looks: Sequence[Inspection]) -> list[Marker]:
    """The markers alone, by the rule of ``shortcut_findings``, and where they are.

    Args:
        rest: The images.
        looks: What was seen of their files.
    """
    rows, seen = _independent(rest, looks)
    found = []
    for kept, labels in _labels(rest, rows):
        chosen = [seen[place] for place in kept.tolist()]
        cue = SpotCue(chosen)
        for told in _told([cue], labels):
            caught = tuple(look.path for look, has in zip(chosen, told.caught.tolist(), strict=True) if has)
            found.append(Marker(told.label, cue.where(told.own), cue.box(told.own), caught))
    return found


def shortcut_findings(rest: Index, looks: Sequence[Inspection]) -> Iterator[Finding]:
    """One finding for each class, or end of the targets, that something besides the picture tells.

    ``looks`` are those of the files of ``rest``. Copies, pictures without anything on them, and further images of a
    group count for nothing.
    """
    rows, seen = _independent(rest, looks)
    for kept, labels in _labels(rest, rows):
        chosen = [seen[place] for place in kept.tolist()]
        cues = _cues(rest, rows[kept], chosen)
        told = list(_told(cues, labels))
        for name, severity in dict.fromkeys((each.label, each.cue.severity) for each in told):
            same = [each for each in told if (each.label, each.cue.severity) == (name, severity)]
            yield _shortcut(chosen, same)
        levels = np.array([look.level for look in chosen])
        if np.isfinite(levels).all():
            yield from (_level(chosen, each) for each in _told([ValueCue("level", levels)], labels))


def _cues(rest: Index, rows: Codes, seen: Sequence[Inspection]) -> list[Cue]:
    """All that is asked: of a picture's own numbers their tails as well, where they do not tell as a whole."""
    files = list(file_cues(seen))
    tails = [TailCue(cue) for cue in files if cue.ordered and cue.least == CONTENT]
    return [*files, *tails, SpotCue(seen), *table_cues(rest, rows)]


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


def _labels(rest: Index, rows: Codes) -> Iterator[tuple[Codes, Parting]]:
    """Which of the rows count, and their labels: the classes; or for each number ends of its values."""
    match rest.target:
        case Classes(names):
            classes = rest.targets[rows].astype(np.int64)
            kept = np.flatnonzero(classes >= 0)
            if len(kept):
                yield kept, Parting(classes[kept], np.eye(len(names)), names)
        case Numbers(names):
            for name, values in zip(names, rest.targets[rows].T, strict=True):
                kept = np.flatnonzero(np.isfinite(values))
                if len(kept) >= QUARTERS * ENOUGH:
                    edges = np.quantile(values[kept], np.arange(1, QUARTERS) / QUARTERS)
                    ends = [f"{end} of {name or 'the targets'}" for end in ENDS]
                    yield kept, Parting(np.searchsorted(edges, values[kept]), ENDS_OF_QUARTERS, tuple(ends))


def _told(cues: Sequence[Cue], labels: Parting) -> Iterator[_Told]:
    """What tells a label from the others, in the order of the cues; what tells one of two halves tells the other."""
    sizes = [int(labels.of(label).sum()) for label in range(len(labels.names))]
    tested = [label for label, size in enumerate(sizes) if ENOUGH <= size <= len(labels.parts) - ENOUGH]
    cues = [cue for cue in cues if cue.varies]
    if not tested or not cues:
        return
    said: set[tuple[int, str]] = set()
    for place, column in np.argwhere(_chances(cues, labels, tested) <= CHANCE).tolist():
        cue, label = cues[place], tested[column]
        half = len(labels.names) == 2 or labels.unions[:, label].sum() > 1
        if (label, cue.name) in said or (half and any(name == cue.name for _, name in said)):
            continue
        own = labels.of(label)
        score = _score(cue, own)
        if score.gain >= cue.least:
            said |= {(label, name) for name in (cue.name, f"extreme {cue.name}", *cue.implies)}
            caught = cue.rule(np.arange(len(own)), own)
            yield _Told(labels.names[label], cue, score, own, caught)


def _chances(cues: Sequence[Cue], labels: Parting, tested: Sequence[int]) -> Floats:
    """How often labels dealt out at random reach what was seen, by any cue of any label (cues, tested)."""
    generator = np.random.default_rng(0)
    observed = np.stack([cue.strength(labels)[tested] for cue in cues])
    dealt = np.empty((PERMUTATIONS, *observed.shape))
    for each in dealt:
        mixed = labels._replace(parts=generator.permutation(labels.parts))
        each[:] = [cue.strength(mixed)[tested] for cue in cues]
    own = np.array([labels.of(label).sum() for label in tested])
    floor = LEAST_SPREAD * np.sqrt(
        1 / own + 1 / (len(labels.parts) - own)
    )  # a rare word has hardly any spread
    mean, spread = dealt.mean(axis=0), np.maximum(dealt.std(axis=0), floor)
    largest = ((dealt - mean) / spread).max(axis=(1, 2))
    scores = (observed - mean) / spread
    return np.asarray((1 + (largest[:, None, None] >= scores).sum(axis=0)) / (PERMUTATIONS + 1))


def _score(cue: Cue, own: Flags) -> _Score:
    """What a rule on the cue reaches on images that it was not fitted to; the interval is Newcombe's of two shares."""
    generator = np.random.default_rng(0)
    given = _tried(cue, own, generator)
    hits, passes = given[own], ~given[~own]
    (low, sensitivity, high), (least, specificity, most) = _share(hits), _share(passes)
    value = (sensitivity + specificity) / 2
    chance = [_balanced(cue, generator.permutation(own), generator) for _ in range(AGAIN)]
    return _Score(
        value,
        value - hypot(sensitivity - low, specificity - least) / 2,
        value + hypot(high - sensitivity, most - specificity) / 2,
        float(np.mean(chance)),
    )


def _balanced(cue: Cue, own: Flags, generator: np.random.Generator) -> float:
    given = _tried(cue, own, generator)
    return float(given[own].mean() + (~given[~own]).mean()) / 2


def _tried(cue: Cue, own: Flags, generator: np.random.Generator) -> Flags:
    """What rules fitted to the other folds say of each image (N,); each fold has its share of the label."""
    folds, given = np.empty(len(own), dtype=np.int64), np.zeros(len(own), dtype=np.bool_)
    for side in (own, ~own):
        rows = generator.permutation(np.flatnonzero(side))
        folds[rows] = np.arange(len(rows)) % FOLDS
    for fold in range(FOLDS):
        tried = folds == fold
        given[tried] = cue.rule(np.flatnonzero(~tried), own)[tried]
    return given


def _share(right: Flags) -> tuple[float, float, float]:
    """The share of what is right between the ends of Clopper & Pearson's interval (1934)."""
    from scipy.special import betaincinv  # needed where something is found only

    hits, count, tail = int(right.sum()), len(right), (1 - LEVEL) / 2
    low = float(betaincinv(hits, count - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, count - hits, 1 - tail)) if hits < count else 1.0
    return low, hits / count, high


def _shortcut(seen: Sequence[Inspection], told: Sequence[_Told]) -> Finding:
    said = "; ".join(f"{each.cue.name} ({each.cue.said(each.own)}), {each.score}" for each in told)
    advice = "if that comes from how the images were made, it is learnt in place of the picture"
    fact = f"told from the others by {said}"
    return Finding(Kind.SHORTCUT, told[0].cue.severity, told[0].label, fact, _both(seen, told[0]), advice)


def _level(seen: Sequence[Inspection], told: _Told) -> Finding:
    fact = (
        "its images differ in level, which each one's own window takes away: "
        f"{told.cue.name} ({told.cue.said(told.own)})"
    )
    advice = (
        "if the level says something, train with one window for all, such as --set window=full or two values "
        "(LOW..HIGH)"
    )
    return Finding(Kind.LEVEL, "warning", told.label, fact, _both(seen, told), advice)


def _both(seen: Sequence[Inspection], told: _Told) -> tuple[str, ...]:
    """Images of a label that the rule tells, and others that it tells from it; where there are none, any."""
    sides = [(told.own & told.caught, told.own), (~told.own & ~told.caught, ~told.own)]
    chosen = [np.flatnonzero(right if right.any() else side)[:SHOWN] for right, side in sides]
    return tuple(seen[row].path for rows in chosen for row in rows.tolist())
