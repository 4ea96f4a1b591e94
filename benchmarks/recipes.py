"""One change of a recipe at a time, on four small data sets: what helps, what does not, and what is not known.

Each task is a data set with a network, from random or from given weights, and its own recipe (the base). Each change
is trained with the same seeds as the base, for the same number of epochs except where the epochs are the change.
The table has the difference from the base, paired by seed, with its 95 % interval (Student's t over the seeds): where
that holds 0, the change is not said to help or to hurt. Three seeds tell large differences alone, so a last table has
each change in all tasks together. Runs that are in the results file already are not run again.
"""

import argparse
import json
import math
import random
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median, stdev
from typing import NamedTuple

import harness

BENCHMARK = "recipes"
PER_CLASS = 50  # CIFAR-10 images to train and validate on; the others are tested
T95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}  # Student's t, 97.5 %, by number of seeds


Settings = dict[str, object]


@dataclass(frozen=True)
class Task:
    """A data set and how it is trained before anything is changed."""

    data: str
    base: Settings
    weights: str = ""
    table: tuple[str, ...] = ()  # options of a table: target and covariates

    @property
    def metric(self) -> str:
        """What the test images are judged by."""
        return "mae" if self.table else "accuracy"

    def changes(self) -> dict[str, Settings]:
        """Name → settings of each change; "" is the base."""
        lr, epochs = float(str(self.base["lr"])), int(str(self.base["epochs"]))
        alone: list[Settings] = [
            {"augment": "none"},
            {"augment.horizontal_flip": "alternate"},
            {"flip_average": "true"},
            {"weight_decay": 0},
            {"weight_decay": 0.01},
            {"augment.erase": 0.25},
            *([] if self.table else [{"label_smoothing": 0.1}]),
            # what frozen parts make of an image is computed once, and such images are never twice the same
            *([] if "freeze" in self.base else [{"augment.mixup": 0.2}]),
            *([] if "freeze" in self.base or self.table else [{"augment.cutmix": 1}]),
        ]
        return {
            "": {},
            "epochs × 2": {"epochs": epochs * 2},
            "epochs ÷ 2": {"epochs": epochs // 2},
            "lr × 3": {"lr": 3 * lr},
            "lr ÷ 3": {"lr": round(lr / 3, 6)},
            "average=ema": {"average": "ema", "average.decay": 0.99},
            **{f"{key}={value}": {key: value} for change in alone for key, value in change.items()},
        }


HANDS = ("--target", "boneage (months)", "--covariates", "male")
BONE: Settings = {
    "model": "resnet20", "lr": 1e-3, "epochs": 12, "batch_size": 16, "image_size": 64, "policy": "pad", "clahe": 2,
    "loss": "mae", "augment.crop": 1, "augment.horizontal_flip": "true",
}  # fmt: skip
TASKS = {
    "cats-dogs": Task("cats-dogs", {"model": "simplecnn", "lr": 1e-3, "epochs": 25}),
    "cats-dogs, ImageNet": Task(
        "cats-dogs",
        {"model": "vgg16", "lr": 1e-3, "epochs": 30, "freeze": "all", "image_size": 128},
        weights="weights/vgg16-features.safetensors",
    ),
    "bone age": Task("boneage", BONE, table=HANDS),
    "bone age, CIFAR-10": Task("boneage", BONE, weights="cifar10/resnet20-12fca82f.th", table=HANDS),
    "CIFAR-10, 50 a class": Task(
        "cifar10", {"model": "resnet20", "lr": 1e-3, "epochs": 60, "val_fraction": 0.1}
    ),
    "shapes": Task("shapes", {"model": "resnet20", "lr": 1e-3, "epochs": 30, "image_size": 32}),
}


def views(data: Path, folder: Path, seeds: list[int]) -> None:
    """The data sets as Mirada reads them, by links; of CIFAR-10 another draw of images per seed."""
    (folder / "boneage").symlink_to((data / "boneage").resolve())
    (folder / "cats-dogs").mkdir()
    for ours, theirs in (("train", "training_set"), ("test", "test_set")):
        (folder / "cats-dogs" / ours).symlink_to((data / "cats-dogs" / theirs).resolve())
    for seed in seeds:
        for kind in sorted((data / "cifar10" / "test").iterdir()):
            files = sorted(kind.iterdir())
            random.Random(f"{seed} {kind.name}").shuffle(files)
            for number, file in enumerate(files):
                part = "train" if number < PER_CLASS else "test"
                link = folder / f"cifar10-{seed}" / part / kind.name / file.name
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(file.resolve())
    harness.run([harness.MIRADA, "sample", "shapes", folder / "shapes"])


def command_of(task: Task, change: str, seed: int, data: Path, folder: Path) -> list[str | Path]:
    """The training run of one cell of the table, without its output."""
    place = {"boneage": "boneage/boneage.csv", "cifar10": f"cifar10-{seed}"}.get(task.data, task.data)
    chosen = {**task.base, **task.changes()[change], "seed": seed}
    words = [word for key, value in chosen.items() for word in ("--set", f"{key}={value}")]
    weights = ["--weights", data / task.weights] if task.weights else []
    return ["train", folder / place, *task.table, *weights, *words]


def measure(name: str, change: str, seed: int, options: argparse.Namespace, folder: Path) -> None:
    """Trains one cell, judges it on the test images, prints and records it."""
    task = TASKS[name]
    command = command_of(task, change, seed, options.data, folder)
    threads = {"OMP_NUM_THREADS": str(options.threads)} if options.threads else {}
    with tempfile.TemporaryDirectory() as output:
        run = Path(output) / "run"
        process = harness.run(
            [harness.MIRADA, *command, "--output", run],
            environment={"MIRADA_CACHE": str(folder / "cache"), **threads},
        )
        found = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))["test"]
    score = next(each["value"] for each in found["metrics"] if each["name"] == task.metric)
    shown = " ".join(str(word).replace(f"{folder}/", "").replace(f"{options.data}/", "") for word in command)
    values = {"task": name, "change": change, "seed": seed, task.metric: score, "test_images": found["n"]}
    costs = {"wall_s": process.wall_s, "cpu_s": process.cpu_s}
    harness.record(
        options.results, BENCHMARK,
        {**values, **costs, "versions": harness.versions(), "command": f"mirada {shown}"},
    )  # fmt: skip
    print(
        f"{name}: {change or 'base'}, seed {seed}: {task.metric} {score:.4g}, {process.wall_s:.0f} s",
        flush=True,
    )


