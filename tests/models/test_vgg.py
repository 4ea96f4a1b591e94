"""VGG against Tables 1 and 2 of its paper, torchvision's counts, and plain torch."""

import pytest
import torch
import torch.nn.functional as F
from layer_rows import drawn, layer_rows, on_meta, parameters, stage_shapes, trunk
from torch import nn

from mirada.errors import InvalidArgument
from mirada.models import vgg as family
from mirada.models.vgg import PUBLIC_KEYS, TABLE, TIMM_KEYS, vgg

# parameters, MACs per image
TOTALS = {
    "vgg11": (132_863_336, 7_609_090_048),
    "vgg13": (133_047_848, 11_308_466_176),
    "vgg16_c": (133_638_952, 11_770_888_192),
    "vgg16": (138_357_544, 15_470_264_320),
    "vgg19": (143_667_240, 19_632_062_464),
    "vgg11_bn": (132_868_840, 7_609_090_048),
    "vgg13_bn": (133_053_736, 11_308_466_176),
    "vgg16_bn": (138_365_992, 15_470_264_320),
    "vgg19_bn": (143_678_248, 19_632_062_464),
}
# parameters of all convolutions
CONVOLUTIONS = {"vgg11": 9_220_480, "vgg13": 9_404_992, "vgg16": 14_714_688, "vgg19": 20_024_384}

# one row per layer: output shape, parameters, MACs
DENSE = [
    ((4096,), 102_764_544, 102_760_448),
    ((4096,), 16_781_312, 16_777_216),
    ((1000,), 4_097_000, 4_096_000),
]
START = [
    ((64, 224, 224), 1_792, 86_704_128),
    ((64, 224, 224), 36_928, 1_849_688_064),
    ((128, 112, 112), 73_856, 924_844_032),
    ((128, 112, 112), 147_584, 1_849_688_064),
    ((256, 56, 56), 295_168, 924_844_032),
]
AT_56 = ((256, 56, 56), 590_080, 1_849_688_064)
INTO_28 = ((512, 28, 28), 1_180_160, 924_844_032)
AT_28 = ((512, 28, 28), 2_359_808, 1_849_688_064)
AT_14 = ((512, 14, 14), 2_359_808, 462_422_016)
LAYERS = {
    "vgg16": [*START, *[AT_56] * 2, INTO_28, *[AT_28] * 2, *[AT_14] * 3, *DENSE],
    "vgg19": [*START, *[AT_56] * 3, INTO_28, *[AT_28] * 3, *[AT_14] * 4, *DENSE],
}


@pytest.mark.parametrize("name", TOTALS)
def test_totals(name: str) -> None:
    network = on_meta(vgg, name)
    rows = layer_rows(network)
    assert (parameters(network), sum(macs for _, _, macs in rows)) == TOTALS[name]
    assert len(rows) == int("".join(filter(str.isdigit, name)))  # the depth is in the name


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer(name: str) -> None:
    assert layer_rows(on_meta(vgg, name)) == LAYERS[name]


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name: str) -> None:
    assert parameters(trunk(on_meta(vgg, name))) == CONVOLUTIONS[name]


@pytest.mark.parametrize("name", TOTALS)
def test_every_stage_halves_the_side(name: str) -> None:
    expected = [(64, 112, 112), (128, 56, 56), (256, 28, 28), (512, 14, 14), (512, 7, 7)]
    assert stage_shapes(on_meta(vgg, name)) == expected


def test_column_c_has_1x1_convolutions_where_d_has_3x3() -> None:
    convolutions = [m for m in on_meta(vgg, "vgg16_c").modules() if isinstance(m, nn.Conv2d)]
    kernels = [m.kernel_size[0] for m in convolutions]
    assert kernels == [3, 3, 3, 3, 3, 3, 1, 3, 3, 1, 3, 3, 1]


def test_batch_normalization_keeps_the_bias() -> None:
    network = on_meta(vgg, "vgg13_bn")
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert all(m.bias is not None for m in convolutions)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [(m.num_features, m.eps) for m in norms] == [(m.out_channels, 1e-5) for m in convolutions]
    assert not any(isinstance(m, nn.BatchNorm2d) for m in on_meta(vgg, "vgg13").modules())


