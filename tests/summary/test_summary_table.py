"""How a summary reads: the golden table, its width, and its plain values."""

import json
import os
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import nn

from mirada.errors import InvalidArgument
from mirada.summary import Summary, summarize
from mirada.summary.memory import Memory
from mirada.summary.table import WIDTH, Row, pixels, size

GOLDEN = Path(__file__).parents[1] / "golden"


def check_golden(name: str, text: str) -> None:
    """Compares with a file in tests/golden; MIRADA_OVERWRITE_GOLDEN=1 writes it anew."""
    path = GOLDEN / name
    if os.environ.get("MIRADA_OVERWRITE_GOLDEN") == "1":
        path.write_text(text + "\n", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text + "\n"


def lenet() -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            stem=nn.Sequential(nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2)),
            stage1=nn.Sequential(nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16), nn.Tanh(), nn.AvgPool2d(2)),
            stage2=nn.Conv2d(16, 120, 5),
            head=nn.Sequential(nn.Flatten(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)),
        )
    )


def test_golden_table():
    network = lenet()
    network.stem.requires_grad_(False)
    check_golden("summary_lenet.txt", str(summarize(network, (1, 32, 32))))


def test_subtotals_add_up():
    summary = summarize(lenet(), (1, 32, 32))
    assert [stage.name for stage in summary.stages] == ["stem", "stage1", "stage2", "head"]
    assert [stage.output_shape for stage in summary.stages] == [(6, 14, 14), (16, 5, 5), (120, 1, 1), (10,)]
    assert sum(stage.parameters for stage in summary.stages) == summary.parameters
    assert sum(stage.trainable for stage in summary.stages) == summary.trainable
    assert sum(stage.macs for stage in summary.stages) == summary.macs


def test_other_children_have_no_subtotals():
    network = nn.Sequential(OrderedDict(stages=nn.Linear(2, 2), head2=nn.Sequential(nn.Linear(2, 2))))
    summary = summarize(network, (2,))
    assert summary.stages == ()
    assert "subtotal" not in str(summary)


def test_rows_beside_the_stages_have_a_block_of_their_own():
    network = nn.Sequential(
        OrderedDict(
            stem=nn.Sequential(nn.Linear(2, 2), nn.ReLU()), neck=nn.Linear(2, 3), head=nn.Linear(3, 1)
        )
    )
    lines = str(summarize(network, (2,))).splitlines()
    assert [line.split()[0] for line in lines[2:-8]] == [
        "layer",
        lines[3],
        "stem.0",
        "stem.1",
        "stem",
        lines[3],
        "neck",
        lines[3],
        "head",
        lines[3],
    ]


class AnIdentityWithANameOfMoreThanThirtyTwoLetters(nn.Identity):
    """Too wide for its column."""


def test_a_table_fits_a_hundred_columns_and_keeps_both_ends_of_a_text():
    network: nn.Module = nn.Sequential(OrderedDict(deepest=nn.Linear(4, 4)))
    for number in range(20):
        network = nn.Sequential(OrderedDict({f"level{number}": network}))
    network = nn.Sequential(network, AnIdentityWithANameOfMoreThanThirtyTwoLetters())
    lines = str(summarize(network, (4,))).splitlines()
    assert max(map(len, lines)) == len(lines[3]) <= WIDTH
    assert lines[4].startswith("0.level1")
    assert "…" in lines[4]
    assert "level0.deepest  Linear " in lines[4]
    assert "AnIdentity…eThanThirtyTwoLetters  " in lines[5]


def test_a_wider_table_shows_more_and_a_narrower_one_less() -> None:
    network = lenet()
    network.add_module("a_head_with_a_long_name", nn.Sequential(nn.Sequential(nn.Linear(10, 10))))
    summary = summarize(network, (1, 32, 32))
    shown = {}
    for width in (80, 100, 120):
        text = summary.to_text(width=width)
        assert max(map(len, text.splitlines())) <= width
        shown[width] = len(text.splitlines()[2].split())
        assert ("Field:" in text) == ("field" in text.splitlines()[2])
        assert "long_name.0.0  Linear " in text
    assert shown[80] < shown[100] < shown[120]


