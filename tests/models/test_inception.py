"""BN-Inception, Inception-v2 and -v3 against published numbers, written out here, and against plain torch."""

from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from layer_rows import parameters
from module_rows import Row, images, module_rows
from torch import Tensor, nn

from mirada.errors import InvalidArgument
from mirada.layers.network import Network
from mirada.models import create_model
from mirada.models.inception import ReducingMaxPool, inception

# Ioffe & Szegedy 2015, Figure 5, with an ordinary first convolution and widths that add up
BN_INCEPTION: dict[str, Row] = {
    "conv1": ((64, 112, 112), 9_536, 118_013_952),
    "reduce2": ((64, 56, 56), 4_224, 12_845_056),
    "conv2": ((192, 56, 56), 110_976, 346_816_512),
    "inception3a": ((256, 28, 28), 219_072, 170_999_808),
    "inception3b": ((320, 28, 28), 260_160, 203_112_448),
    "inception3c": ((576, 14, 14), 385_088, 143_904_768),
    "inception4a": ((576, 14, 14), 609_984, 119_218_176),
    "inception4b": ((576, 14, 14), 665_344, 130_056_192),
    "inception4c": ((608, 14, 14), 914_432, 178_827_264),
    "inception4d": ((608, 14, 14), 1_142_912, 223_584_256),
    "inception4e": ((1056, 7, 7), 1_449_984, 164_577_280),
    "inception5a": ((1024, 7, 7), 2_208_896, 108_079_104),
    "inception5b": ((1024, 7, 7), 2_279_616, 111_541_248),
    "linear": ((1000,), 1_025_000, 1_024_000),
}
# what v2 and v3 share after 35 × 35, with their module's name left open
SHARED: tuple[Row, ...] = (
    ((768, 17, 17), 1_153_280, 401_937_408),
    ((768, 17, 17), 1_297_408, 374_063_104),
    ((768, 17, 17), 1_691_008, 487_702_528),
    ((768, 17, 17), 1_691_008, 487_702_528),
    ((768, 17, 17), 2_141_952, 617_914_368),
    ((1280, 8, 8), 1_698_304, 291_004_416),
    ((2048, 8, 8), 5_044_608, 322_437_120),
    ((2048, 8, 8), 6_076_800, 388_497_408),
    ((1000,), 2_049_000, 2_048_000),
)
INCEPTION_V2: tuple[Row, ...] = (
    ((32, 149, 149), 928, 19_181_664),
    ((32, 147, 147), 9_280, 199_148_544),
    ((64, 147, 147), 18_560, 398_297_088),
    ((80, 71, 71), 46_240, 232_289_280),
    ((192, 35, 35), 138_624, 169_344_000),
    ((288, 35, 35), 498_240, 609_638_400),
    *[((288, 35, 35), 236_000, 287_884_800)] * 3,
    *SHARED[:3],
    SHARED[2],
    *SHARED[3:],
)
INCEPTION_V3: tuple[Row, ...] = (
    ((32, 149, 149), 928, 19_181_664),
    ((32, 147, 147), 9_280, 199_148_544),
    ((64, 147, 147), 18_560, 398_297_088),
    ((80, 73, 73), 5_280, 27_284_480),
    ((192, 71, 71), 138_624, 696_867_840),
    ((256, 35, 35), 255_904, 312_345_600),
    ((288, 35, 35), 277_472, 338_688_000),
    ((288, 35, 35), 285_152, 348_096_000),
    *SHARED,
)
NAMES = ["bn_inception", "inception_v2", "inception_v3"]


def build(name: str, **options: Any) -> Network:
    side = 224 if name == "bn_inception" else 299
    return inception(name, **({"num_classes": 1000, "in_channels": 3, "image_size": (side, side)} | options))


@cache
def on_meta(name: str, **options: Any) -> Network:
    """Built once; tests leave it as it is."""
    with torch.device("meta"):
        return build(name, **options)


