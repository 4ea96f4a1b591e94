"""Receptive fields: against gradients for modules of every shape, and what is said where no rule holds."""

from collections import OrderedDict
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from measured import interval, maps_of, seen
from torch import Tensor, nn
from torch.nn import functional as F

from mirada.models import create_model
from mirada.summary import summarize
from mirada.summary.rules import Span, adaptive_span, image_span, join_spans, window_span
from mirada.summary.table import Row
from mirada.summary.undrawn import undrawn


def figures(network: nn.Module, shape: tuple[int, ...]) -> tuple[object, object, object]:
    """Field, jump and centre of the last layer."""
    row = last_row(network, shape)
    return row.receptive_field, row.jump, row.centre


def last_row(network: nn.Module, shape: tuple[int, ...]) -> Row:
    return [row for row in summarize(network, shape).rows if row.output_shape is not None][-1]


# Chains ----------------------------------------------------------------------------------------------------------

pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))
convolutions = st.builds(
    lambda kernel, stride, padding, dilation: nn.Conv2d(1, 1, kernel, stride, padding, dilation),
    pairs,
    st.integers(1, 3),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.integers(1, 2),
)
poolings = st.builds(
    lambda kind, kernel, stride, ceil: kind(kernel, stride, padding=kernel // 2, ceil_mode=ceil),
    st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]),
    st.integers(1, 4),
    st.integers(1, 3),
    st.booleans(),
)


@settings(max_examples=80)
@given(layers=st.lists(st.one_of(convolutions, poolings), min_size=1, max_size=4), place=st.integers(0, 3))
def test_chains_of_windows(layers: list[nn.Module], place: int) -> None:
    """The box of the gradient is the field where that lies inside of the image, and within it elsewhere."""
    network = nn.Sequential(*layers)
    size = (61, 67)
    image = torch.ones(1, 1, *size, dtype=torch.float64, requires_grad=True)
    try:
        maps = maps_of(network, image, [str(len(layers) - 1)])[str(len(layers) - 1)]
    except RuntimeError:  # nothing is left of the image
        return
    row = last_row(network, (1, *size))
    places = tuple(min(place, side - 1) for side in maps.shape[2:])
    for axis, (least, greatest) in enumerate(seen(maps, image, places)):
        first, last = interval(row, axis, places[axis])
        if first >= 0 and last < size[axis]:
            assert (least, greatest) == (first, last)
        assert max(0, first) <= least <= greatest <= min(last, size[axis] - 1)


# Branches ----------------------------------------------------------------------------------------------------------


