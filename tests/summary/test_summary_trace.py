"""Exact counts against torch's own counter, and a module that is left as it was found."""

import copy
import random

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from mirada.errors import InvalidArgument
from mirada.summary import summarize


class Branches(nn.Module):
    """A shared activation, an addition, a projection, a parameter of its own, and one frozen layer."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1, 8, 1, 1))
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.act = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(8, 5)
        self.linear.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.conv1(x))
        x = self.act(self.norm(self.conv2(x)) * self.scale + x)
        return self.linear(self.pool(x).flatten(1))


def volume() -> nn.Module:
    return nn.Sequential(nn.Conv3d(2, 4, (1, 3, 3)), nn.MaxPool3d(2), nn.ConvTranspose3d(4, 2, 2, stride=2))


def tokens() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 6, 4, 4), nn.Flatten(2), nn.Linear(16, 7), nn.Conv1d(6, 4, 3))


def decoder() -> nn.Module:
    return nn.Sequential(nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2), nn.Conv2d(6, 1, 1))


CASES = [
    (Branches, (3, 16, 16)),
    (volume, (2, 4, 9, 9)),
    (tokens, (3, 16, 16)),
    (decoder, (4, 5, 7)),
    (lambda: nn.Linear(9, 4), (6, 3, 9)),
]


@pytest.mark.parametrize(("build", "shape"), CASES)
def test_counts_are_those_of_torch(build, shape):
    network = build().eval()
    summary = summarize(network, shape)
    with FlopCounterMode(display=False) as counter:
        output = network(torch.zeros(1, *shape))
    assert 2 * summary.macs == counter.get_total_flops()
    assert summary.rows[-1].output_shape == tuple(output.shape[1:])
    assert summary.parameters == sum(p.numel() for p in network.parameters())
    assert summary.trainable == sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert summary.fixed == sum(b.numel() for b in network.buffers())


def test_rows_are_in_running_order_and_parameters_outside_layers_have_their_own():
    summary = summarize(Branches(), (3, 16, 16))
    assert [(row.name, row.kind, row.output_shape, row.parameters, row.macs) for row in summary.rows] == [
        ("scale", "parameter", None, 8, 0),
        ("conv1", "Conv2d 3×3 /2 p1", (8, 8, 8), 224, 13_824),
        ("act", "ReLU", (8, 8, 8), 0, 0),
        ("conv2", "Conv2d 3×3 p2 d2 g4", (8, 8, 8), 144, 9_216),
        ("norm", "BatchNorm2d", (8, 8, 8), 16, 0),
        ("act", "ReLU", (8, 8, 8), 0, 0),
        ("pool", "AdaptiveAvgPool2d →1×1", (8, 1, 1), 0, 0),
        ("linear", "Linear", (5,), 45, 40),
    ]
    assert summary.not_counted == (
        "biases",
        "activations (ReLU)",
        "normalisation (BatchNorm2d)",
        "pooling (AdaptiveAvgPool2d)",
        "functions between layers (mul, add)",
    )


# What is counted once ------------------------------------------------------------------------------------------


def test_a_layer_that_runs_twice_has_two_rows_and_its_parameters_count_once():
    conv = nn.Conv2d(4, 4, 3)
    summary = summarize(nn.Sequential(conv, nn.ReLU(), conv), (4, 8, 8))
    first, _, second = summary.rows
    assert (first.name, first.output_shape, first.parameters, first.shared) == ("0", (4, 6, 6), 148, 0)
    assert (second.name, second.output_shape, second.parameters, second.shared) == ("0", (4, 4, 4), 0, 148)
    assert first.macs == 144 * 36
    assert second.macs == 144 * 16
    assert summary.parameters == summary.trainable == 148


def test_a_tied_weight_counts_where_it_is_first_met():
    network = nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 5))
    network[1].weight = network[0].weight
    rows = summarize(network, (5,)).rows
    assert [(row.parameters, row.shared, row.macs) for row in rows] == [(30, 0, 25), (5, 25, 25)]


def test_a_parametrised_layer_is_one_row_that_holds_what_its_weight_is_made_of():
    layer = nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 3, 3))
    (row,) = summarize(layer, (2, 5, 5)).rows
    assert (row.kind, row.parameters, row.macs) == ("Conv2d 3×3", 54 + 3 + 3, 27 * 2 * 9)


class Adapter(nn.Linear):
    """A linear layer that has children."""

    def __init__(self) -> None:
        super().__init__(6, 4)
        self.down = nn.Linear(6, 2, bias=False)
        self.up = nn.Linear(2, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.up(self.down(x))


def test_a_counted_layer_with_children_keeps_its_own_row():
    rows = summarize(nn.Sequential(Adapter()), (6,)).rows
    assert [(row.name, row.kind, row.macs) for row in rows] == [
        ("0", "Adapter", 24),
        ("0.down", "Linear", 12),
        ("0.up", "Linear", 8),
    ]


# What is not counted, and is said -------------------------------------------------------------------------------


class Swish(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * x.sigmoid()


class Gain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain


class Loose(nn.Module):
    """Products as functions, parameters in a list, layers that are never called."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ParameterList([torch.ones(3, 4), torch.ones(2, 3)])
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.spare = nn.Sequential(*(nn.Linear(2, 2) for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.attention(x, x, x)[0]
        x = F.linear(x, self.weights[0])
        return (1 - x) @ self.weights[1].T


def test_layers_of_unknown_type_are_named():
    network = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), Swish(), Gain(), Gain(), Swish(), nn.Identity())
    assert summarize(network, (3, 4, 4)).not_counted == (
        'layers of unknown type that hold parameters (Gain "2", Gain "3")',
        "layers of unknown type (Swish ×2)",
    )
    assert summarize(Gain(), (3,)).not_counted == ("layers of unknown type that hold parameters (Gain)",)


