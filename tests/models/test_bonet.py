"""BoNet's sizes and counts for every choice that the notes leave open, its deformation layer, and its refusal."""

import os
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from layer_rows import drawn, layer_rows, on_meta, parameters, stage_shapes
from torch import nn

from mirada import reference as ref
from mirada.errors import InvalidArgument
from mirada.layers.network import Network
from mirada.models import create_model
from mirada.models.bonet import SpatialTransformer, bonet

# name, stride, padding, head: parameters with 1 and with 3 channels
COUNTS = {
    ("bonet_simple", 1, "same", "flatten"): (6_346_352_321, 6_346_361_729),
    ("bonet_simple", 1, "valid", "flatten"): (5_457_159_873, 5_457_169_281),
    ("bonet_simple", 2, "valid", "flatten"): (1_210_427_073, 1_210_436_481),
    ("bonet_simple", 2, "valid", "average_dense"): (4_564_673, 4_574_081),
    ("bonet_simple", 1, "same", "average_dense"): (4_564_673, 4_574_081),
    # 4,800 or 14,208 and 2,458,624 of the convolutions, and one linear layer on 1,024 means
    ("bonet_simple", 2, "valid", "average"): (2_464_449, 2_473_857),
    ("bonet", 1, "same", "flatten"): (118_175_425, 118_184_833),
    ("bonet", 1, "valid", "flatten"): (76_232_385, 76_241_793),
    ("bonet", 2, "same", "flatten"): (61_552_321, 61_561_729),
    ("bonet", 2, "valid", "flatten"): (44_775_105, 44_784_513),
}


def built(name: str, **options: object) -> Network:
    arguments = {"num_classes": 1, "in_channels": 3, "image_size": (220, 220)} | options
    return on_meta(bonet, name, **arguments)


@pytest.mark.parametrize("choice", COUNTS)
def test_counts(choice: tuple[str, int, str, str]) -> None:
    name, stride, padding, head = choice
    for channels, count in zip((1, 3), COUNTS[choice], strict=True):
        network = built(name, in_channels=channels, stride=stride, padding=padding, head=head)
        assert parameters(network) == count


def test_layers() -> None:
    """OverFeat's stride shrinks 220 pixels to exactly one."""
    network = built("bonet")
    assert layer_rows(network) == [
        ((96, 107, 107), 14_208, 161_568_288),
        ((2048, 49, 49), 4_917_248, 11_801_395_200),
        ((1024, 22, 22), 18_875_392, 9_135_194_112),
        ((1024, 9, 9), 9_438_208, 764_411_904),
        ((1024, 2, 2), 9_438_208, 37_748_736),
        ((2048,), 2_099_200, 2_097_152),
        ((1,), 2_049, 2_048),
    ]
    assert stage_shapes(network) == [
        (96, 53, 53),
        (2048, 24, 24),
        (1024, 11, 11),
        (1024, 4, 4),
        (1024, 1, 1),
    ]
    assert parameters(network.stem) == 14_208  # what to freeze


def test_layers_of_the_simple_network() -> None:
    network = built("bonet_simple", in_channels=1)
    assert layer_rows(network) == [
        ((96, 107, 107), 4_800, 53_856_096),
        ((1024, 49, 49), 2_458_624, 5_900_697_600),
        ((2048,), 2_099_200, 2_097_152),
        ((1,), 2_049, 2_048),
    ]
    assert list(dict(network.head.named_children())) == ["pool", "flatten", "hidden1", "act1", "linear"]


def test_layers_without_stride_and_with_padding() -> None:
    rows = layer_rows(built("bonet", in_channels=1, stride=1, padding="same"))
    assert [shape for shape, _, _ in rows[:5]] == [
        (96, 220, 220),
        (2048, 110, 110),
        (1024, 55, 55),
        (1024, 27, 27),
        (1024, 13, 13),
    ]
    assert sum(macs for _, _, macs in rows) == 125_346_647_552


