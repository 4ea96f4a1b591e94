"""What is shown of a numeric target, computed from a run folder: clouds of errors, errors in parts, coverage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, quantiles, stdev

from mirada.errors import counted
from mirada.evaluation.conformal import Coverage
from mirada.evaluation.evaluate import Evaluation, Measured
from mirada.evaluation.subgroups import Subgroup
from mirada.pages import agreement, charts
from mirada.pages.agreement import Level
from mirada.pages.charts import Figure
from mirada.svg import WIDTH
from mirada.text import NBSP, integer, interval, number, percent, places, with_unit

Point = tuple[float, float, str]  # true, predicted, file name

CAPTIONS = {
    "parity": "One dot per image. A dot on the diagonal is a perfect answer; above it the network answers too high, "
    "below it too low.",
    "errors": "Error = predicted − true. Bars to the right of the dashed line are answers that are too high. A hump "
    "that is not centred on the line is a systematic error.",
    "residuals": "The same errors along the true value. A cloud that falls from left to right means that small values "
    "are guessed too high and large ones too low, towards the mean: common with few images.",
    "bland_altman": "Bland and Altman’s diagram: the error over the mean of the true and the predicted value. Between "
    "the outer lines, mean error ± 1.96 standard deviations, lie about 95\u00a0% of the errors if they are normally "
    "distributed. The grey bands are the 95\u00a0% intervals of the lines.",
    "parts": "Dots are the mean absolute error of a part of the images, bars its 95\u00a0% interval. Where bars "
    "overlap widely, the difference may be chance.",
}


@dataclass(frozen=True)
class SubgroupRow:
    """A part of the images as a row of a table."""

    name: str
    n: int
    error: str
    interval: str


@dataclass(frozen=True, kw_only=True)
class SubgroupTable:
    """The error in the parts of one division, drawn and in numbers."""

    figure: Figure
    rows: list[SubgroupRow]


@dataclass(frozen=True, kw_only=True)
class NumberResult:
    """How well one numeric target is predicted; ``name`` is empty for the only one."""

    name: str
    figures: list[Figure]
    subgroups: list[SubgroupTable]
    residuals: list[tuple[str, str]]
    coverage: str


def numbers(name: str, points: Sequence[Point], evaluation: Evaluation, unit: str) -> NumberResult:
    """All that is shown about one target. What the evaluation or the predictions lack is left out."""
    held = [item for item in evaluation.coverage if item.target == name]
    return NumberResult(
        name=name,
        figures=[
            *(clouds(points, unit) if points else []),
            *agreement_figure(points, metrics_of(name, evaluation), unit),
        ],
        subgroups=subgroup_tables(name, evaluation, unit),
        residuals=residual_summary(points, unit) if points else [],
        coverage=coverage_sentence(held[0], unit) if held else "",
    )


def metrics_of(name: str, evaluation: Evaluation) -> dict[str, Measured]:
    """The metrics of one target by their name."""
    return {item.name: item for item in evaluation.metrics if item.target == name}


def baseline(points: Sequence[Point], unit: str) -> str:
    """What the best constant alone would reach."""
    if not points:
        return ""
    truths = [point[0] for point in points]
    middle = median(truths)
    error = with_unit(number(fmean(abs(truth - middle) for truth in truths)), unit)
    answer = with_unit(number(middle), unit)
    return (
        f"For comparison: always answering {answer}, the median of these images, "
        f"would have a mean absolute error of {error}."
    )


def clouds(points: Sequence[Point], unit: str) -> list[Figure]:
    """Predicted over true values, the distribution of the errors, and errors over true values."""
    step = -(-len(points) // charts.POINTS)
    part = f" {integer(len(points[::step]))} of {integer(len(points))} images are drawn." if step > 1 else ""
    errors = [(true, guess - true, said(true, guess, name)) for true, guess, name in points]
    residuals = agreement.error_cloud(errors, [], across="true", unit=unit)
    return [
        Figure(
            title="Predicted and true values",
            svg=charts.parity(points, unit),
            caption=CAPTIONS["parity"] + part,
        ),
        Figure(
            title="Distribution of the errors",
            svg=charts.histogram(
                [(error, 1) for _, error, _ in errors],
                across="error",
                unit=unit,
                zero=True,
                title="Distribution of the errors",
                height=WIDTH,
            ),
            caption=CAPTIONS["errors"],
        ),
        Figure(title="Error over the true value", svg=residuals, caption=CAPTIONS["residuals"] + part),
    ]


def agreement_figure(points: Sequence[Point], metrics: Mapping[str, Measured], unit: str) -> list[Figure]:
    """Bland and Altman's diagram, if the limits of agreement are known."""
    labels = {"loa_low": "−1.96 s", "bias": "mean", "loa_high": "+1.96 s"}
    found = [(metrics[name], text) for name, text in labels.items() if name in metrics]
    values = [item.value for item, _ in found if item.value is not None]
    if not points or len(values) < len(labels):
        return []
    decimals = 1 if max(values) - min(values) >= 10 else 3
    levels = [
        Level(value, f"{text}: {number(value, decimals)}", item.low, item.high)
        for value, (item, text) in zip(values, found, strict=True)
    ]
    errors = [((true + guess) / 2, guess - true, said(true, guess, name)) for true, guess, name in points]
    drawing = agreement.error_cloud(errors, levels, across="mean of true and predicted", unit=unit)
    return [Figure(title="Limits of agreement", svg=drawing, caption=CAPTIONS["bland_altman"])]


