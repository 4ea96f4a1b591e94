"""The one call that explains any network: method, class, receipt, and why a map is blank."""

import numpy as np
import pytest
import torch
from torch import nn

from mirada.errors import InvalidArgument
from mirada.explain import explain
from mirada.explain.class_maps import class_maps
from mirada.explain.grad_cam import grad_cam


def test_exact_maps_of_the_predicted_classes(gap_network, images):
    network = gap_network(4)
    found = explain(network, images)
    assert found.method == "class activation map (exact)"
    assert found.receipt is not None and found.receipt < 1e-4
    outputs = network.eval()(images).detach().numpy()
    np.testing.assert_allclose(found.outputs, outputs, atol=1e-6)
    np.testing.assert_array_equal(found.classes, outputs.argmax(axis=1))
    np.testing.assert_array_equal(found.maps, class_maps(network, images).of(found.classes).numpy())
    assert found.maps.dtype == found.outputs.dtype == np.float32 and found.classes.dtype == np.int64
    assert len(found.notes) == 6


def test_grad_cam_for_another_head(dense_network, images):
    network = dense_network(4)
    found = explain(network, images)
    assert found.method == "Grad-CAM" and found.receipt is None
    np.testing.assert_array_equal(found.classes, network.eval()(images).argmax(dim=1).numpy())
    np.testing.assert_allclose(found.maps, grad_cam(network, images, found.classes).numpy(), atol=1e-7)


@pytest.mark.parametrize("kind", ["gap_network", "dense_network"])
def test_classes_that_are_asked_for(kind, images, request):
    network = request.getfixturevalue(kind)(3)
    asked = [2, 1, 0, 0, 1, 2]
    found = explain(network, images, asked)
    assert found.classes.tolist() == asked
    np.testing.assert_allclose(found.maps, grad_cam(network, images, asked).numpy(), atol=1e-6)


@pytest.mark.parametrize("kind", ["gap_network", "dense_network"])
def test_one_output_of_two_classes_is_read_by_its_sign(kind, images, request):
    network = request.getfixturevalue(kind)(1)
    network.head[-1].bias.data.sub_(network.eval()(images).median())
    found = explain(network, images)
    assert set(found.classes.tolist()) == {0, 1}
    np.testing.assert_array_equal(found.classes, found.outputs[:, 0] > 0)
    of_the_output = explain(network, images, [1] * 6)
    signs = np.where(found.outputs > 0, 1, -1)[:, :, None]
    np.testing.assert_array_equal(found.maps, signs * of_the_output.maps)


def test_a_regression_shows_its_output_whatever_the_sign(gap_network, images):
    network = gap_network(1)
    network.head[-1].bias.data.fill_(-9)
    found = explain(network, images, task="regression")
    assert (found.outputs < 0).all() and found.classes.tolist() == [1] * 6
    total = found.maps.mean(axis=(1, 2)) + network.head[-1].bias.item()
    np.testing.assert_allclose(total, found.outputs[:, 0], atol=1e-4)


class Given(nn.Module):
    """A network whose features are its images and whose output is their mean."""

    def __init__(self):
        super().__init__()
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 1, bias=False))
        nn.init.ones_(self.head[2].weight)

    def features(self, images):
        return images


SLOPE = torch.arange(1.0, 7.0).reshape(1, 1, 2, 3)


@pytest.mark.parametrize(
    ("maps", "note"),
    [
        (SLOPE - 3, ""),
        (-SLOPE, "no positive evidence for this class anywhere"),
        (SLOPE - 6, "no positive evidence for this class anywhere"),
        (0 * SLOPE, "the map is zero everywhere"),
        (0 * SLOPE + 0.3, "the map is constant"),
        (SLOPE * 1e-8 - 2, "the map is constant"),
        (SLOPE[..., :1, :1], "the map has a single cell: this network keeps no places up to its head"),
    ],
)
def test_a_blank_map_says_why(maps, note):
    assert explain(Given(), maps, [1]).notes == (note,)


def test_a_regression_may_be_below_its_bias_everywhere():
    assert explain(Given(), -SLOPE, task="regression").notes == ("",)


def test_notes_are_those_of_each_image():
    notes = explain(Given(), torch.cat([SLOPE, -SLOPE, 0 * SLOPE]), [1, 1, 1]).notes
    assert notes == ("", "no positive evidence for this class anywhere", "the map is zero everywhere")


@pytest.mark.parametrize("kind", ["gap_network", "dense_network"])
def test_outputs_that_are_not_finite(kind, images, request):
    images[2, 0, 0, 0] = float("nan")
    images[4] = float("inf")
    expected = r"2 of 6 images have outputs that are not finite \(first: row 2 of the batch\)"
    with pytest.raises(InvalidArgument, match=expected):
        explain(request.getfixturevalue(kind)(3), images)


def test_unknown_task(gap_network, images):
    with pytest.raises(InvalidArgument, match=r'no task called "regresion"\. Did you mean "regression"\?'):
        explain(gap_network(1), images, task="regresion")


def test_a_regression_with_several_outputs_must_name_one(gap_network, images):
    with pytest.raises(InvalidArgument, match=r"A regression has one output\. Got 3"):
        explain(gap_network(3), images, task="regression")
    assert explain(gap_network(3), images, [2] * 6, task="regression").classes.tolist() == [2] * 6


def test_wrong_classes(gap_network, images):
    with pytest.raises(InvalidArgument, match=r"one class number per image, 6 in all"):
        explain(gap_network(3), images, [0])


def test_the_network_is_left_as_it_was(dense_network, images):
    network = dense_network(3)
    before = [(module.training, len(module._forward_hooks)) for module in network.modules()]
    explain(network, images)
    assert [(module.training, len(module._forward_hooks)) for module in network.modules()] == before
    assert all(parameter.grad is None and parameter.requires_grad for parameter in network.parameters())
