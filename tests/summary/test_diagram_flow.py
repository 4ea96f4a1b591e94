"""Diagrams of modules of all kinds: who feeds whom is what the run did, and nothing is changed by looking."""

import random
from collections.abc import Iterable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules import module as global_hooks

from mirada.diagram import words
from mirada.diagram.draw import draw
from mirada.diagram.flow import record
from mirada.diagram.parts import Fork, LayerBox, Part, Series, StageFrame, Step, Tangle, Unit, boxes_of, steps
from mirada.diagram.units import parts
from mirada.errors import InvalidArgument
from mirada.models import create_model

SHAPE = (4, 8, 8)


def said(network: nn.Module, shape: tuple[int, ...] = SHAPE) -> list[object]:
    """The parts of a network as nested lists: texts, a list per branch, a skip is an empty list."""
    return _said(parts(record(network, shape)[0]))[1:-1]


def _said(series: Series) -> list[object]:
    return [each for part in series for each in _part(part)]


def _part(part: Part) -> list[object]:
    if isinstance(part, Step):
        text = " · ".join((*part.box.before, part.box.node.text, *part.box.after))
        return [[_said(branch) for branch in part.branches], text] if part.branches else [text]
    if isinstance(part, Fork):
        return [[_said(branch) for branch in part.branches]]
    if isinstance(part, Unit):
        return [(part.count, part.growth, *_said(part.series))]
    if isinstance(part, StageFrame):
        return [{part.stage.name: _said(part.series)}]
    return [{" ".join(box.node.text for box in part.boxes)}]


