"""The multilayer perceptron against NumPy, its formula of parameters, and convolutions as large as their input."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from layer_rows import layer_rows, parameters, stage_shapes
from torch import nn

from mirada.errors import InvalidArgument
from mirada.layers.activation import ACTIVATIONS
from mirada.layers.network import Network
from mirada.models import create_model
from mirada.models.mlp import mlp


def built(*, widths: Sequence[int] = (256, 128), activation: str = "relu") -> Network:
    torch.manual_seed(0)
    network = mlp(
        "mlp", num_classes=10, in_channels=1, image_size=(28, 28), widths=widths, activation=activation
    )
    return network.eval()


def test_every_layer() -> None:
    rows = layer_rows(built().to("meta"))
    assert rows == [((256,), 200_960, 200_704), ((128,), 32_896, 32_768), ((10,), 1_290, 1_280)]
    assert parameters(built()) == 235_146


@pytest.mark.parametrize("widths", [(7,), (9, 8, 7), [5] * 6])
def test_depth_and_widths(widths: Sequence[int]) -> None:
    """Σ (dₗ₋₁ + 1) dₗ parameters; a hidden layer's units are maps of one pixel."""
    network = built(widths=widths)
    sizes = [784, *widths, 10]
    assert parameters(network) == sum((d + 1) * e for d, e in pairwise(sizes))
    assert network.depth == len(widths) - 1
    assert stage_shapes(network.to("meta")) == [(width, 1, 1) for width in widths]


NUMPY = {
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "absolute": np.abs,
}


@pytest.mark.parametrize("activation", NUMPY)
def test_against_numpy(activation: str) -> None:
    network = built(activation=activation).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    x = np.random.default_rng(0).normal(size=(5, 1, 28, 28))
    w1, b1, w2, b2, w3, b3 = (p.detach().numpy() for p in network.parameters())
    g = NUMPY[activation]
    hidden = g(g(x.reshape(5, 784) @ w1.T + b1) @ w2.T + b2)
    with torch.no_grad():
        np.testing.assert_allclose(
            network.features(torch.from_numpy(x))[:, :, 0, 0].numpy(), hidden, rtol=1e-9
        )
        np.testing.assert_allclose(network(torch.from_numpy(x)).numpy(), hidden @ w3.T + b3, rtol=1e-9)


def test_a_dense_layer_is_a_convolution_as_large_as_its_input() -> None:
    """Notes, §2.1."""
    torch.manual_seed(0)
    network = mlp("mlp", num_classes=4, in_channels=3, image_size=(9, 11), widths=(6,)).double()
    x = torch.randn(2, 3, 9, 11, dtype=torch.float64)
    linear = network.stem.get_submodule("linear")
    expected = F.conv2d(x, linear.weight.view(6, 3, 9, 11), linear.bias).relu()
    torch.testing.assert_close(network.features(x), expected)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_trains_with_any_activation(activation: str) -> None:
    network = built(widths=(16, 8), activation=activation).train()
    network(torch.randn(4, 1, 28, 28)).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_initialisation_is_glorot_uniform_without_bias() -> None:
    for layer in built().modules():
        if isinstance(layer, nn.Linear):
            limit = (6 / (layer.in_features + layer.out_features)) ** 0.5
            assert layer.weight.abs().max().item() == pytest.approx(limit, rel=0.05)
            assert layer.weight.abs().max().item() <= limit
            assert (layer.bias == 0).all()


@pytest.mark.parametrize(("widths", "got"), [((), r"\(\)"), ([8, 0], r"\[8, 0\]")])
def test_empty_layers_are_refused(widths: Sequence[int], got: str) -> None:
    sentence = rf"^`widths` of mlp must be a list of whole numbers from 1 to 65536\. Got {got}\.$"
    with pytest.raises(InvalidArgument, match=sentence):
        create_model("mlp", widths=widths)


def test_images_without_pixels_are_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"it needs at least 1 × 1\.$"):
        mlp("mlp", num_classes=1, in_channels=1, image_size=(0, 5))
    assert mlp("mlp", num_classes=1, in_channels=1, image_size=(1, 1))(torch.ones(2, 1, 1, 1)).shape == (2, 1)
