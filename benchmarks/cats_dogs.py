"""Whole processes, interleaved: the lecture notes' Keras example against ``mirada train``, same images.

Both sides train on ``training_set`` and validate on ``test_set`` after every epoch, as the notes do: batch
32, 64 × 64 pixels, the layers of the notes. A round runs Keras, then Mirada, once per seed. What is timed
starts with the process and ends with it: imports, decoding, training, validation, and for Mirada the run
folder. The cache of decoded images starts empty every time unless ``--warm`` is given.
"""

import argparse
import csv
import json
import tempfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

import harness

BENCHMARK = "cats-dogs"
KERAS = harness.HERE / ".env-keras" / "bin" / "python"
KERAS_SCRIPT = harness.HERE / "peers" / "keras_cats_dogs.py"
SIDES = ("keras", "mirada")
Result = dict[str, Any]


def run_keras(data: Path, *, seed: int, epochs: int, python: Path) -> Result:
    """One run of the notes' example; the last JSON line it prints has the accuracies."""
    arguments = [data, "--seed", str(seed), "--epochs", str(epochs)]
    process = harness.run([python, KERAS_SCRIPT, *arguments])
    told = json.loads(next(line for line in reversed(process.output.splitlines()) if line.startswith("{")))
    command = f"python benchmarks/peers/keras_cats_dogs.py DATA --seed {seed} --epochs {epochs}"
    return result("keras", seed, process, told["val_accuracy"], command) | {"versions": told["versions"]}


def run_mirada(view: Path, *, seed: int, epochs: int, cache: Path, output: Path) -> Result:
    """One run of ``mirada train``; its run folder has the accuracies."""
    chosen = ["--model", "simplecnn", "--epochs", str(epochs), "--seed", str(seed)]
    command = [harness.MIRADA, "train", view, *chosen, "--output", output]
    process = harness.run(command, environment={"MIRADA_CACHE": str(cache)})
    with (output / "results.csv").open(encoding="utf-8", newline="") as table:
        accuracies = [float(row["val_accuracy"]) for row in csv.DictReader(table)]
    shown = " ".join(["mirada train VIEW", *chosen, "--output FOLDER"])
    return result("mirada", seed, process, accuracies, shown) | {"versions": harness.versions()}


def result(
    side: str, seed: int, process: harness.Process, accuracies: Sequence[float], command: str
) -> Result:
    """The fields that are written down for one run."""
    return {
        "side": side,
        "seed": seed,
        "epochs": len(accuracies),
        "wall_s": process.wall_s,
        "cpu_s": process.cpu_s,
        "peak_rss_mib": process.peak_rss_mib,
        "val_accuracy_last": accuracies[-1],
        "val_accuracy_best": max(accuracies),
        "command": command,
    }


def view_of(data: Path, folder: Path) -> Path:
    """The same images in the layout in which Mirada validates on the notes' test set."""
    view = folder / "view"
    view.mkdir()
    (view / "train").symlink_to((data / "training_set").resolve())
    (view / "val").symlink_to((data / "test_set").resolve())
    return view


def measure(options: argparse.Namespace, folder: Path) -> list[Result]:
    """All runs, interleaved; each is printed and recorded as it ends."""
    view = view_of(options.data, folder)
    if options.warm:
        run_mirada(view, seed=0, epochs=1, cache=folder / "cache", output=folder / "warm-up")
    results = []
    for number, seed in product(range(options.rounds), options.seeds):
        cache = folder / ("cache" if options.warm else f"cache-{number}-{seed}")
        output = folder / f"run-{number}-{seed}"
        keras = run_keras(options.data, seed=seed, epochs=options.epochs, python=options.keras_python)
        keep(keras, options)
        mirada = run_mirada(view, seed=seed, epochs=options.epochs, cache=cache, output=output)
        keep(mirada | {"cache": "warm" if options.warm else "cold"}, options)
        results += [keras, mirada]
    return results


def keep(run: Result, options: argparse.Namespace) -> None:
    """Prints and records one run. Raises ``RuntimeError`` if it did not run the epochs it was asked for."""
    if run["epochs"] != options.epochs:
        raise RuntimeError(f"{run['side']} ran {run['epochs']} epochs, not {options.epochs}: not comparable.")
    print(
        f"{run['side']:7} seed {run['seed']}: wall {run['wall_s']:.1f} s, CPU {run['cpu_s']:.1f} s, "
        f"peak RSS {run['peak_rss_mib']:,.0f} MiB, validation accuracy last "
        f"{100 * run['val_accuracy_last']:.2f} %, best {100 * run['val_accuracy_best']:.2f} %",
        flush=True,
    )
    harness.record(options.results, BENCHMARK, run)


def column(results: list[Result], side: str, field: str) -> list[float]:
    """One number of every run of a side, in order."""
    return [run[field] for run in results if run["side"] == side]


def per_seed(results: list[Result], side: str, field: str) -> list[float]:
    """In percent, the mean of a side's rounds for each seed: rounds of one seed are not independent."""
    seeds = sorted({run["seed"] for run in results})
    return [
        100 * fmean(column([run for run in results if run["seed"] == seed], side, field)) for seed in seeds
    ]


def percent(values: list[float]) -> str:
    """Mean ± standard deviation over seeds."""
    return f"{fmean(values):.2f} ± {stdev(values):.2f}" if len(values) > 1 else f"{fmean(values):.2f}"


def report(results: list[Result]) -> None:
    """Prints medians and ratios. A ratio above 1 says how many times more Keras needs."""
    costs = {"wall_s": 1, "cpu_s": 1, "peak_rss_mib": 0}
    accuracies = ("val_accuracy_last", "val_accuracy_best")
    rows = [
        [side]
        + [harness.spread(column(results, side, field), digits) for field, digits in costs.items()]
        + [percent(per_seed(results, side, field)) for field in accuracies]
        for side in SIDES
    ]
    medians = {field: [median(column(results, side, field)) for side in SIDES] for field in costs}
    means = {field: [fmean(per_seed(results, side, field)) for side in SIDES] for field in accuracies}
    ratios = [f"{keras / mirada:.2f} ×" for keras, mirada in medians.values()]
    gains = [f"{mirada - keras:+.2f}" for keras, mirada in means.values()]
    headings = ["", "wall, s", "CPU, s", "peak RSS, MiB", "last accuracy, %", "best accuracy, %"]
    print()
    harness.print_table(
        headings, [*rows, ["keras ÷ mirada", *ratios, "", ""], ["mirada − keras", *[""] * 3, *gains]]
    )
    pairs = zip(column(results, "keras", "wall_s"), column(results, "mirada", "wall_s"), strict=True)
    print(f"\nWall ratio of each pair: {', '.join(f'{keras / mirada:.2f}' for keras, mirada in pairs)}")
    print("Costs: median (least–greatest). Accuracies: mean ± standard deviation over the seeds.")


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = harness.options(__doc__, rounds=1)
    parser.add_argument("data", type=Path, help="folder with training_set/ and test_set/, a folder per class")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--warm", action="store_true", help="let Mirada find its images decoded already")
    parser.add_argument("--keras-python", type=Path, default=KERAS, help="Python of the peer's environment")
    options = parser.parse_args()
    if not options.keras_python.exists():
        parser.error(f"{options.keras_python}: no such file. benchmarks/run.sh cats_dogs sets it up.")
    with tempfile.TemporaryDirectory() as folder:
        report(measure(options, Path(folder)))


if __name__ == "__main__":
    main()