def test_modules() -> None:
    assert module_rows(on_meta("bn_inception")) == BN_INCEPTION
    assert tuple(module_rows(on_meta("inception_v2")).values()) == INCEPTION_V2
    assert tuple(module_rows(on_meta("inception_v3")).values()) == INCEPTION_V3


@pytest.mark.parametrize(
    ("name", "count", "macs"),
    [
        ("bn_inception", 11_285_224, 2_032_600_064),
        ("inception_v2", 25_954_248, 6_352_562_784),
        ("inception_v3", 23_834_568, 5_713_216_096),
    ],
)
def test_totals(name: str, count: int, macs: int) -> None:
    network = on_meta(name)
    assert parameters(network) == count
    assert sum(row[2] for row in module_rows(network).values()) == macs


def test_inception_v3_in_training() -> None:
    network = on_meta("inception_v3", auxiliary=True)
    assert parameters(network) == 27_161_264
    assert parameters(network.get_submodule("auxiliary")) == 3_326_696
    assert module_rows(network) == module_rows(on_meta("inception_v3"))


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("bn_inception", ["inception3b", "inception4d", "inception5b"]),
        ("inception_v2", ["mixed5d", "mixed6f", "mixed7c"]),
        ("inception_v3", ["mixed5d", "mixed6e", "mixed7c"]),
    ],
)
def test_stages_end_where_the_size_changes(name: str, ends: list[str]) -> None:
    network = on_meta(name)
    assert [list(dict(getattr(network, f"stage{n}").named_children()))[-1] for n in (1, 2, 3)] == ends
    sides = [shape[-1] for shape, _, _ in module_rows(network).values() if len(shape) == 3]
    assert [side for side in sides if side < 40] == sorted((s for s in sides if s < 40), reverse=True)


@pytest.mark.parametrize(
    ("name", "eps"), [("bn_inception", 1e-5), ("inception_v2", 1e-3), ("inception_v3", 1e-3)]
)
def test_batch_norm(name: str, eps: float) -> None:
    layers = list(on_meta(name).modules())
    assert {layer.eps for layer in layers if isinstance(layer, nn.BatchNorm2d)} == {eps}
    assert all(layer.bias is None for layer in layers if isinstance(layer, nn.Conv2d))
    assert all(layer.count_include_pad for layer in layers if isinstance(layer, nn.AvgPool2d))


# Against plain torch ---------------------------------------------------------------------------------------


