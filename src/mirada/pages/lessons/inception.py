"""The page of the inception module."""

from dataclasses import asdict

from mirada.lessons.inception import InceptionLesson, ModuleCounts, Modules
from mirada.pages.lessons.page import Figures
from mirada.pages.lessons.wording import Wording
from mirada.text import table

FIELDS = ("channels", "one", "reduce3", "three", "reduce5", "five", "project")


def figures(lesson: InceptionLesson, wording: Wording) -> Figures:
    """What the page shows, and the widths that its script counts with."""
    first = lesson.modules[0]
    return Figures(
        values={
            "lesson": lesson,
            "widths": asdict(first.widths),
            "fields": FIELDS,
            "counts": {**named("naive", first.naive), **named("bottleneck", first.bottleneck)},
            "ratio": wording.shown(first.naive.macs / first.bottleneck.macs, 2),
        },
        script={
            "presets": {module.name: asdict(module.widths) for module in lesson.modules},
            "channels": lesson.factored.channels,
        },
    )


def named(kind: str, counts: ModuleCounts) -> dict[str, int]:
    """Every count by its name on the page, ``naive.3x3.macs``."""
    found = {
        f"{kind}.parameters": counts.parameters,
        f"{kind}.macs": counts.macs,
        f"{kind}.maps": counts.maps,
    }
    for branch in counts.branches:
        found |= {
            f"{kind}.{branch.name}.parameters": branch.parameters,
            f"{kind}.{branch.name}.macs": branch.macs,
        }
    return found


def essentials(lesson: InceptionLesson, wording: Wording) -> list[str]:
    """The counts of all modules, and of the factored 5×5, for the terminal."""
    header = [wording.plain(key) for key in ("module", "maps_out", "parameters", "macs")]
    rows = [row for module in lesson.modules for row in _rows(module, wording)]
    both = lesson.factored
    factors = [
        ["5×5", wording.counted(both.five), f"{both.field[0]}×{both.field[0]}"],
        ["3×3 + 3×3", wording.counted(both.two_threes), f"{both.field[1]}×{both.field[1]}"],
    ]
    return [
        *table(header, rows),
        "",
        *table([f"C = {both.channels}", wording.plain("parameters"), wording.plain("field")], factors),
    ]


def _rows(module: Modules, wording: Wording) -> list[list[str]]:
    return [
        [
            f"{wording.plain(module.name)}, {wording.plain(kind)}",
            wording.counted(counts.maps),
            wording.counted(counts.parameters),
            wording.counted(counts.macs),
        ]
        for kind, counts in (("naive", module.naive), ("bottleneck", module.bottleneck))
    ]
