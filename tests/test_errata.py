"""docs/errata.md, computed: where the lecture notes disagree with the papers or with arithmetic, a test a point.

A test's number is the point's. Points of history and of wording have none: there is nothing to compute.
"""

import math
import re
from functools import cache

import numpy as np
import pytest
import torch
from scipy import signal
from torch import nn

import mirada
from mirada import reference as ref
from mirada.arithmetic import output_size
from mirada.data.batches import steps_per_epoch
from mirada.models import CATALOGUE, create_model
from mirada.models.inception_v4 import ScaledResidual
from mirada.models.lenet import CONNECTIONS
from mirada.samples import Classes
from mirada.summary.stack import plan
from mirada.summary.undrawn import named
from mirada.training.loss import outputs_for
from mirada.training.optimizer import Optimizer
from mirada.training.papers import paper_recipe
from mirada.training.recipe import recipe_for
from mirada.training.schedules import Moment, Time
from mirada.training.stepping import NotesMomentum

IMAGE, KERNEL = np.arange(1.0, 10.0).reshape(1, 1, 3, 3), np.array([[[[1.0, 2.0], [3.0, 4.0]]]])


@pytest.fixture
def rng():
    return np.random.default_rng(67)


summarize = cache(mirada.summarize)  # the largest are asked for more than once


def layers(network, kind):
    return [module for module in network.modules() if isinstance(module, kind)]


# §2.1: the parts of a convolutional network -------------------------------------------------------------------------


def test_01_a_map_has_one_place_more_than_the_difference():
    assert ref.conv2d(np.zeros((1, 1, 64, 64)), np.zeros((6, 1, 5, 5))).shape == (1, 6, 60, 60)
    assert plan("conv 6 k5", (1, 64, 64)).steps[0].output_shape == (6, 60, 60)
    assert output_size(64, 5) == 64 - 5 + 1 and output_size(6, 3) == 4


def test_02_a_filter_spans_all_channels():
    with pytest.raises(mirada.InvalidArgument):
        ref.conv2d(np.zeros((1, 3, 8, 8)), np.zeros((1, 1, 5, 5)))
    assert plan("conv 1 k5", (3, 8, 8)).parameters == 5 * 5 * 3 + 1


def test_03_convolution_is_cross_correlation(rng):
    x, w = rng.normal(size=(6, 6)), rng.normal(size=(3, 3))
    ours = ref.conv2d(x[None, None], w[None, None])[0, 0]
    np.testing.assert_allclose(ours, signal.correlate2d(x, w, mode="valid"))
    np.testing.assert_allclose(ours, signal.convolve2d(x, w[::-1, ::-1], mode="valid"))
    assert np.abs(ours - signal.convolve2d(x, w, mode="valid")).max() > 0.1


def test_04_other_layers_learn_as_well():
    lenet = create_model("lenet5_1998")
    dense_and_conv = sum(
        p.numel() for m in layers(lenet, nn.Conv2d | nn.Linear) for p in m.parameters(recurse=False)
    )
    assert sum(p.numel() for p in lenet.parameters()) - dense_and_conv == 12 + 32
    norms = layers(named("resnet18"), nn.BatchNorm2d)
    assert sum(p.numel() for norm in norms for p in norm.parameters()) == 9_600
    assert len(layers(create_model("lenet5", activation="prelu"), nn.PReLU)) > 0


# §2.1.1 and §2.1.2: rectifiers, and training by layers --------------------------------------------------------------


def test_05_relu_is_continuous_and_its_slope_jumps():
    steps = np.array([[-1e-12, 0.0, 1e-12]])
    assert np.abs(np.diff(ref.rectifier(steps))).max() <= 1e-12
    assert ref.rectifier_backward(np.ones_like(steps), steps).dz.tolist() == [[0.0, 0.0, 1.0]]


def test_06_the_slope_taken_at_zero_is_zero():
    z = torch.zeros(1, requires_grad=True)
    torch.relu(z).backward()
    assert z.grad.item() == ref.rectifier_backward(np.ones((1, 1)), np.zeros((1, 1))).dz.item() == 0
    assert ref.rectifier_backward(np.ones((1, 1)), np.full((1, 1), 1e-9)).dz.item() == 1  # the notes' z = ε


def test_07_above_one_the_leak_is_no_maximum():
    z = np.linspace(-2, 2, 9)[None]
    np.testing.assert_array_equal(ref.rectifier(z, 0.01), np.maximum(z, 0.01 * z))
    np.testing.assert_array_equal(ref.rectifier(z, 1.0), z)
    assert np.any(ref.rectifier(z, 2.0) != np.maximum(z, 2.0 * z))


