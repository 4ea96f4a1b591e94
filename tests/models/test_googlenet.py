"""GoogLeNet against the numbers of its paper, written out here, and against plain torch."""

from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from layer_rows import parameters
from module_rows import Row, images, module_rows
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mirada.errors import InvalidArgument
from mirada.layers.blocks import ConvStyle
from mirada.layers.network import Network
from mirada.models.googlenet import STAGES, googlenet, inception_module, naive_module

# Szegedy et al. 2014, Table 1, with an ordinary first convolution
PAPER: dict[str, Row] = {
    "conv1": ((64, 112, 112), 9_472, 118_013_952),
    "reduce2": ((64, 56, 56), 4_160, 12_845_056),
    "conv2": ((192, 56, 56), 110_784, 346_816_512),
    "inception3a": ((256, 28, 28), 163_696, 128_049_152),
    "inception3b": ((480, 28, 28), 388_736, 304_267_264),
    "inception4a": ((512, 14, 14), 376_176, 73_608_192),
    "inception4b": ((512, 14, 14), 449_160, 87_908_352),
    "inception4c": ((512, 14, 14), 510_104, 99_850_240),
    "inception4d": ((528, 14, 14), 605_376, 118_515_712),
    "inception4e": ((832, 14, 14), 868_352, 169_996_288),
    "inception5a": ((832, 7, 7), 1_043_456, 51_079_168),
    "inception5b": ((1024, 7, 7), 1_444_080, 70_697_984),
    "linear": ((1000,), 1_025_000, 1_024_000),
}
NAMES = ["googlenet", "googlenet_bn"]


def build(name: str, **options: Any) -> Network:
    return googlenet(name, **({"num_classes": 1000, "in_channels": 3, "image_size": (224, 224)} | options))


@cache
def on_meta(name: str, **options: Any) -> Network:
    """Built once; tests leave it as it is."""
    with torch.device("meta"):
        return build(name, **options)


def test_modules_are_those_of_table_1() -> None:
    assert module_rows(on_meta("googlenet")) == PAPER


@pytest.mark.parametrize(
    ("name", "predicting", "training", "macs"),
    [
        ("googlenet", 6_998_552, 13_378_280, 1_582_671_872),
        ("googlenet_bn", 6_624_904, 13_004_888, 1_498_376_192),
    ],
)
def test_totals(name: str, predicting: int, training: int, macs: int) -> None:
    assert parameters(on_meta(name)) == predicting
    assert parameters(on_meta(name, auxiliary=True)) == training
    assert sum(row[2] for row in module_rows(on_meta(name, auxiliary=True)).values()) == macs


def test_auxiliary_heads_of_the_paper() -> None:
    heads = on_meta("googlenet", auxiliary=True).get_submodule("auxiliary")
    assert {stage: parameters(head) for stage, head in heads.named_children()} == {
        "stage2": 3_188_840,
        "stage3": 3_190_888,
    }


@pytest.mark.parametrize("name", NAMES)
def test_stages_end_where_the_auxiliary_heads_read(name: str) -> None:
    rows = module_rows(on_meta(name))
    assert {module: row[0] for module, row in rows.items()} == {
        module: row[0] for module, row in PAPER.items()
    }
    network = on_meta(name)
    ends = [list(dict(getattr(network, f"stage{n}").named_children()))[-1] for n in range(1, 6)]
    assert ends == ["inception3b", "inception4a", "inception4d", "inception4e", "inception5b"]


def test_dropouts_and_poolings_of_the_two() -> None:
    def dropouts(network: Network) -> list[float]:
        return [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)]

    assert sorted(dropouts(on_meta("googlenet", auxiliary=True))) == [0.4, 0.7, 0.7]
    assert sorted(dropouts(on_meta("googlenet_bn", auxiliary=True))) == [0.2, 0.7, 0.7]
    assert dropouts(on_meta("googlenet", dropout=0.0)) == []
    assert dropouts(on_meta("googlenet", dropout=0.1)) == [0.1]
    kernels = {name: on_meta(name).get_submodule("stage5.pool").kernel_size for name in NAMES}
    assert kernels == {"googlenet": 3, "googlenet_bn": 2}


