"""The networks of the lecture notes, Figs. 12 to 22, out of the catalogue: drawing, counts, published accuracy.

Nothing is drawn by hand: a drawing shows what happened to the tensors of one run, and the counts are those of the
modules that are trained.
"""

from dataclasses import dataclass
from functools import cache

import torch

from mirada.diagram.draw import draw
from mirada.lessons import Material
from mirada.models import create_model
from mirada.models.catalogue import CATALOGUE
from mirada.models.published import read_published
from mirada.summary import summarize
from mirada.summary.comparison import Accuracy, Compared, compare, draw_comparison

# Networks in the order of the notes, with the figures that show them or a part of them.
FIGURES = {
    "lenet5_1998": "12",
    "alexnet": "14",
    "vgg16": "15, 27",
    "vgg19": "15",
    "googlenet": "16, 17",
    "inception_v3": "18",
    "resnet18": "19",
    "resnet50": "19",
    "densenet121": "21",
}


@dataclass(frozen=True)
class NetworkShown:
    """One network.

    Args:
        name: in the catalogue.
        figures: those of the notes, as text.
        source: the paper.
        outputs: how many classes it tells apart, as published.
        counts: layers with weights, parameters, multiply-adds, published accuracy.
        drawing: as SVG.
    """

    name: str
    figures: str
    source: str
    outputs: int
    counts: Compared
    drawing: str

    @property
    def year(self) -> int:
        """That of the paper."""
        return int(next(word.strip(",.") for word in self.source.split() if word.strip(",.").isdigit()))


@dataclass(frozen=True)
class NetworksLesson:
    """All of them, and Fig. 22 for those whose accuracy is published: as SVG."""

    networks: tuple[NetworkShown, ...]
    comparison: str


def lesson(material: Material) -> NetworksLesson:
    """The networks of the notes, as their papers have them."""
    networks = tuple(map(shown, FIGURES))
    return NetworksLesson(networks, draw_comparison([each.counts for each in networks]))


@cache
def shown(name: str) -> NetworkShown:
    """One network of ``FIGURES``, at the size and with the classes of its paper."""
    entry = CATALOGUE[name]
    with torch.device("meta"):  # its weights are never looked at, and drawing a hundred million takes a while
        network = create_model(
            name, num_classes=entry.num_classes, in_channels=entry.image[0], image_size=entry.image[1:]
        )
    figure = read_published().get(name)
    accuracy = figure and Accuracy(
        top1=figure.top1, dataset=figure.dataset, measured=figure.measured, source=figure.reference
    )
    counts = compare(name, summarize(network, entry.image), accuracy or None)
    return NetworkShown(
        name, FIGURES[name], entry.source, entry.num_classes, counts, draw(network, entry.image, title=name)
    )