def test_08_layers_without_weights_hand_gradients_on(rng):
    """LeNet's first layer would learn nothing if ReLU and pooling had no gradient."""
    x = rng.normal(size=(1, 1, 4, 4))
    pooled = ref.max_pool2d_backward(np.ones((1, 1, 2, 2)), ref.rectifier(x), kernel=2)
    assert pooled.sum() == 4 and ref.rectifier_backward(pooled, x).dz.any()
    assert not list(nn.ReLU().parameters()) and not list(nn.MaxPool2d(2).parameters())


# §2.2: the convolutional layer --------------------------------------------------------------------------------------


def test_09_the_layers_that_see_little_are_the_first():
    rows = summarize("plain20").rows
    fields = [row.receptive_field[0] for row in rows if row.kind.startswith("Conv2d")]
    assert fields == sorted(fields) and fields[0] == 3 and fields[-1] == 81


def test_10_the_kernel_is_the_receptive_field_in_the_first_layer_only():
    stack = plan("conv 8 k3; conv 8 k3; conv 8 k3 s2; conv 8 k3", (1, 64, 64))
    assert [step.receptive_field for step in stack.steps] == [(3, 3), (5, 5), (7, 7), (11, 11)]


def test_11_the_figure_has_twelve_letters():
    """3 × 4 letters make the figure's 2 × 3 outputs under a 2 × 2 kernel; the notes' list of ten leaves out h and l."""
    grid = np.array(list("abcdefghijkl")).reshape(3, 4)
    assert (output_size(3, 2), output_size(4, 2)) == (2, 3)
    assert set(grid.ravel()) - set("abcdefgijk") == {"h", "l"}


def test_13_convolution_moves_with_its_input_and_pooling_forgives_a_little(rng):
    x, w = (
        np.pad(rng.normal(size=(1, 1, 6, 6)), ((0, 0), (0, 0), (4, 4), (4, 4))),
        rng.normal(size=(1, 1, 3, 3)),
    )
    moved = np.roll(x, 1, axis=3)
    before, after = ref.conv2d(x, w), ref.conv2d(moved, w)
    np.testing.assert_allclose(after, np.roll(before, 1, axis=3))  # equivariance
    assert np.abs(after - before).max() > 0.1  # no invariance
    change = np.abs(ref.max_pool2d(after, 4) - ref.max_pool2d(before, 4)).mean()
    assert 0 < change < np.abs(after - before).mean()  # and pooling's is approximate
    np.testing.assert_allclose(
        ref.global_avg_pool2d(after), ref.global_avg_pool2d(before)
    )  # the average's is not


# §2.2.1: back-propagation -------------------------------------------------------------------------------------------


def test_14_the_derivative_is_the_pixel_under_the_weight():
    for m, n in np.ndindex(2, 2):
        raised = KERNEL.copy()
        raised[0, 0, m, n] += 1.0
        slope = (ref.conv2d(IMAGE, raised) - ref.conv2d(IMAGE, KERNEL))[0, 0]
        np.testing.assert_allclose(slope, IMAGE[0, 0, m : m + 2, n : n + 2])  # X[i+m, j+n] from 0
    assert slope[0, 1] != IMAGE[0, 0, 1, 1]  # not X[m, n]


def test_15_the_chain_needs_the_other_two_gradients(rng):
    dh = rng.normal(size=(1, 1, 2, 2))
    gradients = ref.conv2d_backward(dh, IMAGE, weight=KERNEL)
    full = signal.correlate2d(dh[0, 0], KERNEL[0, 0, ::-1, ::-1], mode="full")
    np.testing.assert_allclose(gradients.dx[0, 0], full)
    np.testing.assert_allclose(gradients.dbias, [dh.sum()])


