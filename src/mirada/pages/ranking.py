"""How well the probability of a class finds its images: ROC and precision over recall, a line for each class."""

from collections.abc import Sequence

from markupsafe import Markup

from mirada.evaluation.evaluate import Evaluation
from mirada.evaluation.ranking import RankingCurve
from mirada.pages.charts import Figure, Series, legend, path
from mirada.svg import (
    BOTTOM,
    LEFT,
    LINE,
    NONE,
    PATH,
    RIGHT,
    SVG,
    TEXT,
    TOP,
    WIDTH,
    PixelScale,
    bottom_axis,
    tick_labels,
    value_axis,
)
from mirada.text import number, percent, shorten

SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
NAME = 12  # letters of a class in the legend
ROC = (
    "Each threshold is a point: of the images of the class, the share that is found (sensitivity), over the share of "
    "the others that is called it as well (1 − specificity). The dashed diagonal is chance."
)
PRECISION = (
    "Each threshold is a point: of the images that are called the class, the share that is right, over the share of "
    "its images that is found. Chance is the share of the class among all images{}."
)


def ranking_figures(evaluation: Evaluation) -> list[Figure]:
    """Both figures; none where no curves were kept."""
    curves = evaluation.curves
    if not curves:
        return []
    areas = {score.name: score.roc_auc for score in evaluation.per_class}
    measured = {metric.name: metric for metric in evaluation.metrics}
    area = measured.get("roc_auc")
    said = ", ".join(f"{each.name} {number(areas.get(each.name), 3)}" for each in curves)
    if len(curves) == 1 and area and area.low is not None and area.high is not None:
        said += f" (95 % interval {number(area.low, 3)}–{number(area.high, 3)})"
    of = f": {percent(curves[0].n / evaluation.n)}" if len(curves) == 1 else ""
    return [
        Figure(
            title="ROC",
            svg=_drawn(
                curves, [each.roc for each in curves], ("1 − specificity", "sensitivity"), chance=True
            ),
            caption=f"{ROC} Area under the curve: {said}.",
        ),
        Figure(
            title="Precision over recall",
            svg=_drawn(
                curves, [each.precision_recall for each in curves], ("recall", "precision"), chance=False
            ),
            caption=PRECISION.format(of),
        ),
    ]


def _drawn(
    curves: Sequence[RankingCurve],
    points: Sequence[Sequence[tuple[float, float]]],
    axes: tuple[str, str],
    *,
    chance: bool,
) -> Markup:
    """Lines in a square whose axes are shares."""
    x = PixelScale(0.0, 1.0, LEFT, WIDTH - RIGHT)
    y = PixelScale(0.0, 1.0, WIDTH - BOTTOM, TOP)
    series = [
        Series(shorten(curve.name, NAME), f"run{place}", [height for _, height in line])
        for place, (curve, line) in enumerate(zip(curves, points, strict=True), start=1)
    ]
    lines = (
        PATH.format(each.kind, path(x, y, [across for across, _ in line], each.values))
        for each, line in zip(series, points, strict=True)
    )
    parts = [
        value_axis(y, SHARES, tick_labels(SHARES)),
        bottom_axis(x, SHARES, WIDTH),
        LINE.format("identity", x(0), y(0), x(1), y(1)) if chance else NONE,
        *lines,
        legend(series) if len(series) > 1 else TEXT.format("axis", 6, TOP - 16, axes[1]),
        TEXT.format("axis end", WIDTH - RIGHT, WIDTH - 6, axes[0]),
    ]
    return SVG.format(WIDTH, WIDTH, f"{axes[1]} over {axes[0]}", NONE.join(parts))