class Runs(nn.Module):
    """Layers a, b, c … of 4 maps, and a function that runs them."""

    def __init__(self, function, *layers: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, layer in zip("abcdef", layers, strict=False):
            setattr(self, name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def conv(maps: int = 4, before: int = 4) -> nn.Conv2d:
    return nn.Conv2d(before, maps, 1)


ONE, TWO, THREE = (f"1×1 conv, {maps}" for maps in (1, 2, 3))


# What the lines follow ------------------------------------------------------------------------------------------


def test_a_chain_with_what_goes_with_its_boxes():
    network = nn.Sequential(
        conv(1), nn.BatchNorm2d(1), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.5), nn.Flatten()
    )
    assert said(network) == [f"{ONE} · BN · ReLU", "2×2 max pool, /2 · dropout 0.5"]


def test_what_comes_before_a_convolution_goes_with_it():
    """As in He et al. 2016 and in DenseNet: the normalization cannot go with the input, which others use."""
    network = Runs(lambda m, x: x + m.a(F.relu(m.b(x))), conv(), nn.BatchNorm2d(4))
    assert said(network) == [[["BN · ReLU · 1×1 conv, 4"], []], "+"]


def test_branches_stand_in_the_order_of_the_concatenation():
    network = Runs(lambda m, x: torch.cat([m.c(x), m.a(x), m.b(x)], 1), conv(1), conv(2), conv(3))
    assert said(network) == [[[THREE], [ONE], [TWO]], "concat"]


def test_a_branch_that_splits_once_more():
    """Szegedy et al. 2016, Fig. 6: both halves lead to the outer concatenation."""

    def run(m, x):
        inner = m.a(x)
        return torch.cat([m.d(x), m.b(inner), m.c(inner)], 1)

    network = Runs(run, conv(1), conv(2, 1), conv(3, 1), conv(1))
    assert said(network) == [[[ONE], [ONE, [[TWO], [THREE]]]], "concat"]
    draw(network, SHAPE)


def test_a_gate():
    """Squeeze and excitation (Hu et al. 2017, Fig. 2), written with functions."""

    def run(m, x):
        gate = torch.sigmoid(m.b(F.relu(m.a(x.mean((2, 3))))))
        return x * gate[:, :, None, None]

    network = Runs(run, nn.Linear(4, 2), nn.Linear(2, 4))
    assert said(network) == [[["global average pool", "dense, 2 · ReLU", "dense, 4 · sigmoid"], []], "×"]


def test_changes_in_place_are_followed():
    def run(m, x):
        y = m.a(x)
        y.add_(m.b(x))  # what it returns is thrown away
        F.relu_(y)
        return m.c(y)

    assert said(Runs(run, conv(), conv(), conv(1))) == [[["1×1 conv, 4"], ["1×1 conv, 4"]], "+ · ReLU", ONE]


def test_a_part_that_changes_in_place_changes_the_whole():
    def run(m, x):
        y = m.a(x)
        y[:, :2].mul_(m.b(x))
        return m.c(y)

    (branches, sign, last) = said(Runs(run, conv(), conv(2), conv(1)))
    assert (sorted(map(str, branches)), sign, last) == (
        ["['1×1 conv, 2']", "['1×1 conv, 4', 'slice']"],
        "×",
        ONE,
    )


def test_assigned_parts_are_followed():
    def run(m, x):
        y = torch.zeros_like(x)
        y[:, :2] = m.a(x)
        return m.b(y)

    assert said(Runs(run, conv(2), conv(1))) == [TWO, "insert", ONE]


def test_a_skip_over_dropout_begins_before_it():
    """When it predicts, dropout hands on the very tensor that it got."""
    network = Runs(lambda m, x: m.a(x) + m.b(m.c(x)), nn.Identity(), conv(), nn.Dropout(0.5))
    (branches, sign) = said(network)
    assert (branches, sign) == ([["dropout 0.5 · 1×1 conv, 4"], []], "+")


def test_a_list_of_maps_is_drawn_as_the_same_as_step_by_step():
    def listed(m, x):
        maps = [x]
        for layer in m.children():
            maps.append(layer(torch.cat(maps, 1)))
        return torch.cat(maps, 1)

    def progressive(m, x):
        for layer in m.children():
            x = torch.cat([x, layer(x)], 1)
        return x

    layers = [conv(2, 4 + 2 * number) for number in range(5)]
    expected = [(5, 2, [[TWO], []], "concat")]
    assert said(Runs(progressive, *layers)) == expected
    assert said(Runs(listed, *layers)) == expected


def test_lists_that_leave_something_out_are_not_taken_for_dense():
    def run(m, x):
        y = m.a(x)
        z = m.b(torch.cat([x, y], 1))
        return torch.cat([y, z], 1)  # without x

    flow, _ = record(Runs(run, conv(1), conv(1, 5)), SHAPE)
    last = [box for part in steps(flow.nodes) for box in boxes_of(part)][-2]
    assert [source.node.text for source in last.inputs] == [ONE, ONE]


def test_a_layer_that_runs_twice_stands_twice():
    assert said(Runs(lambda m, x: m.a(torch.tanh(m.a(x))), conv())) == ["1×1 conv, 4 · tanh", "1×1 conv, 4"]


def test_parameters_and_numbers_in_functions():
    network = Runs(lambda m, x: 0.17 * m.a(x) + m.bias, conv())
    network.bias = nn.Parameter(torch.zeros(4, 1, 1))
    assert said(network) == ["1×1 conv, 4 · × 0.17 · + bias"]


def test_functional_pooling():
    def run(m, x):
        x = F.max_pool2d(x, 2)
        x = F.avg_pool2d(x, kernel_size=(2, 1), stride=1)
        return F.adaptive_avg_pool2d(x, 1)

    assert said(Runs(run, conv())) == ["2×2 max pool, /2", "2×1 average pool", "global average pool"]


def test_what_leads_nowhere_is_left_out():
    def run(m, x):
        m.a(x)
        return m.b(x)

    assert said(Runs(run, conv(2), conv(1))) == [ONE]


def test_several_outputs():
    network = Runs(lambda m, x: (m.a(x), {"b": m.b(x)}), conv(1), conv(2))
    series = parts(record(network, SHAPE)[0])
    assert _said(series)[1:] == [[[ONE], [TWO]], "outputs"]
    assert "outputs" in draw(network, SHAPE)


def test_a_flow_that_cannot_be_followed_gives_a_chain():
    """Outputs that went through NumPy have no past; the layers stand as they ran."""

    class Output:
        def __init__(self, values: Tensor) -> None:
            self.values = values

    network = Runs(lambda m, x: Output(m.b(m.a(x))), conv(2), conv(1, 2))
    assert said(network) == [TWO, ONE]


@pytest.mark.parametrize("network", [nn.Identity(), nn.Flatten()])
def test_nothing_happens(network):
    assert said(network) == []
    assert "output" in draw(network, SHAPE)


# Stages and repetition ------------------------------------------------------------------------------------------


def test_modules_right_below_the_network_are_stages():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(conv(1), nn.Tanh())
            self.last = nn.Linear(64, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.body(x).flatten(1))

    assert said(Net()) == [{"body": [f"{ONE} · Tanh"]}, "dense, 2"]


def test_a_skip_across_stages():
    """A U-Net of one level: both stages have frames inside of what the skip passes."""
    block = nn.Sequential(conv(), nn.ReLU())
    network = Runs(lambda m, x: torch.cat([x := m.a(x), m.b(x)], 1), block, nn.Sequential(conv(2), nn.ReLU()))
    assert said(network) == [
        {"a": ["1×1 conv, 4 · ReLU"]},
        [[{"b": [f"{TWO} · ReLU"]}], []],
        "concat",
    ]


def test_numbered_modules_are_drawn_once():
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = conv()

        def forward(self, x: Tensor) -> Tensor:
            return x + torch.tanh(self.inner(x))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(Block() for _ in range(5))

        def forward(self, x: Tensor) -> Tensor:
            for block in self.blocks:
                x = block(x)
            return x

    assert said(Net()) == [(5, 0, {"blocks.0": [[["1×1 conv, 4 · tanh"], []], "+"]})]
    assert "blocks.0 … blocks.4" in draw(Net(), SHAPE)


def test_pairs_that_repeat():
    pair = [nn.Conv2d(4, 4, 3, padding=1), nn.MaxPool2d(3, 1, 1)]
    assert said(nn.Sequential(*pair * 4)) == [(4, 0, "3×3 conv, 4", "3×3 max pool")]


def test_a_bias_more_is_a_difference():
    layers = [nn.Conv2d(4, 4, 1, bias=number == 4) for number in range(5)]
    assert said(nn.Sequential(*layers)) == [(4, 0, "1×1 conv, 4"), "1×1 conv, 4"]


# Any graph ------------------------------------------------------------------------------------------------------


class Scattered(nn.Module):
    """Layers that each read one or two of those before, chosen at random."""

    def __init__(self, seed: int, size: int) -> None:
        super().__init__()
        draw_ = random.Random(seed)
        self.layers = nn.ModuleList(nn.Conv2d(2, 2, 1) for _ in range(size))
        self.sources = [draw_.sample(range(n + 1), min(n + 1, draw_.choice((1, 1, 2)))) for n in range(size)]

    def forward(self, x: Tensor) -> Tensor:
        made = [x]
        for layer, sources in zip(self.layers, self.sources, strict=True):
            made.append(layer(torch.stack([made[source] for source in sources]).sum(0)))
        return made[-1] + made[-2]


def links(
    series: Iterable[Part], entries: list[LayerBox]
) -> tuple[set[tuple[LayerBox, LayerBox]], list[LayerBox]]:
    """All connections that a series shows if ``entries`` lead to it, and what its end leads on."""
    shown: set[tuple[LayerBox, LayerBox]] = set()
    for part in series:
        if isinstance(part, Step | Fork):
            ends = [] if part.branches else entries
            for branch in part.branches:
                inside, leads_on = links(branch, entries)
                shown |= inside
                ends = [*ends, *leads_on]
            if isinstance(part, Step):
                shown |= {(end, part.box) for end in ends}
                ends = [part.box]
            entries = ends
        elif isinstance(part, Tangle):
            inner = {part.source, *part.boxes}
            shown |= {(source, box) for box in part.boxes for source in box.inputs}
            assert all(source in inner for box in part.boxes for source in box.inputs)
            entries = [source for source in part.sink.inputs if source in inner]
    return shown, entries


@pytest.mark.parametrize("seed", range(32))
def test_every_connection_is_drawn_and_no_other(seed):
    """The parts of a random network, read back, are the connections that the run had."""
    network = Scattered(seed, size=3 + seed % 9)
    series = steps(record(network, (2, 4, 4))[0].nodes)
    boxes = [box for part in series for box in boxes_of(part)]
    assert len(boxes) == len(set(boxes))
    shown, _ = links(series[1:], [boxes[0]])
    assert shown == {(source, box) for box in boxes for source in box.inputs}


def test_a_tangle_is_drawn():
    """Not branches within branches: two boxes read the same two, and each a third."""

    def run(m, x):
        a, b = m.a(x), m.b(x)
        return torch.cat([m.c(a), m.d(a + b), m.e(b)], 1)

    network = Runs(run, *(conv() for _ in range(5)))
    (branches, text) = said(network)
    assert isinstance(branches[0][0], set)
    assert text == "concat"
    assert draw(network, SHAPE).count("1×1 conv, 4</text>") == 5


# Words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.Conv2d(3, 64, 7, stride=2, padding=3), "7×7 conv, 64, /2"),
        (nn.Conv2d(8, 8, 3, groups=8), "3×3 depthwise conv, 8"),
        (nn.Conv2d(8, 16, (1, 3), (1, 2), groups=2, dilation=2), "1×3 conv, 16, /1×2, 2 groups, dilated 2"),
        (nn.Conv1d(8, 16, 5), "5 conv, 16"),
        (nn.ConvTranspose2d(8, 4, 2, 2), "2×2 transposed conv, 4, /2"),
        (nn.Linear(3, 5), "dense, 5"),
        (nn.MaxPool2d(3, 2), "3×3 max pool, /2"),
        (nn.AvgPool2d(2), "2×2 average pool, /2"),
        (nn.AvgPool2d(2, divisor_override=1), "2×2 sum pool, /2"),
        (nn.LPPool2d(2, 3), "3×3 L2 pool, /3"),
        (nn.AdaptiveAvgPool2d(1), "global average pool"),
        (nn.AdaptiveMaxPool2d((1, 1)), "global max pool"),
        (nn.AdaptiveAvgPool2d((7, None)), "average pool to 7×–"),
        (nn.GroupNorm(2, 4), "GN"),
        (nn.LocalResponseNorm(5), "LRN"),
        (nn.Dropout2d(0.25), "dropout 0.25"),
        (nn.GELU(), "GELU"),
        (type("A" * 20 + "B" * 20, (nn.Module,), {})(), "A" * 13 + "…" + "B" * 14),
    ],
)
def test_layers_in_words(layer, text):
    assert words.of_layer(layer).text == text