class Cell(NamedTuple):
    """What a run reached on its test images, and the seconds of processor time that it took."""

    score: float
    error: float  # mean absolute error, or the share of wrong answers
    cpu_s: float


Cells = dict[tuple[str, str, int], Cell]  # by task, change and seed


def recorded(file: Path) -> Cells:
    """Every run in a results file; of one cell the last one counts."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    cells: Cells = {}
    for row in map(json.loads, lines):
        if row["benchmark"] == BENCHMARK:
            score = row.get("accuracy", row.get("mae"))
            wrong, images = (1 - score) * row["test_images"], row["test_images"]
            # with half an answer more, so that where none is wrong there still is a ratio
            error = score if "mae" in row else (wrong + 0.5) / (images + 1)
            cells[row["task"], row["change"], row["seed"]] = Cell(score, error, row["cpu_s"])
    return cells


class Interval(NamedTuple):
    """A mean with its 95 % interval, by Student's t."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Interval":
        """Of the mean of some values."""
        middle, half = fmean(values), T95[len(values)] * stdev(values) / len(values) ** 0.5
        return cls(middle, middle - half, middle + half)

    def verdict(self, better: int) -> str:
        """Whether a change helps, where ``better`` is the sign of what does."""
        if self.low <= 0 <= self.high:
            return ""
        return "helps" if self.middle * better > 0 else "hurts"


def label(change: str) -> str:
    """A change as the tables name it."""
    return f"`{change}`" if "=" in change else change or "the base"


