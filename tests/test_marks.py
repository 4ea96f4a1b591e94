"""Drawn marks: what a map, a fibre or a receptive field points at lies on the right pixel of the original file."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mirada.compute import choose
from mirada.data.pixels.fit import to_input, to_original
from mirada.data.pixels.preprocessing import Policy, Preprocessing
from mirada.errors import InvalidArgument
from mirada.inference.model import Model
from mirada.jobs.explanations import _too_small
from mirada.jobs.units import activation_maps, fibre_at
from mirada.layers.blocks import average_head
from mirada.layers.network import Network
from mirada.modelfile import Architecture, Card
from mirada.samples import Classes

CELL = 4  # pixels of the input
SPOT = 6  # pixels of the photo
# From the upright photo to what is stored, for each EXIF orientation: the inverse of what a viewer does.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),  # a viewer turns by 90° clockwise
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}
PREPARED: list[tuple[Policy, int, tuple[int, int]]] = [
    ("stretch", 0, (64, 64)),
    ("pad", 0, (64, 64)),
    ("crop", 0, (64, 64)),
    ("crop", 72, (64, 64)),
    ("stretch", 0, (48, 80)),
    ("pad", 0, (48, 80)),
    ("crop", 0, (80, 48)),
    ("crop", 60, (80, 48)),
]


def bright(size: tuple[int, int], policy: Policy, resize: int) -> Model:
    """A model whose exact map is the brightness of each cell of 4 × 4 pixels of its input."""
    stem = nn.Conv2d(3, 1, 1, bias=False)
    nn.init.constant_(stem.weight, 1 / 3)
    head = average_head(1, 2)
    with torch.no_grad():
        head.linear.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        head.linear.bias.zero_()
    network = Network(
        stem=stem, stages=[nn.AvgPool2d(CELL)], head=head, in_channels=3, image_size=size, min_size=CELL
    )
    pre = Preprocessing(size=size, mode="RGB", policy=policy, resize=resize, mean=(0.0,) * 3, std=(1.0,) * 3)
    architecture = Architecture(model="lenet5", outputs=2, in_channels=3, image_size=size)
    card = Card(architecture=architecture, preprocessing=pre, target=Classes(("bright", "dark")))
    return Model(network.eval(), card, choose("cpu", "float32"))


def marked(file: Path, middle: tuple[int, int], shape: tuple[int, int], orientation: int) -> Path:
    """A black photo, upright of ``shape``, with a white spot around ``middle`` (down, across), stored turned."""
    photo = np.zeros((*shape, 3), dtype=np.uint8)
    down, across = middle
    half = SPOT // 2
    photo[down - half : down + half, across - half : across + half] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(STORED[orientation](photo))).save(file, exif=exif)
    return file


@pytest.mark.parametrize(("policy", "resize", "size"), PREPARED)
@pytest.mark.parametrize("orientation", STORED)
def test_the_peak_of_a_map_and_the_fibre_lie_on_the_mark(
    orientation: int, policy: Policy, resize: int, size: tuple[int, int], tmp_path: Path
) -> None:
    """Within a cell, for oblong photos both ways; what crop cuts off is not asked for."""
    model = bright(size, policy, resize)
    for number, (shape, share) in enumerate(product([(90, 150), (150, 90)], [(0.4, 0.45), (0.62, 0.6)])):
        middle = round(share[0] * shape[0]), round(share[1] * shape[1])
        file = marked(tmp_path / f"{number}.png", middle, shape, orientation)
        (seen,) = model.explain([file])
        assert seen.photo.shape[:2] == shape
        heat = np.nan_to_num(seen.heat, nan=-np.inf)
        peak = np.argwhere(heat >= heat.max() - 1e-6).mean(axis=0)
        scale = _photo_pixels_per_input_pixel(shape, model.card.preprocessing)
        for axis in (0, 1):
            assert abs(peak[axis] + 0.5 - middle[axis]) <= CELL * scale[axis], (shape, middle, peak)
        fibre = fibre_at(model, file, middle[1], middle[0], "stage1")
        maps = activation_maps(model, file, "stage1")
        assert fibre.values.shape == (1,)
        assert fibre.values[0] >= 0.3 * maps.max()  # the spot may lie on an edge between cells
        top, left, bottom, right = fibre.field
        assert top <= middle[0] + 0.5 <= bottom and left <= middle[1] + 0.5 <= right
        assert bottom - top <= CELL * scale[0] + 1e-6 and right - left <= CELL * scale[1] + 1e-6


def _photo_pixels_per_input_pixel(shape: tuple[int, int], pre: Preprocessing) -> tuple[float, float]:
    """By hand, from what the policies say, rounding aside."""
    ratios = shape[0] / pre.size[0], shape[1] / pre.size[1]
    match pre.policy:
        case "stretch":
            return ratios
        case "pad":
            return max(ratios) * 1.02, max(ratios) * 1.02
        case _:
            factor = min(ratios) * min(pre.size) / (pre.resize or min(pre.size)) * 1.02
            return factor, factor


@pytest.mark.parametrize(
    ("policy", "resize", "cell"),
    [
        ("stretch", 0, (90 / 16, 150 / 16)),
        ("pad", 0, (150 / 16, 150 / 16)),  # 150 pixels are brought to 64
        ("crop", 0, (90 / 16, 90 / 16)),  # 90 are
        ("crop", 72, (90 / 18, 90 / 18)),  # 90 are brought to 72, which are 18 cells
    ],
)
def test_the_size_of_a_cell_on_the_photo(
    policy: Policy, resize: int, cell: tuple[float, float], tmp_path: Path
) -> None:
    """64 × 64 pixels in 16 × 16 cells; objects that are smaller are counted."""
    model = bright((64, 64), policy, resize)
    (seen,) = model.explain([marked(tmp_path / "a.png", (45, 75), (90, 150), 6)])
    assert seen.map.shape == (16, 16)
    assert seen.cell == pytest.approx(cell, rel=0.02)  # the scaled size is whole
    tall, wide = cell
    large, small = (10.0, 10.0, 10 + 2 * wide, 10 + tall / 2), (10.0, 10.0, 10 + wide / 2, 10 + tall / 2)
    assert _too_small([seen, seen], [(large,), ()]) == ""
    assert _too_small([seen, seen], [(large, small), (small,)]).startswith(
        "2 of 3 objects: smaller than one of the 16 × 16 places of the map, "
    )


def test_points_go_there_and_back() -> None:
    pre = Preprocessing(size=(64, 64), mode="RGB", policy="crop", resize=72, mean=(0.0,) * 3, std=(1.0,) * 3)
    original = (90, 150)
    point = to_input((45.0, 75.0), original=original, preprocessing=pre)
    assert point == pytest.approx((32.0, 32.0), abs=0.51)  # the middle stays the middle
    back = to_original((*point, *point) if point else (0, 0, 0, 0), original=original, preprocessing=pre)
    assert back == pytest.approx((45.0, 75.0, 45.0, 75.0))
    assert to_input((45.0, 2.0), original=original, preprocessing=pre) is None  # cut off at the left
    assert to_original((-50, -50, 200, 200), original=original, preprocessing=pre) == (0, 0, 90, 150)


def test_a_pixel_that_the_network_does_not_see_is_refused(tmp_path: Path) -> None:
    model = bright((64, 64), "crop", 0)
    file = marked(tmp_path / "a.png", (45, 75), (90, 150), 1)
    with pytest.raises(
        InvalidArgument, match=r"^The pixel x = 2, y = 45 is cut off before the network sees it"
    ):
        fibre_at(model, file, 2, 45)
    with pytest.raises(InvalidArgument, match=r"^The photo has 150 × 90 pixels\. Got x = 150, y = 5\.$"):
        fibre_at(model, file, 150, 5)
