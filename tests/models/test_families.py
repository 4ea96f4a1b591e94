"""Each family against the numbers of its paper, written out here, and against networks written independently."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from layer_rows import parameters
from torch import Tensor, nn

from mirada import reference as ref
from mirada.errors import InvalidArgument
from mirada.layers.network import Network
from mirada.models import CATALOGUE, create_model

# name: parameters, MACs per image, as the papers (or their best known implementations) have them
PUBLISHED = {
    "lenet5": (61_706, 416_520),
    "simplecnn": (813_217, 11_874_816),
    "resnet18": (11_689_512, 1_814_073_344),
    "resnet34": (21_797_672, 3_663_761_408),
    "resnet50": (25_557_032, 4_089_184_256),
    "resnet101": (44_549_160, 7_801_405_440),
    "resnet152": (60_192_808, 11_513_626_624),
}

# He et al. 2015, Table 1: parameters of conv2_x … conv5_x
RESNET_STAGES = {
    "resnet18": (147_968, 525_568, 2_099_712, 8_393_728),
    "resnet34": (221_952, 1_116_416, 6_822_400, 13_114_368),
    "resnet50": (215_808, 1_219_584, 7_098_368, 14_964_736),
    "resnet101": (215_808, 1_219_584, 26_090_496, 14_964_736),
    "resnet152": (215_808, 2_339_840, 40_613_888, 14_964_736),
}


def on_meta(name: str) -> Network:
    with torch.device("meta"):
        return create_model(name)


def weighted_layers(network: nn.Module) -> list[int]:
    """Parameters of each layer that has any, from the first to the last."""
    return [n for m in network.modules() if not list(m.children()) and (n := parameters(m))]


def shapes(network: Network) -> list[tuple[int, ...]]:
    """(C, h, w) after the stem and after every stage, at the paper's size."""
    maps = torch.empty(1, network.in_channels, *network.image_size, device="meta")
    found = []
    for name, part in network.named_children():
        if name != "head":
            maps = part(maps)
            found.append(tuple(maps.shape[1:]))
    return found


def test_totals_are_the_published_ones() -> None:
    for name, totals in PUBLISHED.items():
        assert (CATALOGUE[name].parameters, CATALOGUE[name].macs) == totals


def test_lenet5() -> None:
    network = on_meta("lenet5")
    assert weighted_layers(network) == [156, 2_416, 48_120, 10_164, 850]
    assert shapes(network) == [(6, 14, 14), (16, 5, 5)]
    assert sum(weighted_layers(network)) == 61_706


def test_simplecnn() -> None:
    network = on_meta("simplecnn")
    assert weighted_layers(network) == [896, 9_248, 802_944, 129]
    assert shapes(network) == [(32, 31, 31), (32, 14, 14)]
    assert sum(weighted_layers(network)) == 813_217


@pytest.mark.parametrize("name", RESNET_STAGES)
def test_resnet_stages(name: str) -> None:
    network = on_meta(name)
    stages = [getattr(network, f"stage{number}") for number in (1, 2, 3, 4)]
    assert tuple(map(parameters, stages)) == RESNET_STAGES[name]
    wide = 1 if name in ("resnet18", "resnet34") else 4
    widths_and_sides = [(64 * wide, 56), (128 * wide, 28), (256 * wide, 14), (512 * wide, 7)]
    assert shapes(network) == [(64, 56, 56), *((c, side, side) for c, side in widths_and_sides)]
    assert parameters(network.stem) == 64 * 3 * 7 * 7 + 2 * 64
    assert parameters(network.head) == 512 * wide * 1000 + 1000


@pytest.mark.parametrize("name", RESNET_STAGES)
def test_resnet_depth_is_in_its_name(name: str) -> None:
    """Convolutions and the linear layer, shortcuts not counted; and no convolution has a bias."""
    network = on_meta(name)
    convolutions = {n: m for n, m in network.named_modules() if isinstance(m, nn.Conv2d)}
    assert sum("shortcut" not in n for n in convolutions) + 1 == int(name.removeprefix("resnet"))
    assert all(m.bias is None for m in convolutions.values())


