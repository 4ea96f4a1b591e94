"""The paper's LeNet-5 and Caffe's LeNet: counts, Table I, codes, and every gradient against NumPy in float64."""

import numpy as np
import pytest
import torch
from layer_rows import layer_rows, on_meta, parameters, stage_shapes
from torch import nn

from mirada import reference as ref
from mirada.errors import InvalidArgument
from mirada.layers.network import Network
from mirada.models.lenet import CONNECTIONS, PartialConv, RadialBasis, lenet, output_codes

TABLE_I = [row for group in CONNECTIONS for row in group]


def built(name: str, **options: object) -> Network:
    side = 28 if name == "lenet_caffe" else 32
    arguments = {"num_classes": 10, "in_channels": 1, "image_size": (side, side)} | options
    torch.manual_seed(0)
    return lenet(name, **arguments)  # type: ignore[arg-type]


def test_lenet5_1998_counts() -> None:
    """C1 and S2, C3 and S4, C5, F6: exactly 60,000, beside 840 fixed numbers."""
    network = built("lenet5_1998")
    c1, s2, _ = network.stem
    c3, _, s4, _ = network.stage1
    found = [parameters(part) for part in (c1, s2, c3, s4, network.stage2, network.head)]
    assert found == [156, 12, 1_516, 32, 48_120, 10_164]
    assert parameters(network) == 60_000
    assert all(p.requires_grad for p in network.parameters())
    assert {name: buffer.numel() for name, buffer in network.named_buffers()} == {"head.distance.codes": 840}


def test_lenet5_1998_sizes_and_connections() -> None:
    """The paper counts 122,304, 151,600, 48,120 and 10,164 connections, biases among them."""
    network = on_meta(lenet, "lenet5_1998", num_classes=10, in_channels=1, image_size=(32, 32))
    assert stage_shapes(network) == [(6, 14, 14), (16, 5, 5), (120, 1, 1)]
    rows = layer_rows(network)
    biases = sum(channels * height * width for (channels, height, width), _, _ in rows[1:4])
    macs = [rows[0][2], sum(row[2] for row in rows[1:4]), *(row[2] for row in rows[4:])]
    assert macs == [122_304 - 6 * 28 * 28, 151_600 - biases, 48_120 - 120, 10_164 - 84]


def test_table_of_connections() -> None:
    assert len(TABLE_I) == len(set(TABLE_I)) == 16
    assert np.bincount([seen for row in TABLE_I for seen in row]).tolist() == [10] * 6
    assert [len(row) for row in TABLE_I] == [3] * 6 + [4] * 9 + [6]


def test_c3_depends_on_what_the_table_lists_and_on_nothing_else() -> None:
    torch.manual_seed(0)
    layer = PartialConv().double()
    maps = torch.randn(1, 6, 5, 5, dtype=torch.float64, requires_grad=True)
    for number, output in enumerate(layer(maps)[0, :, 0, 0]):
        (gradient,) = torch.autograd.grad(output, maps, retain_graph=True)
        assert tuple(gradient.abs().sum((0, 2, 3)).nonzero().flatten().tolist()) == TABLE_I[number]


def dense_c3(layer: PartialConv, attribute: str) -> tuple[np.ndarray, np.ndarray]:
    """C3's weights (or, with ``grad``, their gradients) among zeros, (16, 6, 5, 5), and its biases, (16,)."""
    kernels, biases = [], []
    for conv in layer.convs:
        weight = conv.weight.grad if attribute == "grad" else conv.weight.detach()
        bias = conv.bias.grad if attribute == "grad" else conv.bias.detach()
        kernels += [kernel.numpy() for kernel in weight]
        biases.append(bias.numpy())
    dense = np.zeros((16, 6, 5, 5))
    for number, (row, kernel) in enumerate(zip(TABLE_I, kernels, strict=True)):
        dense[number, list(row)] = kernel
    return dense, np.concatenate(biases)