def test_16_half_the_kernel_as_padding_keeps_the_size_of_odd_kernels_at_stride_one():
    assert all(output_size(32, k, padding=(k - 1) // 2) == 32 for k in (1, 3, 5, 7))
    assert output_size(32, 3, stride=2, padding=1) == 16
    assert output_size(32, 4, padding=3 // 2) == 31 and output_size(32, 4, padding=2) == 33
    assert output_size(32, 5, stride=3) == math.floor((32 - 5) / 3) + 1 == 10


def test_17_the_momentum_as_printed_climbs():
    ends = {}
    for as_printed in (True, False):
        layer = nn.Linear(1, 1, bias=False).double()
        nn.init.ones_(layer.weight)
        optimizer = Optimizer(layer, NotesMomentum(lr=0.1, momentum=0.9, as_printed=as_printed))
        for _ in range(30):
            layer.weight.grad = layer.weight.detach().clone()  # of w²/2
            optimizer.step(0.1)
        ends[as_printed] = layer.weight.item()
    assert ends[True] == pytest.approx(1.4e5, rel=0.03) and abs(ends[False]) < 0.3


def test_18_the_previous_weights_would_not_settle_at_the_minimum():
    """On (w − 1)²/2: by the last update it ends at 1, with the last weights in its place it does not."""
    weight, velocity, other, last = np.zeros(1), np.zeros(1), 0.0, 0.0
    for _ in range(400):
        weight, velocity = ref.sgd_step(weight, weight - 1, velocity=velocity, lr=0.1, momentum=0.05)
        other, last = other - 0.1 * (other - 1) + 0.05 * last, other
    assert weight.item() == pytest.approx(1) and other == pytest.approx(0.1 / (0.1 - 0.05))


# §3.1: LeNet-5 ------------------------------------------------------------------------------------------------------


def test_19_subsampling_learns_a_coefficient_and_a_bias():
    rows = summarize("lenet5_1998").rows
    scale = sum(row.parameters for row in rows if row.name.endswith(("coefficient", "bias")))
    assert scale == 2 * 6 + 2 * 16 and sum(row.parameters for row in rows) - scale == 59_956


def test_20_the_connections_of_c3_are_a_table():
    sources = [maps for group in CONNECTIONS for maps in group]
    assert len(sources) == len(set(sources)) == 16 and sum(map(len, sources)) == 60
    assert all(sum(each in maps for maps in sources) == 10 for each in range(6))
    assert sum(25 * len(maps) + 1 for maps in sources) == 1_516


def test_21_c5_has_kernels_of_5_and_maps_of_1():
    (row,) = [row for row in summarize("lenet5_1998").rows if row.name == "stage2.conv"]
    assert row.kernel == (5, 5) and row.output_shape == (120, 1, 1)


def test_22_the_squash_maps_one_to_one():
    assert ref.scaled_tanh(np.array([1.0, -1.0])) == pytest.approx([1, -1], abs=1e-5)
    assert ref.tanh(np.ones(1)).item() < 0.77 and ref.sigmoid(np.ones(1)).item() < 0.74


def test_23_the_output_has_840_fixed_numbers():
    summary = summarize("lenet5_1998")
    assert (summary.parameters, summary.fixed) == (60_000, 84 * 10)


# §3.2 and §3.3: ImageNet and AlexNet --------------------------------------------------------------------------------


def test_25_the_original_normalises_over_neighbours_and_before_pooling():
    alexnet = named("alexnet")
    assert [type(layer) for layer in list(alexnet.stem)[1:]] == [nn.LocalResponseNorm, nn.MaxPool2d]
    assert not layers(alexnet, nn.BatchNorm2d) and layers(named("alexnet_bn"), nn.BatchNorm2d)


def test_26_the_first_layer_has_34848_weights():
    stack = plan("conv 96 k11 s4", (3, 227, 227))
    assert 11 * 11 * 3 * 96 == 34_848 and stack.parameters == 34_848 + 96


def test_27_the_second_layer_has_stride_one():
    assert output_size(27, 5, stride=1, padding=2) == 27 and output_size(27, 5, stride=4, padding=2) == 7
    (second, *_) = layers(named("alexnet_bn").stage1, nn.Conv2d)
    assert second.stride == (1, 1) and second.padding == (2, 2)


def test_28_sixty_million_are_those_of_two_groups():
    counts = {name: mirada.summarize(name).parameters for name in ("alexnet", "alexnet_bn")}
    assert counts == {"alexnet": 60_965_224, "alexnet_bn": 62_379_048}
    assert [conv.groups for conv in layers(named("alexnet"), nn.Conv2d)] == [1, 2, 1, 2, 2]


def test_29_the_paper_crops_and_flips_and_does_not_turn():
    augment = paper_recipe("alexnet-2012").augment
    assert augment.rotation == 0 and augment.horizontal_flip and augment.crop < 1


def test_30_dropout_switches_off_units_and_no_weights(rng):
    x, weight = rng.normal(size=(2, 4)), rng.normal(size=(3, 4))
    kept = np.array([[True, False, True, True], [True, True, False, True]])
    dropped = ref.linear(ref.dropout(x, kept, rate=0.5), weight)
    for row in range(2):  # every weight that reads a silent unit is without effect, for this image alone
        np.testing.assert_allclose(dropped[row], 2 * (weight[:, kept[row]] @ x[row, kept[row]]))


def test_32_normalisation_is_in_most_networks_and_the_local_one_in_few():
    networks = [named(name) for name in ("alexnet", "googlenet", "inception_v3", "resnet18", "densenet121")]
    assert [bool(layers(network, nn.LocalResponseNorm)) for network in networks] == [True, True] + 3 * [False]
    assert [bool(layers(network, nn.BatchNorm2d)) for network in networks] == 2 * [False] + 3 * [True]


def test_33_only_227_pixels_divide_without_a_rest():
    assert (227 - 11) % 4 == 0 and (224 - 11) % 4 != 0
    assert output_size(227, 11, stride=4) == 55 and output_size(224, 11, stride=4) == 54
    assert "227" in plan("conv 96 k11 s4; pool k3 s2", (3, 224, 224)).advice


# §3.4 and §3.5: VGG and the Inceptions ------------------------------------------------------------------------------


def test_34_the_channels_count_too():
    three, one = plan("conv 64 k3; conv 64 k3; conv 64 k3", (64, 32, 32)), plan("conv 64 k7", (64, 32, 32))
    assert three.parameters - 3 * 64 == 27 * 64**2 and one.parameters - 64 == 49 * 64**2
    assert three.steps[-1].receptive_field == one.steps[-1].receptive_field == (7, 7)


def test_35_vgg16_as_a_whole_is_larger_than_alexnet():
    assert summarize("vgg16").parameters / summarize("alexnet").parameters == pytest.approx(2.27, abs=0.01)


def test_36_googlenet_has_22_layers_and_9_modules():
    rows = [row.name for row in summarize("googlenet").rows if row.kind.startswith(("Conv2d", "Linear"))]
    modules = {found[0] for name in rows if (found := re.search(r"inception\d\w", name))}
    alone = [name for name in rows if "inception" not in name]
    assert len(modules) == 9 and len(alone) + 2 * len(modules) == 22  # two deep: a reduction, then 3×3 or 5×5


def test_37_googlenet_has_a_ninth_of_alexnets_parameters():
    ratio = summarize("alexnet").parameters / summarize("googlenet").parameters
    assert ratio == pytest.approx(8.7, abs=0.05)


def test_38_two_networks_are_called_inception_v2():
    assert CATALOGUE["bn_inception"].parameters != CATALOGUE["inception_v2"].parameters
    assert "2015, arXiv:1502.03167" in CATALOGUE["bn_inception"].source


def test_39_inception_v2_has_flat_kernels_as_well():
    kernels = {conv.kernel_size for conv in layers(named("inception_v2"), nn.Conv2d)}
    assert {(3, 3), (1, 7), (7, 1), (1, 3), (3, 1)} <= kernels and (5, 5) not in kernels


def test_40_inception_v3_normalises_its_auxiliary_head():
    network = named("inception_v3", options={"auxiliary": True})
    ((_, head),) = network.auxiliary_heads().items()
    assert layers(head, nn.BatchNorm2d)


def test_41_inception_v4_has_no_residuals():
    counts = {
        name: len(layers(named(name), ScaledResidual)) for name in ("inception_v4", "inception_resnet_v2")
    }
    assert counts["inception_v4"] == 0 and counts["inception_resnet_v2"] > 20


# §3.6 and §3.7: ResNet and DenseNet ---------------------------------------------------------------------------------


def test_42_a_deep_plain_network_has_no_vanishing_gradient():
    """With batch normalisation the first layer's gradient is no smaller than the last one's, at any depth."""
    for name in ("plain20", "plain56"):
        torch.manual_seed(0)
        network = create_model(name)
        images, labels = torch.randn(8, 3, 32, 32), torch.arange(8)
        nn.functional.cross_entropy(network(images), labels).backward()
        norms = [conv.weight.grad.norm().item() for conv in layers(network, nn.Conv2d)]
        assert min(norms) >= 0.5 * norms[-1] > 0


def test_43_a_deeper_network_can_always_do_what_a_shallower_one_does(rng):
    """By construction, not by training: layers that copy."""
    shallow = ref.rectifier(
        ref.conv2d(rng.normal(size=(1, 3, 8, 8)), rng.normal(size=(4, 3, 3, 3)), padding=1)
    )
    copying = np.zeros((4, 4, 3, 3))
    copying[range(4), range(4), 1, 1] = 1.0
    np.testing.assert_array_equal(ref.rectifier(ref.conv2d(shallow, copying, padding=1)), shallow)


def test_44_the_global_average_is_older_than_resnet():
    years = {name: int(re.search(r"20\d\d", CATALOGUE[name].source)[0]) for name in ("googlenet", "resnet18")}
    assert years["googlenet"] < years["resnet18"]
    assert isinstance(named("googlenet").head.pool, nn.AdaptiveAvgPool2d)


def test_45_resnet_drops_nothing():
    assert not [layer for layer in layers(named("resnet50"), nn.Dropout) if layer.p]


def test_46_the_jacobian_of_a_layer_is_the_transposed_weight_on_the_right(rng):
    weight, delta = rng.normal(size=(4, 3)), rng.normal(size=(2, 3))
    x = torch.tensor(rng.normal(size=(2, 4)), requires_grad=True)
    (x @ torch.tensor(weight) * torch.tensor(delta)).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), delta @ weight.T)


@pytest.mark.parametrize("sign", [1, -1])
def test_47_products_go_by_the_norm_and_not_by_the_sign(rng, sign):
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    small, large = (np.linalg.norm(np.linalg.matrix_power(sign * norm * turn, 20)) for norm in (0.5, 2.0))
    assert small < 1e-5 and large > 1e5


def test_48_the_skip_adds_the_identity(rng):
    """∂Y₂/∂X₁ = (the path through Wa and Wb) + I, by differences."""
    wa, wb, x1 = rng.normal(size=(3, 4)), rng.normal(size=(4, 3)), rng.normal(size=(1, 3))

    def y2(x):
        return ref.rectifier(x @ wa) @ wb + x

    jacobian = np.stack([(y2(x1 + 1e-6 * e) - y2(x1 - 1e-6 * e))[0] / 2e-6 for e in np.eye(3)])
    path = wa @ np.diag((x1 @ wa > 0).astype(float)[0]) @ wb
    np.testing.assert_allclose(jacobian, path + np.eye(3), atol=1e-6)


def test_49_the_loss_is_a_sum_and_a_bias_is_a_column_of_ones(rng):
    x0, bias = rng.normal(size=(5, 2)), rng.normal(size=(1, 3))
    weights = ref.ToyWeights(rng.normal(size=(2, 3)), rng.normal(size=(3, 4)), rng.normal(size=(4, 3)))
    joined = weights._replace(w0=np.vstack([weights.w0, bias]))
    values = ref.toy_forward(np.hstack([x0, np.ones((5, 1))]), joined, skip=True)
    np.testing.assert_allclose(values.y0, x0 @ weights.w0 + bias)
    squares = (values.x3 - 1.0) ** 2
    loss = ref.toy_loss(np.hstack([x0, np.ones((5, 1))]), joined, target=np.ones((5, 3)), skip=True)
    assert squares.shape == (5, 3) and loss == pytest.approx(squares.sum())


def test_50_a_dense_block_concatenates_and_only_its_transition_compresses():
    shapes = {row.name: row.output_shape for row in summarize("densenet121").rows}
    ways_in = [shapes[f"stage1.layer{number}.function.0.norm"][0] for number in range(1, 7)]
    assert ways_in == [64 + 32 * before for before in range(6)]  # growth: 32 maps more for each layer
    ends = [shapes[f"stage{number}.layer1.function.0.norm"][0] for number in (2, 3, 4)]
    assert ends == [(64 + 6 * 32) // 2, (128 + 12 * 32) // 2, (256 + 24 * 32) // 2]  # θ = ½, between blocks


# §4: class activation maps ------------------------------------------------------------------------------------------


def test_51_softmax_is_of_all_classes_together(rng):
    scores = rng.normal(size=(1, 5))
    assert ref.softmax(scores).sum() == pytest.approx(1)
    assert all(
        ref.softmax(scores[:, k : k + 1]).item() == 1 for k in range(5)
    )  # of one score alone it says nothing


def test_52_a_map_is_the_activation_of_the_filtered_image(rng):
    maps = ref.rectifier(ref.conv2d(rng.normal(size=(1, 1, 6, 6)), KERNEL))
    assert maps.shape == (1, 1, 5, 5) != ref.rectifier(KERNEL).shape


def test_54_pooling_forgets_where_in_its_window_something_was():
    corners = np.zeros((4, 1, 2, 2))
    corners[range(4), 0, [0, 0, 1, 1], [0, 1, 0, 1]] = 1.0
    assert np.unique(ref.max_pool2d(corners, 2)).tolist() == [1.0]
    assert summarize("resnet18").stages[-2].jump == (32, 32)  # a cell of its map stands for 32 pixels


# §5: tools and examples ---------------------------------------------------------------------------------------------


def test_56_steps_are_batches():
    assert 8_000 * 32 == 256_000 and steps_per_epoch(8_000, 32) == 250


def test_57_one_output_is_a_special_case_of_two(rng):
    two = Classes(("cat", "dog"))
    assert outputs_for(two, "auto", yes_or_no=True) == 1 and outputs_for(two, "auto", yes_or_no=False) == 2
    z = rng.normal(size=(6, 1))
    both = ref.softmax(np.hstack([np.zeros_like(z), z]))
    np.testing.assert_allclose(both[:, 1:], ref.sigmoid(z))
    labels = rng.integers(2, size=6)
    one = ref.binary_cross_entropy(z[:, 0], labels.astype(float))
    assert ref.cross_entropy(np.hstack([np.zeros_like(z), z]), labels) == pytest.approx(one)


def test_59_a_batch_gives_the_mean_of_its_gradients(rng):
    logits, labels = rng.normal(size=(4, 3)), rng.integers(3, size=4)
    alone = [ref.cross_entropy_backward(logits[[i]], labels[[i]])[0] for i in range(4)]
    np.testing.assert_allclose(ref.cross_entropy_backward(logits, labels), np.stack(alone) / 4)


def test_60_freezing_changes_no_other_gradient():
    gradients = []
    for frozen in (False, True):
        torch.manual_seed(0)
        network = create_model("lenet5")
        network.stem.requires_grad_(not frozen)
        nn.functional.cross_entropy(network(torch.ones(2, 1, 32, 32)), torch.tensor([0, 1])).backward()
        gradients.append([p.grad for name, p in network.named_parameters() if not name.startswith("stem")])
    assert all(torch.equal(free, frozen) for free, frozen in zip(*gradients, strict=True))


def test_61_the_simple_network_freezes_random_filters():
    recipe = recipe_for("bonet_simple")
    assert recipe.freeze == ("stem",) and not recipe.weights and not recipe.first_layer


def test_62_the_error_in_months_is_twelve_times_that_in_years():
    errors = np.array([[12.0], [-14.4]])
    assert ref.mean_absolute_error(errors, np.zeros((2, 1))) == pytest.approx(12 * 1.1)


@pytest.mark.parametrize(
    ("convolutions", "millions"),
    [
        ("conv 96 k7 p3; pool k2; conv 1024 k5 p2; pool k2", 6346),
        ("conv 96 k7 s2; pool k2; conv 1024 k5; pool k2", 1210),
    ],
)
def test_63_flattened_maps_need_thousands_of_millions_of_weights(convolutions, millions):
    stack = plan(f"{convolutions}; dense 2048; dense 1", (1, 220, 220))
    assert stack.parameters // 10**6 == millions


def test_64_an_epoch_of_the_hands_is_many_iterations():
    recipe = recipe_for("bonet")
    assert recipe.epochs == 150 and steps_per_epoch(1_391, recipe.batch_size) > 10


def test_65_the_error_is_a_mean():
    outputs, targets = np.array([[3.0], [5.0]]), np.array([[1.0], [1.0]])
    assert ref.mean_absolute_error(outputs, targets) == 3.0


def test_66_overfeats_first_layer_strides_and_the_deformation_is_there_to_ask_for():
    (first, *_) = layers(named("bonet").stem, nn.Conv2d)
    assert first.kernel_size == (7, 7) and first.stride == (2, 2)
    plain, bent = (named("bonet", options={"deformation": each}) for each in (False, True))
    assert sum(p.numel() for p in bent.parameters()) - sum(p.numel() for p in plain.parameters()) == 49_382


def test_67_decay_of_the_rate_is_not_decay_of_the_weights():
    recipe = recipe_for("bonet")
    assert recipe.schedule == Time(decay=2e-4) and recipe.optimizer.weight_decay == 0
    at = Moment(step=5_000, rest=10_000, per_epoch=50)
    assert recipe.schedule.after(0.002, at) == pytest.approx(0.001)  # Keras: half after 1 / decay steps
    shrunk = 1.0 * (1 - 0.002 * 2e-4) ** 5_000
    assert shrunk > 0.99  # as a decay of the weights, the same number would hardly be felt
