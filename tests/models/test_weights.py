"""Public weights in our networks: where every tensor goes, and what is said about it."""

import json
import re
from collections import OrderedDict
from dataclasses import FrozenInstanceError
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from mirada.data.pixels.preprocessing import Preprocessing
from mirada.errors import CheckpointError, InvalidArgument, RecipeError
from mirada.events import LoadReport
from mirada.layers.network import Network
from mirada.modelfile import Architecture, Card, save_model
from mirada.models import load_weights
from mirada.models.weights import conventions, convert, load_public
from mirada.samples import Classes
from mirada.training.pretrained import create_model

SMALL_KEYS = ((r"^features\.0\.", "stem."), (r"^features\.1\.", "norm."), (r"^fc\.", "head.linear."))
BY_CONVENTION = {"torchvision": SMALL_KEYS}


class Small(nn.Module):
    """Convolution, batch norm, a head and perhaps an auxiliary one, named as networks name them."""

    def __init__(self, num_classes: int = 3, in_channels: int = 2, *, auxiliary: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_channels, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Sequential(OrderedDict(hidden=nn.Linear(4, 5), linear=nn.Linear(5, num_classes)))
        if auxiliary:
            self.auxiliary = nn.ModuleDict({"stage1": nn.Linear(4, num_classes)})


def public(**changes: Tensor | None) -> dict[str, Tensor]:
    """Random weights for ``Small`` under public names; a change to None leaves a tensor out."""
    draws = torch.Generator().manual_seed(0)
    shapes = {
        "features.0.weight": (4, 2, 3, 3),
        "features.0.bias": (4,),
        "features.1.weight": (4,),
        "features.1.bias": (4,),
        "features.1.running_mean": (4,),
        "features.1.running_var": (4,),
        "head.hidden.weight": (5, 4),
        "head.hidden.bias": (5,),
        "fc.weight": (3, 5),
        "fc.bias": (3,),
    }
    found: dict[str, Any] = {key: torch.randn(shape, generator=draws) for key, shape in shapes.items()}
    found["features.1.running_var"] = found["features.1.running_var"].abs()  # a variance
    found["features.1.num_batches_tracked"] = torch.tensor(7)
    for key, value in changes.items():
        found[key.replace("__", ".")] = value
    return {key: value for key, value in found.items() if value is not None}


def saved(folder: Path, contents: object) -> Path:
    torch.save(contents, folder / "weights.pth")
    return folder / "weights.pth"


def refusal(path: Path, network: nn.Module, *, replace_head: bool = False) -> str:
    """The message, without the file's name, with which a network refuses a file."""
    with pytest.raises(CheckpointError) as caught:
        load_public(network, path, BY_CONVENTION, replace_head=replace_head)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(found[key], value), key


# Loading --------------------------------------------------------------------------------------------------


def test_weights_arrive_and_the_report_says_how(tmp_path: Path) -> None:
    network = Small()
    report = load_public(network, saved(tmp_path, public()), BY_CONVENTION)
    assert_equal(network.state_dict(), convert(public(), network, SMALL_KEYS))
    assert torch.equal(network.stem.weight, public()["features.0.weight"])
    assert (report.convention, report.loaded, report.file) == ("torchvision", 11, "weights.pth")
    assert report.renamed[0] == ("features.0.weight", "stem.weight")
    assert len(report.renamed) == 9  # head.hidden has the same name here and there
    assert (report.adapted, report.dropped, report.initialised, report.replaced) == ((), (), (), ())
    assert report.whole
    assert report.sha256 == sha256((tmp_path / "weights.pth").read_bytes()).hexdigest()
    assert str(report) == "weights.pth: 11 tensors loaded by torchvision names, 9 renamed."
    with pytest.raises(FrozenInstanceError):
        report.loaded = 0  # type: ignore[misc]


def test_the_convention_that_fits_most_keys_is_taken(tmp_path: Path) -> None:
    """The network's own names are always among them."""
    tables = {"CIFAR": ((r"^fc\.", "head.linear."),), "torchvision": SMALL_KEYS}
    assert load_public(Small(), saved(tmp_path, public()), tables).convention == "torchvision"
    own = saved(tmp_path, Small().state_dict())
    report = load_public(Small(), own, {"timm": ((r"^head\.", "fc."),)})
    assert (report.convention, report.renamed) == ("Mirada's own", ())
    assert load_public(Small(), own, {}).loaded == 11


def test_half_precision_files_become_the_networks_precision(tmp_path: Path) -> None:
    network = Small()
    halves = {key: value.half() if value.is_floating_point() else value for key, value in public().items()}
    load_public(network, saved(tmp_path, halves), BY_CONVENTION)
    assert network.stem.weight.dtype == torch.float32
    assert torch.equal(network.stem.weight, halves["features.0.weight"].float())


def test_counters_of_batch_norm_may_be_missing_or_too_many(tmp_path: Path) -> None:
    absent = public(features__1__num_batches_tracked=None)
    network = Small()
    report = load_public(network, saved(tmp_path, absent), BY_CONVENTION)
    assert (report.loaded, report.initialised) == (10, ())
    assert network.norm.num_batches_tracked == 0
    surplus = public(features__9__num_batches_tracked=torch.tensor(1))
    report = load_public(Small(), saved(tmp_path, surplus), BY_CONVENTION)
    assert report.dropped == ("features.9.num_batches_tracked",)


@pytest.mark.parametrize("key", ["aux1.fc.weight", "AuxLogits.conv0.conv.weight", "auxiliary.stage3.weight"])
def test_auxiliary_heads_that_the_network_lacks_are_left_out(tmp_path: Path, key: str) -> None:
    report = load_public(Small(), saved(tmp_path, {**public(), key: torch.zeros(3)}), BY_CONVENTION)
    assert report.dropped == (key,) and not report.whole
    assert str(report).splitlines()[1] == f"  left out: {key}"


def test_auxiliary_heads_that_the_file_lacks_stay_as_drawn(tmp_path: Path) -> None:
    network = Small(auxiliary=True)
    drawn = network.auxiliary["stage1"].weight.clone()
    report = load_public(network, saved(tmp_path, public()), BY_CONVENTION)
    assert report.initialised == ("auxiliary.stage1.weight", "auxiliary.stage1.bias") and not report.whole
    assert str(report).splitlines()[1].startswith("  not in the file, newly drawn: auxiliary.stage1.weight, ")
    assert torch.equal(network.auxiliary["stage1"].weight, drawn)


def test_a_head_of_another_size_is_replaced_only_when_asked(tmp_path: Path) -> None:
    path = saved(tmp_path, public())
    network = Small(num_classes=7)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert refusal(path, network) == (
        "head.linear.weight is (3, 5) in the file and (7, 5) in the network, and 1 more do not fit. "
        "To train a new head instead, ask for it with replace_head=True."
    )
    assert_equal(network.state_dict(), before)  # nothing was loaded by halves
    report = load_public(network, path, BY_CONVENTION, replace_head=True)
    assert report.replaced == ("head.linear.weight", "head.linear.bias")
    assert report.loaded == 9 and not report.whole
    assert str(report).splitlines()[1] == (
        "  of another size in the file, newly drawn: head.linear.weight, head.linear.bias"
    )
    assert torch.equal(network.head.linear.weight, before["head.linear.weight"])
    assert torch.equal(network.head.hidden.weight, public()["head.hidden.weight"])


def test_a_layer_is_replaced_whole(tmp_path: Path) -> None:
    """The bias of a weight of another size would fit, but belongs to it."""
    path = saved(tmp_path, public(fc__weight=torch.zeros(3, 6)))
    report = load_public(Small(), path, BY_CONVENTION, replace_head=True)
    assert report.replaced == ("head.linear.weight", "head.linear.bias")


def test_a_head_that_fits_is_loaded_even_if_it_might_be_replaced(tmp_path: Path) -> None:
    report = load_public(Small(), saved(tmp_path, public()), BY_CONVENTION, replace_head=True)
    assert (report.loaded, report.replaced) == (11, ())


def test_a_file_without_a_head(tmp_path: Path) -> None:
    path = saved(tmp_path, public(fc__weight=None, fc__bias=None))
    assert refusal(path, Small()) == (
        "lacks 2 of the network's tensors: head.linear.weight, head.linear.bias. "
        "To train a new head, ask for it with replace_head=True."
    )
    report = load_public(Small(), path, BY_CONVENTION, replace_head=True)
    assert report.initialised == ("head.linear.weight", "head.linear.bias")


def test_another_shape_elsewhere_is_named_with_both_shapes(tmp_path: Path) -> None:
    """Whether the head may be replaced or not."""
    path = saved(tmp_path, public())
    for replace_head in (False, True):
        assert refusal(path, Small(in_channels=1), replace_head=replace_head) == (
            "stem.weight is (4, 2, 3, 3) in the file and (4, 1, 3, 3) in the network. "
            "Build the network as the file has it."
        )


def test_colour_kernels_are_summed_for_grey_images(tmp_path: Path) -> None:
    """A grey image in one channel gives what it gave in three equal ones."""
    colour, grey = create_model("resnet20"), create_model("resnet20", in_channels=1)
    report = load_public(grey, saved(tmp_path, colour.state_dict()), {})
    assert report.adapted == ("stem.conv.weight",) and not report.whole
    assert str(report).splitlines()[1] == (
        "  summed over red, green and blue, for grey images: stem.conv.weight"
    )
    image = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    outputs = [net.eval()(x) for net, x in ((grey, image), (colour, image.expand(-1, 3, -1, -1)))]
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)
    message = refusal(saved(tmp_path, grey.state_dict()), create_model("resnet20"))
    assert message.startswith("stem.conv.weight is (16, 1, 3, 3) in the file and (16, 3, 3, 3) in the ")


