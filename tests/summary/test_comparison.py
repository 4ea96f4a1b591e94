"""Networks side by side: the counts of their rows, and a figure whose places are those of the numbers."""

import math
import re
from itertools import combinations
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mirada.errors import InvalidArgument
from mirada.models import CATALOGUE
from mirada.models.published import read_published
from mirada.summary import comparison, summarize
from mirada.summary.comparison import Accuracy, Compared, compare, comparison_table, draw_comparison

SVG = "{http://www.w3.org/2000/svg}"
TWELVE = [
    "alexnet", "alexnet_owt", "vgg16", "vgg19", "googlenet", "inception_v3", "inception_v4", "inception_resnet_v2",
    "resnet18", "resnet50", "resnet152", "densenet121",
]  # fmt: skip


def row(name: str) -> Compared:
    """From the catalogue, since building 51 networks takes long; layers and megabytes do not matter here."""
    entry, figure = CATALOGUE[name], read_published().get(name)
    accuracy = figure and Accuracy(
        top1=figure.top1, dataset=figure.dataset, measured=figure.measured, source=figure.reference
    )
    return Compared(
        name=name,
        input_shape=entry.image,
        layers=1,
        parameters=entry.parameters,
        macs=entry.macs,
        megabytes=4e-6 * entry.parameters,
        accuracy=accuracy,
    )


def invented(name: str, top1: float, macs: int = 1000, parameters: int = 1000) -> Compared:
    accuracy = Accuracy(top1=top1, dataset="ImageNet", measured="1 crop", source="nobody")
    return Compared(
        name=name,
        input_shape=(3, 8, 8),
        layers=1,
        parameters=parameters,
        macs=macs,
        megabytes=1.0,
        accuracy=accuracy,
    )


class Figure:
    """What can be read off a drawing: circles by name, label boxes by text."""

    def __init__(self, svg: str) -> None:
        root = ElementTree.fromstring(svg)
        self.width, self.height = float(root.attrib["width"]), float(root.attrib["height"])
        self.blobs = {
            circle.find(f"{SVG}title").text.partition(":")[0]: tuple(
                float(circle.attrib[key]) for key in ("cx", "cy", "r")
            )
            for circle in root.iter(f"{SVG}circle")
            if circle.attrib["class"] == "blob"
        }
        self.labels = {
            text.text: (float(text.attrib["x"]), float(text.attrib["y"]))
            for text in root.iter(f"{SVG}text")
            if text.attrib["class"] == "label"
        }
        self.texts = [text.text for text in root.iter(f"{SVG}text")]

    def boxes(self) -> list[tuple[float, float, float, float]]:
        """Left, top, right, bottom of the labels' letters, of 6.3 × 10 pixels each."""
        return [(x, y - 10, x + 6.3 * len(name), y) for name, (x, y) in self.labels.items()]


def collisions(figure: Figure) -> list[tuple[object, object]]:
    """Pairs of labels that share an area."""
    return [
        (a, b)
        for a, b in combinations(figure.boxes(), 2)
        if min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])
    ]


def test_a_row_has_the_counts_of_its_summary() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5)
    )
    made = compare("tiny", summarize(network, (3, 8, 8)))
    assert (made.layers, made.parameters, made.macs) == (2, 216 + 16 + 1445, 216 * 36 + 1440)
    assert made.accuracy is None
    values = 4 * (216 + 16 + 1445 + 16) + 8  # the batch counter is an int64
    assert values < made.megabytes * 1e6 < values + 1000  # and the file's header


def test_the_table_tells_where_each_accuracy_is_from() -> None:
    lines = comparison_table([row("resnet50"), row("vgg16"), row("alexnet"), row("mlp")]).splitlines()
    assert lines[0].split() == ["network", "input", "layers", "parameters", "MACs", "MB", "top-1"]
    assert lines[2].split()[3:] == ["25,557,032", "4,089,184,256", "102.2", "76.13", "%", "[1]"]
    assert lines[3].endswith("71.59 % [1]")
    assert lines[4].endswith("57.10 % [2]")
    assert lines[5].endswith("–")
    assert lines[7].startswith("[1] ImageNet, 1 crop: torchvision")
    assert any(line.startswith("[2] ImageNet, 1 crop: Caffe") for line in lines)
    assert max(map(len, lines)) <= 100


