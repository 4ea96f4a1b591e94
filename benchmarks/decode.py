"""Processor seconds that one file costs: awkward files, images as large as may be, an X-ray with CLAHE; beside Pillow.

Each file is decoded to the network's input by Mirada and by Pillow (load, to RGB, resize), in turn, in one process.
The images as large as may be are of one colour: small as files, huge when unpacked.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import harness
import numpy as np
from PIL import Image

from mirada.data.pixels.decode import DecodeError, decode, read_file
from mirada.data.pixels.preprocessing import Preprocessing

BENCHMARK = "decode"
SIZE = (224, 224)
LARGE = {
    "one.png": ("1", (9900, 9900)),
    "grey.png": ("L", (9900, 9900)),
    "colour.png": ("RGB", (9900, 9900)),
    "alpha.png": ("RGBA", (7400, 7400)),
    "grey-alpha.png": ("LA", (7400, 7400)),
    "deep.png": ("I;16", (6300, 6300)),
    "real.tif": ("F", (6300, 6300)),
    "picture.gif": ("P", (9900, 9900)),
    "photo.webp": ("RGBA", (5200, 5200)),
    "photo.jpg": ("RGB", (9900, 9900)),
    "thread.png": ("RGB", (9_000_000, 10)),
}
XRAYS = {
    "Mirada": Preprocessing(mode="L", size=(512, 512), depth=16, mean=(0.0,), std=(1.0,)),
    "Mirada, CLAHE": Preprocessing(mode="L", size=(512, 512), depth=16, clahe=2.0, mean=(0.0,), std=(1.0,)),
}
Decode = Callable[[Path], object]


def by_mirada(preprocessing: Preprocessing) -> Decode:
    """Mirada's one way from a file to pixels; a file that it refuses counts with the time that this takes."""

    def decoded(file: Path) -> object:
        try:
            return decode(read_file(file), preprocessing)
        except DecodeError as error:
            return str(error)

    return decoded


def by_pillow(file: Path) -> object:
    """What a plain loader does."""
    try:
        with Image.open(file) as image:
            return np.asarray(image.convert("RGB").resize(SIZE, Image.Resampling.BILINEAR))
    except Exception as error:  # Pillow's decoders raise whatever they like
        return str(error)


def cpu_s(read: Decode, file: Path) -> float:
    """Processor seconds that reading this file takes."""
    started = time.process_time()
    read(file)
    return time.process_time() - started


def make_large(folder: Path) -> list[Path]:
    """An image of one colour as large as Mirada takes it, of each kind."""
    files = [folder / name for name in LARGE]
    for file, (mode, size) in zip(files, LARGE.values(), strict=True):
        Image.new(mode, size).save(file)
    return files


def make_xray(folder: Path) -> Path:
    """A 12-bit image whose shades crowd together."""
    rows, columns = np.mgrid[:512, :512]
    shades = 1200 + 160 * np.sin(rows / 9) * np.cos(columns / 13) + rows
    noise = np.random.default_rng(0).normal(0, 40, (512, 512))
    file = folder / "xray.png"
    Image.fromarray(np.clip(shades + noise, 0, 4095).astype(np.uint16)).save(file)
    return file


def measure(sides: dict[str, Decode], files: list[Path], rounds: int) -> dict[str, dict[Path, float]]:
    """Median processor seconds of every file on every side, in turn."""
    taken: dict[str, dict[Path, list[float]]] = {side: {file: [] for file in files} for side in sides}
    for _ in range(rounds):
        for file in files:
            for side, read in sides.items():
                taken[side][file].append(cpu_s(read, file))
    return {side: {file: median(of_it) for file, of_it in every.items()} for side, every in taken.items()}


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = harness.options(__doc__, rounds=3)
    parser.add_argument("data", type=Path, help="folder of awkward files, such as odd-images")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    sides: dict[str, Decode] = {"Mirada": by_mirada(Preprocessing(size=SIZE)), "Pillow": by_pillow}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sets = {"awkward": sorted(options.data.iterdir()), "as large as may be": make_large(folder)}
        for name, files in sets.items():
            report(name, measure(sides, files, options.rounds), options)
        xrays = {name: by_mirada(preprocessing) for name, preprocessing in XRAYS.items()}
        report("X-ray", measure(xrays, [make_xray(folder)], 5 * options.rounds), options)


def report(name: str, taken: dict[str, dict[Path, float]], options: argparse.Namespace) -> None:
    """Prints and records what the files of a set cost: all of them, and the dearest."""
    rows = []
    for side, seconds in taken.items():
        dearest = max(seconds, key=lambda file: seconds[file])
        values = {
            "side": side,
            "set": name,
            "files": len(seconds),
            "rounds": options.rounds,
            "cpu_s_sum": sum(seconds.values()),
            "cpu_s_greatest": seconds[dearest],
            "dearest": dearest.name,
            "versions": harness.versions(),
            "command": "python benchmarks/decode.py DATA",
        }
        harness.record(options.results, BENCHMARK, values)
        greatest = f"{1000 * seconds[dearest]:,.0f}"
        rows.append([side, len(seconds), f"{sum(seconds.values()):.2f}", greatest, dearest.name])
    print(f"\n{name}")
    harness.print_table(["", "files", "all, s", "dearest, ms", "dearest"], rows)


if __name__ == "__main__":
    main()
