"""The results, computed from a run folder: curves, metrics, confusion, errors, explained images."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mirada.evaluation.evaluate import ClassScore, Evaluation, OneAnswer
from mirada.evaluation.metric_table import METRICS
from mirada.pages import charts
from mirada.pages.charts import Figure, Series
from mirada.pages.gradients import gradients_of
from mirada.pages.numbers import NumberResult, Point, baseline, numbers
from mirada.pages.operating import Operating, operating
from mirada.pages.ranking import ranking_figures
from mirada.pages.spread import SpreadResult, spread_results
from mirada.pages.trust import Trust, trust
from mirada.pages.words import Shown, mark_of, said_of_parts, shown
from mirada.runs.reader import Prediction, RunContents
from mirada.runs.records import CellImage, CellRecord, MapRecord
from mirada.text import integer, known, number, percent, with_unit

MATRIX_AS_TABLE = 20  # up to so many classes the confusion matrix is a table with numbers
MATRIX_AT_ALL = 100  # beyond so many classes only the most confused pairs are shown
PAIRS = 20
WORST = 20
MAP_SECTIONS = {  # whether the target is a number
    False: {
        "wrong": ("Most wrong", "Mistakes; first those where the true class got the least probability."),
        "uncertain": ("Most uncertain", "The most probable class barely leads the next one."),
        "typical": ("Right and sure", "Right answers, the most probable first."),
    },
    True: {
        "wrong": ("Most wrong", "The images with the largest errors."),
        "uncertain": ("Most uncertain", "The images about which the network is least certain."),
        "typical": ("Most right", "The images with the smallest errors."),
    },
}
CAPTIONS = {
    "loss": "The quantity that training makes small, after every epoch; lower is better. While both lines fall, the "
    "network still learns. Where training goes on falling and validation rises, it learns the training images by "
    "heart. The training line is averaged over the epoch, while the weights change.",
    "mixed": " It is also that of mixed images and targets, which can never be met, so it does not fall to 0.",
    "accuracy": "The share of right answers on images that the weights were not fitted to; higher is better. The "
    "axis need not start at zero.",
    "top5": " Top-5: the true class is among the five most probable.",
    "error": "How far off the predictions are on images that the weights were not fitted to; lower is better. The "
    "root mean square counts large errors more.",
}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two classes that are confused: ``count`` images of class ``true`` were given to class ``predicted``."""

    true: str
    predicted: str
    count: int
    share: float
    place: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class CellView:
    """A cell of the confusion matrix with pictures of some of its ``count`` images, and where they are on the page."""

    anchor: str
    true: str
    predicted: str
    count: int
    images: tuple[CellImage, ...]


@dataclass(frozen=True, kw_only=True)
class PartRow:
    """The images of which a column says one word: how many they are, and how well the network does on them."""

    word: str
    n: int
    metrics: list[Shown]


@dataclass(frozen=True, kw_only=True)
class PartTable:
    """The parts that a column makes, and what may be said of their difference, a sentence for each metric tested."""

    rows: list[PartRow]
    sentences: list[str]


@dataclass(frozen=True, kw_only=True)
class Result:
    """How well the network does on one split."""

    split: str
    n: int
    metrics: list[Shown]
    per_class: Sequence[ClassScore]
    confusion: list[list[int]]
    cells: dict[tuple[int, int], CellView]
    matrix: Markup | None
    pairs: list[Pair]
    trust: Trust | None
    numbers: list[NumberResult]
    worst: list[Prediction]
    baseline: str
    constant: list[str]
    spread: list[SpreadResult]
    by: dict[str, PartTable]
    curves: list[Figure]
    operating: Operating | None
    mark: str

    @property
    def spread_known(self) -> bool:
        """Whether several networks were asked of any of the worst."""
        return any(known(row.spread) for row in self.worst)

    @property
    def undefined(self) -> bool:
        """Whether a class lacks its precision, recall or F1."""
        return any(None in (score.precision, score.recall, score.f1) for score in self.per_class)

    @property
    def ranked(self) -> bool:
        """Whether each class was told apart from the rest."""
        return any(score.specificity is not None for score in self.per_class)