@pytest.mark.parametrize(
    ("shape", "text"),
    [((1, 3, 8, 9), "8×9×3"), ((1, 10), "10"), ((1, 4, 5), "4×5"), ((2, 3), "2×3"), ((1,), "scalar")],
)
def test_sizes_in_words(shape, text):
    assert words.size(shape) == text


# Looking changes nothing ----------------------------------------------------------------------------------------


def test_the_network_stays_as_it_was():
    network = create_model("resnet20")
    network.stage1.eval()
    modes = [module.training for module in network.modules()]
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state_of_chance = torch.get_rng_state()
    draw(network)
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state_of_chance)
    assert not hooked(network)


def test_hooks_are_gone_after_a_failure():
    network = nn.Sequential(conv(2), conv(1))
    with pytest.raises(InvalidArgument, match=r'"1" \(Conv2d 1×1\) cannot take the input that reached it'):
        draw(network, SHAPE)
    assert not hooked(network)
    assert all(module.training for module in network.modules())


def hooked(network):
    """Whether anything is left that watches: on the modules, or on all modules there are."""
    own = any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    return own or global_hooks._has_any_global_hook()


@pytest.mark.parametrize("shape", [None, (), (3, 0, 8), "3"])
def test_a_wrong_shape_is_refused_as_by_the_summary(shape):
    with pytest.raises(InvalidArgument, match="input_shape"):
        draw(nn.ReLU(), shape)
