"""torchvision's and timm's ResNets, which are ours of version 1.5 with option-B shortcuts."""

import pytest
import timm
import torch
import torchvision
from helpers import compare, randomise
from torch import nn

from mirada.models.resnet import PUBLIC_KEYS, TABLE, resnet
from mirada.models.weights import convert

NAMES = [name for name, (_, _, shortcut) in TABLE.items() if shortcut == "B"]


def ours_like(name: str, theirs: nn.Module) -> nn.Module:
    """Our network with their weights."""
    with torch.device("meta"):
        ours = resnet(name, num_classes=7, in_channels=3, image_size=(224, 224))
    ours = ours.to_empty(device="cpu")
    ours.load_state_dict(convert(theirs.state_dict(), ours, PUBLIC_KEYS), strict=True)
    return ours


@pytest.fixture(scope="module", params=NAMES)
def pair(request: pytest.FixtureRequest) -> tuple[nn.Module, nn.Module]:
    """Theirs with random weights, and ours with the same."""
    theirs = randomise(torchvision.models.get_model(request.param, num_classes=7), 1)
    return theirs, ours_like(request.param, theirs)


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("size", [(64, 64), (75, 101)])
def test_logits_and_gradients(pair: tuple[nn.Module, nn.Module], size: tuple[int, int], train: bool) -> None:
    assert compare(*pair, (2, 3, *size), train=train) < 1e-10


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_timm(name: str) -> None:
    theirs = randomise(timm.create_model(name, num_classes=7), 2)
    assert compare(theirs, ours_like(name, theirs), (2, 3, 64, 75)) < 1e-10
