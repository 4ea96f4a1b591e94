"""The shape that every network has, and the blocks that they share."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mirada.errors import InvalidArgument
from mirada.layers.blocks import ConvStyle, average_head, dense_head
from mirada.layers.network import Network, conv_pool_size, require_size


def small(stages: int = 2) -> Network:
    torch.manual_seed(0)
    return Network(
        stem=nn.Conv2d(1, 4, 3),
        stages=[nn.Conv2d(4, 4, 3) for _ in range(stages)],
        head=average_head(4, 3),
        in_channels=1,
        image_size=(16, 12),
        min_size=7,
    )


@pytest.mark.parametrize("stages", [0, 1, 11])
def test_stages_are_counted_from_one_and_run_in_order(stages: int) -> None:
    network = small(stages)
    names = [f"stage{number}" for number in range(1, stages + 1)]
    assert [name for name, _ in network.named_children()] == ["stem", *names, "head"]
    x = torch.randn(2, 1, 40, 30)
    maps = network.stem(x)
    for name in names:
        maps = getattr(network, name)(maps)
    assert torch.equal(network.features(x), maps)
    assert torch.equal(network(x), network.head(maps))
    assert (network.in_channels, network.image_size, network.min_size) == (1, (16, 12), 7)


@pytest.mark.parametrize("size", [(6, 20), (20, 6), (1, 1)])
def test_images_that_are_too_small_are_refused_in_words(size: tuple[int, int]) -> None:
    sentence = (
        rf"^Images of {size[0]} × {size[1]} pixels are too small for this network; it needs at least 7 × 7\.$"
    )
    with pytest.raises(InvalidArgument, match=sentence):
        small()(torch.zeros(1, 1, *size))
    with pytest.raises(InvalidArgument, match=sentence):
        require_size(size, 7)


def test_the_smallest_images_are_taken() -> None:
    require_size((7, 7), 7)
    assert small()(torch.zeros(1, 1, 7, 7)).shape == (1, 3)


@pytest.mark.parametrize("size", [(21, 33), (22, 22), (64, 17)])
@pytest.mark.parametrize("kernels", [(), (3,), (3, 3), (5, 1, 2)])
def test_conv_pool_size_is_torchs(size: tuple[int, int], kernels: tuple[int, ...]) -> None:
    maps = torch.zeros(1, 1, *size)
    for kernel in kernels:
        maps = nn.MaxPool2d(2)(nn.Conv2d(1, 1, kernel)(maps))
    assert conv_pool_size(size, kernels) == tuple(maps.shape[2:])


@pytest.mark.parametrize("kernel", [1, 3, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_conv_style(kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    block = ConvStyle()(3, 5, kernel, stride=stride).double()
    x = torch.randn(4, 3, 9, 12, dtype=torch.float64)
    y = F.conv2d(x, block.conv.weight, stride=stride, padding=kernel // 2)
    y = (y - y.mean((0, 2, 3), keepdim=True)) / (y.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(block(x), y.relu())
    assert block(x).shape == (4, 5, -(-9 // stride), -(-12 // stride))
    assert block.conv.bias is None


def test_conv_norm_without_activation() -> None:
    block = ConvStyle()(3, 5, 3, activate=False)
    assert [name for name, _ in block.named_children()] == ["conv", "norm"]
    assert (block(torch.randn(4, 3, 8, 8)) < 0).any()


def test_average_head() -> None:
    torch.manual_seed(0)
    head, maps = average_head(6, 4).double(), torch.randn(3, 6, 5, 7, dtype=torch.float64)
    assert [name for name, _ in head.named_children()] == ["pool", "flatten", "linear"]
    expected = maps.mean(dim=(2, 3)) @ head.linear.weight.T + head.linear.bias
    torch.testing.assert_close(head(maps), expected)


def test_dense_head() -> None:
    torch.manual_seed(0)
    head, maps = dense_head(30, (8, 7), 2).double(), torch.randn(3, 5, 2, 3, dtype=torch.float64)
    names = ["flatten", "hidden1", "act1", "hidden2", "act2", "linear"]
    assert [name for name, _ in head.named_children()] == names
    y = maps.reshape(3, 30)
    for layer in (head.hidden1, head.hidden2):
        y = (y @ layer.weight.T + layer.bias).clamp(min=0)
    torch.testing.assert_close(head(maps), y @ head.linear.weight.T + head.linear.bias)


def test_dense_head_without_hidden_layers() -> None:
    head = dense_head(30, (), 2)
    assert [name for name, _ in head.named_children()] == ["flatten", "linear"]
    assert head(torch.zeros(3, 5, 2, 3)).shape == (3, 2)