def test_lenet5_1998_against_numpy() -> None:
    """Outputs and the gradient of every number, C3 as a dense convolution under a mask."""
    network = built("lenet5_1998").double()
    draws = np.random.default_rng(0)
    x, labels = draws.normal(size=(3, 1, 32, 32)), draws.integers(10, size=3)
    outputs = network(torch.from_numpy(x))
    nn.functional.cross_entropy(outputs, torch.from_numpy(labels)).backward()
    p = {name: value.detach().numpy().squeeze((1, 2)) if "stem.1" in name or "stage1.2" in name
         else value.detach().numpy() for name, value in network.named_parameters()}  # fmt: skip
    w3, b3 = dense_c3(network.stage1[0], "weight")
    codes = network.head.distance.codes.numpy()

    c1 = ref.conv2d(x, p["stem.0.conv.weight"], bias=p["stem.0.conv.bias"])
    a1 = ref.scaled_tanh(c1)
    s2 = ref.subsample(a1, coefficient=p["stem.1.coefficient"], bias=p["stem.1.bias"])
    a2 = ref.scaled_tanh(s2)
    c3 = ref.conv2d(a2, w3, bias=b3)
    a3 = ref.scaled_tanh(c3)
    s4 = ref.subsample(a3, coefficient=p["stage1.2.coefficient"], bias=p["stage1.2.bias"])
    a4 = ref.scaled_tanh(s4)
    c5 = ref.conv2d(a4, p["stage2.conv.weight"], bias=p["stage2.conv.bias"])
    a5 = ref.scaled_tanh(c5)
    f6 = ref.linear(ref.flatten(a5), p["head.hidden.weight"], bias=p["head.hidden.bias"])
    a6 = ref.scaled_tanh(f6)
    logits = -ref.radial_basis(a6, codes)
    np.testing.assert_allclose(outputs.detach().numpy(), logits, rtol=1e-12)

    g = {}
    dlogits = ref.cross_entropy_backward(logits, labels)
    df6 = ref.scaled_tanh_backward(ref.radial_basis_backward(-dlogits, a6, centres=codes).dx, f6)
    da5, g["head.hidden.weight"], g["head.hidden.bias"] = ref.linear_backward(
        df6, ref.flatten(a5), weight=p["head.hidden.weight"]
    )
    dc5 = ref.scaled_tanh_backward(ref.flatten_backward(da5, a5), c5)
    da4, g["stage2.conv.weight"], g["stage2.conv.bias"] = ref.conv2d_backward(
        dc5, a4, weight=p["stage2.conv.weight"]
    )
    da3, g["stage1.2.coefficient"], g["stage1.2.bias"] = ref.subsample_backward(
        ref.scaled_tanh_backward(da4, s4), a3, coefficient=p["stage1.2.coefficient"]
    )
    da2, dw3, db3 = ref.conv2d_backward(ref.scaled_tanh_backward(da3, c3), a2, weight=w3)
    da1, g["stem.1.coefficient"], g["stem.1.bias"] = ref.subsample_backward(
        ref.scaled_tanh_backward(da2, s2), a1, coefficient=p["stem.1.coefficient"]
    )
    _, g["stem.0.conv.weight"], g["stem.0.conv.bias"] = ref.conv2d_backward(
        ref.scaled_tanh_backward(da1, c1), x, weight=p["stem.0.conv.weight"]
    )
    own = dict(network.named_parameters())
    for name, expected in g.items():
        np.testing.assert_allclose(
            own[name].grad.numpy().reshape(expected.shape), expected, rtol=1e-9, atol=1e-12
        )
    found_w3, found_b3 = dense_c3(network.stage1[0], "grad")
    mask = dense_c3(network.stage1[0], "weight")[0] != 0
    assert mask.sum() == 1_500
    np.testing.assert_allclose(found_w3, dw3 * mask, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found_b3, db3, rtol=1e-9, atol=1e-12)
    assert sum(each.size for each in g.values()) + mask.sum() + 16 == 60_000


def test_lenet5_1998_starts_as_the_paper_says() -> None:
    """Uniform in ±2.4 / (inputs of a unit)."""
    network = built("lenet5_1998")
    for name, value in network.named_parameters():
        layer = network.get_submodule(name.rpartition(".")[0])
        inputs = layer.weight[0].numel() if hasattr(layer, "weight") else 4
        assert value.abs().max() <= 2.4 / inputs
        assert value.numel() < 100 or value.abs().max() > 0.95 * 2.4 / inputs
        assert value.numel() < 100 or value.std().item() == pytest.approx(2.4 / inputs / 3**0.5, rel=0.1)


def test_the_nearest_code_wins() -> None:
    """A pattern that is a digit's code is at distance 0 from it: the largest output, and nearly all of softmax."""
    units = RadialBasis(output_codes(10))
    outputs = units(units.codes)
    assert outputs.argmax(1).tolist() == list(range(10))
    assert torch.equal(outputs.diagonal(), torch.zeros(10))
    assert (outputs.softmax(1).diagonal() > 0.999).all()
    assert outputs.max() <= 0
    assert outputs[5, 8] == -4 * 11  # the pictures of 5 and 8, the most alike, differ in 11 pixels


def test_codes_of_the_digits() -> None:
    codes = output_codes(10)
    assert codes.shape == (10, 84)
    assert codes.abs().eq(1).all()
    differ = (codes[:, None] != codes).sum(2)
    assert differ[~torch.eye(10, dtype=torch.bool)].min() == 11
    one = codes[1].view(12, 7)
    assert (one[2:-1, 3] == 1).all()  # the stroke of the 1
    assert (one[3:-1, 4:] == -1).all()