@pytest.mark.parametrize("name", ["vgg11", "vgg11_bn"])
def test_features_against_plain_torch(name: str) -> None:
    layers = drawn(trunk(on_meta(vgg, name))).eval()
    x = torch.randn(2, 3, 32, 47, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    state, y = list(layers.state_dict().values()), x
    for pooled in (True, True, False, True, False, True, False, True):  # column A
        y = F.conv2d(y, state.pop(0), state.pop(0), padding=1)
        if name.endswith("_bn"):
            weight, bias, mean, variance, _ = (state.pop(0) for _ in range(5))
            y = F.batch_norm(y, mean, variance, weight, bias)
        y = F.max_pool2d(y.relu(), 2) if pooled else y.relu()
    assert not state
    with torch.no_grad():
        torch.testing.assert_close(layers(x), y, rtol=1e-10, atol=1e-12)
    assert y.shape == (2, 512, 1, 1)


def test_the_head_averages_to_7x7_and_drops_behind_both_hidden_layers() -> None:
    head = on_meta(vgg, "vgg16", dropout=0.25).head
    names = ["pool", "flatten", "hidden1", "act1", "dropout1", "hidden2", "act2", "dropout2", "linear"]
    assert list(dict(head.named_children())) == names
    assert isinstance(head.pool, nn.AdaptiveAvgPool2d)
    assert head.pool.output_size == 7
    assert head.dropout1.p == head.dropout2.p == 0.25
    assert "dropout1" not in dict(on_meta(vgg, "vgg16", dropout=0.0).head.named_children())
    assert on_meta(vgg, "vgg16").head.dropout1.p == 0.5


def test_another_activation_replaces_all() -> None:
    modules = list(on_meta(vgg, "vgg16", activation="tanh").modules())
    assert sum(isinstance(m, nn.Tanh) for m in modules) == 15
    assert not any(isinstance(m, nn.ReLU) for m in modules)


def test_initialisation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The convolutions are He normal with fan-out, the dense layers N(0, 0.01²), biases 0."""
    monkeypatch.setattr(family, "HIDDEN", (64, 64))  # a hundredth of the time
    torch.manual_seed(0)
    network = vgg("vgg11", num_classes=64, in_channels=3, image_size=(32, 32))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            expected = (2 / (9 * layer.out_channels)) ** 0.5
            assert layer.weight.std().item() == pytest.approx(expected, rel=0.05)
            assert (layer.bias == 0).all()
        elif isinstance(layer, nn.Linear):
            assert layer.weight.std().item() == pytest.approx(0.01, rel=0.05)
            assert (layer.bias == 0).all()


def test_smaller_than_32_is_refused() -> None:
    network = on_meta(vgg, "vgg11", image_size=(32, 32))
    assert network(torch.empty(1, 3, 32, 32, device="meta")).shape == (1, 1000)
    with pytest.raises(
        InvalidArgument, match=r"^Images of 31 × 40 pixels are too small .* at least 32 × 32\.$"
    ):
        on_meta(vgg, "vgg11", image_size=(31, 40))
    with pytest.raises(RuntimeError, match="too small"):
        trunk(network)(torch.empty(1, 3, 31, 31, device="meta"))


def test_public_keys() -> None:
    """torchvision's indices of vgg16's and vgg16_bn's convolutions; C has no public weights."""
    assert PUBLIC_KEYS.keys() == TIMM_KEYS.keys() == TOTALS.keys() - {"vgg16_c"}
    assert {name.removesuffix("_bn") for name in TOTALS} == TABLE.keys()
    plain = [pattern for pattern, _ in PUBLIC_KEYS["vgg16"]]
    indices = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    assert plain[:13] == [rf"^features\.{index}\." for index in indices]
    normed = dict(PUBLIC_KEYS["vgg16_bn"])
    for index in (0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40):
        conv, norm = (normed[rf"^features\.{number}\."] for number in (index, index + 1))
        assert (conv.removesuffix("conv."), norm) == (norm.removesuffix("norm."), norm)
