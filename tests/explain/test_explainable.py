"""Layers are read as they were made, at any place of any network, and the network is left as it was found."""

from threading import Thread

import pytest
import torch
from torch import nn

from mirada.errors import InvalidArgument
from mirada.explain.explainable import IMAGE, Explainable
from mirada.models import create_model


def hooks(network):
    return sum(len(module._forward_hooks) for module in network.modules())


def state(network):
    return (
        [module.training for module in network.modules()],
        [parameter.requires_grad for parameter in network.parameters()],
        hooks(network),
    )


@pytest.fixture
def mixed(gap_network):
    """Modes and flags that differ from part to part, as in a half-frozen network."""
    network = gap_network(3)
    network.stem.eval()
    network.stage1[0].weight.requires_grad = False
    return network


@pytest.mark.parametrize("gradient", [False, True])
def test_maps_are_those_of_the_parts_called_one_by_one(mixed, images, gradient):
    before = state(mixed)
    maps, outputs = Explainable(mixed).read(images, "stage1", gradient=gradient)
    assert state(mixed) == before
    assert maps.requires_grad == outputs.requires_grad == gradient
    mixed.eval()
    torch.testing.assert_close(maps, mixed.stage1(mixed.stem(images)))
    torch.testing.assert_close(outputs, mixed(images))


def test_maps_are_kept_as_made_when_the_next_layer_works_in_place(mixed, images):
    before, _ = Explainable(mixed).read(images, "stem.1")
    after, _ = Explainable(mixed).read(images, "stem.2", gradient=True)
    assert before.min() < 0
    assert torch.equal(before.relu(), after)


def test_a_dense_networks_maps_are_not_those_that_its_next_rectifier_has_cut(images):
    """DenseNet normalizes and rectifies, in place, what a stage put out; its maps have negative values."""
    torch.manual_seed(0)
    network = create_model("densenet121", num_classes=2, image_size=32, growth=4).eval()
    batch = torch.randn(2, 3, 32, 32)
    x = network.stem(batch)
    for name in ("stage1", "stage2", "stage3"):
        x = network.get_submodule(name)(x)
        for gradient in (False, True):
            maps, outputs = Explainable(network).read(batch, name, gradient=gradient)
            torch.testing.assert_close(maps, x)
        assert maps.min() < 0
        torch.testing.assert_close(network.forward_from(name, maps), outputs)


def test_gradients_of_a_layer_are_those_of_the_rest_of_the_network(mixed, images):
    maps, outputs = Explainable(mixed).read(images, "stage1", gradient=True)
    (gradient,) = torch.autograd.grad(outputs[:, 1].sum(), maps)
    weight = mixed.head[3].weight[1]
    torch.testing.assert_close(gradient, (weight / 20)[None, :, None, None].expand_as(gradient))


def test_the_image_is_a_layer(mixed, images):
    maps, outputs = Explainable(mixed).read(images, IMAGE, gradient=True)
    assert torch.equal(maps, images)
    (gradient,) = torch.autograd.grad(outputs.sum(), maps)
    leaf = images.clone().requires_grad_()
    mixed.eval()(leaf).sum().backward()
    torch.testing.assert_close(gradient, leaf.grad)


def test_a_layer_that_runs_twice_gives_its_last_maps(images):
    twice = nn.Sequential(nn.Conv2d(3, 3, 1), act := nn.ReLU(), nn.Conv2d(3, 3, 1), act)
    maps, outputs = Explainable(twice).read(images, "1")
    assert torch.equal(maps, outputs)


def test_everything_is_restored_after_an_error_too(mixed):
    before = state(mixed)
    with pytest.raises(RuntimeError):
        Explainable(mixed).read(torch.zeros(1, 7, 8, 10), "stage1")
    assert state(mixed) == before


def test_buffers_stay_as_they_are(mixed, images):
    before = {name: buffer.clone() for name, buffer in mixed.named_buffers()}
    Explainable(mixed.train()).read(images, "stage1")
    assert all(torch.equal(buffer, before[name]) for name, buffer in mixed.named_buffers())


def test_a_pass_of_another_thread_is_let_alone(mixed, images):
    """Its output is not taken for that of the layer, whatever it was asked."""

    class Meanwhile(nn.Module):
        def forward(self, x):
            if started:
                other = Thread(target=mixed.stage1, args=(torch.zeros(1, 4, 8, 10),))
                started.clear()
                other.start()
                other.join()
            return x

    started = [True]
    mixed.head.insert(0, Meanwhile())
    maps, _ = Explainable(mixed).read(images, "stage1")
    assert maps.shape == (6, 5, 4, 5)


def test_parts_and_their_sizes(mixed, images):
    network = Explainable(mixed)
    assert network.parts == (IMAGE, "stem", "stage1", "head") and network.last == "stage1"
    assert network.sizes(images) == {IMAGE: (8, 10), "stem": (8, 10), "stage1": (4, 5), "head": None}
    assert Explainable(create_model("resnet20")).last == "stage3"
    assert Explainable(create_model("googlenet_bn", auxiliary=True)).parts[-2:] == ("stage5", "head")


def test_a_network_of_ones_own(images):
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(192, 2))
    network = Explainable(plain)
    assert network.parts == (IMAGE, "0", "1", "2", "3")
    maps, outputs = network.read(images, "0", gradient=True)
    assert maps.min() < 0 and outputs.shape == (6, 2)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("stge1", 'Did you mean "stage1"? The parts are image, stem, stage1, head,'),
        ("stage1.5", 'Did you mean "stage1.'),
        ("zzz", "The parts are image"),
    ],
)
def test_an_unknown_layer(mixed, images, name, hint):
    before = state(mixed)
    with pytest.raises(InvalidArgument) as error:
        Explainable(mixed).read(images, name)
    assert str(error.value).startswith(f'There is no layer "{name}". {hint}')
    assert state(mixed) == before


def test_a_layer_without_maps(mixed, images):
    expected = r'^"head.3" cannot be explained by a map: .* Got shape \(6, 3\), .* such as stage1\.$'
    with pytest.raises(InvalidArgument, match=expected):
        Explainable(mixed).read(images, "head.3")
    network = nn.Sequential(nn.Flatten(2), nn.LSTM(80, 3))
    with pytest.raises(InvalidArgument, match=r'^"1" cannot be .* Got tuple, which has no places'):
        Explainable(network).read(images, "1")
    assert hooks(network) == 0


def test_a_layer_that_does_not_run(images):
    network = create_model("googlenet_bn", num_classes=2, auxiliary=True, image_size=32)
    batch = torch.zeros(1, 3, 32, 32)
    with pytest.raises(
        InvalidArgument, match=r'^"auxiliary\.stage2\.conv" does not run when the network answers'
    ):
        Explainable(network).read(batch, "auxiliary.stage2.conv")


@pytest.mark.parametrize(
    ("batch", "found"),
    [
        (torch.zeros(3, 8, 10), r"torch\.float32 of shape \(3, 8, 10\)"),
        (torch.zeros(0, 3, 8, 10), r"torch\.float32 of shape \(0, 3, 8, 10\)"),
        (torch.zeros(1, 3, 8, 10, dtype=torch.uint8), r"torch\.uint8 of shape \(1, 3, 8, 10\)"),
    ],
)
def test_images_that_are_no_normalised_batch(mixed, batch, found):
    with pytest.raises(InvalidArgument, match=r"`images` must be a normalised batch.*Got " + found):
        Explainable(mixed).read(batch, "stage1")