class Net(nn.Module):
    """A network out of a function of the image and one 3 × 3 convolution, padded."""

    def __init__(self, function: Callable[[Tensor, nn.Module], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.end = nn.Identity()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.function(x, self.conv) * 1)


KNOWN: dict[str, Callable[[Tensor, nn.Module], Tensor]] = {
    "a skip": lambda x, conv: conv(conv(x)) + x,
    "in place": lambda x, conv: conv(x).add_(x),
    "concatenation": lambda x, conv: torch.cat([x, conv(x), conv(conv(x))], 1),
    "stacked": lambda x, conv: torch.stack([x, conv(x)]).sum(0),
    "a gate of the same size": lambda x, conv: x * conv(x).sigmoid(),
    "where": lambda x, conv: torch.where(x > 0, conv(x), x),
    "branches with other strides": lambda x, conv: (
        F.max_pool2d(conv(x), 2) + F.conv2d(x, conv.weight, None, 2, 1)
    ),
    "a crop": lambda x, conv: conv(x)[:, :, 2:-1, 1:],
    "a crop with a stride": lambda x, conv: conv(conv(x)[..., 1::2, ::2]),
    "every second pixel, padded": lambda x, conv: F.pad(conv(x)[:, :, ::2, ::2], (1, 0, 2, 0)),
    "halves of the channels": lambda x, conv: torch.cat([conv(x)[:, :2], x.chunk(2, dim=1)[1]], 1),
    "one channel": lambda x, conv: conv(x)[:, 1].unsqueeze(1),
    "mean over channels": lambda x, conv: conv(x).mean(1, keepdim=True) * x,
    "softmax over channels": lambda x, conv: conv(x).softmax(1),
    "shuffled channels": lambda x, conv: conv(x).view(1, 2, 2, 12, 12).transpose(1, 2).reshape(1, 4, 12, 12),
    "the batch last": lambda x, conv: conv(x).permute(1, 0, 2, 3),
    "same padding": lambda x, conv: F.conv2d(x, conv.weight[:, :, :, :1], padding="same"),
    "asymmetric reflection": lambda x, conv: conv(F.pad(x, (2, 1, 0, 3), mode="reflect")),
    "a constant": lambda x, conv: conv(x) + torch.ones_like(conv(conv(x))),
}


@pytest.mark.parametrize("name", KNOWN)
def test_branches_and_functions(name: str) -> None:
    """At a value whose field lies inside of the image; functions are compared as torch computes them."""
    torch.manual_seed(0)
    network = Net(KNOWN[name]).double()
    image = torch.rand(1, 4, 12, 12, dtype=torch.float64, requires_grad=True)
    row = last_row(network, (4, 12, 12))
    maps = network(image)
    assert row.output_shape == tuple(maps.shape[1:]) or name == "the batch last"
    place = maps.shape[-1] // 2
    box = seen(maps, image, (place, place))
    assert list(box) == [interval(row, axis, place) for axis in (0, 1)]


WHOLE: dict[str, Callable[[Tensor, nn.Module], Tensor]] = {
    "mean": lambda x, conv: x.mean((2, 3)),
    "mean over all": lambda x, conv: x.mean(),
    "flattened": lambda x, conv: x.flatten(1) @ x.new_ones(4 * 144, 3),
    "softmax over rows": lambda x, conv: x.softmax(2),
    "a gate that sees all": lambda x, conv: conv(x) * x.mean((2, 3), keepdim=True).sigmoid(),
    "a deformation": lambda x, conv: F.grid_sample(x, x.new_zeros(1, 12, 12, 2), align_corners=False),
    "attention": lambda x, conv: F.scaled_dot_product_attention(x, x, x),
    "flipped": lambda x, conv: x.flip(3),
    "upsampled from one": lambda x, conv: F.interpolate(F.adaptive_avg_pool2d(x, 1), size=(12, 12)),
}


@pytest.mark.parametrize("name", WHOLE)
def test_functions_that_see_everything(name: str) -> None:
    field, jump, _ = figures(Net(WHOLE[name]), (4, 12, 12))
    least = 14 if name == "a gate that sees all" else 12  # with the convolution's padding
    assert field in ((least, least), (12, 12))
    assert jump in ((0, 0), (12, 12))


UNKNOWN: dict[str, Callable[[Tensor, nn.Module], Tensor]] = {
    "upsampled": lambda x, conv: F.interpolate(x, scale_factor=2),
    "transposed": lambda x, conv: F.conv_transpose2d(x, conv.weight, stride=2),
    "channels last": lambda x, conv: x.permute(0, 2, 3, 1),
    "rows and columns": lambda x, conv: conv(x.transpose(2, 3)),
    "two jumps": lambda x, conv: F.interpolate(F.max_pool2d(x, 2), size=(12, 12)) + x,
    "patches": lambda x, conv: F.unfold(x, 3),
    "circular": lambda x, conv: conv(F.pad(x, (1, 1, 1, 1), mode="circular")),
    "single row": lambda x, conv: conv(x)[:, :, 3],
    "written in place": lambda x, conv: _written(x),
    "concatenated in height": lambda x, conv: torch.cat([x, conv(x)], 2),
}


def _written(x: Tensor) -> Tensor:
    canvas = torch.zeros(1, 4, 12, 12, device=x.device)
    canvas[:, :, 1:] = x[:, :, 1:]
    return canvas


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_known_is_said(name: str) -> None:
    assert figures(Net(UNKNOWN[name]), (4, 12, 12)) == (None, None, None)


# Layers that have no maps ------------------------------------------------------------------------------------------


def test_flattened_values_keep_their_field_but_not_their_order() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.ReLU(), nn.Linear(200, 3))
    rows = summarize(network, (1, 12, 12)).rows
    assert [(row.receptive_field, row.jump, row.centre) for row in rows] == [
        ((3, 3), (1, 1), (1, 1)),
        ((3, 3), None, None),
        ((3, 3), None, None),
        ((12, 12), (0, 0), (5.5, 5.5)),
    ]


