"""Whole processes on the same JPEG files: ``mirada train`` beside torchvision's plain loop, timm's and fastai's.

All train from random weights, in float32 with Adam at one rate, on random crops and mirror images, with the same
batch size, and validate after every epoch; ``peers/`` has what their users would write. What is timed starts with the
process and ends with it: imports, decoding, training, validation, the weights on disk, and for Mirada also calibration,
maps and report. Its cache of decoded images starts empty. A round runs every side once; who goes first changes, and
ratios are medians over the rounds. In each round a matrix product is timed too, for the share of its rate that a side
reaches.
"""

import argparse
import csv
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import harness

BENCHMARK = "throughput"
MIRADA = "mirada"
PEERS = {
    "torchvision": "torchvision's plain loop",
    "timm": "timm, channels last",
    "fastai": "fastai",
}
CASES = ("simplecnn:64", "resnet18:128", "resnet18:224")
SETTINGS = {
    "optimizer": "adam", "lr": "0.001", "weight_decay": "0", "schedule": "constant", "warmup": "0",
    "normalize": "imagenet", "augment": "none", "augment.crop": "0.35", "augment.horizontal_flip": "true",
}  # fmt: skip
HEADINGS = (
    "", "wall, s", "CPU, s", "last epoch, s", "of the matrix rate", "in that epoch", "wall ÷ Mirada",
    "CPU ÷ Mirada", "accuracy",
)  # fmt: skip
BACKWARD = 3  # forward and backward are so many times the operations of forward alone
Result = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A network at a size, and the multiplications of its convolutions and dense layers for one image."""

    model: str
    size: int
    macs: int

    @classmethod
    def of(cls, text: str) -> "Case":
        """That of ``resnet18:128``."""
        model, _, size = text.partition(":")
        told = harness.run(
            [harness.MIRADA, "summary", model, "--image-size", size, "--classes", "2", "--json"]
        )
        return cls(model, int(size), json.loads(told.output)["macs"])

    def operations(self, images: dict[str, int], epochs: int) -> float:
        """Floating-point operations of so many epochs, validation included."""
        return 2.0 * self.macs * epochs * (BACKWARD * images["train"] + images["val"])


def python_of(peer: str) -> Path:
    """The Python of a peer's environment."""
    return harness.HERE / f".env-{peer}" / "bin" / "python"


def view_of(data: Path, folder: Path, options: argparse.Namespace) -> tuple[Path, dict[str, int]]:
    """train/ and val/ with links to the images, at most so many of each class as asked for; and how many there are.

    Those to train on are whole batches, for timm and fastai leave out what is not.
    """
    counts = {}
    for split, source, most in (
        ("train", "training_set", options.images), ("val", "test_set", options.val_images)
    ):  # fmt: skip
        files = [
            file
            for category in sorted((data / source).iterdir())
            for file in sorted(category.glob("*.jp*g"))[: most or None]
        ]
        surplus = len(files) % options.batch if split == "train" else 0
        for file in files[surplus:]:
            link = folder / "view" / split / file.parent.name / file.name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.resolve())
        counts[split] = len(files) - surplus
    return folder / "view", counts


def run_mirada(case: Case, view: Path, place: Path, options: argparse.Namespace) -> Result:
    """One training, its cache of decoded images empty."""
    settings = {**SETTINGS, "precision": options.precision}
    command = [
        harness.MIRADA, "train", view, "--model", case.model, "--image-size", str(case.size), "--batch-size",
        str(options.batch), "--epochs", str(options.epochs), "--seed", "0", "--output", place,
        *(word for key, value in settings.items() for word in ("--set", f"{key}={value}")),
    ]  # fmt: skip
    process = harness.run(
        command, environment={**threads(options), "MIRADA_CACHE": str(place.with_suffix(".cache"))}
    )
    with (place / "results.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    told = {
        "epoch_s": [float(row["seconds"]) for row in rows],
        "val_accuracy": [float(row["val_accuracy"]) for row in rows],
        "versions": harness.versions(),
    }
    return costs(process) | told


def run_peer(peer: str, case: Case, view: Path, place: Path, options: argparse.Namespace) -> Result:
    """One training by a peer; the last line that it prints tells the rest."""
    command = [
        python_of(peer), harness.HERE / "peers" / f"{peer}_loop.py", view, place.with_suffix(".pth"), "--model",
        case.model, "--size", str(case.size), "--batch", str(options.batch), "--epochs", str(options.epochs),
        "--workers", str(options.workers),
    ]  # fmt: skip
    path = os.pathsep.join(str(harness.ROOT / each) for each in ("parity", "benchmarks/peers"))
    process = harness.run(command, environment={**threads(options), "PYTHONPATH": path})
    return costs(process) | json.loads(process.output.strip().splitlines()[-1])


def costs(process: harness.Process) -> Result:
    """What a process has cost."""
    return {"wall_s": process.wall_s, "cpu_s": process.cpu_s, "peak_rss_mib": process.peak_rss_mib}


def threads(options: argparse.Namespace) -> dict[str, str]:
    """The environment that asks for so many threads; none where the machine's are to be used."""
    return {"OMP_NUM_THREADS": str(options.threads)} if options.threads else {}


