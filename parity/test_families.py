"""What holds for one family alone, or for files of another age."""

import re
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from compare import outputs
from pairs import ours_with, theirs_of

from mirada.models import create_model, vgg
from mirada.models.weights import convert


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "googlenet", "inception_v3"])
def test_dropout_is_torchvisions(name: str, tmp_path: Path) -> None:
    """In the same places at the same rates: from the same state of the generator it drops the same."""
    theirs = theirs_of("torchvision", name, auxiliary=False)
    ours = ours_with(theirs.state_dict(), "torchvision", name, tmp_path, auxiliary=False)
    images = torch.randn((2, 3, 96, 96), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = []
    for network in (theirs, ours):
        torch.manual_seed(0)
        found.append(outputs(network.double().train(), images)[0])
    assert torch.allclose(*found, rtol=1e-10)
    assert not torch.allclose(found[0], outputs(theirs, images)[0])  # it does drop something


def test_names_of_the_older_densenet_files(tmp_path: Path) -> None:
    """Files of 2017 have norm.1 where torchvision has norm1 now."""
    state = theirs_of("torchvision", "densenet121").state_dict()
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))", r"\1.", key): value for key, value in state.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    from_old, from_new = (
        ours_with(weights, "torchvision", "densenet121", tmp_path).state_dict() for weights in (old, state)
    )
    assert all(torch.equal(value, from_new[key]) for key, value in from_old.items())


@pytest.mark.parametrize("name", vgg.PUBLIC)
def test_every_key_and_shape_of_vgg_at_full_width(name: str) -> None:
    """timm's dense layers are convolutions, which are reshaped."""
    with torch.device("meta"):
        ours = create_model(name)
        torchvisions, timms = torchvision.models.get_model(name), timm.create_model(name)
    own = {key: value.shape for key, value in ours.state_dict().items()}
    for theirs, keys in ((torchvisions, vgg.PUBLIC_KEYS[name]), (timms, vgg.TIMM_KEYS[name])):
        converted = convert(theirs.state_dict(), ours, keys)
        assert {key: value.shape for key, value in converted.items()} == own
