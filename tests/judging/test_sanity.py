"""Randomisation: maps that hang on the weights pass, maps of the image alone fail, and the network stays as it is."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from mirada.judging.sanity import (
    AfterDrawing,
    label_randomisation,
    maps_after,
    parameter_randomisation,
    redrawn,
)
from mirada.judging.similarity import correlations, rank_correlation
from mirada.judging.subject import Grid

COUNT = 20


class Tiny(nn.Module):
    """Three parts with weights, one without."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.stage1 = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))

    def features(self, images: Tensor) -> Tensor:
        return self.pool(self.stage1(self.stem(images)))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


@pytest.fixture
def network() -> Tiny:
    torch.manual_seed(0)
    return Tiny().eval()


@pytest.fixture
def images() -> Tensor:
    return torch.randn(COUNT, 1, 16, 16, generator=torch.Generator().manual_seed(1))


def cams(images: Tensor) -> Callable[[nn.Module], list[Grid]]:
    """The exact maps of class 0."""

    def of(network: nn.Module) -> list[Grid]:
        with torch.no_grad():
            maps = torch.einsum("c,nchw->nhw", network.head[2].weight[0], network.features(images))
        return list(maps.numpy())

    return of


def steps(network: nn.Module) -> list[tuple[str, bool]]:
    return [(each.part, each.cascading) for each in redrawn(network)]


def test_parts_are_drawn_alone_and_then_from_the_last_to_the_first(network: Tiny) -> None:
    parts = ["head", "stage1", "stem"]
    assert steps(network) == [(part, False) for part in parts] + [(part, True) for part in parts]
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = torch.get_rng_state()
    changed = []
    for each in redrawn(network):
        now = each.network.state_dict()
        differ = {
            key.split(".")[0]
            for key in before
            if key.endswith("weight") and not torch.equal(now[key], before[key])
        }
        changed.append(differ)
    assert changed == [
        {"head"},
        {"stage1"},
        {"stem"},
        {"head"},
        {"head", "stage1"},
        {"head", "stage1", "stem"},
    ]
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_draw_is_that_of_the_layer_and_follows_the_seed(network: Tiny) -> None:
    """It is not the draw of the same seed in training: the network would be given its own beginning."""

    def last(seed: int) -> Tensor:
        return next(redrawn(network, seed)).network.head[2].weight

    torch.manual_seed(1_000_003 + 7)
    fresh = nn.Linear(8, 3)
    assert torch.equal(last(7), fresh.weight) and not torch.equal(last(7), last(8))


def test_maps_of_the_network_pass(network: Tiny, images: Tensor) -> None:
    of = cams(images)
    judged = parameter_randomisation(of(network), list(maps_after(network, of)))
    names = [each.name for each in judged.quantities]
    assert names[0] == "head alone" and names[-1] == "stem and all behind it" and len(names) == 6
    assert (
        judged.outcome == "pass"
        and judged.images == COUNT
        and judged.value is not None
        and judged.value < 0.5
    )


def test_maps_that_are_the_edges_of_the_image_fail(network: Tiny, images: Tensor) -> None:
    """As guided back-propagation all but does."""

    def edges(_: nn.Module) -> list[Grid]:
        return [np.hypot(*np.gradient(image[0].numpy())).astype(np.float32) for image in images]

    judged = parameter_randomisation(edges(network), list(maps_after(network, edges)))
    assert (judged.outcome, judged.value, judged.p_value) == ("fail", pytest.approx(1), 1)


def test_constant_maps_tell_nothing(network: Tiny) -> None:
    flat = [np.ones((4, 4), np.float32)] * COUNT
    judged = parameter_randomisation(flat, [AfterDrawing("head", True, flat)])
    assert (judged.outcome, judged.left_out, judged.images) == ("cannot tell", COUNT, 0)


def test_labels_that_were_permuted() -> None:
    draw = np.random.default_rng(0)
    maps = list(draw.random((COUNT, 7, 7)).astype(np.float32))
    others = list(draw.random((COUNT, 7, 7)).astype(np.float32))
    assert label_randomisation(maps, others).outcome == "pass"
    assert label_randomisation(maps, [2 * grid + 1 for grid in maps]).outcome == "fail"
    assert (
        label_randomisation(maps, [-grid for grid in maps]).outcome == "fail"
    )  # the same places, other signs


def test_the_correlation_is_spearmans() -> None:
    one, other = np.array([[1.0, 2], [3, 4]], np.float32), np.array([[1.0, 3], [2, 4]], np.float32)
    assert rank_correlation(one, other) == pytest.approx(0.8)  # 1 − 6·2 / (4·15)
    draw = np.random.default_rng(0)
    many = draw.random((5, 7, 7)).astype(np.float32)
    expected = [stats.spearmanr(a.ravel(), b.ravel())[0] for a, b in zip(many, many[::-1], strict=True)]
    assert correlations(many, many[::-1]) == pytest.approx(expected)
    assert np.isnan(rank_correlation(one, np.ones((2, 2), np.float32)))
