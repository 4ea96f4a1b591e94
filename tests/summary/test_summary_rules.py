"""The formulae against what torch's own layers do, over a grid of geometries."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mirada.arithmetic import output_size
from mirada.summary import rules

small = st.integers(1, 4)
grid = settings(max_examples=60, deadline=None, derandomize=True)


def flops(layer: nn.Module, x: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        layer(x)
    return counter.get_total_flops()


@grid
@given(
    kernel=st.tuples(small, small),
    stride=small,
    padding=st.integers(0, 3),
    dilation=st.integers(1, 3),
    groups=st.integers(1, 3),
    size=st.tuples(st.integers(10, 17), st.integers(10, 17)),
)
def test_convolution(kernel, stride, padding, dilation, groups, size):
    layer = nn.Conv2d(2 * groups, 3 * groups, kernel, stride, padding, dilation, groups)
    x = torch.zeros(1, 2 * groups, *size)
    y = layer(x)
    for n, k, out in zip(size, kernel, y.shape[2:], strict=True):
        assert output_size(n, k, stride=stride, padding=padding, dilation=dilation) == out
    assert 2 * rules.conv_macs(y.numel(), 2 * groups, kernel, groups=groups) == flops(layer, x)


@grid
@given(
    kernel=st.tuples(small, small),
    stride=st.integers(2, 4),
    padding=st.integers(0, 1),
    output_padding=st.integers(0, 1),
    dilation=st.integers(1, 3),
    groups=st.integers(1, 3),
    size=st.tuples(st.integers(3, 6), st.integers(3, 6)),
)
def test_transposed_convolution(kernel, stride, padding, output_padding, dilation, groups, size):
    layer = nn.ConvTranspose2d(
        2 * groups, 3 * groups, kernel, stride, padding, output_padding, groups, dilation=dilation
    )
    x = torch.zeros(1, 2 * groups, *size)
    assert 2 * rules.transposed_macs(x.numel(), 3 * groups, kernel, groups=groups) == flops(layer, x)


@grid
@given(
    size=st.integers(1, 20),
    kernel=st.integers(1, 5),
    stride=small,
    padding=st.integers(0, 2),
    ceil=st.booleans(),
)
def test_a_pooling_that_may_hang_over(size, kernel, stride, padding, ceil):
    padding = min(padding, kernel // 2)
    size = max(size, kernel - 2 * padding)
    out = nn.MaxPool1d(kernel, stride, padding, ceil_mode=ceil)(torch.zeros(1, 1, size)).shape[-1]
    assert output_size(size, kernel, stride=stride, padding=padding, ceil=ceil) == out


@grid
@given(size=st.integers(1, 9), kernel=st.integers(1, 9), padding=st.integers(0, 2), dilation=small)
def test_a_size_below_one_is_what_torch_refuses(size, kernel, padding, dilation):
    layer = nn.Conv1d(1, 1, kernel, padding=padding, dilation=dilation)
    x = torch.zeros(1, 1, size)
    if output_size(size, kernel, padding=padding, dilation=dilation) >= 1:
        layer(x)
    else:
        with pytest.raises(RuntimeError, match="greater than actual input size"):
            layer(x)


@pytest.mark.parametrize("axes", [(), (5,), (3, 4)])
def test_linear_over_any_number_of_axes(axes):
    layer, x = nn.Linear(7, 2), torch.zeros(1, *axes, 7)
    assert 2 * rules.linear_macs(layer(x).numel(), 7) == flops(layer, x)


def test_geometry_writes_only_what_is_unusual():
    assert rules.geometry((5, 5)) == "5×5"
    assert rules.geometry((3,), stride=(2,), padding=(1,), dilation=(4,), groups=8) == "3 /2 p1 d4 g8"
    assert rules.geometry((4, 4), stride=(2, 1), output_padding=(1, 1)) == "4×4 /2×1 op1"


def test_a_first_axis_of_one_is_the_batch():
    assert rules.without_batch((1, 3, 8, 8)) == (3, 8, 8)
    assert rules.without_batch((49, 16, 96)) == (49, 16, 96)
    assert rules.without_batch(()) == ()
