"""Median wall time of commands that need no network: ``mirada --help`` beside a bare Python and beside torch.

The commands take turns; one round before the measured ones fills the file cache and writes the byte code.
"""

import sys
from statistics import median

import harness

BENCHMARK = "startup"
PYTHON = sys.executable
COMMANDS = {
    "python -c pass": [PYTHON, "-c", "pass"],
    "mirada --help": [harness.MIRADA, "--help"],
    "mirada models": [harness.MIRADA, "models"],
    "mirada summary --help": [harness.MIRADA, "summary", "--help"],
    "python -c 'import torch'": [PYTHON, "-c", "import torch"],
}


def measure(rounds: int) -> dict[str, list[harness.Process]]:
    """Every command once per round, in turn."""
    for command in COMMANDS.values():
        harness.run(command)
    taken: dict[str, list[harness.Process]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            taken[name].append(harness.run(command))
    return taken


def main() -> None:
    """Reads the arguments, measures, prints."""
    options = harness.options(__doc__, rounds=15).parse_args()
    taken = measure(options.rounds)
    rows = []
    for name, processes in taken.items():
        walls = [1000 * process.wall_s for process in processes]
        cpus = [1000 * process.cpu_s for process in processes]
        rows.append([name, harness.spread(walls, 0), harness.spread(cpus, 0)])
        values = {
            "side": name,
            "rounds": options.rounds,
            "wall_s": median(walls) / 1000,
            "wall_s_least": min(walls) / 1000,
            "wall_s_greatest": max(walls) / 1000,
            "cpu_s": median(cpus) / 1000,
            "versions": harness.versions(),
            "command": name,
        }
        harness.record(options.results, BENCHMARK, values)
    harness.print_table(["", "wall, ms", "CPU, ms"], rows)
    print(f"\nMedian (least–greatest) of {options.rounds} rounds.")


if __name__ == "__main__":
    main()
