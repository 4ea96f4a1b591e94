"""What holds for every network of the catalogue, whatever its family."""

import copy
from functools import cache
from inspect import signature
from pkgutil import resolve_name
from typing import Any

import pytest
import torch
from networks import LIGHT, each
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mirada.errors import InvalidArgument
from mirada.explain.class_maps import class_maps
from mirada.layers.activation import ACTIVATIONS, Rectifier, ScaledTanh, make_activation
from mirada.layers.network import Network
from mirada.models import CATALOGUE, create_model, facts, find, list_models
from mirada.models.families import ACTIVATION, FAMILIES, OWN, Own

EVERY = list(CATALOGUE)
WITH_AUXILIARY = ["googlenet", "googlenet_bn", "googlenet_gap", "inception_v2", "inception_v3"]


@cache
def built(name: str) -> Network:
    """The paper's network, built once; tests leave it as it is, or copy it."""
    torch.manual_seed(3)
    return create_model(name).eval()


def on_meta(name: str, **arguments: Any) -> Network:
    with torch.device("meta"):
        return create_model(name, **arguments)


# A head that begins with pooling takes maps of any size; one that begins with flattening only one size.
ANY_SIZE = [name for name in EVERY if "pool" in dict(on_meta(name).head.named_children())]


def images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(7))


def paper_images(name: str, batch: int = 2) -> Tensor:
    """A batch of the paper's size, or of 64 × 64 where that takes long."""
    channels, *size = CATALOGUE[name].image
    side = max(64, on_meta(name).min_size)
    return images(
        batch, channels, *((side, side) if CATALOGUE[name].macs > 2e9 and name in ANY_SIZE else size)
    )


def small_images(name: str, batch: int = 2) -> Tensor:
    """The smallest batch that ``built(name)`` takes without being too easy."""
    channels, *size = CATALOGUE[name].image
    side = max(40, on_meta(name).min_size)
    return images(batch, channels, *((side, side) if name in ANY_SIZE else size))


@pytest.mark.parametrize("name", EVERY)
def test_parameters_and_macs_are_the_catalogues(name: str) -> None:
    """torch counts a multiply-add as two operations and leaves the bias out."""
    entry, network = find(name), on_meta(name).eval()
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == entry.parameters
    with FlopCounterMode(display=False) as counter:
        outputs = network(torch.empty(1, *entry.image, device="meta"))
    assert counter.get_total_flops() // 2 == entry.macs
    assert outputs.shape == (1, entry.num_classes)
    assert (network.in_channels, *network.image_size) == entry.image


@pytest.mark.parametrize("name", EVERY)
def test_children_are_stem_stages_head(name: str) -> None:
    network = on_meta(name)
    stages = [f"stage{number}" for number in range(1, network.depth + 1)]
    assert [child for child, _ in network.named_children()] == ["stem", *stages, "head"]
    assert len(stages) >= 1
    owners = {parameter.partition(".")[0] for parameter, _ in network.named_parameters()}
    assert owners == {"stem", *stages, "head"}  # no weight outside of them, no part without one


@pytest.mark.parametrize("name", each())
def test_features_are_what_enters_the_head(name: str) -> None:
    network, x = built(name), small_images(name)
    entered: list[Tensor] = []
    hook = network.head.register_forward_pre_hook(lambda _, arguments: entered.append(arguments[0]))
    with torch.no_grad():
        outputs = network(x)
        hook.remove()
        features = network.features(x)
        torch.testing.assert_close(entered[0], features)
        torch.testing.assert_close(network.head(features), outputs)
    assert features.dim() == 4
    assert outputs.std() > 0


