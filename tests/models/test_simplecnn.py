"""The notes' cats-vs-dogs network: where its activation stands, and what the weights start from."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from mirada import reference as ref
from mirada.errors import InvalidArgument
from mirada.layers.network import Network
from mirada.models.simplecnn import simplecnn

SQUASH: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda z: np.maximum(z, 0),
    "absolute": np.abs,
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
}


def built(**options: str) -> Network:
    torch.manual_seed(0)
    return simplecnn("simplecnn", num_classes=3, in_channels=3, image_size=(20, 24), **options)


@pytest.mark.parametrize("activation", SQUASH)
def test_the_notes_order(activation: str) -> None:
    """Convolution, activation, maximum, twice; a hidden layer; outputs. Not all activations commute with a maximum."""
    squash = SQUASH[activation]
    network = built(activation=activation).double()
    x = np.random.default_rng(0).normal(size=(2, 3, 20, 24))
    w1, b1, w2, b2, w3, b3, w4, b4 = (p.detach().numpy() for p in network.parameters())
    maps = ref.max_pool2d(squash(ref.conv2d(x, w1, bias=b1)), 2)
    maps = ref.max_pool2d(squash(ref.conv2d(maps, w2, bias=b2)), 2)
    hidden = squash(ref.linear(ref.flatten(maps), w3, bias=b3))
    expected = ref.linear(hidden, w4, bias=b4)
    found = network(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


def test_relu_rectifies_what_is_left_of_the_maximum() -> None:
    kinds = [type(layer).__name__ for layer in built().stem]
    assert kinds == ["Conv2d", "MaxPool2d", "ReLU"]
    assert [type(layer).__name__ for layer in built(activation="tanh").stem] == [
        "Conv2d",
        "Tanh",
        "MaxPool2d",
    ]


def test_weights_start_as_keras_has_them() -> None:
    """Glorot's uniform, ±√(6 / (fan-in + fan-out)); biases 0."""
    for layer in built(activation="prelu").modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            outs, ins, *kernel = layer.weight.shape
            limit = (6 / ((ins + outs) * np.prod(kernel, initial=1))) ** 0.5
            assert 0.9 * limit < layer.weight.abs().max() <= limit
            assert (layer.bias == 0).all()


def test_an_unknown_activation() -> None:
    with pytest.raises(InvalidArgument, match=r'^There is no activation "relo"\. Did you mean "relu"\? '):
        built(activation="relo")
