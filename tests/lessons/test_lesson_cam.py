"""A class activation map, step by step: against PyTorch's own layers, and in the page's script."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from lesson_pages import text_of, values_of
from torch.nn import functional as F

from mirada.jobs.lessons import teach
from mirada.lessons import Material
from mirada.lessons.cam import CamLesson, lesson, scattered, trained
from mirada.lessons.features import load


@pytest.fixture(scope="module")
def taught() -> CamLesson:
    return lesson(Material())


def test_the_steps_are_those_of_pytorchs_layers(taught: CamLesson) -> None:
    network = trained()[0]
    image = torch.tensor(taught.image)[None, None].float() * 2 - 1
    with torch.no_grad():
        maps = network.stage2(network.stage1(network.stem(image)))
        means = F.adaptive_avg_pool2d(maps, 1).flatten(1)
        outputs = F.linear(means, network.head.linear.weight, network.head.linear.bias)
        heat = F.conv2d(maps, network.head.linear.weight[:, :, None, None])
    for found, expected in (
        (taught.maps, maps),
        (taught.means, means),
        (taught.outputs, outputs),
        (taught.class_maps, heat),
        (taught.probabilities, outputs.softmax(dim=1)),
    ):
        np.testing.assert_allclose(found, expected[0].numpy(), rtol=1e-4, atol=1e-5)


def test_the_output_is_the_mean_of_the_map_and_a_bias(taught: CamLesson) -> None:
    np.testing.assert_allclose(
        taught.class_maps.mean(axis=(1, 2)) + taught.bias, taught.outputs, rtol=1e-4, atol=1e-4
    )


def test_each_map_is_highest_where_its_digit_is(taught: CamLesson) -> None:
    """Though nobody told the network where anything was; and it is mostly right on images it has not seen."""
    cell = len(taught.image) / taught.maps.shape[1]
    for kind, (top, left, bottom, right) in zip(taught.pair, taught.boxes, strict=True):
        row, column = np.unravel_index(taught.class_maps[kind].argmax(), taught.class_maps[kind].shape)
        assert top <= (row + 0.5) * cell <= bottom and left <= (column + 0.5) * cell <= right
    assert taught.accuracy > 0.9 and taught.tested == 360


def test_a_digit_is_scattered_whole() -> None:
    digits = load().test[:20]
    images = scattered(digits, seed=3)
    np.testing.assert_allclose(images.sum(axis=(1, 2)), 4 * digits.sum(axis=(1, 2)) / 16)
    assert len({tuple(np.argwhere(image)[0]) for image in images}) > 5


def test_the_script_adds_up_to_the_networks_output(browsed: Callable[..., str], taught: CamLesson) -> None:
    page = teach("cam", Material(), "en").html
    for then, kind in (
        ("", taught.pair[0]),
        (f"one('#class').value = {taught.pair[1]}; redraw();", taught.pair[1]),
    ):
        shown = browsed(page, then)
        values = values_of(shown)
        for name in ("output", "summed"):
            assert values[name] == [pytest.approx(taught.outputs[kind], abs=2e-4)]
        assert values["bias"] == [pytest.approx(taught.bias[kind], abs=6e-5)] * 2
        place = np.unravel_index(taught.class_maps[taught.pair[0]].argmax(), taught.class_maps[0].shape)
        at = text_of(shown.partition('id="at-place">')[2].partition("<")[0])
        assert float(at.replace("−", "-")) == pytest.approx(taught.class_maps[kind][place], abs=2e-3)
