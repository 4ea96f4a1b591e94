"""What a page says of a threshold of one class: which it is, how it was chosen, what holds there."""

from dataclasses import dataclass

from mirada.errors import counted
from mirada.evaluation.evaluate import Evaluation, OperatingPoint
from mirada.evaluation.threshold import ThresholdRule
from mirada.pages.words import Shown, shown
from mirada.text import number, percent


@dataclass(frozen=True, kw_only=True)
class Operating:
    """A threshold ready to print; ``prevalence`` is the share of its class among the images."""

    point: OperatingPoint
    sentences: list[str]
    measures: list[Shown]
    prevalence: str


def operating(evaluation: Evaluation, split: str) -> Operating | None:
    """What is shown of the threshold of an evaluation; None where there is none.

    Args:
        evaluation: Of the images of one split.
        split: ``val`` are the images that the threshold was chosen on.
    """
    point = evaluation.operating
    if not point:
        return None
    return Operating(
        point=point,
        sentences=[_stated(point), *_chosen(point, split)],
        measures=[shown(each) for each in point.measures],
        prevalence=percent((point.found + point.missed) / max(1, evaluation.n)),
    )


def rule_words(rule: str) -> str:
    """How a threshold was chosen, as the end of a sentence."""
    wanted = ThresholdRule.parse(rule)
    match wanted.kind, wanted.values:
        case "sensitivity", (share,):
            return f"the most specific one with a sensitivity of at least {percent(share)}"
        case "specificity", (share,):
            return f"the most sensitive one with a specificity of at least {percent(share)}"
        case "cost", (missed, false):
            return f"the cheapest one if a missed image costs {missed:g} and a false alarm {false:g}"
    return "the one with the largest sum of sensitivity and specificity (Youden)"


def _stated(point: OperatingPoint) -> str:
    values = [each.value for each in point.thresholds]
    if len(values) == 1:
        said = f"{number(values[0], 3)} or more"
    else:
        span = f"{number(min(values), 3)} to {number(max(values), 3)}"
        said = f"the threshold of the network of its fold ({span}) or more"
    name = point.positive
    return (
        f"An image is called {name} where its probability of {name} is {said}, and {point.other} otherwise."
    )


def _chosen(point: OperatingPoint, split: str) -> list[str]:
    first = point.thresholds[0]
    if not first.n:
        return ["The threshold was given, and not chosen on images."]
    images = f"{counted(first.n, 'image')} that the network did not learn from"
    of = f"{images}, {first.positives:,} of them {first.positive}"
    several = " (of the first network)" if len(point.thresholds) > 1 else ""
    there = ""
    if first.sensitivity is not None and first.specificity is not None:
        ends = percent(first.sensitivity), percent(first.specificity)
        there = f"; there it had a sensitivity of {ends[0]} and a specificity of {ends[1]}"
    said = [f"It is {rule_words(first.rule)}, chosen on {of}{several}{there}."]
    if split == "val":
        said.append("These are the very images that it was chosen on, so the figures here flatter it.")
    return said