@pytest.mark.parametrize("classes", [2, 9, 11, 84, 168])
def test_codes_of_other_numbers_of_classes(classes: int) -> None:
    """Any two differ in half of their places, or in all of them."""
    codes = output_codes(classes)
    assert codes.shape == (classes, 84)
    products = codes @ codes.T
    assert (products.diagonal() == 84).all()
    off = products[~torch.eye(classes, dtype=torch.bool)]
    assert set(off.tolist()) <= ({0.0} if classes <= 84 else {0.0, -84.0})


def test_more_classes_than_codes() -> None:
    sentence = r"^lenet5_1998 has output codes for at most 168 classes\. Got 169; use lenet5\.$"
    with pytest.raises(InvalidArgument, match=sentence):
        built("lenet5_1998", num_classes=169)


def test_a_single_output_is_a_linear_unit() -> None:
    """It must be able to be positive, which minus a distance cannot."""
    network = built("lenet5_1998", num_classes=1)
    assert isinstance(network.head.linear, nn.Linear)
    assert parameters(network) == 60_000 + 85
    assert not list(network.buffers())


def test_lenet5_1998_takes_larger_images() -> None:
    network = built("lenet5_1998", image_size=(40, 53), in_channels=3)
    assert network.features(torch.zeros(2, 3, 40, 53)).shape == (2, 120, 3, 6)
    assert network(torch.zeros(2, 3, 40, 53)).shape == (2, 10)


def test_codes_come_back_from_a_file() -> None:
    """A model file is read into a network without memory."""
    saved, x = built("lenet5_1998").eval(), torch.randn(2, 1, 32, 32)
    read = on_meta(lenet, "lenet5_1998", num_classes=10, in_channels=1, image_size=(32, 32))
    read.load_state_dict(saved.state_dict(), assign=True)
    torch.testing.assert_close(read.eval()(x), saved(x))


def test_lenet_caffe() -> None:
    network = on_meta(lenet, "lenet_caffe", num_classes=10, in_channels=1, image_size=(28, 28))
    assert layer_rows(network) == [
        ((20, 24, 24), 520, 288_000),
        ((50, 8, 8), 25_050, 1_600_000),
        ((500,), 400_500, 400_000),
        ((10,), 5_010, 5_000),
    ]
    assert stage_shapes(network) == [(20, 12, 12), (50, 4, 4)]
    assert parameters(network) == 431_080


def test_lenet_caffe_against_numpy() -> None:
    network = built("lenet_caffe").double()
    x = np.random.default_rng(0).normal(size=(2, 1, 28, 28))
    w1, b1, w2, b2, w3, b3, w4, b4 = (p.detach().numpy() for p in network.parameters())
    p1 = ref.max_pool2d(ref.conv2d(x, w1, bias=b1), 2)
    p2 = ref.max_pool2d(ref.conv2d(p1, w2, bias=b2), 2)
    hidden = ref.rectifier(ref.linear(ref.flatten(p2), w3, bias=b3))
    expected = ref.linear(hidden, w4, bias=b4)
    np.testing.assert_allclose(network(torch.from_numpy(x)).detach().numpy(), expected, rtol=0, atol=1e-10)
    assert p1.min() < 0  # nothing rectifies the maps


def test_lenet_caffe_starts_as_caffe_does() -> None:
    """Its "xavier" filler: uniform in ±√(3 / inputs); biases 0."""
    for layer in built("lenet_caffe").modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            limit = (3 / layer.weight[0].numel()) ** 0.5
            assert 0.95 * limit < layer.weight.abs().max() <= limit
            assert (layer.bias == 0).all()


@pytest.mark.parametrize("activation", ["absolute", "tanh"])
def test_lenet5_squashes_before_pooling_unless_it_commutes(activation: str) -> None:
    squash = {"absolute": np.abs, "tanh": np.tanh}[activation]
    network = built("lenet5", activation=activation).double()
    x = np.random.default_rng(0).normal(size=(2, 1, 32, 32))
    w1, b1, w3, b3, *_ = (p.detach().numpy() for p in network.parameters())
    s2 = ref.max_pool2d(squash(ref.conv2d(x, w1, bias=b1)), 2)
    s4 = ref.max_pool2d(squash(ref.conv2d(s2, w3, bias=b3)), 2)
    found = network.features(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, s4, rtol=0, atol=1e-10)


def test_lenet5_1998_can_squash_otherwise() -> None:
    kinds = {type(layer) for layer in built("lenet5_1998", activation="sigmoid").modules()}
    assert nn.Sigmoid in kinds
    assert not [kind for kind in kinds if kind.__name__ == "ScaledTanh"]
