"""Draws the labels that are probably wrong as one HTML page, with pictures, that needs no other file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mirada.errors import counted
from mirada.evaluation.suspects import Suspect, SuspectLabels
from mirada.pages.page import publish, template
from mirada.samples import Classes, Numbers
from mirada.text import NBSP, integer, number, percent, with_unit

SHOWN = 60  # images; the table has all
MANY_HARD = 0.1  # of the labels: that many images would be contradicted with every label right


@dataclass(frozen=True, kw_only=True)
class SuspectsPage:
    """All that the page says.

    Args:
        name: What the data are called.
        folds: How many networks were asked, each of images that it had not seen; 0 if that is not known.
        labels: All labels, the most suspicious first.
        pictures: The first images as ``data:`` addresses, in their order; empty for one that cannot be read.
    """

    name: str
    folds: int
    labels: SuspectLabels
    pictures: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class SuspectCard:
    """One image: the file, its picture, what the data and the network say of it, and how far they are apart."""

    path: str
    picture: str
    given: str
    predicted: str
    apart: str


def write_suspects_page(page: SuspectsPage, file: Path) -> Path:
    """Writes the page and returns its path; it appears whole or not at all."""
    return publish(render_suspects(page), file)


def render_suspects(page: SuspectsPage) -> str:
    """The page as text."""
    return template("suspects.html").render(
        title=title(page),
        meaning=meaning(page.labels),
        measure=measure(page.labels),
        page=page,
        cards=cards(page),
    )


def title(page: SuspectsPage) -> str:
    """The answer in one line: ``pets: 12 of 300 labels to look at``."""
    found, of = len(page.labels.suspected), counted(len(page.labels.ranked), "label")
    return f"{page.name}: {integer(found)} of {of} to look at"


def meaning(labels: SuspectLabels) -> list[str]:
    """What the count means, and what it does not, a sentence each."""
    found, n = len(labels.suspected), len(labels.ranked)
    chance = f"about {number(labels.by_chance, 0 if labels.by_chance >= 10 else 1)}"
    match labels.target:
        case Classes():
            said = [
                f"The network contradicts {integer(found)} of {counted(n, 'label')}, and is as sure of it as it "
                f"usually is.",
                f"If every label were right and its probabilities what they claim, it would contradict {chance} of "
                f"them in this way: these are images that are hard, and not labels that are wrong.",
            ]
            if labels.by_chance > MANY_HARD * n:
                said.append(
                    "So many hard images stand between the wrong labels: of a network that errs less, more of them "
                    "come first. Train it longer (--epochs), or from public weights (--weights)."
                )
            if labels.wrong is not None and n:
                share = percent(labels.wrong / n)
                said.append(
                    f"Confident learning estimates {number(labels.wrong, 0)} wrong labels ({share}); that holds "
                    f"where the network’s confident answers are right, and is too many where it errs by itself."
                )
        case Numbers():
            said = [
                f"{counted(found, 'label')} of {integer(n)} lie further from the network’s answer than 1.5 "
                f"interquartile ranges beyond the quartiles, measured by how far off it is at similar answers.",
                f"Of normal errors {chance} would, with every label right.",
            ]
    return [*said, "This is a ranking to look through from its top, and no verdict: nothing was changed."]


def measure(labels: SuspectLabels) -> str:
    """What the images are ranked by."""
    match labels.target:
        case Classes():
            return (
                "Margin is the probability of the given class less that of the most probable other one: −1 where the "
                "network is sure of another class, 1 where it is sure of the given one."
            )
        case Numbers():
            return "Deviations are standard deviations of the errors at similar answers."


def cards(page: SuspectsPage) -> list[SuspectCard]:
    """The first images."""
    unit = page.labels.target.unit if isinstance(page.labels.target, Numbers) else ""
    shown = page.labels.ranked[: len(page.pictures)]
    return [_card(each, picture, unit) for each, picture in zip(shown, page.pictures, strict=True)]


def _card(each: Suspect, picture: str, unit: str) -> SuspectCard:
    if isinstance(each.given, float) and isinstance(each.predicted, float):
        of = f" of {each.target}" if each.target else ""
        return SuspectCard(
            path=each.path,
            picture=picture,
            given=with_unit(number(each.given), unit) + of,
            predicted=with_unit(number(each.predicted), unit),
            apart=f"{number(each.score, 1)}{NBSP}deviations",
        )
    return SuspectCard(
        path=each.path,
        picture=picture,
        given=f"{each.given} ({percent(each.given_probability)})",
        predicted=f"{each.predicted} ({percent(each.predicted_probability)})",
        apart=f"margin {number(each.score, 2)}",
    )