@pytest.mark.parametrize("name", each())
def test_trains_at_the_size_of_the_paper(name: str) -> None:
    """Every weight gets a gradient that is finite and not all zero, and the images stay as they were."""
    network, x = copy.deepcopy(built(name)).train(), paper_images(name)
    before = x.clone()
    outputs = network(x)
    assert outputs.shape == (2, CATALOGUE[name].num_classes)
    assert outputs.isfinite().all()
    outputs.square().mean().backward()
    for parameter, value in network.named_parameters():
        assert value.grad is not None, parameter
        assert value.grad.isfinite().all(), parameter
        assert value.grad.abs().sum() > 0, parameter
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", LIGHT)
def test_in_eval_mode_images_do_not_see_each_other(name: str) -> None:
    """An image alone gets what it gets in a batch; a second call gives the same bits; nothing is learned."""
    network = copy.deepcopy(built(name)).double()
    state = copy.deepcopy(network.state_dict())
    x = small_images(name, batch=3).double()
    with torch.no_grad():
        together = network(x)
        torch.testing.assert_close(network(x), together)
        torch.testing.assert_close(network(x[1:2]), together[1:2], rtol=1e-10, atol=1e-12)
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("name", LIGHT)
def test_memory_order_changes_nothing(name: str) -> None:
    network, x = copy.deepcopy(built(name)).double(), small_images(name).double()
    with torch.no_grad():
        expected = network(x)
        network.to(memory_format=torch.channels_last)
        outputs = network(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(outputs, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", LIGHT)
def test_runs_in_bfloat16(name: str) -> None:
    """Near the float32 result: bfloat16 has 8 bits, an error of 0.4 % per rounding."""
    network, x = built(name), small_images(name)
    with torch.no_grad():
        expected = network(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = network(x)
    assert outputs.dtype == torch.bfloat16
    error = (outputs.float() - expected).norm() / expected.norm()
    assert error < 0.1


@pytest.mark.parametrize("name", LIGHT)
def test_a_seed_decides_the_weights(name: str) -> None:
    torch.manual_seed(3)
    again = create_model(name).state_dict()
    assert all(torch.equal(value, again[key]) for key, value in built(name).state_dict().items())
    torch.manual_seed(4)
    stem = create_model(name).stem
    other = next(stem.parameters())
    assert not torch.equal(other, next(built(name).stem.parameters()))


@pytest.mark.parametrize("name", LIGHT)
def test_weights_go_to_another_network_and_back(name: str) -> None:
    torch.manual_seed(5)
    other, x = create_model(name).eval(), small_images(name)
    with torch.no_grad():
        assert not torch.equal(other(x), built(name)(x))
        other.load_state_dict(built(name).state_dict(), strict=True)
        torch.testing.assert_close(other(x), built(name)(x))


@pytest.mark.parametrize("outputs", [1, 7])
@pytest.mark.parametrize("name", each())
def test_as_many_outputs_as_asked_for(name: str, outputs: int) -> None:
    network = on_meta(name, num_classes=outputs)
    x = torch.empty(3, *CATALOGUE[name].image, device="meta")
    assert network(x).shape == (3, outputs)
    linear = [layer for layer in network.head.modules() if isinstance(layer, nn.Linear)]
    assert linear[-1].out_features == outputs or name == "lenet5_1998"  # which ends in radial basis functions


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("name", each())
def test_takes_any_number_of_channels(name: str, channels: int) -> None:
    """Only the first convolution knows of them."""
    if name == "mlp":
        pytest.skip("has no convolution; test_mlp.py has its own test")
    entry, network = CATALOGUE[name], on_meta(name, in_channels=channels)
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    assert first.in_channels == network.in_channels == channels
    per_channel = first.weight[:, 0].numel()
    counted = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert counted == entry.parameters + (channels - entry.image[0]) * per_channel
    assert network(torch.empty(2, channels, *entry.image[1:], device="meta")).shape == (2, entry.num_classes)


@pytest.mark.parametrize("name", LIGHT)
def test_odd_and_oblong_sizes(name: str) -> None:
    """A network built for them takes them, in training too."""
    torch.manual_seed(0)
    side = on_meta(name).min_size | 1
    size = max(side, 37), max(side, 53)
    network = create_model(name, num_classes=2, in_channels=1, image_size=size)
    assert network.image_size == size
    outputs = network(images(2, 1, *size))
    outputs.sum().backward()
    assert outputs.shape == (2, 2)
    assert outputs.isfinite().all()


@pytest.mark.parametrize("name", [name for name in ANY_SIZE if name in LIGHT])
@pytest.mark.parametrize("size", [(1, 1), (31, 97), (64, 64)])
def test_a_pooling_head_takes_any_size(name: str, size: tuple[int, int]) -> None:
    network = built(name)
    height, width = (max(side, network.min_size) for side in size)
    with torch.no_grad():
        assert network(images(1, network.in_channels, height, width)).isfinite().all()


def smallest(family: str) -> str:
    whole = [name for name in EVERY if CATALOGUE[name].family == family and facts(name).uncut == name]
    return min(whole, key=lambda name: CATALOGUE[name].parameters)


SMALLEST = [smallest(family) for family in dict.fromkeys(entry.family for entry in CATALOGUE.values())]
LIGHTEST = [
    name if CATALOGUE[name].parameters < 7e6 else pytest.param(name, marks=pytest.mark.slow)
    for name in SMALLEST
]
KINDS = (nn.ReLU, nn.PReLU, nn.Sigmoid, nn.Tanh, Rectifier, ScaledTanh)


def activations(network: nn.Module) -> set[tuple[type, object, bool]]:
    """The kinds of activations in a network, with their fixed slope and whether they have one per channel."""
    return {
        (type(layer), getattr(layer, "alpha", None), getattr(layer, "num_parameters", 1) > 1)
        for layer in network.modules()
        if isinstance(layer, KINDS)
    }


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", SMALLEST)
def test_the_activation_asked_for_is_the_only_one(name: str, activation: str) -> None:
    assert activations(on_meta(name, activation=activation)) == activations(make_activation(activation, 2))


@pytest.mark.parametrize("name", EVERY)
def test_no_network_keeps_its_own_activation(name: str) -> None:
    """Neither where its layers are built in another way than the rest of its family's, nor in auxiliary heads."""
    auxiliary = {"auxiliary": True} if name in WITH_AUXILIARY else {}
    assert activations(on_meta(name, activation="tanh", **auxiliary)) == {(nn.Tanh, None, False)}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", LIGHTEST)
def test_trains_with_every_activation(name: str, activation: str) -> None:
    """At its smallest size every number learns; of PReLU's slopes those that see a negative value do.

    (AlexNet's biases of 1 leave some none.) With the seed, ReLU leaves no map of ``lenet5_1998`` at 0 everywhere.
    """
    torch.manual_seed(1)
    side = max(16, on_meta(name).min_size)
    network = create_model(name, num_classes=2, image_size=side, activation=activation)
    outputs = network(images(4, network.in_channels, side, side))
    assert outputs.isfinite().all()
    outputs.square().mean().backward()
    gradients = {parameter: value.grad for parameter, value in network.named_parameters()}
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients.values())
    still = {parameter for parameter, gradient in gradients.items() if not gradient.any()}
    slopes = {f"{part}.weight" for part, layer in network.named_modules() if isinstance(layer, nn.PReLU)}
    assert still <= slopes
    assert not slopes or slopes - still


@pytest.mark.parametrize("name", SMALLEST)
def test_an_unknown_activation_gets_the_nearest(name: str) -> None:
    with pytest.raises(
        InvalidArgument,
        match=rf"^`activation` of {name} must be one of those known\. Got 'rleu'\. Did you mean \"relu\"\? Known: ",
    ):
        on_meta(name, activation="rleu")


@pytest.mark.parametrize("name", each())
def test_the_smallest_size_is_the_smallest(name: str) -> None:
    """``min_size`` works; one pixel less is refused in words, by the builder and by the network."""
    side = on_meta(name).min_size
    network = on_meta(name, num_classes=2, image_size=side).eval()
    channels = network.in_channels
    assert network(torch.empty(1, channels, side, side, device="meta")).shape == (1, 2)
    sentence = (
        rf"^Images of {side - 1} × {side + 9} pixels are too small for this network; "
        rf"it needs at least {side} × {side}\.$"
    )
    with pytest.raises(InvalidArgument, match=sentence):
        create_model(name, image_size=(side - 1, side + 9))
    with pytest.raises(InvalidArgument, match=sentence):
        network(torch.empty(1, channels, side - 1, side + 9, device="meta"))


@pytest.mark.parametrize(
    "name", [name for name in LIGHT if name not in ANY_SIZE and on_meta(name).min_size > 1]
)
def test_the_smallest_size_is_not_a_pixel_too_large(name: str) -> None:
    """Without the check, one pixel less leaves nothing for the head."""
    network = built(name)
    maps = images(1, network.in_channels, network.min_size - 1, network.min_size - 1)
    parts = [part for child, part in network.named_children() if child != "head"]
    with pytest.raises(RuntimeError, match=r"too small|smaller than|Kernel size can't be greater"):
        nn.Sequential(*parts)(maps)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("argument", ["num_classes", "in_channels"])
def test_numbers_below_one_are_refused(name: str, argument: str) -> None:
    with pytest.raises(
        InvalidArgument, match=rf"^`{argument}` of create_model must be at least 1\. Got 0\.$"
    ):
        create_model(name, **{argument: 0})


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(
        InvalidArgument,
        match=r'^There is no network "resnet81"\. Did you mean "resnet18"\? Known: alexnet, .',
    ):
        create_model("resnet81")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ResNet18", 'Did you mean "resnet18"? Known: alexnet, '),
        ("VGG16_BN", 'Did you mean "vgg16_bn"? Known: alexnet, '),
        ("overfeat", "Did you mean one of these? overfeat_accurate, overfeat_fast."),
        ("DenseNet", "Did you mean one of these? densenet121, densenet161, densenet169, densenet201."),
        ("", "Known: alexnet, "),
    ],
)
def test_capitals_and_parts_of_names_are_understood(name: str, hint: str) -> None:
    with pytest.raises(InvalidArgument) as error:
        create_model(name)
    assert str(error.value).startswith(f'There is no network "{name}". {hint}')