def test_bottlenecks_stride_in_the_middle() -> None:
    """Version 1.5: the 3 × 3 convolution of a stage's first block halves the size, and its shortcut."""
    network = on_meta("resnet50")
    strides = [
        [m.stride[0] for m in getattr(network, stage)[0].modules() if isinstance(m, nn.Conv2d)]
        for stage in ("stage1", "stage2", "stage3", "stage4")
    ]
    assert strides == [[1, 1, 1, 1], [1, 2, 1, 2], [1, 2, 1, 2], [1, 2, 1, 2]]


def test_resnet_initialisation_is_he_normal_with_fan_out() -> None:
    torch.manual_seed(0)
    network = create_model("resnet18")
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            expected = (2 / (layer.out_channels * layer.kernel_size[0] ** 2)) ** 0.5
            assert layer.weight.std().item() == pytest.approx(expected, rel=0.05)
        if isinstance(layer, nn.BatchNorm2d):
            assert (layer.weight == 1).all()
            assert (layer.bias == 0).all()


def test_simplecnn_initialisation_is_glorot_uniform_without_bias() -> None:
    torch.manual_seed(0)
    for layer in create_model("simplecnn").modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            fan_out, fan_in = layer.weight[:, 0].numel(), layer.weight[0].numel()
            limit = (6 / (fan_in + fan_out)) ** 0.5
            assert layer.weight.abs().max().item() == pytest.approx(limit, rel=0.05)
            assert layer.weight.abs().max().item() <= limit
            assert (layer.bias == 0).all()


# Independent networks ------------------------------------------------------------------------------------


def doubled(name: str, **arguments: Any) -> Network:
    torch.manual_seed(1)
    return create_model(name, **arguments).double().eval()


def arrays(network: nn.Module) -> list[np.ndarray]:
    return [p.detach().numpy() for p in network.parameters()]


def test_lenet5_against_numpy() -> None:
    """The published order, convolution → ReLU → pooling, with the reference's layers."""
    network = doubled("lenet5")
    x = np.random.default_rng(0).normal(size=(3, 1, 32, 32))
    w1, b1, w3, b3, w5, b5, w6, b6, w7, b7 = arrays(network)
    s2 = ref.max_pool2d(ref.rectifier(ref.conv2d(x, w1, bias=b1)), 2)
    s4 = ref.max_pool2d(ref.rectifier(ref.conv2d(s2, w3, bias=b3)), 2)
    c5 = ref.rectifier(ref.linear(ref.flatten(s4), w5, bias=b5))
    f6 = ref.rectifier(ref.linear(c5, w6, bias=b6))
    expected = ref.linear(f6, w7, bias=b7)
    with torch.no_grad():
        outputs = network(torch.from_numpy(x)).numpy()
        features = network.features(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(features, s4, rtol=0, atol=1e-10)
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-10)


def test_simplecnn_against_numpy() -> None:
    network = doubled("simplecnn")
    x = np.random.default_rng(0).normal(size=(2, 3, 64, 64))
    w1, b1, w2, b2, w3, b3, w4, b4 = arrays(network)
    p1 = ref.max_pool2d(ref.rectifier(ref.conv2d(x, w1, bias=b1)), 2)
    p2 = ref.max_pool2d(ref.rectifier(ref.conv2d(p1, w2, bias=b2)), 2)
    hidden = ref.rectifier(ref.linear(ref.flatten(p2), w3, bias=b3))
    expected = ref.linear(hidden, w4, bias=b4)
    with torch.no_grad():
        np.testing.assert_allclose(network(torch.from_numpy(x)).numpy(), expected, rtol=0, atol=1e-10)


