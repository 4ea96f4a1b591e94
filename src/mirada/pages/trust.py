"""Whether probabilities can be trusted: the reliability diagram, its numbers, and what a temperature did to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from mirada.evaluation.calibration import FEWEST, Bin, Calibration, Reliability
from mirada.evaluation.intervals import Z
from mirada.evaluation.metric_table import METRICS
from mirada.pages.agreement import reliability_diagram
from mirada.pages.charts import Figure
from mirada.text import number, percent

CAPTION = (
    "One dot per range of probability: how often the network was right there, over how sure it was, with 95\u00a0% "
    "intervals. Dots below the dashed diagonal: surer than it should be; above: less sure. The bars below count the "
    "images; ranges of fewer than ten are put together with their neighbours."
)
ROWS = ("ece", "brier", "log_loss")


@dataclass(frozen=True)
class TrustRow:
    """A number before and after scaling, and which of them is better: "before", "after" or neither.

    ``before`` is empty where nothing was scaled.
    """

    name: str
    before: str
    after: str
    better: str


@dataclass(frozen=True, kw_only=True)
class Trust:
    """How far the probabilities can be trusted; ``sentences`` say what a temperature did."""

    sentences: list[str]
    figure: Figure
    rows: list[TrustRow]
    chance: str


def trust(calibration: Calibration, split: str, learnt_from: int | None) -> Trust | None:
    """What is shown of the probabilities of one split; None without images.

    Args:
        calibration: Reliability before and after the scaling.
        split: ``val``, on which a temperature was fitted, or ``test``.
        learnt_from: Validation images; None where it is not known.
    """
    after, before = calibration.after, calibration.before
    if not after.bins:
        return None
    drawing = reliability_diagram(after.bins, before.bins if before else [])
    return Trust(
        sentences=[*_scaled(calibration, learnt_from), *_helped(before, after, split)],
        figure=Figure(title="Reliability", svg=drawing, caption=CAPTION),
        rows=[_row(key, before, after) for key in ROWS],
        chance=percent(after.ece_by_chance),
    )


def _scaled(calibration: Calibration, learnt_from: int | None) -> list[str]:
    """By which temperature the outputs are divided, or why by none."""
    before = calibration.before
    if before is None:
        chance = "none lowered the log loss of the validation images by more than chance would"
        few = f"to learn one takes {FEWEST} validation images"
        why = few if learnt_from and learnt_from < FEWEST else chance
        if learnt_from is None:  # of folds, each of which has its own
            why = f"{chance}, and {few}"
        return [f"The probabilities are those of the network itself; no temperature was applied, as {why}."]
    if calibration.temperatures:
        each = ", ".join(map(number, calibration.temperatures))
        told = (
            f"Each fold’s outputs are divided by its own temperature ({each}), fitted on its validation images, before "
            "they become probabilities."
        )
    else:
        told = (
            f"The network’s outputs are divided by the temperature {number(calibration.temperature)}, which was fitted "
            "on the validation images, before they become probabilities."
        )
    gap = _too_sure(before.bins)
    sure = ""
    if gap > 0 and calibration.temperature > 1:
        sure = " It was too sure of itself."
    if gap < 0 and calibration.temperature < 1:
        sure = " It was not sure enough of itself."
    return [f"{told}{sure} The answers stay the same."]


def _helped(before: Reliability | None, after: Reliability, split: str) -> list[str]:
    """Whether the scaling lowered the log loss of these images."""
    if before is None or before.log_loss is None or after.log_loss is None:
        return []
    if split == "val":
        return ["These are the very images that it was fitted on, so the fit looks better here than it is."]
    ends = f"from {number(before.log_loss)} to {number(after.log_loss)}"
    if after.log_loss < before.log_loss:
        return [f"On these images, which it was not fitted on, it lowered the log loss {ends}."]
    return [f"It did not help on these images: the log loss went {ends}."]


def _too_sure(bins: Sequence[Bin]) -> float:
    """How much the mean probability exceeds the share of right answers; 0 where chance may have done it."""
    n = sum(each.n for each in bins)
    gap = sum(each.n * (each.confidence - each.share) for each in bins) / n
    error = sqrt(sum(each.n * each.confidence * (1 - each.confidence) for each in bins)) / n
    return gap if abs(gap) > Z * error else 0.0


def _row(key: str, before: Reliability | None, after: Reliability) -> TrustRow:
    metric, new = METRICS[key], getattr(after, key)
    write = percent if metric.kind == "share" else number
    name = metric.title[0].upper() + metric.title[1:] + {"brier": " (0 to 2)"}.get(key, "")
    name += f" ({metric.unit})" if metric.unit else ""
    if before is None:
        return TrustRow(name, "", write(new), "")
    old = getattr(before, key)
    better = "" if write(old) == write(new) else "after" if new < old else "before"
    return TrustRow(name, write(old), write(new), better)
