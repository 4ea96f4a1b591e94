"""The threshold of a probability above which a class is called, chosen on validation images by a stated rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nextafter

import numpy as np
from numpy.typing import NDArray

from mirada.errors import InvalidArgument, nearest
from mirada.samples import Classes, Target

Floats = NDArray[np.float64]
Called = NDArray[np.bool_]

HIGHEST = nextafter(1.0, 2.0)  # above every probability: nothing is called
ROUNDING = 1e-9  # of a share times a count
GIVEN = "given"  # the rule of a number that a person chose
RULES = ("youden", "sensitivity=0.95", "specificity=0.9", "cost=5:1")  # an example of each
ABSENT = {
    "absent", "benign", "clean", "clear", "control", "controls", "false", "healthy", "intact", "intakt", "negativ",
    "negative", "negativo", "nein", "no", "none", "normal", "normals", "0", "ok", "good", "undamaged", "unaffected",
    "uninfected", "without", "gesund", "sain", "sano",
}  # fmt: skip  # what a class is called whose images show nothing
NOT = ("no ", "non ", "not ", "without ", "kein ", "ohne ", "sans ", "sin ")  # what such a name begins with


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """A class is called where its probability is no lower than ``value``; kept in the model file.

    Args:
        positive: The class that is called; all others are taken together.
        value: From 0, at which everything is called, to just above 1.
        rule: How it was chosen, as the setting ``threshold`` has it, or ``given`` by a person.
        n: The images that it was chosen on, of validation or out of fold; 0 of one that was given.
        positives: How many of them are of the class.
        sensitivity: The share of those that it calls.
        specificity: The share of the others that it does not call.

    Raises:
        InvalidArgument: There can be no such threshold.
    """

    positive: str
    value: float
    rule: str
    n: int = 0
    positives: int = 0
    sensitivity: float | None = None
    specificity: float | None = None

    def __post_init__(self) -> None:
        if not (isfinite(self.value) and 0 <= self.value <= HIGHEST):
            raise InvalidArgument(f"A threshold of a probability lies between 0 and 1. Got {self.value:g}.")

    def __str__(self) -> str:
        """In one line, for people."""
        said = f"threshold {self.value:.4g} of the probability of {self.positive}"
        if not self.n or self.sensitivity is None or self.specificity is None:
            return said
        return (
            f"{said}, chosen by {self.rule} on {self.n:,} images that the network did not learn from, "
            f"{self.positives:,} of them of this class: there a sensitivity of {self.sensitivity:.1%} and a "
            f"specificity of {self.specificity:.1%}"
        )

    def calls(self, classes: Sequence[str], outputs: Floats) -> Called:
        """Whether each row is called positive.

        Args:
            classes: Of the K columns.
            outputs: Probabilities (n, K).

        Returns:
            (n,)

        Raises:
            InvalidArgument: The class is none of these.
        """
        if self.positive not in classes:
            raise InvalidArgument(
                f'The threshold is one of the class "{self.positive}", and there is no such class here. '
                f"{nearest(self.positive, classes)}"
            )
        return np.asarray(outputs[:, list(classes).index(self.positive)] >= self.value)

    def other(self, classes: Sequence[str]) -> str:
        """What a row is that is not called: the other of two classes, or ``not`` this one."""
        others = [name for name in classes if name != self.positive]
        return others[0] if len(others) == 1 else f"not {self.positive}"


@dataclass(frozen=True)
class ThresholdRule:
    """By what a threshold is chosen: ``kind`` is ``youden``, ``sensitivity``, ``specificity`` or ``cost``.

    ``values`` are the share that is wanted, or what a missed and a false alarm cost.
    """

    kind: str
    values: tuple[float, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "ThresholdRule":
        """The rule of a text.

        Raises:
            InvalidArgument: For another text.

        >>> ThresholdRule.parse("sensitivity=0.95"), ThresholdRule.parse("cost=5:1").values
        (ThresholdRule(kind='sensitivity', values=(0.95,)), (5.0, 1.0))
        """
        kind, equals, rest = (part.strip() for part in text.partition("="))
        kind = kind.lower()
        numbers = _numbers(rest)
        match kind:
            case "youden" if not equals:
                return cls("youden")
            case "sensitivity" | "specificity" if len(numbers) == 1 and 0 < numbers[0] <= 1:
                return cls(kind, numbers)
            case "cost" if len(numbers) == 2 and min(numbers) > 0:
                return cls("cost", numbers)
        raise InvalidArgument(
            f'"{text[:60]}" is no rule for a threshold. Expected youden, sensitivity=SHARE or specificity=SHARE with a '
            f"share above 0 and at most 1, or cost=FN:FP, such as {', '.join(RULES)}."
        )

    def scores(self, hits: Floats, alarms: Floats) -> tuple[Floats, Floats]:
        """What makes a cut better, first and among equals; −∞ where the rule forbids it.

        Args:
            hits: Positives that each cut calls, the last one all of them (c,).
            alarms: Negatives that it calls, the last one all of them (c,).
        """
        positives, negatives = hits[-1], alarms[-1]
        none = np.full(len(hits), -np.inf)
        match self.kind:
            case "sensitivity":
                return np.where(hits >= self.values[0] * positives - ROUNDING, -alarms, none), hits
            case "specificity":
                kept = negatives - alarms >= self.values[0] * negatives - ROUNDING
                return np.where(kept, hits, none), -alarms
            case "cost":
                missed, false = self.values
                costs = missed / max(self.values) * (positives - hits) + false / max(self.values) * alarms
                return -costs.round(9), hits
        return hits * negatives - alarms * positives, hits  # whole numbers: shares would be rounded


def choose_threshold(
    target: Target, targets: NDArray[np.int64], outputs: Floats, rule: str, positive: str
) -> Threshold:
    """The threshold that a rule finds best among all cuts between probabilities.

    It lies in the middle between the lowest probability that is called and the next lower one. Of equally good cuts the
    one that finds more of the class is taken.

    Args:
        target: The K classes.
        targets: Class numbers (n,) of images that were not trained on, and that are not those of the test.
        outputs: Their probabilities (n, K).
        rule: ``youden``: the largest sum of sensitivity and specificity; ``sensitivity=0.95``: the most specific cut
            with at least that sensitivity; ``specificity=0.9``: the most sensitive one with at least that specificity;
            ``cost=5:1``: the least cost on these images, where a missed image costs 5 and a false alarm 1.
        positive: The class that is called.

    Raises:
        InvalidArgument: It is no rule, or there are no images of the class, or none of the others.

    Source:
        Youden 1950, Cancer 3:32; Greiner, Pfeiffer & Smith 2000, Prev. Vet. Med. 45:23 (the other rules).
    """
    wanted = ThresholdRule.parse(rule)
    own = targets == target.names.index(positive)
    require_both(int(own.sum()), len(own), positive)
    values = outputs[:, target.names.index(positive)]
    order = np.argsort(-values, kind="stable")
    ordered = values[order]
    last = np.flatnonzero(np.append(np.diff(ordered) != 0, True))  # equal probabilities are called together
    hits = np.append(0.0, np.cumsum(own[order])[last])
    alarms = np.append(0.0, np.cumsum(~own[order])[last])
    first, second = wanted.scores(hits, alarms)
    best = np.lexsort((second, first))[-1]
    edges = [*ordered[last].tolist(), 0.0]
    return Threshold(
        positive=positive,
        value=_between(edges[best - 1], edges[best]) if best else _between(HIGHEST, edges[0]),
        rule=rule,
        n=len(own),
        positives=int(own.sum()),
        sensitivity=float(hits[best] / hits[-1]),
        specificity=float(1 - alarms[best] / alarms[-1]),
    )


def positive_class(target: Target, named: str) -> str:
    """The class that a threshold calls.

    Args:
        target: What was learnt.
        named: By the user; "" for the rule: the one of two classes that shows something, if the other is called as what
            shows nothing (``normal``, ``benign``, ``no finding``, ``0``), else the second.

    Raises:
        InvalidArgument: The target is a number; there is no such class; or there are more than two and none is named.
    """
    if not isinstance(target, Classes):
        raise InvalidArgument(
            "A threshold belongs to the probability of a class, and here numbers are learnt."
        )
    names = target.names
    if named:
        if named not in names:
            raise InvalidArgument(
                f'`positive`: there is no class "{named[:60]}". {nearest(named[:60], names)}'
            )
        return named
    if len(names) > 2:
        raise InvalidArgument(
            f"A threshold parts one class from the rest, and there are {len(names)}: name it by positive=CLASS, such "
            f"as positive={names[0]}."
        )
    first, second = map(_shows_nothing, names)
    return names[0] if second and not first else names[1]


def require_both(positives: int, n: int, positive: str) -> None:
    """Raises ``InvalidArgument`` unless n validation images are of the class and of others."""
    if not 0 < positives < n:
        which = f'of the class "{positive}"' if positives == 0 else f'but those of the class "{positive}"'
        raise InvalidArgument(
            f"A threshold is chosen on validation images of both kinds, and there are none {which}. Give more images, "
            f"or leave `threshold` out."
        )


def _numbers(text: str) -> tuple[float, ...]:
    """The numbers between colons; none if one is no finite number."""
    try:
        found = tuple(float(part) for part in text.split(":"))
    except ValueError:
        return ()
    return found if all(map(isfinite, found)) else ()


def _between(high: float, low: float) -> float:
    """The middle; the upper number where there is none between them."""
    middle = low + (high - low) / 2
    return float(middle if low < middle <= high else high)


def _shows_nothing(name: str) -> bool:
    words = " ".join(name.lower().replace("_", " ").replace("-", " ").split())
    return words in ABSENT or words.startswith(NOT)