def conv_norm(x: Tensor, weights: list[Tensor], *, stride: int) -> Tensor:
    """Takes its three tensors off the front of ``weights``; statistics are the batch's."""
    kernel, gamma, beta = weights.pop(0), weights.pop(0), weights.pop(0)
    y = F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
    mean = y.mean(dim=(0, 2, 3), keepdim=True)
    variance = (y - mean).square().mean(dim=(0, 2, 3), keepdim=True)
    return (y - mean) / (variance + 1e-5).sqrt() * gamma.view(1, -1, 1, 1) + beta.view(1, -1, 1, 1)


def plain_basic(x: Tensor, weights: list[Tensor], *, stride: int) -> Tensor:
    weights = list(weights)
    y = torch.relu(conv_norm(x, weights, stride=stride))
    y = conv_norm(y, weights, stride=1)
    return torch.relu(y + (conv_norm(x, weights, stride=stride) if weights else x))


def plain_bottleneck(x: Tensor, weights: list[Tensor], *, stride: int) -> Tensor:
    weights = list(weights)
    y = torch.relu(conv_norm(x, weights, stride=1))
    y = torch.relu(conv_norm(y, weights, stride=stride))
    y = conv_norm(y, weights, stride=1)
    return torch.relu(y + (conv_norm(x, weights, stride=stride) if weights else x))


@pytest.mark.parametrize(
    ("name", "stage", "number", "stride", "plain"),
    [
        ("resnet18", "stage1", 0, 1, plain_basic),  # an identity
        ("resnet18", "stage2", 0, 2, plain_basic),  # a projection that halves
        ("resnet34", "stage2", 3, 1, plain_basic),
        ("resnet50", "stage1", 0, 1, plain_bottleneck),  # a projection that widens
        ("resnet50", "stage2", 0, 2, plain_bottleneck),
        ("resnet50", "stage2", 1, 1, plain_bottleneck),
    ],
)
def test_a_residual_block_against_plain_torch(
    name: str, stage: str, number: int, stride: int, plain: Callable[..., Tensor]
) -> None:
    """Value, and gradients for the input and every weight, in float64 and training mode."""
    torch.manual_seed(2)
    block = getattr(doubled(name), stage)[number].train()
    weights = list(block.parameters())
    for weight in weights:
        if weight.dim() == 1:
            nn.init.normal_(weight)  # so that γ and β are not 1 and 0
    x = torch.randn(3, weights[0].shape[1], 7, 9, dtype=torch.float64, requires_grad=True)
    outputs, expected = block(x), plain(x, weights, stride=stride)
    torch.testing.assert_close(outputs, expected, rtol=1e-10, atol=1e-10)
    arriving = torch.randn_like(outputs)
    ours = torch.autograd.grad(outputs, [x, *weights], arriving)
    theirs = torch.autograd.grad(expected, [x, *weights], arriving)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


def test_resnet_stem_and_head_against_plain_torch() -> None:
    network = doubled("resnet18", num_classes=4).train()
    x = torch.randn(2, 3, 33, 45, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    stem = F.max_pool2d(torch.relu(conv_norm(x, list(network.stem.parameters()), stride=2)), 3, 2, 1)
    torch.testing.assert_close(network.stem(x), stem, rtol=1e-10, atol=1e-10)
    maps = torch.randn(2, 512, 2, 3, dtype=torch.float64)
    weight, bias = network.head.parameters()
    torch.testing.assert_close(network.head(maps), maps.mean(dim=(2, 3)) @ weight.T + bias)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_weights_that_memory_cannot_hold(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr("mirada.models.lenet.lenet", failing(error))
    with pytest.raises(
        InvalidArgument, match=r"^lenet5 for images of 32 × 32 pixels has more weights than there is"
    ):
        create_model("lenet5")


def test_another_error_of_building_is_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a person who sees PyTorch's own sentence can tell what went wrong."""
    monkeypatch.setattr("mirada.models.lenet.lenet", failing(RuntimeError("expected scalar type Float")))
    with pytest.raises(RuntimeError, match=r"^expected scalar type Float$"):
        create_model("lenet5")


def failing(error: Exception) -> Callable[..., Network]:
    """A builder that raises this."""

    def build(*_: object, **__: object) -> Network:
        raise error

    return build
