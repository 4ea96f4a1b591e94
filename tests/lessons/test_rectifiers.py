"""The rectifiers: against PyTorch's functions and autograd; dead units against gradients that are zero."""

from collections.abc import Callable
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
import torch
from lesson_pages import page_of, values_of
from PIL import Image
from torch import nn

from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import InvalidArgument
from mirada.jobs.lessons import teach
from mirada.layers.activation import ACTIVATIONS, make_activation
from mirada.lessons import Material
from mirada.lessons.rectifiers import TRIED, Curve, curves, silent_channels, train_units
from mirada.modelfile import Architecture, Card, save_model
from mirada.samples import Classes


@pytest.mark.parametrize("curve", curves(), ids=lambda curve: curve.name)
def test_a_curve_and_its_slope_are_pytorchs(curve: Curve) -> None:
    z = torch.tensor(curve.z, requires_grad=True)
    layer = make_activation(curve.name, 1).double()
    values = layer(z.clone()[None, None])[0, 0]
    values.sum().backward()
    assert z.grad is not None
    np.testing.assert_allclose(curve.values, values.detach(), atol=1e-12)
    np.testing.assert_allclose(curve.slopes, z.grad, atol=1e-12)
    assert curve.steepest == pytest.approx(float(z.grad.abs().max()))


def test_the_whole_family_is_there() -> None:
    """A slope per channel is PReLU's curve once more."""
    assert {curve.name for curve in curves()} == ACTIVATIONS.keys() - {"prelu_per_channel"}


def test_units_die_at_a_high_rate_and_leaky_ones_do_not() -> None:
    """What the page says of them; where units die, so much hangs on rounding that only a mean of seeds tells."""
    low, middle = (train_units(*each) for each in TRIED[:2])
    assert low.dead < 15 and middle.dead < 15 and middle.accuracy > 0.93
    assert middle == train_units(*TRIED[1])
    high, leaky = ([train_units(*each, seed=seed) for seed in range(5)] for each in TRIED[2:])
    assert mean(each.dead for each in high) > 40 and {each.dead for each in leaky} == {0}
    assert mean(each.silent for each in leaky) > 30
    assert mean(each.accuracy for each in leaky) > mean(each.accuracy for each in high) + 0.1


@pytest.fixture
def own(tmp_path: Path) -> tuple[Path, Path]:
    """A network whose first filter is silent for every image, and four images."""
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(2):
            pixels = np.random.default_rng(number).integers(0, 256, (32, 32), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    architecture = Architecture(
        model="lenet5", options={"activation": "relu"}, outputs=2, in_channels=1, image_size=(32, 32)
    )
    torch.manual_seed(0)
    network = architecture.build()
    first = next(each for each in network.modules() if isinstance(each, nn.Conv2d))
    assert first.bias is not None
    first.weight.data[0], first.bias.data[0] = 0, -1
    grey = Preprocessing(mode="L", size=(32, 32), mean=(0.5,), std=(0.5,))
    file = tmp_path / "model.safetensors"
    save_model(file, network, Card(architecture=architecture, preprocessing=grey, target=Classes(("a", "b"))))
    return file, tmp_path / "photos"


def test_silent_channels_of_a_network_of_ones_own(own: tuple[Path, Path]) -> None:
    found, images = silent_channels(*own)
    assert images == 4
    assert found[0].channels == 6 and found[0].silent >= 1
    page = teach("rectifiers", Material(model=own[0], data=own[1])).html
    assert found[0].layer in page and "4 images went through it" in page


def test_a_model_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="needs --model and --data together"):
        teach("rectifiers", Material(model=tmp_path / "model.safetensors"))


MOVED = """
const move = (id, value) => {
  document.querySelector(id).value = value;
  document.querySelector(id).dispatchEvent(new Event("input"));
};
move("#z", "Z"); CHOICE
"""


@pytest.mark.parametrize(("name", "z"), [("leaky_relu", -3.0), ("absolute", -1.5), ("scaled_tanh", 0.5)])
def test_the_page_computes_value_and_slope(name: str, z: float, browsed: Callable[..., str]) -> None:
    choice = f"document.querySelector('[data-choose={name}]').click();"
    shown = values_of(browsed(page_of("rectifiers"), MOVED.replace("Z", str(z)).replace("CHOICE", choice)))
    point = torch.tensor([[z]], dtype=torch.float64, requires_grad=True)
    value = make_activation(name, 1).double()(point)
    value.backward()
    assert point.grad is not None
    assert shown["g"] == pytest.approx([value.item()], abs=6e-5)
    assert shown["slope"] == pytest.approx([point.grad.item()], abs=6e-5)
