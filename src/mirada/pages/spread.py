"""What a page says of the spread among several networks: whether it tells how far off the answer is."""

from collections.abc import Sequence
from dataclasses import dataclass

from mirada.errors import counted
from mirada.evaluation.conformal import Conformal
from mirada.evaluation.spread import SpreadCheck, SpreadPart
from mirada.pages.agreement import error_cloud
from mirada.pages.charts import Figure
from mirada.runs.reader import Prediction
from mirada.text import NBSP, interval, known, number, percent, places, with_unit

CAPTION = (
    "The error over the standard deviation among the networks, a dot per image. Where the spread tells something, the "
    "cloud is wider on the right."
)


@dataclass(frozen=True)
class ThirdRow:
    """A third of the images by their spread, ready to print."""

    name: str
    n: int
    error: str
    interval: str


@dataclass(frozen=True, kw_only=True)
class SpreadResult:
    """What is said of the spread for classes, or for one number; ``title`` names the error of the rows."""

    sentence: str
    title: str
    figure: Figure | None
    rows: list[ThirdRow]


def spread_results(
    checks: Sequence[SpreadCheck], predictions: Sequence[Prediction], unit: str, *, numeric: bool
) -> list[SpreadResult]:
    """One for classes, or for each number.

    Args:
        checks: As measured.
        predictions: The images that were measured.
        unit: Of the numbers.
        numeric: Whether there are numbers.
    """
    return [
        SpreadResult(
            sentence=sentence(check),
            title="Mean absolute error" if numeric else "Mistakes",
            figure=_cloud(check, predictions, unit) if numeric else None,
            rows=[_row(part, unit, numeric=numeric) for part in check.parts],
        )
        for check in checks
    ]


def sentence(check: SpreadCheck) -> str:
    """The rank correlation, and what follows from it."""
    of = f" of {check.target}" if check.target else ""
    images = counted(check.n, "image")
    if check.correlation is None:
        return (
            f"On these {images} the spread{of}, or the error, is always the same, so nothing follows from it."
        )
    span = (
        f" (95{NBSP}% interval {number(check.low, 2)} to {number(check.high, 2)})"
        if check.low is not None
        else ""
    )
    if check.low is None or check.high is None or check.low <= 0 <= check.high:
        follows = "which may be chance: here the spread does not tell how far off an answer is"
    elif check.correlation > 0:
        follows = "so answers on which the networks differ more are further off"
    else:
        follows = "so answers on which the networks agree are further off, and the spread misleads"
    return f"Its rank correlation with the error{of} is {number(check.correlation, 2)}{span} on {images}, {follows}."


def intervals_sentence(conformal: Conformal, names: Sequence[str], unit: str) -> str:
    """What intervals the answers of all networks together have, and what is promised of them."""
    widths = ", ".join(
        f"{name} ± {with_unit(number(width), unit)}".strip()
        for name, width in zip(names or ("",), conformal.half_widths, strict=True)
    )
    level = percent(conformal.level, 0)
    return (
        f"Its answers have intervals: {widths}, the {level} quantile of the errors of the "
        f"{counted(conformal.n, 'image')} here, each by the network that had not seen it. The mean of all networks is "
        f"seldom further off than one alone, so on new images of the same kind they should hold for {level} or "
        f"more; that is no guarantee."
    )


def _row(part: SpreadPart, unit: str, *, numeric: bool) -> ThirdRow:
    if not numeric:
        name = f"{percent(part.least)} to {percent(part.most)}"
        span = interval(_hundredfold(part.low), _hundredfold(part.high), 1, "%")
        return ThirdRow(name, part.n, percent(part.error), span)
    name = f"{number(part.least)} to {with_unit(number(part.most), unit)}"
    decimals = None if part.error is None else places(part.error)
    return ThirdRow(
        name,
        part.n,
        with_unit(number(part.error, decimals), unit),
        interval(part.low, part.high, decimals, unit),
    )


def _hundredfold(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _cloud(check: SpreadCheck, predictions: Sequence[Prediction], unit: str) -> Figure:
    points = [
        (row.spread, row.wrong, f"{row.path}\nspread {number(row.spread)}, error {number(row.wrong)}")
        for row in predictions
        if row.column in ("", check.target)  # of one number alone the table does not repeat the name
        and known(row.spread)
        and known(row.wrong)
    ]
    drawing = error_cloud(points, [], across="spread", unit=unit)
    return Figure(title="Error over the spread", svg=drawing, caption=CAPTION)