@pytest.mark.parametrize("layer", ["dense", "none"])
def test_only_convolutions_are_summed(tmp_path: Path, layer: str) -> None:
    kinds = {"dense": nn.Linear(4, 2), "none": nn.Sequential()}
    network = nn.ModuleDict({"stem": nn.Linear(4, 2), "head": kinds[layer]})
    file = saved(tmp_path, {**network.state_dict(), "stem.weight": torch.zeros(2, 12)})
    assert refusal(file, network).startswith("stem.weight is (2, 12) in the file and (2, 4) in the network")


def test_create_model_warns_unless_all_is_well(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = saved(tmp_path, create_model("lenet5").state_dict())
    with caplog.at_level("INFO", logger="mirada"):
        create_model("lenet5", weights=file)
        create_model("lenet5", num_classes=3, weights=file, replace_head=True)
    first, second = caplog.records
    assert (first.levelname, second.levelname) == ("INFO", "WARNING")
    assert first.getMessage() == "weights.pth: 10 tensors loaded by Mirada's own names, 0 renamed."
    assert second.getMessage().splitlines()[1].endswith("newly drawn: head.linear.weight, head.linear.bias")


def test_load_weights_returns_the_report(tmp_path: Path) -> None:
    """And finds the family's names by itself."""
    network = create_model("lenet5")
    report = load_weights(network, "lenet5", saved(tmp_path, create_model("lenet5").state_dict()))
    assert report.whole and report.loaded == 10
    with pytest.raises(InvalidArgument, match=r'^There is no network "lenet6"\. Did you mean "lenet5"\? '):
        load_weights(network, "lenet6", tmp_path / "weights.pth")


def test_unknown_keys_are_listed_with_the_nearest(tmp_path: Path) -> None:
    changed = {**public(features__0__weight=None), "features.0.wieght": torch.zeros(4, 2, 3, 3)}
    assert refusal(saved(tmp_path, changed), Small()) == (
        "the network lacks 1 of its tensors: features.0.wieght (nearest: stem.weight). "
        "Are they another network's?"
    )
    many = {**public(), **{f"layer9.{number}.weight": torch.zeros(1) for number in range(6)}}
    message = refusal(saved(tmp_path, many), Small())
    assert message.startswith("the network lacks 6 of its tensors: layer9.0.weight (nearest: ")
    assert message.endswith(" and 2 more. Are they another network's?")


def test_missing_tensors_are_listed(tmp_path: Path) -> None:
    path = saved(tmp_path, public(features__0__bias=None, fc__bias=None))
    assert refusal(path, Small(), replace_head=True) == (
        "lacks 1 of the network's tensors: stem.bias. Are they another network's?"
    )


def test_two_tensors_with_one_name(tmp_path: Path) -> None:
    twice = {**public(), "stem.bias": torch.zeros(4)}
    assert refusal(saved(tmp_path, twice), Small()) == (
        "features.0.bias and stem.bias are both stem.bias in the network."
    )


# Prefixes, averages, what is no weight ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "prefix", ["model.", "net.", "module.", "model.module.", "backbone.net.", "_orig_mod."]
)
def test_a_prefix_of_all_names_is_taken_off_and_said(tmp_path: Path, prefix: str) -> None:
    network = Small()
    file = saved(
        tmp_path, {"state_dict": {prefix + key: value for key, value in public().items()}, "epoch": 3}
    )
    report = load_public(network, file, BY_CONVENTION)
    assert torch.equal(network.stem.weight, public()["features.0.weight"])
    assert (report.prefix, report.loaded, report.convention) == (prefix, 11, "torchvision")
    assert str(report).splitlines()[1:] == [f"  taken off the beginning of every name: {prefix}"]
    assert report.whole


