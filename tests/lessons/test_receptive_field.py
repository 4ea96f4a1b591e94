"""Receptive and projective fields: against gradients that PyTorch finds, and published fields."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lesson_pages import page_of, values_of

from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import InvalidArgument
from mirada.jobs.lessons import teach
from mirada.lessons import Material
from mirada.lessons.receptive_field import (
    effective_field,
    growing_stack,
    image_pyramid,
    lesson,
    network_field,
    own_fields,
    photo,
    stack_counts,
)
from mirada.modelfile import Architecture, Card, save_model
from mirada.samples import Classes

STACKS = [(1, 3, 1), (3, 3, 1), (2, 5, 2), (3, 3, 3), (1, 1, 2), (2, 7, 1)]


@pytest.mark.parametrize(("layers", "kernel", "stride"), STACKS)
def test_fields_are_where_gradients_arrive(layers: int, kernel: int, stride: int) -> None:
    found = growing_stack(layers, kernel, stride=stride, pixels=25)
    row = torch.zeros(1, 1, 25, dtype=torch.float64, requires_grad=True)
    values = row
    weight = torch.ones(1, 1, kernel, dtype=torch.float64)
    for layer in range(layers):
        values = torch.nn.functional.conv1d(values, weight, stride=stride, padding=kernel // 2)
        assert values.shape[-1] == found.places[layer + 1]
    seen = [
        torch.autograd.grad(values[0, 0, place], row, retain_graph=True)[0][0, 0].nonzero().ravel().tolist()
        for place in range(values.shape[-1])
    ]
    for place, pixels in enumerate(seen):
        assert pixels == list(found.seen(layers, place))
    for pixel in range(25):
        reached = [place for place, pixels in enumerate(seen) if pixel in pixels]
        assert list(found.reached(layers, pixel)) == reached


def test_a_window_covers_more_of_a_pooled_image() -> None:
    """Levels are PyTorch's average pooling; the window of a level is made of the pixels that it is said to cover."""
    image = photo(64)
    assert image.shape == (64, 64) and 0 <= image.min() < 0.2 and 0.6 < image.max() <= 1
    found = image_pyramid(image, 4, 5)
    level = torch.tensor(image, requires_grad=True)
    pooled = level[None, None]
    for number, (values, covers) in enumerate(zip(found.levels, found.covers, strict=True)):
        if number:
            pooled = torch.nn.functional.avg_pool2d(pooled, 2)
        np.testing.assert_allclose(values, pooled[0, 0].detach().numpy(), atol=1e-12)
        (gradient,) = torch.autograd.grad(pooled[0, 0, 1:6, 2:7].sum(), level, retain_graph=True)
        rows, columns = (int((gradient.sum(dim=axis) > 0).sum()) for axis in (1, 0))
        assert (rows, columns) == (covers, covers)


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="odd"):
        growing_stack(2, 4)


@pytest.mark.parametrize("channels", [1, 64])
def test_three_small_windows_cost_less_and_see_as_much(channels: int) -> None:
    found = stack_counts(channels)
    assert (found.three, found.seven, found.fields) == (27 * channels**2, 49 * channels**2, (7, 7))


def test_fields_of_networks_are_the_published_ones() -> None:
    """Araujo, Norris & Sim 2019, Computing Receptive Fields, Distill: AlexNet 195, VGG-16 212."""
    assert (network_field("alexnet").field, network_field("vgg16").field) == (195, 212)
    assert network_field("lenet5").field == 16  # 5, then 6, 14, 16 by 2×2 / 2, 5×5, 2×2 / 2


def test_what_counts_grows_like_a_root() -> None:
    """Luo et al. 2016: from 5 layers to 20 the field grows fourfold, what counts of it about twofold."""
    few, many = effective_field(5), effective_field(20)
    assert (few.theoretical, many.theoretical) == (11, 41)
    assert 1.5 < many.effective / few.effective < 2.6
    for each in (few, many):
        assert each.shares.sum() == pytest.approx(1) and each.shares.shape == (each.theoretical,) * 2
    np.testing.assert_array_equal(few.shares, effective_field(5).shares)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    architecture = Architecture(model="lenet5", outputs=2, in_channels=1, image_size=(64, 48))
    grey = Preprocessing(mode="L", size=(64, 48), mean=(0.5,), std=(0.5,))
    torch.manual_seed(1)
    card = Card(architecture=architecture, preprocessing=grey, target=Classes(("a", "b")))
    save_model(tmp_path / "model.safetensors", architecture.build(), card)
    return tmp_path / "model.safetensors"


def test_a_network_of_ones_own_is_measured_before_and_after_training(own: Path) -> None:
    trained, untrained = own_fields(own)
    for each in (trained, untrained):
        assert each.theoretical == 16 and each.size == (64, 48) and each.effective <= 16
        rows, columns = np.nonzero(each.shares)
        assert np.ptp(rows) < 16 and np.ptp(columns) < 16
    assert not np.array_equal(trained.shares, untrained.shares)
    assert "before training" in teach("receptive-field", Material(model=own)).html


@pytest.mark.slow
def test_the_page_grows_the_same_stack(browsed: Callable[..., str]) -> None:
    found = lesson(Material())
    page = page_of("receptive-field", "es")
    script = """
    for (const [id, value] of [["#layers", 2], ["#kernel", 5], ["#stride", 2]]) {
      document.querySelector(id).value = value;
      document.querySelector(id).dispatchEvent(new Event("input"));
    }
    const channels = document.querySelector("#channels");
    channels.value = 100;
    channels.dispatchEvent(new Event("input"));
    """
    changed = browsed(page, script)
    moved = growing_stack(2, 5, stride=2)
    for shown, stack in ((page, found.stack), (browsed(page), found.stack), (changed, moved)):
        values, layers = values_of(shown), len(stack.places) - 1
        for layer in range(layers + 1):
            assert values[f"r{layer}"] == [stack.fields[layer]]
            assert values[f"j{layer}"] == [stack.jumps[layer]]
            assert values[f"v{layer}"] == [stack.places[layer]]
        assert values["sees"] == [len(stack.seen(layers, stack.places[-1] // 2))]
        assert values["reaches"] == [len(stack.reached(layers, stack.pixels // 2))]
    assert re.findall(r'data-count="(?:three|seven)"[^>]*>([^<]*)<', changed) == [
        "270\u202f000",
        "490\u202f000",
    ]