def curves(run: RunContents) -> list[Figure]:
    """Loss of both splits, and the metrics of the validation split."""
    if not run.epochs:
        return []
    lines = [line(run, "train_loss", "training", "train"), line(run, "val_loss", "validation", "val")]
    drawing = charts.learning_curve(epochs_of(run), lines, best=run.best)
    mixes = run.recipe.get("augment", {})
    mixed = CAPTIONS["mixed"] if mixes.get("mixup") or mixes.get("cutmix") else ""
    loss = Figure(title="Loss", svg=drawing, caption=CAPTIONS["loss"] + mixed)
    return [loss, *(error_curves(run) if run.data.numeric else accuracy_curves(run)), *gradients_of(run)]


def epochs_of(run: RunContents) -> list[float]:
    """The numbers of the finished epochs."""
    return [row["epoch"] for row in run.epochs]


def line(run: RunContents, column: str, name: str, kind: str) -> Series:
    """A column of ``results.csv`` as a line of a chart."""
    return Series(name, kind, [row[column] for row in run.epochs])


def accuracy_curves(run: RunContents) -> list[Figure]:
    """Accuracy on the validation images, and top-5 where it says something."""
    if "val_accuracy" not in run.epochs[0]:
        return []
    lines, caption = [line(run, "val_accuracy", METRICS["accuracy"].title, "val")], CAPTIONS["accuracy"]
    if "val_top5" in run.epochs[0] and METRICS["top5"].applies(len(run.data.classes)):
        lines.append(line(run, "val_top5", METRICS["top5"].title, "other"))
        caption += CAPTIONS["top5"]
    drawing = charts.learning_curve(epochs_of(run), lines, best=run.best, share=True)
    return [Figure(title="Accuracy on the validation images", svg=drawing, caption=caption)]


def error_curves(run: RunContents) -> list[Figure]:
    """Mean absolute and root mean square error on the validation images."""
    kinds = {"val_mae": "val", "val_rmse": "other"}
    lines = [
        line(run, column, METRICS[column.removeprefix("val_")].title, kind)
        for column, kind in kinds.items()
        if column in run.epochs[0]
    ]
    if not lines:
        return []
    title = "Error on the validation images" + (f" ({run.data.unit})" if run.data.unit else "")
    drawing = charts.learning_curve(epochs_of(run), lines, best=run.best)
    return [Figure(title=title, svg=drawing, caption=CAPTIONS["error"])]


def results(run: RunContents) -> list[Result]:
    """The results per split, the one of the headline first."""
    evaluation = run.evaluation or {}
    splits = [split for split in ("test", "val") if split in evaluation and evaluation[split].n]
    return [
        result(run, split, evaluation[split], run.cells if split == splits[0] else ()) for split in splits
    ]


