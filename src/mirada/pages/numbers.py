"""What is shown of a numeric target, computed from a run folder: clouds of errors, errors in parts, coverage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, quantiles, stdev
from typing import Any

from mirada.pages import agreement, charts
from mirada.pages.agreement import Level
from mirada.pages.charts import Figure
from mirada.pages.words import NBSP, integer, known, number, percent, with_unit

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


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """How well one numeric target is predicted; ``name`` is empty for the only one."""

    name: str
    figures: list[Figure]
    residuals: list[tuple[str, str]]
    coverage: str


def numbers(name: str, points: Sequence[Point], evaluation: Mapping[str, Any], unit: str) -> Numbers:
    """All that is shown about one target. What the evaluation or the predictions lack is left out."""
    held = [item for item in evaluation.get("coverage", []) if item["target"] == name]
    return Numbers(
        name=name,
        figures=[
            *(clouds(points, unit) if points else []),
            *agreement_figure(points, metrics_of(name, evaluation), unit),
            *part_figures(name, evaluation, unit),
        ],
        residuals=residual_summary(points, unit) if points else [],
        coverage=coverage_sentence(held[0], unit) if held else "",
    )


def metrics_of(name: str, evaluation: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The metrics of one target by their name."""
    return {item["name"]: item for item in evaluation["metrics"] if item.get("target", "") == name}


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
            svg=charts.histogram([error for _, error, _ in errors], unit),
            caption=CAPTIONS["errors"],
        ),
        Figure(title="Error over the true value", svg=residuals, caption=CAPTIONS["residuals"] + part),
    ]


def agreement_figure(
    points: Sequence[Point], metrics: Mapping[str, Mapping[str, Any]], unit: str
) -> list[Figure]:
    """Bland and Altman's diagram, if the limits of agreement are known."""
    labels = {"loa_low": "−1.96 s", "bias": "mean", "loa_high": "+1.96 s"}
    if not points or not all(name in metrics and known(metrics[name]["value"]) for name in labels):
        return []
    decimals = 1 if abs(metrics["loa_high"]["value"] - metrics["loa_low"]["value"]) >= 10 else 3
    levels = [
        Level(item["value"], f"{text}: {number(item['value'], decimals)}", item["low"], item["high"])
        for item, text in ((metrics[name], text) for name, text in labels.items())
    ]
    errors = [((true + guess) / 2, guess - true, said(true, guess, name)) for true, guess, name in points]
    drawing = agreement.error_cloud(errors, levels, across="mean of true and predicted", unit=unit)
    return [Figure(title="Limits of agreement", svg=drawing, caption=CAPTIONS["bland_altman"])]


def said(true: float, guess: float, name: str) -> str:
    """What a dot tells under the pointer."""
    return f"{name}\ntrue {number(true, 4 if abs(true) < 1 else None)}, predicted {number(guess)}"


def part_figures(name: str, evaluation: Mapping[str, Any], unit: str) -> list[Figure]:
    """The error by range of the target, and by each covariate."""
    own = [part for part in evaluation.get("parts", []) if part["target"] == name]
    overall = metrics_of(name, evaluation).get("mae", {}).get("value")
    found = []
    for covariate in dict.fromkeys(part["covariate"] for part in own):
        rows = agreement.part_rows([part for part in own if part["covariate"] == covariate])
        if rows:
            title = f"Error by {covariate.partition('=')[0] or 'range of the true value'}"
            drawing = agreement.dot_plot(rows, overall=overall, unit=unit, title=title)
            found.append(Figure(title=title, svg=drawing, caption=CAPTIONS["parts"]))
    return found


def coverage_sentence(item: Mapping[str, Any], unit: str) -> str:
    """What the conformal interval promised and what it held."""
    level, width = percent(item["level"], 0), with_unit(f"± {number(item['half_width'])}", unit)
    span = ""
    if known(item["low"]) and known(item["high"]):
        span = f" (95{NBSP}% interval {percent(item['low'])} to {percent(item['high'])})"
    return (
        f"Predicted value {width} was to hold for {level} of new images; on these {integer(item['n'])} images it held "
        f"for {percent(item['covered'])}{span}. The width was learnt from {integer(item['learnt_from'])} validation "
        "images; they also chose the epoch, which can make it a little too small."
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
