"""The page of receptive fields."""

import numpy as np
from markupsafe import Markup

from mirada.lessons.receptive_field import EffectiveField, ReceptiveLesson
from mirada.pages.lessons.page import Figures
from mirada.pages.lessons.wording import Wording
from mirada.svg import NONE, SVG
from mirada.text import table

CELL = Markup('<rect class="warm" x="{}" y="{}" width="1.02" height="1.02" fill-opacity="{}"/>')
GROUND = Markup('<rect class="heat-ground" x="0" y="0" width="{0}" height="{1}"/>')
INNER = Markup('<rect class="inner" x="{}" y="{}" width="{}" height="{}"/>')


def figures(lesson: ReceptiveLesson, wording: Wording) -> Figures:
    """What the page shows, and the stack that its script grows."""
    stack = lesson.stack
    layers = len(stack.places) - 1
    return Figures(
        values={
            "lesson": lesson,
            "stack": stack,
            "layers": layers,
            "middle": (stack.places[-1] // 2, stack.pixels // 2),
            "sees": len(stack.seen(layers, stack.places[-1] // 2)),
            "reaches": len(stack.reached(layers, stack.pixels // 2)),
            "maps": [(field, heat(field)) for field in lesson.measured],
            "own": [(field, heat(field)) for field in lesson.own],
            "window": lesson.pyramid.window,
            "levels": [
                (len(level), covers, 100 * lesson.pyramid.window / len(level))
                for level, covers in zip(lesson.pyramid.levels, lesson.pyramid.covers, strict=True)
            ],
        },
        script={
            "layers": layers,
            "kernel": stack.kernel,
            "stride": stack.stride,
            "pixels": stack.pixels,
            "channels": lesson.counts.channels,
            "levels": [np.rint(255 * level).astype(int).tolist() for level in lesson.pyramid.levels],
        },
    )


def heat(field: EffectiveField) -> Markup:
    """The field as a picture: the darker, the more a pixel counts; the square that holds 95 % of it."""
    height, width = field.shares.shape
    most = float(field.shares.max())
    cells = [
        CELL.format(x, y, round(float(np.sqrt(share / most)), 3))
        for (y, x), share in np.ndenumerate(field.shares)
        if share > most * 1e-4
    ]
    rows, columns = np.indices(field.shares.shape)
    total = field.shares.sum()
    middle = [float((each * field.shares).sum() / total) + 0.5 for each in (columns, rows)]
    side = field.effective * width / field.size[1]
    square = INNER.format(*(round(at - side / 2, 2) for at in middle), round(side, 2), round(side, 2))
    return SVG.format(width, height, field.name, NONE.join((GROUND.format(width, height), *cells, square)))


def essentials(lesson: ReceptiveLesson, wording: Wording) -> list[str]:
    """The growing stack, the counts and the measured fields, for the terminal."""
    stack, counts = lesson.stack, lesson.counts
    grown = [
        [str(layer), str(stack.fields[layer]), str(stack.jumps[layer]), str(stack.places[layer])]
        for layer in range(len(stack.places))
    ]
    weights = [
        ["3 × (3×3)", f"27 C² = {wording.counted(counts.three)}", f"{counts.fields[0]}×{counts.fields[0]}"],
        ["7×7", f"49 C² = {wording.counted(counts.seven)}", f"{counts.fields[1]}×{counts.fields[1]}"],
    ]
    named = [(field.name, field) for field in lesson.measured]
    named += [(wording.plain(f"own_{field.name}"), field) for field in lesson.own]
    measured = [[name, str(field.theoretical), str(field.effective)] for name, field in named]
    networks = [[each.network, str(each.field), str(each.jump), str(each.image)] for each in lesson.networks]
    pyramid = lesson.pyramid
    levels = [
        [f"{len(level)}×{len(level)}", f"{covers}×{covers}"]
        for level, covers in zip(pyramid.levels, pyramid.covers, strict=True)
    ]
    header = [wording.plain(key) for key in ("layer", "field", "jump", "places")]
    return [
        *table(header, grown),
        "",
        *table([wording.plain("level"), wording.plain("covers")], levels),
        "",
        *table([f"C = {counts.channels}", wording.plain("weights"), wording.plain("field")], weights),
        "",
        *table([wording.plain(key) for key in ("layers_of_three", "theoretical", "effective")], measured),
        "",
        *table([wording.plain(key) for key in ("network", "field", "jump", "image")], networks),
    ]