def test_a_first_part_that_is_the_networks_own_is_no_prefix(tmp_path: Path) -> None:
    network = nn.Sequential(OrderedDict(features=nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))))
    report = load_public(network, saved(tmp_path, network.state_dict()), {})
    assert (report.prefix, report.loaded) == ("", 4)


def test_weights_averaged_by_pytorch(tmp_path: Path) -> None:
    """``torch.optim.swa_utils.AveragedModel``, whose own counter stands beside the network."""
    averaged = torch.optim.swa_utils.AveragedModel(Small())
    report = load_public(Small(), saved(tmp_path, averaged.state_dict()), {})
    assert (report.prefix, report.dropped, report.loaded) == ("module.", ("n_averaged",), 11)


@pytest.mark.parametrize(
    "entries", [("state_dict", "state_dict_ema"), ("model", "model_ema"), ("net", "ema")]
)
def test_of_weights_and_their_average_it_is_said_which(tmp_path: Path, entries: tuple[str, str]) -> None:
    file = saved(tmp_path, {entries[1]: public(fc__bias=torch.ones(3)), "epoch": 1, entries[0]: public()})
    network = Small()
    report = load_public(network, file, BY_CONVENTION)
    assert torch.equal(network.head.linear.bias, public()["fc.bias"])
    assert (report.entry, report.others) == (entries[0], (entries[1],)) and not report.whole
    assert str(report).splitlines()[1] == f"  {entries[0]} was taken; the file also holds: {entries[1]}"


