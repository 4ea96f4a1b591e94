"""Draws what the tests of explanations say as one HTML page: verdicts first, then pictures with their numbers."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from mirada.judging.verdict import Outcome, Quantity, Verdict
from mirada.pages.page import TEMPLATES, publish, template
from mirada.text import interval, number, percent, with_unit

SCRIPT = "explanations.js"
OUTCOMES: tuple[Outcome, ...] = ("pass", "fail", "cannot tell")


@dataclass(frozen=True, kw_only=True)
class MapChoice:
    """The map of one class: its name with the probability, the map as a ``data:`` address, what is said of it."""

    name: str
    picture: str
    note: str


@dataclass(frozen=True, kw_only=True)
class SimilarImage:
    """A training image that the network finds similar: its file, the cosine, its picture or ""."""

    path: str
    cosine: float
    picture: str


@dataclass(frozen=True, kw_only=True)
class ImageCard:
    """One image.

    Args:
        path: The file.
        photo: As a ``data:`` address.
        true: Its class or number in words; "" if that is not known.
        answer: The network's.
        limit: The end of the colour scale of all its maps.
        unit: That of the maps.
        choices: The maps of several classes, that which is judged first.
        numbers: What the tests measured in this image, by their names.
        similar: The training images that the network finds most similar; none where that is not known.
    """

    path: str
    photo: str
    true: str
    answer: str
    limit: float
    unit: str
    choices: Sequence[MapChoice]
    numbers: Sequence[tuple[str, float]]
    similar: Sequence[SimilarImage] = ()


@dataclass(frozen=True)
class MeanPicture:
    """The mean map of the images of a part: its name, how many they are, the map as a ``data:`` address."""

    part: str
    images: int
    picture: str


@dataclass(frozen=True)
class MeanColumn:
    """The mean maps of all parts of a column, "" of all images together, on a scale that ends at ``limit``."""

    name: str
    limit: float
    pictures: Sequence[MeanPicture]


@dataclass(frozen=True, kw_only=True)
class ExplanationsPage:
    """All that the page says.

    Args:
        data: What the data are called.
        method: How the maps were found.
        layer: Whose maps they are.
        unit: That of the maps.
        seed: Drew the images.
        available: Test images that there are.
        judged: Those that were judged.
        excluded: Those that could not be read.
        notes: What else is to be known.
        verdicts: One for each test.
        means: Mean maps of many images.
        cards: Images with pictures.
        grid: (h, w) of a map.
        input_size: (H, W) of the network's input.
    """

    data: str
    method: str
    layer: str
    unit: str
    seed: int
    available: int
    judged: int
    excluded: int
    notes: Sequence[str]
    verdicts: Sequence[Verdict]
    means: Sequence[MeanColumn]
    cards: Sequence[ImageCard]
    grid: tuple[int, int]
    input_size: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class VerdictRow:
    """A row of a verdict's table, as text."""

    name: str
    value: str
    interval: str
    p_value: str


def write_explanations_page(page: ExplanationsPage, file: Path) -> Path:
    """Writes the page and returns its path; it appears whole or not at all."""
    return publish(render_explanations(page), file)


def render_explanations(page: ExplanationsPage) -> str:
    """The page as text. Its script is named by its hash, so that no other runs."""
    script = (TEMPLATES / SCRIPT).read_text(encoding="utf-8")
    return template("explanations.html").render(
        page=page,
        title=title(page),
        script=script,
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        rows={verdict.test: [_row(each) for each in verdict.quantities] for verdict in page.verdicts},
        with_p={each.test: any(row.p_value is not None for row in each.quantities) for each in page.verdicts},
        p_values={verdict.test: p_value(verdict.p_value) for verdict in page.verdicts},
        intervals={verdict.test: interval(verdict.low, verdict.high, 3, "") for verdict in page.verdicts},
    )


def title(page: ExplanationsPage) -> str:
    """How the verdicts fall, in one line: ``pets: 3 pass, 1 fail, 2 cannot tell``."""
    counts = [(sum(each.outcome == outcome for each in page.verdicts), outcome) for outcome in OUTCOMES]
    return f"{page.data}: " + ", ".join(f"{count} {outcome}" for count, outcome in counts if count)


def p_value(value: float | None) -> str:
    """As it is printed: two digits, or that it is below what can be counted.

    >>> p_value(0.0312), p_value(0.0001), p_value(None)
    ('p = 0.031', 'p < 0.001', '')
    """
    if value is None:
        return ""
    return "p < 0.001" if value < 0.001 else f"p = {number(value, 3 if value < 0.1 else 2)}"


def _row(quantity: Quantity) -> VerdictRow:
    if quantity.unit == "%":
        low, high = (None if end is None else 100 * end for end in (quantity.low, quantity.high))
        shown, ends = percent(quantity.value), interval(low, high, 1, "%")
    else:
        shown = with_unit(number(quantity.value), quantity.unit)
        ends = interval(quantity.low, quantity.high, None, quantity.unit)
    return VerdictRow(name=quantity.name, value=shown, interval=ends, p_value=p_value(quantity.p_value))
