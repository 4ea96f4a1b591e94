"""What holds for every network of the catalogue, whatever its family."""

import copy
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mirada.errors import InvalidArgument
from mirada.layers.activation import ACTIVATIONS, Rectifier, ScaledTanh, make_activation
from mirada.layers.network import Network
from mirada.models import CATALOGUE, create_model, find, list_models

EVERY = list(CATALOGUE)
WITH_AUXILIARY = ["googlenet", "googlenet_bn", "inception_v2", "inception_v3"]
LIGHT = [name for name in EVERY if CATALOGUE[name].macs < 5e9 and CATALOGUE[name].parameters < 3e7]
REAL = [name if name in LIGHT else pytest.param(name, marks=pytest.mark.slow) for name in EVERY]


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


@pytest.mark.parametrize("name", REAL)
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


@pytest.mark.parametrize("name", REAL)
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


@pytest.mark.parametrize("outputs", [1, 2, 7])
@pytest.mark.parametrize("name", EVERY)
def test_as_many_outputs_as_asked_for(name: str, outputs: int) -> None:
    network = on_meta(name, num_classes=outputs)
    x = torch.empty(3, *CATALOGUE[name].image, device="meta")
    assert network(x).shape == (3, outputs)
    linear = [layer for layer in network.head.modules() if isinstance(layer, nn.Linear)]
    assert linear[-1].out_features == outputs or name == "lenet5_1998"  # which ends in radial basis functions


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("name", EVERY)
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
    return min((n for n in EVERY if CATALOGUE[n].family == family), key=lambda n: CATALOGUE[n].parameters)


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
        InvalidArgument, match=r'^There is no activation "rleu"\. Did you mean "relu"\? Known: '
    ):
        on_meta(name, activation="rleu")


@pytest.mark.parametrize("name", EVERY)
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


def test_listing() -> None:
    assert list_models() == sorted(CATALOGUE)
    assert list_models("resnet1?") == ["resnet18"]
    assert list_models("densenet*") == ["densenet121", "densenet161", "densenet169", "densenet201"]
    assert list_models("RESNET*") == list_models("transformer*") == []