def test_an_average_alone_is_taken(tmp_path: Path) -> None:
    assert load_public(Small(), saved(tmp_path, {"ema": public()}), BY_CONVENTION).entry == "ema"


def test_of_two_sets_that_are_as_likely_none_is_taken(tmp_path: Path) -> None:
    assert refusal(saved(tmp_path, {"teacher": public(), "student": public()}), Small()) == (
        "holds 2 sets of weights (teacher, student). Save the one that is meant alone."
    )


@pytest.mark.parametrize("key", ["model_state_dict", "network", "whatever"])
def test_other_wrappers(tmp_path: Path, key: str) -> None:
    file = saved(tmp_path, {key: public(), "optimizer_state_dict": {"state": {}, "lr": 0.1}})
    assert load_public(Small(), file, BY_CONVENTION).loaded == 11


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"features__0__weight": torch.full((4, 2, 3, 3), float("nan"))}, "stem.weight holds NaN or infinite values"),
        ({"features__0__bias": torch.tensor([0.0, 0, 0, float("inf")])}, "stem.bias holds NaN or infinite values"),
        ({"features__0__bias": torch.full((4,), 1e300, dtype=torch.float64)}, "stem.bias holds NaN or infinite values"),
        ({"features__1__running_var": torch.tensor([1.0, 1, -1e-3, 1])}, "norm.running_var holds negative numbers"),
        ({"features__0__weight": torch.zeros((4, 2, 3, 3), dtype=torch.int8)}, "stem.weight holds int8 in the file"),
        ({"fc__weight": torch.zeros((3, 5), dtype=torch.int32)}, "head.linear.weight holds int32 in the file"),
        ({"fc__weight": torch.zeros((3, 5), dtype=torch.bool)}, "head.linear.weight holds bool in the file"),
    ],
)  # fmt: skip
def test_what_is_no_weight_is_refused(tmp_path: Path, change: dict[str, Tensor], words: str) -> None:
    network = Small()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert refusal(saved(tmp_path, public(**change)), network).startswith(words)
    assert_equal(network.state_dict(), before)


def test_types_of_safetensors_that_are_no_weights(tmp_path: Path) -> None:
    for kind in (torch.int32, torch.uint32, torch.uint8):
        save_file({**public(), "fc.bias": torch.zeros(3).to(kind)}, tmp_path / "w.safetensors")
        assert "head.linear.bias holds " in refusal(tmp_path / "w.safetensors", Small())


