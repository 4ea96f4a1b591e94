"""The AlexNets against the paper, the notes' table, torchvision's counts, and the formulas written out."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from layer_rows import drawn, layer_rows, on_meta, parameters, stage_shapes, trunk
from torch import Tensor, nn

from mirada.errors import InvalidArgument
from mirada.layers.network import Network
from mirada.models import alexnet as family
from mirada.models.alexnet import alexnet

SIDES = {"alexnet": 227, "alexnet_bn": 227, "alexnet_owt": 224}
# parameters, MACs per image
TOTALS = {
    "alexnet": (60_965_224, 724_406_816),
    "alexnet_bn": (62_379_048, 1_135_256_096),
    "alexnet_owt": (61_100_840, 714_188_480),
}
# one row per layer: output shape, parameters, MACs
DENSE = [
    ((4096,), 37_752_832, 37_748_736),
    ((4096,), 16_781_312, 16_777_216),
    ((1000,), 4_097_000, 4_096_000),
]
LAYERS = {
    "alexnet": [
        ((96, 55, 55), 34_944, 105_415_200),
        ((256, 27, 27), 307_456, 223_948_800),
        ((384, 13, 13), 885_120, 149_520_384),
        ((384, 13, 13), 663_936, 112_140_288),
        ((256, 13, 13), 442_624, 74_760_192),
        *DENSE,
    ],
    "alexnet_bn": [
        ((96, 55, 55), 34_944, 105_415_200),
        ((256, 27, 27), 614_656, 447_897_600),
        ((384, 13, 13), 885_120, 149_520_384),
        ((384, 13, 13), 1_327_488, 224_280_576),
        ((256, 13, 13), 884_992, 149_520_384),
        *DENSE,
    ],
    "alexnet_owt": [
        ((64, 55, 55), 23_296, 70_276_800),
        ((192, 27, 27), 307_392, 223_948_800),
        ((384, 13, 13), 663_936, 112_140_288),
        ((256, 13, 13), 884_992, 149_520_384),
        ((256, 13, 13), 590_080, 99_680_256),
        *DENSE,
    ],
}


def built(name: str, **options: str | float) -> Network:
    return on_meta(alexnet, name, image_size=(SIDES[name], SIDES[name]), **options)


@pytest.mark.parametrize("name", TOTALS)
def test_every_layer(name: str) -> None:
    network = built(name)
    rows = layer_rows(network)
    assert rows == LAYERS[name]
    assert (parameters(network), sum(macs for _, _, macs in rows)) == TOTALS[name]


@pytest.mark.parametrize("name", TOTALS)
def test_sides(name: str) -> None:
    """55 → 27 → 13 → 6 pixels by overlapping pooling."""
    shapes = stage_shapes(built(name))
    assert [shape[1:] for shape in shapes] == [(27, 27), (13, 13), (13, 13), (13, 13), (6, 6)]
    pools = [m for m in trunk(built(name)).modules() if isinstance(m, nn.MaxPool2d)]
    assert [(m.kernel_size, m.stride) for m in pools] == [(3, 2)] * 3


def kinds(part: nn.Module) -> list[str]:
    return [type(m).__name__ for m in part.modules() if not list(m.children())]


def test_order_within_a_layer() -> None:
    """2012 normalizes, then pools; the notes pool, then normalize by the batch."""
    for part in ("stem", "stage1"):
        of = {name: kinds(built(name).get_submodule(part)) for name in TOTALS}
        assert of["alexnet"] == ["Conv2d", "ReLU", "LocalResponseNorm", "MaxPool2d"]
        assert of["alexnet_bn"] == ["Conv2d", "ReLU", "MaxPool2d", "BatchNorm2d"]
        assert of["alexnet_owt"] == ["Conv2d", "ReLU", "MaxPool2d"]


def paper_normalization(a: np.ndarray) -> np.ndarray:
    """§3.3: bᵢ = aᵢ / (k + α Σ aⱼ²)^β over the j within n/2 of i, with k = 2, n = 5, α = 10⁻⁴, β = 0.75."""
    maps, n = a.shape[1], 5
    b = np.empty_like(a)
    for i in range(maps):
        near = a[:, max(0, i - n // 2) : min(maps - 1, i + n // 2) + 1]
        b[:, i] = a[:, i] / (2 + 1e-4 * (near**2).sum(axis=1)) ** 0.75
    return b


def test_normalization_is_the_papers() -> None:
    a = np.random.default_rng(0).normal(scale=100, size=(2, 96, 4, 5))  # large, so that α matters
    layers = [m for m in built("alexnet").modules() if isinstance(m, nn.LocalResponseNorm)]
    assert len(layers) == 2
    for layer in layers:
        np.testing.assert_allclose(layer(torch.from_numpy(a)).numpy(), paper_normalization(a), rtol=1e-12)


def plain_alexnet(x: Tensor, state: list[Tensor]) -> Tensor:
    """The two towers of the paper apart: each has half of the maps, and they meet in layer 3 only."""

    def convolve(x: Tensor, stride: int, padding: int) -> Tensor:
        return F.conv2d(x, state.pop(0), state.pop(0), stride, padding).relu()

    def towers(x: Tensor, padding: int) -> Tensor:
        weight, bias = state.pop(0).chunk(2), state.pop(0).chunk(2)
        halves = x.chunk(2, dim=1)
        return torch.cat([F.conv2d(halves[i], weight[i], bias[i], 1, padding) for i in (0, 1)], dim=1).relu()

    def normalize_and_pool(x: Tensor) -> Tensor:
        return F.max_pool2d(torch.from_numpy(paper_normalization(x.numpy())), 3, 2)

    y = normalize_and_pool(convolve(x, 4, 0))
    y = normalize_and_pool(towers(y, 2))
    y = towers(convolve(y, 1, 1), 1)
    return F.max_pool2d(towers(y, 1), 3, 2)


def test_features_against_two_towers() -> None:
    layers = drawn(trunk(built("alexnet"))).eval()
    x = torch.randn(2, 3, 99, 83, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = plain_alexnet(x, list(layers.state_dict().values()))
    with torch.no_grad():
        torch.testing.assert_close(layers(x), expected, rtol=1e-10, atol=1e-12)


def test_dropout_is_on_outputs_in_2012_and_on_inputs_in_torchvision() -> None:
    hidden = [["hidden1", "act1"], ["hidden2", "act2"]]
    for name in ("alexnet", "alexnet_bn"):
        expected = ["pool", "flatten", *hidden[0], "dropout1", *hidden[1], "dropout2", "linear"]
        assert list(dict(built(name).head.named_children())) == expected
    expected = ["pool", "flatten", "dropout1", *hidden[0], "dropout2", *hidden[1], "linear"]
    assert list(dict(built("alexnet_owt").head.named_children())) == expected
    for name in TOTALS:
        assert built(name).head.dropout1.p == 0.5
        assert built(name, dropout=0.1).head.dropout2.p == 0.1


@pytest.mark.parametrize("name", TOTALS)
def test_another_activation_replaces_all(name: str) -> None:
    modules = list(built(name, activation="leaky_relu").modules())
    assert sum(type(m).__name__ == "Rectifier" for m in modules) == 7
    assert not any(isinstance(m, nn.ReLU) for m in modules)


@pytest.mark.parametrize("name", ["alexnet", "alexnet_bn"])
def test_initialisation(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Caffe's: standard deviation 0.01, in layers 6 and 7 half of it; bias 0.1 in layers 2, 4, 5, 6 and 7."""
    monkeypatch.setattr(family, "HIDDEN", 128)  # a tenth of the time
    torch.manual_seed(0)
    network = alexnet(name, num_classes=100, in_channels=3, image_size=(67, 67))
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    deviations = [0.01, 0.01, 0.01, 0.01, 0.01, 0.005, 0.005, 0.01]
    assert [m.weight.std().item() for m in layers] == pytest.approx(deviations, rel=0.05)
    assert all((m.bias == m.bias[0]).all() for m in layers)
    assert [m.bias[0].item() for m in layers] == pytest.approx([0, 0.1, 0, 0.1, 0.1, 0.1, 0.1, 0])


@pytest.mark.parametrize(("name", "side"), [("alexnet", 67), ("alexnet_bn", 67), ("alexnet_owt", 63)])
def test_the_smallest_side(name: str, side: int) -> None:
    network = on_meta(alexnet, name, image_size=(side, side)).eval()
    assert network(torch.empty(1, 3, side, side, device="meta")).shape == (1, 1000)
    with pytest.raises(InvalidArgument, match=rf"it needs at least {side} × {side}\.$"):
        on_meta(alexnet, name, image_size=(side, side - 1))
    with pytest.raises(RuntimeError, match="too small"):
        trunk(network)(torch.empty(1, 3, side - 1, side, device="meta"))
