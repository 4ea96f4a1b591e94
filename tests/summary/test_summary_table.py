"""How a summary reads: the golden table, its width, and its plain values."""

import json
import os
from collections import OrderedDict
from pathlib import Path

import pytest
from torch import nn

from mirada.summary import Summary, summarize
from mirada.summary.table import WIDTH, Row

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
    assert [line.split()[0] for line in lines[2:-4]] == [
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
    assert max(map(len, lines)) == WIDTH
    assert lines[4].startswith("0.level19.")
    assert "…" in lines[4]
    assert "level1.level0.deepest  Linear " in lines[4]
    assert "AnIdentity…eThanThirtyTwoLetters  " in lines[5]


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
        "shared": 0,
        "macs": 117_600,
    }
    assert (values["parameters"], values["trainable"], values["buffers"]) == (61_706 + 32, 61_706 + 32, 33)
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
    summary = Summary(network="N", input_shape=(2,), rows=(row,), stages=(), buffers=0, not_counted=())
    assert text in str(summary).splitlines()[4]
    assert str(summary).endswith("Not counted: nothing.")
