"""254 awkward files and some bombs: each ends as an image or as a reason, within 512 MB.

What they cost in time is measured by ``benchmarks/decode.py``; here only what hangs is stopped.
"""

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

import mirada
from mirada.data.cache import open_cache
from mirada.data.index import Index
from mirada.data.pixels.preprocessing import Preprocessing

MEGABYTES = 512
HANGS = 60  # processor seconds: far beyond what any file needs, on however slow a machine

# Every way of reading each file, in a process of its own whose memory is limited; a line of JSON per file. The parent
# holds nothing but what decoding needs, so that a child's peak is the file's.
DECODE_EACH = """
import json, os, resource, sys, warnings
from pathlib import Path
from mirada.data.pixels.decode import DecodeError, decode, open_upright, read_file, read_header
from mirada.data.pixels.preprocessing import Preprocessing

def reason(way, file):
    try:
        way(read_file(file))
    except DecodeError as error:
        return str(error)
    return ""

def examine(file):
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = held + int(sys.argv[1]) * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[2]), int(sys.argv[2])))
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    network_sees = reason(lambda data: decode(data, Preprocessing()), file)
    shown, header = reason(open_upright, file), reason(read_header, file)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident
    return [network_sees, shown, header, peak / 1024]

warnings.simplefilter("ignore")
for name in sys.stdin.read().splitlines():
    end, start = os.pipe()
    if os.fork() == 0:
        os.write(start, json.dumps(examine(Path(name))).encode())
        os._exit(0)
    os.close(start)
    with open(end, "rb") as pipe:
        answer = pipe.read().decode()
    os.wait()
    print(answer or '["died", "died", "died", 0]')
"""


class Outcome(NamedTuple):
    """What became of one file: reasons, empty for success, and megabytes beyond the process's."""

    network_sees: str
    shown: str
    header: str
    megabytes: float


def examined(files: list[Path]) -> dict[str, Outcome]:
    run = subprocess.run(
        [sys.executable, "-c", DECODE_EACH, str(MEGABYTES), str(HANGS)],
        input="\n".join(map(str, files)),
        capture_output=True,
        text=True,
        check=True,
    )
    lines = run.stdout.splitlines()
    return {file.name: Outcome(*json.loads(line)) for file, line in zip(files, lines, strict=True)}


def require_bounds(outcomes: dict[str, Outcome]) -> None:
    assert not {name for name, outcome in outcomes.items() if "died" in outcome}
    assert not {name: out.megabytes for name, out in outcomes.items() if out.megabytes > MEGABYTES}


linux_only = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="memory is limited as Linux does it"
)


@pytest.mark.slow
@linux_only
def test_every_odd_image_ends_as_an_image_or_with_a_reason(shared_data: Path) -> None:
    files = sorted((shared_data / "odd-images").iterdir())
    outcomes = examined(files)
    require_bounds(outcomes)
    assert len(outcomes) >= 250
    assert all(outcome.network_sees == outcome.shown for outcome in outcomes.values())
    refused = {name: outcome.shown for name, outcome in outcomes.items() if outcome.shown}
    assert 10 < len(refused) < 60
    unexplained = {name for name, outcome in outcomes.items() if outcome.header and not outcome.shown}
    assert not unexplained  # what can be decoded has a header that can be read


def saved(folder: Path, name: str, mode: str, size: tuple[int, int], **options: object) -> Path:
    file = folder / name
    Image.new(mode, size).save(file, **options)
    return file


@pytest.mark.slow
@linux_only
def test_no_bomb_takes_more_than_its_share(tmp_path: Path) -> None:
    """Images of one colour, as large as each kind may be: small as files, huge when unpacked."""
    files = [
        saved(tmp_path, "one.png", "1", (9900, 9900)),
        saved(tmp_path, "grey.png", "L", (9900, 9900)),
        saved(tmp_path, "colour.png", "RGB", (9900, 9900)),
        saved(tmp_path, "alpha.png", "RGBA", (7400, 7400)),
        saved(tmp_path, "grey-alpha.png", "LA", (7400, 7400)),
        saved(tmp_path, "deep.png", "I;16", (6300, 6300)),
        saved(tmp_path, "real.tif", "F", (6300, 6300), compression="tiff_adobe_deflate"),
        saved(tmp_path, "ink.tif", "CMYK", (7400, 7400), compression="tiff_adobe_deflate"),
        saved(tmp_path, "picture.gif", "P", (9900, 9900)),
        saved(tmp_path, "photo.webp", "RGBA", (5200, 5200)),
        saved(tmp_path, "photo.jpg", "RGB", (9900, 9900)),
        saved(tmp_path, "photo.avif", "RGBA", (4500, 4500), speed=10),
        saved(tmp_path, "photo.jp2", "RGBA", (4000, 4000)),
        saved(tmp_path, "rows.png", "L", (1, 9_900_000)),
        saved(tmp_path, "thread.png", "RGB", (9_000_000, 10)),
    ]
    outcomes = examined(files)
    require_bounds(outcomes)
    assert not {name: outcome for name, outcome in outcomes.items() if outcome.shown}
    too_large = [
        saved(tmp_path, "large-alpha.png", "RGBA", (9900, 9900)),
        saved(tmp_path, "large-deep.png", "I;16", (9900, 9900)),
        saved(tmp_path, "large.webp", "RGB", (6000, 6000)),
    ]
    outcomes = examined(too_large)
    require_bounds(outcomes)
    assert all("are more than the limit of" in outcome.shown for outcome in outcomes.values())
    assert not any(outcome.header for outcome in outcomes.values())
    assert all(outcome.megabytes < 32 for outcome in outcomes.values())  # nothing was unpacked


def test_a_cache_of_them_names_every_file_that_it_lacks(shared_data: Path, tmp_path: Path) -> None:
    files = tuple(sorted(file.name for file in (shared_data / "odd-images").iterdir()))
    index = Index(
        root=shared_data / "odd-images",
        paths=files,
        targets=np.zeros(len(files), dtype=np.int64),
        splits=np.full(len(files), "train"),
    )
    cache = open_cache(index, Preprocessing(size=(32, 32)), directory=tmp_path)
    reasons = {excluded.path: excluded.reason for excluded in cache.index.excluded}
    assert sorted((*cache.index.paths, *reasons)) == list(files)
    assert all(reasons.values()) and cache.decoded + len(reasons) >= len(set(files)) - 20  # some are the same


@pytest.mark.slow
def test_training_on_a_folder_of_them_goes_on(shared_data: Path, tmp_path: Path) -> None:
    """Two classes of photos among which all of them lie."""
    random = np.random.default_rng(0)
    for number, kind in enumerate(("dark", "light")):
        folder = tmp_path / "data" / kind
        folder.mkdir(parents=True)
        for image in range(12):
            pixels = random.integers(number * 128, number * 128 + 128, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{image}.png")
        for file in sorted((shared_data / "odd-images").iterdir())[number::2]:
            (folder / file.name).write_bytes(file.read_bytes())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = mirada.train(
            tmp_path / "data", model="simplecnn", epochs=1, image_size=32, output=tmp_path / "run", seed=1
        )
    assert run.model_path.exists()
    data = json.loads((tmp_path / "run" / "data.json").read_text(encoding="utf-8"))
    assert all(item["reason"] for item in data["excluded"])
    kept = sum(number for split in data["counts"].values() for number in split.values())
    files = sum(len(list(folder.iterdir())) for folder in (tmp_path / "data").iterdir())
    assert kept + len(data["excluded"]) == files > 250
