"""torchvision's AlexNet, which is our ``alexnet_owt``."""

import pytest
import torch
from helpers import compare, randomise
from torch import nn
from torchvision.models import alexnet as theirs_of

from mirada.models.alexnet import PUBLIC_KEYS, alexnet
from mirada.models.weights import convert


@pytest.fixture(scope="module")
def pair() -> tuple[nn.Module, nn.Module]:
    """Theirs with random weights, and ours with the same."""
    theirs = randomise(theirs_of(num_classes=7), 1)
    with torch.device("meta"):
        ours = alexnet("alexnet_owt", num_classes=7, in_channels=3, image_size=(224, 224))
    ours = ours.to_empty(device="cpu")
    ours.load_state_dict(convert(theirs.state_dict(), ours, PUBLIC_KEYS), strict=True)
    return theirs, ours


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("size", [(224, 224), (63, 300)])
def test_logits_and_gradients(pair: tuple[nn.Module, nn.Module], size: tuple[int, int], train: bool) -> None:
    """300 pixels leave more than the grid of the dense layers, which averages."""
    assert compare(*pair, (2, 3, *size), train=train) < 1e-10


def test_dropout_stands_where_theirs_does(pair: tuple[nn.Module, nn.Module]) -> None:
    """Behind the averaged maps and behind the first hidden layer."""
    theirs, ours = pair
    order = [type(layer) for layer in theirs.classifier]
    head = dict(ours.head.named_children())
    assert [type(layer) for name, layer in head.items() if name not in ("pool", "flatten")] == order