def test_what_is_replaced_may_be_anything(tmp_path: Path) -> None:
    file = saved(tmp_path, public(fc__weight=torch.full((9, 5), float("nan")), fc__bias=torch.zeros(9)))
    report = load_public(Small(), file, BY_CONVENTION, replace_head=True)
    assert report.replaced == ("head.linear.weight", "head.linear.bias")


def test_messages_are_short_whatever_the_names(tmp_path: Path) -> None:
    long = "x" * 1_000_000
    for contents in (
        {**public(), long: torch.zeros(1)},
        {long: 3, "a": torch.zeros(1)},
        {**public(), long: torch.zeros(1, dtype=torch.complex64)},
        {f"{number}{long}": public() for number in range(3)},
    ):
        assert len(refusal(saved(tmp_path, contents), Small())) < 500


# Another network's -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("theirs", "ours"), [("resnet20", "resnet18"), ("resnet32", "resnet20"), ("lenet5", "simplecnn")]
)
def test_weights_of_another_network_are_recognised(tmp_path: Path, theirs: str, ours: str) -> None:
    file = saved(tmp_path, create_model(theirs, num_classes=7).state_dict())
    with pytest.raises(CheckpointError) as caught:
        create_model(ours, weights=file)
    assert str(caught.value) == (
        f"{file}: these weights are those of {theirs}, and the network is {ours}. Choose {theirs}, or other weights."
    )


@pytest.mark.slow
def test_public_weights_of_another_network_are_recognised(shared_data: Path) -> None:
    """By the catalogue; and by their tensors, where nobody asks it."""
    file = shared_data / "cifar10" / "resnet20-12fca82f.th"
    with pytest.raises(RecipeError, match=r"are weights of resnet20, and the network is vgg11\. Choose"):
        create_model("vgg11", weights=file, replace_head=True)
    with pytest.raises(CheckpointError, match=r"those of resnet20, and the network is vgg11\. Choose"):
        load_weights(create_model("vgg11", image_size=32), "vgg11", file, replace_head=True)


def test_weights_of_no_known_network(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"Are they another network's\?$"):
        create_model("lenet5", weights=saved(tmp_path, public()))


# A model file of Mirada's ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    card = Card(
        architecture=Architecture(model="lenet5", outputs=3, in_channels=1, image_size=(32, 32)),
        target=Classes(("a", "b", "c")),
        preprocessing=Preprocessing(mode="L", size=(32, 32), mean=(0.5,), std=(0.5,)),
    )
    file = tmp_path_factory.mktemp("model") / "model.safetensors"
    save_model(file, card.architecture.build(), card)
    return file


def test_a_model_file_is_a_file_of_weights(model_file: Path) -> None:
    report = load_weights(create_model("lenet5", num_classes=3), "lenet5", model_file)
    assert report.whole and report.convention == "Mirada's own"


def test_a_damaged_model_file_is_no_file_of_weights(model_file: Path, tmp_path: Path) -> None:
    """As when it is opened as a model: 400 of them, each with some bytes changed, put in, left out."""
    whole = model_file.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    random = np.random.default_rng(0)
    network = create_model("lenet5", num_classes=3)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    damaged = tmp_path / "damaged.safetensors"
    for number in range(400):
        data = bytearray(whole)
        place = int(random.integers(0, header if number % 2 else len(whole)))
        match number // 2 % 4:
            case 0:
                data[place] ^= 1 << int(random.integers(8))
            case 1:
                del data[place : place + int(random.integers(1, 9))]
            case 2:
                data[place:place] = random.bytes(4)
            case 3:
                data[place : place + 8] = bytes(8)
        if data == whole:
            continue
        damaged.write_bytes(data)
        with pytest.raises(CheckpointError):
            load_public(network, damaged, {})
    assert_equal(network.state_dict(), before)


# Converting -----------------------------------------------------------------------------------------------


def test_pairs_apply_in_order() -> None:
    found = convert({"a.1": torch.zeros(1)}, Small(), (("a", "b"), ("b", "c"), (r"(\d)", r"<\1>")))
    assert list(found) == ["c.<1>"]


def test_a_convolution_over_the_whole_map_is_a_dense_layer() -> None:
    """On a map of the kernel's size both compute the same."""
    maps = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    convolution = nn.Conv2d(3, 6, (4, 5), bias=False)
    dense = nn.Linear(60, 6, bias=False)
    dense.load_state_dict(convert(convolution.state_dict(), dense, ()))
    torch.testing.assert_close(dense(maps.flatten(1)), convolution(maps).flatten(1))
    back = convert(dense.state_dict(), convolution, ())
    assert torch.equal(back["weight"], convolution.weight)
    other = convert({"weight": torch.zeros(6, 61)}, convolution, ())
    assert other["weight"].shape == (6, 61)


