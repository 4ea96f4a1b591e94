"""torchvision's and timm's VGG, with and without batch normalization."""

import pytest
import timm
import torch
import torchvision
from helpers import compare, randomise
from torch import nn

from mirada.models import vgg as family
from mirada.models.vgg import PUBLIC_KEYS, TIMM_KEYS, vgg
from mirada.models.weights import convert

HIDDEN = 48  # instead of 4096: the same layers in a hundredth of the time


def thin(name: str) -> nn.Module:
    """torchvision's network with narrow hidden layers."""
    with torch.device("meta"):
        network = torchvision.models.get_model(name, num_classes=7)
        network.classifier[0] = nn.Linear(512 * 7 * 7, HIDDEN)
        network.classifier[3] = nn.Linear(HIDDEN, HIDDEN)
        network.classifier[6] = nn.Linear(HIDDEN, 7)
    return network.to_empty(device="cpu")


@pytest.fixture(scope="module", params=PUBLIC_KEYS)
def pair(request: pytest.FixtureRequest) -> tuple[nn.Module, nn.Module]:
    """Theirs with random weights, and ours with the same."""
    name = request.param
    theirs = randomise(thin(name), 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(family, "HIDDEN", (HIDDEN, HIDDEN))
        ours = vgg(name, num_classes=7, in_channels=3, image_size=(224, 224))
    ours.load_state_dict(convert(theirs.state_dict(), ours, PUBLIC_KEYS[name]), strict=True)
    return theirs, ours


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("size", [(64, 64), (33, 260)])
def test_logits_and_gradients(pair: tuple[nn.Module, nn.Module], size: tuple[int, int], train: bool) -> None:
    """260 pixels leave more than the grid of the dense layers, which averages."""
    assert compare(*pair, (2, 3, *size), train=train) < 1e-10


@pytest.mark.parametrize("name", PUBLIC_KEYS)
def test_every_key_and_shape_at_full_width(name: str) -> None:
    """timm's dense layers are convolutions, which are reshaped."""
    with torch.device("meta"):
        ours = vgg(name, num_classes=1000, in_channels=3, image_size=(224, 224))
        torchvisions, timms = torchvision.models.get_model(name), timm.create_model(name)
    own = {key: value.shape for key, value in ours.state_dict().items()}
    for theirs, keys in ((torchvisions, PUBLIC_KEYS[name]), (timms, TIMM_KEYS[name])):
        converted = convert(theirs.state_dict(), ours, keys)
        assert {key: value.shape for key, value in converted.items()} == own


def test_timm() -> None:
    """At its own size, at which its dense layers see 7 × 7 maps."""
    theirs = randomise(timm.create_model("vgg11", num_classes=7), 1)
    with torch.device("meta"):
        ours = vgg("vgg11", num_classes=7, in_channels=3, image_size=(224, 224))
    ours = ours.to_empty(device="cpu")
    ours.load_state_dict(convert(theirs.state_dict(), ours, TIMM_KEYS["vgg11"]), strict=True)
    assert compare(theirs, ours, (1, 3, 224, 224)) < 1e-10
