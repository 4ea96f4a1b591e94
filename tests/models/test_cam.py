"""The head of class activation maps against the counts of its paper's networks, and against plain torch."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from layer_rows import layer_rows, stage_shapes
from networks import each
from safetensors.torch import save_file
from torch import nn

from mirada.errors import CheckpointError, InvalidArgument
from mirada.explain.class_maps import class_maps
from mirada.layers.network import Network
from mirada.models import CATALOGUE, create_model, facts, load_weights
from mirada.models.cam import channels_behind, usual_width, without_final_pooling
from mirada.models.families import AVERAGE, CAM
from mirada.store.catalogue import named_weights, weights_of
from mirada.training.freezing import freeze

# Zhou et al. 2016, §3 and the released prototxt files: what is kept, on which grid, CAM_conv 3 × 3 × 1024, fc.
# VGG16's CAM_conv has two groups: 1024 · 256 · 9 weights. Counts by hand, biases included; MACs without.
NEW_LAYERS = {
    "alexnet_gap": (13, 256 * 1024 * 9 + 1024, 256 * 1024 * 9 * 13**2),
    "vgg16_gap": (14, 256 * 1024 * 9 + 1024, 256 * 1024 * 9 * 14**2),
    "googlenet_gap": (14, 832 * 1024 * 9 + 1024, 832 * 1024 * 9 * 14**2),
}
KEPT = {
    "alexnet_gap": 60_965_224 - (9_216 * 4_096 + 4_096) - (4_096 * 4_096 + 4_096) - (4_096 * 1000 + 1000),
    "vgg16_gap": 14_714_688,
    "googlenet_gap": 6_998_552 - 1_025_000 - 1_043_456 - 1_444_080,  # without fc, inception 5a and 5b
}
CONVOLUTIONAL = [name for name in CATALOGUE if CAM in facts(name).options["head"].choices]


def on_meta(name: str, **arguments: Any) -> Network:
    with torch.device("meta"):
        return create_model(name, **arguments)


@pytest.mark.parametrize("name", NEW_LAYERS)
def test_the_papers_networks(name: str) -> None:
    side, convolution, macs = NEW_LAYERS[name]
    network = on_meta(name)
    *_, last, linear = layer_rows(network)
    assert last == ((1024, side, side), convolution, macs)
    assert linear == ((1000,), 1_025_000, 1_024_000)
    assert sum(p.numel() for p in network.parameters()) == KEPT[name] + convolution + 1_025_000
    assert CATALOGUE[name].parameters == KEPT[name] + convolution + 1_025_000


def test_what_the_papers_networks_keep() -> None:
    """conv5 of AlexNet and conv5_3 of VGG16 without their pooling, inception_4e of GoogLeNet."""
    assert stage_shapes(on_meta("alexnet_gap"))[-2:] == [(256, 13, 13), (1024, 13, 13)]
    assert stage_shapes(on_meta("vgg16_gap"))[-2:] == [(512, 14, 14), (1024, 14, 14)]
    assert stage_shapes(on_meta("googlenet_gap"))[-2:] == [(832, 14, 14), (1024, 14, 14)]
    assert on_meta("vgg16_gap").stage5.cam.groups == 2
    assert on_meta("alexnet_gap").stage5.cam.groups == on_meta("googlenet_gap").stage5.cam.groups == 1
    assert on_meta("vgg16_gap").head.dropout.p == 0.5
    assert "dropout" not in dict(on_meta("googlenet_gap").head.named_children())


@pytest.mark.parametrize("name", each(CONVOLUTIONAL))
def test_the_channels_are_those_of_the_maps(name: str) -> None:
    """The number that is read off the layers is the one that a run gives, behind every stage; so every cut runs."""
    network = on_meta(
        name, **({"head": AVERAGE} if AVERAGE in facts(name).options["head"].choices else {})
    ).eval()
    maps = network.stem(torch.empty(1, *CATALOGUE[name].image, device="meta"))
    for stage in network.trunk()[1:]:
        maps = network.get_submodule(stage)(maps)
        assert channels_behind(network, stage) == maps.shape[1], stage


@pytest.mark.parametrize("name", each(name for name in CONVOLUTIONAL if CATALOGUE[name].family != "resnet"))
def test_every_network_can_be_cut_behind_its_first_and_its_last_stage(name: str) -> None:
    for after in ("stage1", ""):
        network = on_meta(name, head=CAM, cam_after=after, cam_width=12, num_classes=5).eval()
        assert network.drawn == network.parts()[-2]
        assert network(torch.empty(2, *CATALOGUE[name].image, device="meta")).shape == (2, 5)


def test_against_plain_torch() -> None:
    """The cut lenet5: two convolutions, one pooling fewer, the new convolution, the average, the linear layer."""
    torch.manual_seed(0)
    network = create_model("lenet5", head=CAM, cam_width=8, cam_groups=2, num_classes=3).double().eval()
    x = torch.randn(2, 1, 32, 40, dtype=torch.float64)
    c1, b1, c3, b3, cam, bias, weight, last = network.state_dict().values()
    y = F.max_pool2d(F.conv2d(x, c1, b1), 2).relu()
    y = F.conv2d(y, c3, b3).relu()  # no pooling
    maps = F.conv2d(y, cam, bias, padding=1, groups=2).relu()
    expected = maps.mean(dim=(2, 3)) @ weight.T + last
    with torch.no_grad():
        torch.testing.assert_close(network(x), expected, rtol=1e-12, atol=1e-12)
    found = class_maps(network, x)
    torch.testing.assert_close(
        found.maps.double(), torch.einsum("kc,nchw->nkhw", weight, maps), rtol=1e-4, atol=1e-5
    )
    assert found.maps.shape[2:] == (10, 14)


@pytest.mark.parametrize(
    ("name", "grid"),
    [("lenet5", (10, 10)), ("lenet_caffe", (8, 8)), ("simplecnn", (29, 29)), ("alexnet_gap", (13, 13))],
)
def test_class_maps_are_exact(name: str, grid: tuple[int, int]) -> None:
    torch.manual_seed(1)
    network = create_model(name, head=CAM, num_classes=4).eval()
    found = class_maps(network, torch.randn(2, *CATALOGUE[name].image))
    assert found.maps.shape == (2, 4, *grid)
    assert found.completeness_error < 1e-4
    assert found.outputs.std() > 0


def test_a_pooling_that_ends_a_stage_is_taken_away_and_no_other() -> None:
    conv, act, pool, norm = nn.Conv2d(2, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(2)
    names = lambda stage: list(dict(stage.named_children()))  # noqa: E731
    assert names(without_final_pooling(nn.Sequential(conv, act, pool))) == ["0", "1"]
    kept = without_final_pooling(nn.Sequential(OrderedDict(conv=conv, pool=pool, act=nn.PReLU())))
    assert names(kept) == ["conv", "act"]
    for whole in (nn.Sequential(pool, conv), nn.Sequential(conv, pool, norm), nn.Sequential(conv, act), conv):
        assert without_final_pooling(whole) is whole


def test_the_usual_width_is_the_papers_for_its_networks() -> None:
    assert [usual_width(channels) for channels in (256, 512, 832)] == [1024, 1024, 1024]
    assert [usual_width(channels) for channels in (16, 50, 32)] == [64, 200, 128]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cam_width": 64}, r'^`cam_width` of lenet5 has no effect without head="cam"\. Got 64\.$'),
        (
            {"head": CAM, "cam_after": "stage2"},
            r'^`cam_after`: lenet5 has no stage "stage2"\. Did you mean "stage1"\?',
        ),
        (
            {"head": CAM, "cam_groups": 3},
            r"^`cam_groups` must divide the 16 maps of stage1 and `cam_width`\. Got 3",
        ),
    ],
)
def test_what_cannot_be_cut_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        create_model("lenet5", **options)


def test_units_without_places_cannot_be_averaged() -> None:
    with pytest.raises(InvalidArgument, match=r"^`head` of mlp must be 'dense' or 'average'\. Got 'cam'\.$"):
        create_model("mlp", head=CAM)


# Weights ----------------------------------------------------------------------------------------------------


def saved(network: nn.Module, file: Path) -> Path:
    save_file({key: value.clone() for key, value in network.state_dict().items()}, file)
    return file


def test_the_trained_stages_keep_their_weights_and_what_follows_is_left_out(tmp_path: Path) -> None:
    """Also where the file's last layer has the size of the new one: it reads other maps."""
    torch.manual_seed(0)
    whole = create_model("bonet_simple", head=AVERAGE, num_classes=2, image_size=64)
    network = create_model("bonet_simple", head=CAM, num_classes=2, image_size=64)
    drawn = {key: value.clone() for key, value in network.state_dict().items()}
    assert drawn["head.linear.weight"].shape == whole.state_dict()["head.linear.weight"].shape == (2, 1024)
    report = load_weights(
        network, "bonet_simple", saved(whole, tmp_path / "w.safetensors"), replace_head=True
    )
    new = {"stage2.cam.weight", "stage2.cam.bias", "head.linear.weight", "head.linear.bias"}
    assert set(report.initialised) == new
    assert set(report.dropped) == {"head.linear.weight", "head.linear.bias"}
    for key, value in network.state_dict().items():
        assert torch.equal(value, drawn[key] if key in new else whole.state_dict()[key]), key