def cbr(
    x: Tensor, weights: list[Tensor], *, eps: float, stride: int = 1, padding: int | None = None
) -> Tensor:
    """Takes its three tensors off the front; statistics are the batch's."""
    kernel, gamma, beta = weights.pop(0), weights.pop(0), weights.pop(0)
    height, width = kernel.shape[-2:]
    same = (height // 2, width // 2)
    y = F.conv2d(x, kernel, stride=stride, padding=same if padding is None else padding)
    mean = y.mean(dim=(0, 2, 3), keepdim=True)
    variance = (y - mean).square().mean(dim=(0, 2, 3), keepdim=True)
    return ((y - mean) / (variance + eps).sqrt() * gamma.view(1, -1, 1, 1) + beta.view(1, -1, 1, 1)).relu()


def average(x: Tensor) -> Tensor:
    return F.conv2d(x, torch.full((x.shape[1], 1, 3, 3), 1 / 9, dtype=x.dtype), padding=1, groups=x.shape[1])


def randomised(network: Network) -> Network:
    """Scales and shifts that are not 1 and 0, and no dropout."""
    torch.manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    return network.double().train()


@pytest.fixture(scope="module")
def bn_inception() -> Network:
    torch.manual_seed(1)
    return randomised(build("bn_inception", num_classes=3))


@pytest.fixture(scope="module")
def inception_v2() -> Network:
    torch.manual_seed(1)
    return randomised(build("inception_v2", num_classes=3))


@pytest.mark.parametrize(("module", "pool"), [("4c", average), ("5b", lambda x: F.max_pool2d(x, 3, 1, 1))])
def test_a_module_of_bn_inception(bn_inception: Network, module: str, pool: Any) -> None:
    """Order: 1 × 1, 3 × 3, double 3 × 3, pooling."""
    ours = bn_inception.get_submodule(f"stage{2 if module == '4c' else 3}.inception{module}")
    weights = list(ours.parameters())
    x = images(2, weights[0].shape[1], 5, 6)
    eps = 1e-5
    one = cbr(x, weights, eps=eps)
    three = cbr(cbr(x, weights, eps=eps), weights, eps=eps)
    double = cbr(cbr(cbr(x, weights, eps=eps), weights, eps=eps), weights, eps=eps)
    projected = cbr(pool(x), weights, eps=eps)
    torch.testing.assert_close(ours(x), torch.cat([one, three, double, projected], 1))


def test_a_reduction_of_bn_inception(bn_inception: Network) -> None:
    """Order: 3 × 3, double 3 × 3, the pooled input as it is; the last convolutions have stride 2."""
    ours = bn_inception.get_submodule("stage2.inception3c")
    weights = list(ours.parameters())
    x = images(2, 320, 8, 6)
    eps = 1e-5
    three = cbr(cbr(x, weights, eps=eps), weights, eps=eps, stride=2)
    double = cbr(cbr(cbr(x, weights, eps=eps), weights, eps=eps), weights, eps=eps, stride=2)
    pooled = F.max_pool2d(x, 3, 2, ceil_mode=True)
    torch.testing.assert_close(ours(x), torch.cat([three, double, pooled], 1))


def test_the_stem_of_bn_inception(bn_inception: Network) -> None:
    weights = list(bn_inception.stem.parameters())
    x = images(2, 3, 30, 37)
    y = F.max_pool2d(cbr(x, weights, eps=1e-5, stride=2), 3, 2, ceil_mode=True)
    y = cbr(cbr(y, weights, eps=1e-5), weights, eps=1e-5)
    torch.testing.assert_close(bn_inception.stem(x), F.max_pool2d(y, 3, 2, ceil_mode=True))


@pytest.mark.parametrize("height", range(1, 8))
@pytest.mark.parametrize("width", [4, 5])
def test_reducing_max_pool_against_a_loop(height: int, width: int) -> None:
    """Windows start at 0, 2, 4, … and end with the maps."""
    x = images(2, 3, height, width)
    expected = [
        [x[:, :, top : top + 3, left : left + 3].amax((2, 3)) for left in range(0, width, 2)]
        for top in range(0, height, 2)
    ]
    found = ReducingMaxPool()(x)
    assert torch.equal(found, torch.stack([torch.stack(row, 2) for row in expected], 2))
    if height % 2 == width % 2 == 0:
        assert torch.equal(found, F.max_pool2d(x, 3, 2, ceil_mode=True))


def test_a_module_of_inception_v2_at_35_pixels(inception_v2: Network) -> None:
    """Fig. 5 of the paper: two 3 × 3 in place of the 5 × 5."""
    ours = inception_v2.get_submodule("stage1.mixed5b")
    weights = list(ours.parameters())
    x = images(2, 288, 4, 5)
    eps = 1e-3
    one = cbr(x, weights, eps=eps)
    three = cbr(cbr(x, weights, eps=eps), weights, eps=eps)
    double = cbr(cbr(cbr(x, weights, eps=eps), weights, eps=eps), weights, eps=eps)
    projected = cbr(average(x), weights, eps=eps)
    torch.testing.assert_close(ours(x), torch.cat([one, three, double, projected], 1))


def test_the_stem_of_inception_v2(inception_v2: Network) -> None:
    weights = list(inception_v2.stem.parameters())
    x = images(2, 3, 47, 60)
    y = cbr(x, weights, eps=1e-3, stride=2, padding=0)
    y = cbr(cbr(y, weights, eps=1e-3, padding=0), weights, eps=1e-3)
    y = cbr(F.max_pool2d(y, 3, 2), weights, eps=1e-3, padding=0)
    y = cbr(cbr(y, weights, eps=1e-3, stride=2, padding=0), weights, eps=1e-3)
    torch.testing.assert_close(inception_v2.stem(x), y)


# Options, sizes, initialisation ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["inception_v2", "inception_v3"])
def test_the_auxiliary_loss_counts_four_tenths(name: str) -> None:
    network = on_meta(name, auxiliary=True, num_classes=2)
    assert network.auxiliary_weight == 0.4
    x = torch.empty(4, 3, 299, 299, device="meta")
    assert [tuple(y.shape) for y in network.train().training_outputs(x)] == [(4, 2)] * 2
    assert len(on_meta(name).training_outputs(x)) == 1


def test_bn_inception_has_no_auxiliary_head() -> None:
    with pytest.raises(
        InvalidArgument,
        match=r'^bn_inception has no option "auxiliary"\. ',
    ):
        create_model("bn_inception", auxiliary=True)


@pytest.mark.parametrize("name", NAMES)
def test_dropout_and_activation(name: str) -> None:
    def dropouts(network: Network) -> list[float]:
        return [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)]

    assert dropouts(on_meta(name)) == ([] if name == "bn_inception" else [0.5])
    network = on_meta(name, dropout=0.2, activation="leaky_relu")
    assert dropouts(network) == [0.2]
    assert not any(isinstance(layer, nn.ReLU) for layer in network.modules())


