"""Inception-v4 and the released Inception-ResNet-v2 against timm's."""

import pytest
import timm
from helpers import compare, randomise

from mirada.models.inception_v4 import TIMM_KEYS, inception_v4
from mirada.models.weights import convert


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("size", [(299, 299), (235, 203)])
@pytest.mark.parametrize("name", ["inception_v4", "inception_resnet_v2"])
def test_logits_and_gradients(name: str, size: tuple[int, int], train: bool) -> None:
    theirs = randomise(timm.create_model(name, pretrained=False, num_classes=10), seed=0)
    ours = inception_v4(name, num_classes=10, in_channels=3, image_size=size)
    ours.load_state_dict(convert(theirs.state_dict(), ours, TIMM_KEYS))
    assert compare(theirs, ours, (2, 3, *size), train=train) < 1e-10
