"""Submodule outputs are kept as they were made, and the network is left as it was found."""

import pytest
import torch
from torch import nn

from mirada.errors import InvalidArgument
from mirada.explain.capture import capture, features_and_outputs


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


def test_outputs_are_those_of_the_parts_called_one_by_one(mixed, images):
    with capture(mixed, ["stem", "stage1"]) as kept:
        outputs = mixed(images)
        assert hooks(mixed) == 2
    torch.testing.assert_close(mixed.stage1(kept["stem"]), kept["stage1"])
    torch.testing.assert_close(mixed.eval().head(kept["stage1"]), outputs)


def test_an_output_is_kept_as_made_when_the_next_layer_works_in_place(mixed, images):
    with capture(mixed, ["stem.1", "stem.2"]) as kept:
        mixed(images)
    assert kept["stem.1"].min() < 0
    assert torch.equal(kept["stem.1"].relu(), kept["stem.2"])


def test_gradients_flow_through_what_is_kept(mixed, images):
    with capture(mixed, ["stage1"]) as kept:
        total = mixed(images)[:, 1].sum()
        (gradient,) = torch.autograd.grad(total, kept["stage1"])
    weight = mixed.head[3].weight[1]
    torch.testing.assert_close(gradient, (weight / 20)[None, :, None, None].expand_as(gradient))


def test_the_last_of_several_calls_stays(images):
    twice = nn.Sequential(nn.Conv2d(3, 3, 1), act := nn.ReLU(), nn.Conv2d(3, 3, 1), act)
    with capture(twice, ["1"]) as kept:
        assert torch.equal(twice(images), kept["1"])


def test_modes_flags_and_hooks_are_restored(mixed, images):
    before = state(mixed)
    with capture(mixed, ["stem.0", "head"]):
        assert not any(module.training for module in mixed.modules())
        mixed.requires_grad_(requires_grad=False)
        mixed(images)
    assert state(mixed) == before


def test_they_are_restored_after_an_error_too(mixed):
    before = state(mixed)
    with pytest.raises(KeyError), capture(mixed, ["stem"]):
        raise KeyError
    assert state(mixed) == before


def test_buffers_stay_as_they_are(mixed, images):
    before = {name: buffer.clone() for name, buffer in mixed.named_buffers()}
    with capture(mixed, []):
        mixed(images)
    assert all(torch.equal(buffer, before[name]) for name, buffer in mixed.named_buffers())


def test_unknown_name(mixed):
    before = state(mixed)
    with (
        pytest.raises(
            InvalidArgument, match=r'Small has no submodule called "stge1"\. Did you mean "stage1"\?'
        ),
        capture(mixed, ["stem", "stge1"]),
    ):
        pass
    assert state(mixed) == before


def test_output_that_is_no_tensor():
    network = nn.Sequential(nn.LSTM(2, 3))
    expected = r'The output of "0" cannot be captured: it must be one tensor\. LSTM returned a tuple\.'
    with pytest.raises(InvalidArgument, match=expected), capture(network, ["0"]):
        network(torch.zeros(4, 1, 2))
    assert hooks(network) == 0


def test_features_and_outputs(mixed, images):
    before = state(mixed)
    features, outputs = features_and_outputs(mixed, images)
    assert state(mixed) == before
    assert not features.requires_grad and not outputs.requires_grad
    mixed.eval()
    torch.testing.assert_close(features, mixed.features(images))
    torch.testing.assert_close(outputs, mixed(images))


def test_features_are_not_touched_by_a_head_that_works_in_place(dense_network, images):
    features, _ = features_and_outputs(dense_network(3), images)
    assert features.min() < 0


def test_a_network_without_named_parts(images):
    expected = r"Sequential cannot be explained: it must have a child `head` and a method `features`\."
    with pytest.raises(InvalidArgument, match=expected):
        features_and_outputs(nn.Sequential(nn.Flatten(), nn.Linear(240, 2)), images)


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
        features_and_outputs(mixed, batch)


def test_features_without_places(mixed, images):
    mixed.stage1.append(nn.Flatten())
    with pytest.raises(InvalidArgument, match=r"its features must be maps.*Got shape \(6, 100\)"):
        features_and_outputs(mixed, images)