def matrix_rate(options: argparse.Namespace) -> float:
    """GFLOP/s of a float32 product."""
    return float(
        harness.run([sys.executable, harness.HERE / "matrix_rate.py"], environment=threads(options)).output
    )


def measure(case: Case, options: argparse.Namespace, folder: Path) -> list[dict[str, Result]]:
    """The results of every round, by side; each is recorded as it ends."""
    view, images = view_of(options.data, folder, options)
    sides = [MIRADA, *options.peers]
    rounds: list[dict[str, Result]] = []
    for number in range(options.rounds):
        rate, first = matrix_rate(options), number % len(sides)
        taken: dict[str, Result] = {}
        for side in sides[first:] + sides[:first]:
            place = folder / f"{side}-{number}"
            if side == MIRADA:
                found = run_mirada(case, view, place, options)
            else:
                found = run_peer(side, case, view, place, options)
            taken[side] = found | {
                "matrix_gflops": rate,
                "images_per_s": options.epochs * images["train"] / found["wall_s"],
                "share_of_matrix_rate": case.operations(images, options.epochs)
                / found["wall_s"]
                / rate
                / 1e9,
                "share_in_last_epoch": case.operations(images, 1) / found["epoch_s"][-1] / rate / 1e9,
            }
            keep(side, number, case, images, taken[side], options)
        rounds.append(taken)
    return rounds


def keep(
    side: str, number: int, case: Case, images: dict[str, int], found: Result, options: argparse.Namespace
) -> None:
    """Prints and records one process."""
    print(f"{case.model}:{case.size} {side}: {found['wall_s']:.1f} s, CPU {found['cpu_s']:.1f} s", flush=True)
    about = {
        "side": side, "round": number, "model": case.model, "size": case.size, "images": images,
        "batch": options.batch, "epochs": options.epochs, "workers": options.workers,
        "precision": options.precision if side == MIRADA else "float32",
        "threads_asked_for": options.threads, "load": os.getloadavg()[0],
        "command": f"benchmarks/run.sh throughput DATA {case.model}:{case.size} --epochs {options.epochs} --images "
        f"{options.images} --val-images {options.val_images} --threads {options.threads} "
        f"--workers {options.workers} --precision {options.precision}",
    }  # fmt: skip
    harness.record(options.results, BENCHMARK, about | found)


def report(case: Case, rounds: Sequence[dict[str, Result]]) -> None:
    """Prints medians, and how many times longer each peer takes than Mirada: the median over the rounds."""

    def column(side: str, field: str) -> list[float]:
        return [taken[side][field] for taken in rounds]

    def times(side: str, field: str) -> str:
        pairs = zip(column(side, field), column(MIRADA, field), strict=True)
        return f"{median(one / ours for one, ours in pairs):.2f} ×"

    rows = []
    for side in rounds[0]:
        shares = [
            f"{100 * median(column(side, key)):.0f} %"
            for key in ("share_of_matrix_rate", "share_in_last_epoch")
        ]
        epochs = [taken[side]["epoch_s"][-1] for taken in rounds]
        accuracy = 100 * median(taken[side]["val_accuracy"][-1] for taken in rounds)
        rows.append(
            [
                PEERS.get(side, side), harness.spread(column(side, "wall_s")), harness.spread(column(side, "cpu_s")),
                harness.spread(epochs, 2), *shares, times(side, "wall_s"), times(side, "cpu_s"), f"{accuracy:.1f} %",
            ]
        )  # fmt: skip
    print(f"\n{case.model} at {case.size} pixels, {len(rounds)} rounds")
    harness.print_table(HEADINGS, rows)
    print(flush=True)


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = harness.options(__doc__, rounds=5)
    parser.add_argument("data", type=Path, help="folder with training_set/ and test_set/, a folder per class")
    parser.add_argument(
        "cases", nargs="*", default=list(CASES), metavar="MODEL:SIZE", help=f"({' '.join(CASES)})"
    )
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch", type=int, default=32, help="images per step (32)")
    parser.add_argument("--images", type=int, default=0, help="of each class to train on, at most; 0: all")
    parser.add_argument("--val-images", type=int, help="of each class to validate on, at most [as --images]")
    parser.add_argument("--threads", type=int, default=0, help="of every process; 0: the machine's")
    parser.add_argument(
        "--workers", type=int, help="the peers' processes that decode [the number of threads]"
    )
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument(
        "--precision",
        default="float32",
        choices=("float32", "auto"),
        help="Mirada's; auto: as it comes (float32)",
    )
    options = parser.parse_args()
    if options.val_images is None:
        options.val_images = options.images
    if options.workers is None:
        options.workers = options.threads or len(os.sched_getaffinity(0))
    if absent := [peer for peer in options.peers if not python_of(peer).exists()]:
        parser.error(f"No environment for {', '.join(absent)}: benchmarks/run.sh throughput sets them up.")
    for text in options.cases:
        case = Case.of(text)
        with tempfile.TemporaryDirectory() as folder:
            report(case, measure(case, options, Path(folder)))


if __name__ == "__main__":
    main()
