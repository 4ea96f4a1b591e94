"""How many of the labels that were made wrong on purpose stand at the top of ``suspects.csv``.

A share of the labels is changed, by a seed, in a view of the data; ``mirada train --folds`` then ranks all of them.
Classes become another one, drawn evenly; numbers are shifted up or down.
"""

import argparse
import csv
import json
import math
import random
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import harness

BENCHMARK = "suspects"
TOP = 0.1  # of the list is looked at
IMAGES = {".jpg", ".jpeg", ".png"}


def wilson(successes: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    z, share = 1.959964, successes / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)


def drawn(count: int, share: float, seed: int) -> list[int]:
    """Which of ``count`` labels are changed."""
    return random.Random(seed).sample(range(count), round(share * count))


def flipped_folder(data: Path, view: Path, share: float, seed: int) -> set[str]:
    """Links to the images of a folder per class, some in another class's; returns the names of those."""
    classes = sorted(path.name for path in data.iterdir() if path.is_dir())
    images = [path for name in classes for path in sorted((data / name).iterdir())]
    images = [path for path in images if path.suffix.lower() in IMAGES]
    for name in classes:
        (view / name).mkdir(parents=True)
    change, choose, wrong = set(drawn(len(images), share, seed)), random.Random(seed + 1000), set()
    for number, image in enumerate(images):
        given = image.parent.name
        if number in change:
            given = choose.choice([name for name in classes if name != given])
            wrong.add(f"{given}/{image.name}")
        (view / given / image.name).symlink_to(image.resolve())
    return wrong


def shifted_table(data: Path, view: Path, target: str, shift: float, share: float, seed: int) -> set[str]:
    """A table some of whose numbers are shifted, down where that stays above 0; returns the names of its images."""
    with data.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for path in data.parent.iterdir():
        if path != data:
            (view / path.name).symlink_to(path.resolve())
    wrong, choose = set(), random.Random(seed + 1000)
    for number in drawn(len(rows), share, seed):
        value, sign = float(rows[number][target]), choose.choice((-1, 1))
        rows[number][target] = f"{value + (shift if value <= shift else sign * shift):g}"
        wrong.add(next(iter(rows[number].values())))
    with (view / data.name).open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return wrong


def view_of(options: argparse.Namespace, folder: Path, seed: int) -> tuple[list[str], set[str]]:
    """What ``mirada train`` is given, and the images whose labels are wrong."""
    view = (
        folder / "view"
    )  # of every seed in one place, by which what frozen parts make of images is found again
    shutil.rmtree(view, ignore_errors=True)
    view.mkdir()
    if options.data.is_file():
        wrong = shifted_table(options.data, view, options.target, options.shift, options.share, seed)
        return [str(view / options.data.name), "--target", options.target], wrong
    return [str(view)], flipped_folder(options.data, view, options.share, seed)


def shown(argument: str) -> str:
    """An argument of a command, of a file its name alone."""
    return Path(argument).name if Path(argument).is_file() else argument


def measure(options: argparse.Namespace, folder: Path, seed: int) -> dict[str, object]:
    """One cross-validation: how many of the wrong labels stand in the first tenth."""
    given, wrong = view_of(options, folder, seed)
    output = (options.keep or folder) / f"run-{seed}"
    chosen = ["--folds", str(options.folds), *options.arguments]
    command = [harness.MIRADA, "train", *given, *chosen, "--output", output]
    process = harness.run(command, environment={"MIRADA_CACHE": str(options.cache or folder / "cache")})
    with (output / "suspects.csv").open(newline="", encoding="utf-8") as stream:
        ranked = list(csv.DictReader(stream))
    first = [row["path"] for row in ranked[: math.ceil(TOP * len(ranked))]]
    suspected = [row["path"] for row in ranked if row["suspected"] == "1"]
    metrics = json.loads((output / "evaluation.json").read_text(encoding="utf-8"))["test"]["metrics"]
    found = {each["name"]: each["value"] for each in metrics}
    return {
        "data": options.name,
        "seed": seed,
        "n": len(ranked),
        "wrong": len(wrong),
        "in_first_tenth": len(wrong.intersection(first)),
        "suspected": len(suspected),
        "suspected_wrong": len(wrong.intersection(suspected)),
        "accuracy": found.get("accuracy"),
        "mae": found.get("mae"),
        "wall_s": process.wall_s,
        "cpu_s": process.cpu_s,
        "command": " ".join(["mirada train VIEW", *given[1:], *map(shown, chosen)]),
        "versions": harness.versions(),
    }


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = harness.options(__doc__, rounds=1)
    parser.add_argument("data", type=Path, help="folder with a folder per class, or a table with --target")
    parser.add_argument("--shapes", type=int, help="draw so many shapes in DATA first")
    parser.add_argument("--name", default="", help="what the data are called in the results")
    parser.add_argument("--target", help="of a table: the column of numbers")
    parser.add_argument("--shift", type=float, default=60, help="how far numbers are moved (60)")
    parser.add_argument("--share", type=float, default=0.05, help="of the labels that are changed (0.05)")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2], help="that draw the labels (0 1 2)"
    )
    parser.add_argument("--folds", type=int, default=5, help="of each cross-validation (5)")
    parser.add_argument("--cache", type=Path, help="folder of caches to use (a new one)")
    parser.add_argument("--keep", type=Path, help="folder that keeps the runs")
    options, options.arguments = parser.parse_known_args()
    options.name = options.name or options.data.stem
    rows: list[Sequence[object]] = []
    with tempfile.TemporaryDirectory() as temporary:
        if options.shapes:
            draw = "from mirada.data.examples.shapes import write_shapes as draw; "
            draw += f"draw({str(options.data)!r}, count={options.shapes})"
            subprocess.run([harness.MIRADA.with_name("python"), "-c", draw], check=True)
            options.data = options.data / "train"
        for seed in options.seeds:
            done = measure(options, Path(temporary), seed)
            harness.record(options.results, BENCHMARK, done)
            hits, wrong = int(str(done["in_first_tenth"])), int(str(done["wrong"]))
            low, high = wilson(hits, wrong)
            quality = done["accuracy"] if done["mae"] is None else done["mae"]
            row = [f"{hits} of {wrong}", f"{low:.0%}–{high:.0%}", f"{quality:.3f}", f"{done['cpu_s']:.0f}"]
            rows.append([f"seed {seed}", *row])
            harness.print_table(["", "in the first tenth", "interval", "accuracy or error", "CPU, s"], rows)


if __name__ == "__main__":
    main()
