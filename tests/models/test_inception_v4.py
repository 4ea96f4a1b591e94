"""Inception-v4 and the Inception-ResNets against published numbers, and their blocks against plain torch."""

import json
import re
from collections.abc import Callable
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from layer_rows import parameters
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mirada.errors import InvalidArgument
from mirada.layers.network import Network
from mirada.models.inception_v4 import TABLE, TIMM_KEYS, ScaledResidual, inception_v4

# One row per run of equal blocks at 299 × 299: how many, (C, h, w), parameters and MACs of each
ROWS = {
    "inception_v4": [
        (1, (64, 147, 147), 28_768, 616_627_296),  # the stem: convolutions 1 to 3
        (1, (160, 73, 73), 55_488, 294_672_384),
        (1, (192, 71, 71), 189_312, 972_218_368),
        (1, (384, 35, 35), 332_160, 406_425_600),
        (4, (384, 35, 35), 317_632, 387_609_600),  # A
        (1, (1024, 17, 17), 2_306_112, 1_097_164_800),
        (7, (1024, 17, 17), 2_936_256, 847_264_768),  # B
        (1, (1536, 8, 8), 2_747_392, 511_098_880),
        (3, (1536, 8, 8), 4_553_088, 290_979_840),  # C
        (1, (1000,), 1_537_000, 1_536_000),
    ],
    "inception_resnet_v1": [
        (1, (256, 35, 35), 615_552, 1_882_680_416),
        (5, (256, 35, 35), 77_440, 94_080_000),
        (1, (896, 17, 17), 1_710_080, 850_169_856),
        (10, (896, 17, 17), 690_048, 198_868_992),
        (1, (1792, 8, 8), 3_346_176, 501_448_704),
        (5, (1792, 8, 8), 1_600_768, 102_236_160),
        (1, (1000,), 1_793_000, 1_792_000),
    ],
    "inception_resnet_v2_paper": [
        (1, (64, 147, 147), 28_768, 616_627_296),
        (1, (160, 73, 73), 55_488, 294_672_384),
        (1, (192, 71, 71), 189_312, 972_218_368),
        (1, (384, 35, 35), 332_160, 406_425_600),
        (5, (384, 35, 35), 137_568, 167_462_400),
        (1, (1152, 17, 17), 2_902_528, 1_482_178_560),
        (10, (1152, 17, 17), 1_171_904, 337_958_912),
        (1, (2144, 8, 8), 3_930_112, 599_629_824),
        (5, (2144, 8, 8), 2_088_736, 133_431_296),
        (1, (1000,), 2_145_000, 2_144_000),
    ],
    "inception_resnet_v2": [
        (1, (192, 35, 35), 172_672, 1_340_779_616),
        (1, (320, 35, 35), 268_320, 327_398_400),
        (10, (320, 35, 35), 123_168, 149_900_800),
        (1, (1088, 17, 17), 2_664_960, 1_398_185_984),
        (20, (1088, 17, 17), 1_126_784, 324_937_728),
        (1, (2080, 8, 8), 3_880_960, 585_424_896),
        (10, (2080, 8, 8), 2_035_424, 130_023_424),  # nine, and the last
        (1, (1536, 8, 8), 3_197_952, 204_472_320),
        (1, (1000,), 1_537_000, 1_536_000),
    ],
}
TOTALS = {
    "inception_v4": (42_679_816, 12_253_974_624),
    "inception_resnet_v1": (22_756_328, 6_206_361_696),
    "inception_resnet_v2_paper": (32_433_928, 9_257_953_632),
    "inception_resnet_v2": (55_843_464, 13_155_794_016),
}


def build(name: str, **options: Any) -> Network:
    arguments = {"num_classes": 1000, "in_channels": 3, "image_size": (299, 299), **options}
    return inception_v4(name, **arguments)


@cache
def on_meta(name: str) -> Network:
    with torch.device("meta"):
        return build(name).eval()


def test_every_row_is_tested() -> None:
    assert list(TABLE) == list(ROWS) == list(TOTALS)


