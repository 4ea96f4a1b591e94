"""torchvision's and timm's DenseNets."""

import re

import pytest
import timm
import torch
import torchvision
from helpers import compare, randomise
from torch import nn

from mirada.models.densenet import PUBLIC_KEYS, TABLE, densenet
from mirada.models.weights import convert


def ours_like(name: str, theirs: nn.Module) -> nn.Module:
    """Our network with their weights."""
    with torch.device("meta"):
        ours = densenet(name, num_classes=7, in_channels=3, image_size=(224, 224))
    ours = ours.to_empty(device="cpu")
    ours.load_state_dict(convert(theirs.state_dict(), ours, PUBLIC_KEYS), strict=True)
    return ours


@pytest.fixture(scope="module", params=TABLE)
def pair(request: pytest.FixtureRequest) -> tuple[nn.Module, nn.Module]:
    """Theirs with random weights, and ours with the same."""
    theirs = randomise(torchvision.models.get_model(request.param, num_classes=7), 1)
    return theirs, ours_like(request.param, theirs)


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("size", [(64, 64), (75, 101)])
def test_logits_and_gradients(pair: tuple[nn.Module, nn.Module], size: tuple[int, int], train: bool) -> None:
    assert compare(*pair, (2, 3, *size), train=train) < 1e-10


def test_timm() -> None:
    theirs = randomise(timm.create_model("densenet121", num_classes=7), 2)
    assert compare(theirs, ours_like("densenet121", theirs), (2, 3, 64, 75)) < 1e-10


def test_names_of_the_older_files() -> None:
    """Files of 2017 have norm.1 where torchvision has norm1 now."""
    state = torchvision.models.densenet121(num_classes=7).state_dict()
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))", r"\1.", key): value for key, value in state.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    with torch.device("meta"):
        ours = densenet("densenet121", num_classes=7, in_channels=3, image_size=(224, 224))
    now = convert(state, ours, PUBLIC_KEYS)
    assert convert(old, ours, PUBLIC_KEYS).keys() == now.keys() == ours.state_dict().keys()
