"""Inception-v3 of torchvision, with its auxiliary head, and of timm."""

import pytest
import timm
from helpers import compare, randomise
from torch import nn
from torchvision.models import inception_v3 as theirs_of

from mirada.layers.network import Network
from mirada.models.inception import PUBLIC_KEYS, inception
from mirada.models.weights import convert


def ours_like(theirs: nn.Module, *, auxiliary: bool) -> Network:
    ours = inception("inception_v3", num_classes=7, in_channels=3, image_size=(299, 299), auxiliary=auxiliary)
    ours.load_state_dict(convert(theirs.state_dict(), ours, PUBLIC_KEYS), strict=True)
    return ours


@pytest.fixture(scope="module")
def torchvision_pair() -> tuple[nn.Module, Network]:
    theirs = randomise(
        theirs_of(num_classes=7, aux_logits=True, transform_input=False, init_weights=False), 1
    )
    return theirs, ours_like(theirs, auxiliary=True)


@pytest.fixture(scope="module")
def timm_pair() -> tuple[nn.Module, Network]:
    theirs = randomise(timm.create_model("inception_v3", num_classes=7), 2)
    return theirs, ours_like(theirs, auxiliary=False)


@pytest.mark.parametrize(("size", "train"), [((299, 299), False), ((299, 299), True), ((301, 310), True)])
def test_torchvision(torchvision_pair: tuple[nn.Module, Network], size: tuple[int, int], train: bool) -> None:
    """In train mode the auxiliary output as well, which takes 299 pixels."""
    assert compare(*torchvision_pair, (2, 3, *size), train=train) < 1e-10


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("size", [(110, 110), (75, 130)])
def test_timm(timm_pair: tuple[nn.Module, Network], size: tuple[int, int], train: bool) -> None:
    assert compare(*timm_pair, (2, 3, *size), train=train) < 1e-10