def test_listing() -> None:
    """By a shell pattern or by a part of a name, in any case."""
    assert list_models() == sorted(CATALOGUE)
    assert list_models("resnet1?") == ["resnet18"]
    assert list_models("densenet*") == ["densenet121", "densenet161", "densenet169", "densenet201"]
    assert list_models("RESNET*") == [name for name in sorted(CATALOGUE) if name.startswith("resnet")]
    assert list_models("feat") == ["overfeat_accurate", "overfeat_fast"]
    assert list_models("transformer*") == list_models("transformer") == []


# Options ---------------------------------------------------------------------------------------------------


def test_every_family_has_its_facts_and_no_other() -> None:
    assert list(FAMILIES) == list(dict.fromkeys(entry.family for entry in CATALOGUE.values()))
    assert OWN.keys() < CATALOGUE.keys()
    assert set(ACTIVATION.choices) == ACTIVATIONS.keys()


def test_whose_public_weights_expect_values_from_minus_one_to_one() -> None:
    """As torchvision's and timm's documentation has it; the others expect ImageNet's mean and deviation."""
    assert {name for name in EVERY if facts(name).scale == "half"} == {
        "googlenet_bn", "inception_v3", "inception_v4", "inception_resnet_v2",
    }  # fmt: skip


@pytest.mark.parametrize("name", EVERY)
def test_the_options_are_the_builders(name: str) -> None:
    """All that it takes but the name, the outputs, the channels and the size; only what is open is passed on."""
    family, own = FAMILIES[CATALOGUE[name].family], OWN.get(name, Own())
    taken = list(signature(resolve_name(f"mirada.models.{family.builder}")).parameters)
    assert taken[:4] == ["name", "num_classes", "in_channels", "image_size"]
    open_ones = {option for option, of in family.options.items() if len(of.choices) != 1}
    assert set(taken[4:]) == open_ones
    assert own.options.keys() <= family.options.keys()
    assert "head" in facts(name).options and "activation" in facts(name).options


