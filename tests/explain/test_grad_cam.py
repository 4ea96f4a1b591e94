"""Grad-CAM against the exact maps, against hooks of our own, and against finite differences."""

import pytest
import torch
from torch import nn

from mirada.errors import InvalidArgument
from mirada.explain.class_maps import class_maps
from mirada.explain.explainable import Explainable
from mirada.explain.grad_cam import GRAD_CAM


def grad_cam(network, images, classes, layer="stage1"):
    return GRAD_CAM.find(Explainable(network), images, layer, lambda _: torch.as_tensor(classes)).maps


@pytest.mark.parametrize(("outputs", "classes"), [(4, [3, 0, 1, 1, 2, 3]), (1, [1, 0, 1, 0, 0, 1])])
def test_equals_the_exact_map_where_there_is_one(gap_network, images, outputs, classes):
    network = gap_network(outputs)
    torch.testing.assert_close(
        grad_cam(network, images, classes), class_maps(network, images).of(classes), atol=1e-5, rtol=1e-5
    )


def by_hooks(network, images, number):
    """The paper's eq. 1–2 without the ReLU, times Z, by a full backward pass for each image."""

    def keep(_module, _inputs, output):
        output.retain_grad()
        kept.append(output)
        return output.clone()

    maps = []
    handle = network.stage1.register_forward_hook(keep)
    for image in images:
        kept = []
        network(image[None])[0, number].backward()
        features, gradient = kept[0].detach()[0], kept[0].grad[0]
        alpha = gradient.mean(dim=(1, 2))  # eq. 1: (1 / Z) Σ_ij
        maps.append(20 * sum(weight * channel for weight, channel in zip(alpha, features, strict=True)))
    handle.remove()
    network.zero_grad()
    return torch.stack(maps)


def test_equals_the_papers_equations_by_hooks_and_a_full_backward_pass(dense_network, images):
    network = dense_network(3).eval()
    for number in range(3):
        torch.testing.assert_close(
            grad_cam(network, images, [number] * 6), by_hooks(network, images, number), atol=1e-6, rtol=1e-4
        )


def test_one_output_changes_sign_with_the_class(dense_network, images):
    network = dense_network(1).eval()
    up, down = grad_cam(network, images, [1] * 6), grad_cam(network, images, [0] * 6)
    torch.testing.assert_close(up, by_hooks(network, images, 0), atol=1e-6, rtol=1e-4)
    assert torch.equal(down, -up) and up.abs().max() > 0


def test_weights_are_finite_differences_of_the_output(dense_network, images):
    """α_n is the change of the output when channel n rises everywhere: central differences in float64."""
    network, images = dense_network(3).double().eval(), images.double()
    number, step = 2, 1e-6
    features = network.features(images).detach()
    expected = torch.zeros(6, 4, 5, dtype=torch.float64)
    for channel in range(5):
        raised, lowered = features.clone(), features.clone()
        raised[:, channel] += step
        lowered[:, channel] -= step
        with torch.no_grad():
            alpha = (network.head(raised) - network.head(lowered))[:, number] / (2 * step)
        expected += alpha[:, None, None] * features[:, channel]
    found = grad_cam(network, images, [number] * 6)
    torch.testing.assert_close(found, expected.float(), atol=1e-6, rtol=1e-4)


def test_images_do_not_influence_each_other(dense_network, images):
    network = dense_network(3)
    classes = [0, 1, 2, 0, 1, 2]
    together = grad_cam(network, images, classes)
    alone = torch.cat([grad_cam(network, images[row : row + 1], classes[row : row + 1]) for row in range(6)])
    torch.testing.assert_close(together, alone)


def test_no_parameter_gets_a_gradient_and_those_there_stay(dense_network, images):
    network = dense_network(3)
    mark = torch.ones_like(network.stem[0].weight)
    network.stem[0].weight.grad = mark
    found = grad_cam(network, images, [0] * 6)
    assert network.stem[0].weight.grad is mark and torch.equal(mark, torch.ones_like(mark))
    assert [name for name, p in network.named_parameters() if p.grad is not None] == ["stem.0.weight"]
    assert not found.requires_grad


def test_modes_and_flags_are_restored(dense_network, images):
    network = dense_network(3)
    network.stem.eval()
    network.stage1.requires_grad_(requires_grad=False)
    modes = [module.training for module in network.modules()]
    flags = [parameter.requires_grad for parameter in network.parameters()]
    grad_cam(network, images, [0] * 6)
    assert [module.training for module in network.modules()] == modes
    assert [parameter.requires_grad for parameter in network.parameters()] == flags


def test_a_frozen_network_inside_no_grad_or_inference_mode(dense_network, images):
    network = dense_network(3)
    expected = grad_cam(network, images, [1] * 6)
    network.requires_grad_(requires_grad=False)
    assert torch.equal(grad_cam(network, images, [1] * 6), expected)
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            assert torch.equal(grad_cam(network, images.clone(), [1] * 6), expected)


def test_a_wrong_class_number(dense_network, images):
    with pytest.raises(InvalidArgument, match=r"`classes` must lie between 0 and 2"):
        grad_cam(dense_network(3), images, [3] * 6)


def test_a_head_that_does_not_depend_on_the_features(dense_network, images):
    """A head of zeros has a gradient of zero: a blank map, not an error."""
    network = dense_network(3)
    nn.init.zeros_(network.head[4].weight)
    assert torch.count_nonzero(grad_cam(network, images, [0] * 6)) == 0


def test_an_early_layer_is_that_of_the_papers_equations(dense_network, images):
    """At ``stem``, whose rectifier works in place and which the next layers change."""
    network = dense_network(3).eval()
    network.head[0].inplace = False  # behind a tanh, whose backward pass needs its output
    maps = network.stem(images).detach().requires_grad_()
    outputs = network.forward(images)
    rest = network.head(network.stage1(maps))
    torch.testing.assert_close(rest, outputs)
    (gradient,) = torch.autograd.grad(rest[:, 2].sum(), maps)
    expected = torch.einsum("nc,nchw->nhw", gradient.sum(dim=(2, 3)), maps.detach())
    torch.testing.assert_close(
        grad_cam(network, images, [2] * 6, layer="stem"), expected, atol=1e-5, rtol=1e-4
    )