def test_norms_of_the_two() -> None:
    paper, batch = (list(on_meta(name, auxiliary=True).modules()) for name in NAMES)
    lrn = [layer for layer in paper if isinstance(layer, nn.LocalResponseNorm)]
    assert [(layer.size, layer.alpha, layer.beta, layer.k) for layer in lrn] == [(5, 1e-4, 0.75, 1.0)] * 2
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in paper)
    assert all(layer.bias is not None for layer in paper if isinstance(layer, nn.Conv2d))
    assert not any(isinstance(layer, nn.LocalResponseNorm) for layer in batch)
    assert all(layer.bias is None for layer in batch if isinstance(layer, nn.Conv2d))
    assert {layer.eps for layer in batch if isinstance(layer, nn.BatchNorm2d)} == {1e-3}


# Figure 16 of the lecture notes ----------------------------------------------------------------------------


def test_bottlenecks_cost_a_third_of_the_naive_module() -> None:
    conv, widths = ConvStyle(batch_norm=False), STAGES[0]["3a"]._replace(one=128, reduce3=64, three=192)
    with torch.device("meta"):
        naive = naive_module(conv, 256, one=128, three=192, five=96)
        lean = inception_module(conv, 256, widths=widths._replace(reduce5=64, five=96, project=64))
    counted = []
    for module in (naive, lean):
        with FlopCounterMode(display=False) as counter:
            shape = module(torch.empty(1, 256, 28, 28, device="meta")).shape[1:]
        counted.append((tuple(shape), counter.get_total_flops() // 2))
    assert counted == [((672, 28, 28), 854_196_224), ((480, 28, 28), 271_351_808)]


def test_naive_module_against_plain_torch() -> None:
    torch.manual_seed(0)
    module = naive_module(ConvStyle(batch_norm=False), 5, one=2, three=3, five=4).double()
    x = images(2, 5, 6, 7)
    w1, b1, w3, b3, w5, b5 = module.parameters()
    expected = [
        F.conv2d(x, w1, b1).relu(),
        F.conv2d(x, w3, b3, padding=1).relu(),
        F.conv2d(x, w5, b5, padding=2).relu(),
        F.max_pool2d(x, 3, 1, 1),
    ]
    torch.testing.assert_close(module(x), torch.cat(expected, 1))


# Against plain torch ---------------------------------------------------------------------------------------


def plain_module(x: Tensor, weights: list[Tensor]) -> Tensor:
    """Fig. 2b: 1 × 1, 3 × 3, 5 × 5, pooling; two tensors a convolution."""
    (w1, b1, r3, c3, w3, b3, r5, c5, w5, b5, wp, bp), weights[:12] = weights[:12], []
    three = F.conv2d(F.conv2d(x, r3, c3).relu(), w3, b3, padding=1).relu()
    five = F.conv2d(F.conv2d(x, r5, c5).relu(), w5, b5, padding=2).relu()
    pool = F.conv2d(F.max_pool2d(x, 3, 1, 1), wp, bp).relu()
    return torch.cat([F.conv2d(x, w1, b1).relu(), three, five, pool], 1)


def plain_auxiliary(maps: Tensor, weights: list[Tensor]) -> Tensor:
    wc, bc, w1, b1, w2, b2 = weights
    x = F.conv2d(F.avg_pool2d(maps, 5, 3), wc, bc).relu().flatten(1)
    return F.linear(F.linear(x, w1, b1).relu(), w2, b2)


def test_the_papers_network_against_plain_torch() -> None:
    """All three outputs and the gradient for the images. No public network of this kind exists in torch."""
    torch.manual_seed(0)
    network = build("googlenet", num_classes=5, image_size=(224, 224), auxiliary=True).double().train()
    for layer in network.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    weights = [p for name, p in network.named_parameters() if not name.startswith("auxiliary")]
    x = images(1, 3, 224, 224).requires_grad_()

    def pool(maps: Tensor) -> Tensor:
        return F.max_pool2d(maps, 3, 2, ceil_mode=True)

    def norm(maps: Tensor) -> Tensor:
        return F.local_response_norm(maps, 5, alpha=1e-4, beta=0.75, k=1.0)

    w1, b1, w2, b2, w3, b3 = weights[:6]
    del weights[:6]
    maps = norm(pool(F.conv2d(x, w1, b1, stride=2, padding=3).relu()))
    maps = pool(norm(F.conv2d(F.conv2d(maps, w2, b2).relu(), w3, b3, padding=1).relu()))
    tapped = []
    for letter in ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"]:
        maps = plain_module(pool(maps) if letter in ("4a", "5a") else maps, weights)
        if letter in ("4a", "4d"):
            tapped.append(maps)
    expected = [F.linear(maps.mean((2, 3)), *weights)]
    for stage, tap in zip(("stage2", "stage3"), tapped, strict=True):
        expected.append(plain_auxiliary(tap, list(network.get_submodule(f"auxiliary.{stage}").parameters())))

    outputs = network.training_outputs(x)
    assert len(outputs) == 3
    arriving = images(1, 5)
    for one, other in zip(outputs, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
        ours, theirs = (torch.autograd.grad(y, x, arriving, retain_graph=True)[0] for y in (one, other))
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-12 * theirs.abs().max().item() + 1e-18)
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(x), expected[0].detach(), rtol=1e-9, atol=1e-12)


# Options, sizes, initialisation ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_auxiliary_losses_count_three_tenths(name: str) -> None:
    network = on_meta(name, auxiliary=True, num_classes=2)
    assert network.auxiliary_weight == 0.3
    outputs = network.train().training_outputs(torch.empty(4, 3, 224, 224, device="meta"))
    assert [tuple(y.shape) for y in outputs] == [(4, 2)] * 3
    assert len(on_meta(name).training_outputs(torch.empty(4, 3, 224, 224, device="meta"))) == 1


@pytest.mark.parametrize("name", NAMES)
def test_any_activation(name: str) -> None:
    network = on_meta(name, activation="tanh", auxiliary=True)
    assert (
        sum(isinstance(layer, nn.Tanh) for layer in network.modules()) == 57 + 4
    )  # convolutions; two per head
    assert not any(isinstance(layer, nn.ReLU) for layer in network.modules())


@pytest.mark.parametrize(
    ("name", "auxiliary", "side"),
    [
        ("googlenet", False, 31),
        ("googlenet", True, 79),
        ("googlenet_bn", False, 15),
        ("googlenet_bn", True, 15),
    ],
)
def test_the_smallest_size_is_the_smallest(
    monkeypatch: pytest.MonkeyPatch, name: str, auxiliary: bool, side: int
) -> None:
    network = build(name, auxiliary=auxiliary, num_classes=2, image_size=(side, side)).train()
    assert network.min_size == side
    outputs = network.training_outputs(torch.zeros(2, 3, side, side))
    assert [tuple(y.shape) for y in outputs] == [(2, 2)] * (3 if auxiliary else 1)
    monkeypatch.setattr(network, "min_size", 0)
    with pytest.raises(RuntimeError, match=r"too small"):
        network.training_outputs(torch.zeros(2, 3, side - 1, side - 1))
    with pytest.raises(InvalidArgument, match=rf"^Images of {side - 1} × {side} pixels are too small"):
        on_meta(name, auxiliary=auxiliary, image_size=(side - 1, side))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(83, 120)])
def test_odd_sizes(name: str, size: tuple[int, int]) -> None:
    network = on_meta(name, auxiliary=True, num_classes=2, in_channels=1, image_size=size)
    outputs = network.training_outputs(torch.empty(2, 1, *size, device="meta"))
    assert [tuple(y.shape) for y in outputs] == [(2, 2)] * 3


def test_initialisation_of_the_paper_is_caffes() -> None:
    torch.manual_seed(0)
    for name, layer in build("googlenet", auxiliary=True).named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            limit = (3 / layer.weight[0].numel()) ** 0.5
            assert 0.9 * limit < layer.weight.abs().max().item() <= limit
            assert (layer.bias == (0 if name.endswith("linear") else 0.2)).all(), name


def test_initialisation_with_batch_norm_is_torchvisions() -> None:
    torch.manual_seed(0)
    for layer in build("googlenet_bn", auxiliary=True).modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            assert layer.weight.std().item() == pytest.approx(0.01, rel=0.1)
        if isinstance(layer, nn.Linear):
            assert (layer.bias == 0).all()