@pytest.mark.parametrize("name", EVERY)
def test_the_options_defaults_are_what_is_built(name: str) -> None:
    defaults = {option: of.default for option, of in facts(name).options.items()}
    assert repr(on_meta(name, **defaults)) == repr(on_meta(name))


@pytest.mark.parametrize("name", EVERY)
def test_an_unknown_option_gets_all_there_are(name: str) -> None:
    known = sorted(
        ("num_classes", "in_channels", "image_size", "weights", "replace_head", *facts(name).options)
    )
    with pytest.raises(InvalidArgument) as error:
        create_model(name, num_class=3)
    assert str(error.value) == (
        f'{name} has no option "num_class". Did you mean "num_classes"? Known: {", ".join(known)}.'
    )


WRONG = {
    bool: (1, "yes", None),
    int: (0, 2.0, True, "2", [2]),
    float: (-0.1, 1.1, float("nan"), True, "1", [1]),
}


@pytest.mark.parametrize("name", SMALLEST)
def test_values_of_the_wrong_type_or_size_are_refused(name: str) -> None:
    """Before anything is built, in one sentence that names the option and the value."""
    for option, of in facts(name).options.items():
        wrong = (
            ("nothing", 5, None, ["relu"])
            if of.choices
            else WRONG.get(type(of.default), (5, [0], (1.5,), []))
        )
        for value in wrong:
            with pytest.raises(InvalidArgument) as error:
                create_model(name, **{option: value})
            assert str(error.value).startswith(f"`{option}` of {name} must be "), (option, value)
            assert f"Got {value!r}." in str(error.value)