def test_places_and_areas_are_those_of_the_numbers() -> None:
    """One scale for all: places are linear in MACs and accuracy, areas in parameters; more accurate is higher up."""
    rows = [row(name) for name in TWELVE]
    blobs = Figure(draw_comparison(rows)).blobs
    assert blobs.keys() == set(TWELVE)
    first, last = rows[0], rows[5]

    def between(start: float, stop: float, share: float) -> float:
        return start + share * (stop - start)

    for each in rows:
        x, y, r = blobs[each.name]
        along = (each.macs - first.macs) / (last.macs - first.macs)
        up = (each.accuracy.top1 - first.accuracy.top1) / (last.accuracy.top1 - first.accuracy.top1)
        assert x == pytest.approx(between(blobs[first.name][0], blobs[last.name][0], along), abs=0.5)
        assert y == pytest.approx(between(blobs[first.name][1], blobs[last.name][1], up), abs=0.5)
        assert r == pytest.approx(comparison.LARGEST * math.sqrt(each.parameters / 150e6), abs=0.1)
    assert blobs["resnet152"][1] < blobs["resnet18"][1]


@pytest.mark.parametrize(
    "names", [TWELVE, TWELVE[2:4], TWELVE[:1], ["resnet20", "resnet110"], list(CATALOGUE)]
)
def test_labels_do_not_collide_and_all_is_inside(names: list[str]) -> None:
    figure = Figure(draw_comparison([row(name) for name in names]))
    assert figure.labels.keys() == figure.blobs.keys()
    assert not collisions(figure)
    for left, top, right, bottom in figure.boxes():
        assert left >= comparison.LEFT
        assert right <= comparison.RIGHT
        assert top >= comparison.TOP
        assert bottom <= comparison.BOTTOM
    for x, y, r in figure.blobs.values():
        assert x - r >= comparison.LEFT
        assert x + r <= comparison.RIGHT
        assert y - r >= comparison.TOP
        assert y + r <= comparison.BOTTOM


def test_small_blobs_are_not_covered_by_labels() -> None:
    figure = Figure(draw_comparison([row(name) for name in TWELVE]))
    for x, y, _ in figure.blobs.values():
        assert not any(left < x < right and top < y < bottom for left, top, right, bottom in figure.boxes())


@given(
    st.lists(
        st.tuples(st.floats(0.1, 99.9), st.integers(1, 10**11), st.integers(1, 10**9)), min_size=1, max_size=9
    )
)
@settings(max_examples=40)
def test_any_networks_can_be_drawn(numbers: list[tuple[float, int, int]]) -> None:
    rows = [invented(f"net{index}", *each) for index, each in enumerate(numbers)]
    figure = Figure(draw_comparison(rows))
    assert len(figure.blobs) == len(rows)
    for x, y, r in figure.blobs.values():
        assert all(map(math.isfinite, (x, y, r)))
        assert x - r + 0.1 >= 0
        assert x + r <= comparison.RIGHT
        assert comparison.TOP <= y - r <= y + r <= comparison.BOTTOM


def test_the_footnotes_name_sources_and_what_is_missing() -> None:
    names = [*TWELVE, "simplecnn", "plain34", "resnet20"]
    said = " ".join(Figure(draw_comparison([row(name) for name in names])).texts)
    assert "alexnet, googlenet: Caffe" in said
    assert "Not drawn, as no published accuracy is known: simplecnn." in said
    assert "Not drawn, as it was measured otherwise: plain34 (10 crops), resnet20 (CIFAR-10)." in said


@pytest.mark.parametrize(
    ("names", "legend"),
    [(TWELVE, ["150 M", "50 M", "5 M"]), (["resnet20"], ["1.5 M", "0.5 M", "50 k"])],
)
def test_the_legend_has_the_size_of_the_networks(names: list[str], legend: list[str]) -> None:
    figure = Figure(draw_comparison([row(name) for name in names]))
    assert [text for text in figure.texts if re.fullmatch(r"[\d.]+ [Mk]", text)] == legend[::-1]


def test_axes_say_their_unit() -> None:
    assert "multiply-adds for one image (GMACs)" in Figure(draw_comparison([row("vgg16")])).texts
    assert "multiply-adds for one image (MMACs)" in Figure(draw_comparison([row("resnet20")])).texts


def test_names_are_escaped() -> None:
    assert "<b>&" in Figure(draw_comparison([invented("<b>&", 50.0)])).labels


def test_it_follows_light_and_dark_and_needs_nothing_else() -> None:
    svg = draw_comparison([row("vgg16")])
    assert "prefers-color-scheme:dark" in svg
    assert not re.search(r"<script|<image|href=|url\(", svg)


def test_nothing_to_draw_is_told() -> None:
    with pytest.raises(InvalidArgument, match=r"none of the networks given \(mlp, lenet5\)\.$"):
        draw_comparison([row("mlp"), row("lenet5")])
    with pytest.raises(InvalidArgument, match=r"\(no network\)\.$"):
        draw_comparison([])


def test_plain_values() -> None:
    values = row("resnet18").to_dict()
    assert values["input_shape"] == [3, 224, 224]
    assert values["accuracy"]["top1"] == 69.758
    assert row("mlp").to_dict()["accuracy"] is None