def test_the_conventions_of_a_family_are_the_tables_in_its_file() -> None:
    family = ModuleType("family")
    assert conventions(family, "one") == {}
    family.TIMM_KEYS = (("c", "d"),)  # type: ignore[attr-defined]
    family.PUBLIC_KEYS = {"one": (("a", "b"),)}  # type: ignore[attr-defined]
    assert conventions(family, "one") == {"torchvision": (("a", "b"),), "timm": (("c", "d"),)}
    assert conventions(family, "two") == {"timm": (("c", "d"),)}


# Against torchvision's and timm's own names and shapes -----------------------------------------------------


def stated_shapes(shared_data: Path, name: str) -> dict[str, tuple[int, ...]]:
    """Every tensor of a public network, as it was read out of torchvision 0.28 or timm 1.0.31."""
    everything = json.loads(
        (shared_data.parent / "facts" / "state_dict_keys.json").read_text(encoding="utf-8")
    )
    return {key: tuple(shape) for key, shape in everything[name].items()}


def shapes(tensors: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in tensors.items()}


# A public network, the family that has it, and its name there
TWINS = [
    ("torchvision/alexnet", "alexnet", "alexnet_owt"),
    *[(f"torchvision/vgg{n}{bn}", "vgg", f"vgg{n}{bn}") for n in (11, 13, 16, 19) for bn in ("", "_bn")],
    *[(f"torchvision/resnet{n}", "resnet", f"resnet{n}") for n in (18, 34, 50, 101, 152)],
    *[(f"torchvision/densenet{n}", "densenet", f"densenet{n}") for n in (121, 161, 169, 201)],
    ("torchvision/googlenet", "googlenet", "googlenet_bn"),
    ("torchvision/inception_v3", "inception", "inception_v3"),
    ("timm/inception_v3", "inception", "inception_v3"),
    ("timm/inception_v4", "inception_v4", "inception_v4"),
    ("timm/inception_resnet_v2", "inception_v4", "inception_resnet_v2"),
    ("timm/vgg16", "vgg", "vgg16"),
    ("timm/vgg19", "vgg", "vgg19"),
    ("timm/resnet50", "resnet", "resnet50"),
    ("timm/densenet121", "densenet", "densenet121"),
]


def on_meta(family: str, name: str, *, auxiliary: bool) -> Network:
    module = import_module(f"mirada.models.{family}")
    options = {"auxiliary": True} if auxiliary else {}
    with torch.device("meta"):
        build = getattr(module, family)
        network: Network = build(name, num_classes=1000, in_channels=3, image_size=(299, 299), **options)
    return network


@pytest.mark.parametrize(("public_name", "family", "name"), TWINS)
def test_keys_and_shapes_are_the_public_ones(
    shared_data: Path, public_name: str, family: str, name: str
) -> None:
    """By one of the family's conventions every tensor of theirs is one of ours, and the reverse."""
    stated = stated_shapes(shared_data, public_name)
    network = on_meta(family, name, auxiliary=any(key.lower().startswith("aux") for key in stated))
    theirs = {key: torch.empty(shape, device="meta") for key, shape in stated.items()}
    tables = conventions(import_module(f"mirada.models.{family}"), name)
    ours = shapes(dict(network.state_dict()))
    differences = {
        who: shapes(convert(theirs, network, keys)).items() ^ ours.items() for who, keys in tables.items()
    }
    assert any(not difference for difference in differences.values()), differences


def test_a_whole_resnet18(shared_data: Path, tmp_path: Path) -> None:
    draws = torch.Generator().manual_seed(0)
    stated = stated_shapes(shared_data, "torchvision/resnet18")
    theirs = {
        key: torch.randn(shape, generator=draws).abs()
        if shape
        else torch.tensor(1)  # variances are among them
        for key, shape in stated.items()
    }
    network = create_model("resnet18")
    tables = conventions(import_module("mirada.models.resnet"), "resnet18")
    report = load_public(network, saved(tmp_path, theirs), tables)
    assert (report.convention, report.loaded, len(report.renamed), report.dropped) == (
        "torchvision",
        122,
        122,
        (),
    )
    weights = network.state_dict()
    assert torch.equal(weights["stage2.0.shortcut.conv.weight"], theirs["layer2.0.downsample.0.weight"])
    assert torch.equal(weights["stage4.1.block.1.norm.running_var"], theirs["layer4.1.bn2.running_var"])