def test_functions_and_layers_that_never_run_are_named_and_their_parameters_are_not_lost():
    network = Loose()
    summary = summarize(network, (5, 4))
    assert summary.parameters == sum(p.numel() for p in network.parameters())
    assert [(row.name, row.kind, row.output_shape, row.parameters) for row in summary.rows] == [
        ("attention.in_proj_weight", "parameter", None, 48),
        ("attention.in_proj_bias", "parameter", None, 12),
        ("weights.0", "parameter", None, 12),
        ("weights.1", "parameter", None, 6),
        ("attention.out_proj", "NonDynamicallyQuantizableLinear", None, 20),
        ("spare.0", "Linear", None, 6),
        ("spare.1", "Linear", None, 6),
        ("spare.2", "Linear", None, 6),
    ]
    assert summary.not_counted == (
        "products outside layers (multi_head_attention_forward, linear, matmul)",
        "functions between layers (sub)",
        'layers that are never called (NonDynamicallyQuantizableLinear "attention.out_proj", '
        'Linear "spare.0", Linear "spare.1" and 1 more)',
    )


@pytest.mark.parametrize(
    ("layer", "shape", "kind"),
    [
        (nn.Conv2d(3, 3, 3, padding="same", padding_mode="reflect"), (3, 8, 8), "Conv2d 3×3 same reflect"),
        (nn.Conv2d(3, 3, (1, 7), padding="valid"), (3, 8, 8), "Conv2d 1×7"),
        (nn.Conv1d(3, 6, 5, stride=2, groups=3), (3, 8), "Conv1d 5 /2 g3"),
        (
            nn.ConvTranspose2d(3, 3, 4, 2, 1, output_padding=1),
            (3, 8, 8),
            "ConvTranspose2d 4×4 /2 p1 op1",
        ),
        (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (3, 8, 8), "MaxPool2d 3×3 /2 p1 ceil"),
        (nn.AvgPool2d(2), (3, 8, 8), "AvgPool2d 2×2 /2"),
        (nn.AvgPool1d(2), (3, 8), "AvgPool1d 2 /2"),
        (nn.LPPool2d(2, 3), (3, 9, 9), "LPPool2d 3×3 /3"),
        (nn.AdaptiveAvgPool2d((None, 2)), (3, 8, 8), "AdaptiveAvgPool2d →–×2"),
        (nn.GroupNorm(3, 6), (6, 8, 8), "GroupNorm g3"),
        (nn.Dropout(0.25), (3,), "Dropout 0.25"),
    ],
)
def test_kinds(layer, shape, kind):
    (row,) = summarize(layer, shape).rows
    assert row.kind == kind
    assert row.output_shape == tuple(layer(torch.zeros(1, *shape)).shape[1:])


