"""How threads that wait cost time: the same training, alone and beside a process that keeps a core busy.

Every side is ``mirada train`` with another OpenMP policy in its environment; ``as it comes`` has none, so that the
command line's own holds, and ``libgomp's own`` has the number of turns that GNU's library spins by itself. A round
runs every side, quiet and busy, in turn. The images are decoded before, the seed is the same, and so are the weights,
but for ``one thread``, which adds in another order. ``--together`` starts so many trainings at once.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from statistics import median

import harness

BENCHMARK = "busy"
SIDES = {
    "as it comes": {},
    "libgomp's own": {"GOMP_SPINCOUNT": "300000"},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
POLICY = ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", "OMP_DYNAMIC", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
STATES = ("quiet", "busy")


@contextmanager
def neighbour(state: str) -> Iterator[None]:
    """A process that keeps one core busy for the time of the context; none where it is to be quiet."""
    if state == "quiet":
        yield
        return
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def train(options: argparse.Namespace, folder: Path, name: str, side: str) -> harness.Process:
    """One training in a process of its own."""
    command = [
        harness.MIRADA, "train", options.data, "--model", options.model, "--epochs", str(options.epochs),
        "--seed", "0", "--output", folder / name,
    ]  # fmt: skip
    return harness.run(command, environment={"MIRADA_CACHE": str(folder / "cache"), **SIDES[side]})


def at_once(
    options: argparse.Namespace, folder: Path, name: str, side: str, state: str
) -> list[harness.Process]:
    """So many trainings as are asked for, started together."""
    with neighbour(state), ThreadPoolExecutor(options.together) as pool:
        started = [
            pool.submit(train, options, folder, f"{name}-{number}", side)
            for number in range(options.together)
        ]
        return [each.result() for each in started]


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = harness.options(__doc__, rounds=5)
    parser.add_argument("data", type=Path, help="what `mirada train` takes")
    parser.add_argument("--model", default="simplecnn")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--together", type=int, default=1, help="trainings at once (1)")
    options = parser.parse_args()
    for name in POLICY:
        os.environ.pop(name, None)
    taken: dict[tuple[str, str], list[harness.Process]] = {key: [] for key in product(SIDES, STATES)}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        train(options, folder, "warm-up", "as it comes")
        for number in range(options.rounds):
            for place, (side, state) in enumerate(taken):
                taken[side, state] += at_once(options, folder, f"run-{number}-{place}", side, state)
    report(options, taken)


def report(options: argparse.Namespace, taken: dict[tuple[str, str], list[harness.Process]]) -> None:
    """Records and prints medians, and how many times longer each side takes than what comes by itself."""
    walls = {key: [process.wall_s for process in processes] for key, processes in taken.items()}
    command = f"python benchmarks/busy.py DATA --model {options.model} --epochs {options.epochs}"
    rows = []
    for side in SIDES:
        row: list[str] = [side]
        for state in STATES:
            own = walls[side, state]
            ratio = median(own) / median(walls["as it comes", state])
            row += [harness.spread(own), f"{ratio:.2f} ×"]
            values = {
                "side": side, "state": state, "together": options.together, "rounds": options.rounds,
                "wall_s": median(own), "wall_s_least": min(own), "wall_s_greatest": max(own),
                "cpu_s": median(process.cpu_s for process in taken[side, state]),
                "load": os.getloadavg()[0], "versions": harness.versions(), "command": command,
            }  # fmt: skip
            harness.record(options.results, BENCHMARK, values)
        rows.append(row)
    harness.print_table(["", "quiet, s", "ratio", "busy, s", "ratio"], rows)
    print(f"\nMedian (least–greatest) of {options.rounds} rounds; the ratio is to the first row.")


if __name__ == "__main__":
    main()