def said(true: float, guess: float, name: str) -> str:
    """What a dot tells under the pointer."""
    return f"{name}\ntrue {number(true, 4 if abs(true) < 1 else None)}, predicted {number(guess)}"


def subgroup_tables(name: str, evaluation: Evaluation, unit: str) -> list[SubgroupTable]:
    """The error by range of the target, and by each covariate."""
    own = [part for part in evaluation.parts if part.target == name]
    mae = metrics_of(name, evaluation).get("mae")
    found = []
    for covariate in dict.fromkeys(part.covariate for part in own):
        parts = [part for part in own if part.covariate == covariate]
        rows = agreement.part_rows(parts)
        if rows:
            title = f"Error by {covariate.partition('=')[0] or 'range of the true value'}"
            drawing = agreement.dot_plot(rows, overall=mae.value if mae else None, unit=unit, title=title)
            figure = Figure(title=title, svg=drawing, caption=CAPTIONS["parts"])
            found.append(SubgroupTable(figure=figure, rows=[subgroup_row(part, unit) for part in parts]))
    return found


def subgroup_row(part: Subgroup, unit: str) -> SubgroupRow:
    """One part in numbers."""
    decimals = None if part.mae is None else places(part.mae)
    error = with_unit(number(part.mae, decimals), unit)
    return SubgroupRow(part.name, part.n, error, interval(part.low, part.high, decimals, unit))


def coverage_sentence(item: Coverage, unit: str) -> str:
    """What the conformal interval promised and what it held."""
    level, width = percent(item.level, 0), with_unit(f"± {number(item.half_width)}", unit)
    span = ""
    if item.low is not None:
        span = f" (95{NBSP}% interval {percent(item.low)} to {percent(item.high)})"
    return (
        f"Predicted value {width} was to hold for {level} of new images; on {'this' if item.n == 1 else 'these'} "
        f"{counted(item.n, 'image')} it held for {percent(item.covered)}{span}. The width was learnt from "
        f"{counted(item.learnt_from, 'validation image')}; they also chose the epoch, which can make it a little too "
        "small."
    )


def residual_summary(points: Sequence[Point], unit: str) -> list[tuple[str, str]]:
    """The errors in numbers."""
    errors = [guess - true for true, guess, _ in points]
    sizes = sorted(abs(error) for error in errors)
    decimals = 1 if sizes[-1] >= 10 else 3

    def quantity(value: float) -> str:
        return with_unit(number(value, decimals), unit)

    rows = [("Mean error (systematic)", quantity(fmean(errors)))]
    if len(errors) > 1:
        parts = quantiles(errors, n=40, method="inclusive")
        rows += [
            ("Standard deviation of the errors", quantity(stdev(errors))),
            ("Middle 95 % of the errors", f"{number(parts[0], decimals)} to {quantity(parts[-1])}"),
            (
                "90 % of the images are off by at most",
                quantity(quantiles(sizes, n=10, method="inclusive")[-1]),
            ),
        ]
    return [
        *rows,
        ("Half of the images are off by at most", quantity(median(sizes))),
        ("Largest error", quantity(sizes[-1])),
    ]