def cifar_resnet(shared_data: Path, depth: int, file: str) -> tuple[Network, LoadReport]:
    family = import_module("mirada.models.resnet")
    network: Network = family.resnet(f"resnet{depth}", num_classes=10, in_channels=3, image_size=(32, 32))
    tables = conventions(family, f"resnet{depth}")
    return network, load_public(network, shared_data / "cifar10" / file, tables)


@pytest.mark.parametrize(("depth", "file"), [(20, "resnet20-12fca82f.th"), (32, "resnet32-d509ac18.th")])
def test_cifar_resnets_load_whole(shared_data: Path, depth: int, file: str) -> None:
    network, report = cifar_resnet(shared_data, depth, file)
    assert report.convention == "CIFAR"
    assert report.loaded == sum(not name.endswith("tracked") for name in network.state_dict())
    assert (report.dropped, report.initialised, report.replaced) == ((), (), ())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("depth", "file", "expected"),
    [(20, "resnet20-12fca82f.th", 1628), (32, "resnet32-d509ac18.th", 1632)],
)
def test_cifar_resnets_classify(shared_data: Path, depth: int, file: str, expected: int) -> None:
    """Of 2,000 images as many as a plain implementation, within two; on some the decoders differ by a step."""
    network, _ = cifar_resnet(shared_data, depth, file)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    right = 0
    for label, folder in enumerate(sorted((shared_data / "cifar10" / "test").iterdir())):
        pixels = [torch.from_numpy(np.array(Image.open(image))) for image in sorted(folder.iterdir())]
        images = torch.stack(pixels).permute(0, 3, 1, 2) / 255
        with torch.inference_mode():
            right += int((network.eval()((images - mean) / deviation).argmax(dim=1) == label).sum())
    assert abs(right - expected) <= 2


# Caffe's BN-Inception, and lists of parts ------------------------------------------------------------------


def cadene(network: Network) -> tuple[dict[str, Tensor], list[str]]:
    """A network's tensors as pretrained-models.pytorch calls them, with biases that the means make up for."""
    parts = {"1x1": "1x1", "3x3.0": "3x3_reduce", "3x3.1": "3x3", "double3x3.0": "double_3x3_reduce"}
    parts |= {"double3x3.1": "double_3x3_1", "double3x3.2": "double_3x3_2", "pool.project": "pool_proj"}
    stem = {"conv1": "conv1_7x7_s2", "reduce2": "conv2_3x3_reduce", "conv2": "conv2_3x3"}
    draws, found, biases = torch.Generator().manual_seed(1), {}, []
    for name, value in network.state_dict().items():
        part, _, rest = name.partition(".")
        if part == "head":
            found[f"last_linear.{name.rpartition('.')[2]}"] = value
            continue
        layer, kind, tensor = rest.rsplit(".", 2)
        if part == "stem":
            theirs = stem[layer]
        else:
            module, _, branch = layer.partition(".")
            theirs = f"inception_{module.removeprefix('inception')}_{parts[branch]}"
        found[f"{theirs}{'_bn' if kind == 'norm' else ''}.{tensor}"] = value.clone()
        if tensor == "running_mean":
            bias = torch.randn(value.shape, generator=draws)
            found[f"{theirs}.bias"], found[f"{theirs}_bn.running_mean"] = bias, value + bias
            biases.append(f"{theirs}.bias")
    return found, biases


