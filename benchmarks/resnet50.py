"""One training step of ResNet-50 on a processor: Mirada's network and loop against torchvision's network and loop.

Three processes take turns, a step each per round: Mirada's network in Mirada's loop, torchvision's network in Mirada's
loop, torchvision's network in the loop of its reference script. They have the same threads, start from the same
weights, which their first losses prove, and see the same random images. Reading and augmenting images is no part of it.
"""

import argparse
import importlib.metadata
import json
import math
import subprocess
import sys
from contextlib import ExitStack
from statistics import median
from typing import Any

import harness

BENCHMARK = "resnet50"
SCRIPT = harness.HERE / "peers" / "resnet50_side.py"
OURS, THEIRS = "Mirada", "torchvision"
SIDES = {  # side: its network and its loop
    OURS: ("mirada", "mirada"),
    "torchvision in Mirada's loop": ("torchvision", "mirada"),
    THEIRS: ("torchvision", "torchvision"),
}
TOLERANCE = {"float32": 1e-4, "bfloat16": 2e-2}  # relative, of the first losses
Cost = dict[str, Any]


def start(network: str, loop: str, options: argparse.Namespace) -> "subprocess.Popen[str]":
    """The process of one side, which waits."""
    arguments = ["--network", network, "--loop", loop, "--batch", str(options.batch)]
    return subprocess.Popen(
        [sys.executable, SCRIPT, *arguments, "--precision", options.precision],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def step(side: "subprocess.Popen[str]") -> Cost:
    """What one step of a side costs. Raises ``RuntimeError`` if the process has ended."""
    side.stdin.write("\n")
    side.stdin.flush()
    line = side.stdout.readline()
    if not line:
        raise RuntimeError(f"A side ended with {side.wait()}: {' '.join(map(str, side.args))}")
    return json.loads(line)


def measure(options: argparse.Namespace) -> dict[str, list[Cost]]:
    """The steps of every side, one per round, in turn, after a round that is not counted.

    Raises ``RuntimeError`` if the first losses differ, for then the sides do not compute the same.
    """
    with ExitStack() as running:
        sides = {name: running.enter_context(start(*parts, options)) for name, parts in SIDES.items()}
        _require_alike({name: step(side) for name, side in sides.items()})
        taken: dict[str, list[Cost]] = {name: [] for name in sides}
        names = list(sides)
        for number in range(options.rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:  # so that none always follows the same other
                taken[name].append(step(sides[name]))
    return taken


def _require_alike(first: dict[str, Cost]) -> None:
    tolerance = max(TOLERANCE[told["precision"]] for told in first.values())
    losses = {name: told["loss"] for name, told in first.items()}
    if not all(math.isclose(loss, losses[THEIRS], rel_tol=tolerance) for loss in losses.values()):
        raise RuntimeError(f"The sides do not compute the same: their first losses are {losses}.")


def column(steps: list[Cost], field: str) -> list[float]:
    """One number of every step."""
    return [step[field] for step in steps]


def summary(name: str, taken: dict[str, list[Cost]], options: argparse.Namespace) -> dict[str, object]:
    """What is written down for one side; the ratios are medians over the rounds."""
    steps, ours = taken[name], taken[OURS]
    values: dict[str, object] = {"side": name, "rounds": options.rounds, "batch": options.batch}
    values["precision"] = steps[0]["precision"]
    for field in ("wall_s", "cpu_s"):
        seconds = column(steps, field)
        ratios = [one / other for one, other in zip(seconds, column(ours, field), strict=True)]
        values |= {field: median(seconds), f"{field}_least": min(seconds), f"{field}_greatest": max(seconds)}
        values[field.replace("_s", "_times_miradas")] = median(ratios)
    versions = {**harness.versions(), "torchvision": importlib.metadata.version("torchvision")}
    command = f"benchmarks/run.sh resnet50 --batch {options.batch} --precision {options.precision}"
    peak = max(column(steps, "peak_rss_mib"))
    return {**values, "peak_rss_mib": peak, "versions": versions, "command": command}


def report(taken: dict[str, list[Cost]], options: argparse.Namespace) -> None:
    """Prints and records the costs, and how many times Mirada's every side has."""
    rows = []
    for name, steps in taken.items():
        values = summary(name, taken, options)
        harness.record(options.results, BENCHMARK, values)
        costs = [harness.spread(column(steps, field), 2) for field in ("wall_s", "cpu_s")]
        times = [f"{values[f'{clock}_times_miradas']:.2f} ×" for clock in ("wall", "cpu")]
        rows.append([f"{name}, {values['precision']}", *costs, *times, f"{values['peak_rss_mib']:,.0f}"])
    harness.print_table(["", "wall, s", "CPU, s", "wall ÷ Mirada", "CPU ÷ Mirada", "peak RSS, MiB"], rows)
    print(
        f"\nPer step of {options.batch} images; median (least–greatest) of {options.rounds} rounds. "
        "Ratios: medians of those of each round."
    )


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = harness.options(__doc__, rounds=15)
    parser.add_argument("--batch", type=int, default=16, help="images per step (16)")
    parser.add_argument(
        "--precision", default="auto", choices=("auto", "bfloat16", "float32"), help="of Mirada's loop (auto)"
    )
    options = parser.parse_args()
    report(measure(options), options)


if __name__ == "__main__":
    main()