@pytest.mark.parametrize("name", ROWS)
def test_every_block_has_the_published_shape_parameters_and_macs(name: str) -> None:
    network = on_meta(name)
    maps = torch.empty(1, 3, 299, 299, device="meta")
    found = []
    for part, module in network.named_children():
        for block in [module] if part == "head" else module.children():
            with FlopCounterMode(display=False) as counter:
                maps = block(maps)
            found.append((tuple(maps.shape[1:]), parameters(block), counter.get_total_flops() // 2))
    assert [(len(list(run)), *row) for row, run in groupby(found)] == ROWS[name]
    totals = parameters(network), sum(macs for _, _, macs in found)
    assert totals == TOTALS[name]


@pytest.mark.parametrize("name", ROWS)
def test_stages_end_at_35_17_and_8_pixels(name: str) -> None:
    network = on_meta(name)
    maps = torch.empty(1, 3, 299, 299, device="meta")
    sides = []
    for part in (network.stem, network.stage1, network.stage2, network.stage3):
        maps = part(maps)
        sides.append(maps.shape[-1])
    assert sides == [35, 35, 17, 8]
    assert network.depth == 3


# Blocks against plain torch ------------------------------------------------------------------------------


class Weights:
    """A block's weights, taken in order; ``conv`` is convolution, batch norm of the batch with ε = 0.001, ReLU."""

    def __init__(self, block: nn.Module) -> None:
        self.left = list(block.parameters())

    def conv(self, x: Tensor, kernel: tuple[int, int], *, stride: int = 1, same: bool = True) -> Tensor:
        weight, gamma, beta = self.left.pop(0), self.left.pop(0), self.left.pop(0)
        assert tuple(weight.shape[2:]) == kernel
        padding = (kernel[0] // 2, kernel[1] // 2) if same else 0
        y = F.conv2d(x, weight, stride=stride, padding=padding)
        mean = y.mean(dim=(0, 2, 3), keepdim=True)
        variance = (y - mean).square().mean(dim=(0, 2, 3), keepdim=True)
        return (
            (y - mean) / (variance + 1e-3).sqrt() * gamma.view(1, -1, 1, 1) + beta.view(1, -1, 1, 1)
        ).relu()

    def linear(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.left.pop(0), self.left.pop(0))


def mean_inside(x: Tensor) -> Tensor:
    """3 × 3 means that leave out what lies outside the image."""
    window = torch.ones(x.shape[1], 1, 3, 3, dtype=x.dtype)
    sums = F.conv2d(x, window, padding=1, groups=x.shape[1])
    return sums / F.conv2d(torch.ones_like(x), window, padding=1, groups=x.shape[1])


def plain_mixed_3a(x: Tensor, w: Weights) -> Tensor:
    return torch.cat([F.max_pool2d(x, 3, 2), w.conv(x, (3, 3), stride=2, same=False)], 1)


def plain_mixed_4a(x: Tensor, w: Weights) -> Tensor:
    b0 = w.conv(w.conv(x, (1, 1)), (3, 3), same=False)
    b1 = w.conv(w.conv(w.conv(x, (1, 1)), (1, 7)), (7, 1))
    return torch.cat([b0, w.conv(b1, (3, 3), same=False)], 1)


def plain_mixed_5a(x: Tensor, w: Weights) -> Tensor:
    return torch.cat([w.conv(x, (3, 3), stride=2, same=False), F.max_pool2d(x, 3, 2)], 1)


def plain_a(x: Tensor, w: Weights) -> Tensor:
    b0 = w.conv(x, (1, 1))
    b1 = w.conv(w.conv(x, (1, 1)), (3, 3))
    b2 = w.conv(w.conv(w.conv(x, (1, 1)), (3, 3)), (3, 3))
    return torch.cat([b0, b1, b2, w.conv(mean_inside(x), (1, 1))], 1)


def plain_reduction_a(x: Tensor, w: Weights) -> Tensor:
    b0 = w.conv(x, (3, 3), stride=2, same=False)
    b1 = w.conv(w.conv(w.conv(x, (1, 1)), (3, 3)), (3, 3), stride=2, same=False)
    return torch.cat([b0, b1, F.max_pool2d(x, 3, 2)], 1)


def plain_b(x: Tensor, w: Weights) -> Tensor:
    b0 = w.conv(x, (1, 1))
    b1 = w.conv(w.conv(w.conv(x, (1, 1)), (1, 7)), (7, 1))
    b2 = w.conv(w.conv(w.conv(x, (1, 1)), (7, 1)), (1, 7))
    b2 = w.conv(w.conv(b2, (7, 1)), (1, 7))
    return torch.cat([b0, b1, b2, w.conv(mean_inside(x), (1, 1))], 1)


def plain_reduction_b(x: Tensor, w: Weights) -> Tensor:
    b0 = w.conv(w.conv(x, (1, 1)), (3, 3), stride=2, same=False)
    b1 = w.conv(w.conv(w.conv(x, (1, 1)), (1, 7)), (7, 1))
    return torch.cat([b0, w.conv(b1, (3, 3), stride=2, same=False), F.max_pool2d(x, 3, 2)], 1)


def plain_c(x: Tensor, w: Weights) -> Tensor:
    b0 = w.conv(x, (1, 1))
    b1 = w.conv(x, (1, 1))
    b1 = torch.cat([w.conv(b1, (1, 3)), w.conv(b1, (3, 1))], 1)
    b2 = w.conv(w.conv(w.conv(x, (1, 1)), (3, 1)), (1, 3))
    b2 = torch.cat([w.conv(b2, (1, 3)), w.conv(b2, (3, 1))], 1)
    return torch.cat([b0, b1, b2, w.conv(mean_inside(x), (1, 1))], 1)


def plain_mixed_5b(x: Tensor, w: Weights) -> Tensor:
    b0 = w.conv(x, (1, 1))
    b1 = w.conv(w.conv(x, (1, 1)), (5, 5))
    b2 = w.conv(w.conv(w.conv(x, (1, 1)), (3, 3)), (3, 3))
    return torch.cat([b0, b1, b2, w.conv(mean_inside(x), (1, 1))], 1)


def plain_block35(x: Tensor, w: Weights) -> Tensor:
    b0 = w.conv(x, (1, 1))
    b1 = w.conv(w.conv(x, (1, 1)), (3, 3))
    b2 = w.conv(w.conv(w.conv(x, (1, 1)), (3, 3)), (3, 3))
    return F.relu(x + 0.17 * w.linear(torch.cat([b0, b1, b2], 1)))


def plain_block17(x: Tensor, w: Weights) -> Tensor:
    b0 = w.conv(x, (1, 1))
    b1 = w.conv(w.conv(w.conv(x, (1, 1)), (1, 7)), (7, 1))
    return F.relu(x + 0.1 * w.linear(torch.cat([b0, b1], 1)))


def plain_wide_reduction_b(x: Tensor, w: Weights) -> Tensor:
    b0 = w.conv(w.conv(x, (1, 1)), (3, 3), stride=2, same=False)
    b1 = w.conv(w.conv(x, (1, 1)), (3, 3), stride=2, same=False)
    b2 = w.conv(w.conv(w.conv(x, (1, 1)), (3, 3)), (3, 3), stride=2, same=False)
    return torch.cat([b0, b1, b2, F.max_pool2d(x, 3, 2)], 1)


def plain_block8(x: Tensor, w: Weights) -> Tensor:
    return F.relu(_unrectified(x, w, scale=0.2))


def plain_last_block8(x: Tensor, w: Weights) -> Tensor:
    return _unrectified(x, w, scale=1.0)


def _unrectified(x: Tensor, w: Weights, *, scale: float) -> Tensor:
    b0 = w.conv(x, (1, 1))
    b1 = w.conv(w.conv(w.conv(x, (1, 1)), (1, 3)), (3, 1))
    return x + scale * w.linear(torch.cat([b0, b1], 1))


@pytest.mark.parametrize(
    ("name", "where", "plain"),
    [
        ("inception_v4", "stem.1", plain_mixed_3a),
        ("inception_v4", "stem.2", plain_mixed_4a),
        ("inception_v4", "stem.3", plain_mixed_5a),
        ("inception_v4", "stage1.0", plain_a),
        ("inception_v4", "stage2.0", plain_reduction_a),
        ("inception_v4", "stage2.7", plain_b),
        ("inception_v4", "stage3.0", plain_reduction_b),
        ("inception_v4", "stage3.1", plain_c),
        ("inception_resnet_v1", "stage1.0", plain_block35),
        ("inception_resnet_v1", "stage2.10", plain_block17),
        ("inception_resnet_v1", "stage3.0", plain_wide_reduction_b),
        ("inception_resnet_v1", "stage3.5", plain_block8),
        ("inception_resnet_v2", "stage1.0", plain_mixed_5b),
        ("inception_resnet_v2", "stage1.10", plain_block35),
        ("inception_resnet_v2", "stage2.0", plain_reduction_a),
        ("inception_resnet_v2", "stage2.20", plain_block17),
        ("inception_resnet_v2", "stage3.9", plain_block8),
        ("inception_resnet_v2", "stage3.10", plain_last_block8),
        ("inception_resnet_v2_paper", "stage3.0", plain_wide_reduction_b),
        ("inception_resnet_v2_paper", "stage3.5", plain_block8),
    ],
)
def test_a_block_against_plain_torch(
    name: str, where: str, plain: Callable[[Tensor, Weights], Tensor]
) -> None:
    """Value, and gradient for the input, in float64 and training mode."""
    torch.manual_seed(0)
    with torch.device("meta"):
        block = build(name).get_submodule(where)
    block.to_empty(device="cpu").double().train()
    for weight in block.parameters():
        nn.init.normal_(weight, std=0.5 if weight.dim() == 1 else (2 / weight[0].numel()) ** 0.5)
    first = next(weight for weight in block.parameters() if weight.dim() == 4)
    x = torch.randn(2, first.shape[1], 5, 6, dtype=torch.float64, requires_grad=True)
    weights = Weights(block)
    outputs, expected = block(x), plain(x, weights)
    assert not weights.left
    torch.testing.assert_close(outputs, expected, rtol=1e-10, atol=1e-10)
    arriving = torch.randn_like(outputs)
    ours, theirs = (torch.autograd.grad(each, x, arriving)[0] for each in (outputs, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", ["inception_resnet_v1", "inception_resnet_v2_paper"])
def test_scales_of_the_papers_residuals(name: str) -> None:
    scales = [m.scale for m in on_meta(name).modules() if isinstance(m, ScaledResidual)]
    assert scales == [0.17] * 5 + [0.10] * 10 + [0.20] * 5
    assert all(0.1 <= scale <= 0.3 for scale in scales)  # the paper's §3.3


def test_released_blocks_and_their_scales() -> None:
    blocks = [m for m in on_meta("inception_resnet_v2").modules() if isinstance(m, ScaledResidual)]
    assert [block.scale for block in blocks] == [0.17] * 10 + [0.10] * 20 + [0.20] * 9 + [1.0]
    assert [isinstance(block.act, nn.ReLU) for block in blocks] == [True] * 39 + [False]
    assert repr(blocks[0]).startswith("ScaledResidual(\n  scale=0.17\n")


@pytest.mark.parametrize("name", ROWS)
def test_only_what_expands_a_residual_has_a_bias_and_no_batch_norm(name: str) -> None:
    network = on_meta(name)
    convolutions = {n: m for n, m in network.named_modules() if isinstance(m, nn.Conv2d)}
    for path, convolution in convolutions.items():
        assert (convolution.bias is not None) == path.endswith(".expansion"), path
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    expansions = sum(path.endswith(".expansion") for path in convolutions)
    assert len(norms) == len(convolutions) - expansions
    assert {norm.eps for norm in norms} == {0.001}


# Options, sizes, first weights, public names -------------------------------------------------------------


def test_options() -> None:
    with torch.device("meta"):
        network = build("inception_resnet_v2", activation="tanh", dropout=0.5)
        plain = build("inception_v4", dropout=0.0)
    kinds = [type(m) for m in network.modules()]
    assert nn.ReLU not in kinds
    # one for each convolution with batch norm, and one for each of the 40 residual blocks but the last
    assert kinds.count(nn.Tanh) == 204 + 39
    assert network.head.dropout.p == 0.5
    assert on_meta("inception_v4").head.dropout.p == 0.2
    assert [name for name, _ in plain.head.named_children()] == ["pool", "flatten", "linear"]


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r'^There is no activation "rely"\. Did you mean "relu"\?'):
        build("inception_v4", activation="rely")


@pytest.mark.parametrize("name", ROWS)
def test_the_smallest_size_is_75(name: str) -> None:
    network = on_meta(name)
    assert network.min_size == 75
    assert network.features(torch.empty(1, 3, 75, 75, device="meta")).shape[2:] == (1, 1)
    parts = [part for child, part in network.named_children() if child != "head"]
    with pytest.raises(RuntimeError, match="Kernel size can't be greater"):
        nn.Sequential(*parts)(torch.empty(1, 3, 74, 75, device="meta"))
    with pytest.raises(InvalidArgument, match=r"^Images of 74 × 299 pixels are too small for this network"):
        build(name, image_size=(74, 299))


@pytest.mark.slow
def test_inception_v4_starts_from_he_normal_cut_at_two_deviations() -> None:
    torch.manual_seed(0)
    network = build("inception_v4")
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.weight.numel() > 50_000:
            variance = 2 / layer.weight[0].numel()
            assert layer.weight.var().item() == pytest.approx(variance, rel=0.05)
            assert layer.weight.abs().max() <= 2 * (1.3 * variance) ** 0.5 + 1e-7
    linear = network.head.linear
    assert linear.weight.abs().max().item() == pytest.approx((6 / 2536) ** 0.5, rel=1e-3)
    assert not linear.bias.any()


def test_inception_resnets_start_from_glorot_uniform() -> None:
    torch.manual_seed(0)
    for layer in build("inception_resnet_v1").modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            fan_out, fan_in = layer.weight[:, 0].numel(), layer.weight[0].numel()
            limit = (6 / (fan_in + fan_out)) ** 0.5
            assert layer.weight.abs().max().item() == pytest.approx(limit, rel=0.02)
            assert layer.bias is None or not layer.bias.any()


@pytest.mark.parametrize("name", ["inception_v4", "inception_resnet_v2"])
def test_timms_names_become_ours(name: str, shared_data: Path) -> None:
    """Every name of timm's state dict, once, with its shape; ours has no other."""
    theirs = json.loads((shared_data.parent / "facts" / "state_dict_keys.json").read_text())[f"timm/{name}"]
    renamed = {}
    for key, shape in theirs.items():
        for pattern, replacement in TIMM_KEYS:
            key = re.sub(pattern, replacement, key)
        renamed[key] = shape
    assert len(renamed) == len(theirs)
    assert renamed == {key: list(value.shape) for key, value in on_meta(name).state_dict().items()}
