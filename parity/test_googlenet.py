"""torchvision's GoogLeNet, which is our ``googlenet_bn``."""

import pytest
from helpers import compare, randomise
from torch import nn
from torchvision.models import googlenet as theirs_of

from mirada.layers.network import Network
from mirada.models.googlenet import PUBLIC_KEYS, googlenet
from mirada.models.weights import convert


@pytest.fixture(scope="module")
def pair() -> tuple[nn.Module, Network]:
    """Theirs with random weights, and ours with the same; both with their auxiliary heads."""
    theirs = randomise(
        theirs_of(num_classes=7, aux_logits=True, transform_input=False, init_weights=False), 1
    )
    ours = googlenet("googlenet_bn", num_classes=7, in_channels=3, image_size=(224, 224), auxiliary=True)
    ours.load_state_dict(convert(theirs.state_dict(), ours, PUBLIC_KEYS), strict=True)
    return theirs, ours


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("size", [(96, 96), (75, 130)])
def test_logits_and_gradients(pair: tuple[nn.Module, Network], size: tuple[int, int], train: bool) -> None:
    """In train mode the two auxiliary outputs as well."""
    assert compare(*pair, (2, 3, *size), train=train) < 1e-10
