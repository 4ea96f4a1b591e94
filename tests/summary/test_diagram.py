"""The drawing of a network: what it says, where things stand, and that it follows the tensors of the run."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest
import torch
from PIL import ImageFont
from torch import nn

from mirada.diagram import words
from mirada.diagram.draw import draw
from mirada.diagram.marks import text_width
from mirada.models import create_model, list_models
from mirada.models.densenet import TABLE as DENSENETS
from mirada.models.resnet import TABLE as RESNETS
from mirada.summary import summarize

SVG = "{http://www.w3.org/2000/svg}"
LAYERS = ("conv", "pool", "dense", "other")
BOXES = (*LAYERS, "join", "sign", "terminal")


QUICK = ("resnet18", "resnet50", "resnet20", "densenet121")


@dataclass(frozen=True)
class Area:
    """Something drawn, with the texts in it."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    texts: tuple[str, ...] = ()

    def holds(self, other: "Area") -> bool:
        return (
            self.x <= other.x
            and self.y <= other.y
            and other.x + other.width <= self.x + self.width
            and other.y + other.height <= self.y + self.height
        )

    def meets(self, other: "Area") -> bool:
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )


class Drawing:
    """What a reader of the SVG finds in it."""

    def __init__(self, text: str) -> None:
        self.root = ElementTree.fromstring(text)
        groups = [group for group in self.root.iter(f"{SVG}g") if group.find(f"{SVG}rect") is not None]
        areas = [(_area(group), group) for group in groups]
        self.paper = next(area for area, _ in areas if area.kind == "paper")
        self.frames = [area for area, _ in areas if area.kind == "frame"]
        self.boxes = [area for area, _ in areas if area.kind in BOXES and area.texts]
        self.layers = [box for box in self.boxes if box.kind in LAYERS]
        self.free = [_free(text) for text in self.root.findall(f"{SVG}text")]
        self.lines = [path for path in self.root.iter(f"{SVG}path") if "flow" in path.get("class", "")]
        self.skips = [path for path in self.lines if "skip" in path.get("class", "")]

    def named(self, text: str) -> list[Area]:
        return [box for box in self.boxes if text in box.texts]

    def labels(self) -> list[str]:
        """What every layer is, from top to bottom."""
        return [next(t for t in box.texts if not t.startswith(("BN", "ReLU"))) for box in self.layers]

    def written(self, kind: str) -> list[Area]:
        return [text for text in self.free if text.kind == kind]


def _area(group: ElementTree.Element) -> Area:
    rect = group.find(f"{SVG}rect")
    assert rect is not None
    sides = (float(rect.get(key, "")) for key in ("x", "y", "width", "height"))
    return Area(
        group.get("class", ""), *sides, tuple(text.text or "" for text in group.findall(f"{SVG}text"))
    )


def _free(text: ElementTree.Element) -> Area:
    """A text outside of boxes, as large as a real font makes it."""
    kind, said = text.get("class", ""), text.text or ""
    size = {"title": 20, "count": 17, "remark totals": 13, "name": 13}.get(kind, 11)
    width = font(size).getlength(said)
    x, y = float(text.get("x", "")), float(text.get("y", ""))
    return Area(kind, x - width if "end" in kind else x, y - 0.75 * size, width, 0.8 * size, (said,))


@cache
def font(size: float) -> ImageFont.FreeTypeFont:
    """Pillow's own font."""
    loaded = ImageFont.load_default(size)
    assert isinstance(loaded, ImageFont.FreeTypeFont)
    return loaded


@cache
def drawn(name: str, **options: object) -> Drawing:
    with torch.device("meta"):
        network = create_model(name, **options)
    return Drawing(draw(network, title=name))


# The document ---------------------------------------------------------------------------------------------------


def test_a_standalone_document():
    text = draw(nn.Conv2d(3, 4, 3), (3, 8, 8), title='a < b & "c"')
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    assert root.findtext(f"{SVG}title") == 'a < b & "c"'
    assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
    assert "prefers-color-scheme:dark" in root.findtext(f"{SVG}style", "")
    assert not re.search(r"href|url\(|<script", text)


def test_the_same_network_gives_the_same_text():
    assert draw(create_model("lenet5")) == draw(create_model("lenet5"))


def test_the_title_is_the_class_unless_given():
    assert Drawing(draw(nn.Tanh(), (3,))).written("title")[0].texts == ("Tanh",)
    assert drawn("lenet5").written("title")[0].texts == ("lenet5",)


