"""Every network of the catalogue, with a head of averages, splits each output exactly over the places of the image."""

import pytest
import torch
from networks import each

from mirada.explain.class_maps import class_maps
from mirada.layers.covariates import join_covariates
from mirada.models import CATALOGUE, create_model, facts

KNOWN = ("densenet121", "lenet5", "simplecnn", "vgg11_bn")  # of each kind of head one, with covariates


def network_and_images(name):
    """One image of odd size, as small as the network takes."""
    torch.manual_seed(0)
    network = create_model(name, num_classes=3, **average(name))
    channels, *size = CATALOGUE[name].image
    side = max(33, network.min_size + 1)
    return network, torch.randn(
        1, channels, *(size if name == "mlp" else (side, side))
    )  # it takes one size alone


def average(name):
    """The option of a head of averages; none of a network that has no other head."""
    options = facts(name).options
    return {"head": "average"} if "head" in options and "average" in options["head"].choices else {}


@pytest.mark.parametrize("name", each())
def test_the_mean_of_a_map_and_the_bias_are_the_output(name):
    network, images = network_and_images(name)
    found = class_maps(network, images)
    with torch.no_grad():
        outputs = network.eval()(images)
    sizes = found.maps.abs().mean(dim=(2, 3)) + found.bias.abs()  # what is added up
    error = (found.maps.mean(dim=(2, 3)) + found.bias - outputs).abs()
    assert (error <= 1e-4 * sizes).all()
    assert found.maps.abs().max() > 0


@pytest.mark.parametrize("name", KNOWN)
def test_and_with_covariates(name):
    network, images = network_and_images(name)
    join_covariates(network, 2)
    torch.nn.init.normal_(network.head.joint.weight)
    known = torch.tensor([[1.5, -2.0]])
    found = class_maps(network, images, known)
    with torch.no_grad():
        outputs, plain = network.eval()(images, known), network(images)
    torch.testing.assert_close(found.maps.mean(dim=(2, 3)) + found.bias, outputs, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(outputs, plain, atol=0.1)