@pytest.mark.parametrize("name", ["bonet_simple", "bonet"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_smallest_size(name: str, stride: int, padding: str) -> None:
    """It leaves a pixel; one less leaves none, as PyTorch finds without our check."""
    network = built(name, stride=stride, padding=padding, head="average", image_size=(300, 300))
    side = network.min_size
    assert network.features(torch.empty(1, 3, side, side, device="meta")).shape[2:] == (1, 1)
    network.min_size = 0
    with pytest.raises(RuntimeError, match=r"too small|smaller than|Kernel size can't be greater"):
        network.features(torch.empty(1, 3, side - 1, side - 1, device="meta"))
    with pytest.raises(InvalidArgument, match=f"it needs at least {side} × {side}"):
        built(name, stride=stride, padding=padding, image_size=(side - 1, side + 50))


def test_smallest_sizes_worked_out_by_hand() -> None:
    """Backwards through (m − 7 + 2c) / p + 1, then five halvings."""
    assert built("bonet", stride=1, padding="same").min_size == 32
    assert built("bonet", stride=2, padding="same").min_size == 2 * 31 + 1
    assert built("bonet", stride=1, padding="valid").min_size == 96 + 6
    assert built("bonet", stride=2, padding="valid").min_size == 2 * 95 + 7


def test_oblong_images() -> None:
    network = built("bonet_simple", image_size=(61, 90), head="flatten")
    shape = stage_shapes(network)[-1]
    assert shape == (1024, 5, 8)
    assert network.head.hidden1.in_features == 1024 * 5 * 8


def test_against_numpy() -> None:
    network = bonet("bonet_simple", num_classes=2, in_channels=1, image_size=(29, 31)).double()
    drawn(network)
    x = np.random.default_rng(0).normal(size=(2, 1, 29, 31))
    w1, b1, w2, b2, w3, b3, w4, b4 = (p.detach().numpy() for p in network.parameters())
    p1 = ref.max_pool2d(ref.rectifier(ref.conv2d(x, w1, bias=b1, stride=2)), 2)
    p2 = ref.max_pool2d(ref.rectifier(ref.conv2d(p1, w2, bias=b2)), 2)
    hidden = ref.rectifier(ref.linear(ref.global_avg_pool2d(p2), w3, bias=b3))
    expected = ref.linear(hidden, w4, bias=b4)
    np.testing.assert_allclose(
        network(torch.from_numpy(x)).detach().numpy(), expected, rtol=1e-10, atol=1e-10
    )


def test_starts_as_keras_does() -> None:
    """Glorot uniform, zero bias; the deformation layer as the identity."""
    torch.manual_seed(0)
    network = bonet("bonet_simple", num_classes=1, in_channels=1, image_size=(40, 40), deformation=True)
    (moves,) = (layer for layer in network.modules() if isinstance(layer, SpatialTransformer))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer is not moves.affine:
            limit = (6 / (layer.weight[0].numel() + layer.weight[:, 0].numel())) ** 0.5
            assert 0.95 * limit < layer.weight.abs().max() <= limit
            assert (layer.bias == 0).all()
    assert moves.affine.bias.tolist() == [1, 0, 0, 0, 1, 0]
    assert (moves.affine.weight == 0).all()


# The deformation layer ------------------------------------------------------------------------------------


def test_deformation_begins_as_the_identity() -> None:
    """The network gives what it gives without, and the 6 numbers learn."""
    torch.manual_seed(0)
    plain = bonet("bonet_simple", num_classes=1, in_channels=1, image_size=(40, 45)).double()
    torch.manual_seed(0)
    network = bonet(
        "bonet_simple", num_classes=1, in_channels=1, image_size=(40, 45), deformation=True
    ).double()
    moves = network.stage1[0]
    assert isinstance(moves, SpatialTransformer)
    assert parameters(moves) == 96 * 16 * 32 + 32 + 32 * 6 + 6
    network.stem.load_state_dict(plain.stem.state_dict())
    network.stage1[1].load_state_dict(plain.stage1[0].state_dict())
    network.head.load_state_dict(plain.head.state_dict())
    x = torch.randn(2, 1, 40, 45, dtype=torch.float64)
    torch.testing.assert_close(network(x), plain(x), rtol=1e-10, atol=1e-12)
    network(x).sum().backward()
    assert (moves.affine.bias.grad != 0).all()


@pytest.mark.parametrize("size", [(5, 9), (8, 8), (1, 6)])
def test_deformation_against_torch(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    moves = SpatialTransformer(3).double()
    nn.init.normal_(moves.affine.weight, std=0.3)
    maps = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    affine = moves.affine(moves.localization(maps)).view(2, 2, 3)
    expected = F.grid_sample(
        maps, F.affine_grid(affine, list(maps.shape), align_corners=False), align_corners=False
    )
    found = moves(maps)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    arriving = torch.randn_like(found)
    ours = torch.autograd.grad(found, [maps, *moves.parameters()], arriving)
    theirs = torch.autograd.grad(expected, [maps, *moves.parameters()], arriving)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


def test_deformation_moves_by_whole_pixels() -> None:
    """A shift by 2 / W is one pixel: every value comes from its neighbour on the right, and 0 comes in."""
    moves = SpatialTransformer(1)
    with torch.no_grad():
        moves.affine.bias[2] = 2 / 4
    maps = torch.arange(12.0).view(1, 1, 3, 4)
    expected = torch.tensor([[1.0, 2, 3, 0], [5, 6, 7, 0], [9, 10, 11, 0]]).view(1, 1, 3, 4)
    torch.testing.assert_close(moves(maps), expected)


def test_deformation_is_as_exact_in_bfloat16_as_its_maps() -> None:
    """Places are computed in float32: in bfloat16, 64 pixels would blur into each other."""
    moves = SpatialTransformer(2)
    maps = torch.randn(1, 2, 64, 64, generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = moves(maps)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, maps, rtol=1e-2, atol=1e-4)


# What cannot be --------------------------------------------------------------------------------------------


def machine_with(gigabytes: float, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"SC_PHYS_PAGES": int(gigabytes * 1e9 / 4096), "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", answers.__getitem__)


def test_more_weights_than_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    machine_with(16, monkeypatch)
    sentence = (
        r"^bonet_simple with these options has 6,346,352,321 weights, which take 50\.8 GB with their gradients; this "
        r'machine has 16\.0 GB of memory\. Choose head="average", a larger stride or smaller images\.$'
    )
    literal = {"num_classes": 1, "in_channels": 1, "image_size": (220, 220), "stride": 1, "padding": "same"}
    with pytest.raises(InvalidArgument, match=sentence):
        bonet("bonet_simple", head="flatten", **literal)  # type: ignore[arg-type]
    machine_with(0.03, monkeypatch)
    with pytest.raises(InvalidArgument, match=r"4,564,673 weights, which take 0\.0 GB"):
        bonet("bonet_simple", head="average_dense", **literal)  # type: ignore[arg-type]


def test_options_that_cannot_be() -> None:
    for options, sentence in (
        ({"stride": 0}, "`stride` of bonet must be a whole number from 1 to 64. Got 0."),
        ({"stride": 10**9}, f"`stride` of bonet must be a whole number from 1 to 64. Got {10**9}."),
        ({"padding": "full"}, "`padding` of bonet must be 'same' or 'valid'. Got 'full'."),
        (
            {"head": "gap"},
            "`head` of bonet must be one of those known. Got 'gap'. Known: average, average_dense, cam, flatten.",
        ),
        ({"deformation": 1}, "`deformation` of bonet must be true or false. Got 1."),
    ):
        with pytest.raises(InvalidArgument, match=f"^{re.escape(sentence)}$"):
            create_model("bonet", **options)


def test_every_activation_is_the_one_asked_for() -> None:
    network = built("bonet", activation="tanh", deformation=True)
    assert sum(isinstance(layer, nn.Tanh) for layer in network.modules()) == 5 + 1 + 1
    assert not [layer for layer in network.modules() if isinstance(layer, nn.ReLU)]