def test_plain_values_survive_json():
    summary = summarize(lenet(), (1, 32, 32))
    values = json.loads(json.dumps(summary.to_dict()))
    assert values["input_shape"] == [1, 32, 32]
    assert values["rows"][0] == {
        "name": "stem.0",
        "kind": "Conv2d 5×5",
        "output_shape": [6, 28, 28],
        "parameters": 156,
        "trainable": 156,
        "frozen": 0,
        "fixed": 0,
        "shared": 0,
        "macs": 117_600,
        "activation_bytes": 4 * 6 * 28 * 28,
        "kernel": [5, 5],
        "stride": [1, 1],
        "padding": [0, 0],
        "receptive_field": [5, 5],
        "jump": [1, 1],
        "centre": [2, 2],
        "share_of_parameters": 156 / 61_738,
        "share_of_macs": 117_600 / 416_520,
    }
    assert (values["parameters"], values["trainable"], values["fixed"]) == (61_706 + 32, 61_706 + 32, 33)
    assert (values["batch_size"], values["frozen"]) == (32, 0)
    for key in ("predicting_bytes", "training_bytes"):
        one, two = (summary.to_dict(batch_size)[key] for batch_size in (1, 2))
        assert values[key] == one + 31 * (two - one)
    assert values["macs"] == 416_520
    assert values["not_counted"] == list(summary.not_counted)
    assert [stage["name"] for stage in values["stages"]] == ["stem", "stage1", "stage2", "head"]


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (Row(name="a", kind="Loss", output_shape=()), "scalar"),
        (Row(name="a", kind="Linear", output_shape=None), "–"),
        (Row(name="a", kind="Linear", output_shape=(2,), shared=4), "shared"),
        (Row(name="", kind="Linear", output_shape=(2,)), "(itself)"),
    ],
)
def test_special_cells(row, text):
    memory = Memory(parameters=0, trainable=0, buffers=0, maps=0, training_maps=None, file=8)
    summary = Summary(network="N", input_shape=(2,), rows=(row,), stages=(), memory=memory, not_counted=())
    lines = str(summary).splitlines()
    assert text in lines[4]
    assert lines[-1] == "Not counted: nothing."
    assert "–  the network does not run in training mode" in str(summary)
    assert "| Training | – | the network does not run in training mode |" in summary.to_markdown()


def test_bytes_and_pixels_as_people_read_them():
    numbers = (0, 999, 1000, 9_994, 9_996, 99_940, 99_960, 999_499, 999_500, 46_827_520, 3 * 10**12, 10**17)
    assert [size(number) for number in numbers] == [
        "0 bytes", "999 bytes", "1.00 kB", "9.99 kB", "10.0 kB", "99.9 kB", "100 kB", "999 kB", "1.00 MB", "46.8 MB",
        "3.00 TB", "100000 TB",
    ]  # fmt: skip
    assert [pixels(sizes) for sizes in ((3, 3), (3, 5), (2.5, 2.5), (7,), None)] == [
        "3",
        "3×5",
        "2.5",
        "7",
        "–",
    ]


def test_the_memory_of_training_is_that_of_the_optimizer():
    summary = summarize(nn.Linear(250_000, 4, bias=False), (250_000,))  # 4 MB of weights
    texts = {name: summary.to_text(width=300, optimizer=name) for name in ("", "sgd", "adam", "rmsprop")}
    assert "SGD with momentum (Adam: 4.00 MB more): weights, gradients and momenta 12.0 MB" in texts[""]
    assert "SGD with momentum: weights, gradients and momenta 12.0 MB" in texts["sgd"]
    assert "Adam: weights, gradients and moments 16.0 MB" in texts["adam"]
    assert "RMSProp: weights, gradients and moments 16.0 MB" in texts["rmsprop"]
    with pytest.raises(InvalidArgument, match=r'no optimizer "adm"\. Did you mean "adam"'):
        summary.to_text(optimizer="adm")


def test_a_notebook_shows_the_table():
    summary = summarize(nn.Sequential(OrderedDict({"a<b": nn.ReLU()})), (3,))
    shown = summary._repr_html_()
    assert shown.startswith("<pre>Sequential, one image of 3\n")
    assert "a&lt;b" in shown and "<b" not in shown


