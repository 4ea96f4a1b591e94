"""The results, computed from a run folder: curves, metrics, confusion, errors, explained images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from mirada.pages import charts
from mirada.pages.agreement import reliability_diagram
from mirada.pages.charts import Figure, Series
from mirada.pages.folder import Prediction, RunFolder
from mirada.pages.numbers import Numbers, Point, baseline, numbers
from mirada.pages.words import Shown, known, label, number, percent, shown

MATRIX_AS_TABLE = 20  # up to so many classes the confusion matrix is a table with numbers
MATRIX_AT_ALL = 100  # beyond so many classes only the most confused pairs are shown
TOP = 5  # with so many classes or fewer, the top-5 accuracy is always 100 %
PAIRS = 20
WORST = 20
MAP_SECTIONS = {
    "classification": {
        "wrong": ("Most wrong", "Mistakes; first those where the true class got the least probability."),
        "uncertain": ("Most uncertain", "The most probable class barely leads the next one."),
        "typical": ("Right and sure", "Right answers, the most probable first."),
    },
    "regression": {
        "wrong": ("Most wrong", "The images with the largest errors."),
        "uncertain": ("Most uncertain", "The images about which the network is least certain."),
        "typical": ("Most right", "The images with the smallest errors."),
    },
}
CAPTIONS = {
    "loss": "The quantity that training makes small, after every epoch; lower is better. While both lines fall, the "
    "network still learns. Where training goes on falling and validation rises, it learns the training images by "
    "heart. The training line is averaged over the epoch, while the weights change.",
    "accuracy": "The share of right answers on images that the weights were not fitted to; higher is better. The "
    "axis need not start at zero.",
    "top5": " Top-5: the true class is among the five most probable.",
    "error": "How far off the predictions are on images that the weights were not fitted to; lower is better. The "
    "root mean square counts large errors more.",
    "reliability": "One dot per range of probability: how often the network was right there, over how sure it was, "
    "with 95 % intervals. Dots below the dashed diagonal: surer than it should be; above: less sure. The bars below "
    "count the images.",
}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two classes that are confused: ``count`` images of class ``true`` were given to class ``predicted``."""

    true: str
    predicted: str
    count: int
    share: float


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """How far the probabilities can be trusted. ``rows``: name, after scaling, before it (empty if nothing was)."""

    temperature: float
    figure: Figure
    rows: list[tuple[str, str, str]]
    chance: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """How well the network does on one split."""

    split: str
    n: int
    metrics: list[Shown]
    per_class: list[dict[str, Any]]
    confusion: list[list[int]]
    matrix: Markup | None
    pairs: list[Pair]
    reliability: Reliability | None
    numbers: list[Numbers]
    worst: list[Prediction]
    baseline: str

    @property
    def undefined(self) -> bool:
        """Whether a class lacks its precision, recall or F1."""
        return any(not known(row[key]) for row in self.per_class for key in ("precision", "recall", "f1"))


def curves(run: RunFolder) -> list[Figure]:
    """Loss of both splits, and the metrics of the validation split."""
    if not run.epochs:
        return []
    lines = [line(run, "train_loss", "training", "train"), line(run, "val_loss", "validation", "val")]
    drawing = charts.learning_curve(epochs_of(run), lines, best=run.best)
    loss = Figure(title="Loss", svg=drawing, caption=CAPTIONS["loss"])
    return [loss, *(error_curves(run) if run.regression else accuracy_curves(run))]


def epochs_of(run: RunFolder) -> list[float]:
    """The numbers of the finished epochs."""
    return [row["epoch"] for row in run.epochs]


def line(run: RunFolder, column: str, name: str, kind: str) -> Series:
    """A column of ``results.csv`` as a line of a chart."""
    return Series(name, kind, [row[column] for row in run.epochs])


def accuracy_curves(run: RunFolder) -> list[Figure]:
    """Accuracy on the validation images, and top-5 where it says something."""
    if "val_accuracy" not in run.epochs[0]:
        return []
    lines, caption = [line(run, "val_accuracy", label("accuracy"), "val")], CAPTIONS["accuracy"]
    if "val_top5" in run.epochs[0] and len(run.data["classes"]) > TOP:
        lines.append(line(run, "val_top5", label("top5"), "other"))
        caption += CAPTIONS["top5"]
    drawing = charts.learning_curve(epochs_of(run), lines, best=run.best, share=True)
    return [Figure(title="Accuracy on the validation images", svg=drawing, caption=caption)]


