"""A head on frozen ImageNet features: the whole process the first time, and once the features are kept.

``mirada train`` with ``freeze=all``, twice with one folder of caches that is empty at first: the first process decodes
the photos and computes the features of all views, the second finds both. Weights are given as a file.
"""

import json
import tempfile
from pathlib import Path

import harness

BENCHMARK = "frozen"
CHOSEN = [
    "--model",
    "vgg16",
    "--set",
    "head=average",
    "--set",
    "freeze=all",
    "--image-size",
    "128",
    "--epochs",
    "30",
    "--seed",
    "0",
]


def measure(data: Path, weights: Path, folder: Path, side: str) -> tuple[harness.Process, float]:
    """One training run: what it cost, and its accuracy on the test photos."""
    command = [harness.MIRADA, "train", data, "--weights", weights, *CHOSEN, "--output", folder / side]
    process = harness.run(command, environment={"MIRADA_CACHE": str(folder / "cache")})
    found = json.loads((folder / side / "evaluation.json").read_text(encoding="utf-8"))["test"]
    return process, next(each["value"] for each in found["metrics"] if each["name"] == "accuracy")


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = harness.options(__doc__, rounds=1)
    parser.add_argument("data", type=Path, help="folder with training_set/cats and training_set/dogs")
    parser.add_argument("weights", type=Path, help="file with the convolutions of VGG-16")
    options = parser.parse_args()
    rows = []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as temporary:
            for side in ("first", "again"):
                process, accuracy = measure(options.data, options.weights, Path(temporary), side)
                values = {
                    "side": side,
                    "wall_s": process.wall_s,
                    "cpu_s": process.cpu_s,
                    "peak_rss_mib": process.peak_rss_mib,
                    "test_accuracy": accuracy,
                    "versions": harness.versions(),
                    "command": " ".join(["mirada train DATA --weights WEIGHTS", *CHOSEN, "--output FOLDER"]),
                }
                harness.record(options.results, BENCHMARK, values)
                rows.append(
                    [
                        side,
                        f"{process.wall_s:.1f}",
                        f"{process.cpu_s:.1f}",
                        f"{process.peak_rss_mib:,.0f}",
                        f"{accuracy:.1%}",
                    ]
                )
    harness.print_table(["", "wall, s", "CPU, s", "peak RSS, MiB", "test accuracy"], rows)


if __name__ == "__main__":
    main()