def test_totals_and_legend():
    said = [text.texts[0] for text in drawn("lenet5").free]
    assert "32×32×1 → 10, 61,706 parameters, 416,520 multiply-adds" in said
    assert said[2:6] == ["convolution", "pooling", "dense", "sizes: height×width×maps"]


# Networks of the papers -----------------------------------------------------------------------------------------


def test_lenet5():
    drawing = drawn("lenet5")
    assert drawing.labels() == [
        "5×5 conv, 6",
        "2×2 max pool, /2",
        "5×5 conv, 16",
        "2×2 max pool, /2",
        "dense, 120",
        "dense, 84",
        "dense, 10",
    ]
    sizes = sorted(drawing.written("remark size"), key=lambda text: text.y)
    assert [size.texts[0] for size in sizes] == (
        ["32×32×1", "28×28×6", "14×14×6", "10×10×16", "5×5×16", "120", "84", "10"]
    )


@pytest.mark.parametrize("name", ["lenet5", "googlenet", "resnet18", "mlp"])
def test_one_frame_per_stage_with_what_the_summary_says(name):
    with torch.device("meta"):
        network = create_model(name)
    drawing, stages = Drawing(draw(network)), summarize(network).stages
    found = [
        [text.texts[0] for text in drawing.free if frame.holds(text) and text.x == frame.x + 18]
        for frame in sorted(drawing.frames, key=lambda frame: frame.y)
    ]
    assert found == [
        [stage.name, words.size((1, *(stage.output_shape or ()))), f"{stage.parameters:,} parameters"]
        for stage in stages
    ]


def test_inception_3a_has_four_branches_side_by_side():
    """Szegedy et al. 2014, Table 1: 64; 96 → 128; 16 → 32; pooling → 32."""
    drawing = drawn("googlenet")
    stage = sorted(drawing.frames, key=lambda frame: frame.y)[1]
    inside = [box for box in drawing.boxes if stage.holds(box)]
    concat = min((box for box in inside if "concat" in box.texts), key=lambda box: box.y)
    module = [box for box in inside if box.y < concat.y]
    rows = sorted({box.y for box in module})
    upper, lower = (sorted((box for box in module if box.y == row), key=lambda box: box.x) for row in rows)
    assert [box.texts[0] for box in upper] == ["1×1 conv, 96", "1×1 conv, 16", "3×3 max pool"]
    assert [box.texts[0] for box in lower] == [
        "1×1 conv, 64",
        "3×3 conv, 128",
        "5×5 conv, 32",
        "1×1 conv, 32",
    ]
    assert [box.x for box in upper] == [box.x for box in lower[1:]]
    assert len({box.x for box in lower}) == 4
    assert concat.x < lower[0].x + lower[0].width / 2
    assert concat.x + concat.width > lower[3].x + lower[3].width / 2
    names = [text.texts[0] for text in drawing.written("remark")]
    assert [name for name in names if name.startswith("inception")] == [
        f"inception{module}" for module in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
    ]


def test_resnet18_has_skips_and_projections():
    """He et al. 2015, Fig. 3: two blocks per stage; the first of stages 2 to 4 projects."""
    drawing = drawn("resnet18")
    assert len(drawing.named("+")) == 1 + 2 + 2 + 2  # both blocks of stage1 are alike and drawn once
    assert len(drawing.skips) == 2 * 4 + 1  # each in two strokes, and one in the legend
    for width in (128, 256, 512):
        (projection,) = drawing.named(f"1×1 conv, {width}, /2")
        beside = [box for box in drawing.named(f"3×3 conv, {width}") if box.y == projection.y]
        assert [box.x < projection.x for box in beside] == [True]


@pytest.mark.parametrize("name", QUICK)
def test_blocks_times_their_count_are_those_of_the_paper(name):
    check_depths(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in (*RESNETS, *DENSENETS) if "plain" not in n and n not in QUICK])
def test_blocks_times_their_count_are_those_of_the_papers_others(name):
    check_depths(name)


def check_depths(name: str) -> None:
    depths = RESNETS[name][1] if name in RESNETS else DENSENETS[name][1]
    drawing = drawn(name)
    frames = sorted(drawing.frames, key=lambda frame: frame.y)[1:-1]
    joint = "+" if name in RESNETS else "concat"
    found = []
    for frame in frames:
        drawn_once = sum(frame.holds(box) for box in drawing.named(joint))
        counts = [int(text.texts[0][2:]) for text in drawing.written("count") if frame.holds(text)]
        found.append(drawn_once + sum(count - 1 for count in counts))
    assert found == list(depths)