def error_curves(run: RunFolder) -> list[Figure]:
    """Mean absolute and root mean square error on the validation images."""
    kinds = {"val_mae": "val", "val_rmse": "other"}
    lines = [
        line(run, column, label(column.removeprefix("val_")), kind)
        for column, kind in kinds.items()
        if column in run.epochs[0]
    ]
    if not lines:
        return []
    title = "Error on the validation images" + (f" ({run.unit})" if run.unit else "")
    drawing = charts.learning_curve(epochs_of(run), lines, best=run.best)
    return [Figure(title=title, svg=drawing, caption=CAPTIONS["error"])]


def results(run: RunFolder) -> list[Result]:
    """The results per split, the one of the headline first."""
    evaluation = run.evaluation or {}
    splits = [split for split in ("test", "val") if split in evaluation and evaluation[split]["n"]]
    return [result(run, split, evaluation[split]) for split in splits]


def result(run: RunFolder, split: str, evaluation: dict[str, Any]) -> Result:
    """All that is shown about one split."""
    rows = [row for row in run.predictions or [] if row.split == split]
    confusion = evaluation.get("confusion") or []
    classes = run.data["classes"]
    drawn = MATRIX_AS_TABLE < len(confusion) <= MATRIX_AT_ALL
    targets = (
        dict.fromkeys(metric.get("target", "") for metric in evaluation["metrics"]) if run.regression else {}
    )
    points = {name: points_of(rows, name) for name in targets}
    return Result(
        split=split,
        n=evaluation["n"],
        metrics=[shown(metric) for metric in evaluation["metrics"]],
        per_class=evaluation.get("per_class") or [],
        confusion=confusion,
        matrix=charts.confusion_map(confusion, classes) if drawn else None,
        pairs=confused_pairs(confusion, classes) if len(confusion) > MATRIX_AS_TABLE else [],
        reliability=reliability(evaluation["calibration"]) if "calibration" in evaluation else None,
        numbers=[numbers(name, points[name], evaluation, run.unit) for name in targets],
        worst=sorted((row for row in rows if row.wrong), key=lambda row: -abs(row.wrong))[:WORST],
        baseline=baseline(points.get("", []), run.unit)
        if run.regression
        else class_baseline(confusion, classes),
    )


def points_of(rows: Sequence[Prediction], name: str) -> list[Point]:
    """True and predicted values of one target with the file's name; rows without numbers are left out."""
    points = [(float(row.target), float(row.predicted), row.path) for row in rows if row.column == name]
    return [point for point in points if known(point[0]) and known(point[1])]


def reliability(calibration: dict[str, Any]) -> Reliability | None:
    """The reliability diagram and the numbers that go with it, before and after the scaling."""
    after, before = calibration["after"], calibration.get("before")
    if not after["bins"]:
        return None
    names = {
        "ece": "Expected calibration error",
        "brier": "Brier score (0 to 2)",
        "log_loss": "Log loss (nats)",
    }
    rows = []
    for key, name in names.items():
        write = percent if key == "ece" else number
        rows.append((name, write(after[key]), write(before[key]) if before else ""))
    drawing = reliability_diagram(after["bins"], before["bins"] if before else [])
    return Reliability(
        temperature=calibration["temperature"],
        figure=Figure(title="Reliability", svg=drawing, caption=CAPTIONS["reliability"]),
        rows=rows,
        chance=percent(after["ece_by_chance"]),
    )


def confused_pairs(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> list[Pair]:
    """The most confused pairs of classes."""
    pairs = [
        Pair(true=classes[row], predicted=classes[column], count=count, share=count / sum(counts))
        for row, counts in enumerate(confusion)
        for column, count in enumerate(counts)
        if count and row != column
    ]
    return sorted(pairs, key=lambda pair: (-pair.count, -pair.share))[:PAIRS]


def class_baseline(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """What the commonest class alone would reach."""
    sums = [sum(counts) for counts in confusion]
    if not sum(sums):
        return ""
    name = classes[sums.index(max(sums))]
    share = percent(max(sums) / sum(sums))
    return f"For comparison: always answering “{name}” would be right for {share} of these images."


def map_groups(run: RunFolder) -> list[tuple[str, str, list[dict[str, Any]]]]:
    """The explained images by section: title, what the section holds, items."""
    groups = []
    for section, (title, meaning) in MAP_SECTIONS[run.data["task"]].items():
        items = [item for item in run.maps or [] if item["section"] == section]
        if items:
            groups.append((title, meaning, items))
    return groups