def result(
    run: RunContents, split: str, evaluation: Evaluation, pictured: Sequence[CellRecord] = ()
) -> Result:
    """All that is shown about one split; ``pictured`` are the cells of its confusion matrix that have pictures."""
    rows = [row for row in run.predictions or [] if row.split == split]
    confusion = evaluation.counts.tolist()
    classes = run.data.classes
    drawn = MATRIX_AS_TABLE < len(confusion) <= MATRIX_AT_ALL
    targets = dict.fromkeys(each.target for each in evaluation.metrics) if run.data.numeric else {}
    points = {name: points_of(rows, name) for name in targets}
    pairs = confused_pairs(confusion, classes) if len(confusion) > MATRIX_AS_TABLE else []
    cells = cell_views(pictured, confusion, classes)
    if len(confusion) > MATRIX_AT_ALL:  # only from the pairs can they be reached
        cells = {pair.place: cells[pair.place] for pair in pairs if pair.place in cells}
    anchors = {place: cell.anchor for place, cell in cells.items()}
    learnt_from = run.evaluation["val"].n if run.evaluation and "val" in run.evaluation else None
    return Result(
        split=split,
        n=evaluation.n,
        metrics=[shown(each) for each in evaluation.metrics],
        per_class=evaluation.per_class,
        confusion=confusion,
        cells=cells,
        matrix=charts.confusion_map(confusion, classes, anchors) if drawn else None,
        pairs=pairs,
        trust=trust(evaluation.calibration, split, learnt_from) if evaluation.calibration else None,
        numbers=[numbers(name, points[name], evaluation, run.data.unit) for name in targets],
        worst=sorted((row for row in rows if row.wrong), key=lambda row: -abs(row.wrong))[:WORST],
        baseline=baseline(points.get("", []), run.data.unit)
        if run.data.numeric
        else class_baseline(confusion, classes),
        constant=[always(each, evaluation.n, run.data.unit) for each in evaluation.constant],
        spread=spread_results(evaluation.spread, rows, run.data.unit, numeric=run.data.numeric),
        by=by_column(evaluation),
        curves=ranking_figures(evaluation),
        operating=operating(evaluation, split),
        mark=mark_of(evaluation.trained_on, evaluation.n),
    )


def cell_views(
    pictured: Sequence[CellRecord], confusion: Sequence[Sequence[int]], classes: Sequence[str]
) -> dict[tuple[int, int], CellView]:
    """The cells that have pictures by row and column, in the order of the matrix; those of unknown classes go."""
    numbers = {name: number for number, name in enumerate(classes)}
    found = {}
    for cell in pictured:
        row, column = numbers.get(cell.true, -1), numbers.get(cell.predicted, -1)
        if min(row, column) >= 0 and confusion and cell.images:
            found[row, column] = CellView(
                anchor=f"cell-{row}-{column}",
                true=cell.true,
                predicted=cell.predicted,
                count=confusion[row][column],
                images=cell.images,
            )
    return dict(sorted(found.items()))


def by_column(evaluation: Evaluation) -> dict[str, PartTable]:
    """For each column by which the network was judged apart, a row for each of its words."""
    found: dict[str, PartTable] = {}
    for part in evaluation.by:
        row = PartRow(
            word=part.word or "(says nothing)", n=part.n, metrics=[shown(each) for each in part.metrics]
        )
        found.setdefault(part.column, PartTable(rows=[], sentences=[])).rows.append(row)
    for test in evaluation.by_tests:
        found[test.column].sentences.append(said_of_parts(test))
    return found


def always(constant: OneAnswer, n: int, unit: str) -> str:
    """What is said of a network that gives one answer whatever the image."""
    answer = (
        f"“{constant.answer}”"
        if isinstance(constant.answer, str)
        else with_unit(number(constant.answer), unit)
    )
    of = f" for {constant.target}" if constant.target else ""
    return (
        f"On all of these {integer(n)} images the network answers {answer}{of}: it always gives the same answer, and "
        "has learnt nothing."
    )


def points_of(rows: Sequence[Prediction], name: str) -> list[Point]:
    """True and predicted values of one target with the file's name; rows without numbers are left out."""
    points = [(float(row.target), float(row.predicted), row.path) for row in rows if row.column == name]
    return [point for point in points if known(point[0]) and known(point[1])]


def confused_pairs(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> list[Pair]:
    """The most confused pairs of classes."""
    pairs = [
        Pair(
            true=classes[row],
            predicted=classes[column],
            count=count,
            share=count / sum(counts),
            place=(row, column),
        )
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


def map_groups(run: RunContents) -> list[tuple[str, str, list[MapRecord]]]:
    """The explained images by section: title, what the section holds, items."""
    groups = []
    for section, (title, meaning) in MAP_SECTIONS[run.data.numeric].items():
        items = [item for item in run.maps or [] if item.section == section]
        if items:
            groups.append((title, meaning, items))
    return groups