# The module is left as it was -----------------------------------------------------------------------------------


class Hoarder(nn.Module):
    """Keeps things for later, changes its buffers, meets plain tensors, and draws random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.norm = nn.BatchNorm2d(2).eval()
        self.register_buffer("steps", torch.zeros(3))
        self.register_buffer("late", None)
        self.grid = torch.ones(2, 1, 1)
        self.kept: Tensor | None = None
        self.history: list[Tensor] = []
        self.table: dict[str, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        x = x.to("cpu").to(device="cpu", dtype=torch.float32).to(torch.ones(1)).cpu()
        self.steps += 1
        x = self.norm(self.conv(x)) * self.grid
        x = x + torch.randn(1, 2, 1, 1) + torch.cat([self.grid, self.grid])[:1] + torch.arange(x.shape[-1])
        self.kept = self.late = x
        self.history.append(x)
        self.table["x"] = x
        self.new = x
        return x


def hooks_of(network: nn.Module) -> list[dict[str, list[int]]]:
    return [
        {key: list(value) for key, value in vars(module).items() if "hook" in key and isinstance(value, dict)}
        for module in network.modules()
    ]


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_touched(fails):
    torch.manual_seed(0)
    network = Hoarder().train()
    network.norm.eval()
    network.conv.register_forward_hook(lambda *_: None)
    attributes = {name: dict(vars(module)) for name, module in network.named_modules()}
    hooks, state = hooks_of(network), copy.deepcopy(network.state_dict())
    pointers = {name: tensor.data_ptr() for name, tensor in network.state_dict().items()}
    versions = {name: tensor._version for name, tensor in network.state_dict().items()}
    rng, python_rng = torch.get_rng_state(), random.getstate()
    if fails:
        with pytest.raises(InvalidArgument):
            summarize(network, (3, 8, 8))
    else:
        summarize(network, (1, 8, 8))
    assert [module.training for module in network.modules()] == [True, True, False]
    assert hooks_of(network) == hooks
    for name, module in network.named_modules():
        assert vars(module).keys() == attributes[name].keys()
        assert all(vars(module)[key] is value for key, value in attributes[name].items())
    assert network.history == []
    assert network.table == {}
    assert network.late is None
    assert network.state_dict().keys() == state.keys()
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, state[name])
        assert tensor.data_ptr() == pointers[name]
        assert tensor._version == versions[name]
    assert torch.equal(torch.get_rng_state(), rng)
    assert random.getstate() == python_rng
    assert network(torch.zeros(1, 1, 8, 8)).device.type == "cpu"


def test_a_thousand_million_parameters_on_meta():
    with torch.device("meta"):
        network = nn.Sequential(nn.Linear(2**15, 2**15), nn.ReLU(), nn.Linear(2**15, 10))
    summary = summarize(network, (2**15,))
    assert summary.parameters == 2**30 + 2**15 + 10 * 2**15 + 10
    assert summary.macs == 2**30 + 10 * 2**15


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_image_has_the_type_of_the_weights(dtype):
    assert summarize(nn.Conv2d(3, 4, 3, dtype=dtype), (3, 5, 5)).macs == 27 * 4 * 9


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_module_is_looked_through():
    network = nn.Sequential(nn.Linear(3, 2))
    network.compile()
    assert summarize(network, (3,)).macs == 6
    assert "_compiled_call_impl" in vars(network)
    wrapped = torch.compile(nn.Sequential(nn.Linear(3, 2)))
    assert summarize(wrapped, (3,)).rows[0].name == "0"


class Fallback(nn.Module):
    """Catches the failure of a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(9, 9)
        self.second = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        try:
            return self.first(x)
        except RuntimeError:
            return self.second(x)


def test_a_failure_that_the_network_catches_is_none():
    rows = summarize(Fallback(), (3,)).rows
    assert [(row.name, row.output_shape, row.macs) for row in rows] == [
        ("first", None, 0),
        ("second", (2,), 6),
    ]
