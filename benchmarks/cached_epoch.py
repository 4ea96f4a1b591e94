"""Images per second of one epoch: read from Mirada's cache, against decoding the same files with Pillow.

Same process, one thread, the same shuffled order, batches of 32 as (N, H, W, 3) bytes. What follows (to
float, augmentation) is the same on both sides and left out. The sides take turns.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import harness
import numpy as np
from PIL import Image

from mirada.data.cache import open_cache
from mirada.data.pixels.preprocessing import Preprocessing
from mirada.data.sources import load_data

BENCHMARK = "cached-epoch"
BATCH = 32
ReadBatch = Callable[[np.ndarray], np.ndarray]


def cache_reader(data: Path, size: int, directory: Path) -> tuple[list[Path], ReadBatch]:
    """Builds Mirada's cache; gives the files of its samples and a function that reads some of them."""
    cache = open_cache(load_data(data), Preprocessing(size=(size, size)), directory=directory)
    files = [cache.index.path(row) for row in range(len(cache.index))]
    return files, lambda batch: cache.pixels[cache.rows[batch]]


def pillow_reader(files: list[Path], size: int, *, draft: bool) -> ReadBatch:
    """A function that decodes some of the files; ``draft`` lets the JPEG decoder reduce meanwhile."""

    def decode(file: Path) -> np.ndarray:
        with Image.open(file) as image:
            if draft:
                image.draft("RGB", (2 * size, 2 * size))
            return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))

    return lambda batch: np.stack([decode(files[row]) for row in batch])


def epoch_s(read: ReadBatch, order: np.ndarray) -> float:
    """Seconds that one epoch in this order takes."""
    started = time.perf_counter()
    for first in range(0, len(order), BATCH):
        read(order[first : first + BATCH])
    return time.perf_counter() - started


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = harness.options(__doc__, rounds=7)
    parser.add_argument("data", type=Path, help="folder of images that mirada train accepts")
    parser.add_argument("--image-size", type=int, default=64)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        files, from_cache = cache_reader(options.data, options.image_size, Path(folder))
        built_s = time.perf_counter() - started
        sides = {
            "Pillow": pillow_reader(files, options.image_size, draft=False),
            "Pillow, draft": pillow_reader(files, options.image_size, draft=True),
            "Mirada's cache": from_cache,
        }
        taken = measure(sides, len(files), options.rounds)
    report(taken, options)
    print(f"Building the cache, once, by {os.cpu_count()} threads: {len(files) / built_s:,.0f} images/s.")


def measure(sides: dict[str, ReadBatch], count: int, rounds: int) -> dict[str, list[float]]:
    """Images per second of every side, once per round, in turn."""
    random = np.random.default_rng(0)
    taken: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        order = random.permutation(count)
        for side, read in sides.items():
            taken[side].append(count / epoch_s(read, order))
    return taken


def report(taken: dict[str, list[float]], options: argparse.Namespace) -> None:
    """Prints and records the medians and how many times faster than Pillow each side is."""
    pillow = median(taken["Pillow"])
    rows = []
    for side, speeds in taken.items():
        rows.append([side, harness.spread(speeds, 0), f"{median(speeds) / pillow:.1f} ×"])
        values = {
            "side": side,
            "rounds": options.rounds,
            "image_size": options.image_size,
            "images_per_second": median(speeds),
            "images_per_second_least": min(speeds),
            "images_per_second_greatest": max(speeds),
            "versions": harness.versions(),
            "command": f"python benchmarks/cached_epoch.py DATA --image-size {options.image_size}",
        }
        harness.record(options.results, BENCHMARK, values)
    harness.print_table(["", "images/s", "÷ Pillow"], rows)
    print(f"\nMedian (least–greatest) of {options.rounds} rounds, one thread, {options.image_size} pixels.")


if __name__ == "__main__":
    main()
