"""Is a commit slower than another one? The same commands of two checkouts, each in its own environment, in turn.

``mirada --help``, ``mirada models`` and ``mirada summary --help``; then whole processes of ``mirada train``: the notes'
network on cats and dogs, four epochs, once per seed, the cache of decoded images empty every time. Whoever goes first
changes from round to round. Wall and processor seconds, and memory; the ratio is the median over the pairs.
"""

import argparse
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import harness

BENCHMARK = "commits"
QUICK = {
    "mirada --help": ["--help"],
    "mirada models": ["models"],
    "mirada summary --help": ["summary", "--help"],
}
EPOCHS = 4
Pair = tuple[harness.Process, harness.Process]


def in_turn(number: int, commands: Sequence[Sequence[str | Path]], caches: Sequence[Path]) -> Pair:
    """The same work on both sides; every other round begins with the second one."""
    taken: dict[int, harness.Process] = {}
    for side in (0, 1) if number % 2 == 0 else (1, 0):
        taken[side] = harness.run(
            commands[side],
            environment={"MIRADA_CACHE": str(caches[side])},
            watch_memory=len(commands[side]) > 3,
        )
    return taken[0], taken[1]


def pairs_of_training(sides: Sequence[Path], data: Path, folder: Path, rounds: int) -> list[Pair]:
    """One pair per round, which is the seed."""
    pairs = []
    for seed in range(rounds):
        places = [folder / f"{side}-{seed}" for side in range(2)]
        commands = [
            [
                mirada, "train", data, "--model", "simplecnn", "--epochs", str(EPOCHS), "--seed", str(seed),
                "--output", place,
            ]
            for mirada, place in zip(sides, places, strict=True)
        ]  # fmt: skip
        pairs.append(in_turn(seed, commands, [place.with_suffix(".cache") for place in places]))
    return pairs


def commit_of(checkout: Path) -> str:
    """The commit that is checked out there, in short."""
    command = ["git", "-C", checkout, "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def keep(what: str, pairs: Sequence[Pair], commits: Sequence[str], options: argparse.Namespace) -> list[str]:
    """Records one kind of work and returns its row: medians of both sides, and the median ratio of the pairs."""
    cells = [what]
    for field, unit in (("wall_s", "s"), ("cpu_s", "s"), ("peak_anonymous_mib", "MiB")):
        one, other = ([getattr(pair[side], field) for pair in pairs] for side in range(2))
        if not median(one):
            cells.append("–")
            continue
        ratio = median(b / a for a, b in zip(one, other, strict=True))
        digits = 3 if unit == "s" else 0
        cells.append(f"{harness.spread(one, digits)} → {harness.spread(other, digits)} {unit}, × {ratio:.2f}")
        values = {
            "what": what, "field": field, "commits": list(commits), "pairs": len(pairs), "before": median(one),
            "after": median(other), "ratio": ratio, "versions": harness.versions(),
        }  # fmt: skip
        harness.record(options.results, BENCHMARK, values)
    return cells


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = harness.options(__doc__, rounds=3)
    parser.add_argument(
        "before", type=Path, help="a checkout of the other commit, after `make` has set it up"
    )
    parser.add_argument("data", type=Path, help="folder with training_set/ and test_set/, a folder per class")
    parser.add_argument("--quick-rounds", type=int, default=21, help="how often each quick command runs (21)")
    options = parser.parse_args()
    checkouts = (options.before, harness.ROOT)
    sides = [options.before / ".venv" / "bin" / "mirada", harness.MIRADA]
    commits = [commit_of(each) for each in checkouts]
    rows = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for what, words in QUICK.items():
            commands = [[side, *words] for side in sides]
            in_turn(0, commands, [folder] * 2)  # fills the file cache and writes the byte code
            taken = [in_turn(number, commands, [folder] * 2) for number in range(options.quick_rounds)]
            rows.append(keep(what, taken, commits, options))
        rows.append(
            keep(
                "mirada train",
                pairs_of_training(sides, options.data, folder, options.rounds),
                commits,
                options,
            )
        )
    harness.print_table([f"{commits[0]} → {commits[1]}", "wall", "CPU", "peak anonymous memory"], rows)
    print("\nMedian (least–greatest) of each side, and the median ratio of the pairs.")


if __name__ == "__main__":
    main()