def test_a_cut_in_the_middle_leaves_the_later_stages_out(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = create_model("resnet20", num_classes=2)
    network = create_model("resnet20", head=CAM, cam_after="stage2", cam_width=16, num_classes=2)
    report = load_weights(network, "resnet20", saved(whole, tmp_path / "w.safetensors"), replace_head=True)
    assert {name.partition(".")[0] for name in report.dropped} == {"stage3", "head"}
    assert {name.partition(".")[0] for name in report.initialised} == {"stage3", "head"}
    same = [key for key in network.state_dict() if key.startswith(("stem.", "stage1.", "stage2."))]
    assert len(same) > 20
    assert all(torch.equal(network.state_dict()[key], whole.state_dict()[key]) for key in same)


def test_a_file_of_the_cut_network_is_taken_whole(tmp_path: Path) -> None:
    torch.manual_seed(0)
    before = create_model("lenet5", head=CAM, cam_width=16, num_classes=3)
    network = create_model("lenet5", head=CAM, cam_width=16, num_classes=3)
    report = load_weights(network, "lenet5", saved(before, tmp_path / "w.safetensors"))
    assert not report.initialised and not report.dropped
    assert all(torch.equal(value, before.state_dict()[key]) for key, value in network.state_dict().items())


def test_new_layers_are_asked_for(tmp_path: Path) -> None:
    whole = create_model("simplecnn", head=AVERAGE)
    network = create_model("simplecnn", head=CAM)
    with pytest.raises(
        CheckpointError, match=r"lacks 2 of the network's tensors: stage2\.cam.* replace_head=True"
    ):
        load_weights(network, "simplecnn", saved(whole, tmp_path / "w.safetensors"))


def test_public_names_of_the_whole_network_are_understood(tmp_path: Path) -> None:
    """torchvision's of its alexnet, without its dense layers."""
    torch.manual_seed(0)
    indices = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
    theirs = {}
    for index, (out, into, kernel) in indices.items():
        theirs[f"features.{index}.weight"] = torch.randn(out, into, kernel, kernel)
        theirs[f"features.{index}.bias"] = torch.randn(out)
    save_file(theirs, tmp_path / "w.safetensors")
    network = create_model("alexnet_owt", head=CAM, cam_width=8, num_classes=2)
    report = load_weights(network, "alexnet_owt", tmp_path / "w.safetensors", replace_head=True)
    assert report.convention == "torchvision" and report.loaded == 10
    assert torch.equal(network.stage4[0].conv.weight, theirs["features.10.weight"])


def test_all_that_is_frozen_is_what_was_trained() -> None:
    """The convolution that was drawn with the head learns with it."""
    frozen = freeze(create_model("simplecnn", head=CAM), ["all"])
    assert frozen.names == ("stem", "stage1")
    assert frozen.place == "stage1"


def test_a_cut_network_begins_with_the_weights_of_the_whole_one() -> None:
    """By its own name as well; the whole networks keep theirs."""
    assert [each.network for each in weights_of("vgg16_gap")] == ["vgg16"] * len(weights_of("vgg16"))
    assert named_weights("vgg16_gap") == named_weights("vgg16")
    assert weights_of("alexnet_gap") == ()
