"""What thresholds make of predictions: which images are of the class, and which are called so."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mirada.errors import InvalidArgument
from mirada.evaluation.predictions import Predictions
from mirada.evaluation.threshold import Threshold
from mirada.samples import Classes


@dataclass(frozen=True, eq=False)
class Calls:
    """Rows at the thresholds of one class.

    Args:
        thresholds: One, or those of several networks.
        other: What the rest is called.
        own: Whether each row is of the class (n,).
        called: Whether it is called so (n,).
    """

    thresholds: tuple[Threshold, ...]
    other: str
    own: NDArray[np.bool_]
    called: NDArray[np.bool_]

    def take(self, rows: NDArray[np.bool_]) -> "Calls":
        """Some rows only."""
        return replace(self, own=self.own[rows], called=self.called[rows])


def calls_of(
    predictions: Predictions, threshold: Threshold | Sequence[Threshold] | None, known: NDArray[np.bool_]
) -> Calls | None:
    """The rows of ``predictions`` at a threshold.

    Args:
        predictions: The rows whose target is known.
        threshold: One for all, or one for each of the N rows that there were; None, or none, without.
        known: Which of the N rows these are (N,).

    Raises:
        InvalidArgument: These are predictions of numbers, or of other classes; or the thresholds have another length.
    """
    if not threshold:
        return None
    if not isinstance(predictions.target, Classes):
        raise InvalidArgument(
            "`threshold` of evaluate is one of a class, and these are predictions of numbers."
        )
    each = [threshold] * len(known) if isinstance(threshold, Threshold) else list(threshold)
    if len(each) != len(known):
        raise InvalidArgument(
            f"`threshold` of evaluate must be one, or one for each of {len(known)} predictions. Got {len(each)}."
        )
    chosen = [each[row] for row in np.flatnonzero(known)]
    distinct = tuple(dict.fromkeys(chosen)) or tuple(each[:1])
    called = np.zeros(len(predictions), dtype=np.bool_)
    for one in distinct:
        rows = np.array([other == one for other in chosen], dtype=np.bool_)
        called |= rows & one.calls(predictions.classes, predictions.outputs)
    first = distinct[0]
    own = predictions.class_numbers == predictions.classes.index(first.positive)
    return Calls(distinct, first.other(predictions.classes), own, called)
