"""Does memory grow with the data? ``mirada train`` on 700 and on 1,400 images, whole processes, interleaved.

The images are photos copied in turn with a serial number behind the last byte, so that each file has a
content of its own and none is recognised as a copy. Resident memory counts the pages of the cache's memory
map, which the system takes back when it needs them; anonymous memory is what the processes really hold.
"""

import tempfile
from itertools import cycle
from pathlib import Path
from statistics import median

import harness

BENCHMARK = "memory"
CLASSES = ("cats", "dogs")
COUNTS = (700, 1400)
SIZE = 128
IMAGE_KIB = SIZE * SIZE * 3 // 1024
CHOSEN = ["--model", "simplecnn", "--epochs", "2", "--image-size", str(SIZE), "--seed", "0"]


def make_images(data: Path, folder: Path, count: int) -> Path:
    """A folder of ``count`` images in two classes."""
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        photos = cycle(sorted((data / "training_set" / name).glob("*.jpg")))
        for number in range(count // len(CLASSES)):
            file = folder / name / f"{number:06}.jpg"
            file.write_bytes(next(photos).read_bytes() + number.to_bytes(4))
    return folder


def measure(images: Path, folder: Path) -> harness.Process:
    """One training run, its cache empty at the start."""
    command = [harness.MIRADA, "train", images, *CHOSEN, "--output", folder / "run"]
    return harness.run(command, environment={"MIRADA_CACHE": str(folder / "cache")}, watch_memory=True)


def main() -> None:
    """Reads the arguments, measures, prints."""
    parser = harness.options(__doc__, rounds=3)
    parser.add_argument("data", type=Path, help="folder with training_set/cats and training_set/dogs")
    options = parser.parse_args()
    taken: dict[int, list[harness.Process]] = {count: [] for count in COUNTS}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        images = {count: make_images(options.data, folder / f"{count}-images", count) for count in COUNTS}
        for number in range(options.rounds):
            for count in COUNTS:
                process = measure(images[count], folder / f"{count}-round-{number}")
                taken[count].append(process)
                values = {
                    "side": f"{count} images",
                    "images": count,
                    "wall_s": process.wall_s,
                    "cpu_s": process.cpu_s,
                    "peak_rss_mib": process.peak_rss_mib,
                    "peak_anonymous_mib": process.peak_anonymous_mib,
                    "versions": harness.versions(),
                    "command": " ".join(["mirada train IMAGES", *CHOSEN, "--output FOLDER"]),
                }
                harness.record(options.results, BENCHMARK, values)
    report(taken)


def report(taken: dict[int, list[harness.Process]]) -> None:
    """Prints the peaks and what one more image costs."""
    rss = {count: [process.peak_rss_mib for process in runs] for count, runs in taken.items()}
    anonymous = {count: [process.peak_anonymous_mib for process in runs] for count, runs in taken.items()}
    rows = [
        [f"{count:,} images", harness.spread(rss[count], 0), harness.spread(anonymous[count], 0)]
        for count in COUNTS
    ]
    few, many = COUNTS
    growth = [
        f"{1024 * (median(peaks[many]) - median(peaks[few])) / (many - few):+.1f} KiB"
        for peaks in (rss, anonymous)
    ]
    harness.print_table(["", "peak RSS, MiB", "peak anonymous, MiB"], [*rows, ["per further image", *growth]])
    print(f"\nMedian (least–greatest) of {len(rss[few])} rounds. One decoded image: {IMAGE_KIB} KiB.")


if __name__ == "__main__":
    main()