def test_dense_layers_grow():
    """Huang et al. 2016, Table 1: k = 32 in each of four blocks."""
    said = [text.texts[0] for text in drawn("densenet121").written("remark")]
    assert said.count("+ 32 maps each") == 4


def test_different_widths_are_never_drawn_as_one():
    convs = [nn.Conv2d(before, after, 1) for before, after in pairwise((4, 8, 8, 8, 8, 8, 6, 6, 6))]
    drawing = Drawing(draw(nn.Sequential(*convs), (4, 5, 5)))
    assert drawing.labels() == ["1×1 conv, 8"] * 2 + ["1×1 conv, 6"] * 3
    assert [text.texts for text in drawing.written("count")] == [("× 4",)]


def test_shrinking_maps_are_never_drawn_as_one():
    drawing = Drawing(draw(nn.Sequential(*(nn.Conv2d(4, 4, 3) for _ in range(6))), (4, 20, 20)))
    assert len(drawing.layers) == 6
    assert not drawing.written("count")


# Geometry -------------------------------------------------------------------------------------------------------


def check_geometry(drawing: Drawing) -> None:
    """No box on another, no text out of its box or on one, no line through one, all on the paper."""
    for first, second in combinations(drawing.boxes, 2):
        assert not first.meets(second), (first, second)
    for box in drawing.boxes:
        assert drawing.paper.holds(box)
        for text in box.texts:
            bold = 13 * 1.1  # the wide letters of bold text, from a font that has none
            size = bold if len(box.texts) == 1 or not text.startswith(("BN", "ReLU")) else 11
            assert font(size).getlength(text) < box.width, box
    for text in drawing.free:
        assert drawing.paper.holds(text), text
        assert not [box for box in drawing.boxes if box.meets(text)], text
    for first, second in combinations(drawing.free, 2):
        assert not first.meets(second), (first, second)
    for frame in drawing.frames:
        assert drawing.paper.holds(frame)
        assert all(frame.holds(box) or not frame.meets(box) for box in drawing.boxes)
    for start, end in segments(drawing):
        line = Area("line", *map(min, start, end), abs(end[0] - start[0]), abs(end[1] - start[1]))
        for box in drawing.boxes:
            core = Area("core", box.x + 1, box.y + 1, box.width - 2, box.height - 2)
            assert not core.meets(line), (box, line)
        for text in drawing.free:
            assert not text.meets(line), (text, line)


def segments(drawing: Drawing) -> Iterator[tuple[tuple[float, ...], tuple[float, ...]]]:
    """The straight pieces of all lines, their rounded corners left out."""
    for path in drawing.lines:
        for piece in re.findall(r"[^ML]*?([\d.-]+ [\d.-]+)L([\d.-]+ [\d.-]+)", path.get("d", "")):
            start, end = (tuple(map(float, point.split())) for point in piece)
            yield start, end


@pytest.mark.parametrize("name", ["lenet5_1998", "googlenet", "resnet20", "densenet121"])
def test_nothing_covers_anything(name):
    check_geometry(drawn(name))


class Tangled(nn.Module):
    """Connections that are no branches within branches, beside a U-Net's, a gate's and a wide one's."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, 2, padding=1), nn.ReLU())
        self.up = nn.ConvTranspose2d(8, 8, 2, 2)
        self.parts = nn.ModuleList(nn.Conv2d(8, 8, 1) for _ in range(5))
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(24, 24, 1), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        a, b, c, d, e = self.parts
        y, z = a(x), b(x)
        x = torch.cat([c(y), d(y + z), e(z), y, z], 1)[:, ::5]
        x = torch.cat([self.up(self.second(x)), x, torch.tanh(x)], 1)
        return x * self.gate(x)


def test_nothing_covers_anything_in_a_tangle():
    drawing = Drawing(draw(Tangled(), (3, 224, 224)))
    assert len(drawing.named("1×1 conv, 8")) == 5
    check_geometry(drawing)


@pytest.mark.slow
@pytest.mark.parametrize("name", list_models())
def test_nothing_covers_anything_in_all_networks(name):
    check_geometry(drawn(name))


@pytest.mark.parametrize("size", [11, 13, 20])
def test_the_bound_of_a_text_is_one(size):
    letters = font(size)
    for text in ("3×3 conv, 1024, /2", "global average pool", "WWW mmm", "MultiheadAttention", "iIl|.,;"):
        assert letters.getlength(text) <= text_width(text, size) < 2 * letters.getlength(text)
