"""Exact class maps against the definition written as loops, and the identity that makes them exact."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from mirada.errors import InvalidArgument
from mirada.explain.class_maps import affine_head, class_maps, pick
from mirada.layers.covariates import join_covariates
from mirada.models import create_model


def gap(*layers):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *layers)


@pytest.mark.parametrize("classes", [1, 2, 7])
def test_each_output_is_the_mean_of_its_map_plus_its_bias(gap_network, images, classes):
    network = gap_network(classes)
    found = class_maps(network, images)
    assert found.maps.shape == (6, classes, 4, 5) and found.maps.dtype == torch.float32
    outputs = network.eval()(images).detach()
    torch.testing.assert_close(found.outputs, outputs)
    torch.testing.assert_close(found.maps.mean(dim=(2, 3)) + found.bias, outputs, atol=1e-4, rtol=0)
    assert found.completeness_error < 1e-4
    assert found.completeness_error == (found.maps.mean(dim=(2, 3)) + found.bias - found.outputs).abs().max()


def test_the_map_is_the_weighted_sum_of_the_features(gap_network, images):
    network = gap_network(4)
    maps = class_maps(network, images).maps.numpy()
    features = network.eval().features(images).detach().numpy()
    weight = network.head[3].weight.detach().numpy()
    for image, number in [(0, 0), (3, 2), (5, 3)]:
        by_hand = np.zeros((4, 5))
        for channel in range(5):
            by_hand += float(weight[number, channel]) * features[image, channel]
        np.testing.assert_allclose(maps[image, number], by_hand, atol=1e-6)


def test_a_linear_layer_without_bias(gap_network, images):
    network = gap_network(3)
    network.head = gap(nn.Linear(5, 3, bias=False))
    found = class_maps(network, images)
    assert torch.equal(found.bias, torch.zeros(6, 3))
    assert found.completeness_error < 1e-4


def test_a_network_in_bfloat16_has_float32_maps(gap_network, images):
    network = gap_network(3)
    network.head.insert(3, norm(5))
    found = class_maps(network.bfloat16(), images.bfloat16())
    assert found.maps.dtype == found.bias.dtype == found.outputs.dtype == torch.float32
    assert found.completeness_error < 0.1


def test_the_completeness_error_tells_of_a_head_that_is_not_what_it_looks_like(gap_network, images):
    class Louder(nn.Linear):
        def forward(self, inputs):
            return super().forward(inputs) + 1

    network = gap_network(3)
    network.head = gap(Louder(5, 3))
    assert class_maps(network, images).completeness_error == pytest.approx(1, abs=1e-4)


def test_the_network_is_left_as_it_was(gap_network, images):
    network = gap_network(3)
    network.stage1.eval()
    before = [module.training for module in network.modules()]
    found = class_maps(network, images)
    assert [module.training for module in network.modules()] == before
    assert not found.maps.requires_grad and not found.bias.requires_grad
    network.head[3].bias.data.add_(1)
    assert not torch.equal(found.bias[0], network.head[3].bias)


def test_of_picks_one_class_per_image(gap_network, images):
    found = class_maps(gap_network(4), images)
    classes = [3, 0, 1, 1, 2, 3]
    for form in (classes, np.array(classes), torch.tensor(classes, dtype=torch.int32)):
        chosen = found.of(form)
        assert chosen.shape == (6, 4, 5)
        assert all(torch.equal(chosen[row], found.maps[row, number]) for row, number in enumerate(classes))


def test_with_one_output_class_0_is_the_opposite_of_class_1(gap_network, images):
    found = class_maps(gap_network(1), images)
    chosen = found.of([1, 0, 1, 0, 0, 1])
    signs = torch.tensor([1.0, -1, 1, -1, -1, 1])[:, None, None]
    assert torch.equal(chosen, signs * found.maps[:, 0])


def test_pick_also_picks_outputs():
    assert pick(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), [1, 0]).tolist() == [2.0, 3.0]
    assert pick(torch.tensor([[1.5], [2.5]]), [0, 1]).tolist() == [-1.5, 2.5]


@pytest.mark.parametrize("classes", [[1], [], [[0], [1]], [0.0, 1.0], [True, False]])
def test_classes_that_are_not_one_number_per_image(classes):
    with pytest.raises(
        InvalidArgument, match=r"`classes` must hold one class number per image, 2 in all\. Got"
    ):
        pick(torch.zeros(2, 3), classes)


@pytest.mark.parametrize(
    ("outputs", "classes", "message"),
    [
        (3, [0, 3], r"between 0 and 2 for a network with 3 output\(s\)\. Got 0 to 3\."),
        (3, [-1, 0], r"between 0 and 2 for a network with 3 output\(s\)\. Got -1 to 0\."),
        (1, [0, 2], r"between 0 and 1 for a network with 1 output\(s\)\. Got 0 to 2\."),
    ],
)
def test_classes_that_do_not_exist(outputs, classes, message):
    with pytest.raises(InvalidArgument, match=message):
        pick(torch.zeros(2, outputs), classes)


@pytest.mark.parametrize(
    "head",
    [
        gap(nn.Linear(5, 3)),
        gap(nn.Dropout(0.2), nn.Linear(5, 3)),
        nn.Sequential(nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(1), nn.Linear(5, 3)),
        nn.Sequential(
            OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), linear=nn.Linear(5, 3))
        ),
    ],
)
def test_the_linear_layer_of_an_average_head(gap_network, head):
    network = gap_network(3)
    network.head = head
    found = affine_head(network)
    assert torch.equal(found.weight, head[-1].weight) and torch.equal(found.bias, head[-1].bias)
    assert found.beside.shape == (3, 0)


@pytest.mark.parametrize(
    "head",
    [
        nn.Linear(5, 3),
        nn.Sequential(),
        nn.Sequential(nn.Flatten(), nn.Linear(5, 3)),
        nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(20, 3)),
        nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(5, 3)),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(0), nn.Linear(5, 3)),
        nn.Sequential(nn.Dropout(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3)),
        nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3)),
        gap(nn.ReLU(), nn.Linear(5, 3)),
        gap(nn.Linear(5, 3), nn.Dropout()),
        gap(nn.Linear(5, 3), nn.Softmax(1)),
        gap(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)),
        gap(nn.BatchNorm1d(5, track_running_stats=False), nn.Linear(5, 3)),
    ],
)
def test_every_other_head_is_refused(gap_network, head):
    network = gap_network(3)
    network.head = head
    assert affine_head(network) is None


def test_a_network_without_a_head():
    assert affine_head(nn.Linear(2, 2)) is None


def norm(features, *, affine=True):
    """With statistics, weights and biases that are not the usual ones."""
    layer = nn.BatchNorm1d(features, affine=affine)
    for values in (layer.running_mean, *layer.parameters()):
        nn.init.normal_(values)
    layer.running_var.uniform_(0.5, 2)
    return layer


LINEAR_HEADS = {
    "two layers": lambda: gap(nn.Linear(5, 7), nn.Dropout(), nn.Linear(7, 3)),
    "three, of which one has no bias": lambda: gap(
        nn.Linear(5, 7), nn.Linear(7, 4, bias=False), nn.Identity(), nn.Linear(4, 3)
    ),
    "batch norm first": lambda: gap(norm(5), nn.Linear(5, 3)),
    "batch norm between": lambda: gap(nn.Linear(5, 6), norm(6, affine=False), nn.Linear(6, 3)),
}


@pytest.mark.parametrize("known", [0, 2])
@pytest.mark.parametrize("kind", LINEAR_HEADS)
def test_layers_without_anything_that_bends_are_one(images, kind, known):
    """Also where covariates join the first linear layer: they belong to no place."""
    torch.manual_seed(0)
    network = create_model("resnet20", num_classes=3, image_size=32)
    network.stage3 = nn.Conv2d(32, 5, 3)
    network.head = LINEAR_HEADS[kind]()
    covariates = None
    if known:
        join_covariates(network, known)
        nn.init.normal_(network.head.joint.weight)
        covariates = torch.randn(6, known)
    batch = torch.randn(6, 3, 32, 32)
    found = class_maps(network, batch, covariates)
    with torch.no_grad():
        outputs = network.eval()(batch, covariates)
        maps = network.features(batch)
        moved = maps.clone()
        moved[:, :, 0, 0] += 1  # one cell changed: the output changes by its part of the map, over all cells
        by_hand = (network.head(moved) if covariates is None else network.head(moved, covariates)) - outputs
    torch.testing.assert_close(found.maps.mean(dim=(2, 3)) + found.bias, outputs, atol=1e-4, rtol=1e-4)
    assert found.completeness_error < 1e-4
    weight = affine_head(network).weight
    torch.testing.assert_close(
        by_hand, (weight.sum(dim=1) / maps[0, 0].numel()).expand(6, 3), atol=1e-4, rtol=1e-3
    )


def test_another_head_is_named_and_grad_cam_offered(dense_network, images):
    expected = (
        r"Exact class maps need a head of global average pooling and linear layers alone\. The head of Small is "
        r"ReLU → Flatten → Linear → ReLU → Linear\. Choose Grad-CAM \(--method grad_cam, "
        r"method=\"grad_cam\"\), which works with any head, or train with head=\"average\"\."
    )
    with pytest.raises(InvalidArgument, match=expected):
        class_maps(dense_network(3), images)
    with pytest.raises(InvalidArgument, match=r"The head of lenet5 is "):
        class_maps(create_model("lenet5").eval(), torch.zeros(1, 1, 32, 32))
