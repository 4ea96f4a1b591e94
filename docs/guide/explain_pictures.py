"""Pictures of the guide to explanations: maps side by side, on one scale, with the boxes of the objects.

Run it as ``python docs/guide/explain_pictures.py MODEL DATA PICTURE NAME…``, with the names of images of DATA. Photos
may not belong on a public page: without ``--photos`` a map lies on the frame of its photo alone.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import mirada
from mirada.explain.overlay import caption_of, colour_bar, limit_of, overlay
from mirada.inference.explained import Explained
from mirada.inference.matching import load_for
from mirada.judging.boxes import boxes_at, boxes_of_index
from mirada.samples import Box, Source

HEIGHT, WIDTH, GAP = 170, 900, 8  # of a tile, of the picture, and between two tiles, in pixels
GROUND = 225  # grey of a frame


def tile(seen: Explained, boxes: Sequence[Box], limit: float, *, photo: bool) -> NDArray[np.uint8]:
    """One map, with what the network answers under it."""
    height, width = seen.heat.shape
    ground = seen.photo if photo else np.full((height, width, 3), GROUND, dtype=np.uint8)
    scale = HEIGHT / height
    size = round(scale * width), HEIGHT
    drawn = Image.fromarray(overlay(ground, seen.heat, limit)).resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(drawn)
    pen.rectangle((0, 0, size[0] - 1, size[1] - 1), outline=(150, 150, 150))
    for box in boxes:
        pen.rectangle(
            [scale * edge for edge in (box.left, box.top, box.right, box.bottom)], outline=0, width=2
        )
    return np.concatenate([np.asarray(drawn), caption_of(seen.answer, width=size[0])])


def picture(model: str, data: str, names: Sequence[str], boxes: str | None, *, photos: bool) -> Image.Image:
    """The maps of the images of these names, in their order, over one colour bar."""
    loaded = mirada.load_model(model)
    index = load_for(loaded.card, Source(path=Path(data)))
    rows = [next(row for row, path in enumerate(index.paths) if Path(path).name == name) for name in names]
    chosen = index.take(rows)
    own = boxes_at(Path(boxes), chosen) if boxes else boxes_of_index(chosen)
    found = list(loaded.explain(chosen))
    limit = max(limit_of(seen.map) for seen in found)
    tiles = [
        tile(seen, own.by_file.get((index.root / seen.path).resolve(), ()), limit, photo=photos)
        for seen in found
    ]
    lines: list[list[NDArray[np.uint8]]] = [[]]
    for each in tiles:
        if sum(before.shape[1] + GAP for before in lines[-1]) + each.shape[1] > WIDTH:
            lines.append([])
        lines[-1].append(each)
    canvas = Image.new("RGB", (WIDTH, sum(height(line) + GAP for line in lines)), "white")
    top = 0
    for line in lines:
        left = 0
        for each in line:
            canvas.paste(Image.fromarray(each), (left, top))
            left += each.shape[1] + GAP
        top += height(line) + GAP
    bar = colour_bar(limit, found[0].unit, width=400)
    below = np.pad(bar, ((0, 0), (0, WIDTH - bar.shape[1]), (0, 0)), constant_values=255)
    return Image.fromarray(np.concatenate([np.asarray(canvas), below]))


def height(line: Sequence[NDArray[np.uint8]]) -> int:
    """Of the tallest tile."""
    return max(len(each) for each in line)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("picture")
    parser.add_argument("names", nargs="+")
    parser.add_argument("--boxes", help="as of mirada explain --report")
    parser.add_argument("--photos", action="store_true", help="draw the photos under the maps")
    given = parser.parse_args()
    found = picture(given.model, given.data, given.names, given.boxes, photos=given.photos)
    found.save(given.picture, optimize=True)
