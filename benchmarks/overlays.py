"""A thousand photos with maps over them: ``mirada explain`` as a whole, beside its network, decoder and encoder alone.

The floor decodes each JPEG once, asks the bare network (eight images at a time, exact maps left out) and encodes the
pictures that ``mirada explain`` has drawn, in one process that does nothing else; the share is its processor time by
that of the whole command. Memory is bounded if four times the photos take no more of it.
"""

import argparse
import io
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import harness

BENCHMARK = "overlays"
COUNTS = (250, 1000)
SIZE, AT_ONCE, LEVEL = 224, 8, 2
NETWORK = "resnet18"


def make_photos(photos: Path, folder: Path, count: int) -> Path:
    """So many JPEG files in one folder, in turn from those of a folder."""
    folder.mkdir()
    found = cycle(sorted(photos.rglob("*.jpg")))
    for number, photo in enumerate(islice(found, count)):
        (folder / f"{number:04}.jpg").symlink_to(photo.resolve())
    return folder


def make_model(file: Path) -> Path:
    """A model file of the network with random weights, for two classes."""
    from mirada import Preprocessing, create_model
    from mirada.modelfile import Architecture, Card, save_model
    from mirada.samples import Classes

    size = SIZE, SIZE
    architecture = Architecture(model=NETWORK, outputs=2, in_channels=3, image_size=size)
    preprocessing = Preprocessing(mode="RGB", size=size, mean=(0.5,) * 3, std=(0.25,) * 3)
    card = Card(architecture=architecture, preprocessing=preprocessing, target=Classes(("cats", "dogs")))
    save_model(file, create_model(NETWORK, num_classes=2), card)
    return file


def floor(photos: Path, drawn: Path) -> None:
    """Decodes, asks and encodes, and prints the processor seconds of each."""
    import torch
    from PIL import Image

    from mirada import create_model

    network = create_model(NETWORK, num_classes=2).eval()
    batch = torch.rand(AT_ONCE, 3, SIZE, SIZE)
    files, taken = sorted(photos.iterdir()), {}
    began = time.process_time()
    for file in files:
        with Image.open(file) as image:
            image.convert("RGB")
    taken["decoder"] = time.process_time() - began
    began = time.process_time()
    with torch.inference_mode():
        for _ in range(0, len(files), AT_ONCE):
            network(batch)
    taken["network"] = time.process_time() - began
    taken["encoder"] = 0.0
    for file in sorted(drawn.iterdir()):
        with Image.open(file) as image:
            image.load()
            began = time.process_time()
            image.save(io.BytesIO(), "PNG", compress_level=LEVEL)
            taken["encoder"] += time.process_time() - began
    print(*(f"{seconds:.3f}" for seconds in taken.values()))


def main() -> None:
    """Reads the arguments, measures, prints."""
    if sys.argv[1:2] == ["floor"]:
        floor(Path(sys.argv[2]), Path(sys.argv[3]))
        return
    parser: argparse.ArgumentParser = harness.options(__doc__ or "", rounds=3)
    parser.add_argument("data", type=Path, help="folder with photos (*.jpg), at any depth")
    options = parser.parse_args()
    whole: dict[int, list[harness.Process]] = {count: [] for count in COUNTS}
    alone: list[list[float]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = make_model(folder / "model.safetensors")
        photos = {count: make_photos(options.data, folder / f"{count}", count) for count in COUNTS}
        for number in range(options.rounds):
            for count in COUNTS:
                drawn = folder / f"{count}-drawn-{number}"
                command: list[str | Path] = [
                    harness.MIRADA,
                    "explain",
                    model,
                    photos[count],
                    "--output",
                    drawn,
                ]
                process = harness.run(command, watch_memory=True)
                whole[count].append(process)
                keep(options.results, f"{count} photos", process, {})
            ran = harness.run([sys.executable, __file__, "floor", photos[count], drawn])
            seconds = [float(part) for part in ran.output.split()]
            alone.append(seconds)
            parts = dict(zip(("decoder_cpu_s", "network_cpu_s", "encoder_cpu_s"), seconds, strict=True))
            keep(options.results, "floor", ran, parts)
    report(whole, alone)


def keep(results: Path, side: str, process: harness.Process, more: dict[str, float]) -> None:
    """Records one process."""
    values = {
        "side": side,
        "network": NETWORK,
        "wall_s": process.wall_s,
        "cpu_s": process.cpu_s,
        "peak_anonymous_mib": process.peak_anonymous_mib,
        **more,
        "versions": harness.versions(),
        "command": "mirada explain MODEL PHOTOS --output FOLDER",
    }
    harness.record(results, BENCHMARK, values)


def report(whole: dict[int, list[harness.Process]], alone: list[list[float]]) -> None:
    """Prints times, peaks and the share of network, decoder and encoder."""
    rows = [
        [
            f"{count:,} photos",
            harness.spread([process.cpu_s for process in runs]),
            harness.spread([process.wall_s for process in runs]),
            harness.spread([process.peak_anonymous_mib for process in runs], 0),
        ]
        for count, runs in whole.items()
    ]
    harness.print_table(["", "CPU, s", "wall, s", "peak anonymous, MiB"], rows)
    few, many = COUNTS
    names, columns = ("decoder", "network", "encoder"), zip(*alone, strict=True)
    print(*(f"{name} {median(part):.1f} s" for name, part in zip(names, columns, strict=True)), sep=", ")
    shares = [sum(parts) / process.cpu_s for parts, process in zip(alone, whole[many], strict=True)]
    # Of the command less its start and end: what each further photo costs.
    further = [
        sum(parts) * (many - few) / many / (more.cpu_s - less.cpu_s)
        for parts, more, less in zip(alone, whole[many], whole[few], strict=True)
    ]
    print(
        f"share of the whole command: {median(shares):.1%}; of what each further photo costs: {median(further):.1%}"
    )


if __name__ == "__main__":
    main()