def table(name: str, seeds: list[int], cells: Cells) -> Iterator[str]:
    """A task's table in Markdown: each change with its score, its difference from the base, and what that says."""
    task = TASKS[name]
    scale, unit, better = (1, "months", -1) if task.table else (100, "%", 1)
    yield f"| {name} ({unit}) | mean of {len(seeds)} seeds | change, 95 % interval | | CPU, s |"
    yield "|---|---|---|---|---|"
    for change in task.changes():
        if not all((name, which, seed) in cells for which in ("", change) for seed in seeds):
            continue
        own = [cells[name, change, seed] for seed in seeds]
        mean, cost = scale * fmean(each.score for each in own), fmean(each.cpu_s for each in own)
        base = [cells[name, "", seed].score for seed in seeds]
        found = Interval.of([scale * (one.score - other) for one, other in zip(own, base, strict=True)])
        told = f"{found.middle:+.1f} ({found.low:+.1f} to {found.high:+.1f})" if change else "–"
        yield f"| {label(change)} | {mean:.1f} | {told} | {found.verdict(better)} | {cost:.0f} |"


def together(seeds: list[int], cells: Cells) -> Iterator[str]:
    """The table of all tasks: in how many pairs of runs a change was better than the base, and by a sign test.

    The test is two-sided, and says something where its p-value times the number of changes is below 0.05.
    """
    yield "| the tasks together | pairs that are better | p | | error ×, median of tasks | CPU time × |"
    yield "|---|---|---|---|---|---|"
    found = {}
    for change in dict.fromkeys(change for task in TASKS.values() for change in task.changes() if change):
        whole = [
            [(cells[name, change, seed], cells[name, "", seed]) for seed in seeds]
            for name in TASKS
            if all((name, which, seed) in cells for which in ("", change) for seed in seeds)
        ]
        if whole:
            found[change] = whole
    for change, tasks in found.items():
        errors = [
            (one.error, base.error) for pairs in tasks for one, base in pairs if one.error != base.error
        ]
        wins = sum(one < base for one, base in errors)
        p = sign_test(wins, len(errors))
        told = "" if p * len(found) >= 0.05 else "helps" if 2 * wins > len(errors) else "hurts"
        ratio = median(math.exp(fmean(math.log(a.error / b.error) for a, b in pairs)) for pairs in tasks)
        cost = median(
            sum(one.cpu_s for one, _ in pairs) / sum(base.cpu_s for _, base in pairs) for pairs in tasks
        )
        yield f"| {label(change)} | {wins} of {len(errors)} | {p:.2g} | {told} | {ratio:.2f} | {cost:.1f} |"


def sign_test(wins: int, pairs: int) -> float:
    """The two-sided p-value of so many wins, were both sides as likely to win."""
    extreme = max(wins, pairs - wins)
    return min(1.0, 2 * sum(math.comb(pairs, k) for k in range(extreme, pairs + 1)) / 2**pairs)


def main() -> None:
    """Reads the arguments, measures what is not recorded yet, prints the tables."""
    parser = harness.options(__doc__, rounds=1)
    parser.add_argument("data", type=Path, help="folder with cats-dogs, boneage, cifar10 and weights")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side (1)")
    parser.add_argument("--threads", type=int, default=0, help="threads of each run (as Mirada chooses)")
    parser.add_argument(
        "--show", action="store_true", help="print the tables of what is recorded, measure nothing"
    )
    options = parser.parse_args()
    if not 2 <= len(options.seeds) <= max(T95):
        parser.error(f"--seeds: 2 to {max(T95)} of them, or there is no interval.")
    if not options.show:
        done = recorded(options.results)
        rows = dict.fromkeys(change for name in options.tasks for change in TASKS[name].changes())
        cells = [
            (name, change, seed)
            for change in rows  # change by change, so that a table cut short has whole rows
            for name in options.tasks
            for seed in options.seeds
            if change in TASKS[name].changes() and (name, change, seed) not in done
        ]
        with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(options.jobs) as pool:
            views(options.data, Path(temporary), options.seeds)
            list(pool.map(lambda cell: measure(*cell, options, Path(temporary)), cells))
    cells = recorded(options.results)
    for name in options.tasks:
        print("", *table(name, options.seeds, cells), sep="\n")
    print("", *together(options.seeds, cells), sep="\n")


if __name__ == "__main__":
    main()
