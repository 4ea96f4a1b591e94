"""Grad-CAM++, LayerCAM, Score-CAM and Recipro-CAM against their formulas in NumPy, and closed forms."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from mirada.errors import InvalidArgument
from mirada.explain.class_maps import class_maps
from mirada.explain.explainable import Explainable
from mirada.explain.grad_cam_pp import GRAD_CAM_PP
from mirada.explain.layer_cam import LAYER_CAM
from mirada.explain.recipro_cam import RECIPRO_CAM
from mirada.explain.score_cam import SCORE_CAM


def found(method, network, images, number, layer="stem"):
    return method.find(Explainable(network), images, layer, lambda _: torch.full((len(images),), number))


@pytest.fixture
def opened(dense_network, images):
    """A network with its rectified maps at ``stem``, its gradient there by hand, and the number that is explained."""
    network, number = dense_network(3).eval(), 1
    network.head[0].inplace = False  # behind a tanh, whose backward pass needs its output
    maps = network.stem(images).detach().requires_grad_()
    network.head(network.stage1(maps))[:, number].sum().backward()
    return network, maps.detach().double().numpy(), maps.grad.double().numpy(), number


def test_grad_cam_pp_is_its_equations(opened, images):
    """Eq. 19 as it stands, before anything is cancelled, and eq. 5, in loops over maps."""
    network, maps, gradient, number = opened
    expected = np.zeros((6, 8, 10))
    for image in range(6):
        for one, slope in zip(maps[image], gradient[image], strict=True):
            above = 2 * slope**2 + one.sum() * slope**3
            alpha = np.divide(slope**2, above, out=np.zeros_like(slope), where=slope != 0)
            expected[image] += (alpha * slope.clip(min=0)).sum() * one
    np.testing.assert_allclose(
        found(GRAD_CAM_PP, network, images, number).maps, expected, atol=1e-5, rtol=1e-4
    )
    assert gradient.min() < 0 < gradient.max()


def test_grad_cam_pp_of_an_average_has_a_closed_form(images):
    """Gradients are w / Z everywhere, so the weight of a map is max{0, w} / (2 + w · its mean)."""
    torch.manual_seed(1)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    maps = network[:2](images).detach()
    weight = network[4].weight[0].detach()
    shares = weight.clamp(min=0) / (2 + weight * maps.mean(dim=(2, 3)))  # (N, C)
    expected = (shares[:, :, None, None] * maps).sum(dim=1)
    torch.testing.assert_close(
        found(GRAD_CAM_PP, network, images, 0, "1").maps, expected, atol=1e-6, rtol=1e-4
    )
    assert weight.min() < 0 < weight.max()


def test_grad_cam_pp_refuses_maps_below_0(gap_network, images):
    expected = (
        r"^Grad-CAM\+\+ needs maps of values that are not negative, as behind a ReLU\. Those of stage1 go down to "
        r"-\d.*\. Use layer_cam or hires_cam, or name a layer behind a ReLU\.$"
    )
    with pytest.raises(InvalidArgument, match=expected):
        found(GRAD_CAM_PP, gap_network(3), images, 0, "stage1")


def test_layer_cam_is_its_equations(opened, images):
    network, maps, gradient, number = opened
    expected = 80 * (maps * gradient.clip(min=0)).sum(axis=1)
    np.testing.assert_allclose(found(LAYER_CAM, network, images, number).maps, expected, atol=1e-4, rtol=1e-4)


def test_score_cam_is_its_equations(dense_network, images):
    """One map at a time in NumPy; the output of a blank image is subtracted, as in eq. 6."""
    network, number = dense_network(3).eval(), 2
    network.head[4].weight.data *= 30  # so that weights differ
    maps = network.stage1(network.stem(images)).detach()
    with torch.no_grad():
        blank = network(torch.zeros_like(images))[:, number].numpy()
    scores = np.zeros((6, 5))
    for channel in range(5):
        large = nn.Upsample(size=(8, 10), mode="bilinear")(maps[:, channel, None]).numpy()
        for image in range(6):
            mask = (large[image] - large[image].min()) / np.ptp(large[image])
            with torch.no_grad():
                seen = network(images[image, None] * torch.from_numpy(mask)[None])
            scores[image, channel] = seen[0, number].item() - blank[image]
    weights = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    expected = np.einsum("nc,nchw->nhw", weights, maps.numpy())
    np.testing.assert_allclose(found(SCORE_CAM, network, images, number, "stage1").maps, expected, atol=1e-4)
    assert np.ptp(weights, axis=1).min() > 0.01


def test_score_cam_of_a_constant_map_sees_nothing_of_the_image(images):
    """Its weight is that of a blank image, and nothing is divided by 0."""
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
    with torch.no_grad():
        network[0].weight[0] = 0
        network[0].bias[:] = torch.tensor([3.0, 0])
        maps = network[0](images)
        hidden = network(torch.zeros(1, 3, 8, 10))[0, 0].item()
        low, high = (getattr(maps[:, 1:], end)(dim=(2, 3), keepdim=True) for end in ("amin", "amax"))
        shown = network(images * (maps[:, 1:] - low) / (high - low))[:, 0]
    part = 1 / (1 + torch.exp(shown - hidden))  # of the constant map, in a softmax over two
    expected = part[:, None, None] * maps[:, 0] + (1 - part)[:, None, None] * maps[:, 1]
    torch.testing.assert_close(found(SCORE_CAM, network, images, 0, "0").maps, expected, atol=1e-5, rtol=1e-4)


def test_recipro_cam_of_an_average_is_the_exact_map_smoothed(gap_network, images):
    network = gap_network(3)
    exact = class_maps(network, images).maps[:, 2].numpy()
    around = np.pad(exact, ((0, 0), (1, 1), (1, 1)))
    smooth = [
        2.0 ** (2 - abs(dy) - abs(dx)) / 16 * around[:, 1 + dy : 5 + dy, 1 + dx : 6 + dx]
        for dy in (-1, 0, 1) for dx in (-1, 0, 1)
    ]  # fmt: skip
    maps = found(RECIPRO_CAM, network, images, 2, "stage1").maps
    np.testing.assert_allclose(maps, sum(smooth), atol=1e-4)
    assert math.isclose(sum(2.0 ** (2 - abs(y) - abs(x)) / 16 for y in (-1, 0, 1) for x in (-1, 0, 1)), 1)


def test_recipro_cam_asks_about_every_place(dense_network, images):
    """A corner and a place in the middle, by hand through the head."""
    network, number = dense_network(3).eval(), 0
    maps = network.stage1(network.stem(images)).detach()
    head = lambda values: network.head(values.clone())[:, number].detach()  # noqa: E731
    answers = found(RECIPRO_CAM, network, images, number, "stage1").maps
    corner, middle = torch.zeros(4, 5), torch.zeros(4, 5)
    corner[:2, :2] = torch.tensor([[4.0, 2], [2, 1]]) / 16
    middle[1:4, 2:5] = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    nothing = head(torch.zeros_like(maps))
    for mask, place in ((corner, (0, 0)), (middle, (2, 3))):
        torch.testing.assert_close(
            answers[:, place[0], place[1]], 20 * (head(maps * mask) - nothing), atol=1e-4, rtol=1e-4
        )
