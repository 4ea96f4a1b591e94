"""HiResCAM against its formula, the exact maps, and what a piecewise linear network adds up to."""

import pytest
import torch
from torch import nn

from mirada.explain.class_maps import class_maps
from mirada.explain.explainable import IMAGE, Explainable
from mirada.explain.hires_cam import HIRES_CAM


def hires_cam(network, images, classes, layer="stage1"):
    return HIRES_CAM.find(Explainable(network), images, layer, lambda _: torch.as_tensor(classes)).maps


def test_equals_the_exact_map_where_there_is_one(gap_network, images):
    classes = [2, 0, 1, 1, 2, 0]
    network = gap_network(3)
    torch.testing.assert_close(
        hires_cam(network, images, classes), class_maps(network, images).of(classes), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("layer", ["0", "2", IMAGE])
def test_without_biases_the_mean_of_the_map_is_the_output(images, layer):
    """A network of convolutions, rectifiers and linear layers without bias is homogeneous: Euler's theorem."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=False), nn.ReLU(inplace=True), nn.Conv2d(6, 4, 3, stride=2, bias=False),
        nn.ReLU(), nn.Flatten(), nn.Linear(24, 3, bias=False),
    )  # fmt: skip
    maps = hires_cam(network, images, [1] * 6, layer)
    torch.testing.assert_close(maps.mean(dim=(1, 2)), network(images)[:, 1].detach(), atol=1e-5, rtol=1e-4)
    assert maps.std(dim=(1, 2)).min() > 0


def test_at_the_image_it_is_the_gradient_times_the_input(dense_network, images):
    network = dense_network(3).eval()
    network.head[0].inplace = False  # behind a tanh, whose backward pass needs its output
    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(leaf)[:, 0].sum(), leaf)
    torch.testing.assert_close(
        hires_cam(network, images, [0] * 6, IMAGE), 80 * (gradient * images).sum(dim=1), atol=1e-4, rtol=1e-4
    )
