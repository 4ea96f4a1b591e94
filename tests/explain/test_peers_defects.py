"""What other tools for such maps get wrong without a word, and Mirada does not: each was reproduced in one of them.

grad-cam 1.5.7: too short a list of classes, a class with nothing that speaks for it, a rectifier that works in place.
torchcam 0.5.0: a map of 8 bits. (Empty maps that count as hits are judged in ``mirada.judging``.)
"""

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import relu

from mirada.errors import InvalidArgument
from mirada.explain.class_maps import class_maps
from mirada.explain.explainable import IMAGE, Explainable
from mirada.explain.explanation import explain
from mirada.explain.methods import METHODS
from mirada.explain.overlay import limit_of, overlay


@pytest.mark.parametrize("key", METHODS)
@pytest.mark.parametrize("classes", [[1], [1, 0, 2, 1, 1], [1] * 7, []])
def test_as_many_classes_as_images_or_none_at_all(gap_network, images, key, classes, monkeypatch):
    """grad-cam takes the first images for which there are classes, and gives the others blank maps."""
    monkeypatch.setattr("mirada.explain.rise.MASKS", 20)
    layer = IMAGE if METHODS[key].of_image else None if key == "exact" else "stem"
    with pytest.raises(
        InvalidArgument, match=r"^`classes` must hold one class number per image, 6 in all\. Got"
    ):
        explain(Explainable(gap_network(3)), images, classes, method=key, layer=layer)


class Against(nn.Module):
    """Two classes, for the first of which no place ever speaks."""

    def __init__(self):
        super().__init__()
        self.stem = nn.ReLU()
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
        nn.init.constant_(self.head[2].weight[0].detach(), -2)

    def forward(self, images):
        return self.head(self.stem(images))


@pytest.mark.parametrize("key", ["exact", "grad_cam", "hires_cam"])
def test_a_class_that_nothing_speaks_for_gets_its_map_and_a_sentence(images, key):
    """grad-cam cuts it off at 0 and gives a blank map, which looks like an image without the object."""
    found = explain(Explainable(Against()), images, [0] * 6, method=key)
    assert set(found.notes) <= {
        "no positive evidence for this class anywhere",
        *(note for note in found.notes if note.startswith("the map as a whole speaks against this class")),
    }
    assert found.maps.max() <= 0 and found.maps.min(axis=(1, 2)).max() < -0.5
    photo = np.full((8, 10, 3), 128, np.uint8)
    picture = overlay(photo, found.maps[0], limit_of(found.maps[0]))
    blank = overlay(photo, 0 * found.maps[0], 1.0)
    strongest = np.unravel_index(found.maps[0].argmin(), (8, 10))
    assert picture[strongest][2] > picture[strongest][0] + 50  # blue: against
    assert not np.array_equal(picture, blank)


@pytest.mark.parametrize("kind", ["uint8", "int8", "int16", "uint16", "int64", "float16", "float64"])
def test_a_map_of_whole_numbers_is_drawn_as_one_of_fractions(kind):
    """torchcam squares a map of 8 bits modulo 256: its hottest place is painted as its coldest."""
    low = {"uint8": 0, "uint16": 0}.get(kind, -128)
    values = np.arange(low, 256 if low == 0 else 128).reshape(16, 16)
    photo = np.full((16, 16, 3), 90, np.uint8)
    limit = limit_of(values.astype(kind))
    assert limit == limit_of(values.astype(np.float32)) == max(abs(low), values.max())
    picture = overlay(photo, values.astype(kind), limit)
    assert np.array_equal(picture, overlay(photo, values.astype(np.float32), limit))
    warmth = picture[..., 0].astype(int) - picture[..., 2]
    assert (np.diff(warmth.flatten()[values.flatten() >= 0][::8]) >= 0).all()
    assert warmth.flatten()[-1] == warmth.max() > 100


class InPlace(nn.Module):
    """As torchvision's DenseNet: what the features put out is rectified in place, and no layer says so."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2))

    def forward(self, images):
        return self.head(relu(self.features(images), inplace=True))


def test_maps_that_are_changed_in_place_are_read_as_they_were_made_and_the_sum_tells(images):
    """grad-cam's are those before or behind the rectifier, depending on the device: a copy, or the same memory."""
    network = InPlace().eval()
    with torch.no_grad():
        made = network.features(images)
    maps, outputs = Explainable(network).read(images, "features")
    torch.testing.assert_close(maps, made)
    torch.testing.assert_close(outputs, network(images).detach())
    assert maps.min() < -0.5
    found = class_maps(network, images)  # before the rectifier, whose outputs the head averages
    assert found.completeness_error > 0.05
    said = explain(Explainable(network), images).notes
    assert all(
        re.search(r"the maps miss the output, to which they should add up, by \d+% of", n) for n in said
    )
    honest = InPlace().eval()
    honest.features.append(nn.ReLU(inplace=True))
    honest.load_state_dict(network.state_dict())
    found = class_maps(honest, images)
    assert found.completeness_error < 1e-5
    assert not any("add up" in note for note in explain(Explainable(honest), images).notes)
    torch.testing.assert_close(found.outputs, outputs)


@pytest.mark.parametrize("key", ["grad_cam", "hires_cam", "layer_cam", "recipro_cam"])
def test_nor_does_it_change_a_gradient(images, key):
    """Of a layer that is then rectified in place, maps are as with a rectifier that is not."""

    class Apart(InPlace):
        def forward(self, images):
            return self.head(relu(self.features(images)))

    first, second = (
        METHODS[key]
        .find(Explainable(kind().eval()), images, "features", lambda _: torch.zeros(6, dtype=int))
        .maps
        for kind in (InPlace, Apart)
    )
    assert torch.equal(first, second) and first.abs().max() > 0
