"""DenseNet against Table 1 of its paper, torchvision's counts, and plain torch."""

import re

import pytest
import torch
import torch.nn.functional as F
from layer_rows import drawn, layer_rows, on_meta, parameters, stage_shapes
from torch import Tensor, nn

from mirada.errors import InvalidArgument
from mirada.models import create_model
from mirada.models.densenet import PUBLIC_KEYS, densenet

# parameters, MACs per image
TOTALS = {
    "densenet121": (7_978_856, 2_834_161_664),
    "densenet161": (28_681_000, 7_727_907_072),
    "densenet169": (14_149_480, 3_359_843_328),
    "densenet201": (20_013_928, 4_291_365_888),
}
DEPTHS = {
    "densenet121": (6, 12, 24, 16),
    "densenet161": (6, 12, 36, 24),
    "densenet169": (6, 12, 32, 32),
    "densenet201": (6, 12, 48, 32),
}
# parameters of the dense blocks and of the transitions behind the first three
BLOCKS = {
    "densenet121": (335_040, 919_680, 2_837_760, 2_158_080),
    "densenet161": (751_392, 2_061_504, 11_548_224, 9_486_720),
    "densenet169": (335_040, 919_680, 4_316_160, 5_913_600),
    "densenet201": (335_040, 919_680, 8_071_680, 6_978_560),
}
TRANSITIONS = {
    "densenet121": (33_280, 132_096, 526_336),
    "densenet161": (74_496, 296_448, 2_234_496),
    "densenet169": (33_280, 132_096, 821_760),
    "densenet201": (33_280, 132_096, 1_609_216),
}
# MACs of the stem, then of blocks and transitions in turn, then of the linear layer
MACS = {
    "densenet121": (
        118_013_952, 1_040_449_536, 102_760_448, 712_900_608, 102_760_448, 549_126_144, 102_760_448, 104_366_080,
        1_024_000,
    ),
    "densenet161": (
        177_020_928, 2_341_011_456, 231_211_008, 1_604_026_368, 231_211_008, 2_243_469_312, 437_133_312,
        460_615_680, 2_208_000,
    ),
    "densenet169": (
        118_013_952, 1_040_449_536, 102_760_448, 712_900_608, 102_760_448, 834_928_640, 160_563_200, 285_802_496,
        1_664_000,
    ),
    "densenet201": (
        118_013_952, 1_040_449_536, 102_760_448, 712_900_608, 102_760_448, 1_560_674_304, 314_703_872, 337_182_720,
        1_920_000,
    ),
}  # fmt: skip
# channels that the blocks put out
WIDTHS = {
    "densenet121": (256, 512, 1024, 1024),
    "densenet161": (384, 768, 2112, 2208),
    "densenet169": (256, 512, 1280, 1664),
    "densenet201": (256, 512, 1792, 1920),
}


@pytest.mark.parametrize("name", TOTALS)
def test_counts(name: str) -> None:
    network = on_meta(densenet, name)
    assert parameters(network) == TOTALS[name][0]
    stages = [network.get_submodule(f"stage{number}") for number in (1, 2, 3, 4)]
    transitions = tuple(parameters(stage.transition) for stage in stages[1:])
    blocks = tuple(
        sum(parameters(part) for child, part in stage.named_children() if child.startswith("layer"))
        for stage in stages
    )
    assert (blocks, transitions) == (BLOCKS[name], TRANSITIONS[name])
    assert parameters(stages[3].norm) == 2 * WIDTHS[name][3]


@pytest.mark.parametrize("name", TOTALS)
def test_macs(name: str) -> None:
    macs = [macs for _, _, macs in layer_rows(on_meta(densenet, name))]
    assert sum(macs) == TOTALS[name][1]
    assert len(macs) == int(name.removeprefix("densenet"))  # the depth is in the name
    found = [macs.pop(0)]
    for depth in DEPTHS[name]:
        found += [
            sum(macs[: 2 * depth]),
            macs[2 * depth],
        ]  # what is behind the last block is the linear layer
        del macs[: 2 * depth + 1]
    assert tuple(found) == MACS[name]


@pytest.mark.parametrize("name", TOTALS)
def test_shapes(name: str) -> None:
    stem = 96 if name == "densenet161" else 64
    expected = [(width, side, side) for width, side in zip(WIDTHS[name], (56, 28, 14, 7), strict=True)]
    assert stage_shapes(on_meta(densenet, name)) == [(stem, 56, 56), *expected]


@pytest.mark.parametrize(("growth", "compression"), [(12, 0.5), (12, 1.0), (5, 0.3), (1, 0.01)])
def test_growth_and_compression(growth: int, compression: float) -> None:
    """Blocks add k maps a layer, transitions leave ⌊θm⌋ of m, and at least one."""
    expected, channels = [], 2 * growth
    for number, depth in enumerate(DEPTHS["densenet121"]):
        channels = channels if number == 0 else max(1, int(compression * channels))
        channels += depth * growth
        expected.append(channels)
    network = on_meta(densenet, "densenet121", growth=growth, compression=compression, image_size=(32, 32))
    assert [shape[0] for shape in stage_shapes(network.eval())] == [2 * growth, *expected]
    layer = network.stage1.layer1.function
    assert [m.out_channels for m in layer.modules() if isinstance(m, nn.Conv2d)] == [4 * growth, growth]


