"""The networks of the notes: counts against what others published, drawings that are there."""

import re

import pytest
from lesson_pages import text_of

from mirada.jobs.lessons import teach
from mirada.lessons import Material
from mirada.lessons.networks import FIGURES, NetworksLesson, lesson

# Parameters as the papers or torchvision's documentation state them; layers with weights as the names say.
PUBLISHED = {
    "lenet5_1998": (60_000, 1998),
    "alexnet": (60_965_224, 2012),
    "vgg16": (138_357_544, 2014),
    "vgg19": (143_667_240, 2014),
    "googlenet": (6_998_552, 2014),
    "inception_v3": (23_834_568, 2015),
    "resnet18": (11_689_512, 2015),
    "resnet50": (25_557_032, 2015),
    "densenet121": (7_978_856, 2016),
}
NAMED_LAYERS = {"vgg16": 16, "vgg19": 19, "alexnet": 8, "densenet121": 121}


@pytest.fixture(scope="module")
def networks() -> NetworksLesson:
    return lesson(Material())


def test_counts_and_years_are_the_published_ones(networks: NetworksLesson) -> None:
    found = {each.name: (each.counts.parameters, each.year) for each in networks.networks}
    assert found == PUBLISHED and list(found) == list(FIGURES)
    layers = {each.name: each.counts.layers for each in networks.networks}
    assert {name: layers[name] for name in NAMED_LAYERS} == NAMED_LAYERS


def test_every_network_is_drawn_from_image_to_output(networks: NetworksLesson) -> None:
    for each in networks.networks:
        assert each.drawing.startswith("<svg") and f"{each.counts.parameters:,} parameters" in each.drawing
    drawn = {each.name: each.drawing for each in networks.networks}
    assert "concat" in drawn["googlenet"] and "skip" in drawn["resnet18"] and "skip" not in drawn["vgg16"]
    assert all(name in networks.comparison for name in PUBLISHED if name != "lenet5_1998")


def test_the_page_has_a_section_a_network() -> None:
    taught = teach("networks", Material(), "es")
    sections = re.findall(r'<section id="(\w+)">\s*<h2>([^<]*)</h2>', taught.html)
    assert [name for name, _ in sections] == [*FIGURES, "figure22"]
    assert "138\u202f357\u202f544" in text_of(taught.html) and len(taught.html) < 3_000_000
    assert len(taught.essentials) == 1 + len(FIGURES)