@pytest.mark.parametrize("old", [False, True])
def test_biases_before_batch_normalization_become_part_of_its_mean(old: bool, tmp_path: Path) -> None:
    """Files of PyTorch's first years have vectors as tables of one row."""
    torch.manual_seed(0)
    theirs = create_model("bn_inception", num_classes=5)
    tensors, biases = cadene(theirs)
    if old:
        tensors = {name: value[None] if value.dim() == 1 else value for name, value in tensors.items()}
        tensors |= {name: value[0] for name, value in tensors.items() if name.startswith("last_linear")}
        tensors["last_linear.weight"] = theirs.state_dict()["head.linear.weight"]
    network = create_model("bn_inception", num_classes=5)
    report = load_weights(network, "bn_inception", saved(tmp_path, tensors))
    assert report.convention == "pretrained-models.pytorch's" and set(report.folded) == set(biases)
    assert not (report.dropped or report.initialised or report.replaced)
    assert "biases, taken from the means of the batch normalization behind them: " in str(report)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], value, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "pattern", "replacement"),
    [
        ("resnet50", r"^layer(\d)\.", lambda found: f"{int(found[1]) + 3}."),
        ("densenet121", r"^features\.", "0."),
    ],
)
def test_a_list_of_parts_without_the_last(model: str, pattern: str, replacement: Any, tmp_path: Path) -> None:
    """As RadImageNet's backbones were saved: nn.Sequential(*children), called backbone."""
    torch.manual_seed(0)
    theirs = create_model(model, num_classes=5)
    names = {
        "resnet50": ((r"^stem\.0\.conv\.", "conv1."), (r"^stem\.0\.norm\.", "bn1.")),
        "densenet121": (
            (r"^stem\.0\.(conv|norm)\.", r"features.\g<1>0."),
            (r"^stage4\.norm\.", "features.norm5."),
        ),
    }[model]
    renames: list[tuple[str, Any]] = [
        *names,
        (r"^stage(\d)\.(\d+)\.block\.(\d)\.conv\.", lambda m: f"layer{m[1]}.{m[2]}.conv{int(m[3]) + 1}."),
        (r"^stage(\d)\.(\d+)\.block\.(\d)\.norm\.", lambda m: f"layer{m[1]}.{m[2]}.bn{int(m[3]) + 1}."),
        (r"^stage(\d)\.(\d+)\.shortcut\.conv\.", r"layer\1.\2.downsample.0."),
        (r"^stage(\d)\.(\d+)\.shortcut\.norm\.", r"layer\1.\2.downsample.1."),
        (
            r"^stage(\d)\.layer(\d+)\.function\.(\d)\.(conv|norm)\.",
            lambda m: f"features.denseblock{m[1]}.denselayer{m[2]}.{m[4]}{int(m[3]) + 1}.",
        ),
        (r"^stage(\d)\.transition\.0\.", lambda m: f"features.transition{int(m[1]) - 1}."),
        (pattern, replacement),
        (r"^conv1\.", "0."),
        (r"^bn1\.", "1."),
    ]
    tensors = {}
    for name, value in theirs.state_dict().items():
        if name.startswith("head."):
            continue
        for before, after in renames:
            name = re.sub(before, after, name)
        tensors[f"backbone.{name}"] = value
    network = create_model(model, num_classes=5)
    report = load_weights(network, model, saved(tmp_path, tensors), replace_head=True)
    assert report.convention == "nn.Sequential's"
    assert report.prefix == ("backbone." if model == "resnet50" else "backbone.0.")
    assert report.initialised == ("head.linear.weight", "head.linear.bias") and not report.dropped
    for name, value in theirs.state_dict().items():
        if not name.startswith("head."):
            assert torch.equal(network.state_dict()[name], value), name


def test_a_list_of_inceptions_parts() -> None:
    """RadImageNet's was built from torchvision's children; each number is one of them, the poolings among them."""
    torch.manual_seed(0)
    theirs = create_model("inception_v3", num_classes=5)
    own = theirs.state_dict()
    tables = conventions(import_module("mirada.models.inception"), "inception_v3")
    by_number, by_name = tables["nn.Sequential's"], tables["torchvision"]
    named = {0: "Conv2d_1a_3x3", 4: "Conv2d_3b_1x1", 5: "Conv2d_4a_3x3", 7: "Mixed_5b", 10: "Mixed_6a"}
    named |= {14: "Mixed_6e", 15: "Mixed_7a", 17: "Mixed_7c"}
    inside = {"Conv2d": "conv.weight", "Mixed_5b": "branch5x5_2.conv.weight", "Mixed_6a": "branch3x3.bn.bias"}
    inside |= {"Mixed_6e": "branch7x7dbl_5.conv.weight", "Mixed_7a": "branch7x7x3_4.bn.weight"}
    inside |= {"Mixed_7c": "branch3x3dbl_3b.conv.weight"}
    for number, name in named.items():
        rest = inside.get(name, inside["Conv2d"])
        value = torch.zeros(1)
        (ours,) = convert({f"{name}.{rest}": value}, theirs, by_name)
        assert ours in own
        assert convert({f"{number}.{rest}": value}, theirs, by_number).keys() == {ours}