def plain_densenet(x: Tensor, state: list[Tensor]) -> Tensor:
    """Every layer sees the list of all maps before it, as in eq. 2; statistics are the batch's."""

    def norm_relu(x: Tensor) -> Tensor:
        weight, bias = state.pop(0), state.pop(0)
        return F.batch_norm(x, None, None, weight, bias, training=True).relu()

    x = F.conv2d(x, state.pop(0), stride=2, padding=3)
    maps = [F.max_pool2d(norm_relu(x), 3, 2, 1)]
    for number, depth in enumerate(DEPTHS["densenet121"]):
        if number:
            reduced = F.conv2d(norm_relu(torch.cat(maps, 1)), state.pop(0))
            maps = [F.avg_pool2d(reduced, 2)]
        for _ in range(depth):
            bottleneck = F.conv2d(norm_relu(torch.cat(maps, 1)), state.pop(0))
            maps.append(F.conv2d(norm_relu(bottleneck), state.pop(0), padding=1))
    return norm_relu(torch.cat(maps, 1))


def test_features_against_plain_torch() -> None:
    """Value, and gradient for the images and every weight; features are rectified."""
    network = drawn(on_meta(densenet, "densenet121", growth=2, num_classes=3)).train()
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(3, 3, 64, 75, dtype=torch.float64, generator=draws, requires_grad=True)
    weights = list(network.parameters())
    features = network.features(x)
    expected = plain_densenet(x, weights[:-2])
    torch.testing.assert_close(features, expected, rtol=1e-9, atol=1e-9)
    assert (features >= 0).all()
    torch.testing.assert_close(
        network.head(features), features.mean(dim=(2, 3)) @ weights[-2].T + weights[-1]
    )
    arriving = torch.randn(features.shape, dtype=torch.float64, generator=draws)
    ours = torch.autograd.grad(features, [x, *weights[:-2]], arriving)
    theirs = torch.autograd.grad(expected, [x, *weights[:-2]], arriving)
    for one, other in zip(ours, theirs, strict=True):
        error = (one - other).norm() / other.norm()
        assert error < 1e-9


def test_another_activation_replaces_all() -> None:
    modules = list(on_meta(densenet, "densenet121", activation="tanh").modules())
    assert (
        sum(isinstance(m, nn.Tanh) for m in modules) == 121
    )  # one in front of every layer, one behind the stem
    assert not any(isinstance(m, nn.ReLU) for m in modules)


def test_no_convolution_has_a_bias() -> None:
    assert all(m.bias is None for m in on_meta(densenet, "densenet169").modules() if isinstance(m, nn.Conv2d))


def test_initialisation_is_he_normal_with_fan_in() -> None:
    torch.manual_seed(0)
    network = densenet("densenet121", num_classes=10, in_channels=3, image_size=(32, 32))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            expected = (2 / layer.weight[0].numel()) ** 0.5
            assert layer.weight.std().item() == pytest.approx(expected, rel=0.05)
        elif isinstance(layer, nn.BatchNorm2d):
            assert (layer.weight == 1).all()
            assert (layer.bias == 0).all()
        elif isinstance(layer, nn.Linear):
            assert (layer.bias == 0).all()


def test_smaller_than_29_is_refused() -> None:
    network = on_meta(densenet, "densenet121", image_size=(29, 29)).eval()
    assert network(torch.empty(1, 3, 29, 29, device="meta")).shape == (1, 1000)
    with pytest.raises(
        InvalidArgument, match=r"^Images of 28 × 40 pixels are too small .* at least 29 × 29\.$"
    ):
        on_meta(densenet, "densenet121", image_size=(28, 40))
    network.min_size = 1
    with pytest.raises(RuntimeError, match="too small"):
        network(torch.empty(1, 3, 28, 28, device="meta"))


def test_impossible_options_are_refused() -> None:
    sentence = r"^`growth` of densenet121 must be a whole number from 1 to 1024\. Got 0\.$"
    with pytest.raises(InvalidArgument, match=sentence):
        create_model("densenet121", growth=0)
    for value in (0.0, 1.5, float("nan")):
        sentence = rf"^`compression` of densenet121 must be a number from 0\.01 to 1\. Got {value}\.$"
        with pytest.raises(InvalidArgument, match=sentence):
            create_model("densenet121", compression=value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("features.denseblock3.denselayer24.norm.1.weight", "stage3.layer24.function.0.norm.weight"),
        ("features.denseblock3.denselayer24.norm1.weight", "stage3.layer24.function.0.norm.weight"),
        ("features.denseblock1.denselayer6.conv.2.weight", "stage1.layer6.function.1.conv.weight"),
        ("features.denseblock1.denselayer6.conv2.weight", "stage1.layer6.function.1.conv.weight"),
        ("features.transition2.norm.bias", "stage3.transition.0.norm.bias"),
        ("features.norm0.running_mean", "stem.0.norm.running_mean"),
        ("features.norm5.bias", "stage4.norm.bias"),
        ("classifier.bias", "head.linear.bias"),
    ],
)
def test_public_keys(old: str, new: str) -> None:
    key = old
    for pattern, replacement in PUBLIC_KEYS:
        key = re.sub(pattern, replacement, key)
    assert key == new
    assert new in on_meta(densenet, "densenet121").state_dict()
