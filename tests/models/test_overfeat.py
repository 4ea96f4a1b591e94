"""OverFeat against Tables 1 and 3 of its paper, and plain torch."""

import pytest
import torch
import torch.nn.functional as F
from layer_rows import drawn, layer_rows, on_meta, parameters, stage_shapes, trunk
from torch import nn

from mirada.errors import InvalidArgument
from mirada.layers.network import Network
from mirada.models import overfeat as family
from mirada.models.overfeat import overfeat

SIDES = {"overfeat_fast": 231, "overfeat_accurate": 221}
# parameters, MACs per image; the paper says 145 and 144 million parameters, 2,810 and 5,369 million connections
TOTALS = {
    "overfeat_fast": (145_920_872, 2_801_403_904),
    "overfeat_accurate": (144_656_488, 5_355_446_784),
}
# one row per layer: output shape, parameters, MACs
LAYERS = {
    "overfeat_fast": [
        ((96, 56, 56), 34_944, 109_283_328),
        ((256, 24, 24), 614_656, 353_894_400),
        ((512, 12, 12), 1_180_160, 169_869_312),
        ((1024, 12, 12), 4_719_616, 679_477_248),
        ((1024, 12, 12), 9_438_208, 1_358_954_496),
        ((3072,), 113_249_280, 113_246_208),
        ((4096,), 12_587_008, 12_582_912),
        ((1000,), 4_097_000, 4_096_000),
    ],
    "overfeat_accurate": [
        ((96, 108, 108), 14_208, 164_602_368),
        ((256, 30, 30), 1_204_480, 1_083_801_600),
        ((512, 15, 15), 1_180_160, 265_420_800),
        ((512, 15, 15), 2_359_808, 530_841_600),
        ((1024, 15, 15), 4_719_616, 1_061_683_200),
        ((1024, 15, 15), 9_438_208, 2_123_366_400),
        ((4096,), 104_861_696, 104_857_600),
        ((4096,), 16_781_312, 16_777_216),
        ((1000,), 4_097_000, 4_096_000),
    ],
}
# sides after every layer
STAGES = {"overfeat_fast": [28, 12, 12, 12, 6], "overfeat_accurate": [36, 15, 15, 15, 15, 5]}


def built(name: str, **options: str | float) -> Network:
    return on_meta(overfeat, name, image_size=(SIDES[name], SIDES[name]), **options)


@pytest.mark.parametrize("name", TOTALS)
def test_every_layer(name: str) -> None:
    network = built(name)
    rows = layer_rows(network)
    assert rows == LAYERS[name]
    assert (parameters(network), sum(macs for _, _, macs in rows)) == TOTALS[name]


@pytest.mark.parametrize("name", TOTALS)
def test_sides_by_pooling_without_overlap(name: str) -> None:
    assert [shape[1:] for shape in stage_shapes(built(name))] == [(side, side) for side in STAGES[name]]
    pools = [m for m in trunk(built(name)).modules() if isinstance(m, nn.MaxPool2d)]
    assert len(pools) == 3
    assert all(m.kernel_size == m.stride for m in pools)


def test_features_against_plain_torch() -> None:
    layers = drawn(trunk(built("overfeat_accurate"))).eval()
    x = torch.randn(1, 3, 77, 80, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    w = list(layers.state_dict().values())
    y = F.max_pool2d(F.conv2d(x, w[0], w[1], stride=2).relu(), 3)
    y = F.max_pool2d(F.conv2d(y, w[2], w[3]).relu(), 2)
    for i in (4, 6, 8, 10):
        y = F.conv2d(y, w[i], w[i + 1], padding=1).relu()
    with torch.no_grad():
        torch.testing.assert_close(layers(x), F.max_pool2d(y, 3), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", TOTALS)
def test_options(name: str) -> None:
    network = built(name, activation="tanh", dropout=0.2)
    assert sum(isinstance(m, nn.Tanh) for m in network.modules()) == len(LAYERS[name]) - 1
    assert not any(isinstance(m, nn.ReLU) for m in network.modules())
    assert [m.p for m in network.modules() if isinstance(m, nn.Dropout)] == [0.2, 0.2]
    assert [m.p for m in built(name).modules() if isinstance(m, nn.Dropout)] == [0.5, 0.5]


def test_initialisation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(family.DENSE, "overfeat_fast", (6, (128, 128), 71))  # a tenth of the time
    torch.manual_seed(0)
    network = overfeat("overfeat_fast", num_classes=100, in_channels=3, image_size=(71, 71))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            assert layer.weight.std().item() == pytest.approx(0.01, rel=0.05)
            assert (layer.bias == 0).all()


@pytest.mark.parametrize(("name", "side"), [("overfeat_fast", 71), ("overfeat_accurate", 77)])
def test_the_smallest_side(name: str, side: int) -> None:
    network = on_meta(overfeat, name, image_size=(side, side)).eval()
    assert network(torch.empty(1, 3, side, side, device="meta")).shape == (1, 1000)
    with pytest.raises(InvalidArgument, match=rf"it needs at least {side} × {side}\.$"):
        on_meta(overfeat, name, image_size=(side - 1, side))
    with pytest.raises(RuntimeError, match="too small"):
        trunk(network)(torch.empty(1, 3, side - 1, side, device="meta"))