def test_a_linear_layer_reads_the_last_axis() -> None:
    assert figures(nn.Linear(9, 4), (2, 7, 9)) == ((1, 9), (1, 0), (0, 4))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6])
def test_adaptive_pooling(count: int) -> None:
    """The field is that of the widest window; a jump only where all windows are alike."""
    row = summarize(nn.AdaptiveMaxPool2d(count), (1, 6, 6)).rows[0]
    image = torch.rand(1, 1, 6, 6, requires_grad=True)
    maps = F.adaptive_avg_pool2d(image, count)
    boxes = [seen(maps, image, (place, 0))[0] for place in range(count)]
    widest = max(last - first + 1 for first, last in boxes)
    assert row.receptive_field == (widest, widest)
    assert row.jump == ((6 // count,) * 2 if 6 % count == 0 else None)
    behind = nn.Sequential(nn.AdaptiveMaxPool2d(count), nn.Flatten(), nn.Linear(count**2, 1))
    assert figures(behind, (1, 6, 6)) == ((6, 6), (0, 0), (2.5, 2.5))


@pytest.mark.parametrize(
    ("network", "shape", "field"),
    [
        (nn.Conv1d(2, 2, 5, dilation=3), (2, 40), (13,)),
        (nn.Sequential(nn.Conv3d(1, 1, (1, 3, 5)), nn.LPPool3d(2, 2)), (1, 8, 8, 8), (2, 4, 6)),
        (nn.Linear(3, 2), (3,), None),
    ],
)
def test_any_number_of_axes(network: nn.Module, shape: tuple[int, ...], field: object) -> None:
    assert figures(network, shape)[0] == field


# Published numbers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("alexnet_owt", 195),
        ("vgg16", 212),
        ("resnet50", 483),
        ("resnet101", 1027),
        ("resnet152", 1507),
        ("inception_v3", 1311),
        ("inception_v4", 2071),
        ("inception_resnet_v2", 3039),
    ],
)
def test_published_fields(name: str, field: int) -> None:
    """Araujo, Norris & Sim 2019, doi:10.23915/distill.00021; their ResNets stride where the paper does."""
    with undrawn():
        network = create_model(name, **({"version": 1} if name.startswith("resnet") else {}))
    row = summarize(network).stages[-2]
    assert (row.receptive_field, row.jump) == ((field, field), (32, 32))


def test_a_deformation_sees_the_whole_image() -> None:
    with undrawn("cpu"):
        network = create_model("bonet_simple", deformation=True)
    rows = {row.name: row for row in summarize(network).rows}
    assert rows["stem.1"].jump == (4, 4)
    assert rows["stage1.1.conv"].jump == (0, 0)
    assert rows["stage1.1.conv"].receptive_field == (9 + 52 * 4,) * 2  # of all 53 × 53 maps that are moved


# The rules -----------------------------------------------------------------------------------------------------------


def test_spans_join_along_the_largest_path() -> None:
    image = image_span(10)
    three = window_span(image, 10, 3, padding=1)
    assert join_spans(image, three) == three
    assert join_spans(image, image.whole()) == image.whole()
    assert join_spans(image, window_span(image, 5, 1, stride=2)) is None
    assert join_spans(three.unordered(), image.unordered()) == three.unordered()
    assert join_spans(three.whole(), image.unordered()) == Span(-1, 10, None, 10)
    assert window_span(image.whole(), 4, 3) == image.whole()
    assert adaptive_span(image.whole(), 10, 3) == image.whole()


def test_stages_have_the_fields_of_their_outputs() -> None:
    network = nn.Sequential(
        OrderedDict(stem=nn.Sequential(nn.Conv2d(1, 1, 3), nn.MaxPool2d(2)), head=nn.Sequential(nn.Flatten()))
    )
    stem, head = summarize(network, (1, 8, 8)).stages
    assert (stem.receptive_field, stem.jump, stem.centre) == ((4, 4), (2, 2), (1.5, 1.5))
    assert (head.receptive_field, head.jump) == ((4, 4), None)