# Rows in groups ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 3, 9])
def test_groups_add_up_to_the_same_totals(depth):
    fine, coarse = summarize(lenet(), (1, 32, 32)), summarize(lenet(), (1, 32, 32), depth=depth)
    for total in ("parameters", "trainable", "fixed", "macs", "memory", "stages", "not_counted"):
        assert getattr(coarse, total) == getattr(fine, total)
    for row in coarse.rows:
        assert row.name.count(".") < depth
    assert sum(row.activation_bytes for row in coarse.rows) == sum(row.activation_bytes for row in fine.rows)


def test_a_depth_of_one_gives_the_stages():
    rows = summarize(lenet(), (1, 32, 32), depth=1).rows
    assert [(row.name, row.kind, row.output_shape, row.macs) for row in rows] == [
        ("stem", "Sequential, 3 layers", (6, 14, 14), 117_600),
        ("stage1", "Sequential, 4 layers", (16, 5, 5), 240_000),
        ("stage2", "Conv2d 5×5", (120, 1, 1), 48_000),
        ("head", "Sequential, 4 layers", (10,), 10_920),
    ]
    assert [(row.receptive_field, row.jump, row.centre) for row in rows[:2]] == [
        ((6, 6), (2, 2), (2.5, 2.5)),
        ((16, 16), (4, 4), (7.5, 7.5)),
    ]
    text = str(summarize(lenet(), (1, 32, 32), depth=1))
    assert "subtotal" not in text
    assert text.count("─\n") == 2  # one block


class Parts(nn.Module):
    """A list, which is never called itself, and a module that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.ModuleList([nn.Conv2d(1, 1, 3), nn.ReLU()])
        self.twice = nn.Sequential(nn.Conv2d(1, 1, 3))
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        for step in self.steps:
            x = step(x)
        return self.twice(self.twice(x)) * self.scale


def test_groups_of_lists_and_of_what_runs_twice():
    rows = summarize(Parts(), (1, 9, 9), depth=1).rows
    assert [(row.name, row.kind, row.output_shape, row.parameters, row.macs) for row in rows] == [
        ("scale", "parameter", None, 1, 0),
        ("steps", "ModuleList, 2 layers", None, 10, 9 * 49),
        ("twice", "Sequential, 2 layers", (1, 3, 3), 10, 9 * 25 + 9 * 9),
    ]


@pytest.mark.parametrize("depth", [0, -1, 1.0, True, "1"])
def test_a_wrong_depth(depth):
    with pytest.raises(InvalidArgument) as caught:
        summarize(lenet(), (1, 32, 32), depth=depth)
    assert str(caught.value) == (
        f"`depth` of summarize must be an integer ≥ 1, or None for every layer. Got {depth!r}."
    )


# Markdown --------------------------------------------------------------------------------------------------------


def test_markdown_has_every_row_with_all_columns():
    summary = summarize(lenet(), (1, 32, 32))
    title, _, header, rule, *lines = summary.to_markdown(batch_size=1).splitlines()
    assert title == "## Sequential, one image of 1×32×32"
    end = lines.index("")
    assert {line.count("|") for line in [header, rule, *lines[:end]]} == {17}
    assert lines[0] == (
        "| `stem.0` | Conv2d 5×5 | 5 | 1 | 0 | 6×28×28 | 156 | – | – | 0.3 | 117,600 | 28.2 | 18.8 kB | 5 | 1 | 2 |"
    )
    names = [line.split("`")[1] for line in lines[:end]]
    assert names == [row.name for row in summary.rows] + ["stem", "stage1", "head"]
    assert lines[end + 3] == "| Parameters | 61,738 | 33 fixed numbers in buffers not included |"
    assert lines[-1].startswith("Not counted: biases; activations (Tanh); ")


def test_markdown_reads_names_as_they_are():
    class A_b(nn.Module):  # noqa: N801
        def forward(self, x):
            return x

    assert "| (itself) | A\\_b |" in summarize(A_b(), (3,)).to_markdown()
