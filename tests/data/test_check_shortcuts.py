"""What tells the class besides the picture: found where it is, and hardly ever where it is not."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mirada.data.checks.inspection import RIM_CELLS, Inspection
from mirada.data.checks.kinds import Finding, Kind
from mirada.data.checks.shortcuts import shortcut_findings
from mirada.data.index import Index
from mirada.data.sources import load_data
from mirada.jobs.check import check
from mirada.samples import Classes, Numbers, Source

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def noise(seed: int, shape: tuple[int, ...] = (24, 24)) -> Pixels:
    return np.random.default_rng(seed).integers(40, 200, shape).astype(np.uint8)


def folder(root: Path, write: Callable[[Path, int, int], None], count: int = 16) -> Index:
    """Two classes, whose images ``write`` saves by stem, class and seed."""
    for kind, name in enumerate(("covid", "normal")):
        (root / name).mkdir()
        for number in range(count):
            write(root / name / f"{number}", kind, 100 * kind + number)
    return load_data(root)


def of_kind(index: Index, kind: Kind) -> list[Finding]:
    return [finding for finding in check(index).findings if finding.kind is kind]


def by_format(file: Path, kind: int, seed: int) -> None:
    Image.fromarray(noise(seed)).save(file.with_suffix((".jpg", ".png")[kind]))


def by_size(file: Path, kind: int, seed: int) -> None:
    Image.fromarray(noise(seed, (24 + 8 * kind, 24))).save(file.with_suffix(".png"))


def by_mode(file: Path, kind: int, seed: int) -> None:
    values = noise(seed)
    Image.fromarray(np.stack([values] * 3, axis=-1) if kind else values).save(file.with_suffix(".png"))


def by_depth(file: Path, kind: int, seed: int) -> None:
    values = noise(seed)
    Image.fromarray(values.astype(np.uint16) * 257 if kind else values).save(file.with_suffix(".png"))


def by_brightness(file: Path, kind: int, seed: int) -> None:
    Image.fromarray((noise(seed) // 2 + 60 * kind).astype(np.uint8)).save(file.with_suffix(".png"))


def by_shape(file: Path, kind: int, seed: int) -> None:
    side = 20 + seed % 17
    Image.fromarray(noise(seed, (side, 2 * side if kind else side))).save(file.with_suffix(".png"))


def by_border(file: Path, kind: int, seed: int) -> None:
    values = noise(seed, (64, 64))
    if kind:
        values[:6], values[-6:], values[:, :6], values[:, -6:] = 255, 255, 255, 255
    Image.fromarray(values).save(file.with_suffix(".png"))


def by_colour(file: Path, kind: int, seed: int) -> None:
    values = np.stack([noise(seed)] * 3, axis=-1)
    values[..., 0] = values[..., 0] // (1 + kind)
    Image.fromarray(values).save(file.with_suffix(".png"))


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (by_format, "file format (JPEG: 16 of its 16 images, 0 of the 16 others)"),
        (by_size, "size (24 × 24 pixels: 16 of its 16 images, 0 of the 16 others)"),
        (by_mode, "colour mode (L: 16 of its 16 images, 0 of the 16 others)"),
        (by_depth, "colour mode ("),
        (by_brightness, "brightness (half of its images: "),
        (by_shape, "width by height (half of its images: 1.00; of the others: 2.00)"),
        (by_border, "border (no even border: 16 of its 16 images, 0 of the 16 others)"),
        (by_colour, "colour (grey: 16 of its 16 images, 0 of the 16 others)"),
    ],
)
def test_what_tells_the_class_is_named(
    tmp_path: Path, write: Callable[[Path, int, int], None], said: str
) -> None:
    (finding,) = of_kind(folder(tmp_path, write), Kind.SHORTCUT)
    assert (finding.severity, finding.where, len(finding.paths)) == ("warning", "covid", 6)
    assert finding.fact.startswith("told from the others by ") and said in finding.fact


def test_a_clean_set_has_none(tmp_path: Path) -> None:
    assert check(folder(tmp_path, lambda file, _, seed: by_format(file, 1, seed))).findings == ()


def looks_of(rng: np.random.Generator, count: int) -> list[Inspection]:
    """Images whose features have nothing to do with anything."""
    return [
        Inspection(
            path=str(number),
            size=(int(rng.integers(20, 30)), int(rng.choice([20, 30]))),
            mode=str(rng.choice(["RGB", "L"])),
            format=str(rng.choice(["PNG", "JPEG"], p=[0.9, 0.1])),
            brightness=float(rng.normal(120, 30)),
            level=float(rng.lognormal()),
            digest=str(number),
            thumb=rng.integers(0, 256, 32 * 32).astype(np.uint8).tobytes(),
            rim=rng.integers(0, 256, len(RIM_CELLS)).astype(np.uint8).tobytes(),
        )
        for number in range(count)
    ]


def index_of(looks: Sequence[Inspection], **columns: object) -> Index:
    values = {
        "root": Path(),
        "paths": tuple(look.path for look in looks),
        "splits": np.full(len(looks), "train"),
    }
    return Index(**(values | columns))  # type: ignore[arg-type]


@pytest.mark.slow
def test_false_alarms_are_rare() -> None:
    alarms = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        looks = looks_of(rng, int(rng.choice([20, 40, 100])))
        if seed % 2:
            targets, target = rng.normal(size=len(looks)), Numbers()
        else:
            targets, target = rng.integers(0, 3, len(looks)), Classes(("a", "b", "c"))
        alarms += any(shortcut_findings(index_of(looks, targets=targets, target=target), looks))
    assert alarms <= 3  # 5 %


def test_a_group_counts_once() -> None:
    """Twelve images of each of two patients are no evidence of anything."""
    rng = np.random.default_rng(0)
    looks = [
        look._replace(brightness=60.0 + 100 * (number >= 12)) for number, look in enumerate(looks_of(rng, 24))
    ]
    targets, target = np.arange(24) // 12, Classes(("a", "b"))
    columns = {"targets": targets, "target": target}
    assert [finding.where for finding in shortcut_findings(index_of(looks, **columns), looks)] == ["a"]
    groups = tuple(f"patient {number // 12}" for number in range(24))
    assert list(shortcut_findings(index_of(looks, groups=groups, **columns), looks)) == []


@pytest.mark.parametrize("real", [False, True])
def test_a_level_that_each_images_own_window_takes_away(tmp_path: Path, real: bool) -> None:
    def write(file: Path, kind: int, seed: int) -> None:
        values = noise(seed).astype(np.uint16) * (10 if kind else 1) * 20
        if real:
            Image.fromarray(values.astype(np.float32) / 65535).save(file.with_suffix(".tif"))
        else:
            Image.fromarray(values).save(file.with_suffix(".png"))

    (finding,) = of_kind(folder(tmp_path, write, count=12), Kind.LEVEL)
    assert finding.where == "covid"
    assert "differ in level, which each one's own window takes away" in finding.fact


def test_a_number_that_is_the_level(tmp_path: Path) -> None:
    rows = ["image,concentration"]
    for number in range(40):
        values = noise(number).astype(np.float64) * 300 * (0.1 + number / 40)
        Image.fromarray(values.astype(np.uint16)).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{0.1 + number / 40}")
    (tmp_path / "table.csv").write_text("\n".join(rows))
    found = of_kind(load_data(tmp_path / "table.csv"), Kind.LEVEL)
    assert [finding.where for finding in found] == [
        "the lowest quarter of concentration",
        "the highest quarter of concentration",
    ]


def of_sites(folder: Path, site_of: Callable[[int, int], str], *, group: str = "") -> Path:
    """Forty images of two classes with the site where they were taken, and columns that say nothing."""
    rows = ["image,label,site,view,serial,split" + (",patient" if group else "")]
    for number in range(40):
        kind = number % 2
        Image.fromarray(noise(number)).save(folder / f"{number}.png")
        cells = [f"{number}.png", ("ill", "well")[kind], site_of(kind, number), "AP" if number % 3 else "PA"]
        cells += [f"S{number}", "test" if number % 5 == 0 else "train"]
        rows.append(",".join(cells + ([group.format(number // 4)] if group else [])))
    (folder / "table.csv").write_text("\n".join(rows))
    return folder / "table.csv"


def mostly(kind: int, number: int) -> str:
    """Site A for 18 of the 20 ill and for 2 of the 20 well."""
    return "AB"[kind] if number >= 4 else "BA"[kind]


def test_a_site_that_tells_the_class_is_noted_though_nobody_named_it(tmp_path: Path) -> None:
    """What was not asked about may be the label in other words, so it is a note; asked about, it is a warning."""
    table = of_sites(tmp_path, mostly)
    (note,) = of_kind(load_data(table), Kind.SHORTCUT)
    said = "told from the others by site (A: 18 of its 20 images, 2 of the 20 others), balanced accuracy 90%"
    assert (note.severity, note.where) == ("info", "ill") and note.fact.startswith(said)
    assert len(note.paths) == 6
    asked = load_data(Source(path=table, by=("site",)))
    (warning,) = of_kind(asked, Kind.SHORTCUT)
    assert (warning.severity, warning.where, warning.fact) == ("warning", "ill", note.fact)


def test_a_site_that_says_nothing_is_not_told(tmp_path: Path) -> None:
    assert (
        of_kind(load_data(of_sites(tmp_path, lambda _, number: "AB"[number // 2 % 2])), Kind.SHORTCUT) == []
    )


def test_the_check_reports_on_the_data_as_they_were_loaded(tmp_path: Path) -> None:
    """The other columns are read for the test alone: the index in the report does not divide by them."""
    index = load_data(of_sites(tmp_path, mostly))
    assert check(index).index.by_names == () == index.by_names


def test_images_that_are_blurred_in_one_class_alone_are_told_by_the_tail() -> None:
    """Twelve of twenty, far less sharp than all others; where every class has such images, nothing is told."""
    rng = np.random.default_rng(1)
    looks = [look._replace(sharpness=float(rng.normal())) for look in looks_of(rng, 60)]
    blurred = [
        look._replace(sharpness=look.sharpness - 9) if number < 12 else look
        for number, look in enumerate(looks)
    ]
    columns = {"targets": np.repeat([0, 1, 2], 20), "target": Classes(("a", "b", "c"))}
    (finding,) = shortcut_findings(index_of(blurred, **columns), blurred)
    assert finding.where == "a" and "told from the others by extreme sharpness (at most -" in finding.fact
    assert ": 12 of its 20 images, 0 of the 40 others), balanced accuracy " in finding.fact
    assert {*finding.paths[:3]} <= {str(number) for number in range(12)}
    spread = [
        look._replace(sharpness=look.sharpness - 9 * (number % 5 < 3)) for number, look in enumerate(looks)
    ]
    assert list(shortcut_findings(index_of(spread, **columns), spread)) == []
