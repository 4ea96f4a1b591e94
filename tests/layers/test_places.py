"""A network cut in two at any of its parts is the network."""

import pytest
import torch

from mirada.errors import InvalidArgument
from mirada.layers.covariates import join_covariates
from mirada.models import create_model

SIDES = {"lenet5": 28, "resnet20": 32, "simplecnn": 32, "vgg11": 64, "mlp": 28, "densenet121": 32}


@pytest.mark.parametrize("name", SIDES)
def test_forward_from_goes_on_from_forward_to(name: str) -> None:
    torch.manual_seed(0)
    side = SIDES[name]
    network = join_covariates(create_model(name, num_classes=3, image_size=(side, side)), 2).eval()
    images, covariates = torch.randn(3, network.in_channels, side, side), torch.randn(3, 2)
    with torch.no_grad():
        whole = network(images, covariates)
        for part in network.parts()[:-1]:
            maps = network.forward_to(part, images)
            assert maps.dim() == 4 and torch.equal(network.forward_from(part, maps, covariates), whole), part
            (output,) = network.training_outputs(maps, covariates, after=part)
            assert torch.equal(output, whole), part


def test_what_the_head_averages_is_averaged_before() -> None:
    images = torch.randn(2, 3, 96, 96)
    average = create_model("vgg11", num_classes=2, image_size=(96, 96), head="average")
    assert average.forward_to("stage4", images).shape == (2, 512, 1, 1)
    assert average.forward_to("stage3", images).shape == (2, 512, 6, 6)
    dense = create_model("vgg11", num_classes=2, image_size=(96, 96))  # averages 3 × 3 maps to 7 × 7
    assert dense.forward_to("stage4", images).shape == (2, 512, 3, 3)


def test_auxiliary_heads_of_parts_before_are_left_out() -> None:
    network = create_model("googlenet", num_classes=2, image_size=(79, 79), auxiliary=True).eval()
    images, parts = torch.randn(2, 3, 79, 79), network.parts()
    assert len(network.training_outputs(images)) == 3
    reads = [parts.index(name) for name in network.auxiliary]
    for part in parts[:-1]:
        outputs = network.training_outputs(network.forward_to(part, images), after=part)
        assert len(outputs) == 1 + sum(place > parts.index(part) for place in reads), part


@pytest.mark.parametrize("name", ["head", "stage9", ""])
def test_there_is_no_such_place(name: str) -> None:
    network = create_model("lenet5")
    with pytest.raises(InvalidArgument, match=f'^There is no part "{name}" before the head'):
        network.forward_to(name, torch.zeros(1, 1, 28, 28))