@pytest.mark.parametrize(
    ("name", "auxiliary", "side"),
    [
        ("bn_inception", False, 7),
        ("inception_v2", False, 75),
        ("inception_v3", False, 75),
        ("inception_v2", True, 299),
        ("inception_v3", True, 299),
    ],
)
def test_the_smallest_size_is_the_smallest(
    monkeypatch: pytest.MonkeyPatch, name: str, auxiliary: bool, side: int
) -> None:
    network = on_meta(name, auxiliary=auxiliary, num_classes=2, image_size=(side, side))
    assert network.min_size == side
    outputs = network.training_outputs(torch.empty(2, 3, side, side, device="meta"))
    assert [tuple(y.shape) for y in outputs] == [(2, 2)] * (2 if auxiliary else 1)
    monkeypatch.setattr(network, "min_size", 0)
    with pytest.raises(RuntimeError, match=r"too small|greater than actual input size"):
        network.training_outputs(torch.empty(2, 3, side - 1, side - 1, device="meta"))
    with pytest.raises(InvalidArgument, match=rf"^Images of {side - 1} × {side} pixels are too small"):
        on_meta(name, auxiliary=auxiliary, image_size=(side - 1, side))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("bn_inception", (27, 38)),
        ("bn_inception", (25, 33)),
        ("inception_v2", (90, 77)),
        ("inception_v3", (97, 83)),
    ],
)
def test_odd_sizes(name: str, size: tuple[int, int]) -> None:
    network = on_meta(name, num_classes=2, in_channels=1, image_size=size)
    assert network(torch.empty(2, 1, *size, device="meta")).shape == (2, 2)


def test_initialisation_is_he_normal_but_for_the_auxiliary_head() -> None:
    torch.manual_seed(0)
    special = {"auxiliary.stage2.conv.conv": 0.01, "auxiliary.stage2.predict.linear": 0.001}
    for name, layer in build("inception_v3", auxiliary=True).named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            expected = special.get(name, (2 / layer.weight[0].numel()) ** 0.5)
            assert layer.weight.std().item() == pytest.approx(expected, rel=0.1), name
        if isinstance(layer, nn.Linear):
            assert (layer.bias == 0).all()