# The head of averages --------------------------------------------------------------------------------------

# Channels that enter the head, and the weights before it, from the papers' tables: all weights of the catalogue
# minus those of the published head.
BEFORE_AVERAGE = {
    "mlp": (128, 235_146 - 1_290),
    "lenet5": (16, 156 + 2_416),
    "lenet5_1998": (120, 156 + 12 + 1_516 + 32 + 48_120),
    "lenet_caffe": (50, 520 + 25_050),
    "alexnet": (256, 60_965_224 - (9_216 * 4_096 + 4_096) - (4_096 * 4_096 + 4_096) - (4_096 * 1000 + 1000)),
    "overfeat_fast": (
        1024, 145_920_872 - (36_864 * 3_072 + 3_072) - (3_072 * 4_096 + 4_096) - (4_096 * 1000 + 1000),
    ),
    "vgg11": (512, 9_220_480),
    "vgg16": (512, 14_714_688),
    "vgg16_bn": (512, 14_714_688 + 2 * 4_224),
    "googlenet": (1024, 6_998_552 - 1_025_000),
    "bn_inception": (1024, 11_285_224 - 1_025_000),
    "inception_v4": (1536, 42_679_816 - 1_537_000),
    "resnet18": (512, 11_176_512),
    "densenet121": (1024, 6_953_856),
    "simplecnn": (32, 896 + 9_248),
    "bonet_simple": (1024, 4_800 + 2_458_624),
    "bonet": (1024, 44_784_513 - 2_099_200 - 2_049),
}  # fmt: skip


@pytest.mark.parametrize("outputs", [1, 10])
@pytest.mark.parametrize("name", BEFORE_AVERAGE)
def test_counts_with_a_head_of_averages(name: str, outputs: int) -> None:
    network = on_meta(name, head="average", num_classes=outputs)
    channels, before = BEFORE_AVERAGE[name]
    assert sum(p.numel() for p in network.parameters()) == before + channels * outputs + outputs
    assert [type(layer).__name__ for layer in network.head if not isinstance(layer, nn.Dropout)] == [
        "AdaptiveAvgPool2d", "Flatten", "Linear",
    ]  # fmt: skip


@pytest.mark.parametrize("name", [name for name in SMALLEST if CATALOGUE[name].macs < 2e9])
def test_class_maps_of_a_head_of_averages_add_up(name: str) -> None:
    """The mean of the map and the bias are the output, to the rounding of float32; weights keep their names."""
    torch.manual_seed(0)
    network, x = create_model(name, head="average", num_classes=3).eval(), small_images(name)
    maps = class_maps(network, x)
    torch.testing.assert_close(maps.maps.mean(dim=(2, 3)) + maps.bias, network(x), rtol=1e-4, atol=1e-4)
    body = {key for key in network.state_dict() if not key.startswith("head.")}
    assert body == {key for key in on_meta(name, num_classes=3).state_dict() if not key.startswith("head.")}
